"""A centre restored from an old backup: its numbers never repeat, and cards and stalls bring back what it forgot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from central import households
from central.office import Office
from domain.allotment import Size
from domain.money import Cents
from domain.purse import Entitlement
from panier.commands.central import central
from tests.central.kit import (
    DECEMBER,
    FOOD,
    MORNING,
    Held,
    Stall,
    WoundClock,
    account,
    figures,
    new_card,
    new_office,
    new_stall,
)
from tests.central.test_grants import JANUARY


@pytest.fixture
def restore(tmp_path: Path, office: Office, clock: WoundClock) -> Callable[[], Office]:
    """Puts back the centre as it was when first asked, and opens it."""
    kept = tmp_path / "backup"

    def again() -> Office:
        office.close()
        shutil.rmtree(office.directory)
        shutil.copytree(kept, office.directory)
        return Office(office.directory, clock)

    def backup() -> None:
        office.store.all("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(office.directory, kept)

    again.backup = backup  # type: ignore[attr-defined]
    return again


def word(office: Office, stall: Stall, held: Held) -> Entitlement:
    stall.entitlements.clear()
    stall.download(office)
    return stall.entitlements[held.card].entitlement


def test_a_grant_it_forgot_comes_back_with_the_card(
    office: Office, anne: Held, stall: Stall, restore: Callable[[], Office]
) -> None:
    restore.backup()  # type: ignore[attr-defined]
    office.grant(anne.card, FOOD, Cents(1_000), *DECEMBER)
    stall.download(office)
    stall.pay(anne, 4_700)
    restored = restore()
    assert restored.raise_epoch() == 2
    first = word(restored, stall, anne)
    assert (first.number, first.slots[0].limit) == ((2, 1), 4_000)
    assert stall.send(restored).dispositions == ()
    found = account(restored, anne)
    assert (found.granted, found.spent, found.open, found.is_conserved) == (5_000, 4_700, 300, True)
    second = word(restored, stall, anne)
    assert (second.number, second.slots[0].limit, second.mark) == ((2, 2), 5_000, 1)
    assert word(restored, stall, anne).number == (2, 2)


def test_a_window_it_forgot_comes_back_too(
    office: Office, anne: Held, stall: Stall, restore: Callable[[], Office]
) -> None:
    restore.backup()  # type: ignore[attr-defined]
    office.grant(anne.card, FOOD, Cents(2_000), *JANUARY)
    stall.download(office)
    stall.pay(anne, 100)
    restored = restore()
    restored.raise_epoch()
    stall.send(restored)
    found = account(restored, anne)
    assert (found.granted, found.open, found.is_conserved) == (6_000, 5_900, True)
    assert {slot.file: slot.limit for slot in word(restored, stall, anne).slots} == {1: 2_000, 2: 4_000}


def test_what_a_forgotten_void_gave_back_is_given_back_once(
    office: Office, anne: Held, stall: Stall, restore: Callable[[], Office]
) -> None:
    other = new_stall(office, "Le Fournil")
    restore.backup()  # type: ignore[attr-defined]
    stall.download(office)
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    stall.send(office)
    other.download(office)
    other.pay(anne, 4_000)  # under a limit of 5 000 that contains the void
    restored = restore()
    restored.raise_epoch()
    other.send(restored)
    assert word(restored, other, anne).slots[0].limit == 5_000
    stall.send(restored)
    assert word(restored, other, anne).slots[0].limit == 5_000
    found = account(restored, anne)
    assert (found.granted, found.spent, found.open, found.excess) == (4_000, 4_000, 0, 0)
    assert other.may_pay(anne) == 0


def test_lists_and_stations_get_numbers_never_given_before(
    office: Office, anne: Held, stall: Stall, restore: Callable[[], Office]
) -> None:
    restore.backup()  # type: ignore[attr-defined]
    given = new_stall(office, "Le Fournil").station
    for _ in range(3):
        office.report_lost(anne.card)
        new_card(office, 2)
    held = stall.download(office)
    assert held.hot_list is not None
    assert held.terminals is not None
    restored = restore()
    restored.raise_epoch()
    after = stall.download(restored)
    assert after.hot_list is not None
    assert after.terminals is not None
    assert after.hot_list.version > held.hot_list.version
    assert after.terminals.version > held.terminals.version
    assert new_stall(restored, "Un autre").station > given


def test_a_household_never_gets_the_number_of_a_forgotten_one(office: Office, restore: Callable[[], Office]) -> None:
    """Its number stands on paper at the programme."""
    restore.backup()  # type: ignore[attr-defined]
    with office.store.writing():
        forgotten = households.take_in(office.store, Size(1, 0), MORNING.date(), office.now())
    restored = restore()
    restored.raise_epoch()
    with restored.store.writing():
        assert households.take_in(restored.store, Size(4, 0), MORNING.date(), restored.now()) > forgotten


def test_the_command_line_raises_the_epoch(office: Office, anne: Held) -> None:
    done = CliRunner().invoke(central, ["restored", "--dir", str(office.directory)])
    assert done.exit_code == 0, done.output
    assert "Époque 2" in done.output
    newest = office.store.one("SELECT epoch, seq FROM entitlement WHERE card = ? ORDER BY epoch DESC", anne.card)
    assert newest == {"epoch": 2, "seq": 1}


def test_two_entitlements_of_one_number_raise_an_alarm_and_the_smaller_counts(
    office: Office, anne: Held, stall: Stall, restore: Callable[[], Office]
) -> None:
    """Somebody went on without raising the epoch."""
    restore.backup()  # type: ignore[attr-defined]
    office.grant(anne.card, FOOD, Cents(100), *DECEMBER)
    stall.download(office)
    stall.pay(anne, 10)
    restored = restore()
    restored.grant(anne.card, FOOD, Cents(500), *DECEMBER)
    stall.send(restored)
    assert ["même numéro" in notice["why"] for notice in figures(restored)["notices"]] == [True]
    restored.grant(anne.card, FOOD, Cents(1), *DECEMBER)
    assert word(restored, stall, anne).slots[0].limit == 4_100


def test_an_entitlement_of_another_centre_binds_nobody(
    tmp_path: Path, office: Office, anne: Held, stall: Stall
) -> None:
    foreign = new_office(tmp_path / "other")
    theirs = new_card(foreign, 1, granted=9_000)
    rogue = new_stall(foreign)
    stall.entitlements[anne.card] = rogue.entitlements[theirs.card]
    stall.pay(anne, 10)
    stall.send(office)
    assert account(office, anne).granted == 4_000
    foreign.close()
