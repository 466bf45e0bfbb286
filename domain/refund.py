"""Money given back line by line against a payment, pro rata to who paid the line; never as cash.

Own money is given back by the merchant. A purse's part goes back into the window it came from; once that has lapsed,
into a purse of the same funder that is open now; else to the funder. The record says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from fractions import Fraction

from domain.card_log import Debit
from domain.identity import SlotFile
from domain.money import Cents, total
from domain.purse import Entitlement, Slot, open_slots
from domain.rule_set import RuleSet


class GoesTo(IntEnum):
    """Where a part of a refund goes; the numbers are written in records."""

    OWN_MONEY = 0
    SAME_WINDOW = 1
    OPEN_PURSE = 2
    FUNDER = 3


@dataclass(frozen=True, slots=True)
class PaidLine:
    """Who paid a line, in cents.

    Attributes:
        by_slot: parts of the card's slots, in order of use.
        own: what was paid otherwise.
        earning: slots whose part of this line counted for a bonus.
    """

    by_slot: tuple[Debit, ...]
    own: Cents
    earning: frozenset[SlotFile] = frozenset()

    @property
    def price(self) -> Cents:
        """All parts together."""
        return self.own + total(part.amount for part in self.by_slot)


@dataclass(frozen=True, slots=True)
class Refunded:
    """One refund of a line, in cents: what goes back to each slot, and what the merchant gives back himself."""

    by_slot: tuple[Debit, ...]
    own: Cents
    base: Cents
    """What it takes from the month's base of the bonus."""

    @property
    def amount(self) -> Cents:
        """All of it."""
        return self.own + total(part.amount for part in self.by_slot)


def refund_line(line: PaidLine, before: Cents, amount: Cents) -> Refunded:
    """What one more refund of a line gives back to whom.

    Parts are the difference of two fair shares, of all refunded so far and of that with this one: none is below zero,
    and the parts of a line given back in pieces add up to what each one paid.

    Args:
        before: cents of the line given back by earlier refunds.
        amount: cents to give back now.

    Raises:
        ValueError: less than nothing, or more than was paid.
    """
    if before < 0 or amount < 0 or before + amount > line.price:
        raise ValueError("a line gives back no more than it cost")
    weights = [*(int(part.amount) for part in line.by_slot), int(line.own)]
    had, has = fair_shares(weights, int(before)), fair_shares(weights, int(before + amount))
    parts = [Cents(after - until) for until, after in zip(had, has, strict=True)]
    by_slot = tuple(Debit(paid.file, part) for paid, part in zip(line.by_slot, parts[:-1], strict=True))
    base = total(part.amount for part in by_slot if part.file in line.earning)
    return Refunded(tuple(part for part in by_slot if part.amount > 0), parts[-1], base)


def fair_shares(weights: Sequence[int], amount: int) -> tuple[int, ...]:
    """An amount shared out in whole cents in proportion to weights (Webster's method; a tie goes to the first).

    With one cent more nobody gets less, and the sum of all weights is shared out as the weights themselves.

    Args:
        weights: none below zero.
        amount: from 0 to the sum of the weights.
    """
    payers = [place for place, weight in enumerate(weights) if weight > 0]
    if not payers:
        return tuple(0 for _ in weights)
    dealt = dict(zip(payers, _dealt([weights[place] for place in payers], amount), strict=True))
    return tuple(dealt.get(place, 0) for place in range(len(weights)))


def _dealt(weights: Sequence[int], amount: int) -> list[int]:
    whole = sum(weights)
    shares = [weight * amount // whole for weight in weights]
    while sum(shares) < amount:
        shares[min(range(len(shares)), key=lambda item: _turn(weights, shares, item, 1))] += 1
    return _settled(weights, shares)


def _settled(weights: Sequence[int], shares: list[int]) -> list[int]:
    """Shares after the last exchange of a cent that Webster's method would make."""
    while True:
        gains = min(range(len(shares)), key=lambda item: _turn(weights, shares, item, 1))
        loses = max(range(len(shares)), key=lambda item: _turn(weights, shares, item, 0))
        if _turn(weights, shares, loses, 0) <= _turn(weights, shares, gains, 1):
            return shares
        shares[gains] += 1
        shares[loses] -= 1


def _turn(weights: Sequence[int], shares: Sequence[int], place: int, more: int) -> tuple[Fraction, int]:
    """When a share gets its newest cent (or its next, ``more`` = 1), as if cents were dealt one by one."""
    return (Fraction(2 * (shares[place] + more) - 1, weights[place]), place)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a part goes, and into which value file where it goes into one."""

    goes_to: GoesTo
    file: SlotFile | None = None


def destination(paid_from: Slot, now: Entitlement, rules: RuleSet, at: datetime) -> Destination:
    """Where the part that came from a window goes now.

    Args:
        paid_from: the window, as the entitlement the payment was made under says.
        now: the card's entitlement of today.
        at: the centre's time.
    """
    usable = open_slots(now, rules, at, at)
    for slot in usable:
        if (slot.file, slot.purse, slot.start) == (paid_from.file, paid_from.purse, paid_from.start):
            return Destination(GoesTo.SAME_WINDOW, slot.file)
    paid = rules.purse(paid_from.purse)
    same_purse = [slot for slot in usable if slot.purse == paid_from.purse]
    same_funder = [
        slot
        for slot in usable
        if paid is not None and paid.funder and (purse := rules.purse(slot.purse)) and purse.funder == paid.funder
    ]
    for slot in (*same_purse, *same_funder):
        return Destination(GoesTo.OPEN_PURSE, slot.file)
    return Destination(GoesTo.FUNDER)
