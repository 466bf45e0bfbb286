"""The bytes of a merchant entry and of a certificate of a terminal (docs/formats/bundle.md, enrolment.md)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from domain.identity import Station, TerminalId
from domain.money import Cents
from domain.rule_set import Certificate as LabelCertificate
from domain.rule_set import Merchant
from sync.cbor import Map, decode_map, encode
from sync.cose import ContentType, open1, sign1
from sync.crypto import new_private_key, public_bytes, public_key, sign
from sync.enrolment import Certificate, encode_certificate, read_certificate
from sync.errors import Malformed
from sync.merchant_format import merchant_payload, read_payload

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merchants.json").read_text(encoding="utf-8"))
STALL = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables")
ENTRIES = {
    "with nothing but a name, a group and a family": STALL,
    "with all there is to say, of a second point of sale": Merchant(
        12,
        7,
        "Ferme du Moulin, magasin",
        frozenset({"sustainable", "referenced"}),
        "dairy",
        "farm-shop",
        (LabelCertificate("local", "", None), LabelCertificate("organic", "FR-BIO-01-12345", date(2026, 12, 31))),
        is_attended=False,
        first_day=date(2026, 1, 1),
        last_day=date(2027, 6, 30),
        point_of_sale=2,
    ),
}
ROOT = new_private_key()


def certificate(point_of_sale: int) -> Certificate:
    return Certificate(
        terminal=TerminalId(b"terminal"),
        epoch=1,
        station=Station(7),
        merchant=12,
        programme="gers",
        device_key=public_key(bytes.fromhex(VECTORS["device_key"])),
        offline_cap=Cents(200_000),
        card_cap=Cents(8_000),
        caps_version=1,
        valid_from=datetime(2026, 12, 1, tzinfo=UTC),
        valid_until=datetime(2027, 12, 1, tzinfo=UTC),
        point_of_sale=point_of_sale,
    )


@pytest.mark.parametrize("says", ENTRIES)
def test_entries_have_the_bytes_that_are_published(says: str) -> None:
    payload = bytes.fromhex(VECTORS["entries"][says])
    assert merchant_payload(ENTRIES[says]) == payload
    assert read_payload(payload) == ENTRIES[says]


@pytest.mark.parametrize("point_of_sale", [1, 2])
def test_a_certificate_names_the_point_of_sale_unless_it_is_the_first(point_of_sale: int) -> None:
    signed = encode_certificate(certificate(point_of_sale), b"root", lambda message: sign(ROOT, message))
    assert open1(signed, 1_024).payload.hex() == VECTORS["certificates"][str(point_of_sale)]
    read = read_certificate(signed, ROOT.public_key())
    assert public_bytes(read.device_key).hex() == VECTORS["device_key"]
    assert replace(certificate(point_of_sale), device_key=read.device_key) == read


@pytest.mark.parametrize("spoilt", ["zwei", -1, True, None])
def test_a_certificate_of_no_point_of_sale_is_refused(spoilt: str | int | None) -> None:
    fields: Map = {**decode_map(bytes.fromhex(VECTORS["certificates"]["2"]), 1_024), 13: spoilt}
    signed = sign1(ContentType.CERTIFICATE, b"root", encode(fields), lambda message: sign(ROOT, message))
    with pytest.raises(Malformed):
        read_certificate(signed, ROOT.public_key())
