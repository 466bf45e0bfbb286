"""The example of a payment in tests/vectors/records.json: read as it says, written to the same bytes, decided again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from domain.identity import Uid
from sync.card_format import decode_entitlement, read_slip
from sync.cbor import Map, Value, decode_map, encode, take_bytes, take_int
from sync.cose import ContentType, sign1
from sync.crypto import new_private_key, public_key, sign
from sync.merchant_format import read_merchant
from sync.record import BODY_VERSION, MOST_RECORD_B, Pay, RecordType, open_record, seal_record, verify_record
from sync.replay import decide_again, is_as_written
from sync.rule_format import read_rule_set
from sync.tmac import is_proven, parse

ROOT = Path(__file__).parents[2]
VECTOR: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "records.json").read_text())
PAPER = (ROOT / "docs" / "formats" / "record.md").read_text()


def raw(name: str) -> bytes:
    return bytes.fromhex(VECTOR[name])


def from_json(value: Any) -> Value:
    """The value a vector says: byte strings as h'…' (RFC 8949 §8), map keys as their digits."""
    if isinstance(value, dict):
        return {int(key): from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, str) and value.startswith("h'"):
        return bytes.fromhex(value[2:-1])
    assert value is None or isinstance(value, str | int)
    return value


def to_json(value: Value) -> Any:
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return f"h'{value.hex()}'" if isinstance(value, bytes) else value


def test_what_the_vector_says_is_encoded_to_its_bytes() -> None:
    fields = from_json(VECTOR["fields"])
    assert encode(fields) == raw("payload")
    header: Map = {1: -7, 3: ContentType.RECORD, 4: b"term-002"}
    assert encode([encode(header), {}, encode(fields), raw("signature")]) == raw("record")


def test_the_vectors_bytes_say_what_it_says() -> None:
    signed, _ = open_record(raw("record"))
    assert (signed.payload, signed.signature) == (raw("payload"), raw("signature"))
    assert to_json(decode_map(signed.payload, MOST_RECORD_B)) == VECTOR["fields"]


def test_the_record_read_and_sealed_again_is_the_same_record_and_its_terminal_signed_it() -> None:
    signed, envelope = open_record(raw("record"))
    verify_record(signed, public_key(raw("device_key")))
    assert (envelope.type, envelope.body[Pay.VERSION]) == (RecordType.PAYMENT, BODY_VERSION)
    assert seal_record(envelope, lambda _message: raw("signature")) == raw("record")


def test_the_card_proves_it_and_its_counters_follow_from_what_is_written() -> None:
    body = open_record(raw("record"))[1].body
    tmi, uid = take_bytes(body, Pay.TMI), Uid(take_bytes(body, Pay.UID, 7))
    assert is_proven(raw("tmac_key"), take_int(body, Pay.TMC), uid, tmi, take_bytes(body, Pay.TMV, 8))
    facts = parse(tmi)
    assert [[int(item.file), int(item.value)] for item in facts.values] == body[Pay.VALUES]
    assert [[int(item.file), int(item.amount)] for item in facts.debits] == body[Pay.DEBITS]


def test_it_is_decided_again_as_it_is_written() -> None:
    _, envelope = open_record(raw("record"))
    key = new_private_key()

    def signed(content_type: str, name: str) -> bytes:
        return sign1(content_type, b"lists", raw(name), lambda message: sign(key, message))

    rules = read_rule_set(signed(ContentType.RULE_SET, "rule_set"), key.public_key())
    merchant = read_merchant(signed(ContentType.MERCHANT, "merchant"), key.public_key())
    assert (rules.version, merchant.version) == (envelope.rules_version, envelope.body[Pay.MERCHANT_VERSION])
    assert merchant.point_of_sale == envelope.body[Pay.POINT_OF_SALE]
    facts = parse(take_bytes(envelope.body, Pay.TMI))
    uid = Uid(take_bytes(envelope.body, Pay.UID, 7))
    word = decode_entitlement(facts.entitlement_in_force, uid, lambda _: public_key(raw("entitlement_key"))).entitlement
    assert [word.epoch, word.seq] == envelope.body[Pay.ENTITLEMENT]
    slips = [read_slip(data) for data in facts.slips_read]
    assert [[int(slip.station), slip.seq] for slip in slips] == envelope.body[Pay.SLIPS_COUNTED]
    assert is_as_written(decide_again(envelope, rules, merchant, word, slips), envelope.body)


def test_the_paper_names_every_field_a_payment_or_void_may_have() -> None:
    """The first column of its table, 37 being reserved for refunds."""
    table = PAPER.split("## Body of payment")[1].split("## Body of resolution")[0]
    columns = re.findall(r"^\| ([0-9, to]+) \|", table, re.MULTILINE)
    named = {int(number) for column in columns for number in column.split(",")}
    keys = {number for name in vars(Pay) if name.isupper() and isinstance(number := getattr(Pay, name), int)}
    assert named == keys - {Pay.VERSION} | {37}


def test_the_bytes_the_paper_quotes_are_those_of_the_vector() -> None:
    quoted = re.findall(r"^\| `([0-9a-f]+)` \| \d+: ", PAPER, re.MULTILINE)
    assert len(quoted) > 20
    assert [piece for piece in quoted if piece not in VECTOR["payload"]] == []
