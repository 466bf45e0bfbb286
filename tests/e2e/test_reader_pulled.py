"""The reader's plug is pulled under a running till and a running card service, and put in again: the till says so, is
ready by itself within 3 s, and every sale is paid once.

pcscd is Debian's own and learns of the plug as on any machine: its driver reaches no device any more, then udev tells
(``usb_port.py``). It is pulled while nothing lies there, while a card lies there, at a command of the tap, at Commit
before and after the card has acted; it is in again at once or after a while. Times are counted from when udev tells.
What was paid is read afterwards from the journal's file and the card's file.
This file is also the program that runs inside (`python test_reader_pulled.py FOLDER PULLS short|long`).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.hands import COMMIT_TRANSACTION
from demo.morning import panier
from demo.namespace import _listening_ports, enter, namespaces_available
from demo.till_process import Disappointed, Event, TillProcess
from emulator.card import VirtualCard
from emulator.field import Exchange
from emulator.tear import Phase, tear_on
from emulator.vpcd import CardInField
from tests.e2e.test_readers_come_back import (
    PAID_OR_NOT,
    READY_WITHIN_S,
    Pcscd,
    a_stall,
    eventually,
    gone_from_the_card,
    paid_by_the_journal,
)
from tests.e2e.usb_port import READER_MODEL, UsbPort, missing_part

pytestmark = pytest.mark.pcsc

LIFT_PAUSE_S = 0.9
"""PC/SC looks into a virtual field every 0.4 s; after a pull its count of comings and goings says nothing of a card."""
UDEV_TAKES_S = 0.05
STAYS_AWAY_FOR_S, IDLE_CPU_S = 1.5, 0.4
COMMANDS_BEFORE_COMMIT = 10
PCSCD_NOTICES_S = 2.0


# --- inside ----------------------------------------------------------------------------------------------------------


class Pulls:
    """The till, the port and the card, and how long each return took."""

    def __init__(self, folder: Path, port: UsbPort, till: TillProcess) -> None:
        self.folder = folder
        self.port = port
        self.till = till
        self.field: CardInField | None = None
        self.sale = 0
        self.is_hasty = False  # the plug is in again at once, while pcscd is still busy with its going
        self.took_s: list[float] = []

    # the hand

    def lay_down(
        self,
        pulled_at: Callable[[Exchange], bool] | None = None,
        then: Callable[[], None] | None = None,
        *,
        commit_is_torn: bool = False,
    ) -> None:
        """Lay the card down; the plug is pulled at the first command that fits, before its answer is through, and what
        comes ``then`` is what udev tells.
        """
        is_pulled = False

        def pull(exchange: Exchange) -> None:
            nonlocal is_pulled
            if pulled_at is not None and not is_pulled and pulled_at(exchange):
                is_pulled = True
                self.port.pull(is_told=False)
                threading.Timer(UDEV_TAKES_S, then or self.port.tell_of_pull).start()

        tears = [tear_on(COMMIT_TRANSACTION, Phase.BEFORE)] if commit_is_torn else []
        card = VirtualCard.load(self.folder / "cards" / "card.json")
        eventually(self.port.reader)
        self.field = CardInField(card, self.port.reader(), disturbances=tears, log=pull)
        self.field.present()

    def lift(self) -> None:
        self.lift_cut_off()
        time.sleep(LIFT_PAUSE_S)

    def lift_cut_off(self) -> None:
        """The card that a pull has cut off: no reader sees it go."""
        assert self.field is not None
        self.field.lift()
        self.field = None

    def pull(self) -> None:
        self.port.pull(is_told=False)
        time.sleep(UDEV_TAKES_S)
        self.port.tell_of_pull()

    def is_gone(self, *also: str) -> None:
        """The till says so, whatever else it says; while the hand is slow, it does not take it back, and rests."""
        self.hears("reader_away", *also)
        if self.is_hasty:
            return
        used_s = cpu_s(self.till.pid)
        with pytest.raises(Disappointed):
            self.till.expect("reader_is_back", within_s=STAYS_AWAY_FOR_S)
        used_s = cpu_s(self.till.pid) - used_s
        assert used_s < IDLE_CPU_S, f"the till does not rest: {used_s:.2f} s of processor in {STAYS_AWAY_FOR_S} s"

    def plug_in(self, *, with_card: bool = False) -> None:
        """Counted until the till says that it is ready."""
        began_s = time.monotonic()
        self.port.plug_in()
        if with_card:  # it has lain there all the time
            self.lay_down()
        self.till.expect("reader_is_back")
        self.took_s.append(time.monotonic() - began_s)

    # the till

    def cents(self) -> int:
        return 100 + self.sale

    def sell(self) -> None:
        self.sale += 1
        heard = self.till.sell(self.sale, ("vegetables", self.cents()))
        assert heard["event"] == "present_card", heard

    def hears(self, *names: str) -> None:
        """All of these, in whatever order."""
        missing = set(names)
        while missing:
            missing.discard(self.till.expect(*missing)["event"])

    def is_paid(self) -> None:
        heard: Event = self.till.expect(*PAID_OR_NOT)
        assert (heard["event"], heard.get("amount_cents")) == ("paid", self.cents()), heard

    def pay(self) -> None:
        self.lay_down()
        self.is_paid()
        self.lift()

    # moments

    def with_no_card(self) -> None:
        self.sell()
        self.pull()
        self.is_gone()
        self.plug_in()
        self.pay()

    def with_a_paid_card(self) -> None:
        """It stays there until after the plug is pulled; the next sale begins without a reader."""
        self.sell()
        self.lay_down()
        self.is_paid()
        self.pull()
        self.is_gone()
        self.lift_cut_off()
        self.sell()
        self.plug_in()
        self.pay()

    def with_the_next_card_there_already(self) -> None:
        self.sell()
        self.pull()
        self.is_gone()
        self.plug_in(with_card=True)
        self.is_paid()
        self.lift()

    def at_command(self, index: int) -> None:
        self.sell()
        self.lay_down(lambda exchange: exchange.index == index)
        self.is_gone()
        self.lift_cut_off()
        self.plug_in()
        self.pay()

    def at_commit(self, *, commit_is_torn: bool) -> None:
        self.sell()
        self.lay_down(lambda exchange: exchange.instruction == COMMIT_TRANSACTION, commit_is_torn=commit_is_torn)
        self.is_gone("doubt")
        self.lift_cut_off()
        self.plug_in()
        self.pay()

    def put_in_before_pcscd_lets_go(self) -> None:
        """Pulled at Commit and in again while pcscd still waits for that command's answer: to pcscd it is a second
        reader, with another number in its name.
        """
        self.sell()
        plugged_s, pulled = 0.0, self.port.reader()

        def put_in_again() -> None:
            nonlocal plugged_s
            self.port.tell_of_pull()
            plugged_s = time.monotonic()
            self.port.plug_in()

        self.lay_down(lambda exchange: exchange.instruction == COMMIT_TRANSACTION, put_in_again)
        self.hears("doubt", "reader_is_back")
        self.took_s.append(time.monotonic() - plugged_s)
        assert self.port.reader() != pulled, "pcscd had let go of it"
        self.lift_cut_off()
        self.pay()

    def shaken(self) -> None:
        """Out and in again, so quickly that the till may not have seen it; pcscd has, and the next card pays."""
        self.sell()
        self.pull()
        self.port.plug_in()
        time.sleep(PCSCD_NOTICES_S)
        self.pay()

    def unheard(self) -> list[list[str]]:
        """Pulled, but udev says nothing for a while: pcscd goes on listing a reader that it does not reach.

        Returns: what the doctor says before, then, and once udev has told.
        """
        self.is_hasty = False
        told = [doctor()]
        self.sell()
        self.port.pull(is_told=False)
        self.is_gone()
        told.append(doctor())
        left = self.port.reader()
        self.port.tell_of_pull()
        eventually(lambda: left not in _listening_ports())
        told.append(doctor())
        self.plug_in()
        self.pay()
        return told


def moment(pulls: Pulls, number: int) -> None:
    """The pull of that number: each kind in turn, at ever later commands."""
    kinds: tuple[Callable[[], None], ...] = (
        pulls.with_no_card,
        lambda: pulls.at_commit(commit_is_torn=False),
        lambda: pulls.at_command(number % COMMANDS_BEFORE_COMMIT),
        pulls.with_a_paid_card,
        lambda: pulls.at_commit(commit_is_torn=True),
        pulls.with_the_next_card_there_already,
        pulls.put_in_before_pcscd_lets_go,
    )
    pulls.is_hasty = number // len(kinds) % 2 == 1
    kinds[number % len(kinds)]()


def doctor() -> list[str]:
    """The findings of ``panier doctor``, as a program of its own."""
    done = subprocess.run(panier("doctor", "--json"), capture_output=True, text=True, timeout=60, check=False)
    return sorted(json.loads(line)["finding"] for line in done.stdout.splitlines())


def cpu_s(pid: int) -> float:
    """Processor time a process has used so far (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def play(folder: Path, pulled: int, *, is_long: bool) -> dict[str, Any]:
    port = UsbPort(folder / "usb")
    pcscd = Pcscd(folder / "pcscd.log")
    pcscd.start_without_reader()
    port.plug_in()
    eventually(port.reader)
    with a_stall(folder):
        argv = panier("till", "--json", "--dir", str(folder / "till-1"), "--reader", READER_MODEL)
        till = TillProcess(argv, folder / "till.log")
        till.expect("ready")
        till.expect_once("reader_is_back")
        pulls = Pulls(folder, port, till)
        for number in range(pulled):
            moment(pulls, number)
        doctor_told = []
        if is_long:
            pulls.shaken()
            doctor_told = pulls.unheard()
        till.stop()
    pcscd.stop()
    return {"took_s": pulls.took_s, "sales": pulls.sale, "doctor_told": doctor_told}


# --- outside ---------------------------------------------------------------------------------------------------------


def played(folder: Path, pulled: int, *, is_long: bool = False) -> list[list[str]]:
    can = namespaces_available()
    if not can.available or missing_part():
        pytest.skip(can.reason or missing_part())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert enter([sys.executable, __file__, str(folder), str(pulled), "long" if is_long else "short"], env) == 0
    said = json.loads((folder / "said.json").read_text())
    took_s, sales = said["took_s"], said["sales"]
    print(f"pulls: {len(took_s)}, median {statistics.median(took_s):.2f} s, longest {max(took_s):.2f} s")
    assert len(took_s) >= pulled and max(took_s) <= READY_WITHIN_S
    expected = [100 + sale for sale in range(1, sales + 1)]
    assert paid_by_the_journal(folder) == expected
    assert gone_from_the_card(folder) == (sum(expected), sales)
    return list(said["doctor_told"])


def test_a_reader_pulled_while_it_waits_and_at_commit_comes_back_and_the_sales_are_paid_once(tmp_path: Path) -> None:
    played(tmp_path / "stall", pulled=2)


@pytest.mark.slow
def test_twenty_pulls_of_the_plug_lose_and_double_no_payment_and_the_doctor_tells_of_them(tmp_path: Path) -> None:
    well, unheard, gone = played(tmp_path / "stall", pulled=20, is_long=True)
    assert well == ["pcsc_reader", "reader_unknown"]  # its USB number is nobody's
    assert unheard == ["no_reader", "pcsc_reader_gone"]
    assert gone == ["no_reader"]


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "said.json").write_text(json.dumps(play(where, int(sys.argv[2]), is_long=sys.argv[3] == "long")))
