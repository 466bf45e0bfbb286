"""What a till writes of a payment and of a void beside the decision: where it stood, what it had checked and taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.market import NOON, STALL, HeldCard, Seller, disk, entitle
from domain.basket import Basket, Line
from domain.identity import Station
from domain.money import Cents
from emulator.state_file import MemoryStore
from emulator.tear import Phase, tear_on
from sync.crypto import new_private_key
from sync.record import BODY_VERSION, Check, Envelope, Pay, RecordType, open_record
from sync.signed_lists import SlipKey
from terminal import events as say

COMMIT = 0xC7
FIRST = [Check.CARD_KEY, Check.CARD_LIST, Check.EXPIRY, Check.HOT_LIST, Check.ENTITLEMENT, Check.COUNTERS, Check.LOG]


@pytest.fixture
def card(issued: HeldCard) -> HeldCard:
    return HeldCard(issued.order, MemoryStore(issued.store.read()))


@pytest.fixture
def stall(tmp_path: Path, card: HeldCard) -> Iterator[Seller]:
    seller = Seller(disk(tmp_path / "stall"), 2, [card], [entitle(card)], merchant=replace(STALL, point_of_sale=3))
    seller.identity = replace(seller.identity, offline_cap=Cents(9_000), card_cap=Cents(5_000), caps_version=4)
    seller.open()
    yield seller
    seller.close()


def envelopes(seller: Seller, *kinds: RecordType) -> list[Envelope]:
    opened = [open_record(record)[1] for record in seller.journal.records(1, 99)]
    return [envelope for envelope in opened if envelope.type in kinds]


def last(seller: Seller, *kinds: RecordType) -> Envelope:
    return envelopes(seller, *kinds)[-1]


def test_a_payment_says_where_it_was_made_and_under_which_caps(stall: Seller, card: HeldCard) -> None:
    for cents in (700, 500):
        stall.sell(("bread", cents))
        stall.tap(card)
    body = last(stall, RecordType.PAYMENT).body
    assert body[Pay.VERSION] == BODY_VERSION == 1
    assert (body[Pay.MERCHANT_VERSION], body[Pay.POINT_OF_SALE], body[Pay.CAPS_VERSION]) == (1, 3, 4)
    assert (body[Pay.TILL_BEFORE], body[Pay.TILL_LEFT]) == ([700, 700], [8_300, 4_300])
    assert body[Pay.PRODUCT_LISTS] == [], "none reaches a till yet"


def test_a_payment_names_the_checks_that_were_made(stall: Seller, card: HeldCard) -> None:
    for cents in (700, 500):
        stall.sell(("bread", cents))
        stall.tap(card)
    first, second = envelopes(stall, RecordType.PAYMENT)
    assert first.body[Pay.CHECKS] == FIRST
    assert second.body[Pay.CHECKS] == sorted([*FIRST, Check.SEEN_HERE])


def test_slips_are_named_as_checked_only_if_each_of_them_holds(tmp_path: Path, stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 700))
    stall.tap(card)
    stall.void()
    assert [type(word) for word in stall.tap(card)] == [say.Voided]
    known = {Station(2): SlipKey(stall.device_key.public_key())}
    forged = {Station(2): SlipKey(new_private_key().public_key())}
    for keys, is_named in ((known, True), (forged, False)):
        held = HeldCard(card.order, MemoryStore(card.store.read()))
        other = Seller(disk(tmp_path / str(is_named)), 5, [held], [entitle(held)], slip_keys=keys)
        other.open()
        other.sell(("bread", 300))
        other.tap(held)
        checks = last(other, RecordType.PAYMENT).body[Pay.CHECKS]
        assert (Check.SLIPS in checks) is is_named  # type: ignore[operator]
        other.close()


def test_a_void_names_its_checks_and_nothing_of_a_decision(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 700))
    stall.tap(card)
    stall.void()
    stall.tap(card)
    body = last(stall, RecordType.VOID).body
    assert body[Pay.CHECKS] == [1, 2, 5, 6, 7, 8], "neither expiry nor hot list keep money from being given back"
    of_a_decision = {Pay.LINES, Pay.REST, Pay.CAPS_VERSION, Pay.POINT_OF_SALE, Pay.PURSES_TODAY, Pay.TILL_BEFORE}
    assert not of_a_decision & body.keys()


def test_a_doubt_says_all_the_payment_would_have_said_but_the_proof(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 700))
    stall.tap(card, tear_on(COMMIT, Phase.BEFORE))
    stall.tap(card)
    stall.tap(card)
    doubt, payment = last(stall, RecordType.IN_DOUBT).body, last(stall, RecordType.PAYMENT).body
    assert payment.keys() - doubt.keys() == {Pay.TMC, Pay.TMV}


def test_a_unit_price_is_kept_where_there_was_one(stall: Seller, card: HeldCard) -> None:
    weighed = Line("vegetables", Cents(315), quantity=750, unit="kg", unit_price=Cents(420))
    stall.sell_basket(Basket((Line("bread", Cents(200)), weighed)))
    stall.tap(card)
    stall.sell(("bread", 100))
    stall.tap(card)
    priced, plain = envelopes(stall, RecordType.PAYMENT)
    assert priced.body[Pay.UNIT_PRICES] == [[1, 420]]
    assert Pay.UNIT_PRICES not in plain.body


def test_every_record_names_the_last_contact_it_counts_its_time_from(stall: Seller, card: HeldCard) -> None:
    start = last(stall, RecordType.BOOT)
    told = NOON.replace(hour=NOON.hour - 3)
    assert (start.anchor_time, start.anchor_seq) == (int(told.timestamp()), 0)
    contact = replace(stall.journal.contact, centre_time=NOON, anchor_seq=1)
    stall.journal.keep_contact(contact)
    for cents in (100, 200):
        stall.sell(("bread", cents))
        stall.tap(card)
    anchors = [(paid.anchor_time, paid.anchor_seq) for paid in envelopes(stall, RecordType.PAYMENT)]
    assert anchors == [(int(NOON.timestamp()), 1)] * 2
