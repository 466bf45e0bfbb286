"""Issuing and management commands: what works, and the status of what does not."""

import os

import pytest
from virtual_card_host import (
    AID,
    ENTITLEMENT,
    FULL_CENTS,
    INFO,
    KEYS,
    LOG,
    TMAC,
    TMAC_KEY,
    UID,
    ZERO,
    Host,
    Status,
    cbc,
    create_tmac,
    issue,
    jamcrc,
    le3,
    le4,
    value_file,
)

from emulator.card import VirtualCard
from emulator.memory import CardKey


@pytest.fixture
def blank() -> VirtualCard:
    return VirtualCard.blank(UID, originality_signature=bytes(range(56)))


@pytest.fixture
def card() -> VirtualCard:
    made = VirtualCard.blank(UID)
    issue(made)
    return made


def _host(card: VirtualCard, key_no: int | None = None) -> Host:
    """At the application, in a session of that key."""
    card.power_on()
    host = Host(card.transceive)
    host.select()
    if key_no is not None:
        host.ev2(KEYS[key_no], key_no)
    return host


def _picc(card: VirtualCard) -> Host:
    card.power_on()
    return Host(card.transceive)


def _refusal(host: Host, ins: int, body: bytes = b"") -> int:
    with pytest.raises(Status) as refusal:
        host.raw(ins, body)
    return refusal.value.code


# --- identity


def test_the_atr_is_that_of_a_contactless_desfire(blank: VirtualCard) -> None:
    assert blank.power_on().hex().upper() == "3B8180018080"


@pytest.mark.parametrize(("generation", "hardware", "software"), [("EV2", "1200", "0201"), ("EV3", "3300", "0300")])
def test_get_version_comes_in_three_frames(generation: str, hardware: str, software: str) -> None:
    host = _picc(VirtualCard.blank(UID, generation=generation))
    frames = [host.apdu(0x60), host.apdu(0xAF), host.apdu(0xAF)]
    assert [status for _, status in frames] == [0xAF, 0xAF, 0x00]
    assert frames[0][0].hex().upper() == "040101" + hardware + "1805"
    assert frames[1][0].hex().upper() == "040101" + software + "1805"
    assert len(frames[2][0]) == 14
    assert frames[2][0][:7] == UID


def test_get_version_in_a_session_carries_one_mac_at_its_end(card: VirtualCard) -> None:
    host = _host(card, 1)
    assert len(host.mac(0x60)) == 28
    assert host.mac(0x60)[14:21] == UID


def test_the_card_uid_is_enciphered_and_maced(card: VirtualCard) -> None:
    host = _host(card, 1)
    answer = host.raw(0x51, host.sealed(0x51, b"", b"", full=True))
    assert len(answer) == 24
    assert host.unseal(answer, full=True) == UID


def test_the_card_uid_needs_a_session(card: VirtualCard) -> None:
    assert _refusal(_host(card), 0x51) == 0xAE


def test_the_originality_signature_answers_with_status_90(blank: VirtualCard, card: VirtualCard) -> None:
    host = _picc(blank)
    assert host.apdu(0x3C, b"\x00") == (bytes(range(56)), 0x90)
    assert _refusal(host, 0x3C, b"\x01") == 0x9E
    assert _host(card, 1).full(0x3C, b"\x00", status=0x90) == card.memory.originality_signature


# --- the first keys


def test_the_first_authentication_uses_triple_des_zeros(blank: VirtualCard) -> None:
    host = _picc(blank)
    host.iso()
    with pytest.raises(Status, match="AE"):
        host.ev2(ZERO, 0)
    with pytest.raises(Status, match="AE"):
        host.aes(ZERO, 0)
    with pytest.raises(Status, match="AE"):
        host.iso(b"wrong key wrong!")


def test_the_master_key_moves_from_triple_des_to_aes(blank: VirtualCard) -> None:
    host = _picc(blank)
    assert host.raw(0x64, b"\x00") == b"\x00"
    host.iso()
    host.change_key_from_iso(KEYS[2], version=7)
    assert blank.memory.picc_key == CardKey(KEYS[2], 7)
    with pytest.raises(Status, match="AE"):
        host.iso()
    host.ev2(KEYS[2], 0)
    assert host.mac(0x64, b"\x00") == b"\x07"
    assert host.mac(0x45) == b"\x0f\x81"


