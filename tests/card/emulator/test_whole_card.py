"""Commands about a DESFire card as a whole: memory, format, random ID, originality, changed file settings."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA224
from virtual_card_host import (
    AID,
    ENTITLEMENT,
    FULL_CENTS,
    INFO,
    KEYS,
    LOG,
    TMAC,
    UID,
    Host,
    Status,
    issue,
    le3,
    value_file,
)

from emulator.card import VirtualCard
from emulator.crypto import originality_public_key
from emulator.field import FieldGone
from emulator.inprocess import InProcessField
from emulator.open_card import open_card
from emulator.tear import prefix, torn_write

EMPTY_B = 4864
LAYOUT_B = 2112
"""What the card design reckons its application takes; the guesses of `budget.py` were chosen to give it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "card.json"
    issue(VirtualCard.blank(UID, path))
    return path


@pytest.fixture
def card(path: Path) -> VirtualCard:
    return VirtualCard.load(path)


def _at(card: VirtualCard, key_no: int | None = None) -> Host:
    """At the application, in a session of that key."""
    card.power_on()
    host = Host(card.transceive)
    host.select()
    if key_no is not None:
        host.ev2(KEYS[key_no], key_no)
    return host


def _picc(card: VirtualCard, *, master: bool = True) -> Host:
    """At card level, in a session of the master key."""
    card.power_on()
    host = Host(card.transceive)
    if master:
        host.ev2(KEYS[4], 0)
    return host


def _refusal(host: Host, ins: int, body: bytes = b"") -> int:
    with pytest.raises(Status) as refusal:
        host.raw(ins, body)
    return refusal.value.code


def _sealed_refusal(host: Host, ins: int, header: bytes = b"", data: bytes = b"", *, full: bool = False) -> int:
    return _refusal(host, ins, host.sealed(ins, header, data, full=full))


def _free_b(card: VirtualCard) -> int:
    return int.from_bytes(_picc(card, master=False).raw(0x6E), "little")


# --- memory


def test_an_empty_card_has_the_published_memory_and_the_layout_takes_what_the_model_was_fitted_to(
    card: VirtualCard,
) -> None:
    assert _free_b(VirtualCard.blank(UID)) == EMPTY_B
    assert _free_b(card) == EMPTY_B - LAYOUT_B
    assert int.from_bytes(_picc(card).mac(0x6E), "little") == EMPTY_B - LAYOUT_B


@pytest.mark.parametrize(
    ("ins", "body", "taken_b"),
    [
        (0xCD, bytes([0x1A, 3, 0, 0]) + le3(1), 64),
        (0xCD, bytes([0x1A, 3, 0, 0]) + le3(32), 64),
        (0xCD, bytes([0x1A, 3, 0, 0]) + le3(33), 96),
        (0xCB, bytes([0x1A, 3, 0, 0]) + le3(33), 160),
        (0xC0, bytes([0x1A, 3, 0, 0]) + le3(20) + le3(5), 160),
        (0xCC, value_file(0x1A), 64),
    ],
)
def test_a_file_takes_whole_blocks_and_its_own(card: VirtualCard, ins: int, body: bytes, taken_b: int) -> None:
    before_b = _free_b(card)
    _at(card, 0).mac(ins, body)
    assert before_b - _free_b(card) == taken_b


