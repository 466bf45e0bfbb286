"""Rule sets, merchants and baskets that a programme could have, at random. All hold together.

The words are few, so that conditions, merchants and lines often meet, and often just miss each other.
"""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Final

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


def sums(least: int = 0, most: int = 20_000) -> st.SearchStrategy[Cents]:
    """Cents, often round, often small."""
    return st.one_of(st.integers(least, most), st.sampled_from([least, min(least + 1, most), most])).map(Cents)


def _some(words: tuple[str, ...], most: int = 3) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(words), max_size=most)


def _or_none(kind: st.SearchStrategy[Cents]) -> st.SearchStrategy[Cents | None]:
    return st.one_of(st.none(), kind)


def conditions() -> st.SearchStrategy[Condition]:
    """Mostly families at some merchants; sometimes a label or a product list."""
    return st.builds(
        Condition,
        families=_some(FAMILIES),
        merchants=_some((*GROUPS, *PROFILES[1:]), 2),
        labels=st.one_of(st.just(frozenset[str]()), st.just(frozenset[str]()), _some(LABELS, 2)),
        products=st.one_of(st.none(), st.none(), st.sampled_from(LISTS)),
    )


def _conditions() -> st.SearchStrategy[tuple[Condition, ...]]:
    return st.lists(conditions(), min_size=1, max_size=3).map(tuple)


def matches() -> st.SearchStrategy[Match]:
    """Shares as a funder would choose them, and awkward ones."""
    shares = [Fraction(1, 3), Fraction(1, 2), Fraction(3, 5), Fraction(1, 7), Fraction(99, 100)]
    return st.builds(Match, st.sampled_from(shares), st.sampled_from(MatchOf))


@st.composite
def purses(draw: st.DrawFn, number: int, code: str, match: Match | None = None) -> Purse:
    """One purse; its width is compiled by ``rule_sets``."""
    return Purse(
        number=PurseNumber(number),
        code=code,
        name=draw(st.sampled_from(["Alimentation", "Légumes", "Lait", "Bonus d'été"])),
        pays=draw(_conditions()),
        funder=draw(st.sampled_from(["", "CAF", "MSA", "Département"])),
        window=draw(st.sampled_from(Window)),
        unspent=draw(st.sampled_from(Unspent)),
        ceilings=draw(st.builds(PurseCeilings, _or_none(sums()), _or_none(sums()))),
        price_ceiling=draw(st.one_of(st.none(), st.builds(PriceCeiling, sums(1, 900), st.sampled_from(UNITS)))),
        match=match,
        pays_unattended=draw(st.booleans()),
    )


@st.composite
def _purses(draw: st.DrawFn) -> tuple[Purse, ...]:
    codes = draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=4, unique=True))
    numbers = draw(st.lists(st.integers(1, 255), min_size=len(codes), max_size=len(codes), unique=True))
    matching = draw(st.one_of(st.none(), st.sampled_from(codes))) if len(codes) > 1 else None
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
    for number in range(draw(st.integers(0, 2))):
        first = _months_later(month, draw(st.integers(0, 3)))
        month = _months_later(first, draw(st.integers(1, 5)))
        made.append(
            Campaign(
                code=f"bonus-{number}",
                first_day=first,
                last_day=month - timedelta(days=1),
                conditions=draw(_conditions()),
                earned_on=draw(st.frozensets(st.sampled_from(may_earn), min_size=1)),
                give=draw(sums(1, 1_000)),
                per=draw(sums(1, 1_000)),
                month_cap=draw(sums(0, 6_000)),
                into=draw(st.sampled_from([purse.code for purse in purses])),
            )
        )
    return tuple(made)


def _months_later(first: date, count: int) -> date:
    years, month = divmod(first.month - 1 + count, 12)
    return date(first.year + years, month + 1, 1)


@st.composite
def ceilings(draw: st.DrawFn) -> Ceilings:
    """Tiers by rising age, the youngest lists with the usual ceilings."""
    days = sorted(draw(st.sets(st.integers(1, 90), min_size=1, max_size=3)))
    tiers = tuple(Tier(age, draw(_or_none(sums())) if place else None) for place, age in enumerate(days))
    return Ceilings(
        floor_limit=draw(sums(100)),
        day_total=draw(sums(100)),
        confirm=draw(sums()),
        tiers=tiers,
        void_allowance=draw(sums()),
        payment=draw(_or_none(sums(100))),
    )


