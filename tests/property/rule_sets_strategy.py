"""Rule sets, merchants and baskets that a programme could have, at random. All hold together.

The words are few, so that conditions, merchants and lines often meet, and often just miss each other. What is drawn
from is built once: building it anew for each drawing took longer than everything that was tried with it.
"""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from typing import Final, TypeVar

from hypothesis import strategies as st

from domain.basket import Basket, Line
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_check import with_widths
from domain.rule_set import (
    USUAL_WHO_PAYS,
    Allotment,
    Campaign,
    Case,
    Ceilings,
    Certificate,
    Condition,
    Match,
    MatchOf,
    Merchant,
    Payer,
    PriceCeiling,
    Purse,
    PurseCeilings,
    RuleSet,
    Tier,
    Unspent,
    WhoPays,
    Window,
)

FAMILIES: Final = ("food", "fresh-produce", "vegetables", "fruit", "bread", "dairy", "cheese", "honey")
NEVER: Final = ("alcohol", "tobacco", "pet", "deposit", "non-food", "cheese")
GROUPS: Final = ("referenced", "sustainable", "conventioned")
PROFILES: Final = ("", "producer", "organic-shop", "grocery")
LABELS: Final = ("organic", "local", "mona")
LISTS: Final = ("milk-2026", "baskets")
UNITS: Final = ("piece", "kg", "l")
CODES: Final = ("food", "veg", "milk", "mona", "caf", "msa", "bonus")
FIRST_MONTH: Final = date(2026, 1, 1)
PAYERS: Final = ((), (("city", Fraction(3, 5)), ("contributions", Fraction(2, 5))))
SHARES: Final = (Fraction(1, 3), Fraction(1, 2), Fraction(3, 5), Fraction(1, 7), Fraction(99, 100))
Some = TypeVar("Some")
_YES_OR_NO: Final = st.booleans()
_DAYS: Final = st.dates(date(2025, 6, 1), date(2027, 6, 1))
_TIER_AGES: Final = st.sets(st.integers(1, 90), min_size=1, max_size=3)


@cache
def one_of(*options: Some) -> st.SearchStrategy[Some]:
    """One of these."""
    return st.sampled_from(options)


@cache
def ints(least: int, most: int) -> st.SearchStrategy[int]:
    """A whole number."""
    return st.integers(least, most)


@cache
def sums(least: int = 0, most: int = 20_000) -> st.SearchStrategy[Cents]:
    """Cents, often round, often small."""
    return st.one_of(st.integers(least, most), st.sampled_from([least, min(least + 1, most), most])).map(Cents)


@cache
def _some(words: tuple[str, ...], most: int = 3) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(words), max_size=most)


@cache
def _or_none(kind: st.SearchStrategy[Some]) -> st.SearchStrategy[Some | None]:
    return st.one_of(st.none(), kind)


@cache
def conditions() -> st.SearchStrategy[Condition]:
    """Mostly families at some merchants; sometimes a label or a product list."""
    return st.builds(
        Condition,
        families=_some(FAMILIES),
        merchants=_some((*GROUPS, *PROFILES[1:]), 2),
        labels=st.one_of(st.just(frozenset[str]()), st.just(frozenset[str]()), _some(LABELS, 2)),
        products=st.one_of(st.none(), st.none(), st.sampled_from(LISTS)),
    )


@cache
def _conditions() -> st.SearchStrategy[tuple[Condition, ...]]:
    return st.lists(conditions(), min_size=1, max_size=3).map(tuple)


@cache
def matches() -> st.SearchStrategy[Match]:
    """Shares as a funder would choose them, and awkward ones."""
    return st.builds(Match, st.sampled_from(SHARES), st.sampled_from(MatchOf))


@cache
def _purse_ceilings() -> st.SearchStrategy[PurseCeilings]:
    return st.builds(PurseCeilings, _or_none(sums()), _or_none(sums()))


@cache
def _price_ceilings() -> st.SearchStrategy[PriceCeiling | None]:
    return _or_none(st.builds(PriceCeiling, sums(1, 900), st.sampled_from(UNITS)))


@cache
def _codes(least: int, most: int | None) -> st.SearchStrategy[list[str]]:
    return st.lists(one_of(*CODES), min_size=least, max_size=most, unique=True)


@cache
def _earning(*codes: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(codes), min_size=1)


@cache
def _allotted(*codes: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(codes), max_size=2, unique=True)


@cache
def _labels(most: int | None) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(LABELS), max_size=most, unique=True)


