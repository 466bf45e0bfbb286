"""How a terminal gets its identity (docs/formats/enrolment.md): a one-time code, a signed request, a certificate.

The code holds a secret the centre knows and a fingerprint of the centre's root key, so that whoever stands between can
neither enrol in the terminal's place nor pass for the centre.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from domain.identity import Station, TerminalId
from domain.money import Cents
from sync.bundle import MOST_BUNDLE_B, Download, read_bundle
from sync.cbor import Map, decode_map, encode, take_bytes, take_int, take_text
from sync.cose import ContentType, open1, sign1, verify1
from sync.crypto import PublicKey, public_bytes, public_key, sha256
from sync.errors import BadSignature, Malformed, UnknownVersion
from sync.signed_lists import CentreKeys, read_centre_keys

USUAL_LEASE_DAYS: Final = 31
SECRET_SIZE_B: Final = 10
FINGERPRINT_SIZE_B: Final = 10
MOST_REQUEST_B: Final = 1_024
MOST_RESPONSE_B: Final = MOST_BUNDLE_B + 8_192
_MOST_CERTIFICATE_B: Final = 1_024
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_READ_AS: Final = str.maketrans("ILO", "110")
_CODE_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """What the technician types or scans: 10 secret bytes and the first 10 of SHA-256 of the centre's root key."""

    secret: bytes = field(repr=False)
    fingerprint: bytes

    @property
    def text(self) -> str:
        """Eight groups of four characters."""
        number = int.from_bytes(self.secret + self.fingerprint, "big")
        characters = "".join(_ALPHABET[number >> shift & 31] for shift in range(155, -1, -5))
        return "-".join(characters[at : at + 4] for at in range(0, _CODE_CHARACTERS, 4))


def read_code(text: str) -> OneTimeCode:
    """The code typed in: case, spaces and dashes do not matter, I and L are 1, O is 0. Malformed otherwise."""
    characters = "".join(text.upper().replace("-", " ").split()).translate(_READ_AS)
    if len(characters) != _CODE_CHARACTERS or any(character not in _ALPHABET for character in characters):
        raise Malformed("a one-time code has 32 characters")
    number = 0
    for character in characters:
        number = number << 5 | _ALPHABET.index(character)
    whole = number.to_bytes(SECRET_SIZE_B + FINGERPRINT_SIZE_B, "big")
    return OneTimeCode(whole[:SECRET_SIZE_B], whole[SECRET_SIZE_B:])


def fingerprint(root: PublicKey) -> bytes:
    """10 bytes naming the centre's root key in a one-time code."""
    return sha256(public_bytes(root))[:FINGERPRINT_SIZE_B]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The centre's signed line about a terminal in one epoch.

    Attributes:
        terminal, epoch, station: its names; the station number is new at each enrolment.
        merchant: number of its merchant.
        point_of_sale: which of the merchant's places it stands at, from 1.
        programme: of the cards it serves.
        device_key: the terminal's public key.
        offline_cap: cents it may take between two contacts with the centre.
        card_cap: cents of these that one card may spend.
        caps_version: of the two.
        valid_from, valid_until: aware UTC, whole seconds.
        lease_days: days without an answer of the centre after which it authenticates no card any more.
    """

    terminal: TerminalId
    epoch: int
    station: Station
    merchant: int
    programme: str
    device_key: PublicKey
    offline_cap: Cents
    card_cap: Cents
    caps_version: int
    valid_from: datetime
    valid_until: datetime
    lease_days: int = USUAL_LEASE_DAYS
    point_of_sale: int = 1


def encode_certificate(certificate: Certificate, key_id: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Signed by the centre's root key. Its SHA-256 is ``prev`` of the terminal's first record."""
    payload: Map = {
        0: 1,
        1: certificate.terminal,
        2: certificate.epoch,
        3: certificate.station,
        4: certificate.merchant,
        5: certificate.programme,
        6: public_bytes(certificate.device_key),
        7: int(certificate.offline_cap),
        8: int(certificate.card_cap),
        9: certificate.caps_version,
        10: int(certificate.valid_from.timestamp()),
        11: int(certificate.valid_until.timestamp()),
        12: certificate.lease_days,
    }
    if certificate.point_of_sale != 1:
        payload[13] = certificate.point_of_sale
    return sign1(ContentType.CERTIFICATE, key_id, encode(payload), sign)


