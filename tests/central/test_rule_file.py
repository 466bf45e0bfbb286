"""A rule file is taken whole or refused; the six that are shipped are right, sign well and keep their own examples."""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from central.office import Office, make_centre
from central.rule_file import RuleMistake, open_rule_file, read_rule_file
from central.rule_file.examples import run_example, run_examples
from central.rule_file.reading import rule_file_of
from domain.family import DEFAULT_FAMILIES, lineage, tree
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_check import mistakes, with_widths
from domain.rule_set import (
    USUAL_WHO_PAYS,
    Allotment,
    Campaign,
    Case,
    Condition,
    Match,
    MatchOf,
    Payer,
    PriceCeiling,
    PurseCeilings,
    RuleSet,
    Tier,
    Unspent,
    WhoPays,
    Window,
)
from sync.cbor import encode
from sync.rule_format import rule_set_map
from tests.central.kit import RULE_FILE
from tests.central.test_rule_file_mistakes import GOOD

SHIPPED = sorted(RULE_FILE.parent.glob("*.toml"))
VECTORS = Path(__file__).parents[1] / "vectors" / "rule-sets.json"


def test_the_rules_of_the_gers_are_read() -> None:
    rules = read_rule_file(RULE_FILE)
    assert (rules.programme, rules.version, rules.timezone) == ("gers", 1, "Europe/Paris")
    assert rules.never == {"alcohol", "tobacco", "pet", "deposit", "non-food"}
    (purse,) = rules.purses
    assert (purse.number, purse.name) == (PurseNumber(1), "Alimentation")
    assert (rules.ceilings.floor_limit, rules.ceilings.day_total, rules.ceilings.confirm) == (8_000, 12_000, 5_000)
    assert rules.ceilings.tiers == (Tier(8), Tier(31, Cents(3_000)))
    assert rules.allotments == (Allotment("food", adult=Cents(4_000), child=Cents(2_000)),)
    assert rules.campaigns == (
        Campaign(
            code="sustainable-winter",
            first_day=date(2026, 1, 1),
            last_day=date(2026, 5, 31),
            conditions=(Condition(frozenset({"food"}), frozenset({"sustainable"})),),
            earned_on=frozenset({"food"}),
            give=Cents(500),
            per=Cents(1_000),
            month_cap=Cents(6_000),
            into="food",
        ),
    )


def test_everything_a_file_may_say_is_read() -> None:
    text = GOOD.replace(
        'ceiling = { payment = "30.00", day = "50.00" }',
        'ceiling = { price = "1.50", per = "kg", payment = "30.00", day = "50.00" }\nfunder = "CAF"\nunattended = true',
    ).replace(
        'families  = ["fresh-produce"]',
        'for = [{ families = ["bread"] }, { families = ["fruit"], labels = ["local"] }]',
    )
    rules = rule_file_of(text).rules
    food, plus = rules.purses
    assert (food.funder, food.pays_unattended, food.window, food.unspent) == ("CAF", True, Window.MONTH, Unspent.LAPSE)
    assert food.ceilings == PurseCeilings(Cents(3_000), Cents(5_000))
    assert food.price_ceiling == PriceCeiling(Cents(150), "kg")
    assert plus.match == Match(Fraction(1, 3), MatchOf.CARD)
    assert plus.pays[1].products == "milk-2026"
    assert plus.pays[1].labels == {"organic"}
    assert [item.labels for item in rules.campaigns[0].conditions] == [frozenset(), {"local"}]
    assert rules.families["seeds"].parent == "food"
    (allotment,) = rules.allotments
    assert allotment.paid_by == (("mutual", Fraction(2, 5)), ("city", Fraction(3, 5)))
    assert (allotment.household, allotment.next, allotment.only_if) == (5_000, 2_500, "paid")
    assert rules.who_pays[1] == WhoPays(Case.TORN_WITHOUT_PROOF, Payer.PROGRAMME, Cents(2_000))
    assert [row for row in rules.who_pays if row.case is not Case.TORN_WITHOUT_PROOF] == [
        row for row in USUAL_WHO_PAYS if row.case is not Case.TORN_WITHOUT_PROOF
    ]
    (example,) = rules.examples
    assert (example.says, dict(example.paid)) == ("Du pain", {"food": Cents(300)})
    assert example.merchant == {"referenced"}


