"""USB readers as Linux shows them below ``/sys/bus/usb/devices`` (Documentation/ABI/testing/sysfs-bus-usb)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terminal.doctor.models import Model, model_of

USB_DEVICES: Final = Path("/sys/bus/usb/devices")
_CCID_CLASS: Final = "0b"
"""Smart card class of an interface (USB-IF, class codes)."""


@dataclass(frozen=True, slots=True)
class UsbReader:
    """One reader on the bus.

    Attributes:
        place: its name in sysfs, such as ``1-1.2``.
        usb_id: ``vendor:product``, lower-case hexadecimal.
        model: from the table, or ``None``.
        product: what it calls itself.
        drivers: kernel drivers that hold its interfaces; ``usbfs`` is a program such as pcscd.
        is_suspended_when_idle: the kernel may cut its power (``power/control`` is ``auto``).
        node: path of its device below ``/dev/bus/usb``.
    """

    place: str
    usb_id: str
    model: Model | None
    product: str
    drivers: tuple[str, ...]
    is_suspended_when_idle: bool
    node: str

    @property
    def name(self) -> str:
        """The model's name, else its own."""
        return self.model.name if self.model else self.product or self.usb_id


def usb_readers(root: Path = USB_DEVICES) -> tuple[UsbReader, ...]:
    """Every device that is in the table or says that it is a card reader."""
    return tuple(_readers(root))


def _readers(root: Path) -> Iterator[UsbReader]:
    for device in sorted(root.glob("*")) if root.is_dir() else ():
        usb_id = f"{_word(device / 'idVendor')}:{_word(device / 'idProduct')}"
        if ":" in device.name or usb_id == ":":
            continue
        interfaces = sorted(root.glob(f"{device.name}:*"))
        model = model_of(usb_id)
        if model is None and all(_word(each / "bInterfaceClass") != _CCID_CLASS for each in interfaces):
            continue
        yield UsbReader(
            place=device.name,
            usb_id=usb_id,
            model=model,
            product=_word(device / "product"),
            drivers=tuple(name for each in interfaces if (name := _driver(each))),
            is_suspended_when_idle=_word(device / "power" / "control") == "auto",
            node=f"/dev/bus/usb/{_number(device / 'busnum'):03}/{_number(device / 'devnum'):03}",
        )


def _driver(interface: Path) -> str:
    try:
        return (interface / "driver").readlink().name
    except OSError:
        return ""


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    word = _word(path)
    return int(word) if word.isdecimal() else 0
