"""The real till and a virtual DESFire card make the transactions; the terminal burns; the centre proves them again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bench.market import AID, MARCH, NOON, RULES, STALL, HeldCard, Seller, disk, issued
from central.office import Office
from domain.identity import PurseNumber, Uid
from domain.money import Cents
from emulator.memory import CyclicFile, DataFile, TmacFile, ValueFile
from sync.issuing import TERMINALS, TMAC_KEY
from sync.signed_lists import SlipKey
from terminal import events as say
from terminal.fixed_lists import FixedLists
from tests.central.chip import Chip
from tests.central.kit import Held, Stall, WoundClock, account, figures, new_office, new_stall

FILE = 1
UID = Uid(bytes([4, 1, 2, 3, 4, 5, 9]))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", WoundClock(NOON - timedelta(days=2)))
    yield opened
    opened.close()


@pytest.fixture
def card(office: Office) -> HeldCard:
    """Issued by the issuing code from the centre's own order."""
    order = office.register_card(UID)
    office.grant(order.card, PurseNumber(1), Cents(3_000), *MARCH)
    return issued(order)


@pytest.fixture
def other(office: Office, card: HeldCard) -> Stall:
    stall = new_stall(office, "Le Fournil")
    stall.at = NOON
    return stall


def burning(tmp_path: Path, office: Office, card: HeldCard, name: str = "Étal du Pont") -> Seller:
    """A till that knows the card and will never be heard of again."""
    enrolled = new_stall(office, name)
    word = enrolled.entitlements[card.order.card]
    seller = Seller(disk(tmp_path / name), enrolled.station, [card], [word], device_key=enrolled.device_key)
    keys = enrolled.enrolled.centre_keys.entitlements
    terminals = enrolled.enrolled.download.terminals
    seller.lists = FixedLists(
        RULES,
        STALL,
        {UID: card.ref},
        {card.order.card: card.order.keys[TERMINALS]},
        keys.get,
        NOON - timedelta(hours=3),
        {word.entitlement.card: word},
        frozenset(),
        {
            **({} if terminals is None else terminals.stations),
            enrolled.station: SlipKey(enrolled.device_key.public_key()),
        },
    )
    seller.open()
    return seller


def in_hand(card: HeldCard) -> Held:
    """What the card's memory holds now, for a stall to look at."""
    files = card.awake().memory.applications[AID].files
    log, place, proof = files[0x10], files[0x11], files[0x0F]
    assert isinstance(log, CyclicFile)
    assert isinstance(place, DataFile)
    assert isinstance(proof, TmacFile)
    chip = Chip(
        UID,
        card.order.keys[TMAC_KEY],
        tmc=proof.tmc,
        tmv=proof.tmv,
        values={number: file.value for number, file in files.items() if isinstance(file, ValueFile)},
        entitlement=place.content[1:234],
        logs=tuple(reversed(log.records))[:8],
        reader_id=proof.reader_id,
        places=place.content[0],
        slip_area=place.content[234:426],
    )
    return Held(card.order, chip)


def pay(seller: Seller, card: HeldCard, cents: int) -> None:
    seller.sell(("vegetables", cents))
    (word,) = seller.tap(card)
    assert isinstance(word, say.Paid), word


def void(seller: Seller, card: HeldCard) -> None:
    seller.void()
    (word,) = seller.tap(card)
    assert isinstance(word, say.Voided), word


def look(office: Office, other: Stall, card: HeldCard) -> list[tuple[int, str, str]]:
    """A refused tap elsewhere reads the card, and is sent."""
    other.see(in_hand(card), files=(FILE,))
    assert other.send(office).dispositions == ()
    rows = office.store.all("SELECT tmc, kind, state FROM event WHERE card = ? ORDER BY tmc", card.order.card)
    return [(row["tmc"], row["kind"], row["state"]) for row in rows]


def test_a_payment_of_the_real_till_is_proven_without_its_record(
    tmp_path: Path, office: Office, card: HeldCard, other: Stall
) -> None:
    seller = burning(tmp_path, office, card)
    pay(seller, card, 700)
    assert look(office, other, card) == [(1, "payment", "proven")]
    pay(seller, card, 35)
    assert look(office, other, card) == [(1, "payment", "proven"), (2, "payment", "proven")]
    assert account(office, in_hand(card)).spent == 735


def test_voids_with_and_without_slips_of_the_real_till_are_proven_without_their_records(
    tmp_path: Path, office: Office, card: HeldCard, other: Stall
) -> None:
    """Two slips fill the places; the third void stays in the journal that burned: its payment cannot be known."""
    seller = burning(tmp_path, office, card)
    for round_ in range(3):
        pay(seller, card, 500)
        look(office, other, card)
        void(seller, card)
        found = look(office, other, card)
        assert found[-1] == (2 * round_ + 2, "void", "proven")
    money = account(office, in_hand(card))
    assert (money.spent, money.voided, money.travelling, money.open) == (500, 1_000, 0, 2_500)
    assert figures(office)["notices"] == ()


def test_two_burned_tills_that_counted_on_each_others_slip_leave_no_cent_unknown(
    tmp_path: Path, office: Office, card: HeldCard, other: Stall
) -> None:
    first = burning(tmp_path, office, card)
    second = burning(tmp_path, office, card, "Étal du Lavoir")
    pay(first, card, 900)
    look(office, other, card)
    void(first, card)
    look(office, other, card)
    pay(second, card, 2_400)
    assert look(office, other, card) == [(1, "payment", "proven"), (2, "void", "proven"), (3, "payment", "proven")]
    money = account(office, in_hand(card))
    assert (money.spent, money.open, money.excess, money.is_conserved) == (2_400, 600, 0, True)


def test_a_record_that_has_not_come_yet_contradicts_nothing(
    tmp_path: Path, office: Office, card: HeldCard, other: Stall
) -> None:
    seller = burning(tmp_path, office, card)
    pay(seller, card, 700)
    station = seller.identity.station
    assert look(office, other, card) == [(1, "payment", "proven")]
    row = office.store.one("SELECT frozen FROM terminal WHERE station = ?", station)
    assert row is not None
    assert row["frozen"] is None
