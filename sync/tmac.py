"""The card's proof, checked: transaction MAC, and what its input says (docs/formats/tmi.md).

Source: MF2DL(H)x0 data sheet rev 3.3 §10.3. The grammar admits exactly what one payment or one void sends, in order;
every money fact is taken from here, never from what a record says beside it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from domain.card_log import Debit, LogType
from domain.identity import SlotFile, Uid
from domain.money import Cents, total
from sync.card_format import ENTITLEMENT_PLACE_B, LOG_RECORD_SIZE_B, READER_ID_SIZE_B, SLIP_PLACES, SLIP_SIZE_B
from sync.crypto import aes_cbc_decrypt, aes_cmac
from sync.errors import Malformed

MOST_TMI_B: Final = 1_536
TMV_SIZE_B: Final = 8
LOG_FILE, ENTITLEMENT_FILE = 0x10, 0x11
SLIPS_SIZE_B: Final = SLIP_PLACES * SLIP_SIZE_B
MOST_LOGS: Final = 8
MOST_DEBITS: Final = 3
_FIRST_PART_B: Final = 1 + ENTITLEMENT_PLACE_B
_BLOCK_B: Final = 16
_COMMIT_READER_ID, _GET_VALUE, _DEBIT = 0xC8, 0x6C, 0xDC
_READ_DATA, _WRITE_DATA = (0xAD, 0xBD), (0x8D, 0x3D)
_READ_RECORDS, _WRITE_RECORD = (0xAB, 0xBB), (0x8B, 0x3B)


@dataclass(frozen=True, slots=True)
class SlotValue:
    """Cents a value file held before the transaction."""

    file: SlotFile
    value: Cents


@dataclass(frozen=True, slots=True)
class TransactionInput:
    """What one payment or void sent and read, as the card saw it.

    Attributes:
        reader_id: 16 bytes the terminal committed.
        enciphered_previous: reader id of the card's transaction before, enciphered by the card (16 B).
        logs: log records read, 32 B each, newest first.
        entitlement_read: the 233 bytes of the entitlement place before this transaction.
        places_read: slip places in use before, bit 0 and bit 1.
        slips: the two slip places (192 B), or ``None`` when not read.
        values: slots read, in file order, before the debits.
        entitlement_written: the 233 bytes written in this transaction, or ``None``.
        debits: in file order, one to three; none in a void.
        own_log: the log record written, 32 B.
        slip_written: place and 96 B of the slip a void wrote, or ``None``.
        places_written: slip places in use after, or ``None`` when byte 0 of the file was not written.
    """

    reader_id: bytes
    enciphered_previous: bytes
    logs: tuple[bytes, ...]
    entitlement_read: bytes
    places_read: int
    slips: bytes | None
    values: tuple[SlotValue, ...]
    entitlement_written: bytes | None
    debits: tuple[Debit, ...]
    own_log: bytes
    slip_written: tuple[int, bytes] | None = None
    places_written: int | None = None

    @property
    def is_void(self) -> bool:
        """Nothing was debited: a void."""
        return not self.debits

    @property
    def slips_read(self) -> tuple[bytes, ...]:
        """The 96 bytes of each slip place in use before."""
        if self.slips is None:
            return ()
        in_use = [place for place in range(SLIP_PLACES) if self.places_read >> place & 1]
        return tuple(self.slips[place * SLIP_SIZE_B : (place + 1) * SLIP_SIZE_B] for place in in_use)

    @property
    def amount(self) -> Cents:
        """All debits together, in cents."""
        return total(debit.amount for debit in self.debits)

    @property
    def entitlement_in_force(self) -> bytes:
        """The 233 bytes the card holds after this transaction."""
        return self.entitlement_written or self.entitlement_read

    def value_before(self, file: SlotFile) -> Cents:
        """Cents in a slot that was read, before the debits."""
        return next(item.value for item in self.values if item.file == file)

    def value_after(self, file: SlotFile) -> Cents:
        """Cents in a slot that was read, after the debits."""
        return self.value_before(file) - total(debit.amount for debit in self.debits if debit.file == file)


def session_keys(tmac_key: bytes, tmc: int, uid: Uid) -> tuple[bytes, bytes]:
    """SesTMMACKey and SesTMENCKey (16 B each) of the transaction whose counter *becomes* ``tmc`` (§10.3.2.1)."""
    tail = bytes((0x00, 0x01, 0x00, 0x80)) + tmc.to_bytes(4, "little") + uid
    return aes_cmac(tmac_key, b"\x5a" + tail), aes_cmac(tmac_key, b"\xa5" + tail)


def transaction_mac_value(tmac_key: bytes, tmc: int, uid: Uid, tmi: bytes) -> bytes:
    """TMV, 8 bytes: every second byte of the CMAC over the whole TMI (§10.3.2.2)."""
    mac_key, _ = session_keys(tmac_key, tmc, uid)
    return aes_cmac(mac_key, tmi)[1::2]


def is_proven(tmac_key: bytes, tmc: int, uid: Uid, tmi: bytes, tmv: bytes) -> bool:
    """Whether ``tmv`` is the card's own proof of ``tmi``."""
    return hmac.compare_digest(transaction_mac_value(tmac_key, tmc, uid, tmi), tmv)


