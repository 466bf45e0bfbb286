"""The readers this program knows: one table, for the doctor, the udev rules and their tests.

USB numbers and PC/SC names: ``Info.plist`` of libccid; what each was chosen for: docs/operating/readers.md.
Lights: ACS "ACR122U API" §6.2, "ACR1252U reference manual" §5.8; others are not driven.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Way(Enum):
    """How a reader is reached."""

    PCSC = "PC/SC"
    NFCPY = "nfcpy"
    SERIAL = "serial"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of reader.

    Attributes:
        name: maker and model.
        usb_ids: ``vendor:product`` in lower-case hexadecimal; none for a serial line.
        way: how it is reached.
        ccid_since: first libccid that knows it, ``None`` where there is no PC/SC.
        lights: how its light and buzzer are driven, empty when they are not.
        note: what a technician must know of it.
    """

    name: str
    usb_ids: tuple[str, ...]
    way: Way
    ccid_since: str | None
    lights: str
    note: str

    @property
    def is_taken_by_kernel(self) -> bool:
        """Whether a driver of Linux takes it unless it is kept from that (hardware/modprobe)."""
        return bool(set(self.usb_ids) & _KERNEL_TAKES)


_KERNEL_TAKES: Final = frozenset({"072f:2200", "04e6:5591", "04e6:5593", "054c:06c1", "054c:06c3"})
"""Drivers pn533_usb and port100 (Linux drivers/nfc); 04e6:5593 has the chip of 5591."""

_DEBIAN_12: Final = "1.5.2"
"""Debian 12's libccid. A model that it knows has this number here, whatever earlier one brought it."""

_PSEUDO: Final = "FF 00 40"
_ESCAPE: Final = "E0 00 00 29"


def _pcsc(name: str, *usb_ids: str, since: str = _DEBIAN_12, lights: str = "", note: str = "") -> Model:
    return Model(name, usb_ids, Way.PCSC, since, lights, note)


def _nfcpy(name: str, *usb_ids: str, note: str = "") -> Model:
    return Model(name, usb_ids, Way.NFCPY, None, "", note)


MODELS: Final = (
    _pcsc("ACS ACR1252U", "072f:223b", lights=_ESCAPE, note="shows two PC/SC readers, PICC and SAM"),
    _pcsc("ACS ACR1252U without SAM slot", "072f:223e", lights=_ESCAPE),
    _pcsc("ACS ACR1252IMP", "072f:2259", lights=_ESCAPE, note="the ACR1252U as a module"),
    _pcsc("ACS ACR122U", "072f:2200", lights=_PSEUDO, note="tells late that a card has left"),
    _pcsc("ACS ACR1251U", "072f:221a", lights=_ESCAPE),
    _pcsc("ACS ACR1255U-J1", "072f:223f", lights=_ESCAPE, note="on its cable; it has a battery and a radio of its own"),
    _pcsc("ACS ACR1281U", "072f:2224", lights=_ESCAPE),
    _pcsc("ACS ACR1552U", "072f:2308", since="1.5.4", lights=_ESCAPE, note="Debian 13"),
    _pcsc("HID Omnikey 5022", "076b:5022"),
    _pcsc("HID Omnikey 5422", "076b:5422", note="contact slot beside the contactless one"),
    _pcsc("HID Omnikey 5427 CK", "076b:5427", note="must be in CCID mode, not in keyboard mode"),
    _pcsc("Identiv uTrust 3700 F", "04e6:5790"),
    _pcsc("Identiv uTrust 3701 F", "04e6:5791"),
    _pcsc("Identiv uTrust 3720 F", "04e6:5612"),
    _pcsc("Identiv uTrust 4701 F", "04e6:5724", note="contact slot beside the contactless one"),
    _pcsc("Identiv uTrust 4711 F", "04e6:5725", note="SAM slot beside the contactless one"),
    _pcsc("SpringCard Puck", "1c34:613a", "1c34:6132"),
    _pcsc("Sony RC-S300", "054c:0dc8", "054c:0dc9"),
    _nfcpy("Sony RC-S380", "054c:06c1", "054c:06c3", note="no PC/SC"),
    _nfcpy("Identiv SCL3711 / SCL3712", "04e6:5591", "04e6:5593", note="no PC/SC"),
    Model("PN532", (), Way.SERIAL, None, "", "a breakout board on a UART; no PC/SC"),
)


def model_of(usb_id: str) -> Model | None:
    """The model with that ``vendor:product``, or ``None`` for one that is not in the table."""
    return next((model for model in MODELS if usb_id in model.usb_ids), None)
