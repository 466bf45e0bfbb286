"""Two years of a card: three terminals that are offline for weeks, reports up to 90 days late, lapse and carry.

What decides is the program's own ``decide``; the centre is modelled in its plainest form. Nothing is ever spent beyond
what was granted, in no window, whatever is still unknown; once all is known, nothing of a grant is lost either. Each
rule of the centre is taken away once, and lives that overspend appear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import pytest

from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType
from domain.decision import CardFacts, StallFacts, decide, totals_after
from domain.identity import CardId, PurseNumber, SlotFile, Station
from domain.money import Cents
from domain.purse import Counters, Entitlement, Slot, slots_to_read
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Merchant, Purse, RuleSet, Unspent

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
MONTH_DAYS, MONTHS, LATEST_REPORT_DAYS, TERMINALS = 30, 24, 90, 3
FULL: Final = Cents(16_000_000)
CARD: Final = CardId(b"card-one")
RULES: Final = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol"}),
    purses=(Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"})),)),),
    ceilings=Ceilings(Cents(90_000), Cents(90_000), Cents(5_000), USUAL_TIERS, Cents(0)),
)
STALL: Final = Merchant(1, 1, "Ferme du Moulin", frozenset(), "vegetables")


@dataclass(frozen=True, slots=True)
class Report:
    """A payment on its way to the centre: when it arrives, and what it proves."""

    arrives_day: float
    window: int
    file: SlotFile
    counter: int


@dataclass(slots=True)
class Centre:
    """Limits from grants and from what is proven: min(proven, limit before) + grant, window by window."""

    unspent: Unspent
    grants: list[int]
    proven: dict[int, int] = field(default_factory=dict)
    """Highest counter proven in each window."""
    seq: int = 0

    def file(self, window: int) -> SlotFile:
        return SlotFile(1 if self.unspent is Unspent.CARRY else 1 + window % 2)

    def before(self, window: int) -> int:
        """The window that had the file before."""
        return window - 2

    def base(self, window: int) -> int:
        """Where the counter of a window starts: proven before it, and no more than could be spent before it."""
        if self.before(window) < 0:
            return 0
        earlier = [counter for number, counter in self.proven.items() if self.is_earlier(number, window)]
        return min(max(earlier, default=0), self.limit(self.before(window)))

    def is_earlier(self, number: int, window: int) -> bool:
        return number < window and self.file(number) == self.file(window)

    def limit(self, window: int) -> int:
        if self.unspent is Unspent.CARRY:
            return sum(self.grants[: window + 1])
        return self.base(window) + self.grants[window]

    def slots(self, day: float) -> tuple[Slot, ...]:
        """The window now and the next one, granted five days ahead."""
        now = int(day // MONTH_DAYS)
        ahead = int((day + 5) // MONTH_DAYS)
        if self.unspent is Unspent.CARRY:
            return (self.slot(min(now, MONTHS - 1), BEGIN, None),)
        windows = [window for window in range(max(ahead - 1, 0), ahead + 1) if window < MONTHS]
        return tuple(
            sorted((self.slot(window, at(window), at(window + 1)) for window in windows), key=lambda slot: slot.file)
        )

    def slot(self, window: int, start: datetime, end: datetime | None) -> Slot:
        limit = Cents(self.limit(window))
        return Slot(self.file(window), PurseNumber(1), limit, Cents(0), FULL, start, end)

    def word(self, day: float) -> Entitlement:
        self.seq += 1
        now = BEGIN + timedelta(days=day)
        return Entitlement(1, CARD, 1, self.seq, now, now + timedelta(days=40), 1, 0, Cents(0), self.slots(day))

    def hear(self, report: Report) -> None:
        self.proven[report.window] = max(self.proven.get(report.window, 0), report.counter)


@dataclass(slots=True)
class Forgetful(Centre):
    """Planted: a window starts from what is proven by now, payments of that very window included."""

    def is_earlier(self, number: int, window: int) -> bool:
        return number <= window and self.file(number) == self.file(window)


@dataclass(slots=True)
class Growing(Centre):
    """Planted: one total that grows, as if unspent money carried, though it lapses."""

    def file(self, window: int) -> SlotFile:
        return SlotFile(1)

    def limit(self, window: int) -> int:
        return sum(self.grants[: window + 1])

    def slots(self, day: float) -> tuple[Slot, ...]:
        now = min(int(day // MONTH_DAYS), MONTHS - 1)
        return (self.slot(now, at(now), at(now + 1)),)


def at(window: int) -> datetime:
    return BEGIN + timedelta(days=window * MONTH_DAYS)


@dataclass(slots=True)
class Card:
    """What lies on the card."""

    spent: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})
    tmc: int = 0
    word: Entitlement | None = None
    newest: LogRecord | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """Cents paid from one window."""

    window: int
    file: SlotFile
    amount: int


@dataclass(frozen=True, slots=True)
class Lived:
    """What a life came to: the greatest overspending in cents of any window, what was paid, and what was lost."""

    overspent: int
    paid: int
    lost: int


def life(seed: int, unspent: Unspent, make: Callable[[Unspent, list[int]], Centre] = Centre) -> Lived:
    """Play two years."""
    dice = Random(seed)
    centre = make(unspent, [dice.choice((0, 2_000, 4_000, 6_000)) for _ in range(MONTHS)])
    card, caches, reports = Card(), [centre.word(0)] * TERMINALS, list[Report]()
    by_window = [0] * MONTHS
    days = sorted(dice.uniform(0, MONTHS * MONTH_DAYS) for _ in range(MONTHS * 7))
    overspent = 0
    for day in days:
        for report in [item for item in reports if item.arrives_day <= day]:
            centre.hear(report)
            reports.remove(report)
        terminal = dice.randrange(TERMINALS)
        if dice.random() < 0.3:
            caches[terminal] = centre.word(day)
        late = dice.choice((0.0, dice.uniform(0, 10), dice.uniform(0, LATEST_REPORT_DAYS)))
        for paid in tap(card, caches[terminal], day, Cents(dice.randrange(1, 3_000)), dice):
            by_window[paid.window] += paid.amount
            reports.append(Report(day + late, paid.window, paid.file, card.spent[paid.file]))
            overspent = max(overspent, over(by_window, centre, paid.window, day))
    for report in reports:
        centre.hear(report)
    return Lived(overspent, sum(by_window), lost(card, centre, by_window))


def over(by_window: list[int], centre: Centre, window: int, day: float) -> int:
    """Cents spent beyond the grants that bind: those of the window, or all of them so far where money carries."""
    if centre.unspent is Unspent.LAPSE:
        return by_window[window] - centre.grants[window]
    return sum(by_window) - sum(centre.grants[: int(day // MONTH_DAYS) + 1])


def lost(card: Card, centre: Centre, by_window: list[int]) -> int:
    """Cents of the last window's grant that nobody can spend though all is known; below 0 where there are more."""
    if centre.unspent is Unspent.CARRY:
        return sum(centre.grants) - sum(by_window) - (centre.limit(MONTHS - 1) - card.spent[1])
    last = MONTHS - 1
    return centre.grants[last] - by_window[last] - (centre.limit(last) - card.spent[centre.file(last)])


