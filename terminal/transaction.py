"""One card transaction, in the order that makes it safe: intent durable → Commit on the card → record durable.

A CardFault or ReaderFault raised from here means: certainly nothing was changed on the card. What may have been changed
comes back as InDoubt. A JournalFault stops the till; the intent is durable, and the next start ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.cbor import Map
from sync.record import Pay, RecordType
from terminal import bodies
from terminal.errors import CardFault, OutcomeUnknown, ReaderFault
from terminal.ports import CardPlan, CardSeen, CommitProof, Draft, Durable, Intent, PurseCard
from terminal.world import World, clocks_now, stamp_now


@dataclass(frozen=True, slots=True)
class Done:
    """The card has changed, and the record of it is on the medium."""

    durable: Durable


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Commit was sent and nothing is known: an IN_DOUBT record is on the medium."""

    durable: Durable


def transact(
    world: World, card: PurseCard, plan: CardPlan, intent: Intent, kind: RecordType, after: CardSeen
) -> Done | InDoubt:
    """Carry out ``plan`` on the card and keep a record of type ``kind`` of it; ``after``: its counters then."""
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
        return InDoubt(doubt_from(world, intent))
    if not _is_as_foretold(proof, intent.body):
        return InDoubt(doubt_from(world, intent))
    draft = Draft(
        type=kind,
        body=bodies.proven(intent.body, proof),
        stamp=intent.stamp,
        effect=intent.effect,
        must_be_seen=True,
        seen=after,
    )
    return Done(world.journal.append(draft, closes_intent=True))


def doubt_from(world: World, intent: Intent) -> Durable:
    """The IN_DOUBT record that takes the intent's number; nothing else may be appended before it."""
    return world.journal.append(
        Draft(RecordType.IN_DOUBT, intent.body, stamp_now(world, clocks_now(world)), must_be_seen=True),
        closes_intent=True,
    )


def _is_as_foretold(proof: CommitProof, intended: Map) -> bool:
    return (proof.tmc, proof.tmi) == (intended[Pay.TMC_EXPECTED], intended[Pay.TMI])
