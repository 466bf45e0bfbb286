"""The centre's database, the only door to peewee: SQLite now, PostgreSQL behind the same calls later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee

from central.tables import FORMAT, TABLES

Row = dict[str, Any]


class Store:
    """One database. Nothing is opened before ``open``."""

    def __init__(self, path: Path) -> None:
        self._database: Any = peewee.SqliteDatabase(
            str(path), pragmas={"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}, timeout=10
        )

    def create(self) -> None:
        """Make the tables of a new centre."""
        with self.writing():
            for table in TABLES:
                self._database.execute_sql(table)
            self.put("meta", name="format", value=FORMAT)

    def make_missing_tables(self) -> None:
        """Make the tables, indexes and views this format has and the database has not; inside a transaction."""
        there = {row["name"] for row in self.all("SELECT name FROM sqlite_master")}
        for table in TABLES:
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
