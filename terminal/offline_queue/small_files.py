"""Small files beside the journal: replaced whole, and wiped before they are let go where they held a secret."""

from __future__ import annotations

import os
from pathlib import Path

from terminal.offline_queue.medium import sync_path


def write_durably(place: Path, content: bytes, mode: int) -> None:
    """Replace a file so that after a power cut the old or the new one is there, whole."""
    new = place.with_name(place.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(place)
    sync_path(place.parent)


def remove_durably(place: Path) -> None:
    """Remove a file, if it is there; durable on return."""
    place.unlink(missing_ok=True)
    sync_path(place.parent)


def wipe(place: Path) -> None:
    """Overwrite a file that held a secret with zeros, then remove it; nothing when there is none.

    A flash medium may keep the old cells until it writes them anew: see docs/operating/key-store.md.
    """
    if not place.exists():
        return
    with place.open("r+b") as file:
        file.write(bytes(place.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    remove_durably(place)
