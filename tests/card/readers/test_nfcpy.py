"""nfcpy's own ``udp:`` device against a card program: what nfcpy does not bound, and what it repeats."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from terminal.errors import CardGone, CardMisbehaves, ReaderLost
from terminal.nfc.nfcpy_readers import MOST_BLOCKS, NfcpyAntenna
from terminal.nfc.polled import NOTHING, Sight
from tests.card.readers.iso_dep_card import IsoDepCard

UID = bytes.fromhex("04A1B2C3D4E5F6")
GET_VERSION = bytes.fromhex("9060000000")
LONG_WRITE = bytes.fromhex("908D0000FF") + bytes(range(255)) + b"\x00"
Air = Callable[[IsoDepCard, bytes], bytes | None]


class Field:
    """Frames on a UDP port, answered by a card through the air as told."""

    def __init__(self, answer: bytes = b"\x91\x00") -> None:
        self.apdus: list[bytes] = []
        self.frames: list[bytes] = []
        self.answer = answer
        self.air: Air = lambda card, frame: card.answer(frame)
        self.resets = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.path = f"udp:127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"END", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _exchange(self, apdu: bytes) -> bytes:
        self.apdus.append(apdu)
        return self.answer

    def _serve(self) -> None:
        card = IsoDepCard(UID, self._exchange)
        while (got := self._socket.recvfrom(2048))[0] != b"END":
            if got[0] == b"RFOFF":
                card = IsoDepCard(UID, self._exchange)
                self.resets += 1
                continue
            frame = bytes.fromhex(got[0].split()[1].decode())
            self.frames.append(frame)
            answer = self.air(card, frame)
            if answer is not None:
                self._socket.sendto(b"106A " + answer.hex().encode(), got[1])


@pytest.fixture
def field() -> Iterator[Field]:
    made = Field()
    yield made
    made.close()


@pytest.fixture
def antenna(field: Field) -> Iterator[NfcpyAntenna]:
    made = NfcpyAntenna(field.path)
    yield made
    made.close()


def is_block(frame: bytes) -> bool:
    return frame[0] & 0xE2 == 0x02


@pytest.mark.parametrize("answer_b", [2, 250, 253, 254, 258])
def test_apdus_in_several_blocks_and_long_answers_pass_whole(
    field: Field, antenna: NfcpyAntenna, answer_b: int
) -> None:
    field.answer = bytes(n % 251 for n in range(answer_b))
    assert antenna.look() == Sight(UID)
    assert antenna.is_still_there()
    assert antenna.transmit(LONG_WRITE) == field.answer
    assert antenna.is_still_there()
    assert antenna.transmit(GET_VERSION) == field.answer
    assert field.apdus == [LONG_WRITE, GET_VERSION]


def test_a_block_lost_on_its_way_back_is_repeated_by_the_card_and_not_done_twice(
    field: Field, antenna: NfcpyAntenna
) -> None:
    antenna.look()
    lost: list[bytes] = []

    def loses_one(card: IsoDepCard, frame: bytes) -> bytes | None:
        answer = card.answer(frame)
        if is_block(frame) and not lost:
            lost.append(frame)
            return None
        return answer

    field.air = loses_one
    assert antenna.transmit(GET_VERSION) == field.answer
    assert field.apdus == [GET_VERSION]


def test_a_block_lost_on_its_way_out_is_sent_again_and_done_once(field: Field, antenna: NfcpyAntenna) -> None:
    antenna.look()
    lost: list[bytes] = []

    def loses_one(card: IsoDepCard, frame: bytes) -> bytes | None:
        if is_block(frame) and not lost:
            lost.append(frame)
            return None
        return card.answer(frame)

    field.air = loses_one
    assert antenna.transmit(GET_VERSION) == field.answer
    assert field.apdus == [GET_VERSION]


def test_a_card_that_falls_silent_is_gone(field: Field, antenna: NfcpyAntenna) -> None:
    antenna.look()
    field.air = lambda _card, _frame: None
    with pytest.raises(CardGone):
        antenna.transmit(GET_VERSION)
    assert not antenna.is_still_there()


def test_an_answer_chained_without_end_is_broken_off(field: Field, antenna: NfcpyAntenna) -> None:
    antenna.look()

    def chains(card: IsoDepCard, frame: bytes) -> bytes | None:
        return bytes([0x12 | frame[0] & 1]) + bytes(8)

    field.air = chains
    before = len(field.frames)
    with pytest.raises(CardMisbehaves):
        antenna.transmit(GET_VERSION)
    assert len(field.frames) - before <= MOST_BLOCKS


def test_time_asked_for_without_end_is_broken_off(field: Field, antenna: NfcpyAntenna) -> None:
    antenna.look()
    field.air = lambda _card, _frame: bytes.fromhex("F201")
    before = len(field.frames)
    with pytest.raises(CardMisbehaves):
        antenna.transmit(GET_VERSION)
    assert len(field.frames) - before <= MOST_BLOCKS


@pytest.mark.parametrize("answer", ["", "F2", "02", "0A000000", "C2", "FF" * 40])
def test_blocks_of_no_form_are_a_card_s_fault_or_a_card_gone(field: Field, antenna: NfcpyAntenna, answer: str) -> None:
    antenna.look()
    field.air = lambda _card, _frame: bytes.fromhex(answer)
    try:
        given = antenna.transmit(GET_VERSION)
    except (CardGone, CardMisbehaves):
        return
    assert len(given) < 2, "an answer without a status word is judged by whoever asked"


@pytest.mark.parametrize("ats", ["", "01", "0275", "037577", "0F7577810280"])
def test_a_card_whose_ats_breaks_off_is_not_taken(field: Field, antenna: NfcpyAntenna, ats: str) -> None:
    def cut(card: IsoDepCard, frame: bytes) -> bytes | None:
        answer = card.answer(frame)
        return bytes.fromhex(ats) if frame[0] == 0xE0 else answer

    field.air = cut
    assert antenna.look() in (NOTHING, Sight(UID))


def test_a_chip_without_iso_14443_4_is_told_apart(field: Field, antenna: NfcpyAntenna) -> None:
    def other(card: IsoDepCard, frame: bytes) -> bytes | None:
        answer = card.answer(frame)
        return b"\x00" if answer == b"\x20" else answer

    field.air = other
    assert antenna.look() == Sight(UID, speaks_apdus=False)


def test_looking_anew_switches_the_field_off(field: Field, antenna: NfcpyAntenna) -> None:
    antenna.look()
    before = field.resets
    antenna.look()
    assert field.resets == before + 1


def test_a_path_that_leads_nowhere_is_a_lost_reader() -> None:
    for path in ("tty:USB99:pn532", "nonsense", "usb:ffff:ffff"):
        with pytest.raises(ReaderLost):
            NfcpyAntenna(path)
