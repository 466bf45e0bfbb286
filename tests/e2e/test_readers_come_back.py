"""The reader goes and comes back under a running till that awaits a card: it is ready by itself within 3 s, and every
sale is paid once.

Inside private namespaces a real till (``panier till --json``) stands at the first virtual reader. The card service is
restarted, killed in the middle of a Commit, or runs without any reader for a while. What was paid is read afterwards
from the journal's file and the card's file, not from what the till said.
This file is also the program that runs inside (`python test_readers_come_back.py FOLDER RESTARTS REMOVALS`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from central.office import Office, make_centre
from demo import namespace
from demo.__main__ import issue_through_pcsc
from demo.hands import COMMIT_TRANSACTION, VIRTUAL_READERS, Mishap, VpcdHand
from demo.morning import panier
from demo.namespace import PCSCD_SOCKET, PrivatePcscd, enter, namespaces_available
from demo.rules import GERS
from demo.served import served_centre
from demo.till_process import Disappointed, TillProcess
from domain.identity import CardId, PurseNumber
from domain.money import Cents
from emulator.card import VirtualCard
from emulator.tear import Phase
from sync.record import Outcome, Pay, RecordType, Resolve, open_record

pytestmark = pytest.mark.pcsc

READY_WITHIN_S = 3.0
NO_READER_FOR_S = 0.6
EVERY_NTH_AT_COMMIT = 4
AID, LOADED = "A05310", 16_000_000
READER_FILES = Path("/etc/reader.conf.d")
UID = "04A1B2C3D40077"
PAID_OR_NOT = ("paid", "not_paid", "split?", "put_back", "doubt", "already_paid?", "stopped")


# --- inside ----------------------------------------------------------------------------------------------------------


class Pcscd(PrivatePcscd):
    """The private card service, with or without its reader.

    Debian's service learns of USB readers while it runs, but of the virtual one only when it starts, from its file.
    """

    __slots__ = ("_reader_file",)

    def __init__(self, log_path: Path) -> None:
        super().__init__(log_path)
        self._reader_file = (READER_FILES / "vpcd").read_bytes()
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(READER_FILES)], check=False)
        assert done.returncode == 0, "a private folder for readers"
        self.plug_in()

    def plug_in(self) -> None:
        """The service will find its reader when it starts."""
        (READER_FILES / "vpcd").write_bytes(self._reader_file)

    def start_without_reader(self) -> None:
        """As a machine whose reader is not plugged in."""
        (READER_FILES / "vpcd").unlink()
        namespace._clear_traces()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                namespace._pcscd_argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        eventually(lambda: namespace._answers(PCSCD_SOCKET))

    def reap(self) -> None:
        """It was killed."""
        assert self._process is not None
        self._process.wait()
        self._process = None


def eventually(condition: Any, budget_s: float = 60.0) -> None:
    until = time.monotonic() + budget_s
    while not condition():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.005)


@contextlib.contextmanager
def a_stall(folder: Path) -> Iterator[None]:
    """A centre, one card with 80 € and one enrolled terminal."""
    make_centre(folder / "centre", GERS)
    socket = folder / "centre.sock"
    with served_centre(folder / "centre", socket, folder / "centre.log"):
        (folder / "cards").mkdir()
        VirtualCard.blank(bytes.fromhex(UID), folder / "cards" / "card.json")
        card = issue_through_pcsc(folder, folder / "cards" / "card.json", 0)
        code = grant_and_code(folder, card)
        argv = panier("enrol", "--dir", str(folder / "till-1"), "--socket", str(socket), code)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        yield


def grant_and_code(folder: Path, card: CardId) -> str:
    office = Office(folder / "centre")
    try:
        first = office.today().replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
        office.grant(card, PurseNumber(1), Cents(8_000), office.day_start(first), office.day_start(after))
        merchant = office.put_merchant("Ferme du Moulin", ("referenced",), "vegetables")
        return office.new_code(merchant.number).text
    finally:
        office.close()


class Rounds:
    """The till, the hand and the service, and how long each return took."""

    def __init__(self, folder: Path, pcscd: Pcscd, till: TillProcess) -> None:
        self.card = folder / "cards" / "card.json"
        self.pcscd = pcscd
        self.till = till
        self.hand = VpcdHand(0)
        self.sale = 0
        self.took_s: list[float] = []

    def cents(self) -> int:
        return 100 + self.sale

    def sell(self) -> None:
        self.sale += 1
        heard = self.till.sell(self.sale, ("vegetables", self.cents()))
        assert heard["event"] == "present_card", heard

    def is_back(self) -> None:
        """The service starts; counted until the till says that it is ready."""
        began_s = time.monotonic()
        self.pcscd.start()
        self.till.expect("reader_is_back")
        self.took_s.append(time.monotonic() - began_s)

    def pay(self) -> None:
        self.hand.lay_down(self.card)
        heard = self.till.expect(*PAID_OR_NOT)
        assert (heard["event"], heard.get("amount_cents")) == ("paid", self.cents()), heard
        self.hand.lift()

    def restarted(self) -> None:
        self.sell()
        self.pcscd.stop()
        self.till.expect("reader_away")
        self.is_back()
        self.pay()

    def killed_at_commit(self) -> None:
        """The card has committed, the service dies before the answer is through."""
        self.sell()
        assert self.pcscd.pid is not None
        self.hand.lay_down(self.card, Mishap(COMMIT_TRANSACTION, Phase.AFTER, kills_pid=self.pcscd.pid))
        heard = self.till.expect(*PAID_OR_NOT)
        assert heard["event"] == "doubt", heard
        self.till.expect_once("reader_away")
        self.hand.lift()
        self.pcscd.reap()
        self.is_back()
        self.pay()

    def unplugged(self) -> None:
        self.sell()
        self.pcscd.stop()
        self.till.expect("reader_away")
        self.pcscd.start_without_reader()
        with pytest.raises(Disappointed):
            self.till.expect("reader_is_back", within_s=NO_READER_FOR_S)
        self.pcscd.stop()
        self.pcscd.plug_in()
        self.is_back()
        self.pay()


def play(folder: Path, restarts: int, removals: int) -> dict[str, list[float]]:
    pcscd = Pcscd(folder / "pcscd.log")
    pcscd.start()
    with a_stall(folder):
        argv = panier("till", "--json", "--dir", str(folder / "till-1"), "--reader", VIRTUAL_READERS[0])
        till = TillProcess(argv, folder / "till.log")
        till.expect("ready")
        till.expect_once("reader_is_back")
        rounds = Rounds(folder, pcscd, till)
        for number in range(1, restarts + 1):
            rounds.killed_at_commit() if number % EVERY_NTH_AT_COMMIT == 1 else rounds.restarted()
        after_restart, rounds.took_s = rounds.took_s, []
        for _ in range(removals):
            rounds.unplugged()
        till.stop()
    pcscd.stop()
    return {"restarts": after_restart, "removals": rounds.took_s}


# --- outside ---------------------------------------------------------------------------------------------------------


def paid_by_the_journal(folder: Path) -> list[int]:
    """Cents of each payment the journal holds as paid, in order."""
    base = sqlite3.connect(f"file:{folder / 'till-1' / 'journal-000001.db'}?mode=ro", uri=True)
    records = [open_record(bytes(row[0]))[1] for row in base.execute("SELECT sealed FROM record ORDER BY seq")]
    base.close()
    found = []
    for record in records:
        if record.type == RecordType.PAYMENT:
            debits: Any = record.body[Pay.DEBITS]
            found.append(sum(cents for _file, cents in debits))
        if record.type == RecordType.RESOLUTION and record.body[Resolve.OUTCOME] == Outcome.CONFIRMED:
            found.append(int(str(record.body[Resolve.AMOUNT])))
    return found


def gone_from_the_card(folder: Path) -> tuple[int, int]:
    """Cents gone from its value files, and its transaction counter."""
    files = json.loads((folder / "cards" / "card.json").read_text())["applications"][AID]["files"]
    return sum(LOADED - files[f"{number:02X}"]["value"] for number in range(1, 9)), files["0F"]["tmc"]


def played(folder: Path, restarts: int, removals: int) -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    said = folder / "said.json"
    argv = [sys.executable, __file__, str(folder), str(restarts), str(removals)]
    assert enter(argv, env) == 0, (folder / "till.log").read_text() if (folder / "till.log").exists() else ""
    took = json.loads(said.read_text())
    for what, times in took.items():
        print(f"{what}: {len(times)}, median {statistics.median(times):.2f} s, longest {max(times):.2f} s")
        assert max(times) <= READY_WITHIN_S, what
    sales = restarts + removals
    assert [len(took["restarts"]), len(took["removals"])] == [restarts, removals]
    expected = [100 + sale for sale in range(1, sales + 1)]
    assert paid_by_the_journal(folder) == expected
    assert gone_from_the_card(folder) == (sum(expected), sales)


def test_a_restarted_service_and_a_reader_plugged_in_again_are_found_and_the_sale_is_paid(tmp_path: Path) -> None:
    played(tmp_path / "stall", restarts=1, removals=1)


@pytest.mark.slow
def test_twenty_restarts_and_twenty_removals_lose_and_double_no_payment(tmp_path: Path) -> None:
    played(tmp_path / "stall", restarts=20, removals=20)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "said.json").write_text(json.dumps(play(where, int(sys.argv[2]), int(sys.argv[3]))))