def previous_reader_id(tmac_key: bytes, tmc: int, uid: Uid, enciphered: bytes) -> bytes:
    """The 16-byte reader id of the transaction before the one whose counter becomes ``tmc`` (§10.3.2.4)."""
    _, enc_key = session_keys(tmac_key, tmc, uid)
    return aes_cbc_decrypt(enc_key, bytes(_BLOCK_B), enciphered)


def parse(tmi: bytes) -> TransactionInput:
    """The facts in a TMI.

    Raises:
        Malformed: anything a payment or void of ours does not send, in another order, or padded otherwise.
    """
    if len(tmi) > MOST_TMI_B:
        raise Malformed("TMI too long")
    reading = _Reading(tmi)
    reader_id, enciphered = _commit_reader_id(reading)
    logs = _logs(reading)
    places_read, entitlement_read, slips = _entitlement(reading)
    values = _values(reading)
    slip = _written_slip(reading)
    places_written, entitlement_written = _written_head(reading, slip, places_read)
    debits = _debits(reading, values)
    own_log = _own_log(reading)
    if not reading.is_at_end:
        raise Malformed("more in the TMI than a transaction of ours sends")
    if debits and (slip is not None or (places_written is not None and entitlement_written is None)):
        raise Malformed("a payment writes no slip")
    if (own_log[0] & 0x0F == LogType.VOID) != (not debits):
        raise Malformed("a void debits nothing, anything else debits something")
    return TransactionInput(
        reader_id=reader_id,
        enciphered_previous=enciphered,
        logs=logs,
        entitlement_read=entitlement_read,
        places_read=places_read,
        slips=slips,
        values=values,
        entitlement_written=entitlement_written,
        debits=debits,
        own_log=own_log,
        slip_written=slip,
        places_written=places_written,
    )


