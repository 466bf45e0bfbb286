"""The greatest cover of a basket by several purses, beside brute force over every way to share it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import allocation
from domain.allocation import Claim, Together, allocate, greatest_cover

Amounts = tuple[tuple[int, ...], ...]


@st.composite
def claims(draw: st.DrawFn, purses: int = 3, lines: int = 4, most: int = 4) -> Claim:
    count, width = draw(st.integers(1, purses)), draw(st.integers(1, lines))
    cents = st.integers(0, most)
    coverable = tuple(draw(cents) for _ in range(width))
    rows = tuple(tuple(draw(st.sampled_from((0, draw(cents), most))) for _ in range(width)) for _ in range(count))
    return Claim(coverable, tuple(draw(cents) for _ in range(count)), rows)


@st.composite
def claims_of_windows(draw: st.DrawFn, purses: int = 3, lines: int = 2, most: int = 3) -> Claim:
    """Claims where two purses are windows of one, or one has a ceiling, or both."""
    claim = draw(claims(purses, lines, most))
    count = len(claim.budgets)
    members = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=2)))
    rows = list(claim.may_pay)
    for purse in members:
        rows[purse] = rows[members[0]]
    ceiling = draw(st.one_of(st.none(), st.integers(0, 2 * most)))
    return replace(claim, may_pay=tuple(rows), together=(Together(tuple(members), ceiling),))


def every_way(claim: Claim) -> Iterator[Amounts]:
    """All amounts that break no bound."""
    cells = [range(min(most, claim.coverable[line]) + 1) for row in claim.may_pay for line, most in enumerate(row)]
    width = len(claim.coverable)
    for flat in product(*cells):
        rows = tuple(flat[at : at + width] for at in range(0, len(flat), width))
        if (
            all(sum(row) <= budget for row, budget in zip(rows, claim.budgets, strict=True))
            and all(sum(column) <= most for column, most in zip(zip(*rows, strict=True), claim.coverable, strict=True))
            and all(holds(group, rows, claim) for group in claim.together)
        ):
            yield rows


def holds(group: Together, rows: Amounts, claim: Claim) -> bool:
    """No more together than the ceiling, and no more of a line than one of them could."""
    if group.ceiling is not None and sum(sum(rows[purse]) for purse in group.purses) > group.ceiling:
        return False
    row = claim.may_pay[group.purses[0]]
    return all(sum(rows[purse][line] for purse in group.purses) <= most for line, most in enumerate(row))


def best_way(claim: Claim) -> Amounts:
    """The answer by its definition: greatest sum, then purses in order, then lines in order, then purse by purse."""

    def rank(rows: Amounts) -> tuple[object, ...]:
        return (sum(map(sum, rows)), [sum(row) for row in rows], [sum(line) for line in zip(*rows, strict=True)], rows)

    return max(every_way(claim), key=rank)


@settings(max_examples=600, deadline=None)
@given(claims(purses=2, lines=3, most=3))
def test_the_answer_is_the_one_brute_force_finds(claim: Claim) -> None:
    assert allocate(claim) == best_way(claim)


@settings(max_examples=60, deadline=None)
@given(claims(purses=3, lines=3, most=2))
def test_the_answer_is_the_one_brute_force_finds_for_three_purses(claim: Claim) -> None:
    assert allocate(claim) == best_way(claim)


@settings(max_examples=400, deadline=None)
@given(claims_of_windows())
def test_windows_of_one_purse_share_its_ceilings_as_brute_force_does(claim: Claim) -> None:
    assert allocate(claim) == best_way(claim)


@settings(max_examples=500, deadline=None)
@given(claims(purses=3, lines=40, most=20_000))
def test_no_bound_is_broken_on_a_long_basket(claim: Claim) -> None:
    rows = allocate(claim)
    assert all(sum(row) <= budget for row, budget in zip(rows, claim.budgets, strict=True))
    for line, coverable in enumerate(claim.coverable):
        assert sum(row[line] for row in rows) <= coverable
        assert all(0 <= row[line] <= claim.may_pay[purse][line] for purse, row in enumerate(rows))
    assert sum(map(sum, rows)) == greatest_cover(claim)


@settings(max_examples=300, deadline=None)
@given(claims(purses=3, lines=6, most=300), st.integers(0, 300))
def test_a_greater_budget_never_pays_less(claim: Claim, more: int) -> None:
    richer = Claim(claim.coverable, (claim.budgets[0] + more, *claim.budgets[1:]), claim.may_pay)
    assert greatest_cover(richer) >= greatest_cover(claim)


def test_bread_is_left_to_the_purse_that_may_pay_it() -> None:
    """Food purse 10 € first, vegetable purse 10 €; vegetables 10 €, bread 10 €: greedy covers 10 €, right is 20 €."""
    claim = Claim((1_000, 1_000), (1_000, 1_000), ((1_000, 1_000), (1_000, 0)))
    assert allocate(claim) == ((0, 1_000), (1_000, 0))


def test_greedy_purse_by_purse_and_line_by_line_is_seen_to_cover_less() -> None:
    worse = 0
    for seed in range(400):
        claim = random_claim(seed)
        assert greedy(claim) <= greatest_cover(claim)
        worse += greedy(claim) < greatest_cover(claim)
    assert worse > 0


def greedy(claim: Claim) -> int:
    left, paid = list(claim.coverable), 0
    for purse, budget in enumerate(claim.budgets):
        for line in range(len(left)):
            part = min(left[line], budget, claim.may_pay[purse][line])
            left[line] -= part
            budget -= part
            paid += part
    return paid


def random_claim(seed: int) -> Claim:
    from random import Random

    dice = Random(seed)
    lines = tuple(dice.randrange(1, 2_000) for _ in range(6))
    rows = tuple(tuple(amount if dice.random() < 0.6 else 0 for amount in lines) for _ in range(3))
    return Claim(lines, tuple(dice.randrange(0, 3_000) for _ in range(3)), rows)


def test_taking_the_first_purse_as_far_as_it_goes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_comes(purses: object, lines: list[int], claim: Claim, most: object) -> Amounts:
        needs, rows = list(lines), []
        for row, budget in zip(claim.may_pay, purses, strict=True):  # type: ignore[call-overload]
            paid, left = [], budget
            for line, most in enumerate(row):
                part = min(most, needs[line], left)
                needs[line] -= part
                left -= part
                paid.append(part)
            rows.append(tuple(paid))
        return tuple(rows)

    monkeypatch.setattr(allocation, "_amounts", first_comes)
    claim = Claim((1_000, 1_000), (1_000, 1_000), ((1_000, 1_000), (1_000, 0)))
    assert allocate(claim) != best_way(Claim((2, 2), (2, 2), ((2, 2), (2, 0))))
    assert sum(map(sum, allocate(claim))) < 2_000
