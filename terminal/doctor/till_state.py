"""The till itself: whether it answers, what it says of itself, and whether its disk and its clock will do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from terminal.ports import SyncState

DISK_ENOUGH_B: Final = 64 << 20
"""A season of payments; far above the room below which the journal refuses to pay."""

PROGRAM_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock is right that shows an earlier time than this program was written at."""

_CLOCK_SLACK: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The journal cannot be used: code and sentence (``terminal/stops.py``)."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Silent:
    """A till listens and does not answer."""


@dataclass(frozen=True, slots=True)
class TillState:
    """What is known of one till.

    Attributes:
        is_running: a till's process answered; else its journal was opened here.
        said: its outbox, or why there is nothing.
        disk_free_b: bytes left where its journal lies.
        now: wall time.
    """

    is_running: bool
    said: SyncState | Stopped | Silent
    disk_free_b: int
    now: datetime

    @property
    def is_clock_never_set(self) -> bool:
        """A machine without a battery that was never online since it started."""
        return self.now < PROGRAM_FROM

    @property
    def is_clock_behind(self) -> bool:
        """The wall clock shows an earlier time than when the centre last answered."""
        last = self.said.last_contact if isinstance(self.said, SyncState) else None
        return last is not None and self.now < last - _CLOCK_SLACK


def free_b(directory: Path) -> int:
    """Bytes an ordinary user may still write there."""
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize
