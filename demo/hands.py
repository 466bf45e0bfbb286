"""The hand that lays virtual cards on virtual readers: through vpcd, as a person would on a real one."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from demo.till_process import Disappointed, TillProcess
from emulator.card import VirtualCard
from emulator.field import Exchange
from emulator.tear import Phase, Tear, tear_on
from emulator.vpcd import FIRST_READER_PORT, CardInField

COMMIT_TRANSACTION = 0xC7
WRITE_RECORD = 0x8B
VIRTUAL_READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")
SEEN_WITHIN_S = 60.0
HEARD_WITHIN_S = 0.3
"""PC/SC wakes the till when it has seen that a card has gone; here a till may be slower than that to hear it."""
_CARD_PRESENT, _ODD_COUNT = 0x20, 0x10000
"""Bits of dwEventState (PC/SC part 5, SCardGetStatusChange): a card lies there; how many cards came and went, odd."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong while the card lies there.

    Attributes:
        instruction: at the first APDU of this instruction.
        phase: before its effect, after its answer, or after its effect with the answer lost.
        kills_pid: this process gets SIGKILL at that moment (the card has done its part).
    """

    instruction: int
    phase: Phase
    kills_pid: int | None = None


PULLED_BEFORE_COMMIT = Mishap(WRITE_RECORD, Phase.ANSWER_LOST)
COMMIT_ANSWER_LOST = Mishap(COMMIT_TRANSACTION, Phase.ANSWER_LOST)


class Hand(Protocol):
    """Lays cards down and lifts them."""

    def stand_at(self, till: TillProcess) -> None:
        """Whose reader it is; told anew for each till."""
        ...

    def lay_down(self, card: Path, mishap: Mishap | None = None) -> None: ...

    def lift(self) -> None: ...


class VpcdHand:
    """A hand at one of vpcd's two readers (0 or 1)."""

    def __init__(self, reader: int) -> None:
        self._port = FIRST_READER_PORT + reader
        self._reader = VIRTUAL_READERS[reader]
        self._field: CardInField | None = None

    def stand_at(self, till: TillProcess) -> None:
        """A virtual reader stays where it is."""

    def lay_down(self, card: Path, mishap: Mishap | None = None) -> None:
        """Lay down the card whose memory is the file ``card``."""
        tears: list[Tear] = []
        log: Callable[[Exchange], None] | None = None
        if mishap is not None and mishap.kills_pid is None:
            tears = [tear_on(mishap.instruction, mishap.phase)]
        elif mishap is not None:
            log = _killer(mishap)
        self._field = CardInField(VirtualCard.load(card), self._port, disturbances=tears, log=log)
        self._field.present()

    def lift(self) -> None:
        """Take it away again."""
        if self._field is not None:
            self._field.lift()
            self._field = None
            wait_until_empty(self._reader)


def wait_until_empty(reader: str) -> None:
    """Wait until PC/SC has seen that no card lies on ``reader``, and told. It looks into a virtual field every 0.4 s.

    Its word that the card is gone is not enough: it says so, too, when resetting one fails, before it has looked. But
    each card is counted when it comes and when it goes. A reader that is away, or whose PC/SC is, has no card.

    Raises:
        Disappointed: it has one still after ``SEEN_WITHIN_S``.
    """
    from terminal.nfc.pcsc import look

    give_up_s = time.monotonic() + SEEN_WITHIN_S
    while look()[1].get(reader, 0) & (_CARD_PRESENT | _ODD_COUNT):
        if time.monotonic() > give_up_s:
            raise Disappointed(f"PC/SC voit encore une carte sur {reader}")
        time.sleep(0.02)
    time.sleep(HEARD_WITHIN_S)


def _killer(mishap: Mishap) -> Callable[[Exchange], None]:
    """Ends the till the moment the card has acted, before the answer reaches it."""
    assert mishap.kills_pid is not None
    pid = mishap.kills_pid

    def on_exchange(exchange: Exchange) -> None:
        if exchange.instruction == mishap.instruction:
            os.kill(pid, signal.SIGKILL)

    return on_exchange


class PipeHand:
    """A hand at the reader inside a till's own process, where there is no PC/SC: it tells the till what it does."""

    def __init__(self) -> None:
        self._till: TillProcess | None = None

    def stand_at(self, till: TillProcess) -> None:
        """The till whose reader this is."""
        self._till = till

    def lay_down(self, card: Path, mishap: Mishap | None = None) -> None:
        """Lay down the card whose memory is the file ``card``."""
        assert self._till is not None
        hand: dict[str, object] = {"lay": str(card)}
        if mishap is not None:
            hand["instruction"] = mishap.instruction
            hand["phase"] = mishap.phase.value
            hand["kills"] = mishap.kills_pid is not None
        self._till.ask({"hand": hand})

    def lift(self) -> None:
        """Take it away again; from a till that was killed it is away already."""
        assert self._till is not None
        with contextlib.suppress(OSError):
            self._till.ask({"hand": {"lift": True}})
