"""A centre as a process of its own, for the demonstration and the tests; of use once its socket takes a connection.

That the socket's file is there says nothing: an earlier centre may have left it, or this one has not begun to listen.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from demo.till_process import Disappointed

START_BUDGET_S = 60.0
STOP_BUDGET_S = 30.0
_LOOK_EVERY_S = 0.02


@contextlib.contextmanager
def served_centre(
    folder: Path,
    unix_socket: Path,
    log_path: Path,
    *words: str,
    argv: Sequence[str] = (sys.executable, "-m", "panier", "central", "serve"),
    env: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """The centre in ``folder`` serves on ``unix_socket`` while the block lasts.

    Args:
        log_path: where all it says goes, its addresses first, behind what is there.
        words: more words of the command line.
        argv: the command without its words.
        env: environment of the process, ours when ``None``.

    Raises:
        Disappointed: it ends before it serves, or does not serve in time.
    """
    assert not takes_connections(unix_socket), "another centre listens there"
    line = [*argv, "--dir", str(folder), "--socket", str(unix_socket), *words]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,  # Ctrl-C is for whoever uses it
        )
        try:
            wait_until_served(process, unix_socket, log_path)
            yield
        finally:
            _end(process)


def wait_until_served(
    process: subprocess.Popen[bytes], unix_socket: Path, log_path: Path, within_s: float = START_BUDGET_S
) -> None:
    """Wait until ``unix_socket`` takes a connection.

    Raises:
        Disappointed: ``process`` has ended, or ``within_s`` seconds are over; with the end of what it said.
    """
    give_up_s = time.monotonic() + within_s
    while not takes_connections(unix_socket):
        if (status := process.poll()) is not None:
            raise Disappointed(f"Le centre ne démarre pas (fin {status}) : {_last_words(log_path)}")
        if time.monotonic() > give_up_s:
            raise Disappointed(f"Le centre n'écoute pas après {within_s:.0f} s : {_last_words(log_path)}")
        time.sleep(_LOOK_EVERY_S)


def takes_connections(unix_socket: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(unix_socket)) == 0


def _last_words(log_path: Path) -> str:
    return log_path.read_text(errors="replace").strip()[-800:] or "(rien dit)"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_BUDGET_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
