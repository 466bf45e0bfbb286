"""What stands between a reader and the till: pcscd, libccid, permissions, other programs. Only looks.

Source: proc(5) for /proc/PID/fd, pcsc-lite's ``pcscd.comm`` socket, Linux permissions as path_resolution(7) tells them.
"""

from __future__ import annotations

import contextlib
import grp
import os
import plistlib
import pwd
import queue
import socket
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final
from xml.parsers.expat import ExpatError

PCSCD_SOCKET: Final = Path("/run/pcscd/pcscd.comm")
PROCESSES: Final = Path("/proc")
CCID_PLIST: Final = Path("/usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist")
SERVICE_USER: Final = "panier"
_SERIAL_NAMES: Final = ("ttyUSB*", "ttyACM*", "ttyAMA*", "serial0")
_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class User:
    """Whose permissions count: the service user's where there is one, else our own."""

    name: str
    uid: int
    groups: frozenset[int]


def service_user(name: str = SERVICE_USER) -> User:
    """The user the till runs as on a terminal; on other machines whoever asks."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return User(_own_name(), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))
    groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if name in group.gr_mem)}
    return User(name, entry.pw_uid, frozenset(groups))


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def may_open(path: Path, user: User) -> bool:
    """Whether ``user`` may read and write the device; access lists beyond the mode are not looked at."""
    try:
        seen = path.stat()
    except OSError:
        return False
    if user.uid == 0:
        return True
    wanted = stat.S_IRUSR | stat.S_IWUSR
    if seen.st_uid == user.uid:
        return seen.st_mode & wanted == wanted
    shift = 3 if seen.st_gid in user.groups else 6
    return seen.st_mode & (wanted >> shift) == wanted >> shift


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that has a device open."""

    pid: int
    name: str
    is_ours: bool


def holders(node: str, processes: Path = PROCESSES) -> tuple[Holder, ...]:
    """Programs that have ``node`` open, as far as this user may look into them."""
    found = []
    for place in sorted(processes.glob("[0-9]*")):
        with contextlib.suppress(OSError):
            if any(_target(link) == node for link in (place / "fd").iterdir()):
                command = (place / "cmdline").read_bytes()
                name = (place / "comm").read_text(errors="replace").strip()
                found.append(Holder(int(place.name), name, b"panier" in command))
    return tuple(found)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


class Door(Enum):
    """What became of a knock at a socket."""

    OPEN = "open"
    AWAY = "away"
    DENIED = "denied"


def knock(path: Path) -> Door:
    """Connect to a UNIX socket and hang up; with socket activation this starts the service."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(_PATIENCE_S)
        try:
            peer.connect(str(path))
        except PermissionError:
            return Door.DENIED
        except OSError:
            return Door.AWAY
    return Door.OPEN


@dataclass(frozen=True, slots=True)
class Pcsc:
    """PC/SC as a program sees it.

    Attributes:
        code: result of asking for readers, 0 when they could be listed.
        readers: name → dwEventState.
    """

    code: int
    readers: Mapping[str, int]


Look = Callable[[], tuple[int, dict[str, int]]]


def patient(look: Look, patience_s: float = _PATIENCE_S) -> Pcsc | None:
    """What ``look`` sees, or ``None`` when pcscd does not answer it in time: that call cannot be cancelled."""
    answers: queue.SimpleQueue[tuple[int, dict[str, int]]] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(look()), name="doctor", daemon=True).start()
    try:
        return Pcsc(*answers.get(timeout=patience_s))
    except queue.Empty:
        return None


@dataclass(frozen=True, slots=True)
class Ccid:
    """The installed driver of PC/SC readers: its version, and the ``vendor:product`` it knows."""

    version: str
    usb_ids: frozenset[str]


def installed_ccid(plist: Path = CCID_PLIST) -> Ccid | None:
    """What libccid says of itself, or ``None`` when it is not installed or its list cannot be read."""
    try:
        content = plistlib.loads(plist.read_bytes())
        pairs = zip(content["ifdVendorID"], content["ifdProductID"], strict=True)
        known = frozenset(f"{int(vendor, 16):04x}:{int(product, 16):04x}" for vendor, product in pairs)
        return Ccid(str(content["CFBundleShortVersionString"]), known)
    except (OSError, ValueError, KeyError, TypeError, ExpatError, plistlib.InvalidFileException):
        return None


def serial_ports(devices: Path = Path("/dev")) -> tuple[Path, ...]:
    """Serial lines a PN532 may hang on."""
    return tuple(sorted(port for name in _SERIAL_NAMES for port in devices.glob(name)))


def has_network() -> bool:
    """Whether other machines could reach this one: any interface beside the loopback."""
    return any(name != "lo" for _index, name in socket.if_nameindex())
