"""The card's file: readable by anyone, written whole, refused when it is not ours."""

import json
from pathlib import Path

import pytest
from virtual_card_host import AID, FULL_CENTS, KEYS, LOG, TMAC, TMAC_KEY, UID, Host, issue

from emulator.card import VirtualCard
from emulator.state_file import CardFileUnreadable, MemoryStore, from_text, to_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "card.json"
    card = VirtualCard.blank(UID, path)
    issue(card)
    card.power_on()
    host = Host(card.transceive)
    host.select()
    host.ev2(KEYS[1], 1)
    host.reader_id(bytes(16))
    host.debit(2, 325)
    host.write_record(LOG, b"\x42" * 32)
    host.commit()
    return path


def test_a_judge_reads_the_facts_without_our_code(path: Path) -> None:
    card = json.loads(path.read_text(encoding="utf-8"))
    files = card["applications"][AID.hex().upper()]["files"]
    assert card["uid"] == UID.hex().upper()
    assert files["02"]["value"] == FULL_CENTS - 325
    assert files["0F"]["tmc"] == 1
    assert len(files["0F"]["tmv"]) == 16
    assert files["0F"]["key"] == TMAC_KEY.hex().upper()
    assert files["10"]["records_oldest_first"] == ["00" * 32, "42" * 32]
    assert len(files["11"]["content"]) == 852
    assert files["01"]["rights"] == "301F"
    assert int("0F", 16) == TMAC


def test_a_card_is_the_same_after_reading_its_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert to_text(from_text(text)) == text


def test_nothing_but_the_card_file_is_left_in_the_folder(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["card.json"]


@pytest.mark.parametrize("damage", ["", "{}", "[]", "null", "nonsense", '{"format": "panier-virtual-card"}'])
def test_a_damaged_file_is_named_not_guessed(path: Path, damage: str) -> None:
    path.write_text(damage, encoding="utf-8")
    with pytest.raises(CardFileUnreadable):
        VirtualCard.load(path)


def test_another_version_and_a_missing_file_are_refused(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with pytest.raises(CardFileUnreadable, match="version"):
        from_text(text.replace('"version": 1,', '"version": 2,'))
    with pytest.raises(CardFileUnreadable, match="type"):
        from_text(text.replace('"type": "cyclic"', '"type": "linear"'))
    with pytest.raises(CardFileUnreadable, match=r"none\.json"):
        VirtualCard.load(path.with_name("none.json"))


def test_a_memory_store_can_be_reloaded_like_a_file() -> None:
    store = MemoryStore()
    issue(VirtualCard.blank(UID, store))
    assert set(VirtualCard.load(store).memory.applications) == {AID}


@pytest.mark.parametrize(("uid", "generation"), [(b"\x04\x01", "EV3"), (UID, "EV1")])
def test_an_impossible_card_is_not_made(uid: bytes, generation: str) -> None:
    with pytest.raises(ValueError):
        VirtualCard.blank(uid, generation=generation)
