"""Results of ``panier bench tap`` for people (a French table) and for programs (JSON lines)."""

from __future__ import annotations

import json
from typing import Final

from bench.stopwatch import CARD, CONNECT, CRYPTOGRAPHY, DECISION, DISK, REST
from bench.tap import MOST_RATIO, Result

_COLUMNS: Final = (
    ("tranches", 8),
    ("droits écrits", 13),
    ("APDU", 4),
    ("octets ↑/↓", 10),
    ("caisse", 8),
    ("plancher", 8),
    ("rapport", 7),
    ("contact", 7),
    ("carte", 7),
    ("crypto", 7),
    ("décision", 8),
    ("disque", 7),
    ("reste", 7),
    ("écran", 7),
)
_PARTS: Final = (CONNECT, CARD, CRYPTOGRAPHY, DECISION, DISK, REST, "screen")


def json_line(result: Result, reader: str) -> str:
    """One case as one JSON object; times in ms, ``reader`` is ``"pcsc"`` or ``"in-process"``."""
    return json.dumps(
        {
            "slots": result.case.slots,
            "new_entitlement": result.case.has_newer,
            "apdus": result.apdus,
            "bytes_out": result.bytes_out,
            "bytes_in": result.bytes_in,
            "host_ms": round(result.host_ms, 3),
            "floor_ms": round(result.floor_ms, 3),
            "ratio": round(result.ratio, 3),
            **{f"{part}_ms": round(result.parts_ms[part], 3) for part in _PARTS},
            "reader": reader,
            "taps": result.taps,
            "faults": list(result.faults),
        },
        ensure_ascii=False,
    )


def heading(reader: str, taps: int) -> str:
    """What is measured, and the names of the columns."""
    path = "par pcscd et vpcd" if reader == "pcsc" else "lecteur du programme (sans pcscd)"
    said = f"De la carte posée à l'enregistrement durable, {path} ; médianes de {taps} paiements, en ms."
    return said + "\n" + "  ".join(name.rjust(width) for name, width in _COLUMNS)


def row(result: Result) -> str:
    """One case as one line of the table."""
    cells = [
        str(result.case.slots),
        "oui" if result.case.has_newer else "non",
        str(result.apdus),
        f"{result.bytes_out}/{result.bytes_in}",
        _number(result.host_ms),
        _number(result.floor_ms),
        _number(result.ratio),
        *(_number(result.parts_ms[part]) for part in _PARTS),
    ]
    return "  ".join(cell.rjust(width) for cell, (_name, width) in zip(cells, _COLUMNS, strict=True))


def complaints(result: Result) -> tuple[str, ...]:
    """Why a case did not pass, as French sentences; none when it did."""
    case = f"{result.case.slots} tranche(s), droits {'' if result.case.has_newer else 'non '}écrits"
    slow = (
        () if result.ratio <= MOST_RATIO else (f"{_number(result.ratio)} fois le plancher, {MOST_RATIO:.0f} au plus",)
    )
    return tuple(f"{case} : {fault}." for fault in (*result.faults, *slow))


def _number(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")
