"""Who pays what: the greatest cover of a basket by several purses, and exactly one answer.

A purse may pay some lines, each up to a sum, and has a budget. What all purses together can pay is a greatest flow;
with a handful of purses it is found from its smallest cut, subset by subset, without a search.

    paid(A)  = Σ over lines of min(coverable, Σ over purses of A of what each may pay of it)
    reach(S) = min over A ⊆ S of the budgets of S without A, and paid(A)

The i-th purse in order of use pays reach(first i) − reach(first i−1); lines are covered by the same formula in their
order of cover; the amounts are the lexicographically greatest with these sums, purse by purse, line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.money import Cents


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be shared out, in cents.

    Attributes:
        coverable: of each line, in order of cover; none below 0.
        budgets: of each purse, in order of use; none below 0.
        may_pay: the most each purse may pay of each line: ``may_pay[purse][line]``; none below 0.
    """

    coverable: tuple[int, ...]
    budgets: tuple[int, ...]
    may_pay: tuple[tuple[int, ...], ...]


def allocate(claim: Claim) -> tuple[tuple[Cents, ...], ...]:
    """Cents each purse pays of each line: ``amounts[purse][line]``."""
    purses = _purse_sums(claim)
    lines = _line_sums(claim)
    assert sum(purses) == sum(lines), "both are the greatest cover"
    return _amounts(purses, lines, claim.may_pay)


def greatest_cover(claim: Claim) -> Cents:
    """The most all purses together can pay."""
    return Cents(sum(_purse_sums(claim)))


def _purse_sums(claim: Claim) -> list[int]:
    """What each purse pays: how much further the purses reach with it than without it."""
    paid = [_sum_paid(claim, chosen, len(claim.coverable)) for chosen in range(1 << len(claim.budgets))]
    reached = [_reach(claim.budgets[:count], paid) for count in range(len(claim.budgets) + 1)]
    return [after - before for before, after in pairwise(reached)]


def _line_sums(claim: Claim) -> list[int]:
    """What is covered of each line: how much more can be covered with it than with the lines before it alone."""
    paid, reached = [0] * (1 << len(claim.budgets)), [0]
    for line, coverable in enumerate(claim.coverable):
        for chosen in range(len(paid)):
            paid[chosen] += min(coverable, _most(claim.may_pay, chosen, line))
        reached.append(_reach(claim.budgets, paid))
    return [after - before for before, after in pairwise(reached)]


def _reach(budgets: Sequence[int], paid: Sequence[int]) -> int:
    """The smallest cut: for each set of purses, what lines let it pay, and the budgets of the others."""
    everyone = sum(budgets)
    return min(
        everyone - sum(budget for purse, budget in enumerate(budgets) if chosen >> purse & 1) + paid[chosen]
        for chosen in range(1 << len(budgets))
    )


def _sum_paid(claim: Claim, chosen: int, lines: int) -> int:
    return sum(min(claim.coverable[line], _most(claim.may_pay, chosen, line)) for line in range(lines))


def _most(may_pay: Sequence[Sequence[int]], chosen: int, line: int) -> int:
    return sum(row[line] for purse, row in enumerate(may_pay) if chosen >> purse & 1)


def _amounts(
    purses: Sequence[int], lines: Sequence[int], may_pay: Sequence[Sequence[int]]
) -> tuple[tuple[Cents, ...], ...]:
    """The lexicographically greatest amounts with these sums.

    An amount can be raised until some set of other purses could no longer place its own: a set ``A`` needs on this line
    what its purses have left beyond what the other lines take from it.
    """
    left, needs = list(purses), list(lines)
    open_to = [list(row) for row in may_pay]
    takes = [
        sum(min(need, _most(open_to, chosen, line)) for line, need in enumerate(needs))
        for chosen in range(1 << len(left))
    ]
    amounts = [[0] * len(needs) for _ in left]
    for purse, line in ((purse, line) for purse in range(len(left)) for line in range(len(needs))):
        others = [chosen for chosen in range(len(takes)) if not chosen >> purse & 1]
        amount = min(open_to[purse][line], left[purse], needs[line])
        for chosen in others:
            here = min(needs[line], _most(open_to, chosen, line))
            must_keep = _sum_of(left, chosen) - (takes[chosen] - here)
            amount = min(amount, needs[line] - max(must_keep, 0))
        before = [min(needs[line], _most(open_to, chosen, line)) for chosen in range(len(takes))]
        amounts[purse][line] = amount
        left[purse] -= amount
        needs[line] -= amount
        open_to[purse][line] = 0
        for chosen, had in enumerate(before):
            takes[chosen] += min(needs[line], _most(open_to, chosen, line)) - had
    assert not any(left) and not any(needs), "the sums can be placed"
    return tuple(tuple(Cents(amount) for amount in row) for row in amounts)


def _sum_of(amounts: Sequence[int], chosen: int) -> int:
    return sum(amount for purse, amount in enumerate(amounts) if chosen >> purse & 1)
