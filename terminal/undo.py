"""The dialogue of a void at the till: the card that paid is awaited, and whatever it does is answered."""

from __future__ import annotations

from dataclasses import dataclass

from domain.reason import Reason
from sync.record import Outcome
from terminal import events as say
from terminal.errors import CardFault, NotOurCard, ReaderFault, TooManyCards, WrongKey
from terminal.ports import Durable, Presence, Signal
from terminal.standing import AwaitingVoid, Idle, Standing, ToBeSeen, VerifyingVoid
from terminal.tap import Solved, recover
from terminal.void import NotVoided, OtherCard, Voided, VoidInDoubt, VoidResult, void
from terminal.words import Outwards, reader_words, told
from terminal.world import World, met

Waiting = AwaitingVoid | VerifyingVoid


@dataclass(frozen=True, slots=True)
class Undone:
    """What the till waits for now, what it says, and the light and sound that go with it."""

    standing: Standing
    said: Outwards
    signal: Signal | None = None


def undo(world: World, presence: Presence, waiting: Waiting) -> Undone:
    """Undo the payment with the card that lies there; after a void in doubt the card first says whether it was done.

    Raises:
        JournalFault: the till must stop.
    """
    notes: Outwards = ()
    try:
        with met(world, presence) as (contact, ref):
            if isinstance(ref, Reason):
                return _other_card(waiting)
            solved = recover(world, contact, ref)
            ours, notes = _sorted(solved, waiting)
            if ours is not None and ours.outcome is Outcome.CONFIRMED:
                return _with(notes, _done(waiting, ours.durable))
            if isinstance(waiting, VerifyingVoid) and ours is None:
                is_same = ref.card == waiting.payment.card
                return _with(notes, left_unknown(waiting) if is_same else _other_card(waiting))
            result = void(world, contact, ref, waiting.payment)
    except (CardFault, ReaderFault) as fault:
        return _with(notes, _interrupted(waiting, fault))
    return _with(notes, _after(waiting, result))


def left_unknown(waiting: VerifyingVoid) -> Undone:
    """The holder has gone, or the card's log no longer tells: the centre will."""
    said = say.InVerification(waiting.sale, waiting.payment.amount, is_guaranteed=False, is_void=True)
    return Undone(ToBeSeen(waiting.seq), (said,))


def _sorted(solved: tuple[Solved, ...], waiting: Waiting) -> tuple[Solved | None, Outwards]:
    """The doubt about this very void, and notes about the others."""
    ours = next((item for item in solved if item.doubt.effect.voids == waiting.payment.seq), None)
    return ours, told(item for item in solved if item is not ours)


def _with(notes: Outwards, undone: Undone) -> Undone:
    return Undone(undone.standing, (*notes, *undone.said), undone.signal)


def _after(waiting: Waiting, result: VoidResult) -> Undone:
    sale, payment = waiting.sale, waiting.payment
    match result:
        case Voided(durable):
            return _done(waiting, durable)
        case OtherCard():
            return _other_card(waiting)
        case NotVoided(reason):
            return Undone(Idle(), (say.NotVoided(sale, payment.amount, reason),))
        case VoidInDoubt(_, amount, durable):
            said = say.PutSameBack(sale, amount, is_void=True)
            return Undone(VerifyingVoid(sale, payment, durable.seq), (said,), Signal.ATTENTION)


def _done(waiting: Waiting, durable: Durable) -> Undone:
    return Undone(Idle(), (say.Voided(waiting.sale, waiting.payment.amount, durable),), Signal.PAID)


def _other_card(waiting: Waiting) -> Undone:
    payment = waiting.payment
    if isinstance(waiting, VerifyingVoid):
        return Undone(waiting, (say.PutSameBack(waiting.sale, payment.amount, is_void=True),))
    said = say.PresentToVoid(waiting.sale, payment.amount, payment.at, payment.seq, is_other_card=True)
    return Undone(waiting, (said,))


def _interrupted(waiting: Waiting, fault: CardFault | ReaderFault) -> Undone:
    """Nothing was changed by this tap."""
    match fault:
        case ReaderFault():
            return Undone(waiting, reader_words(fault))
        case TooManyCards():
            return Undone(waiting, (say.OneCardOnly(waiting.sale),))
        case WrongKey() | NotOurCard():
            return _other_card(waiting)
    said: say.Outward = say.PutBack(waiting.sale)
    if isinstance(waiting, VerifyingVoid):
        said = say.PutSameBack(waiting.sale, waiting.payment.amount, is_void=True)
    return Undone(waiting, (said,), Signal.ATTENTION)
