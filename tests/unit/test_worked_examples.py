"""The rules page and the decision say the same: each example is played, and the page is what the examples write."""

from __future__ import annotations

import pytest

from domain.basket import Basket
from domain.decision import announce
from domain.money import Cents
from domain.reason import Reason
from domain.rule_check import mistakes
from domain.rule_set import Merchant
from tests.unit.worked_examples import EXAMPLES, PAGE, Worked, code_of, page_with, played, refunded, written

TITLES = [example.title for example in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=TITLES)
def test_each_line_is_paid_by_the_purses_the_page_names(example: Worked) -> None:
    assert mistakes(example.rules) == ()
    decision = played(example)
    for decided, expected in zip(decision.lines, example.answer, strict=True):
        by_purse = {code_of(example, part.file): int(part.amount) for part in decided.by_slot}
        assert (by_purse, decided.reason) == (dict(expected.by_purse), expected.reason)


@pytest.mark.parametrize("example", EXAMPLES, ids=TITLES)
def test_each_example_earns_what_the_page_says(example: Worked) -> None:
    bonus = played(example).bonus
    assert (None if bonus is None or bonus.base == 0 else bonus.earned) == example.bonus


@pytest.mark.parametrize("example", [item for item in EXAMPLES if item.refund], ids=lambda item: item.title)
def test_each_part_of_a_refund_goes_where_the_page_says(example: Worked) -> None:
    assert example.refund is not None
    done, places = refunded(example, played(example))
    parts = {code_of(example, part.file): part.amount for part in done.by_slot}
    assert {code: (parts[code], places[code].goes_to) for code in parts} == example.refund.parts
    assert (done.amount, done.own) == (example.refund.amount, Cents(0))


def test_the_page_is_what_the_examples_write() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_with(written()), "python -m tests.unit.worked_examples writes it"


def test_the_first_basket_costs_what_its_title_was_made_for() -> None:
    assert Basket(EXAMPLES[0].lines).price == 2_340
    assert EXAMPLES[0].lines == EXAMPLES[1].lines


def test_an_organic_line_would_have_been_paid_while_the_certificate_held() -> None:
    example = next(item for item in EXAMPLES if item.certificates)
    merchant = Merchant(1, 1, "Exemple", example.groups, "vegetables", certificates=example.certificates)
    announced = announce(Basket(example.lines), example.rules, merchant)
    assert announced.asked == Basket(example.lines).price
    assert played(example).lines[0].reason is Reason.LABEL_NOT_CERTIFIED
