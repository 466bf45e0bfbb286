"""Everything concluded from records can be concluded again, also from a database of the first format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from central import merchants
from central.office import Office
from central.store import Row, Store
from central.upgrade import conclude_again
from sync.crypto import new_private_key, sign
from sync.enrolment import Request, encode_request, read_response
from sync.merchant_format import read_payload
from tests.central.kit import MORNING, Held, Stall, WoundClock, figures, new_card, new_stall

LATE = new_private_key()
OF_THE_FIRST_FORMAT = (
    """CREATE TABLE event (card BLOB NOT NULL, tmc INTEGER NOT NULL, terminal BLOB NOT NULL, epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL, state TEXT NOT NULL, amount INTEGER NOT NULL, expected_tmv BLOB NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (terminal, epoch, seq))""",
    """CREATE TABLE movement (terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, card BLOB NOT NULL,
        tmc INTEGER NOT NULL, file INTEGER NOT NULL, amount INTEGER NOT NULL, value_after INTEGER NOT NULL,
        start_at INTEGER)""",
    """CREATE TABLE sighting (card BLOB NOT NULL, tmc INTEGER NOT NULL, tmv BLOB NOT NULL, terminal BLOB NOT NULL,
        epoch INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (card, tmc, tmv, terminal, epoch, seq))""",
    """CREATE TABLE counter (card BLOB NOT NULL, tmc INTEGER NOT NULL, file INTEGER NOT NULL, value INTEGER NOT NULL,
        terminal BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (terminal, epoch, seq, file))""",
)

OF_THE_FOURTH_FORMAT = (
    """CREATE TABLE merchant (number INTEGER PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL,
        groups TEXT NOT NULL, default_family TEXT NOT NULL)""",
    """CREATE TABLE merchant_version (number INTEGER NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL,
        groups TEXT NOT NULL, default_family TEXT NOT NULL, PRIMARY KEY (number, version))""",
)

WINDOWS = "SELECT card, file, start_at, limit_signed FROM slot_window ORDER BY card, file"


def with_entries_of_the_fourth_format(store: Store, *, has_versions: bool) -> None:
    """Keep of each merchant what was kept before format 5; before format 4 of the entry in force alone."""
    rows, inside = store.all("SELECT entry FROM merchant_version ORDER BY number, version"), OF_THE_FOURTH_FORMAT
    store.change("DROP TABLE merchant_version")
    for statement in inside if has_versions else inside[:1]:
        store.change(statement)
    for entry in (read_payload(bytes(row["entry"])) for row in rows):
        columns = {
            "number": entry.number,
            "version": entry.version,
            "name": entry.name,
            "groups": " ".join(sorted(entry.groups)),
            "default_family": entry.default_family,
        }
        store.change("DELETE FROM merchant WHERE number = ?", entry.number)
        store.put("merchant", **columns)
        if has_versions:
            store.put("merchant_version", **columns)
    for table in ("terminal", "code"):
        store.change(f"ALTER TABLE {table} DROP COLUMN point_of_sale")


@pytest.fixture
def story(office: Office, anne: Held, stall: Stall) -> dict[str, Any]:
    """A morning with a void, a slip, a torn payment, a terminal that burns, a lie; the figures at its end."""
    bruno = new_card(office, 2)
    other, gone = new_stall(office, "Le Fournil"), new_stall(office, "Étal du Pont")
    for one in (stall, other, gone):
        one.download(office)
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    gone.pay(anne, 3_500)
    other.tear(anne, 30, committed=True)
    stall.recover(anne)
    stall.see(anne)
    gone.pay(bruno, 20)
    gone.pay(bruno, 30)
    other.pay(bruno, 40, TMV=bytes(8))
    other.refuse(bruno)
    for one in (other, stall):
        one.send(office)
    return figures(office)


def test_the_ledger_concluded_again_from_the_records_is_the_same(office: Office, story: dict[str, Any]) -> None:
    with office.store.writing():
        conclude_again(office.store, office.keys, office.rules.programme)
    assert figures(office) == story
    assert story["spent"] > 0
    assert story["voided"] > 0


def test_a_database_of_the_first_format_is_brought_up_when_it_is_opened(
    office: Office, story: dict[str, Any], clock: WoundClock
) -> None:
    store, signed = office.store, office.store.all(WINDOWS)
    with store.writing():
        store.change("DROP VIEW entitlement_known")
        for table in (
            *("void_made", "given_back", "log_seen", "slip_seen", "puzzle_tried", "alarm", "entitlement_found"),
            *("suspension", "to_settle"),
        ):
            store.change(f"DROP TABLE {table}")
        for table in ("event", "movement", "sighting", "counter"):
            store.change(f"DROP TABLE {table}")
        for statement in OF_THE_FIRST_FORMAT:
            store.change(statement)
        for table, column in (
            ("terminal", "revoked_at"),
            ("terminal", "t_lo"),
            ("entitlement", "mark"),
            *(("slot_window", name) for name in ("voids_signed", "limit_signed", "bound", "bound_mark", "cap")),
        ):
            store.change(f"ALTER TABLE {table} DROP COLUMN {column}")
        with_entries_of_the_fourth_format(store, has_versions=False)
        store.change("UPDATE meta SET value = 1 WHERE name = 'format'")
    check_opened(office, story, clock, signed)


def test_a_database_of_the_second_format_is_brought_up_too(
    office: Office, story: dict[str, Any], clock: WoundClock
) -> None:
    store, signed = office.store, office.store.all(WINDOWS)
    with store.writing():
        for table in ("suspension", "to_settle"):
            store.change(f"DROP TABLE {table}")
        store.change("ALTER TABLE terminal DROP COLUMN t_lo")
        store.change("ALTER TABLE event DROP COLUMN excess")
        with_entries_of_the_fourth_format(store, has_versions=False)
        store.change("UPDATE meta SET value = 2 WHERE name = 'format'")
    check_opened(office, story, clock, signed)


def test_a_database_of_the_fourth_format_keeps_every_version_of_every_entry(
    office: Office, story: dict[str, Any], clock: WoundClock
) -> None:
    store, signed = office.store, office.store.all(WINDOWS)
    first = merchants.entry(store, merchants.PointOfSale(1))
    waiting = office.new_code(first.number)
    with store.writing():
        merchants.keep(store, replace(first, groups=frozenset({"referenced", "sustainable"}), default_family="bread"))
    before = store.all("SELECT * FROM merchant_version ORDER BY number, version")
    with store.writing():
        with_entries_of_the_fourth_format(store, has_versions=True)
        store.change("UPDATE meta SET value = 4 WHERE name = 'format'")
    check_opened(office, story, clock, signed)
    again = Office(office.directory, clock)
    assert again.store.all("SELECT * FROM merchant_version ORDER BY number, version") == before
    assert [entry.version for entry in merchants.entries(again.store)] == [2, 1, 1]
    assert not again.store.all("SELECT 1 FROM sqlite_master WHERE name = 'merchant'")
    request = encode_request(Request(waiting.secret, LATE.public_key(), "panier test"), lambda told: sign(LATE, told))
    enrolled = read_response(again.enrol(request), waiting, LATE.public_key())
    assert enrolled.certificate.point_of_sale == 1, "a code given before is still good"
    assert enrolled.download.merchant == merchants.entry(again.store, merchants.PointOfSale(1))
    again.close()


def check_opened(office: Office, story: dict[str, Any], clock: WoundClock, signed: list[Row]) -> None:
    """The same figures, and what counts as signed: no renewal is held back by a ceiling."""
    office.close()
    again = Office(office.directory, clock)
    assert figures(again) == story
    assert again.store.is_of_this_format()
    assert again.store.all(WINDOWS) == signed
    assert again.store.number("SELECT min(t_lo) FROM terminal WHERE head_seq > 0") == MORNING.timestamp()
    again.close()
