"""Wrong PINs in a row: after three each next try waits, twice as long every time, a few minutes at most.

The count is on the medium before a try begins, so that pulling the plug gains nothing; one try at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ATTEMPTS_FILE: Final = "pin-attempts"
FREE_TRIES: Final = 3
LONGEST_WAIT_S: Final = 300.0


class Attempt:
    """One try under way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def was_right(self) -> None:
        """The PIN held: the next one starts from nothing again."""
        _write(self._descriptor, 0)


def wait_s(wrong: int) -> float:
    """Seconds before the next try after so many wrong ones in a row: 0, 0, 0, 2, 4, 8 … 300."""
    return 0.0 if wrong < FREE_TRIES else min(2.0 ** min(wrong - FREE_TRIES + 1, 16), LONGEST_WAIT_S)


def wrong_so_far(directory: Path) -> int:
    """Tries in a row that did not end well."""
    try:
        return _count((directory / ATTEMPTS_FILE).read_bytes())
    except FileNotFoundError:
        return 0


@contextmanager
def one_try(directory: Path, pause: Callable[[float], None]) -> Iterator[Attempt]:
    """Room for one try, after the wait the earlier ones cost; it counts as wrong until it says that it was right."""
    descriptor = os.open(directory / ATTEMPTS_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        wrong = _count(os.pread(descriptor, 16, 0))
        _write(descriptor, wrong + 1)
        if wait_s(wrong):
            pause(wait_s(wrong))
        yield Attempt(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, wrong: int) -> None:
    os.pwrite(descriptor, f"{wrong:06d}\n".encode(), 0)
    os.fsync(descriptor)


def _count(content: bytes) -> int:
    digits = content[:6]
    return min(int(digits), 999_998) if len(digits) == 6 and digits.isdigit() else 0
