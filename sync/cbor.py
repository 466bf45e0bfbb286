"""Deterministic CBOR (RFC 8949 §4.2.1), the only door to cbor2: whole numbers, bytes, text, lists, maps,
true/false/null.

No floats, no tags (so no number beyond 64 bits), no indefinite lengths, depth 4 at most. Map keys are non-negative
whole numbers, where bytewise order and the older length-first order agree. Heads are looked at before anything is
decoded, so that a few bytes never become many values, nor a tag's content anything but bytes. What is read is encoded
again and must give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import cbor2

from sync.errors import Malformed

MOST_DEPTH: Final = 4
MOST_VALUES: Final = 65_536
"""Values in what is decoded at once, unless told otherwise: a tenth of a second for junk made of the smallest ones."""

_BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(2, 8)
_FALSE, _NULL = 20, 22
_LENGTH_B: Final = {24: 1, 25: 2, 26: 4, 27: 8}
Value = int | bytes | str | bool | None | list["Value"] | dict[int, "Value"]
Map = dict[int, Value]


def encode(value: Value, depth: int = MOST_DEPTH) -> bytes:
    """One value as deterministic CBOR.

    Raises:
        Malformed: for a float, a negative or text map key, or more than ``depth`` levels.
    """
    _check(value, depth)
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, max_size_b: int, depth: int = MOST_DEPTH, most_values: int = MOST_VALUES) -> Value:
    """The one value that ``data`` is.

    Raises:
        Malformed: too long, too many values, not deterministic, of a type we never write, or followed by more bytes.
    """
    if len(data) > max_size_b:
        raise Malformed(f"{len(data)} bytes where at most {max_size_b} are read")
    end, _ = _scan(data, 0, depth, most_values)
    if end != len(data):
        raise Malformed("more bytes behind the value")
    value = _load(data)
    if encode(value, depth) != data:
        raise Malformed("not the deterministic encoding of its content")
    return value


def decode_map(data: bytes, max_size_b: int, depth: int = MOST_DEPTH, most_values: int = MOST_VALUES) -> Map:
    """As ``decode``, for a map."""
    value = decode(data, max_size_b, depth, most_values)
    if not isinstance(value, dict):
        raise Malformed("not a map")
    return value


def sequence(items: list[bytes]) -> bytes:
    """A CBOR sequence (RFC 8742) of items already encoded."""
    return b"".join(items)


def split_sequence(data: bytes, max_size_b: int, max_items: int) -> Iterator[bytes]:
    """The encoded items of a CBOR sequence, each checked to be deterministic.

    Raises:
        Malformed: too long, too many items or values, cut short, or not deterministic.
    """
    if len(data) > max_size_b:
        raise Malformed(f"{len(data)} bytes where at most {max_size_b} are read")
    start, count, left = 0, 0, MOST_VALUES
    while start < len(data):
        count += 1
        if count > max_items:
            raise Malformed(f"more than {max_items} items")
        end, values = _scan(data, start, MOST_DEPTH, left)
        item = data[start:end]
        if encode(_load(item)) != item:
            raise Malformed(f"item {count} is not the deterministic encoding of its content")
        yield item
        start, left = end, left - values


def whole_items(data: bytes, max_items: int) -> tuple[list[bytes], str | None]:
    """The whole items at the start of a CBOR sequence, and what is wrong behind them (``None``: nothing).

    For what may have been cut on its way: every item stands for itself, so those that arrived are worth keeping.

    Raises:
        Malformed: more than ``max_items``.
    """
    items: list[bytes] = []
    parts = split_sequence(data, len(data), max_items)
    while True:
        try:
            items.append(next(parts))
        except StopIteration:
            return items, None
        except Malformed as damage:
            if len(items) == max_items:
                raise
            return items, str(damage)


def _scan(data: bytes, start: int, depth: int, most_values: int) -> tuple[int, int]:
    """Where the item at ``start`` ends and how many values it is made of, from the heads alone (RFC 8949 §3).

    Raises:
        Malformed: cut short, too deep, more than ``most_values``, an indefinite length, a tag, a float.
    """
    at, seen = start, 0
    to_come = [1]  # values still to come, for each list or map that is open
    while to_come:
        if to_come[-1] == 0:
            to_come.pop()
            continue
        to_come[-1] -= 1
        seen += 1
        if seen > most_values:
            raise Malformed(f"more than {most_values} values")
        kind, number, at = _head(data, at)
        if kind in (_BYTES, _TEXT):
            at += number
        elif kind in (_LIST, _MAP):
            if len(to_come) > depth:
                raise Malformed("nested too deep")
            to_come.append(number if kind == _LIST else 2 * number)
        if at + to_come[-1] > len(data):
            raise Malformed("not CBOR: cut short")
    return at, seen


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument and the place behind a head."""
    if at >= len(data):
        raise Malformed("not CBOR: cut short")
    kind, number = data[at] >> 5, data[at] & 0x1F
    at += 1
    if kind == _TAG or (kind == _SIMPLE and not _FALSE <= number <= _NULL):
        raise Malformed("a tag, a float or a simple value is not written")
    if number < min(_LENGTH_B):
        return kind, number, at
    size_b = _LENGTH_B.get(number)
    if size_b is None or at + size_b > len(data):
        raise Malformed("not CBOR: an indefinite length, or cut short")
    return kind, int.from_bytes(data[at : at + size_b], "big"), at + size_b


