"""Pictures out of block characters: a raster of dots becomes rows of text, two by two or one by two dots a cell.

A dot is on or off; there is no grey, so edges stay crisp in the sun. Unicode Standard, chapter 22.7 "Block Elements".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

Raster = tuple[tuple[bool, ...], ...]
"""Rows of dots, all of the same width."""

_QUADRANTS: Final = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_HALVES: Final = " ▀▄█"


def raster(drawing: Sequence[str]) -> Raster:
    """Dots from a drawing in text: anything but a space or a full stop is on; short rows are filled with off."""
    width = max((len(row) for row in drawing), default=0)
    return tuple(tuple(char not in " ." for char in row.ljust(width)) for row in drawing)


def quadrants(dots: Raster) -> tuple[str, ...]:
    """Rows of text, four dots a cell (a dot is half a cell wide and half a cell high)."""
    return _cells(dots, 2, _quadrant)


def halves(dots: Raster) -> tuple[str, ...]:
    """Rows of text, two dots a cell (a dot is one cell wide and half a cell high: nearly a square)."""
    return _cells(dots, 1, _half)


def beside(pieces: Sequence[tuple[str, ...]], gap: int = 1) -> tuple[str, ...]:
    """Pieces of the same height set side by side with ``gap`` cells between them."""
    assert len({len(piece) for piece in pieces}) <= 1, "pieces side by side have one height"
    space = " " * gap
    return tuple(space.join(rows) for rows in zip(*pieces, strict=True))


def width_of(rows: Sequence[str]) -> int:
    """Cells of the widest row; block characters and plain text of ours are one cell each."""
    return max((len(row) for row in rows), default=0)


def _cells(dots: Raster, dots_a_cell: int, glyph: Callable[[Raster, int, int], str]) -> tuple[str, ...]:
    width = len(dots[0]) if dots else 0
    return tuple(
        "".join(glyph(dots, row, column) for column in range(0, width, dots_a_cell)) for row in range(0, len(dots), 2)
    )


def _quadrant(dots: Raster, row: int, column: int) -> str:
    corners = ((row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1))
    return _QUADRANTS[sum(1 << bit for bit, (y, x) in enumerate(corners) if _is_on(dots, y, x))]


def _half(dots: Raster, row: int, column: int) -> str:
    return _HALVES[_is_on(dots, row, column) + 2 * _is_on(dots, row + 1, column)]


def _is_on(dots: Raster, row: int, column: int) -> bool:
    return row < len(dots) and column < len(dots[row]) and dots[row][column]
