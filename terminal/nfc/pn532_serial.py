"""A PN532 on a serial line (breakout boards, HATs), without any driver of the system: the only door to pyserial.

The chip speaks ISO 14443-4 itself: an APDU goes in, its answer comes out. An APDU is sent once. A frame the line has
spoilt is asked for again (NACK: the chip repeats its answer), a command never is.
Source: NXP UM0701-02 (PN532 user manual) rev 02: §6.2 frames, §7.2 (Diagnose, SetParameters, SAMConfiguration), §7.3
(RFConfiguration, InListPassiveTarget, InDataExchange, InRelease).
"""

from __future__ import annotations

import contextlib
import termios
import time
from typing import Final, Protocol

import serial

from terminal.errors import CardGone, CardMisbehaves, ReaderLost
from terminal.nfc.apdu import MOST_ANSWER_B
from terminal.nfc.pn532_frames import ACK, FROM_CHIP, NACK, TO_CHIP, WAKE_UP, Frame, FrameBuffer, Kind, framed
from terminal.nfc.polled import NOTHING, Sight

BAUD: Final = 115_200
MOST_CHAINED: Final = 3
"""Pieces one answer may come in; a card of ours needs one (258 bytes, and a piece carries 262)."""

_DIAGNOSE, _FIRMWARE, _SET_PARAMETERS, _SAM_CONFIGURATION = 0x00, 0x02, 0x12, 0x14
_RF_CONFIGURATION, _EXCHANGE, _LIST, _RELEASE = 0x32, 0x40, 0x4A, 0x52
_IC_PN532: Final = 0x32
_FIELD_OFF: Final = b"\x01\x00"
_RETRIES: Final = bytes.fromhex("05FF0102")
"""MaxRetries: ATR as delivered, PSL one, passive activation two: a look at an empty field ends within some 10 ms."""
_ACTIVATES_ISO_DEP: Final = b"\x14"
_NORMAL_MODE: Final = bytes.fromhex("011401")
_TWO_CARDS_106_A: Final = b"\x02\x00"
_IS_CARD_THERE: Final = b"\x06"
_FIRST_CARD: Final = b"\x01"
_MORE: Final = 0x40
_STATUS: Final = 0x3F
_TOO_MUCH: Final = frozenset({0x07, 0x09, 0x0E})  # buffers of the chip overran
_ISO_DEP: Final = 0x20  # bit of SEL_RES (ISO 14443-3)

_POLL_S: Final = 0.02
_COMMAND_S: Final = 0.5
_CARD_S: Final = 4.0
"""Longest wait for an answer of the chip: a card may ask for more time again and again, the chip grants it."""
_FIELD_PAUSE_S: Final = 0.006  # a card has forgotten all after 5 ms without field (ISO 14443-3 §5.1)
_WRITE_S: Final = 1.0
_MOST_REPEATS: Final = 2


class Line(Protocol):
    """A serial line."""

    def read(self, budget_s: float) -> bytes:
        """What has come, waiting ``budget_s`` for the first byte; empty when nothing did. ReaderLost."""
        ...

    def write(self, some: bytes) -> None:
        """ReaderLost when it cannot be sent within a second."""
        ...

    def close(self) -> None: ...


class SerialLine:
    """``Line`` over pyserial.

    Raises:
        ReaderLost: no such device, no access, or another program has it.
    """

    __slots__ = ("_port",)

    def __init__(self, device: str) -> None:
        try:
            self._port = serial.Serial(device, BAUD, timeout=_POLL_S, write_timeout=_WRITE_S, exclusive=True)
        except (serial.SerialException, OSError, ValueError, termios.error) as fault:
            raise ReaderLost(f"the serial line {device} cannot be opened") from fault

    def read(self, budget_s: float) -> bytes:
        try:
            self._port.timeout = budget_s
            first = self._port.read(1)
            return bytes(first + self._port.read(self._port.in_waiting)) if first else b""
        except (serial.SerialException, OSError, TypeError) as fault:  # TypeError: closed while reading
            raise ReaderLost("the serial line is gone") from fault

    def write(self, some: bytes) -> None:
        try:
            self._port.write(some)
        except (serial.SerialException, OSError) as fault:
            raise ReaderLost("the serial line is gone") from fault

    def close(self) -> None:
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()