def test_a_file_that_does_not_fit_is_refused_and_the_card_stays_as_it_is(card: VirtualCard) -> None:
    room_b = _free_b(card) - 32
    before = card.memory
    assert _sealed_refusal(_at(card, 0), 0xCD, bytes([0x1A, 3, 0, 0]) + le3(room_b + 1)) == 0x0E
    assert _sealed_refusal(_at(card, 0), 0xCB, bytes([0x1A, 3, 0, 0]) + le3(room_b // 2 + 32)) == 0x0E
    assert card.memory == before
    _at(card, 0).mac(0xCD, bytes([0x1A, 3, 0, 0]) + le3(room_b))
    assert _free_b(card) == 0
    assert _sealed_refusal(_picc(card), 0xCA, b"\x01\x02\x03\x0f\x81") == 0x0E


def test_what_a_deleted_file_took_comes_back_with_the_format_only(card: VirtualCard, path: Path) -> None:
    before_b = _free_b(card)
    for _ in range(2):
        host = _at(card, 0)
        host.mac(0xCD, bytes([0x1A, 3, 0, 0]) + le3(500))
        host.mac(0xDF, b"\x1a")
    assert _free_b(VirtualCard.load(path)) == before_b - 2 * (32 + 512)
    assert json.loads(path.read_text("utf-8"))["deleted_b"] == 2 * (32 + 512)
    _picc(card).mac(0xFC)
    assert _free_b(VirtualCard.load(path)) == EMPTY_B


def test_a_file_from_before_deleted_memory_was_counted_still_opens(path: Path) -> None:
    card = json.loads(path.read_text("utf-8"))
    del card["deleted_b"]
    path.write_text(json.dumps(card), encoding="utf-8")
    assert _free_b(VirtualCard.load(path)) == EMPTY_B - LAYOUT_B


# --- format


def test_the_format_takes_all_applications_and_leaves_the_cards_own_key(card: VirtualCard, path: Path) -> None:
    _picc(card).mac(0xFC)
    again = VirtualCard.load(path)
    host = _picc(again)
    assert host.mac(0x6A) == b""
    assert _refusal(host, 0x5A, AID) == 0xA0


def test_only_the_cards_master_formats_it(card: VirtualCard) -> None:
    assert _refusal(_picc(card, master=False), 0xFC) == 0xAE
    assert _sealed_refusal(_at(card, 0), 0xFC) == 0x9D
    assert AID in card.memory.applications


def test_a_format_once_disabled_stays_disabled(card: VirtualCard, path: Path) -> None:
    _picc(card).full(0x5C, b"\x00", b"\x01")
    _picc(card).full(0x5C, b"\x00", b"\x00")
    assert _sealed_refusal(_picc(VirtualCard.load(path)), 0xFC) == 0x9D


def test_a_blank_card_is_formatted_with_its_first_key() -> None:
    blank = VirtualCard.blank(UID)
    host = _picc(blank, master=False)
    host.iso()
    assert len(host.raw(0xCA, b"\x01\x02\x03\x0f\x81")) == 8
    assert len(host.raw(0xFC)) == 8
    assert not blank.memory.applications


# --- random ID


def test_with_random_id_the_uid_is_learned_in_a_session_only(card: VirtualCard, path: Path) -> None:
    host = _picc(card)
    host.full(0x5C, b"\x00", b"\x02")
    assert card.uid == UID, "the anticollision of this presentation is past"
    again = open_card(path)
    assert isinstance(again, VirtualCard)
    seen = set()
    for _ in range(4):
        host = _picc(again, master=False)
        seen.add(again.uid)
        assert host.raw(0x60)[14:21] == bytes(7)
        assert _refusal(host, 0x3C, b"\x00") == 0xAE
    assert len(seen) > 1
    assert {(len(uid), uid[0]) for uid in seen} == {(4, 8)}
    assert _at(again, 4).full(0x51) == UID
    assert _at(again, 1).full(0x3C, b"\x00", status=0x90) == card.memory.originality_signature


def test_random_id_can_not_be_taken_back_and_the_proofs_are_over_the_true_uid(card: VirtualCard, path: Path) -> None:
    _picc(card).full(0x5C, b"\x00", b"\x02")
    _picc(card).full(0x5C, b"\x00", b"\x00")
    same = VirtualCard.blank(UID)
    issue(same)
    proofs = []
    for payer in (VirtualCard.load(path), same):
        assert payer.memory.is_random_id == (payer is not same)
        host = _at(payer, 1)
        host.reader_id(bytes(16))
        host.debit(1, 100)
        proofs.append(host.commit())
    assert proofs[0] == proofs[1]


def test_the_reader_hears_the_random_number(card: VirtualCard, path: Path) -> None:
    _picc(card).full(0x5C, b"\x00", b"\x02")
    field = InProcessField()
    field.present(card)
    answer = field.exchange(bytes.fromhex("FFCA000000"))
    assert answer == card.uid + b"\x90\x00"
    assert len(answer) == 6


# --- originality


def _verify(public: bytes, uid: bytes, signature: bytes) -> None:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), public)
    r, s = (int.from_bytes(half, "big") for half in (signature[:28], signature[28:]))
    key.verify(encode_dss_signature(r, s), bytes(21) + uid, ec.ECDSA(Prehashed(SHA224())))


def test_a_card_proves_its_origin_by_a_signature_over_its_own_uid(card: VirtualCard) -> None:
    signature, status = _picc(card, master=False).apdu(0x3C, b"\x00")
    assert (len(signature), status) == (56, 0x90)
    assert len(originality_public_key()) == 57
    _verify(originality_public_key(), UID, signature)
    with pytest.raises(InvalidSignature):
        _verify(originality_public_key(), UID[:-1] + b"\x00", signature)


def test_a_copied_card_can_carry_the_signature_of_another(card: VirtualCard) -> None:
    other = VirtualCard.blank(b"\x04" + bytes(6), originality_signature=card.memory.originality_signature)
    signature, _ = _picc(other, master=False).apdu(0x3C, b"\x00")
    with pytest.raises(InvalidSignature):
        _verify(originality_public_key(), other.memory.uid, signature)


# --- DF names


def test_df_names_come_one_frame_for_each_application_that_has_one() -> None:
    card = VirtualCard.blank(UID)
    host = _picc(card, master=False)
    assert host.apdu(0x6D) == (b"", 0x00)
    host.raw(0xCA, b"\x01\x00\x00\x0f\x81" + b"\x01\xdf" + b"first")
    host.raw(0xCA, b"\x02\x00\x00\x0f\x81")
    host.raw(0xCA, b"\x03\x00\x00\x0f\x81" + b"\x03\xdf" + b"sixteen letters!")
    assert host.apdu(0x6D) == (b"\x01\x00\x00\x01\xdffirst", 0xAF)
    assert host.apdu(0xAF) == (b"\x03\x00\x00\x03\xdfsixteen letters!", 0x00)
    assert _refusal(host, 0xAF) == 0x1C


