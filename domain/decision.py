"""The decision: which lines a card pays, from which slots, and why not the rest. Total and pure.

The same arguments give the same answer at the stall, at the centre and in a simulation. Each open slot is a purse of
its own; which pays what is shared out by ``domain.allocation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from domain.allocation import Claim, allocate
from domain.basket import Basket, Line
from domain.card_log import Carried, Debit, LogRecord, carried_totals
from domain.family import is_within
from domain.identity import CardId, SlotFile
from domain.money import ZERO, Cents, not_negative, total
from domain.purse import Counters, Entitlement, Slot, open_slots
from domain.reason import Reason
from domain.rule_set import Ceilings, Merchant, Purse, RuleSet
from domain.slip import Slip, accepted_slips, given_back

MOST_A_DEBIT: Final = Cents(0xFFFFF)
"""The log record of the card has twenty bits for an amount: 10 485,75 €."""


@dataclass(frozen=True, slots=True)
class LineDecision:
    """What the card pays of one line, in cents, why not more (``None``: all of it), and from which slots."""

    line: Line
    paid: Cents
    reason: Reason | None = None
    by_slot: tuple[Debit, ...] = ()

    @property
    def uncovered(self) -> Cents:
        """What is to be paid otherwise, in cents."""
        return self.line.amount - self.paid


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is known before the tap: cents the card will be asked for, cents to pay otherwise, and why."""

    lines: tuple[LineDecision, ...]

    @property
    def asked(self) -> Cents:
        """What the card will be asked for, in cents."""
        return total(line.paid for line in self.lines)

    @property
    def rest(self) -> Cents:
        """What no card pays, in cents."""
        return total(line.uncovered for line in self.lines)


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the terminal knows about the card before it.

    Attributes:
        card: its pseudonym.
        expires_at: from the signed key list, or ``None`` for none.
        is_on_hot_list: from the list in force.
        entitlement: the newest verified one of the card's and the cache's, or ``None``.
        counters: read from the card under its key.
        newest: newest log record read, or ``None`` where unreadable.
        is_in_doubt: whether an earlier payment of this card is still unresolved after recovery.
        no_entitlement: why there is none, where there is none.
        slips: voids the card carries, signatures verified, revoked terminals left out.
        seen: the furthest this terminal has seen its counters, or ``None``.
    """

    card: CardId
    expires_at: datetime | None
    is_on_hot_list: bool
    entitlement: Entitlement | None
    counters: Counters
    newest: LogRecord | None
    is_in_doubt: bool = False
    no_entitlement: Reason = Reason.ENTITLEMENT_MISSING
    slips: tuple[Slip, ...] = ()
    seen: Counters | None = None


@dataclass(frozen=True, slots=True)
class StallFacts:
    """What the terminal knows about itself.

    Attributes:
        t_lo: the earliest it can be.
        t_late: the latest it can be.
        lists_age_days: age of the lists by ``t_late``.
        paid_here_today: by this card at this terminal today, in cents.
        terminal_left: cents the terminal may still take before its next sync, ``None`` for no limit.
        card_left: cents of these this card may still spend here, ``None`` for no limit.
    """

    t_lo: datetime
    t_late: datetime
    lists_age_days: int
    paid_here_today: Cents
    terminal_left: Cents | None = None
    card_left: Cents | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: per line, per slot, and the rest; the slips that were counted. ``refusal`` is set when the card pays
    nothing at all.
    """

    lines: tuple[LineDecision, ...]
    debits: tuple[Debit, ...]
    carried: Carried
    refusal: Reason | None = None
    limited_by: Reason | None = None
    slips: tuple[Slip, ...] = ()

    @property
    def paid(self) -> Cents:
        """What the card pays, in cents."""
        return total(debit.amount for debit in self.debits)

    @property
    def rest(self) -> Cents:
        """What is to be paid otherwise, in cents."""
        return total(line.uncovered for line in self.lines)


def announce(basket: Basket, rules: RuleSet, merchant: Merchant) -> Announcement:
    """What the card will be asked, from basket, rules and merchant alone."""
    return Announcement(tuple(_announce_line(line, rules, merchant) for line in basket.lines))


