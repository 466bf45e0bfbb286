"""Who pays what: the greatest cover of a basket by several purses, and exactly one answer.

A purse may pay some lines, each up to a sum, and has a budget. What all purses together can pay is a greatest flow;
with a handful of purses it is found from its smallest cut, subset by subset, without a search.

    paid(A)  = Σ over lines of min(coverable, Σ over purses of A of what each may pay of it)
    reach(S) = min over A ⊆ S of the budgets of S without A, and paid(A)

The i-th purse in order of use pays reach(first i) − reach(first i−1); lines are covered by the same formula in their
order of cover; the amounts are the lexicographically greatest with these sums, purse by purse, line by line.

Two open windows of one purse are two purses here, but what the rules say of the purse holds for both together: its
price ceiling (a line is paid no more than one of them could) and its ceiling of a payment. In the sums above they then
count as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.money import Cents


@dataclass(frozen=True, slots=True)
class Together:
    """Windows of one purse: places in order of use, and the most all of them pay, in cents (``None``: no ceiling)."""

    purses: tuple[int, ...]
    ceiling: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be shared out, in cents.

    Attributes:
        coverable: of each line, in order of cover; none below 0.
        budgets: of each purse, in order of use; none below 0.
        may_pay: the most each purse may pay of each line: ``may_pay[purse][line]``; none below 0, and the same for
            windows of one purse.
        together: windows of one purse, and purses with a ceiling; a purse named in none stands alone without one.
    """

    coverable: tuple[int, ...]
    budgets: tuple[int, ...]
    may_pay: tuple[tuple[int, ...], ...]
    together: tuple[Together, ...] = ()


def allocate(claim: Claim) -> tuple[tuple[Cents, ...], ...]:
    """Cents each purse pays of each line: ``amounts[purse][line]``."""
    most = _most_by_set(claim)
    purses = _purse_sums(claim, most)
    lines = _line_sums(claim, most)
    assert sum(purses) == sum(lines), "both are the greatest cover"
    return _amounts(purses, lines, claim, most)


def greatest_cover(claim: Claim) -> Cents:
    """The most all purses together can pay."""
    return Cents(_reach((1 << len(claim.budgets)) - 1, _budget_by_set(claim), _paid_by_set(claim, _most_by_set(claim))))


def _purse_sums(claim: Claim, most: Sequence[Sequence[int]]) -> list[int]:
    """What each purse pays: how much further the purses reach with it than without it."""
    paid, budgets = _paid_by_set(claim, most), _budget_by_set(claim)
    reached = [_reach((1 << count) - 1, budgets, paid) for count in range(len(claim.budgets) + 1)]
    return [after - before for before, after in pairwise(reached)]


def _line_sums(claim: Claim, most: Sequence[Sequence[int]]) -> list[int]:
    """What is covered of each line: how much more can be covered with it than with the lines before it alone."""
    everyone, budgets = len(most) - 1, _budget_by_set(claim)
    paid, reached = [0] * len(most), [0]
    for line, coverable in enumerate(claim.coverable):
        for chosen in range(1, len(most)):
            paid[chosen] += min(coverable, most[chosen][line])
        reached.append(_reach(everyone, budgets, paid))
    return [after - before for before, after in pairwise(reached)]


def _reach(purses: int, budgets: Sequence[int], paid: Sequence[int]) -> int:
    """The smallest cut among these purses: what lines let some of them pay, and the budgets of the others."""
    return min(budgets[purses ^ chosen] + paid[chosen] for chosen in range(purses + 1) if chosen | purses == purses)


def _paid_by_set(claim: Claim, most: Sequence[Sequence[int]]) -> list[int]:
    return [sum(map(min, claim.coverable, of_lines)) for of_lines in most]


def _budget_by_set(claim: Claim) -> list[int]:
    """What the purses of each set can pay in all: their budgets, and no more together than their ceiling."""
    sums = [0] * (1 << len(claim.budgets))
    for group in _groups(claim):
        for chosen in range(len(sums)):
            budget = sum(claim.budgets[purse] for purse in group.purses if chosen >> purse & 1)
            sums[chosen] += budget if group.ceiling is None else min(budget, group.ceiling)
    return sums


def _most_by_set(claim: Claim) -> list[list[int]]:
    """The most the purses of each set may pay of each line: ``most[set][line]``; windows of one purse count once."""
    group_of = {purse: number for number, group in enumerate(_groups(claim)) for purse in group.purses}
    most = [[0] * len(claim.coverable)]
    for chosen in range(1, 1 << len(claim.budgets)):
        purse = chosen.bit_length() - 1
        before = chosen ^ 1 << purse
        if any(before >> other & 1 and group_of[other] == group_of[purse] for other in range(purse)):
            most.append(most[before])
        else:
            most.append([had + more for had, more in zip(most[before], claim.may_pay[purse], strict=True)])
    return most


def _groups(claim: Claim) -> tuple[Together, ...]:
    named = {purse for group in claim.together for purse in group.purses}
    return (*claim.together, *(Together((purse,)) for purse in range(len(claim.budgets)) if purse not in named))


def _amounts(
    purses: Sequence[int], lines: Sequence[int], claim: Claim, most: Sequence[Sequence[int]]
) -> tuple[tuple[Cents, ...], ...]:
    """The lexicographically greatest amounts with these sums.

    An amount can be raised until some set of later purses could no longer place its own: such a set needs on this line
    what its purses have to pay beyond what the other lines take from it.
    """
    needs = list(lines)
    open_to = [list(row) for row in most]
    amounts = [[0] * len(needs) for _ in purses]
    for purse, budget in enumerate(purses):
        later = _sets_of(range(purse + 1, len(purses)))
        owed = {chosen: sum(purses[other] for other in range(len(purses)) if chosen >> other & 1) for chosen in later}
        takes = {chosen: sum(map(min, needs, open_to[chosen])) for chosen in later}
        siblings = [chosen for chosen in later if _is_shared(claim, purse, chosen)]
        left = budget
        for line, need in enumerate(needs):
            amount = min(left, need, open_to[1 << purse][line])
            if amount == 0:
                continue
            for chosen in later:
                elsewhere = takes[chosen] - min(need, open_to[chosen][line])
                amount = min(amount, need - max(owed[chosen] - elsewhere, 0))
            before = {chosen: min(need, open_to[chosen][line]) for chosen in later}
            for chosen in siblings:
                open_to[chosen][line] -= amount
            for chosen in later:
                takes[chosen] += min(need - amount, open_to[chosen][line]) - before[chosen]
            amounts[purse][line] = amount
            needs[line] -= amount
            left -= amount
        assert left == 0, "the sums can be placed"
    assert not any(needs), "the sums can be placed"
    return tuple(tuple(map(Cents, row)) for row in amounts)


def _sets_of(purses: Iterable[int]) -> list[int]:
    """Every set of these purses but the empty one, as bits."""
    sets = [0]
    for purse in purses:
        sets += [chosen | 1 << purse for chosen in sets]
    return sets[1:]


def _is_shared(claim: Claim, purse: int, chosen: int) -> bool:
    """Whether the set holds another window of that purse."""
    return any(purse in group.purses and any(chosen >> other & 1 for other in group.purses) for group in claim.together)
