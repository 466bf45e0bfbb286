"""Grants become limits a card may reach; nothing that is not yet reported ever makes one larger."""

from __future__ import annotations

from datetime import timedelta

import pytest

from central.office import Office
from domain.identity import SlotFile
from domain.money import Cents
from domain.purse import Entitlement
from sync.batch import Versions
from tests.central.kit import (
    DECEMBER,
    DECEMBER_FILE,
    FEBRUARY,
    FEBRUARY_FILE,
    FOOD,
    MORNING,
    Held,
    Stall,
    WoundClock,
    account,
    in_days,
    new_card,
    new_stall,
)

JANUARY = (DECEMBER[1], FEBRUARY[0])


def word(office: Office, stall: Stall, held: Held) -> Entitlement:
    """The newest entitlement of a card, as a stall gets it."""
    stall.download(office)
    return stall.entitlements[held.card].entitlement


def test_a_grant_becomes_a_limit_in_its_window(office: Office, stall: Stall, anne: Held) -> None:
    found = word(office, stall, anne)
    (slot,) = found.slots
    assert (slot.file, slot.purse, slot.limit, slot.floor) == (DECEMBER_FILE, FOOD, 4_000, 0)
    assert (slot.start, slot.end) == DECEMBER
    assert (found.card, found.number, found.mark, found.void_allowance) == (anne.card, (1, 1), 0, 2_000)
    assert found.issued_at == MORNING
    assert found.valid_until - found.issued_at <= timedelta(days=40)


def test_a_second_grant_in_the_same_window_adds_to_the_limit(office: Office, stall: Stall, anne: Held) -> None:
    office.grant(anne.card, FOOD, Cents(500), *DECEMBER)
    found = word(office, stall, anne)
    assert found.slots[0].limit == 4_500
    assert found.number == (1, 2)
    assert account(office, anne).granted == 4_500


def test_the_next_month_lives_in_the_other_file(office: Office, stall: Stall, anne: Held, clock: WoundClock) -> None:
    clock.at = in_days(25)
    office.grant(anne.card, FOOD, Cents(3_000), *JANUARY)
    limits = {slot.file: (slot.limit, slot.start) for slot in word(office, stall, anne).slots}
    assert limits == {1: (3_000, JANUARY[0]), 2: (4_000, DECEMBER[0])}


def test_when_a_file_is_used_again_its_limit_starts_from_what_is_proven(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    stall.pay(anne, 3_200)
    stall.send(office)
    clock.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    (slot,) = word(office, stall, anne).slots
    assert (slot.file, slot.limit, slot.floor) == (FEBRUARY_FILE, 7_200, 3_200)
    found = account(office, anne)
    assert (found.open, found.lapsed, found.is_conserved) == (4_000, 800, True)


def test_sales_not_yet_reported_make_the_new_balance_smaller_never_larger(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    stall.pay(anne, 1_000)
    stall.send(office)
    stall.pay(anne, 2_000)
    clock.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    found = word(office, stall, anne)
    assert found.slots[0].limit == 5_000
    assert found.unconfirmed == {SlotFile(FEBRUARY_FILE)}


def test_a_genuine_card_never_falls_below_the_floor_or_the_mark(office: Office, stall: Stall, anne: Held) -> None:
    offline = new_stall(office, "Le Fournil")
    stall.pay(anne, 300)
    for amount in (100, 60, 40):  # more than the card can tell of by itself
        offline.pay(anne, amount)
    stall.pay(anne, 50)
    stall.send(office)
    office.grant(anne.card, FOOD, Cents(1), *DECEMBER)
    found = word(office, stall, anne)
    assert (found.mark, found.slots[0].floor) == (1, 550)
    offline.send(office)
    office.grant(anne.card, FOOD, Cents(1), *DECEMBER)
    assert word(office, stall, anne).mark == 5


def test_windows_of_one_file_never_overlap(office: Office, stall: Stall, anne: Held) -> None:
    office.grant(anne.card, FOOD, Cents(100), in_days(3), in_days(5))
    slots = word(office, stall, anne).slots
    assert [(slot.file, slot.limit, slot.end) for slot in slots] == [(1, 100, in_days(5)), (2, 4_000, DECEMBER[1])]
    with pytest.raises(ValueError, match="chevauche"):
        office.grant(anne.card, FOOD, Cents(100), in_days(4), in_days(6))
    assert account(office, anne).granted == 4_100


@pytest.mark.parametrize("amount", [0, -5])
def test_a_grant_is_above_zero(office: Office, anne: Held, amount: int) -> None:
    with pytest.raises(ValueError, match="zéro"):
        office.grant(anne.card, FOOD, Cents(amount), *DECEMBER)


def test_only_what_changed_comes_down(office: Office, stall: Stall, anne: Held) -> None:
    bruno = new_card(office, 2)
    first = stall.download(office).entitlements
    assert {uid for delta in first for uid, _ in delta.entries} == {anne.order.uid, bruno.order.uid}
    office.grant(bruno.card, FOOD, Cents(100), *DECEMBER)
    (delta,) = stall.download(office, Versions(entitlements=first[-1].version)).entitlements
    assert [uid for uid, _ in delta.entries] == [bruno.order.uid]
    assert stall.download(office, Versions(entitlements=delta.version)).entitlements == ()


def test_the_newest_entitlement_of_a_card_is_the_one_that_comes_down(office: Office, stall: Stall, anne: Held) -> None:
    for _ in range(3):
        office.grant(anne.card, FOOD, Cents(100), *DECEMBER)
    assert word(office, stall, anne).number == (1, 4)
