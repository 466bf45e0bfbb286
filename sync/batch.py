"""What a terminal uploads and what the centre answers (docs/formats/batch.md).

A batch is a CBOR sequence: a head, then records as they are stored, verbatim and in order. The answer is signed by the
centre and echoes the batch's nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from domain.identity import TerminalId
from sync.cbor import (
    Map,
    Value,
    decode_map,
    encode,
    sequence,
    split_sequence,
    take_bytes,
    take_int,
    take_list,
    take_map,
    whole_items,
)
from sync.cose import ContentType, open1, sign1, verify1
from sync.crypto import PublicKey
from sync.errors import Malformed, UnknownVersion

BATCH_VERSION: Final = 1
ANSWER_VERSION: Final = 1
NONCE_SIZE_B: Final = 16
MOST_RECORDS: Final = 256
MOST_BATCH_B: Final = 262_144
MOST_ANSWER_B: Final = 65_536
_MOST_HEAD_B: Final = 512


@dataclass(frozen=True, slots=True)
class Versions:
    """Newest version of each list, 0 for none: what a terminal holds, or what the centre has.

    Attributes:
        rules, hot_list, merchant, card_keys, centre_keys, terminals: version of the list.
        entitlements: change number up to which all entitlements are held.
    """

    rules: int = 0
    hot_list: int = 0
    merchant: int = 0
    card_keys: int = 0
    entitlements: int = 0
    centre_keys: int = 0
    terminals: int = 0


@dataclass(frozen=True, slots=True)
class BatchHead:
    """Who sends, from where in the journal, and what it holds.

    Attributes:
        terminal, epoch: of the sender.
        first_seq: of the first record; head + 1 when the batch is empty.
        nonce: 16 random bytes, echoed by the answer.
        held: versions of the sender's lists.
    """

    terminal: TerminalId
    epoch: int
    first_seq: int
    nonce: bytes
    held: Versions = Versions()


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch taken apart; ``damage`` says what is wrong behind the last whole record, ``None`` for nothing."""

    head: BatchHead
    records: tuple[bytes, ...]
    damage: str | None = None


def encode_batch(head: BatchHead, records: Sequence[bytes]) -> bytes:
    """The bytes of an upload; the records go in verbatim.

    Raises:
        ValueError: more than 256 records, or more than 256 KiB.
    """
    if len(records) > MOST_RECORDS:
        raise ValueError(f"a batch has at most {MOST_RECORDS} records")
    batch = sequence([_head_bytes(head), *records])
    if len(batch) > MOST_BATCH_B:
        raise ValueError(f"a batch has at most {MOST_BATCH_B} bytes")
    return batch


def records_that_fit(records: Sequence[bytes], max_records: int = MOST_RECORDS, max_b: int = MOST_BATCH_B) -> int:
    """How many of the first ``records`` one batch takes, its head counted with its greatest size."""
    left_b = max_b - _MOST_HEAD_B
    for count, record in enumerate(records[:max_records]):
        left_b -= len(record)
        if left_b < 0:
            return count
    return min(len(records), max_records)


def decode_batch(batch: bytes) -> Batch:
    """The head and every whole record in front of the first damage; a batch cut short gives what arrived.

    Raises:
        Malformed: too long, too many records, or no head.
        UnknownVersion: a head this program does not know: keep the bytes, never drop them.
    """
    if len(batch) > MOST_BATCH_B:
        raise Malformed(f"{len(batch)} bytes where at most {MOST_BATCH_B} are read")
    items, damage = whole_items(batch, MOST_RECORDS + 1)
    if not items:
        raise Malformed("a batch without a head")
    return Batch(_head_of(items[0]), tuple(items[1:]), damage)


def head_of(batch: bytes) -> BatchHead:
    """The head alone; raises as ``decode_batch``."""
    first = next(split_sequence(batch, MOST_BATCH_B, MOST_RECORDS + 1), None)
    if first is None:
        raise Malformed("a batch without a head")
    return _head_of(first)


class Disposition(IntEnum):
    """What became of a record, where it is not simply posted. Numbers are never reused."""

    POSTED = 0  # never sent
    EXCESS = 1  # posted; the card had been granted less, the excess is shown
    QUARANTINED = 2  # kept, a person looks at it
    DAMAGED = 3  # not accepted: unreadable or not signed by this terminal
    GAP = 4  # not accepted: records before it are missing
    FORKED = 5  # kept beside the chain: another record has its place; the terminal is frozen
    FROZEN = 6  # kept beside the chain: the terminal was frozen before


