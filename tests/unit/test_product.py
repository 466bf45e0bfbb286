"""Bar codes as a stall reads them: check digits, codes a shop prints itself, a merchant's own products."""

from __future__ import annotations

import pytest

from domain.money import Cents
from domain.product import (
    CodeFault,
    Gtin,
    Layout,
    Measured,
    OwnProduct,
    Product,
    StallCodes,
    WrongCode,
    check_digit,
    gtin,
    is_case,
    is_in_store,
    labels_of,
    measured,
    price_check_digit,
    scanned,
)

COMTE = Product("cheese", frozenset({"protected-origin"}))
PRICED = Layout("21IIIIVPPPPPC")
WEIGHED = Layout("26IIIIIWWWWWC")


class Shelf:
    """A map of one product."""

    def find(self, code: Gtin) -> Product | None:
        return COMTE if code == "03760000000017" else None


# --- GTINs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "code"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("0036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        (" 4006381333931\r\n", "04006381333931"),
        ("10614141000415", "10614141000415"),
    ],
)
def test_codes_of_all_lengths_become_one_form(read: str, code: str) -> None:
    assert gtin(read) == code


@pytest.mark.parametrize("place", range(12))
@pytest.mark.parametrize("step", range(1, 10))
def test_one_digit_read_wrong_is_noticed(place: int, step: int) -> None:
    digits = [*"4006381333931"]
    digits[place] = str((int(digits[place]) + step) % 10)
    with pytest.raises(WrongCode) as refused:
        gtin("".join(digits))
    assert refused.value.fault is CodeFault.CHECK_DIGIT


@pytest.mark.parametrize(
    "read", ["", "1234567", "400638133393", "40063813339310000", "400638133393x", "４００６３８１３３３９３１"]
)
def test_what_is_no_code_is_refused(read: str) -> None:
    with pytest.raises(WrongCode):
        gtin(read)


@pytest.mark.parametrize("read", ["1234567", "40063813339310000", "400638133393x", "４００６３８１３３３９３１"])
def test_a_wrong_length_and_other_signs_are_told_from_a_wrong_digit(read: str) -> None:
    with pytest.raises(WrongCode) as refused:
        gtin(read)
    assert refused.value.fault is CodeFault.NOT_A_CODE


def test_the_code_of_a_case_is_told_from_the_article_in_it() -> None:
    assert is_case(gtin("10614141000415"))
    assert not is_case(gtin("4006381333931"))


SHOP_S_OWN = ("020000012345", "040000012345", "200000012345", "299999912345", "2000001", "0000001")
EVERYBODY_S = ("030000012345", "300000012345", "120000012345", "4000001")


@pytest.mark.parametrize("body", [*SHOP_S_OWN, *EVERYBODY_S])
def test_codes_that_mean_something_in_one_shop_only(body: str) -> None:
    assert is_in_store(gtin(f"{body}{check_digit(body)}")) is (body in SHOP_S_OWN)


# --- price and weight inside the code --------------------------------------------------------------------------------


@pytest.mark.parametrize(("digits", "check"), [("2875", 9), ("14685", 6), ("0000", 0), ("00000", 0)])
def test_price_check_digits_are_those_of_gs1(digits: str, check: int) -> None:
    assert price_check_digit(digits) == check


