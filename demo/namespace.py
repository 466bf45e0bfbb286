"""A private PC/SC stack: pcscd and its virtual readers inside namespaces of their own.

The packaged virtual reader listens on every address and a machine has one pcscd for everybody, so the
demonstration never uses the machine's own. It enters fresh mount, network and process namespaces (and a user
namespace when it is not root), where only the loopback interface exists, `/run` is empty and everything dies
with the first process. Root is needed for nothing here.

    outside                        inside
    availability = namespaces_available()
    enter([python, "-m", "demo"])  → with private_pcscd() as pcscd: …

Source: namespaces(7), pid_namespaces(7), user_namespaces(7), netdevice(7), unshare(1), pcscd(8).
Standard library only: this module also runs alone, as the first process inside (`python -IS namespace.py`).
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path

VIRTUAL_READER_PORTS = (35963, 35964)
"""TCP ports of the two virtual readers, in the order PC/SC lists them."""

RUN = Path("/run")
PCSCD_SOCKET = RUN / "pcscd" / "pcscd.comm"
READER_CONFIGURATION = Path("/etc/reader.conf.d/vpcd")
USB_DEVICES = Path("/dev/bus/usb")

_MARK = "PANIER_NAMESPACE"
_START_BUDGET_S = 60.0
_STOP_BUDGET_S = 5.0
_POLL_S = 0.01
_SI_KERNEL = 0x80  # siginfo_t.si_code of a signal that the terminal sent to its whole foreground group
_FORWARDED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_TCP_LISTEN = "0A"


class NamespaceError(Exception):
    """The private PC/SC stack cannot be set up; the message is a French sentence for the technician."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether the private PC/SC stack can run here; `reason` is a French sentence, empty when it can."""

    available: bool
    reason: str


# --- outside --------------------------------------------------------------------------------------


