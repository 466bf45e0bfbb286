"""Serving the centre, the only door to uvicorn: on a loopback port for the browser, on a UNIX socket for tills."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from central.keys import CentralKeys
from central.web import make_app


def serve(
    directory: Path,
    port: int | None,
    unix_socket: Path | None,
    announce: Callable[[str], None] = lambda _where: None,
    keys: CentralKeys | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        port: on 127.0.0.1; 0 for any free one, ``None`` for none.
        unix_socket: path of a socket, replaced when one is left over, removed at the end; ``None`` for none.
        announce: told each address once it listens.
        keys: as the custodians opened them; ``None``: as far as they open themselves.
    """
    sockets = []
    if port is not None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        sockets.append(listener)
        announce(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    door = None
    if unix_socket is not None:
        door = Door(unix_socket)
        sockets.append(door.listener)
        announce(str(unix_socket))
    try:
        configuration = uvicorn.Config(make_app(directory, keys), log_level="warning", access_log=False, lifespan="off")
        _Server(configuration, door).run(sockets=sockets)
    finally:
        if door is not None:
            door.withdraw()


class Door:
    """A UNIX socket that listens, and its file."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self.listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o117)
        try:
            self.listener.bind(str(path))
        finally:
            os.umask(before)
        self._own = _which(path)
        self.listener.listen()

    def withdraw(self) -> None:
        """Remove the file, unless it is another centre's by now or gone."""
        if self._own is not None and _which(self._path) == self._own:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._own = None


def _which(path: Path) -> tuple[int, int] | None:
    """What tells one file of that name from the next: device and inode; ``None`` for none that can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Server(uvicorn.Server):
    """uvicorn ends by the very signal it was sent: after ``run`` comes nothing, so the door is shut within.

    While the socket is open nobody else's file can have its inode; so its file goes first.
    """

    def __init__(self, config: uvicorn.Config, door: Door | None) -> None:
        super().__init__(config)
        self._door = door

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._door is not None:
            self._door.withdraw()
        await super().shutdown(sockets)