class _Reading:
    """A place in a TMI; what is taken is checked to be zero-padded to 16 bytes."""

    __slots__ = ("_at", "_tmi")

    def __init__(self, tmi: bytes) -> None:
        self._tmi = tmi
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._tmi)

    def is_next(self, *commands: int) -> bool:
        return not self.is_at_end and self._tmi[self._at] in commands

    def peek(self, size_b: int) -> bytes:
        return self._tmi[self._at : self._at + size_b]

    def take(self, size_b: int) -> bytes:
        padded = -(-size_b // _BLOCK_B) * _BLOCK_B
        part = self._tmi[self._at : self._at + padded]
        if len(part) != padded or any(part[size_b:]):
            raise Malformed("TMI cut short or padded with something")
        self._at += padded
        return part[:size_b]

    def command(self, size_b: int, *commands: int) -> bytes:
        if not self.is_next(*commands):
            raise Malformed("a command in the TMI that is not admissible there")
        return self.take(size_b)


def _commit_reader_id(reading: _Reading) -> tuple[bytes, bytes]:
    item = reading.command(1 + 2 * READER_ID_SIZE_B, _COMMIT_READER_ID)
    return item[1 : 1 + READER_ID_SIZE_B], item[1 + READER_ID_SIZE_B :]


def _logs(reading: _Reading) -> tuple[bytes, ...]:
    """One read of the newest record, or reads that follow one another; within one read the oldest comes first."""
    logs: list[bytes] = []
    first = True
    while first or reading.is_next(*_READ_RECORDS):
        file, number, count = _header(reading, *_READ_RECORDS)
        if file != LOG_FILE or number != len(logs) or not 1 <= count <= MOST_LOGS - len(logs):
            raise Malformed("log records read in a way no payment does")
        content = reading.take(count * LOG_RECORD_SIZE_B)
        oldest_first = [content[at : at + LOG_RECORD_SIZE_B] for at in range(0, len(content), LOG_RECORD_SIZE_B)]
        logs += reversed(oldest_first)
        first = False
    return tuple(logs)


def _entitlement(reading: _Reading) -> tuple[int, bytes, bytes | None]:
    if _header(reading, *_READ_DATA) != (ENTITLEMENT_FILE, 0, _FIRST_PART_B):
        raise Malformed("the entitlement is read as a whole")
    content = reading.take(_FIRST_PART_B)
    if not reading.is_next(*_READ_DATA):
        if content[0]:
            raise Malformed("slips in use are read")
        return content[0], content[1:], None
    if not content[0] or _header(reading, *_READ_DATA) != (ENTITLEMENT_FILE, _FIRST_PART_B, SLIPS_SIZE_B):
        raise Malformed("slips are read as a whole, and only when some are in use")
    return content[0], content[1:], reading.take(SLIPS_SIZE_B)


def _values(reading: _Reading) -> tuple[SlotValue, ...]:
    values = []
    while reading.is_next(_GET_VALUE):
        file, value = _file_and_cents(reading, _GET_VALUE)
        values.append(SlotValue(file, value))
    _check_file_order([item.file for item in values])
    return tuple(values)


def _written_slip(reading: _Reading) -> tuple[int, bytes] | None:
    """The slip a void writes comes first, into one of the two places."""
    if not reading.is_next(*_WRITE_DATA) or reading.peek(8)[2:5] == bytes(3):
        return None
    file, offset, size_b = _header(reading, *_WRITE_DATA)
    place, rest = divmod(offset - _FIRST_PART_B, SLIP_SIZE_B)
    if (file, size_b, rest) != (ENTITLEMENT_FILE, SLIP_SIZE_B, 0) or not 0 <= place < SLIP_PLACES:
        raise Malformed("a slip is written as a whole, into its place")
    return place, reading.take(SLIP_SIZE_B)


def _written_head(
    reading: _Reading, slip: tuple[int, bytes] | None, places_read: int
) -> tuple[int | None, bytes | None]:
    """Byte 0 of the file (slip places in use), alone or in front of a newer entitlement."""
    if not reading.is_next(*_WRITE_DATA):
        if slip is not None:
            raise Malformed("a slip whose place is not taken into use")
        return None, None
    file, offset, size_b = _header(reading, *_WRITE_DATA)
    if (file, offset) != (ENTITLEMENT_FILE, 0) or size_b not in (1, _FIRST_PART_B):
        raise Malformed("the entitlement is written as a whole")
    content = reading.take(size_b)
    taken = 0 if slip is None else 1 << slip[0]
    if content[0] & ~places_read & ~taken or content[0] & taken != taken:
        raise Malformed("slip places taken into use otherwise than by a slip")
    return content[0], content[1:] or None


def _debits(reading: _Reading, values: tuple[SlotValue, ...]) -> tuple[Debit, ...]:
    debits = []
    while reading.is_next(_DEBIT):
        file, amount = _file_and_cents(reading, _DEBIT)
        before = next((item.value for item in values if item.file == file), None)
        if before is None or not 0 < amount <= before:
            raise Malformed("a debit of more than a slot that was read holds")
        debits.append(Debit(file, amount))
    _check_file_order([debit.file for debit in debits])
    if len(debits) > MOST_DEBITS:
        raise Malformed("a payment debits at most three slots")
    return tuple(debits)


def _own_log(reading: _Reading) -> bytes:
    if _header(reading, *_WRITE_RECORD) != (LOG_FILE, 0, LOG_RECORD_SIZE_B):
        raise Malformed("one whole log record is written")
    return reading.take(LOG_RECORD_SIZE_B)


def _header(reading: _Reading, *commands: int) -> tuple[int, int, int]:
    """File number, offset (or record number) and length (or count), the card's own little-endian numbers."""
    item = reading.command(8, *commands)
    return item[1], int.from_bytes(item[2:5], "little"), int.from_bytes(item[5:8], "little")


def _file_and_cents(reading: _Reading, command: int) -> tuple[SlotFile, Cents]:
    item = reading.command(6, command)
    cents = int.from_bytes(item[2:6], "little", signed=True)
    if not 1 <= item[1] <= 8 or cents < 0:
        raise Malformed("not a slot, or less than nothing in it")
    return SlotFile(item[1]), Cents(cents)


def _check_file_order(files: list[SlotFile]) -> None:
    if files != sorted(set(files)):
        raise Malformed("slots are read and debited in file order, each once")