def weighted(digit: str, factor: int, sign: int) -> int:
    """GS1's words for its tables: the product, its tens added to or taken from it, the last digit."""
    times = int(digit) * factor
    return (times + sign * (times // 10)) % 10


def test_price_check_digits_of_four_digits_follow_the_rule_of_gs1() -> None:
    for number in range(10_000):
        a, b, c, d = digits = f"{number:04d}"
        total = weighted(a, 2, -1) + weighted(b, 2, -1) + weighted(c, 3, 0) + weighted(d, 5, -1)
        assert price_check_digit(digits) == total * 3 % 10


def test_price_check_digits_of_five_digits_follow_the_rule_of_gs1() -> None:
    for number in range(0, 100_000, 7):
        a, b, c, d, e = digits = f"{number:05d}"
        total = weighted(a, 5, 1) + weighted(b, 2, -1) + weighted(c, 5, -1) + weighted(d, 5, 1) + weighted(e, 2, -1)
        assert (total + weighted(str(price_check_digit(digits)), 5, -1)) % 10 == 0


def test_a_scale_s_code_says_item_and_price() -> None:
    code = PRICED.encoded("1234", 1250)
    assert code == "02112347012504"
    assert measured(code, [PRICED]) == Measured("1234", price=Cents(1250))


def test_a_scale_s_code_says_item_and_grams() -> None:
    assert measured(WEIGHED.encoded("00042", 835), [PRICED, WEIGHED]) == Measured("00042", weight_g=835)


def test_a_price_read_wrong_is_refused_though_the_whole_code_is_right() -> None:
    digits = [*PRICED.encoded("1234", 1250)[1:-1]]
    digits[-1] = "1"
    body = "".join(digits)
    with pytest.raises(WrongCode) as refused:
        measured(gtin(f"{body}{check_digit(body)}"), [PRICED])
    assert refused.value.fault is CodeFault.PRICE_CHECK_DIGIT


def test_without_the_merchant_s_layout_a_scale_s_code_says_nothing() -> None:
    code = PRICED.encoded("1234", 1250)
    assert measured(code, []) is None
    assert measured(code, [WEIGHED]) is None


def test_the_same_digits_mean_another_thing_at_another_merchant() -> None:
    code = PRICED.encoded("1234", 1250)
    assert measured(code, [Layout("21IIIIIWWWWWC")]) == Measured(code[3:8], weight_g=1250)


def test_of_two_layouts_that_fit_the_one_with_more_digits_of_its_own_is_meant() -> None:
    wide, narrow = Layout("21IIIIIPPPPPC"), Layout("217IIIIWWWWWC")
    code = narrow.encoded("1234", 500)
    assert measured(code, [wide, narrow]) == measured(code, [narrow, wide]) == Measured("1234", weight_g=500)


UNREADABLE = (
    *("", "21IIIIIPPPPP", "21IIIIIPPPPPCC", "30IIIIIPPPPPC", "21IIIIIWWPPPC", "21PPIIIIIPPPC", "21IIIIVVPPPPC"),
    *(
        "21IIIIIVPPPVC",
        "21IIIIIIVPPPC",
        "21..........C",
        "21IIIIIIIIIIC",
        "21PPPPPPPPPPC",
        "21IIIIIPPPPP0",
        "21iiiiiPPPPPC",
    ),
)


@pytest.mark.parametrize("pattern", UNREADABLE)
def test_a_layout_that_cannot_be_read_in_one_way_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is refused"):
        Layout(pattern)


@pytest.mark.parametrize(("item", "value"), [("123", 1), ("12345", 1), ("12x4", 1), ("1234", 100_000), ("1234", -1)])
def test_what_does_not_fit_a_layout_is_not_printed(item: str, value: int) -> None:
    with pytest.raises(ValueError, match="layout"):
        PRICED.encoded(item, value)


# --- at the stall ----------------------------------------------------------------------------------------------------


def test_a_product_of_the_programme_is_known_by_its_code() -> None:
    assert scanned("3760000000017", Shelf()).product == COMTE


def test_an_unknown_code_means_nothing_and_is_no_mistake() -> None:
    assert scanned("4006381333931", Shelf()).product is None


def test_a_code_read_wrong_is_a_mistake() -> None:
    with pytest.raises(WrongCode):
        scanned("4006381333932", Shelf())


def test_a_producer_s_own_product_is_known_by_its_item_number_before_anybody_reviewed_it() -> None:
    tomme = OwnProduct("1234", "Tomme de la ferme", Product("cheese"))
    found = scanned(PRICED.encoded("1234", 1250), Shelf(), StallCodes((PRICED,), {"1234": tomme}))
    assert (found.product, found.own) == (Product("cheese"), tomme)
    assert found.measured == Measured("1234", price=Cents(1250))
    assert not tomme.is_reviewed


def test_an_item_nobody_mapped_still_brings_its_price() -> None:
    found = scanned(PRICED.encoded("9999", 480), Shelf(), StallCodes((PRICED,)))
    assert (found.product, found.measured) == (None, Measured("9999", price=Cents(480)))


def test_the_merchant_s_own_word_counts_before_the_programme_s() -> None:
    own = OwnProduct("03760000000017", "Le même, en dessert", Product("prepared"), is_reviewed=True)
    found = scanned("3760000000017", Shelf(), StallCodes(own={own.item: own}))
    assert found.product == Product("prepared")


def test_an_in_store_code_is_never_looked_up_in_the_programme_s_map() -> None:
    class Everything:
        def find(self, code: Gtin) -> Product | None:
            return COMTE

    assert scanned(PRICED.encoded("1234", 1250), Everything()).product is None


def test_labels_of_open_food_facts_become_the_programme_s() -> None:
    assert labels_of(["en:organic", "en:eu-organic", "fr:ab-agriculture-biologique", "en:vegan"]) == {"organic"}
    assert labels_of(["en:pdo", "fr:label-rouge"]) == {"protected-origin", "label-rouge"}
    assert labels_of([]) == frozenset()
