"""Money: whole euro cents in one type that refuses floats and booleans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn, Self


class Cents(int):
    """An amount of money in whole cents; may be negative (a correction).

    Raises:
        TypeError: for anything but a whole number (a float, a boolean, a text).
    """

    __slots__ = ()

    def __new__(cls, value: int = 0) -> Self:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"an amount is a whole number of cents, not {type(value).__name__}")
        return super().__new__(cls, value)

    def __add__(self, other: int) -> Cents:
        return Cents(int(self) + int(_amount(other)))

    def __sub__(self, other: int) -> Cents:
        return Cents(int(self) - int(_amount(other)))

    def __radd__(self, other: int) -> Cents:
        return Cents(int(_amount(other)) + int(self))

    def __rsub__(self, other: int) -> Cents:
        return Cents(int(_amount(other)) - int(self))

    def __neg__(self) -> Cents:
        return Cents(-int(self))

    def __mul__(self, count: int) -> Cents:
        return Cents(int(self) * int(_amount(count)))

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> NoReturn:
        raise TypeError("money is shared out in whole cents: use // and say where the rest goes")

    def __repr__(self) -> str:
        return f"Cents({int(self)})"

    def __str__(self) -> str:
        return str(int(self))


ZERO: Final = Cents(0)


def _amount(other: int) -> int:
    if isinstance(other, bool) or not isinstance(other, int):
        raise TypeError(f"money is added to money, not to {type(other).__name__}")
    return other


def total(amounts: Iterable[Cents]) -> Cents:
    """The sum of amounts, in cents; nothing adds up to zero."""
    return Cents(sum(int(amount) for amount in amounts))


def not_negative(amount: Cents) -> Cents:
    """The amount, or zero where it is below zero."""
    return amount if amount > 0 else ZERO


def in_euros(amount: Cents) -> str:
    """French writing of an amount: ``1 234,50 €`` (narrow no-break spaces U+202F, as the press prints it)."""
    sign = "−" if amount < 0 else ""
    euros, cents = divmod(abs(int(amount)), 100)
    grouped = f"{euros:,}".replace(",", "\u202f")
    return f"{sign}{grouped},{cents:02d}\u202f€"
