"""Caps hold before anything is taken apart: junk never becomes more than a few values, tags never anything at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.identity import CardId, Uid
from sync import cbor
from sync.batch import MOST_ANSWER_B, MOST_BATCH_B, decode_batch
from sync.bundle import MOST_BUNDLE_B, Item, Kind, encode_bundle, read_bundle, split_bundle
from sync.cose import open1
from sync.enrolment import MOST_REQUEST_B, MOST_RESPONSE_B, read_certificate, read_request, read_response
from sync.errors import FormatError, Malformed
from sync.record import MOST_RECORD_B, open_record
from sync.signed_lists import MOST_CARDS, MOST_LIST_B, EntitlementDelta, encode_entitlements, read_entitlements
from sync.tmac import MOST_TMI_B, parse
from terminal.errors import CardMisbehaves
from terminal.json_lines import MOST_LINE_B, BadLine
from terminal.json_lines import read_request as read_json_line
from terminal.nfc.apdu import MOST_ANSWER_B as MOST_CARD_ANSWER_B
from terminal.nfc.apdu import unwrap
from tests.fuzz.targets import (
    CODE,
    DEVICE,
    KEYS,
    LISTS,
    ROOT,
    TERMINAL,
    by,
    entitlement,
    read_answer,
    read_key_table,
    slot,
    socket_till,
)


def zeros(count: int) -> bytes:
    """A list of that many zeros: a byte each, and thirty times as much once it is decoded."""
    return b"\x9a" + count.to_bytes(4, "big") + bytes(count)


CAPS: dict[str, tuple[Callable[[bytes], object], int]] = {
    "a batch": (decode_batch, MOST_BATCH_B),
    "a record": (open_record, MOST_RECORD_B),
    "an answer": (read_answer, MOST_ANSWER_B),
    "a bundle": (split_bundle, MOST_BUNDLE_B),
    "a list": (lambda data: read_entitlements(data, LISTS.public_key()), MOST_LIST_B),
    "an enrolment request": (read_request, MOST_REQUEST_B),
    "an enrolment response": (lambda data: read_response(data, CODE, DEVICE.public_key()), MOST_RESPONSE_B),
    "a certificate": (lambda data: read_certificate(data, ROOT.public_key()), 1_024),
    "a TMI": (parse, MOST_TMI_B),
    "a JSON line": (read_json_line, MOST_LINE_B),
    "a card's answer": (unwrap, MOST_CARD_ANSWER_B),
}


@pytest.mark.parametrize("name", CAPS)
def test_a_byte_more_than_the_cap_is_refused_for_its_length(name: str) -> None:
    read, most_b = CAPS[name]
    with pytest.raises((FormatError, BadLine, CardMisbehaves), match=r"bytes|too long|longer"):
        read(bytes(most_b + 1))


@pytest.mark.parametrize(
    "junk",
    [zeros(8_000_000), b"\x9a" + (2_000_000).to_bytes(4, "big") + b"\x82\x80\x80" * 2_000_000],
    ids=["zeros", "lists of lists"],
)
def test_a_bundle_of_junk_is_given_up_after_so_many_values(junk: bytes) -> None:
    """It is read while the till's core waits: twenty seconds it took before anything counted."""
    with pytest.raises(Malformed, match="more than 65536 values"):
        split_bundle(junk)


def test_of_an_envelope_nobody_signed_nothing_more_than_its_parts_is_decoded() -> None:
    with pytest.raises(Malformed, match="more than 5 values"):
        open1(zeros(65_530), MOST_LIST_B)
    bundle = encode_bundle([Item(kind, 1, zeros(130_000)) for kind in list(Kind)[:6] * 10])
    problems = read_bundle(bundle, ROOT.public_key(), KEYS, TERMINAL).problems
    assert len(problems) == 60
    assert {problem.sentence for problem in problems} == {"more than 5 values"}


@pytest.mark.parametrize(
    "data",
    ["c249010000000000000000", "c34101", "d82361615b", "c482010a", "d81c80", "d9010280", "d9010444c0a80001", "d864 00"],
    ids=["bignum", "negative bignum", "pattern", "decimal", "shared", "set", "address", "date"],
)
def test_a_tag_is_refused_before_its_content_is_looked_at(data: str) -> None:
    with pytest.raises(Malformed, match="a tag"):
        cbor.decode(bytes.fromhex(data), 100)


@pytest.mark.parametrize("number", [2**64, -(2**64) - 1])
def test_a_number_beyond_64_bits_is_not_written_either(number: int) -> None:
    with pytest.raises(Malformed, match="64 bits"):
        cbor.encode(number)
    assert cbor.decode(cbor.encode(number // 2), 100) == number // 2


def test_a_list_that_says_it_is_longer_than_the_bytes_left_is_refused_at_its_head() -> None:
    for head in ("9bffffffffffffffff", "bb00000000ffffffff", "5bffffffffffffffff", "9a00000003", "82"):
        with pytest.raises(Malformed, match="cut short"):
            cbor.decode(bytes.fromhex(head) + b"\x00", 100)


def test_the_greatest_lists_there_may_be_are_still_read() -> None:
    shares: list[cbor.Value] = [[first_day, 6_000] for first_day in (20_513, 20_544, 20_574, 20_605)]
    row: list[cbor.Value] = [CardId(b"card-one"), Uid(b"\x04chip-1"), "gers", b"\x01\x02\x03", 2**31, bytes(16), shares]
    table = cbor.encode([row] * MOST_CARDS)
    assert len(table) < MOST_LIST_B
    assert len(read_key_table(table)) == MOST_CARDS  # type: ignore[arg-type]
    short = entitlement(slot())[:60]
    words = EntitlementDelta(0, 1, ((Uid(b"\x04chip-1"), short),) * MOST_CARDS)
    signed = encode_entitlements(words, b"lists", by(LISTS))
    assert len(read_entitlements(signed, LISTS.public_key()).entries) == MOST_CARDS


@pytest.mark.parametrize(
    "arguments",
    [[bytes(300_000), 256, 262_144], [bytes(15), 256, 262_144], [bytes(16), -1, 262_144], [bytes(16), 256, -1]],
    ids=["a nonce longer than a batch", "a short nonce", "less than no records", "less than no bytes"],
)
def test_a_request_with_impossible_numbers_gets_a_reply_and_no_batch(arguments: list[cbor.Value]) -> None:
    reply = socket_till().server._reply({0: 1, 1: "batch", 2: arguments})
    assert reply[1] is False
