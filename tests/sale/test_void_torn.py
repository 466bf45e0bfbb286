"""Every way a void can be torn, times every moment the power can go; then the card visits again, untorn.

The truth is the card's log: a void stands there whole or not at all. After each schedule the journal says the same, no
doubt is left, the payment was undone at most once, and a slip stands on the card exactly when the void does.

The fast lane plays a part that is the same in every run, every tear (each APDU in each phase) and every power cut among
it; the slow lane plays them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import pytest

from bench.market import AID, HeldCard, Seller
from domain.card_log import LogType
from emulator.memory import CyclicFile, DataFile
from emulator.tear import Phase, Tear, tear_at
from sync.card_format import decode_log_record
from sync.record import Outcome, RecordType, Resolve, open_record
from terminal import events as say
from terminal import recovery, tap
from terminal.ports import CardHead, Doubt
from tests.journal.faulty_vfs import FaultyDisk, Survivors
from tests.sale.test_tear_and_power_cut import FATES, NEVER, apdus_of_a_tap, fresh
from tests.schedules import one_in

PRICE = 300


@dataclass(frozen=True, slots=True)
class Mishap:
    """Where the card is torn, and after how many disk operations the power goes."""

    tear: Tear | None = None
    cut: int = NEVER
    fate: Survivors = Survivors.NONE


def voids_on(card: HeldCard) -> int:
    """Log records of voids on the card."""
    file = card.awake().memory.applications[AID].files[0x10]
    assert isinstance(file, CyclicFile)
    return [decode_log_record(record).type for record in file.records].count(LogType.VOID)


def slips_on(card: HeldCard) -> int:
    """Slip places in use on the card."""
    file = card.awake().memory.applications[AID].files[0x11]
    assert isinstance(file, DataFile)
    return file.content[0].bit_count()


def voids_booked(seller: Seller) -> int:
    """Voids this journal holds as done: VOID records, and voids in doubt that were confirmed."""
    done = 0
    for record in seller.journal.records(1, 999):
        envelope = open_record(record)[1]
        if envelope.type == RecordType.RESOLUTION:
            done += envelope.body[Resolve.IS_VOID] == 1 and envelope.body[Resolve.OUTCOME] == Outcome.CONFIRMED
        done += envelope.type == RecordType.VOID
    return done


def check(mishap: Mishap) -> None:
    """Play one schedule and hold it to the invariants."""
    card, (seller,) = fresh(1)
    seller.open()
    try:
        seller.sell(("vegetables", PRICE))
        seller.tap(card)
        seller, was_shown = torn_void(seller, card, mishap)
        seller.tap(card)
        booked = voids_booked(seller)
        assert seller.journal.doubts() == (), "a doubt was left"
        assert booked == voids_on(card) == slips_on(card), "card and journal disagree"
        assert booked >= was_shown, "shown as undone, and lost"
        day = decode_log_record(seller.journal_payment).minutes_at.date()  # type: ignore[attr-defined]
        assert seller.journal.paid_on(card.order.card, day) == PRICE * (1 - booked), "undone twice or not counted"
    finally:
        seller.journal.close()
        seller.medium.close()  # type: ignore[attr-defined]


def torn_void(seller: Seller, card: HeldCard, mishap: Mishap) -> tuple[Seller, bool]:
    """One void with its mishap, and a restart where the power went; the seller now, and whether ANNULÉ was shown."""
    disk = seller.medium
    assert isinstance(disk, FaultyDisk)
    payment = seller.journal.voidable()
    assert payment is not None
    disk.cut_after(mishap.cut)
    seller.void()
    said = seller.tap(card, *(() if mishap.tear is None else (mishap.tear,)))
    was_shown = any(isinstance(word, say.Voided) for word in said)
    seller.back()
    seller.accept()
    if disk.is_dark:
        seller.journal.close()
        found = disk.restarted(mishap.fate)
        disk.close()
        seller = seller.after_power_cut(found)
        seller.open()
        seller.accept()
    else:
        disk.cut_after(NEVER)
    seller.journal_payment = payment.log_record  # type: ignore[attr-defined]
    return seller, was_shown


@cache
def apdus_and_operations() -> tuple[int, int]:
    """How many APDUs and how many disk operations an untroubled void has."""
    card, (seller,) = fresh(1)
    seller.open()
    seller.sell(("vegetables", PRICE))
    seller.tap(card)
    disk = seller.medium
    assert isinstance(disk, FaultyDisk)
    before = disk.operations
    seller.void()
    apdus = apdus_of_a_tap(seller, card)
    operations = disk.operations - before
    seller.journal.close()
    disk.close()
    return apdus, operations


def tears(first: int = 0) -> list[Tear | None]:
    apdus, _ = apdus_and_operations()
    return [None, *(tear_at(index, phase) for index, phase in product(range(first, apdus), Phase))]


def cuts() -> list[tuple[int, Survivors]]:
    _, operations = apdus_and_operations()
    return [(NEVER, Survivors.NONE), *product(range(operations + 3), FATES)]


def test_a_void_of_one_slot_has_twelve_apdus() -> None:
    """Nine, the slot read, the slip and its place."""
    assert apdus_and_operations()[0] == 12


def test_a_void_torn_anywhere_is_whole_or_nothing_and_its_doubt_ends_at_the_next_tap() -> None:
    """One schedule in five of all of them."""
    for tear, (cut, fate) in one_in(5, tears(), cuts()):
        check(Mishap(tear, cut, fate))


@pytest.mark.slow
def test_a_void_torn_anywhere_times_every_power_cut_is_whole_or_nothing() -> None:
    count = 0
    for tear, (cut, fate) in product(tears(), cuts()):
        check(Mishap(tear, cut, fate))
        count += 1
    assert count > 500


def complaints() -> Iterator[str]:
    """As long as somebody asks."""
    apdus, _ = apdus_and_operations()
    for tear, (cut, fate) in product(tears(apdus - 2), cuts()):
        try:
            check(Mishap(tear, cut, fate))
        except AssertionError as complaint:
            yield str(complaint).splitlines()[0]


def test_taking_an_unanswered_void_for_done_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeful(doubt: Doubt, head: CardHead) -> Outcome:
        del doubt, head
        return Outcome.CONFIRMED

    monkeypatch.setattr(tap, "outcome_of", hopeful)
    assert "card and journal disagree" in complaints()


def test_taking_an_unanswered_void_for_not_done_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def gloomy(doubt: Doubt, head: CardHead) -> Outcome | None:
        return recovery.outcome_of(doubt, head) if not doubt.is_void else Outcome.CANCELLED

    monkeypatch.setattr(tap, "outcome_of", gloomy)
    assert "card and journal disagree" in complaints()
