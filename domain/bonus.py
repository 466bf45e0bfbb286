"""The bonus of a payment: known at the stall at once, granted later by the centre.

With g(t) = min(cap, ⌊t × give ÷ per⌋) a payment earns g(base before + base now) − g(base before), so that splitting a
payment neither gains nor loses a cent. The base is what a month's payments put on lines that earn, from purses that
earn; it travels in the card's newest log record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from domain.basket import Line
from domain.card_log import Debit
from domain.days import Days
from domain.identity import SlotFile
from domain.may_pay import meets
from domain.money import ZERO, Cents, not_negative, total
from domain.rule_set import Campaign, Merchant, Purse, RuleSet


@dataclass(frozen=True, slots=True)
class Bonus:
    """What a payment earns.

    Attributes:
        campaign: its code.
        base: cents of this payment that earn; ``None`` where the month is not known.
        earned: cents the centre will give back; ``None``: « Bonus à confirmer ».
    """

    campaign: str
    base: Cents | None
    earned: Cents | None


@dataclass(frozen=True, slots=True)
class CapShare:
    """A card's share of its household's month cap, until a later row says otherwise.

    Attributes:
        first_day: of the month it counts from.
        cents: the share; zero: this card earns nothing.

    Raises:
        ValueError: not the first day of a month, or a share below zero.
    """

    first_day: date
    cents: Cents

    def __post_init__(self) -> None:
        if self.first_day.day != 1 or self.cents < 0:
            raise ValueError("a share of a month cap is not below zero, and counts from the first of a month")


def cap_on(shares: Iterable[CapShare], days: Days) -> Cents | None:
    """The share that counts for a payment on these days, in cents; ``None`` for a card that shares with none then.

    Args:
        shares: in rising days.
        days: it can be; where the month is not known, the share of the earlier one (no sum is shown then anyway).
    """
    month = days.earliest.replace(day=1)
    begun = [share.cents for share in shares if share.first_day <= month]
    return begun[-1] if begun else None


def campaigns_on(rules: RuleSet, days: Days) -> tuple[Campaign, ...]:
    """The campaigns that may be in force, the earliest first: at most one where the month is known."""
    in_order = sorted(rules.campaigns, key=lambda campaign: campaign.first_day)
    return tuple(item for item in in_order if days.may_lie_in(item.first_day, item.last_day))


def can_earn(line: Line, campaign: Campaign, rules: RuleSet, merchant: Merchant, days: Days) -> bool:
    """Whether money put on this line earns, if it comes from a purse that does."""
    return meets(line, campaign.conditions, rules, merchant, days)


def money_earns(purse: Purse, campaign: Campaign) -> bool:
    """Whether money of this purse earns; match money never does."""
    return purse.match is None and purse.code in campaign.earned_on


def base_of(
    campaign: Campaign,
    paid: Iterable[tuple[Line, Iterable[Debit]]],
    purses: Mapping[SlotFile, Purse],
    rules: RuleSet,
    merchant: Merchant,
    days: Days,
) -> Cents:
    """Cents of a payment that come from purses that earn, on lines that earn.

    Args:
        paid: each line, and what each slot paid of it.
        purses: whose money each slot holds; a slot left out earns nothing.
    """
    earning = {file for file, purse in purses.items() if money_earns(purse, campaign)}
    return total(
        share.amount
        for line, shares in paid
        if can_earn(line, campaign, rules, merchant, days)
        for share in shares
        if share.file in earning
    )


def bonus_of(campaign: Campaign, base: Cents, before: Cents | None, card_cap: Cents | None = None) -> Bonus:
    """What a payment earns whose month is known.

    Args:
        base: cents of this payment that earn.
        before: the month's base before it, or ``None`` where it is unknown.
        card_cap: the card's share of its household's month cap, or ``None``.
    """
    if base == 0:
        return Bonus(campaign.code, ZERO, ZERO)
    if before is None:
        return Bonus(campaign.code, base, None)
    earned = campaign.bonus_on(before + base, card_cap) - campaign.bonus_on(before, card_cap)
    return Bonus(campaign.code, base, earned)


def unsure_bonus(campaigns: Iterable[Campaign], bases: Iterable[Cents]) -> Bonus | None:
    """What a payment earns whose month is not known: to be confirmed, or nothing where no bonus can be due."""
    first = next(iter(campaigns), None)
    if first is None:
        return None
    is_due = any(base > 0 for base in bases)
    return Bonus(first.code, None if is_due else ZERO, None if is_due else ZERO)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A bonus taken back with a refund, in cents.

    Attributes:
        from_ungranted: less of what was earned and not granted yet.
        from_later: less of what will be earned later.
        base: the month's base after it.
    """

    from_ungranted: Cents
    from_later: Cents
    base: Cents


def take_back(campaign: Campaign, base: Cents, refunded: Cents, ungranted: Cents, cap: Cents | None) -> TakenBack:
    """What a refund takes back of a month's bonus: as if the refunded money had never been spent.

    Args:
        base: the month's base before the refund.
        refunded: cents of that base given back.
        ungranted: bonus earned in that month and not granted yet.
        cap: the card's share of the month cap, or ``None``.
    """
    left = not_negative(base - refunded)
    lost = campaign.bonus_on(base, cap) - campaign.bonus_on(left, cap)
    now = min(lost, not_negative(ungranted))
    return TakenBack(from_ungranted=now, from_later=lost - now, base=left)


def granted_after(earned: Cents, owed: Cents) -> tuple[Cents, Cents]:
    """(bonus to grant, still owed): a bonus earned later pays what refunds took back, and is never below zero."""
    settled = min(earned, owed)
    return earned - settled, owed - settled
