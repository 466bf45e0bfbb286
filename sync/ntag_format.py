"""The purse on an NTAG 424 DNA: a file of two halves written in turn (docs/formats/card-ntag424.md).

Our numbers are big-endian. A half counts when its check value fits; of two that count, the one with the greater
counter.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from domain.identity import FIRST_SLOT, SlotFile, Uid
from domain.money import Cents
from sync.card_format import LOG_RECORD_SIZE_B
from sync.crypto import sha256
from sync.errors import FormatError, Malformed, UnknownVersion

NTAG_AID: Final = bytes.fromhex("850101")
"""What stands for the application id (3 B) of such a card in card list, keys and orders: the end of its DF name."""

DF_NAME: Final = bytes.fromhex("D2760000850101")
"""Name of the one application of every NTAG 424 DNA (NT4H2421Gx §8.2.2)."""

SLOTS_HELD: Final = 6
HALF_SIZE_B: Final = 64
PURSE_FILE_B: Final = 2 * HALF_SIZE_B
CHECK_SIZE_B: Final = 8
MOST_COUNTER: Final = 0xFFFFFF
_VERSION: Final = 1
_COUNTER_B, _VALUE_B = 3, 3
_CHECKED_B: Final = HALF_SIZE_B - CHECK_SIZE_B
_LABEL: Final = b"panier/purse-half/1"


@dataclass(frozen=True, slots=True)
class PurseHalf:
    """The state of the purse after one transaction.

    Attributes:
        counter: transactions so far, 0 at issuing; what the TMC is on a DESFire card.
        values: cents left in slots 1 to 6, in file order.
        log_record: of that transaction, 32 B.
    """

    counter: int
    values: tuple[Cents, ...]
    log_record: bytes

    def value(self, file: SlotFile) -> Cents | None:
        """Cents left in a slot, or ``None`` for one such a card does not hold."""
        place = file - FIRST_SLOT
        return self.values[place] if 0 <= place < SLOTS_HELD else None


@dataclass(frozen=True, slots=True)
class PurseFile:
    """What the two halves say together.

    Attributes:
        newest: the state that counts.
        older: the state before it, where its half still counts.
        free: the half (0 or 1) the next state is written to; never the one that counts.
    """

    newest: PurseHalf
    older: PurseHalf | None
    free: int

    @property
    def logs(self) -> tuple[bytes, ...]:
        """Log records, newest first: two, or one where the other half does not count."""
        return tuple(half.log_record for half in (self.newest, self.older) if half is not None)


def gives_proof(aid: bytes) -> bool:
    """Whether cards with this application id prove their transactions; those of NTAG_AID do not."""
    return aid != NTAG_AID


def encode_half(half: PurseHalf, uid: Uid) -> bytes:
    """64 bytes, for the chip ``uid``."""
    assert len(half.values) == SLOTS_HELD and len(half.log_record) == LOG_RECORD_SIZE_B
    body = bytes([_VERSION]) + half.counter.to_bytes(_COUNTER_B, "big")
    body += b"".join(value.to_bytes(_VALUE_B, "big") for value in half.values) + half.log_record
    checked = body.ljust(_CHECKED_B, b"\x00")
    return checked + _check_value(checked, uid)


def decode_half(data: bytes, uid: Uid) -> PurseHalf:
    """The state in 64 bytes.

    Raises:
        Malformed: written in part, for another chip, or never.
        UnknownVersion: written whole, by a later program.
    """
    checked, check = data[:_CHECKED_B], data[_CHECKED_B:]
    if len(data) != HALF_SIZE_B or not hmac.compare_digest(check, _check_value(checked, uid)):
        raise Malformed("a half that was not written whole")
    if checked[0] != _VERSION:
        raise UnknownVersion("a purse of an unknown version")
    log_at = 1 + _COUNTER_B + SLOTS_HELD * _VALUE_B
    values = (checked[at : at + _VALUE_B] for at in range(1 + _COUNTER_B, log_at, _VALUE_B))
    return PurseHalf(
        counter=int.from_bytes(checked[1 : 1 + _COUNTER_B], "big"),
        values=tuple(Cents(int.from_bytes(value, "big")) for value in values),
        log_record=checked[log_at : log_at + LOG_RECORD_SIZE_B],
    )


def decode_purse_file(data: bytes, uid: Uid) -> PurseFile:
    """The state in the 128 bytes of a purse file.

    Raises:
        Malformed: no half counts, or both bear the same number.
        UnknownVersion: a later program wrote a half: what counts cannot be said.
    """
    if len(data) != PURSE_FILE_B:
        raise Malformed("a purse file has 128 bytes")
    halves = [_half_or_none(data[at : at + HALF_SIZE_B], uid) for at in (0, HALF_SIZE_B)]
    whole = sorted((half.counter, place) for place, half in enumerate(halves) if half is not None)
    if not whole:
        raise Malformed("no half of the purse counts")
    if len(whole) == 2 and whole[0][0] == whole[1][0]:
        raise Malformed("both halves of the purse bear the same number")
    place = whole[-1][1]
    newest = halves[place]
    assert newest is not None
    return PurseFile(newest, halves[1 - place], 1 - place)


def is_purse_file(data: bytes, uid: Uid) -> bool:
    """Whether a state stands there, of whatever version: such a file is never written over as a whole."""
    try:
        decode_purse_file(data, uid)
    except UnknownVersion:
        return True
    except FormatError:
        return False
    return True


def first_purse_file(loaded: Cents, log_record: bytes, uid: Uid) -> bytes:
    """128 bytes as issued: number 0, every slot full, log record 0; the other half empty."""
    first = PurseHalf(0, (loaded,) * SLOTS_HELD, log_record)
    return encode_half(first, uid) + bytes(HALF_SIZE_B)


def _half_or_none(data: bytes, uid: Uid) -> PurseHalf | None:
    try:
        return decode_half(data, uid)
    except Malformed:
        return None


def _check_value(checked: bytes, uid: Uid) -> bytes:
    """Tells a half written in part from a whole one. No key: who can write the file at all has the card's key."""
    return sha256(_LABEL + uid + checked)[:CHECK_SIZE_B]
