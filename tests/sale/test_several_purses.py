"""One payment from up to three purses: one card transaction, one log record, each line paid by a purse that may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.market import NOON, RULES, HeldCard, Seller, disk, entitle
from domain.identity import PurseNumber
from domain.reason import Reason
from domain.rule_set import Condition, Purse
from emulator.state_file import MemoryStore
from sync.record import Pay, open_record
from sync.tmac import parse
from terminal import events as say

REFERENCED = frozenset({"referenced"})


def purse(number: int, *families: str) -> Purse:
    return Purse(
        PurseNumber(number), f"p{number}", f"Enveloppe {number}", (Condition(frozenset(families), REFERENCED),)
    )


THREE = replace(RULES, purses=(purse(1, "food"), purse(2, "vegetables"), purse(3, "bread")))


@pytest.fixture
def card(issued: HeldCard) -> HeldCard:
    return HeldCard(issued.order, MemoryStore(issued.store.read()))


@pytest.fixture
def stall(tmp_path: Path, card: HeldCard) -> Iterator[Seller]:
    word = entitle(card, limits=(1_000, 1_000, 1_000), purses=(1, 2, 3))
    seller = Seller(disk(tmp_path / "stall"), 2, [card], [word], rules=THREE)
    seller.open()
    yield seller
    seller.close()


def body_of(stall: Seller) -> dict[int, object]:
    return dict(open_record(stall.journal.records(1, 99)[-1])[1].body)


def test_three_purses_pay_one_basket_in_one_transaction(stall: Seller, card: HeldCard) -> None:
    stall.sell(("vegetables", 1_200), ("bread", 1_100), ("dairy", 700))
    (paid,) = stall.tap(card)
    assert isinstance(paid, say.Paid)
    assert {file: cents for file, cents in card.spent().items() if cents} == {3: 1_000, 4: 1_000, 5: 1_000}
    body = body_of(stall)
    facts = parse(body[Pay.TMI])  # type: ignore[arg-type]
    assert [(debit.file, debit.amount) for debit in facts.debits] == [(3, 1_000), (4, 1_000), (5, 1_000)]
    assert body[Pay.SHARES] == [[0, 3, 200], [0, 4, 1_000], [1, 3, 100], [1, 5, 1_000], [2, 3, 700]]


def test_the_purse_for_everything_is_left_to_what_no_other_pays(stall: Seller, card: HeldCard) -> None:
    stall.sell(("vegetables", 1_000), ("dairy", 1_000))
    assert [type(word) for word in stall.tap(card)] == [say.Paid]
    assert {file: cents for file, cents in card.spent().items() if cents} == {3: 1_000, 4: 1_000}


def test_a_line_only_an_empty_purse_could_pay_is_paid_otherwise(stall: Seller, card: HeldCard) -> None:
    stall.sell(("dairy", 1_500))
    (split,) = stall.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.rest, split.reason) == (1_000, 500, Reason.PURSE_EMPTY)


def test_a_void_gives_back_to_each_purse_what_it_paid(stall: Seller, card: HeldCard) -> None:
    stall.sell(("vegetables", 1_200), ("bread", 300))
    stall.tap(card)
    stall.void()
    (done,) = stall.tap(card)
    assert isinstance(done, say.Voided)
    assert done.amount == 1_500
    body = body_of(stall)
    assert body[Pay.DEBITS] == [[3, 1_000], [4, 500]]
    stall.sell(("vegetables", 1_200), ("bread", 300))
    assert [type(word) for word in stall.tap(card)] == [say.Paid]


def test_a_purse_the_rules_do_not_know_pays_nothing(tmp_path: Path, card: HeldCard) -> None:
    word = entitle(card, limits=(500, 1_000), purses=(9, 1))
    seller = Seller(disk(tmp_path / "old"), 2, [card], [word], rules=THREE)
    seller.open()
    seller.sell(("bread", 700))
    assert [type(said) for said in seller.tap(card)] == [say.Paid]
    assert {file: cents for file, cents in card.spent().items() if cents} == {4: 700}
    seller.close()


def test_of_four_open_slots_the_first_three_in_order_of_use_count(tmp_path: Path, card: HeldCard) -> None:
    word = entitle(card, limits=(100, 200, 300, 400))
    seller = Seller(disk(tmp_path / "four"), 2, [card], [word])
    seller.open()
    seller.sell(("bread", 1_000))
    (split,) = seller.tap(card)
    assert isinstance(split, say.Split)
    assert split.by_card == 600
    seller.close()


def test_an_unconfirmed_slot_is_read_and_reported_though_it_is_not_open(tmp_path: Path, card: HeldCard) -> None:
    signed = entitle(card, limits=(500, 500), unconfirmed=(4,))
    seller = Seller(disk(tmp_path / "late"), 2, [card], [signed])
    seller.open()
    seller.clock.wall = NOON
    seller.sell(("bread", 100))
    seller.tap(card)
    values = body_of(seller)[Pay.VALUES]
    assert values == [[3, 16_000_000], [4, 16_000_000]]
    seller.close()
