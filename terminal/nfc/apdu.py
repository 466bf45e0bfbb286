"""DESFire commands in ISO 7816-4 clothes: ``90 INS 00 00 [Lc data] 00`` and its answers ``data 91 st``.

Source: MF2DL(H)x0 rev 3.3 §9.1 (wrapping, status words), §11 (instructions); docs/formats/card.md "Wire facts".
Lengths are judged before anything is parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from terminal.errors import CardGone, CardMisbehaves

MOST_ANSWER_B: Final = 258
"""256 bytes of answer and the status word: the most a short APDU can bring back (ISO 7816-4 §5.1)."""

MOST_COLLECTED_B: Final = 320
MOST_PAYLOAD_B: Final = 255
FRAME_PAYLOAD_B: Final = 54
"""Payload of one frame of an instruction that chains with AF: FSC 64 less block framing, CID and APDU header."""


class Ins(IntEnum):
    """Instructions this host sends."""

    CREDIT = 0x0C
    AUTHENTICATE_ISO = 0x1A
    LIMITED_CREDIT = 0x1C
    READ_SIGNATURE = 0x3C
    READ_DATA = 0xBD
    WRITE_DATA = 0x3D
    READ_RECORDS = 0xBB
    WRITE_RECORD = 0x3B
    READ_DATA_CHAINED = 0xAD
    WRITE_DATA_CHAINED = 0x8D
    READ_RECORDS_CHAINED = 0xAB
    WRITE_RECORD_CHAINED = 0x8B
    GET_KEY_SETTINGS = 0x45
    CHANGE_KEY_SETTINGS = 0x54
    SELECT_APPLICATION = 0x5A
    GET_VERSION = 0x60
    GET_KEY_VERSION = 0x64
    GET_APPLICATION_IDS = 0x6A
    GET_VALUE = 0x6C
    GET_FILE_IDS = 0x6F
    AUTHENTICATE_EV2_FIRST = 0x71
    MORE = 0xAF
    CREATE_CYCLIC_RECORD_FILE = 0xC0
    CHANGE_KEY = 0xC4
    COMMIT_TRANSACTION = 0xC7
    COMMIT_READER_ID = 0xC8
    CREATE_APPLICATION = 0xCA
    CREATE_BACKUP_FILE = 0xCB
    CREATE_VALUE_FILE = 0xCC
    CREATE_STANDARD_FILE = 0xCD
    CREATE_TMAC_FILE = 0xCE
    DEBIT = 0xDC
    GET_FILE_SETTINGS = 0xF5


class Status(IntEnum):
    """Second byte of the status word."""

    OK = 0x00
    NO_CHANGES = 0x0C
    OUT_OF_MEMORY = 0x0E
    ILLEGAL_COMMAND = 0x1C
    INTEGRITY_ERROR = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH_ERROR = 0x7E
    PERMISSION_DENIED = 0x9D
    PARAMETER_ERROR = 0x9E
    APPLICATION_NOT_FOUND = 0xA0
    AUTHENTICATION_DELAY = 0xAD
    AUTHENTICATION_ERROR = 0xAE
    MORE_FRAMES = 0xAF
    BOUNDARY_ERROR = 0xBE
    COMMAND_ABORTED = 0xCA
    DUPLICATE_ERROR = 0xDE
    MEMORY_ERROR = 0xEE
    FILE_NOT_FOUND = 0xF0


_NAMES: Final = {status.value: status.name for status in Status}


class CardRefuses(CardMisbehaves):
    """The card answered with an error status, by which it has also ended the session.

    Attributes:
        status: second byte of the status word.
    """

    def __init__(self, ins: int, status: int) -> None:
        super().__init__(f"the card answered {named(status)} to {ins:02X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Profile:
    """How one kind of card is spoken to.

    Attributes:
        read_data, write_data, read_records, write_record: instructions; chained by ISO-DEP or natively by AF.
        is_reader_id_answer_full: CommitReaderID is answered enciphered, not only with a MAC.
    """

    read_data: int = Ins.READ_DATA_CHAINED
    write_data: int = Ins.WRITE_DATA_CHAINED
    read_records: int = Ins.READ_RECORDS_CHAINED
    write_record: int = Ins.WRITE_RECORD_CHAINED
    is_reader_id_answer_full: bool = False


ISO_DEP: Final = Profile()
NATIVE: Final = Profile(Ins.READ_DATA, Ins.WRITE_DATA, Ins.READ_RECORDS, Ins.WRITE_RECORD)

_ISO_DEP_CHAINED: Final = frozenset({ISO_DEP.read_data, ISO_DEP.write_data, ISO_DEP.read_records, ISO_DEP.write_record})
FIELD_LOST: Final = frozenset({b"\x63\x00", b"\x64\x01"})


@dataclass(frozen=True, slots=True)
class Answer:
    """Data and status of one answer."""

    data: bytes
    status: int


Exchange = Callable[[bytes], bytes]
"""Sends an APDU and gives the raw answer; raises CardGone, ReaderLost, ReaderStuck, CardMisbehaves."""


def named(status: int) -> str:
    """Name of a status for a message, or its digits."""
    return _NAMES.get(status, f"{status:02X}")


def wrap(ins: int, payload: bytes = b"") -> bytes:
    """The APDU of one frame; ``payload`` has at most 255 bytes."""
    assert len(payload) <= MOST_PAYLOAD_B, "a short APDU carries 255 bytes at most"
    body = bytes([len(payload)]) + payload if payload else b""
    return bytes([0x90, ins, 0x00, 0x00]) + body + b"\x00"


def unwrap(answer: bytes) -> Answer:
    """Data and status of a raw answer.

    Raises:
        CardMisbehaves: too short, too long, or no DESFire status word.
        CardGone: the reader says in the card's place that it lost it (PC/SC part 3: 63 00, 64 01).
    """
    if not 2 <= len(answer) <= MOST_ANSWER_B:
        raise CardMisbehaves(f"an answer of {len(answer)} bytes")
    if answer in FIELD_LOST:
        raise CardGone("the reader lost the card")
    if answer[-2] != 0x91:
        raise CardMisbehaves("an answer without a DESFire status word")
    return Answer(answer[:-2], answer[-1])


def ask_once(exchange: Exchange, ins: int, payload: bytes = b"") -> Answer:
    """One frame out, one frame back, whatever its status."""
    return unwrap(exchange(wrap(ins, payload)))


def ask(exchange: Exchange, ins: int, payload: bytes = b"") -> Answer:
    """A whole command and its whole answer, in as many frames as the instruction needs.

    Returns: the data of all frames and the last status, never MORE_FRAMES.
    """
    answer = _send(exchange, ins, payload)
    collected = answer.data
    while answer.status == Status.MORE_FRAMES:
        if not answer.data:
            raise CardMisbehaves("the card promises more and gives nothing")
        answer = ask_once(exchange, Ins.MORE)
        if answer.status not in (Status.OK, Status.MORE_FRAMES):
            raise CardMisbehaves("an answer that breaks off")  # no refusal: the command has long been taken
        collected += answer.data
        if len(collected) > MOST_COLLECTED_B:
            raise CardMisbehaves("an answer of too many frames")
    return Answer(collected, answer.status)


def _send(exchange: Exchange, ins: int, payload: bytes) -> Answer:
    if ins in _ISO_DEP_CHAINED:
        return ask_once(exchange, ins, payload)
    frames = [payload[at : at + FRAME_PAYLOAD_B] for at in range(0, len(payload), FRAME_PAYLOAD_B)] or [b""]
    answer = ask_once(exchange, ins, frames[0])
    for frame in frames[1:]:
        if answer.status != Status.MORE_FRAMES:
            break
        if answer.data:
            raise CardMisbehaves("an answer in the middle of a command")
        answer = ask_once(exchange, Ins.MORE, frame)
    else:
        return answer
    if answer.status == Status.OK:
        raise CardMisbehaves("the card did not wait for the rest of a command")
    return answer
