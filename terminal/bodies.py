"""Bodies of the records a till writes: plain maps with the keys of sync/record.py."""

from __future__ import annotations

from collections.abc import Mapping

from domain.decision import Decision, LineDecision, StallFacts
from domain.identity import CardId, SlotFile
from domain.money import Cents
from domain.purse import Entitlement
from domain.reason import Reason
from sync.cbor import Map, Value
from sync.record import BODY_VERSION, Outcome, Pay, Refuse, Resolve
from terminal.ports import CardHead, CardRef, CommitProof, DebitPlan, Doubt


def intended_payment(
    ref: CardRef,
    head: CardHead,
    values: Mapping[SlotFile, Cents],
    decision: Decision,
    entitlement: Entitlement,
    plan: DebitPlan,
    tmi: bytes,
    stall: StallFacts,
    merchant_version: int,
) -> Map:
    """Body of a payment before the card's proof."""
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
        Pay.VALUES: _pairs(values),
        Pay.DEBITS: [[int(debit.file), int(debit.amount)] for debit in plan.debits],
        Pay.ENTITLEMENT: [entitlement.epoch, entitlement.seq],
        Pay.ENTITLEMENT_WRITTEN: plan.entitlement is not None,
        Pay.LINES: [_line(line) for line in decision.lines],
        Pay.REST: int(decision.rest),
        Pay.CAMPAIGN: "none",
        Pay.MERCHANT_VERSION: merchant_version,
        Pay.LISTS_AGE_DAYS: stall.lists_age_days,
        Pay.PAID_HERE_TODAY: int(stall.paid_here_today),
    }


def proven_payment(intended: Map, proof: CommitProof) -> Map:
    """Body of a PAYMENT: what was intended, and the card's proof of it."""
    return {**intended, Pay.TMC: proof.tmc, Pay.TMV: proof.tmv}


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
    }


def _line(decided: LineDecision) -> list[Value]:
    line = decided.line
    reason = decided.reason.value if decided.reason else 0
    return [line.family, int(line.amount), int(line.family_typed), int(decided.paid), reason]


def _pairs(values: Mapping[SlotFile, Cents]) -> list[Value]:
    return [[int(file), int(values[file])] for file in sorted(values)]