def tap(card: Card, cached: Entitlement, day: float, price: Cents, dice: Random) -> list[Paid]:
    """One payment at a stall whose clock may be up to two days unsure."""
    true = BEGIN + timedelta(days=day)
    t_lo, t_late = true - timedelta(days=dice.uniform(0, 2)), true + timedelta(days=dice.uniform(0, 2))
    word = max((item for item in (card.word, cached) if item is not None), key=lambda item: item.number)
    t_lo = max(t_lo, min(word.issued_at, true))
    values = {file: FULL - card.spent[file] for file in slots_to_read(word, RULES, t_lo, t_late)}
    facts = CardFacts(CARD, None, False, word, Counters(card.tmc, values), card.newest)
    decision = decide(Basket((Line("vegetables", price),)), RULES, STALL, facts, StallFacts(t_lo, t_late, 0, Cents(0)))
    card.word = word
    if not decision.debits:
        return []
    card.tmc += 1
    totals = totals_after(decision)
    card.newest = LogRecord(
        LogType.PAYMENT, Station(1), card.tmc, card.tmc, true, 1, word.seq, decision.debits, totals.month_base,
        totals.day_total,
    )  # fmt: skip
    return [_booked(card, word, debit.file, debit.amount) for debit in decision.debits]


def _booked(card: Card, word: Entitlement, file: SlotFile, amount: int) -> Paid:
    card.spent[file] += int(amount)
    slot = next(item for item in word.slots if item.file == file)
    return Paid((slot.start - BEGIN).days // MONTH_DAYS, file, int(amount))


@pytest.mark.parametrize("unspent", list(Unspent))
def test_no_window_is_ever_overspent_and_no_grant_is_lost(unspent: Unspent) -> None:
    hold(unspent, range(60))


@pytest.mark.slow
@pytest.mark.parametrize("unspent", list(Unspent))
def test_no_window_is_ever_overspent_in_many_lives(unspent: Unspent) -> None:
    hold(unspent, range(60, 1_500))


def hold(unspent: Unspent, seeds: range) -> None:
    for seed in seeds:
        lived = life(seed, unspent)
        assert lived.overspent <= 0, f"life {seed}: {lived.overspent} cents beyond what was granted"
        assert lived.lost == 0, f"life {seed}: {lived.lost} cents of a grant lost"
        assert lived.paid > 20_000, f"life {seed}: a card that never pays shows nothing"


@pytest.mark.parametrize("planted", [Forgetful, Growing])
def test_a_centre_without_one_of_its_rules_is_seen_to_overspend(planted: type[Centre]) -> None:
    assert any(life(seed, Unspent.LAPSE, planted).overspent > 0 for seed in range(60))


def test_booking_a_sale_in_the_window_of_a_clock_is_seen_to_overspend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two weeks late, a report then counts in a window its sale was not made in."""

    def hear(centre: Centre, report: Report) -> None:
        by_clock = min(int(report.arrives_day // MONTH_DAYS), MONTHS - 1)
        centre.proven[by_clock] = max(centre.proven.get(by_clock, 0), report.counter)

    monkeypatch.setattr(Centre, "hear", hear)
    lives = [life(seed, Unspent.LAPSE) for seed in range(60)]
    assert any(lived.overspent > 0 for lived in lives)
    assert any(lived.lost for lived in lives)