def test_df_names_are_for_the_card_level_without_a_session(card: VirtualCard) -> None:
    assert _picc(card, master=False).apdu(0x6D) == (AID + b"\x01\xdfneutral", 0x00)
    assert _sealed_refusal(_picc(card), 0x6D) == 0x9D
    assert _sealed_refusal(_at(card, 0), 0x6D) == 0x9D
    assert _refusal(_at(card), 0x6D) == 0xAE


# --- changed file settings


@pytest.mark.parametrize(("number", "kind"), [(1, 0x02), (LOG, 0x04), (ENTITLEMENT, 0x01), (INFO, 0x00), (TMAC, 0x05)])
def test_rights_and_mode_of_every_kind_of_file_can_change(card: VirtualCard, number: int, kind: int) -> None:
    before = _at(card, 0).mac(0xF5, bytes([number]))
    _at(card, 0).full(0x5F, bytes([number]), bytes.fromhex("01101F"))
    after = _at(card, 0).mac(0xF5, bytes([number]))
    assert after[:4] == bytes([kind]) + bytes.fromhex("01101F")
    assert after[4:] == before[4:]


def test_new_settings_count_from_the_next_command(card: VirtualCard, path: Path) -> None:
    _at(card, 0).full(0x5F, bytes([INFO]), bytes.fromhex("01202F"))
    again = VirtualCard.load(path)
    assert _at(again, 2).mac(0xAD, bytes([INFO]) + le3(0) + le3(4)) == b"IIII"
    assert _sealed_refusal(_at(again, 1), 0xAD, bytes([INFO]) + le3(0) + le3(4)) == 0x9D


@pytest.mark.parametrize("key_no", [1, 2, 3, 4])
def test_only_the_change_right_changes_settings(card: VirtualCard, key_no: int) -> None:
    data = bytes.fromhex("00EEEE")
    assert _sealed_refusal(_at(card, key_no), 0x5F, b"\x01", data, full=True) == 0x9D
    assert _refusal(_at(card), 0x5F, b"\x01" + data) == 0xAE


def test_settings_nobody_may_change_stay_and_free_ones_change_in_plain(card: VirtualCard) -> None:
    host = _at(card, 0)
    host.full(0x5F, b"\x01", bytes.fromhex("033F1F"))
    host.full(0x5F, b"\x02", bytes.fromhex("033E1F"))
    assert _sealed_refusal(host, 0x5F, b"\x01", bytes.fromhex("03301F"), full=True) == 0x9D
    _at(card).raw(0x5F, b"\x02" + bytes.fromhex("03301F"))
    assert card.memory.applications[AID].files[2].rights.change == 0


@pytest.mark.parametrize(
    ("number", "data", "status"),
    [
        (1, "04301F", 0x9E),
        (1, "03351F", 0x9E),
        (1, "03301F00", 0x7E),
        (TMAC, "031011", 0x9E),
        (0x1B, "03301F", 0xF0),
    ],
)
def test_impossible_settings_are_refused(card: VirtualCard, number: int, data: str, status: int) -> None:
    before = card.memory
    assert _sealed_refusal(_at(card, 0), 0x5F, bytes([number]), bytes.fromhex(data), full=True) == status
    assert card.memory == before


def test_a_pending_debit_and_new_settings_are_both_there_after_the_commit(card: VirtualCard) -> None:
    _at(card, 0).full(0x5F, b"\x01", bytes.fromhex("033111"))
    host = _at(card, 1)
    host.reader_id(bytes(16))
    host.debit(1, 250)
    host.full(0x5F, b"\x01", bytes.fromhex("03101F"))
    host.commit()
    file = card.memory.applications[AID].files[1]
    assert file.rights.to_wire() == bytes.fromhex("101F")
    assert _at(card, 1).get_value(1) == FULL_CENTS - 250


# --- a standard file has no commit


@pytest.mark.parametrize("written_b", [0, 1, 50, 96])
def test_a_torn_write_leaves_a_prefix_in_a_standard_file(card: VirtualCard, path: Path, written_b: int) -> None:
    field = InProcessField()
    field.present(card, [torn_write(0x8D, prefix(written_b))])
    host = Host(field.exchange)
    host.select()
    host.ev2(KEYS[3], 3)
    with pytest.raises(FieldGone):
        host.write(INFO, 0, b"n" * 96)
    content = json.loads(path.read_text("utf-8"))["applications"][AID.hex().upper()]["files"]["12"]["content"]
    assert bytes.fromhex(content) == b"n" * written_b + b"I" * (96 - written_b)
