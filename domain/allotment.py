"""What a household is granted: how much, in which window, on which of its cards, and who bears it. Pure.

The rule set says how much for whom (``Allotment``); the centre knows the households. Windows are days of the
programme's time zone, the last one included.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import lcm

from domain.money import Cents
from domain.refund import fair_shares
from domain.rule_set import Allotment, Purse, Unspent, Window


@dataclass(frozen=True, slots=True)
class Size:
    """How many people a household is."""

    adults: int
    children: int


@dataclass(frozen=True, slots=True)
class Span:
    """A window in days, both included; ``last`` is ``None`` for one without end."""

    first: date
    last: date | None


def month_of(day: date) -> Span:
    """The whole month a day lies in."""
    return Span(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))


def next_month(day: date) -> date:
    """The first day of the month after."""
    last = month_of(day).last
    assert last is not None
    return last + timedelta(days=1)


def span_of(purse: Purse, month: date, dates: Span | None = None) -> Span | None:
    """The window that a grant made for a month goes into.

    Unspent money that carries has no end: the window of the rule set is then only the rhythm of the grants.

    Args:
        month: any day of the month the grant is for.
        dates: the household's own dates in this purse, where it has some.

    Returns:
        ``None`` where the purse goes by the household's dates and they are not known or do not touch the month.
    """
    whole = month_of(month)
    if purse.window is not Window.DATES:
        has_end = purse.window is Window.MONTH and purse.unspent is Unspent.LAPSE
        return whole if has_end else Span(whole.first, None)
    assert whole.last is not None
    if dates is None or dates.first > whole.last or (dates.last is not None and dates.last < whole.first):
        return None
    return Span(dates.first, None if purse.unspent is Unspent.CARRY else dates.last)


def split(amount: Cents, parts: int) -> tuple[Cents, ...]:
    """An amount in so many equal parts of whole cents; the cents left over go to the first ones.

    Raises:
        ValueError: no part, or a negative amount.
    """
    if parts < 1 or amount < 0:
        raise ValueError("an amount is shared out among somebody")
    each, more = divmod(int(amount), parts)
    return tuple(Cents(each + (number < more)) for number in range(parts))


def borne_by(allotment: Allotment, purse: Purse, before: Cents, amount: Cents) -> tuple[tuple[str, Cents], ...]:
    """Who bears how many cents of a grant, in the order of the rule set; who bears nothing of it is left out.

    Shares are of all that the household was granted so far: parts of one cent never add up to a drift.

    Args:
        before: cents it was granted under this allotment before.
        amount: cents of this grant.
    """
    if not allotment.paid_by:
        return ((purse.funder, amount),) if amount else ()
    whole = lcm(*(share.denominator for _, share in allotment.paid_by))
    weights = [share.numerator * (whole // share.denominator) for _, share in allotment.paid_by]
    had, has = (_by_weight(weights, so_far) for so_far in (before, before + amount))
    named = zip((name for name, _ in allotment.paid_by), had, has, strict=True)
    return tuple((name, Cents(after - until)) for name, until, after in named if after != until)


def _by_weight(weights: Sequence[int], amount: Cents) -> tuple[int, ...]:
    """Whole turns of the weights, and the rest by fair shares: never fewer for anybody with one cent more."""
    turns, rest = divmod(int(amount), sum(weights))
    return tuple(turns * weight + part for weight, part in zip(weights, fair_shares(weights, rest), strict=True))
