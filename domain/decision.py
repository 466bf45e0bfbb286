"""The decision: which lines a card pays, from which slots, and why not the rest. Total and pure.

The same arguments give the same answer at the stall, at the centre and in a simulation. Each open slot is a purse of
its own; which pays what is shared out by ``domain.cover``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from domain.basket import Basket, Line
from domain.bonus import Bonus, base_of, bonus_of, campaigns_on, can_earn, money_earns, unsure_bonus
from domain.card_log import Carried, Debit, LogRecord, carried_totals
from domain.cover import Bound, Cover, OpenPurse, Request, cover
from domain.days import Days, days_of
from domain.identity import CardId, PurseNumber, SlotFile
from domain.may_pay import most_of, why_no_purse, why_not
from domain.money import ZERO, Cents, not_negative, total
from domain.purse import Counters, Entitlement, Slot, open_slots
from domain.reason import Reason
from domain.rule_set import Campaign, Ceilings, Merchant, Purse, RuleSet
from domain.slip import Slip, accepted_slips, given_back
from domain.unproven import ceilings_for_unproven, left_for_unproven

MOST_A_DEBIT: Final = Cents(0xFFFFF)
"""The log record of the card has twenty bits for an amount: 10 485,75 €."""

_ANY_OTHER: Final = PurseNumber(0)
_MATCHING: Final = PurseNumber(256)
"""No purses: before a card is seen, all that pay by themselves, and the one that matches."""


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
        bonus_cap: this card's share of its household's month cap, in cents, or ``None`` for a card alone.
        gives_proof: whether it proves its transactions; what one that does not may pay is kept low (domain.unproven).
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
    bonus_cap: Cents | None = None
    gives_proof: bool = True


@dataclass(frozen=True, slots=True)
class StallFacts:
    """What the terminal knows about itself.

    Attributes:
        t_lo: the earliest it can be.
        t_late: the latest it can be.
        lists_age_days: age of the lists by ``t_late``.
        paid_here_today: by this card at this terminal today, in cents.
        terminal_left: cents the terminal may still take before its next sync, ``None`` for no limit.
        card_left: cents of these a card like any other may still spend here, ``None`` for no limit.
        terminal_unreported: cents paid here that the centre has not acknowledged.
        card_unreported: cents of these this card paid.
        paid_here_by_purse: what the purses of this card paid at this terminal today, in cents, or ``None`` where that
            is not counted: then each purse may have paid all of ``paid_here_today``.
    """

    t_lo: datetime
    t_late: datetime
    lists_age_days: int
    paid_here_today: Cents
    terminal_left: Cents | None = None
    card_left: Cents | None = None
    paid_here_by_purse: Mapping[PurseNumber, Cents] | None = None
    terminal_unreported: Cents = ZERO
    card_unreported: Cents = ZERO


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    Attributes:
        lines: what is paid of each, and why not more.
        debits: what is taken from each slot, in file order.
        carried: totals that counted before this payment.
        refusal: set when the card pays nothing at all.
        limited_by: reason of the first line paid less than announced, or ``None``.
        slips: those counted.
        bonus: what the payment earns; ``None`` where no campaign is in force.
        bonus_cap: the card's share of the month cap, or ``None``.
    """

    lines: tuple[LineDecision, ...]
    debits: tuple[Debit, ...]
    carried: Carried
    refusal: Reason | None = None
    limited_by: Reason | None = None
    slips: tuple[Slip, ...] = ()
    bonus: Bonus | None = None
    bonus_cap: Cents | None = None

    @property
    def paid(self) -> Cents:
        """What the card pays, in cents."""
        return total(debit.amount for debit in self.debits)

    @property
    def rest(self) -> Cents:
        """What is to be paid otherwise, in cents."""
        return total(line.uncovered for line in self.lines)


