"""The centre's tables, the only door to peewee: SQLite now, PostgreSQL behind the same calls later.

Instants are whole seconds since 1970, amounts whole cents, identities and signed things bytes as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import peewee

Row = dict[str, Any]
FORMAT: Final = 4

SIGNING_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS signing_day (day INTEGER PRIMARY KEY, cents INTEGER NOT NULL,
        signatures INTEGER NOT NULL, ceiling_cents INTEGER, most_signatures INTEGER)""",
    """CREATE TABLE IF NOT EXISTS signed_grant (card BLOB NOT NULL, file INTEGER NOT NULL, start_at INTEGER NOT NULL,
        cents INTEGER NOT NULL, PRIMARY KEY (card, file, start_at))""",
    """CREATE TABLE IF NOT EXISTS custody (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL,
        custodians TEXT NOT NULL)""",
)
_TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    """CREATE TABLE card (card BLOB PRIMARY KEY, uid BLOB NOT NULL UNIQUE, aid BLOB NOT NULL, loaded INTEGER NOT NULL,
        expires_at INTEGER, registered_at INTEGER NOT NULL, hot_since INTEGER)""",
    """CREATE TABLE grant_given (id INTEGER PRIMARY KEY, card BLOB NOT NULL, purse INTEGER NOT NULL,
        file INTEGER NOT NULL, amount INTEGER NOT NULL, start_at INTEGER NOT NULL, end_at INTEGER,
        given_at INTEGER NOT NULL)""",
    """CREATE TABLE slot_window (card BLOB NOT NULL, file INTEGER NOT NULL, start_at INTEGER NOT NULL, end_at INTEGER,
        purse INTEGER NOT NULL, base INTEGER NOT NULL, spent_limit INTEGER NOT NULL, is_confirmed INTEGER NOT NULL,
        voids_signed INTEGER NOT NULL DEFAULT 0, limit_signed INTEGER NOT NULL DEFAULT 0,
        bound INTEGER NOT NULL DEFAULT 0, bound_mark INTEGER NOT NULL DEFAULT 0, cap INTEGER,
        PRIMARY KEY (card, file, start_at))""",
    """CREATE TABLE entitlement (card BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        change_number INTEGER NOT NULL UNIQUE, issued_at INTEGER NOT NULL, valid_until INTEGER NOT NULL,
        mark INTEGER NOT NULL DEFAULT 0, data BLOB NOT NULL, PRIMARY KEY (card, epoch, seq))""",
    """CREATE TABLE merchant (number INTEGER PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL,
        groups TEXT NOT NULL, default_family TEXT NOT NULL)""",
    """CREATE TABLE merchant_version (number INTEGER NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL,
        groups TEXT NOT NULL, default_family TEXT NOT NULL, PRIMARY KEY (number, version))""",
    """CREATE TABLE code (secret_hash BLOB PRIMARY KEY, merchant INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        device_key BLOB, terminal BLOB)""",
    """CREATE TABLE terminal (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, station INTEGER NOT NULL UNIQUE,
        merchant INTEGER NOT NULL, certificate BLOB NOT NULL, device_key BLOB NOT NULL, software TEXT NOT NULL,
        enrolled_at INTEGER NOT NULL, valid_until INTEGER NOT NULL, head_seq INTEGER NOT NULL,
        head_hash BLOB NOT NULL, frozen TEXT, last_contact INTEGER, revoked_at INTEGER,
        t_lo INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (terminal, epoch))""",
    """CREATE TABLE record (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL,
        data BLOB NOT NULL, received_at INTEGER NOT NULL, type INTEGER NOT NULL, disposition INTEGER NOT NULL,
        why TEXT NOT NULL, PRIMARY KEY (terminal, epoch, seq))""",
    """CREATE TABLE stray (hash BLOB PRIMARY KEY, terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        data BLOB NOT NULL, received_at INTEGER NOT NULL, why TEXT NOT NULL)""",
    """CREATE TABLE event (card BLOB NOT NULL, tmc INTEGER NOT NULL, terminal BLOB NOT NULL, epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL, kind TEXT NOT NULL DEFAULT 'payment', state TEXT NOT NULL,
        source TEXT NOT NULL DEFAULT 'record', amount INTEGER NOT NULL, expected_tmv BLOB NOT NULL,
        own_log BLOB NOT NULL DEFAULT x'', previous_station INTEGER, previous_seq INTEGER, entitlement_epoch INTEGER,
        entitlement_seq INTEGER, places_after INTEGER, has_proof INTEGER NOT NULL DEFAULT 1, at INTEGER NOT NULL,
        excess INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (terminal, epoch, seq))""",
    "CREATE INDEX event_card ON event (card, tmc)",
    """CREATE TABLE movement (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, card BLOB NOT NULL,
        tmc INTEGER NOT NULL, file INTEGER NOT NULL, amount INTEGER NOT NULL, value_after INTEGER,
        start_at INTEGER)""",
    "CREATE INDEX movement_card ON movement (card, file, tmc)",
    """CREATE TABLE sighting (card BLOB NOT NULL, tmc INTEGER NOT NULL, tmv BLOB NOT NULL, terminal BLOB NOT NULL,
        epoch INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (card, tmc, tmv, terminal, epoch, seq))""",
    """CREATE TABLE counter (card BLOB NOT NULL, tmc INTEGER NOT NULL, file INTEGER NOT NULL, value INTEGER NOT NULL,
        terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (terminal, epoch, seq, file))""",
    "CREATE INDEX counter_card ON counter (card, file)",
    """CREATE TABLE void_made (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, card BLOB NOT NULL,
        tmc INTEGER NOT NULL, payment_seq INTEGER, payment_tmc INTEGER, slip BLOB, slip_place INTEGER,
        counts INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (terminal, epoch, seq))""",
    "CREATE INDEX void_made_card ON void_made (card, tmc)",
    """CREATE TABLE given_back (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        file INTEGER NOT NULL, amount INTEGER NOT NULL, start_at INTEGER, PRIMARY KEY (terminal, epoch, seq, file))""",
    """CREATE TABLE log_seen (card BLOB NOT NULL, tmc INTEGER NOT NULL, log BLOB NOT NULL, inside INTEGER,
        terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (card, tmc, log, terminal, epoch, seq))""",
    """CREATE TABLE slip_seen (card BLOB NOT NULL, slip BLOB NOT NULL, station INTEGER NOT NULL, seq INTEGER NOT NULL,
        tmc INTEGER NOT NULL, is_verified INTEGER NOT NULL, PRIMARY KEY (card, slip))""",
    """CREATE TABLE entitlement_found (card BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        mark INTEGER NOT NULL, is_twin INTEGER NOT NULL, terminal BLOB NOT NULL, record_epoch INTEGER NOT NULL,
        record_seq INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (card, epoch, seq, data))""",
    """CREATE VIEW entitlement_known AS SELECT card, epoch, seq, mark, data FROM entitlement
        UNION ALL SELECT card, epoch, seq, mark, data FROM entitlement_found WHERE is_twin = 0""",
    """CREATE TABLE puzzle_tried (card BLOB NOT NULL, tmc INTEGER NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (card, tmc, digest))""",
    """CREATE TABLE alarm (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, card BLOB NOT NULL,
        claimed_seq INTEGER NOT NULL, claimed_tmc INTEGER NOT NULL, PRIMARY KEY (terminal, epoch, seq))""",
    """CREATE TABLE suspension (card BLOB NOT NULL, at INTEGER NOT NULL, terminal BLOB NOT NULL, epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL, released_at INTEGER, PRIMARY KEY (card, terminal, epoch, seq))""",
    """CREATE TABLE decided_otherwise (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        why TEXT NOT NULL, PRIMARY KEY (terminal, epoch, seq))""",
    "CREATE TABLE to_settle (card BLOB PRIMARY KEY)",
    """CREATE TABLE signed_list (kind INTEGER NOT NULL, version INTEGER NOT NULL, signed_at INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (kind, version))""",
    *SIGNING_TABLES,
)


