"""Product families: a tree of stable codes. A purse and a rule name families; a line is of one family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from domain.identity import LONGEST_FAMILY_CODE

FOOD: Final = "food"
"""Root of what feeds people; a product with a tag of any other root is never taken for food."""

COLOURS: Final = frozenset({"green", "red", "orange", "yellow", "brown", "blue", "pink", "purple", "grey"})
"""Names of colours a tile may have; never the only sign of a family."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of products.

    Attributes:
        code: stable English code, e.g. ``"vegetables"``; ASCII letters and hyphens.
        parent: code of the family it is part of, or ``None`` at a root.
        name_fr: what the cashier reads.
        icon: one letter for the tile.
        name_en: the same in English; empty where nobody wrote one.
        colour: of the tile, one of ``COLOURS``.
        tags: categories of Open Food Facts that mean this family (``"en:cheeses"``); its parents' may be more general.
    """

    code: str
    parent: str | None
    name_fr: str
    icon: str
    name_en: str = ""
    colour: str = "grey"
    tags: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class TagTable:
    """From a category of Open Food Facts to a family.

    Attributes:
        families: family code by tag.
        not_food: the family codes outside ``FOOD``.
    """

    families: Mapping[str, str]
    not_food: frozenset[str]

    def family(self, tags: Iterable[str]) -> str | None:
        """The family of a product with these tags, the general ones first as Open Food Facts sorts them.

        The last tag that is known is the most specific one and decides, unless one of them is of no food: wine stays
        wine whatever else it is called. ``None`` when no tag is known.
        """
        found: str | None = None
        for tag in tags:
            code = self.families.get(tag)
            if code is None:
                continue
            if found is None or found not in self.not_food or code in self.not_food:
                found = code
        return found


def tag_table(families: Mapping[str, Family]) -> TagTable:
    """The table of a tree.

    Raises:
        ValueError: a tag stands at two families.
    """
    by_tag: dict[str, str] = {}
    for family in families.values():
        for tag in family.tags:
            if tag in by_tag:
                raise ValueError(f"the tag {tag} stands at {by_tag[tag]} and at {family.code}")
            by_tag[tag] = family.code
    outside = frozenset(code for code in families if FOOD not in lineage(code, families))
    return TagTable(by_tag, outside)


def _tags(words: str) -> tuple[str, ...]:
    """``"cheeses quarks"`` as tags of the English taxonomy."""
    return tuple(f"en:{word}" for word in words.split())


# The tags are names in the categories taxonomy of Open Food Facts (github.com/openfoodfacts/openfoodfacts-server,
# taxonomies/food/categories.txt, looked up in its state of January 2023); which family each means is our choice. Fruit
# and vegetables count as fresh only where a tag says so or names the fruit; "beverages" alone says nothing, since wine
# is one.
# fmt: off
DEFAULT_FAMILIES: Final = (
    Family("food", None, "Alimentation", "A", "Food", "green"),
    Family("fresh-produce", "food", "Fruits et légumes", "F", "Fruit and vegetables", "green",
           _tags("fresh-plant-based-foods")),
    Family("vegetables", "fresh-produce", "Légumes", "L", "Vegetables", "green",
           _tags("fresh-vegetables fresh-potatoes fresh-mushrooms fresh-sprouts fresh-legumes lettuces leaf-salads "
                 "corn-salad mesclun")),
    Family("fruit", "fresh-produce", "Fruits", "F", "Fruit", "red", _tags("fruits fresh-fruits")),
    Family("herbs", "fresh-produce", "Herbes aromatiques", "H", "Herbs", "green",
           _tags("fresh-aromatic-plants potted-aromatic-plants")),
    Family("bread", "food", "Pain", "P", "Bread", "brown", _tags("breads")),
    Family("pastries", "food", "Viennoiseries et pâtisseries", "G", "Pastries", "brown",
           _tags("viennoiseries pastries cakes sweet-pies")),
    Family("dairy", "food", "Produits laitiers", "D", "Dairy", "blue", _tags("dairies dairy-desserts")),
    Family("milk", "dairy", "Lait", "L", "Milk", "blue", _tags("milks condensed-milks evaporated-milks")),
    Family("yogurt", "dairy", "Yaourts", "Y", "Yogurt", "blue",
           _tags("yogurts fermented-dairy-desserts fermented-milk-drinks")),
    Family("cheese", "dairy", "Fromages", "F", "Cheese", "yellow", _tags("cheeses quarks cottage-cheeses")),
    Family("butter", "dairy", "Beurre et crème", "B", "Butter and cream", "yellow",
           _tags("butters dairy-spread milkfat creams")),
    Family("eggs", "food", "Œufs", "O", "Eggs", "yellow", _tags("eggs")),
    Family("meat", "food", "Viande", "V", "Meat", "red", _tags("meats-and-their-products meats offals")),
    Family("poultry", "meat", "Volaille", "P", "Poultry", "orange",
           _tags("poultries chicken-and-its-products turkey-and-its-products")),
    Family("charcuterie", "meat", "Charcuterie", "C", "Cured and cooked meats", "pink",
           _tags("prepared-meats terrines meat-spreads foies-gras")),
    Family("fish", "food", "Poisson", "M", "Fish", "blue", _tags("seafood fishes fish-eggs")),
    Family("shellfish", "fish", "Coquillages et crustacés", "C", "Shellfish", "pink", _tags("mollusc crustaceans")),
    Family("groceries", "food", "Épicerie", "É", "Groceries", "orange",
           _tags("plant-based-foods canned-foods dried-products cooking-helpers food-additives broths spreads "
                 "breakfasts salted-spreads")),
    Family("cereals", "groceries", "Pâtes, riz, farines, céréales", "R", "Pasta, rice, flour, cereals", "yellow",
           _tags("cereals-and-their-products pastas rices flours breakfast-cereals pie-dough cereal-grains")),
    Family("pulses", "groceries", "Légumes secs", "S", "Pulses", "brown",
           _tags("pulses legumes-and-their-products legume-seeds canned-legumes")),
    Family("preserves", "groceries", "Conserves et surgelés", "C", "Canned and frozen", "orange",
           _tags("fruits-and-vegetables-based-foods vegetables-based-foods fruits-based-foods canned-plant-based-foods "
                 "canned-vegetables canned-fruits hearts-of-palm frozen-plant-based-foods frozen-vegetables "
                 "frozen-fruits dried-vegetables prepared-vegetables pickles compotes fruits-in-syrup potatoes "
                 "frozen-aromatic-plants frozen-legumes frozen-mushrooms canned-mushrooms frozen-foods")),
    Family("nuts", "groceries", "Fruits secs et graines", "G", "Nuts and seeds", "brown",
           _tags("nuts-and-their-products nuts dried-fruits seeds")),
    Family("oil", "groceries", "Huiles et vinaigres", "H", "Oil and vinegar", "yellow",
           _tags("fats vegetable-fats vegetable-oils olive-oils vinegars")),
    Family("condiments", "groceries", "Sauces, sel et épices", "E", "Sauces, salt and spices", "red",
           _tags("condiments sauces spices salts mustards aromatic-plants dried-aromatic-plants "
                 "ground-dried-aromatic-plants olives")),
    Family("honey", "groceries", "Miel et confitures", "M", "Honey and jam", "orange",
           _tags("honeys bee-products sweet-spreads jams fruit-and-vegetable-preserves")),
    Family("sweets", "groceries", "Sucre, biscuits, chocolat", "B", "Sugar, biscuits, chocolate", "purple",
           _tags("sugars sweeteners snacks sweet-snacks biscuits-and-cakes biscuits confectioneries "
                 "cocoa-and-its-products chocolates desserts frozen-desserts salty-snacks crisps")),
    Family("coffee-tea", "groceries", "Café, thé, infusions", "T", "Coffee and tea", "brown",
           _tags("coffees teas herbal-teas cocoa-and-chocolate-powders")),
    Family("plant-based", "groceries", "Produits végétaux", "V", "Plant-based", "green",
           _tags("dairy-substitutes milk-substitutes plant-milks meat-alternatives tofu")),
    Family("baby-food", "groceries", "Alimentation infantile", "N", "Baby food", "pink",
           _tags("baby-foods baby-milks")),
    Family("prepared", "food", "Plats préparés", "T", "Prepared meals", "orange",
           _tags("meals sandwiches pizzas soups prepared-salads meals-with-meat meals-with-fish "
                 "frozen-ready-made-meals breaded-products")),
    Family("drinks", "food", "Boissons sans alcool", "B", "Soft drinks", "blue",
           _tags("non-alcoholic-beverages carbonated-drinks sodas plant-based-beverages hot-beverages dairy-drinks "
                 "syrups flavoured-syrups tea-based-beverages energy-drinks")),
    Family("water", "drinks", "Eau", "E", "Water", "blue", _tags("waters")),
    Family("juice", "drinks", "Jus de fruits", "J", "Fruit juice", "orange",
           _tags("juices-and-nectars fruit-juices fruit-based-beverages smoothies")),
    Family("alcohol", None, "Alcool", "W", "Alcohol", "purple",
           _tags("alcoholic-beverages distilled-beverages liqueurs premixed-alcoholic-beverages")),
    Family("wine", "alcohol", "Vin", "V", "Wine", "purple", _tags("wines wine-based-drinks")),
    Family("beer", "alcohol", "Bière et cidre", "B", "Beer and cider", "yellow", _tags("beers ciders")),
    Family("tobacco", None, "Tabac", "N", "Tobacco", "grey", _tags("cigarettes")),
    Family("pet", None, "Animaux", "Z", "Pets", "grey", _tags("open-pet-food-facts pet-food")),
    Family("deposit", None, "Consigne", "C", "Deposit", "grey"),
    Family("non-food", None, "Non alimentaire", "X", "Non-food", "grey",
           _tags("non-food-products open-products-facts kitchenware")),
    Family("hygiene", "non-food", "Hygiène et entretien", "H", "Hygiene and cleaning", "grey",
           _tags("open-beauty-facts detergents")),
    Family("flowers", "non-food", "Fleurs et plants", "F", "Flowers and plants", "green"),
)
# fmt: on