@st.composite
def _who_pays(draw: st.DrawFn) -> tuple[WhoPays, ...]:
    if draw(st.booleans()):
        return USUAL_WHO_PAYS
    return tuple(
        WhoPays(case, draw(st.sampled_from(Payer)), draw(_or_none(sums())), draw(st.booleans())) for case in Case
    )


@st.composite
def _allotments(draw: st.DrawFn, purses: tuple[Purse, ...]) -> tuple[Allotment, ...]:
    codes = draw(st.lists(st.sampled_from([purse.code for purse in purses]), max_size=2, unique=True))
    payers = [(), (("city", Fraction(3, 5)), ("contributions", Fraction(2, 5)))]
    return tuple(
        Allotment(
            purse=code,
            adult=draw(sums()),
            child=draw(sums()),
            household=draw(sums()),
            next=draw(sums()),
            months=draw(st.one_of(st.none(), st.integers(1, 24))),
            only_if=draw(st.sampled_from([None, "contribution-received"])),
            paid_by=draw(st.sampled_from(payers)),
        )
        for code in codes
    )


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    """A rule set in which ``domain.rule_check.mistakes`` finds nothing, widths compiled in, without examples."""
    made = draw(_purses())
    return with_widths(
        RuleSet(
            programme=draw(st.sampled_from(["gers", "mona", "a", "twelve-chars"])),
            version=draw(st.integers(1, 0xFFFF)),
            timezone=draw(st.sampled_from(["Europe/Paris", "UTC", "America/Martinique", "Indian/Reunion"])),
            never=draw(_some(NEVER, 6)),
            purses=made,
            ceilings=draw(ceilings()),
            phone=draw(st.sampled_from(["", "05 62 00 00 00"])),
            campaigns=draw(_campaigns(made)),
            who_pays=draw(_who_pays()),
            allotments=draw(_allotments(made)),
        )
    )


@st.composite
def merchants(draw: st.DrawFn) -> Merchant:
    """A merchant entry; certificates may have ended, the entry may not hold yet."""
    days = st.dates(date(2025, 6, 1), date(2027, 6, 1))
    labels = draw(st.lists(st.sampled_from(LABELS), unique=True))
    first, last = draw(st.one_of(st.none(), days)), draw(st.one_of(st.none(), days))
    if first is not None and last is not None and last < first:
        first, last = last, first
    return Merchant(
        number=draw(st.integers(1, 9_999)),
        version=draw(st.integers(1, 99)),
        name=draw(st.sampled_from(["Ferme du Moulin", "Épicerie d'Auch", "L'Œuf & Cie"])),
        groups=draw(_some(GROUPS)),
        default_family=draw(st.sampled_from(FAMILIES)),
        profile=draw(st.sampled_from(PROFILES)),
        certificates=tuple(
            Certificate(label, f"FR-BIO-{place}", draw(st.one_of(st.none(), days)))
            for place, label in enumerate(labels)
        ),
        is_attended=draw(st.booleans()),
        first_day=first,
        last_day=last,
        point_of_sale=draw(st.integers(1, 9)),
    )


@st.composite
def lines(draw: st.DrawFn, rules: RuleSet) -> Line:
    """One line; of a family of the rules, or of one nobody knows."""
    families = [*FAMILIES, *sorted(rules.never), "unicorn"]
    return Line(
        family=draw(st.sampled_from(families)),
        amount=draw(sums(-50, 6_000)),
        family_typed=draw(st.booleans()),
        labels=tuple(draw(st.lists(st.sampled_from(LABELS), max_size=2, unique=True))),
        quantity=draw(st.one_of(st.none(), st.integers(1, 12_000))),
        unit=draw(st.sampled_from(["", *UNITS])),
        lists=draw(st.one_of(st.none(), _some(LISTS, 2))),
    )


def baskets(rules: RuleSet, most_lines: int = 8) -> st.SearchStrategy[Basket]:
    """Up to ``most_lines`` lines in the order typed."""
    return st.lists(lines(rules), max_size=most_lines).map(lambda typed: Basket(tuple(typed)))
