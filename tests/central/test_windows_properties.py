"""Month after month in one value file, with stalls that report late: no window pays more than it was granted."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.keys import CentralKeys
from central.office import Office
from domain.identity import SlotFile
from domain.money import Cents
from tests.central.kit import DECEMBER, FOOD, MORNING, Held, Stall, WoundClock, account, new_card, new_office, new_stall

FILE = SlotFile(2)
GRANT = 1_000
EVEN_MONTHS = [
    (DECEMBER[0] + timedelta(days=61 * number), DECEMBER[1] + timedelta(days=59 * number)) for number in range(4)
]


@dataclass
class Base:
    """A centre with one card and two stalls before the first sale; each life works on a copy."""

    folder: Path
    keys: CentralKeys
    stalls: list[Stall]
    held: Held


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("windows") / "centre"
    office = new_office(folder, WoundClock(MORNING))
    held = new_card(office, 1, granted=GRANT, window=EVEN_MONTHS[0])
    stalls = [new_stall(office, f"Étal {number}") for number in range(2)]
    office.close()
    return Base(folder, office.keys, stalls, held)


class Life:
    """One card, two stalls, a centre, and the months going by."""

    def __init__(self, base: Base, folder: Path) -> None:
        shutil.copytree(base.folder, folder)
        self.clock, self.month = WoundClock(MORNING), 0
        self.office = Office(folder, self.clock, keys=base.keys)
        self.paid = [0]
        self.held = Held(base.held.order, base.held.chip)
        self.stalls = [Stall(one.device_key, one.enrolled, entitlements=dict(one.entitlements)) for one in base.stalls]

    def next_month(self) -> None:
        if self.month + 1 == len(EVEN_MONTHS):
            return
        self.month += 1
        self.paid.append(0)
        self.clock.at = EVEN_MONTHS[self.month][0] + timedelta(days=3)
        self.office.grant(self.held.card, FOOD, Cents(GRANT), *EVEN_MONTHS[self.month])
        for stall in self.stalls:
            stall.at = self.clock.at

    def sync(self, stall: Stall) -> None:
        stall.send(self.office)
        stall.download(self.office)

    def pay(self, stall: Stall, wanted: int) -> None:
        """As much of it as the till would debit."""
        word, value = stall.word_for(self.held), Cents(self.held.chip.values[FILE])
        open_now = [
            slot for slot in (word.entitlement.slots if word else ()) if slot.is_open(self.clock.at, self.clock.at)
        ]
        amount = min([wanted, *(slot.available(value) for slot in open_now)]) if open_now else 0
        if amount > 0:
            stall.pay(self.held, amount, FILE)
            self.paid[self.month] += amount

    def check(self) -> None:
        found = account(self.office, self.held)
        assert all(paid <= GRANT for paid in self.paid), "a window paid more than it was granted"
        assert found.is_conserved
        assert min(found.spent, found.travelling, found.open, found.lapsed) >= 0
        assert found.spent <= sum(self.paid)


EVENTS = st.lists(
    st.one_of(
        st.just(("month", 0, 0)),
        st.tuples(st.just("sync"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("pay"), st.integers(0, 1), st.integers(1, 1_200)),
    ),
    max_size=24,
)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS)
def test_no_window_pays_more_than_its_grant_and_late_reports_give_back_what_was_held(
    base: Base, events: list[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(base, Path(folder) / "centre")
        for what, number, amount in events:
            if what == "month":
                life.next_month()
            elif what == "sync":
                life.sync(life.stalls[number])
            else:
                life.pay(life.stalls[number], amount)
            life.check()
        for stall in [*life.stalls, *life.stalls]:
            life.sync(stall)
        life.check()
        found = account(life.office, life.held)
        word = life.stalls[0].word_for(life.held)
        assert word is not None
        (slot,) = word.entitlement.slots
        assert slot.available(Cents(life.held.chip.values[FILE])) == GRANT - life.paid[-1]
        assert (found.spent, found.open) == (sum(life.paid), GRANT - life.paid[-1])
        assert found.lapsed == sum(GRANT - paid for paid in life.paid[:-1])
        life.office.close()
