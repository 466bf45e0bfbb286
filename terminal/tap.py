"""One tap: read the card, decide, debit it, and keep the record. Synchronous; the order of the steps is the safety.

A CardFault or ReaderFault raised from here means: certainly nothing was debited by this tap. What may have been debited
comes back as LeftInDoubt. A JournalFault stops the till; a failed assertion is a bug, and the program stops and
recovers from its journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from domain.basket import Basket
from domain.card_log import LogRecord, LogType, time_to_write
from domain.decision import Decision, StallFacts, decide, totals_after
from domain.identity import CardId
from domain.money import Cents
from domain.purse import by_purse
from domain.reason import Reason
from domain.rule_set import RuleSet
from sync.card_format import encode_log_record, encode_reader_id
from sync.record import Alarm, Outcome, RecordType
from terminal import bodies
from terminal.ports import CardContact, CardHead, CardPlan, CardRef, Doubt, Draft, Durable, Effect, Intent
from terminal.reading import Reading, claims_our_future, facts_of, read_card, seen_of
from terminal.recovery import outcome_of
from terminal.transaction import InDoubt, transact
from terminal.two_clocks import TwoClocks
from terminal.world import World, clocks_now, lists_age_days, stamp_now


@dataclass(frozen=True, slots=True)
class Debited:
    """The card paid, and the record of it is on the medium."""

    decision: Decision
    durable: Durable


@dataclass(frozen=True, slots=True)
class Declined:
    """Nothing debited, by rule; kept in the journal when the card is known."""

    reason: Reason
    card: CardId | None


@dataclass(frozen=True, slots=True)
class WouldPayLess:
    """Nothing debited: the card could pay only part of what was announced."""

    card: CardId
    decision: Decision


@dataclass(frozen=True, slots=True)
class LeftInDoubt:
    """Commit was sent and nothing is known: an IN_DOUBT record is on the medium."""

    card: CardId
    amount: Cents
    durable: Durable


TapResult = Debited | Declined | WouldPayLess | LeftInDoubt


@dataclass(frozen=True, slots=True)
class Solved:
    """A doubt that this tap ended."""

    doubt: Doubt
    outcome: Outcome
    durable: Durable


def recover(world: World, contact: CardContact, ref: CardRef) -> tuple[Solved, ...]:
    """End what this card can end: its doubts at this terminal, each durably. Debits nothing.

    Raises:
        CardFault, ReaderFault: nothing changed; the doubts stay.
    """
    doubts = world.journal.doubts(ref.card)
    if not doubts:
        return ()
    reader_id = encode_reader_id(world.identity.station, world.journal.head().seq + 1)
    head = contact.authenticate(ref).open(reader_id, all_logs=True)
    outcomes = [(doubt, outcome_of(doubt, head)) for doubt in doubts]
    return tuple(_solve(world, doubt, outcome, head) for doubt, outcome in outcomes if outcome is not None)


def _solve(world: World, doubt: Doubt, outcome: Outcome, head: CardHead) -> Solved:
    durable = world.journal.append(
        Draft(
            type=RecordType.RESOLUTION,
            body=bodies.resolution(doubt, outcome, head),
            stamp=stamp_now(world, clocks_now(world)),
            effect=doubt.effect if outcome is Outcome.CONFIRMED else None,
            resolves=doubt.seq,
            must_be_seen=True,
        )
    )
    return Solved(doubt, outcome, durable)


def look(world: World, contact: CardContact, ref: CardRef) -> Reading:
    """Read a card as a payment would, and debit nothing; what it shows is kept for the centre."""
    _card, reading = read_card(world, contact, ref)
    keep_seen(world, ref, reading)
    return reading


def keep_seen(world: World, ref: CardRef, reading: Reading, alarm: Alarm = Alarm.NONE) -> None:
    """A CARD_SEEN record: the card is a courier of its proof, its newest log record and its slips.

    Its counters are not remembered: a false card that is only looked at could shut the true one out of this stall.
    """
    body = bodies.seen(ref.card, reading.head, reading.values, alarm)
    world.journal.append(Draft(RecordType.CARD_SEEN, body, stamp_now(world, clocks_now(world))))


def pay(world: World, contact: CardContact, ref: CardRef, basket: Basket, agreed: Cents) -> TapResult:
    """Take payment for a basket; recovery of the card's doubts has been done.

    Args:
        agreed: cents that were shown and nobody objected to: the whole announced sum, or what a split said.

    Raises:
        CardFault, ReaderFault: certainly nothing was debited.
        JournalFault: the till must stop; if the card was debited, the intent is durable and the next start ends it.
    """
    card, reading = read_card(world, contact, ref)
    if claims_our_future(world, reading):
        keep_seen(world, ref, reading, Alarm.OUR_FUTURE)
        return Declined(Reason.NOT_GENUINE, ref.card)
    clocks = clocks_now(world)
    rules, merchant = world.lists.rules(), world.lists.merchant()
    written_at = time_to_write(clocks.wall, reading.newest, clocks.t_lo, clocks.t_late)
    facts, stall = facts_of(world, ref, reading, clocks), _stall(world, ref, clocks, written_at, rules)
    decision = decide(basket, rules, merchant, facts, stall)
    if decision.refusal is not None:
        return _decline(world, ref, basket, decision, reading, clocks)
    if decision.paid != agreed:
        keep_seen(world, ref, reading)
        return WouldPayLess(ref.card, decision)
    assert facts.entitlement is not None  # without one there is a refusal
    plan = _plan(world, decision, reading, written_at, rules)
    terms = bodies.Terms(rules, merchant, facts, stall, world.identity.caps_version)
    body = bodies.intended_payment(ref, reading, decision, plan, card.foretell(plan), terms)
    purses = by_purse(decision.debits, facts.entitlement)
    effect = Effect(ref.card, decision.paid, day_of(written_at, rules), by_purse=purses)
    intent = Intent(reading.seq, effect, plan.log_record, body, stamp_now(world, clocks))
    after = seen_of(ref, reading, plan.debits, reading.head.tmc + 1)
    match transact(world, card, plan, intent, RecordType.PAYMENT, after):
        case InDoubt(durable):
            return LeftInDoubt(ref.card, decision.paid, durable)
        case done:
            return Debited(decision, done.durable)


def day_of(instant: datetime, rules: RuleSet) -> date:
    """The day of the programme's time zone an instant lies in."""
    return instant.astimezone(ZoneInfo(rules.timezone)).date()


