"""Frame limits: AF chaining of the native instructions, one APDU for the ISO-DEP chained ones."""

import pytest
from virtual_card_host import ENTITLEMENT, INFO, KEYS, LOG, UID, Host, Status, issue, le3

from emulator.card import VirtualCard

CONTENT = bytes(i % 253 for i in range(234))


@pytest.fixture
def card() -> VirtualCard:
    made = VirtualCard.blank(UID)
    issue(made)
    return made


def _host(card: VirtualCard, key_no: int = 1) -> Host:
    card.power_on()
    host = Host(card.transceive)
    host.select()
    host.ev2(KEYS[key_no], key_no)
    return host


def _filled(card: VirtualCard) -> Host:
    host = _host(card)
    host.reader_id(bytes(16))
    host.write(ENTITLEMENT, 0, CONTENT)
    host.commit()
    return host


def _apdus_of(host: Host) -> int:
    return len(host.trace)


def test_a_native_write_arrives_in_frames_of_at_most_55_bytes(card: VirtualCard) -> None:
    host = _host(card)
    host.reader_id(bytes(16))
    before = _apdus_of(host)
    host.write(ENTITLEMENT, 0, CONTENT, ins=0x3D)
    assert _apdus_of(host) - before == 5
    host.write_record(LOG, bytes(range(32)), ins=0x3B)
    host.commit()
    assert host.read(ENTITLEMENT, 0, 234) == CONTENT
    assert host.read_records(LOG, 0, 1) == bytes(range(32))


@pytest.mark.parametrize("chunk", [7, 8, 20, 55])
def test_frames_may_be_cut_anywhere_behind_the_header(card: VirtualCard, chunk: int) -> None:
    host = _host(card)
    host.reader_id(bytes(16))
    host.chunk = chunk
    host.write(ENTITLEMENT, 0, CONTENT, ins=0x3D)
    host.chunk = 55
    host.commit()
    assert host.read(ENTITLEMENT, 0, 234) == CONTENT


def test_a_frame_of_56_bytes_is_too_long(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x3D, bytes([ENTITLEMENT]) + le3(0) + le3(234), CONTENT, full=True)
    assert host.apdu(0x3D, sealed[:56]) == (b"", 0x7E)
    host = _host(card)
    sealed = host.sealed(0x3D, bytes([ENTITLEMENT]) + le3(0) + le3(234), CONTENT, full=True)
    assert host.apdu(0x3D, sealed[:55]) == (b"", 0xAF)
    assert host.apdu(0xAF, sealed[55:111]) == (b"", 0x7E)


def test_more_data_than_announced_is_a_length_error(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x3D, bytes([ENTITLEMENT]) + le3(0) + le3(60), CONTENT[:60], full=True)
    assert host.apdu(0x3D, sealed[:55])[1] == 0xAF
    assert host.apdu(0xAF, sealed[55:] + b"\x00") == (b"", 0x7E)


def test_an_empty_continuation_is_a_length_error(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x3D, bytes([ENTITLEMENT]) + le3(0) + le3(60), CONTENT[:60], full=True)
    host.apdu(0x3D, sealed[:55])
    assert host.apdu(0xAF) == (b"", 0x7E)


def test_another_command_inside_a_chain_aborts_it(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x3D, bytes([ENTITLEMENT]) + le3(0) + le3(60), CONTENT[:60], full=True)
    host.apdu(0x3D, sealed[:55])
    assert host.apdu(0x60) == (b"", 0xCA)
    assert host.apdu(0xAF, sealed[55:]) == (b"", 0x1C)
    host = _filled(card)
    answer, status = host.apdu(0xBD, host.sealed(0xBD, bytes([ENTITLEMENT]) + le3(0) + le3(234), b"", full=True))
    assert (len(answer), status) == (59, 0xAF)
    assert host.apdu(0x60) == (b"", 0xCA)


def test_a_native_read_leaves_in_frames_of_59_bytes(card: VirtualCard) -> None:
    host = _filled(card)
    before = _apdus_of(host)
    assert host.read(ENTITLEMENT, 0, 234, ins=0xBD) == CONTENT
    assert _apdus_of(host) - before == 5
    assert host.read_records(LOG, 0, 0, ins=0xBB) == bytes(32)
    assert host.read(ENTITLEMENT, 0, 0, ins=0xBD) == CONTENT + bytes(192)


def test_the_largest_entitlement_goes_in_one_apdu_of_255_bytes(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x8D, bytes([ENTITLEMENT]) + le3(0) + le3(234), CONTENT, full=True)
    assert len(sealed) == 255
    assert host.apdu(0x8D, sealed)[1] == 0


def test_an_iso_chained_write_is_never_continued(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x8D, bytes([ENTITLEMENT]) + le3(0) + le3(240), CONTENT + bytes(6), full=True)
    assert len(sealed) > 255
    assert host.apdu(0x8D, sealed[:255]) == (b"", 0x7E)


def test_an_iso_chained_answer_has_at_most_256_bytes(card: VirtualCard) -> None:
    host = _host(card)
    answer, _ = host.apdu(0xAD, host.sealed(0xAD, bytes([ENTITLEMENT]) + le3(0) + le3(234), b"", full=True))
    assert len(answer) == 248
    host.unseal(answer, full=True)
    with pytest.raises(Status, match="7E"):
        host.read(ENTITLEMENT, 0, 240)
    for _ in range(8):
        host = _host(card)
        host.reader_id(bytes(16))
        host.write_record(LOG, bytes(32))
        host.commit()
    assert len(host.read_records(LOG, 0, 4)) == 128
    with pytest.raises(Status, match="7E"):
        host.read_records(LOG, 0, 8)


def test_a_chained_write_to_a_foreign_file_is_refused_at_its_first_frame(card: VirtualCard) -> None:
    host = _host(card)
    sealed = host.sealed(0x3D, bytes([INFO]) + le3(0) + le3(96), bytes(96), full=True)
    assert host.apdu(0x3D, sealed[:55]) == (b"", 0x9D)


def test_a_chained_write_takes_effect_only_with_its_last_frame(card: VirtualCard) -> None:
    host = _host(card, 3)
    before = card.memory
    sealed = host.sealed(0x3D, bytes([INFO]) + le3(0) + le3(96), bytes(96), full=True)
    host.apdu(0x3D, sealed[:55])
    host.apdu(0xAF, sealed[55:110])
    assert card.memory == before
    host.apdu(0xAF, sealed[110:])
    assert card.memory != before
