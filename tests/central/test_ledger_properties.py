"""However batches come (twice, cut, late, in any order between stalls), the ledger ends the same and always adds up."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.office import Office
from sync.batch import decode_batch
from sync.errors import FormatError
from tests.central.kit import DECEMBER_FILE, Held, Stall, WoundClock, figures, new_card, new_office, new_stall
from tests.sync.pocket import Payment

STALLS, CARDS, GRANTED = 3, 2, 4_000


@dataclass
class Market:
    """A centre with stalls and cards before the first sale; each trial works on a copy."""

    folder: Path
    stalls: list[Stall]
    cards: list[Held]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("market") / "centre"
    office = new_office(folder)
    cards = [new_card(office, number) for number in range(CARDS)]
    stalls = [new_stall(office, f"Étal {number}") for number in range(STALLS)]
    office.close()
    return Market(folder, stalls, cards)


@dataclass
class Trial:
    """One life of the market's stalls and cards."""

    stalls: list[Stall]
    cards: list[Held]
    truth: list[dict[int, int]] = field(default_factory=list)

    def play(self, sales: list[tuple[str, int, int, int]]) -> None:
        for what, stall_number, card_number, amount in sales:
            self._tap(what, self.stalls[stall_number], self.cards[card_number], amount)

    def look_at_every_card_everywhere(self) -> None:
        for held in self.cards:
            for stall in self.stalls:
                stall.recover(held)
                stall.refuse(held)

    def _tap(self, what: str, stall: Stall, held: Held, amount: int) -> None:
        if not stall.recover(held) or held.spent + amount > GRANTED or what == "refuse":
            stall.refuse(held)
        elif what == "pay":
            stall.pay(held, amount)
        else:
            stall.tear(held, amount, committed=what == "torn after")


def begin(market: Market) -> Trial:
    stalls = [Stall(stall.device_key, stall.enrolled, entitlements=dict(stall.entitlements)) for stall in market.stalls]
    return Trial(stalls, [Held(held.order, held.chip) for held in market.cards])


def in_copy(market: Market, work: Callable[[Office], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(market.folder, Path(folder) / "centre")
        office = Office(Path(folder) / "centre", WoundClock())
        try:
            return work(office)
        finally:
            office.close()


def station_of(payment: Payment) -> int:
    return int.from_bytes(payment.own_log[1:4], "big")


def send(office: Office, stall: Stall, first: int, last: int, cut: float) -> None:
    """Records ``first`` to ``last``, cut at a share of the batch's length."""
    batch = stall.batch(first, last)
    batch = batch[: round(len(batch) * cut)]
    try:
        decode_batch(batch)
    except FormatError:
        return  # cut inside the head: nothing can arrive
    stall.ask(office, batch)


SALES = st.lists(
    st.tuples(
        st.sampled_from(["pay", "pay", "pay", "torn before", "torn after", "refuse"]),
        st.integers(0, STALLS - 1),
        st.integers(0, CARDS - 1),
        st.integers(1, 900),
    ),
    min_size=1,
    max_size=14,
)
DELIVERIES = st.lists(
    st.tuples(st.integers(0, STALLS - 1), st.integers(1, 12), st.integers(0, 12), st.floats(0, 1)), max_size=14
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales=SALES, deliveries=DELIVERIES, order=st.permutations(range(STALLS)))
def test_any_interleaving_of_doubled_cut_and_reordered_batches_gives_the_same_ledger(
    market: Market,
    sales: list[tuple[str, int, int, int]],
    deliveries: list[tuple[int, int, int, float]],
    order: list[int],
) -> None:
    trial = begin(market)
    trial.play(sales)

    def in_good_order(office: Office) -> dict[str, Any]:
        for stall in trial.stalls:
            stall.send(office)
        return figures(office)

    def as_it_comes(office: Office) -> dict[str, Any]:
        for number, first, more, cut in deliveries:
            stall = trial.stalls[number]
            send(office, stall, min(first, stall.next_seq), first + more, cut)
            assert_adds_up(office, trial)
        for number in order:
            trial.stalls[number].send(office)
            assert_adds_up(office, trial)
        return figures(office)

    assert in_copy(market, as_it_comes) == in_copy(market, in_good_order)


def assert_adds_up(office: Office, trial: Trial) -> None:
    """Conservation, and the truth lies between what is proven and that with doubts and travelling money."""
    true_spent = {held.card: held.spent for held in trial.cards}
    for found in office.accounts():
        assert found.is_conserved
        assert found.granted == GRANTED
        assert min(found.spent, found.doubted, found.travelling, found.open, found.lapsed) >= 0
        assert found.spent <= true_spent[found.card]
        assert found.spent + found.travelling <= true_spent[found.card]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales=SALES)
def test_once_all_have_reported_and_every_card_was_seen_the_ledger_is_the_cards_to_the_cent(
    market: Market, sales: list[tuple[str, int, int, int]]
) -> None:
    trial = begin(market)
    trial.play(sales)
    trial.look_at_every_card_everywhere()

    def work(office: Office) -> None:
        for stall in trial.stalls:
            assert stall.send(office).head_seq == len(stall.records)
        for held in trial.cards:
            found = next(item for item in office.accounts() if item.card == held.card)
            assert (found.spent, found.doubted, found.travelling) == (held.spent, 0, 0)
            assert (found.newest_tmc, found.missing_tmcs) == (held.chip.tmc, ())
            assert found.open == GRANTED - held.spent
        assert figures(office)["quarantined"] == ()

    in_copy(market, work)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales=SALES, silent=st.integers(0, STALLS - 1))
def test_while_one_stall_is_silent_the_missing_sum_is_stated_to_the_cent(
    market: Market, sales: list[tuple[str, int, int, int]], silent: int
) -> None:
    paid_or_refused = [(("pay" if what.startswith("torn") else what), *rest) for what, *rest in sales]
    trial = begin(market)
    trial.play(paid_or_refused)  # type: ignore[arg-type]
    for held in trial.cards:
        for number, stall in enumerate(trial.stalls):
            if number != silent:
                stall.refuse(held, (DECEMBER_FILE,))

    def work(office: Office) -> None:
        for number, stall in enumerate(trial.stalls):
            if number != silent:
                stall.send(office)
        for held in trial.cards:
            found = next(item for item in office.accounts() if item.card == held.card)
            station = trial.stalls[silent].station
            silent_ones = {payment.tmc for payment in held.made if station == station_of(payment)}
            gaps = {number for first, last in found.missing_tmcs for number in range(first, last + 1)}
            assert gaps <= silent_ones
            missing = [payment for payment in held.made if payment.tmc in gaps]
            assert found.travelling == sum(sum(payment.debits.values()) for payment in missing)
            assert found.travelling == sum(gap.cents for gap in found.gaps)
            for gap in found.gaps:
                of_gap = [payment for payment in missing if gap.first <= payment.tmc <= gap.last]
                assert gap.cents == sum(sum(payment.debits.values()) for payment in of_gap)
                assert (gap.station, gap.seq) == (station, int.from_bytes(of_gap[-1].own_log[4:7], "big"))
            alone = [tmc for tmc in silent_ones if not {tmc - 1, tmc + 1} & silent_ones]
            assert not gaps & set(alone), "a card tells of a single payment by itself"
            assert found.spent + found.travelling == held.spent

    in_copy(market, work)
