"""Cards that give no proof of their transactions: what they may pay is kept low.

Nobody, the centre included, can prove that such a card is no copy made with a terminal's key, or that it was not put
back to an earlier state. What that can cost is bounded here: per card, at each terminal, a day and between two contacts
with the centre; and over all terminals a day as long as the card tells the truth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.money import Cents
from domain.rule_set import Ceilings

UNPROVEN_CEILING: Final = Cents(3_000)
"""Cents; also the most a centre lets the balance of such a card be."""


def ceilings_for_unproven(usual: Ceilings) -> Ceilings:
    """The same ceilings with none of a day above UNPROVEN_CEILING."""
    return replace(
        usual,
        floor_limit=min(usual.floor_limit, UNPROVEN_CEILING),
        day_total=min(usual.day_total, UNPROVEN_CEILING),
    )


def left_for_unproven(left: Cents | None, unreported: Cents) -> Cents:
    """Cents a terminal may still take of such a card before its next contact with the centre.

    Args:
        left: cents its certificate leaves any card, or ``None`` for no limit.
        unreported: cents it took of this card since the last contact.
    """
    own = UNPROVEN_CEILING - unreported
    return own if left is None else min(left, own)
