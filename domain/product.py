"""Goods by their bar code: GTINs and their check digit, codes a shop prints itself, what a code means for the rules.

Sources: GS1 General Specifications, 7.9 (check digits) and its part on variable measure trade items; prefixes as GS1
publishes them. A layout of in-store codes is a merchant's own and never a global assumption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType, Protocol

from domain.money import Cents

Gtin = NewType("Gtin", str)
"""14 digits, zeros in front, the check digit right."""

GTIN_LENGTHS: Final = frozenset({8, 12, 13, 14})
_SHORT: Final = "000000"  # in front of a GTIN-8


class CodeFault(StrEnum):
    """Why a code that was read cannot be a code."""

    NOT_A_CODE = "not 8, 12, 13 or 14 digits"
    CHECK_DIGIT = "its check digit is wrong"
    PRICE_CHECK_DIGIT = "the check digit of its price or weight is wrong"


class WrongCode(ValueError):
    """A code that was read or typed wrong: read it again; ``fault`` says why."""

    def __init__(self, fault: CodeFault) -> None:
        super().__init__(f"a bar code is refused: {fault}")
        self.fault = fault


def check_digit(digits: str) -> int:
    """The digit GS1 puts behind ``digits``: weights 3 and 1 by turns, 3 for the last of them."""
    return -(3 * sum(map(int, digits[::-2])) + sum(map(int, digits[-2::-2]))) % 10


def gtin(text: str) -> Gtin:
    """A GTIN-8, UPC-A (GTIN-12), GTIN-13 or GTIN-14 as it was read, in one form.

    Raises:
        WrongCode: another number of digits, or a wrong check digit.
    """
    digits = text.strip()
    if len(digits) not in GTIN_LENGTHS or not (digits.isascii() and digits.isdigit()):
        raise WrongCode(CodeFault.NOT_A_CODE)
    if check_digit(digits[:-1]) != ord(digits[-1]) - ord("0"):
        raise WrongCode(CodeFault.CHECK_DIGIT)
    return Gtin(digits.zfill(14))


def is_case(code: Gtin) -> bool:
    """Whether it names a case of several (or a bale by weight), not the article sold at the till."""
    return code[0] != "0"


def is_in_store(code: Gtin) -> bool:
    """Whether it means something in one shop or company only: 02, 04 and 20 to 29, and short codes from 0 and 2."""
    if code.startswith(_SHORT):
        return code[6] in "02"
    return code[0] == "0" and (code[1] == "2" or code[1:3] in ("02", "04"))


# --- variable measure: price or weight inside the code ---------------------------------------------------------------


class Measure(StrEnum):
    """What the digits of an in-store code say."""

    PRICE = "price"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Measured:
    """An in-store code taken apart: the shop's item number and either cents or grams."""

    item: str
    price: Cents | None = None
    weight_g: int | None = None


_CODE_SIZE: Final = 13
_PREFIXES: Final = frozenset({"02", *(str(number) for number in range(20, 30))})
_MEASURES: Final = {"P": Measure.PRICE, "W": Measure.WEIGHT}
_TWO_MINUS: Final = (0, 2, 4, 6, 8, 9, 1, 3, 5, 7)  # GS1's weighted products, by digit
_THREE: Final = (0, 3, 6, 9, 2, 5, 8, 1, 4, 7)
_FIVE_PLUS: Final = (0, 5, 1, 6, 2, 7, 3, 8, 4, 9)
_FIVE_MINUS: Final = (0, 5, 9, 4, 8, 3, 7, 2, 6, 1)
_OF_FOUR: Final = (_TWO_MINUS, _TWO_MINUS, _THREE, _FIVE_MINUS)
_OF_FIVE: Final = (_FIVE_PLUS, _TWO_MINUS, _FIVE_MINUS, _FIVE_PLUS, _TWO_MINUS)


