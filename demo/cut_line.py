"""A line to the centre that breaks: a UNIX socket that passes on so many bytes, then hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path


class CutLine:
    """A UNIX socket in front of the centre's.

    Args:
        path: of the socket to make.
        centre: of the centre's socket.
        up_b: bytes passed to the centre before the line breaks, ``None`` for no limit.
        down_b: bytes passed back before the line breaks, ``None`` for no limit.
    """

    def __init__(self, path: Path, centre: Path, up_b: int | None = None, down_b: int | None = None) -> None:
        self._path, self._centre, self._up_b, self._down_b = path, centre, up_b, down_b
        self._listener: socket.socket | None = None
        self.passed_up_b = 0
        self.passed_down_b = 0

    def open(self) -> None:
        """Listen; each connection is broken in the same way."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._accept, name="cut-line", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._centre))
            for source, target, most_b, is_up in ((near, far, self._up_b, True), (far, near, self._down_b, False)):
                threading.Thread(target=self._pass, args=(source, target, most_b, is_up), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, most_b: int | None, is_up: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while most_b is None or passed < most_b:
                data = source.recv(65_536 if most_b is None else min(65_536, most_b - passed))
                if not data:
                    break
                target.sendall(data)
                passed += len(data)
        if is_up:
            self.passed_up_b += passed
        else:
            self.passed_down_b += passed
        if most_b is not None and passed >= most_b:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
