"""Taking in a batch: what is chained is kept for ever, once; what is not is kept beside, never dropped.

seq ≤ head: byte-identical, or a fork (both kept, the terminal frozen). seq = head + 1: chain, signature, then the
ledger. Beyond: a gap; the answer tells the head, and the terminal sends from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from central import ledger
from central.keys import CentralKeys
from central.merchants import PointOfSale
from central.store import Row, Store
from central.transactions import Place, step_aside
from sync.batch import Batch, Disposition
from sync.cbor import decode_map
from sync.cose import open1, verify1
from sync.crypto import public_key
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from sync.record import MOST_RECORD_B, Envelope, Field, open_record, record_hash, verify_record

RECORDS: Final = "panier/record/"
CLAIM_PERIOD: Final = timedelta(days=71)
"""Lease and 40 days: how long late reports are waited for."""
BEFORE_TIME: Final = "earlier than the record before it"
SLACK: Final = timedelta(minutes=10)
"""A record's time may have been taken before the record in front of it was written."""
FORKED: Final = "two different records have the same number"


@dataclass(frozen=True, slots=True)
class Taken:
    """Where the chain stands after a batch."""

    head_seq: int
    head_hash: bytes
    dispositions: tuple[tuple[int, Disposition], ...]
    is_frozen: bool
    place: PointOfSale
    device_key: bytes
    is_expired: bool


def take_batch(store: Store, keys: CentralKeys, programme: str, batch: Batch, at: datetime) -> Taken:
    """Take in what can be taken of a batch; inside one transaction of the store.

    Raises:
        Malformed: a terminal or epoch this centre never enrolled.
    """
    head = batch.head
    terminal = _terminal(store, head.terminal, head.epoch)
    dispositions: list[tuple[int, Disposition]] = []
    for offset, data in enumerate(batch.records):
        seq = head.first_seq + offset
        disposition = _take(store, keys, programme, terminal, seq, data, at)
        if disposition is not Disposition.POSTED:
            dispositions.append((seq, disposition))
        terminal = _terminal(store, head.terminal, head.epoch)
        if disposition in (Disposition.DAMAGED, Disposition.GAP):
            break
    else:
        if batch.damage is not None:
            dispositions.append((head.first_seq + len(batch.records), Disposition.DAMAGED))
    store.change(
        "UPDATE terminal SET last_contact = ? WHERE terminal = ? AND epoch = ?",
        int(at.timestamp()),
        head.terminal,
        head.epoch,
    )
    return Taken(
        terminal["head_seq"],
        bytes(terminal["head_hash"]),
        tuple(dispositions),
        terminal["frozen"] is not None,
        PointOfSale(terminal["merchant"], terminal["point_of_sale"]),
        bytes(terminal["device_key"]),
        at.timestamp() > terminal["valid_until"],
    )


def _terminal(store: Store, terminal: bytes, epoch: int) -> Row:
    row = store.one("SELECT * FROM terminal WHERE terminal = ? AND epoch = ?", terminal, epoch)
    if row is None:
        raise Malformed("a terminal this centre never enrolled")
    return row


def _take(
    store: Store, keys: CentralKeys, programme: str, terminal: Row, seq: int, data: bytes, at: datetime
) -> Disposition:
    head = terminal["head_seq"]
    if seq <= head:
        return _again(store, terminal, seq, data, at)
    if terminal["frozen"] is not None:
        return _keep_of_frozen(store, terminal, seq, data, at)
    if seq > head + 1:
        return Disposition.GAP
    try:
        envelope = _verified(terminal, seq, data)
    except UnknownVersion as fault:
        return _take_unread(store, terminal, seq, data, at, str(fault))
    except FormatError:
        return Disposition.DAMAGED
    if envelope.prev != bytes(terminal["head_hash"]):
        _keep_beside(store, terminal, seq, data, at, "does not follow the record before it")
        _freeze(store, terminal, FORKED)
        return Disposition.FORKED
    if _is_after_its_certificate(terminal, envelope, at):
        verdict = ledger.quarantined("the terminal's certificate has expired")
    elif envelope.t_lo < terminal["t_lo"] - SLACK.total_seconds():
        verdict = ledger.quarantined(BEFORE_TIME)
    else:
        _keep_time(store, terminal, min(envelope.t_lo, int(at.timestamp())))
        verdict = ledger.post(store, keys, programme, terminal["station"], envelope, at)
    _append(store, terminal, seq, data, at, envelope.type, verdict.disposition, verdict.why)
    return verdict.disposition


