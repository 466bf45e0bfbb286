"""Rule sets, stalls, baskets and cards that meet often: most lines may be paid by some purse of most cards.

A seed gives one situation, the same one each time, so that a failing seed can be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cache, cached_property
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType
from domain.days import days_of
from domain.decision import CardFacts, Decision, StallFacts, announce, decide, totals_after
from domain.identity import CardId, PurseNumber, SlotFile, Station
from domain.money import Cents
from domain.purse import Counters, Entitlement, Slot
from domain.rule_check import mistakes, with_widths
from domain.rule_set import (
    USUAL_TIERS,
    Campaign,
    Ceilings,
    Certificate,
    Condition,
    Match,
    MatchOf,
    Merchant,
    PriceCeiling,
    Purse,
    PurseCeilings,
    RuleSet,
)

NOON: Final = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
PARIS: Final = ZoneInfo("Europe/Paris")
FULL: Final = Cents(16_000_000)
CARD: Final = CardId(b"card-one")
FAMILIES: Final = ("vegetables", "fruit", "herbs", "bread", "dairy", "cheese", "honey", "eggs", "alcohol")
GROUPS: Final = ("referenced", "sustainable", "conventioned")
LABELS: Final = ("organic", "local")
CODES: Final = ("food", "veg", "milk")


@dataclass(frozen=True)
class Situation:
    """Everything a decision is made from; decided once, since nothing in it changes."""

    basket: Basket
    rules: RuleSet
    merchant: Merchant
    card: CardFacts
    stall: StallFacts

    def decide(self) -> Decision:
        return self._decision

    @cached_property
    def _decision(self) -> Decision:
        return decide(self.basket, self.rules, self.merchant, self.card, self.stall)

    @property
    def asked(self) -> Cents:
        days = days_of(self.stall.t_lo, self.stall.t_late, ZoneInfo(self.rules.timezone))
        return announce(self.basket, self.rules, self.merchant, days).asked

    def values(self) -> dict[SlotFile, Cents]:
        return dict(self.card.counters.values)


@cache
def situation(seed: int, *, has_match: bool | None = None) -> Situation:
    """One situation of a seed, made once for all tests; ``has_match`` asks for a match purse or for none."""
    dice = Random(seed)
    rules = rule_set(dice, has_match)
    assert mistakes(rules) == (), mistakes(rules)
    word, counters = entitled(dice, rules)
    slack = dice.choice((0, 0, 0, 1, 30))
    stall = StallFacts(NOON, NOON + timedelta(days=slack), dice.choice((0, 0, 9)), cents(dice, 3_000), *till_left(dice))
    facts = CardFacts(
        CARD, None, False, word, counters, newest(dice), bonus_cap=dice.choice((None, None, Cents(1_200)))
    )
    return Situation(basket(dice), rules, merchant(dice), facts, stall)


def cents(dice: Random, most: int) -> Cents:
    kind = dice.random()
    return Cents(
        0 if kind < 0.1 else dice.randrange(1, most + 1) if kind < 0.6 else dice.randrange(1, most // 100 + 1) * 100
    )


def till_left(dice: Random) -> tuple[Cents | None, Cents | None]:
    return (None, None) if dice.random() < 0.8 else (cents(dice, 9_000), cents(dice, 9_000))


def condition(dice: Random) -> Condition:
    return Condition(
        families=frozenset(dice.choice((("food",), ("fresh-produce",), ("dairy", "bread"), ("vegetables",), ()))),
        merchants=frozenset(dice.choice(((), (), ("referenced",), ("sustainable",), ("producer",)))),
        labels=frozenset(dice.choice(((), (), (), ("organic",), LABELS))),
        products=dice.choice((None, None, None, "milk-2026")),
    )


def purse(dice: Random, number: int, code: str, match: Match | None = None) -> Purse:
    return Purse(
        number=PurseNumber(number),
        code=code,
        name=code,
        pays=(Condition(frozenset({"food"})), condition(dice))[dice.choice((0, 0, 1)) :],
        funder=dice.choice(("CAF", "MSA")),
        ceilings=PurseCeilings(
            dice.choice((None, None, None, cents(dice, 4_000))), dice.choice((None, None, None, cents(dice, 6_000)))
        ),
        price_ceiling=dice.choice((None, None, None, PriceCeiling(Cents(dice.randrange(1, 900)), "kg"))),
        match=match,
        pays_unattended=dice.random() < 0.7,
    )


def rule_set(dice: Random, has_match: bool | None) -> RuleSet:
    purses = [purse(dice, number, code) for number, code in enumerate(CODES[: dice.randrange(1, 4)], start=1)]
    if has_match or (has_match is None and dice.random() < 0.3):
        match = Match(dice.choice((Fraction(1, 3), Fraction(1, 2), Fraction(2, 7))), dice.choice(list(MatchOf)))
        purses.insert(dice.randrange(len(purses) + 1), purse(dice, 9, "bonus", match))
    earning = frozenset(item.code for item in purses if item.match is None and dice.random() < 0.8) or {purses[0].code}
    campaigns = [campaign(dice, f"c{month}", month, earning, purses) for month in (3, 4) if dice.random() < 0.7]
    ceilings = Ceilings(
        cents(dice, 9_000) + 3_000,
        cents(dice, 9_000) + 3_000,
        Cents(5_000),
        USUAL_TIERS,
        Cents(0),
        dice.choice((None, None, cents(dice, 5_000))),
    )
    return with_widths(
        RuleSet(
            "gers", 1, "Europe/Paris", frozenset({"alcohol", "non-food"}), tuple(purses), ceilings,
            campaigns=tuple(item for item in campaigns if item.earned_on),
        )
    )  # fmt: skip


def campaign(dice: Random, code: str, month: int, earning: frozenset[str], purses: list[Purse]) -> Campaign:
    by_itself = frozenset(item.code for item in purses if item.match is None)
    return Campaign(
        code=code,
        first_day=date(2026, month, 1),
        last_day=date(2026, month + 1, 1) - timedelta(days=1),
        conditions=(condition(dice), Condition(frozenset({"fresh-produce"})))[dice.randrange(2) :],
        earned_on=earning & by_itself,
        give=Cents(dice.randrange(1, 600)),
        per=Cents(dice.randrange(1, 1_100)),
        month_cap=cents(dice, 4_000),
        into=purses[0].code,
    )


def merchant(dice: Random) -> Merchant:
    last = dice.choice((None, date(2026, 3, 7), date(2026, 3, 6), date(2026, 12, 31)))
    return Merchant(
        number=1,
        version=1,
        name="Ferme du Moulin",
        groups=frozenset(group for group in GROUPS if dice.random() < 0.8),
        default_family="vegetables",
        profile=dice.choice(("", "producer")),
        certificates=tuple(Certificate(label, "FR-BIO-01", last) for label in LABELS if dice.random() < 0.7),
        is_attended=dice.random() < 0.9,
        last_day=dice.choice((None,) * 9 + (date(2026, 3, 1),)),
    )


def basket(dice: Random, most_lines: int = 6) -> Basket:
    return Basket(tuple(line(dice) for _ in range(dice.randrange(1, most_lines + 1))))


def line(dice: Random) -> Line:
    return Line(
        family=dice.choice(FAMILIES),
        amount=cents(dice, 2_500) + dice.choice((0, 1, 37)),
        labels=tuple(label for label in LABELS if dice.random() < 0.5),
        quantity=dice.choice((None, 1_000, dice.randrange(1, 5_000))),
        unit=dice.choice(("kg", "kg", "")),
        lists=dice.choice((None, frozenset(), frozenset({"milk-2026"}))),
    )


def entitled(dice: Random, rules: RuleSet) -> tuple[Entitlement, Counters]:
    """Up to three windows open at the same time; some of one purse, some shut."""
    numbers = [item.number for item in rules.purses]
    chosen = [*numbers, dice.choice(numbers)][: dice.randrange(1, 5)]
    slots, values = [], {}
    for place, number in enumerate(chosen[:3], start=1):
        days = dice.choice(((-6, 24), (-6, 24), (-6, 24), (-36, 5), (-36, 5), (-6, None), (3, 33), (-60, -20)))
        start, end = (None if day is None else NOON + timedelta(days=day) for day in days)
        assert start is not None
        base = dice.randrange(5_000)
        credit = int(cents(dice, 4_000))
        limit, spent = base + credit, base + dice.randrange(credit // 2 + 1)
        file = SlotFile(place)
        slots.append(Slot(file, number, Cents(limit), Cents(0), FULL, start, end))
        values[file] = FULL - spent
    word = Entitlement(1, CARD, 1, 1, NOON - timedelta(days=2), NOON + timedelta(days=38), 1, 0, Cents(0), tuple(slots))
    return word, Counters(5, values)


def newest(dice: Random) -> LogRecord:
    at = NOON - timedelta(days=dice.choice((0, 0, 1, 20)))
    base = dice.choice((None, Cents(0), cents(dice, 6_000)))
    return LogRecord(LogType.PAYMENT, Station(2), 1, 5, at, 1, 1, (), base, dice.choice((None, cents(dice, 3_000))))


def after(now: Situation, decision: Decision, basket: Basket) -> Situation:
    """The same card at the same stall a minute later, with another basket."""
    values = now.values()
    for debit in decision.debits:
        values[debit.file] -= debit.amount
    totals = totals_after(decision)
    record = LogRecord(
        LogType.PAYMENT, Station(1), 2, now.card.counters.tmc + 1, now.stall.t_lo, 1, 1, decision.debits,
        totals.month_base, totals.day_total,
    )  # fmt: skip
    facts = replace(
        now.card,
        counters=Counters(now.card.counters.tmc + 1, values),
        newest=record if decision.paid else now.card.newest,
    )
    stall = replace(now.stall, paid_here_today=now.stall.paid_here_today + decision.paid)
    return replace(now, basket=basket, card=facts, stall=stall)
