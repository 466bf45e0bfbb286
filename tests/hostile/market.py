"""A centre, three cards and an enrolled terminal in a folder, for hostile cards on the real PC/SC stack.

The victim's card has paid once, and the centre and the terminal know it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from central.office import Office, make_centre
from demo.in_process import issue_in_process
from demo.served import served_centre
from demo.till_process import TillProcess
from domain.identity import CardId, PurseNumber
from domain.money import Cents
from emulator.card import VirtualCard
from emulator.memory import DataFile, ValueFile
from sync.card_format import ENTITLEMENT_PLACE_B
from tests.hostile.catalogue import ENTITLEMENT_FILE

RULES = Path(__file__).parents[2] / "domain" / "rule-sets" / "gers.toml"
UIDS = {"victim": "04A1B2C3D40001", "other": "04A1B2C3D40002", "good": "04A1B2C3D40003"}
PAID_BEFORE = 1_000


def panier(*words: str) -> list[str]:
    """The command line of this very program."""
    return [sys.executable, "-m", "panier", *words]


class Market:
    """Everything in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "centre.sock"
        self.till = folder / "till"

    def card(self, name: str) -> Path:
        """File of a card."""
        return self.folder / f"{name}.json"

    @property
    def old_entitlement(self) -> Path:
        """File 11 of the victim's card when it had paid nothing the centre knew of."""
        return self.folder / "old-entitlement"

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """The centre serves while the block lasts."""
        with served_centre(self.folder / "centre", self.socket, self.folder / "centre.log"):
            yield

    def run(self, *words: str) -> str:
        """A command that works; its output."""
        done = subprocess.run(panier(*words), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sync(self) -> None:
        """Upload and download, the centre being served."""
        self.run("sync", "--dir", str(self.till), "--socket", str(self.socket))

    def open_till(self, *, reader: str | None = None) -> TillProcess:
        """The till on PC/SC's ``reader``, or on a reader of its own process."""
        if reader is None:
            argv = [sys.executable, "-m", "demo.in_process", "--dir", str(self.till)]
        else:
            argv = panier("till", "--json", "--dir", str(self.till), "--reader", reader)
        till = TillProcess(argv, self.folder / "till.log")
        till.expect("ready", "last_outcome?")
        till.ask({"id": 1, "confirm": {}})
        till.expect_once("reader_is_back")
        return till

    def spent(self, name: str) -> int:
        """Cents a card truly spent, from its own memory."""
        return sum(16_000_000 - value for value in self.values(name).values())

    def values(self, name: str) -> dict[int, int]:
        """Its value files."""
        (application,) = VirtualCard.load(self.card(name)).memory.applications.values()
        return {number: file.value for number, file in application.files.items() if isinstance(file, ValueFile)}


def build(folder: Path, spares: int, granted: int = 15_000) -> tuple[Market, dict[str, CardId]]:
    """A market ready for hostile cards; ``spares``: cards to be emulated once each, named spare-0 and so on."""
    uids = UIDS | {f"spare-{number}": f"04A1B2C3D5{number:04X}" for number in range(spares)}
    market = Market(folder)
    make_centre(folder / "centre", RULES)
    cards = {}
    office = Office(folder / "centre")
    try:
        for name, uid in uids.items():
            VirtualCard.blank(bytes.fromhex(uid), market.card(name))
            cards[name] = issue_in_process(folder, market.card(name))
            _grant(office, cards[name], granted)
        code = office.new_code(office.put_merchant("Ferme", ("referenced",), "vegetables").number)
    finally:
        office.close()
    with market.served():
        market.run("enrol", "--dir", str(market.till), "--socket", str(market.socket), code.text)
        _pay_once(market)
        market.sync()
        office = Office(folder / "centre")
        _grant(office, cards["victim"], 100)  # a new word, which knows of the payment
        office.close()
        market.sync()
    return market, cards


def _grant(office: Office, card: CardId, cents: int) -> None:
    first = office.today().replace(day=1)
    start = office.day_start(first)
    office.grant(card, PurseNumber(1), Cents(cents), start, start.replace(year=start.year + 1))


def _pay_once(market: Market) -> None:
    till = market.open_till()
    till.sell(1, ("vegetables", PAID_BEFORE))
    till.ask({"hand": {"lay": str(market.card("victim"))}})
    till.expect("paid")
    till.ask({"hand": {"lift": True}})
    till.stop()
    (application,) = VirtualCard.load(market.card("victim")).memory.applications.values()
    file = application.files[ENTITLEMENT_FILE]
    assert isinstance(file, DataFile)
    market.old_entitlement.write_bytes(file.content[1 : 1 + ENTITLEMENT_PLACE_B])
