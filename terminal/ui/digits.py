"""Digits five rows high and more, made of straight strokes with cut corners: no stairs at any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from terminal.ui.blocks import Raster, beside, quadrants, width_of


@dataclass(frozen=True, slots=True)
class Cut:
    """One size of digits.

    Attributes:
        rows: height in cells.
        width: of a digit, in half cells.
        stem: width of an upright stroke, in half cells.
        bar: height of a level stroke, in half cells.
        gap: cells between two digits.
    """

    rows: int
    width: int
    stem: int
    bar: int
    gap: int


GREAT: Final = Cut(rows=9, width=18, stem=6, bar=3, gap=2)
LARGE: Final = Cut(rows=7, width=14, stem=4, bar=2, gap=1)
USUAL: Final = Cut(rows=5, width=12, stem=4, bar=2, gap=1)
TIGHT: Final = Cut(rows=5, width=8, stem=3, bar=2, gap=1)
CUTS: Final = (GREAT, LARGE, USUAL, TIGHT)

# Strokes as on a pocket calculator: a top, b upper right, c lower right, d bottom, e lower left, f upper left,
# g middle, h the hook of the 7.
_STROKES: Final = {
    "0": "abcdef",
    "2": "abged",
    "3": "abgcd",
    "4": "fgbc",
    "5": "afgcd",
    "6": "afgedc",
    "7": "abch",
    "8": "abcdefg",
    "9": "gfabcd",
}


def in_digits(sum_text: str, cut: Cut) -> tuple[str, ...]:
    """The rows of an amount as ``domain.money.in_euros`` writes it; a sign it does not know becomes a gap."""
    return beside([_glyph(char, cut) for char in sum_text], cut.gap)


def largest_fitting(sum_text: str, width: int, height: int) -> tuple[str, ...]:
    """The amount as large as fits in cells ``width`` × ``height``; plain text where no size fits."""
    for cut in CUTS:
        rows = in_digits(sum_text, cut)
        if len(rows) <= height and width_of(rows) <= width:
            return rows
    return (sum_text,)


@lru_cache(maxsize=256)
def _glyph(char: str, cut: Cut) -> tuple[str, ...]:
    return quadrants(_dots(char, cut))


def _dots(char: str, cut: Cut) -> Raster:
    if char in _STROKES:
        return _without_bends(_stroked(_STROKES[char], cut), cut)
    if char == "1":
        return _one(cut)
    if char == "€":
        return _without_bends(_euro(cut), cut)
    if char == ",":
        return _comma(cut)
    if char in "−-":
        return _minus(cut)
    return tuple((False,) * 2 for _ in range(cut.rows * 2))


def _stroked(strokes: str, cut: Cut) -> Raster:
    high, wide, middle = cut.rows * 2, cut.width, cut.rows - cut.bar // 2
    boxes = {
        "a": (0, 0, cut.bar, wide),
        "b": (0, wide - cut.stem, middle + cut.bar, wide),
        "c": (middle, wide - cut.stem, high, wide),
        "d": (high - cut.bar, 0, high, wide),
        "e": (middle, 0, high, cut.stem),
        "f": (0, 0, middle + cut.bar, cut.stem),
        "g": (middle, 0, middle + cut.bar, wide),
        "h": (0, 0, 2 * cut.bar, cut.stem),
    }
    return _boxes([boxes[stroke] for stroke in strokes], high, wide)


def _one(cut: Cut) -> Raster:
    """An upright with a flag at its left and a foot to both sides, as no other digit has."""
    side = max(2, cut.stem // 2)
    high, wide = cut.rows * 2, cut.stem + 2 * side
    flag, upright = (0, 0, cut.bar, side), (0, side, high, side + cut.stem)
    return _boxes([flag, upright, (high - cut.bar, 0, high, wide)], high, wide)


def _euro(cut: Cut) -> Raster:
    high, wide, out = cut.rows * 2, cut.width, 2
    upper = cut.rows - 2
    ticks = [(upper, 0, upper + 1, wide - cut.stem), (upper + 3, 0, upper + 4, wide - cut.stem)]
    ring = [(0, out, cut.bar, wide), (0, out, high, out + cut.stem), (high - cut.bar, out, high, wide)]
    return _boxes([*ring, *ticks], high, wide)


def _comma(cut: Cut) -> Raster:
    high, wide = cut.rows * 2, cut.stem
    top = high - cut.bar - cut.bar // 2
    return _boxes([(top, 0, high - cut.bar // 2, wide), (top, wide // 2, high, wide)], high, wide)


def _minus(cut: Cut) -> Raster:
    high, wide = cut.rows * 2, cut.width // 2
    middle = cut.rows - cut.bar // 2
    return _boxes([(middle, 0, middle + cut.bar, wide)], high, wide)


def _boxes(boxes: list[tuple[int, int, int, int]], high: int, wide: int) -> Raster:
    return tuple(
        tuple(any(top <= y < bottom and left <= x < right for top, left, bottom, right in boxes) for x in range(wide))
        for y in range(high)
    )


def _without_bends(dots: Raster, cut: Cut) -> Raster:
    """The same with each outer corner of a bend cut by one dot; ends of strokes stay square."""
    return tuple(
        tuple(is_on and not _is_bend(dots, y, x, cut) for x, is_on in enumerate(row)) for y, row in enumerate(dots)
    )


def _is_bend(dots: Raster, y: int, x: int, cut: Cut) -> bool:
    down, up = _run(dots, y, x, 1, 0), _run(dots, y, x, -1, 0)
    right, left = _run(dots, y, x, 0, 1), _run(dots, y, x, 0, -1)
    is_corner = min(down, up) == 1 and min(right, left) == 1
    return is_corner and max(down, up) > cut.bar and max(right, left) > cut.stem


def _run(dots: Raster, y: int, x: int, dy: int, dx: int) -> int:
    length = 0
    while 0 <= y < len(dots) and 0 <= x < len(dots[y]) and dots[y][x]:
        length, y, x = length + 1, y + dy, x + dx
    return length
