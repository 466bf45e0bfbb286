"""Merchant entry as a signed list, and as the centre keeps it (docs/formats/bundle.md), version 1 of its shape.

A payload has one form only: what is read is written again and must be the same.
"""

from __future__ import annotations

from typing import Final

from domain.rule_set import Certificate, Merchant
from sync.cbor import Map, Value, decode_map, encode, take_int, take_list, take_text
from sync.cose import ContentType, sign1
from sync.crypto import PublicKey
from sync.errors import Malformed, UnknownVersion
from sync.listed_values import MOST_TEXT, day_of_or_none, day_or_none, sorted_words, text_of, word_set
from sync.signed_lists import MOST_LIST_B, Sign, signed_map

SHAPE: Final = 1
MOST_NAME, MOST_FAMILY = 200, 40
"""Characters of a name, and of a family's code."""
MOST_WORDS: Final = 50
"""Groups, and certificates, of one entry."""


def encode_merchant(merchant: Merchant, key_id: bytes, sign: Sign) -> bytes:
    """The merchant entry, signed by the list key."""
    return sign1(ContentType.MERCHANT, key_id, merchant_payload(merchant), sign)


def read_merchant(signed: bytes, key: PublicKey) -> Merchant:
    """The merchant entry, verified. Malformed, UnknownVersion, BadSignature."""
    return _merchant_of(signed_map(signed, ContentType.MERCHANT, key, SHAPE))


def merchant_payload(merchant: Merchant) -> bytes:
    """What is signed of a merchant entry, in its one form, without the signature."""
    return encode(merchant_map(merchant))


def read_payload(payload: bytes) -> Merchant:
    """The entry of a payload nobody signed, such as the centre keeps; with every check of ``read_merchant`` but the
    signature's. Malformed, UnknownVersion.
    """
    fields = decode_map(payload, MOST_LIST_B)
    if take_int(fields, 0) != SHAPE:
        raise UnknownVersion("merchant entry of an unknown version")
    return _merchant_of(fields)


def merchant_map(merchant: Merchant) -> Map:
    """What is signed of a merchant entry (docs/formats/bundle.md)."""
    return {
        0: SHAPE,
        1: merchant.number,
        2: merchant.version,
        3: merchant.name,
        4: sorted_words(merchant.groups),
        5: merchant.default_family,
        6: merchant.profile,
        7: [[item.label, item.number, day_or_none(item.last_day)] for item in merchant.certificates],
        8: merchant.is_attended,
        9: [day_or_none(merchant.first_day), day_or_none(merchant.last_day)],
        10: merchant.point_of_sale,
    }


def _merchant_of(fields: Map) -> Merchant:
    days = take_list(fields, 9, 2)
    if len(days) != 2 or not isinstance(fields.get(8), bool):
        raise Malformed("a merchant entry has a first and a last day, and says whether somebody stands there")
    merchant = Merchant(
        number=take_int(fields, 1),
        version=take_int(fields, 2),
        name=take_text(fields, 3, MOST_NAME),
        groups=word_set(take_list(fields, 4, MOST_WORDS)),
        default_family=take_text(fields, 5, MOST_FAMILY),
        profile=take_text(fields, 6, MOST_TEXT),
        certificates=tuple(_certificate_of(row) for row in take_list(fields, 7, MOST_WORDS)),
        is_attended=fields[8] is True,
        first_day=day_of_or_none(days[0]),
        last_day=day_of_or_none(days[1]),
        point_of_sale=take_int(fields, 10),
    )
    if encode(merchant_map(merchant)) != encode(fields):
        raise Malformed("a merchant entry that is not in its one form")
    return merchant


def _certificate_of(row: Value) -> Certificate:
    match row:
        case [str() as label, str() as number, last_day]:
            return Certificate(text_of(label), text_of(number), day_of_or_none(last_day))
    raise Malformed("a certificate is a label, a number and perhaps a last day")
