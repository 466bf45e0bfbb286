"""A void at the stall, offline: the terminal that took a payment undoes it, in one card transaction of its own.

The card is given a log record of type void and, where a place is free, a slip: the terminal's signed word, on which
other offline terminals may count within the void allowance until the centre knows. Counters never move.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.card_log import LogRecord, LogType, carried_totals, time_to_write
from domain.decision import is_behind, is_genuine, totals_after_void
from domain.identity import CardId
from domain.money import Cents
from domain.purse import Counters, Entitlement
from domain.reason import Reason
from domain.slip import Slip, has_same_windows
from sync.card_format import (
    SLIP_PLACES,
    decode_log_record,
    encode_log_record,
    encode_slip,
)
from sync.errors import FormatError
from sync.record import Alarm, RecordType
from sync.tmac import parse
from terminal import bodies
from terminal.ports import CardContact, CardPlan, CardRef, Durable, Effect, Intent, PastPayment
from terminal.reading import Reading, claims_our_future, read_card, seen_of
from terminal.tap import keep_seen
from terminal.transaction import InDoubt, transact
from terminal.world import World, clocks_now, stamp_now


@dataclass(frozen=True, slots=True)
class Voided:
    """The payment is undone, and the record of it is on the medium."""

    durable: Durable


@dataclass(frozen=True, slots=True)
class OtherCard:
    """Nothing done: this is not the card that paid."""


@dataclass(frozen=True, slots=True)
class NotVoided:
    """Nothing done: the card cannot be trusted, or the payment is undone already."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class VoidInDoubt:
    """Commit was sent and nothing is known: an IN_DOUBT record is on the medium."""

    card: CardId
    amount: Cents
    durable: Durable


VoidResult = Voided | OtherCard | NotVoided | VoidInDoubt


def void(world: World, contact: CardContact, ref: CardRef, payment: PastPayment) -> VoidResult:
    """Undo a payment of this terminal on the card that made it; recovery of the card's doubts has been done.

    Raises:
        CardFault, ReaderFault: certainly nothing was changed.
        JournalFault: the till must stop; if the card was changed, the intent is durable and the next start ends it.
    """
    if ref.card != payment.card:
        return OtherCard()
    if world.journal.doubts(ref.card):
        return NotVoided(Reason.PAYMENT_IN_DOUBT)
    card, reading = read_card(world, contact, ref)
    if claims_our_future(world, reading):
        keep_seen(world, ref, reading, Alarm.OUR_FUTURE)
        return NotVoided(Reason.NOT_GENUINE)
    in_force = None if reading.entitlement is None else reading.entitlement.entitlement
    counters = Counters(reading.head.tmc, reading.values)
    is_doubtful = in_force is not None and not is_genuine(in_force, counters)
    seen = world.journal.counters_seen(ref.card)
    if is_doubtful or is_behind(counters, seen):
        return NotVoided(Reason.NOT_GENUINE)
    clocks = clocks_now(world)
    written_at = time_to_write(clocks.wall, reading.newest, clocks.t_lo, clocks.t_late)
    record = _log_record(world, reading, payment, written_at, clocks.t_lo)
    plan = CardPlan(
        debits=(),
        log_record=encode_log_record(record),
        entitlement=reading.entitlement.padded if reading.entitlement and reading.is_newer_than_cards else None,
        slip=_slip_place(world, ref, reading, payment, record, in_force),
        freed=reading.freed,
    )
    body = bodies.intended_void(ref, reading, record, in_force, plan, card.foretell(plan), payment, seen)
    back = None if payment.by_purse is None else {number: -cents for number, cents in payment.by_purse.items()}
    effect = Effect(ref.card, -payment.amount, payment.day, voids=payment.seq, by_purse=back)
    intent = Intent(reading.seq, effect, plan.log_record, body, stamp_now(world, clocks))
    after = seen_of(ref, reading, tmc=reading.head.tmc + 1)
    match transact(world, card, plan, intent, RecordType.VOID, after):
        case InDoubt(durable):
            return VoidInDoubt(ref.card, payment.amount, durable)
        case done:
            return Voided(done.durable)


def _log_record(
    world: World, reading: Reading, payment: PastPayment, written_at: datetime, t_lo: datetime
) -> LogRecord:
    rules, undone = world.lists.rules(), decode_log_record(payment.log_record)
    zone = ZoneInfo(rules.timezone)
    carried = carried_totals(reading.newest, t_lo, zone)
    totals = totals_after_void(reading.newest, undone, carried, zone, payment.base, written_at)
    number = 0 if reading.entitlement is None else reading.entitlement.entitlement.seq & 0xFFFF
    return LogRecord(
        type=LogType.VOID,
        station=world.identity.station,
        seq=reading.seq,
        tmc=reading.head.tmc + 1,
        minutes_at=written_at,
        rules_version=rules.version,
        entitlement_number=number,
        debits=undone.debits,
        month_base=totals.month_base,
        day_total=totals.day_total,
    )


def _slip_place(
    world: World,
    ref: CardRef,
    reading: Reading,
    payment: PastPayment,
    record: LogRecord,
    in_force: Entitlement | None,
) -> tuple[int, bytes] | None:
    """A free place and the slip for it; ``None`` where the void stays in the journal and the card's log alone."""
    free = [place for place in range(SLIP_PLACES) if place not in reading.head.slips or place in reading.freed]
    paid_under = _entitlement_of(world, ref, payment)
    if not free or in_force is None or paid_under is None:
        return None
    if not has_same_windows((part.file for part in record.debits), paid_under, in_force):
        return None
    slip = Slip(
        station=record.station,
        seq=record.seq,
        payment_seq=payment.seq,
        payment_tmc=decode_log_record(payment.log_record).tmc,
        tmc=record.tmc,
        entitlement=in_force.number,
        amounts=record.debits,
        minutes_at=record.minutes_at,
    )
    return free[0], encode_slip(slip, payment.card, world.signer.sign)


def _entitlement_of(world: World, ref: CardRef, payment: PastPayment) -> Entitlement | None:
    """What the payment was made under, from the bytes its proof is over."""
    try:
        return world.lists.read_entitlement(parse(payment.tmi).entitlement_in_force, ref.uid).entitlement
    except FormatError:
        return None
