"""A month's bonus: floored once, capped once, shared by the cards of a household, and taken back with refunds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from domain.bonus import CapShare, bonus_of, cap_on, granted_after, take_back, unsure_bonus
from domain.card_log import Carried, LogRecord, LogType
from domain.days import Days
from domain.decision import totals_after_void
from domain.identity import Station
from domain.money import ZERO, Cents
from domain.rule_set import Campaign, Condition

WINTER = Campaign(
    "winter", date(2026, 1, 1), date(2026, 5, 31), (Condition(frozenset({"food"})),), frozenset({"food"}), Cents(500),
    Cents(1_000), Cents(6_000), "food",
)  # fmt: skip
PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("base", "before", "cap", "earned"),
    [
        (1_250, 0, None, 625),
        (1, 0, None, 0),
        (1, 1, None, 1),
        (1_250, 11_500, None, 250),
        (1_250, 12_000, None, 0),
        (9_000, 0, 3_000, 3_000),
        (9_000, 0, 90_000, 4_500),
    ],
)
def test_a_payment_earns_what_the_month_earns_more(base: int, before: int, cap: int | None, earned: int) -> None:
    share = None if cap is None else Cents(cap)
    assert bonus_of(WINTER, Cents(base), Cents(before), share).earned == earned


def test_however_a_month_is_split_it_earns_the_same() -> None:
    for seed in range(300):
        dice = Random(seed)
        parts = [Cents(dice.randrange(3_000)) for _ in range(dice.randrange(1, 9))]
        base, earned = ZERO, 0
        for part in parts:
            earned += bonus_of(WINTER, part, base).earned or 0
            base += part
        assert earned == WINTER.bonus_on(base)


def test_an_unknown_base_is_to_be_confirmed_but_not_where_nothing_can_be_due() -> None:
    assert bonus_of(WINTER, Cents(500), None).earned is None
    assert bonus_of(WINTER, ZERO, None).earned == 0
    assert unsure_bonus((), ()) is None
    due, nothing = unsure_bonus((WINTER,), (Cents(1),)), unsure_bonus((WINTER,), (ZERO,))
    assert due is not None and nothing is not None
    assert (due.earned, due.base, nothing.earned) == (None, None, 0)


SHARES = (CapShare(date(2026, 3, 1), Cents(3_000)), CapShare(date(2026, 5, 1), Cents(0)))


@pytest.mark.parametrize(
    ("day", "cents"),
    [
        (date(2026, 2, 28), None),
        (date(2026, 3, 1), 3_000),
        (date(2026, 3, 31), 3_000),
        (date(2026, 4, 30), 3_000),
        (date(2026, 5, 1), 0),
        (date(2027, 1, 1), 0),
    ],
)
def test_a_share_of_the_cap_counts_until_the_month_in_which_the_next_one_begins(day: date, cents: int | None) -> None:
    assert cap_on(SHARES, Days(day, day)) == cents
    assert cap_on((), Days(day, day)) is None, "a card alone has the whole cap"


@pytest.mark.parametrize(("day", "cents"), [(date(2026, 3, 2), 0), (date(2026, 3, 31), 0), (date(2026, 3, 1), -1)])
def test_a_share_of_the_cap_is_not_below_zero_and_of_whole_months(day: date, cents: int) -> None:
    with pytest.raises(ValueError, match="share of a month cap"):
        CapShare(day, Cents(cents))


def test_a_refund_takes_back_what_its_money_had_earned_first_from_what_is_not_granted() -> None:
    taken = take_back(WINTER, Cents(2_000), Cents(1_000), Cents(300), None)
    assert (taken.from_ungranted, taken.from_later, taken.base) == (300, 200, 1_000)
    above_the_cap = take_back(WINTER, Cents(20_000), Cents(5_000), Cents(6_000), None)
    assert (above_the_cap.from_ungranted, above_the_cap.from_later) == (0, 0), "what earned nothing takes nothing"


def test_a_bonus_owed_is_paid_by_later_ones_and_nothing_falls_below_zero() -> None:
    assert granted_after(Cents(500), Cents(200)) == (300, 0)
    assert granted_after(Cents(100), Cents(200)) == (0, 100)
    for seed in range(300):
        dice = Random(seed)
        base, ungranted, owed, granted, earned = ZERO, ZERO, ZERO, ZERO, ZERO
        for _ in range(12):
            if dice.random() < 0.6:
                part = Cents(dice.randrange(3_000))
                more = bonus_of(WINTER, part, base).earned or ZERO
                base, ungranted, earned = base + part, ungranted + more, earned + more
            elif dice.random() < 0.5:
                now, owed = granted_after(ungranted, owed)
                granted, ungranted = granted + now, ZERO
            else:
                taken = take_back(WINTER, base, Cents(dice.randrange(int(base) + 1)), ungranted, None)
                base, ungranted, owed = taken.base, ungranted - taken.from_ungranted, owed + taken.from_later
            assert min(base, ungranted, owed, granted) >= 0
            assert granted + ungranted - owed == WINTER.bonus_on(base), "what is granted follows what was spent"


def logged(base: int | None, at: datetime, day_total: int = 900) -> LogRecord:
    month_base = None if base is None else Cents(base)
    return LogRecord(LogType.PAYMENT, Station(1), 1, 1, at, 1, 1, (), month_base, Cents(day_total))


@pytest.mark.parametrize(
    ("newest", "carried", "base", "after"),
    [
        (logged(1_750, datetime(2026, 3, 7, tzinfo=UTC)), 1_750, 500, 1_250),
        (logged(1_750, datetime(2026, 4, 7, tzinfo=UTC)), 1_750, 500, 1_750),
        (logged(1_750, datetime(2026, 3, 7, tzinfo=UTC)), 0, 500, 0),
        (logged(None, datetime(2026, 3, 7, tzinfo=UTC)), None, 500, None),
        (logged(1_750, datetime(2026, 3, 7, tzinfo=UTC)), 1_750, None, None),
        (logged(300, datetime(2026, 3, 7, tzinfo=UTC)), 300, 500, 0),
    ],
    ids=[
        "same month",
        "newest of a later month",
        "started again",
        "unknown on the card",
        "unknown part",
        "never below",
    ],
)
def test_a_void_takes_its_base_back_unless_the_month_has_started_again(
    newest: LogRecord, carried: int | None, base: int | None, after: int | None
) -> None:
    payment = logged(500, datetime(2026, 3, 7, tzinfo=UTC))
    totals = Carried(None if carried is None else Cents(carried), Cents(900))
    part = None if base is None else Cents(base)
    assert totals_after_void(newest, payment, totals, PARIS, part).month_base == after


def test_a_void_written_in_a_month_that_may_have_begun_leaves_the_base_unknown() -> None:
    newest = logged(1_750, datetime(2026, 3, 31, 20, tzinfo=UTC))
    totals = Carried(Cents(1_750), Cents(900))
    april, march = datetime(2026, 3, 31, 23, tzinfo=UTC), datetime(2026, 3, 31, 21, tzinfo=UTC)
    assert totals_after_void(newest, newest, totals, PARIS, Cents(500), april).month_base is None
    assert totals_after_void(newest, newest, totals, PARIS, Cents(500), march).month_base == 1_250
    assert totals_after_void(newest, newest, totals, PARIS, Cents(1_750), april).month_base == 0
