"""What a household is granted: windows, parts of equal size, and who bears them to the cent."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.allotment import Span, borne_by, month_of, span_of, split
from domain.identity import PurseNumber
from domain.money import Cents, total
from domain.rule_set import Allotment, Condition, Purse, Unspent, Window

FOOD = Purse(PurseNumber(1), "food", "Alimentation", (Condition(),), funder="Département")
DAY = date(2028, 2, 17)
SHARED = Allotment("food", paid_by=(("contributions", Fraction(2, 5)), ("city", Fraction(3, 5))))


def purse(window: Window, unspent: Unspent) -> Purse:
    return Purse(PurseNumber(1), "food", "Alimentation", (Condition(),), window=window, unspent=unspent)


def test_a_month_ends_with_its_last_day_also_in_a_leap_year() -> None:
    assert month_of(DAY) == Span(date(2028, 2, 1), date(2028, 2, 29))


def test_a_purse_that_lapses_is_granted_for_the_month() -> None:
    assert span_of(purse(Window.MONTH, Unspent.LAPSE), DAY) == Span(date(2028, 2, 1), date(2028, 2, 29))


@pytest.mark.parametrize("window", [Window.MONTH, Window.NONE])
def test_money_that_carries_has_no_end(window: Window) -> None:
    assert span_of(purse(window, Unspent.CARRY), DAY) == Span(date(2028, 2, 1), None)


def test_a_purse_by_dates_waits_for_the_households_dates() -> None:
    by_dates = purse(Window.DATES, Unspent.LAPSE)
    own = Span(date(2028, 2, 20), date(2028, 6, 30))
    assert span_of(by_dates, DAY) is None
    assert span_of(by_dates, DAY, own) == own
    assert span_of(by_dates, date(2028, 1, 31), own) is None
    assert span_of(by_dates, date(2028, 7, 1), own) is None
    last_day = Span(date(2028, 2, 29), date(2028, 2, 29))
    assert span_of(by_dates, DAY, last_day) == last_day
    assert span_of(by_dates, DAY, Span(date(2028, 1, 1), date(2028, 2, 1))) is not None
    assert span_of(purse(Window.DATES, Unspent.CARRY), DAY, own) == Span(own.first, None)


@given(st.integers(0, 10**7), st.integers(1, 12))
def test_equal_parts_add_up_and_differ_by_one_cent_at_most(amount: int, parts: int) -> None:
    shares = split(Cents(amount), parts)
    assert total(shares) == amount
    assert max(shares) - min(shares) <= 1
    assert list(shares) == sorted(shares, reverse=True)


def test_nothing_is_split_among_nobody() -> None:
    with pytest.raises(ValueError):
        split(Cents(100), 0)


def test_without_shares_the_funder_bears_all() -> None:
    assert borne_by(Allotment("food"), FOOD, Cents(0), Cents(4_000)) == (("Département", Cents(4_000)),)


def test_of_150_euros_the_city_bears_60_per_cent() -> None:
    assert borne_by(SHARED, FOOD, Cents(0), Cents(15_000)) == (("contributions", Cents(6_000)), ("city", Cents(9_000)))


@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=12), st.integers(1, 96), st.integers(1, 96))
def test_what_each_bears_over_the_months_is_its_share_of_the_whole_to_the_cent(
    grants: list[int], one: int, other: int
) -> None:
    whole = one + other + 1
    allotment = Allotment(
        "food", paid_by=(("a", Fraction(one, whole)), ("b", Fraction(other, whole)), ("c", Fraction(1, whole)))
    )
    before, borne = Cents(0), dict.fromkeys("abc", 0)
    for amount in grants:
        parts = borne_by(allotment, FOOD, before, Cents(amount))
        assert total(cents for _, cents in parts) == amount
        assert all(cents > 0 for _, cents in parts)
        for name, cents in parts:
            borne[name] += cents
        before = before + amount
    for name, share in allotment.paid_by:
        assert abs(int(borne[name]) - share * sum(grants)) < 1
