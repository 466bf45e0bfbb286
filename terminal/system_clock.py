"""The clock of a real device: Linux clocks and a boot number kept in the terminal's folder."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from terminal.ports import Deadline, Instant, WallSource

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """ports.Clock on CLOCK_BOOTTIME, CLOCK_MONOTONIC and the wall clock."""

    def __init__(self, boot: int, source: WallSource = WallSource.UNKNOWN) -> None:
        self._boot = boot
        self._source = source

    def now(self) -> Instant:
        """All clocks now."""
        return Instant(
            self._boot,
            time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            datetime.now(UTC),
            self._source,
        )

    def deadline(self, budget_s: float) -> Deadline:
        """The moment ``budget_s`` seconds from now."""
        return Deadline(time.monotonic() + budget_s)

    def left_s(self, deadline: Deadline) -> float:
        """Seconds left, never below 0."""
        return max(deadline.at_s - time.monotonic(), 0.0)


def boot_number(directory: Path) -> int:
    """The number of this boot at this terminal: counted from 1, one more whenever the kernel's boot id changes."""
    place = directory / "boot"
    boot_id = _BOOT_ID.read_text().strip()
    number, known_id = _known_boot(place)
    if known_id == boot_id:
        return number
    new = place.with_name("boot.new")
    with new.open("w") as file:
        file.write(f"{number + 1} {boot_id}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(place)
    return number + 1


def _known_boot(place: Path) -> tuple[int, str]:
    try:
        number, boot_id = place.read_text().split()
        return int(number), boot_id
    except (FileNotFoundError, ValueError):
        return 0, ""
