"""What is kept about the centre: how far it has our records, when it last spoke, and the time it told. One row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sync.cbor import Map, decode_map, encode, take_int, take_text
from sync.errors import UnknownVersion
from terminal.offline_queue.facts import from_microseconds, microseconds

_VERSION: Final = 1
_MOST_B: Final = 2_048


@dataclass(frozen=True, slots=True)
class Contact:
    """The centre as last heard.

    Attributes:
        centre_time: it told, aware UTC, received when the boot numbered ``received_boot`` had run
            ``received_boottime_ns`` and the journal's head was ``anchor_seq``.
        wall_error_s: wall clock minus centre time then, seconds.
        t_lo: earliest time known; never goes down.
        acknowledged: the centre has every record up to this seq.
        last_contact: wall time of the last accepted answer, or ``None`` for never.
        frozen: sentence why this terminal must be enrolled again, or empty.
    """

    centre_time: datetime
    received_boot: int
    received_boottime_ns: int
    t_lo: datetime
    anchor_seq: int = 0
    wall_error_s: int = 0
    acknowledged: int = 0
    last_contact: datetime | None = None
    frozen: str = ""


class _Key:
    VERSION, CENTRE_TIME, BOOT, BOOTTIME, T_LO, ANCHOR_SEQ, WALL_ERROR, ACKNOWLEDGED, LAST_CONTACT, FROZEN = range(10)


def encode_contact(contact: Contact) -> bytes:
    """Deterministic CBOR."""
    fields: Map = {
        _Key.VERSION: _VERSION,
        _Key.CENTRE_TIME: microseconds(contact.centre_time),
        _Key.BOOT: contact.received_boot,
        _Key.BOOTTIME: contact.received_boottime_ns,
        _Key.T_LO: microseconds(contact.t_lo),
        _Key.ANCHOR_SEQ: contact.anchor_seq,
        _Key.WALL_ERROR: contact.wall_error_s,
        _Key.ACKNOWLEDGED: contact.acknowledged,
        _Key.FROZEN: contact.frozen,
    }
    if contact.last_contact is not None:
        fields[_Key.LAST_CONTACT] = microseconds(contact.last_contact)
    return encode(fields)


def decode_contact(data: bytes) -> Contact:
    """The inverse; Malformed or UnknownVersion otherwise."""
    fields = decode_map(data, _MOST_B)
    if take_int(fields, _Key.VERSION) != _VERSION:
        raise UnknownVersion("written by another version of this program")
    wall_error = fields.get(_Key.WALL_ERROR)
    return Contact(
        centre_time=from_microseconds(take_int(fields, _Key.CENTRE_TIME)),
        received_boot=take_int(fields, _Key.BOOT),
        received_boottime_ns=take_int(fields, _Key.BOOTTIME),
        t_lo=from_microseconds(take_int(fields, _Key.T_LO)),
        anchor_seq=take_int(fields, _Key.ANCHOR_SEQ),
        wall_error_s=wall_error if isinstance(wall_error, int) else 0,
        acknowledged=take_int(fields, _Key.ACKNOWLEDGED),
        last_contact=(from_microseconds(take_int(fields, _Key.LAST_CONTACT)) if _Key.LAST_CONTACT in fields else None),
        frozen=take_text(fields, _Key.FROZEN, 400),
    )
