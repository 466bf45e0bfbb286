"""A PN532 at the other end of a pseudo-terminal, with the emulator's virtual cards in its field.

As strict as the user manual is: asleep until woken and configured, frames checked, at most 262 bytes of an APDU at once
and each longer answer in pieces.
Source: NXP UM0701-02 rev 02 §6.2, §7.2, §7.3.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import tty
from collections.abc import Callable
from pathlib import Path

from emulator.field import Card, FieldGone, Log, Presentation
from emulator.tear import Disturbance

ACK = bytes.fromhex("0000FF00FF00")
NACK = bytes.fromhex("0000FFFF0000")
MOST_DATA_B = 262
TIMED_OUT, DISAPPEARED, WRONG_CONTEXT = 0x01, 0x2B, 0x27
ATS = bytes.fromhex("067577810280")


def frame(body: bytes) -> bytes:
    """A frame, written anew from the manual: normal up to 255 bytes, else extended."""
    if len(body) < 256:
        head = bytes([len(body), (256 - len(body)) % 256])
    else:
        high, low = divmod(len(body), 256)
        head = bytes([0xFF, 0xFF, high, low, (512 - high - low) % 256])
    return b"\x00\x00\xff" + head + body + bytes([(65536 - sum(body)) % 256]) + b"\x00"


class Pn532Chip:
    """The chip, plugged in at ``device`` (a link to the pseudo-terminal, as udev would lay one)."""

    def __init__(self, device: Path, firmware: bytes = bytes.fromhex("32010607")) -> None:
        self.device = device
        self.firmware = firmware
        self.sel_res = 0x20
        self.spoil: Callable[[bytes], bytes] = lambda sent: sent
        """What the line makes of each frame of the chip."""
        self.heard: list[bytes] = []
        self.nacks = 0
        self._lock = threading.Lock()
        self._in_field: list[tuple[Card, Presentation]] = []
        self._has_field = False
        self._active: Presentation | None = None
        self._stop = -1
        self.plug()

    # --- what hands do ---

    def plug(self) -> None:
        """Into the machine; the chip sleeps."""
        self._chip_end, self._host_end = pty.openpty()
        tty.setraw(self._chip_end)
        tty.setraw(self._host_end)
        with contextlib.suppress(FileNotFoundError):
            self.device.unlink()
        self.device.symlink_to(os.ttyname(self._host_end))
        self._is_awake = self._is_configured = False
        self._active = None
        self._last = b""
        self._rest = b""
        heard_stop, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, args=(heard_stop,), name="PN532", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Out of the machine: the device is gone."""
        if self._stop < 0:
            return
        os.close(self._stop)
        self._stop = -1
        with contextlib.suppress(FileNotFoundError):
            self.device.unlink()
        os.close(self._host_end)
        self._thread.join(5)

    def lay(self, card: Card, *disturbances: Disturbance, log: Log | None = None) -> None:
        """Lay a card into the field, beside those that lie there."""
        with self._lock:
            presentation = Presentation(card, disturbances, log)
            presentation.power_on()
            self._in_field.append((card, presentation))

    def lift(self) -> None:
        """Take all cards away; not before an answer under way has been given."""
        with self._lock:
            for _, presentation in self._in_field:
                presentation.leave()
            self._in_field.clear()

    # --- the line ---

    def _serve(self, heard_stop: int) -> None:
        got = b""
        try:
            while True:
                ready, _, _ = select.select([self._chip_end, heard_stop], [], [])
                if heard_stop in ready:
                    return
                got = self._hear(got + os.read(self._chip_end, 4096))
        except OSError:
            return
        finally:
            os.close(heard_stop)
            os.close(self._chip_end)

    def _hear(self, got: bytes) -> bytes:
        """Act on the whole frames in what was received; the rest."""
        if b"\x55" in got[:4]:
            self._is_awake = True
        while (at := got.find(b"\x00\x00\xff")) >= 0:
            got = got[at:]
            if len(got) < 6:
                return got
            if got[:6] in (ACK, NACK):
                is_nack, got = got[:6] == NACK, got[6:]
                if is_nack:
                    self.nacks += 1
                    self._send(self._last)
                continue
            is_extended = got[3:5] == b"\xff\xff"
            at = 8 if is_extended else 5
            if len(got) < at:
                return got
            size = got[5] * 256 + got[6] if is_extended else got[3]
            if len(got) < at + size + 2:
                return got
            sums = (sum(got[5:8]) if is_extended else got[3] + got[4], sum(got[at : at + size + 1]))
            body, got = got[at : at + size], got[at + size + 2 :]
            if self._is_awake and sums[0] % 256 == 0 and sums[1] % 256 == 0 and size <= 265:
                self._send(ACK)
                self._last = frame(self._act(body))
                self._send(self._last)
        return got[-2:]

    def _send(self, some: bytes) -> None:
        os.write(self._chip_end, self.spoil(some))

    # --- commands ---

    def _act(self, body: bytes) -> bytes:
        self.heard.append(body)
        tfi, code, parameters = body[0], body[1], body[2:]
        if tfi != 0xD4 or not (self._is_configured or code in (0x14, 0x02)):
            return b"\x7f"
        known = {
            0x00: self._diagnose,
            0x02: lambda _: self.firmware,
            0x12: lambda _: b"",
            0x14: self._configure,
            0x32: self._radio,
            0x40: self._exchange,
            0x4A: self._list,
            0x52: self._release,
        }
        if code not in known:
            return b"\x7f"
        with self._lock:
            return bytes([0xD5, code + 1]) + known[code](parameters)

    def _configure(self, parameters: bytes) -> bytes:
        self._is_configured = parameters[0] == 1
        return b""

    def _radio(self, parameters: bytes) -> bytes:
        if parameters[0] == 1:
            self._has_field = bool(parameters[1] & 1)
            if not self._has_field:
                self._active = None
                for _, presentation in self._in_field:
                    if not presentation.is_gone:
                        presentation.power_off()
        return b""

    def _list(self, parameters: bytes) -> bytes:
        assert parameters[1] == 0, "106 kbit/s type A only"
        there = [(card, lies) for card, lies in self._in_field if not lies.is_gone][: parameters[0]]
        self._has_field = True
        self._active = there[0][1] if there else None
        told = bytes([len(there)])
        for number, (card, _) in enumerate(there, start=1):
            told += bytes([number]) + bytes.fromhex("0344") + bytes([self.sel_res, len(card.uid)]) + card.uid
            told += ATS if self.sel_res & 0x20 else b""
        return told

    def _diagnose(self, parameters: bytes) -> bytes:
        assert parameters == b"\x06"
        return b"\x00" if self._active is not None and not self._active.is_gone else bytes([TIMED_OUT])

    def _exchange(self, parameters: bytes) -> bytes:
        assert parameters[0] == 1 and len(parameters) - 1 <= MOST_DATA_B
        if self._active is None:
            return bytes([WRONG_CONTEXT])
        if len(parameters) > 1:
            try:
                self._rest = self._active.exchange(parameters[1:])
            except FieldGone:
                return bytes([TIMED_OUT])
        piece, self._rest = self._rest[:MOST_DATA_B], self._rest[MOST_DATA_B:]
        return bytes([0x40 if self._rest else 0x00]) + piece

    def _release(self, _: bytes) -> bytes:
        self._active = None
        return b"\x00"