def price_check_digit(digits: str) -> int:
    """The digit that guards four or five digits of price or weight (GS1 General Specifications, 7.9)."""
    if len(digits) == len(_OF_FOUR):
        return 3 * sum(table[int(digit)] for table, digit in zip(_OF_FOUR, digits, strict=True)) % 10
    left = -sum(table[int(digit)] for table, digit in zip(_OF_FIVE, digits, strict=True)) % 10
    return _FIVE_MINUS.index(left)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one merchant's scale writes its 13 digits, as a pattern of 13 signs such as ``"21IIIIVPPPPPC"``.

    Digits stand for themselves and begin with 02 or 20 to 29; ``I`` item number, ``P`` price in cents or ``W`` weight
    in grams, ``V`` check digit of these, ``.`` a digit without meaning, ``C`` the last, check digit of the whole.

    Raises:
        ValueError: the pattern cannot be read in one way only.
    """

    pattern: str
    measure: Measure = field(init=False)
    _item: slice = field(init=False, repr=False)
    _value: slice = field(init=False, repr=False)

    def __post_init__(self) -> None:
        wrong = _mistake(self.pattern)
        if wrong:
            raise ValueError(f"the layout {self.pattern} is refused: {wrong}")
        letter = "P" if "P" in self.pattern else "W"
        object.__setattr__(self, "measure", _MEASURES[letter])
        object.__setattr__(self, "_item", _run(self.pattern, "I"))
        object.__setattr__(self, "_value", _run(self.pattern, letter))

    @property
    def prefix(self) -> str:
        """The digits it begins with, by which it is chosen."""
        return self.pattern[: len(self.pattern) - len(self.pattern.lstrip("0123456789"))]

    def matches(self, code: Gtin) -> bool:
        """Whether this layout is meant: a GTIN-13 with the pattern's digits in their places."""
        pairs = zip(self.pattern, code[1:], strict=True)
        return code[0] == "0" and all(digit == sign for sign, digit in pairs if sign.isdigit())

    def decoded(self, code: Gtin) -> Measured:
        """Item number and price or weight of a code that matches.

        Raises:
            WrongCode: the check digit of the price or weight is wrong.
        """
        digits = code[1:]
        value = digits[self._value]
        place = self.pattern.find("V")
        if place >= 0 and int(digits[place]) != price_check_digit(value):
            raise WrongCode(CodeFault.PRICE_CHECK_DIGIT)
        if self.measure is Measure.PRICE:
            return Measured(digits[self._item], price=Cents(int(value)))
        return Measured(digits[self._item], weight_g=int(value))

    def encoded(self, item: str, value: int) -> Gtin:
        """The code a scale prints for an item number and so many cents or grams.

        Raises:
            ValueError: item number or value does not have the digits the layout gives it.
        """
        digits = str(value).zfill(self._value.stop - self._value.start)
        if value < 0 or len(digits) != self._value.stop - self._value.start:
            raise ValueError(f"{value} does not fit the layout {self.pattern}")
        if len(item) != self._item.stop - self._item.start or not (item.isascii() and item.isdigit()):
            raise ValueError(f"an item number of the layout {self.pattern} has {self.pattern.count('I')} digits")
        signs = list(self.pattern.replace(".", "0"))
        signs[self._item], signs[self._value] = list(item), list(digits)
        if "V" in signs:
            signs[signs.index("V")] = str(price_check_digit(digits))
        body = "".join(signs[:-1])
        return Gtin(f"0{body}{check_digit(body)}")


def measured(code: Gtin, layouts: Iterable[Layout]) -> Measured | None:
    """What an in-store code says under a merchant's layouts, the one with most digits of its own first.

    Returns:
        ``None`` where no layout is meant.

    Raises:
        WrongCode: as ``Layout.decoded``.
    """
    meant = [layout for layout in layouts if layout.matches(code)]
    if not meant:
        return None
    return max(meant, key=lambda layout: sum(sign.isdigit() for sign in layout.pattern)).decoded(code)


