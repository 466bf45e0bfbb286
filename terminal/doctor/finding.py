"""What the doctor finds, as words for programs; the sentences for people are with the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """Kinds of findings. Those of the first group are seen on a terminal that is well."""

    READER = "reader"
    READER_UNKNOWN = "reader_unknown"
    READER_BY_NFCPY = "reader_by_nfcpy"
    PCSC_READER = "pcsc_reader"
    SAM_SLOT = "sam_slot"
    SERIAL_PORT = "serial_port"
    TILL_RUNS = "till_runs"
    TILL_CLOSED = "till_closed"

    NO_READER = "no_reader"
    KERNEL_DRIVER = "kernel_driver"
    AUTOSUSPEND = "autosuspend"
    NO_NFCPY = "no_nfcpy"
    NODE_DENIED = "node_denied"
    HELD_BY_PROGRAM = "held_by_program"
    CCID_MISSING = "ccid_missing"
    CCID_TOO_OLD = "ccid_too_old"
    NO_PYSCARD = "no_pyscard"
    PCSCD_AWAY = "pcscd_away"
    PCSCD_DENIED = "pcscd_denied"
    PCSCD_STUCK = "pcscd_stuck"
    PCSC_DENIED = "pcsc_denied"
    PCSC_FAULT = "pcsc_fault"
    PCSC_SEES_NONE = "pcsc_sees_none"
    PCSC_READER_GONE = "pcsc_reader_gone"
    HELD_EXCLUSIVELY = "held_exclusively"
    VIRTUAL_READER = "virtual_reader"
    NO_PYSERIAL = "no_pyserial"
    SERIAL_MISSING = "serial_missing"
    SERIAL_DENIED = "serial_denied"
    SERIAL_HELD = "serial_held"
    TILL_SILENT = "till_silent"
    TILL_FROZEN = "till_frozen"
    TILL_STOPPED = "till_stopped"
    DISK_LOW = "disk_low"
    CLOCK_BEHIND = "clock_behind"
    CLOCK_NEVER_SET = "clock_never_set"

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to do something."""
        return self not in _WELL


_WELL = frozenset(list(Kind)[: list(Kind).index(Kind.NO_READER)])


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing seen or wrong, with the facts its sentence names."""

    kind: Kind
    facts: Mapping[str, str | int] = field(default_factory=dict)


def found(kind: Kind, **facts: str | int) -> Finding:
    """A finding with its facts."""
    return Finding(kind, facts)
