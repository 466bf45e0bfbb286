"""Whether a purse may pay a line at all, how much of it, and why not."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from domain.basket import Line
from domain.days import Days
from domain.family import is_within
from domain.money import ZERO, Cents
from domain.reason import Reason
from domain.rule_set import Condition, Merchant, PriceCeiling, Purse, RuleSet

THOUSANDTHS: Final = 1_000


class _Step(IntEnum):
    """How far a line came through a condition; the furthest one says what is missing."""

    MERCHANT = 0
    FAMILY = 1
    PRODUCT = 2
    LABEL = 3
    ALL = 4


def why_no_purse(line: Line, rules: RuleSet, merchant: Merchant, days: Days | None) -> Reason | None:
    """Why no purse of the rules pays this line here, or ``None`` where one may.

    Args:
        days: on which certificates and the merchant's entry must hold; ``None`` asks for no date.
    """
    if line.amount <= 0:
        return Reason.NEGATIVE_OR_ZERO_AMOUNT
    if line.family not in rules.families:
        return Reason.FAMILY_NOT_KNOWN
    if rules.is_never(line.family):
        return Reason.NEVER_FAMILY
    reasons = [why_not(line, purse, rules, merchant, days) for purse in rules.purses]
    return None if None in reasons else reasons[0]


def why_not(line: Line, purse: Purse, rules: RuleSet, merchant: Merchant, days: Days | None) -> Reason | None:
    """Why this purse does not pay any of this line here, or ``None`` where it may.

    The line is of a known family that is not one no purse pays.
    """
    if days is not None and not days.may_lie_in(merchant.first_day, merchant.last_day):
        return Reason.MERCHANT_NOT_IN_THIS_PURSE
    step = _furthest(line, purse.pays, rules, merchant, days)
    if step is not _Step.ALL:
        return _reason_at(step, line)
    if not merchant.is_attended and not purse.pays_unattended:
        return Reason.UNATTENDED_SALE
    return None if most_of(line, purse) > 0 else Reason.PRICE_ABOVE_CEILING


def may_ever_pay(family: str, rules: RuleSet, merchant: Merchant) -> bool:
    """Whether any purse of the rules could pay some line of this family here: on some day, with the right label,
    product, price and quantity.
    """
    if family not in rules.families or rules.is_never(family):
        return False
    purses = [purse for purse in rules.purses if merchant.is_attended or purse.pays_unattended]
    return any(_concerns(item, family, rules, merchant) for purse in purses for item in purse.pays)


def meets(line: Line, conditions: Iterable[Condition], rules: RuleSet, merchant: Merchant, days: Days | None) -> bool:
    """Whether any of these conditions holds for the line."""
    return _furthest(line, conditions, rules, merchant, days) is _Step.ALL


def most_of(line: Line, purse: Purse) -> Cents:
    """The most the purse pays of the line, in cents: its price, or price ceiling × quantity, half up, once.

    Nothing where the quantity is missing or counts another unit.
    """
    ceiling = purse.price_ceiling
    if ceiling is None:
        return line.amount
    return min(line.amount, _capped(line, ceiling))


def _capped(line: Line, ceiling: PriceCeiling) -> Cents:
    if line.quantity is None or line.quantity <= 0 or line.unit != ceiling.per:
        return ZERO
    return Cents((int(ceiling.price) * line.quantity + THOUSANDTHS // 2) // THOUSANDTHS)


def _furthest(
    line: Line, conditions: Iterable[Condition], rules: RuleSet, merchant: Merchant, days: Days | None
) -> _Step:
    return max((_step(line, item, rules, merchant, days) for item in conditions), default=_Step.MERCHANT)


def _concerns(condition: Condition, family: str, rules: RuleSet, merchant: Merchant) -> bool:
    """Whether merchant and family are among those the condition names, whatever else it asks for."""
    if condition.merchants and not condition.merchants & merchant.words:
        return False
    return not condition.families or is_within(family, condition.families, rules.families)


def _step(line: Line, condition: Condition, rules: RuleSet, merchant: Merchant, days: Days | None) -> _Step:
    """The first thing the condition asks for and the line or the merchant does not have."""
    if condition.merchants and not condition.merchants & merchant.words:
        return _Step.MERCHANT
    if condition.families and not is_within(line.family, condition.families, rules.families):
        return _Step.FAMILY
    if condition.products is not None and condition.products not in (line.lists or ()):
        return _Step.PRODUCT
    if condition.labels and not condition.labels & certified(line, merchant, days):
        return _Step.LABEL
    return _Step.ALL


def certified(line: Line, merchant: Merchant, days: Days | None) -> frozenset[str]:
    """Labels claimed for the line that a certificate of the merchant backs on these days."""
    return frozenset(
        item.label
        for item in merchant.certificates
        if item.label in line.labels and (days is None or days.may_lie_in(None, item.last_day))
    )


def _reason_at(step: _Step, line: Line) -> Reason:
    if step is _Step.PRODUCT and line.lists is None:
        return Reason.PRODUCT_NOT_KNOWN
    return {
        _Step.MERCHANT: Reason.MERCHANT_NOT_IN_THIS_PURSE,
        _Step.FAMILY: Reason.NOT_IN_THE_LIST,
        _Step.PRODUCT: Reason.NOT_IN_THE_LIST,
        _Step.LABEL: Reason.LABEL_NOT_CERTIFIED,
    }[step]