def read_certificate(signed: bytes, root: PublicKey) -> Certificate:
    """The certificate, verified under the root key. Malformed, UnknownVersion, BadSignature."""
    payload = verify1(open1(signed, _MOST_CERTIFICATE_B), ContentType.CERTIFICATE, root)
    fields = decode_map(payload, _MOST_CERTIFICATE_B)
    if take_int(fields, 0) != 1:
        raise UnknownVersion("certificate of an unknown version")
    return Certificate(
        terminal=TerminalId(take_bytes(fields, 1, 8)),
        epoch=take_int(fields, 2),
        station=Station(take_int(fields, 3, 0xFFFFFF)),
        merchant=take_int(fields, 4),
        programme=take_text(fields, 5, 12),
        device_key=public_key(take_bytes(fields, 6)),
        offline_cap=Cents(take_int(fields, 7)),
        card_cap=Cents(take_int(fields, 8)),
        caps_version=take_int(fields, 9),
        valid_from=_instant(take_int(fields, 10, 2**36)),
        valid_until=_instant(take_int(fields, 11, 2**36)),
        lease_days=take_int(fields, 12, 366) if 12 in fields else USUAL_LEASE_DAYS,
        point_of_sale=take_int(fields, 13) if 13 in fields else 1,
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What a terminal asks: the code's secret, its public key, its software."""

    secret: bytes = field(repr=False)
    device_key: PublicKey
    software: str


def encode_request(request: Request, sign: Callable[[bytes], bytes]) -> bytes:
    """Signed with the device key: the sender proves that it holds it."""
    point = public_bytes(request.device_key)
    payload: Map = {0: 1, 1: request.secret, 2: point, 3: request.software}
    return sign1(ContentType.ENROLMENT, sha256(point)[:8], encode(payload), sign)


def read_request(signed: bytes) -> Request:
    """The request, its proof of possession verified. Malformed, UnknownVersion, BadSignature."""
    envelope = open1(signed, MOST_REQUEST_B)
    if envelope.content_type != ContentType.ENROLMENT:
        raise UnknownVersion(f"{envelope.content_type} where an enrolment is read")
    fields = decode_map(envelope.payload, MOST_REQUEST_B)
    if take_int(fields, 0) != 1:
        raise UnknownVersion("enrolment of an unknown version")
    key = public_key(take_bytes(fields, 2))
    verify1(envelope, ContentType.ENROLMENT, key)
    return Request(take_bytes(fields, 1, SECRET_SIZE_B), key, take_text(fields, 3, 40))


@dataclass(frozen=True, slots=True)
class Response:
    """What the centre gives: its root public key, the certificate and its public keys as signed, the first lists."""

    root: PublicKey
    certificate: bytes
    centre_keys: bytes
    bundle: bytes


def encode_response(response: Response) -> bytes:
    """Not signed as a whole: every part is."""
    return encode(
        {
            0: 1,
            1: public_bytes(response.root),
            2: response.certificate,
            3: response.centre_keys,
            4: response.bundle,
        }
    )


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A verified response: what the terminal is from now on. ``response`` holds the signed bytes to store."""

    certificate: Certificate
    centre_keys: CentreKeys
    download: Download
    response: Response


def read_response(data: bytes, code: OneTimeCode, device_key: PublicKey) -> Enrolled:
    """The response, verified from the code's fingerprint down.

    Raises:
        BadSignature: another centre than the code's, or a part it did not sign.
        Malformed: also when the certificate is for another device key.
        UnknownVersion: see there.
    """
    fields = decode_map(data, MOST_RESPONSE_B)
    if take_int(fields, 0) != 1:
        raise UnknownVersion("enrolment response of an unknown version")
    root = public_key(take_bytes(fields, 1))
    if not hmac.compare_digest(fingerprint(root), code.fingerprint):
        raise BadSignature("not the centre this code is for")
    response = Response(root, take_bytes(fields, 2), take_bytes(fields, 3), take_bytes(fields, 4, most_b=MOST_BUNDLE_B))
    certificate = read_certificate(response.certificate, root)
    if public_bytes(certificate.device_key) != public_bytes(device_key):
        raise Malformed("a certificate for another device")
    keys = read_centre_keys(response.centre_keys, root)
    download = read_bundle(response.bundle, root, keys, certificate.terminal)
    return Enrolled(certificate, keys, download, response)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
