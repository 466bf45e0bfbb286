"""The keypad grammar, key by key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.identity import MOST_LINES
from domain.money import Cents
from terminal.ui.entry import Entry, basket, choose_family, press

FAMILIES = ("vegetables", "cheese", *(f"family-{number}" for number in range(3, 13)))
FRESH = Entry("vegetables", FAMILIES)


def typed(keys: str, entry: Entry = FRESH) -> Entry:
    for key in keys.replace(" ", ""):
        entry = press(entry, key)
    return entry


def amounts(entry: Entry) -> list[tuple[str, int]]:
    bought = basket(entry)
    return [(line.family, int(line.amount)) for line in bought.lines] if bought else []


def test_digits_are_cents_of_the_default_family() -> None:
    entry = typed("1250")
    assert amounts(entry) == [("vegetables", 1250)]
    assert not basket(entry).lines[0].family_typed  # type: ignore[union-attr]


def test_two_families_are_typed_as_on_the_card_of_the_design() -> None:
    entry = typed("850 /2 + 400 /3")
    assert amounts(entry) == [("cheese", 850), ("family-3", 400)]
    assert all(line.family_typed for line in basket(entry).lines)  # type: ignore[union-attr]


def test_a_second_slash_turns_the_page_and_the_pages_go_round() -> None:
    assert amounts(typed("100 //1")) == [("family-10", 100)]
    assert amounts(typed("100 ///1")) == [("vegetables", 100)]


def test_a_stall_with_one_family_never_chooses() -> None:
    entry = typed("/5", Entry("vegetables", ("vegetables",)))
    assert entry.page is None
    assert amounts(entry) == [("vegetables", 5)]


def test_a_number_of_pieces_times_a_price() -> None:
    entry = typed("3*250")
    assert amounts(entry) == [("vegetables", 750)]
    assert basket(entry).lines[0].quantity == 3_000  # type: ignore[union-attr]


def test_grams_times_a_price_a_kilogram_round_half_up_once() -> None:
    entry = typed("850**321")
    assert amounts(entry) == [("vegetables", 273)]  # 2,7285
    assert basket(entry).lines[0].quantity == 850  # type: ignore[union-attr]
    assert amounts(typed("500**321")) == [("vegetables", 161)]  # 1,605


def test_a_quantity_alone_is_not_yet_a_line() -> None:
    assert basket(typed("3*")) is None
    assert basket(typed("250+3*")) is None


def test_minus_erases_what_was_typed_last_back_to_nothing() -> None:
    entry = typed("850/2+3*25")
    steps = [typed("-" * count, entry) for count in range(12)]
    assert amounts(steps[1])[-1] == ("vegetables", 6)
    assert steps[3].typed.digits == "3"
    assert steps[4].typed.is_empty and len(steps[4].lines) == 1
    assert steps[5].is_empty
    assert steps[11].is_empty


def test_a_tile_after_the_amount_sets_the_family_and_ends_the_line() -> None:
    assert choose_family(typed("400"), "cheese").lines[0].family == "cheese"
    before_the_amount = choose_family(FRESH, "cheese")
    assert not before_the_amount.lines
    assert amounts(typed("5", before_the_amount)) == [("cheese", 5)]
    assert choose_family(FRESH, "unknown") == FRESH


def test_an_amount_never_grows_beyond_its_place() -> None:
    assert typed("1234567").price == Cents(123_456)
    assert typed("999999 * 9").typed.amount <= 999_999


def test_a_basket_never_has_more_than_forty_lines() -> None:
    entry = typed("1+" * (MOST_LINES + 3))
    assert len(entry.lines) == MOST_LINES
    assert basket(typed("5", entry)) is None


@given(st.text(alphabet="0123456789+*/-", max_size=60))
def test_no_sequence_of_keys_breaks_the_entry_or_loses_a_cent(keys: str) -> None:
    entry = typed(keys)
    bought = basket(entry)
    if bought is not None:
        assert bought.price == entry.price
        assert all(0 < line.amount <= 999_999 for line in bought.lines)
