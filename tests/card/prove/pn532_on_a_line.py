"""A PN532 on a pseudo-terminal with a virtual card in its field, for a foreign host that speaks to a serial reader.

Just as much of the chip as libnfc asks for. Frames: NXP UM0701-02 §6.2.1; commands §7.
"""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from typing import Final

from emulator.field import Card

_HOST, _CHIP = 0xD4, 0xD5
_ACK: Final = bytes.fromhex("0000FF00FF00")
_GET_FIRMWARE_VERSION, _IN_DATA_EXCHANGE, _IN_LIST_PASSIVE_TARGET, _READ_REGISTER = 0x02, 0x40, 0x4A, 0x06
_DIAGNOSE, _GET_GENERAL_STATUS = 0x00, 0x04
_IN_DESELECT, _IN_RELEASE, _IN_SELECT, _RF_CONFIGURATION = 0x44, 0x52, 0x54, 0x32
_WITH_STATUS: Final = frozenset({_IN_DESELECT, _IN_RELEASE, _IN_SELECT})
_PN532: Final = bytes.fromhex("32010607")
_106_A: Final = 0x00
_ATQA_SAK: Final = bytes.fromhex("034420")
_ATS: Final = bytes.fromhex("067577810280")


class Pn532OnALine:
    """Serves ``card`` on a pseudo-terminal until it is closed; ``path`` is the serial port to open."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._own, self._port = pty.openpty()
        tty.setraw(self._own)
        tty.setraw(self._port)
        self.path = os.ttyname(self._port)
        self._stop_read, self._stop_write = os.pipe()
        self.apdus: list[bytes] = []
        card.power_on()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and free the terminal."""
        os.write(self._stop_write, b"!")
        self._thread.join()
        for descriptor in (self._own, self._port, self._stop_read, self._stop_write):
            os.close(descriptor)

    def _serve(self) -> None:
        heard = b""
        while True:
            ready, _, _ = select.select([self._own, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            heard += os.read(self._own, 4096)
            while (frame := _first_frame(heard)) is not None:
                content, heard = frame
                if content[:1] == bytes([_HOST]):
                    self._say(_ACK)
                    self._say(_framed(bytes([_CHIP, content[1] + 1]) + self._answer(content[1], content[2:])))

    def _say(self, data: bytes) -> None:
        os.write(self._own, data)

    def _answer(self, command: int, parameters: bytes) -> bytes:
        if command == _GET_FIRMWARE_VERSION:
            return _PN532
        if command == _DIAGNOSE:
            return parameters  # its line test: what was sent comes back
        if command == _READ_REGISTER:
            return bytes(len(parameters) // 2)
        if command == _GET_GENERAL_STATUS:
            return bytes(4)
        if command == _IN_LIST_PASSIVE_TARGET:
            return self._listed(parameters[1])
        if command == _IN_DATA_EXCHANGE:
            return b"\x00" + self._exchanged(parameters[1:])
        return b"\x00" if command in _WITH_STATUS else b""

    def _listed(self, kind: int) -> bytes:
        if kind != _106_A:
            return b"\x00"
        self._card.power_on()
        return b"\x01\x01" + _ATQA_SAK + bytes([len(self._card.uid)]) + self._card.uid + _ATS

    def _exchanged(self, apdu: bytes) -> bytes:
        self.apdus.append(apdu)
        return self._card.transceive(apdu)


def _first_frame(heard: bytes) -> tuple[bytes, bytes] | None:
    """Content of the first whole frame and what comes after it; wake-up bytes and acknowledgements are passed over."""
    at = heard.find(b"\x00\xff")
    while at >= 0:
        length = heard[at + 2 : at + 4]
        if len(length) < 2:
            return None
        if sum(length) & 0xFF == 0 and length[0]:
            end = at + 4 + length[0] + 2
            return None if len(heard) < end else (heard[at + 4 : end - 2], heard[end:])
        at = heard.find(b"\x00\xff", at + 1)
    return None


def _framed(content: bytes) -> bytes:
    head = bytes([len(content), -len(content) & 0xFF])
    return b"\x00\x00\xff" + head + content + bytes([-sum(content) & 0xFF, 0])
