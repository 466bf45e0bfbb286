"""A blank tag becomes the programme's, and is taken up again wherever it was torn away."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from domain.identity import Uid
from emulator.card import VirtualCard
from emulator.field import Exchange, FieldGone
from emulator.inprocess import InProcessField
from emulator.ntag424.card import VirtualNtag
from emulator.state_file import MemoryStore
from emulator.tear import Phase, prefix, tear_at, torn_write
from terminal.errors import CardFault, NotOurCard, WrongKey
from terminal.nfc.issuing import CardNotBlank, Found, NotAsOrdered
from terminal.nfc.ntag424 import check_issued_tag, issue_tag
from terminal.nfc.ntag424.issuing import TagAtStation
from terminal.nfc.ntag424.tag import ENTITLEMENT_FILE, PURSE_FILE, read_file, write_file
from tests.card.ntag.kit import HeldTag, blank_store, issued_tag, laid, order_for, paid, stall, word_for

ORDER = order_for()


def test_a_blank_tag_is_issued_and_a_finished_one_only_tested() -> None:
    store = blank_store(ORDER)
    assert issue_tag(laid(store), ORDER) is Found.BLANK
    tag = HeldTag(ORDER, store)
    assert tag.purse.newest.counter == 0 and tag.entitlement == bytes(233)
    before = store.read()
    assert issue_tag(laid(store), ORDER) is Found.ISSUED
    assert store.read() == before


def test_a_tag_in_use_is_not_emptied_by_being_laid_on_the_station_again() -> None:
    tag = issued_tag()
    assert paid(stall(2, [tag], [word_for(tag)]), tag, 700) == [700]
    before = tag.store.read()
    assert issue_tag(laid(tag.store), tag.order) is Found.ISSUED
    assert tag.store.read() == before


def test_torn_at_any_apdu_issuing_goes_on_where_it_stands() -> None:
    said: list[Exchange] = []
    issue_tag(laid(blank_store(ORDER), said=said), ORDER)
    for index in range(len(said)):
        for phase in Phase:
            store = blank_store(ORDER)
            with contextlib.suppress(CardFault, FieldGone):
                issue_tag(laid(store, tear_at(index, phase)), ORDER)
            issue_tag(laid(store), ORDER)
            tag = HeldTag(ORDER, store)
            assert tag.purse.newest.counter == 0 and tag.entitlement == bytes(233)


@pytest.mark.parametrize("nth", [1, 2])
def test_torn_inside_a_write_issuing_goes_on(nth: int) -> None:
    for written_b in (0, 1, 32, 63, 64, 65, 100, 127, 128, 232):
        store = blank_store(ORDER)
        with pytest.raises((CardFault, FieldGone)):
            issue_tag(laid(store, torn_write(0x8D, prefix(written_b), nth=nth)), ORDER)
        issue_tag(laid(store), ORDER)
        assert HeldTag(ORDER, store).purse.newest.counter == 0


def test_somebody_elses_tag_is_left_alone() -> None:
    store = issued_tag().store
    before = store.read()
    other = replace(ORDER, keys={key: bytes([key + 1]) * 16 for key in ORDER.keys})
    with pytest.raises(CardNotBlank):
        issue_tag(laid(store), other)
    with pytest.raises(NotOurCard):
        issue_tag(laid(store), replace(ORDER, uid=Uid(bytes(7))))
    assert store.read() == before


def test_a_desfire_card_is_no_tag() -> None:
    store = MemoryStore()
    VirtualCard.blank(ORDER.uid, store)
    field = InProcessField()
    field.present(VirtualCard.load(store))
    link = laid(blank_store(ORDER))
    link._field._field = field  # type: ignore[attr-defined]
    with pytest.raises(NotOurCard):
        issue_tag(link, ORDER)


@pytest.mark.parametrize("number", range(5))
def test_a_key_that_is_not_the_ordered_one_is_found(number: int) -> None:
    tag = issued_tag()
    wrong = replace(tag.order, keys={**tag.order.keys, number: bytes(range(16))})
    with pytest.raises(NotAsOrdered, match=f"key {number}"):
        check_issued_tag(laid(tag.store), wrong)


def test_a_factory_key_and_open_files_are_found() -> None:
    store = blank_store(ORDER)
    with pytest.raises(NotAsOrdered, match="still the factory's"):
        check_issued_tag(laid(store), ORDER)
    with pytest.raises((CardFault, FieldGone)):
        issue_tag(laid(store, tear_at(15, Phase.AFTER)), ORDER)  # keys changed, rights not
    with pytest.raises((NotAsOrdered, CardFault)):
        check_issued_tag(laid(store), ORDER)


@pytest.mark.parametrize("file", [ENTITLEMENT_FILE, PURSE_FILE])
def test_only_the_terminals_key_reads_and_writes(file: int) -> None:
    tag = issued_tag()
    for number in (0, 2, 3, 4):
        at_station = TagAtStation(laid(tag.store), tag.order)
        with pytest.raises(CardFault):
            read_file(at_station.session(number), file, 16)
        with pytest.raises(CardFault):
            write_file(at_station.session(number), file, 0, bytes(16))
    assert len(read_file(TagAtStation(laid(tag.store), tag.order).session(1), file, 16)) == 16
    with pytest.raises(WrongKey):
        TagAtStation(laid(tag.store), tag.order).session(1, bytes(16))


def test_nobody_without_a_key_reads_anything_but_the_capability_container() -> None:
    tag = issued_tag()
    chip = VirtualNtag.load(tag.store)
    chip.power_on()
    chip.transceive(bytes.fromhex("00A4040C07D276000085010100"))
    for file in (ENTITLEMENT_FILE, PURSE_FILE):
        answer = chip.transceive(bytes.fromhex("90AD000007") + bytes([file]) + bytes(6) + b"\x00")
        assert len(answer) == 2 and answer != b"\x91\x00"
