"""The driver of a PN532 against a chip as strict as its manual, on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
import serial

from emulator.card import VirtualCard
from emulator.field import Exchange
from emulator.tear import Moment, Phase, Tear
from terminal.errors import CardGone, CardMisbehaves, NotOurCard, ReaderLost
from terminal.events import CardPresented, CardRemoved, CardsClash, Inward, ReaderCame, ReaderWent
from terminal.nfc.key_store import KeyStore
from terminal.nfc.pn532_serial import Pn532, SerialLine, sight_of
from terminal.nfc.polled import LOOK_EVERY_S, NOTHING, PolledReaders, Sight
from terminal.ports import Presence
from tests.card.readers.pn532_chip import Pn532Chip

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall

UID = bytes.fromhex("04A1B2C3D4E5F6")
GET_VERSION = bytes.fromhex("9060000000")
LONG_WRITE = bytes.fromhex("908D0000FF") + bytes(255) + b"\x00"


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Pn532Chip]:
    made = Pn532Chip(tmp_path / "ttyPN532")
    yield made
    made.unplug()


def opened(chip: Pn532Chip) -> Pn532:
    return Pn532(SerialLine(str(chip.device)))


class Counted:
    """A card that counts what reaches it, and answers as told."""

    atr = b""

    def __init__(self, answer: bytes = b"\x91\x00", uid: bytes = UID) -> None:
        self.uid = uid
        self.answer = answer
        self.apdus: list[bytes] = []
        self.power_offs = 0

    def power_on(self) -> bytes:
        return self.atr

    def power_off(self) -> None:
        self.power_offs += 1

    def transceive(self, apdu: bytes) -> bytes:
        self.apdus.append(apdu)
        return self.answer


def test_a_sleeping_chip_is_woken_and_sees_the_card_with_its_number(chip: Pn532Chip) -> None:
    antenna = opened(chip)
    assert antenna.look() == NOTHING
    card = Counted()
    chip.lay(card)
    assert antenna.look() == Sight(card.uid)
    assert antenna.is_still_there()
    chip.lift()
    assert not antenna.is_still_there()
    assert [body[1] for body in chip.heard[:5]] == [0x14, 0x02, 0x12, 0x32, 0x32]
    antenna.close()


@pytest.mark.parametrize("answer_b", [2, 10, 250, 252, 253, 254, 257, 258])
def test_the_longest_apdus_and_answers_pass_whole(chip: Pn532Chip, answer_b: int) -> None:
    card = Counted(os.urandom(answer_b))
    chip.lay(card)
    antenna = opened(chip)
    antenna.look()
    assert antenna.transmit(LONG_WRITE) == card.answer
    assert antenna.transmit(GET_VERSION) == card.answer
    assert card.apdus == [LONG_WRITE, GET_VERSION]
    antenna.close()


@pytest.mark.parametrize("answer_b", [259, 262, 263, 600, 5_000])
def test_an_answer_that_is_too_long_is_not_collected(chip: Pn532Chip, answer_b: int) -> None:
    card = Counted(bytes(answer_b))
    chip.lay(card)
    antenna = opened(chip)
    antenna.look()
    with pytest.raises(CardMisbehaves):
        antenna.transmit(GET_VERSION)
    assert len(card.apdus) == 1
    card.answer = b"\x91\x00"
    antenna.look()
    assert antenna.transmit(GET_VERSION) == b"\x91\x00"
    antenna.close()


def test_looking_anew_makes_the_card_forget(chip: Pn532Chip) -> None:
    card = Counted()
    chip.lay(card)
    antenna = opened(chip)
    antenna.look()
    before = card.power_offs
    antenna.look()
    assert card.power_offs == before + 1
    antenna.close()


def test_a_frame_the_line_has_spoilt_is_asked_for_again_and_the_apdu_is_sent_once(chip: Pn532Chip) -> None:
    card = Counted(b"seven b\x91\x00")
    chip.lay(card)
    antenna = opened(chip)
    antenna.look()
    spoilt: list[int] = []

    def once(sent: bytes) -> bytes:
        if len(sent) > 12 and not spoilt:
            spoilt.append(1)
            return sent[:9] + bytes([sent[9] ^ 1]) + sent[10:]
        return sent

    chip.spoil = once
    assert antenna.transmit(GET_VERSION) == card.answer
    assert (chip.nacks, card.apdus) == (1, [GET_VERSION])
    antenna.close()


def test_a_line_that_spoils_everything_is_a_lost_reader_and_the_apdu_was_sent_once(chip: Pn532Chip) -> None:
    card = Counted()
    chip.lay(card)
    antenna = opened(chip)
    antenna.look()
    chip.spoil = lambda sent: sent if len(sent) == 6 else sent[:-2] + bytes([sent[-2] ^ 1]) + sent[-1:]
    with pytest.raises(ReaderLost):
        antenna.transmit(GET_VERSION)
    assert card.apdus == [GET_VERSION]
    antenna.close()


def test_a_card_that_leaves_during_an_apdu_is_gone(chip: Pn532Chip, tmp_path: Path) -> None:
    card = VirtualCard.blank(UID, tmp_path / "card.json")
    chip.lay(card, Tear(Moment(index=0), Phase.ANSWER_LOST))
    antenna = opened(chip)
    antenna.look()
    with pytest.raises(CardGone):
        antenna.transmit(GET_VERSION)
    with pytest.raises(CardGone):
        antenna.transmit(GET_VERSION)
    assert not antenna.is_still_there()
    antenna.close()


def test_a_line_pulled_out_in_the_middle_is_a_lost_reader_at_once(chip: Pn532Chip) -> None:
    chip.lay(Counted())
    antenna = opened(chip)
    antenna.look()
    chip.unplug()
    with pytest.raises(ReaderLost):
        antenna.transmit(GET_VERSION)
    antenna.close()


def test_no_device_an_empty_line_another_chip_and_a_line_in_use_are_lost_readers(
    chip: Pn532Chip, tmp_path: Path
) -> None:
    with pytest.raises(ReaderLost):
        SerialLine(str(tmp_path / "nothing"))
    there, empty = pty.openpty()
    tty.setraw(empty)
    with pytest.raises(ReaderLost):
        Pn532(SerialLine(os.ttyname(empty)))
    os.close(there)
    os.close(empty)
    used = opened(chip)
    with pytest.raises(ReaderLost):
        opened(chip)
    used.close()
    chip.firmware = bytes.fromhex("33010607")
    with pytest.raises(ReaderLost):
        opened(chip)


@pytest.fixture
def told() -> list[Inward]:
    """What happened in the fields, as it happens."""
    return []


@pytest.fixture
def readers(chip: Pn532Chip, stall: Stall, told: list[Inward]) -> Iterator[PolledReaders]:
    made = PolledReaders({"r": lambda: opened(chip)}, KeyStore(stall.keys), stall.clock, told.append)
    made.start()
    wait_for(told, ReaderCame("r"))
    yield made
    made.close()


def test_a_plug_that_bounces_while_the_line_is_opened_is_a_lost_reader(
    chip: Pn532Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial.Serial, "_reset_input_buffer", _raises(termios.error(5, "Input/output error")))
    with pytest.raises(ReaderLost):
        SerialLine(str(chip.device))


def test_a_surprise_while_a_reader_is_opened_does_not_end_its_watch(
    chip: Pn532Chip, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    surprises = [RuntimeError("a library has faults of its own")]
    told: SimpleQueue[Inward] = SimpleQueue()

    def opens() -> Pn532:
        with monkeypatch.context() as bounced:
            if surprises:
                fault = surprises.pop(0)
                bounced.setattr(serial.Serial, "_reset_input_buffer", _raises(fault))
            return Pn532(SerialLine(str(chip.device)))

    readers = PolledReaders({"r": opens}, KeyStore(stall.keys), stall.clock, told.put)
    readers.start()
    assert told.get(timeout=60) == ReaderWent("r")
    assert told.get(timeout=60) == ReaderCame("r")
    readers.close()


def _raises(fault: Exception) -> Callable[..., None]:
    def raises(*_any: object) -> None:
        raise fault

    return raises


def test_two_cards_are_told_as_two_and_neither_is_presented(
    chip: Pn532Chip, readers: PolledReaders, told: list[Inward]
) -> None:
    chip.lay(Counted())
    chip.lay(Counted(uid=bytes(reversed(UID))))
    wait_for(told, CardsClash("r"))
    chip.lift()
    chip.lay(Counted())
    wait_for(told, CardPresented(Presence("r", 1)))
    assert [event for event in told if isinstance(event, CardsClash)] == [CardsClash("r")]


def test_nobody_looks_while_a_tap_holds_the_card(
    chip: Pn532Chip, readers: PolledReaders, told: list[Inward], stall: Stall
) -> None:
    card = Counted()
    chip.lay(card)
    wait_for(told, CardPresented(Presence("r", 1)))
    contact = readers.connect(Presence("r", 1), stall.clock.deadline(5))
    before = len(chip.heard)
    time.sleep(4 * LOOK_EVERY_S)
    assert chip.heard[before:] == []
    assert contact.link.exchange(GET_VERSION) == card.answer
    contact.close()
    wait_until(lambda: len(chip.heard) > before + 1)


def test_a_card_that_misbehaved_is_reset_where_it_lies_and_is_no_new_card(
    chip: Pn532Chip, readers: PolledReaders, told: list[Inward], stall: Stall
) -> None:
    card = Counted(answer=b"?")
    chip.lay(card)
    wait_for(told, CardPresented(Presence("r", 1)))
    contact = readers.connect(Presence("r", 1), stall.clock.deadline(5))
    with pytest.raises(CardMisbehaves):
        contact.link.exchange(GET_VERSION)
    before = card.power_offs
    contact.close()
    wait_until(lambda: card.power_offs == before + 1)
    time.sleep(4 * LOOK_EVERY_S)
    assert card.power_offs == before + 1
    assert told == [ReaderCame("r"), CardPresented(Presence("r", 1))]
    again = readers.connect(Presence("r", 1), stall.clock.deadline(5))
    assert again.uid == UID
    again.close()


def test_the_same_card_lifted_and_laid_down_between_two_looks_is_a_new_presence(
    chip: Pn532Chip, readers: PolledReaders, told: list[Inward]
) -> None:
    card = Counted()
    chip.lay(card)
    wait_for(told, CardPresented(Presence("r", 1)))
    chip.lift()
    chip.lay(card)
    wait_for(told, CardPresented(Presence("r", 2)))
    assert told[2:] == [CardRemoved(Presence("r", 1)), CardPresented(Presence("r", 2))]


def test_a_chip_that_takes_no_apdus_is_not_ours(
    chip: Pn532Chip, readers: PolledReaders, told: list[Inward], stall: Stall
) -> None:
    chip.sel_res = 0x08
    chip.lay(Counted())
    wait_for(told, CardPresented(Presence("r", 1)))
    contact = readers.connect(Presence("r", 1), stall.clock.deadline(5))
    with pytest.raises(NotOurCard):
        contact.authenticate(stall.ref)
    contact.close()


def wait_for(told: list[Inward], event: Inward) -> None:
    wait_until(lambda: event in told)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("told", "sight"),
    [
        ("", NOTHING),
        ("00", NOTHING),
        ("02", Sight(is_crowded=True)),
        ("01 01 0344 20 07 04A1B2C3D4E5F6 067577810280", Sight(UID)),
        ("01 01 0004 08 04 DEADBEEF", Sight(bytes.fromhex("DEADBEEF"), speaks_apdus=False)),
        ("01 01 0344 20 07 04A1B2", NOTHING),
        ("01 01 03", NOTHING),
    ],
)
def test_what_lies_in_the_field_is_read_from_the_chip_s_list(told: str, sight: Sight) -> None:
    assert sight_of(bytes.fromhex(told)) == sight


def test_an_answer_of_the_entitlement_s_size_reaches_a_real_payment(
    chip: Pn532Chip, readers: PolledReaders, told: list[Inward], stall: Stall
) -> None:
    """240 bytes of file 11 enciphered, MAC and status: the longest a payment reads."""
    sizes: list[int] = []

    def note(exchange: Exchange) -> None:
        sizes.append(exchange.in_b)

    chip.lay(VirtualCard.load(stall.path), log=note)
    wait_for(told, CardPresented(Presence("r", 1)))
    contact = readers.connect(Presence("r", 1), stall.clock.deadline(5))
    contact.authenticate(stall.ref).open(bytes([1]) + bytes(15), all_logs=False)
    contact.close()
    assert max(sizes) == 250