@dataclass(frozen=True, slots=True)
class Answer:
    """The centre's signed word on a batch.

    Attributes:
        terminal, epoch: of the chain it is about.
        head_seq: last record of the chain the centre holds; 0 for none.
        head_hash: SHA-256 of that record (of the certificate for 0). Not our own record's: freeze.
        centre_time: aware UTC, whole seconds.
        nonce: of the batch.
        dispositions: other than posted, of records of this batch.
        newest: versions the centre has.
        is_frozen: the centre takes no more records of this epoch into its chain; enrol again.
    """

    terminal: TerminalId
    epoch: int
    head_seq: int
    head_hash: bytes
    centre_time: datetime
    nonce: bytes
    dispositions: tuple[tuple[int, Disposition], ...] = ()
    newest: Versions = Versions()
    is_frozen: bool = False


def encode_answer(answer: Answer, key_id: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """COSE_Sign1 of the answer, at most 64 KiB; ``sign`` is that of the centre's answer key."""
    dispositions: list[Value] = [[seq, int(code)] for seq, code in answer.dispositions]
    payload: Map = {
        0: ANSWER_VERSION,
        1: answer.terminal,
        2: answer.epoch,
        3: answer.head_seq,
        4: answer.head_hash,
        5: int(answer.centre_time.timestamp()),
        6: answer.nonce,
        7: dispositions,
        8: _versions_map(answer.newest),
        9: answer.is_frozen,
    }
    return sign1(ContentType.ANSWER, key_id, encode(payload), sign)


def decode_answer(answer: bytes, key: PublicKey, nonce: bytes) -> Answer:
    """The answer, verified, and to this very question. Whether its head is our own record is for the journal to say.

    Args:
        key: the centre's answer key, from its signed key list.
        nonce: of the batch that was sent.

    Raises:
        Malformed, UnknownVersion, BadSignature: not the centre's word; Malformed also for another nonce.
    """
    fields = decode_map(verify1(open1(answer, MOST_ANSWER_B), ContentType.ANSWER, key), MOST_ANSWER_B)
    if take_int(fields, 0) != ANSWER_VERSION:
        raise UnknownVersion("answer of an unknown version")
    if take_bytes(fields, 6, NONCE_SIZE_B) != nonce:
        raise Malformed("an answer to another batch")
    return Answer(
        terminal=TerminalId(take_bytes(fields, 1, 8)),
        epoch=take_int(fields, 2),
        head_seq=take_int(fields, 3, 0xFFFFFF),
        head_hash=take_bytes(fields, 4, 32),
        centre_time=datetime.fromtimestamp(take_int(fields, 5, 2**36), UTC),
        nonce=nonce,
        dispositions=tuple(_disposition(item) for item in take_list(fields, 7, MOST_RECORDS)),
        newest=_versions_of(take_map(fields, 8)),
        is_frozen=fields.get(9) is True,
    )


def _head_bytes(head: BatchHead) -> bytes:
    fields: Map = {
        0: BATCH_VERSION,
        1: head.terminal,
        2: head.epoch,
        3: head.first_seq,
        4: head.nonce,
        5: _versions_map(head.held),
    }
    return encode(fields)


def _head_of(item: bytes) -> BatchHead:
    fields = decode_map(item, _MOST_HEAD_B)
    if take_int(fields, 0) != BATCH_VERSION:
        raise UnknownVersion("batch of an unknown version")
    return BatchHead(
        terminal=TerminalId(take_bytes(fields, 1, 8)),
        epoch=take_int(fields, 2),
        first_seq=take_int(fields, 3, 0xFFFFFF + 1),
        nonce=take_bytes(fields, 4, NONCE_SIZE_B),
        held=_versions_of(take_map(fields, 5)),
    )


def _versions_map(held: Versions) -> Map:
    return {
        1: held.rules,
        2: held.hot_list,
        3: held.merchant,
        4: held.card_keys,
        5: held.entitlements,
        6: held.centre_keys,
        7: held.terminals,
    }


def _versions_of(fields: Map) -> Versions:
    return Versions(*(take_int(fields, key) if key in fields else 0 for key in range(1, 8)))


def _disposition(item: Value) -> tuple[int, Disposition]:
    match item:
        case [int() as seq, int() as code] if code in {known.value for known in Disposition}:
            return seq, Disposition(code)
        case [int() as seq, int()]:
            return seq, Disposition.QUARANTINED
    raise Malformed("a disposition is a number and a code")