def announce(basket: Basket, rules: RuleSet, merchant: Merchant, days: Days | None = None) -> Announcement:
    """What a card will be asked, from basket, rules and merchant alone: no card pays more.

    Args:
        days: it can be; certificates and the merchant's entry must hold on them. ``None`` asks for no date.
    """
    return _announced(basket, _reasons(basket, rules, merchant, days), rules, merchant, days)


def decide(basket: Basket, rules: RuleSet, merchant: Merchant, card: CardFacts, stall: StallFacts) -> Decision:
    """What this card pays of this basket now, and a reason for every cent it does not pay."""
    zone = ZoneInfo(rules.timezone)
    days = days_of(stall.t_lo, stall.t_late, zone)
    carried = carried_totals(card.newest, stall.t_lo, zone)
    reasons = _reasons(basket, rules, merchant, days)
    announced = _announced(basket, reasons, rules, merchant, days)
    refusal = _refusal(announced, card, stall)
    if refusal is not None:
        return _nothing(announced, carried, refusal)
    assert card.entitlement is not None  # _refusal has said so
    here = _Here(rules, merchant, days, stall)
    slots = _usable_slots(card.entitlement, card.counters, rules, stall)
    slips = accepted_slips(card.slips, card.entitlement, card.counters.tmc, stall.t_lo, stall.t_late)
    open_purses = _open_purses(slots, card.counters, slips, rules)
    most = min(_ceilings(rules, card, stall, carried), key=lambda bound: bound.cents)
    request = _request(basket, reasons, slots, open_purses, carried, here, most)
    covered = cover(request)
    lines = tuple(
        _decided(number, line, reasons[number], slots, covered, card.entitlement, here)
        for number, line in enumerate(basket.lines)
    )
    asked = [line for line, known in zip(lines, announced.lines, strict=True) if line.paid < known.paid]
    if all(line.paid == 0 for line in lines):
        return _nothing(announced, carried, next(line.reason for line in asked if line.reason is not None))
    bonus = _bonus(lines, slots, carried, card.bonus_cap, here)
    return Decision(
        lines=lines,
        debits=_debits(slots, covered),
        carried=carried,
        limited_by=asked[0].reason if asked else None,
        slips=slips,
        bonus=bonus,
        bonus_cap=card.bonus_cap,
    )


def left_in_slots(slots: Iterable[Slot], counters: Counters, slips: Iterable[Slip] = ()) -> Mapping[SlotFile, Cents]:
    """Cents each slot that was read may still pay, in the order given; accepted slips counted."""
    back = given_back(slips)
    return {
        slot.file: slot.available(counters.values[slot.file], back.get(slot.file, ZERO))
        for slot in slots
        if slot.file in counters.values
    }


def totals_after_void(
    newest: LogRecord | None,
    payment: LogRecord,
    carried: Carried,
    timezone: ZoneInfo,
    base: Cents | None = ZERO,
    written_at: datetime | None = None,
) -> Carried:
    """The totals a void's log record carries: without what its payment added, unless they started again since.

    Args:
        newest: newest record on the card.
        payment: log record of the payment undone.
        carried: the totals that count now.
        base: cents the payment added to the month's base, ``None`` where that is unknown.
        written_at: time the void's own record bears; in another month than the newest one it leaves a base that did
            not start again unknown. ``None``: the newest record's.
    """
    if newest is None:
        return carried
    then, last, now = (
        at.astimezone(timezone).date()
        for at in (payment.minutes_at, newest.minutes_at, written_at or newest.minutes_at)
    )
    day_total, month_base = carried.day_total, carried.month_base
    if day_total is not None and last == then and day_total == newest.day_total:
        day_total = not_negative(day_total - payment.amount)
    is_same_month = (last.year, last.month) == (then.year, then.month)
    if month_base is not None and is_same_month and month_base == newest.month_base:
        month_base = None if base is None else not_negative(month_base - base)
    if month_base and (now.year, now.month) != (last.year, last.month):
        month_base = None
    return Carried(month_base=month_base, day_total=day_total)


