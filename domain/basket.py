"""What is being bought: a basket of lines, each of one family and one price."""

from __future__ import annotations

from dataclasses import dataclass

from domain.identity import LONGEST_FAMILY_CODE, MOST_LINES
from domain.money import Cents, total


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the basket.

    Attributes:
        family: code of the product family.
        amount: price of the line in cents; zero or less is never paid by a card.
        family_typed: whether the cashier chose the family (or it is the stall's default).
        labels: claims of the merchant for this line (``"organic"`` …).
        quantity: whole number in thousandths of the unit (1,000 = one piece or one kilogram), or ``None``.
    """

    family: str
    amount: Cents
    family_typed: bool = False
    labels: tuple[str, ...] = ()
    quantity: int | None = None

    def __post_init__(self) -> None:
        if len(self.family) > LONGEST_FAMILY_CODE:
            raise ValueError(f"a family code has at most {LONGEST_FAMILY_CODE} characters")


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines in the order typed, 40 at most."""

    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        if len(self.lines) > MOST_LINES:
            raise ValueError(f"a basket has at most {MOST_LINES} lines")

    @property
    def price(self) -> Cents:
        """What the whole basket costs, in cents."""
        return total(line.amount for line in self.lines)
