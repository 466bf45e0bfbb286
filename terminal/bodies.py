"""Bodies of the records a till writes: plain maps with the keys of sync/record.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.card_log import Debit, LogRecord
from domain.decision import CardFacts, Decision, StallFacts
from domain.identity import CardId, PurseNumber, SlotFile
from domain.money import ZERO, Cents
from domain.purse import Counters, Entitlement
from domain.reason import Reason
from domain.rule_set import Merchant, RuleSet
from sync.card_format import decode_log_record
from sync.cbor import Map, Value
from sync.ntag_format import gives_proof
from sync.record import BODY_VERSION, Alarm, Check, Outcome, Pay, Refuse, Resolve, Seen
from sync.replay import claims_of, lines_of, shares_of, unit_prices_of
from terminal.ports import CardHead, CardPlan, CardRef, CommitProof, Doubt, PastPayment
from terminal.reading import Reading


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what a payment was decided: rules, the merchant's entry, and what the till knew of the card and of itself.

    Attributes:
        caps_version: of the caps its certificate names.
    """

    rules: RuleSet
    merchant: Merchant
    card: CardFacts
    stall: StallFacts
    caps_version: int


def intended_payment(
    ref: CardRef, reading: Reading, decision: Decision, plan: CardPlan, tmi: bytes, terms: Terms
) -> Map:
    """Body of a payment before the card's proof."""
    entitlement, stall, merchant = terms.card.entitlement, terms.stall, terms.merchant
    assert entitlement is not None  # without one there is a refusal
    lines = [decided.line for decided in decision.lines]
    return {
        **_transaction(ref, reading, plan, tmi),
        Pay.CHECKS: [*_checks(reading, terms.card.seen, {Check.EXPIRY, Check.HOT_LIST})],
        Pay.DEBITS: _amounts(plan.debits),
        Pay.ENTITLEMENT: [entitlement.epoch, entitlement.seq],
        Pay.LINES: lines_of(decision),
        Pay.SHARES: shares_of(decision),
        Pay.REST: int(decision.rest),
        Pay.CAMPAIGN: decision.bonus.campaign if decision.bonus else "none",
        Pay.BONUS: _bonus(decision),
        Pay.MERCHANT_VERSION: merchant.version,
        Pay.LISTS_AGE_DAYS: stall.lists_age_days,
        Pay.PAID_HERE_TODAY: int(stall.paid_here_today),
        Pay.PURSES_TODAY: None if stall.paid_here_by_purse is None else _pairs(stall.paid_here_by_purse),
        Pay.TILL_LEFT: [_or_null(stall.terminal_left), _or_null(stall.card_left)],
        Pay.TILL_BEFORE: [int(stall.terminal_unreported), int(stall.card_unreported)],
        Pay.CAPS_VERSION: terms.caps_version,
        Pay.PRODUCT_LISTS: [],
        Pay.POINT_OF_SALE: merchant.point_of_sale,
        **claims_of(lines, terms.rules.product_lists),
        **unit_prices_of(lines),
        Pay.SLIPS_COUNTED: [[int(slip.station), slip.seq] for slip in decision.slips],
    }


def intended_void(
    ref: CardRef,
    reading: Reading,
    record: LogRecord,
    entitlement: Entitlement | None,
    plan: CardPlan,
    tmi: bytes,
    payment: PastPayment,
    seen: Counters | None,
) -> Map:
    """Body of a void before the card's proof; ``record`` is its log record, ``seen`` what the till had seen before."""
    return {
        **_transaction(ref, reading, plan, tmi),
        Pay.CHECKS: [*_checks(reading, seen)],
        Pay.DEBITS: _amounts(record.debits),
        Pay.ENTITLEMENT: [0, 0] if entitlement is None else [entitlement.epoch, entitlement.seq],
        Pay.PAYMENT_SEQ: payment.seq,
        Pay.PAYMENT_TMC: decode_log_record(payment.log_record).tmc,
    }


def bonus_shown(body: Map) -> tuple[Cents | None, bool]:
    """What a payment's body says of its bonus: cents, or ``None``; and whether it is still to be confirmed."""
    match body.get(Pay.BONUS):
        case [_, _, int() as earned, _]:
            return Cents(earned), False
    return None, body.get(Pay.CAMPAIGN, "none") != "none"


def base_of(body: Map) -> Cents | None:
    """Cents a payment added to the month's base; ``None`` where that is unknown."""
    match body.get(Pay.BONUS):
        case [int() as base, *_]:
            return Cents(base)
    return None if bonus_shown(body)[1] else ZERO


