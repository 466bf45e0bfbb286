"""A family that could never be paid at a place is never paid there, and one that could be is, once all is as asked."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.basket import Line
from domain.may_pay import may_ever_pay, why_not
from domain.money import Cents
from domain.reason import Reason
from domain.rule_set import Certificate, Merchant, RuleSet
from tests.property.rule_sets_strategy import LABELS, LISTS, merchants, rule_sets


@settings(max_examples=300, deadline=None)
@given(rule_sets(), merchants(), st.data())
def test_what_could_be_paid_is_what_some_purse_pays_with_every_label_and_list(
    rules: RuleSet, merchant: Merchant, data: st.DataObject
) -> None:
    family = data.draw(st.sampled_from(sorted(rules.families)))
    every = replace(merchant, certificates=tuple(Certificate(label, "1") for label in LABELS))
    line = Line(family, Cents(100), labels=LABELS, lists=frozenset(LISTS))
    reasons = {why_not(line, purse, rules, every, None) for purse in rules.purses}
    is_paid = not rules.is_never(family) and bool(reasons & {None, Reason.PRICE_ABOVE_CEILING})
    assert may_ever_pay(family, rules, merchant) == is_paid
