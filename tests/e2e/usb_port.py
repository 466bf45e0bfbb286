"""A USB port of these namespaces, with one PC/SC reader whose plug can be pulled while pcscd runs.

pcscd is Debian's own and knows nothing of it: it reads the bus from ``/sys`` and hears of plugs from udev, and here
both are ours. ``/sys`` is a folder with one bus, and what udev would tell is sent from here to the netlink group that
udev tells it to: that of the network namespace, so no other program hears it. The driver is ``unpluggable.c``.
(``pcscd --hotplug`` is no way: Debian's build, with libudev, does nothing when it gets that signal.)
Source: systemd's sd-device-monitor (the message libudev reads), sysfs-bus-usb, pcsc-lite's hotplug through libudev.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from demo.namespace import RUN

HEADERS = Path("/usr/include/PCSC")
DRIVERS = Path("/usr/lib/pcsc/drivers")
VIRTUAL_DRIVER = DRIVERS / "serial" / "libifdvpcd.so"
SYS = Path("/sys")
READER_MODEL = "Virtual PCD"
VENDOR, PRODUCT = "1209", "0001"  # for tests on one's own machine: pid.codes
_PORT, _INTERFACE = "1-1", "1-1:1.0"
_DEVICE = Path("devices/usb1") / _PORT
_PLUG = Path("bus/usb/devices") / _PORT
_KOBJECT_UEVENT, _UDEV_GROUP = 15, 2
_UDEV_MAGIC, _HEADER_B = 0xFEEDCAFE, 40
_UDEV_RUNS = RUN / "udev" / "control"
_INFO = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>CFBundleExecutable</key><string>unpluggable.so</string>
<key>CFBundleName</key><string>UNPLUGGABLE</string>
<key>ifdVendorID</key><array><string>0x{vendor}</string></array>
<key>ifdProductID</key><array><string>0x{product}</string></array>
<key>ifdFriendlyName</key><array><string>{reader}</string></array>
</dict></plist>
"""


def missing_part() -> str:
    """What this machine lacks to build the driver, as a sentence; empty when it can."""
    if shutil.which("gcc") is None:
        return "gcc is missing"
    return "" if (HEADERS / "ifdhandler.h").exists() else "the headers of pcsc-lite are missing (libpcsclite-dev)"


class UsbPort:
    """The port, empty at first. Make it inside of ``enter()`` and before pcscd starts."""

    def __init__(self, folder: Path) -> None:
        self._sys = folder / "sys"
        self._port_told = folder / "port"
        self._number = 0
        self._uevents = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _KOBJECT_UEVENT)
        self._give_driver(folder / "drivers")
        (self._sys / _PLUG).parent.mkdir(parents=True)
        (self._sys / "devices").mkdir()
        _mount("--bind", str(self._sys), str(SYS))
        _UDEV_RUNS.parent.mkdir()
        _UDEV_RUNS.touch()
        os.environ["SYSTEMD_DEVICE_VERIFY_SYSFS"] = "0"  # libudev takes a folder for the kernel's /sys

    def plug_in(self) -> None:
        """The reader is on the bus, and whoever listens to udev hears so."""
        self._number += 1
        self._port_told.unlink(missing_ok=True)
        device = self._sys / _DEVICE
        node = f"bus/usb/001/{self._number:03}"
        told = f"MAJOR=189\nMINOR={self._number}\nDEVNAME={node}\nDEVTYPE=usb_device\n"
        _put(device, "usb", uevent=told, idVendor=VENDOR, idProduct=PRODUCT, busnum="1", devnum=str(self._number))
        _put(device / _INTERFACE, "usb", uevent="DEVTYPE=usb_interface\n", bInterfaceNumber="00", bInterfaceClass="0b")
        (self._sys / _PLUG).with_name(_INTERFACE).symlink_to(SYS / _DEVICE / _INTERFACE)
        (self._sys / _PLUG).symlink_to(SYS / _DEVICE)
        self._tell("add")

    def reader(self) -> int | None:
        """TCP port of the reader that was plugged in last; ``None`` until pcscd has opened it."""
        return int(self._port_told.read_text()) if self._port_told.exists() else None

    def pull(self, *, is_told: bool = True) -> None:
        """From here on the driver reaches no reader.

        Args: is_told, whether udev tells of it as well.
        """
        (self._sys / _PLUG).unlink()
        (self._sys / _PLUG).with_name(_INTERFACE).unlink()
        shutil.rmtree(self._sys / _DEVICE)
        if is_told:
            self.tell_of_pull()

    def tell_of_pull(self) -> None:
        """What udev says once the kernel has noticed."""
        self._tell("remove")

    def _give_driver(self, drivers: Path) -> None:
        shutil.copytree(DRIVERS, drivers, symlinks=True)
        bundle = drivers / "unpluggable.bundle" / "Contents"
        (bundle / "Linux").mkdir(parents=True)
        (bundle / "Info.plist").write_text(_INFO.format(vendor=VENDOR, product=PRODUCT, reader=READER_MODEL))
        named = {"PLUG": SYS / _PLUG, "PORT_TOLD": self._port_told.absolute(), "VIRTUAL_DRIVER": VIRTUAL_DRIVER}
        paths = [f'-D{name}="{path}"' for name, path in named.items()]
        source = Path(__file__).with_name("unpluggable.c")
        built = bundle / "Linux" / "unpluggable.so"
        argv = ("gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{HEADERS}", *paths)
        subprocess.run([*argv, "-o", str(built), str(source)], check=True)
        _mount("--bind", str(drivers), str(DRIVERS))

    def _tell(self, action: str) -> None:
        self._number += 1
        facts = {
            "ACTION": action,
            "DEVPATH": f"/{_DEVICE / _INTERFACE}",
            "SUBSYSTEM": "usb",
            "DEVTYPE": "usb_interface",
            "SEQNUM": str(self._number),
        }
        body = "".join(f"{name}={value}\0" for name, value in facts.items()).encode()
        hashes = (murmur2(b"usb"), murmur2(b"usb_interface"), 0, 0)
        magic = struct.pack(">I", _UDEV_MAGIC)
        head = struct.pack("=8s4sIII", b"libudev", magic, _HEADER_B, _HEADER_B, len(body))
        self._uevents.sendto(head + struct.pack(">IIII", *hashes) + body, (0, _UDEV_GROUP))


def murmur2(text: bytes) -> int:
    """MurmurHash2 with seed 0, by which libudev lets the kernel sort its messages."""
    factor, whole = 0x5BD1E995, 0xFFFFFFFF
    mixed = len(text)
    full = len(text) // 4 * 4
    for (word,) in struct.iter_unpack("<I", text[:full]):
        part = word * factor & whole
        mixed = mixed * factor & whole ^ (part ^ part >> 24) * factor & whole
    if text[full:]:
        mixed = (mixed ^ int.from_bytes(text[full:], "little")) * factor & whole
    mixed = (mixed ^ mixed >> 13) * factor & whole
    return mixed ^ mixed >> 15


def _put(place: Path, subsystem: str, **attributes: str) -> None:
    place.mkdir(parents=True)
    (place / "subsystem").symlink_to(SYS / "bus" / subsystem)
    for name, value in attributes.items():
        (place / name).write_text(value)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
