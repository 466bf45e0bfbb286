"""The check of a journal as it is found at a start: every record, its link, its facts, and the witness beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sync.crypto import PublicKey, sha256
from sync.errors import FormatError
from sync.record import Field, open_record, record_hash, verify_record
from terminal.errors import JournalDamaged
from terminal.offline_queue.contact import Contact
from terminal.offline_queue.facts import decode_facts
from terminal.offline_queue.ledger import Ledger, boots_since
from terminal.offline_queue.store import Latch, RecordRow, Store, record_mark
from terminal.offline_queue.witness import Witness
from terminal.ports import Head, TerminalIdentity
from terminal.text import _

_LINK: Final = bytes([Field.PREV, 0x58, 0x20])
"""How ``prev`` stands in a record: map key, byte string of 32 (RFC 8949 §3.1)."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that holds: its head and the totals its records make."""

    head: Head
    ledger: Ledger


def read_chain(store: Store, identity: TerminalIdentity, key: PublicKey, contact: Contact, latch: Latch) -> Chain:
    """The chain in the store, checked whole.

    Every record is tied to the next by its hash, so the signature of the last one vouches for all.
    ``verify_signatures`` checks each of them, for a diagnosis.

    Raises:
        JournalDamaged: names the records that changed or are missing.
    """
    witness = store.witness()
    rows = _readable(store, witness)
    damaged = damaged_seqs(rows, sha256(identity.certificate)) | _missing_by_witness(rows, witness, latch)
    if damaged:
        raise _damage(damaged)
    ledger = _totals(rows, contact)
    head = _head(rows, identity)
    if rows:
        _check_head(rows[-1], identity, key, ledger)
    if contact.acknowledged > head.seq and not contact.frozen:
        raise _damage(range(head.seq + 1, contact.acknowledged + 1))
    return Chain(head, ledger)


def damaged_seqs(rows: Sequence[RecordRow], first_prev: bytes) -> set[int]:
    """Numbers of records that are altered, missing, or not tied to the one before."""
    damaged: set[int] = set()
    expected, prev = 1, first_prev
    for row in rows:
        hash_ = record_hash(row.sealed)
        if row.seq != expected:
            damaged |= set(range(expected, row.seq))
        elif row.mark != record_mark(row.seq, hash_, row.facts) or (
            expected - 1 not in damaged and _LINK + prev not in row.sealed
        ):
            damaged.add(row.seq)
        expected, prev = row.seq + 1, hash_
    return damaged


def verify_signatures(rows: Iterable[RecordRow], key: PublicKey) -> set[int]:
    """Numbers of records that this terminal's key did not sign."""
    return {row.seq for row in rows if not _is_signed(row.sealed, key)}


def _is_signed(record: bytes, key: PublicKey) -> bool:
    try:
        verify_record(open_record(record)[0], key)
    except FormatError:
        return False
    return True


def _readable(store: Store, witness: tuple[Witness, int] | None) -> list[RecordRow]:
    try:
        return store.records()
    except JournalDamaged:
        if witness is None:
            raise
        raise _damage(_unreadable(store, witness[0].seq)) from None


def _unreadable(store: Store, last: int) -> set[int]:
    bad: set[int] = set()
    for seq in range(1, last + 1):
        try:
            rows = store.records(seq, 1)
        except JournalDamaged:
            rows = []
        if (
            not rows
            or rows[0].seq != seq
            or rows[0].mark != record_mark(seq, record_hash(rows[0].sealed), rows[0].facts)
        ):
            bad.add(seq)
    return bad


def _missing_by_witness(rows: Sequence[RecordRow], witness: tuple[Witness, int] | None, latch: Latch) -> set[int]:
    if witness is None:
        return set()
    seen, commits = witness
    last = rows[-1].seq if rows else 0
    if latch.commits < commits:
        return set(range(last + 1, seen.seq + 1)) or {last + 1}  # a lost intent had the next number
    if seen.seq > last:
        return set(range(last + 1, seen.seq + 1))
    is_other = seen.seq > 0 and record_hash(rows[seen.seq - 1].sealed) != seen.hash if len(rows) == last else False
    return {seen.seq} if is_other else set()


def _totals(rows: Sequence[RecordRow], contact: Contact) -> Ledger:
    ledger = Ledger(boots=boots_since(contact))
    unreadable: set[int] = set()
    for row in rows:
        try:
            facts = decode_facts(row.facts)
        except (FormatError, ValueError, KeyError, TypeError, OverflowError):
            unreadable.add(row.seq)
            continue
        ledger.add(row.seq, facts, is_acknowledged=row.seq <= contact.acknowledged)
    if unreadable:
        raise _damage(unreadable)
    return ledger


def _head(rows: Sequence[RecordRow], identity: TerminalIdentity) -> Head:
    if not rows:
        return Head(identity.epoch, 0, sha256(identity.certificate))
    return Head(identity.epoch, rows[-1].seq, record_hash(rows[-1].sealed))


def _check_head(row: RecordRow, identity: TerminalIdentity, key: PublicKey, ledger: Ledger) -> None:
    try:
        signed, envelope = open_record(row.sealed)
        verify_record(signed, key)
    except FormatError:
        raise _damage({row.seq}) from None
    found = (envelope.terminal, envelope.epoch, envelope.seq, envelope.perpetual_net, envelope.perpetual_absolute)
    if found != (identity.terminal, identity.epoch, row.seq, ledger.net, ledger.absolute):
        raise _damage({row.seq})


def _damage(seqs: Iterable[int]) -> JournalDamaged:
    named = tuple(sorted(seqs))
    numbers = ", ".join(str(seq) for seq in named[:8]) + (" …" if len(named) > 8 else "")
    sentence = _("Le journal est abîmé ou incomplet (n° {numbers}). N'effacez rien et appelez.")
    return JournalDamaged(sentence.format(numbers=numbers), named)
