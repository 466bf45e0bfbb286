"""One payment from up to three purses: one card transaction, one log record, each line paid by a purse that may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.market import CENTRE_KEY, NOON, RULES, STALL, HeldCard, Seller, disk, entitle
from domain.identity import PurseNumber
from domain.money import Cents
from domain.reason import Reason
from domain.rule_set import Condition, Purse, PurseCeilings
from emulator.state_file import MemoryStore
from emulator.tear import Phase, tear_on
from sync.card_format import decode_entitlement
from sync.cbor import Value
from sync.record import Envelope, Pay, RecordType, open_record
from sync.replay import decide_again, is_as_written
from sync.tmac import parse
from terminal import events as say

REFERENCED = frozenset({"referenced"})
COMMIT = 0xC7


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


# --- a purse's day ----------------------------------------------------------------------------------------------------

SIX_EUROS_A_DAY = PurseCeilings(day=Cents(600))
CAPPED = replace(
    RULES,
    purses=tuple(
        replace(purse(number, family), ceilings=SIX_EUROS_A_DAY)
        for number, family in enumerate(("vegetables", "bread"), start=1)
    ),
)


@pytest.fixture
def capped(tmp_path: Path, card: HeldCard) -> Iterator[Seller]:
    seller = Seller(
        disk(tmp_path / "capped"), 2, [card], [entitle(card, limits=(2_000, 2_000), purses=(1, 2))], rules=CAPPED
    )
    seller.open()
    yield seller
    seller.close()


def payments(seller: Seller) -> list[Envelope]:
    opened = [open_record(record)[1] for record in seller.journal.records(1, 99)]
    return [envelope for envelope in opened if envelope.type == RecordType.PAYMENT]


def again(envelope: Envelope, card: HeldCard, purses_today: Value) -> bool:
    """Whether the centre decides as the till did, from a record that says so much of what the purses had paid."""
    facts = parse(envelope.body[Pay.TMI])  # type: ignore[arg-type]
    word = decode_entitlement(facts.entitlement_in_force, card.order.uid, lambda _: CENTRE_KEY.public_key()).entitlement
    told = replace(envelope, body={**envelope.body, Pay.PURSES_TODAY: purses_today})
    return is_as_written(decide_again(told, CAPPED, STALL, word), told.body)


def test_each_purse_has_its_own_day_at_one_stall(capped: Seller, card: HeldCard) -> None:
    """What the vegetables' purse paid takes nothing from the bread's."""
    capped.sell(("vegetables", 500))
    capped.tap(card)
    capped.sell(("bread", 550))
    assert [type(word) for word in capped.tap(card)] == [say.Paid]
    capped.sell(("vegetables", 200), ("bread", 200))
    (split,) = capped.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.reason) == (150, Reason.PURSE_CEILING_OF_A_DAY)
    capped.accept()
    capped.tap(card)
    told = [envelope.body[Pay.PURSES_TODAY] for envelope in payments(capped)]
    assert told == [[], [[1, 500]], [[1, 500], [2, 550]]]


def test_the_centre_decides_a_purses_day_as_the_till_did(capped: Seller, card: HeldCard) -> None:
    for lines in ((("vegetables", 500),), (("bread", 550),), (("vegetables", 100), ("bread", 50))):
        capped.sell(*lines)
        assert [type(word) for word in capped.tap(card)] == [say.Paid]
    assert all(again(envelope, card, envelope.body[Pay.PURSES_TODAY]) for envelope in payments(capped))
    last = payments(capped)[-1]
    assert not again(last, card, None), "not known: each purse may have paid all of it"
    assert not again(last, card, [[1, 550], [2, 550]])


def test_a_void_gives_its_purse_that_part_of_the_day_back_over_a_restart(capped: Seller, card: HeldCard) -> None:
    for line in (("vegetables", 500), ("bread", 450)):
        capped.sell(line)
        capped.tap(card)
    capped.void()
    assert [type(word) for word in capped.tap(card)] == [say.Voided]
    capped.close()
    later = capped.after_power_cut(capped.medium)
    later.open()
    later.accept()
    later.sell(("bread", 600))
    assert [type(word) for word in later.tap(card)] == [say.Paid]
    assert payments(later)[-1].body[Pay.PURSES_TODAY] == [[1, 500]]
    later.sell(("vegetables", 200))
    (split,) = later.tap(card)
    assert isinstance(split, say.Split)
    assert split.by_card == 100
    later.close()


def test_a_torn_payment_that_was_made_counts_for_its_purse(capped: Seller, card: HeldCard) -> None:
    capped.sell(("bread", 500))
    capped.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    capped.tap(card)
    capped.back()
    capped.sell(("vegetables", 600))
    assert [type(word) for word in capped.tap(card)] == [say.Paid]
    capped.sell(("bread", 300))
    (split,) = capped.tap(card)
    assert isinstance(split, say.Split)
    assert split.by_card == 100


def test_windows_of_one_purse_share_its_day(tmp_path: Path, card: HeldCard) -> None:
    word = entitle(card, limits=(300, 2_000), purses=(2, 2))
    seller = Seller(disk(tmp_path / "windows"), 2, [card], [word], rules=CAPPED)
    seller.open()
    seller.sell(("bread", 500))
    seller.tap(card)
    seller.sell(("bread", 200))
    (split,) = seller.tap(card)
    assert isinstance(split, say.Split)
    assert split.by_card == 100
    seller.accept()
    seller.tap(card)
    assert payments(seller)[-1].body[Pay.PURSES_TODAY] == [[2, 500]]
    seller.close()
