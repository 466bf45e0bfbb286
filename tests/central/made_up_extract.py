"""Extracts in the shape of Open Food Facts' exports, of products nobody sells: no real data.

Run it as a program to write a large one: ``python made_up_extract.py FILE ROWS``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

COLUMNS = (
    "code",
    "url",
    "creator",
    "product_name",
    "categories",
    "categories_tags",
    "labels",
    "labels_tags",
    "origins",
)
SHELVES = (
    ("en:dairies,en:fermented-milk-products,en:cheeses,en:goat-cheeses", "en:organic,en:eu-organic"),
    ("en:plant-based-foods,en:vegetables-based-foods,en:fresh-vegetables,en:fresh-carrots", ""),
    ("en:beverages,en:alcoholic-beverages,en:wines", "en:pdo"),
    ("en:snacks,en:sweet-snacks,en:biscuits-and-cakes,en:biscuits", "en:vegan"),
    ("en:seafood,en:fishes,en:fatty-fishes,en:sardines", "en:label-rouge"),
    ("en:meals,en:soups", ""),
)
FILLER = "\t".join(["0.1"] * 40)


def check_digit(body: str) -> int:
    """Written anew, so that a mistake in the product is not repeated here."""
    weights = [3, 1] * 7
    return (10 - sum(int(digit) * weight for digit, weight in zip(reversed(body), weights, strict=False)) % 10) % 10


def ean(number: int) -> str:
    """A GTIN-13 that begins with 376."""
    body = f"376{number:09d}"
    return f"{body}{check_digit(body)}"


def row(code: str, categories: str, labels: str = "") -> str:
    """One line of the tab-separated export, without its end."""
    return "\t".join((code, "http://example.invalid", "nobody", "Made up", "", categories, "", labels, ""))


def write_columns(path: Path, rows: Iterable[str], header: Sequence[str] = COLUMNS) -> Path:
    """A tab-separated extract."""
    path.write_text("\n".join(["\t".join(header), *rows]) + "\n", encoding="utf-8")
    return path


def write_many(path: Path, count: int) -> None:
    """A large extract with some of everything that is wrong; five rows in fifty are left out."""
    with path.open("w", encoding="utf-8") as out:
        out.write("\t".join(COLUMNS) + "\n")
        for number in range(count):
            code, (categories, labels) = ean(number * 733 % 10**9), SHELVES[number % len(SHELVES)]
            if number % 50 == 1:
                code = code[:-1] + str((int(code[-1]) + 1) % 10)
            elif number % 50 == 2:
                code = f"2{code[1:12]}{check_digit('2' + code[1:12])}"
            elif number % 50 in (3, 4):
                categories = ""
            elif number % 50 == 5:
                categories = "xx:nothing-known"
            out.write(f"{row(code, categories, labels)}\t{FILLER}\n")


if __name__ == "__main__":
    write_many(Path(sys.argv[1]), int(sys.argv[2]))
