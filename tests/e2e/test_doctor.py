"""The doctor names what is wrong and what to do: each fault is one picture of a machine, and one run on a real pcscd.

This file is also the program that runs inside the namespaces (``python test_doctor.py``).
"""

from __future__ import annotations

import importlib
import json
import os
import plistlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from demo.namespace import enter, inside, namespaces_available, private_pcscd
from domain.money import ZERO
from panier.commands.doctor import SENTENCES, Machine, doctor, seen_stack, sentence_of, till_state
from sync.crypto import sign
from sync.enrolment import OneTimeCode, Response, encode_certificate, encode_response, fingerprint
from terminal import bootstrap
from terminal.doctor.examine import NoPyscard, findings_on_readers, findings_on_till
from terminal.doctor.finding import Finding, Kind
from terminal.doctor.models import MODELS, Way
from terminal.doctor.system import Door, Pcsc, User, knock, may_open, patient
from terminal.doctor.till_state import Silent, Stopped, TillState
from terminal.offline_queue import sealed_key
from terminal.offline_queue.socket import OutboxServer
from terminal.ports import Instant, SyncState, WallSource
from tests.journal.centre_kit import Pen

PANIER = User("panier", 4711, frozenset({4712}))
ACR1252, ACR122, ACR1552, SCL3711 = "072f:223b", "072f:2200", "072f:2308", "04e6:5591"
KNOWN_TO_LIBCCID = [usb_id for model in MODELS if model.ccid_since == "1.5.2" for usb_id in model.usb_ids]
NAMES = {"ACS ACR1252 Dual Reader [PICC] 00 00": 0x12, "ACS ACR1252 Dual Reader [SAM] 01 00": 0x12}
PORT = Path("/dev/ttyUSB0")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Picture:
    """A machine that is well: pcscd, libccid and one ACR1252U. The tests then break it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.machine = Machine(
            root, PANIER, lambda: Pcsc(0, dict(NAMES)), has_nfcpy=True, has_pyserial=True, has_network=True
        )
        self.serial: Path | None = None
        self.till_runs = False
        self.pcscd = self._listening("run/pcscd/pcscd.comm")
        self.plist = self._place("usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist")
        self.ccid("1.5.2", KNOWN_TO_LIBCCID)
        self.usb("1-1", ACR1252)
        (root / "proc").mkdir()

    def usb(self, place: str, usb_id: str, *, driver: str = "usbfs", power: str = "on", interface: str = "0b") -> None:
        """A device on the bus, as sysfs shows it."""
        vendor, product = usb_id.split(":")
        words = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": place[-1], "power/control": power}
        for name, word in words.items():
            self._place(f"sys/bus/usb/devices/{place}/{name}").write_text(word + "\n")
        one = self._place(f"sys/bus/usb/devices/{place}:1.0/bInterfaceClass")
        one.write_text(interface + "\n")
        if driver:
            (one.parent / "driver").symlink_to(f"../../../../bus/usb/drivers/{driver}")
        node = self._place(f"dev/bus/usb/001/00{place[-1]}")
        node.touch()
        node.chmod(0o666)

    def unplug_all(self) -> None:
        for name in ("sys", "dev"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def only(self, usb_id: str, **words: str) -> None:
        self.unplug_all()
        self.usb("1-1", usb_id, **words)

    def ccid(self, version: str, usb_ids: list[str]) -> None:
        vendors, products = zip(*(usb_id.split(":") for usb_id in usb_ids), strict=True)
        content = {
            "CFBundleShortVersionString": version,
            "ifdVendorID": [f"0x{vendor.upper()}" for vendor in vendors],
            "ifdProductID": [f"0x{product.upper()}" for product in products],
        }
        self.plist.write_bytes(plistlib.dumps(content))

    def program(self, name: str, has_open: str) -> None:
        """A program that has a device open."""
        place = self._place("proc/77/fd/5")
        place.symlink_to(has_open)
        (self.root / "proc/77/comm").write_text(name + "\n")
        (self.root / "proc/77/cmdline").write_bytes(b"/usr/bin/" + name.encode() + b"\0")

    def port(self, mode: int = 0o666) -> None:
        place = self._place("dev/ttyUSB0")
        place.touch()
        place.chmod(mode)

    def answers(self, pcsc: Pcsc | NoPyscard | None) -> None:
        self.machine = replace(self.machine, ask_pcsc=lambda: pcsc)

    def findings(self) -> tuple[Finding, ...]:
        return findings_on_readers(seen_stack(self.serial, self.machine, till_runs=self.till_runs))

    def _place(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _listening(self, name: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._place(name)))
        listener.listen()
        return listener


@pytest.fixture
def picture() -> Iterator[Picture]:
    with tempfile.TemporaryDirectory(prefix="p") as folder:  # short: the path of a UNIX socket has 108 bytes
        made = Picture(Path(folder))
        yield made
        made.pcscd.close()


def break_by_driver(picture: Picture) -> None:
    picture.only(ACR122, driver="pn533_usb")


def break_by_door(picture: Picture) -> None:
    picture.pcscd.close()


def break_by_serial(picture: Picture) -> None:
    picture.unplug_all()
    picture.serial = PORT


def break_by_port_mode(picture: Picture) -> None:
    break_by_serial(picture)
    picture.port(0o660)


def break_by_port_holder(picture: Picture) -> None:
    break_by_serial(picture)
    picture.port()
    picture.program("minicom", str(PORT))


def break_by_pyserial(picture: Picture) -> None:
    break_by_serial(picture)
    picture.port()
    picture.machine = replace(picture.machine, has_pyserial=False)


def break_by_node_mode(picture: Picture) -> None:
    picture.only(SCL3711)
    (picture.root / "dev/bus/usb/001/001").chmod(0o660)


def break_by_nfcpy(picture: Picture) -> None:
    picture.only(SCL3711)
    picture.machine = replace(picture.machine, has_nfcpy=False)


def break_by_nothing_at_all(picture: Picture) -> None:
    picture.unplug_all()
    picture.answers(Pcsc(0x8010002E, {}))


def break_by_old_libccid(picture: Picture) -> None:
    picture.only(ACR1552, driver="")
    picture.answers(Pcsc(0x8010002E, {}))


FAULTS: dict[Kind, Callable[[Picture], object]] = {
    Kind.NO_READER: break_by_nothing_at_all,
    Kind.KERNEL_DRIVER: break_by_driver,
    Kind.AUTOSUSPEND: lambda picture: picture.only(ACR1252, power="auto"),
    Kind.NO_NFCPY: break_by_nfcpy,
    Kind.NODE_DENIED: break_by_node_mode,
    Kind.HELD_BY_PROGRAM: lambda picture: picture.program("scdaemon", "/dev/bus/usb/001/001"),
    Kind.CCID_MISSING: lambda picture: picture.plist.unlink(),
    Kind.CCID_TOO_OLD: break_by_old_libccid,
    Kind.NO_PYSCARD: lambda picture: picture.answers(NoPyscard()),
    Kind.PCSCD_AWAY: break_by_door,
    Kind.PCSCD_STUCK: lambda picture: picture.answers(None),
    Kind.PCSC_DENIED: lambda picture: picture.answers(Pcsc(0x8010006A, {})),
    Kind.PCSC_FAULT: lambda picture: picture.answers(Pcsc(0x80100001, {})),
    Kind.PCSC_SEES_NONE: lambda picture: picture.answers(Pcsc(0, {})),
    Kind.PCSC_READER_GONE: lambda picture: picture.answers(Pcsc(0, {"ACS ACR1252 [PICC]": 0x08})),
    Kind.HELD_EXCLUSIVELY: lambda picture: picture.answers(Pcsc(0, {"ACS ACR1252 [PICC]": 0x12 | 0x80})),
    Kind.VIRTUAL_READER: lambda picture: picture.answers(Pcsc(0, {**NAMES, "Virtual PCD 00 00": 0x12})),
    Kind.NO_PYSERIAL: break_by_pyserial,
    Kind.SERIAL_MISSING: break_by_serial,
    Kind.SERIAL_DENIED: break_by_port_mode,
    Kind.SERIAL_HELD: break_by_port_holder,
}
HEALTHY: dict[Kind, Callable[[Picture], object]] = {
    Kind.READER: lambda _picture: None,
    Kind.PCSC_READER: lambda _picture: None,
    Kind.SAM_SLOT: lambda _picture: None,
    Kind.READER_BY_NFCPY: lambda picture: picture.only(SCL3711),
    Kind.READER_UNKNOWN: lambda picture: picture.usb("1-2", "1234:5678"),
    Kind.SERIAL_PORT: lambda picture: picture.port(),
}


def faults_in(findings: tuple[Finding, ...]) -> list[Kind]:
    return [finding.kind for finding in findings if finding.kind.is_fault]


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.value)
def test_each_fault_of_a_machine_is_found_and_no_other_is_imagined(picture: Picture, kind: Kind) -> None:
    FAULTS[kind](picture)
    assert faults_in(picture.findings()) == [kind]


@pytest.mark.parametrize("kind", HEALTHY, ids=lambda kind: kind.value)
def test_what_is_there_is_named_and_nothing_is_to_do(picture: Picture, kind: Kind) -> None:
    HEALTHY[kind](picture)
    findings = picture.findings()
    assert faults_in(findings) == []
    assert kind in [finding.kind for finding in findings]


def test_a_socket_nobody_may_open_is_a_question_of_rights(picture: Picture) -> None:
    comm = picture.root / "run/pcscd/pcscd.comm"
    if os.geteuid() != 0:
        comm.chmod(0)
        assert knock(comm) is Door.DENIED
    else:
        os.seteuid(65534)
        try:
            assert knock(comm) is Door.DENIED
        finally:
            os.seteuid(0)
    stack = seen_stack(None, picture.machine, till_runs=False)
    assert faults_in(findings_on_readers(replace(stack, door=Door.DENIED))) == [Kind.PCSCD_DENIED]


def test_a_pcscd_that_never_answers_does_not_hold_the_doctor_up() -> None:
    ending = threading.Event()
    assert patient(lambda: (ending.wait(60), {})[1:] and (0, {}), patience_s=0.05) is None
    ending.set()


@pytest.mark.parametrize("name", ["pcscd", "panier"])
def test_programs_that_hold_a_reader_rightly_are_no_fault(picture: Picture, name: str) -> None:
    picture.only(ACR1252 if name == "pcscd" else SCL3711)
    picture.program(name, "/dev/bus/usb/001/001")
    assert faults_in(picture.findings()) == []


def test_a_till_that_takes_a_payment_is_no_fault(picture: Picture) -> None:
    FAULTS[Kind.HELD_EXCLUSIVELY](picture)
    picture.till_runs = True
    assert faults_in(picture.findings()) == []


def test_a_terminal_without_pcsc_readers_needs_no_pcscd(picture: Picture) -> None:
    picture.only(SCL3711)
    break_by_door(picture)
    assert faults_in(picture.findings()) == []


def test_a_virtual_reader_nobody_else_can_reach_is_no_fault(picture: Picture) -> None:
    FAULTS[Kind.VIRTUAL_READER](picture)
    picture.machine = replace(picture.machine, has_network=False)
    assert faults_in(picture.findings()) == []


def test_every_model_of_the_table_is_recognised_on_the_bus(picture: Picture) -> None:
    for model in MODELS:
        for usb_id in model.usb_ids:
            picture.only(usb_id)
            seen = [finding for finding in picture.findings() if finding.facts.get("usb_id") == usb_id]
            kind = Kind.READER if model.way is Way.PCSC else Kind.READER_BY_NFCPY
            assert [(finding.kind, finding.facts["reader"]) for finding in seen] == [(kind, model.name)]


def test_torn_and_nonsense_files_of_the_kernel_are_survived(picture: Picture) -> None:
    for name in ("busnum", "power/control", "idProduct"):
        (picture.root / "sys/bus/usb/devices/1-1" / name).write_bytes(b"\xff\x00")
    picture.plist.write_bytes(b"<plist><dict>")
    assert Kind.READER_UNKNOWN in [finding.kind for finding in picture.findings()]


# --- the till --------------------------------------------------------------------------------------------------------

WELL = TillState(True, SyncState(3, 2, ZERO, NOW), 1 << 40, NOW)
TILL: dict[Kind, TillState] = {
    Kind.TILL_RUNS: WELL,
    Kind.TILL_CLOSED: replace(WELL, is_running=False),
    Kind.TILL_SILENT: replace(WELL, said=Silent()),
    Kind.TILL_FROZEN: replace(WELL, said=SyncState(frozen="À enrôler à nouveau.")),
    Kind.TILL_STOPPED: replace(WELL, said=Stopped("J2", "Le journal est abîmé.")),
    Kind.DISK_LOW: replace(WELL, disk_free_b=10 << 20),
    Kind.CLOCK_BEHIND: replace(WELL, now=NOW - timedelta(hours=1)),
    Kind.CLOCK_NEVER_SET: replace(WELL, now=datetime(1970, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("kind", TILL, ids=lambda kind: kind.value)
def test_each_state_of_a_till_is_told(kind: Kind) -> None:
    findings = findings_on_till(TILL[kind])
    assert faults_in(findings) == ([kind] if kind.is_fault else [])
    assert kind in [finding.kind for finding in findings]


def test_a_folder_without_a_till_is_told_to_enrol(tmp_path: Path) -> None:
    state = till_state(tmp_path)
    assert isinstance(state.said, Stopped) and state.said.code == "J8"


def test_a_till_that_listens_and_never_answers_is_silent(picture: Picture) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(picture.root / "till.sock"))
        listener.listen()
        assert isinstance(till_state(picture.root, patience_s=0.1).said, Silent)


@dataclass
class Said:
    """Of an outbox, what a till's socket answers with."""

    said: SyncState

    def state(self) -> SyncState:
        return self.said


