"""Frames to and from a PN532: examples of its manual, every way the bytes may be cut up, and noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.nfc.pn532_frames import ACK, NACK, Frame, FrameBuffer, Kind, framed
from tests.card.readers import pn532_chip

FIRMWARE_ASKED = bytes.fromhex("0000FF02FED4022A00")
FIRMWARE_TOLD = bytes.fromhex("0000FF06FAD50332010607E800")
ERROR = bytes.fromhex("0000FF01FF7F8100")


def frames_of(*pieces: bytes) -> list[Frame]:
    buffer, found = FrameBuffer(), []
    for piece in pieces:
        buffer.add(piece)
        while (frame := buffer.take()) is not None:
            found.append(frame)
    return found


def test_the_frames_of_the_manual() -> None:
    assert framed(bytes.fromhex("D402")) == FIRMWARE_ASKED
    assert frames_of(ACK + FIRMWARE_TOLD) == [Frame(Kind.ACK), Frame(Kind.BODY, bytes.fromhex("D50332010607"))]
    assert frames_of(NACK, ERROR) == [Frame(Kind.NACK), Frame(Kind.ERROR)]


def test_a_body_of_more_than_255_bytes_travels_in_an_extended_frame() -> None:
    assert framed(bytes(255))[3:5] == b"\xff\x01"
    assert framed(bytes(256))[3:8] == b"\xff\xff\x01\x00\xff"
    longest = framed(bytes([0xD5]) * 265)
    assert longest[3:8] == b"\xff\xff\x01\x09\xf6"
    assert frames_of(longest) == [Frame(Kind.BODY, bytes([0xD5]) * 265)]
    with pytest.raises(AssertionError):
        framed(bytes(266))


@given(body=st.binary(min_size=1, max_size=265))
def test_both_ends_make_the_same_frame_of_a_body(body: bytes) -> None:
    assert framed(body) == pn532_chip.frame(body)


@given(
    bodies=st.lists(st.binary(min_size=2, max_size=265), max_size=4),
    cuts=st.lists(st.integers(1, 40), min_size=1),
    noise=st.binary(max_size=6).filter(lambda some: b"\xff" not in some),
)
def test_however_the_bytes_come_the_frames_are_the_same(bodies: list[bytes], cuts: list[int], noise: bytes) -> None:
    sent = b"".join(noise + framed(body) for body in bodies)
    pieces = []
    for cut in cuts * (len(sent) + 1):
        pieces.append(sent[:cut])
        sent = sent[cut:]
    expected = [Frame(Kind.BODY, body) for body in bodies]
    assert frames_of(*pieces) == expected


@given(body=st.binary(min_size=2, max_size=265), where=st.integers(3, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_taken_for_another_body(body: bytes, where: int, bit: int) -> None:
    sent = bytearray(framed(body) + framed(b"\xd5\x03"))
    sent[3 + where % (len(framed(body)) - 4)] ^= 1 << bit
    assert all(frame.body in (b"", b"\xd5\x03") for frame in frames_of(bytes(sent)) if frame.kind is Kind.BODY)