def totals_after(decision: Decision) -> Carried:
    """The totals the new log record carries: the day's total and the month's base with this payment."""
    day_total, base = decision.carried.day_total, decision.carried.month_base
    if decision.bonus is not None and base is not None:
        base = None if decision.bonus.base is None else base + decision.bonus.base
    return Carried(month_base=base, day_total=None if day_total is None else day_total + decision.paid)


@dataclass(frozen=True, slots=True)
class _Here:
    """Where and when it is, and under which rules."""

    rules: RuleSet
    merchant: Merchant
    days: Days
    stall: StallFacts


def _reasons(basket: Basket, rules: RuleSet, merchant: Merchant, days: Days | None) -> tuple[Reason | None, ...]:
    """Why no purse pays a line, line by line."""
    return tuple(why_no_purse(line, rules, merchant, days) for line in basket.lines)


def _announced(
    basket: Basket, reasons: Sequence[Reason | None], rules: RuleSet, merchant: Merchant, days: Days | None
) -> Announcement:
    """The cover by a card that has every purse, and more in each than the basket costs.

    Without budgets all purses that pay by themselves are one: together they may pay the sum of what each may.
    """
    prices = _prices(basket, reasons)
    by_itself, matching = [0] * len(prices), [0] * len(prices)
    match = None
    for purse in rules.purses:
        row = _may_pay(basket, reasons, purse, rules, merchant, days)
        if purse.match is not None:
            match, matching = purse.match, list(row)
        else:
            by_itself = [had + more for had, more in zip(by_itself, row, strict=True)]
    plenty = Bound(Cents(sum(prices)), Reason.PURSE_EMPTY)
    purses = [OpenPurse(_ANY_OTHER, plenty)] if match is None else [OpenPurse(_MATCHING, plenty, match)]
    rows = [tuple(by_itself)] if match is None else [tuple(matching)]
    if match is not None:
        purses.append(OpenPurse(_ANY_OTHER, plenty))
        rows.append(tuple(by_itself))
    most = rules.ceilings.payment
    covered = cover(
        Request(
            prices=prices,
            purses=tuple(purses),
            may_pay=tuple(rows),
            earns=(False,) * len(prices),
            ceilings={},
            most=plenty if most is None else Bound(most, Reason.PAYMENT_CEILING),
        )
    )
    return Announcement(
        tuple(
            LineDecision(line, covered.of_line(number), reasons[number] or covered.reasons[number])
            for number, line in enumerate(basket.lines)
        )
    )


def _prices(basket: Basket, reasons: Sequence[Reason | None]) -> tuple[int, ...]:
    return tuple(0 if reason else int(line.amount) for line, reason in zip(basket.lines, reasons, strict=True))


def _may_pay(
    basket: Basket,
    reasons: Sequence[Reason | None],
    purse: Purse,
    rules: RuleSet,
    merchant: Merchant,
    days: Days | None,
) -> tuple[int, ...]:
    """The most a purse may pay of each line, in cents."""
    return tuple(
        0 if reason or why_not(line, purse, rules, merchant, days) else int(most_of(line, purse))
        for line, reason in zip(basket.lines, reasons, strict=True)
    )


def _open_purses(
    slots: Sequence[Slot], counters: Counters, slips: Iterable[Slip], rules: RuleSet
) -> tuple[OpenPurse, ...]:
    left, back = left_in_slots(slots, counters, slips), given_back(slips)
    purses = []
    for slot in slots:
        value, purse = counters.values[slot.file], rules.purse(slot.purse)
        is_worn_out = value < slot.limit + back.get(slot.file, ZERO) - slot.spent(value)
        budget = Bound(left[slot.file], Reason.CARD_FILE_EXHAUSTED if is_worn_out else Reason.PURSE_EMPTY)
        if budget.cents > MOST_A_DEBIT:
            budget = Bound(MOST_A_DEBIT, Reason.PAYMENT_CEILING)
        purses.append(OpenPurse(slot.purse, budget, None if purse is None else purse.match))
    return tuple(purses)


