"""Capital letters of a dot matrix, five rows high, for the one word a screen must say across the counter.

Each letter is drawn on seven lines of dots; accents use the two lines above.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from terminal.ui.blocks import beside, halves, raster, width_of

ROWS: Final = 5
_LINES: Final = 7

_DRAWINGS: Final = {
    "A": ".##./#..#/#..#/####/#..#/#..#/#..#",
    "B": "###./#..#/#..#/###./#..#/#..#/###.",
    "C": ".##./#..#/#.../#.../#.../#..#/.##.",
    "D": "###./#..#/#..#/#..#/#..#/#..#/###.",
    "E": "####/#.../#.../###./#.../#.../####",
    "F": "####/#.../#.../###./#.../#.../#...",
    "G": ".##./#..#/#.../#.##/#..#/#..#/.##.",
    "H": "#..#/#..#/#..#/####/#..#/#..#/#..#",
    "I": "#/#/#/#/#/#/#",
    "J": "..#/..#/..#/..#/..#/#.#/.#.",
    "K": "#..#/#..#/#.#./##../#.#./#..#/#..#",
    "L": "#.../#.../#.../#.../#.../#.../####",
    "M": "#...#/##.##/#.#.#/#.#.#/#...#/#...#/#...#",
    "N": "#...#/##..#/##..#/#.#.#/#..##/#..##/#...#",
    "O": ".##./#..#/#..#/#..#/#..#/#..#/.##.",
    "P": "###./#..#/#..#/###./#.../#.../#...",
    "Q": ".##./#..#/#..#/#..#/#..#/#.##/.###",
    "R": "###./#..#/#..#/###./#.#./#..#/#..#",
    "S": ".###/#.../#.../.##./...#/...#/###.",
    "T": "#####/..#../..#../..#../..#../..#../..#..",
    "U": "#..#/#..#/#..#/#..#/#..#/#..#/.##.",
    "V": "#...#/#...#/#...#/#...#/.#.#./.#.#./..#..",
    "W": "#...#/#...#/#...#/#.#.#/#.#.#/##.##/#...#",
    "X": "#...#/#...#/.#.#./..#../.#.#./#...#/#...#",
    "Y": "#...#/#...#/.#.#./..#../..#../..#../..#..",
    "Z": "####/...#/..#./..#./.#../#.../####",
    "'": "#/#/././././.",
    "’": "#/#/././././.",
    "!": "#/#/#/#/#/./#",
    "?": ".##./#..#/...#/..#./.#../..../.#..",
    "-": ".../.../.../###/.../.../...",
    "…": "...../...../...../...../...../...../#.#.#",
    ".": "./././././././#",
    ",": "../../../../.././.#/#.",
    "0": ".##./#..#/#..#/#..#/#..#/#..#/.##.",
    "1": ".#/##/.#/.#/.#/.#/.#",
    "2": ".##./#..#/...#/..#./.#../#.../####",
    "3": "###./...#/...#/.##./...#/...#/###.",
    "4": "#..#/#..#/#..#/####/...#/...#/...#",
    "5": "####/#.../###./...#/...#/#..#/.##.",
    "6": ".##./#.../#.../###./#..#/#..#/.##.",
    "7": "####/...#/..#./..#./.#../.#../.#..",
    "8": ".##./#..#/#..#/.##./#..#/#..#/.##.",
    "9": ".##./#..#/#..#/.###/...#/...#/.##.",
    " ": "./././././././",
}
_ACCENTS: Final = {
    "\u0301": ("..#", ".#."),
    "\u0300": ("#..", ".#."),
    "\u0302": (".#.", "#.#"),
    "\u0308": ("#.#", "..."),
}
_CEDILLA: Final = "\u0327"


def has_letters_for(text: str) -> bool:
    """Whether every sign of the text, in capitals, can be drawn."""
    return all(_base(char) in _DRAWINGS for char in text.upper())


def in_letters(text: str) -> tuple[str, ...]:
    """The text in capitals, five rows; signs that cannot be drawn are a gap."""
    return beside([_letter(char) for char in text.upper()])


@lru_cache(maxsize=64)
def wrapped_letters(text: str, width: int, most_lines: int = 2) -> tuple[str, ...] | None:
    """The text in capitals on ``most_lines`` lines at most, each up to ``width`` cells; ``None`` if it does not fit.

    Lines are of like length. The free row for accents over the first line is left out where it has none.
    """
    if not text.strip() or not has_letters_for(text):
        return None
    lines = _broken(text, width)
    if len(lines) > most_lines or any(width_of(in_letters(line)) > width for line in lines):
        return None
    narrowest = next(room for room in range(1, width + 1) if _fits(_broken(text, room), len(lines), room))
    rows = [row for line in _broken(text, narrowest) for row in in_letters(line)]
    return tuple(rows if rows[0].strip() else rows[1:])


def _broken(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(in_letters(longer)) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fits(lines: list[str], count: int, width: int) -> bool:
    return len(lines) == count and all(width_of(in_letters(line)) <= width for line in lines)


def _base(char: str) -> str:
    return unicodedata.normalize("NFD", char)[0]


@lru_cache(maxsize=128)
def _letter(char: str) -> tuple[str, ...]:
    parts = unicodedata.normalize("NFD", char)
    lines = _DRAWINGS.get(parts[0], _DRAWINGS[" "]).split("/")[:_LINES]
    width = max(len(line) for line in lines)
    above = _above(parts[1:], width)
    below = _below(parts[1:], width)
    # Letters stand on the base line: two lines for accents, one left free, seven for the letter.
    return halves(raster([*above, *lines, below]))


def _above(marks: str, width: int) -> tuple[str, str]:
    drawn = next((_ACCENTS[mark] for mark in marks if mark in _ACCENTS), ("", ""))
    return drawn[0].center(width, "."), drawn[1].center(width, ".")


def _below(marks: str, width: int) -> str:
    return ("#" if _CEDILLA in marks else ".").center(width, ".")
