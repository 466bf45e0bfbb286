"""What a virtual NTAG 424 DNA does, refuses and remembers (NT4H2421Gx)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntag_host import CC, NDEF, NTAG_UID, OWN, NtagHost, at_application, new_tag
from virtual_card_host import KEYS, ZERO, Status, le3

from emulator.crypto import originality_signature
from emulator.ntag424.card import VirtualNtag

SDM_WITH_KEYS = "40E0EE" + "C1F121" + "200000430000430000"
SDM_FREE_COUNTER = "40E0EE" + "C1FEE1" + "200000300000430000430000"


@pytest.fixture
def tag() -> VirtualNtag:
    return new_tag()


def _refusal(host: NtagHost, ins: int, body: bytes = b"") -> int:
    with pytest.raises(Status) as refusal:
        host.raw(ins, body)
    return refusal.value.code


def _sealed_refusal(host: NtagHost, ins: int, header: bytes = b"", data: bytes = b"", *, full: bool = True) -> int:
    return _refusal(host, ins, host.sealed(ins, header, data, full=full))


def _read(number: int, offset: int = 0, length: int = 0) -> bytes:
    return bytes([number]) + le3(offset) + le3(length)


# --- selection


def test_without_selecting_the_application_only_questions_about_the_chip_are_answered(tag: VirtualNtag) -> None:
    tag.power_on()
    host = NtagHost(tag.transceive)
    assert len(host.raw(0x60)) == 28
    assert host.apdu(0x3C, b"\x00")[1] == 0x90
    assert _refusal(host, 0x71, b"\x00\x00") == 0x9D
    assert _refusal(host, 0xAD, _read(NDEF)) == 0x9D
    assert _refusal(host, 0xF5, b"\x02") == 0x9D
    assert host.iso_apdu("00A4000002E104") == (b"", "6A82")
    assert host.iso_apdu("00B0000000") == (b"", "6985")


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("00A4040C07D276000085010100", "9000"),
        ("00A4040007D276000085010100", "9000"),
        ("00A4040007D2760000850101", "9000"),
        ("00A4000C02E11000", "9000"),
        ("00A4010C02E11000", "9000"),
        ("00A4040C07D276000085010000", "9000"),
        ("00A4000C023F00", "9000"),
        ("00A4030000", "9000"),
        ("00A4040C07D276000085010200", "6A82"),
        ("00A4020C02E10300", "6A82"),
        ("00A4050002E11000", "6A86"),
        ("00A4040107D276000085010100", "6A86"),
        ("00A4000003E1100000", "6A87"),
        ("00A4040C08D276000085010100", "6A82"),
        ("00A4040C09D276000085010100", "6700"),
        ("00A4", "6700"),
        ("80A4040C07D276000085010100", "6E00"),
        ("00CA000000", "6D00"),
    ],
)
def test_iso_select_by_name_and_number(tag: VirtualNtag, apdu: str, status: str) -> None:
    tag.power_on()
    assert NtagHost(tag.transceive).iso_apdu(apdu) == (b"", status)


def test_selecting_the_application_ends_the_session_and_selecting_a_file_does_not(tag: VirtualNtag) -> None:
    host = at_application(tag, 0)
    assert host.iso_apdu("00A4000C02E104") == (b"", "9000")
    assert host.mac(0x64, b"\x00") == b"\x00"
    host.choose()
    assert _refusal(host, 0x51) == 0xAE


def test_power_off_forgets_selection_and_session(tag: VirtualNtag) -> None:
    host = at_application(tag, 0)
    tag.power_off()
    tag.power_on()
    assert _refusal(host, 0x64, b"\x00") == 0x9D


# --- as delivered


def test_a_tag_as_delivered_names_itself(tag: VirtualNtag) -> None:
    host = at_application(tag)
    assert tag.atr.hex().upper() == "3B8180018080"
    frames = [host.apdu(0x60), host.apdu(0xAF), host.apdu(0xAF)]
    assert [status for _, status in frames] == [0xAF, 0xAF, 0x00]
    assert [frame.hex().upper() for frame, _ in frames[:2]] == ["04040230001105", "04040201021105"]
    assert frames[2][0][:7] == NTAG_UID and len(frames[2][0]) == 14


def test_the_files_as_delivered_have_the_sizes_rights_and_contents_of_the_data_sheet(tag: VirtualNtag) -> None:
    host = at_application(tag)
    settings = [host.settings(number).hex().upper() for number in (CC, NDEF, OWN)]
    assert settings == ["000000E0200000", "0000E0EE000100", "00033023800000"]
    capabilities = host.raw(0xAD, _read(CC))
    assert capabilities.hex().upper() == "001720010000FF0406E104010000000506E10500808283" + "00" * 9
    assert host.raw(0xAD, _read(NDEF)) == bytes(256)
    for key_no in (2, 3):
        assert at_application(tag, key_no).full(0xAD, _read(OWN)) == b"\x00\x7e" + bytes(126)


@pytest.mark.parametrize("key_no", range(5))
def test_all_five_keys_are_zeros_of_version_0_as_delivered(tag: VirtualNtag, key_no: int) -> None:
    host = at_application(tag, key_no)
    assert host.mac(0x64, bytes([key_no])) == b"\x00"
    assert host.full(0x51) == NTAG_UID


def test_what_is_not_there_is_refused(tag: VirtualNtag) -> None:
    assert _refusal(at_application(tag), 0x71, b"\x05\x00") == 0x40
    assert _refusal(at_application(tag), 0x77, b"\x00") == 0x9D
    assert _refusal(at_application(tag), 0x1A, b"\x00") == 0x1C
    assert _refusal(at_application(tag), 0xAA, b"\x00") == 0x1C
    assert _refusal(at_application(tag), 0xF5, b"\x04") == 0xF0
    assert _refusal(at_application(tag), 0xAD, _read(0)) == 0xF0
    assert _refusal(at_application(tag), 0x64, b"\x05") == 0x40
    assert _refusal(at_application(tag), 0xC7) == 0x1C
    assert _refusal(at_application(tag), 0x3C, b"\x01") == 0x9E
    with pytest.raises(Status, match="AE"):
        at_application(tag, 0, KEYS[0])


# --- reading and writing


def test_a_free_file_is_read_and_written_without_a_session(tag: VirtualNtag) -> None:
    host = at_application(tag)
    host.raw(0x8D, _read(NDEF, 250, 6) + b"abcdef")
    assert host.raw(0xAD, _read(NDEF, 250)) == b"abcdef"
    assert tag.memory.files[NDEF].content == bytes(250) + b"abcdef"


def test_the_own_file_is_written_by_key_3_and_read_by_2_and_3_in_full(tag: VirtualNtag) -> None:
    at_application(tag, 3).full(0x8D, _read(OWN, 10, 20), b"x" * 20)
    assert at_application(tag, 2).full(0xAD, _read(OWN, 10, 20)) == b"x" * 20
    assert _sealed_refusal(at_application(tag, 2), 0x8D, _read(OWN, 0, 1), b"y") == 0x9D
    assert _sealed_refusal(at_application(tag, 0), 0xAD, _read(OWN)) == 0x9D
    assert _refusal(at_application(tag), 0xAD, _read(OWN)) == 0xAE
    assert _refusal(at_application(tag, 3), 0xAD, _read(OWN)) == 0x7E
    assert _sealed_refusal(at_application(tag, 3), 0x8D, _read(OWN, 0, 1), b"y", full=False) == 0x7E


@pytest.mark.parametrize(
    ("ins", "body", "status"),
    [
        (0xAD, _read(NDEF, 256, 0), 0xBE),
        (0xAD, _read(NDEF, 200, 57), 0xBE),
        (0xAD, _read(NDEF)[:-1], 0x7E),
        (0x8D, _read(NDEF, 255, 2) + b"ab", 0xBE),
        (0x8D, _read(NDEF, 0, 2) + b"a", 0x7E),
        (0x8D, _read(NDEF, 0, 2) + b"abc", 0x7E),
        (0x8D, _read(NDEF, 0, 0), 0x9E),
        (0x8D, _read(CC, 0, 1) + b"a", 0xAE),
        (0xBD, _read(NDEF), 0x1C),
    ],
)
def test_reads_and_writes_stay_inside_their_file(tag: VirtualNtag, ins: int, body: bytes, status: int) -> None:
    before = tag.memory
    assert _refusal(at_application(tag), ins, body) == status
    assert tag.memory == before


def test_a_read_whose_sealed_answer_does_not_fit_one_apdu_is_refused(tag: VirtualNtag) -> None:
    host = at_application(tag, 0)
    host.change_settings(NDEF, "030000")
    assert len(host.full(0xAD, _read(NDEF, 0, 239))) == 239
    assert _sealed_refusal(host, 0xAD, _read(NDEF, 0, 240)) == 0x7E


def test_a_wrong_mac_changes_nothing_and_ends_the_session(tag: VirtualNtag) -> None:
    host = at_application(tag, 3)
    sealed = bytearray(host.sealed(0x8D, _read(OWN, 0, 16), b"z" * 16, full=True))
    sealed[-1] ^= 1
    assert _refusal(host, 0x8D, bytes(sealed)) == 0x1E
    assert _refusal(host, 0xAD, _read(OWN)) == 0xAE
    assert tag.memory == new_tag().memory


def test_a_second_key_goes_on_in_the_same_transaction_number(tag: VirtualNtag) -> None:
    host = at_application(tag, 3)
    host.full(0x8D, _read(OWN, 0, 1), b"a")
    host.ev2(ZERO, 2, first=False)
    assert host.counter == 1
    assert host.full(0xAD, _read(OWN, 0, 1)) == b"a"


# --- ISO commands


def test_iso_read_and_update_use_the_selected_or_the_named_file(tag: VirtualNtag) -> None:
    host = at_application(tag)
    assert host.iso_apdu("00B0000000") == (b"", "6985")
    assert host.iso_apdu("00A4000C02E103") == (b"", "9000")
    assert host.iso_apdu("00B000000F") == (tag.memory.files[CC].content[:15], "9000")
    assert host.iso_apdu("00D60000010F") == (b"", "6982")
    assert host.iso_apdu("00D6840302" + "BEEF") == (b"", "9000")
    assert host.iso_apdu("00B0000304") == (bytes.fromhex("BEEF0000"), "9000")
    assert host.iso_apdu("00B0000000") == (bytes.fromhex("000000BEEF") + bytes(251), "9000")
    assert tag.memory.files[NDEF].content[3:5] == b"\xbe\xef"


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("00B0850000", "6982"),
        ("00D6850001AA", "6982"),
        ("00B0870000", "6A82"),
        ("00B0E40000", "6A86"),
        ("00B0010000", "6A86"),
        ("00B000FF02", "6700"),
        ("00B00000", "6700"),
        ("00B000000100", "6700"),
        ("00D6000002AA", "6700"),
        ("00D600FF02AABB", "6985"),
    ],
)
def test_iso_commands_are_refused_outside_files_and_rights(tag: VirtualNtag, apdu: str, status: str) -> None:
    host = at_application(tag)
    host.iso_apdu("00A4000C02E104")
    assert host.iso_apdu(apdu) == (b"", status)
    assert tag.memory == new_tag().memory


def test_iso_read_and_update_are_not_allowed_in_a_session(tag: VirtualNtag) -> None:
    host = at_application(tag, 0)
    host.iso_apdu("00A4000C02E104")
    assert host.iso_apdu("00B0000001") == (b"", "6982")
    assert host.iso_apdu("00D6000001AA") == (b"", "6982")


# --- keys


def test_only_key_0_changes_keys_and_a_new_key_works_at_once(tag: VirtualNtag) -> None:
    host = at_application(tag, 0)
    for number in (1, 2, 3, 4):
        host.change_other_key(number, ZERO, KEYS[number], version=number)
    host.change_own_key(b"\x00", KEYS[0], version=9)
    assert _refusal(host, 0x51) == 0xAE
    host = at_application(tag, 3, KEYS[3])
    assert [host.mac(0x64, bytes([n])) for n in range(5)] == [b"\x09", b"\x01", b"\x02", b"\x03", b"\x04"]
    mixed = bytes(16) + b"\x01"
    assert _sealed_refusal(host, 0xC4, b"\x03", mixed) == 0xAE
    with pytest.raises(Status, match="AE"):
        at_application(tag, 0)
    at_application(tag, 0, KEYS[0])


def test_a_wrong_checksum_or_length_leaves_the_key_in_place(tag: VirtualNtag) -> None:
    assert _sealed_refusal(at_application(tag, 0), 0xC4, b"\x01", KEYS[1] + b"\x01" + bytes(4)) == 0x1E
    assert _sealed_refusal(at_application(tag, 0), 0xC4, b"\x01", KEYS[1] + b"\x01") == 0x7E
    assert _sealed_refusal(at_application(tag, 0), 0xC4, b"\x00", KEYS[1] + b"\x01" + bytes(4)) == 0x7E
    assert _sealed_refusal(at_application(tag, 0), 0xC4, b"\x05", KEYS[1] + b"\x01" + bytes(4)) == 0x40
    assert tag.memory == new_tag().memory


# --- settings


def test_changed_rights_and_modes_count_from_the_next_command(tag: VirtualNtag) -> None:
    at_application(tag, 0).change_settings(OWN, "011021")
    host = at_application(tag, 1)
    assert host.settings(OWN).hex().upper() == "00011021800000"
    host.mac(0x8D, _read(OWN, 0, 3) + b"abc")
    assert at_application(tag, 2).mac(0xAD, _read(OWN, 0, 3)) == b"abc"
    assert _refusal(at_application(tag, 3), 0xAD, _read(OWN)) == 0x9D
    assert _sealed_refusal(at_application(tag, 1), 0x5F, bytes([OWN]), b"\x00\x00\x00") == 0x9D
    assert _refusal(at_application(tag), 0x5F, bytes([OWN]) + b"\x00\x00\x00") == 0xAE


def test_a_file_whose_settings_nobody_may_change_stays_as_it_is(tag: VirtualNtag) -> None:
    at_application(tag, 0).change_settings(CC, "000FEF")
    assert _sealed_refusal(at_application(tag, 0), 0x5F, bytes([CC]), b"\x00\x00\xe0") == 0x9D
    assert _refusal(at_application(tag), 0x8D, _read(CC, 0, 1) + b"a") == 0xAE


@pytest.mark.parametrize(
    ("number", "settings", "status"),
    [
        (OWN, "005023", 0x40),
        (OWN, "0030D3", 0x40),
        (OWN, "043023", 0x9E),
        (OWN, "00302300", 0x7E),
        (OWN, SDM_WITH_KEYS, 0x9E),
        (NDEF, SDM_WITH_KEYS + "000000", 0x7E),
        (NDEF, SDM_WITH_KEYS[:-6], 0x7E),
        (NDEF, SDM_WITH_KEYS.replace("C1F1", "C3F1"), 0x9E),
        (NDEF, SDM_WITH_KEYS.replace("C1F1", "C101"), 0x9E),
        (NDEF, "40E0EEC1F1", 0x7E),
    ],
)
def test_impossible_settings_are_refused(tag: VirtualNtag, number: int, settings: str, status: int) -> None:
    host = at_application(tag, 0)
    assert _sealed_refusal(host, 0x5F, bytes([number]), bytes.fromhex(settings)) == status
    assert tag.memory == new_tag().memory


def test_dynamic_messaging_counts_the_first_free_read_of_each_presentation(tag: VirtualNtag) -> None:
    at_application(tag, 0).change_settings(NDEF, SDM_WITH_KEYS)
    for _ in range(2):
        host = at_application(tag)
        host.raw(0xAD, _read(NDEF, 0, 4))
        host.iso_apdu("00A4000C02E104")
        host.iso_apdu("00B0000004")
    at_application(tag, 0).plain(0xAD, _read(NDEF, 0, 4))
    assert at_application(tag, 1).full(0xF6, bytes([NDEF])) == le3(2) + bytes(2)
    assert _sealed_refusal(at_application(tag, 2), 0xF6, bytes([NDEF])) == 0x9D
    assert _sealed_refusal(at_application(tag, 1), 0xF6, bytes([OWN])) == 0x9D


def test_dynamic_messaging_with_ciphered_file_data_has_two_offsets_more(tag: VirtualNtag) -> None:
    sdm = "D1FE001F00004400004400002000006A0000"  # AN12196 table 7
    at_application(tag, 0).change_settings(NDEF, "40E0EE" + sdm)
    assert at_application(tag).settings(NDEF).hex().upper() == "0040E0EE000100" + sdm
    short = bytes.fromhex("40E0EE" + sdm)[:-6]
    assert _sealed_refusal(at_application(tag, 0), 0x5F, bytes([NDEF]), short) == 0x7E


def test_a_free_counter_needs_no_key(tag: VirtualNtag) -> None:
    at_application(tag, 0).change_settings(NDEF, SDM_FREE_COUNTER)
    assert at_application(tag).raw(0xF6, bytes([NDEF])) == bytes(5)
    assert at_application(tag, 4).mac(0xF6, bytes([NDEF])) == bytes(5)


# --- configuration and identity


def test_with_random_id_only_a_session_learns_the_uid(tag: VirtualNtag) -> None:
    at_application(tag, 0).full(0x5C, b"\x00", b"\x02")
    seen = set()
    for _ in range(4):
        host = at_application(tag)
        seen.add(tag.uid)
        assert host.raw(0x60)[14:21] == bytes(7)
        assert _refusal(host, 0x3C, b"\x00") == 0x0B
    assert len(seen) > 1
    assert {(len(uid), uid[0]) for uid in seen} == {(4, 8)}
    host = at_application(tag, 4)
    assert host.full(0x51) == NTAG_UID
    assert host.full(0x3C, b"\x00", status=0x90) == originality_signature(NTAG_UID)


def test_random_id_can_not_be_taken_back(tag: VirtualNtag) -> None:
    at_application(tag, 0).full(0x5C, b"\x00", b"\x02")
    at_application(tag, 0).full(0x5C, b"\x00", b"\x00")
    assert tag.memory.is_random_id


@pytest.mark.parametrize(
    ("key_no", "option", "data", "status"),
    [
        (1, 0, b"\x02", 0xAE),
        (0, 0, b"\x01", 0x9E),
        (0, 0, b"\x02\x00", 0x7E),
        (0, 5, bytes(4) + b"\x02" + bytes(5), 0x9E),
        (0, 1, b"\x00", 0x9E),
    ],
)
def test_a_configuration_that_is_not_offered_is_refused(
    tag: VirtualNtag, key_no: int, option: int, data: bytes, status: int
) -> None:
    assert _sealed_refusal(at_application(tag, key_no), 0x5C, bytes([option]), data) == status
    assert tag.memory == new_tag().memory


def test_the_configuration_needs_a_session(tag: VirtualNtag) -> None:
    assert _refusal(at_application(tag), 0x5C, b"\x00\x02") == 0xAE


def test_another_command_between_the_halves_of_an_authentication_aborts_it(tag: VirtualNtag) -> None:
    host = at_application(tag)
    host.apdu(0x71, b"\x00\x00")
    assert _refusal(host, 0x64, b"\x00") == 0xCA
    assert _refusal(host, 0xAF, bytes(32)) == 0x1C


def test_an_impossible_tag_is_not_made() -> None:
    with pytest.raises(ValueError):
        VirtualNtag.blank(b"\x04\x01")


# --- anything a reader may send

APDU = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda ins, body: bytes([0x90, ins, 0, 0, len(body)]) + body + b"\x00",
        st.sampled_from([0x60, 0x71, 0x77, 0xAD, 0x8D, 0xF5, 0x5F, 0xF6, 0x64, 0xC4, 0x5C, 0x51, 0x3C, 0xAF]),
        st.binary(min_size=1, max_size=60),
    ),
    st.builds(
        lambda ins, place, body: bytes([0x00, ins]) + place + bytes([len(body)]) + body,
        st.sampled_from([0xA4, 0xB0, 0xD6]),
        st.binary(min_size=2, max_size=2),
        st.binary(max_size=20),
    ),
)


@settings(max_examples=300, deadline=None)
@given(apdus=st.lists(APDU, max_size=8), key_no=st.sampled_from([None, 0, 3]))
def test_no_apdu_makes_the_tag_fail_or_touches_a_key(apdus: list[bytes], key_no: int | None) -> None:
    tag = new_tag()
    at_application(tag, key_no)
    for apdu in apdus:
        answer = tag.transceive(apdu)
        assert 2 <= len(answer) <= 258
    assert tag.memory.keys == new_tag().memory.keys
    assert {number: len(file.content) for number, file in tag.memory.files.items()} == {CC: 32, NDEF: 256, OWN: 128}
    assert tag.memory.files[OWN] == new_tag().memory.files[OWN]
