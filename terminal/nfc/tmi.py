"""Transaction MAC input: the bytes a card's proof is over, item by item as they are exchanged.

Each item is zero-padded to whole blocks and holds plain data (MF2DL(H)x0 rev 3.3 §10.3.4; docs/formats/card.md).
Reads count too, except those of the TMAC file itself.
"""

from __future__ import annotations

from typing import Final

from terminal.nfc.apdu import Ins

_BLOCK_B: Final = 16


def zero_padded(data: bytes) -> bytes:
    """Data with zeros up to a whole block; whole blocks, and nothing, stay as they are."""
    return data + bytes(-len(data) % _BLOCK_B)


def file_item(ins: int, file: int, offset: int, data: bytes) -> bytes:
    """Data read from or written to a file at ``offset`` (bytes), or a record written."""
    head = bytes([ins, file]) + little(offset, 3) + little(len(data), 3)
    return zero_padded(head) + zero_padded(data)


def records_item(ins: int, file: int, newest: int, count: int, data: bytes) -> bytes:
    """Records read: ``newest`` is the number of the newest one (0 = newest of all), ``count`` how many."""
    return zero_padded(bytes([ins, file]) + little(newest, 3) + little(count, 3)) + zero_padded(data)


def value_item(ins: int, file: int, amount: int) -> bytes:
    """A value read or debited, in cents."""
    return zero_padded(bytes([ins, file]) + little(amount, 4))


def reader_id_item(reader_id: bytes, enciphered_previous: bytes) -> bytes:
    """The reader id committed (16 B) and the one before it as the card gave it, enciphered (16 B)."""
    return zero_padded(bytes([Ins.COMMIT_READER_ID]) + reader_id + enciphered_previous)


def little(number: int, size_b: int) -> bytes:
    """A number in the card's own order, least significant byte first."""
    return number.to_bytes(size_b, "little")