def decide(basket: Basket, rules: RuleSet, merchant: Merchant, card: CardFacts, stall: StallFacts) -> Decision:
    """What this card pays of this basket now, and a reason for every cent it does not pay."""
    announced = announce(basket, rules, merchant)
    zone = ZoneInfo(rules.timezone)
    carried = carried_totals(card.newest, stall.t_lo, zone)
    refusal = _refusal(announced, card, stall)
    if refusal is not None:
        return _nothing(announced, carried, refusal)
    assert card.entitlement is not None  # _refusal has said so
    slots = _usable_slots(card.entitlement, card.counters, rules, stall)
    slips = accepted_slips(card.slips, card.entitlement, card.counters.tmc, stall.t_lo, stall.t_late)
    claim = _claim(announced, slots, left_in_slots(slots, card.counters, slips), rules, merchant)
    shares = allocate(claim)
    covered = total(Cents(sum(row)) for row in shares)
    most, ceiling = min(_ceilings(rules, stall, carried), key=lambda bound: bound[0])
    if covered > most:
        shares = allocate(_cut(claim, shares, most))
    elif covered == 0:
        return _nothing(announced, carried, _empty_reason(card.entitlement, slots, stall))
    limited_by = ceiling if covered > most else _empty_reason(card.entitlement, slots, stall)
    if most <= 0:
        return _nothing(announced, carried, ceiling)
    paid = total(Cents(sum(row)) for row in shares)
    return Decision(
        lines=_cover(announced.lines, slots, shares, limited_by),
        debits=_debits(slots, shares),
        carried=carried,
        limited_by=limited_by if paid < announced.asked else None,
        slips=slips,
    )


def left_in_slots(slots: Iterable[Slot], counters: Counters, slips: Iterable[Slip] = ()) -> Mapping[SlotFile, Cents]:
    """Cents each slot that was read may still pay, in the order given; accepted slips counted."""
    back = given_back(slips)
    return {
        slot.file: slot.available(counters.values[slot.file], back.get(slot.file, ZERO))
        for slot in slots
        if slot.file in counters.values
    }


def totals_after_void(newest: LogRecord | None, payment: LogRecord, carried: Carried, timezone: ZoneInfo) -> Carried:
    """The totals a void's log record carries: without what its payment added, unless they started again since.

    Args:
        newest: newest record on the card.
        payment: log record of the payment undone.
        carried: the totals that count now.
    """
    day_total = carried.day_total
    if newest is None or day_total is None:
        return carried
    paid_on = payment.minutes_at.astimezone(timezone).date()
    is_same_day = newest.minutes_at.astimezone(timezone).date() == paid_on
    if not is_same_day or day_total != newest.day_total:
        return carried
    return Carried(month_base=carried.month_base, day_total=not_negative(day_total - payment.amount))


def totals_after(decision: Decision) -> Carried:
    """The totals the new log record carries: the day's total with this payment; no campaign, so the base stays."""
    day_total = decision.carried.day_total
    return Carried(
        month_base=decision.carried.month_base,
        day_total=None if day_total is None else day_total + decision.paid,
    )


def _announce_line(line: Line, rules: RuleSet, merchant: Merchant) -> LineDecision:
    reason = _line_reason(line, rules, merchant)
    return LineDecision(line, ZERO if reason else line.amount, reason)


def _line_reason(line: Line, rules: RuleSet, merchant: Merchant) -> Reason | None:
    if line.amount <= 0:
        return Reason.NEGATIVE_OR_ZERO_AMOUNT
    if line.family not in rules.families:
        return Reason.FAMILY_NOT_KNOWN
    if rules.is_never(line.family):
        return Reason.NEVER_FAMILY
    reasons = [_purse_reason(line, purse, rules, merchant) for purse in rules.purses]
    return None if None in reasons else reasons[0]


def _purse_reason(line: Line, purse: Purse, rules: RuleSet, merchant: Merchant) -> Reason | None:
    here = [rule for rule in purse.pays if not rule.merchants or rule.merchants & merchant.groups]
    if not here:
        return Reason.MERCHANT_NOT_IN_THIS_PURSE
    if any(is_within(line.family, condition.families, rules.families) for condition in here):
        return None
    return Reason.NOT_IN_THE_LIST


def _refusal(announced: Announcement, card: CardFacts, stall: StallFacts) -> Reason | None:
    if announced.asked <= 0:
        return Reason.NOTHING_TO_PAY
    if card.is_on_hot_list:
        return Reason.ON_HOT_LIST
    if card.expires_at is not None and stall.t_late >= card.expires_at:
        return Reason.CARD_EXPIRED
    if card.is_in_doubt:
        return Reason.PAYMENT_IN_DOUBT
    if card.entitlement is None:
        return card.no_entitlement
    if stall.t_late >= card.entitlement.valid_until:
        return Reason.ENTITLEMENT_EXPIRED
    if not is_genuine(card.entitlement, card.counters) or is_behind(card.counters, card.seen):
        return Reason.NOT_GENUINE
    return None


def is_genuine(entitlement: Entitlement, counters: Counters) -> bool:
    """Whether the card's counters are not behind what the centre has seen of them."""
    if counters.tmc < entitlement.mark:
        return False
    read = [slot for slot in entitlement.slots if slot.file in counters.values]
    return all(slot.floor <= slot.spent(counters.values[slot.file]) for slot in read) and all(
        0 <= counters.values[slot.file] <= slot.loaded for slot in read
    )


