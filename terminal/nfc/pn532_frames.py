"""Frames between a host and a PN532 on a serial line: pure bytes.

    normal     00 00 FF LEN LCS  TFI PD0 … DCS 00          up to 255 bytes from TFI on
    extended   00 00 FF FF FF LENM LENL LCS  TFI … DCS 00  up to 265
    ACK        00 00 FF 00 FF 00        NACK  00 00 FF FF 00 00        error  00 00 FF 01 FF 7F 81 00

LEN + LCS (LENM + LENL + LCS) and the sum of TFI … DCS are 0 modulo 256; TFI is D4 toward the chip, D5 from it.
Source: NXP UM0701-02 (PN532 user manual) rev 02 §6.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

TO_CHIP: Final = 0xD4
FROM_CHIP: Final = 0xD5
ACK: Final = bytes.fromhex("0000FF00FF00")
NACK: Final = bytes.fromhex("0000FFFF0000")
WAKE_UP: Final = bytes.fromhex("5555") + bytes(14)
"""Sent before the first command: a sleeping chip wakes at the edges and listens a little later (§7.2.11)."""
MOST_NORMAL_B: Final = 255
MOST_EXTENDED_B: Final = 265
_START: Final = bytes.fromhex("00FF")
_ERROR_BODY: Final = b"\x7f"


class Kind(Enum):
    """What a frame is."""

    ACK = "ack"
    NACK = "nack"
    ERROR = "error"
    BODY = "body"
    SPOILT = "spoilt"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as received; ``body`` from TFI on, of a frame of that kind."""

    kind: Kind
    body: bytes = b""


def framed(body: bytes) -> bytes:
    """The frame of a body (TFI and what follows), extended when it must be; 1 to 265 bytes."""
    size = len(body)
    assert 0 < size <= MOST_EXTENDED_B, "a frame carries 1 to 265 bytes"
    if size <= MOST_NORMAL_B:
        head = bytes([size, -size & 0xFF])
    else:
        head = b"\xff\xff" + bytes([size >> 8, size & 0xFF, -((size >> 8) + size) & 0xFF])
    return b"\x00" + _START + head + body + bytes([-sum(body) & 0xFF, 0])


class FrameBuffer:
    """Bytes as they come, frames as they are complete; noise between frames is passed over."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def clear(self) -> None:
        """Forget what has come."""
        self._bytes.clear()

    def add(self, some: bytes) -> None:
        """Bytes from the line."""
        self._bytes += some

    def take(self) -> Frame | None:
        """The next whole frame, ``SPOILT`` when a sum is wrong; ``None`` until more bytes have come."""
        at = self._bytes.find(_START)
        if at < 0:
            del self._bytes[:-1]
            return None
        del self._bytes[:at]
        return self._taken()

    def _taken(self) -> Frame | None:
        got = self._bytes
        if len(got) < 4:
            return None
        if got[2:4] == b"\x00\xff":
            return self._cut(4, Frame(Kind.ACK))
        if got[2:4] == b"\xff\x00":
            return self._cut(4, Frame(Kind.NACK))
        if got[2:4] != b"\xff\xff":
            return self._body(4, got[2], got[2] + got[3])
        if len(got) < 7:
            return None
        return self._body(7, got[4] << 8 | got[5], got[4] + got[5] + got[6])

    def _body(self, at: int, size: int, size_sum: int) -> Frame | None:
        if size_sum & 0xFF or not 0 < size <= MOST_EXTENDED_B:
            return self._cut(2, Frame(Kind.SPOILT))
        if len(self._bytes) < at + size + 1:
            return None
        body = bytes(self._bytes[at : at + size])
        if (sum(body) + self._bytes[at + size]) & 0xFF:
            return self._cut(at + size + 1, Frame(Kind.SPOILT))
        if body == _ERROR_BODY:
            return self._cut(at + size + 1, Frame(Kind.ERROR))
        return self._cut(at + size + 1, Frame(Kind.BODY, body))

    def _cut(self, size: int, frame: Frame) -> Frame:
        del self._bytes[:size]
        return frame
