"""Lists that came while the device key was sealed: kept as received, taken when the stall opens.

Taking lists in is a signed record, and card keys are opened with the device key; a sync without the PIN can do neither.
It sends what waits, takes the centre's answer, and leaves the lists here.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from sync.errors import FormatError
from terminal.offline_queue.journal import OfflineJournal
from terminal.offline_queue.lists import OfflineLists
from terminal.offline_queue.outbox import OfflineOutbox
from terminal.offline_queue.small_files import remove_durably, write_durably
from terminal.ports import Instant, SyncState

WAITING_FILE: Final = "waiting-lists.cbor"


class SealedOutbox(OfflineOutbox):
    """The outbox of a terminal whose device key is sealed."""

    def __init__(self, journal: OfflineJournal, lists: OfflineLists, directory: Path) -> None:
        super().__init__(journal, lists)
        self._place = directory / WAITING_FILE

    def apply_download(self, bundle: bytes, at: Instant) -> SyncState:  # noqa: ARG002
        """Verify that the centre sent it and keep it, durably; the newest one takes the place of the one before."""
        self._lists.verify(bundle)
        write_durably(self._place, bundle, mode=0o600)
        return self.state()


def take_waiting(directory: Path, outbox: OfflineOutbox, journal: OfflineJournal, at: Instant) -> None:
    """Take lists kept while the key was sealed; those that do not hold (any more) are let go, the centre has them.

    An intent left open has to end first: they wait for the next start or sync.
    """
    place = directory / WAITING_FILE
    if journal.has_open_intent or not place.exists():
        return
    with contextlib.suppress(FormatError):
        outbox.apply_download(place.read_bytes(), at)
    remove_durably(place)
