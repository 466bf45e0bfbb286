"""Refunds: parts that add up, that never exceed what was paid, and that go where they can still be spent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain import refund
from domain.card_log import Debit
from domain.identity import CardId, PurseNumber, SlotFile
from domain.money import Cents, total
from domain.purse import Entitlement, Slot
from domain.refund import Destination, GoesTo, PaidLine, Refunded, destination, fair_shares, refund_line
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Purse, RuleSet

NOON = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
FULL = Cents(16_000_000)


@st.composite
def paid_lines(draw: st.DrawFn) -> PaidLine:
    files = draw(st.lists(st.integers(1, 8).map(SlotFile), unique=True, max_size=3))
    parts = tuple(Debit(file, Cents(draw(st.integers(1, 3_000)))) for file in files)
    earning = frozenset(file for file in files if draw(st.booleans()))
    return PaidLine(parts, Cents(draw(st.integers(0, 2_000))), earning)


@st.composite
def refunds(draw: st.DrawFn) -> tuple[PaidLine, list[Cents]]:
    """A line and the pieces in which all of it is given back."""
    line = draw(paid_lines())
    cuts = sorted(draw(st.lists(st.integers(0, int(line.price)), max_size=6)))
    ends = [*cuts, int(line.price)]
    return line, [Cents(end - start) for start, end in zip([0, *cuts], ends, strict=True)]


def one_by_one(line: PaidLine, pieces: list[Cents]) -> list[Refunded]:
    done, before = [], Cents(0)
    for piece in pieces:
        done.append(refund_line(line, before, piece))
        before += piece
    return done


@settings(max_examples=400, deadline=None)
@given(refunds())
@example((PaidLine((Debit(SlotFile(1), Cents(5)), Debit(SlotFile(2), Cents(1))), Cents(4)), [Cents(1)] * 10))
def test_the_parts_of_a_line_given_back_in_pieces_add_up_to_what_each_one_paid(
    given: tuple[PaidLine, list[Cents]],
) -> None:
    line, pieces = given
    done = one_by_one(line, pieces)
    assert [item.amount for item in done] == pieces
    assert all(part.amount > 0 for item in done for part in item.by_slot)
    assert all(item.own >= 0 for item in done)
    for paid in line.by_slot:
        assert total(part.amount for item in done for part in item.by_slot if part.file == paid.file) == paid.amount
    assert total(item.own for item in done) == line.own
    assert total(item.base for item in done) == total(part.amount for part in line.by_slot if part.file in line.earning)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.data())
def test_shares_are_those_of_dealing_cent_by_cent(weights: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    dealt = [0] * len(weights)
    for _ in range(amount):
        place = min(
            (place for place, weight in enumerate(weights) if weight),
            key=lambda item: ((2 * dealt[item] + 1) / weights[item], item),
        )
        dealt[place] += 1
    assert list(fair_shares(weights, amount)) == dealt


@settings(max_examples=300, deadline=None)
@given(paid_lines(), st.data())
def test_a_part_is_less_than_two_cents_from_pro_rata(line: PaidLine, data: st.DataObject) -> None:
    if line.price == 0:
        return
    amount = Cents(data.draw(st.integers(0, int(line.price))))
    done = {part.file: part.amount for part in refund_line(line, Cents(0), amount).by_slot}
    for paid in line.by_slot:
        assert abs(done.get(paid.file, 0) * line.price - paid.amount * amount) < 2 * line.price


def test_rounding_each_refund_by_itself_is_seen_to_lose_cents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half up, piece by piece: three refunds of one cent out of two halves give back 2 and 1, or 3 and 0."""

    def each_alone(weights: list[int], amount: int) -> tuple[int, ...]:
        whole = sum(weights)
        return tuple((2 * weight * amount + whole) // (2 * whole) for weight in weights)

    monkeypatch.setattr(refund, "fair_shares", each_alone)
    line = PaidLine((Debit(SlotFile(1), Cents(5)), Debit(SlotFile(2), Cents(5))), Cents(0))
    done = one_by_one(line, [Cents(1)] * 10)
    assert [item.amount for item in done] != [Cents(1)] * 10


@pytest.mark.parametrize(("before", "amount"), [(0, 1_001), (1_000, 1), (-1, 1), (0, -1)])
def test_more_than_was_paid_is_never_given_back(before: int, amount: int) -> None:
    line = PaidLine((Debit(SlotFile(1), Cents(600)),), Cents(400))
    with pytest.raises(ValueError, match="no more than it cost"):
        refund_line(line, Cents(before), Cents(amount))


RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset(),
    purses=tuple(
        Purse(PurseNumber(number), code, code, (Condition(frozenset({"food"})),), funder=funder)
        for number, code, funder in ((1, "caf", "CAF"), (2, "caf-veg", "CAF"), (3, "msa", "MSA"), (4, "own", ""))
    ),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(0)),
)


def slot(file: int, purse: int, start_day: int, end_day: int | None) -> Slot:
    end = None if end_day is None else NOON + timedelta(days=end_day)
    return Slot(SlotFile(file), PurseNumber(purse), Cents(900), Cents(0), FULL, NOON + timedelta(days=start_day), end)


def word(*slots: Slot) -> Entitlement:
    return Entitlement(1, CardId(b"card-one"), 1, 1, NOON, NOON + timedelta(days=30), 1, 0, Cents(0), slots)


MARCH, APRIL = slot(1, 1, -6, 24), slot(2, 1, 24, 54)


@pytest.mark.parametrize(
    ("paid_from", "now", "goes_to"),
    [
        (MARCH, word(MARCH), Destination(GoesTo.SAME_WINDOW, SlotFile(1))),
        (slot(1, 1, -60, -30), word(slot(2, 1, -6, 24)), Destination(GoesTo.OPEN_PURSE, SlotFile(2))),
        (slot(1, 1, -60, -30), word(slot(1, 1, -6, 24)), Destination(GoesTo.OPEN_PURSE, SlotFile(1))),
        (slot(1, 1, -60, -30), word(slot(3, 2, -6, None)), Destination(GoesTo.OPEN_PURSE, SlotFile(3))),
        (slot(1, 1, -60, -30), word(slot(5, 3, -6, None)), Destination(GoesTo.FUNDER)),
        (slot(7, 4, -60, -30), word(slot(5, 3, -6, None)), Destination(GoesTo.FUNDER)),
        (slot(1, 1, -60, -30), word(APRIL), Destination(GoesTo.FUNDER)),
        (slot(1, 1, -60, -30), word(), Destination(GoesTo.FUNDER)),
    ],
    ids=["still open", "next window", "same file, next window", "other purse of the funder", "other funder",
         "funder not named", "not open yet", "nothing left"],
)  # fmt: skip
def test_a_part_goes_back_to_its_window_then_to_its_funders_purse_then_to_the_funder(
    paid_from: Slot, now: Entitlement, goes_to: Destination
) -> None:
    assert destination(paid_from, now, RULES, NOON) == goes_to
