"""Card lives with voids: terminals without a network for weeks, late reports, windows that lapse and come again.

The model is the card, the terminals and the centre in their plainest form; what decides is the program's own
``accepted_slips`` and ``Slot.available``. Each rule about slips is taken away once, and a life that overspends appears.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import slip as slips_of
from domain.card_log import Debit
from domain.decision import left_in_slots
from domain.identity import CardId, PurseNumber, SlotFile, Station
from domain.money import ZERO, Cents
from domain.purse import Counters, Entitlement, Slot, open_slots
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Purse, RuleSet
from domain.slip import Slip, accepted_slips, has_same_windows, passed_places

RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset(),
    purses=(Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"})),)),),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
)
LOADED = Cents(1_000_000)
FILE = SlotFile(1)
MONTH = timedelta(days=30)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MOST_PLACES = 2
Accept = Callable[[Iterable[Slip], Entitlement, int, datetime, datetime], tuple[Slip, ...]]


@dataclass(frozen=True, slots=True)
class Event:
    """A transaction of the card as it truly was; ``window`` its month, ``voids`` the TMC undone."""

    tmc: int
    amount: int
    window: int
    station: int
    word: Entitlement
    voids: int | None = None


@dataclass(slots=True)
class Card:
    """What lies on the card."""

    spent: int = 0
    tmc: int = 0
    word: Entitlement | None = None
    places: dict[int, Slip] = field(default_factory=dict)


@dataclass(slots=True)
class Life:
    """One card, three honest terminals and perhaps a thief, and the centre.

    Attributes:
        truth: everything the card did.
        unsent: what each terminal has not reported yet.
        known: what the centre has heard of.
        grants: cents of each month.
    """

    dice: random.Random
    allowance: int
    accept: Accept = accepted_slips
    card: Card = field(default_factory=Card)
    truth: list[Event] = field(default_factory=list)
    caches: dict[int, Entitlement | None] = field(default_factory=lambda: {1: None, 2: None, 3: None})
    unsent: dict[int, list[Event]] = field(default_factory=lambda: {1: [], 2: [], 3: []})
    known: dict[int, Event] = field(default_factory=dict)
    grants: dict[int, int] = field(default_factory=dict)
    bases: dict[int, int] = field(default_factory=dict)
    seq: int = 0
    now: datetime = BEGIN + timedelta(hours=1)

    # --- the centre ---

    @property
    def month(self) -> int:
        return (self.now - BEGIN) // MONTH

    def mark(self) -> int:
        tmc = 0
        while tmc + 1 in self.known:
            tmc += 1
        return tmc

    def limit(self, window: int, mark: int) -> int:
        voids = sum(event.amount for event in self.known.values() if event.voids and event.window == window)
        known = sum(
            event.amount
            for event in self.known.values()
            if event.voids and event.window == window and event.tmc <= mark
        )
        assert known <= voids
        return self.bases[window] + self.grants[window] + known

    def sign(self) -> Entitlement:
        """A new word on the month that is open."""
        window, mark = self.month, self.mark()
        if window not in self.grants:
            before = max(self.grants, default=None)
            proven = sum(event.amount for event in self.known.values() if not event.voids)
            self.bases[window] = 0 if before is None else min(proven, self.limit(before, mark))
            self.grants[window] = self.dice.randrange(100, 3_000)
        is_confirmed = window == min(self.grants) or any(
            event.window == window and event.tmc <= mark and not event.voids for event in self.known.values()
        )
        self.seq += 1
        slot = Slot(
            file=FILE,
            purse=PurseNumber(1),
            limit=Cents(self.limit(window, mark)),
            floor=ZERO,
            loaded=LOADED,
            start=BEGIN + window * MONTH,
            end=BEGIN + (window + 1) * MONTH,
        )
        unconfirmed = frozenset() if is_confirmed else frozenset({FILE})
        card, until = CardId(b"the card"), self.now + timedelta(days=40)
        return Entitlement(1, card, 1, self.seq, self.now, until, 1, mark, Cents(self.allowance), (slot,), unconfirmed)

    def sync(self, station: int) -> None:
        """A terminal meets the centre: some of what it has goes up, the newest word comes down."""
        waiting = self.unsent[station]
        sent = self.dice.randrange(len(waiting) + 1)
        for event in waiting[:sent]:
            self.known[event.tmc] = event
        del waiting[:sent]
        self.caches[station] = self.sign()

    # --- a terminal ---

    def word_at(self, station: int) -> Entitlement | None:
        words = [word for word in (self.card.word, self.caches[station]) if word is not None]
        return max(words, key=lambda word: word.number, default=None)

    def available(self, word: Entitlement) -> int:
        counters = Counters(self.card.tmc, {FILE: Cents(LOADED - self.card.spent)})
        counted = self.accept(self.card.places.values(), word, self.card.tmc, self.now, self.now)
        return int(sum(left_in_slots(open_slots(word, RULES, self.now, self.now), counters, counted).values()))

    def pay(self, station: int) -> None:
        word = self.word_at(station)
        most = 0 if word is None else self.available(word)
        if word is None or most <= 0:
            return
        amount = most if self.dice.random() < 0.5 else self.dice.randrange(1, most + 1)
        self.card.spent += amount
        self.happen(station, word, amount)

    def happen(self, station: int, word: Entitlement, amount: int, voids: Event | None = None) -> Event:
        self.card.tmc += 1
        window = voids.window if voids else (word.slots[0].start - BEGIN) // MONTH
        event = Event(self.card.tmc, amount, window, station, word, voids.tmc if voids else None)
        self.card.word = word
        self.card.places = {place: slip for place, slip in self.card.places.items() if place not in self.passed(word)}
        self.truth.append(event)
        if station in self.unsent:
            self.unsent[station].append(event)
        return event

    def passed(self, word: Entitlement) -> frozenset[int]:
        return passed_places(self.card.places, word)

    def void(self, station: int) -> None:
        """An honest terminal undoes one of its payments, however old."""
        undone = {event.voids for event in self.truth if event.voids}
        own = [
            event for event in self.truth if event.station == station and not event.voids and event.tmc not in undone
        ]
        word = self.word_at(station)
        if not own or word is None:
            return
        payment = self.dice.choice(own)
        event = self.happen(station, word, payment.amount, payment)
        if has_same_windows([FILE], payment.word, word):
            self.write_slip(event, payment.tmc)

    def write_slip(self, event: Event, payment_tmc: int) -> None:
        free = [place for place in range(MOST_PLACES) if place not in self.card.places]
        if free:
            self.card.places[free[0]] = Slip(
                station=Station(event.station),
                seq=event.tmc,
                payment_seq=payment_tmc,
                payment_tmc=payment_tmc,
                tmc=event.tmc,
                entitlement=event.word.number,
                amounts=(Debit(FILE, Cents(event.amount)),),
                minutes_at=self.now,
            )

    def steal(self) -> None:
        """A stolen terminal signs slips for payments that never were; it reports nothing."""
        word = self.card.word
        if word is not None and self.card.tmc:
            self.card.places.pop(self.dice.randrange(MOST_PLACES), None)
            amount = self.dice.randrange(1, 2 * self.allowance + 2)
            self.card.tmc += 1
            event = Event(self.card.tmc, amount, 0, 99, word, voids=0)
            self.write_slip(event, self.dice.randrange(self.card.tmc))

    # --- what must hold ---

    def excess(self) -> int:
        """Cents spent in some month above its grant, voids taken off: the most of all months."""
        worst = 0
        for window, grant in self.grants.items():
            events = [event for event in self.truth if event.window == window]
            net = sum(-event.amount if event.voids else event.amount for event in events)
            worst = max(worst, net - grant)
        return worst


def lived(seed: int, *, accept: Accept = accepted_slips, allowance: int = 800, has_thief: bool = False) -> Life:
    """A life of some sixty events."""
    dice = random.Random(seed)
    life = Life(dice, allowance, accept)
    life.caches[1] = life.sign()
    life.card.word = life.caches[1]
    for _ in range(60):
        station = dice.choice((1, 2, 3))
        act = dice.random()
        if act < 0.45:
            life.pay(station)
        elif act < 0.65:
            life.void(station)
        elif act < 0.90:
            life.sync(station)
        elif act < 0.96 or not has_thief:
            life.now += dice.choice((timedelta(days=1), timedelta(days=12)))
        else:
            life.steal()
    return life


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_void_is_ever_counted_twice(seed: int) -> None:
    assert lived(seed).excess() <= 0


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), allowance=st.integers(0, 2_000))
def test_a_stolen_terminal_that_signs_false_slips_costs_at_most_the_allowance(seed: int, allowance: int) -> None:
    assert lived(seed, allowance=allowance, has_thief=True).excess() <= allowance


def test_slips_do_give_the_holder_money_back_without_a_network() -> None:
    """The properties above would hold for a rule that counts nothing."""

    def none(*_arguments: object) -> tuple[Slip, ...]:
        return ()

    seeds = range(200)
    with_slips = sum(sum(event.amount for event in lived(seed).truth if not event.voids) for seed in seeds)
    without = sum(sum(event.amount for event in lived(seed, accept=none).truth if not event.voids) for seed in seeds)
    assert with_slips > without


# --- each rule taken away ---------------------------------------------------------------------------------------------


def worst(accept: Accept, **kind: bool) -> int:
    return max(lived(seed, accept=accept, **kind).excess() for seed in range(400))  # type: ignore[arg-type]


def test_without_the_mark_a_void_is_counted_twice() -> None:
    def no_mark(
        slips: Iterable[Slip], word: Entitlement, tmc: int, t_lo: datetime, t_late: datetime
    ) -> tuple[Slip, ...]:
        return accepted_slips(slips, replace(word, mark=0), tmc, t_lo, t_late)

    assert worst(no_mark) > 0


def test_without_the_allowance_false_slips_cost_more() -> None:
    def no_allowance(
        slips: Iterable[Slip], word: Entitlement, tmc: int, t_lo: datetime, t_late: datetime
    ) -> tuple[Slip, ...]:
        return accepted_slips(slips, replace(word, void_allowance=LOADED), tmc, t_lo, t_late)

    assert worst(no_allowance, has_thief=True) > 800


def test_without_the_rule_about_unconfirmed_slots_a_lapsed_month_is_spent_again() -> None:
    def any_window(
        slips: Iterable[Slip], word: Entitlement, tmc: int, t_lo: datetime, t_late: datetime
    ) -> tuple[Slip, ...]:
        return accepted_slips(slips, replace(word, unconfirmed=frozenset()), tmc, t_lo, t_late)

    assert worst(any_window) > 0


def test_without_comparing_windows_a_late_void_is_spent_in_another_month(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.has_same_windows", lambda *_: True)
    assert max(lived(seed).excess() for seed in range(2_000)) > 0


def test_slips_taken_in_parts_or_out_of_order_are_not_the_rule() -> None:
    """Two slips of 600 under an allowance of 800: one counts, the earlier; not both, nor a part of the second."""
    life = lived(3)
    word = life.sign()
    mark = word.mark
    slips = [
        Slip(Station(2), seq, seq - 1, mark + 1, mark + 1 + seq, word.number, (Debit(FILE, Cents(600)),), life.now)
        for seq in (2, 1)
    ]
    word = replace(word, unconfirmed=frozenset())
    counted = slips_of.accepted_slips(slips, word, mark + 9, life.now, life.now)
    assert [slip.seq for slip in counted] == [1]
