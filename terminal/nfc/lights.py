"""What readers' own light and buzzer are told, by model: data from their makers' manuals, nothing guessed.

Bi-colour readers (pseudo-APDU ``FF 00 40 P2 04 T1 T2 n buzzer``): P2 bit 0 red and 1 green at the end, bits 2 and 3
whether they change, bits 4 and 5 red and green at the beginning of a blink, bits 6 and 7 whether they blink; T1 and T2
in 100 ms; buzzer 1: during T1. The reader answers when it is done, so nothing here takes longer than 200 ms.
Others (escape command ``E0 00 00 28 01 t``): a beep of t × 10 ms. Their light is left to the reader, which shows with
it whether a card is there: set once by ``E0 00 00 29`` it would stay as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from terminal.ports import Signal


@dataclass(frozen=True, slots=True)
class Lights:
    """One model.

    Attributes:
        model: part of its name in PC/SC.
        commands: what to send for each signal.
        is_pseudo_apdu: may be sent like an APDU while a card is there; otherwise as an escape command only.
        source: where the bytes are from.
    """

    model: str
    commands: dict[Signal, bytes]
    is_pseudo_apdu: bool
    source: str


_GREEN_AND_SHORT: Final = bytes.fromhex("FF0040AE0401000101")
_RED_AND_LONG: Final = bytes.fromhex("FF00405E0402000101")
_BI_COLOUR: Final = {Signal.PAID: _GREEN_AND_SHORT, Signal.ATTENTION: _RED_AND_LONG}
_SHORT_BEEP: Final = bytes.fromhex("E00000280108")
_LONG_BEEP: Final = bytes.fromhex("E00000280120")
_BEEPS: Final = {Signal.PAID: _SHORT_BEEP, Signal.ATTENTION: _LONG_BEEP}

TABLE: Final = (
    Lights("ACR122U", _BI_COLOUR, True, "ACS, ACR122U API: Bi-color LED and Buzzer Control"),
    Lights("ACR1251", _BEEPS, False, "as ACR1252U, same family; to be seen on a real one"),
    Lights("ACR1252", _BEEPS, False, "ACS, ACM1252U-Y3 reference manual 1.03 §5.3 (the ACR1252U's board)"),
    Lights("ACR1255U", _BEEPS, False, "ACS, ACR1255U-J1 reference manual 1.07 §6.8.5"),
    Lights("ACR1281U", _BEEPS, False, "ACS, ACR1281U-C1 API 1.08 §5.3.4"),
)


def lights_of(reader: str) -> Lights | None:
    """What is known of a reader by its PC/SC name; ``None``: leave it alone."""
    return next((lights for lights in TABLE if lights.model.casefold() in reader.casefold()), None)