def _request(
    basket: Basket,
    reasons: Sequence[Reason | None],
    slots: Sequence[Slot],
    open_purses: tuple[OpenPurse, ...],
    carried: Carried,
    here: _Here,
    most: Bound,
) -> Request:
    purses = _purses_of(slots, here.rules)
    rows = {
        number: _may_pay(basket, reasons, purse, here.rules, here.merchant, here.days)
        for number, purse in purses.items()
    }
    return Request(
        prices=_prices(basket, reasons),
        purses=open_purses,
        may_pay=tuple(rows[purse.number] for purse in open_purses),
        earns=_earns(basket, purses.values(), rows, here),
        ceilings=_purse_ceilings(purses.values(), carried, here.stall),
        most=most,
    )


def _purses_of(slots: Iterable[Slot], rules: RuleSet) -> Mapping[PurseNumber, Purse]:
    """The purses of usable slots, which the rules all know."""
    return {slot.purse: purse for slot in slots if (purse := rules.purse(slot.purse)) is not None}


def _earns(
    basket: Basket, purses: Collection[Purse], rows: Mapping[PurseNumber, Sequence[int]], here: _Here
) -> tuple[bool, ...]:
    """Whether a purse of this card can earn a bonus on a line."""
    campaigns = campaigns_on(here.rules, here.days)
    return tuple(
        any(
            can_earn(line, campaign, here.rules, here.merchant, here.days)
            and any(money_earns(purse, campaign) and rows[purse.number][number] > 0 for purse in purses)
            for campaign in campaigns
        )
        for number, line in enumerate(basket.lines)
    )


def _purse_ceilings(purses: Iterable[Purse], carried: Carried, stall: StallFacts) -> Mapping[PurseNumber, Bound]:
    """What is left of each purse's own ceilings; the tightest of them."""
    tightest: dict[PurseNumber, Bound] = {}
    for purse in purses:
        bounds = []
        if purse.ceilings.payment is not None:
            bounds.append(Bound(purse.ceilings.payment, Reason.PURSE_CEILING_OF_A_PAYMENT))
        if purse.ceilings.day is not None:
            left = purse.ceilings.day - _paid_today_from(purse, carried, stall)
            bounds.append(Bound(not_negative(left), Reason.PURSE_CEILING_OF_A_DAY))
        if bounds:
            tightest[purse.number] = min(bounds, key=lambda bound: bound.cents)
    return tightest


def _paid_today_from(purse: Purse, carried: Carried, stall: StallFacts) -> Cents:
    """Cents a purse has paid today at most: here as known, elsewhere all the card has paid there."""
    here = stall.paid_here_today
    elsewhere = ZERO if carried.day_total is None else not_negative(carried.day_total - here)
    if stall.paid_here_by_purse is not None:
        here = stall.paid_here_by_purse.get(purse.number, ZERO)
    return here + elsewhere


def _decided(
    number: int,
    line: Line,
    reason: Reason | None,
    slots: Sequence[Slot],
    covered: Cover,
    entitlement: Entitlement,
    here: _Here,
) -> LineDecision:
    by_slot = tuple(
        Debit(slot.file, row[number]) for slot, row in zip(slots, covered.amounts, strict=True) if row[number] > 0
    )
    paid = total(share.amount for share in by_slot)
    if reason is None and paid < line.amount:
        reason = covered.reasons[number] or _why_no_slot(line, slots, entitlement, here)
    return LineDecision(line, paid, reason, by_slot)


