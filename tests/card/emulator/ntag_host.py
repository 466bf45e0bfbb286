"""A small host of the virtual NTAG 424 DNA, on the same channel as the DESFire one of these tests."""

from typing import Any

from virtual_card_host import ZERO, Host

from emulator.ntag424.card import VirtualNtag

NTAG_UID = bytes.fromhex("04958CAA5C5E80")
NTAG_NAME = bytes.fromhex("D2760000850101")
CC, NDEF, OWN = 1, 2, 3


class NtagHost(Host):
    """`iso_apdu` speaks without secure messaging, everything else as to a DESFire card."""

    def iso_apdu(self, apdu: str) -> tuple[bytes, str]:
        """Data and the two status bytes as hexadecimal."""
        answer = self.send(bytes.fromhex(apdu))
        return answer[:-2], answer[-2:].hex().upper()

    def choose(self) -> None:
        """The application of the tag."""
        assert self.iso_apdu("00A4040C07" + NTAG_NAME.hex() + "00") == (b"", "9000")

    def settings(self, number: int) -> bytes:
        return self.raw(0xF5, bytes([number])) if not self.ti else self.mac(0xF5, bytes([number]))

    def change_settings(self, number: int, settings: str) -> None:
        self.full(0x5F, bytes([number]), bytes.fromhex(settings))


def at_application(tag: Any, key_no: int | None = None, key: bytes = ZERO) -> NtagHost:
    """Powered, at the application, and in a session of that key."""
    tag.power_on()
    host = NtagHost(tag.transceive)
    host.choose()
    if key_no is not None:
        host.ev2(key, key_no)
    return host


def new_tag() -> VirtualNtag:
    return VirtualNtag.blank(NTAG_UID)
