"""The access rights table, right by right: who may do what, in which protection."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from virtual_card_host import AID, KEYS, UID, Host, Status, issue, le3, le4, value_file

from emulator.card import VirtualCard
from emulator.memory import CyclicFile

FREE_FOR_ALL, NOBODY = 0xE, 0xF
VALUE, BACKUP, LOGBOOK = 0x13, 0x14, 0x15

COMMANDS: dict[str, tuple[int, bytes, bytes, tuple[str, ...]]] = {
    # name: instruction, header, data, rights that allow it (product data sheet, table of access rights)
    "GetValue": (0x6C, bytes([VALUE]), b"", ("R", "W", "RW")),
    "Debit": (0xDC, bytes([VALUE]), le4(1), ("R", "W", "RW")),
    "LimitedCredit": (0x1C, bytes([VALUE]), le4(0), ("W", "RW")),
    "Credit": (0x0C, bytes([VALUE]), le4(0), ("RW",)),
    "ReadData": (0xAD, bytes([BACKUP]) + le3(0) + le3(4), b"", ("R", "RW")),
    "WriteData": (0x8D, bytes([BACKUP]) + le3(0) + le3(4), b"abcd", ("W", "RW")),
    "ReadRecords": (0xAB, bytes([LOGBOOK]) + le3(0) + le3(1), b"", ("R", "RW")),
    "WriteRecord": (0x8B, bytes([LOGBOOK]) + le3(0) + le3(4), b"abcd", ("W", "RW")),
}


def _wire(read: int, write: int, read_write: int, change: int = 0) -> bytes:
    return bytes([read_write << 4 | change, read << 4 | write])


@pytest.fixture(scope="module")
def issued() -> VirtualCard:
    card = VirtualCard.blank(UID)
    issue(card)
    return card


def _with_files(issued: VirtualCard, rights: bytes, option: int = 3, flags: int = 1) -> VirtualCard:
    """A copy of the issued card with one file of each kind under the same rights; the logbook has a record."""
    card = VirtualCard.blank(UID)
    card._state.keep(issued.memory)
    card.power_on()
    host = Host(card.transceive)
    host.select()
    host.ev2(KEYS[0], 0)
    host.mac(0xDF, b"\x0f")
    host.mac(0xC0, bytes([LOGBOOK, option]) + rights + le3(4) + le3(3))
    host.mac(0xCC, value_file(VALUE, rights=rights.hex(), option=option, flags=flags))
    host.mac(0xCB, bytes([BACKUP, option]) + rights + le3(8))
    application = card.memory.applications[AID]
    logbook = application.files[LOGBOOK]
    assert isinstance(logbook, CyclicFile)
    card._state.keep(card.memory.with_application(application.with_file(LOGBOOK, replace(logbook, records=(b"old.",)))))
    return card


def _host(card: VirtualCard, key_no: int | None) -> Host:
    card.power_on()
    host = Host(card.transceive)
    host.select()
    if key_no is not None:
        host.ev2(KEYS[key_no], key_no)
    return host


def _status(act: Callable[[], object]) -> int:
    try:
        act()
    except Status as refusal:
        return refusal.code
    return 0


@pytest.mark.parametrize("name", COMMANDS)
def test_each_right_opens_exactly_its_commands(issued: VirtualCard, name: str) -> None:
    ins, header, data, allowing = COMMANDS[name]
    holder = {"R": 1, "W": 2, "RW": 3}
    card = _with_files(issued, _wire(1, 2, 3))
    for key_no in range(5):
        host = _host(card, key_no)
        status = _status(lambda host=host: host.full(ins, header, data))  # type: ignore[misc]
        expected = 0 if key_no in {holder[right] for right in allowing} else 0x9D
        assert status == expected, f"{name} with key {key_no}"
    assert _status(lambda: _host(card, None).raw(ins, header + data)) == 0xAE


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("key_no", [None, 0, 1])
def test_never_means_never(issued: VirtualCard, name: str, key_no: int | None) -> None:
    ins, header, data, _ = COMMANDS[name]
    card = _with_files(issued, _wire(NOBODY, NOBODY, NOBODY))
    host = _host(card, key_no)
    if key_no is None:
        assert _status(lambda: host.raw(ins, header + data)) == 0x9D
    else:
        assert _status(lambda: host.full(ins, header, data)) == 0x9D


@pytest.mark.parametrize("name", COMMANDS)
def test_a_free_right_is_used_in_plain_unless_the_key_has_one_of_its_own(issued: VirtualCard, name: str) -> None:
    ins, header, data, allowing = COMMANDS[name]
    keyed = {"R": 2, "W": 2, "RW": 2}
    keyed[allowing[-1]] = FREE_FOR_ALL
    card = _with_files(issued, _wire(keyed["R"], keyed["W"], keyed["RW"]))
    assert _status(lambda: _host(card, None).raw(ins, header + data)) == 0
    assert _status(lambda: _host(card, 1).plain(ins, header + data)) == 0
    assert _status(lambda: _host(card, 1).full(ins, header, data)) == 0x7E
    if len(allowing) > 1:
        assert _status(lambda: _host(card, 2).full(ins, header, data)) == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_plain_and_maced_files_keep_the_counter_moving(issued: VirtualCard, name: str) -> None:
    ins, header, data, _ = COMMANDS[name]
    plain = _host(_with_files(issued, _wire(1, 1, 1), option=0), 1)
    plain.plain(ins, header + data)
    assert plain.mac(0x64, b"\x01") == b"\x01"
    assert _status(lambda: plain.mac(ins, header + data)) == 0x7E
    maced = _host(_with_files(issued, _wire(1, 1, 1), option=1), 1)
    maced.mac(ins, header + data)
    assert maced.mac(0x64, b"\x01") == b"\x01"


def test_get_value_can_be_free_of_its_own(issued: VirtualCard) -> None:
    card = _with_files(issued, _wire(1, NOBODY, NOBODY), flags=2)
    assert len(_host(card, None).raw(0x6C, bytes([VALUE]))) == 4
    assert len(_host(card, 2).plain(0x6C, bytes([VALUE]))) == 4
    assert len(_host(card, 1).full(0x6C, bytes([VALUE]))) == 4
    assert _status(lambda: _host(card, None).raw(0xDC, bytes([VALUE]) + le4(1))) == 0xAE
