"""``panier bench decide``: the decision beside greedy, and the product lookup beside a bare dict, in one run.

The baskets and cards are made up: three open purses whose conditions overlap, the widest lapsing first, with less money
than the basket costs, so that it matters which purse pays what. Greedy takes purse by purse in order of use and line by
line, each as far as it goes. It is measured twice: on the very claims that ``domain.allocation`` shares out, and as a
decision of its own that asks the rules first but refuses, announces and explains nothing.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

from bench import products
from domain.allocation import Claim, allocate
from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType
from domain.days import days_of
from domain.decision import CardFacts, StallFacts, decide, left_in_slots
from domain.identity import MOST_LINES, CardId, PurseNumber, SlotFile, Station
from domain.may_pay import most_of, why_no_purse, why_not
from domain.money import ZERO, Cents
from domain.purse import Counters, Entitlement, Slot, open_slots
from domain.rule_check import with_widths
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Merchant, Purse, RuleSet

CASES: Final = ((3, 12), (3, MOST_LINES))
"""Open purses and lines of each case."""
USUAL_ROUNDS: Final = 21
BASKETS: Final = 16
"""Of each case; one after the other in each round."""

_NOON: Final = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
_START: Final = datetime(2026, 2, 28, 23, tzinfo=UTC)
_LOADED: Final = Cents(16_000_000)
_PLENTY: Final = Cents(1_000_000)
_STALL: Final = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables")
_HERE: Final = StallFacts(_NOON, _NOON, 0, ZERO)
_PAID_BY: Final = ({"food"}, {"fresh-produce"}, {"dairy", "eggs"})
"""Families of each purse; in this order they lapse."""
_SOLD: Final = ("vegetables", "fruit", "herbs", "cheese", "yogurt", "eggs", "bread", "honey", "poultry", "wine")
_SHARE_PERCENT: Final = (15, 45)
"""What each purse has left, of the price of the basket."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A basket, the rules, and the card that is to pay it."""

    basket: Basket
    rules: RuleSet
    card: CardFacts


@dataclass(frozen=True, slots=True)
class Decided:
    """One case measured.

    Attributes:
        purses, lines: of every basket of the case.
        baskets: so many.
        decide_us, greedy_decide_us: one whole decision, one greedy one; medians of rounds that alternate.
        share_us, greedy_share_us: only sharing out the sums; the same.
        decide_b, greedy_decide_b: the most one decision held at once, in bytes, whatever it was given left out.
        paid, greedy_paid: cents paid of all baskets.
        greedy_less, greedy_more: baskets of which greedy covers less than the decision, and more.
        is_same: whether the decision paid what its claim says can be paid, in every basket.
    """

    purses: int
    lines: int
    baskets: int
    decide_us: float
    greedy_decide_us: float
    share_us: float
    greedy_share_us: float
    decide_b: int
    greedy_decide_b: int
    paid: int
    greedy_paid: int
    greedy_less: int
    greedy_more: int
    is_same: bool

    @property
    def ratio(self) -> float:
        """Time of a decision over the greedy one's."""
        return self.decide_us / self.greedy_decide_us

    @property
    def share_ratio(self) -> float:
        """Time of sharing out over greedy's."""
        return self.share_us / self.greedy_share_us

    @property
    def faults(self) -> tuple[str, ...]:
        """What makes the figures worthless, as French sentences; none when all is as it must be."""
        case = f"{self.purses} enveloppes × {self.lines} lignes"
        said = []
        if self.greedy_more:
            said.append(f"{case} : le calcul glouton couvre davantage sur {self.greedy_more} panier(s).")
        if not self.is_same:
            said.append(f"{case} : la décision ne paie pas ce que le partage seul trouve.")
        return tuple(said)


@dataclass(frozen=True, slots=True)
class Result:
    """One run: every case of the decision, and the product lookup."""

    decided: tuple[Decided, ...]
    looked_up: products.Result
    rounds: int

    @property
    def faults(self) -> tuple[str, ...]:
        """What makes the figures worthless, as French sentences."""
        said = [fault for case in self.decided for fault in case.faults]
        if not self.looked_up.is_same:
            said.append("Codes : le fichier et le dict ne trouvent pas les mêmes produits.")
        return tuple(said)


def measure(codes: int = products.USUAL_PRODUCTS, rounds: int = USUAL_ROUNDS, baskets: int = BASKETS) -> Result:
    """Decide baskets of every case and look products up among so many codes, each beside its reference."""
    cases = [(count, lines, purchases(count, lines, baskets)) for count, lines in CASES]
    works = [work for _, _, bought in cases for work in _works(bought)]
    times = _alternated(works, rounds)
    decided = tuple(
        _decided(count, lines, bought, [ns / 1e3 / baskets for ns in times[4 * place : 4 * place + 4]])
        for place, (count, lines, bought) in enumerate(cases)
    )
    return Result(decided, products.measure(codes), rounds)