def test_a_wrong_checksum_leaves_the_first_key_in_place(blank: VirtualCard) -> None:
    host = _picc(blank)
    host.iso()
    text = KEYS[0] + b"\x01" + jamcrc(b"\xc4\x00" + KEYS[0] + b"\x01") + bytes(3)
    assert _refusal(host, 0xC4, b"\x80" + cbc(host.ev1_key, bytes(8), text)) == 0x1E
    assert blank.memory.picc_key == CardKey(ZERO)
    assert _refusal(host, 0xC4, b"\x80" + bytes(24)) == 0xAE


def test_answers_in_an_iso_session_carry_the_running_mac(blank: VirtualCard) -> None:
    host = _picc(blank)
    host.iso()
    for _ in range(2):
        assert len(host.raw(0x45)) == 2 + 8
    host = _picc(blank)
    host.iso()
    assert len(host.raw(0xCA, AID + b"\x09\x85")) == 8
    assert AID in blank.memory.applications


def test_the_master_key_at_card_level_needs_the_form_80(card: VirtualCard) -> None:
    host = _picc(card)
    host.ev2(KEYS[4], 0)
    assert _refusal(host, 0xC4, host.sealed(0xC4, b"\x00", ZERO + b"\x01", full=True)) == 0x9E
    host.ev2(KEYS[4], 0)
    host.change_own_key(b"\x80", KEYS[0])
    assert card.memory.picc_key == CardKey(KEYS[0], 1)


def test_aes_authentication_of_ev1_works_and_can_change_keys(card: VirtualCard) -> None:
    host = _host(card)
    host.aes(KEYS[0], 0)
    new = os.urandom(16)
    mixed = bytes(x ^ y for x, y in zip(KEYS[2], new, strict=True)) + b"\x05"
    text = mixed + jamcrc(b"\xc4\x02" + mixed) + jamcrc(new)
    answer = host.raw(0xC4, b"\x02" + cbc(host.ev1_key, bytes(16), text + bytes(-len(text) % 16)))
    assert len(answer) == 8
    assert card.memory.applications[AID].keys[2] == CardKey(new, 5)
    host.aes(KEYS[0], 0)
    assert len(host.raw(0x45)) == 2 + 8
    with pytest.raises(Status, match="9D"):
        host.raw(0xAD, bytes([INFO]) + le3(0) + le3(1))


# --- authentication


def test_authentications_with_a_wrong_key_or_number_fail(card: VirtualCard) -> None:
    host = _host(card)
    with pytest.raises(Status, match="AE"):
        host.ev2(KEYS[0], 1)
    with pytest.raises(Status, match="40"):
        host.ev2(KEYS[0], 5)
    assert _refusal(host, 0x71, b"\x01") == 0x7E
    assert _refusal(host, 0x71, b"\x01\x07" + bytes(7)) == 0x7E
    assert _refusal(host, 0x77, b"\x01") == 0x9D
    assert _refusal(host, 0x1A, b"\x01") == 0xAE


def test_a_failed_second_half_leaves_no_session(card: VirtualCard) -> None:
    host = _host(card, 1)
    host.apdu(0x71, b"\x01\x00")
    assert host.apdu(0xAF, bytes(32)) == (b"", 0xAE)
    with pytest.raises(Status, match="7E"):
        host.get_value(1)


def test_capabilities_of_the_reader_come_back(card: VirtualCard) -> None:
    host = _host(card)
    challenge, _ = host.apdu(0x71, b"\x01\x02\xab\xcd")
    b = cbc(KEYS[1], ZERO, challenge, decrypt=True)
    proof, status = host.apdu(0xAF, cbc(KEYS[1], ZERO, bytes(16) + b[1:] + b[:1]))
    assert status == 0
    assert cbc(KEYS[1], ZERO, proof, decrypt=True)[20:] == bytes(6) + b"\xab\xcd\x00\x00\x00\x00"


def test_challenges_differ_each_time(card: VirtualCard) -> None:
    host = _host(card)
    challenges = set()
    for _ in range(8):
        challenges.add(host.apdu(0x71, b"\x01\x00")[0])
        card.power_on()
        host.select()
    assert len(challenges) == 8


def test_a_command_inside_a_handshake_aborts_it(card: VirtualCard) -> None:
    host = _host(card)
    host.apdu(0x71, b"\x01\x00")
    assert host.apdu(0x5A, AID) == (b"", 0xCA)
    assert host.apdu(0x5A, AID) == (b"", 0x00)


# --- sessions


