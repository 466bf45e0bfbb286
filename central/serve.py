"""Serving the centre, the only door to uvicorn: on a loopback port for the browser, on a UNIX socket for tills."""

from __future__ import annotations

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
        unix_socket: path of a socket, replaced when one is left over; ``None`` for none.
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
    if unix_socket is not None:
        unix_socket.unlink(missing_ok=True)
        offered = socket.socket(socket.AF_UNIX)
        before = os.umask(0o117)
        try:
            offered.bind(str(unix_socket))
        finally:
            os.umask(before)
        offered.listen()
        sockets.append(offered)
        announce(str(unix_socket))
    configuration = uvicorn.Config(make_app(directory, keys), log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(configuration).run(sockets=sockets)
