"""Who this terminal is, on its medium: the device key it made itself, and the centre's signed answer to enrolment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sync.cbor import decode_map, take_bytes
from sync.crypto import (
    PrivateKey,
    PublicKey,
    new_private_key,
    private_key_from_pem,
    private_key_pem,
    public_bytes,
    public_key,
    sign,
)
from sync.enrolment import MOST_RESPONSE_B, Certificate, read_certificate
from sync.errors import FormatError, Malformed
from sync.signed_lists import CentreKeys, read_centre_keys
from terminal.errors import JournalDamaged, NotEnrolled
from terminal.offline_queue.medium import sync_path
from terminal.ports import TerminalIdentity
from terminal.text import _

DEVICE_KEY_FILE: Final = "device-key.pem"
ENROLMENT_FILE: Final = "enrolment.cbor"
SOFTWARE: Final = "panier 0.1.0"


@dataclass(frozen=True, slots=True)
class EnrolledTerminal:
    """An enrolled terminal: its name, its certificate, its own key, and whom it believes."""

    identity: TerminalIdentity
    certificate: Certificate
    root: PublicKey
    centre_keys: CentreKeys
    device_key: PrivateKey = field(repr=False)


class FileSigner:
    """ports.Signer with the device key in memory."""

    __slots__ = ("_key",)

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "FileSigner()"

    def sign(self, message: bytes) -> bytes:
        """64 bytes, ES256."""
        return sign(self._key, message)


def own_device_key(directory: Path) -> PrivateKey:
    """The device key; made here, durably, the first time. It never leaves."""
    place = directory / DEVICE_KEY_FILE
    if not place.exists():
        write_durably(place, private_key_pem(new_private_key()), mode=0o600)
    return private_key_from_pem(place.read_bytes())


def keep_enrolment(directory: Path, response: bytes) -> None:
    """Remember the centre's answer, verbatim; replaces that of an earlier epoch."""
    write_durably(directory / ENROLMENT_FILE, response, mode=0o644)


def load_enrolled(directory: Path) -> EnrolledTerminal:
    """The terminal that lives in this folder.

    Raises:
        NotEnrolled: none does yet.
        JournalDamaged: its papers do not hold.
    """
    place = directory / ENROLMENT_FILE
    if not place.exists():
        raise NotEnrolled(_("Cette caisse n'est pas encore enrôlée : « panier enrol » avec le code du centre."))
    try:
        fields = decode_map(place.read_bytes(), MOST_RESPONSE_B)
        root = public_key(take_bytes(fields, 1))
        signed = take_bytes(fields, 2)
        certificate = read_certificate(signed, root)
        keys = read_centre_keys(take_bytes(fields, 3), root)
        device_key = own_device_key(directory)
        if public_bytes(certificate.device_key) != public_bytes(device_key):
            raise Malformed("papers of another device")
    except FormatError as fault:
        raise JournalDamaged(_("Les papiers de cette caisse sont abîmés : il faut l'enrôler à nouveau.")) from fault
    identity = TerminalIdentity(
        certificate.terminal,
        certificate.epoch,
        certificate.station,
        certificate.programme,
        signed,
        SOFTWARE,
        certificate.offline_cap,
    )
    return EnrolledTerminal(identity, certificate, root, keys, device_key)


def write_durably(place: Path, content: bytes, mode: int) -> None:
    """Replace a file so that after a power cut the old or the new one is there, whole."""
    new = place.with_name(place.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(place)
    sync_path(place.parent)
