"""The words a rule file may use without saying what they mean, and how sums, days and lists are written in French."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from typing import Final

from domain.rule_set import USUAL_LABELS

MERCHANTS: Final[Mapping[str, str]] = {
    "referenced": "commerces référencés",
    "sustainable": "commerces durables",
    "conventioned": "lieux conventionnés",
    "producer": "producteurs",
    "farm-shop": "magasins de producteurs",
    "organic-shop": "magasins bio",
    "grocery": "épiceries",
    "market": "marchés",
}
"""Groups and profiles of merchants, in the plural, without article."""

LABELS: Final = USUAL_LABELS

UNITS: Final[Mapping[str, str]] = {"piece": "pièce", "kg": "kilogramme", "l": "litre"}
"""What a quantity may count."""

_MONTHS: Final = tuple(
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: SIM905
)


def french_day(day: date) -> str:
    """``1er janvier 2026``."""
    return f"{'1er' if day.day == 1 else day.day} {_MONTHS[day.month - 1]} {day.year}"


def french_share(share: Fraction) -> str:
    """``60 %`` where it is a whole per cent, else ``1/3``."""
    percent = share * 100
    return f"{percent.numerator} %" if percent.denominator == 1 else f"{share.numerator}/{share.denominator}"


def joined(words: Iterable[str], last: str = "et") -> str:
    """``a, b et c``."""
    *most, end = list(words) or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


def typographic(text: str) -> str:
    """The text with the no-break spaces the French press sets: thin ones (U+202F) but before a colon and in « »."""
    text = re.sub(r"(?<=\d)[ ](?=[%€])|[ ](?=[;?!])", "\u202f", text)
    return re.sub(r"[ ](?=[:»])|(?<=«)[ ]", "\u00a0", text)
