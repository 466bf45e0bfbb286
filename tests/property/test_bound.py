"""The published bound against thieves: a small market of honest rules, and whatever a thief with keys can show it.

The model below knows nothing of the formula. Its terminals follow the rules a till follows offline: caps since the last
contact, the limit and the floor of the signed entitlement, slips within the allowance, and no card below what was seen
of it here before. What is counted is what false cards take, while every holder spends the whole balance elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.bound import Cards, Exposure, Terminals, grouped, loss_bound
from domain.money import Cents
from panier.cli import panier
from panier.commands.bound import exposure_of_centre
from tests.central import kit

CARD_CAPS = st.integers(0, 60)


@dataclass(frozen=True)
class Shown:
    """What lies on a reader says: its counter, and the voids it claims."""

    card: int
    spent: int
    slips: int


@dataclass
class HonestTerminal:
    """One terminal since its last contact."""

    offline_cap: int
    card_cap: int
    allowance: int
    balances: list[int]  # limit of each card's entitlement; floor 0
    has_memory: bool = True
    taken: dict[int, int] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)

    def pay(self, shown: Shown, asked: int) -> int:
        """Cents taken from what was shown: all of what is asked, as far as every rule lets."""
        if shown.spent < 0 or (self.has_memory and shown.spent < self.seen.get(shown.card, 0)):
            return 0
        slips = shown.slips if shown.slips <= self.allowance else 0
        here = self.taken.get(shown.card, 0)
        left = [
            self.balances[shown.card] + slips - shown.spent,
            self.card_cap - here,
            self.offline_cap - sum(self.taken.values()),
        ]
        paid = max(min([asked, *left]), 0)
        self.taken[shown.card] = here + paid
        self.seen[shown.card] = max(self.seen.get(shown.card, 0), shown.spent + paid)
        return paid


@dataclass(frozen=True)
class Market:
    """Caps of each terminal, balance of each card, the allowance of voids, how many terminals were stolen."""

    caps: tuple[tuple[int, int], ...]
    balances: tuple[int, ...]
    allowance: int
    stolen: int

    @property
    def exposure(self) -> Exposure:
        kinds = tuple(Terminals("stall", 1, Cents(cap), Cents(card_cap)) for cap, card_cap in self.caps)
        return Exposure(self.stolen, kinds, grouped([Cents(b) for b in self.balances]), Cents(self.allowance))

    def terminals(self, *, has_memory: bool = True) -> list[HonestTerminal]:
        return [
            HonestTerminal(cap, card_cap, self.allowance, list(self.balances), has_memory)
            for cap, card_cap in self.caps
        ]


def steal_all_one_can(market: Market, *, has_memory: bool = True, rounds: int = 2) -> int:
    """A thief who shows every known card, fresh from its floor with the most it may claim, to every terminal."""
    stolen = 0
    for terminal in market.terminals(has_memory=has_memory) if market.stolen else []:
        for _again in range(rounds):
            for card, _balance in enumerate(market.balances):
                stolen += terminal.pay(Shown(card, 0, market.allowance), 10**9)
    return stolen


MARKETS = st.builds(
    Market,
    caps=st.lists(st.tuples(st.integers(0, 200), CARD_CAPS), max_size=4).map(tuple),
    balances=st.lists(st.integers(0, 80), max_size=5).map(tuple),
    allowance=st.integers(0, 15),
    stolen=st.integers(0, 3),
)
TRIES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(-3, 90), st.integers(0, 20), st.integers(0, 90)),
    max_size=40,
)


@given(MARKETS, TRIES)
@settings(max_examples=400, deadline=None)
def test_whatever_a_thief_shows_to_whom_in_whatever_order_the_loss_stays_within_the_bound(
    market: Market, tries: list[tuple[int, int, int, int, int]]
) -> None:
    terminals, stolen = market.terminals(), 0
    for at, card, spent, slips, asked in tries if market.stolen else []:
        if at < len(terminals) and card < len(market.balances):
            stolen += terminals[at].pay(Shown(card, spent, slips), asked)
    assert stolen <= loss_bound(market.exposure).loss


@given(MARKETS)
@settings(max_examples=400, deadline=None)
def test_the_bound_is_tight_a_thief_reaches_it_to_the_cent(market: Market) -> None:
    assert steal_all_one_can(market) == loss_bound(market.exposure).loss


@given(MARKETS)
def test_without_a_stolen_terminal_nothing_is_lost(market: Market) -> None:
    market = replace(market, stolen=0)
    assert steal_all_one_can(market) == 0
    assert loss_bound(market.exposure).loss == 0


@given(MARKETS, st.data())
@settings(max_examples=200, deadline=None)
def test_the_bound_never_falls_when_anything_grows(market: Market, data: st.DataObject) -> None:
    before, exposure = loss_bound(market.exposure).loss, market.exposure
    more = st.integers(1, 50)
    larger = {
        "a stolen terminal": replace(exposure, stolen=exposure.stolen + 1),
        "the allowance": replace(exposure, void_allowance=exposure.void_allowance + data.draw(more)),
        "a card": replace(exposure, cards=(*exposure.cards, Cards(data.draw(more), Cents(data.draw(more))))),
        "a terminal": replace(exposure, terminals=(*exposure.terminals, Terminals("new", 1, Cents(9), Cents(9)))),
        "balances": replace(
            exposure, cards=tuple(replace(cards, balance=cards.balance + 7) for cards in exposure.cards)
        ),
        "offline caps": replace(
            exposure, terminals=tuple(replace(kind, offline_cap=kind.offline_cap + 7) for kind in exposure.terminals)
        ),
        "card caps": replace(
            exposure, terminals=tuple(replace(kind, card_cap=kind.card_cap + 7) for kind in exposure.terminals)
        ),
    }
    assert {what for what, exposed in larger.items() if loss_bound(exposed).loss < before} == set()


@given(MARKETS)
def test_it_is_never_above_the_form_with_the_voids_beside_the_caps(market: Market) -> None:
    loose = sum(
        min(cap, sum(min(balance, card_cap) for balance in market.balances)) + market.allowance * len(market.balances)
        for cap, card_cap in market.caps
    )
    assert loss_bound(market.exposure).loss <= loose


def test_a_terminal_that_forgets_what_it_saw_of_a_card_loses_more_than_the_bound() -> None:
    market = Market(caps=((100, 50),), balances=(20,), allowance=0, stolen=1)
    assert loss_bound(market.exposure).loss == steal_all_one_can(market) == 20
    assert steal_all_one_can(market, has_memory=False, rounds=5) == 50


def test_a_worked_example_by_hand() -> None:
    exposure = Exposure(
        stolen=1,
        terminals=(
            Terminals("marché", 3, offline_cap=Cents(100_000), card_cap=Cents(4_000)),
            Terminals("épicerie", 1, offline_cap=Cents(2_000_000), card_cap=Cents(8_000)),
        ),
        cards=(Cards(100, Cents(3_500)), Cards(20, Cents(9_000))),
        void_allowance=Cents(1_000),
    )
    bound = loss_bound(exposure)
    market, grocery = bound.shares
    assert market.by_cards == 100 * 4_000 + 20 * 4_000
    assert (market.each, market.loss, market.is_capped) == (100_000, 300_000, True)
    assert grocery.by_cards == 100 * 4_500 + 20 * 8_000
    assert (grocery.each, grocery.is_capped) == (610_000, False)
    assert bound.loss == 910_000


def test_without_terminals_or_cards_there_is_nothing_to_lose() -> None:
    assert loss_bound(Exposure(1, (), (Cards(5, Cents(100)),))).loss == 0
    assert loss_bound(Exposure(1, (Terminals("stall", 2, Cents(100), Cents(100)),), ())).loss == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Exposure(-1, (), ()),
        lambda: Exposure(0, (), (Cards(1, Cents(-1)),)),
        lambda: Exposure(0, (Terminals("stall", 1, Cents(-5), Cents(0)),), ()),
        lambda: Exposure(0, (), (), void_allowance=Cents(-1)),
    ],
)
def test_counts_and_amounts_below_zero_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="below zero"):
        wrong()  # type: ignore[operator]


def test_cards_are_grouped_by_balance() -> None:
    assert grouped([Cents(5), Cents(9), Cents(5)]) == (Cards(1, Cents(9)), Cards(2, Cents(5)))


# --- the command ---

CONFIG = """
stolen = 2
void_allowance_cents = 500
[[terminals]]
name = "Marché"
count = 3
offline_cap_cents = 10000
card_cap_cents = 4000
[[cards]]
count = 2
balance_cents = 3000
"""


def run(config: Path, text: str, *words: str) -> Result:
    config.write_text(text)
    return CliRunner().invoke(panier, ["bound", str(config), *words])


def test_the_command_prints_the_formula_its_numbers_and_what_it_means(tmp_path: Path) -> None:
    done = run(tmp_path / "bound.toml", CONFIG)
    said = done.output.replace("\u202f", " ")
    assert done.exit_code == 0, done.output
    assert "Marché (3) : plafond hors ligne 100,00 €, par carte 40,00 €" in said
    assert "toutes les cartes à une caisse : 70,00 €" in said
    assert "× 3 = 210,00 €" in said and "Perte maximale : 210,00 €" in said
    assert "31 jours" in said


def test_the_command_gives_a_machine_the_same(tmp_path: Path) -> None:
    plain = json.loads(run(tmp_path / "bound.toml", CONFIG, "--json").output)
    assert (plain["loss_cents"], plain["stolen"], plain["void_allowance_cents"]) == (21_000, 2, 500)
    assert plain["terminals"][0]["each_cents"] == 7_000
    assert json.loads(run(tmp_path / "bound.toml", CONFIG, "--json", "--stolen", "0").output)["loss_cents"] == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CONFIG.replace("count = 3", "count = -3"), "au-dessous"),
        (CONFIG.replace("count = 3", "count = 3.5"), "nombre entier"),
        (CONFIG.replace("balance_cents = 3000", ""), "balance_cents"),
        ("stolen = 1", "cards"),
        ("cards = 3\nterminals = 4", "bound.toml"),
        ("[[", "bound.toml"),
    ],
)
def test_a_configuration_that_is_wrong_is_named(tmp_path: Path, text: str, why: str) -> None:
    done = run(tmp_path / "bound.toml", text)
    assert done.exit_code == 1 and why in done.output


def test_the_command_needs_a_configuration_or_a_centre(tmp_path: Path) -> None:
    assert CliRunner().invoke(panier, ["bound"]).exit_code == 2
    done = CliRunner().invoke(panier, ["bound", "--centre", str(tmp_path)])
    assert done.exit_code == 1 and "pas de centre" in done.output


def test_a_centre_is_asked_for_its_caps_and_the_greatest_balance_a_valid_entitlement_says(tmp_path: Path) -> None:
    clock = kit.WoundClock()
    office = kit.new_office(tmp_path / "centre", clock)
    held = [kit.new_card(office, number, cents) for number, cents in ((1, 5_000), (2, 700), (3, 0))]
    allowance = office.store.one("SELECT data FROM entitlement WHERE card = ?", held[0].card)
    allowed = int.from_bytes(bytes(allowance["data"])[28:31], "big") if allowance else 0
    stalls = [kit.new_stall(office, name) for name in ("Moulin", "Jardins", "Fournil")]
    now = kit.MORNING + timedelta(hours=1)
    office.revoke(stalls[2].enrolled.certificate.station)
    caps = stalls[0].enrolled.certificate
    office.close()

    exposure = exposure_of_centre(tmp_path / "centre", now, stolen=1)
    assert exposure.terminals == (Terminals("caisses du centre", 2, caps.offline_cap, caps.card_cap),)
    assert exposure.cards == (Cards(1, Cents(5_000)), Cards(1, Cents(700)))
    assert (exposure.stolen, exposure.void_allowance, exposure.lease_days) == (1, allowed, 31)
    assert loss_bound(exposure).loss == 2 * sum(min(cents + allowed, caps.card_cap) for cents in (5_000, 700))

    later = exposure_of_centre(tmp_path / "centre", now + timedelta(days=36), stolen=1)
    assert later.cards == (), "the window is over"
    done = CliRunner().invoke(panier, ["bound", "--centre", str(tmp_path / "centre"), "--json"])
    assert json.loads(done.output)["terminals"][0]["count"] == 2
