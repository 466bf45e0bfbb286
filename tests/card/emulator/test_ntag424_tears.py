"""Pulling an NTAG 424 DNA: nothing commits, so a write may be there, not there, or there in part."""

import json
from pathlib import Path

import pytest
from ntag_host import CC, NDEF, NTAG_UID, OWN, NtagHost, at_application
from virtual_card_host import KEYS, UID, ZERO, Host, issue, le3

from emulator.card import VirtualCard
from emulator.field import FieldGone
from emulator.inprocess import InProcessField
from emulator.ntag424.card import VirtualNtag
from emulator.open_card import open_card
from emulator.state_file import CardFileUnreadable, FileStore, MemoryStore
from emulator.tear import Disturbance, Phase, chance, prefix, tear_at, tear_on, torn_write

OLD, NEW = b"o" * 40, b"n" * 40
OFFSET_B = 16
WRITE = 0x8D
APDUS = 4
"""Select, two halves of the authentication, the write."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tag.json"
    at_application(VirtualNtag.blank(NTAG_UID, path), 3).full(WRITE, bytes([OWN]) + le3(OFFSET_B) + le3(40), OLD)
    return path


def _write(field: InProcessField) -> None:
    host = NtagHost(field.exchange)
    host.choose()
    host.ev2(ZERO, 3)
    host.full(WRITE, bytes([OWN]) + le3(OFFSET_B) + le3(40), NEW)
    host.full(0xAD, bytes([OWN]) + le3(0) + le3(1))


def _write_torn(path: Path, *disturbances: Disturbance) -> bytes:
    """Write through a field that tears; return what the tag's file then holds at that place."""
    field = InProcessField()
    field.present(open_card(path), disturbances)
    with pytest.raises(FieldGone):
        _write(field)
    assert not field.is_occupied
    content = VirtualNtag.load(path).memory.files[OWN].content
    assert content[:OFFSET_B] == b"\x00\x7e" + bytes(14)
    assert not any(content[OFFSET_B + 40 :])
    return content[OFFSET_B : OFFSET_B + 40]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("index", range(APDUS))
def test_around_an_apdu_a_write_is_there_or_not(path: Path, index: int, phase: Phase) -> None:
    found = _write_torn(path, tear_at(index, phase))
    assert found == (NEW if index == APDUS - 1 and phase is not Phase.BEFORE else OLD)


@pytest.mark.parametrize("written_b", range(41))
def test_inside_a_write_any_prefix_may_be_all_that_is_there(path: Path, written_b: int) -> None:
    assert _write_torn(path, torn_write(WRITE, prefix(written_b))) == NEW[:written_b] + OLD[written_b:]


def test_chance_gives_nothing_all_and_parts_and_the_same_for_the_same_seed(path: Path) -> None:
    lengths = []
    for seed in range(40):
        found = _write_torn(path, torn_write(WRITE, chance(seed)))
        lengths.append(found.count(b"n"))
        at_application(VirtualNtag.load(path), 3).full(WRITE, bytes([OWN]) + le3(OFFSET_B) + le3(40), OLD)
    assert lengths == [chance(seed)(40) for seed in range(40)]
    assert {0, 40} < set(lengths)


def test_an_iso_update_can_tear_in_part_as_well(path: Path) -> None:
    field = InProcessField()
    field.present(VirtualNtag.load(path), [torn_write(0xD6, prefix(3))])
    host = NtagHost(field.exchange)
    host.choose()
    host.iso_apdu("00A4000C02E104")
    with pytest.raises(FieldGone):
        host.iso_apdu("00D6000405" + "0102030405")
    assert VirtualNtag.load(path).memory.files[NDEF].content[:10] == bytes.fromhex("00000000010203000000")


@pytest.mark.parametrize("kept", [False, True])
def test_a_key_and_a_files_settings_change_whole_or_not_at_all(path: Path, kept: bool) -> None:
    for ins, header, data in ((0xC4, b"\x00", KEYS[0] + b"\x01"), (0x5F, bytes([CC]), b"\x03\x00\x00")):
        before = VirtualNtag.load(path).memory
        field = InProcessField()
        field.present(VirtualNtag.load(path), [torn_write(ins, prefix(int(kept)))])
        host = NtagHost(field.exchange)
        host.choose()
        host.ev2(before.keys[0].value, 0)
        with pytest.raises(FieldGone):
            host.full(ins, header, data)
        assert (VirtualNtag.load(path).memory != before) == kept


