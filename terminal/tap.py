"""One tap: read the card, decide, debit it, and keep the record. Synchronous; the order of the steps is the safety.

    intent durable → Commit on the card → record durable → only then a ``Paid`` exists

A CardFault or ReaderFault raised from here means: certainly nothing was debited by this tap. What may have been debited
comes back as LeftInDoubt. A JournalFault stops the till; a failed assertion is a bug, and the program stops and
recovers from its journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.basket import Basket
from domain.card_log import LogRecord, LogType, time_to_write
from domain.decision import CardFacts, Decision, StallFacts, announce, decide, totals_after
from domain.identity import CardId, SlotFile, Uid
from domain.money import Cents
from domain.purse import Counters, slots_to_read
from domain.reason import Reason
from domain.rule_set import Merchant, RuleSet
from sync.card_format import (
    SignedEntitlement,
    decode_log_record,
    encode_log_record,
    encode_reader_id,
)
from sync.cbor import Map
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from sync.record import Outcome, Pay, RecordType
from terminal import bodies
from terminal.errors import CardFault, OutcomeUnknown, ReaderFault
from terminal.ports import (
    CardContact,
    CardHead,
    CardRef,
    Clock,
    CommitProof,
    DebitPlan,
    Doubt,
    Draft,
    Durable,
    Effect,
    Intent,
    Journal,
    Lists,
    Presence,
    PurseCard,
    Readers,
    Stamp,
    TerminalIdentity,
    TimeKeeper,
)
from terminal.recovery import outcome_of
from terminal.two_clocks import TwoClocks, two_clocks

TAP_BUDGET_S = 2.0


@dataclass(frozen=True, slots=True)
class World:
    """Every port one till works with."""

    identity: TerminalIdentity
    clock: Clock
    times: TimeKeeper
    readers: Readers
    journal: Journal
    lists: Lists
    has_working_rtc: bool = True


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


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The card remembers a record of this station that the journal does not: its medium was rolled back or cloned."""


TapResult = Debited | Declined | WouldPayLess | LeftInDoubt | RolledBack


@dataclass(frozen=True, slots=True)
class Solved:
    """A doubt that this tap ended."""

    doubt: Doubt
    outcome: Outcome
    durable: Durable


@dataclass(frozen=True, slots=True)
class Reading:
    """All a tap has read before it decides."""

    head: CardHead
    newest: LogRecord | None
    entitlement: SignedEntitlement | None
    is_newer_than_cards: bool
    no_entitlement: Reason | None
    values: Mapping[SlotFile, Cents]


def clocks_now(world: World) -> TwoClocks:
    """The two clocks now."""
    return two_clocks(world.times.anchor(), world.clock.now(), has_working_rtc=world.has_working_rtc)


def stamp_now(world: World, clocks: TwoClocks) -> Stamp:
    """Time and versions for a record written now."""
    state = world.lists.state()
    return Stamp(world.clock.now(), clocks.t_lo, clocks.t_late, state.rules_version, state.hot_list_version)


def lists_age_days(world: World, clocks: TwoClocks) -> int:
    """Whole days since the lists were signed, by the latest time."""
    return max((clocks.t_late - world.lists.state().signed_at).days, 0)


@contextmanager
def met(world: World, presence: Presence) -> Iterator[tuple[CardContact, CardRef | Reason]]:
    """The card that lies there, and who it is in the key list (or why it cannot pay here), for one tap.

    Raises:
        CardFault, ReaderFault: it cannot be reached.
    """
    contact = world.readers.connect(presence, world.clock.deadline(TAP_BUDGET_S))
    try:
        yield contact, known_card(world, contact.uid)
    finally:
        contact.close()


def known_card(world: World, uid: Uid) -> CardRef | Reason:
    """The card of the key list with this chip, or why it cannot pay here."""
    ref = world.lists.card(uid)
    if ref is None:
        return Reason.CARD_UNKNOWN
    return ref if ref.programme == world.identity.programme else Reason.OTHER_PROGRAMME


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


def look(world: World, contact: CardContact, ref: CardRef) -> Reading:
    """Read a card as a payment would, and debit nothing."""
    card = contact.authenticate(ref)
    head = card.open(encode_reader_id(world.identity.station, world.journal.head().seq + 1), all_logs=False)
    return _read_on(world, card, ref, head, _newest(head))


