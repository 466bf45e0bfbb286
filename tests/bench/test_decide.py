"""``panier bench decide`` decides what it says, beside a greedy that is one. No figure is judged here."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from bench import decide as bench_decide
from bench.decide import BASKETS, CASES, Purchase, Result, as_french, claim_of, greedy, measure, purchases
from domain.allocation import Claim, allocate, greatest_cover
from domain.family import is_within
from panier.commands.bench import bench

CODES = 2_000


@pytest.fixture(scope="module")
def result() -> Result:
    return measure(CODES, rounds=1, baskets=3)


def every_purchase() -> list[Purchase]:
    return [purchase for purses, lines in CASES for purchase in purchases(purses, lines)]


def test_three_purses_decide_twelve_lines_and_the_longest_basket(result: Result) -> None:
    assert [(case.purses, case.lines, case.baskets) for case in result.decided] == [(3, 12, 3), (3, 40, 3)]
    for purses, lines in CASES:
        bought = purchases(purses, lines)
        assert len(bought) == BASKETS
        assert {len(purchase.basket.lines) for purchase in bought} == {lines}
        assert {len(claim_of(purchase).budgets) for purchase in bought} == {purses}


def test_every_time_and_every_memory_stands_beside_its_reference(result: Result) -> None:
    for case in result.decided:
        assert min(case.decide_us, case.greedy_decide_us, case.share_us, case.greedy_share_us) > 0
        assert min(case.decide_b, case.greedy_decide_b) > 0
        assert case.ratio == case.decide_us / case.greedy_decide_us
        assert case.share_ratio == case.share_us / case.greedy_share_us
    found = result.looked_up
    assert found.products == CODES
    assert min(found.find_ns, found.miss_ns, found.dict_ns, found.memory_b, found.dict_memory_b) > 0


def test_each_time_is_that_of_one_decision_and_stands_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that moves only when something is decided, and slower in the first round, which does not count."""
    clock = WorkedClock()
    costs_us = {"_decide": 7, "_decide_greedily": 5, "allocate": 3, "greedy": 2}
    for name, cost_us in costs_us.items():
        monkeypatch.setattr(bench_decide, name, clock.costing(cost_us * 1_000, getattr(bench_decide, name)))
    monkeypatch.setattr(bench_decide, "time", clock)
    for case in measure(CODES, rounds=2, baskets=2).decided:
        assert (case.decide_us, case.share_us, case.greedy_share_us) == (7, 3, 2)
        assert case.greedy_decide_us == 5 + 2  # it asks greedy, which costs its own


class WorkedClock:
    """A clock that calls move; each kind of call is a second slower the first time."""

    def __init__(self) -> None:
        self.now_ns = 0

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def costing(self, cost_ns: int, call: Callable[..., object]) -> Callable[..., object]:
        called: list[None] = []

        def costly(argument: object) -> object:
            self.now_ns += cost_ns + (0 if called else 1_000_000_000)
            called.append(None)
            return call(argument)

        return costly


def test_greedy_covers_no_more_than_the_decision_on_any_basket_and_less_on_some() -> None:
    claims = [claim_of(purchase) for purchase in every_purchase()]
    pairs = [(greedy(claim), greatest_cover(claim)) for claim in claims]
    assert len(pairs) == BASKETS * len(CASES)
    assert all(greedily <= paid for greedily, paid in pairs)
    assert any(greedily < paid for greedily, paid in pairs)


def test_greedy_spends_the_first_purse_where_the_second_could_have_paid() -> None:
    claim = Claim((1_000, 1_000), (1_000, 1_000), ((1_000, 1_000), (1_000, 0)))
    assert greedy(claim) == 1_000
    assert sum(map(sum, allocate(claim))) == 2_000


def test_the_decision_pays_what_its_claim_can_pay_and_is_kept_from_nothing_but_money(result: Result) -> None:
    for case in result.decided:
        assert case.is_same
        assert case.paid > case.greedy_paid > 0
        assert (case.greedy_more, case.faults) == (0, ())
    for purchase in every_purchase():
        assert 0 < bench_decide._decide(purchase) < purchase.basket.price


def test_wine_is_in_the_baskets_and_in_no_claim() -> None:
    seen = 0
    for purchase in every_purchase():
        claim = claim_of(purchase)
        for number, line in enumerate(purchase.basket.lines):
            if is_within(line.family, frozenset({"alcohol"}), purchase.rules.families):
                assert claim.coverable[number] == 0
                assert not any(row[number] for row in claim.may_pay)
                seen += 1
    assert seen > 0


def test_the_same_baskets_are_bought_in_every_run() -> None:
    assert purchases(3, 12) == purchases(3, 12)
    assert len(set(map(repr, purchases(3, 12)))) == BASKETS


def test_a_greedy_that_pays_a_line_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(claim: Claim) -> int:
        return sum(min(budget, sum(row)) for budget, row in zip(claim.budgets, claim.may_pay, strict=True)) * 2

    monkeypatch.setattr(bench_decide, "greedy", twice)
    done = CliRunner().invoke(bench, ["decide", "--codes", str(CODES), "--rounds", "1"])
    assert done.exit_code == 1
    assert "3 enveloppes × 12 lignes : le calcul glouton couvre davantage" in done.output


def test_a_decision_that_pays_a_cent_less_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = bench_decide._decide
    monkeypatch.setattr(bench_decide, "_decide", lambda purchase: right(purchase) - 1)
    result = measure(CODES, rounds=1, baskets=1)
    assert [case.is_same for case in result.decided] == [False, False]
    assert len(result.faults) == 2


def test_the_table_has_a_line_for_each_case_and_one_for_the_codes(result: Result) -> None:
    said = as_french(result)
    assert len(said) == 2 + len(CASES) + 3
    header, rows = said[1].split(), [line.split() for line in said[2:4]]
    assert header[:5] == ["enveloppes", "lignes", "décision", "gloutonne", "rapport"]
    assert [row[:2] for row in rows] == [["3", "12"], ["3", "40"]]
    assert said[-1].split()[0] == str(CODES)


def test_json_gives_one_object_for_each_case_and_one_for_the_products() -> None:
    done = CliRunner().invoke(bench, ["decide", "--json", "--codes", str(CODES), "--rounds", "1"])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [(line["case"], line.get("lines")) for line in lines] == [("decide", 12), ("decide", 40), ("products", None)]
    for line in lines[:2]:
        assert line.keys() >= {"decide_us", "greedy_decide_us", "ratio", "share_us", "greedy_share_us", "share_ratio"}
        assert line.keys() >= {"decide_b", "greedy_decide_b", "paid", "greedy_paid", "greedy_less", "faults"}
    assert (lines[2]["products"], lines[2]["is_same"]) == (CODES, True)
