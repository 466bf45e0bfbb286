"""A host of other people's making, driven over its C interface: libfreefare 0.4 on libnfc 1.8, as Debian has them.

Run as a program of its own: reads one JSON object (``port``, ``scene``, keys of a test card) and prints what it found.
It knows DESFire EV1: the authentications 1A and AA, keys, settings, applications and files.
"""

from __future__ import annotations

import ctypes
import json
import sys
from ctypes import byref, c_char_p, c_int32, c_size_t, c_uint8, c_uint16, c_uint32, c_void_p
from ctypes.util import find_library
from typing import Any, ClassVar

FULL = 3
VERSION = 1


def is_installed() -> bool:
    return find_library("freefare") is not None and find_library("nfc") is not None


class Refused(Exception):
    """The library gave up; the number is the card's status, or 0."""


class FileSettings(ctypes.Structure):
    _fields_: ClassVar = [
        ("kind", c_uint8),
        ("communication", c_uint8),
        ("rights", c_uint16),
        ("rest", c_int32 * 4),
    ]


class ForeignHost:
    """One card on the reader at a serial port."""

    def __init__(self, port: str) -> None:
        self.nfc, self.lib = ctypes.CDLL(find_library("nfc")), ctypes.CDLL(find_library("freefare"))
        for library, names in (
            (self.nfc, ["nfc_open"]),
            (
                self.lib,
                [
                    "freefare_get_tags",
                    "mifare_desfire_aid_new",
                    "mifare_desfire_des_key_new",
                    "mifare_desfire_aes_key_new_with_version",
                ],
            ),
        ):
            for name in names:
                getattr(library, name).restype = c_void_p
        context = c_void_p()
        self.nfc.nfc_init(byref(context))
        self.device = c_void_p(self.nfc.nfc_open(context, c_char_p(f"pn532_uart:{port}".encode())))
        assert self.device, "libnfc opens the port"
        tags = ctypes.cast(self.lib.freefare_get_tags(self.device), ctypes.POINTER(c_void_p))
        assert tags and tags[0], "libfreefare sees a card"
        self.tag = c_void_p(tags[0])
        self.call("connect")

    def call(self, name: str, *arguments: Any) -> int:
        result = int(getattr(self.lib, f"mifare_desfire_{name}")(self.tag, *arguments))
        if result < 0:
            raise Refused(f"{name}: {int(self.lib.mifare_desfire_last_picc_error(self.tag)):02X}")
        return result

    def status_of(self, name: str, *arguments: Any) -> str:
        try:
            self.call(name, *arguments)
        except Refused as refusal:
            return str(refusal)
        return "taken"

    def des_zero(self) -> c_void_p:
        return c_void_p(self.lib.mifare_desfire_des_key_new(bytes(8)))

    def aes(self, key: bytes, version: int = VERSION) -> c_void_p:
        return c_void_p(self.lib.mifare_desfire_aes_key_new_with_version(key, c_uint8(version)))

    def aid(self, aid: bytes) -> c_void_p:
        return c_void_p(self.lib.mifare_desfire_aid_new(c_uint32(int.from_bytes(aid, "little"))))

    def select(self, aid: bytes) -> None:
        self.call("select_application", self.aid(aid))

    def serial_number(self) -> str:
        """From GetVersion: 7 bytes of hardware, 7 of software, then the number."""
        version = (c_uint8 * 32)()
        self.call("get_version", byref(version))
        return bytes(version)[14:21].hex()

    def key_settings(self) -> list[int]:
        settings, keys = c_uint8(), c_uint8()
        self.call("get_key_settings", byref(settings), byref(keys))
        return [settings.value, keys.value]

    def key_version(self, number: int) -> int:
        version = c_uint8()
        self.call("get_key_version", c_uint8(number), byref(version))
        return version.value

    def file_numbers(self) -> list[int]:
        numbers, count = ctypes.POINTER(c_uint8)(), c_size_t()
        self.call("get_file_ids", byref(numbers), byref(count))
        return sorted(numbers[index] for index in range(count.value))

    def file_settings(self, number: int) -> list[int]:
        """Type, communication, rights, then what its type has: size; limits and credit; record size and count."""
        found = FileSettings()
        self.call("get_file_settings", c_uint8(number), byref(found))
        return [found.kind, found.communication, found.rights, *found.rest[: 1 if found.kind < 2 else 3]]

    def application_count(self) -> int:
        applications, count = c_void_p(), c_size_t()
        self.call("get_application_ids", byref(applications), byref(count))
        return int(count.value)


