"""The hand that lays virtual cards on virtual readers: through vpcd, as a person would on a real one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from emulator.card import VirtualCard
from emulator.field import Exchange
from emulator.tear import Phase, Tear, tear_on
from emulator.vpcd import FIRST_READER_PORT, CardInField

COMMIT_TRANSACTION = 0xC7
WRITE_RECORD = 0x8B
VIRTUAL_READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")
LIFT_PAUSE_S = 0.35
"""A hand is not faster than this between two cards."""


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


PULLED_BEFORE_COMMIT = Mishap(WRITE_RECORD, Phase.AFTER)
COMMIT_ANSWER_LOST = Mishap(COMMIT_TRANSACTION, Phase.ANSWER_LOST)


class Hand(Protocol):
    """Lays cards down and lifts them."""

    def lay_down(self, card: Path, mishap: Mishap | None = None) -> None: ...

    def lift(self) -> None: ...


class VpcdHand:
    """A hand at one of vpcd's two readers (0 or 1)."""

    def __init__(self, reader: int) -> None:
        self._port = FIRST_READER_PORT + reader
        self._field: CardInField | None = None

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
            time.sleep(LIFT_PAUSE_S)


def _killer(mishap: Mishap) -> Callable[[Exchange], None]:
    """Ends the till the moment the card has acted, before the answer reaches it."""
    assert mishap.kills_pid is not None
    pid = mishap.kills_pid

    def on_exchange(exchange: Exchange) -> None:
        if exchange.instruction == mishap.instruction:
            os.kill(pid, signal.SIGKILL)

    return on_exchange
