"""Cards that give no proof of their transactions: what they may pay is kept low.

Nobody, the centre included, can tell such a card from a copy made with a terminal's key, or notice that it was put back
to an earlier state. What that can cost is bounded here: per card and day, at each terminal and, as long as the card
tells the truth, over all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.money import Cents
from domain.rule_set import RuleSet

UNPROVEN_CEILING: Final = Cents(3_000)
"""Cents a day, and the most a centre lets the balance of such a card be."""


def rules_for_unproven(rules: RuleSet) -> RuleSet:
    """The same rules with no ceiling of a day above UNPROVEN_CEILING."""
    usual = rules.ceilings
    low = replace(
        usual,
        floor_limit=min(usual.floor_limit, UNPROVEN_CEILING),
        day_total=min(usual.day_total, UNPROVEN_CEILING),
    )
    return replace(rules, ceilings=low)
