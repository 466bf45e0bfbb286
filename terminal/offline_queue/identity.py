"""Who this terminal is, on its medium: the centre's signed answer to enrolment, and the device key it made itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sync.cbor import decode_map, take_bytes
from sync.crypto import PrivateKey, PublicKey, public_bytes, public_key, sign
from sync.enrolment import MOST_RESPONSE_B, Certificate, read_certificate
from sync.errors import FormatError, Malformed
from sync.signed_lists import CentreKeys, read_centre_keys
from terminal.errors import JournalDamaged, KeysSealed, NotEnrolled
from terminal.offline_queue.small_files import write_durably
from terminal.ports import TerminalIdentity
from terminal.text import _

ENROLMENT_FILE: Final = "enrolment.cbor"
SOFTWARE: Final = "panier 0.1.0"


@dataclass(frozen=True, slots=True)
class EnrolledTerminal:
    """An enrolled terminal: its name, its certificate, its own key (``None`` while it is sealed), whom it believes."""

    identity: TerminalIdentity
    certificate: Certificate
    root: PublicKey
    centre_keys: CentreKeys
    device_key: PrivateKey | None = field(default=None, repr=False)


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


class SealedSigner:
    """ports.Signer while the device key is sealed: signs nothing, so nothing is appended."""

    def sign(self, message: bytes) -> bytes:  # noqa: ARG002
        """Raises KeysSealed."""
        raise KeysSealed(_("Les clés de cette caisse s'ouvrent avec son PIN."))


def keep_enrolment(directory: Path, response: bytes) -> None:
    """Remember the centre's answer, verbatim; replaces that of an earlier epoch."""
    write_durably(directory / ENROLMENT_FILE, response, mode=0o644)


def load_enrolled(directory: Path, device_key: PrivateKey | None = None) -> EnrolledTerminal:
    """The terminal that lives in this folder.

    Args:
        device_key: its own key, opened; without it nothing can be signed and no card key be opened.

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
        if device_key is not None and public_bytes(certificate.device_key) != public_bytes(device_key):
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
        certificate.card_cap,
        certificate.caps_version,
    )
    return EnrolledTerminal(identity, certificate, root, keys, device_key)
