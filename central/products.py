"""The programme's product file from an extract of Open Food Facts that somebody downloaded: GTIN → family and labels.

Reads the tab-separated export (``code``, ``categories_tags``, ``labels_tags`` among its columns), comma- or
semicolon-separated files with the same column names, or one JSON object a line; each as it is or gzipped. Rows come one
by one and are sorted in runs on disk, so that memory does not grow with the extract. A bad row is counted, never fatal.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import json
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from domain.family import Family, TagTable, tag_table
from domain.product import CodeFault, Gtin, Product, WrongCode, gtin, is_in_store, labels_of
from sync.product_format import Catalogue, key_of, write_products
from sync.signed_lists import Sign

SOURCE: Final = "Open Food Facts (openfoodfacts.org), ODbL 1.0"
MOST_LINE_B: Final = 16_777_216
RUN_SIZE: Final = 262_144
_READ_B: Final = 65_536
_GZIP: Final = b"\x1f\x8b"
_KIND_BITS: Final = 16
_CODE, _CATEGORIES, _LABELS = "code", "categories_tags", "labels_tags"


class ExtractMistake(Exception):
    """An extract or a list that cannot be used; says why and what to do, in French."""


class Left(StrEnum):
    """Why a row is not in the file."""

    DAMAGED = "damaged row"
    NO_CODE = "no code of 8, 12, 13 or 14 digits"
    CHECK_DIGIT = "wrong check digit"
    IN_STORE = "code of one shop only"
    CASE = "code of a case, not of an article"
    NO_CATEGORY = "no category"
    UNKNOWN_CATEGORY = "no category that means a family"
    DOUBLE = "the same product again"
    DISAGREES = "the same code with different families, labels or lists"


@dataclass(frozen=True, slots=True)
class ProductList:
    """A list of products a rule set names: its name, and its codes, each with a family or ``None`` (the extract's)."""

    name: str
    codes: Mapping[Gtin, str | None]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an extract.

    Attributes:
        rows: rows read.
        written: products in the file.
        left: rows that are not, by reason.
        by_family: products by family code.
        absent: codes of each list that are in no row and have no family of their own, by list name.
    """

    rows: int
    written: int
    left: Mapping[Left, int]
    by_family: Mapping[str, int]
    absent: Mapping[str, tuple[Gtin, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an extract: the code as it stands there, its categories and labels, general ones first."""

    code: str
    categories: Sequence[str]
    labels: Sequence[str]


def build_products(
    extract: Path,
    out: Path,
    *,
    families: Mapping[str, Family],
    lists: Sequence[ProductList],
    version: int,
    made_at: datetime,
    key_id: bytes,
    sign: Sign,
) -> Report:
    """Read the extract and write the signed product file.

    Raises:
        ExtractMistake: no extract, cut short, without the columns that are needed, or too rich for one file.
        OSError: the disk.
    """
    for_one_file = _Products(tag_table(families), lists)
    with ExitStack() as runs:
        with _opened(extract) as stream:
            numbers = _merged_runs(for_one_file.numbers(_rows_of(stream, extract.name)), out.parent, runs)
        entries = for_one_file.entries(numbers)
        try:
            catalogue = Catalogue(version, made_at, SOURCE, for_one_file.kinds)
            written = write_products(out, catalogue, entries, key_id, sign).count
        except ValueError as fault:
            raise ExtractMistake(f"{extract.name} ne tient pas dans un fichier de produits : {fault}.") from None
    return for_one_file.report(written)


def read_list(name: str, path: Path, families: Mapping[str, Family]) -> ProductList:
    """A list from a text file: one code a line, behind it a tab and a family where the extract's is not meant.

    Raises:
        ExtractMistake: the line that is wrong; a list is never taken in part.
    """
    codes: dict[Gtin, str | None] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ExtractMistake(f"La liste {path.name} ne se lit pas : donnez un fichier texte en UTF-8.") from None
    for number, line in enumerate(lines, 1):
        written, _, family = line.partition("\t")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            code = gtin(written)
        except WrongCode:
            raise ExtractMistake(
                f"{path.name}, ligne {number} : « {written.strip()[:20]} » n'est pas un code."
            ) from None
        if family.strip() and family.strip() not in families:
            raise ExtractMistake(f"{path.name}, ligne {number} : la famille « {family.strip()[:40]} » n'existe pas.")
        if is_in_store(code) or key_of(code) is None:
            raise ExtractMistake(
                f"{path.name}, ligne {number} : {written.strip()} est un code de magasin ou de carton, pas d'article."
            )
        codes[code] = family.strip() or None
    return ProductList(name, codes)


# --- from rows to entries ---------------------------------------------------------------------------------------------


class _Products:
    """What is learnt while rows go by: kinds, counts, and which codes of the lists were met."""

    def __init__(self, tags: TagTable, lists: Sequence[ProductList]) -> None:
        self._tags = tags
        self._kinds: dict[Product, int] = {}
        self._lists = lists
        self._listed: dict[Gtin, frozenset[str]] = {}
        self._told: dict[Gtin, str] = {}
        for entry in lists:
            for code, family in entry.codes.items():
                self._listed[code] = self._listed.get(code, frozenset()) | {entry.name}
                if family is not None:
                    self._told[code] = family
        self._met: set[Gtin] = set()
        self._rows = 0
        self._left: Counter[Left] = Counter()
        self._by_kind: Counter[int] = Counter()

    @property
    def kinds(self) -> tuple[Product, ...]:
        """Each different product, in the order met."""
        return tuple(self._kinds)

    def numbers(self, rows: Iterable[Row | None]) -> Iterator[int]:
        """Key and kind of each product in one number; what the lists alone know comes at the end."""
        for row in rows:
            self._rows += 1
            found = Left.DAMAGED if row is None else self._number(row)
            if isinstance(found, Left):
                self._left[found] += 1
            else:
                yield found
        for code, family in self._told.items():
            if code not in self._met:
                yield self._packed(code, family, frozenset())

    def entries(self, numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Key and kind in rising order; a code whose rows disagree is left out, since nobody knows what it is."""
        for key, group in groupby(numbers, lambda number: number >> _KIND_BITS):
            found = Counter(number & ((1 << _KIND_BITS) - 1) for number in group)
            if len(found) > 1:
                self._left[Left.DISAGREES] += found.total()
                continue
            (kind,) = found
            self._left[Left.DOUBLE] += found[kind] - 1
            self._by_kind[kind] += 1
            yield key, kind

    def report(self, written: int) -> Report:
        by_family: Counter[str] = Counter()
        for product, kind in self._kinds.items():
            by_family[product.family] += self._by_kind[kind]
        absent = {
            entry.name: tuple(code for code in entry.codes if code not in self._met and code not in self._told)
            for entry in self._lists
        }
        return Report(
            self._rows, written, +self._left, +by_family, {name: codes for name, codes in absent.items() if codes}
        )

    def _number(self, row: Row) -> int | Left:
        code = _code_of(row.code)
        if isinstance(code, Left):
            return code
        family = self._told.get(code)
        if family is None:
            if not row.categories:
                return Left.NO_CATEGORY
            family = self._tags.family(row.categories)
        if family is None:
            return Left.UNKNOWN_CATEGORY
        if code in self._listed:
            self._met.add(code)
        return self._packed(code, family, labels_of(row.labels))

    def _packed(self, code: Gtin, family: str, labels: frozenset[str]) -> int:
        product = Product(family, labels, self._listed.get(code, frozenset()))
        kind = self._kinds.setdefault(product, len(self._kinds))
        if kind >> _KIND_BITS:
            raise ExtractMistake("Trop de combinaisons de familles, de labels et de listes : retirez des listes.")
        return int(code[1:-1]) << _KIND_BITS | kind


_LEFT_BY_FAULT: Final = {CodeFault.NOT_A_CODE: Left.NO_CODE, CodeFault.CHECK_DIGIT: Left.CHECK_DIGIT}


def _code_of(text: str) -> Gtin | Left:
    try:
        code = gtin(text)
    except WrongCode as wrong:
        return _LEFT_BY_FAULT[wrong.fault]
    if key_of(code) is None:
        return Left.CASE
    return Left.IN_STORE if is_in_store(code) else code


def _merged_runs(numbers: Iterable[int], directory: Path, runs: ExitStack) -> Iterator[int]:
    """All numbers in rising order, through sorted runs in unnamed files."""
    files: list[IO[bytes]] = []
    run: array[int] = array("Q")
    for number in numbers:
        run.append(number)
        if len(run) == RUN_SIZE:
            files.append(_spilt(run, directory, runs))
            run = array("Q")
    files.append(_spilt(run, directory, runs))
    return heapq.merge(*(_read_run(file) for file in files))


def _spilt(run: array[int], directory: Path, runs: ExitStack) -> IO[bytes]:
    file = runs.enter_context(TemporaryFile(dir=directory))  # noqa: SIM115 (closed with the others)
    array("Q", sorted(run)).tofile(file)
    file.seek(0)
    return file


def _read_run(file: IO[bytes]) -> Iterator[int]:
    while chunk := file.read(_READ_B):
        yield from array("Q", chunk)


# --- from bytes to rows -----------------------------------------------------------------------------------------------


def _opened(extract: Path) -> IO[bytes]:
    try:
        with extract.open("rb") as file:
            is_gzipped = file.read(len(_GZIP)) == _GZIP
        return gzip.open(extract, "rb") if is_gzipped else extract.open("rb")  # type: ignore[return-value]
    except OSError as fault:
        raise ExtractMistake(f"L'extrait {extract.name} ne se lit pas : {fault.strerror}.") from None


def _rows_of(stream: IO[bytes], name: str) -> Iterator[Row | None]:
    """The rows, ``None`` for one that cannot be read."""
    try:
        lines = _lines(stream)
        first = next(lines, b"")
        if first is None:
            raise ExtractMistake(f"{name} n'est pas un extrait : sa première ligne est trop longue.")
        if first.lstrip().startswith(b"{"):
            yield _json_row(first)
            yield from (line if line is None else _json_row(line) for line in lines)
        else:
            yield from _column_rows(first, lines, name)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ExtractMistake(f"L'extrait {name} est coupé ou endommagé : téléchargez-le de nouveau.") from None


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines without their ends, empty ones left out; ``None`` for one that is longer than any row is."""
    while line := stream.readline(MOST_LINE_B):
        if len(line) == MOST_LINE_B and not line.endswith(b"\n"):
            while len(line) == MOST_LINE_B and not line.endswith(b"\n"):
                line = stream.readline(MOST_LINE_B)
            yield None
        elif line := line.rstrip(b"\r\n"):
            yield line


def _column_rows(header: bytes, lines: Iterator[bytes | None], name: str) -> Iterator[Row | None]:
    text = header.decode("utf-8-sig", "replace")
    separator = next((sign for sign in "\t;," if sign in text), "\t")
    columns = [column.strip().strip('"') for column in text.split(separator)]
    if _CODE not in columns or _CATEGORIES not in columns:
        raise ExtractMistake(
            f"{name} n'est pas un extrait d'Open Food Facts : il faut les colonnes code et categories_tags "
            "(labels_tags si possible), ou un objet JSON par ligne."
        )
    places = (columns.index(_CODE), columns.index(_CATEGORIES), columns.index(_LABELS) if _LABELS in columns else -1)
    for line in lines:
        yield None if line is None else _column_row(line, separator, places)


def _column_row(line: bytes, separator: str, places: tuple[int, int, int]) -> Row | None:
    last = max(places)
    if separator == "\t":
        fields = [field.decode("utf-8", "replace") for field in line.split(b"\t", last + 1)[: last + 1]]
    else:
        try:
            fields = next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator))
        except csv.Error:
            return None
    if len(fields) <= last:
        return None
    code, categories, labels = places
    return Row(_bare(fields[code]), _tags(fields[categories]), _tags(fields[labels]) if labels >= 0 else ())


def _bare(text: str) -> str:
    return text.strip().strip('"')


def _tags(text: str) -> list[str]:
    return [tag.strip() for tag in _bare(text).split(",") if tag.strip()]


def _json_row(line: bytes) -> Row | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    code = told.get(_CODE)
    return Row(str(code) if isinstance(code, str | int) else "", _words(told, _CATEGORIES), _words(told, _LABELS))


def _words(told: Mapping[str, object], name: str) -> list[str]:
    value = told.get(name)
    if isinstance(value, str):
        return _tags(value)
    return [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []
