"""The same lies through the real PC/SC stack, to a till that is a process of its own.

This file is also the program that runs inside the namespaces (``python -m tests.hostile.test_through_pcsc FOLDER``).
It lays down one hostile card after the other and tells what the till said and after how many seconds.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from central.office import Office
from demo.hands import VIRTUAL_READERS, wait_until_empty
from demo.namespace import enter, namespaces_available, private_pcscd
from demo.till_process import USUAL_WAIT_S, Disappointed, TillProcess
from emulator.card import VirtualCard
from emulator.field import Card
from emulator.hostile import Tape
from emulator.memory import DataFile
from emulator.state_file import FileStore
from emulator.tear import Disturbance
from emulator.vpcd import CardInField
from sync.card_format import ENTITLEMENT_PLACE_B
from terminal.bootstrap import open_store
from terminal.offline_queue.identity import load_enrolled
from terminal.world import TAP_BUDGET_S
from tests.hostile.catalogue import DOUBT, ENTITLEMENT_FILE, LIES, NOTHING, Lie, Model
from tests.hostile.market import Market, build
from tests.hostile.stand import booked

pytestmark = pytest.mark.pcsc

CASHIER_S = 2.0
FOUND_S = 0.45
"""PC/SC looks into a virtual field every 0.4 s, then powers the card."""
JUST_AFTER_A_LOOK_S = 0.12
"""After the hand's own pause: PC/SC has just looked, so finding the card takes it as long as it can."""
BUSY_MACHINE_S = 0.55
"""What a machine with other things to do may add; the page has what was measured."""
LISTENED_S = 4.5
RECORDED_CENTS = 99
FIRST_PRICE = 100
OUTCOMES = (
    "paid",
    "not_paid",
    "put_back",
    "doubt",
    "split?",
    "already_paid?",
    "one_card_only",
    "reader_away",
    "stopped",
)


@dataclass(frozen=True)
class Told:
    """What came of one lie."""

    name: str
    said: tuple[str, ...]
    reason: str | None
    seconds: tuple[float, ...]
    price: int
    is_next_paid: bool
    next_s: float
    whole_s: float


# --- inside ----------------------------------------------------------------------------------------------------------


class Counter:
    """The reader, the till before it, and the hand."""

    def __init__(self, market: Market, till: TillProcess) -> None:
        self._market = market
        self._till = till
        self._field: CardInField | None = None
        self._sale = 100

    def lay_down(self, card: Card, disturbances: tuple[Disturbance, ...] = ()) -> None:
        self._field = CardInField(card, disturbances=disturbances)
        self._field.present()

    def lift(self) -> None:
        assert self._field is not None
        self._field.lift()
        wait_until_empty(VIRTUAL_READERS[0])

    def sell(self, cents: int) -> None:
        self._sale += 1
        self._till.sell(self._sale, ("vegetables", cents))

    def hear(
        self, card: Card, disturbances: tuple[Disturbance, ...] = (), within_s: float = USUAL_WAIT_S
    ) -> tuple[dict[str, Any], float]:
        """Lay a card down; the first outcome, and seconds until it came. Nothing is awaited for a few seconds only."""
        began_s = time.monotonic()
        self.lay_down(card, disturbances)
        try:
            heard = self._till.expect(*OUTCOMES, within_s=within_s)
        except Disappointed:
            heard = {"event": NOTHING}
        return heard, time.monotonic() - began_s

    def end_the_sale(self) -> None:
        self._till.ask({"id": self._sale, "cancel": {}})
        if self._till.expect("cancelled", "doubt")["event"] == "doubt":
            self._till.ask({"id": self._sale, "confirm": {}})
            self._till.expect("ready")

    def play(self, lie: Lie, model: Model, price: int) -> Told:
        """One lie, then the true card where it left a doubt, then a good card."""
        first_s = time.monotonic()
        card, disturbances = lie.laid(model)
        said: list[str] = []
        seconds: list[float] = []
        reason = None
        self.sell(price)
        for expected in lie.blocks or lie.says:
            time.sleep(JUST_AFTER_A_LOOK_S)
            within_s = LISTENED_S if expected == NOTHING else USUAL_WAIT_S
            heard, spent_s = self.hear(card, tuple(disturbances), within_s)
            said.append(heard["event"])
            seconds.append(spent_s)
            reason = heard.get("reason")
            self.lift()
        self.end_the_sale()
        if DOUBT in said:
            self.lay_down(VirtualCard.load(self._market.card("victim")))
            self._till.expect("doubt_solved")
            self.lift()
        began_s = time.monotonic()
        self.sell(price - FIRST_PRICE + 10)  # another sum each time, or the till asks whether it is the same payment
        heard, _ = self.hear(VirtualCard.load(self._market.card("good")))
        next_s = time.monotonic() - began_s
        self.lift()
        whole_s = time.monotonic() - first_s
        return Told(lie.name, tuple(said), reason, tuple(seconds), price, heard["event"] == "paid", next_s, whole_s)

    def record(self) -> tuple[bytes, ...]:
        """The answers of one good payment of the victim."""
        tape = Tape(VirtualCard.load(self._market.card("victim")))
        self.sell(RECORDED_CENTS)
        heard, _ = self.hear(tape)
        assert heard["event"] == "paid", heard
        self.lift()
        return tuple(tape.answers)


