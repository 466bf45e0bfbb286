"""What is being bought: a basket of lines, each of one family and one price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.identity import LONGEST_FAMILY_CODE, MOST_LINES
from domain.money import Cents, total

MOST_LABELS: Final = 4
LONGEST_UNIT: Final = 8
LONGEST_PRODUCT: Final = 14
"""What a line may claim is kept in the record, which has its bounds; a GTIN has 14 digits at most."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the basket.

    Attributes:
        family: code of the product family.
        amount: price of the line in cents; zero or less is never paid by a card.
        family_typed: whether the cashier chose the family (or it is the stall's default).
        labels: claims of the merchant for this line (``"organic"`` …); they count while a certificate backs them.
        quantity: whole number in thousandths of the unit (1,000 = one piece, kilogram or litre), or ``None``.
        unit: what the quantity counts: ``"piece"``, ``"kg"``, ``"l"``; empty where nobody said.
        unit_price: cents for one unit, or ``None`` where only the sum was typed.
        product: code of the product (a GTIN, or the stall's own), or ``None``.
        lists: signed product lists the product stands in; ``None`` where the product is not known.
    """

    family: str
    amount: Cents
    family_typed: bool = False
    labels: tuple[str, ...] = ()
    quantity: int | None = None
    unit: str = ""
    unit_price: Cents | None = None
    product: str | None = None
    lists: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if max(map(len, (self.family, *self.labels))) > LONGEST_FAMILY_CODE:
            raise ValueError(f"codes of families and labels have at most {LONGEST_FAMILY_CODE} characters")
        if len(self.labels) > MOST_LABELS or len(self.unit) > LONGEST_UNIT or len(self.product or "") > LONGEST_PRODUCT:
            raise ValueError("a line claims more than a record keeps")


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
