"""``panier doctor``: everything a technician wants on one page, and what to do about what is wrong."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from sync.errors import PanierError
from terminal.doctor import system
from terminal.doctor.examine import NoPyscard, Stack, findings_on_readers, findings_on_till
from terminal.doctor.finding import Finding, Kind
from terminal.doctor.system import Door, Pcsc, User, service_user
from terminal.doctor.till_state import Silent, Stopped, TillState, free_b
from terminal.doctor.usb import USB_DEVICES, usb_readers
from terminal.errors import JournalFault, JournalInUse
from terminal.nfc.presence import is_wanted
from terminal.offline_queue.socket import SOCKET_FILE, OutboxClient
from terminal.ports import SyncState
from terminal.stops import why_stopped

SENTENCES: Final[dict[Kind, str]] = {
    Kind.READER: "Lecteur {reader} branché ({usb_id}).",
    Kind.READER_UNKNOWN: "Lecteur {reader} branché ({usb_id}) : modèle que Panier n'a jamais essayé.",
    Kind.READER_BY_NFCPY: "Lecteur {reader} branché ({usb_id}), utilisé sans PC/SC (nfcpy).",
    Kind.PCSC_READER: "PC/SC voit « {reader} ».",
    Kind.SAM_SLOT: "PC/SC voit aussi « {reader} » : logement SAM, laissé de côté.",
    Kind.SERIAL_PORT: "Port série {port} présent.",
    Kind.TILL_RUNS: "La caisse tourne et répond ; {pending} enregistrement(s) à transmettre.",
    Kind.TILL_CLOSED: "La caisse est fermée, son journal est sain ; {pending} enregistrement(s) à transmettre.",
    Kind.NO_READER: "Aucun lecteur. Branchez-en un, ou changez de câble ou de prise USB.",
    Kind.KERNEL_DRIVER: (
        "Le pilote « {driver} » de Linux tient le lecteur {reader}. Copiez hardware/modprobe/panier-nfc.conf dans "
        "/etc/modprobe.d/, tapez « modprobe -r {driver} », puis rebranchez le lecteur."
    ),
    Kind.AUTOSUSPEND: (
        "Linux peut couper le courant du lecteur {reader}. Copiez hardware/udev-rules/93-panier-readers.rules dans "
        "/etc/udev/rules.d/, tapez « udevadm control --reload », puis rebranchez le lecteur."
    ),
    Kind.NO_NFCPY: (
        "Le lecteur {reader} ({usb_id}) n'a pas de PC/SC : il lui faut nfcpy. Installez « panier[readers] », ou "
        "prenez un lecteur PC/SC."
    ),
    Kind.NODE_DENIED: (
        "L'utilisateur {user} n'a pas le droit d'ouvrir le lecteur {reader} ({node}). Copiez "
        "hardware/udev-rules/93-panier-readers.rules dans /etc/udev/rules.d/, puis rebranchez le lecteur."
    ),
    Kind.HELD_BY_PROGRAM: "Le programme « {program} » (n° {pid}) tient le lecteur {reader}. Fermez-le.",
    Kind.CCID_MISSING: "Le pilote des lecteurs PC/SC manque pour {reader}. Installez le paquet « libccid ».",
    Kind.CCID_TOO_OLD: (
        "libccid {version} ne connaît pas le lecteur {reader} : il faut la version {since} ou plus récente "
        "(Debian 13), ou un autre lecteur."
    ),
    Kind.NO_PYSCARD: "La bibliothèque pyscard manque. Installez « panier[pcsc] ».",
    Kind.PCSCD_AWAY: (
        "Le service de cartes ne tourne pas. Installez le paquet « pcscd », puis « systemctl enable --now "
        "pcscd.socket »."
    ),
    Kind.PCSCD_DENIED: (
        "L'utilisateur {user} ne peut pas joindre le service de cartes : droits de /run/pcscd/pcscd.comm. "
        "« systemctl restart pcscd.socket »."
    ),
    Kind.PCSCD_STUCK: (
        "Le service de cartes ne répond plus. Débranchez le lecteur, « systemctl restart pcscd », rebranchez-le."
    ),
    Kind.PCSC_DENIED: (
        "polkit refuse les cartes à l'utilisateur {user}. Copiez hardware/polkit/50-panier.rules dans "
        "/etc/polkit-1/rules.d/, et lancez la caisse sous l'utilisateur « panier »."
    ),
    Kind.PCSC_FAULT: "Le service de cartes répond {code}. « systemctl restart pcscd », et appelez si cela continue.",
    Kind.PCSC_SEES_NONE: (
        "Le lecteur {reader} est branché et le service de cartes ne le voit pas. Débranchez-le, rebranchez-le ; "
        "sinon « systemctl restart pcscd »."
    ),
    Kind.PCSC_READER_GONE: (
        "pcscd a encore « {reader} » dans sa liste, mais ne l'atteint plus. Rebranchez-le ; s'il ne revient pas, "
        "redémarrez pcscd."
    ),
    Kind.HELD_EXCLUSIVELY: "Un autre programme tient « {reader} » pour lui seul. Fermez-le.",
    Kind.VIRTUAL_READER: (
        "« {reader} » est un lecteur virtuel, ouvert au réseau. Sur une vraie caisse : « apt purge vsmartcard-vpcd »."
    ),
    Kind.NO_PYSERIAL: "La bibliothèque pyserial manque pour le PN532. Installez « panier[readers] ».",
    Kind.SERIAL_MISSING: "Il n'y a pas de port série {port}. Vérifiez le câble du PN532.",
    Kind.SERIAL_DENIED: "L'utilisateur {user} n'a pas le droit d'ouvrir {port}. « adduser {user} dialout ».",
    Kind.SERIAL_HELD: "Le programme « {program} » (n° {pid}) tient {port}. Fermez-le.",
    Kind.TILL_SILENT: "La caisse ne répond pas. Fermez-la, rouvrez-la : le dernier paiement sera vérifié.",
    Kind.TILL_FROZEN: "{sentence}",
    Kind.TILL_STOPPED: "{sentence} ({code})",
    Kind.DISK_LOW: "Il reste {megabytes} Mo sur le disque de la caisse. Libérez de la place, sans toucher au journal.",
    Kind.CLOCK_BEHIND: (
        "L'horloge retarde sur le dernier contact avec le centre. Mettez-la à l'heure ; remplacez sa pile."
    ),
    Kind.CLOCK_NEVER_SET: "L'horloge n'est pas à l'heure. Mettez-la à l'heure, ou connectez la caisse au réseau.",
}


@click.command(help="Ce que la machine voit des lecteurs et de la caisse, et ce qu'il y a à faire.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), default=None)
@click.option("--reader", default=None, help="comme pour la caisse ; « pn532:/dev/ttyUSB0 » vérifie un port série")
@click.option("--json", "as_json", is_flag=True, help="un objet JSON par constat")
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
def doctor(directory: Path | None, reader: str | None, as_json: bool, root: Path) -> None:
    state = None if directory is None else till_state(directory)
    stack = seen_stack(serial_line(reader), Machine(root), till_runs=state is not None and state.is_running)
    findings = findings_on_readers(stack) + (() if state is None else findings_on_till(state))
    for finding in findings:
        click.echo(as_json_line(finding) if as_json else as_line(finding))
    if any(finding.kind.is_fault for finding in findings):
        raise SystemExit(1)


def serial_line(reader: str | None) -> Path | None:
    """The port of a reader named as for the till, when it is a PN532 on a serial line."""
    kind, _colon, where = (reader or "").partition(":")
    return Path(where) if kind == "pn532" and where else None


def sentence_of(finding: Finding) -> str:
    """What is seen, or what is wrong and what to do."""
    return SENTENCES[finding.kind].format(**finding.facts)


def as_line(finding: Finding) -> str:
    """For people."""
    return f"{'À FAIRE' if finding.kind.is_fault else '     ok'}  {sentence_of(finding)}"


def as_json_line(finding: Finding) -> str:
    """For programs."""
    kind = finding.kind
    fields = {"finding": kind.value, "is_fault": kind.is_fault, "sentence": sentence_of(finding), **finding.facts}
    return json.dumps(fields, ensure_ascii=False)


def _asked_pcsc() -> Pcsc | NoPyscard | None:
    try:
        from terminal.nfc.pcsc import look  # pyscard is an extra
    except ImportError:
        return NoPyscard()
    return system.patient(look)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look: this machine, or a picture of one below ``root``."""

    root: Path = Path("/")
    user: User = field(default_factory=service_user)
    ask_pcsc: Callable[[], Pcsc | NoPyscard | None] = _asked_pcsc
    has_nfcpy: bool = field(default_factory=lambda: importlib.util.find_spec("nfc") is not None)
    has_pyserial: bool = field(default_factory=lambda: importlib.util.find_spec("serial") is not None)
    has_network: bool = field(default_factory=system.has_network)

    def at(self, path: Path | str) -> Path:
        """An absolute path of the machine, where it is found."""
        return self.root / str(path).lstrip("/")