def test_a_wrong_mac_is_1e_and_ends_the_session(card: VirtualCard) -> None:
    host = _host(card, 1)
    sealed = host.sealed(0x6C, b"\x01", b"", full=True)
    assert _refusal(host, 0x6C, sealed[:-1] + bytes([sealed[-1] ^ 1])) == 0x1E
    assert _refusal(host, 0x6C, sealed) == 0x7E


def test_a_repeated_command_is_refused_because_the_counter_moved(card: VirtualCard) -> None:
    host = _host(card, 1)
    sealed = host.sealed(0x6C, b"\x01", b"", full=True)
    host.raw(0x6C, sealed)
    assert _refusal(host, 0x6C, sealed) == 0x1E


def test_the_counter_moves_by_one_with_each_command(card: VirtualCard) -> None:
    host = _host(card, 1)
    for _ in range(300):
        host.get_value(1)
    assert host.counter == 300


def test_wrong_padding_is_an_integrity_error(card: VirtualCard) -> None:
    host = _host(card, 1)
    body = cbc(host.enc, host._iv(b"\xa5\x5a"), bytes(16))
    sealed = host.sealed(0xDC, b"\x01" + body, b"", full=False)
    assert _refusal(host, 0xDC, sealed) == 0x1E


def test_data_of_another_length_inside_the_padding_is_a_length_error(card: VirtualCard) -> None:
    host = _host(card, 1)
    assert _refusal(host, 0xDC, host.sealed(0xDC, b"\x01", bytes(5), full=True)) == 0x7E


@pytest.mark.parametrize("error", [b"\x90\x6c\x00\x00\x01\x1e\x00", b"\x90\x99\x00\x00\x00", b"\x90\x6c\x00\x01\x00"])
def test_any_error_ends_the_session(card: VirtualCard, error: bytes) -> None:
    host = _host(card, 1)
    assert card.transceive(error)[-1] != 0
    with pytest.raises(Status, match="7E"):
        host.get_value(1)


def test_a_power_cycle_ends_session_and_selection(card: VirtualCard) -> None:
    host = _host(card, 1)
    card.power_on()
    with pytest.raises(Status, match="7E"):
        host.get_value(1)
    assert _refusal(host, 0x6C, b"\x01") == 0x9D


# --- keys of an application


def test_another_key_changes_under_the_master_key(card: VirtualCard) -> None:
    host = _host(card, 0)
    host.change_other_key(2, KEYS[2], b"n" * 16, version=9)
    assert card.memory.applications[AID].keys[2] == CardKey(b"n" * 16, 9)
    assert host.mac(0x64, b"\x02") == b"\x09"


def test_changing_ones_own_key_ends_the_session_without_a_mac(card: VirtualCard) -> None:
    host = _host(card, 0)
    host.change_own_key(b"\x00", b"n" * 16)
    assert _refusal(host, 0x6F) == 0xAE
    host.ev2(b"n" * 16, 0)


def test_a_key_change_with_the_wrong_old_key_is_refused(card: VirtualCard) -> None:
    with pytest.raises(Status, match="1E"):
        _host(card, 0).change_other_key(2, KEYS[3], b"n" * 16)
    assert card.memory.applications[AID].keys[2].value == KEYS[2]


@pytest.mark.parametrize("key_no", [1, 3])
def test_other_keys_may_not_change_keys(card: VirtualCard, key_no: int) -> None:
    with pytest.raises(Status, match="AE"):
        _host(card, key_no).change_other_key(2, KEYS[2], b"n" * 16)
    with pytest.raises(Status, match="AE"):
        _host(card, key_no).change_own_key(bytes([key_no]), b"n" * 16)
    assert _refusal(_host(card), 0xC4, b"\x02" + bytes(17)) == 0xAE


def test_a_key_beyond_the_application_is_not_there(card: VirtualCard) -> None:
    with pytest.raises(Status, match="40"):
        _host(card, 0).change_other_key(5, ZERO, b"n" * 16)
    assert _refusal(_host(card), 0x64, b"\x05") == 0x40


def test_key_settings_can_be_read_changed_and_frozen(card: VirtualCard) -> None:
    host = _host(card, 0)
    assert host.mac(0x45) == b"\x09\x85"
    host.full(0x54, data=b"\x01")
    assert host.mac(0x45) == b"\x01\x85"
    with pytest.raises(Status, match="9D"):
        host.full(0x54, data=b"\x09")
    with pytest.raises(Status, match="AE"):
        _host(card, 1).full(0x54, data=b"\x09")


