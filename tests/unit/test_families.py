"""The default families: stable codes, a tree, and what categories of Open Food Facts they mean."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from domain.family import COLOURS, DEFAULT_FAMILIES, FOOD, Family, is_within, lineage, tag_table, tree
from domain.identity import LONGEST_FAMILY_CODE

ROOT = Path(__file__).parents[2]
FAMILIES = tree(DEFAULT_FAMILIES)
TAGS = tag_table(FAMILIES)
CODES_OF_THE_FIRST_PROGRAMME = {
    *("food", "fresh-produce", "vegetables", "fruit", "herbs", "bread", "dairy", "cheese", "eggs", "meat", "poultry"),
    *("fish", "groceries", "pulses", "honey", "prepared", "drinks", "alcohol", "tobacco", "pet", "deposit"),
    *("non-food", "hygiene", "flowers"),
}


def test_codes_once_given_are_still_there() -> None:
    assert set(FAMILIES) >= CODES_OF_THE_FIRST_PROGRAMME


def test_there_are_about_forty_families() -> None:
    assert 38 <= len(FAMILIES) <= 45


@pytest.mark.parametrize("family", DEFAULT_FAMILIES, ids=lambda family: family.code)
def test_each_family_has_a_short_plain_code_two_names_a_letter_and_a_colour(family: Family) -> None:
    assert len(family.code) <= LONGEST_FAMILY_CODE
    assert family.code.replace("-", "").isalpha() and family.code.isascii() and family.code.islower()
    assert family.name_fr and family.name_en
    assert len(family.icon) == 1 and family.icon.isupper()
    assert family.colour in COLOURS


def test_families_side_by_side_have_different_letters() -> None:
    for parent in {family.parent for family in DEFAULT_FAMILIES}:
        letters = [family.icon for family in DEFAULT_FAMILIES if family.parent == parent]
        assert len(set(letters)) == len(letters), parent


def test_every_rule_set_of_the_house_names_families_that_exist() -> None:
    files = sorted((ROOT / "domain" / "rule-sets").glob("*.toml"))
    assert files
    for file in files:
        rules = tomllib.loads(file.read_text(encoding="utf-8"))
        named = {*rules["never"], *(family for purse in rules["purse"] for family in families_of(purse))}
        assert named <= set(FAMILIES), file.name


def families_of(purse: dict[str, list[dict[str, list[str]]]]) -> set[str]:
    return {family for condition in purse["pays"] for family in condition.get("families", [])}


@pytest.mark.parametrize("code", ["alcohol", "wine", "beer", "tobacco", "pet", "deposit", "non-food", "hygiene"])
def test_what_never_feeds_anybody_is_not_part_of_food(code: str) -> None:
    assert not is_within(code, frozenset({FOOD}), FAMILIES)
    assert code in TAGS.not_food


def test_preserves_are_no_fresh_produce() -> None:
    assert list(lineage("preserves", FAMILIES)) == ["preserves", "groceries", "food"]


# Each row as Open Food Facts writes it: the parents of a category before it.
ROWS = [
    (("en:dairies", "en:fermented-milk-products", "en:cheeses", "en:goat-cheeses"), "cheese"),
    (("en:plant-based-foods", "en:vegetables-based-foods", "en:fresh-vegetables", "en:fresh-carrots"), "vegetables"),
    (("en:plant-based-foods", "en:vegetables-based-foods", "en:carrots"), "preserves"),
    (("en:plant-based-foods", "en:vegetables-based-foods", "en:canned-vegetables", "en:canned-carrots"), "preserves"),
    (("en:plant-based-foods", "en:fruits-based-foods", "en:fruits", "en:apples"), "fruit"),
    (("en:plant-based-foods", "en:fruits-based-foods", "en:fruit-salads"), "preserves"),
    (("en:plant-based-foods", "en:fruits-based-foods", "en:fruits", "en:frozen-fruits"), "preserves"),
    (("en:plant-based-foods", "en:legumes-and-their-products", "en:pulses", "en:lentils"), "pulses"),
    (("en:meats-and-their-products", "en:meats", "en:poultries", "en:chickens"), "poultry"),
    (("en:meats-and-their-products", "en:prepared-meats", "en:hams"), "charcuterie"),
    (
        ("en:plant-based-foods-and-beverages", "en:beverages", "en:plant-based-beverages", "en:juices-and-nectars"),
        "juice",
    ),
    (("en:beverages", "en:alcoholic-beverages", "en:wines", "en:red-wines"), "wine"),
    (("en:non-food-products", "en:open-pet-food-facts", "en:pet-food", "en:cat-food"), "pet"),
    (("en:beverages",), None),
    (("fr:categorie-inconnue",), None),
    ((), None),
]


@pytest.mark.parametrize(("tags", "family"), ROWS, ids=[row[0][-1] if row[0] else "no tag" for row in ROWS])
def test_the_most_specific_category_that_is_known_decides(tags: tuple[str, ...], family: str | None) -> None:
    assert TAGS.family(tags) == family


@pytest.mark.parametrize("food", ["en:chocolates", "en:juices-and-nectars", "en:meals"])
@pytest.mark.parametrize(("tag", "family"), [("en:alcoholic-beverages", "alcohol"), ("en:pet-food", "pet")])
def test_what_is_also_no_food_is_never_taken_for_food(food: str, tag: str, family: str) -> None:
    assert TAGS.family((tag, food)) == TAGS.family((food, tag)) == family


def test_a_tag_at_two_families_is_a_mistake() -> None:
    families = tree((Family("a", None, "A", "A", tags=("en:x",)), Family("b", None, "B", "B", tags=("en:x",))))
    with pytest.raises(ValueError, match="en:x stands at a and at b"):
        tag_table(families)