def issue(host: ForeignHost, aid: bytes, keys: dict[int, bytes]) -> dict[str, Any]:
    """Everything issuing does that EV1 knows, but the chip's settings: first key to AES, application, keys, files."""
    host.call("authenticate_iso", c_uint8(0), host.des_zero())
    host.call("change_key", c_uint8(0), host.aes(keys[0x80]), host.des_zero())
    host.call("authenticate_aes", c_uint8(0), host.aes(keys[0x80]))
    host.call("create_application_aes", host.aid(aid), c_uint8(0x09), c_uint8(5))
    host.select(aid)
    zero = host.aes(bytes(16), 0)
    host.call("authenticate_aes", c_uint8(0), zero)
    for number in (1, 2, 3, 4):
        host.call("change_key", c_uint8(number), host.aes(keys[number]), zero)
    host.call("change_key", c_uint8(0), host.aes(keys[0]), zero)
    host.call("authenticate_aes", c_uint8(0), host.aes(keys[0]))
    for file in range(1, 9):
        limits = (c_int32(0), c_int32(16_000_000), c_int32(16_000_000), c_uint8(0))
        host.call("create_value_file", c_uint8(file), c_uint8(FULL), c_uint16(0x1F30), *limits)
    host.call("create_cyclic_record_file", c_uint8(0x10), c_uint8(FULL), c_uint16(0x11F0), c_uint32(32), c_uint32(9))
    host.call("create_backup_data_file", c_uint8(0x11), c_uint8(FULL), c_uint16(0x11F0), c_uint32(426))
    host.call("create_std_data_file", c_uint8(0x12), c_uint8(FULL), c_uint16(0x1F30), c_uint32(96))
    return {"files": host.file_numbers()}


def look(host: ForeignHost, aid: bytes, keys: dict[int, bytes]) -> dict[str, Any]:
    """What an issued card gives away, and what its keys open."""
    told: dict[str, Any] = {"serial number": host.serial_number()}
    told["factory"] = host.status_of("authenticate_iso", c_uint8(0), host.des_zero())
    told["free listing"] = host.status_of("get_application_ids", byref(c_void_p()), byref(c_size_t()))
    host.call("authenticate_aes", c_uint8(0), host.aes(keys[0x80]))
    told["applications"], told["chip settings"] = host.application_count(), host.key_settings()[0]
    host.select(aid)
    told["zero keys"] = [host.status_of("authenticate_aes", c_uint8(n), host.aes(bytes(16))) for n in range(5)]
    told["own keys"] = [host.status_of("authenticate_aes", c_uint8(n), host.aes(keys[n])) for n in (4, 3, 2, 1, 0)]
    told["settings"], told["versions"] = host.key_settings(), [host.key_version(number) for number in range(5)]
    told["files"] = host.file_numbers()
    told["slot"], told["log"] = host.file_settings(0x01), host.file_settings(0x10)
    told["entitlement"], told["card info"] = host.file_settings(0x11), host.file_settings(0x12)
    return told


def main() -> None:
    asked = json.load(sys.stdin)
    keys = {int(number, 16): bytes.fromhex(key) for number, key in asked["keys"].items()}
    host = ForeignHost(asked["port"])
    scene = {"issue": issue, "look": look}[asked["scene"]]
    print(json.dumps(scene(host, bytes.fromhex(asked["aid"]), keys)))
    host.call("disconnect")
    host.nfc.nfc_close(host.device)


if __name__ == "__main__":
    main()
