"""Tables of the journal on SQLite, and the only door to peewee and apsw (docs/formats/journal.md).

One connection, owned by one thread. Whatever belongs together is written by one ``commit(Change)``. A failed commit is
*unknown*, never "not written": the store stops, and the journal is opened again and read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import apsw
import peewee
from playhouse.apsw_ext import APSWDatabase

from sync.crypto import sha256
from terminal.errors import DiskFull, JournalDamaged, JournalFault, JournalInUse, MediumFailed, UnsafeSettings
from terminal.offline_queue.medium import WITNESS_SUFFIX, Medium
from terminal.offline_queue.witness import Witness, decode_witness, encode_witness
from terminal.text import _

FORMAT: Final = 1
APPLICATION_ID: Final = 0x50414E31  # "PAN1"

# The order matters: EXTRA must hold before the change to WAL is written (the reverse lost data in 230 of 400 trials).
PRAGMAS: Final[tuple[tuple[str, object, object], ...]] = (
    ("mmap_size", 0, 0),
    ("trusted_schema", 0, 0),
    ("cell_size_check", 1, 1),
    ("foreign_keys", 1, 1),
    ("locking_mode", "EXCLUSIVE", "exclusive"),
    ("synchronous", "EXTRA", 3),
    ("journal_mode", "WAL", "wal"),
    ("wal_autocheckpoint", 0, 0),
)
"""Pragma, value set, value read back."""

TABLES: Final = (
    """CREATE TABLE record (seq INTEGER PRIMARY KEY, sealed BLOB NOT NULL, facts BLOB NOT NULL, mark BLOB NOT NULL)
    STRICT""",
    """CREATE TABLE latch (id INTEGER PRIMARY KEY CHECK (id = 1), commits INTEGER NOT NULL, intent BLOB NOT NULL,
    lists BLOB NOT NULL, mark BLOB NOT NULL) STRICT""",
    "CREATE TABLE contact (id INTEGER PRIMARY KEY CHECK (id = 1), content BLOB NOT NULL, mark BLOB NOT NULL) STRICT",
    """CREATE TABLE list (kind INTEGER NOT NULL, item BLOB NOT NULL, is_old INTEGER NOT NULL, version INTEGER NOT NULL,
    content BLOB NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (kind, item, is_old)) STRICT, WITHOUT ROWID""",
)

COLUMNS: Final = {
    "record": ("seq", "sealed", "facts", "mark"),
    "latch": ("id", "commits", "intent", "lists", "mark"),
    "contact": ("id", "content", "mark"),
    "list": ("kind", "item", "is_old", "version", "content", "mark"),
}

# The casts make bytes of whatever type a flipped bit has made of a column; its mark then tells.
_READ_RECORDS: Final = """SELECT seq, COALESCE(CAST(sealed AS BLOB), x''), COALESCE(CAST(facts AS BLOB), x''),
    COALESCE(CAST(mark AS BLOB), x'') FROM record WHERE seq >= ? ORDER BY seq LIMIT ?"""
_READ_LATCH: Final = """SELECT COALESCE(CAST(commits AS INTEGER), -1), COALESCE(CAST(intent AS BLOB), x''),
    COALESCE(CAST(lists AS BLOB), x''), COALESCE(CAST(mark AS BLOB), x'') FROM latch"""
_READ_CONTACT: Final = "SELECT COALESCE(CAST(content AS BLOB), x''), COALESCE(CAST(mark AS BLOB), x'') FROM contact"
_READ_LISTS: Final = """SELECT COALESCE(CAST(kind AS INTEGER), -1), COALESCE(CAST(item AS BLOB), x''),
    COALESCE(CAST(version AS INTEGER), -1), COALESCE(CAST(content AS BLOB), x''),
    COALESCE(CAST(is_old AS INTEGER), -1), COALESCE(CAST(mark AS BLOB), x'') FROM list ORDER BY kind, item, is_old"""
_READ_LIST_MARKS: Final = "SELECT is_old, mark FROM list ORDER BY kind, item, is_old"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A sealed record, the facts it brings to the totals (CBOR), and the mark over both and its number."""

    seq: int
    sealed: bytes
    facts: bytes
    mark: bytes


