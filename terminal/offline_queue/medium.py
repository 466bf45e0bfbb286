"""What the journal's files lie on: a directory of a real disk, or a simulated one that loses what was not synced.

Beside the database stands the *witness*, 64 bytes written after each durable commit and never synced: it can only be
behind the database, so a database behind its witness has lost commits it once had.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from terminal.errors import MediumFailed, UnsafeSettings
from terminal.text import _

WITNESS_SUFFIX: Final = ".witness"
_NO_BARRIERS: Final = frozenset({"barrier=0", "nobarrier"})


class Medium(Protocol):
    """A place for the files of journals, by name."""

    @property
    def vfs(self) -> str | None:
        """Name of the SQLite VFS to use, or ``None`` for the system's."""
        ...

    def path(self, name: str) -> str: ...

    def refuse_unsafe(self) -> None:
        """Raises UnsafeSettings where a sync does not reach the medium."""
        ...

    def exists(self, name: str) -> bool: ...

    def size_b(self, name: str) -> int:
        """Bytes of a file; 0 when there is none."""
        ...

    def free_b(self) -> int: ...

    def sync_created(self, name: str) -> None:
        """Make a new file and its entry in the directory durable."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a small file; empty when there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Overwrite a small file in place, without sync."""
        ...

    def close(self) -> None: ...


class Disk:
    """A directory of a real disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open_files: dict[str, int] = {}

    @property
    def vfs(self) -> str | None:
        return None

    def path(self, name: str) -> str:
        return str(self._directory / name)

    def refuse_unsafe(self) -> None:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        if is_without_barriers(mounts, self._directory.resolve()):
            raise UnsafeSettings(
                _("Le disque est monté sans barrières d'écriture (barrier=0) : une coupure perdrait des paiements.")
            )

    def exists(self, name: str) -> bool:
        return (self._directory / name).exists()

    def size_b(self, name: str) -> int:
        try:
            return (self._directory / name).stat().st_size
        except FileNotFoundError:
            return 0

    def free_b(self) -> int:
        space = os.statvfs(self._directory)
        return space.f_bavail * space.f_frsize

    def sync_created(self, name: str) -> None:
        for path in (self._directory / name, self._directory):
            sync_path(path)

    def read(self, name: str) -> bytes:
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return b""

    def write(self, name: str, content: bytes) -> None:
        try:
            if name not in self._open_files:
                self._open_files[name] = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._open_files[name], content, 0)
        except OSError as fault:
            raise MediumFailed(_("Le disque ne peut plus être écrit.")) from fault

    def close(self) -> None:
        for descriptor in self._open_files.values():
            os.close(descriptor)
        self._open_files.clear()


def sync_path(path: Path) -> None:
    """fsync of a file or of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_without_barriers(mountinfo: str, path: Path) -> bool:
    """Whether the mount that ``path`` lies on was mounted with ``barrier=0`` (proc_pid_mountinfo(5))."""
    best: tuple[int, bool] = (-1, False)
    for line in mountinfo.splitlines():
        fields, _dash, tail = line.partition(" - ")
        columns, ends = fields.split(), tail.split()
        if len(columns) < 6 or not ends:
            continue
        point = Path(columns[4].replace("\\040", " "))
        options = set(columns[5].split(",")) | set(ends[-1].split(","))
        if path.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), bool(options & _NO_BARRIERS))
    return best[1]
