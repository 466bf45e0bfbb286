"""Texts, sets of words and days as the signed lists hold them (docs/formats/bundle.md)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from sync.cbor import Value, whole
from sync.errors import Malformed

MOST_TEXT: Final = 64
"""Characters of a text."""
_EPOCH: Final = date(1970, 1, 1)
_MOST_DAYS: Final = (date.max - _EPOCH).days


def text_of(word: str) -> str:
    """The text, if it is not too long. Malformed otherwise."""
    if len(word) > MOST_TEXT:
        raise Malformed(f"a text of more than {MOST_TEXT} characters")
    return word


def texts(items: list[Value]) -> list[str]:
    """The texts of a list. Malformed: one of them is none, or too long."""
    found = [item for item in items if isinstance(item, str) and len(item) <= MOST_TEXT]
    if len(found) != len(items):
        raise Malformed("not a list of words")
    return found


def word_set(items: list[Value]) -> frozenset[str]:
    """The words of a list, as a set. Malformed as ``texts``."""
    return frozenset(texts(items))


def sorted_words(words: Iterable[str]) -> list[Value]:
    """A set of words as it is signed: in rising order of code points."""
    return [*sorted(words)]


def day_number(day: date) -> int:
    """Whole days since 1970-01-01."""
    return (day - _EPOCH).days


def day_or_none(day: date | None) -> int | None:
    """As ``day_number``; ``None`` for no day."""
    return None if day is None else day_number(day)


def day_of(value: Value) -> date:
    """The day of a number. Malformed: no number of a day."""
    return _EPOCH + timedelta(days=whole(value, _MOST_DAYS))


def day_of_or_none(value: Value) -> date | None:
    """As ``day_of``; ``None`` for no day."""
    return None if value is None else day_of(value)
