"""The private PC/SC stack, really started: the test enters namespaces and looks from both sides.

This file is also the program that runs inside (`python test_namespace.py SCENE`), one function per scene.
"""

import importlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.namespace import (
    VIRTUAL_READER_PORTS,
    NamespaceError,
    enter,
    inside,
    namespaces_available,
    private_pcscd,
)

pytestmark = pytest.mark.pcsc

ATR = bytes.fromhex("3B8180018080")  # DESFire through PC/SC, ISO 14443-4 (PC/SC part 3, 3.1.3.2.3)
BUDGET_S = 60.0


# --- scenes, run inside ---------------------------------------------------------------------------


def only_an_atr(port: int) -> socket.socket:
    """A card that says its ATR and nothing else, on the virtual reader at `port`."""
    link = socket.create_connection(("127.0.0.1", port))

    def answer() -> None:
        while len(head := link.recv(2, socket.MSG_WAITALL)) == 2:
            asked = link.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            if asked == b"\x04":
                link.sendall(len(ATR).to_bytes(2, "big") + ATR)

    threading.Thread(target=answer, daemon=True).start()
    return link


def own_pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def wait_for_card(context: object) -> dict[str, str]:
    """Reader name → ATR in hexadecimal, once one reader says that a card is present."""
    scard: Any = importlib.import_module("smartcard.scard")
    give_up_s = time.monotonic() + BUDGET_S
    while time.monotonic() < give_up_s:
        names = scard.SCardListReaders(context, [])[1]
        states = scard.SCardGetStatusChange(context, 100, [(name, scard.SCARD_STATE_UNAWARE) for name in names])[1]
        if any(state & scard.SCARD_STATE_PRESENT for _, state, _ in states):
            return {name: bytes(atr).hex() for name, _, atr in states}
        time.sleep(0.02)
    return {}


def scene_card() -> int:
    scard: Any = importlib.import_module("smartcard.scard")
    with private_pcscd() as pcscd:
        seen = []
        for port in VIRTUAL_READER_PORTS:
            link = only_an_atr(port)
            seen.append(wait_for_card(scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)[1]))
            link.close()
            pcscd.restart()
        interfaces = [name for _, name in socket.if_nameindex()]
    print(json.dumps({"seen": seen, "interfaces": interfaces, "pids": own_pid_namespace()}))
    return 7


def scene_wait() -> int:
    """Say which process namespace this is, wait for a line on the input, tell how many Ctrl-C came."""
    scard: Any = importlib.import_module("smartcard.scard")
    counted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: counted.append(number))
    with private_pcscd():
        print(own_pid_namespace(), flush=True)
        sys.stdin.readline()
        served = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)[0] == 0
    print(f"Ctrl-C : {len(counted)}, pcscd : {served}", flush=True)
    return 0


def scene_door() -> int:
    """Outside: what a launcher does."""
    return enter([sys.executable, __file__, "wait"])


# --- looking from outside -------------------------------------------------------------------------


def living_in(pid_namespace: str) -> list[int]:
    """Every process of this machine that lives in that process namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            link = str((entry / "ns" / "pid").readlink())
        except OSError:
            continue
        if link == pid_namespace:
            found.append(int(entry.name))
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    give_up_s = time.monotonic() + BUDGET_S
    while time.monotonic() < give_up_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(autouse=True)
def where_namespaces_are_allowed() -> None:
    availability = namespaces_available()
    if not availability.available:
        pytest.skip(availability.reason)


@pytest.fixture
def door() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, __file__, "door"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def first_line(door: subprocess.Popen[str]) -> str:
    assert door.stdout is not None
    return door.stdout.readline().strip()


def test_a_card_appears_in_each_private_reader_and_nothing_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    assert enter([sys.executable, __file__, "card"]) == 7
    told = json.loads(capfd.readouterr().out)
    assert told["interfaces"] == ["lo"]
    for index, seen in enumerate(told["seen"]):
        assert len(seen) == len(VIRTUAL_READER_PORTS)
        assert [atr for atr in sorted(seen.values()) if atr] == [ATR.hex()]
        assert sorted(seen)[index] == next(name for name, atr in seen.items() if atr)
    assert living_in(told["pids"]) == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_door_ends_everything_inside(door: subprocess.Popen[str], ending: signal.Signals) -> None:
    pids = first_line(door)
    assert len(living_in(pids)) >= 3  # first process, program, pcscd
    door.send_signal(ending)
    assert door.wait(BUDGET_S) == 128 + ending
    assert living_in(pids) == []


def test_a_killed_door_leaves_nobody_inside(door: subprocess.Popen[str]) -> None:
    pids = first_line(door)
    door.kill()
    assert eventually(lambda: living_in(pids) == [])


def test_an_interrupt_sent_to_the_door_alone_arrives_once(door: subprocess.Popen[str]) -> None:
    first_line(door)
    door.send_signal(signal.SIGINT)
    assert door.communicate("\n", BUDGET_S)[0].strip() == "Ctrl-C : 1, pcscd : True"


def test_the_program_inside_has_the_terminal_and_hears_ctrl_c_once() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, __file__, "door"])
    shown = b""
    while b"pid:[" not in shown or not shown.endswith(b"\n"):
        shown += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    while b"^C" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"\n")
    try:
        while more := os.read(terminal, 1024):
            shown += more
    except OSError:
        pass  # Linux ends a pseudo-terminal's output with EIO
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"Ctrl-C : 1, pcscd : True" in shown


def test_the_private_service_refuses_to_start_on_the_machine_itself() -> None:
    assert not inside()
    with pytest.raises(NamespaceError), private_pcscd():
        pass


def test_the_exit_status_of_the_program_comes_out() -> None:
    assert enter(["sh", "-c", "exit 3"]) == 3
    assert enter(["sh", "-c", "kill -KILL $$"]) == 128 + signal.SIGKILL


if __name__ == "__main__":
    sys.exit({"card": scene_card, "wait": scene_wait, "door": scene_door}[sys.argv[1]]())
