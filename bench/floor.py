"""The floor under a tap: the same APDUs to the same card and the same durable writes, with nothing else.

No cryptography of the host, no decision, no SQLite, no lane, no deadline. The answers are compared with those of the
tap they repeat; when one differs, the floor would not be what it says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.reader_path import BareReader
from bench.restored_card import COMMIT_TRANSACTION, Exchanged
from terminal.nfc.links import GET_UID


@dataclass(frozen=True, slots=True)
class FloorRun:
    """How long it took, and whether every answer was the one the tap had got."""

    elapsed_ns: int
    is_same: bool


class AppendedFile:
    """A file that only grows and whose every append is synced, as a write-ahead log is."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, content: bytes) -> None:
        """Durable on return."""
        os.write(self._descriptor, content)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)


def replay(
    reader: BareReader, exchanged: Sequence[Exchanged], intent: bytes, record: bytes, file: AppendedFile
) -> FloorRun:
    """Send what a tap sent, with its two durable writes where it made them: before Commit, and after its answer.

    Args:
        intent, record: as many bytes as the tap's two commits added to the journal's log.
    """
    answers: list[bytes] = []
    began_ns = time.perf_counter_ns()
    reader.connect()
    reader.transmit(GET_UID)
    for item in exchanged:
        if item.instruction == COMMIT_TRANSACTION:
            file.append(intent)
        answers.append(reader.transmit(item.apdu))
    file.append(record)
    elapsed_ns = time.perf_counter_ns() - began_ns
    reader.disconnect(is_clean=True)
    return FloorRun(elapsed_ns, answers == [item.answer for item in exchanged])