def test_a_frozen_master_key_stays(card: VirtualCard) -> None:
    host = _host(card, 0)
    host.full(0x54, data=b"\x08")
    with pytest.raises(Status, match="9D"):
        host.change_own_key(b"\x00", ZERO)


@pytest.mark.parametrize(
    ("settings", "session", "changed", "allowed"),
    [(0xE9, 2, 2, True), (0xE9, 0, 2, False), (0x39, 3, 2, True), (0x39, 0, 3, True), (0x39, 3, 3, False),
     (0xF9, 0, 2, False), (0xF9, 0, 0, True)],
)  # fmt: skip
def test_the_change_right_names_the_key_that_changes_keys(
    card: VirtualCard, settings: int, session: int, changed: int, allowed: bool
) -> None:
    _host(card, 0).full(0x54, data=bytes([settings]))
    host = _host(card, session)

    def change() -> None:
        if session == changed:
            host.change_own_key(bytes([changed]), b"n" * 16)
        else:
            host.change_other_key(changed, KEYS[changed], b"n" * 16)

    if allowed:
        change()
    else:
        with pytest.raises(Status):
            change()
    assert (card.memory.applications[AID].keys[changed].value == b"n" * 16) is allowed


# --- applications and files


def test_applications_are_listed_and_selected(card: VirtualCard) -> None:
    host = _picc(card)
    assert host.raw(0x6A) == AID
    assert _refusal(host, 0x5A, b"\x11\x22\x33") == 0xA0
    host.ev2(KEYS[4], 0)
    assert host.mac(0x6A) == AID


def test_an_application_is_selected_by_its_name(card: VirtualCard) -> None:
    card.power_on()
    assert card.transceive(bytes.fromhex("00A4040007") + b"neutral" + b"\x00") == b"\x90\x00"
    Host(card.transceive).ev2(KEYS[1], 1)
    assert card.transceive(bytes.fromhex("00A4040007") + b"foreign") == b"\x6a\x82"
    assert card.transceive(bytes.fromhex("00A4040009") + b"neutral") == b"\x67\x00"


def test_applications_with_wrong_parameters_are_not_created(card: VirtualCard) -> None:
    host = _picc(card)
    assert _refusal(host, 0xCA, AID + b"\x09\x85") == 0xDE
    assert _refusal(host, 0xCA, b"\x09\x09\x09\x09\x85\x01\xdfneutral") == 0xDE
    assert _refusal(host, 0xCA, bytes(3) + b"\x09\x85") == 0x9E
    assert _refusal(host, 0xCA, b"\x01\x02\x03\x09\x05") == 0x9E
    assert _refusal(host, 0xCA, b"\x01\x02\x03\x09\x8f") == 0x9E
    assert _refusal(host, 0xCA, b"\x01\x02\x03\x79\x85") == 0x9E
    assert _refusal(host, 0xCA, b"\x01\x02\x03\x09") == 0x7E


def test_creating_applications_can_be_kept_to_the_master_key(card: VirtualCard) -> None:
    host = _picc(card)
    host.ev2(KEYS[4], 0)
    host.full(0x54, data=b"\x0b")
    host.mac(0xCA, b"\x01\x02\x03\x09\x85")
    host = _picc(card)
    assert _refusal(host, 0xCA, b"\x01\x02\x04\x09\x85") == 0xAE
    assert host.raw(0x6A) == AID + b"\x01\x02\x03"


def test_listing_creating_and_deleting_need_the_master_key(card: VirtualCard) -> None:
    for key_no in (None, 1, 3):
        for ins, body in [(0x6F, b""), (0xF5, b"\x01"), (0x45, b""), (0xDF, b"\x01"), (0xCC, value_file(0x13))]:
            host = _host(card, key_no)
            sealed = body if key_no is None else host.sealed(ins, body, b"", full=False)
            assert _refusal(host, ins, sealed) == 0xAE
    assert set(_host(card, 0).mac(0x6F)) == {*range(1, 9), LOG, ENTITLEMENT, INFO, TMAC}