def _is_after_its_certificate(terminal: Row, envelope: Envelope, at: datetime) -> bool:
    """Made after the certificate ended, or sent so late that its word on when it was made counts no more."""
    ended = terminal["valid_until"]
    return bool(envelope.t_lo > ended or at.timestamp() > ended + CLAIM_PERIOD.total_seconds())


def _keep_time(store: Store, terminal: Row, t_lo: int) -> None:
    """The earliest it can be only grows along a chain; a clock that ran ahead of this centre's holds nobody up."""
    store.change(
        "UPDATE terminal SET t_lo = max(t_lo, ?) WHERE terminal = ? AND epoch = ?",
        t_lo,
        terminal["terminal"],
        terminal["epoch"],
    )


def _verified(terminal: Row, seq: int, data: bytes) -> Envelope:
    signed, envelope = open_record(data)
    verify_record(signed, public_key(bytes(terminal["device_key"])))
    if (envelope.terminal, envelope.epoch, envelope.seq) != (bytes(terminal["terminal"]), terminal["epoch"], seq):
        raise BadSignature("a record of another chain or place")
    return envelope


def _again(store: Store, terminal: Row, seq: int, data: bytes, at: datetime) -> Disposition:
    """A record that is here already changes nothing; another one in its place is a fork."""
    kept = store.one(
        "SELECT hash, disposition FROM record WHERE terminal = ? AND epoch = ? AND seq = ?",
        terminal["terminal"],
        terminal["epoch"],
        seq,
    )
    if kept is not None and bytes(kept["hash"]) == record_hash(data):
        return Disposition(kept["disposition"])
    try:
        _verified(terminal, seq, data)
    except FormatError:
        return Disposition.DAMAGED
    _keep_beside(store, terminal, seq, data, at, FORKED)
    _freeze(store, terminal, FORKED)
    return Disposition.FORKED


def _take_unread(store: Store, terminal: Row, seq: int, data: bytes, at: datetime, why: str) -> Disposition:
    """A record of a version of tomorrow: kept in its place so that the chain goes on.

    Every version has terminal, epoch, seq and prev under the same keys; anything else this terminal ever signed (an
    enrolment, say) is no record.
    """
    try:
        signed = open1(data, MOST_RECORD_B)
        payload = verify1(signed, signed.content_type, public_key(bytes(terminal["device_key"])))
        fields = decode_map(payload, MOST_RECORD_B)
    except FormatError:
        return Disposition.DAMAGED
    place = [fields.get(key) for key in (Field.TERMINAL, Field.EPOCH, Field.SEQ, Field.PREV)]
    own = [bytes(terminal["terminal"]), terminal["epoch"], seq, bytes(terminal["head_hash"])]
    if not signed.content_type.startswith(RECORDS) or place != own:
        return Disposition.DAMAGED
    _append(store, terminal, seq, data, at, 0, Disposition.QUARANTINED, why)
    return Disposition.QUARANTINED


def _append(
    store: Store, terminal: Row, seq: int, data: bytes, at: datetime, kind: int, disposition: Disposition, why: str
) -> None:
    hash_ = record_hash(data)
    step_aside(store, Place(bytes(terminal["terminal"]), terminal["epoch"], seq))
    store.put(
        "record",
        terminal=terminal["terminal"],
        epoch=terminal["epoch"],
        seq=seq,
        hash=hash_,
        data=data,
        received_at=int(at.timestamp()),
        type=kind,
        disposition=int(disposition),
        why=why,
    )
    store.change(
        "UPDATE terminal SET head_seq = ?, head_hash = ? WHERE terminal = ? AND epoch = ?",
        seq,
        hash_,
        terminal["terminal"],
        terminal["epoch"],
    )


def _keep_of_frozen(store: Store, terminal: Row, seq: int, data: bytes, at: datetime) -> Disposition:
    """What a frozen terminal still sends is kept beside its chain, if it signed it."""
    try:
        _verified(terminal, seq, data)
    except FormatError:
        return Disposition.DAMAGED
    _keep_beside(store, terminal, seq, data, at, terminal["frozen"])
    return Disposition.FROZEN


def _keep_beside(store: Store, terminal: Row, seq: int, data: bytes, at: datetime, why: str) -> None:
    store.put_new(
        "stray",
        hash=record_hash(data),
        terminal=terminal["terminal"],
        epoch=terminal["epoch"],
        seq=seq,
        data=data,
        received_at=int(at.timestamp()),
        why=why,
    )


def _freeze(store: Store, terminal: Row, why: str) -> None:
    store.change(
        "UPDATE terminal SET frozen = ? WHERE terminal = ? AND epoch = ? AND frozen IS NULL",
        why,
        terminal["terminal"],
        terminal["epoch"],
    )
