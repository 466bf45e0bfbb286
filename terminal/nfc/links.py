"""One card in one field for one tap: counts what is exchanged, caps it, and keeps the tap's deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from domain.identity import UID_SIZE_B, Uid
from terminal.errors import CardGone, CardMisbehaves, NotOurCard
from terminal.nfc.apdu import FIELD_LOST, MOST_ANSWER_B
from terminal.ports import Deadline

MOST_APDUS_A_TAP: Final = 40
GET_UID: Final = bytes.fromhex("FFCA000000")
"""Answered by the reader, not by the card (PC/SC part 3 §3.2.2.1.3)."""


class Field(Protocol):
    """What an adapter gives: the card it is connected to, until it leaves."""

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        """The raw answer; CardGone, ReaderLost, ReaderStuck."""
        ...

    def close(self, *, is_clean: bool) -> None:
        """Let the card go; when not ``is_clean`` it must forget all it was told."""
        ...


@dataclass(slots=True)
class LinkCounters:
    """What went over the air, for a bench: APDUs, bytes out and in, ns spent waiting for answers."""

    apdus: int = 0
    out_b: int = 0
    in_b: int = 0
    inside_ns: int = 0


class Link:
    """A card that answers APDUs until it leaves, the deadline passes, or it has answered too many."""

    __slots__ = ("_counters", "_deadline", "_field", "_is_clean", "_is_closed", "_left_s", "_most_apdus", "_sent")

    def __init__(
        self,
        field: Field,
        deadline: Deadline,
        left_s: Callable[[Deadline], float],
        *,
        counters: LinkCounters | None = None,
        most_apdus: int = MOST_APDUS_A_TAP,
    ) -> None:
        self._field = field
        self._deadline = deadline
        self._left_s = left_s
        self._counters = LinkCounters() if counters is None else counters
        self._most_apdus = most_apdus
        self._sent = 0
        self._is_clean = True
        self._is_closed = False

    @property
    def counters(self) -> LinkCounters:
        """Shared with the reader it belongs to, so that a bench can read them."""
        return self._counters

    def allow(self, most_apdus: int) -> None:
        """Raise the number of APDUs before the link gives up; issuing takes more than a tap."""
        self._most_apdus = most_apdus

    def check_usable(self) -> None:
        """Raises CardGone when it was closed or the tap's time is over, CardMisbehaves after too many APDUs; sends
        nothing.
        """
        if self._is_closed:
            raise CardGone("the card was let go")
        if self._sent >= self._most_apdus:
            raise CardMisbehaves("too many exchanges in one tap")
        if self._left_s(self._deadline) <= 0:
            raise CardGone("the tap took too long")

    def exchange(self, apdu: bytes) -> bytes:
        """Send one APDU and give its raw answer of 2 to 258 bytes.

        Raises:
            CardGone, ReaderLost, ReaderStuck: whether the card has acted is unknown.
            CardMisbehaves: an answer of an impossible length.
        """
        self.check_usable()
        was_clean, self._is_clean = self._is_clean, False
        answer = self._timed(apdu)
        if not 2 <= len(answer) <= MOST_ANSWER_B:
            raise CardMisbehaves(f"an answer of {len(answer)} bytes")
        self._is_clean = was_clean
        return answer

    def read_uid(self) -> Uid:
        """The 7-byte serial number as the reader reports it; NotOurCard for any other chip, CardGone, ReaderFault."""
        answer = self._field.transmit(GET_UID, self._deadline)
        if answer in FIELD_LOST:
            raise CardGone("the reader lost the card")
        if len(answer) != UID_SIZE_B + 2 or answer[-2:] != b"\x90\x00":
            raise NotOurCard("a chip without a serial number of 7 bytes")
        return Uid(answer[:-2])

    def spoil(self) -> None:
        """Something went wrong: the card shall be reset when it is let go."""
        self._is_clean = False

    def close(self) -> None:
        """Let the card go; never raises a fault of card or reader. Again is nothing: the next tap may hold it by
        then.
        """
        if not self._is_closed:
            self._is_closed = True
            self._field.close(is_clean=self._is_clean)

    def _timed(self, apdu: bytes) -> bytes:
        self._sent += 1
        began_ns = time.perf_counter_ns()
        try:
            answer = self._field.transmit(apdu, self._deadline)
        finally:
            self._counters.apdus += 1
            self._counters.out_b += len(apdu)
            self._counters.inside_ns += time.perf_counter_ns() - began_ns
        self._counters.in_b += len(answer)
        return answer
