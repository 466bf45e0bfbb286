"""A screen as a small SVG of its own: no fonts from afar, no window around it, block characters drawn as boxes.

Made from Textual's own export, which names the text, its place and its style; boxes leave no seams between rows.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

CELL_W: Final = 10
CELL_H: Final = 20
_SPACE: Final = "{http://www.w3.org/2000/svg}"
_TEXT_CELL_W: Final = 12.2  # of Textual's export, in its own units
_TEXT_LINE_H: Final = 24.4
_FIRST_BASELINE: Final = 20.0
_STYLE: Final = re.compile(r"\.(terminal-[\w-]+-r\d+) \{ ([^}]*) \}")
BLOCKS: Final = {
    "█": ((0, 0, 2, 2),),
    "▀": ((0, 0, 2, 1),),
    "▄": ((0, 1, 2, 1),),
    "▌": ((0, 0, 1, 2),),
    "▐": ((1, 0, 1, 2),),
    "▘": ((0, 0, 1, 1),),
    "▝": ((1, 0, 1, 1),),
    "▖": ((0, 1, 1, 1),),
    "▗": ((1, 1, 1, 1),),
    "▛": ((0, 0, 2, 1), (0, 1, 1, 1)),
    "▜": ((0, 0, 2, 1), (1, 1, 1, 1)),
    "▙": ((0, 0, 1, 1), (0, 1, 2, 1)),
    "▟": ((1, 0, 1, 1), (0, 1, 2, 1)),
    "▚": ((0, 0, 1, 1), (1, 1, 1, 1)),
    "▞": ((1, 0, 1, 1), (0, 1, 1, 1)),
}


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one style starting in one cell."""

    row: int
    column: int
    text: str
    ink: str
    is_bold: bool


@dataclass(frozen=True, slots=True)
class Ground:
    """A box of one colour, in cells."""

    row: int
    column: int
    width: int
    colour: str


def own_svg(exported: str, width: int, height: int) -> str:
    """Textual's export of a screen of ``width`` × ``height`` cells, drawn anew."""
    styles = {name: _style(rules) for name, rules in _STYLE.findall(exported)}
    # Written by Textual in this process a moment ago, not received from anyone.
    tree = ET.fromstring(exported)  # noqa: S314
    grounds = [ground for element in tree.iter(f"{_SPACE}rect") if (ground := _ground(element)) is not None]
    runs = [run for element in tree.iter(f"{_SPACE}text") if (run := _run(element, styles)) is not None]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * CELL_W} {height * CELL_H}"'
        ' font-family="DejaVu Sans Mono, Liberation Mono, Menlo, Consolas, monospace" font-size="16.6"'
        ' shape-rendering="crispEdges" xml:space="preserve">',
        *(_draw_ground(ground) for ground in grounds),
        *_draw_blocks(runs),
        *(piece for run in runs for piece in _draw_words(run)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def words_of(svg: str) -> list[str]:
    """The words of one of our pictures, top to bottom, without their places: what a reader compares."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def _style(rules: str) -> tuple[str, bool]:
    colour = re.search(r"fill: (#[0-9a-fA-F]{6})", rules)
    return (colour.group(1).lower() if colour else "#000000", "font-weight: bold" in rules)


def _ground(element: ET.Element) -> Ground | None:
    if element.get("shape-rendering") != "crispEdges":
        return None
    column = round(float(element.get("x", "0")) / _TEXT_CELL_W)
    row = round((float(element.get("y", "0")) - 1.5) / _TEXT_LINE_H)
    width = round(float(element.get("width", "0")) / _TEXT_CELL_W)
    return Ground(row, column, width, element.get("fill", "#000000"))


def _run(element: ET.Element, styles: dict[str, tuple[str, bool]]) -> Run | None:
    style = styles.get(element.get("class", ""))
    if style is None or not element.text:
        return None
    column = round(float(element.get("x", "0")) / _TEXT_CELL_W)
    row = round((float(element.get("y", "0")) - _FIRST_BASELINE) / _TEXT_LINE_H)
    return Run(row, column, element.text.replace("\u00a0", " "), *style)


def _draw_ground(ground: Ground) -> str:
    x, y, width = ground.column * CELL_W, ground.row * CELL_H, ground.width * CELL_W
    return f'<rect x="{x}" y="{y}" width="{width}" height="{CELL_H}" fill="{ground.colour}"/>'


def _draw_blocks(runs: list[Run]) -> list[str]:
    boxes: dict[str, list[str]] = {}
    for run in runs:
        for place, char in enumerate(run.text):
            for x, y, width, height in _boxes(char):
                left, top = (run.column + place) * CELL_W + x * CELL_W // 2, run.row * CELL_H + y
                across = width * CELL_W // 2
                boxes.setdefault(run.ink, []).append(f"M{left} {top}h{across}v{height}h-{across}z")
    return [f'<path fill="{ink}" d="{"".join(paths)}"/>' for ink, paths in boxes.items()]


def _boxes(char: str) -> list[tuple[int, int, int, int]]:
    """In half cells across, in dots down."""
    if char == "━":
        return [(0, CELL_H // 2 - 1, 2, 3)]
    half = CELL_H // 2
    return [(x, y * half, width, height * half) for x, y, width, height in BLOCKS.get(char, ())]


def _draw_words(run: Run) -> list[str]:
    pieces = []
    for found in re.finditer(r"[^\s█▀▄▌▐▘▝▖▗▛▜▙▟▚▞━]+(?: [^\s█▀▄▌▐▘▝▖▗▛▜▙▟▚▞━]+)*", run.text):
        words = found.group()
        x, y = (run.column + found.start()) * CELL_W, run.row * CELL_H + 15
        weight = ' font-weight="bold"' if run.is_bold else ""
        pieces.append(
            f'<text x="{x}" y="{y}" fill="{run.ink}"{weight} textLength="{len(words) * CELL_W}">{escape(words)}</text>'
        )
    return pieces
