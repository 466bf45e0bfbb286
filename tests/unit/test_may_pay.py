"""Which purse may pay a line here today, how much of it, and what is missing where none may."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from domain.basket import Line
from domain.days import Days
from domain.identity import PurseNumber
from domain.may_pay import most_of, why_no_purse, why_not
from domain.money import Cents
from domain.reason import Reason
from domain.rule_set import USUAL_TIERS, Ceilings, Certificate, Condition, Merchant, PriceCeiling, Purse, RuleSet

TODAY = Days(date(2026, 3, 7), date(2026, 3, 7))
STALL = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables", profile="producer")
FOOD = Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"}), frozenset({"referenced"})),))
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol", "cheese"}),
    purses=(FOOD,),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(0)),
)


def line(family: str = "vegetables", amount: int = 500, **more: object) -> Line:
    return Line(family, Cents(amount), **more)  # type: ignore[arg-type]


def purse(*pays: Condition, **more: object) -> Purse:
    return Purse(PurseNumber(2), "other", "Autre", pays, **more)  # type: ignore[arg-type]


def why(item: Line, of: Purse, merchant: Merchant = STALL, days: Days | None = TODAY) -> Reason | None:
    return why_not(item, of, RULES, merchant, days)


def test_what_no_purse_pays_wins_over_every_condition_even_a_part_of_a_paid_family() -> None:
    assert why_no_purse(line("cheese"), RULES, STALL, TODAY) is Reason.NEVER_FAMILY
    assert why_no_purse(line("dairy"), RULES, STALL, TODAY) is None


@pytest.mark.parametrize("words", [frozenset({"referenced"}), frozenset({"producer"}), frozenset[str]()])
def test_a_condition_names_groups_or_profiles_or_any_place(words: frozenset[str]) -> None:
    assert why(line(), purse(Condition(frozenset({"food"}), words))) is None


def test_any_one_condition_is_enough_and_the_one_that_came_furthest_says_what_is_missing() -> None:
    elsewhere = Condition(frozenset({"food"}), frozenset({"conventioned"}))
    organic_fruit = Condition(frozenset({"fruit"}), labels=frozenset({"organic"}))
    assert why(line("fruit"), purse(elsewhere, organic_fruit)) is Reason.LABEL_NOT_CERTIFIED
    assert why(line("bread"), purse(elsewhere, organic_fruit)) is Reason.NOT_IN_THE_LIST
    assert why(line("bread"), purse(elsewhere)) is Reason.MERCHANT_NOT_IN_THIS_PURSE
    assert why(line("bread"), purse(elsewhere, organic_fruit, Condition(frozenset({"bread"})))) is None


def test_a_label_counts_while_a_certificate_backs_it_the_last_day_included() -> None:
    organic = purse(Condition(labels=frozenset({"organic"})))
    certified = replace(STALL, certificates=(Certificate("organic", "FR-BIO-01", date(2026, 3, 7)),))
    claimed = line(labels=("organic",))
    assert why(claimed, organic, certified) is None
    assert why(line(), organic, certified) is Reason.LABEL_NOT_CERTIFIED, "certified, and not claimed for this line"
    assert why(claimed, organic) is Reason.LABEL_NOT_CERTIFIED, "claimed, and not certified"
    tomorrow = Days(date(2026, 3, 8), date(2026, 3, 8))
    assert why(claimed, organic, certified, tomorrow) is Reason.LABEL_NOT_CERTIFIED
    unsure = Days(date(2026, 3, 7), date(2026, 3, 20))
    assert why(claimed, organic, certified, unsure) is None, "what may not have ended has not"


@pytest.mark.parametrize(
    ("first", "last", "holds"),
    [
        (None, None, True),
        (date(2026, 3, 7), date(2026, 3, 7), True),
        (date(2026, 3, 8), None, False),
        (None, date(2026, 3, 6), False),
    ],
)
def test_a_merchant_entry_holds_from_its_first_day_to_its_last(
    first: date | None, last: date | None, holds: bool
) -> None:
    entry = replace(STALL, first_day=first, last_day=last)
    assert why(line(), FOOD, entry) is (None if holds else Reason.MERCHANT_NOT_IN_THIS_PURSE)


def test_a_product_list_needs_a_known_product_that_stands_in_it() -> None:
    milk = purse(Condition(products="milk-2026"))
    assert why(line("milk", lists=frozenset({"milk-2026"})), milk) is None
    assert why(line("milk", lists=frozenset()), milk) is Reason.NOT_IN_THE_LIST
    assert why(line("milk"), milk) is Reason.PRODUCT_NOT_KNOWN


def test_where_nobody_stands_at_the_till_only_purses_that_say_so_pay() -> None:
    machine = replace(STALL, is_attended=False)
    assert why(line(), FOOD, machine) is Reason.UNATTENDED_SALE
    assert why(line(), replace(FOOD, pays_unattended=True), machine) is None


@pytest.mark.parametrize(
    ("amount", "quantity", "unit", "most"),
    [
        (972, 6_000, "l", 900),
        (850, 6_000, "l", 850),
        (500, 1_003, "l", 150),  # 1.5045 € → 1.50
        (500, 1_004, "l", 151),  # 1.506 € → 1.51
        (500, 1_010, "l", 152),  # 1.515 € exactly: half up
        (500, None, "l", 0),
        (500, 0, "l", 0),
        (500, 6_000, "kg", 0),
        (500, 6_000, "", 0),
    ],
)
def test_a_price_ceiling_is_rounded_half_up_once_and_needs_a_quantity_of_its_unit(
    amount: int, quantity: int | None, unit: str, most: int
) -> None:
    milk = purse(Condition(frozenset({"food"})), price_ceiling=PriceCeiling(Cents(150), "l"))
    item = line("milk", amount, quantity=quantity, unit=unit)
    assert most_of(item, milk) == most
    assert why(item, milk) is (None if most else Reason.PRICE_ABOVE_CEILING)