def proven(intended: Map, proof: CommitProof) -> Map:
    """Body of a PAYMENT or VOID: what was intended, and the card's proof of it."""
    return {**intended, Pay.TMC: proof.tmc, Pay.TMV: proof.tmv}


def seen(card: CardId, head: CardHead, values: Mapping[SlotFile, Cents], alarm: Alarm) -> Map:
    """Body of a CARD_SEEN: nothing was changed; what was read travels along."""
    return {
        Seen.VERSION: BODY_VERSION,
        Seen.CARD: card,
        Seen.TMC_READ: head.tmc,
        Seen.TMV_READ: head.tmv,
        Seen.LOGS: list(head.logs),
        Seen.VALUES: _pairs(values),
        Seen.SLIPS: _slips(head),
        Seen.ALARM: alarm.value,
    }


def _transaction(ref: CardRef, reading: Reading, plan: CardPlan, tmi: bytes) -> Map:
    head = reading.head
    return {
        Pay.VERSION: BODY_VERSION,
        Pay.CARD: ref.card,
        Pay.UID: ref.uid,
        Pay.TMC_EXPECTED: head.tmc + 1,
        Pay.TMI: tmi,
        Pay.TMC_BEFORE: head.tmc,
        Pay.TMV_BEFORE: head.tmv,
        Pay.NEWEST_LOG: head.logs[0] if head.logs else None,
        Pay.OWN_LOG: plan.log_record,
        Pay.VALUES: _pairs(reading.values),
        Pay.ENTITLEMENT_WRITTEN: plan.entitlement is not None,
        **({} if gives_proof(ref.aid) else {Pay.PROOF: 0}),
    }


def _checks(reading: Reading, seen: Counters | None, more: Iterable[Check] = ()) -> list[int]:
    """What was checked of a card that came as far as a plan, as far as there was something to check."""
    made = {Check.CARD_KEY, Check.CARD_LIST, *more}
    if reading.entitlement is not None:
        made |= {Check.ENTITLEMENT, Check.COUNTERS}
    if seen is not None:
        made.add(Check.SEEN_HERE)
    if reading.newest is not None:
        made.add(Check.LOG)
    if reading.head.slips and len(reading.slips) == len(reading.head.slips):
        made.add(Check.SLIPS)
    return sorted(map(int, made))


def resolution(doubt: Doubt, outcome: Outcome, head: CardHead) -> Map:
    """Body of a RESOLUTION, with what the card showed."""
    return {
        Resolve.VERSION: BODY_VERSION,
        Resolve.DOUBT_SEQ: doubt.seq,
        Resolve.OUTCOME: outcome.value,
        Resolve.CARD: doubt.card,
        Resolve.TMC_READ: head.tmc,
        Resolve.TMV_READ: head.tmv,
        Resolve.LOGS: list(head.logs),
        Resolve.AMOUNT: int(doubt.amount),
        Resolve.SLIPS: _slips(head),
        Resolve.IS_VOID: int(doubt.is_void),
    }


def refusal(
    card: CardId | None,
    reason: Reason,
    price: Cents,
    payable: Cents,
    head: CardHead | None = None,
    values: Mapping[SlotFile, Cents] | None = None,
) -> Map:
    """Body of a REFUSAL: nothing was debited; what was read travels along (the card is a courier)."""
    return {
        Refuse.VERSION: BODY_VERSION,
        Refuse.CARD: card,
        Refuse.REASON: reason.value,
        Refuse.PRICE: int(price),
        Refuse.PAYABLE: int(payable),
        Refuse.TMC_READ: head.tmc if head else None,
        Refuse.TMV_READ: head.tmv if head else None,
        Refuse.NEWEST_LOG: head.logs[0] if head and head.logs else None,
        Refuse.VALUES: _pairs(values or {}),
        Refuse.SLIPS: _slips(head) if head else [],
    }


def _bonus(decision: Decision) -> list[Value]:
    before, bonus = decision.carried.month_base, decision.bonus
    shown = (None, None) if bonus is None else (bonus.base, bonus.earned)
    return [_or_null(shown[0]), _or_null(before), _or_null(shown[1]), _or_null(decision.bonus_cap)]


def _or_null(amount: Cents | None) -> int | None:
    return None if amount is None else int(amount)


def _amounts(parts: Iterable[Debit]) -> list[Value]:
    return [[int(part.file), int(part.amount)] for part in parts]


def _slips(head: CardHead) -> list[Value]:
    return [head.slips[place] for place in sorted(head.slips)]


def _pairs(sums: Mapping[SlotFile, Cents] | Mapping[PurseNumber, Cents]) -> list[Value]:
    return [[int(number), int(cents)] for number, cents in sorted(sums.items())]
