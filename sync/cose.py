"""COSE_Sign1 (RFC 9052 §4.2) without tag, ES256, over deterministic CBOR: the envelope of records, answers and lists.

The protected header holds algorithm (1), content type (3) and key id (4); the content type keeps one kind of signed
thing
from ever being taken for another. An envelope is stored and sent verbatim, never encoded again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sync.cbor import Map, Value, decode, decode_map, encode, take_bytes, take_text
from sync.crypto import PublicKey, verify
from sync.errors import Malformed, UnknownVersion

ES256: Final = -7
_ALGORITHM, _CONTENT_TYPE, _KEY_ID = 1, 3, 4
_ENVELOPE_VALUES: Final = 5
"""The list, protected header, empty map, payload and signature: nothing more is decoded of what nobody has signed."""


class ContentType:
    """The kinds of signed things; each names its version."""

    RECORD = "panier/record/1"
    ANSWER = "panier/answer/1"
    CERTIFICATE = "panier/certificate/1"
    RULE_SET = "panier/rule-set/1"
    MERCHANT = "panier/merchant/1"
    HOT_LIST = "panier/hot-list/1"
    CARD_KEYS = "panier/card-keys/1"
    CENTRE_KEYS = "panier/centre-keys/1"
    ENTITLEMENTS = "panier/entitlements/1"
    TERMINALS = "panier/terminals/1"
    PRODUCTS = "panier/products/1"
    ENROLMENT = "panier/enrolment/1"


@dataclass(frozen=True, slots=True)
class Sign1:
    """An envelope taken apart, not yet verified.

    Attributes:
        content_type: one of ContentType.
        key_id: names the signing key, at most 16 bytes.
        payload: deterministic CBOR.
        signature: 64 bytes.
        protected: the protected header as it was signed.
    """

    content_type: str
    key_id: bytes
    payload: bytes
    signature: bytes
    protected: bytes


def sign1(content_type: str, key_id: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The envelope of ``payload``; ``sign`` returns 64 bytes for the message it is given."""
    protected = encode({_ALGORITHM: ES256, _CONTENT_TYPE: content_type, _KEY_ID: key_id})
    signature = sign(_to_be_signed(protected, payload))
    empty: Map = {}
    return encode([protected, empty, payload, signature])


def open1(envelope: bytes, max_size_b: int) -> Sign1:
    """The parts of an envelope; Malformed or UnknownVersion (algorithm) otherwise. Says nothing about the signature."""
    parts = decode(envelope, max_size_b, most_values=_ENVELOPE_VALUES)
    if not isinstance(parts, list) or len(parts) != 4 or parts[1] != {}:
        raise Malformed("not a COSE_Sign1 of ours")
    protected, payload, signature = (_bytes(parts[index]) for index in (0, 2, 3))
    header = decode_map(protected, 256)
    if header.get(_ALGORITHM) != ES256:
        raise UnknownVersion("signed with an algorithm this program does not know")
    return Sign1(
        take_text(header, _CONTENT_TYPE),
        take_bytes(header, _KEY_ID, most_b=16),
        payload,
        signature,
        protected,
    )


def verify1(envelope: Sign1, content_type: str, key: PublicKey) -> bytes:
    """The payload when it is of this kind and the signature holds.

    Raises:
        UnknownVersion: of another kind or version.
        BadSignature: not signed by ``key``.
    """
    if envelope.content_type != content_type:
        raise UnknownVersion(f"{envelope.content_type} where {content_type} is read")
    verify(key, _to_be_signed(envelope.protected, envelope.payload), envelope.signature)
    return envelope.payload


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", protected, b"", payload])


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("not a COSE_Sign1 of ours")
    return value