def seen_stack(serial: Path | None, machine: Machine, *, till_runs: bool) -> Stack:
    """Look at a machine; changes nothing."""
    usb = usb_readers(machine.at(USB_DEVICES))
    ports = tuple(Path("/") / port.relative_to(machine.root) for port in system.serial_ports(machine.at("/dev")))
    if serial is not None and serial not in ports and machine.at(serial).exists():
        ports = (*ports, serial)
    nodes = [reader.node for reader in usb] + ([] if serial is None else [str(serial)])
    door = system.knock(machine.at(system.PCSCD_SOCKET))
    return Stack(
        usb=usb,
        door=door,
        pcsc=machine.ask_pcsc() if door is Door.OPEN else Pcsc(0, {}),
        ccid=system.installed_ccid(machine.at(system.CCID_PLIST)),
        has_nfcpy=machine.has_nfcpy,
        has_pyserial=machine.has_pyserial,
        holders={node: system.holders(node, machine.at(system.PROCESSES)) for node in nodes},
        denied=frozenset(node for node in nodes if not system.may_open(machine.at(node), machine.user)),
        serial_ports=ports,
        serial_wanted=serial,
        is_sam_slot=lambda name: not is_wanted(name, ()),
        user=machine.user.name,
        has_network=machine.has_network,
        till_runs=till_runs,
    )


def till_state(directory: Path, patience_s: float = 5.0) -> TillState:
    """What the running till says through its socket, or its journal when none runs."""
    is_running, said = _said(directory, patience_s)
    free = free_b(directory) if directory.is_dir() else free_b(directory.absolute().parent)
    return TillState(is_running, said, free, datetime.now(UTC))


def _said(directory: Path, patience_s: float) -> tuple[bool, SyncState | Stopped | Silent]:
    client = OutboxClient(directory / SOCKET_FILE, patience_s)
    if not client.connect():
        return False, _opened(directory)
    try:
        return True, client.state()
    except JournalInUse:
        return True, Silent()
    except PanierError as fault:
        return True, Stopped("J5", str(fault))
    finally:
        client.close()


def _opened(directory: Path) -> SyncState | Stopped | Silent:
    from terminal.bootstrap import open_store  # late: what is broken there shall not keep the doctor from looking

    try:
        store = open_store(directory)
    except JournalInUse:
        return Silent()  # somebody has the journal open and no till answers
    except JournalFault as fault:
        return Stopped(*why_stopped(fault))
    try:
        return store.outbox.state()
    finally:
        store.journal.close()
