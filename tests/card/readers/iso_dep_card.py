"""The card's side of ISO 14443-3 and -4 type A for a virtual card that knows APDUs only: what a reader's chip or nfcpy
meets in the field.

Source: ISO 14443-3 §6.5 (anticollision of a 7-byte serial number), ISO 14443-4 §5 (ATS), §7 (blocks).
"""

from __future__ import annotations

from collections.abc import Callable

ATS = bytes.fromhex("067577810280")
"""MF2DL(H)x0 rev 3.3 §8.1: frames of 64 bytes to the card, frame waiting time 77 ms."""
ATQA, SAK_MORE, SAK_ISO_DEP = bytes.fromhex("4403"), b"\x04", b"\x20"
FSC_B = 64
FSD_B = 256
_OVERHEAD_B = 3  # protocol control byte and CRC


class IsoDepCard:
    """Blocks in, blocks out; ``exchange`` carries whole APDUs. Powered from its making on."""

    def __init__(self, uid: bytes, exchange: Callable[[bytes], bytes]) -> None:
        self.uid = uid
        self._exchange = exchange
        self._is_active = False
        self._number = 1
        self._arriving = b""
        self._leaving: list[bytes] = []
        self._last = b""
        self.repeated = 0

    def answer(self, frame: bytes) -> bytes | None:
        """The card's frame, without CRC; ``None`` for silence."""
        if self._is_active:
            return self._block(frame)
        if frame in (b"\x26", b"\x52"):
            return ATQA
        if frame[:1] == b"\xe0":
            self._is_active = True
            return ATS
        return self._selected(frame)

    def _selected(self, frame: bytes) -> bytes | None:
        for level, part, sak in (
            (0x93, b"\x88" + self.uid[:3], SAK_MORE),
            (0x95, self.uid[3:], SAK_ISO_DEP),
        ):
            check = part[0] ^ part[1] ^ part[2] ^ part[3]
            if frame == bytes([level, 0x20]):
                return part + bytes([check])
            if frame == bytes([level, 0x70]) + part + bytes([check]):
                return sak
        return None

    def _block(self, frame: bytes) -> bytes | None:
        control = frame[0]
        if len(frame) > FSC_B - 2:
            return None
        if control & 0xE2 == 0x02:
            self._number ^= 1
            return self._information(control, frame[1:])
        if control & 0xF6 == 0xB2:  # R(NAK)
            if control & 1 == self._number:
                self.repeated += 1
                return self._last
            return bytes([0xA2 | self._number])
        if control & 0xF6 == 0xA2 and self._leaving:  # R(ACK)
            self._number ^= 1
            return self._next()
        if control == 0xC2:
            self._is_active = False
            return b"\xc2"
        return None

    def _information(self, control: int, data: bytes) -> bytes:
        self._arriving += data
        if control & 0x10:
            self._last = bytes([0xA2 | self._number])
            return self._last
        apdu, self._arriving = self._arriving, b""
        answer = self._exchange(apdu)
        step = FSD_B - _OVERHEAD_B
        self._leaving = [answer[at : at + step] for at in range(0, len(answer), step)] or [b""]
        return self._next()

    def _next(self) -> bytes:
        piece = self._leaving.pop(0)
        self._last = bytes([0x02 | (0x10 if self._leaving else 0) | self._number]) + piece
        return self._last
