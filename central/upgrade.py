"""The ledger made again from the records, which are kept verbatim: for a database of the first format, or in any doubt.

Grants, windows, entitlements, terminals, records and suspensions are what the centre knows by itself, and which slips
it saw before their stations were revoked; everything it concluded from the records is emptied and concluded again, in
the order they arrived.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from central import courier, ledger, merchants
from central.ingest import BEFORE_TIME
from central.keys import CentralKeys
from central.store import Store
from central.tables import FORMAT
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
    "puzzle_tried",
    "alarm",
    "entitlement_found",
    "decided_otherwise",
    "earning",
    "version_named",
)
_REFUSED: Final = ("the terminal's certificate has expired", BEFORE_TIME, "unknown version%")
_NEW_COLUMNS: Final = (
    ("terminal", "revoked_at INTEGER"),
    ("terminal", "t_lo INTEGER NOT NULL DEFAULT 0"),
    ("terminal", "point_of_sale INTEGER NOT NULL DEFAULT 1"),
    ("code", "point_of_sale INTEGER NOT NULL DEFAULT 1"),
    ("entitlement", "mark INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "voids_signed INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "limit_signed INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "bound INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "bound_mark INTEGER NOT NULL DEFAULT 0"),
    ("slot_window", "cap INTEGER"),
    ("grant_given", "kind TEXT NOT NULL DEFAULT 'by hand'"),
)
_MARK_AT, _SLOTS_AT, _SLOT_B = 24, 31, 17
"""Where an entitlement's bytes hold its mark (4 bytes) and how many slots it has; 17 bytes a slot from two bytes on
(docs/formats/card.md)."""
_MINUTES_SINCE: Final = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())


def upgrade(store: Store, keys: CentralKeys, programme: str) -> None:
    """Bring a database of an earlier format to this one; inside a transaction of the store."""
    store.change("DROP VIEW IF EXISTS entitlement_known")
    for table in CONCLUDED:
        store.change(f"DROP TABLE IF EXISTS {table}")
    for table, column in _NEW_COLUMNS:
        name = column.split()[0]
        if store.one("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", table, name) is None:
            store.change(f"ALTER TABLE {table} ADD COLUMN {column}")
    former = merchants.take_out_former(store)
    store.make_missing_tables()
    merchants.put_former(store, former)
    for row in store.all("SELECT card, epoch, seq, data FROM entitlement"):
        mark = int.from_bytes(bytes(row["data"])[_MARK_AT : _MARK_AT + 4], "big")
        store.change(
            "UPDATE entitlement SET mark = ? WHERE card = ? AND epoch = ? AND seq = ?",
            mark,
            row["card"],
            row["epoch"],
            row["seq"],
        )
        _keep_limits(store, row["card"], bytes(row["data"]))
    conclude_again(store, keys, programme)
    store.change("UPDATE meta SET value = ? WHERE name = 'format'", FORMAT)


def _keep_limits(store: Store, card: bytes, data: bytes) -> None:
    """The limits of an entitlement as the highest signed, where higher ones were not."""
    for number in range(data[_SLOTS_AT]):
        slot = data[_SLOTS_AT + 2 + _SLOT_B * number :][:_SLOT_B]
        limit, start = int.from_bytes(slot[2:5], "big"), int.from_bytes(slot[11:14], "big")
        store.change(
            "UPDATE slot_window SET limit_signed = max(limit_signed, ?) WHERE card = ? AND file = ? AND start_at = ?",
            limit,
            card,
            slot[0],
            _MINUTES_SINCE + 60 * start,
        )


def conclude_again(store: Store, keys: CentralKeys, programme: str) -> None:
    """Empty all that was concluded from records, and post every record again; inside a transaction of the store."""
    for table in CONCLUDED:
        store.change(f"DELETE FROM {table}")
    store.change("UPDATE slot_window SET bound = 0, bound_mark = 0, cap = NULL")
    rows = store.all(
        """SELECT record.data AS data, received_at, station FROM record JOIN terminal USING (terminal, epoch)
        WHERE why NOT IN (?, ?) AND why NOT LIKE ? ORDER BY record.rowid""",
        *_REFUSED,
    )
    for row in rows:
        try:
            _, envelope = open_record(bytes(row["data"]))
        except FormatError:
            continue
        ledger.post(store, keys, programme, row["station"], envelope, datetime.fromtimestamp(row["received_at"], UTC))
        store.change(
            "UPDATE terminal SET t_lo = max(t_lo, min(?, ?)) WHERE station = ?",
            envelope.t_lo,
            row["received_at"],
            row["station"],
        )
    for card in store.all("SELECT card FROM card ORDER BY card"):
        courier.settle(store, keys, programme, CardId(bytes(card["card"])))
