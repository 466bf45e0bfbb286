from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import cbor
from sync.cose import ContentType, open1, sign1, verify1
from sync.crypto import new_private_key, sign
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion

leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.binary(max_size=40), st.text(max_size=20))
keys = st.integers(0, 70_000)
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)), max_leaves=8
)


def depth(value: object) -> int:
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((depth(item) for item in inner), default=0)
    return 0


@given(values.filter(lambda value: depth(value) <= 4))
def test_what_is_written_is_read_back_the_same(value: cbor.Value) -> None:
    assert cbor.decode(cbor.encode(value), 100_000) == value


@given(leaves, st.integers(5, 12))
def test_nothing_nested_deeper_than_four_is_written(value: cbor.Value, levels: int) -> None:
    for _ in range(levels):
        value = [value]
    with pytest.raises(Malformed):
        cbor.encode(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_their_own_encoding_or_refused(data: bytes) -> None:
    try:
        value = cbor.decode(data, 100)
    except Malformed:
        return
    assert cbor.encode(value) == data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("a201020103", "the same key twice"),
        ("1801", "a number longer than needed"),
        ("a202010101", "keys out of order"),
        ("0102", "something behind the value"),
        ("fb3ff0000000000000", "a float"),
        ("f93c00", "a half float"),
        ("9f01ff", "an endless list"),
        ("c101", "a tag"),
        ("a12001", "a negative key"),
        ("a1616101", "a text key"),
        ("818181818101", "five levels"),
        ("f7", "undefined"),
        ("", "nothing"),
        ("5a7fffffff00", "a length it does not have"),
    ],
)
def test_only_the_one_deterministic_writing_is_read(data: str, what: str) -> None:
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex(data), 100)


def test_keys_of_one_two_and_three_bytes_stand_in_the_order_both_standards_agree_on() -> None:
    assert cbor.encode({256: 1, 24: 2, 10: 3}).hex() == "a30a0318180219010001"


def test_a_sequence_is_taken_apart_item_by_item_and_a_cut_one_is_refused() -> None:
    items = [cbor.encode({0: 1}), cbor.encode([b"x", None]), cbor.encode(7)]
    data = cbor.sequence(items)
    assert list(cbor.split_sequence(data, 100, 3)) == items
    with pytest.raises(Malformed):
        list(cbor.split_sequence(data[:-3], 100, 3))
    with pytest.raises(Malformed):
        list(cbor.split_sequence(data, 100, 2))


KEY = new_private_key()


def envelope(content_type: str = ContentType.RECORD) -> bytes:
    return sign1(content_type, b"terminal", cbor.encode({0: 1}), lambda message: sign(KEY, message))


def test_a_signed_thing_is_verified_as_what_it_is_and_as_nothing_else() -> None:
    opened = open1(envelope(), 1_000)
    assert verify1(opened, ContentType.RECORD, KEY.public_key()) == cbor.encode({0: 1})
    with pytest.raises(UnknownVersion):
        verify1(opened, ContentType.ANSWER, KEY.public_key())
    with pytest.raises(BadSignature):
        verify1(opened, ContentType.RECORD, new_private_key().public_key())


def test_no_bit_of_a_signed_thing_can_be_changed() -> None:
    original = envelope()
    for place in range(len(original) * 8):
        changed = bytearray(original)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(FormatError):
            verify1(open1(bytes(changed), 1_000), ContentType.RECORD, KEY.public_key())
