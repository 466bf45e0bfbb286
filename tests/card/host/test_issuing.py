"""A blank card becomes the programme's, once; torn and wrong cards are in tests/card/issuing."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.identity import CardId, Uid
from emulator.card import VirtualCard
from emulator.inprocess import InProcessField
from sync.issuing import PICC_MASTER, TMAC_KEY, IssueOrder
from terminal.errors import CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.channel import Mode, select_application
from terminal.nfc.issuing import CardNotBlank, Found, check_issued, issue, read_uid
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall


def laid(stall: Stall, path: Path, *disturbances: object, uid: Uid | None = None) -> Link:
    """A blank card at ``path`` (or the one already there) on a bare reader."""
    field = InProcessField()
    card = VirtualCard.load(path) if path.exists() else VirtualCard.blank(uid or stall.order.uid, path)
    field.present(card, disturbances)  # type: ignore[arg-type]
    return stall.link_to(field)


def test_an_issued_card_has_the_keys_files_and_settings_of_the_order(stall: Stall) -> None:
    check_issued(laid(stall, stall.path), stall.order)


def test_an_issued_card_is_told_and_left_as_it_is(stall: Stall) -> None:
    before = stall.path.read_bytes()
    assert issue(laid(stall, stall.path), stall.order) is Found.ISSUED
    assert stall.path.read_bytes() == before


def test_a_card_whose_first_key_was_changed_is_told_and_left_as_it_is(stall: Stall) -> None:
    other = replace(stall.order, aid=b"\x01\x02\x03")
    before = stall.path.read_bytes()
    with pytest.raises(CardNotBlank):
        issue(laid(stall, stall.path), other)
    assert stall.path.read_bytes() == before


def test_another_chip_than_the_ordered_one_is_left_as_it_is(stall: Stall, tmp_path: Path) -> None:
    path = tmp_path / "blank.json"
    link = laid(stall, path, uid=Uid(bytes.fromhex("04FFFFFFFFFFFF")))
    before = path.read_bytes()
    assert read_uid(link) == bytes.fromhex("04FFFFFFFFFFFF")
    with pytest.raises(NotOurCard):
        issue(link, stall.order)
    assert path.read_bytes() == before


def test_a_tap_has_too_few_apdus_to_issue_a_card(stall: Stall, tmp_path: Path) -> None:
    field = InProcessField()
    field.present(VirtualCard.blank(stall.order.uid, tmp_path / "blank.json"))
    with pytest.raises(CardMisbehaves):
        issue(stall.link_to(field, most_apdus=40), stall.order)


class NoKeys:
    def key(self, card: CardId) -> bytes | None:
        return None


class WrongKeys:
    def key(self, card: CardId) -> bytes | None:
        return b"K" * 16


def test_a_card_without_a_key_here_is_not_ours_and_with_another_key_not_genuine(stall: Stall) -> None:
    for keys, fault in ((NoKeys(), NotOurCard), (WrongKeys(), WrongKey)):
        link = laid(stall, stall.path)
        select_application(link, stall.order.aid)
        with pytest.raises(fault) as caught:
            KeyStore(keys).authenticate(link, stall.ref)
        assert "K" * 8 not in str(caught.value)


def test_a_key_store_gives_no_key_away() -> None:
    store = KeyStore(WrongKeys())
    assert "KKKK" not in repr(store)
    with pytest.raises(TypeError):
        pickle.dumps(store)


def test_a_cloned_serial_number_with_other_keys_is_not_genuine(stall: Stall, tmp_path: Path) -> None:
    keys = {number: bytes([0xEE]) * 16 for number in stall.order.keys}
    clone = replace(stall.order, keys=keys)
    path = tmp_path / "clone.json"
    issue(laid(stall, path), clone)
    contact = stall.readers.connect(stall.lay(card=VirtualCard.load(path)), stall.clock.deadline(5))
    with pytest.raises(WrongKey):
        contact.authenticate(stall.ref)


def test_a_blank_card_and_a_card_of_another_programme_are_not_ours(stall: Stall, tmp_path: Path) -> None:
    foreign: IssueOrder = replace(stall.order, aid=b"\x0a\x0b\x0c")
    issue(laid(stall, tmp_path / "foreign.json"), foreign)
    VirtualCard.blank(stall.order.uid, tmp_path / "blank.json")
    for name in ("foreign.json", "blank.json"):
        contact = stall.readers.connect(stall.lay(card=VirtualCard.load(tmp_path / name)), stall.clock.deadline(5))
        with pytest.raises(NotOurCard):
            contact.authenticate(stall.ref)


def test_the_cards_file_holds_what_was_ordered(stall: Stall) -> None:
    card = json.loads(stall.path.read_text())
    assert (card["picc"]["key_type"], card["picc"]["key_settings"]) == ("AES", "09")
    assert bytes.fromhex(card["picc"]["key"]) == stall.order.keys[PICC_MASTER]
    application = card["applications"][stall.order.aid.hex().upper()]
    assert application["key_settings"] == "09"
    assert [bytes.fromhex(item["key"]) for item in application["keys"]] == [stall.order.keys[n] for n in range(5)]
    files = application["files"]
    rights = {"0F": "101F", "10": "F011", "11": "F011", "12": "301F"} | {f"0{n}": "301F" for n in range(1, 9)}
    assert {number: content["rights"] for number, content in files.items()} == rights
    assert {content["mode"] for content in files.values()} == {"full"}
    for number in range(1, 9):
        slot = files[f"0{number}"]
        assert (slot["lower"], slot["value"], slot["upper"]) == (0, 16_000_000, 16_000_000)
        assert not slot["limited_credit_on"] and not slot["free_get_value"]
    assert bytes.fromhex(files["0F"]["key"]) == stall.order.keys[TMAC_KEY]
    assert (files["0F"]["tmc"], files["10"]["record_b"], files["10"]["max_records"]) == (0, 32, 9)
    assert bytes.fromhex(files["11"]["content"]) == bytes(426)
    assert bytes.fromhex(files["12"]["content"]) == stall.order.card_info


def test_modes_are_the_settings_on_the_card() -> None:
    assert [mode.value for mode in Mode] == [0, 1, 3]
