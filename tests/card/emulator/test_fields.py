"""The two fields a card can lie in: inside the process, and at a virtual PC/SC reader."""

import socket
from collections.abc import Iterator
from threading import Event

import pytest
from virtual_card_host import AID, UID, Host

from emulator.card import ATR, VirtualCard
from emulator.field import Exchange, FieldGone
from emulator.inprocess import InProcessField
from emulator.ntag424.card import VirtualNtag
from emulator.open_card import open_card
from emulator.state_file import MemoryStore
from emulator.tear import Fault, Moment, Phase, empty, oversized, prefix, tear_at, tear_on, torn_write
from emulator.vpcd import CardInField

GET_UID = bytes.fromhex("FFCA000000")
GET_VERSION = bytes.fromhex("9060000000")
WAIT_S = 60.0


# --- in the process


def test_an_empty_field_answers_nothing() -> None:
    field = InProcessField()
    with pytest.raises(FieldGone):
        field.exchange(GET_VERSION)
    with pytest.raises(FieldGone):
        field.reset()
    field.lift()
    assert field.insertions == 0


def test_changes_are_told_in_order() -> None:
    changes: list[bool] = []
    field = InProcessField(changes.append)
    assert field.present(VirtualCard.blank(UID)) == ATR
    with pytest.raises(ValueError):
        field.present(VirtualCard.blank(UID))
    field.lift()
    field.lift()
    field.present(VirtualCard.blank(UID), [tear_at(0, Phase.AFTER)])
    assert field.exchange(GET_VERSION)[-2:] == b"\x91\xaf"
    assert changes == [True, False, True, False]
    assert field.insertions == 2
    with pytest.raises(FieldGone):
        field.exchange(GET_VERSION)


def test_the_reader_answers_its_own_apdus_and_they_do_not_count() -> None:
    field = InProcessField()
    seen: list[Exchange] = []
    field.present(VirtualCard.blank(UID), [tear_at(1, Phase.BEFORE)], seen.append)
    assert field.exchange(GET_UID) == UID + b"\x90\x00"
    assert field.exchange(bytes.fromhex("FF00480000")) == b"\x6a\x81"
    assert field.exchange(bytes.fromhex("FFCA010000")) == b"\x6a\x81"
    field.exchange(GET_VERSION)
    with pytest.raises(FieldGone):
        field.exchange(b"\x90\xaf\x00\x00\x00")
    assert seen == [Exchange(0, 0x60, 5, 9), Exchange(1, 0xAF, 5, 0)]


def test_a_reset_ends_the_session_but_not_the_presentation() -> None:
    field = InProcessField()
    field.present(VirtualCard.blank(UID))
    host = Host(field.exchange)
    host.iso()
    assert field.reset() == ATR
    assert host.apdu(0x6A) == (b"", 0)
    assert field.insertions == 1


# --- at the virtual reader


class Reader:
    """vpcd's side of the wire, for one card at a time; like vpcd it sends length and body apart."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._card: socket.socket | None = None

    def accept(self) -> None:
        self._listener.settimeout(WAIT_S)
        self._card, _ = self._listener.accept()
        self._card.settimeout(WAIT_S)

    def control(self, code: int) -> None:
        assert self._card is not None
        self._card.sendall(b"\x00\x01")
        self._card.sendall(bytes([code]))

    def ask(self, body: bytes) -> bytes | None:
        """The card's answer, or None when it has gone."""
        assert self._card is not None
        self._card.sendall(len(body).to_bytes(2, "big"))
        self._card.sendall(body)
        size = self._exactly(2)
        return None if size is None else self._exactly(int.from_bytes(size, "big"))

    def _exactly(self, size_b: int) -> bytes | None:
        assert self._card is not None
        got = b""
        while len(got) < size_b:
            piece = self._card.recv(size_b - len(got))
            if not piece:
                return None
            got += piece
        return got

    def hang_up(self) -> None:
        if self._card is not None:
            self._card.close()
            self._card = None

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def test_a_card_on_the_virtual_reader_answers_like_one_in_the_process(reader: Reader) -> None:
    seen: list[Exchange] = []
    card = CardInField(VirtualCard.blank(UID), reader.port, log=seen.append)
    assert not card.is_present
    card.present()
    reader.accept()
    reader.control(1)
    assert reader.ask(b"\x04") == ATR
    assert reader.ask(GET_UID) == UID + b"\x90\x00"
    assert reader.ask(GET_VERSION) == bytes.fromhex("0401013300180591AF")
    reader.control(2)
    assert reader.ask(bytes.fromhex("90AF000000")) == b"\x91\x1c"
    reader.control(0)
    assert [exchange.instruction for exchange in seen] == [0x60, 0xAF]
    assert card.is_present
    card.lift()
    assert not card.is_present