def _load(data: bytes) -> Value:
    try:
        return cast(Value, cbor2.loads(data))
    except (
        cbor2.CBORDecodeError,
        ValueError,
        RecursionError,
        OverflowError,
        MemoryError,
        TypeError,
    ) as fault:
        raise Malformed(f"not CBOR: {type(fault).__name__}") from None


def _check(value: object, depth: int) -> None:
    if isinstance(value, list | dict):
        if depth == 0:
            raise Malformed("nested too deep")
        if isinstance(value, dict):
            _check_keys(value)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth - 1)
    elif not (value is None or isinstance(value, int | bytes | str)):
        raise Malformed(f"{type(value).__name__} is not written")
    elif isinstance(value, int) and not -(2**64) <= value < 2**64:
        raise Malformed("a number beyond 64 bits is not written")


def _check_keys(value: dict[object, object]) -> None:
    for key in value:
        if type(key) is not int or key < 0:
            raise Malformed("map keys are whole numbers from 0")


def whole(value: Value, most: int = 2**63 - 1) -> int:
    """The value as a whole number, 0 to ``most``; Malformed otherwise. (The pattern ``int()`` takes true and false.)"""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Malformed(f"not a whole number from 0 to {most}")
    return value


def take_int(fields: Map, key: int, most: int = 2**63 - 1) -> int:
    """The whole number under ``key``, 0 to ``most``; Malformed otherwise."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Malformed(f"field {key} is not a whole number from 0 to {most}")
    return value


def take_bytes(fields: Map, key: int, size_b: int | None = None, most_b: int = 65_536) -> bytes:
    """The bytes under ``key``, of exactly ``size_b`` or at most ``most_b``; Malformed otherwise."""
    value = fields.get(key)
    if not isinstance(value, bytes) or len(value) > most_b or (size_b is not None and len(value) != size_b):
        raise Malformed(f"field {key} is not the bytes it should be")
    return value


def take_text(fields: Map, key: int, most: int = 200) -> str:
    """The text under ``key``, at most ``most`` characters; Malformed otherwise."""
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > most:
        raise Malformed(f"field {key} is not a text of at most {most} characters")
    return value


def take_list(fields: Map, key: int, most: int = 10_000) -> list[Value]:
    """The list under ``key``, at most ``most`` items; Malformed otherwise."""
    value = fields.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise Malformed(f"field {key} is not a list of at most {most} items")
    return value


def take_map(fields: Map, key: int) -> Map:
    """The map under ``key``; Malformed otherwise."""
    value = fields.get(key)
    if not isinstance(value, dict):
        raise Malformed(f"field {key} is not a map")
    return value