def namespaces_available() -> Availability:
    """Try the whole thing with a program that does nothing: namespaces, mounts, loopback, installed packages.

    Returns: an Availability; never raises for a machine that refuses.
    """
    missing = _missing_part()
    if missing:
        return Availability(False, missing)
    probe = subprocess.run(
        _stage_argv(control=None, argv=("true",)), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if probe.returncode == 0:
        return Availability(True, "")
    said = (probe.stderr.strip().splitlines() or ["?"])[-1]
    return Availability(False, _("Les espaces de noms sont refusés sur cette machine ({said}).").format(said=said))


def enter(argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run `argv` inside fresh namespaces, on the same terminal, and wait for it.

    The child stays in our process group, so it is in the terminal's foreground as we are. What the terminal
    sends (Ctrl-C, hang-up) reaches it directly; a SIGINT, SIGTERM or SIGHUP sent to us alone is passed on.
    When we die, however we die, everything inside is ended. Call it from the main thread of a process without
    other threads.

    Args: argv, at least one word, found by PATH; env, its whole environment (ours when None).
    Returns: its exit status, 128 + signal number when a signal ended it.
    """
    read_end, write_end = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    try:
        stage = subprocess.Popen(_stage_argv(read_end, argv), env=env, pass_fds=(read_end,))
        os.close(read_end)
        return _attend(stage, write_end)
    finally:
        os.close(write_end)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def inside() -> bool:
    """Whether this process was started by `enter()`."""
    return os.environ.get(_MARK) == "1"


def _missing_part() -> str:
    if shutil.which("unshare") is None:
        return _("La commande « unshare » manque (paquet util-linux).")
    if _pcscd_program() is None:
        return _("Le service de cartes « pcscd » manque (paquet pcscd).")
    if not READER_CONFIGURATION.exists():
        return _("Le lecteur virtuel manque (paquet vsmartcard-vpcd).")
    return ""


def _stage_argv(control: int | None, argv: Sequence[str]) -> list[str]:
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    first_process = [sys.executable, "-IS", str(Path(__file__).resolve())]
    unshare = ["unshare", *own_user, "--mount", "--net", "--pid", "--fork", "--kill-child"]
    return [*unshare, *first_process, "-" if control is None else str(control), *argv]


def _attend(stage: subprocess.Popen[bytes], control: int) -> int:
    while (status := stage.poll()) is None:
        arrived = signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD})
        if arrived.si_signo in _FORWARDED and arrived.si_code != _SI_KERNEL:
            with contextlib.suppress(BrokenPipeError):
                os.write(control, bytes([arrived.si_signo]))
    return status if status >= 0 else 128 - status


# --- the first process inside ---------------------------------------------------------------------


def _first_process(control: int | None, argv: Sequence[str]) -> int:
    """Prepare the namespaces, run `argv`, reap orphans; on return the kernel ends whatever is left."""
    for number in _FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _raise_loopback()
    _mount("tmpfs", RUN, "mode=755")
    if USB_DEVICES.is_dir():
        _mount("tmpfs", USB_DEVICES, "mode=755")  # a private pcscd must not take the machine's own readers
    with contextlib.suppress(NamespaceError):
        _mount("proc", Path("/proc"), "")  # refused in some containers; the outer /proc serves as well
    defaults = _FORWARDED | {signal.SIGPIPE}
    child = os.posix_spawnp(argv[0], list(argv), os.environ | {_MARK: "1"}, setsigdef=defaults, setsigmask=())
    if control is not None:
        os.set_inheritable(control, False)
        threading.Thread(target=_relay, args=(control, child), daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _relay(control: int, child: int) -> None:
    """Pass signals on; when the other end is gone, end the child, gently first."""
    with contextlib.suppress(ProcessLookupError):
        while number := os.read(control, 1):
            os.kill(child, number[0])
        os.kill(child, signal.SIGTERM)
        time.sleep(_STOP_BUDGET_S)
        os.kill(child, signal.SIGKILL)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = b"lo"
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH14x", name, 0))
        flags = struct.unpack("16sH14x", answer)[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | _IFF_UP))


def _mount(kind: str, where: Path, options: str) -> None:
    choice = ["-o", options] if options else []
    mounted = subprocess.run(["mount", "-t", kind, *choice, kind, str(where)], capture_output=True, text=True)
    if mounted.returncode != 0:
        raise NamespaceError(_("Montage refusé sur {where} : {said}").format(where=where, said=mounted.stderr.strip()))


# --- inside: pcscd --------------------------------------------------------------------------------


class PrivatePcscd:
    """The pcscd of these namespaces. `log_path` holds what it says; `pid` is None while it is stopped."""

    __slots__ = ("_process", "log_path")

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process number inside the namespace."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it serves both virtual readers.

        Raises: NamespaceError when it ends or is not ready within 60 s.
        """
        assert self._process is None, "pcscd already runs"
        _clear_traces()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                _pcscd_argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for the till, not for the daemon
            )
        try:
            _wait_until_ready(self._process, self.log_path)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it by its pid: SIGTERM, after 5 s SIGKILL. Nothing happens when it is stopped already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_BUDGET_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Stop and start: every card and every PC/SC context is lost, as when the service is restarted."""
        self.stop()
        self.start()


@contextlib.contextmanager
def private_pcscd(log_path: Path | None = None) -> Iterator[PrivatePcscd]:
    """Run pcscd with its two virtual readers while the block lasts.

    Args: log_path, where its words go; None for a file in the private `/run`, gone with the namespace.
    Raises: NamespaceError outside of `enter()`, or when pcscd does not start.
    """
    if not inside():
        raise NamespaceError(_("Le service de cartes privé ne démarre que dans ses espaces de noms."))
    pcscd = PrivatePcscd(log_path or RUN / "pcscd.log")
    pcscd.start()
    try:
        yield pcscd
    finally:
        pcscd.stop()


def _pcscd_program() -> str | None:
    return shutil.which("pcscd", path=os.pathsep.join(("/usr/sbin", "/usr/local/sbin", os.environ.get("PATH", ""))))


def _pcscd_argv() -> list[str]:
    program = _pcscd_program()
    if program is None:
        raise NamespaceError(_("Le service de cartes « pcscd » manque (paquet pcscd)."))
    usage = subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    # Debian 12 builds pcscd without polkit, Debian 13 with it; there is no polkit inside.
    without_polkit = ["--disable-polkit"] if "--disable-polkit" in usage.stdout + usage.stderr else []
    return [program, "--foreground", *without_polkit]


def _clear_traces() -> None:
    """Remove what a killed pcscd leaves: its socket and pid file make the next one refuse to start."""
    PCSCD_SOCKET.parent.mkdir(exist_ok=True)
    for trace in PCSCD_SOCKET.parent.iterdir():
        trace.unlink()


def _wait_until_ready(process: subprocess.Popen[bytes], log_path: Path) -> None:
    give_up_s = time.monotonic() + _START_BUDGET_S
    while not (_answers(PCSCD_SOCKET) and set(VIRTUAL_READER_PORTS) <= _listening_ports()):
        if process.poll() is not None or time.monotonic() > give_up_s:
            said = log_path.read_text(errors="replace").strip().splitlines()[-3:]
            raise NamespaceError(_("Le service de cartes ne démarre pas : {said}").format(said=" | ".join(said)))
        time.sleep(_POLL_S)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _listening_ports() -> set[int]:
    """Ports with a listener here, read from /proc: connecting to a virtual reader would look like a card."""
    tables = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
    rows = [row.split() for table in tables if table.exists() for row in table.read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _TCP_LISTEN}


if __name__ == "__main__":
    try:
        sys.exit(_first_process(None if sys.argv[1] == "-" else int(sys.argv[1]), sys.argv[2:]))
    except (NamespaceError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
