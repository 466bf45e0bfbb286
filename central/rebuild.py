"""A transaction whose record never came, proven all the same: its input is built again to match
the card's proof.

A stall reads in one fixed order with fixed lengths, so that little is open: how many log records it read, which slots,
whether it wrote a newer entitlement, what the slip places held (docs/formats/tmi.md). Every admissible shape is tried,
up to a bound; a wrong one cannot match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from central.transactions import Chip
from domain.card_log import Debit, LogRecord, LogType
from sync.card_format import ENTITLEMENT_PLACE_B, SLIP_SIZE_B, encode_reader_id
from sync.crypto import aes_cbc_encrypt
from sync.tmac import ENTITLEMENT_FILE, LOG_FILE, MOST_LOGS, SLIPS_SIZE_B, is_proven, session_keys

MOST_TRIES: Final = 6_000
"""Shapes tried for one transaction: about a tenth of a second."""
MOST_TRIES_A_BATCH: Final = 60_000
"""Shapes tried while a batch waits for its answer, over all cards: about a second; the rest is for a later batch."""
TRIES_TO_BEGIN: Final = 20
"""What putting a puzzle together costs, in shapes."""

_BLOCK_B: Final = 16
_RECORDS_A_READ: Final = 4
_COMMIT_READER_ID, _GET_VALUE, _DEBIT = 0xC8, 0x6C, 0xDC
_PROFILES: Final = ((0xAD, 0x8D, 0xAB, 0x8B), (0xBD, 0x3D, 0xBB, 0x3B))
"""ReadData, WriteData, ReadRecords, WriteRecord: in ISO-DEP chaining, and native."""


@dataclass(slots=True)
class Budget:
    """Shapes that may still be tried."""

    left: int = MOST_TRIES_A_BATCH

    @property
    def is_spent(self) -> bool:
        """Whether what is left to try must wait."""
        return self.left <= 0


@dataclass(frozen=True, slots=True)
class Slips:
    """The slip places before a transaction: which are in use, and the 192 bytes both hold."""

    places: int
    content: bytes = bytes(SLIPS_SIZE_B)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to the entitlement file: slip and its place, byte 0, entitlement (233 B); ``None``: not."""

    slip: tuple[int, bytes] | None = None
    places: int | None = None
    entitlement: bytes | None = None


@dataclass(frozen=True, slots=True)
class Puzzle:
    """All that may have been, most likely first.

    Attributes:
        log: the record the transaction wrote, as somebody read it, and what it says.
        previous: reader ids of the transaction before (16 B).
        logs_before: log records on the card before, newest first; several stories.
        standing: entitlement places before (233 B).
        slips: slip places before.
        values: cents before, by file, of every slot whose counter is known.
        reads: which slots were read.
        written: what was written to the entitlement file, for each of the places before.
    """

    log: bytes
    told: LogRecord
    tmc: int
    tmv: bytes
    previous: Sequence[bytes]
    logs_before: Sequence[Sequence[bytes]]
    standing: Sequence[bytes]
    slips: Sequence[Slips]
    values: Mapping[int, int]
    reads: Sequence[tuple[int, ...]]
    written: Mapping[tuple[bytes, Slips], Sequence[Written]]


def solve(chip: Chip, puzzle: Puzzle, budget: Budget) -> bytes | None:
    """The input whose proof the card gave, or ``None``: nothing admissible matches, or the budget is spent."""
    for tmi in islice(_inputs(chip, puzzle), min(MOST_TRIES, budget.left)):
        budget.left -= 1
        if is_proven(chip.tmac_key, puzzle.tmc, chip.uid, tmi, puzzle.tmv):
            return tmi
    return None


def _inputs(chip: Chip, puzzle: Puzzle) -> Iterator[bytes]:
    _, enc_key = session_keys(chip.tmac_key, puzzle.tmc, chip.uid)
    own = encode_reader_id(puzzle.told.station, puzzle.told.seq)
    heads = [
        _item(_COMMIT_READER_ID, own, aes_cbc_encrypt(enc_key, bytes(_BLOCK_B), before)) for before in puzzle.previous
    ]
    for profile in _PROFILES:
        read_data, write_data, read_records, write_record = profile
        tail = b"".join(
            _item(_DEBIT, bytes([part.file]), _little(int(part.amount), 4)) for part in _debits(puzzle.told)
        ) + _file(write_record, LOG_FILE, 0, puzzle.log)
        for before, slips in product(puzzle.standing, puzzle.slips):
            read_head = _file(read_data, ENTITLEMENT_FILE, 0, bytes([slips.places]) + before)
            if slips.places:
                read_head += _file(read_data, ENTITLEMENT_FILE, 1 + ENTITLEMENT_PLACE_B, slips.content)
            for logs, written, files in product(
                _log_reads(read_records, puzzle), puzzle.written.get((before, slips), ()), puzzle.reads
            ):
                values = b"".join(_item(_GET_VALUE, bytes([file]), _little(puzzle.values[file], 4)) for file in files)
                middle = logs + read_head + values + _writes(write_data, written) + tail
                for head in heads:
                    yield head + middle


def _debits(told: LogRecord) -> tuple[Debit, ...]:
    return () if told.type == LogType.VOID else told.debits


def _log_reads(command: int, puzzle: Puzzle) -> Iterator[bytes]:
    """The newest record alone, or all a card can have, in reads of at most four (what one answer holds)."""
    everything = min(puzzle.tmc, MOST_LOGS)
    for story in puzzle.logs_before:
        yield _records(command, 0, story[:1])
    if everything > 1:
        for story in puzzle.logs_before:
            if len(story) >= everything:
                first, rest = story[:_RECORDS_A_READ], story[_RECORDS_A_READ:everything]
                yield _records(command, 0, first[:everything]) + (
                    _records(command, _RECORDS_A_READ, rest) if rest else b""
                )


def _records(command: int, newest: int, records: Sequence[bytes]) -> bytes:
    head = bytes([LOG_FILE]) + _little(newest, 3) + _little(len(records), 3)
    return _item(command, head) + b"".join(reversed(records))


def _writes(command: int, written: Written) -> bytes:
    parts = []
    if written.slip is not None:
        place, slip = written.slip
        parts.append(_file(command, ENTITLEMENT_FILE, 1 + ENTITLEMENT_PLACE_B + place * SLIP_SIZE_B, slip))
    if written.places is not None:
        parts.append(_file(command, ENTITLEMENT_FILE, 0, bytes([written.places]) + (written.entitlement or b"")))
    return b"".join(parts)


def _file(command: int, file: int, offset: int, content: bytes) -> bytes:
    return _item(command, bytes([file]) + _little(offset, 3) + _little(len(content), 3)) + _padded(content)


def _item(command: int, *fields: bytes) -> bytes:
    return _padded(bytes([command]) + b"".join(fields))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _BLOCK_B)


def _little(number: int, size_b: int) -> bytes:
    """The card's own order, least significant byte first."""
    return number.to_bytes(size_b, "little")