def purchases(purses: int, lines: int, count: int = BASKETS) -> tuple[Purchase, ...]:
    """So many made-up purchases, always the same for the same numbers."""
    rng, rules = random.Random(f"{purses} x {lines}"), _rules(purses)
    return tuple(_purchase(rng, rules, lines) for _ in range(count))


def claim_of(purchase: Purchase) -> Claim:
    """What is to be shared out: lines as typed, purses in order of use.

    There are no ceilings in these rules that could bind, no match and no campaign, so that nothing else is decided.
    """
    rules, card = purchase.rules, purchase.card
    assert card.entitlement is not None
    days = days_of(_HERE.t_lo, _HERE.t_late, ZoneInfo(rules.timezone))
    lines = purchase.basket.lines
    refused = [why_no_purse(line, rules, _STALL, days) is not None for line in lines]
    slots = open_slots(card.entitlement, rules, _HERE.t_lo, _HERE.t_late)
    left = left_in_slots(slots, card.counters)
    named = [rules.purse(slot.purse) for slot in slots]
    return Claim(
        coverable=tuple(0 if no else int(line.amount) for line, no in zip(lines, refused, strict=True)),
        budgets=tuple(int(left[slot.file]) for slot in slots),
        may_pay=tuple(
            tuple(
                0 if no or why_not(line, purse, rules, _STALL, days) else int(most_of(line, purse))
                for line, no in zip(lines, refused, strict=True)
            )
            for purse in named
            if purse is not None
        ),
    )


def greedy(claim: Claim) -> int:
    """Cents covered when each purse in turn pays each line as far as it can; no purse thinks of the next."""
    open_cents, paid = list(claim.coverable), 0
    for budget, row in zip(claim.budgets, claim.may_pay, strict=True):
        left = budget
        for line, most in enumerate(row):
            part = min(open_cents[line], most, left)
            open_cents[line] -= part
            left -= part
        paid += budget - left
    return paid


def as_plain(result: Result) -> tuple[dict[str, object], ...]:
    """One JSON object's worth of values for each case, the products last."""
    cases = (
        {
            "case": "decide",
            **asdict(case),
            "ratio": round(case.ratio, 2),
            "share_ratio": round(case.share_ratio, 2),
            "rounds": result.rounds,
            "faults": list(case.faults),
        }
        for case in result.decided
    )
    return (*cases, products.as_plain(result.looked_up))


def as_french(result: Result) -> tuple[str, ...]:
    """The lines of two tables: the decision, and the product lookup."""
    baskets = result.decided[0].baskets
    found = result.looked_up
    return (
        f"Décision et partage seul, à côté du calcul glouton ; médianes de {result.rounds} tours alternés, "
        f"{baskets} paniers par cas, en µs.",
        _columns(name for name, _ in _DECIDED),
        *(_columns(cell(case) for _, cell in _DECIDED) for case in result.decided),
        f"Recherche d'un produit, à côté d'un dict ; médianes de {products.ROUNDS} tours alternés, en µs.",
        _columns(name for name, _ in _LOOKED_UP),
        _columns(cell(found) for _, cell in _LOOKED_UP),
    )


_DECIDED: Final[tuple[tuple[str, Callable[[Decided], str]], ...]] = (
    ("enveloppes", lambda case: str(case.purses)),
    ("lignes", lambda case: str(case.lines)),
    ("décision", lambda case: _number(case.decide_us, 1)),
    ("gloutonne", lambda case: _number(case.greedy_decide_us, 1)),
    ("rapport", lambda case: _number(case.ratio)),
    ("partage", lambda case: _number(case.share_us, 1)),
    ("glouton", lambda case: _number(case.greedy_share_us, 1)),
    ("rapport", lambda case: _number(case.share_ratio)),
    ("mémoire Ko", lambda case: f"{_number(case.decide_b / 1e3, 1)}/{_number(case.greedy_decide_b / 1e3, 1)}"),
    ("payé €", lambda case: _number(case.paid / 100)),
    ("glouton €", lambda case: _number(case.greedy_paid / 100)),
    ("moins bien", lambda case: f"{case.greedy_less}/{case.baskets}"),
)
_LOOKED_UP: Final[tuple[tuple[str, Callable[[products.Result], str]], ...]] = (
    ("codes", lambda found: str(found.products)),
    ("connu", lambda found: _number(found.find_ns / 1e3)),
    ("inconnu", lambda found: _number(found.miss_ns / 1e3)),
    ("dict", lambda found: _number(found.dict_ns / 1e3)),
    ("rapport", lambda found: _number(found.ratio)),
    ("mémoire Mo", lambda found: _number(found.memory_b / 1e6)),
    ("dict Mo", lambda found: _number(found.dict_memory_b / 1e6)),
    ("dict/nous", lambda found: _number(found.memory_ratio)),
    ("ouvrir ms", lambda found: _number(found.open_ms, 1)),
)
_WIDTH: Final = 10


