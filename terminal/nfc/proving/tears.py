"""Pulling the card by hand: whatever the moment, a transaction is done as a whole or not at all.

The card pays cent after cent until it is pulled; laid down again, it must stand where it stood before the transaction
that was torn, or where that transaction would have brought it, in every file alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from terminal.errors import CardFault, NotOurCard, ReaderFault
from terminal.nfc.apdu import CardRefuses, Ins
from terminal.nfc.desfire_purse import ENTITLEMENT_FILE, LOG_FILE
from terminal.nfc.links import Link
from terminal.nfc.proving.card_in_hand import CardInHand, CardProof, noting, place, read_proof
from terminal.nfc.proving.facts import PLACE_B
from terminal.nfc.proving.outcome import Proof, Verdict, proof
from terminal.nfc.proving.transaction import RECORD_B, Transaction
from terminal.ports import Clock

_SLOTS: Final = (1, 2)
_VALUE_B: Final = 4


class Hand(Protocol):
    """The person at the reader."""

    def pull_when_you_like(self) -> None:
        """Tell that the card may be pulled now."""
        ...

    def lay_again(self) -> Link:
        """Have the card laid down again; a link to it."""
        ...


class Moment(Enum):
    """When the card left, and what it did of the transaction that was torn."""

    BEFORE_COMMIT = "before Commit"
    AT_COMMIT_DONE = "at Commit, done"
    AT_COMMIT_NOT_DONE = "at Commit, not done"
    HALF_DONE = "half done, or without its proof"


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything a transaction changes, as one value: counters and proof, slots, newest record, entitlement place."""

    proof: CardProof
    values: tuple[int, ...]
    record: bytes
    place: bytes


@dataclass(slots=True)
class _Torn:
    """The transaction under way when the card left."""

    before: Whole
    transaction: Transaction | None = None
    record: bytes = b""
    place: bytes = b""
    is_commit_sent: bool = False


def tears(card: CardInHand, hand: Hand, clock: Clock, pulls: int) -> Iterator[Proof]:
    """``pulls`` pulls by hand, and what they say together.

    Raises: NotOurCard when another card is laid down.
    """
    moments = []
    for number in range(1, pulls + 1):
        hand.pull_when_you_like()
        torn = _pay_until_pulled(card)
        _take_again(card, hand.lay_again(), clock)
        moments.append(_moment(torn, _whole(card)))
        yield proof(f"pull_{number}", moments[-1] is not Moment.HALF_DONE, moments[-1].value)
    at_commit = sum(moment is not Moment.BEFORE_COMMIT for moment in moments)
    measured = f"{pulls} pulls, {at_commit} at Commit, {moments.count(Moment.HALF_DONE)} half done"
    if not at_commit:
        yield Proof("tears_at_commit", Verdict.NOT_TRIED, measured)
    else:
        yield proof("tears_at_commit", Moment.HALF_DONE not in moments, measured)


def _pay_until_pulled(card: CardInHand) -> _Torn:
    torn = _Torn(_whole(card))
    try:
        while True:
            torn = _Torn(torn.before)
            torn.before = _paid(card, torn)
    except CardRefuses:
        raise  # nobody pulled anything
    except (CardFault, ReaderFault):
        return torn


def _paid(card: CardInHand, torn: _Torn) -> Whole:
    """One transaction that changes every kind of file; what the card holds after it."""
    torn.record, torn.place = card.token(RECORD_B), b"\x00" + card.token(PLACE_B - 1)
    torn.transaction = transaction = Transaction(card)
    transaction.write_data(Ins.WRITE_DATA_CHAINED, ENTITLEMENT_FILE, torn.place)
    for slot in _SLOTS:
        transaction.debit(slot, 1)
    transaction.write_record(Ins.WRITE_RECORD_CHAINED, torn.record)
    torn.is_commit_sent = True
    done = transaction.commit()
    return Whole(done, _less_one_cent(torn.before), torn.record, torn.place)


def _less_one_cent(before: Whole) -> tuple[int, ...]:
    return tuple(value - 1 for value in before.values)


def _take_again(card: CardInHand, inner: Link, clock: Clock) -> None:
    link, noted = noting(inner, clock)
    if link.read_uid() != card.order.uid:
        raise NotOurCard("another card was laid down")
    card.link, card.noted = link, noted


def _moment(torn: _Torn, now: Whole) -> Moment:
    if now == torn.before:
        return Moment.AT_COMMIT_NOT_DONE if torn.is_commit_sent else Moment.BEFORE_COMMIT
    if torn.is_commit_sent and _is_done(torn, now):
        return Moment.AT_COMMIT_DONE
    return Moment.HALF_DONE


def _is_done(torn: _Torn, now: Whole) -> bool:
    assert torn.transaction is not None
    wanted = Whole(now.proof, _less_one_cent(torn.before), torn.record, torn.place)
    is_next = now.proof.tmc == torn.before.proof.tmc + 1
    return now == wanted and is_next and torn.transaction.reading_of(now.proof) is not None


def _whole(card: CardInHand) -> Whole:
    channel = card.session()
    values = [channel.send(Ins.GET_VALUE, bytes([slot]), answer_b=_VALUE_B) for slot in _SLOTS]
    record = channel.send(Ins.READ_RECORDS_CHAINED, place(LOG_FILE, 1), answer_b=RECORD_B)
    content = channel.send(Ins.READ_DATA_CHAINED, place(ENTITLEMENT_FILE, PLACE_B), answer_b=PLACE_B)
    return Whole(read_proof(channel), tuple(int.from_bytes(value, "little") for value in values), record, content)
