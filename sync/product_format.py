"""The programme's products as one signed file that is looked into without being read (docs/formats/products.md).

A signed head with the hash of what follows, then the GTINs in rising order, then the kind of each. A kind is a family
with labels and lists; a million products are of a few hundred kinds. The file is mapped into memory, so that a lookup
touches the index and one block, and the system may forget the rest.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Final, Self

from domain.identity import LONGEST_FAMILY_CODE
from domain.product import Gtin, Product, is_case
from sync.cbor import Map, Value, decode_map, encode, take_bytes, take_int, take_list, take_text
from sync.cose import ContentType, open1, sign1, verify1
from sync.crypto import PublicKey
from sync.errors import Malformed, UnknownVersion
from sync.signed_lists import Sign

MAGIC: Final = b"PANIERP1"
VERSION: Final = 1
KEY_SIZE_B: Final = 5
MOST_PRODUCTS: Final = 20_000_000
MOST_KINDS: Final = 65_535
MOST_LABELS: Final = 16
MOST_LISTS: Final = 32
MOST_HEAD_B: Final = 1_048_576
_SIZE_SIZE_B: Final = 4
_KIND_SIZE_B: Final = 2
_KEYS: Final = 10**12  # 12 digits, which five bytes can hold
_ROW_SIZE_B: Final = 1 + MOST_LABELS // 8 + MOST_LISTS // 8
_MOST_FAMILIES: Final = 256
_BLOCK: Final = 128  # products between two entries of the index
_CHUNK_B: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the head of a product file says.

    Attributes:
        version: grows with each file a centre signs.
        made_at: when it was made (aware UTC, whole seconds).
        source: where the data came from, to be named where it is shown.
        kinds: each different product; entries name them by their place.
        count: products in the file; filled in when it is written.
    """

    version: int
    made_at: datetime
    source: str
    kinds: tuple[Product, ...]
    count: int = 0


def key_of(code: Gtin) -> int | None:
    """The number a GTIN is found by: its digits without the check digit; ``None`` for a case, which is in no file."""
    return None if is_case(code) else int(code[1:-1])


# --- writing ---------------------------------------------------------------------------------------------------------


