"""Moving money between the cards of a household: nothing is made, and no limit a card may be spending is lowered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from domain.identity import CardId, PurseNumber, SlotFile
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.reason import Reason
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Purse, RuleSet
from domain.transfer import Moved, move_in, move_out

NOON = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
NOW = (NOON, NOON)
FULL = Cents(16_000_000)
FOOD = PurseNumber(1)
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset(),
    purses=(Purse(FOOD, "food", "Alimentation", (Condition(frozenset({"food"})),)),),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(0)),
)
MARCH = Slot(SlotFile(1), FOOD, Cents(0), Cents(0), FULL, NOON - timedelta(days=6), NOON + timedelta(days=24))
APRIL = replace(MARCH, file=SlotFile(2), start=NOON + timedelta(days=24), end=NOON + timedelta(days=54))


def card(name: bytes, *slots: Slot) -> Entitlement:
    return Entitlement(1, CardId(name), 1, 1, NOON, NOON + timedelta(days=30), 1, 0, Cents(0), slots)


def test_a_household_never_spends_more_than_it_was_granted_however_its_money_moves() -> None:
    """Two cards spend, move money and hear of it late; what a card heard before still binds."""
    moved_in_all = 0
    for seed in range(300):
        dice = Random(seed)
        granted = {b"card-one": dice.randrange(4_000), b"card-two": dice.randrange(4_000)}
        words = {name: card(name, replace(MARCH, limit=Cents(cents))) for name, cents in granted.items()}
        heard = dict(words)
        spent = dict.fromkeys(granted, 0)
        on_the_way: list[tuple[bytes, Moved]] = []
        for _ in range(30):
            name = dice.choice(list(granted))
            other = next(item for item in granted if item != name)
            left = int(heard[name].slots[0].limit) - spent[name]
            match dice.randrange(4):
                case 0:
                    spent[name] += dice.randrange(left + 1)
                case 1:
                    amount = Cents(dice.randrange(1, 1_000))
                    parts = move_out(heard[name], {SlotFile(1): Cents(left)}, FOOD, amount, RULES, NOW)
                    assert (parts is Reason.PURSE_EMPTY) == (amount > left), f"seed {seed}"
                    if not isinstance(parts, Reason):
                        spent[name] += sum(part.debit.amount for part in parts)
                        on_the_way += [(other, part) for part in parts]
                        moved_in_all += len(parts)
                case 2 if on_the_way:
                    target, part = on_the_way.pop(dice.randrange(len(on_the_way)))
                    raised = move_in(words[target], part)
                    assert not isinstance(raised, Reason), f"seed {seed}"
                    assert raised.slots[0].limit == words[target].slots[0].limit + part.debit.amount
                    words[target] = raised
                case _:
                    heard[name] = words[name]
            waiting = sum(part.debit.amount for _, part in on_the_way)
            limits = sum(int(word.slots[0].limit) for word in words.values())
            moved = limits - sum(granted.values()) + waiting
            assert sum(spent.values()) - moved <= sum(granted.values()), f"seed {seed}"
            assert all(spent[item] <= words[item].slots[0].limit for item in granted), f"seed {seed}"
    assert moved_in_all > 500


def test_money_keeps_its_window_and_cannot_outlive_it_by_moving() -> None:
    (moved,) = moved_of(card(b"card-one", replace(MARCH, limit=Cents(900))), 500)
    assert move_in(card(b"card-two", APRIL), moved) is Reason.PURSE_NOT_OPEN_YET
    longer = replace(MARCH, end=None)
    assert move_in(card(b"card-two", longer), moved) is Reason.PURSE_NOT_OPEN_YET


def test_a_card_is_never_given_its_own_money() -> None:
    (moved,) = moved_of(card(b"card-one", replace(MARCH, limit=Cents(900))), 500)
    assert move_in(card(b"card-one", MARCH), moved) is Reason.PURSE_NOT_OPEN_YET


def test_the_first_cards_limit_stays_as_it_was_signed() -> None:
    before = card(b"card-one", replace(MARCH, limit=Cents(900)))
    moved_of(before, 900)
    assert before.slots[0].limit == 900


@pytest.mark.parametrize(("t_lo", "t_late"), [(-10, 0), (0, 30)])
def test_a_window_that_is_not_surely_open_moves_nothing(t_lo: int, t_late: int) -> None:
    source = card(b"card-one", replace(MARCH, limit=Cents(900)))
    at = (NOON + timedelta(days=t_lo), NOON + timedelta(days=t_late))
    assert move_out(source, {SlotFile(1): Cents(900)}, FOOD, Cents(100), RULES, at) is Reason.PURSE_LAPSED


def test_nothing_is_no_transfer() -> None:
    source = card(b"card-one", replace(MARCH, limit=Cents(900)))
    assert move_out(source, {SlotFile(1): Cents(900)}, FOOD, Cents(0), RULES, NOW) is Reason.NEGATIVE_OR_ZERO_AMOUNT


def moved_of(source: Entitlement, amount: int) -> tuple[Moved, ...]:
    moved = move_out(source, {SlotFile(1): source.slots[0].limit}, FOOD, Cents(amount), RULES, NOW)
    assert not isinstance(moved, Reason)
    return moved