def test_a_tag_on_the_virtual_reader_can_be_pulled_inside_a_write(reader: Reader) -> None:
    store = MemoryStore()
    VirtualNtag.blank(UID, store)
    tag = CardInField(open_card(store), reader.port, disturbances=[torn_write(0x8D, prefix(2))])
    tag.present()
    reader.accept()
    reader.control(1)
    assert reader.ask(GET_UID) == UID + b"\x90\x00"
    assert reader.ask(bytes.fromhex("00A4040C07D276000085010100")) == b"\x90\x00"
    assert reader.ask(bytes.fromhex("908D00000B020000000400000102030400")) is None
    assert tag.wait_gone(WAIT_S)
    assert VirtualNtag.load(store).memory.files[2].content[:4] == bytes.fromhex("01020000")


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
def test_a_tear_closes_the_connection(reader: Reader, phase: Phase) -> None:
    virtual = VirtualCard.blank(UID)
    card = CardInField(virtual, reader.port, disturbances=[tear_on(0xCA, phase)])
    card.present()
    reader.accept()
    reader.control(1)
    create = b"\x90\xca\x00\x00\x05" + AID + b"\x09\x85\x00"
    answer = reader.ask(create)
    assert answer == (b"\x91\x00" if phase is Phase.AFTER else None)
    if phase is Phase.AFTER:
        assert reader.ask(GET_VERSION) is None
    assert not card.is_present
    reader.hang_up()
    assert card.wait_gone(WAIT_S)
    assert (AID in virtual.memory.applications) is (phase is not Phase.BEFORE)


def test_a_torn_card_can_be_presented_again_at_once(reader: Reader) -> None:
    card = CardInField(VirtualCard.blank(UID), reader.port, disturbances=[tear_at(0, Phase.ANSWER_LOST)])
    for _ in range(2):
        card.present()
        reader.accept()
        assert reader.ask(GET_VERSION) is None
    card.lift()


def test_the_card_ends_when_the_reader_does(reader: Reader) -> None:
    card = CardInField(VirtualCard.blank(UID), reader.port)
    card.present()
    reader.accept()
    reader.hang_up()
    assert card.wait_gone(WAIT_S)
    card.present()
    reader.accept()
    with pytest.raises(ValueError):
        card.present()
    assert reader.ask(b"\x04") == ATR
    card.lift()
    card.lift()


def test_without_a_reader_presenting_is_refused(reader: Reader) -> None:
    reader.close()
    card = CardInField(VirtualCard.blank(UID), reader.port)
    with pytest.raises(ConnectionRefusedError):
        card.present()
    assert not card.is_present


def test_empty_and_oversized_answers_cross_the_wire(reader: Reader) -> None:
    faults = [Fault(Moment(index=0), empty), Fault(Moment(index=1), oversized)]
    card = CardInField(VirtualCard.blank(UID), reader.port, disturbances=faults)
    card.present()
    reader.accept()
    assert reader.ask(GET_VERSION) == b""
    answer = reader.ask(GET_VERSION)
    assert answer is not None
    assert len(answer) == 65535
    card.lift()


def test_lifting_interrupts_a_card_that_waits_before_answering(reader: Reader) -> None:
    entered, release = Event(), Event()

    def late(answer: bytes) -> bytes:
        entered.set()
        release.wait(WAIT_S)
        return answer

    card = CardInField(VirtualCard.blank(UID), reader.port, disturbances=[Fault(Moment(), late)])
    card.present()
    reader.accept()
    assert reader._card is not None
    reader._card.sendall(b"\x00\x05" + GET_VERSION)
    assert entered.wait(WAIT_S)
    release.set()
    card.lift()
    assert not card.is_present