def test_a_refused_write_tears_into_nothing(path: Path) -> None:
    before = VirtualNtag.load(path).memory
    field = InProcessField()
    field.present(VirtualNtag.load(path), [torn_write(WRITE, prefix(99))])
    host = NtagHost(field.exchange)
    host.choose()
    with pytest.raises(FieldGone):
        host.raw(WRITE, bytes([OWN]) + le3(0) + le3(4) + b"free")
    assert VirtualNtag.load(path).memory == before


def test_the_same_tag_laid_down_again_is_whole(path: Path) -> None:
    tag = VirtualNtag.load(path)
    field = InProcessField()
    field.present(tag, [torn_write(WRITE, prefix(1))])
    host = NtagHost(field.exchange)
    host.choose()
    host.ev2(ZERO, 3)
    with pytest.raises(FieldGone):
        host.full(WRITE, bytes([OWN]) + le3(OFFSET_B) + le3(40), NEW)
    again = at_application(tag, 3)
    again.full(WRITE, bytes([OWN]) + le3(OFFSET_B) + le3(40), NEW)
    assert again.full(0xAD, bytes([OWN]) + le3(OFFSET_B) + le3(40)) == NEW
    assert tag.memory == VirtualNtag.load(path).memory


# --- the DESFire card under the same tears


@pytest.mark.parametrize("kept", [False, True])
def test_inside_a_commit_a_desfire_card_keeps_all_or_nothing(kept: bool) -> None:
    store = MemoryStore()
    issue(VirtualCard.blank(UID, store))
    before = VirtualCard.load(store).memory
    field = InProcessField()
    field.present(VirtualCard.load(store), [torn_write(0xC7, prefix(int(kept)))])
    host = Host(field.exchange)
    host.select()
    host.ev2(KEYS[1], 1)
    host.reader_id(bytes(16))
    host.debit(1, 100)
    with pytest.raises(FieldGone):
        host.commit()
    assert (VirtualCard.load(store).memory != before) == kept


# --- one kind of file for both kinds of card


def test_a_card_file_names_its_kind_and_opens_as_that(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "card.json"
    VirtualCard.blank(UID, other)
    assert json.loads(path.read_text("utf-8"))["kind"] == "ntag424"
    assert json.loads(other.read_text("utf-8"))["kind"] == "desfire"
    assert isinstance(open_card(path), VirtualNtag)
    assert isinstance(open_card(other), VirtualCard)


def test_a_judge_reads_a_tags_file_without_our_code(path: Path) -> None:
    tag = json.loads(path.read_text("utf-8"))
    assert tag["uid"] == NTAG_UID.hex().upper()
    assert tag["files"]["03"]["content"] == ("007E" + "00" * 14 + "6F" * 40).ljust(256, "0")
    assert (tag["files"]["03"]["mode"], tag["files"]["03"]["rights"]) == ("full", "3023")
    assert [key["key"] for key in tag["keys"]] == ["00" * 16] * 5


def test_a_file_from_before_there_were_kinds_is_a_desfire_card(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    VirtualCard.blank(UID, path)
    text = path.read_text("utf-8").replace(' "kind": "desfire",\n', "")
    assert "kind" not in text
    FileStore(path).write(text)
    assert open_card(path).memory.uid == UID


def test_a_file_of_the_other_kind_or_an_unknown_one_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(CardFileUnreadable, match="kind"):
        VirtualCard.load(path)
    other = tmp_path / "card.json"
    VirtualCard.blank(UID, other)
    with pytest.raises(CardFileUnreadable, match="kind"):
        VirtualNtag.load(other)
    for damage in (other.read_text("utf-8").replace('"desfire"', '"classic"'), "", "[]", '{"kind": "ntag424"}'):
        FileStore(path).write(damage)
        with pytest.raises(CardFileUnreadable):
            open_card(path)


def test_random_id_and_changed_keys_are_still_there_after_a_reload(path: Path) -> None:
    host = at_application(VirtualNtag.load(path), 0)
    host.full(0x5C, b"\x00", b"\x02")
    host.change_other_key(4, ZERO, KEYS[4], version=7)
    host.change_settings(NDEF, "40E0EE" + "C1F121" + "200000430000430000")
    again = VirtualNtag.load(path)
    assert again.memory.is_random_id
    assert at_application(again, 4, KEYS[4]).mac(0x64, b"\x04") == b"\x07"
    assert VirtualNtag.load(path).memory == again.memory


def test_the_reader_learns_the_random_id_in_anticollision(path: Path) -> None:
    at_application(VirtualNtag.load(path), 0).full(0x5C, b"\x00", b"\x02")
    field = InProcessField()
    tag = open_card(path)
    field.present(tag, [tear_on(0x60, Phase.AFTER)])
    answer = field.exchange(bytes.fromhex("FFCA000000"))
    assert answer == tag.uid + b"\x90\x00"
    assert len(answer) == 6
