"""Lives of one card with offline stalls, voids, late uploads and lost terminals: every cent is somewhere, always.

The card and its proofs come from the virtual card's own author; the stalls decide with the domain's rules; the centre
and its database are the real ones.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, currently_in_test_context, event, example, given, settings
from hypothesis import strategies as st

from central.keys import CentralKeys
from central.office import Office
from domain.money import Cents
from tests.central.kit import (
    DECEMBER,
    FOOD,
    MORNING,
    Held,
    Paid,
    Stall,
    WoundClock,
    account,
    figures,
    new_card,
    new_office,
    new_stall,
)

STALLS, GRANT, FILE = 3, 1_000, 2
MONTHS = [(DECEMBER[0] + timedelta(days=61 * number), DECEMBER[1] + timedelta(days=59 * number)) for number in range(3)]


@dataclass
class Base:
    """A centre with one card and its stalls before the first sale; each life works on a copy."""

    folder: Path
    keys: CentralKeys
    stalls: list[Stall]
    held: Held


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("life") / "centre"
    office = new_office(folder)
    held = new_card(office, 1, granted=GRANT, window=MONTHS[0])
    stalls = [new_stall(office, f"Étal {number}") for number in range(STALLS)]
    office.close()
    return Base(folder, office.keys, stalls, held)


@dataclass
class Life:
    """What truly happens: the card in one hand, the stalls, the months going by."""

    office: Office
    clock: WoundClock
    stalls: list[Stall]
    held: Held
    month: int = 0
    paid: list[int] = field(default_factory=lambda: [0])
    month_of: dict[tuple[int, int], int] = field(default_factory=dict)
    undone: set[tuple[int, int]] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)

    def step(self, what: str, number: int, amount: int) -> None:
        stall = self.stalls[number]
        match what:
            case "month":
                self.next_month()
            case "days":
                self.wait(self.clock.at + timedelta(days=2))
            case "sync" if number not in self.lost:
                stall.send(self.office)
                stall.download(self.office)
            case "part" if number not in self.lost:
                stall.send(self.office, last=max(len(stall.records) - amount % 4, 1))
            case "lost":
                self.lost.add(number)
            case "pay" | "torn before" | "torn after":
                self.pay(stall, what, amount)
            case "void" | "void torn before" | "void torn after":
                self.void(stall, what, amount)
            case "see" if stall.recover(self.held):
                stall.see(self.held)
            case "refuse" if stall.recover(self.held):
                stall.refuse(self.held)

    def next_month(self) -> None:
        if self.month + 1 == len(MONTHS):
            return
        self.month += 1
        self.paid.append(0)
        self.wait(MONTHS[self.month][0] + timedelta(days=3))
        self.office.grant(self.held.card, FOOD, Cents(GRANT), *MONTHS[self.month])

    def wait(self, until: datetime) -> None:
        """Days go by inside the month; entitlements of used cards are signed anew."""
        if until < MONTHS[self.month][1]:
            self.clock.at = until
            for stall in self.stalls:
                stall.at = until

    def pay(self, stall: Stall, what: str, wanted: int) -> None:
        if not stall.recover(self.held):
            return
        amount = min(wanted, stall.may_pay(self.held, FILE))
        if amount <= 0:
            return
        if what == "torn before":
            stall.tear(self.held, amount, committed=False)
            return
        seq = stall.next_seq
        if what == "pay":
            stall.pay(self.held, amount, FILE)
        else:
            torn = stall.tear(self.held, amount, committed=True)
            stall.paid.append(Paid(seq, self.held.card, torn, self.held.word))
        self.paid[self.month] += amount
        self.month_of[stall.station, seq] = self.month

    def void(self, stall: Stall, what: str, choice: int) -> None:
        if not stall.recover(self.held):
            return
        left = [paid for paid in stall.paid if (stall.station, paid.seq) not in self.undone]
        if not left:
            return
        paid = left[choice % len(left)]
        torn = {"void": None, "void torn before": False, "void torn after": True}[what]
        slips_before = self.held.chip.slips
        stall.void(self.held, paid, torn=torn)
        if torn is not False:
            if currently_in_test_context():
                event("slip" if self.held.chip.slips != slips_before else "void without a slip")
            self.undone.add((stall.station, paid.seq))
            self.paid[self.month_of[stall.station, paid.seq]] -= sum(paid.payment.debits.values())

    def check(self) -> None:
        assert all(paid <= GRANT for paid in self.paid), "a window paid more than it was granted"
        self.check_sums()

    def check_sums(self) -> None:
        found = account(self.office, self.held)
        assert found.excess == 0
        assert found.is_conserved
        assert min(found.spent, found.doubted, found.travelling, found.open, found.lapsed) >= 0
        assert found.voided <= sum(self.held.voided)
        assert found.spent + found.voided <= self.held.spent + sum(self.held.voided)

    def finish(self) -> None:
        """All that are not lost report, after a last look at the card."""
        for stall in self.stalls:
            stall.recover(self.held)
            stall.see(self.held)
        for number in [*range(STALLS)] * 2:
            self.step("sync", number, 0)
        self.check()
        found = account(self.office, self.held)
        if self.lost:
            return
        assert (found.spent, found.doubted, found.travelling, found.attested) == (sum(self.paid), 0, 0, 0)
        assert (found.missing_tmcs, found.newest_tmc) == ((), self.held.chip.tmc)
        assert found.open == GRANT - self.paid[-1]
        assert found.lapsed == sum(GRANT - paid for paid in self.paid[:-1])
        assert self.stalls[0].may_pay(self.held, FILE) == GRANT - self.paid[-1]


@contextmanager
def life_of(base: Base) -> Iterator[Life]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(base.folder, Path(folder) / "centre")
        clock = WoundClock(MORNING)
        office = Office(Path(folder) / "centre", clock, keys=base.keys)
        stalls = [Stall(one.device_key, one.enrolled, entitlements=dict(one.entitlements)) for one in base.stalls]
        try:
            yield Life(office, clock, stalls, Held(base.held.order, base.held.chip))
        finally:
            office.close()


WHAT = st.sampled_from(
    ["pay"] * 6
    + ["void"] * 5
    + ["sync"] * 4
    + ["part"] * 2
    + ["days"] * 3
    + ["month", "see", "refuse", "lost", "torn before", "torn after", "void torn before", "void torn after"]
)
PLACE = (st.integers(0, STALLS - 1), st.integers(1, 1_200))
EVENTS = st.lists(st.tuples(WHAT, *PLACE), min_size=8, max_size=26)
HEALTH = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def live(base: Base, events: list[tuple[str, int, int]]) -> None:
    with life_of(base) as life:
        for what, number, amount in events:
            life.step(what, number, amount)
            life.check()
        life.finish()


@settings(max_examples=40, deadline=None, suppress_health_check=HEALTH)
@given(events=EVENTS)
def test_in_every_life_all_cents_are_somewhere_and_no_window_pays_more_than_its_grant(
    base: Base, events: list[tuple[str, int, int]]
) -> None:
    live(base, events)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None, suppress_health_check=HEALTH)
@given(events=EVENTS)
def test_in_thousands_of_lives_too(base: Base, events: list[tuple[str, int, int]]) -> None:
    live(base, events)


def test_what_a_tap_shows_of_an_unreported_month_is_not_taken_for_the_new_ones_spending(base: Base) -> None:
    """Paid up to the limit, one cent undone and paid again, nothing reported: the counter stands above any limit."""
    with life_of(base) as life:
        for what, number, amount in (
            ("pay", 1, 1),
            ("pay", 1, 999),
            ("void", 1, 0),
            ("pay", 1, 1),
            ("month", 0, 0),
            ("refuse", 0, 0),
            ("sync", 0, 0),
        ):
            life.step(what, number, amount)
            life.check()
        life.finish()


def test_a_doubt_that_only_an_unreported_void_makes_room_for_is_no_excess(base: Base) -> None:
    """A payment in doubt is undone offline, and the next stall, which counts the slip, has a doubt of its own."""
    with life_of(base) as life:
        for what, number, amount in (
            ("pay", 1, 426),
            ("pay", 1, 486),
            ("pay", 0, 1),
            ("torn after", 1, 87),
            ("sync", 1, 0),
            ("void", 1, 86),
            ("torn before", 0, 1),
            ("sync", 0, 1),
        ):
            life.step(what, number, amount)
            life.check()
        assert account(life.office, life.held).doubted == 87
        life.finish()


def test_a_void_is_never_counted_by_limit_and_slip_at_once(base: Base) -> None:
    """The centre knows the void but not all before it: the mark stands below, so the limit must not contain it."""
    with life_of(base) as life:
        for what, number, amount in (
            ("sync", 1, 0),
            ("pay", 0, 100),  # three that the card cannot tell of by itself
            ("pay", 0, 100),
            ("pay", 0, 100),
            ("pay", 1, 600),
            ("void", 1, 0),
            ("days", 0, 0),
            ("sync", 1, 0),
            ("sync", 2, 0),
            ("pay", 2, 1_200),
        ):
            life.step(what, number, amount)
            life.check()
        assert life.paid == [GRANT]
        life.finish()


@settings(max_examples=25, deadline=None, suppress_health_check=HEALTH)
@given(
    events=st.lists(
        st.tuples(WHAT.filter(lambda what: what not in ("sync", "part", "month", "days", "lost")), *PLACE), min_size=4
    ),
    parts=st.lists(st.tuples(st.integers(0, STALLS - 1), st.integers(1, 12)), max_size=12),
    order=st.permutations(range(STALLS)),
)
@example(events=[("pay", 0, 1), ("void torn after", 0, 1), ("pay", 0, 1), ("pay", 1, 1)], parts=[], order=[1, 0, 2])
def test_uploads_late_in_parts_and_in_any_order_end_in_the_same_ledger(
    base: Base, events: list[tuple[str, int, int]], parts: list[tuple[int, int]], order: list[int]
) -> None:
    with life_of(base) as life:
        for what, number, amount in events:
            life.step(what, number, amount)
        for stall in life.stalls:
            stall.send(life.office)
        expected = figures(life.office)
        stalls, held = life.stalls, life.held
    with life_of(base) as again:
        again.stalls, again.held = stalls, held
        for number, last in parts:
            stalls[number].send(again.office, last=last)
            again.check_sums()
        for number in order:
            stalls[number].send(again.office)
            again.check_sums()
        assert figures(again.office) == expected