def _stall(world: World, ref: CardRef, clocks: TwoClocks, written_at: datetime, rules: RuleSet) -> StallFacts:
    day = day_of(written_at, rules)
    in_all, of_card = world.journal.unreported(), world.journal.unreported_of(ref.card)
    return StallFacts(
        t_lo=clocks.t_lo,
        t_late=clocks.t_late,
        lists_age_days=lists_age_days(world, clocks),
        paid_here_today=world.journal.paid_on(ref.card, day),
        paid_here_by_purse=world.journal.paid_by_purse_on(ref.card, day),
        terminal_left=_left_of(world.identity.offline_cap, in_all),
        card_left=_left_of(world.identity.card_cap, of_card),
        terminal_unreported=in_all,
        card_unreported=of_card,
    )


def _left_of(cap: Cents | None, unreported: Cents) -> Cents | None:
    """What the certificate still lets this terminal take before the centre has heard of what it took."""
    return None if cap is None else cap - unreported


def _plan(world: World, decision: Decision, reading: Reading, written_at: datetime, rules: RuleSet) -> CardPlan:
    assert reading.entitlement is not None
    totals = totals_after(decision)
    record = LogRecord(
        type=LogType.PAYMENT,
        station=world.identity.station,
        seq=reading.seq,
        tmc=reading.head.tmc + 1,
        minutes_at=written_at,
        rules_version=rules.version,
        entitlement_number=reading.entitlement.entitlement.seq & 0xFFFF,
        debits=decision.debits,
        month_base=totals.month_base,
        day_total=totals.day_total,
    )
    newer = reading.entitlement.padded if reading.is_newer_than_cards else None
    return CardPlan(decision.debits, encode_log_record(record), newer, freed=reading.freed)


def _decline(
    world: World, ref: CardRef, basket: Basket, decision: Decision, reading: Reading, clocks: TwoClocks
) -> Declined:
    assert decision.refusal is not None
    body = bodies.refusal(ref.card, decision.refusal, basket.price, decision.paid, reading.head, reading.values)
    world.journal.append(Draft(RecordType.REFUSAL, body, stamp_now(world, clocks)))
    return Declined(decision.refusal, ref.card)