def _mistake(pattern: str) -> str:
    if len(pattern) != _CODE_SIZE or not pattern.endswith("C") or pattern.count("C") != 1:
        return "13 signs, of which the last one alone is C"
    if set(pattern) - set("0123456789IPWV.C") or not pattern.isascii():
        return "digits, I, P, W, V, a dot and C are all it is made of"
    if pattern[:2] not in _PREFIXES:
        return "it begins with 02 or 20 to 29"
    if ("P" in pattern) == ("W" in pattern):
        return "either a price (P) or a weight (W)"
    value = pattern.count("P") + pattern.count("W")
    if any(pattern.count(sign) and sign * pattern.count(sign) not in pattern for sign in "IPW") or "I" not in pattern:
        return "item number and price or weight each stand in one piece"
    if pattern.count("V") > 1 or ("V" in pattern and value not in (len(_OF_FOUR), len(_OF_FIVE))):
        return "one V at most, for four or five digits"
    return ""


def _run(pattern: str, sign: str) -> slice:
    start = pattern.index(sign)
    return slice(start, start + pattern.count(sign))


# --- what a code means -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Product:
    """What the rules want to know of a product.

    Attributes:
        family: code of its family.
        labels: what it is labelled with (``"organic"`` …); a label counts only as far as the rules let it.
        lists: names of the signed product lists it stands in.
    """

    family: str
    labels: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()


class ProductMap(Protocol):
    """Products of the whole programme by GTIN."""

    def find(self, code: Gtin) -> Product | None:
        """The product, or ``None`` where the code is not known."""


@dataclass(frozen=True, slots=True)
class OwnProduct:
    """A product only one merchant knows, mapped to a family at the stall.

    Attributes:
        item: item number of its in-store codes, or its whole GTIN (14 digits).
        name: as the merchant says it.
        product: family, labels and lists.
        is_reviewed: whether the programme has looked at the mapping; it counts at once, and is reviewed later.
    """

    item: str
    name: str
    product: Product
    is_reviewed: bool = False


@dataclass(frozen=True, slots=True)
class StallCodes:
    """What one merchant's codes mean: layouts of its scales, and its own products by item number or GTIN."""

    layouts: Sequence[Layout] = ()
    own: Mapping[str, OwnProduct] = field(default_factory=dict)


NO_STALL_CODES: Final = StallCodes()


@dataclass(frozen=True, slots=True)
class Scanned:
    """A code that was read.

    Attributes:
        code: the GTIN.
        product: what it means, or ``None``: the cashier chooses a family.
        own: the merchant's own product, where it is one.
        measured: item number and price or weight, where the code carries them.
    """

    code: Gtin
    product: Product | None
    own: OwnProduct | None = None
    measured: Measured | None = None


def scanned(text: str, products: ProductMap, stall: StallCodes = NO_STALL_CODES) -> Scanned:
    """What a code read at a stall means: its own products first, then in-store codes, then the programme's map.

    Raises:
        WrongCode: read or typed wrong.
    """
    code = gtin(text)
    if code in stall.own:
        return Scanned(code, stall.own[code].product, stall.own[code])
    if not is_in_store(code):
        return Scanned(code, products.find(code))
    carried = measured(code, stall.layouts)
    own = stall.own.get(carried.item) if carried else None
    return Scanned(code, own.product if own else None, own, carried)


# --- labels of Open Food Facts ---------------------------------------------------------------------------------------

LABEL_TAGS: Final[Mapping[str, str]] = {
    "en:organic": "organic",
    "en:eu-organic": "organic",
    "en:ab-agriculture-biologique": "organic",
    "fr:ab-agriculture-biologique": "organic",
    "en:pdo": "protected-origin",
    "fr:aop": "protected-origin",
    "fr:aoc": "protected-origin",
    "en:pgi": "protected-region",
    "fr:igp": "protected-region",
    "en:label-rouge": "label-rouge",
    "fr:label-rouge": "label-rouge",
    "fr:haute-valeur-environnementale": "hve",
}
"""Labels by tag (labels taxonomy of Open Food Facts); products of a label also carry its parents' tags."""


def labels_of(tags: Iterable[str]) -> frozenset[str]:
    """The labels these tags mean; unknown tags mean none."""
    return frozenset(LABEL_TAGS[tag] for tag in tags if tag in LABEL_TAGS)