def _solve(world: World, doubt: Doubt, outcome: Outcome, head: CardHead) -> Solved:
    confirmed = outcome is Outcome.CONFIRMED
    durable = world.journal.append(
        Draft(
            type=RecordType.RESOLUTION,
            body=bodies.resolution(doubt, outcome, head),
            stamp=stamp_now(world, clocks_now(world)),
            effect=Effect(doubt.card, doubt.amount, doubt.day) if confirmed else None,
            resolves=doubt.seq,
            must_be_seen=True,
        )
    )
    return Solved(doubt, outcome, durable)


def pay(world: World, contact: CardContact, ref: CardRef, basket: Basket, accepted: Cents | None = None) -> TapResult:
    """Take payment for a basket; recovery of the card's doubts has been done.

    Args:
        accepted: cents the holder agreed to after a split; ``None``: only the whole announced sum is debited.

    Raises:
        CardFault, ReaderFault: certainly nothing was debited.
        JournalFault: the till must stop; if the card was debited, the intent is durable and the next start ends it.
    """
    card = contact.authenticate(ref)
    seq = world.journal.head().seq + 1
    head = card.open(encode_reader_id(world.identity.station, seq), all_logs=False)
    newest = _newest(head)
    if newest is not None and newest.station == world.identity.station and newest.seq >= seq:
        return RolledBack()
    reading = _read_on(world, card, ref, head, newest)
    clocks = clocks_now(world)
    rules, merchant = world.lists.rules(), world.lists.merchant()
    written_at = time_to_write(clocks.wall, newest, clocks.t_lo, clocks.t_late)
    stall = _stall(world, ref, clocks, written_at, rules)
    decision = _decide(world, ref, reading, basket, rules, merchant, stall)
    if decision.refusal is not None:
        return _decline(world, ref, basket, decision, reading, clocks)
    asked = announce(basket, rules, merchant).asked
    if decision.paid != (asked if accepted is None else accepted):
        return WouldPayLess(ref.card, decision)
    assert reading.entitlement is not None  # without one there is a refusal
    plan = _plan(world, decision, reading, written_at, seq, rules)
    body = bodies.intended_payment(
        ref,
        head,
        reading.values,
        decision,
        reading.entitlement.entitlement,
        plan,
        card.foretell(plan),
        stall,
        merchant.version,
    )
    day = written_at.astimezone(ZoneInfo(rules.timezone)).date()
    intent = Intent(seq, ref.card, decision.paid, day, plan.log_record, body, stamp_now(world, clocks))
    return _debit(world, card, plan, intent, decision)


def _debit(world: World, card: PurseCard, plan: DebitPlan, intent: Intent, decision: Decision) -> TapResult:
    pending = world.journal.open_intent(intent)
    try:
        card.stage(plan)
    except (CardFault, ReaderFault):
        pending.wait()
        world.journal.drop_intent()
        raise
    pending.wait()
    try:
        proof = card.commit()
    except (OutcomeUnknown, CardFault, ReaderFault):
        return _keep_doubt(world, intent)
    if not _is_as_foretold(proof, intent.body):
        return _keep_doubt(world, intent)
    durable = world.journal.append(
        Draft(
            type=RecordType.PAYMENT,
            body=bodies.proven_payment(intent.body, proof),
            stamp=intent.stamp,
            effect=Effect(intent.card, intent.amount, intent.day),
            must_be_seen=True,
        ),
        closes_intent=True,
    )
    return Debited(decision, durable)


def _is_as_foretold(proof: CommitProof, intended: Map) -> bool:
    return (proof.tmc, proof.tmi) == (intended[Pay.TMC_EXPECTED], intended[Pay.TMI])


def _keep_doubt(world: World, intent: Intent) -> LeftInDoubt:
    return LeftInDoubt(intent.card, intent.amount, doubt_from(world, intent))


def doubt_from(world: World, intent: Intent) -> Durable:
    """The IN_DOUBT record that takes the intent's number; nothing else may be appended before it."""
    return world.journal.append(
        Draft(RecordType.IN_DOUBT, intent.body, stamp_now(world, clocks_now(world)), must_be_seen=True),
        closes_intent=True,
    )