def test_file_settings_describe_each_kind_of_file(card: VirtualCard) -> None:
    host = _host(card, 0)
    assert host.mac(0xF5, b"\x01") == bytes.fromhex("0203301F") + le4(0) + le4(FULL_CENTS) + le4(0) + b"\x00"
    assert host.mac(0xF5, bytes([LOG])) == bytes.fromhex("0403F011") + le3(32) + le3(9) + le3(1)
    assert host.mac(0xF5, bytes([ENTITLEMENT])) == bytes.fromhex("0103F011") + le3(426)
    assert host.mac(0xF5, bytes([INFO])) == bytes.fromhex("0003301F") + le3(96)
    assert host.mac(0xF5, bytes([TMAC])) == bytes.fromhex("0503101F") + b"\x02\x01"
    with pytest.raises(Status, match="F0"):
        host.mac(0xF5, b"\x1e")


@pytest.mark.parametrize(
    ("ins", "body", "status"),
    [
        (0xCC, value_file(1), 0xDE),
        (0xCC, value_file(0x20), 0x9E),
        (0xCC, value_file(0x13, rights="5555"), 0x9E),
        (0xCC, value_file(0x13, option=4), 0x9E),
        (0xCC, value_file(0x13, value=FULL_CENTS + 1), 0x9E),
        (0xCC, value_file(0x13, value=-1), 0x9E),
        (0xCC, value_file(0x13)[:-1], 0x7E),
        (0xCD, b"\x13\x03\x30\x1f" + le3(0), 0x9E),
        (0xCD, b"\x13\x03\x30\x1f" + le3(5000), 0x9E),
        (0xCD, b"\x13\x00\xe1\x03\x30\x1f" + le3(5), 0x7E),
        (0xC0, b"\x13\x03\x30\x1f" + le3(32) + le3(1), 0x9E),
        (0xC0, b"\x13\x03\x30\x1f" + le3(0) + le3(3), 0x9E),
    ],
)
def test_files_with_wrong_parameters_are_not_created(card: VirtualCard, ins: int, body: bytes, status: int) -> None:
    before = card.memory
    with pytest.raises(Status) as refusal:
        _host(card, 0).mac(ins, body)
    assert refusal.value.code == status
    assert card.memory == before


def test_files_of_an_application_with_iso_ids_carry_one(card: VirtualCard) -> None:
    host = _picc(card)
    host.raw(0xCA, b"\x05\x05\x05\x0f\xa5")
    host.select(b"\x05\x05\x05")
    host.raw(0xCD, b"\x01\x04\xe1\x00\xee\xee" + le3(8))
    assert _refusal(host, 0xCD, b"\x02\x00\xee\xee" + le3(8)) == 0x7E


def test_a_standard_file_changes_at_once(card: VirtualCard) -> None:
    host = _host(card, 3)
    host.write(INFO, 90, b"sixsix")
    card.power_off()
    assert _host(card, 1).read(INFO, 89, 0) == b"Isixsix"


def test_deleted_files_are_gone(card: VirtualCard) -> None:
    host = _host(card, 0)
    host.mac(0xDF, b"\x08")
    with pytest.raises(Status, match="F0"):
        host.mac(0xDF, b"\x08")
    with pytest.raises(Status, match="F0"):
        _host(card, 1).get_value(8)


def test_a_transaction_mac_file_is_created_once_by_the_master_key(card: VirtualCard) -> None:
    with pytest.raises(Status, match="DE"):
        create_tmac(_host(card, 0), number=0x0E)
    with pytest.raises(Status, match="AE"):
        create_tmac(_host(card, 1), number=0x0E)
    host = _host(card, 0)
    host.mac(0xDF, bytes([TMAC]))
    create_tmac(host, key=TMAC_KEY[::-1])
    assert card.memory.applications[AID].tmac_file() is not None


def test_without_a_transaction_mac_file_commit_gives_no_proof(card: VirtualCard) -> None:
    _host(card, 0).mac(0xDF, bytes([TMAC]))
    host = _host(card, 1)
    with pytest.raises(Status, match="9D"):
        host.reader_id(bytes(16))
    host = _host(card, 1)
    host.debit(1, 5)
    assert host.mac(0xC7) == b""
    host.debit(1, 5)
    with pytest.raises(Status, match="9D"):
        host.commit()
    assert _host(card, 1).get_value(1) == FULL_CENTS - 5


def test_configuration_is_kept_and_unknown_options_refused(card: VirtualCard) -> None:
    host = _picc(card)
    host.ev2(KEYS[4], 0)
    host.full(0x5C, b"\x00", b"\x01")
    host.full(0x5C, b"\x02", bytes.fromhex("067577810280"))
    assert dict(card.memory.configuration) == {0: b"\x01", 2: bytes.fromhex("067577810280")}
    with pytest.raises(Status, match="9E"):
        host.full(0x5C, b"\x00", b"\x04")
    assert _refusal(_host(card), 0x5C, b"\x00\x01") == 0x9D


