"""Enrolment: the code a technician types, proof of possession, and a centre that must be the code's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import Station, TerminalId
from domain.money import Cents
from sync.crypto import PrivateKey, new_private_key, public_bytes, sign
from sync.enrolment import (
    Certificate,
    OneTimeCode,
    Request,
    Response,
    encode_certificate,
    encode_request,
    encode_response,
    fingerprint,
    read_certificate,
    read_code,
    read_request,
    read_response,
)
from sync.errors import BadSignature, FormatError, Malformed
from sync.signed_lists import CentreKeys, encode_centre_keys

ROOT, DEVICE, THIEF = (new_private_key() for _ in range(3))
CODE = OneTimeCode(bytes(range(10)), fingerprint(ROOT.public_key()))
CERTIFICATE = Certificate(
    terminal=TerminalId(b"terminal"),
    epoch=1,
    station=Station(7),
    merchant=12,
    programme="gers",
    device_key=DEVICE.public_key(),
    offline_cap=Cents(200_000),
    card_cap=Cents(8_000),
    caps_version=1,
    valid_from=datetime(2026, 12, 1, tzinfo=UTC),
    valid_until=datetime(2027, 12, 1, tzinfo=UTC),
)


def response(root: PrivateKey = ROOT, certificate: Certificate = CERTIFICATE, signer: PrivateKey = ROOT) -> bytes:
    public = new_private_key().public_key()
    keys = encode_centre_keys(CentreKeys(1, {1: public}, {1: public}, public, public), b"root", lambda m: sign(root, m))
    signed = encode_certificate(certificate, b"root", lambda m: sign(signer, m))
    return encode_response(Response(root.public_key(), signed, keys, b""))


@settings(max_examples=200, deadline=None)
@given(secret=st.binary(min_size=10, max_size=10), mark=st.binary(min_size=10, max_size=10))
def test_a_code_survives_being_typed(secret: bytes, mark: bytes) -> None:
    code = OneTimeCode(secret, mark)
    assert read_code(code.text) == code
    sloppy = code.text.lower().replace("-", "  ").replace("0", "o").replace("1", "l")
    assert read_code(sloppy) == code


@pytest.mark.parametrize(
    "typed",
    ["", "0000", CODE.text[:-1], CODE.text + "0", CODE.text.replace("0", "U", 1), "é" * 32],
    ids=["nothing", "too short", "one letter less", "one more", "a letter no code has", "no letter of a code"],
)
def test_a_mistyped_code_is_refused_before_anything_is_sent(typed: str) -> None:
    with pytest.raises(Malformed):
        read_code(typed)


def test_the_secret_of_a_code_is_never_printed() -> None:
    assert "x01" not in repr(OneTimeCode(bytes(range(10)), bytes(10)))


def test_a_request_proves_that_its_sender_holds_the_key() -> None:
    request = Request(CODE.secret, DEVICE.public_key(), "panier 0.1.0")
    read = read_request(encode_request(request, lambda message: sign(DEVICE, message)))
    assert (read.secret, public_bytes(read.device_key), read.software) == (
        CODE.secret,
        public_bytes(DEVICE),
        "panier 0.1.0",
    )
    with pytest.raises(BadSignature):
        read_request(encode_request(request, lambda message: sign(THIEF, message)))


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_is_no_request(noise: bytes) -> None:
    with pytest.raises(FormatError):
        read_request(noise)


def test_an_enrolled_terminal_knows_what_the_centre_says_it_is() -> None:
    enrolled = read_response(response(), CODE, DEVICE.public_key())
    assert replace(enrolled.certificate, device_key=CERTIFICATE.device_key) == CERTIFICATE
    assert public_bytes(enrolled.response.root) == public_bytes(ROOT)
    assert enrolled.download.items == ()


def test_whoever_stands_between_cannot_pass_for_the_centre() -> None:
    with pytest.raises(BadSignature):
        read_response(response(root=THIEF, signer=THIEF), CODE, DEVICE.public_key())


def test_a_certificate_the_root_did_not_sign_is_refused() -> None:
    with pytest.raises(BadSignature):
        read_response(response(signer=THIEF), CODE, DEVICE.public_key())


def test_a_certificate_for_another_device_is_refused() -> None:
    other = replace(CERTIFICATE, device_key=THIEF.public_key())
    with pytest.raises(Malformed):
        read_response(response(certificate=other), CODE, DEVICE.public_key())


def test_no_bit_of_a_certificate_can_change() -> None:
    signed = encode_certificate(CERTIFICATE, b"root", lambda message: sign(ROOT, message))
    for place in range(len(signed)):
        altered = bytearray(signed)
        altered[place] ^= 1 << place % 8
        with pytest.raises(FormatError):
            read_certificate(bytes(altered), ROOT.public_key())