def _why_no_slot(line: Line, slots: Sequence[Slot], entitlement: Entitlement, here: _Here) -> Reason:
    """Why no open purse of this card may pay a line that some purse may."""
    rules, stall = here.rules, here.stall
    is_open = [slot for slot in entitlement.slots if slot.is_open(stall.t_lo, stall.t_late)]
    known = [(slot, purse) for slot in entitlement.slots if (purse := rules.purse(slot.purse)) is not None]
    shut = [slot for slot, purse in known if why_not(line, purse, rules, here.merchant, here.days) is None]
    if any(slot.start > stall.t_late for slot in shut):
        return Reason.PURSE_NOT_OPEN_YET
    if shut:
        return Reason.PURSE_EMPTY if any(slot in is_open for slot in shut) else Reason.PURSE_LAPSED
    if any(rules.purse(slot.purse) is None for slot in is_open):
        return Reason.LISTS_TOO_OLD
    in_order = [purse for slot in slots if (purse := rules.purse(slot.purse)) is not None]
    for purse in (*in_order, *(purse for _, purse in known)):
        reason = why_not(line, purse, rules, here.merchant, here.days)
        if reason is not None:
            return reason
    return Reason.PURSE_EMPTY


def _bonus(
    lines: Sequence[LineDecision], slots: Sequence[Slot], carried: Carried, card_cap: Cents | None, here: _Here
) -> Bonus | None:
    campaigns = campaigns_on(here.rules, here.days)
    bases = [_base(campaign, lines, slots, here) for campaign in campaigns]
    if not here.days.is_one_month:
        return unsure_bonus(campaigns, bases)
    if not campaigns:
        return None
    return bonus_of(campaigns[0], bases[0], carried.month_base, card_cap)


def _base(campaign: Campaign, lines: Sequence[LineDecision], slots: Sequence[Slot], here: _Here) -> Cents:
    purses = {slot.file: purse for slot in slots if (purse := here.rules.purse(slot.purse)) is not None}
    paid = [(decided.line, decided.by_slot) for decided in lines if decided.by_slot]
    return base_of(campaign, paid, purses, here.rules, here.merchant, here.days)


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
        for slot in open_slots(entitlement, rules, stall.t_lo, stall.t_late)
        if slot.file in counters.values and rules.purse(slot.purse) is not None
    )


def _ceilings(rules: RuleSet, card: CardFacts, stall: StallFacts, carried: Carried) -> list[Bound]:
    """What holds for the whole payment."""
    bounds = []
    day_total = stall.paid_here_today if carried.day_total is None else carried.day_total
    usual, card_left = rules.ceilings, stall.card_left
    if not card.gives_proof:
        usual, card_left = ceilings_for_unproven(usual), left_for_unproven(card_left, stall.card_unreported)
    if usual.payment is not None:
        bounds.append(Bound(usual.payment, Reason.PAYMENT_CEILING))
    bounds.append(Bound(not_negative(usual.floor_limit - stall.paid_here_today), Reason.FLOOR_LIMIT))
    bounds.append(Bound(not_negative(usual.day_total - day_total), Reason.DAY_TOTAL))
    aged = day_total_by_age(usual, stall.lists_age_days)
    if aged is not None:
        bounds.append(Bound(not_negative(aged - day_total), Reason.LISTS_TOO_OLD))
    for left in (stall.terminal_left, card_left):
        if left is not None:
            bounds.append(Bound(not_negative(left), Reason.TERMINAL_LIMIT))
    return bounds


def day_total_by_age(ceilings: Ceilings, lists_age_days: int) -> Cents | None:
    """What old lists leave a card per day, in cents; ``None``: nothing beyond the usual ceilings; 0: balance only."""
    for tier in ceilings.tiers:
        if lists_age_days <= tier.max_age_days:
            return tier.day_total
    return ZERO


def _nothing(announced: Announcement, carried: Carried, reason: Reason) -> Decision:
    lines = tuple(LineDecision(line.line, ZERO, reason if line.paid > 0 else line.reason) for line in announced.lines)
    return Decision(lines=lines, debits=(), carried=carried, refusal=reason, limited_by=reason)


def _debits(slots: Sequence[Slot], covered: Cover) -> tuple[Debit, ...]:
    sums = [Debit(slot.file, total(row)) for slot, row in zip(slots, covered.amounts, strict=True)]
    return tuple(sorted((debit for debit in sums if debit.amount > 0), key=lambda debit: debit.file))