def write_products(
    path: Path, catalogue: Catalogue, entries: Iterable[tuple[int, int]], key_id: bytes, sign: Sign
) -> Catalogue:
    """Write a product file, whole or not at all, in memory that does not grow with it.

    Args:
        path: where it will stand; what stood there before is replaced at the end.
        catalogue: its head, without the count.
        entries: key (``key_of``) and place of the kind, keys strictly rising.
        key_id, sign: of the list key.

    Returns:
        The catalogue with its count.

    Raises:
        ValueError: keys not rising, too many products, kinds, labels or lists.
        OSError: the disk.
    """
    draft = path.with_name(f"{path.name}.part")
    with TemporaryFile(dir=path.parent) as body, TemporaryFile(dir=path.parent) as kinds:
        count = _write_entries(entries, len(catalogue.kinds), body, kinds)
        kinds.seek(0)
        shutil.copyfileobj(kinds, body, _CHUNK_B)
        body.seek(0)
        whole = Catalogue(catalogue.version, catalogue.made_at, catalogue.source, catalogue.kinds, count)
        head = sign1(ContentType.PRODUCTS, key_id, encode(_head_map(whole, _hash(body))), sign)
        body.seek(0)
        try:
            with draft.open("wb") as out:
                out.write(MAGIC + len(head).to_bytes(_SIZE_SIZE_B, "big") + head)
                shutil.copyfileobj(body, out, _CHUNK_B)
                out.flush()
                os.fsync(out.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return whole


def _write_entries(entries: Iterable[tuple[int, int]], most_kind: int, keys: IO[bytes], kinds: IO[bytes]) -> int:
    last, count = -1, 0
    for key, kind in entries:
        if not last < key < _KEYS or not 0 <= kind < most_kind:
            raise ValueError("products are written in rising order, each of a known kind")
        keys.write(key.to_bytes(KEY_SIZE_B, "big"))
        kinds.write(kind.to_bytes(_KIND_SIZE_B, "big"))
        last, count = key, count + 1
    if count > MOST_PRODUCTS:
        raise ValueError(f"a product file holds at most {MOST_PRODUCTS} products")
    return count


def _hash(body: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while chunk := body.read(_CHUNK_B):
        digest.update(chunk)
    return digest.digest()


def _head_map(catalogue: Catalogue, body_hash: bytes) -> Map:
    kinds = catalogue.kinds
    families = sorted({kind.family for kind in kinds})
    labels = sorted(frozenset().union(*(kind.labels for kind in kinds)))
    lists = sorted(frozenset().union(*(kind.lists for kind in kinds)))
    if max(len(families) - _MOST_FAMILIES, len(labels) - MOST_LABELS, len(lists) - MOST_LISTS) > 0:
        raise ValueError(f"at most {_MOST_FAMILIES} families, {MOST_LABELS} labels and {MOST_LISTS} lists")
    if len(kinds) > MOST_KINDS:
        raise ValueError(f"a product file holds at most {MOST_KINDS} kinds of products")
    rows = b"".join(
        families.index(kind.family).to_bytes(1, "big")
        + _mask(kind.labels, labels).to_bytes(MOST_LABELS // 8, "big")
        + _mask(kind.lists, lists).to_bytes(MOST_LISTS // 8, "big")
        for kind in kinds
    )
    return {
        0: VERSION,
        1: catalogue.version,
        2: int(catalogue.made_at.timestamp()),
        3: catalogue.source,
        4: catalogue.count,
        5: body_hash,
        6: [*families],
        7: [*labels],
        8: [*lists],
        9: rows,
    }


def _mask(words: frozenset[str], table: Sequence[str]) -> int:
    return sum(1 << place for place, word in enumerate(table) if word in words)


# --- reading ---------------------------------------------------------------------------------------------------------


class SignedProducts:
    """A product file, verified and open; a ``domain.product.ProductMap``.

    Use it in a ``with``, or ``close`` it. The file must be replaced whole (by a rename), never written over.
    """

    __slots__ = ("_bytes", "_index", "_keys_at", "_kinds_at", "catalogue")

    def __init__(self, content: mmap.mmap, catalogue: Catalogue, keys_at: int) -> None:
        self.catalogue = catalogue
        self._bytes = content
        self._keys_at = keys_at
        self._kinds_at = keys_at + KEY_SIZE_B * catalogue.count
        self._index = _index_of(content, keys_at, self._kinds_at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.catalogue.count

    def close(self) -> None:
        """Let the file go; nothing is found afterwards."""
        self._bytes.close()

    def find(self, code: Gtin) -> Product | None:
        """The product of this GTIN, or ``None``."""
        key = key_of(code)
        if key is None:
            return None
        block = bisect_right(self._index, key) - 1
        if block < 0:
            return None
        start = self._keys_at + block * _BLOCK * KEY_SIZE_B
        end = min(start + _BLOCK * KEY_SIZE_B, self._kinds_at)
        wanted = key.to_bytes(KEY_SIZE_B, "big")
        at = self._bytes.find(wanted, start, end)
        while at >= 0 and (at - start) % KEY_SIZE_B:  # these bytes across two keys: look on
            at = self._bytes.find(wanted, at + 1, end)
        return None if at < 0 else self._kind((at - self._keys_at) // KEY_SIZE_B)

    def _kind(self, place: int) -> Product:
        at = self._kinds_at + _KIND_SIZE_B * place
        return self.catalogue.kinds[int.from_bytes(self._bytes[at : at + _KIND_SIZE_B], "big")]


def open_products(path: Path, key: PublicKey) -> SignedProducts:
    """A product file, its signature and every byte of it verified.

    Raises:
        Malformed, UnknownVersion, BadSignature: what stands there is no product file signed by ``key``.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < len(MAGIC) + _SIZE_SIZE_B:
            raise Malformed("a product file that is cut short")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        catalogue, keys_at = _verified(content, key)
        return SignedProducts(content, catalogue, keys_at)
    except BaseException:
        content.close()
        raise


def _verified(content: mmap.mmap, key: PublicKey) -> tuple[Catalogue, int]:
    if content[: len(MAGIC)] != MAGIC:
        raise Malformed("not a product file")
    head_at = len(MAGIC) + _SIZE_SIZE_B
    head_size = int.from_bytes(content[len(MAGIC) : head_at], "big")
    if head_size > MOST_HEAD_B:
        raise Malformed("a product file whose head is too long")
    fields = decode_map(
        verify1(open1(content[head_at : head_at + head_size], MOST_HEAD_B), ContentType.PRODUCTS, key), MOST_HEAD_B
    )
    if take_int(fields, 0) != VERSION:
        raise UnknownVersion(f"{ContentType.PRODUCTS} of an unknown version")
    catalogue, body_at = _catalogue_of(fields), head_at + head_size
    if len(content) != body_at + (KEY_SIZE_B + _KIND_SIZE_B) * catalogue.count:
        raise Malformed("a product file of another length than its head says")
    with memoryview(content) as whole, whole[body_at:] as body:
        if hashlib.sha256(body).digest() != take_bytes(fields, 5, 32):
            raise Malformed("a product file that was changed after it was signed")
        if _greatest(body[KEY_SIZE_B * catalogue.count :]) >= len(catalogue.kinds):
            raise Malformed("a product of a kind that is not in the head")
    return catalogue, body_at


def _greatest(kinds: memoryview) -> int:
    """The greatest of these big-endian numbers of two bytes; -1 of none."""
    greatest = -1
    for at in range(0, len(kinds), _CHUNK_B):
        numbers = array("H", bytes(kinds[at : at + _CHUNK_B]))
        if sys.byteorder == "little":
            numbers.byteswap()
        greatest = max(greatest, max(numbers))
    return greatest


def _catalogue_of(fields: Map) -> Catalogue:
    return Catalogue(
        version=take_int(fields, 1),
        made_at=datetime.fromtimestamp(take_int(fields, 2, 2**36), UTC),
        source=take_text(fields, 3),
        kinds=_kinds_of(fields),
        count=take_int(fields, 4, MOST_PRODUCTS),
    )


def _kinds_of(fields: Map) -> tuple[Product, ...]:
    families = _words(take_list(fields, 6, _MOST_FAMILIES), LONGEST_FAMILY_CODE)
    labels = _words(take_list(fields, 7, MOST_LABELS), 64)
    lists = _words(take_list(fields, 8, MOST_LISTS), 64)
    rows = take_bytes(fields, 9, most_b=MOST_KINDS * _ROW_SIZE_B)
    if len(rows) % _ROW_SIZE_B:
        raise Malformed(f"a kind of products has {_ROW_SIZE_B} bytes")
    return tuple(
        _kind_of(rows[at : at + _ROW_SIZE_B], families, labels, lists) for at in range(0, len(rows), _ROW_SIZE_B)
    )


def _kind_of(row: bytes, families: Sequence[str], labels: Sequence[str], lists: Sequence[str]) -> Product:
    labels_end = 1 + MOST_LABELS // 8
    labelled, listed = int.from_bytes(row[1:labels_end], "big"), int.from_bytes(row[labels_end:], "big")
    if row[0] >= len(families) or labelled >> len(labels) or listed >> len(lists):
        raise Malformed("a kind of products names a family, a label or a list that is not in the head")
    return Product(families[row[0]], _named(labelled, labels), _named(listed, lists))


def _named(mask: int, table: Sequence[str]) -> frozenset[str]:
    return frozenset(word for place, word in enumerate(table) if mask >> place & 1)


def _words(items: list[Value], most: int) -> list[str]:
    words = [item for item in items if isinstance(item, str) and len(item) <= most]
    if len(words) != len(items):
        raise Malformed(f"not a list of words of at most {most} characters")
    return words


def _index_of(content: mmap.mmap, start: int, end: int) -> array[int]:
    """Every 128th key, the first one of each block."""
    step = _BLOCK * KEY_SIZE_B
    index = array("Q", (int.from_bytes(content[at : at + KEY_SIZE_B], "big") for at in range(start, end, step)))
    if any(left >= right for left, right in pairwise(index)):
        raise Malformed("products that are not in rising order")
    return index
