"""What open purses pay of a basket: order of use, order of cover, match, ceilings, and what bound each remainder.

``domain.allocation`` shares out sums; here is said which sums, in which order, and how far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from domain.allocation import Claim, Together, allocate, greatest_cover
from domain.identity import PurseNumber
from domain.money import Cents
from domain.reason import Reason
from domain.rule_set import Match, MatchOf

Amounts = tuple[tuple[Cents, ...], ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """Cents that are not exceeded, and the reason that names them."""

    cents: Cents
    reason: Reason


@dataclass(frozen=True, slots=True)
class OpenPurse:
    """One open window of a purse.

    Attributes:
        number: of the purse.
        budget: what the window can pay, and why no more.
        match: how far it follows other money, or ``None``.
    """

    number: PurseNumber
    budget: Bound
    match: Match | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be covered. All amounts in cents; lines in the order typed, purses in order of use.

    Attributes:
        prices: of each line; 0 where no purse pays.
        may_pay: the most each purse may pay of each line: ``may_pay[purse][line]``.
        earns: whether paying the line can earn a bonus.
        ceilings: what holds for a purse, all its windows together, by its number.
        most: what holds for the whole payment.
    """

    prices: tuple[int, ...]
    purses: tuple[OpenPurse, ...]
    may_pay: tuple[tuple[int, ...], ...]
    earns: tuple[bool, ...]
    ceilings: Mapping[PurseNumber, Bound]
    most: Bound


@dataclass(frozen=True, slots=True)
class Cover:
    """The one answer.

    Attributes:
        amounts: cents each purse pays of each line: ``amounts[purse][line]``.
        reasons: what binds the remainder of each line; ``None`` where nothing remains or no open purse may pay it.
    """

    amounts: Amounts
    reasons: tuple[Reason | None, ...]

    def of_line(self, line: int) -> Cents:
        """What is paid of a line."""
        return Cents(sum(row[line] for row in self.amounts))


def cover(request: Request) -> Cover:
    """The greatest cover of the basket, and exactly one way to it."""
    bounds = _bounds(request)
    order = _order_of_cover(request, bounds)
    amounts = _share(request, request.prices, bounds, order)
    covered = _by_line(amounts, len(order))
    reasons = [_reason(request, bounds, amounts, line) for line in range(len(order))]
    if sum(covered) <= request.most.cents:
        return Cover(amounts, tuple(reasons))
    amounts = _cut(request, bounds, order)
    kept = _by_line(amounts, len(order))
    named = (
        request.most.reason if after < before else reason
        for before, after, reason in zip(covered, kept, reasons, strict=True)
    )
    return Cover(amounts, tuple(named))


def _by_line(amounts: Amounts, lines: int) -> list[int]:
    return [sum(int(row[line]) for row in amounts) for line in range(lines)]


def _cut(request: Request, bounds: Mapping[PurseNumber, Bound], order: Sequence[int]) -> Amounts:
    """A ceiling of the whole payment cuts from the last line covered back, and it is decided once more.

    A purse that matches the card's money is first lowered to its share of the ceiling, and its part of each line is
    left in place: the money it follows is cut no further than it needs.
    """
    most, lowered = max(int(request.most.cents), 0), bounds
    following = next((purse for purse in request.purses if purse.match and purse.match.of is MatchOf.CARD), None)
    if following is not None and following.match is not None:
        share = Bound(Cents(_floor(most * following.match.share)), request.most.reason)
        lowered = {**bounds, following.number: min(bounds[following.number], share, key=lambda bound: bound.cents)}
    amounts = _share(request, request.prices, lowered, order)
    kept = [0] * len(order)
    for purse, row in zip(request.purses, amounts, strict=True):
        if following is not None and purse.number == following.number:
            kept = [had + more for had, more in zip(kept, row, strict=True)]
    left = most - sum(kept)
    covered = _by_line(amounts, len(order))
    for line in order:
        more = min(covered[line] - kept[line], left)
        kept[line] += more
        left -= more
    return _share(request, kept, lowered, order)


def _order_of_cover(request: Request, bounds: Mapping[PurseNumber, Bound]) -> list[int]:
    """Matched lines, then lines that earn a bonus, then the others; as typed within."""
    matching = [
        row
        for purse, row in zip(request.purses, request.may_pay, strict=True)
        if purse.match is not None and bounds[purse.number].cents > 0 and purse.budget.cents > 0
    ]
    matched = [any(row[line] > 0 for row in matching) for line in range(len(request.prices))]
    return sorted(range(len(request.prices)), key=lambda line: (not matched[line], not request.earns[line], line))