@pytest.mark.parametrize("frozen", [None, "À enrôler à nouveau."])
def test_a_running_till_is_asked_through_its_socket(picture: Picture, frozen: str | None) -> None:
    said = SyncState(5, 4, ZERO, NOW, frozen)
    outbox: Any = Said(said)
    server = OutboxServer(
        picture.root / "till.sock", outbox, threading.Lock(), lambda: Instant(1, 0, NOW, WallSource(1))
    )
    server.open()
    state = till_state(picture.root)
    server.close()
    assert state.is_running and state.said == said and state.disk_free_b > 0


@pytest.fixture
def closed_till(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A terminal enrolled a moment ago, its till not running."""
    monkeypatch.setattr(sealed_key, "FOR_A_PIN", sealed_key.Costs(64, 1, 1))
    unlock = sealed_key.Unlock(pin="742953")
    pen = Pen(device=sealed_key.own_device_key(tmp_path, unlock))
    signed = encode_certificate(pen.enrolled().certificate, b"root", lambda message: sign(pen.keys.root, message))
    lists = pen.bundle(pen.centre_keys(), pen.rules(1), pen.merchant(1), pen.hot_list(1), pen.card_keys(1))
    root = pen.keys.root.public_key()
    response = encode_response(Response(root, signed, pen.centre_keys().signed, lists))
    code = OneTimeCode(bytes(10), fingerprint(root))
    bootstrap.enrol(tmp_path, code.text, lambda _request: response, unlock)
    return tmp_path


def test_the_journal_of_a_closed_till_is_opened_checked_and_let_go(closed_till: Path) -> None:
    for _ in range(2):
        state = till_state(closed_till)
        assert not state.is_running and isinstance(state.said, SyncState)
    assert Kind.TILL_CLOSED in [finding.kind for finding in findings_on_till(state)]


def test_a_journal_that_another_program_holds_open_is_no_till_that_answers(closed_till: Path) -> None:
    store = bootstrap.open_store(closed_till)
    assert isinstance(till_state(closed_till).said, Silent)
    store.journal.close()


def test_a_damaged_journal_is_told_with_its_code(closed_till: Path) -> None:
    (closed_till / "enrolment.cbor").write_bytes(b"?")
    said = till_state(closed_till).said
    assert isinstance(said, Stopped) and said.code == "J2"


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o600, 4711, 0, True),
        (0o060, 4711, 4712, False),
        (0o660, 0, 4712, True),
        (0o600, 0, 4712, False),
        (0o606, 0, 4712, False),
        (0o666, 0, 0, True),
        (0o664, 0, 0, False),
    ],
)
def test_who_may_open_a_device_is_read_from_owner_group_and_mode(
    tmp_path: Path, mode: int, uid: int, gid: int, may: bool
) -> None:
    device = tmp_path / "device"
    device.touch()
    device.chmod(mode)
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(device, uid, gid)
    assert may_open(device, PANIER) is may
    assert may_open(device, User("root", 0, frozenset()))


# --- the command -----------------------------------------------------------------------------------------------------


def test_every_kind_of_finding_is_reached_by_a_test_and_has_its_sentence() -> None:
    reached = {*FAULTS, *HEALTHY, *TILL, Kind.PCSCD_DENIED}
    assert reached == set(Kind) == set(SENTENCES)


@pytest.mark.parametrize("kind", [*FAULTS, *HEALTHY], ids=lambda kind: kind.value)
def test_each_sentence_fits_the_facts_of_its_finding(picture: Picture, kind: Kind) -> None:
    (FAULTS | HEALTHY)[kind](picture)
    for finding in picture.findings():
        assert sentence_of(finding).endswith((".", "»."))


def test_the_command_ends_with_one_when_there_is_something_to_do_and_says_it(picture: Picture) -> None:
    picture.only(ACR122, driver="pn533_usb", power="auto")
    break_by_door(picture)
    done = CliRunner().invoke(doctor, ["--root", str(picture.root)])
    assert done.exit_code == 1
    assert "À FAIRE  Le pilote « pn533_usb » de Linux tient le lecteur ACS ACR122U." in done.output
    lines = CliRunner().invoke(doctor, ["--root", str(picture.root), "--json"]).output.splitlines()
    told = [json.loads(line) for line in lines]
    assert {item["finding"] for item in told} == {"reader", "kernel_driver", "autosuspend", "pcscd_away"}
    assert [item["driver"] for item in told if item["finding"] == "kernel_driver"] == ["pn533_usb"]


# --- on a real pcscd, inside -----------------------------------------------------------------------------------------


def told_inside() -> list[Any]:
    """Exit status and kinds of findings of the command as a program of its own, on a machine without USB."""
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "run").symlink_to("/run")
        argv = [sys.executable, "-m", "panier", "doctor", "--json", "--root", root]
        done = subprocess.run(argv, capture_output=True, text=True)
    return [done.returncode, sorted(json.loads(line)["finding"] for line in done.stdout.splitlines())]


def scene() -> int:
    """A well pcscd, a reader held by somebody, a pcscd that sleeps, no pcscd."""
    from emulator.card import VirtualCard
    from emulator.vpcd import CardInField

    scard: Any = importlib.import_module("smartcard.scard")
    told = []
    with private_pcscd() as pcscd:
        told.append(told_inside())
        field = CardInField(VirtualCard.blank(bytes.fromhex("04A1B2C3D4E5F6"), None))
        field.present()
        context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)[1]
        first = sorted(scard.SCardListReaders(context, [])[1])[0]
        give_up_s = time.monotonic() + 60
        while scard.SCardConnect(context, first, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1)[0] != 0:
            assert time.monotonic() < give_up_s
            time.sleep(0.05)
        told.append(told_inside())
        scard.SCardReleaseContext(context)
        field.lift()
        assert pcscd.pid is not None
        os.kill(pcscd.pid, signal.SIGSTOP)
        told.append(told_inside())
        os.kill(pcscd.pid, signal.SIGCONT)
    told.append(told_inside())
    print(json.dumps(told))
    return 0


@pytest.mark.pcsc
@pytest.mark.skipif(inside(), reason="outside")
def test_the_doctor_sees_a_real_pcscd_well_held_asleep_and_gone(capfd: pytest.CaptureFixture[str]) -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    root = str(Path(__file__).parents[2])
    assert enter([sys.executable, __file__], {**os.environ, "PYTHONPATH": root}) == 0
    well, held, asleep, gone = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert well == [0, ["pcsc_reader", "pcsc_reader"]]
    assert held == [1, ["held_exclusively", "pcsc_reader", "pcsc_reader"]]
    assert asleep == [1, ["no_reader", "pcscd_stuck"]]
    assert gone == [1, ["no_reader", "pcscd_away"]]


if __name__ == "__main__":
    sys.exit(scene())
