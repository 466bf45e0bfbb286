"""Good examples made bad: bytes changed, cut, repeated and joined, and CBOR values put in the place of others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from sync.cbor import Value, decode, encode
from sync.errors import FormatError

MOST_INPUT_B: Final = 65_536
_ODD_BYTES: Final = (0x00, 0x01, 0x0F, 0x10, 0x17, 0x18, 0x1B, 0x1F, 0x40, 0x5F, 0x7F, 0x80, 0x91, 0x9F, 0xA0, 0xAF)
_HEADS: Final = tuple(
    bytes.fromhex(head)
    for head in (
        "1bffffffffffffffff",
        "3bffffffffffffffff",
        "5affffffff",
        "9affffffff",
        "bbffffffffffffffff",
        "c2",
        "d81c",
        "d823",
        "f97e00",
        "f7",
        "ff",
        "9fff",
        "5f40ff",
    )
)
_ODD_NUMBERS: Final = (
    0,
    1,
    2,
    8,
    9,
    23,
    24,
    255,
    256,
    0xFFFF,
    0xFFFFFF,
    2**31,
    2**32,
    2**36,
    2**36 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -1,
    -(2**31),
    -(2**63),
    -(2**64),
)
_ODD_VALUES: Final[tuple[Value, ...]] = (
    None,
    True,
    False,
    b"",
    "",
    [],
    {},
    b"\x00" * 7,
    b"\x04" + bytes(64),
    "é\u202f\x00",
    "x" * 300,
    "../../etc/passwd",
    "Europe/Paris",
    [[]],
    {0: {0: 0}},
    *_ODD_NUMBERS,
)
MOST_DEPTH: Final = 8


class Mutator:
    """One seeded source of bad inputs."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def of(self, examples: Sequence[bytes], *, is_cbor: bool) -> bytes:
        """A mutation of one of the examples."""
        data = self._dice.choice(examples)
        if is_cbor and self._dice.random() < 0.6:
            data = self._of_tree(data)
            if self._dice.random() < 0.8:
                return data[:MOST_INPUT_B]
        for _ in range(self._dice.choice((1, 1, 1, 2, 3, 8))):
            data = self._once(data, examples)[:MOST_INPUT_B]
        return data[:MOST_INPUT_B]

    def _once(self, data: bytes, examples: Sequence[bytes]) -> bytes:
        dice, size = self._dice, len(data)
        at, to = sorted((dice.randint(0, size), dice.randint(0, size)))
        match dice.randrange(10):
            case 0 | 1 if size:
                at = dice.randrange(size)
                return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
            case 2 if size:
                at = dice.randrange(size)
                return data[:at] + bytes([dice.choice(_ODD_BYTES)]) + data[at + 1 :]
            case 3:
                return data[:at] + dice.randbytes(dice.choice((1, 2, 4, 8, 16))) + data[at:]
            case 4:
                return data[:at] + data[at + dice.choice((1, 2, 4, 16)) :]
            case 5:
                return data[:at]
            case 6:
                return data[:to] + data[at:to] * dice.choice((1, 2, 50)) + data[to:]
            case 7:
                number = dice.choice(_ODD_NUMBERS) & (2**64 - 1)
                size_b, order = dice.choice((1, 2, 3, 4, 8)), dice.choice(("big", "little"))
                word = (number & (256**size_b - 1)).to_bytes(size_b, order)  # type: ignore[arg-type]
                return data[:at] + word + data[at + size_b :]
            case 8:
                return data[:at] + dice.choice(_HEADS) + data[at + dice.choice((0, 1, 2)) :]
            case _:
                other = dice.choice(examples)
                return data[:at] + other[dice.randint(0, len(other)) :]

    def _of_tree(self, data: bytes) -> bytes:
        """The same CBOR with some value changed; the bytes as they are when it is no CBOR."""
        try:
            value = decode(data, len(data), MOST_DEPTH)
            for _ in range(self._dice.choice((1, 1, 2, 4))):
                value = self._changed(value)
            return encode(value, MOST_DEPTH)
        except FormatError:
            return data

    def _changed(self, value: Value, depth: int = 0) -> Value:
        dice = self._dice
        if isinstance(value, dict) and value and dice.random() < 0.9:
            return self._changed_map(value, depth)
        if isinstance(value, list) and value and dice.random() < 0.9:
            return self._changed_list(value, depth)
        if isinstance(value, int) and not isinstance(value, bool) and dice.random() < 0.5:
            return value + dice.choice((-256, -1, 1, 256))
        if isinstance(value, bytes) and value and dice.random() < 0.6:
            return self._once(value, (value,))
        return dice.choice(_ODD_VALUES)

    def _changed_map(self, value: dict[int, Value], depth: int) -> Value:
        key = self._dice.choice(list(value))
        match self._dice.randrange(6):
            case 0:
                return {other: kept for other, kept in value.items() if other != key}
            case 1:
                return {**value, self._dice.choice((0, 1, 5, 255, 2**32)): self._dice.choice(_ODD_VALUES)}
            case _:
                return {**value, key: self._changed(value[key], depth + 1)}

    def _changed_list(self, value: list[Value], depth: int) -> Value:
        at = self._dice.randrange(len(value))
        match self._dice.randrange(8):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[:at] + [value[at]] * self._dice.choice((2, 3, 70)) + value[at + 1 :]
            case 2:
                return [*value, self._dice.choice(_ODD_VALUES)]
            case _:
                return [*value[:at], self._changed(value[at], depth + 1), *value[at + 1 :]]