@cache
def _numbers(count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(ints(1, 255), min_size=count, max_size=count, unique=True)


@st.composite
def purses(draw: st.DrawFn, number: int, code: str, match: Match | None = None) -> Purse:
    """One purse; its width is compiled by ``rule_sets``."""
    return Purse(
        number=PurseNumber(number),
        code=code,
        name=draw(one_of("Alimentation", "Légumes", "Lait", "Bonus d'été")),
        pays=draw(_conditions()),
        funder=draw(one_of("", "CAF", "MSA", "Département")),
        window=draw(one_of(*Window)),
        unspent=draw(one_of(*Unspent)),
        ceilings=draw(_purse_ceilings()),
        price_ceiling=draw(_price_ceilings()),
        match=match,
        pays_unattended=draw(_YES_OR_NO),
    )


@cache
@st.composite
def _purses(draw: st.DrawFn) -> tuple[Purse, ...]:
    codes = draw(_codes(1, 4))
    numbers = draw(_numbers(len(codes)))
    matching = draw(_or_none(one_of(*codes))) if len(codes) > 1 else None
    return tuple(
        draw(purses(number, code, draw(matches()) if code == matching else None))
        for number, code in zip(numbers, codes, strict=True)
    )


@st.composite
def _campaigns(draw: st.DrawFn, purses: tuple[Purse, ...]) -> tuple[Campaign, ...]:
    may_earn = [purse.code for purse in purses if purse.match is None]
    if not may_earn:
        return ()
    made, month = [], FIRST_MONTH
    for number in range(draw(ints(0, 2))):
        first = _months_later(month, draw(ints(0, 3)))
        month = _months_later(first, draw(ints(1, 5)))
        made.append(
            Campaign(
                code=f"bonus-{number}",
                first_day=first,
                last_day=month - timedelta(days=1),
                conditions=draw(_conditions()),
                earned_on=draw(_earning(*may_earn)),
                give=draw(sums(1, 1_000)),
                per=draw(sums(1, 1_000)),
                month_cap=draw(sums(0, 6_000)),
                into=draw(one_of(*(purse.code for purse in purses))),
            )
        )
    return tuple(made)


def _months_later(first: date, count: int) -> date:
    years, month = divmod(first.month - 1 + count, 12)
    return date(first.year + years, month + 1, 1)


@cache
@st.composite
def ceilings(draw: st.DrawFn) -> Ceilings:
    """Tiers by rising age, the youngest lists with the usual ceilings."""
    days = sorted(draw(_TIER_AGES))
    tiers = tuple(Tier(age, draw(_or_none(sums())) if place else None) for place, age in enumerate(days))
    return Ceilings(
        floor_limit=draw(sums(100)),
        day_total=draw(sums(100)),
        confirm=draw(sums()),
        tiers=tiers,
        void_allowance=draw(sums()),
        payment=draw(_or_none(sums(100))),
    )


@cache
@st.composite
def _who_pays(draw: st.DrawFn) -> tuple[WhoPays, ...]:
    if draw(_YES_OR_NO):
        return USUAL_WHO_PAYS
    return tuple(WhoPays(case, draw(one_of(*Payer)), draw(_or_none(sums())), draw(_YES_OR_NO)) for case in Case)


@st.composite
def _allotments(draw: st.DrawFn, purses: tuple[Purse, ...]) -> tuple[Allotment, ...]:
    codes = draw(_allotted(*(purse.code for purse in purses)))
    return tuple(
        Allotment(
            purse=code,
            adult=draw(sums()),
            child=draw(sums()),
            household=draw(sums()),
            next=draw(sums()),
            months=draw(_or_none(ints(1, 24))),
            only_if=draw(one_of(None, "contribution-received")),
            paid_by=draw(one_of(*PAYERS)),
        )
        for code in codes
    )


@cache
@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    """A rule set in which ``domain.rule_check.mistakes`` finds nothing, widths compiled in, without examples."""
    made = draw(_purses())
    return with_widths(
        RuleSet(
            programme=draw(one_of("gers", "mona", "a", "twelve-chars")),
            version=draw(ints(1, 0xFFFF)),
            timezone=draw(one_of("Europe/Paris", "UTC", "America/Martinique", "Indian/Reunion")),
            never=draw(_some(NEVER, 6)),
            purses=made,
            ceilings=draw(ceilings()),
            phone=draw(one_of("", "05 62 00 00 00")),
            campaigns=draw(_campaigns(made)),
            who_pays=draw(_who_pays()),
            allotments=draw(_allotments(made)),
        )
    )


@cache
@st.composite
def merchants(draw: st.DrawFn) -> Merchant:
    """A merchant entry; certificates may have ended, the entry may not hold yet."""
    labels = draw(_labels(None))
    first, last = draw(_or_none(_DAYS)), draw(_or_none(_DAYS))
    if first is not None and last is not None and last < first:
        first, last = last, first
    return Merchant(
        number=draw(ints(1, 9_999)),
        version=draw(ints(1, 99)),
        name=draw(one_of("Ferme du Moulin", "Épicerie d'Auch", "L'Œuf & Cie")),
        groups=draw(_some(GROUPS)),
        default_family=draw(one_of(*FAMILIES)),
        profile=draw(one_of(*PROFILES)),
        certificates=tuple(
            Certificate(label, f"FR-BIO-{place}", draw(_or_none(_DAYS))) for place, label in enumerate(labels)
        ),
        is_attended=draw(_YES_OR_NO),
        first_day=first,
        last_day=last,
        point_of_sale=draw(ints(1, 9)),
    )


@st.composite
def lines(draw: st.DrawFn, rules: RuleSet) -> Line:
    """One line; of a family of the rules, or of one nobody knows."""
    return Line(
        family=draw(one_of(*FAMILIES, *sorted(rules.never), "unicorn")),
        amount=draw(sums(-50, 6_000)),
        family_typed=draw(_YES_OR_NO),
        labels=tuple(draw(_labels(2))),
        quantity=draw(_or_none(ints(1, 12_000))),
        unit=draw(one_of("", *UNITS)),
        lists=draw(_or_none(_some(LISTS, 2))),
    )


def baskets(rules: RuleSet, most_lines: int = 8) -> st.SearchStrategy[Basket]:
    """Up to ``most_lines`` lines in the order typed."""
    return st.lists(lines(rules), max_size=most_lines).map(lambda typed: Basket(tuple(typed)))
