"""Inks and grounds of the two themes. *Soleil* is black on white for the market at noon, *Nuit* light on dark.

Every pair has a contrast of 7:1 or more (WCAG 2.2, success criterion 1.4.6); a test computes each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from terminal.ui.face import Tone


@dataclass(frozen=True, slots=True)
class Pair:
    """Ink on ground, as ``#rrggbb``."""

    ink: str
    ground: str


@dataclass(frozen=True, slots=True)
class Palette:
    """One theme.

    Attributes:
        name: what Textual calls it.
        is_dark: light ink on dark ground.
        page, soft: words on the sale screen; less important ones.
        typed: the line being typed.
        button, first: a key; the primary key.
        bar, note: the status bar; a band that wants to be read.
        tones: card screens.
    """

    name: str
    is_dark: bool
    page: Pair
    soft: Pair
    typed: Pair
    button: Pair
    first: Pair
    bar: Pair
    note: Pair
    tones: Mapping[Tone, Pair] = field(default_factory=dict)

    def pairs(self) -> dict[str, Pair]:
        """Every pair of ink and ground that is drawn, by the name the style sheet uses."""
        named = {
            "page": self.page,
            "soft": self.soft,
            "typed": self.typed,
            "button": self.button,
            "first": self.first,
            "bar": self.bar,
            "note": self.note,
        }
        return named | {f"tone-{tone.value}": pair for tone, pair in self.tones.items()}


def contrast(pair: Pair) -> float:
    """Contrast ratio from 1 to 21 (WCAG 2.2, definitions of contrast ratio and relative luminance)."""
    lighter, darker = sorted((_luminance(pair.ink), _luminance(pair.ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


SOLEIL: Final = Palette(
    name="soleil",
    is_dark=False,
    page=Pair("#000000", "#ffffff"),
    soft=Pair("#3d3d3d", "#ffffff"),
    typed=Pair("#000000", "#fff0a8"),
    button=Pair("#000000", "#dfe3e8"),
    first=Pair("#ffffff", "#000000"),
    bar=Pair("#ffffff", "#22262b"),
    note=Pair("#000000", "#ffd23f"),
    tones={
        Tone.CALM: Pair("#000000", "#cfe3ff"),
        Tone.PAID: Pair("#000000", "#6fdc8c"),
        Tone.PARTS: Pair("#000000", "#ffe066"),
        Tone.OTHERWISE: Pair("#000000", "#dcd5f5"),
        Tone.AGAIN: Pair("#000000", "#ffb35c"),
        Tone.VERIFY: Pair("#000000", "#f7c1dc"),
        Tone.STOP: Pair("#ffffff", "#7a0f1b"),
    },
)

NUIT: Final = Palette(
    name="nuit",
    is_dark=True,
    page=Pair("#f4f4f2", "#101418"),
    soft=Pair("#c2c8cf", "#101418"),
    typed=Pair("#fffbe6", "#574600"),
    button=Pair("#f4f4f2", "#2b333c"),
    first=Pair("#101418", "#f4f4f2"),
    bar=Pair("#e8ebee", "#000000"),
    note=Pair("#1a1300", "#ffd23f"),
    tones={
        Tone.CALM: Pair("#eaf3ff", "#10305c"),
        Tone.PAID: Pair("#eafff0", "#07491f"),
        Tone.PARTS: Pair("#fff7d1", "#4a3d00"),
        Tone.OTHERWISE: Pair("#f1edff", "#362c63"),
        Tone.AGAIN: Pair("#fff0e0", "#5c2f00"),
        Tone.VERIFY: Pair("#ffecf6", "#561543"),
        Tone.STOP: Pair("#fff0f1", "#6b0714"),
    },
)
PALETTES: Final = (SOLEIL, NUIT)