# --- values and data


def test_credit_is_for_the_load_key_and_keeps_the_limit(card: VirtualCard) -> None:
    host = _host(card, 1)
    host.reader_id(bytes(16))
    host.debit(1, 500)
    host.commit()
    _host(card, 3).full(0x0C, b"\x01", le4(200))
    host = _host(card, 3)
    with pytest.raises(Status, match="BE"):
        host.full(0x0C, b"\x01", le4(501))
    with pytest.raises(Status, match="9D"):
        _host(card, 1).full(0x0C, b"\x01", le4(1))
    assert _host(card, 1).get_value(1) == FULL_CENTS - 500


def test_limited_credit_is_refused_while_off(card: VirtualCard) -> None:
    for key_no in (1, 3):
        with pytest.raises(Status, match="9D"):
            _host(card, key_no).full(0x1C, b"\x01", le4(1))


def test_limited_credit_gives_back_at_most_the_last_debits(card: VirtualCard) -> None:
    host = _host(card, 0)
    host.mac(0xDF, bytes([TMAC]))
    host.mac(0xCC, value_file(0x13, rights="1011", flags=1))
    host = _host(card, 1)
    host.full(0xDC, b"\x13", le4(300))
    host.full(0xDC, b"\x13", le4(50))
    host.mac(0xC7)
    host.full(0x1C, b"\x13", le4(350))
    host.mac(0xC7)
    assert host.get_value(0x13) == FULL_CENTS
    with pytest.raises(Status, match="BE"):
        host.full(0x1C, b"\x13", le4(1))


def test_negative_amounts_are_refused(card: VirtualCard) -> None:
    for ins, key_no in [(0xDC, 1), (0x0C, 3)]:
        with pytest.raises(Status, match="9E"):
            _host(card, key_no).full(ins, b"\x01", le4(-5))


def test_reads_and_writes_outside_a_file_are_refused(card: VirtualCard) -> None:
    for offset, length in [(0, 97), (96, 0), (96, 1), (90, 7), (0xFFFFFF, 0xFFFFFF)]:
        with pytest.raises(Status, match="BE"):
            _host(card, 1).read(INFO, offset, length)
    with pytest.raises(Status, match="BE"):
        _host(card, 1).write(ENTITLEMENT, 420, bytes(7))
    with pytest.raises(Status, match="9E"):
        _host(card, 1).write(ENTITLEMENT, 0, b"")
    with pytest.raises(Status, match="BE"):
        _host(card, 1).write_record(LOG, bytes(5), offset=28)


def test_commands_meet_only_their_own_kind_of_file(card: VirtualCard) -> None:
    wrong = [
        (0x6C, bytes([LOG])),
        (0xAD, b"\x01" + bytes(6)),
        (0xAB, b"\x01" + bytes(6)),
        (0xAD, bytes([LOG]) + bytes(6)),
    ]
    for ins, body in wrong:
        host = _host(card, 1)
        assert _refusal(host, ins, host.sealed(ins, body, b"", full=True)) == 0x9D
    host = _host(card, 1)
    with pytest.raises(Status, match="9D"):
        host.write(TMAC, 0, bytes(4))


def test_the_log_of_a_card_without_records_cannot_be_read(card: VirtualCard) -> None:
    _host(card, 0).mac(0xC0, b"\x13\x03\xf0\x11" + le3(32) + le3(9))
    with pytest.raises(Status, match="BE"):
        _host(card, 1).read_records(0x13, 0, 0)


# --- frames


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("9060000000", "91AF"),
        ("9060000100", "919E"),
        ("9060000001", "917E"),
        ("90600000", "6700"),
        ("905A0000030102", "917E"),
        ("905A000003000000", "917E"),
        ("905A00000300000000", "9100"),
        ("905A00000300000001", "917E"),
        ("90990000" + "00", "911C"),
        ("90AF000000", "911C"),
        ("80CA000000", "6E00"),
        ("00B0000000", "6E00"),
    ],
)
def test_malformed_apdus_get_a_status(blank: VirtualCard, apdu: str, status: str) -> None:
    blank.power_on()
    assert blank.transceive(bytes.fromhex(apdu))[-2:].hex().upper() == status
