"""A card screen set into the cells there are: the largest digits and letters that fit, never a clipped word or sum."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.money import in_euros
from terminal.ui.blocks import width_of
from terminal.ui.digits import CUTS, GREAT, LARGE, TIGHT, USUAL, Cut, in_digits
from terminal.ui.face import Face, Part, Sum, Words
from terminal.ui.icons import WIDTH as ICON_WIDTH
from terminal.ui.icons import Icon, picture
from terminal.ui.letters import wrapped_letters

ICON_GAP: Final = 4
MARGIN: Final = 2
LEAST_FOR_ICON: Final = 60
MOST_LETTER_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of cells and whether it is drawn strong."""

    text: str
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """One way to set a face: the cut of its sums (``None``: plain text), large letters or not, empty lines between."""

    cut: Cut | None
    has_letters: bool
    gap: int


SIZES: Final = (
    Size(GREAT, True, 1),
    Size(LARGE, True, 1),
    Size(USUAL, True, 1),
    Size(TIGHT, True, 1),
    Size(LARGE, False, 1),
    Size(USUAL, False, 1),
    Size(USUAL, False, 0),
    Size(TIGHT, False, 1),
    Size(TIGHT, False, 0),
    Size(None, False, 0),
)
assert {size.cut for size in SIZES} == {*CUTS, None}


def set_face(face: Face, width: int, height: int, cause: str = "") -> tuple[Row, ...]:
    """Exactly ``height`` rows no wider than ``width`` cells: icon at the left where there is room, words beside it.

    ``cause`` is the sentence shown on demand. What does not fit even in plain text is cut at the end, last words first.
    """
    parts = (*face.parts, Words(cause)) if cause else face.parts
    has_icon = width >= LEAST_FOR_ICON
    left = MARGIN + ICON_WIDTH + ICON_GAP if has_icon else MARGIN
    room = width - left - MARGIN
    settings = list(_settings(parts, room, face.icon, has_icon))
    fitting = (rows for most in (height - 1, height) for rows in settings[:-1] if _fits(rows, room, most))
    rows = next(fitting, settings[-1])[:height]
    above = (height - len(rows) + 1) // 2
    placed = [Row("")] * above + rows + [Row("")] * (height - above - len(rows))
    return tuple(_with_icon(placed, picture(face.icon), left) if has_icon else _moved(placed, left))


def _fits(rows: list[Row], room: int, height: int) -> bool:
    return len(rows) <= height and width_of([row.text for row in rows]) <= room


def _settings(parts: tuple[Part, ...], room: int, icon: Icon, has_icon: bool) -> Iterator[list[Row]]:
    for size in SIZES:
        rows: list[Row] = []
        for number, part in enumerate(parts):
            drawn = _drawn(part, size, room, "" if has_icon or number else f"{icon.value} ")
            if number and size.gap and not _is_label(parts, number):
                rows += [Row("")] * size.gap
            rows += drawn
        yield rows


def _is_label(parts: tuple[Part, ...], number: int) -> bool:
    """A sum stands close under the plain words that name it."""
    before = parts[number - 1]
    return isinstance(parts[number], Sum) and isinstance(before, Words) and not before.is_great


def _drawn(part: Part, size: Size, room: int, sign: str) -> list[Row]:
    if isinstance(part, Sum):
        text = in_euros(part.amount)
        return [Row(text, True)] if size.cut is None else [Row(row) for row in in_digits(text, size.cut)]
    if part.is_great and size.has_letters:
        letters = wrapped_letters(part.text, room, MOST_LETTER_LINES)
        if letters is not None:
            signed = f"{letters[-1].rstrip()}  {sign}".rstrip()
            return [
                *(Row(row, True) for row in letters[:-1]),
                Row(signed if len(signed) <= room else letters[-1], True),
            ]
    return _wrapped(part, room, sign)


def _wrapped(words: Words, room: int, sign: str) -> list[Row]:
    text = sign + (words.text.upper() if words.is_great else words.text)
    return [Row(line, words.is_strong) for line in textwrap.wrap(_unbroken(text), max(room, 8)) or [""]]


def _unbroken(text: str) -> str:
    """A sum and its sign, a colon and the word before it, stay on one line."""
    for sign in (":", "?", "!", "€", "»"):
        text = text.replace(f" {sign}", f"\u00a0{sign}")
    return text.replace("« ", "«\u00a0")


def _with_icon(rows: list[Row], icon: tuple[str, ...], left: int) -> list[Row]:
    top = (len(rows) - len(icon)) // 2
    placed = []
    for number, row in enumerate(rows):
        part = icon[number - top] if 0 <= number - top < len(icon) else ""
        placed.append(Row((" " * MARGIN + part).ljust(left) + row.text, row.is_strong))
    return placed


def _moved(rows: list[Row], left: int) -> list[Row]:
    return [Row(" " * left + row.text, row.is_strong) for row in rows]
