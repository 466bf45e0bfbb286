"""A centre is used only once it listens: not because a socket's file lies there, and not when it has ended."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo import served
from demo.served import served_centre, takes_connections, wait_until_served
from demo.till_process import Disappointed

SLOW = """
import os, socket, sys, time
where = sys.argv[sys.argv.index("--socket") + 1]
while not os.path.exists(where + ".may"): time.sleep(0.01)
if os.path.exists(where): os.unlink(where)
door = socket.socket(socket.AF_UNIX)
door.bind(where)
time.sleep(0.1)
door.listen()
while True: door.accept()
"""
ENDS = "import sys; sys.exit('no custodian is here')"
NEVER = "import time; time.sleep(60)"


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def may_listen(where: Path) -> None:
    """The slow centre goes on."""
    where.with_name(where.name + ".may").touch()


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A socket's file whose centre is no more."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "centre.sock"))
        door.listen()
    assert (tmp_path / "centre.sock").exists()
    return tmp_path / "centre.sock"


@contextmanager
def running(text: str, where: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen([*program(text), "--socket", str(where)], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_slow_centre_is_awaited_though_an_earlier_one_left_its_socket(left: Path) -> None:
    threading.Timer(0.3, may_listen, (left,)).start()
    with served_centre(left.parent, left, left.parent / "log", argv=program(SLOW)):
        assert takes_connections(left)
    assert not takes_connections(left)


def test_looking_for_the_file_alone_is_seen_to_be_too_early(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(SLOW, left, left.parent / "log") as process:
        with monkeypatch.context() as hasty:
            hasty.setattr(served, "takes_connections", Path.exists)
            wait_until_served(process, left, left.parent / "log")
        assert not takes_connections(left)
        may_listen(left)
        wait_until_served(process, left, left.parent / "log")
        assert takes_connections(left)


def test_a_centre_that_ends_instead_is_told_with_its_words(left: Path) -> None:
    with (
        pytest.raises(Disappointed, match=r"fin 1.*no custodian is here"),
        served_centre(left.parent, left, left.parent / "log", argv=program(ENDS)),
    ):
        pass


def test_a_centre_that_never_listens_is_given_up(left: Path) -> None:
    log = left.parent / "log"
    with running(NEVER, left, log) as process, pytest.raises(Disappointed, match="n'écoute pas"):
        wait_until_served(process, left, log, within_s=0.1)


def test_two_centres_never_share_a_socket(left: Path) -> None:
    log = left.parent / "log"
    may_listen(left)
    with (
        served_centre(left.parent, left, log, argv=program(SLOW)),
        pytest.raises(AssertionError, match="another centre"),
        served_centre(left.parent, left, log, argv=program(SLOW)),
    ):
        pass
