"""Bar codes and the product file over random ones: always the same answer as a dict, and every code read back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.family import DEFAULT_FAMILIES, FOOD, is_within, tag_table, tree
from domain.product import (
    CodeFault,
    Gtin,
    Layout,
    Measure,
    Product,
    WrongCode,
    check_digit,
    gtin,
    is_in_store,
    measured,
    price_check_digit,
)
from sync.crypto import new_private_key, sign
from sync.errors import FormatError
from sync.product_format import Catalogue, open_products, write_products

KEY = new_private_key()
FAMILIES = tree(DEFAULT_FAMILIES)
TAGS = tag_table(FAMILIES)

words = st.sampled_from(["organic", "label-rouge", "hve", "local"])
kinds = st.builds(
    Product,
    st.sampled_from([*FAMILIES]),
    st.frozensets(words),
    st.frozensets(st.sampled_from(["milk-2026", "bread-2026", "eggs"])),
)
# Close together and far apart, so that blocks and their borders are met.
keys = st.one_of(st.integers(0, 10**12 - 1), st.integers(376_000_000_000, 376_000_001_000))


def code(key: int) -> Gtin:
    return Gtin(f"0{key:012d}{check_digit(f'{key:012d}')}")


def write(path: Path, table: dict[int, Product]) -> None:
    different = tuple(dict.fromkeys(table.values()))
    catalogue = Catalogue(1, datetime(2026, 1, 1, tzinfo=UTC), "made up", different)
    entries = ((key, different.index(table[key])) for key in sorted(table))
    write_products(path, catalogue, entries, b"lists", lambda message: sign(KEY, message))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, kinds, max_size=400), st.lists(keys, max_size=50))
def test_the_file_answers_as_a_dict_does(table: dict[int, Product], others: list[int]) -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / "products"
        write(path, table)
        with open_products(path, KEY.public_key()) as products:
            assert len(products) == len(table)
            for key in [*table, *others, *(key + 1 for key in table if key + 1 < 10**12)]:
                assert products.find(code(key)) == table.get(key)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, kinds, min_size=1, max_size=40), st.data())
def test_damage_anywhere_is_refused(table: dict[int, Product], data: st.DataObject) -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / "products"
        write(path, table)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with pytest.raises(FormatError):
            open_products(path, KEY.public_key())


@given(st.sampled_from([7, 11, 12, 13]), st.data())
def test_a_code_with_its_check_digit_is_taken_and_no_other_digit_is(size: int, data: st.DataObject) -> None:
    body = data.draw(st.text("0123456789", min_size=size, max_size=size))
    right = check_digit(body)
    assert gtin(f"{body}{right}") == f"{body}{right}".zfill(14)
    for digit in set(range(10)) - {right}:
        with pytest.raises(WrongCode) as refused:
            gtin(f"{body}{digit}")
        assert refused.value.fault is CodeFault.CHECK_DIGIT


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """A layout of any shape: the parts in any order, digits of its own, signs without meaning between."""
    prefix = draw(st.sampled_from(["02", *(str(number) for number in range(20, 30))]))
    sign_ = draw(st.sampled_from("PW"))
    has_check = draw(st.booleans())
    value = draw(st.integers(4, 5) if has_check else st.integers(1, 6))
    item = draw(st.integers(1, 10 - value - has_check))
    parts = ["I" * item, sign_ * value, *(["V"] if has_check else [])]
    left = 10 - item - value - has_check
    own = draw(st.integers(0, left))
    middle = draw(st.permutations([*parts, *["."] * (left - own)]))
    return Layout(prefix + draw(st.text("0123456789", min_size=own, max_size=own)) + "".join(middle) + "C")


@given(layouts(), st.data())
def test_what_a_scale_prints_is_read_back(layout: Layout, data: st.DataObject) -> None:
    size = layout.pattern.count("I")
    item = data.draw(st.text("0123456789", min_size=size, max_size=size))
    digits = layout.pattern.count("P") + layout.pattern.count("W")
    value = data.draw(st.integers(0, 10**digits - 1))
    printed = layout.encoded(item, value)
    assert gtin(printed) == printed
    assert is_in_store(printed)
    found = measured(printed, [layout])
    assert found is not None
    assert found.item == item
    assert (found.price if layout.measure is Measure.PRICE else found.weight_g) == value


def is_guarded(layout: Layout, read: Gtin) -> bool:
    digits = "".join(digit for sign_, digit in zip(layout.pattern, read[1:], strict=True) if sign_ in "PW")
    return int(read[1 + layout.pattern.index("V")]) == price_check_digit(digits)


@given(layouts(), st.text("0123456789", min_size=12, max_size=12), st.booleans())
def test_any_code_is_read_or_refused_and_never_half_understood(layout: Layout, body: str, fits: bool) -> None:
    if fits:  # or hardly any body would
        body = "".join(s if s.isdigit() else digit for s, digit in zip(layout.pattern, body, strict=False))
    read = gtin(f"{body}{check_digit(body)}")
    if "V" in layout.pattern and layout.matches(read) and not is_guarded(layout, read):
        with pytest.raises(WrongCode):
            measured(read, [layout])
        return
    found = measured(read, [layout])
    assert (found is not None) == layout.matches(read)
    if found is None:
        return
    value = found.price if found.price is not None else found.weight_g
    again = layout.encoded(found.item, value or 0)
    shown = [(sign_, digit) for sign_, digit in zip(layout.pattern, read[1:], strict=True) if sign_ not in ".C"]
    assert shown == [(s, d) for s, d in zip(layout.pattern, again[1:], strict=True) if s not in ".C"]


@given(st.text("0123456789", min_size=4, max_size=5), st.data())
def test_the_price_check_digit_notices_any_single_digit_read_wrong(digits: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != digits[at]]))
    assert price_check_digit(digits) != price_check_digit(digits[:at] + other + digits[at + 1 :])


@given(st.lists(st.sampled_from([*TAGS.families, "en:unknown", "fr:inconnu"]), max_size=12))
def test_no_order_of_tags_makes_food_of_what_is_none(tags: list[str]) -> None:
    family = TAGS.family(tags)
    outside = {TAGS.families[tag] for tag in tags if tag in TAGS.families} & TAGS.not_food
    assert (family is None) == (not set(tags) & set(TAGS.families))
    if outside:
        assert family in outside
        assert not is_within(str(family), frozenset({FOOD}), FAMILIES)