def _newest(head: CardHead) -> LogRecord | None:
    try:
        return decode_log_record(head.logs[0]) if head.logs else None
    except FormatError:
        return None


def _read_on(world: World, card: PurseCard, ref: CardRef, head: CardHead, newest: LogRecord | None) -> Reading:
    from_card, why_not = _cards_entitlement(world, ref, head)
    cached = world.lists.entitlement(ref.card)
    best = max(
        (item for item in (from_card, cached) if item is not None),
        key=lambda item: item.entitlement.number,
        default=None,
    )
    values: Mapping[SlotFile, Cents] = {}
    if best is not None:
        world.times.raise_t_lo(best.entitlement.issued_at)
        clocks = clocks_now(world)
        values = card.values(slots_to_read(best.entitlement, clocks.t_lo, clocks.t_late))
    is_newer = best is not None and (from_card is None or best.entitlement.number > from_card.entitlement.number)
    return Reading(head, newest, best, is_newer, why_not, values)


def _cards_entitlement(world: World, ref: CardRef, head: CardHead) -> tuple[SignedEntitlement | None, Reason | None]:
    try:
        signed = world.lists.read_entitlement(head.entitlement, ref.uid)
    except UnknownVersion:
        return None, Reason.ENTITLEMENT_VERSION_UNKNOWN
    except BadSignature:
        return None, Reason.ENTITLEMENT_UNREADABLE
    except Malformed:
        return None, Reason.ENTITLEMENT_UNREADABLE if any(head.entitlement) else Reason.ENTITLEMENT_MISSING
    if signed.entitlement.card != ref.card:
        return None, Reason.ENTITLEMENT_UNREADABLE
    return signed, None


def _stall(world: World, ref: CardRef, clocks: TwoClocks, written_at: datetime, rules: RuleSet) -> StallFacts:
    day = written_at.astimezone(ZoneInfo(rules.timezone)).date()
    return StallFacts(
        t_lo=clocks.t_lo,
        t_late=clocks.t_late,
        lists_age_days=lists_age_days(world, clocks),
        paid_here_today=world.journal.paid_on(ref.card, day),
        terminal_left=_terminal_left(world),
    )


def _terminal_left(world: World) -> Cents | None:
    """What the certificate still lets this terminal take before the centre has heard of it."""
    cap = world.identity.offline_cap
    return None if cap is None else cap - world.journal.unreported()


def _decide(
    world: World,
    ref: CardRef,
    reading: Reading,
    basket: Basket,
    rules: RuleSet,
    merchant: Merchant,
    stall: StallFacts,
) -> Decision:
    facts = CardFacts(
        card=ref.card,
        expires_at=ref.expires_at,
        is_on_hot_list=world.lists.is_on_hot_list(ref.card),
        entitlement=reading.entitlement.entitlement if reading.entitlement else None,
        counters=Counters(reading.head.tmc, reading.values),
        newest=reading.newest,
        is_in_doubt=bool(world.journal.doubts(ref.card)),
        no_entitlement=reading.no_entitlement or Reason.ENTITLEMENT_MISSING,
    )
    return decide(basket, rules, merchant, facts, stall)


def _plan(
    world: World, decision: Decision, reading: Reading, written_at: datetime, seq: int, rules: RuleSet
) -> DebitPlan:
    assert reading.entitlement is not None
    totals = totals_after(decision)
    record = LogRecord(
        type=LogType.PAYMENT,
        station=world.identity.station,
        seq=seq,
        tmc=reading.head.tmc + 1,
        minutes_at=written_at,
        rules_version=rules.version,
        entitlement_number=reading.entitlement.entitlement.seq & 0xFFFF,
        debits=decision.debits,
        month_base=totals.month_base,
        day_total=totals.day_total,
    )
    newer = reading.entitlement.padded if reading.is_newer_than_cards else None
    return DebitPlan(decision.debits, encode_log_record(record), newer)


def _decline(
    world: World, ref: CardRef, basket: Basket, decision: Decision, reading: Reading, clocks: TwoClocks
) -> Declined:
    assert decision.refusal is not None
    body = bodies.refusal(ref.card, decision.refusal, basket.price, decision.paid, reading.head, reading.values)
    world.journal.append(Draft(RecordType.REFUSAL, body, stamp_now(world, clocks)))
    return Declined(decision.refusal, ref.card)
