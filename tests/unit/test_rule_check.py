"""Rules that hold together, and what is compiled into them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_check import mistakes, with_widths
from domain.rule_set import (
    USUAL_TIERS,
    USUAL_WHO_PAYS,
    Allotment,
    Campaign,
    Case,
    Ceilings,
    Condition,
    Match,
    PriceCeiling,
    Purse,
    PurseCeilings,
    RuleSet,
)

FOOD = Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"})),))
VEG = Purse(PurseNumber(2), "veg", "Légumes", (Condition(frozenset({"fresh-produce"})),))
WINTER = Campaign(
    "winter", date(2026, 1, 1), date(2026, 5, 31), (Condition(frozenset({"food"})),), frozenset({"food"}), Cents(500),
    Cents(1_000), Cents(6_000), "food",
)  # fmt: skip
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol"}),
    purses=(FOOD, VEG),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(0)),
    campaigns=(WINTER,),
    allotments=(Allotment("food", adult=Cents(4_000), child=Cents(2_000)),),
)
HALF = Match(Fraction(1, 2))


def test_these_rules_hold_together() -> None:
    assert mistakes(RULES) == ()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (replace(RULES, purses=(FOOD, replace(VEG, number=FOOD.number))), "number is used twice"),
        (replace(RULES, purses=(FOOD, replace(VEG, code="food"))), "code is used twice"),
        (replace(RULES, purses=(replace(FOOD, match=HALF), replace(VEG, match=HALF)), campaigns=()), "at most one"),
        (replace(RULES, purses=(FOOD, replace(VEG, match=Match(Fraction(1))))), "between 0 and 1"),
        (replace(RULES, purses=(FOOD, replace(VEG, number=PurseNumber(256)))), "outside 1 to 255"),
        (replace(RULES, purses=(FOOD, replace(VEG, pays=()))), "pays nothing"),
        (replace(RULES, purses=(FOOD, replace(VEG, ceilings=PurseCeilings(day=Cents(-1))))), "below zero"),
        (replace(RULES, purses=(FOOD, replace(VEG, price_ceiling=PriceCeiling(Cents(1), "")))), "no price per unit"),
        (replace(RULES, never=frozenset({"unicorn"})), "unicorn is not defined"),
        (replace(RULES, campaigns=(WINTER, replace(WINTER, code="more"))), "same day"),
        (replace(RULES, campaigns=(replace(WINTER, first_day=date(2026, 1, 2)),)), "first of a month"),
        (replace(RULES, campaigns=(replace(WINTER, last_day=date(2026, 5, 30)),)), "last of one"),
        (replace(RULES, campaigns=(replace(WINTER, last_day=date(2025, 12, 31)),)), "first of a month"),
        (replace(RULES, campaigns=(replace(WINTER, into="bank"),)), "purse bank"),
        (replace(RULES, campaigns=(replace(WINTER, earned_on=frozenset({"bank"})),)), "purse bank"),
        (replace(RULES, campaigns=(replace(WINTER, earned_on=frozenset()),)), "earned by nothing"),
        (replace(RULES, campaigns=(replace(WINTER, per=Cents(0)),)), "no sum for a sum"),
        (replace(RULES, purses=(replace(FOOD, match=HALF), VEG)), "match money earn"),
        (replace(RULES, allotments=(Allotment("bank"),)), "purse bank"),
        (replace(RULES, allotments=(Allotment("food", paid_by=(("city", Fraction(1, 2)),)),)), "whole"),
        (replace(RULES, who_pays=(*USUAL_WHO_PAYS, USUAL_WHO_PAYS[0])), "used twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_told_and_no_other(wrong: RuleSet, told: str) -> None:
    (found,) = mistakes(wrong)
    assert told in found


def test_the_narrower_purse_has_the_smaller_width() -> None:
    food, veg = with_widths(RULES).purses
    assert 0 < veg.width < food.width
    listed = replace(FOOD, pays=(Condition(products="milk-2026"),))
    assert with_widths(replace(RULES, purses=(listed,))).purses[0].width == 1
    both = replace(FOOD, pays=(*FOOD.pays, *VEG.pays))
    assert with_widths(replace(RULES, purses=(both,))).purses[0].width == food.width
    never = replace(RULES, never=frozenset({"alcohol", "vegetables"}), purses=(VEG,))
    assert with_widths(never).purses[0].width == veg.width - 1


def test_every_case_of_who_pays_has_a_row() -> None:
    assert {row.case for row in USUAL_WHO_PAYS} == set(Case)


@pytest.mark.parametrize(
    ("allotment", "adults", "children", "granted"),
    [
        (Allotment("food", adult=Cents(4_000), child=Cents(2_000)), 2, 3, 14_000),
        (Allotment("mona", household=Cents(15_000), next=Cents(7_500)), 1, 0, 15_000),
        (Allotment("mona", household=Cents(15_000), next=Cents(7_500)), 1, 2, 30_000),
        (Allotment("mona", household=Cents(15_000), next=Cents(7_500)), 0, 0, 0),
    ],
)
def test_a_household_is_granted_what_its_people_come_to(
    allotment: Allotment, adults: int, children: int, granted: int
) -> None:
    assert allotment.granted(adults, children) == granted