def _columns(cells: Iterable[str]) -> str:
    return " ".join(cell.rjust(_WIDTH) for cell in cells).rstrip()


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace(".", ",")


def _rules(purses: int) -> RuleSet:
    return with_widths(
        RuleSet(
            programme="bench",
            version=1,
            timezone="Europe/Paris",
            never=frozenset({"alcohol", "tobacco", "pet", "deposit", "non-food"}),
            purses=tuple(
                Purse(
                    PurseNumber(number),
                    f"purse-{number}",
                    f"Enveloppe {number}",
                    (Condition(frozenset(families), frozenset({"referenced"})),),
                )
                for number, families in enumerate(_PAID_BY[:purses], start=1)
            ),
            ceilings=Ceilings(_PLENTY, _PLENTY, _PLENTY, USUAL_TIERS, ZERO),
        )
    )


def _purchase(rng: random.Random, rules: RuleSet, lines: int) -> Purchase:
    basket = Basket(tuple(Line(rng.choice(_SOLD), Cents(rng.randrange(50, 1_000))) for _ in range(lines)))
    limits = [Cents(int(basket.price) * rng.randint(*_SHARE_PERCENT) // 100) for _ in rules.purses]
    return Purchase(basket, rules, _card(rules, limits))


def _card(rules: RuleSet, limits: Sequence[Cents]) -> CardFacts:
    """A card with one open slot for each purse, nothing of it spent."""
    slots = tuple(
        Slot(SlotFile(place), purse.number, limit, ZERO, _LOADED, _START, _START + timedelta(days=30 * place))
        for place, (purse, limit) in enumerate(zip(rules.purses, limits, strict=True), start=1)
    )
    card, issued_at = CardId(b"card-one"), _NOON - timedelta(days=2)
    entitlement = Entitlement(1, card, 1, 1, issued_at, _NOON + timedelta(days=20), 1, 0, ZERO, slots)
    newest = LogRecord(LogType.PAYMENT, Station(2), 1, 1, _NOON, 1, 1, (), ZERO, ZERO)
    return CardFacts(card, None, False, entitlement, Counters(5, {slot.file: _LOADED for slot in slots}), newest)


def _decide(purchase: Purchase) -> int:
    return int(decide(purchase.basket, purchase.rules, _STALL, purchase.card, _HERE).paid)


def _decide_greedily(purchase: Purchase) -> int:
    return greedy(claim_of(purchase))


def _works(bought: Sequence[Purchase]) -> tuple[Callable[[], None], ...]:
    """Decision, greedy decision, sharing out, greedy sharing out: each over all these purchases."""
    claims = [claim_of(purchase) for purchase in bought]

    def over_purchases(call: Callable[[Purchase], object]) -> Callable[[], None]:
        def run() -> None:
            for purchase in bought:
                call(purchase)

        return run

    def over_claims(call: Callable[[Claim], object]) -> Callable[[], None]:
        def run() -> None:
            for claim in claims:
                call(claim)

        return run

    return over_purchases(_decide), over_purchases(_decide_greedily), over_claims(allocate), over_claims(greedy)


def _alternated(works: Sequence[Callable[[], None]], rounds: int) -> list[float]:
    """Nanoseconds of each work; they take turns, so that a busy machine slows all; the first turn is dropped."""
    spent: list[list[int]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for times, work in zip(spent, works, strict=True):
            started = time.perf_counter_ns()
            work()
            times.append(time.perf_counter_ns() - started)
    return [median(times[1:]) for times in spent]


def _decided(purses: int, lines: int, bought: Sequence[Purchase], times_us: Sequence[float]) -> Decided:
    claims = [claim_of(purchase) for purchase in bought]
    ours, theirs = [_decide(purchase) for purchase in bought], [greedy(claim) for claim in claims]
    return Decided(
        purses=purses,
        lines=lines,
        baskets=len(bought),
        decide_us=times_us[0],
        greedy_decide_us=times_us[1],
        share_us=times_us[2],
        greedy_share_us=times_us[3],
        decide_b=_most_held(_decide, bought),
        greedy_decide_b=_most_held(_decide_greedily, bought),
        paid=sum(ours),
        greedy_paid=sum(theirs),
        greedy_less=sum(greedily < paid for paid, greedily in zip(ours, theirs, strict=True)),
        greedy_more=sum(greedily > paid for paid, greedily in zip(ours, theirs, strict=True)),
        is_same=ours == [sum(map(sum, allocate(claim))) for claim in claims],
    )


def _most_held(call: Callable[[Purchase], object], bought: Sequence[Purchase]) -> int:
    """The most bytes Python held at once during one call, beyond those held before."""
    most = 0
    tracemalloc.start()
    try:
        for purchase in bought:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            call(purchase)
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return most
