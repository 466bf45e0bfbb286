"""I4: no bit of what is stored changes unseen, and the records concerned are named."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import apsw
import pytest

from sync.crypto import new_private_key, sha256, sign
from sync.record import open_record, record_hash, seal_record
from terminal.errors import JournalDamaged, JournalFault
from terminal.offline_queue import chain
from terminal.offline_queue.chain import damaged_seqs
from terminal.offline_queue.facts import decode_facts, encode_facts
from terminal.offline_queue.journal import OfflineJournal
from terminal.offline_queue.store import ListRow, RecordRow, record_mark
from tests.journal import kit
from tests.journal.faulty_vfs import FaultyDisk
from tests.journal.kit import ANNE, BEA

DB, WAL = "journal-000001.db", "journal-000001.db-wal"
RULES = ListRow(2, b"", 7, b"a rule set as received" * 20)


def grown(*, is_in_log: bool) -> dict[str, bytes]:
    """A small journal: its newest records still in the write-ahead log, or all of them in the tables."""
    disk = FaultyDisk()
    journal = kit.made(disk)
    kit.pay(journal, ANNE, 1_250)
    kit.tear(journal, BEA, 300)
    journal.keep_lists((RULES,), kit.Draft(kit.RecordType.LIST_IMPORT, {0: 1}, kit.stamp()))
    kit.pay(journal, ANNE, 80)
    journal.open_intent(kit.intent(journal, BEA, 700)).wait()
    if not is_in_log:
        journal._store.checkpoint()
    journal.close()
    return disk.image()


@cache
def images() -> dict[bool, dict[str, bytes]]:
    return {is_in_log: grown(is_in_log=is_in_log) for is_in_log in (False, True)}


def all_of(journal: OfflineJournal) -> object:
    return (kit.picture(journal), journal.stored_records(), journal.stored_lists(), journal.contact)


def read_back(image: dict[str, bytes]) -> object:
    journal = kit.opened(FaultyDisk(image))
    try:
        return all_of(journal)
    finally:
        journal.close()


def flipped(image: dict[str, bytes], name: str, bit: int) -> dict[str, bytes]:
    content = bytearray(image[name])
    content[bit // 8] ^= 1 << (bit % 8)
    return {**image, name: bytes(content)}


def silent_changes(image: dict[str, bytes], bits: list[tuple[str, int]]) -> tuple[int, int]:
    """How many flips were detected, and how many changed something without being detected."""
    before = read_back(image)
    detected = silent = 0
    for name, bit in bits:
        try:
            silent += read_back(flipped(image, name, bit)) != before
        except JournalFault:
            detected += 1
    return detected, silent


def some_bits(image: dict[str, bytes], count: int) -> list[tuple[str, int]]:
    dice = random.Random(1)
    every = [(name, bit) for name, content in image.items() for bit in range(8 * len(content))]
    return dice.sample(every, count)


@pytest.mark.parametrize("is_in_log", [False, True], ids=["in the tables", "in the log"])
def test_no_flipped_bit_changes_anything_unseen(is_in_log: bool) -> None:
    image = images()[is_in_log]
    detected, silent = silent_changes(image, some_bits(image, 1_200))
    assert silent == 0
    assert detected > 50


@pytest.mark.slow
@pytest.mark.parametrize("is_in_log", [False, True], ids=["in the tables", "in the log"])
def test_no_bit_of_many_changes_anything_unseen(is_in_log: bool) -> None:
    image = images()[is_in_log]
    assert silent_changes(image, some_bits(image, 30_000))[1] == 0


def test_without_the_hashes_flipped_bits_go_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    image = images()[False]
    where = image[DB].index(rows()[0].sealed[:40])
    bits = [(DB, bit) for bit in range(8 * where, 8 * (where + 40))]
    assert silent_changes(image, bits) == (320, 0)
    monkeypatch.setattr(chain, "damaged_seqs", lambda rows, prev: set())
    assert silent_changes(image, bits)[1] > 0


def rows() -> list[RecordRow]:
    journal = kit.opened(FaultyDisk(images()[False]))
    try:
        return journal.stored_records()
    finally:
        journal.close()


def test_every_flipped_bit_of_a_stored_record_names_exactly_that_record() -> None:
    stored = rows()
    first = sha256(kit.IDENTITY.certificate)
    assert damaged_seqs(stored, first) == set()
    for place, row in enumerate(stored):
        for part in ("sealed", "facts", "mark"):
            content = getattr(row, part)
            for bit in range(8 * len(content)):
                other = bytearray(content)
                other[bit // 8] ^= 1 << (bit % 8)
                damaged = [*stored[:place], replace(row, **{part: bytes(other)}), *stored[place + 1 :]]
                assert damaged_seqs(damaged, first) == {row.seq}


def test_a_flipped_bit_on_the_disk_names_its_record() -> None:
    image = images()[False]
    for row in rows():
        where = image[DB].index(row.sealed[40:72])
        with pytest.raises(JournalDamaged) as damage:
            kit.opened(FaultyDisk(flipped(image, DB, 8 * where + 3)))
        assert damage.value.seqs == (row.seq,)


def test_missing_records_are_named() -> None:
    stored = rows()
    first = sha256(kit.IDENTITY.certificate)
    assert damaged_seqs([stored[0], *stored[2:]], first) == {2}
    assert damaged_seqs(stored[1:], first) == {1}


def test_a_record_replaced_by_another_of_this_terminal_is_named() -> None:
    stored = rows()
    other = kit.made(FaultyDisk())
    kit.pay(other, ANNE, 99)
    forged = other.stored_records()[0]
    other.close()
    assert damaged_seqs([forged, *stored[1:]], sha256(kit.IDENTITY.certificate)) == {2}


def test_a_lost_write_ahead_log_is_noticed_by_the_witness() -> None:
    image = {name: content for name, content in images()[True].items() if name != WAL}
    with pytest.raises(JournalDamaged) as damage:
        kit.opened(FaultyDisk(image))
    assert damage.value.seqs == (1, 2, 3, 4)


def test_an_older_copy_of_the_files_that_went_on_is_noticed_by_the_witness() -> None:
    disk = FaultyDisk()
    journal = kit.made(disk)
    kit.pay(journal, ANNE, 1)
    old = disk.image()
    kit.pay(journal, ANNE, 2)
    witness = {name: content for name, content in disk.image().items() if name.endswith(".witness")}
    journal.close()
    with pytest.raises(JournalDamaged) as damage:
        kit.opened(FaultyDisk({**old, **witness}))
    assert damage.value.seqs == (2,)


def changed(image: dict[str, bytes], sql: str, *values: object) -> dict[str, bytes]:
    """The image after somebody who knows SQL was at it."""
    disk = FaultyDisk(image)
    database = apsw.Connection(DB, vfs=disk.vfs)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute(sql, values)
    database.close()
    found = disk.image()
    disk.close()
    return found


@pytest.mark.parametrize(
    "sql",
    ["UPDATE list SET is_old = 1", "DELETE FROM list", "UPDATE list SET version = 1"],
    ids=["old", "gone", "older"],
)
def test_a_list_that_was_put_back_or_taken_away_is_noticed(sql: str) -> None:
    with pytest.raises(JournalDamaged, match="liste"):
        read_back(changed(images()[False], sql))


def test_a_record_forged_with_all_its_hashes_lacks_this_terminals_signature() -> None:
    last = rows()[-1]
    signed, envelope = open_record(last.sealed)
    thief = new_private_key()
    sealed = seal_record(replace(envelope, cashier=9), lambda message: sign(thief, message))
    mark = record_mark(last.seq, record_hash(sealed), last.facts)
    image = {name: content for name, content in images()[False].items() if not name.endswith(".witness")}
    forged = changed(image, "UPDATE record SET sealed = ?, mark = ? WHERE seq = ?", sealed, mark, last.seq)
    with pytest.raises(JournalDamaged) as damage:
        read_back(forged)
    assert damage.value.seqs == (last.seq,)
    honest = seal_record(envelope, lambda message: sign(kit.KEY, message))
    mark = record_mark(last.seq, record_hash(honest), last.facts)
    read_back(changed(image, "UPDATE record SET sealed = ?, mark = ? WHERE seq = ?", honest, mark, last.seq))
    assert signed.key_id == envelope.terminal


def test_totals_that_are_not_those_of_the_records_are_noticed() -> None:
    last = rows()[-1]
    facts = encode_facts(replace(decode_facts(last.facts), effect=None))
    mark = record_mark(last.seq, record_hash(last.sealed), facts)
    with pytest.raises(JournalDamaged) as damage:
        read_back(
            changed(images()[False], "UPDATE record SET facts = ?, mark = ? WHERE seq = ?", facts, mark, last.seq)
        )
    assert damage.value.seqs == (last.seq,)
