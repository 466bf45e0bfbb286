from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType
from domain.decision import CardFacts, StallFacts, announce, decide
from domain.identity import CardId, PurseNumber, SlotFile, Station
from domain.money import Cents, total
from domain.purse import Counters, Entitlement, Slot
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Merchant, Purse, RuleSet

NOW = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
FULL = 16_000_000
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol", "non-food"}),
    purses=(Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"})),)),),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
)
STALL = Merchant(1, 1, "Stand", frozenset(), "vegetables")

lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(["vegetables", "bread", "alcohol", "hygiene", "unicorn"]),
        st.integers(-50, 6_000).map(Cents),
    ),
    max_size=12,
)
windows = st.tuples(st.integers(-40, 10), st.one_of(st.none(), st.integers(-10, 40)))


@st.composite
def slots(draw: st.DrawFn) -> tuple[tuple[Slot, ...], dict[SlotFile, Cents]]:
    files = sorted(draw(st.sets(st.integers(1, 8), max_size=4)))
    made, values = [], {}
    for file in files:
        start, end = draw(windows)
        limit, spent = draw(st.integers(0, 20_000)), draw(st.integers(0, 20_000))
        ends = None if end is None else NOW + timedelta(days=end)
        number = SlotFile(file)
        made.append(
            Slot(number, PurseNumber(1), Cents(limit), Cents(0), Cents(FULL), NOW + timedelta(days=start), ends)
        )
        values[number] = Cents(FULL - spent)
    return tuple(made), values


@st.composite
def situations(draw: st.DrawFn) -> tuple[Basket, CardFacts, StallFacts]:
    made, values = draw(slots())
    word = Entitlement(
        1,
        CardId(b"card-one"),
        1,
        1,
        NOW,
        NOW + timedelta(days=draw(st.integers(-2, 30))),
        1,
        draw(st.integers(0, 9)),
        Cents(0),
        made,
    )
    carried = draw(st.one_of(st.none(), st.integers(0, 13_000).map(Cents)))
    newest = LogRecord(LogType.PAYMENT, Station(2), 1, 1, NOW, 1, 1, (), None, carried)
    facts = CardFacts(
        CardId(b"card-one"),
        None,
        draw(st.booleans()) and draw(st.booleans()),
        draw(st.one_of(st.just(word), st.just(word), st.none())),
        Counters(draw(st.integers(0, 20)), values),
        draw(st.one_of(st.none(), st.just(newest))),
    )
    slack = draw(st.integers(0, 5))
    stall = StallFacts(
        NOW, NOW + timedelta(days=slack), draw(st.integers(0, 40)), Cents(draw(st.integers(0, 9_000))), None
    )
    return Basket(tuple(draw(lines))), facts, stall


@given(situations())
def test_no_slot_is_ever_debited_above_what_is_available_in_it(given: tuple[Basket, CardFacts, StallFacts]) -> None:
    basket, facts, stall = given
    decision = decide(basket, RULES, STALL, facts, stall)
    assert len(decision.debits) <= 3
    for debit in decision.debits:
        assert facts.entitlement is not None
        slot = next(slot for slot in facts.entitlement.slots if slot.file == debit.file)
        assert 0 < debit.amount <= slot.available(facts.counters.values[slot.file])
        assert slot.spent(facts.counters.values[slot.file]) + debit.amount <= slot.limit


@given(situations())
def test_every_cent_is_paid_by_the_card_or_named_as_paid_otherwise(given: tuple[Basket, CardFacts, StallFacts]) -> None:
    basket, facts, stall = given
    decision = decide(basket, RULES, STALL, facts, stall)
    assert decision.paid + decision.rest == basket.price
    assert total(line.paid for line in decision.lines) == decision.paid
    assert all(line.reason is not None for line in decision.lines if line.paid != line.line.amount)


@given(situations())
def test_a_card_never_pays_more_than_was_announced(given: tuple[Basket, CardFacts, StallFacts]) -> None:
    basket, facts, stall = given
    assert decide(basket, RULES, STALL, facts, stall).paid <= announce(basket, RULES, STALL).asked


@given(situations(), st.integers(0, 20))
def test_older_lists_never_let_a_card_pay_more(given: tuple[Basket, CardFacts, StallFacts], days: int) -> None:
    basket, facts, stall = given
    older = replace(stall, lists_age_days=stall.lists_age_days + days)
    assert decide(basket, RULES, STALL, facts, older).paid <= decide(basket, RULES, STALL, facts, stall).paid


@given(situations())
def test_the_same_facts_give_the_same_answer(given: tuple[Basket, CardFacts, StallFacts]) -> None:
    basket, facts, stall = given
    assert decide(basket, RULES, STALL, facts, stall) == decide(basket, RULES, STALL, facts, stall)
