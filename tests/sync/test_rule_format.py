"""What is signed of rules and merchants: read as it was written, in one form, and refused when it cannot be meant."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.basket import Basket
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_check import mistakes, with_widths
from domain.rule_set import (
    USUAL_TIERS,
    Allotment,
    Campaign,
    Ceilings,
    Certificate,
    Condition,
    Match,
    Merchant,
    PriceCeiling,
    Purse,
    RuleSet,
)
from sync.cbor import MOST_DEPTH, Map, encode
from sync.cose import ContentType, sign1
from sync.crypto import new_private_key, sign
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from sync.merchant_format import encode_merchant, merchant_map, merchant_payload, read_merchant, read_payload
from sync.rule_format import encode_rule_set, read_rule_set, rule_set_map
from tests.property.rule_sets_strategy import baskets, merchants, purses, rule_sets

KEY = new_private_key()
PUBLIC = KEY.public_key()
FOOD = Condition(frozenset({"food"}), frozenset({"referenced"}))
GERS = with_widths(
    RuleSet(
        programme="gers",
        version=1,
        timezone="Europe/Paris",
        never=frozenset({"alcohol", "tobacco"}),
        purses=(Purse(PurseNumber(1), "food", "Alimentation", (FOOD,), price_ceiling=PriceCeiling(Cents(150), "l")),),
        ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
        campaigns=(
            Campaign(
                "winter",
                date(2026, 1, 1),
                date(2026, 5, 31),
                (FOOD,),
                frozenset({"food"}),
                Cents(500),
                Cents(1_000),
                Cents(6_000),
                "food",
            ),
        ),
    )
)
STALL = Merchant(
    12,
    2,
    "Ferme du Moulin",
    frozenset({"referenced", "sustainable"}),
    "vegetables",
    "producer",
    (Certificate("organic", "FR-BIO-01", date(2026, 12, 31)), Certificate("local", "", None)),
    first_day=date(2026, 1, 1),
)


def by_key(message: bytes) -> bytes:
    return sign(KEY, message)


def signed(content_type: str, payload: Map) -> bytes:
    return sign1(content_type, b"lists", encode(payload), by_key)


@settings(max_examples=40, deadline=None)
@given(rule_sets())
def test_rules_are_read_as_they_were_signed_without_what_stays_at_the_centre(rules: RuleSet) -> None:
    found = read_rule_set(encode_rule_set(rules, b"lists", by_key), PUBLIC)
    assert found == replace(rules, allotments=(), examples=())
    assert list(found.families) == list(rules.families)


@settings(max_examples=40, deadline=None)
@given(merchants())
def test_a_merchant_entry_is_read_as_it_was_signed(merchant: Merchant) -> None:
    assert read_merchant(encode_merchant(merchant, b"lists", by_key), PUBLIC) == merchant
    assert read_payload(merchant_payload(merchant)) == merchant


SIGNED = sorted({item.name for item in fields(RuleSet)} - {"allotments", "examples"})


@settings(max_examples=60, deadline=None)
@given(rule_sets(), rule_sets(), st.sampled_from(SIGNED))
def test_rules_that_differ_in_one_thing_are_not_signed_alike(one: RuleSet, other: RuleSet, name: str) -> None:
    changed = replace(one, **{name: getattr(other, name)})
    alike = encode(rule_set_map(changed)) == encode(rule_set_map(one))
    assert alike == (changed == one and list(changed.families) == list(one.families))


@settings(max_examples=60, deadline=None)
@given(
    purses(1, "food", Match(Fraction(1, 3))), purses(1, "food"), st.sampled_from([item.name for item in fields(Purse)])
)
def test_purses_that_differ_in_one_thing_are_not_signed_alike(one: Purse, other: Purse, name: str) -> None:
    changed = replace(one, **{name: getattr(other, name)})
    first, second = (encode(rule_set_map(replace(GERS, purses=(purse,)))) for purse in (one, changed))
    assert (first == second) == (one == changed)


@settings(max_examples=60, deadline=None)
@given(merchants(), merchants(), st.sampled_from([item.name for item in fields(Merchant)]))
def test_merchants_that_differ_in_one_thing_are_not_signed_alike(one: Merchant, other: Merchant, name: str) -> None:
    changed = replace(one, **{name: getattr(other, name)})
    assert (encode(merchant_map(one)) == encode(merchant_map(changed))) == (one == changed)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_is_drawn_for_these_tests_holds_together(data: st.DataObject) -> None:
    rules = data.draw(rule_sets())
    assert mistakes(rules) == ()
    assert isinstance(data.draw(baskets(rules)), Basket)


@settings(max_examples=40, deadline=None)
@given(rule_sets())
def test_grants_do_not_travel_to_terminals(rules: RuleSet) -> None:
    generous = replace(rules, allotments=(Allotment(rules.purses[0].code, only_if="name-of-a-household-fact"),))
    assert encode(rule_set_map(generous)) == encode(rule_set_map(rules))


@settings(max_examples=40, deadline=None)
@given(rule_sets(), st.data())
def test_a_payload_changed_anywhere_is_read_as_something_else_or_refused(rules: RuleSet, data: st.DataObject) -> None:
    payload = rule_set_map(rules)
    changed: Any = copy.deepcopy(payload)
    key = data.draw(st.sampled_from(sorted(set(payload) - {0})))
    junk: st.SearchStrategy[Any] = st.one_of(
        st.none(), st.booleans(), st.integers(-3, 300), st.text(max_size=3), st.just([])
    )
    changed[key] = _scribbled(changed[key], data, junk)
    try:
        found = read_rule_set(signed(ContentType.RULE_SET, changed), PUBLIC)
    except FormatError:
        return
    assert encode(rule_set_map(found)) == encode(changed)


def _scribbled(value: Any, data: st.DataObject, junk: st.SearchStrategy[Any]) -> Any:
    """The value with one thing in it replaced."""
    if isinstance(value, list) and value and data.draw(st.integers(0, 3)):
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], _scribbled(value[place], data, junk), *value[place + 1 :]]
    return data.draw(junk)


@pytest.fixture
def payload() -> Map:
    """The rules of the Gers as they are signed."""
    return rule_set_map(GERS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda fields: fields[5].append(fields[5][0]),
        lambda fields: fields[5][0].__setitem__(0, 0),
        lambda fields: fields[5][0].__setitem__(4, "moon"),
        lambda fields: fields[5][0].__setitem__(8, [3, 3, "card"]),
        lambda fields: fields[5][0].__setitem__(8, [1, 0, "card"]),
        lambda fields: fields[6][0].__setitem__(1, ["no-family"]),
        lambda fields: fields[6].append([9, ["food"], [], [], None]),
        lambda fields: fields[4].reverse(),
        lambda fields: fields[7].pop(),
        lambda fields: fields[7].__setitem__(0, -1),
        lambda fields: fields[7].__setitem__(0, True),
        lambda fields: fields[11][0].__setitem__(1, fields[11][0][1] + 1),
        lambda fields: fields[11][0].__setitem__(7, "no-purse"),
        lambda fields: fields[11].append(["twin", *fields[11][0][1:]]),
        lambda fields: fields[13][0].__setitem__(0, "no-case"),
        lambda fields: fields.__setitem__(3, "Europe/Auch"),
        lambda fields: fields.__setitem__(99, "a word of tomorrow"),
        lambda fields: fields.pop(11),
    ],
    ids=[
        "a purse twice",
        "purse number 0",
        "a window nobody knows",
        "a share of the whole",
        "a share of nothing",
        "a family nobody defined",
        "a condition of no purse",
        "words out of order",
        "a ceiling missing",
        "a ceiling below zero",
        "true for a sum",
        "a campaign from the second of a month",
        "a bonus into no purse",
        "two campaigns at once",
        "a case nobody knows",
        "a time zone nobody knows",
        "a field of tomorrow",
        "a field missing",
    ],
)
def test_rules_that_cannot_be_meant_are_refused_whole(payload: Map, spoil: Callable[[Any], object]) -> None:
    assert read_rule_set(signed(ContentType.RULE_SET, payload), PUBLIC).programme == "gers"
    spoil(payload)
    with pytest.raises(Malformed):
        read_rule_set(signed(ContentType.RULE_SET, payload), PUBLIC)


def test_another_key_another_kind_and_another_shape_are_refused() -> None:
    rules, merchant = rule_set_map(GERS), merchant_map(STALL)
    with pytest.raises(BadSignature):
        read_rule_set(signed(ContentType.RULE_SET, rules), new_private_key().public_key())
    with pytest.raises(UnknownVersion):
        read_rule_set(signed(ContentType.MERCHANT, rules), PUBLIC)
    with pytest.raises(UnknownVersion):
        read_rule_set(signed(ContentType.RULE_SET, {**rules, 0: 2}), PUBLIC)
    with pytest.raises(UnknownVersion):
        read_merchant(signed(ContentType.MERCHANT, {**merchant, 0: 0}), PUBLIC)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda fields: fields.__setitem__(8, 1),
        lambda fields: fields.__setitem__(9, [None]),
        lambda fields: fields[7].append(["organic", 7, None]),
        lambda fields: fields[4].append("aaa"),
        lambda fields: fields.__setitem__(11, []),
    ],
    ids=[
        "one for true",
        "one day",
        "a number for a certificate's number",
        "groups out of order",
        "a field of tomorrow",
    ],
)
def test_a_merchant_entry_that_cannot_be_meant_is_refused(spoil: Callable[[Any], object]) -> None:
    fields = merchant_map(STALL)
    assert read_merchant(signed(ContentType.MERCHANT, fields), PUBLIC) == STALL
    spoil(fields)
    with pytest.raises(Malformed):
        read_merchant(signed(ContentType.MERCHANT, fields), PUBLIC)
    with pytest.raises(Malformed):
        read_payload(encode(fields))


@settings(max_examples=40, deadline=None)
@given(rule_sets())
def test_nothing_signed_is_nested_deeper_than_a_record(rules: RuleSet) -> None:
    assert encode(rule_set_map(rules), MOST_DEPTH)
