"""Readers PC/SC does not know (SCL3711, RC-S380, and nfcpy's own ``udp:`` device): the only door to nfcpy.

nfcpy speaks ISO 14443-4 itself, block by block. What it asks of a reader goes through ``_Bounded``, because its loops
end only when the card wishes. Never use it on a reader pcscd has, nor two programs on one.
Source: nfcpy 1.0.4 documentation (ContactlessFrontend, Tag.transceive); ISO 14443-4 §7.5 (blocks and their repetition).
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any, Final

import nfc
import nfc.clf
import nfc.tag
import nfc.tag.tt4

from terminal.errors import CardGone, CardMisbehaves, ReaderLost
from terminal.nfc.apdu import MOST_ANSWER_B
from terminal.nfc.polled import NOTHING, Sight

MOST_BLOCKS: Final = 64
"""Blocks of one exchange: 261 bytes out and 258 back are 11 of the smallest usual frames, the rest are repetitions."""
_CARD_S: Final = 4.0
_ISO_DEP: Final = 0x20  # bit of SEL_RES (ISO 14443-3)

logging.getLogger("nfc").setLevel(logging.CRITICAL)  # it would write whole frames


class NfcpyAntenna:
    """``polled.Antenna`` over a nfcpy device path (``usb:054c:06c3``, ``tty:USB0:pn532``, ``udp:localhost:54321``).

    Raises:
        ReaderLost: no such reader, no access, or another program has it.
    """

    __slots__ = ("_frontend", "_tag")

    def __init__(self, path: str) -> None:
        self._tag: Any = None
        self._frontend: Any = nfc.ContactlessFrontend()
        try:
            is_open = self._frontend.open(path)
        except Exception as fault:  # drivers raise what they like
            raise ReaderLost(f"the reader {path} cannot be opened") from fault
        if not is_open:
            raise ReaderLost(f"no reader at {path}")

    def look(self) -> Sight:
        """See ``Antenna.look``. Of two cards nfcpy sees one, or none."""
        self._tag = None
        try:
            target = self._frontend.sense(nfc.clf.RemoteTarget("106A"), iterations=1)
            return NOTHING if target is None else self._met(target)
        except nfc.clf.Error:
            return NOTHING
        except Exception as fault:
            raise ReaderLost("the reader does not answer") from fault

    def is_still_there(self) -> bool:
        """See ``Antenna.is_still_there``: R(NAK), answered by any block."""
        if self._tag is None:
            return False
        try:
            self._bounded.begin()
            return bool(self._tag.is_present)
        except nfc.clf.Error:
            return False
        except Exception as fault:
            raise ReaderLost("the reader does not answer") from fault

    def transmit(self, apdu: bytes) -> bytes:
        """See ``Antenna.transmit``."""
        if self._tag is None:
            raise CardGone("the card has left")
        self._bounded.begin()
        try:
            answer = bytes(self._tag.transceive(bytearray(apdu)))
        except (nfc.clf.Error, nfc.tag.TagCommandError) as fault:
            if self._bounded.has_overrun:
                raise CardMisbehaves("an answer of too many bytes") from fault
            raise CardGone("the card does not answer") from fault
        except (IndexError, TypeError) as fault:  # a block of a form nfcpy does not expect
            raise CardMisbehaves("an answer nfcpy cannot read") from fault
        except Exception as fault:
            raise ReaderLost("the reader does not answer") from fault
        return answer

    def close(self) -> None:
        """See ``Antenna.close``."""
        self._tag = None
        with contextlib.suppress(Exception):  # it is given up in any case
            self._frontend.close()

    def _met(self, target: Any) -> Sight:
        uid = bytes(target.sdd_res or b"")
        if not target.sel_res or not target.sel_res[0] & _ISO_DEP:
            return Sight(uid, speaks_apdus=False)
        try:
            self._tag = nfc.tag.tt4.Type4ATag(_Bounded(self._frontend), target)
        except (nfc.clf.Error, IndexError, TypeError):  # gone again, or an ATS that breaks off
            return NOTHING
        return Sight(uid)

    @property
    def _bounded(self) -> _Bounded:
        bounded: _Bounded = self._tag.clf
        return bounded


class _Bounded:
    """The frontend as a tag uses it: one exchange of APDUs takes so many bytes, blocks and seconds and no more."""

    __slots__ = ("_blocks", "_frontend", "_in_b", "_until_s", "has_overrun")

    def __init__(self, frontend: Any) -> None:
        self._frontend = frontend
        self.begin()

    def begin(self) -> None:
        """A new APDU."""
        self._blocks = 0
        self._in_b = 0
        self._until_s = time.monotonic() + _CARD_S
        self.has_overrun = False

    @property
    def max_send_data_size(self) -> int:
        return int(self._frontend.max_send_data_size)

    @property
    def max_recv_data_size(self) -> int:
        return int(self._frontend.max_recv_data_size)

    def exchange(self, block: bytes, timeout: float) -> Any:
        """One block out and one back; nfcpy's ProtocolError, which nothing repeats, once the exchange is too big."""
        self._blocks += 1
        self.has_overrun = self._blocks > MOST_BLOCKS or self._in_b > MOST_ANSWER_B + MOST_BLOCKS
        if self.has_overrun or time.monotonic() > self._until_s:
            raise nfc.clf.ProtocolError("the exchange has no end")
        answer = self._frontend.exchange(block, timeout)
        self._in_b += len(answer or b"")
        return answer