@dataclass(frozen=True, slots=True)
class ListRow:
    """One list as received: kind (see caches.py), item (card id, or empty), version, verbatim bytes."""

    kind: int
    item: bytes
    version: int
    content: bytes

    @property
    def mark(self) -> bytes:
        """SHA-256 over all of it."""
        return sha256(_eight(self.kind) + self.item + _eight(self.version) + self.content)


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit writes. ``None`` leaves a part as it is; an empty intent ends the open one."""

    record: RecordRow | None = None
    intent: bytes | None = None
    contact: bytes | None = None
    lists: tuple[ListRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Latch:
    """How many commits were made, the intent open (empty for none), and a digest of the lists stored."""

    commits: int
    intent: bytes
    lists: bytes

    @property
    def mark(self) -> bytes:
        """SHA-256 over all of it."""
        return sha256(_eight(self.commits) + sha256(self.intent) + self.lists)


_NO_LISTS: Final = sha256(b"")


def _eight(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def record_mark(seq: int, hash_: bytes, facts: bytes) -> bytes:
    """What stands beside a record so that no bit of it or of its facts changes unseen."""
    return sha256(_eight(seq) + hash_ + facts)


class Store:
    """The open tables. Every call is made on the thread that owns the connection; see ``on_owner``."""

    def __init__(self, medium: Medium, name: str) -> None:
        self._medium = medium
        self._name = name
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._base = APSWDatabase(None, thread_safe=False)
        self._tables: dict[str, Any] = {}
        self._latch = Latch(0, b"", _NO_LISTS)
        self._is_stopped = False
        self._is_closed = False

    # --- opening and closing ---

    def open(self) -> None:
        """Open tables that exist; JournalInUse, UnsafeSettings, JournalDamaged, MediumFailed."""
        self.on_owner(self._connect).result()

    def close(self) -> None:
        """Give the files back; nothing is checkpointed. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(JournalFault):
            self.on_owner(self._base.close).result()
        self._owner.shutdown(wait=True)
        self._medium.close()

    def create(self, contact: bytes) -> None:
        """Make new tables, durable with their directory entry; refuses to touch tables that hold records."""

        def make() -> None:
            self._connect_bare()
            if self._pragma("user_version") == 0:
                with self._base.atomic("IMMEDIATE"):
                    for table in TABLES:
                        self._base.execute_sql(table)
                    first = Latch(0, b"", _NO_LISTS)
                    self._insert("latch", id=1, commits=0, intent=b"", lists=_NO_LISTS, mark=first.mark)
                    self._insert("contact", id=1, content=contact, mark=sha256(contact))
                    self._base.execute_sql(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._base.execute_sql(f"PRAGMA user_version = {FORMAT}")
            self._base.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._base.close()
            self._medium.sync_created(self._name)

        self._medium.refuse_unsafe()
        try:
            self.on_owner(make).result()
        finally:
            self._owner.shutdown(wait=True)

    def on_owner(self, work: Callable[[], T]) -> Future[T]:
        """Have the owner of the connection do ``work``; its fault comes from ``result()``."""

        def guarded() -> T:
            with self._faults():
                return work()

        return self._owner.submit(guarded)

    # --- writing ---

    def commit(self, change: Change, witness: Witness | None = None) -> Future[None]:
        """Write a change in one commit; durable when ``result()`` returns. In the order asked."""
        return self.on_owner(lambda: self._commit(change, witness))

    def _commit(self, change: Change, witness: Witness | None) -> None:
        if self._is_stopped:
            raise MediumFailed(_("Le journal est arrêté après une erreur du disque : relancez la caisse."))
        self._is_stopped = True  # until the commit has succeeded: whatever fails below is unknown
        with self._base.atomic("IMMEDIATE"):
            if change.record is not None:
                row = change.record
                self._insert("record", seq=row.seq, sealed=row.sealed, facts=row.facts, mark=row.mark)
            if change.contact is not None:
                self._table("contact").update(content=change.contact, mark=sha256(change.contact)).execute()
            for item in change.lists:
                self._put(item)
            latch = Latch(
                self._latch.commits + 1,
                self._latch.intent if change.intent is None else change.intent,
                self._lists_digest() if change.lists else self._latch.lists,
            )
            self._table("latch").update(
                commits=latch.commits, intent=latch.intent, lists=latch.lists, mark=latch.mark
            ).execute()
        self._latch = latch
        self._is_stopped = False
        if witness is not None:
            self._medium.write(self._name + WITNESS_SUFFIX, encode_witness(witness, latch.commits))

    def _put(self, item: ListRow) -> None:
        table = self._table("list")
        here = (table.kind == item.kind) & (table.item == item.item)
        table.delete().where(here & (table.is_old == 1)).execute()
        table.update(is_old=1).where(here & (table.is_old == 0)).execute()
        self._insert(
            "list",
            kind=item.kind,
            item=item.item,
            is_old=0,
            version=item.version,
            content=item.content,
            mark=item.mark,
        )

    def _lists_digest(self) -> bytes:
        marks = self._base.execute_sql(_READ_LIST_MARKS).fetchall()
        return sha256(b"".join(_eight(is_old) + mark for is_old, mark in marks))

    def checkpoint(self) -> None:
        """Move the write-ahead log into the tables and empty it."""
        self.on_owner(lambda: self._base.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()).result()

    @property
    def log_size_b(self) -> int:
        """Bytes in the write-ahead log."""
        return self._medium.size_b(self._name + "-wal")

    @property
    def free_b(self) -> int:
        """Bytes left on the medium."""
        return self._medium.free_b()

    # --- reading ---

    def records(self, first_seq: int = 0, most: int = -1) -> list[RecordRow]:
        """Rows from ``first_seq`` on, in order; ``most`` below 0 for all."""
        return [RecordRow(*row) for row in self._rows(_READ_RECORDS, first_seq, most)]

    def latch(self) -> Latch:
        """Commits made and the intent open; JournalDamaged when its mark does not hold."""
        rows = self._rows(_READ_LATCH)
        if len(rows) != 1 or Latch(*rows[0][:3]).mark != rows[0][3]:
            raise JournalDamaged(_("Le journal est abîmé : la ligne de l'intention ne tient plus."))
        self._latch = Latch(*rows[0][:3])
        return self._latch

    def contact(self) -> bytes:
        """What is kept about the centre; JournalDamaged when its mark does not hold."""
        rows = self._rows(_READ_CONTACT)
        if len(rows) != 1 or sha256(rows[0][0]) != rows[0][1]:
            raise JournalDamaged(_("Le journal est abîmé : la ligne du centre ne tient plus."))
        content: bytes = rows[0][0]
        return content

    def lists(self, *, is_old: bool = False) -> list[ListRow]:
        """Lists as received, those in force or those before them; JournalDamaged when any was altered or is missing."""
        rows = self._rows(_READ_LISTS)
        found = [(ListRow(*row[:4]), row[4] != 0, row[5]) for row in rows]
        for item, _old, mark in found:
            if item.mark != mark:
                raise JournalDamaged(_("Une liste reçue du centre est abîmée sur le disque (sorte %d).") % item.kind)
        if sha256(b"".join(_eight(row[4]) + row[5] for row in rows)) != self._latch.lists:
            raise JournalDamaged(_("Une liste reçue du centre manque sur le disque."))
        return [item for item, old, _mark in found if old == is_old]

    def witness(self) -> tuple[Witness, int] | None:
        """What the witness last saw and after how many commits; ``None`` without a readable one."""
        return decode_witness(self._medium.read(self._name + WITNESS_SUFFIX))

    # --- within ---

    def _connect(self) -> None:
        if not self._medium.exists(self._name):
            raise JournalDamaged(_("Le journal de cette caisse a disparu du disque : elle doit être réinscrite."))
        self._medium.refuse_unsafe()
        self._connect_bare()
        if (self._pragma("application_id"), self._pragma("user_version")) != (APPLICATION_ID, FORMAT):
            raise JournalDamaged(_("Ce fichier n'est pas un journal que ce programme sait lire."))

    def _connect_bare(self) -> None:
        pragmas = [(name, value) for name, value, _read in PRAGMAS]
        vfs = {"vfs": self._medium.vfs} if self._medium.vfs else {}
        path = self._medium.path(self._name)
        self._base.init(path, pragmas=pragmas, timeout=0, **vfs)
        self._base.connect()
        self._base.connection().config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for name, _value, expected in PRAGMAS:
            found = self._pragma(name)
            if found != expected and not (name == "mmap_size" and found is None):
                raise UnsafeSettings(_("Réglage du disque refusé : %s vaut %s.") % (name, found))

    def _pragma(self, name: str) -> Any:
        row = self._base.execute_sql(f"PRAGMA {name}").fetchone()
        return row[0] if row else None

    def _table(self, name: str) -> Any:
        if name not in self._tables:
            self._tables[name] = peewee.Table(name, COLUMNS[name]).bind(self._base)
        return self._tables[name]

    def _rows(self, sql: str, *values: object) -> list[Any]:
        rows: list[Any] = self.on_owner(lambda: self._base.execute_sql(sql, values).fetchall()).result()
        return rows

    def _insert(self, table: str, **values: object) -> None:
        self._table(table).insert(values).execute()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (peewee.PeeweeException, apsw.Error, OSError) as fault:
            raise _fault_of(fault) from None


def _fault_of(fault: BaseException) -> JournalFault:
    cause = fault.__context__ if isinstance(fault, peewee.PeeweeException) else fault
    if isinstance(cause, apsw.FullError):
        return DiskFull(_("Le disque est plein : paiement par carte impossible."))
    if isinstance(cause, apsw.BusyError | apsw.LockedError):
        return JournalInUse(_("Un autre programme tient déjà le journal de cette caisse."))
    if isinstance(cause, apsw.CorruptError | apsw.NotADBError):
        return JournalDamaged(_("Le journal est abîmé : le fichier ne se lit plus."))
    return MediumFailed(_("Le disque a échoué : le sort de la dernière écriture est inconnu."))
