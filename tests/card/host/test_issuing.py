"""A blank card becomes the programme's, once."""

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
from emulator.tear import Moment, Phase, Tear
from sync.errors import PanierError
from sync.issuing import PICC_MASTER, TERMINALS, TMAC_KEY, IssueOrder
from terminal.errors import CardGone, CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.apdu import Ins
from terminal.nfc.channel import Mode, authenticate_ev2_first, select_application
from terminal.nfc.issuing import CardNotBlank, check_settings, issue, read_uid
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
    check_settings(laid(stall, stall.path), stall.order)


def test_an_issued_card_is_told_and_left_as_it_is(stall: Stall) -> None:
    before = stall.path.read_bytes()
    with pytest.raises(CardNotBlank) as caught:
        issue(laid(stall, stall.path), stall.order)
    assert caught.value.is_issued
    assert stall.path.read_bytes() == before


def test_a_card_whose_first_key_was_changed_is_told_and_left_as_it_is(stall: Stall) -> None:
    other = replace(stall.order, aid=b"\x01\x02\x03")
    before = stall.path.read_bytes()
    with pytest.raises(CardNotBlank) as caught:
        issue(laid(stall, stall.path), other)
    assert not caught.value.is_issued
    assert stall.path.read_bytes() == before


def test_another_chip_than_the_ordered_one_is_left_as_it_is(stall: Stall, tmp_path: Path) -> None:
    path = tmp_path / "blank.json"
    link = laid(stall, path, uid=Uid(bytes.fromhex("04FFFFFFFFFFFF")))
    before = path.read_bytes()
    assert read_uid(link) == bytes.fromhex("04FFFFFFFFFFFF")
    with pytest.raises(NotOurCard):
        issue(link, stall.order)
    assert path.read_bytes() == before


@pytest.mark.parametrize("phase", [Phase.BEFORE, Phase.ANSWER_LOST], ids=["before", "answer lost"])
def test_issuing_broken_off_anywhere_is_a_fault_and_never_an_issued_card(
    stall: Stall, tmp_path: Path, phase: Phase
) -> None:
    for index in range(0, 68, 3):
        path = tmp_path / f"{index}.json"
        with pytest.raises(CardGone):
            issue(laid(stall, path, Tear(Moment(index=index), phase)), stall.order)


def test_a_tap_has_too_few_apdus_to_issue_a_card(stall: Stall, tmp_path: Path) -> None:
    field = InProcessField()
    field.present(VirtualCard.blank(stall.order.uid, tmp_path / "blank.json"))
    with pytest.raises(CardMisbehaves):
        issue(stall.link_to(field, most_apdus=40), stall.order)


def test_a_terminals_key_can_debit_and_never_credit(stall: Stall) -> None:
    for ins in (0x0C, 0x1C):
        link = laid(stall, stall.path)
        select_application(link, stall.order.aid)
        channel = authenticate_ev2_first(link, stall.order.keys[TERMINALS], TERMINALS)
        with pytest.raises(CardMisbehaves):
            channel.send(ins, b"\x01", bytes([1, 0, 0, 0]))


def test_a_terminals_key_cannot_change_keys_or_settings(stall: Stall) -> None:
    for ins, header, data in (
        (Ins.CHANGE_KEY, b"\x01", bytes(21)),
        (Ins.CHANGE_KEY_SETTINGS, b"", b"\x0f"),
    ):
        link = laid(stall, stall.path)
        select_application(link, stall.order.aid)
        channel = authenticate_ev2_first(link, stall.order.keys[TERMINALS], TERMINALS)
        with pytest.raises(CardMisbehaves):
            channel.send(ins, header, data)
    check_settings(laid(stall, stall.path), stall.order)


def test_nobody_creates_an_application_without_the_chips_key(stall: Stall) -> None:
    link = laid(stall, stall.path)
    select_application(link, bytes(3))
    answer = link.exchange(bytes.fromhex("90CA000005AABBCC0F8500"))
    assert answer[-1] in (0x9D, 0xAE)


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


def test_no_fault_of_issuing_names_a_key(stall: Stall, tmp_path: Path) -> None:
    secrets = {key.hex() for key in stall.order.keys.values()}
    for index in range(0, 60, 7):
        with pytest.raises(PanierError) as caught:
            issue(laid(stall, tmp_path / f"{index}.json", Tear(Moment(index=index), Phase.BEFORE)), stall.order)
        assert not any(secret in str(caught.value).lower() for secret in secrets)


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
