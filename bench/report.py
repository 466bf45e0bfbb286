"""Results of ``panier bench tap`` for people (a French table) and for programs (JSON lines)."""

from __future__ import annotations

import json
from typing import Final

from bench.card_times import sources
from bench.radio import RATE_106, RATE_424, activation_ms
from bench.stopwatch import CARD, CONNECT, CRYPTOGRAPHY, DECISION, DISK, REST
from bench.tap import MOST_RATIO, MOST_TAP_MS, Result

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
    ("air 106", 7),
    ("air 424", 7),
    ("puce", 7),
    ("tout 106", 8),
    ("tout 424", 8),
    ("reste/APDU", 10),
)
_PARTS: Final = (CONNECT, CARD, CRYPTOGRAPHY, DECISION, DISK, REST, "screen")


def json_line(result: Result, reader: str) -> str:
    """One case as one JSON object; times in ms, ``reader`` is ``"pcsc"`` or ``"in-process"``."""
    return json.dumps(
        {
            "slots": result.case.slots,
            "new_entitlement": result.case.has_newer,
            "void": result.case.is_void,
            "apdus": result.apdus,
            "bytes_out": result.bytes_out,
            "bytes_in": result.bytes_in,
            "host_ms": round(result.host_ms, 3),
            "floor_ms": round(result.floor_ms, 3),
            "ratio": round(result.ratio, 3),
            **{f"{part}_ms": round(result.parts_ms[part], 3) for part in _PARTS},
            "activation_106_ms": round(activation_ms(RATE_106), 3),
            "activation_424_ms": round(activation_ms(RATE_424), 3),
            "radio_106_ms": round(result.radio_106_ms, 3),
            "radio_424_ms": round(result.radio_424_ms, 3),
            "card_model_ms": round(result.card_model_ms, 3),
            "tap_106_ms": round(result.tap_106_ms, 3),
            "tap_424_ms": round(result.tap_424_ms, 3),
            "left_an_apdu_ms": round(result.left_an_apdu_ms, 3),
            "reader": reader,
            "taps": result.taps,
            "faults": list(result.faults),
        },
        ensure_ascii=False,
    )


def heading(reader: str, taps: int) -> str:
    """What is measured, and the names of the columns."""
    path = "par pcscd et vpcd" if reader == "pcsc" else "lecteur du programme (sans pcscd)"
    said = f"De la carte posée à l'enregistrement durable, {path} ; médianes de {taps} passages, en ms."
    said += (
        "\nair, puce, tout : modèle d'une carte réelle, sans le lecteur ; activation avant, "
        f"{_number(activation_ms(RATE_106))} à 106 et {_number(activation_ms(RATE_424))} à 424 kbit/s."
    )
    return said + "\n" + "  ".join(name.rjust(width) for name, width in _COLUMNS)


def row(result: Result) -> str:
    """One case as one line of the table."""
    cells = [
        str(result.case.slots),
        "annulation" if result.case.is_void else "oui" if result.case.has_newer else "non",
        str(result.apdus),
        f"{result.bytes_out}/{result.bytes_in}",
        _number(result.host_ms),
        _number(result.floor_ms),
        _number(result.ratio),
        *(_number(result.parts_ms[part]) for part in _PARTS),
        _number(result.radio_106_ms),
        _number(result.radio_424_ms),
        _number(result.card_model_ms),
        _number(result.tap_106_ms),
        _number(result.tap_424_ms),
        _number(result.left_an_apdu_ms),
    ]
    return "  ".join(cell.rjust(width) for cell, (_name, width) in zip(cells, _COLUMNS, strict=True))


def complaints(result: Result) -> tuple[str, ...]:
    """Why a case did not pass, as French sentences; none when it did."""
    done = "annulation" if result.case.is_void else f"droits {'' if result.case.has_newer else 'non '}écrits"
    case = f"{result.case.slots} tranche(s), {done}"
    slow = (
        () if result.ratio <= MOST_RATIO else (f"{_number(result.ratio)} fois le plancher, {MOST_RATIO:.0f} au plus",)
    )
    long = (f"{_number(result.tap_106_ms)} ms à 106 kbit/s selon le modèle, {MOST_TAP_MS:.0f} au plus",)
    said = (*result.faults, *slow, *(long if result.is_too_long else ()))
    return tuple(f"{case} : {fault}." for fault in said)


def source_lines() -> list[str]:
    """Every time of the card in the model: command, ms, what it rests on, where it was published."""
    return [
        f"{instruction:2}  {name:58}  {_number(figure.ms):>6} ms  {figure.basis.value} : {figure.source}"
        for instruction, name, figure in sources()
    ]


def _number(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")