@pytest.mark.parametrize(
    ("written", "share"),
    [("60 %", Fraction(3, 5)), ("60%", Fraction(3, 5)), ("33,3 %", Fraction(333, 1000)), ("2/7", Fraction(2, 7))],
)
def test_a_share_is_exactly_what_is_written(written: str, share: Fraction) -> None:
    rules = rule_file_of(GOOD.replace('share = "1/3"', f'share = "{written}"')).rules
    assert rules.purses[1].match == Match(share)


def test_widths_are_compiled_in_so_that_the_narrower_purse_is_used_first() -> None:
    by_code = {purse.code: purse for purse in read_rule_file(RULE_FILE.with_name("gers-2.toml")).purses}
    assert by_code["gip-veg"].width < by_code["caf"].width == by_code["msa"].width


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_shipped_file_is_right_and_its_examples_come_out(path: Path) -> None:
    rules = read_rule_file(path)
    assert mistakes(rules) == ()
    runs = run_examples(rules)
    assert len(runs) >= 2
    assert [run.example.says for run in runs if not run.is_as_said] == []


def test_six_programmes_are_shipped() -> None:
    assert {path.stem for path in SHIPPED} == {"gers", "vitalim", "hard-list", "mona", "gers-2", "instant"}
    assert all(read_rule_file(path).programme == path.stem for path in SHIPPED)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_centre_is_made_with_any_of_them(path: Path, tmp_path: Path) -> None:
    make_centre(tmp_path / "centre", path)
    office = Office(tmp_path / "centre")
    try:
        rules = read_rule_file(path)
        assert encode(rule_set_map(office.rules)) == encode(rule_set_map(rules))
        assert office.rules.purses == rules.purses
    finally:
        office.close()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_signed_of_a_shipped_file_stays_the_same(path: Path) -> None:
    rules = read_rule_file(path)
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert encode(rule_set_map(small(rules))).hex() == vectors["rule_sets"][path.stem]


def small(rules: RuleSet) -> RuleSet:
    """The rules with no other families than those they name and what these are part of."""
    conditions = [item for purse in rules.purses for item in purse.pays]
    conditions += [item for campaign in rules.campaigns for item in campaign.conditions]
    named = rules.never.union(*(item.families for item in conditions))
    kept = {step for code in named for step in lineage(code, rules.families)}
    families = tuple(
        type(family)(family.code, family.parent, family.code, family.code[0].upper())
        for family in DEFAULT_FAMILIES
        if family.code in kept
    )
    return with_widths(
        RuleSet(
            rules.programme,
            rules.version,
            rules.timezone,
            rules.never,
            rules.purses,
            rules.ceilings,
            rules.phone,
            tree(families),
            rules.campaigns,
            rules.who_pays,
        )
    )


def test_an_example_that_is_wrong_by_a_cent_is_seen() -> None:
    text = RULE_FILE.read_text(encoding="utf-8")
    for said, wrong in (('paid     = { food = "12.50" }', 'paid = { food = "12.49" }'), ('"6.25"', '"6.26"')):
        rules = rule_file_of(text.replace(said, wrong, 1)).rules
        assert [run.is_as_said for run in run_examples(rules)][:2] == [False, True]


def test_an_example_says_what_is_left_to_pay() -> None:
    rules = read_rule_file(RULE_FILE)
    wine = run_example(rules.examples[1], rules)
    assert (wine.paid, wine.bonus, wine.rest) == ({"food": 320}, 160, 700)


def test_an_example_on_a_day_of_its_own_is_decided_on_that_day() -> None:
    text = RULE_FILE.read_text(encoding="utf-8")
    june = 'says     = "En juin il n\'y a pas de bonus"\nday      = 2026-06-02'
    assert june in text
    runs = run_examples(rule_file_of(text.replace("2026-06-02", "2026-05-31")).rules)
    assert [int(run.bonus) for run in runs] == [625, 160, 250, 625]


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RuleMistake, match=r"nowhere\.toml ne se lit pas : il n'y a pas de fichier de ce nom\."):
        open_rule_file(tmp_path / "nowhere.toml")
