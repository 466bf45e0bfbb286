"""One card screen as a value: its tone, icon, words, sums and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from domain.money import Cents, in_euros
from terminal.text import _
from terminal.ui.icons import Icon

OUTCOME_LASTS_S: Final = 3.0


class Tone(Enum):
    """Ground and ink of a screen; the value names them in the palette. Never the only sign of an outcome."""

    CALM = "calm"
    PAID = "paid"
    PARTS = "parts"
    OTHERWISE = "otherwise"
    AGAIN = "again"
    VERIFY = "verify"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Words:
    """A line of words; ``is_great`` when it may be drawn in large letters."""

    text: str
    is_great: bool = False
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """An amount in large digits."""

    amount: Cents


@dataclass(frozen=True, slots=True)
class Key:
    """A key that means something here: its name in the program and what it does. ``is_first``: the primary action."""

    key: str
    does: str
    is_first: bool = False


Part = Words | Sum


@dataclass(frozen=True, slots=True)
class Face:
    """One card screen.

    Attributes:
        tone, icon: colour and shape.
        parts: from top to bottom.
        keys: printed on buttons.
        cause: what ``.`` shows; empty where there is nothing to say.
        lasts_s: seconds until the sale screen comes back by itself, or ``None``.
        ends_by_digit: whether the next digit starts the next sale.
        sound: 0 none, 1 an outcome, 2 lay the card down again.
    """

    tone: Tone
    icon: Icon
    parts: tuple[Part, ...]
    keys: tuple[Key, ...] = ()
    cause: str = ""
    lasts_s: float | None = None
    ends_by_digit: bool = False
    sound: int = 0


def great(text: str) -> Words:
    """Words in large letters."""
    return Words(text, is_great=True, is_strong=True)


def back(does: str | None = None) -> Key:
    """The key that goes back."""
    return Key("-", does or _("retour"))


def menu_key() -> Key:
    """The key that opens the menu."""
    return Key(".", _("menu"))


def speaks_of(parts: Sequence[Part]) -> str:
    """All words and sums of a screen in one line, as a test or a screen reader wants them."""
    return " · ".join(in_euros(part.amount) if isinstance(part, Sum) else part.text for part in parts)