class Pn532:
    """``polled.Antenna``: one awake PN532.

    Raises:
        ReaderLost: nothing answers on the line, or something that is no PN532.
    """

    __slots__ = ("_buffer", "_line")

    def __init__(self, line: Line) -> None:
        self._line = line
        self._buffer = FrameBuffer()
        try:
            self._wake()
        except BaseException:
            line.close()
            raise

    def look(self) -> Sight:
        """See ``Antenna.look``. Asks for two cards, so that a second one in the field is seen."""
        self._ask(_RF_CONFIGURATION, _FIELD_OFF)
        time.sleep(_FIELD_PAUSE_S)
        return sight_of(self._ask(_LIST, _TWO_CARDS_106_A, _COMMAND_S))

    def is_still_there(self) -> bool:
        """See ``Antenna.is_still_there``: the chip sends R(NAK) and expects any block (§7.2.1, test 6)."""
        return self._ask(_DIAGNOSE, _IS_CARD_THERE) == b"\x00"

    def transmit(self, apdu: bytes) -> bytes:
        """See ``Antenna.transmit``."""
        answer = b""
        piece = apdu
        for _ in range(MOST_CHAINED):
            status, more = self._exchanged(piece)
            answer += more
            if len(answer) > MOST_ANSWER_B:
                break
            if not status & _MORE:
                return answer
            piece = b""  # ask for the rest
        raise CardMisbehaves("an answer of too many bytes")

    def close(self) -> None:
        """See ``Antenna.close``."""
        with contextlib.suppress(ReaderLost):
            self._ask(_RELEASE, b"\x00", _POLL_S)
            self._ask(_RF_CONFIGURATION, _FIELD_OFF, _POLL_S)
        self._line.close()

    def _wake(self) -> None:
        self._line.write(WAKE_UP)
        self._ask(_SAM_CONFIGURATION, _NORMAL_MODE)
        if self._ask(_FIRMWARE)[:1] != bytes([_IC_PN532]):
            raise ReaderLost("something on the line is no PN532")
        self._ask(_SET_PARAMETERS, _ACTIVATES_ISO_DEP)
        self._ask(_RF_CONFIGURATION, _RETRIES)

    def _exchanged(self, data: bytes) -> tuple[int, bytes]:
        told = self._ask(_EXCHANGE, _FIRST_CARD + data, _CARD_S)
        status = told[0] if told else _STATUS
        if status & _STATUS in _TOO_MUCH:
            raise CardMisbehaves(f"PN532 status {status:02X}")
        if status & _STATUS:
            raise CardGone(f"PN532 status {status:02X}")
        return status, told[1:]

    def _ask(self, code: int, parameters: bytes = b"", budget_s: float = _COMMAND_S) -> bytes:
        """What the chip answers to a command, behind its code; ReaderLost when it does not within the budget."""
        self._buffer.clear()
        self._line.write(framed(bytes([TO_CHIP, code]) + parameters))
        until_s = time.monotonic() + budget_s
        repeats = 0
        while (frame := self._next(until_s)) is not None:
            if frame.kind is Kind.BODY and frame.body[:2] == bytes([FROM_CHIP, code + 1]):
                return frame.body[2:]
            if frame.kind in (Kind.ERROR, Kind.NACK):
                raise ReaderLost(f"the chip refuses {code:02X}")
            if frame.kind is Kind.SPOILT:
                repeats += 1
                if repeats > _MOST_REPEATS:
                    break
                self._line.write(NACK)
        self._line.write(ACK)  # a command under way ends (§6.2.1.3)
        raise ReaderLost(f"the chip does not answer {code:02X}")

    def _next(self, until_s: float) -> Frame | None:
        while (frame := self._buffer.take()) is None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return None
            self._buffer.add(self._line.read(min(left_s, _POLL_S)))
        return frame


def sight_of(told: bytes) -> Sight:
    """What InListPassiveTarget told: ``NbTg [Tg SENS_RES(2) SEL_RES length NFCID ATS…]…`` (§7.3.5)."""
    if not told or told[0] == 0:
        return NOTHING
    if told[0] > 1:
        return Sight(is_crowded=True)
    if len(told) < 6 or len(told) < 6 + told[5]:
        return NOTHING
    return Sight(told[6 : 6 + told[5]], speaks_apdus=bool(told[4] & _ISO_DEP))
