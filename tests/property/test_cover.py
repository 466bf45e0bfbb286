"""Order of use, order of cover, match and ceilings, beside brute force over every way to pay a few cents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import ceil, floor
from random import Random

import pytest

from domain.cover import Bound, OpenPurse, Request, cover
from domain.identity import PurseNumber
from domain.money import Cents
from domain.reason import Reason
from domain.rule_set import Match, MatchOf

Amounts = tuple[tuple[int, ...], ...]
SHARES = (Fraction(1, 3), Fraction(1, 2), Fraction(3, 5), Fraction(1, 7))
MATCHING = PurseNumber(9)


def request(seed: int) -> Request:
    """A few cents, a few lines, up to three windows of up to two purses and perhaps one that matches."""
    dice = Random(seed)
    lines = dice.randrange(1, 4)
    prices = tuple(dice.randrange(0, 5) for _ in range(lines))
    numbers = [PurseNumber(dice.randrange(1, 3)) for _ in range(dice.randrange(1, 3))]
    match = None
    if dice.random() < 0.6:
        numbers = [MATCHING] * dice.choice((1, 1, 2)) + numbers[:1]
        match = Match(dice.choice(SHARES), dice.choice(list(MatchOf)))
    rows = {number: tuple(dice.choice((0, price, min(price, 2))) for price in prices) for number in numbers}
    ceilings = {
        number: Bound(Cents(dice.randrange(0, 6)), Reason.PURSE_CEILING_OF_A_PAYMENT)
        for number in sorted(set(numbers))
        if dice.random() < 0.3
    }
    return Request(
        prices=prices,
        purses=tuple(
            OpenPurse(
                number, Bound(Cents(dice.randrange(0, 6)), Reason.PURSE_EMPTY), match if number == MATCHING else None
            )
            for number in numbers
        ),
        may_pay=tuple(rows[number] for number in numbers),
        earns=tuple(dice.random() < 0.4 for _ in prices),
        ceilings=ceilings,
        most=Bound(Cents(dice.choice((99, 99, dice.randrange(0, 8)))), Reason.DAY_TOTAL),
    )


def best_way(asked: Request) -> Amounts:
    """The answer by its definition: decided, cut from the last line back, decided once more."""
    ways = list(every_way(asked, asked.prices))
    lines, most = order(asked, ways), int(asked.most.cents)
    first = best_of(asked, ways, lines)
    if sum(map(sum, first)) <= most:
        return first
    place = matching(asked)
    match = None if place is None else asked.purses[place].match
    follows = match is not None and match.of is MatchOf.CARD
    fewer = [rows for rows in ways if match is None or not follows or matched(asked, rows) <= floor(most * match.share)]
    lowered = best_of(asked, fewer, lines)
    kept = [0] * len(lines)
    for row, purse in zip(lowered, asked.purses, strict=True):
        if follows and purse.number == MATCHING:
            kept = [had + more for had, more in zip(kept, row, strict=True)]
    left = most - sum(kept)
    for line in lines:
        more = min(sum(row[line] for row in lowered) - kept[line], left)
        kept[line] += more
        left -= more
    return best_of(asked, list(every_way(asked, kept)), lines)


def greatest(asked: Request) -> int:
    return max(sum(map(sum, rows)) for rows in every_way(asked, asked.prices))


def best_of(asked: Request, ways: Sequence[Amounts], lines: Sequence[int]) -> Amounts:
    def rank(rows: Amounts) -> tuple[object, ...]:
        columns = list(zip(*rows, strict=True))
        purses = [sum(row) for row in rows]
        return (
            sum(purses),
            purses,
            [sum(columns[line]) for line in lines],
            [[row[line] for line in lines] for row in rows],
        )

    return max(ways, key=rank)


def order(asked: Request, ways: Sequence[Amounts]) -> list[int]:
    """Matched lines where the match purse can pay anything, lines that earn, the others; as typed within."""
    place = matching(asked)
    is_matched = place is not None and any(matched(asked, rows) > 0 for rows in ways)
    row = asked.may_pay[place or 0]
    return sorted(
        range(len(asked.prices)),
        key=lambda line: (not (is_matched and row[line] > 0), not asked.earns[line], line),
    )


def price_share(asked: Request, place: int, match: Match) -> int:
    return floor(match.share * sum(map(min, asked.prices, asked.may_pay[place])))


def matched(asked: Request, rows: Amounts) -> int:
    return sum(sum(row) for row, purse in zip(rows, asked.purses, strict=True) if purse.number == MATCHING)


def matching(asked: Request) -> int | None:
    return next((place for place, purse in enumerate(asked.purses) if purse.match is not None), None)


def every_way(asked: Request, coverable: Sequence[int]) -> Iterator[Amounts]:
    """All amounts that break no bound."""
    width = len(coverable)
    cells = [range(min(most, coverable[line]) + 1) for row in asked.may_pay for line, most in enumerate(row)]
    for flat in product(*cells):
        rows = tuple(flat[at : at + width] for at in range(0, len(flat), width))
        if is_within_bounds(asked, coverable, rows) and is_matched(asked, rows):
            yield rows


def is_within_bounds(asked: Request, coverable: Sequence[int], rows: Amounts) -> bool:
    if any(sum(row) > purse.budget.cents for row, purse in zip(rows, asked.purses, strict=True)):
        return False
    if any(sum(column) > most for column, most in zip(zip(*rows, strict=True), coverable, strict=True)):
        return False
    for number in {purse.number for purse in asked.purses}:
        places = [place for place, purse in enumerate(asked.purses) if purse.number == number]
        ceiling = asked.ceilings.get(number)
        if ceiling is not None and sum(sum(rows[place]) for place in places) > ceiling.cents:
            return False
        for line, most in enumerate(asked.may_pay[places[0]]):
            if sum(rows[place][line] for place in places) > most:
                return False
    return True


def is_matched(asked: Request, rows: Amounts) -> bool:
    """The match purse follows: its share of the price, or other money on the lines it may pay."""
    place = matching(asked)
    if place is None:
        return True
    match = asked.purses[place].match
    assert match is not None
    if match.of is MatchOf.PRICE:
        return matched(asked, rows) <= price_share(asked, place, match)
    others = sum(
        paid
        for other, row in enumerate(rows)
        if asked.purses[other].number != MATCHING
        for paid, may in zip(row, asked.may_pay[place], strict=True)
        if may > 0
    )
    return others >= ceil(matched(asked, rows) * (1 - match.share) / match.share)


@pytest.mark.parametrize("part", range(4))
def test_the_cover_is_the_one_brute_force_finds(part: int) -> None:
    hold(range(part, 1_600, 4))


@pytest.mark.slow
def test_the_cover_is_the_one_brute_force_finds_in_many_situations() -> None:
    hold(range(1_600, 25_000))


def hold(seeds: range) -> None:
    for seed in seeds:
        asked = request(seed)
        answer = cover(asked).amounts
        assert answer == best_way(asked), f"seed {seed}: {asked}"
        assert sum(map(sum, answer)) == min(greatest(asked), asked.most.cents), f"seed {seed}: {asked}"


def test_every_remainder_that_an_open_purse_could_pay_has_a_reason_that_binds() -> None:
    named: set[Reason] = set()
    for seed in range(1_600):
        asked = request(seed)
        answer = cover(asked)
        for line, price in enumerate(asked.prices):
            reason = answer.reasons[line]
            rests = price > answer.of_line(line) and any(row[line] > 0 for row in asked.may_pay)
            assert (reason is not None) == rests, f"seed {seed}, line {line}"
            if reason is not None:
                named.add(reason)
                assert binds(reason, asked, line), f"seed {seed}, line {line}: {reason!r}"
    assert named == {
        Reason.PURSE_EMPTY,
        Reason.PRICE_ABOVE_CEILING,
        Reason.PURSE_CEILING_OF_A_PAYMENT,
        Reason.NO_CARD_MONEY_TO_MATCH,
        Reason.DAY_TOTAL,
    }


def binds(reason: Reason, asked: Request, line: int) -> bool:
    """Whether the bound the reason names is reached by the first purse in order that could pay the line.

    What a ceiling of the payment did not cut is named by what bound it without that ceiling.
    """
    if reason is Reason.DAY_TOTAL:
        return sum(map(sum, cover(asked).amounts)) == asked.most.cents
    rows = cover(replace(asked, most=Bound(Cents(99), Reason.DAY_TOTAL))).amounts
    first = next(place for place, row in enumerate(asked.may_pay) if row[line] > 0)
    purse = asked.purses[first]
    of_purse: Mapping[int, Sequence[int]] = {
        place: rows[place] for place, other in enumerate(asked.purses) if other.number == purse.number
    }
    paid, ceiling = sum(map(sum, of_purse.values())), asked.ceilings.get(purse.number)
    match reason:
        case Reason.PURSE_EMPTY:
            return sum(rows[first]) == purse.budget.cents
        case Reason.PRICE_ABOVE_CEILING:
            return sum(row[line] for row in of_purse.values()) == asked.may_pay[first][line]
        case Reason.NO_CARD_MONEY_TO_MATCH:
            return purse.match is not None and purse.match.of is MatchOf.CARD
        case Reason.PURSE_CEILING_OF_A_PAYMENT:
            is_price = purse.match is not None and purse.match.of is MatchOf.PRICE
            return is_price or (ceiling is not None and paid == ceiling.cents)
    return False


def one_purse(match: Match | None, *budgets: int) -> Request:
    """Lines of 9 €, 6 €; a purse that matches both, one that pays both."""
    row = (900, 600)
    purses = [OpenPurse(MATCHING, Bound(Cents(budgets[0]), Reason.PURSE_EMPTY), match)]
    purses += [OpenPurse(PurseNumber(1), Bound(Cents(budget), Reason.PURSE_EMPTY)) for budget in budgets[1:]]
    return Request(row, tuple(purses), (row,) * len(purses), (False, False), {}, Bound(Cents(9_999), Reason.DAY_TOTAL))


def test_ten_euros_of_the_card_bring_five() -> None:
    answer = cover(one_purse(Match(Fraction(1, 3)), 2_500, 1_000))
    assert [sum(row) for row in answer.amounts] == [500, 1_000]


def test_a_match_of_the_price_needs_no_card_money() -> None:
    answer = cover(one_purse(Match(Fraction(1, 3), MatchOf.PRICE), 2_500))
    assert [sum(row) for row in answer.amounts] == [500]
    assert answer.reasons == (Reason.PURSE_CEILING_OF_A_PAYMENT, Reason.PURSE_CEILING_OF_A_PAYMENT)


def test_a_match_of_the_card_alone_pays_nothing() -> None:
    answer = cover(one_purse(Match(Fraction(1, 3)), 2_500, 0))
    assert answer.amounts == ((0, 0), (0, 0))
    assert answer.reasons[0] is Reason.NO_CARD_MONEY_TO_MATCH


def test_a_match_is_floored_never_rounded_up() -> None:
    """One cent more of the match purse would need one cent more of the card than there is."""
    answer = cover(one_purse(Match(Fraction(1, 3)), 2_500, 999))
    assert [sum(row) for row in answer.amounts] == [499, 999]
