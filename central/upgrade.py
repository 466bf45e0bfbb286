"""The ledger made again from the records, which are kept verbatim: for a database of the first format, or in any doubt.

Grants, windows, entitlements, terminals and records are what the centre knows by itself; everything it concluded from
the records is emptied and concluded again, in the order they arrived.
"""

from __future__ import annotations

from typing import Final

from central import courier, ledger
from central.keys import CentralKeys
from central.store import FORMAT, Store
from domain.identity import CardId
from sync.errors import FormatError
from sync.record import open_record

CONCLUDED: Final = (
    "event",
    "movement",
    "sighting",
    "counter",
    "void_made",
    "given_back",
    "log_seen",
    "slip_seen",
    "puzzle_tried",
    "alarm",
    "entitlement_found",
)
_REFUSED: Final = ("the terminal's certificate has expired", "unknown version%")
_NEW_COLUMNS: Final = (
    ("terminal", "revoked_at INTEGER"),
    ("entitlement", "mark INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "voids_signed INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "limit_signed INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "bound INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "bound_mark INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "cap INTEGER"),
)
_MARK_AT: Final = 24
"""Where an entitlement's bytes hold its mark, 4 bytes (docs/formats/card.md)."""


def upgrade(store: Store, keys: CentralKeys, programme: str) -> None:
    """Bring a database of the first format to this one; inside a transaction of the store."""
    for table in ("event", "movement", "sighting", "counter"):
        store.change(f"DROP TABLE {table}")
    for table, column in _NEW_COLUMNS:
        store.change(f"ALTER TABLE {table} ADD COLUMN {column}")
    store.make_missing_tables()
    for row in store.all("SELECT card, epoch, seq, data FROM entitlement"):
        mark = int.from_bytes(bytes(row["data"])[_MARK_AT : _MARK_AT + 4], "big")
        store.change(
            "UPDATE entitlement SET mark = ? WHERE card = ? AND epoch = ? AND seq = ?",
            mark,
            row["card"],
            row["epoch"],
            row["seq"],
        )
    conclude_again(store, keys, programme)
    store.change("UPDATE meta SET value = ? WHERE name = 'format'", FORMAT)


def conclude_again(store: Store, keys: CentralKeys, programme: str) -> None:
    """Empty all that was concluded from records, and post every record again; inside a transaction of the store."""
    for table in CONCLUDED:
        store.change(f"DELETE FROM {table}")
    store.change("UPDATE slot_window SET bound = 0, bound_mark = 0, cap = NULL")
    rows = store.all(
        """SELECT record.data AS data, station FROM record JOIN terminal USING (terminal, epoch)
        WHERE why <> ? AND why NOT LIKE ? ORDER BY record.rowid""",
        *_REFUSED,
    )
    for row in rows:
        try:
            _, envelope = open_record(bytes(row["data"]))
        except FormatError:
            continue
        ledger.post(store, keys, programme, row["station"], envelope)
    for card in store.all("SELECT card FROM card ORDER BY card"):
        courier.settle(store, keys, programme, CardId(bytes(card["card"])))
