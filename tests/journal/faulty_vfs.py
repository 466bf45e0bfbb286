"""A disk in memory that loses what was not synced: terminal.offline_queue.medium.Medium with its own SQLite VFS.

    disk = FaultyDisk()
    create_journal(disk, 1, contact)
    disk.cut_after(7)                      # the power goes after seven more operations that change the disk
    ... run a scenario: from then on the disk fails (MediumFailed) and ``disk.is_dark``; ``on_dark`` was called once
    after = disk.restarted(Survivors.NONE) # what a new start finds: a new FaultyDisk
    open_journal(after, ...)

An *operation* is a write, truncation, sync, creation or deletion; ``disk.operations`` counts them, so one run without a
cut tells how many cuts there are. What survives of writes not yet synced is chosen: none, all, or by ``seed`` any part
of them, in sectors of 512 bytes. As with a Linux disk, the entry of a new log file is durable with its first sync, that
of the database with ``sync_created``. ``is_lying`` makes every sync do nothing. ``room_b`` makes the disk full.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import apsw

_SECTOR_B = 512
_names = itertools.count()


class Survivors(Enum):
    """Which writes that were not synced are found after the cut."""

    NONE = "none"
    ALL = "all"
    SOME = "some"


@dataclass(frozen=True, slots=True)
class _Write:
    """``data`` at ``offset``, or a truncation to ``offset`` bytes where ``data`` is ``None``."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            return
        if len(content) < self.offset:
            content.extend(bytes(self.offset - len(content)))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, dice: random.Random) -> list[_Write]:
        if self.data is None:
            return [self] if dice.random() < 0.5 else []
        parts = [_Write(self.offset + at, self.data[at : at + _SECTOR_B]) for at in range(0, len(self.data), _SECTOR_B)]
        return [part for part in parts if dice.random() < 0.5]


@dataclass(slots=True)
class _File:
    content: bytearray = field(default_factory=bytearray)
    synced: bytes | None = None  # None: the entry itself is not durable
    since: list[_Write] = field(default_factory=list)

    def change(self, write: _Write) -> None:
        write.apply(self.content)
        self.since.append(write)

    def sync(self) -> None:
        self.synced, self.since = bytes(self.content), []

    def found(self, survivors: Survivors, dice: random.Random) -> bytes | None:
        if self.synced is None and (
            survivors is Survivors.NONE or (survivors is Survivors.SOME and dice.random() < 0.5)
        ):
            return None
        content = bytearray(self.synced or b"")
        for write in self.since:
            parts = [write] if survivors is Survivors.ALL else []
            if survivors is Survivors.SOME:
                fate = dice.random()
                parts = [write] if fate < 0.4 else write.torn(dice) if fate < 0.7 else []
            for part in parts:
                part.apply(content)
        return bytes(content)


class FaultyDisk:
    """See the module."""

    def __init__(self, image: dict[str, bytes] | None = None) -> None:
        self._files = {name: _File(bytearray(data), data) for name, data in (image or {}).items()}
        self._vfs = f"faulty-{next(_names)}"
        self._registered: _Vfs | None = None
        self._cut_at: int | None = None
        self.operations = 0
        self.is_dark = False
        self.is_lying = False
        self.room_b = 1 << 40
        self.on_dark: Callable[[], None] = lambda: None

    # --- what a test does ---

    def cut_after(self, operations: int) -> None:
        """The power goes after that many more operations."""
        self._cut_at = self.operations + operations

    def restarted(self, survivors: Survivors = Survivors.NONE, seed: int = 0) -> FaultyDisk:
        """The disk a new start finds."""
        dice = random.Random(seed)
        found = {name: item.found(survivors, dice) for name, item in sorted(self._files.items())}
        return FaultyDisk({name: content for name, content in found.items() if content is not None})

    def image(self) -> dict[str, bytes]:
        """Everything as the running program sees it."""
        return {name: bytes(item.content) for name, item in self._files.items()}

    # --- Medium ---

    @property
    def vfs(self) -> str | None:
        if self._registered is None:
            self._registered = _Vfs(self._vfs, self)
        return self._vfs

    def path(self, name: str) -> str:
        return name

    def refuse_unsafe(self) -> None:
        return

    def exists(self, name: str) -> bool:
        return name in self._files

    def size_b(self, name: str) -> int:
        return len(self._files[name].content) if name in self._files else 0

    def free_b(self) -> int:
        return self.room_b - sum(len(item.content) for item in self._files.values())

    def sync_created(self, name: str) -> None:
        self.sync(name)

    def read(self, name: str) -> bytes:
        return bytes(self._files[name].content) if name in self._files else b""

    def write(self, name: str, content: bytes) -> None:
        self.change(name, _Write(0, content))
        self._files[name].since = self._files[name].since[-4:]

    def close(self) -> None:
        if self._registered is not None:
            self._registered.unregister()
            self._registered = None

    # --- what the VFS asks ---

    def create(self, name: str) -> None:
        if name not in self._files:
            self._operate()
            self._files[name] = _File()

    def delete(self, name: str) -> None:
        self._operate()
        self._files.pop(name, None)

    def change(self, name: str, write: _Write) -> None:
        if name not in self._files:
            self.create(name)
        grows_b = write.offset + len(write.data or b"") - len(self._files[name].content)
        if write.data is not None and grows_b > max(self.free_b(), 0):
            raise apsw.FullError("no room")
        self._operate()
        self._files[name].change(write)

    def sync(self, name: str) -> None:
        self._operate()
        if not self.is_lying:
            self._files[name].sync()

    def content(self, name: str) -> bytearray:
        return self._files[name].content

    def _operate(self) -> None:
        if not self.is_dark and self._cut_at is not None and self.operations >= self._cut_at:
            self.is_dark = True
            self.on_dark()
        if self.is_dark:
            raise apsw.IOError("the power is gone")
        self.operations += 1


class _OpenFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: str) -> None:
        self._disk = disk
        self._name = name

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._disk.content(self._name)[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.change(self._name, _Write(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._disk.change(self._name, _Write(newsize, None))

    def xSync(self, flags: int) -> None:
        self._disk.sync(self._name)

    def xFileSize(self) -> int:
        return self._disk.size_b(self._name)

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None: ...


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: FaultyDisk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _OpenFile:  # type: ignore[override]
        given = name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary"
        if not self._disk.exists(given) and not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.CantOpenError("no such file")
        self._disk.create(given)
        flags[1] = flags[0]
        return _OpenFile(self._disk, given)

    def xFullPathname(self, name: str) -> str:
        return name

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.delete(filename)

    def xAccess(self, pathname: str, flags: int) -> bool:
        return self._disk.exists(pathname)
