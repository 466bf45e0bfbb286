"""Product families: a tree of stable codes. A purse and a rule name families; a line is of one family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from domain.identity import LONGEST_FAMILY_CODE


@dataclass(frozen=True, slots=True)
class Family:
    """One family of products.

    Attributes:
        code: stable English code, e.g. ``"vegetables"``.
        parent: code of the family it is part of, or ``None`` at a root.
        name_fr: what the cashier reads.
        icon: one letter for the tile.
    """

    code: str
    parent: str | None
    name_fr: str
    icon: str


def tree(families: tuple[Family, ...]) -> Mapping[str, Family]:
    """The families by code; an unknown parent or a code used twice is a mistake of the rule set.

    Raises:
        ValueError: naming the code that is wrong.
    """
    by_code: dict[str, Family] = {}
    for family in families:
        if len(family.code) > LONGEST_FAMILY_CODE:
            raise ValueError(f"family code {family.code} has more than {LONGEST_FAMILY_CODE} characters")
        if family.code in by_code:
            raise ValueError(f"family {family.code} is listed twice")
        if family.parent is not None and family.parent not in by_code:
            raise ValueError(f"family {family.code} is part of {family.parent}, which does not stand before it")
        by_code[family.code] = family
    return by_code


def lineage(code: str, families: Mapping[str, Family]) -> Iterator[str]:
    """The family's code, then its parents up to the root; nothing for an unknown code."""
    current: str | None = code
    while current is not None and current in families:
        yield current
        current = families[current].parent


def is_within(code: str, roots: frozenset[str], families: Mapping[str, Family]) -> bool:
    """Whether the family is one of ``roots`` or part of one."""
    return any(step in roots for step in lineage(code, families))


DEFAULT_FAMILIES: Final = (
    Family("food", None, "Alimentation", "A"),
    Family("fresh-produce", "food", "Fruits et légumes", "F"),
    Family("vegetables", "fresh-produce", "Légumes", "L"),
    Family("fruit", "fresh-produce", "Fruits", "F"),
    Family("herbs", "fresh-produce", "Herbes aromatiques", "H"),
    Family("bread", "food", "Pain", "P"),
    Family("dairy", "food", "Produits laitiers", "D"),
    Family("cheese", "dairy", "Fromages", "F"),
    Family("eggs", "food", "Œufs", "O"),
    Family("meat", "food", "Viande", "V"),
    Family("poultry", "meat", "Volaille", "V"),
    Family("fish", "food", "Poisson", "P"),
    Family("groceries", "food", "Épicerie", "É"),
    Family("pulses", "groceries", "Légumes secs", "S"),
    Family("honey", "groceries", "Miel et confitures", "M"),
    Family("prepared", "food", "Plats préparés", "T"),
    Family("drinks", "food", "Boissons sans alcool", "B"),
    Family("alcohol", None, "Alcool", "W"),
    Family("tobacco", None, "Tabac", "N"),
    Family("pet", None, "Animaux", "N"),
    Family("deposit", None, "Consigne", "C"),
    Family("non-food", None, "Non alimentaire", "N"),
    Family("hygiene", "non-food", "Hygiène", "N"),
    Family("flowers", "non-food", "Fleurs et plants", "N"),
)