def play_inside(folder: Path, names: list[str]) -> int:
    market = Market(folder)
    with private_pcscd(folder / "pcscd.log"), (folder / "told.jsonl").open("w") as out:
        till = market.open_till(reader=VIRTUAL_READERS[0])
        try:
            counter = Counter(market, till)
            tape = counter.record()
            spares = iter(range(len(LIES)))
            for number, lie in enumerate(lie for lie in LIES if not names or lie.name in names):
                card = f"spare-{next(spares)}" if lie.spoils_its_card else "victim"
                told = counter.play(lie, model_of(market, card, tape), FIRST_PRICE + number)
                out.write(json.dumps(told.__dict__) + "\n")
                out.flush()
        finally:
            till.stop()
    return 0


def model_of(market: Market, card: str, tape: tuple[bytes, ...]) -> Model:
    """What a liar may start from."""
    victim = VirtualCard.load(market.card(card)).memory
    (application,) = victim.applications.values()
    (slot,) = (number for number, value in market.values("victim").items() if value != 16_000_000)
    other = VirtualCard.load(market.card("other")).memory
    (others,) = other.applications.values()
    foreign = others.files[ENTITLEMENT_FILE]
    assert isinstance(foreign, DataFile)
    place = slice(1, 1 + ENTITLEMENT_PLACE_B)
    return Model(
        store=FileStore(market.card(card)),
        terminals_key=application.keys[1].value,
        slot=slot,
        station=load_enrolled(market.till).identity.station,
        tape=tape,
        old_entitlement=market.old_entitlement.read_bytes(),
        foreign_entitlement=foreign.content[place],
        other=other,
        sleep=time.sleep,
    )


# --- outside ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """A market after hostile cards came by."""

    market: Market
    told: dict[str, Told]
    booked: int
    truly_spent: dict[str, int]
    posted: dict[str, int]


def played(folder: Path, lies: list[Lie]) -> Played:
    """Build a market, let the cards come by, count."""
    availability = namespaces_available()
    if not availability.available:
        pytest.skip(availability.reason)
    market, cards = build(folder, spares=sum(lie.spoils_its_card for lie in lies))
    before = market.spent("victim")
    assert (
        enter([sys.executable, "-m", "tests.hostile.test_through_pcsc", str(folder), *(lie.name for lie in lies)]) == 0
    )
    told = [Told(**json.loads(line)) for line in (folder / "told.jsonl").read_text().splitlines()]
    store = open_store(market.till)
    try:
        counted = booked(store.journal, cards["victim"])
    finally:
        store.journal.close()
    with market.served():
        market.sync()
    office = Office(market.folder / "centre")
    try:
        posted_of = {account.card: account.spent for account in office.accounts()}
    finally:
        office.close()
    truly = {name: market.spent(name) for name in cards}
    posted = {name: posted_of.get(card, 0) for name, card in cards.items()}
    return Played(market, {item.name: item for item in told}, counted - before, truly, posted)


QUICK = [lie for lie in LIES if lie.is_quick]
LONG = [lie for lie in LIES if not lie.is_quick]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return played(tmp_path_factory.mktemp("quick"), QUICK)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return played(tmp_path_factory.mktemp("long"), LONG)


def check(market: Played, lie: Lie) -> None:
    told = market.told[lie.name]
    seconds = " and ".join(f"{second:.2f} s" for second in told.seconds)
    print(f"{told.whole_s:5.1f} s in all; {lie.name}: {' then '.join(told.said)}, {seconds}")
    assert list(told.said) == list(lie.blocks or lie.says)
    assert told.reason == (None if lie.blocks else lie.reason)
    assert told.is_next_paid, "the till goes on with a good card"
    if NOTHING not in told.said:
        assert max(told.seconds) <= TAP_BUDGET_S + FOUND_S + BUSY_MACHINE_S


def test_a_tap_ends_within_the_cashier_s_two_seconds_finding_the_card_included() -> None:
    assert TAP_BUDGET_S + FOUND_S <= CASHIER_S


@pytest.mark.parametrize("lie", QUICK, ids=lambda lie: lie.name)
def test_a_lying_card_is_answered_in_time_and_the_next_one_pays(quick: Played, lie: Lie) -> None:
    check(quick, lie)


@pytest.mark.slow
@pytest.mark.parametrize("lie", LONG, ids=lambda lie: lie.name)
def test_every_lying_card_is_answered_in_time_and_the_next_one_pays(long: Played, lie: Lie) -> None:
    check(long, lie)


def judge(market: Played, lies: list[Lie]) -> None:
    """The journal has what was said, the centre posts what is proven, and that is what each true card spent."""
    said = sum(market.told[lie.name].price for lie in lies if lie.pays and not lie.spoils_its_card)
    assert market.booked == said + RECORDED_CENTS
    assert market.posted == market.truly_spent, "of an emulated card nothing is posted: its proof does not hold"


def test_the_centre_posts_what_the_true_card_spent_and_nothing_else(quick: Played) -> None:
    judge(quick, QUICK)


@pytest.mark.slow
def test_the_centre_posts_what_the_true_card_spent_after_every_lie(long: Played) -> None:
    judge(long, LONG)


if __name__ == "__main__":
    sys.exit(play_inside(Path(sys.argv[1]), sys.argv[2:]))