def _share(
    request: Request, coverable: Sequence[int], bounds: Mapping[PurseNumber, Bound], order: Sequence[int]
) -> Amounts:
    claim = _claim(request, coverable, bounds)
    in_order = replace(
        claim,
        coverable=tuple(claim.coverable[line] for line in order),
        may_pay=tuple(tuple(row[line] for line in order) for row in claim.may_pay),
    )
    rows = [dict(zip(order, row, strict=True)) for row in allocate(in_order)]
    return tuple(tuple(row[line] for line in range(len(coverable))) for row in rows)


def _claim(request: Request, coverable: Sequence[int], bounds: Mapping[PurseNumber, Bound]) -> Claim:
    numbers = [purse.number for purse in request.purses]
    together = [
        Together(
            tuple(place for place, other in enumerate(numbers) if other == number),
            int(bounds[number].cents) if number in bounds else None,
        )
        for number in dict.fromkeys(numbers)
        if number in bounds or numbers.count(number) > 1
    ]
    budgets = tuple(int(purse.budget.cents) for purse in request.purses)
    return Claim(tuple(coverable), budgets, request.may_pay, tuple(together))


def _bounds(request: Request) -> Mapping[PurseNumber, Bound]:
    """The ceilings of purses, that of the match purse included."""
    matching = next((purse for purse in request.purses if purse.match is not None), None)
    if matching is None:
        return request.ceilings
    assert matching.match is not None
    share = _most_matched(request, matching.number, matching.match)
    reason = Reason.NO_CARD_MONEY_TO_MATCH
    if matching.match.of is MatchOf.PRICE:
        reason = Reason.PURSE_CEILING_OF_A_PAYMENT
    bound = Bound(share, reason)
    given = request.ceilings.get(matching.number)
    tightest = bound if given is None or bound.cents <= given.cents else given
    return {**request.ceilings, matching.number: tightest}


def _most_matched(request: Request, number: PurseNumber, match: Match) -> Cents:
    """The most a match purse pays because of its share, floored once; its own money and ceilings left aside.

    Of the price: its share of what it may pay. Of the
    card: the greatest k for which its lines carry k and ⌈k (1 − share) / share⌉ of the other purses' money. What these
    lines carry with k is min(k + others alone, everyone without a bound on k), so that k needs no search.
    """
    place = next(place for place, purse in enumerate(request.purses) if purse.number == number)
    row = request.may_pay[place]
    if match.of is MatchOf.PRICE:
        prices = sum(min(price, most) for price, most in zip(request.prices, row, strict=True))
        return Cents(_floor(match.share * prices))
    on_its_lines = tuple(cents if most > 0 else 0 for cents, most in zip(request.prices, row, strict=True))
    ceilings = {other: bound for other, bound in request.ceilings.items() if other != number}
    is_match = [purse.number == number for purse in request.purses]
    claim = _claim(request, on_its_lines, ceilings)
    others = greatest_cover(_with_budgets(claim, is_match, 0))
    everyone = greatest_cover(_with_budgets(claim, is_match, sum(on_its_lines)))
    share = match.share
    return Cents(min(_floor(int(others) * share / (1 - share)), _floor(int(everyone) * share)))


def _with_budgets(claim: Claim, chosen: Sequence[bool], budget: int) -> Claim:
    """The claim, were the budgets of these purses so many cents."""
    return replace(
        claim, budgets=tuple(budget if is_ours else own for is_ours, own in zip(chosen, claim.budgets, strict=True))
    )


def _floor(amount: Fraction) -> int:
    return amount.numerator // amount.denominator


def _reason(request: Request, bounds: Mapping[PurseNumber, Bound], amounts: Amounts, line: int) -> Reason | None:
    """The first purse in order that could pay the line; the bound that binds it names the remainder."""
    price = request.prices[line]
    if sum(row[line] for row in amounts) >= price:
        return None
    for purse, row, may in zip(request.purses, amounts, request.may_pay, strict=True):
        if may[line] == 0:
            continue
        windows = [other == purse.number for other in (item.number for item in request.purses)]
        of_line = sum(paid[line] for paid, is_ours in zip(amounts, windows, strict=True) if is_ours)
        if of_line >= may[line]:
            return Reason.PRICE_ABOVE_CEILING
        if sum(row) >= purse.budget.cents or purse.number not in bounds:
            return purse.budget.reason
        return bounds[purse.number].reason
    return None
