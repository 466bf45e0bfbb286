"""The entitlement on a tag is one copy, written at once. Torn, it is unreadable, and no tag is locked out by that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bench.market import CENTRE_KEY, NOON, centre_signs, entitle
from domain.identity import SlotFile
from domain.reason import Reason
from emulator.tear import prefix, torn_write
from sync.card_format import decode_entitlement, encode_entitlement
from terminal import events as say
from tests.card.ntag.kit import issued_tag, paid, stall, word_for

WRITE = 0x8D
PARTS_B = (0, 1, 2, 14, 31, 60, 113, 114, 130, 131, 200, 232, 233)
SHORTER = word_for(issued_tag(), 2_500, seq=1)
LONGER = entitle(issued_tag(), 2, (2_000, 800), NOON - timedelta(days=1))


@pytest.mark.parametrize("written_b", PARTS_B)
def test_torn_in_its_entitlement_a_tag_paid_nothing_and_pays_at_the_same_stall(written_b: int) -> None:
    tag = issued_tag()
    first = stall(2, [tag], [SHORTER])
    assert paid(first, tag, 300) == [300]
    before = tag.purse
    second = stall(3, [tag], [LONGER])
    assert paid(second, tag, 400, torn_write(WRITE, prefix(written_b))) == []
    assert tag.purse == before and second.journal.doubts() == ()
    assert [word.amount for word in second.tap(tag) if isinstance(word, say.Paid)] == [400]
    assert tag.entitlement == LONGER.padded and tag.purse.newest.counter == 2


@pytest.mark.parametrize("written_b", PARTS_B)
def test_a_torn_entitlement_is_mended_by_any_terminal_that_holds_one_even_an_older_one(written_b: int) -> None:
    tag = issued_tag()
    paid(stall(2, [tag], [SHORTER]), tag, 300)
    paid(stall(3, [tag], [LONGER]), tag, 400, torn_write(WRITE, prefix(written_b)))
    elsewhere = stall(4, [tag], [SHORTER])
    assert paid(elsewhere, tag, 500) == [500]
    stands = LONGER if tag.entitlement == LONGER.padded else SHORTER
    assert tag.entitlement == stands.padded
    assert sum(tag.spent().values()) == 800


def test_a_terminal_that_holds_none_says_so_writes_nothing_and_the_next_one_mends_it() -> None:
    tag = issued_tag()
    paid(stall(3, [tag], [LONGER]), tag, 400, torn_write(WRITE, prefix(100)))
    torn, before = tag.entitlement, tag.purse
    without = stall(4, [tag])
    without.sell(("vegetables", 500))
    refused = [word for word in without.tap(tag) if isinstance(word, say.PaysNothing)]
    assert [word.reason for word in refused] == [Reason.ENTITLEMENT_UNREADABLE]
    assert (tag.entitlement, tag.purse) == (torn, before)
    assert paid(stall(5, [tag], [LONGER]), tag, 500) == [500]
    assert paid(without, tag, 600) == [600], "the tag now brings its own credit"


def test_an_older_entitlement_never_takes_the_place_of_a_newer_one() -> None:
    tag = issued_tag()
    paid(stall(3, [tag], [LONGER]), tag, 400)
    paid(stall(2, [tag], [SHORTER]), tag, 300)
    assert tag.entitlement == LONGER.padded


def test_an_entitlement_for_slots_a_tag_does_not_hold_pays_from_none_of_them() -> None:
    tag = issued_tag()
    word = SHORTER.entitlement
    moved = replace(word, slots=(replace(word.slots[0], file=SlotFile(7)),))
    data = encode_entitlement(moved, tag.order.uid, centre_signs)
    signed = decode_entitlement(data, tag.order.uid, lambda _: CENTRE_KEY.public_key())
    seller = stall(2, [tag], [signed])
    assert paid(seller, tag, 300) == []
    assert sum(tag.spent().values()) == 0