class Store:
    """One database. Nothing is opened before ``open``."""

    def __init__(self, path: Path) -> None:
        self._database: Any = peewee.SqliteDatabase(
            str(path), pragmas={"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}, timeout=10
        )

    def create(self) -> None:
        """Make the tables of a new centre."""
        with self.writing():
            for table in _TABLES:
                self._database.execute_sql(table)
            self.put("meta", name="format", value=FORMAT)

    def make_missing_tables(self) -> None:
        """Make the tables, indexes and views this format has and the database has not; inside a transaction."""
        there = {row["name"] for row in self.all("SELECT name FROM sqlite_master")}
        for table in _TABLES:
            if not table.startswith("CREATE TABLE IF") and table.split()[2] not in there:
                self._database.execute_sql(table)

    def open(self) -> None:
        """Connect in this thread; other threads connect by themselves."""
        self._database.connect(reuse_if_open=True)

    def close(self) -> None:
        """Disconnect this thread."""
        self._database.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; another writer waits. An exception leaves nothing of it."""
        self.open()
        with self._database.atomic("IMMEDIATE"):
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that an exception undoes alone."""
        with self._database.atomic():
            yield

    def all(self, query: str, *values: object) -> list[Row]:
        """Rows of a query, by column name."""
        cursor = self._database.execute_sql(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, query: str, *values: object) -> Row | None:
        """The first row, or ``None``."""
        rows = self.all(query, *values)
        return rows[0] if rows else None

    def number(self, query: str, *values: object) -> int:
        """The first column of the first row as a number; 0 where there is none."""
        row = self._database.execute_sql(query, values).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def put(self, table: str, **columns: object) -> None:
        """Insert one row."""
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        self._database.execute_sql(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(columns.values()))

    def put_new(self, table: str, **columns: object) -> None:
        """Insert one row unless its key is there already."""
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        self._database.execute_sql(
            f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", tuple(columns.values())
        )

    def change(self, statement: str, *values: object) -> int:
        """Run an UPDATE; how many rows it changed."""
        return int(self._database.execute_sql(statement, values).rowcount)

    def next_number(self, name: str) -> int:
        """The next of a counter kept in ``meta``, from 1."""
        self.put_new("meta", name=name, value=0)
        self.change("UPDATE meta SET value = value + 1 WHERE name = ?", name)
        return self.number("SELECT value FROM meta WHERE name = ?", name)

    def current_number(self, name: str) -> int:
        """The last number taken, 0 for none."""
        return self.number("SELECT value FROM meta WHERE name = ?", name)

    def is_of_this_format(self) -> bool:
        """Whether this program can read it."""
        return self.number("SELECT value FROM meta WHERE name = 'format'") == FORMAT
