"""From what was seen to what is wrong: pure, so that every finding can be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terminal.doctor.finding import Finding, Kind, found
from terminal.doctor.models import Way
from terminal.doctor.system import Ccid, Door, Holder, Pcsc
from terminal.doctor.till_state import DISK_ENOUGH_B, Silent, Stopped, TillState
from terminal.doctor.usb import UsbReader

_NOT_TAKEN_BY_KERNEL: Final = "usbfs"
_PCSCD: Final = "pcscd"
_SECURITY_VIOLATION: Final = 0x8010006A
_NO_SERVICE: Final = frozenset({0x8010001D, 0x8010001E})
_NO_READERS: Final = 0x8010002E
_EXCLUSIVE: Final = 0x80  # SCARD_STATE_EXCLUSIVE
_GONE: Final = 0x04 | 0x08  # SCARD_STATE_UNKNOWN, SCARD_STATE_UNAVAILABLE
_VIRTUAL: Final = "Virtual PCD"
_MEGABYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stack:
    """All that was seen between the USB bus and this program.

    Attributes:
        usb: readers on the bus.
        door: what became of a knock at pcscd's socket.
        pcsc: ``None`` when pcscd did not answer; ``NoPyscard`` when this program cannot ask it.
        ccid: the driver, or ``None``.
        has_nfcpy: whether readers without PC/SC can be used.
        has_pyserial: whether a PN532 on a serial line can be.
        holders: device node → programs that have it open.
        denied: nodes and ports the service user may not open.
        serial_ports: lines that are there.
        serial_wanted: the line a PN532 is said to hang on, or ``None``.
        is_sam_slot: whether a PC/SC name is that of a SAM slot.
        user: name of the service user.
        has_network: whether another machine could reach this one.
        till_runs: a till may rightly hold a reader.
    """

    usb: tuple[UsbReader, ...]
    door: Door
    pcsc: Pcsc | NoPyscard | None
    ccid: Ccid | None
    has_nfcpy: bool
    has_pyserial: bool
    holders: Mapping[str, tuple[Holder, ...]]
    denied: frozenset[str]
    serial_ports: tuple[Path, ...]
    serial_wanted: Path | None
    is_sam_slot: Callable[[str], bool]
    user: str
    has_network: bool
    till_runs: bool


@dataclass(frozen=True, slots=True)
class NoPyscard:
    """The library to speak to pcscd with is not installed."""


def findings_on_readers(stack: Stack) -> tuple[Finding, ...]:
    """Everything about readers, those seen first."""
    found_ = [*_usb(stack), *_serial(stack), *(_pcsc(stack) if _needs_pcsc(stack) else ())]
    if not _has_any_reader(stack):
        found_.append(found(Kind.NO_READER))
    return tuple(sorted(found_, key=lambda finding: finding.kind.is_fault))


def findings_on_till(state: TillState) -> tuple[Finding, ...]:
    """Everything about one till."""
    return tuple(_till(state))


# --- on the bus ------------------------------------------------------------------------------------------------------


def _usb(stack: Stack) -> Iterator[Finding]:
    for reader in stack.usb:
        yield _seen(reader, stack)
        yield from _wrong_on_the_bus(reader, stack)
        if reader.model is not None and reader.model.way is Way.NFCPY:
            yield from _without_pcsc(reader, stack)
        elif reader.model is not None:
            yield from _driver(reader, stack.ccid)


def _seen(reader: UsbReader, stack: Stack) -> Finding:
    kind = Kind.READER
    if reader.model is None:
        kind = Kind.READER_UNKNOWN
    elif reader.model.way is Way.NFCPY:
        kind = Kind.READER_BY_NFCPY if stack.has_nfcpy else Kind.NO_NFCPY
    return found(kind, reader=reader.name, usb_id=reader.usb_id, place=reader.place)


def _wrong_on_the_bus(reader: UsbReader, stack: Stack) -> Iterator[Finding]:
    taken = [driver for driver in reader.drivers if driver != _NOT_TAKEN_BY_KERNEL]
    if taken:
        yield found(Kind.KERNEL_DRIVER, reader=reader.name, driver=taken[0])
    if reader.is_suspended_when_idle:
        yield found(Kind.AUTOSUSPEND, reader=reader.name, place=reader.place)
    for holder in stack.holders.get(reader.node, ()):
        if not _holds_rightly(holder, reader):
            yield found(Kind.HELD_BY_PROGRAM, reader=reader.name, program=holder.name, pid=holder.pid)


def _holds_rightly(holder: Holder, reader: UsbReader) -> bool:
    is_by_nfcpy = reader.model is not None and reader.model.way is Way.NFCPY
    return holder.is_ours if is_by_nfcpy else holder.name == _PCSCD


def _without_pcsc(reader: UsbReader, stack: Stack) -> Iterator[Finding]:
    if reader.node in stack.denied:
        yield found(Kind.NODE_DENIED, reader=reader.name, node=reader.node, user=stack.user)


def _driver(reader: UsbReader, ccid: Ccid | None) -> Iterator[Finding]:
    if ccid is None:
        yield found(Kind.CCID_MISSING, reader=reader.name)
    elif reader.usb_id not in ccid.usb_ids and reader.model is not None and reader.model.ccid_since is not None:
        since = reader.model.ccid_since
        yield found(Kind.CCID_TOO_OLD, reader=reader.name, version=ccid.version, since=since)


# --- serial lines ----------------------------------------------------------------------------------------------------


def _serial(stack: Stack) -> Iterator[Finding]:
    wanted = stack.serial_wanted
    for port in stack.serial_ports:
        yield found(Kind.SERIAL_PORT, port=str(port))
    if wanted is None:
        return
    if not stack.has_pyserial:
        yield found(Kind.NO_PYSERIAL)
    if wanted not in stack.serial_ports:
        yield found(Kind.SERIAL_MISSING, port=str(wanted))
    elif str(wanted) in stack.denied:
        yield found(Kind.SERIAL_DENIED, port=str(wanted), user=stack.user)
    for holder in stack.holders.get(str(wanted), ()):
        if not holder.is_ours:
            yield found(Kind.SERIAL_HELD, port=str(wanted), program=holder.name, pid=holder.pid)


# --- PC/SC -----------------------------------------------------------------------------------------------------------


def _needs_pcsc(stack: Stack) -> bool:
    """Not for a terminal whose only readers go without it."""
    ways = {reader.model.way if reader.model else Way.PCSC for reader in stack.usb}
    return Way.PCSC in ways or not (ways or stack.serial_wanted)


def _has_any_reader(stack: Stack) -> bool:
    listed = stack.pcsc.readers if isinstance(stack.pcsc, Pcsc) else {}
    usable = (name for name, state in listed.items() if not (stack.is_sam_slot(name) or state & _GONE))
    return bool(stack.usb or stack.serial_wanted or any(usable))


def _pcsc(stack: Stack) -> Iterator[Finding]:
    if isinstance(stack.pcsc, NoPyscard):
        yield found(Kind.NO_PYSCARD)
    if stack.door is Door.AWAY:
        yield found(Kind.PCSCD_AWAY)
    elif stack.door is Door.DENIED:
        yield found(Kind.PCSCD_DENIED, user=stack.user)
    elif stack.pcsc is None:
        yield found(Kind.PCSCD_STUCK)
    elif isinstance(stack.pcsc, Pcsc):
        yield from _asked(stack, stack.pcsc)


def _asked(stack: Stack, pcsc: Pcsc) -> Iterator[Finding]:
    if pcsc.code == _SECURITY_VIOLATION:
        yield found(Kind.PCSC_DENIED, user=stack.user)
    elif pcsc.code in _NO_SERVICE:
        yield found(Kind.PCSCD_AWAY)
    elif pcsc.code not in (0, _NO_READERS):
        yield found(Kind.PCSC_FAULT, code=f"{pcsc.code:08X}")
    else:
        yield from _listed(stack, pcsc.readers)


def _listed(stack: Stack, readers: Mapping[str, int]) -> Iterator[Finding]:
    for name, state in readers.items():
        is_sam = stack.is_sam_slot(name)
        if state & _GONE:
            yield found(Kind.PCSC_READER_GONE, reader=name)
            continue
        yield found(Kind.SAM_SLOT if is_sam else Kind.PCSC_READER, reader=name)
        if state & _EXCLUSIVE and not is_sam and not stack.till_runs:
            yield found(Kind.HELD_EXCLUSIVELY, reader=name)
        if _VIRTUAL in name and stack.has_network:
            yield found(Kind.VIRTUAL_READER, reader=name)
    real = [name for name in readers if _VIRTUAL not in name]
    expected = [reader for reader in stack.usb if _pcscd_should_list(reader, stack)]
    if expected and not real:
        yield found(Kind.PCSC_SEES_NONE, reader=expected[0].name)


def _pcscd_should_list(reader: UsbReader, stack: Stack) -> bool:
    is_driven = stack.ccid is not None and reader.usb_id in stack.ccid.usb_ids
    return is_driven and not set(reader.drivers) - {_NOT_TAKEN_BY_KERNEL}


# --- the till --------------------------------------------------------------------------------------------------------


def _till(state: TillState) -> Iterator[Finding]:
    match state.said:
        case Silent():
            yield found(Kind.TILL_SILENT)
        case Stopped(code, sentence):
            yield found(Kind.TILL_STOPPED, code=code, sentence=sentence)
        case said:
            kind = Kind.TILL_RUNS if state.is_running else Kind.TILL_CLOSED
            yield found(kind, pending=said.pending_records)
            if said.frozen is not None:
                yield found(Kind.TILL_FROZEN, sentence=said.frozen)
    if state.disk_free_b < DISK_ENOUGH_B:
        yield found(Kind.DISK_LOW, megabytes=state.disk_free_b // _MEGABYTE)
    if state.is_clock_never_set:
        yield found(Kind.CLOCK_NEVER_SET)
    elif state.is_clock_behind:
        yield found(Kind.CLOCK_BEHIND)
