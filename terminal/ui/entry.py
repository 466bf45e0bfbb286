"""The keypad grammar of the sale screen: keys in, lines out. Pure; what is typed is one value.

``1250 Entrée`` 12,50 € · ``850 / 8 + 400 / 3 Entrée`` two families · ``3 * 250`` three at 2,50 € ·
``850 * * 320`` 850 g at 3,20 € the kilogram · ``-`` erases what was typed last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from domain.basket import Basket, Line
from domain.identity import MOST_LINES
from domain.money import ZERO, Cents, total

MOST_DIGITS: Final = 6  # 9 999,99 €
MOST_LINE: Final = Cents(999_999)
PAGE: Final = 9


class Measure(Enum):
    """What the number before ``*`` counts."""

    PIECES = "pieces"
    GRAMS = "grams"


@dataclass(frozen=True, slots=True)
class Typed:
    """The line being typed.

    Attributes:
        digits: of the amount or price, in cents; of the quantity until ``*`` is pressed.
        count: what stood before ``*``, in pieces or grams; ``None`` without.
        measure: of ``count``.
        family: chosen by the cashier, or ``None`` for the stall's default.
    """

    digits: str = ""
    count: int | None = None
    measure: Measure = Measure.PIECES
    family: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was typed."""
        return not self.digits and self.count is None and self.family is None

    @property
    def amount(self) -> Cents:
        """Price of the line in cents, half up; 0 while only a quantity stands."""
        price = int(self.digits or "0")
        if self.count is None:
            return Cents(price)
        if self.measure is Measure.PIECES:
            return Cents(self.count * price)
        return Cents((self.count * price + 500) // 1_000)


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything typed for one sale.

    Attributes:
        default_family: of a line without a family of its own.
        families: codes in the order of their tiles.
        lines: finished.
        typed: being typed.
        page: page of the families shown for choosing, or ``None`` when digits are digits.
    """

    default_family: str
    families: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    typed: Typed = Typed()
    page: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to erase."""
        return not self.lines and self.typed.is_empty

    @property
    def price(self) -> Cents:
        """What all lines and the one being typed come to, in cents."""
        return total(line.amount for line in self.lines) + self.typed.amount

    @property
    def pages(self) -> int:
        """How many pages of nine families there are."""
        return max(1, -(-len(self.families) // PAGE))


def press(entry: Entry, key: str) -> Entry:
    """The entry after one key of ``0`` to ``9 + * / -``; a key without meaning there changes nothing."""
    if entry.page is not None and (key.isdigit() or key == "-"):
        return _choose(entry, key)
    if key.isdigit():
        return _digit(entry, key)
    match key:
        case "+":
            return end_line(entry)
        case "*":
            return _times(entry)
        case "/":
            return _next_page(entry)
        case "-":
            return _erase(entry)
        case _:
            return entry


def choose_family(entry: Entry, code: str) -> Entry:
    """A tile was touched: it sets the family and, after an amount, ends the line."""
    if code not in entry.families:
        return entry
    chosen = replace(entry, typed=replace(entry.typed, family=code), page=None)
    return end_line(chosen) if chosen.typed.amount > 0 else chosen


def end_line(entry: Entry) -> Entry:
    """The typed line joins the others; nothing happens without an amount or with 40 lines."""
    typed = entry.typed
    if typed.amount <= ZERO or typed.amount > MOST_LINE or len(entry.lines) >= MOST_LINES:
        return replace(entry, page=None)
    line = Line(
        family=typed.family or entry.default_family,
        amount=typed.amount,
        family_typed=typed.family is not None,
        quantity=_thousandths(typed),
    )
    return replace(entry, lines=(*entry.lines, line), typed=Typed(), page=None)


def basket(entry: Entry) -> Basket | None:
    """What is to be paid, the typed line included, or ``None`` while there is nothing or a line is half typed."""
    ended = end_line(entry)
    is_half_typed = bool(ended.typed.digits) or ended.typed.count is not None
    return None if is_half_typed or not ended.lines else Basket(ended.lines)


def _digit(entry: Entry, key: str) -> Entry:
    digits = (entry.typed.digits + key).lstrip("0")
    longer = replace(entry.typed, digits=digits)
    if len(digits) > MOST_DIGITS or longer.amount > MOST_LINE:
        return entry
    return replace(entry, typed=longer)


def _times(entry: Entry) -> Entry:
    typed = entry.typed
    if typed.count is None:
        if not typed.digits:
            return entry
        return replace(entry, typed=replace(typed, count=int(typed.digits), digits="", measure=Measure.PIECES))
    if typed.digits:
        return entry
    other = Measure.GRAMS if typed.measure is Measure.PIECES else Measure.PIECES
    return replace(entry, typed=replace(typed, measure=other))


def _next_page(entry: Entry) -> Entry:
    if len(entry.families) < 2:
        return entry
    return replace(entry, page=0 if entry.page is None else (entry.page + 1) % entry.pages)


def _choose(entry: Entry, key: str) -> Entry:
    assert entry.page is not None
    if key == "-":
        return replace(entry, page=None)
    place = entry.page * PAGE + int(key) - 1
    if key == "0" or place >= len(entry.families):
        return entry
    return replace(entry, typed=replace(entry.typed, family=entry.families[place]), page=None)


def _erase(entry: Entry) -> Entry:
    typed = entry.typed
    if typed.digits:
        return replace(entry, typed=replace(typed, digits=typed.digits[:-1]))
    if typed.count is not None:
        return replace(entry, typed=replace(typed, digits=str(typed.count), count=None, measure=Measure.PIECES))
    if typed.family is not None:
        return replace(entry, typed=Typed())
    return replace(entry, lines=entry.lines[:-1])


def _thousandths(typed: Typed) -> int | None:
    if typed.count is None:
        return None
    return typed.count * 1_000 if typed.measure is Measure.PIECES else typed.count
