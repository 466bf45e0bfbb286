"""Cards that give no proof of their transactions: what they may pay is kept low.

Nobody, the centre included, can prove that such a card is no copy made with a terminal's key, or that it was not put
back to an earlier state. What that can cost is bounded here: per card, at each terminal, a day and between two contacts
with the centre; and over all terminals a day as long as the card tells the truth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.money import Cents
from domain.rule_set import RuleSet

UNPROVEN_CEILING: Final = Cents(3_000)
"""Cents; also the most a centre lets the balance of such a card be."""


def rules_for_unproven(rules: RuleSet) -> RuleSet:
    """The same rules with no ceiling of a day above UNPROVEN_CEILING."""
    usual = rules.ceilings
    low = replace(
        usual,
        floor_limit=min(usual.floor_limit, UNPROVEN_CEILING),
        day_total=min(usual.day_total, UNPROVEN_CEILING),
    )
    return replace(rules, ceilings=low)


def card_cap_for_unproven(cap: Cents | None) -> Cents:
    """What a terminal may take of such a card between two contacts, where its certificate allows ``cap`` of any."""
    return UNPROVEN_CEILING if cap is None else min(cap, UNPROVEN_CEILING)