def is_behind(counters: Counters, seen: Counters | None) -> bool:
    """Whether a card shows less than this terminal has seen of it before; a genuine one never does."""
    if seen is None:
        return False
    return counters.tmc < seen.tmc or any(
        value > seen.values[file] for file, value in counters.values.items() if file in seen.values
    )


def _usable_slots(entitlement: Entitlement, counters: Counters, rules: RuleSet, stall: StallFacts) -> tuple[Slot, ...]:
    return tuple(
        slot
        for slot in open_slots(entitlement, stall.t_lo, stall.t_late)
        if slot.file in counters.values and rules.purse(slot.purse) is not None
    )


def _empty_reason(entitlement: Entitlement, slots: tuple[Slot, ...], stall: StallFacts) -> Reason:
    if slots:
        return Reason.PURSE_EMPTY
    if any(slot.start > stall.t_late for slot in entitlement.slots):
        return Reason.PURSE_NOT_OPEN_YET
    return Reason.PURSE_LAPSED if entitlement.slots else Reason.PURSE_EMPTY


def _ceilings(rules: RuleSet, stall: StallFacts, carried: Carried) -> list[tuple[Cents, Reason]]:
    bounds = []
    day_total = stall.paid_here_today if carried.day_total is None else carried.day_total
    usual = rules.ceilings
    bounds.append((not_negative(usual.floor_limit - stall.paid_here_today), Reason.FLOOR_LIMIT))
    bounds.append((not_negative(usual.day_total - day_total), Reason.DAY_TOTAL))
    aged = day_total_by_age(usual, stall.lists_age_days)
    if aged is not None:
        bounds.append((not_negative(aged - day_total), Reason.LISTS_TOO_OLD))
    for left in (stall.terminal_left, stall.card_left):
        if left is not None:
            bounds.append((not_negative(left), Reason.TERMINAL_LIMIT))
    return bounds


def day_total_by_age(ceilings: Ceilings, lists_age_days: int) -> Cents | None:
    """What old lists leave a card per day, in cents; ``None``: nothing beyond the usual ceilings; 0: balance only."""
    for tier in ceilings.tiers:
        if lists_age_days <= tier.max_age_days:
            return tier.day_total
    return ZERO


def _nothing(announced: Announcement, carried: Carried, reason: Reason) -> Decision:
    lines = tuple(LineDecision(line.line, ZERO, line.reason or reason) for line in announced.lines)
    return Decision(lines=lines, debits=(), carried=carried, refusal=reason, limited_by=reason)


def _claim(
    announced: Announcement, slots: tuple[Slot, ...], left: Mapping[SlotFile, Cents], rules: RuleSet, merchant: Merchant
) -> Claim:
    """What each open slot, a purse of its own, may pay of each line."""
    may_pay = []
    for slot in slots:
        purse = rules.purse(slot.purse)
        assert purse is not None, "usable slots are of purses the rules know"
        may_pay.append(
            tuple(
                int(line.paid) if _purse_reason(line.line, purse, rules, merchant) is None else 0
                for line in announced.lines
            )
        )
    return Claim(
        coverable=tuple(int(line.paid) for line in announced.lines),
        budgets=tuple(int(min(left[slot.file], MOST_A_DEBIT)) for slot in slots),
        may_pay=tuple(may_pay),
    )


def _cut(claim: Claim, shares: tuple[tuple[Cents, ...], ...], most: Cents) -> Claim:
    """A ceiling of the whole payment cuts from the last line back."""
    kept, left = [], int(most)
    for line in range(len(claim.coverable)):
        part = min(sum(int(row[line]) for row in shares), left)
        left -= part
        kept.append(part)
    return replace(claim, coverable=tuple(kept))


def _cover(
    lines: tuple[LineDecision, ...], slots: tuple[Slot, ...], shares: tuple[tuple[Cents, ...], ...], binding: Reason
) -> tuple[LineDecision, ...]:
    covered = []
    for number, line in enumerate(lines):
        by_slot = tuple(
            Debit(slot.file, row[number]) for slot, row in zip(slots, shares, strict=True) if row[number] > 0
        )
        paid = total(share.amount for share in by_slot)
        reason = line.reason or (binding if paid < line.line.amount else None)
        covered.append(LineDecision(line.line, paid, reason, by_slot))
    return tuple(covered)


def _debits(slots: tuple[Slot, ...], shares: tuple[tuple[Cents, ...], ...]) -> tuple[Debit, ...]:
    sums = [Debit(slot.file, total(row)) for slot, row in zip(slots, shares, strict=True)]
    return tuple(sorted((debit for debit in sums if debit.amount > 0), key=lambda debit: debit.file))
