"""A centre restored from an old backup: its numbers never repeat, and cards and stalls bring back what it forgot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from central import households
from central.forgotten import forgotten_cents
from central.office import Office
from central.upgrade import conclude_again
from domain.allotment import Size
from domain.identity import PurseNumber
from domain.money import Cents
from domain.purse import Entitlement
from panier.commands.central import central
from tests.central.kit import (
    DECEMBER,
    FEBRUARY,
    FOOD,
    MORNING,
    Backup,
    Held,
    Stall,
    WoundClock,
    account,
    figures,
    in_days,
    new_card,
    new_office,
    new_stall,
)
from tests.central.test_grants import JANUARY


@pytest.fixture
def bruno(office: Office) -> Held:
    """A card that has nothing yet."""
    return new_card(office, 2, granted=0)


def word(office: Office, stall: Stall, held: Held) -> Entitlement:
    stall.entitlements.clear()
    stall.download(office)
    return stall.entitlements[held.card].entitlement


def test_a_grant_it_forgot_comes_back_with_the_card(office: Office, anne: Held, stall: Stall, restore: Backup) -> None:
    restore.backup()
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


def test_counters_another_stall_reads_under_a_forgotten_limit_are_believed(
    office: Office, anne: Held, stall: Stall, restore: Backup
) -> None:
    other = new_stall(office, "Le Fournil")
    restore.backup()
    office.grant(anne.card, FOOD, Cents(1_000), *DECEMBER)
    stall.download(office)
    stall.pay(anne, 4_700)
    other.see(anne)
    other.refuse(anne)
    restored = restore()
    restored.raise_epoch()
    assert stall.send(restored).dispositions == ()
    assert other.send(restored).dispositions == ()


def test_a_window_it_forgot_comes_back_too(office: Office, anne: Held, stall: Stall, restore: Backup) -> None:
    restore.backup()
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
    office: Office, anne: Held, stall: Stall, restore: Backup
) -> None:
    other = new_stall(office, "Le Fournil")
    restore.backup()
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
    office: Office, anne: Held, stall: Stall, restore: Backup
) -> None:
    restore.backup()
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


def paid_to(office: Office) -> int:
    """Cents that producers are paid."""
    return sum(line["paid"] for line in figures(office)["terminals"])


def whys(office: Office) -> list[str]:
    return [notice["why"] for notice in figures(office)["notices"]]


def test_a_forgotten_window_binds_no_other_purse(office: Office, bruno: Held, stall: Stall, restore: Backup) -> None:
    """Files are given out in the order of grants: typed again in another order, another purse has the file."""
    restore.backup()
    office.grant(bruno.card, PurseNumber(9), Cents(30_000), *DECEMBER)
    office.grant(bruno.card, PurseNumber(11), Cents(500), *DECEMBER)
    stall.download(office)
    stall.pay(bruno, 100, 2)
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, PurseNumber(11), Cents(500), *DECEMBER)
    assert stall.send(restored).dispositions == ()
    assert {(slot.file, slot.purse): slot.limit for slot in word(restored, stall, bruno).slots} == {(2, 11): 500}
    found = account(restored, bruno)
    assert (found.granted, found.spent, found.open, found.is_conserved) == (500, 100, 400, True)
    assert paid_to(restored) == 100
    assert [why.split(" que ")[0] for why in whys(restored)] == [
        f"carte {bruno.card.hex()} : une période de l'enveloppe n° {purse}" for purse in (11, 9)
    ], "purse 11 has another file by now, purse 9 none"
    restored.grant(bruno.card, PurseNumber(9), Cents(30_000), *DECEMBER)
    slots = {(slot.file, slot.purse): slot.limit for slot in word(restored, stall, bruno).slots}
    assert slots == {(2, 11): 500, (4, 9): 30_000}


def test_what_was_spent_in_a_window_without_place_was_granted_and_burdens_no_later_month(
    office: Office, bruno: Held, stall: Stall, clock: WoundClock, restore: Backup
) -> None:
    restore.backup()
    office.grant(bruno.card, PurseNumber(9), Cents(30_000), *DECEMBER)
    stall.download(office)
    first, second = stall.pay(bruno, 20_000, 2), stall.pay(bruno, 1_000, 2)
    assert first.tmc + 1 == second.tmc
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, PurseNumber(11), Cents(500), *DECEMBER)
    stall.void(bruno, stall.paid[-1])
    assert stall.send(restored).dispositions == ()
    found = account(restored, bruno)
    assert (found.granted, found.spent, found.excess, found.is_conserved) == (20_000, 20_000, 0, True)
    clock.at = stall.at = in_days(60)
    restored.grant(bruno.card, PurseNumber(11), Cents(700), *FEBRUARY)
    (slot,) = word(restored, stall, bruno).slots
    assert (slot.file, slot.purse, slot.limit - slot.floor) == (2, 11, 700)
    assert account(restored, bruno).is_conserved


def test_a_payment_in_a_window_that_crosses_one_granted_since_stands_and_is_paid(
    office: Office, bruno: Held, stall: Stall, restore: Backup
) -> None:
    """The grant was typed again after the restore, for what is left of the month."""
    restore.backup()
    office.grant(bruno.card, FOOD, Cents(4_000), *DECEMBER)
    stall.download(office)
    stall.pay(bruno, 1_000)
    paid = stall.paid[-1]
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, FOOD, Cents(4_000), in_days(-1), DECEMBER[1])
    assert stall.send(restored).dispositions == ()
    found = account(restored, bruno)
    assert (found.granted, found.spent, found.open, found.is_conserved) == (4_000, 1_000, 3_000, True)
    assert (paid_to(restored), len(whys(restored))) == (1_000, 1)
    stall.void(bruno, paid)
    assert stall.send(restored).dispositions == ()
    found = account(restored, bruno)
    assert (found.spent, found.open, found.lapsed, found.is_conserved) == (0, 3_000, 1_000, True)


def test_a_window_that_ends_on_another_day_is_another_window(
    office: Office, bruno: Held, stall: Stall, restore: Backup
) -> None:
    restore.backup()
    office.grant(bruno.card, FOOD, Cents(9_000), DECEMBER[0], DECEMBER[1] + timedelta(days=1))
    stall.download(office)
    stall.pay(bruno, 100)
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, FOOD, Cents(4_000), *DECEMBER)
    stall.send(restored)
    assert [(slot.end, slot.limit) for slot in word(restored, stall, bruno).slots] == [(DECEMBER[1], 4_000)]
    assert len(whys(restored)) == 1


def test_a_month_that_stands_in_another_file_by_now_is_not_there_twice(
    office: Office, bruno: Held, stall: Stall, restore: Backup
) -> None:
    restore.backup()
    office.grant(bruno.card, FOOD, Cents(100), DECEMBER[0], in_days(2))
    office.grant(bruno.card, FOOD, Cents(4_000), *DECEMBER)
    stall.download(office)
    stall.pay(bruno, 1_000, 1)
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, FOOD, Cents(4_000), *DECEMBER)
    assert stall.send(restored).dispositions == ()
    assert {slot.file: slot.limit for slot in word(restored, stall, bruno).slots} == {2: 4_000}
    found = account(restored, bruno)
    assert (found.granted, found.spent, found.open, found.is_conserved) == (5_000, 1_000, 4_000, True)


def test_a_forgotten_month_finds_its_place_before_one_granted_since(
    office: Office, bruno: Held, stall: Stall, clock: WoundClock, restore: Backup
) -> None:
    restore.backup()
    office.grant(bruno.card, FOOD, Cents(4_000), *DECEMBER)
    stall.download(office)
    stall.pay(bruno, 3_000)
    clock.at = in_days(60)
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, FOOD, Cents(4_000), *FEBRUARY)
    assert word(restored, stall, bruno).slots[0].limit == 4_000
    assert stall.send(restored).dispositions == ()
    (slot,) = word(restored, stall, bruno).slots
    assert (slot.limit, slot.floor, slot.start) == (7_000, 3_000, FEBRUARY[0]), "what was held back is given back"
    found = account(restored, bruno)
    assert (found.granted, found.spent, found.open, found.lapsed) == (8_000, 3_000, 4_000, 1_000)
    assert (found.is_conserved, whys(restored)) == (True, [])
    with restored.store.writing():
        conclude_again(restored.store, restored.keys, restored.rules.programme)
    assert account(restored, bruno) == found


def test_what_a_card_shows_beyond_the_known_grants_of_a_purse_may_have_been_bonus(
    office: Office, anne: Held, stall: Stall, restore: Backup
) -> None:
    restore.backup()
    office.grant(anne.card, FOOD, Cents(1_000), *DECEMBER)
    office.grant(anne.card, FOOD, Cents(2_000), *JANUARY)
    office.grant(anne.card, PurseNumber(9), Cents(300), *DECEMBER)
    stall.download(office)
    stall.pay(anne, 4_700)
    stall.void(anne, stall.paid[-1])
    restored = restore()
    restored.raise_epoch()
    assert forgotten_cents(restored.store, anne.card, FOOD) == 0, "nothing was found yet"
    stall.send(restored)
    assert forgotten_cents(restored.store, anne.card, FOOD) == 3_000, "a void is no grant"
    assert forgotten_cents(restored.store, anne.card, PurseNumber(9)) == 300
    restored.grant(anne.card, FOOD, Cents(2_500), *JANUARY)
    assert forgotten_cents(restored.store, anne.card, FOOD) == 1_000, "never below zero in a window"


def test_a_forgotten_window_without_place_may_have_been_bonus_too(
    office: Office, bruno: Held, stall: Stall, restore: Backup
) -> None:
    restore.backup()
    office.grant(bruno.card, PurseNumber(9), Cents(30_000), *DECEMBER)
    office.grant(bruno.card, PurseNumber(11), Cents(500), *DECEMBER)
    stall.download(office)
    stall.pay(bruno, 100)
    restored = restore()
    restored.raise_epoch()
    restored.grant(bruno.card, PurseNumber(11), Cents(400), *DECEMBER)
    stall.send(restored)
    assert forgotten_cents(restored.store, bruno.card, PurseNumber(9)) == 30_000
    assert forgotten_cents(restored.store, bruno.card, PurseNumber(11)) == 100
    restored.grant(bruno.card, PurseNumber(9), Cents(29_000), *DECEMBER)
    assert forgotten_cents(restored.store, bruno.card, PurseNumber(9)) == 1_000


def test_a_household_never_gets_the_number_of_a_forgotten_one(office: Office, restore: Backup) -> None:
    """Its number stands on paper at the programme."""
    restore.backup()
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
    office: Office, anne: Held, stall: Stall, restore: Backup
) -> None:
    """Somebody went on without raising the epoch."""
    restore.backup()
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
