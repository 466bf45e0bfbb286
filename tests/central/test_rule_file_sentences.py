"""The printed rules leave nothing out that a funder pays for, and the command says right or wrong by its status."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from central.rule_file.reading import RuleFile, rule_file_of
from central.rule_file.sentences import sections
from central.rule_file.words import french_day, typographic
from domain.money import Cents, in_euros
from domain.rule_set import MatchOf, RuleSet
from panier.commands.rules import rules as command
from tests.central.kit import RULE_FILE
from tests.central.test_rule_file_mistakes import GOOD, MISTAKES
from tests.property.rule_sets_strategy import rule_sets

INSTANT = RULE_FILE.with_name("instant.toml")
PAGE = Path(__file__).parents[2] / "docs" / "operating" / "rules.md"
WORDS = {"mona": "produit MonA", "city": "la ville", "contributions": "les cotisations", "milk-2026": "laits de 2026"}


def text_of(rules: RuleSet) -> str:
    found = sections(RuleFile(rules, {**WORDS, "contribution-received": "la cotisation est reçue"}))
    return "\n".join(line for section in found for line in (section.title, *section.sentences))


def sums_of(rules: RuleSet) -> Iterator[Cents | None]:
    """Every sum a funder or a holder may ask about."""
    usual = rules.ceilings
    yield from (usual.floor_limit, usual.day_total, usual.confirm, usual.void_allowance, usual.payment)
    yield from (tier.day_total for tier in usual.tiers)
    for purse in rules.purses:
        yield from (purse.ceilings.payment, purse.ceilings.day)
        yield purse.price_ceiling.price if purse.price_ceiling else None
    for campaign in rules.campaigns:
        yield from (campaign.give, campaign.per, campaign.month_cap)
    for allotment in rules.allotments:
        yield from (amount or None for amount in (allotment.adult, allotment.child, allotment.household))
        yield allotment.granted(2, 1) or None
    yield from (row.up_to for row in rules.who_pays)


@settings(max_examples=40, deadline=None)
@given(rule_sets())
def test_every_sum_day_and_name_of_the_rules_is_printed(rules: RuleSet) -> None:
    text = text_of(rules)
    missing = [in_euros(amount) for amount in sums_of(rules) if amount is not None and in_euros(amount) not in text]
    assert missing == []
    for campaign in rules.campaigns:
        assert french_day(campaign.first_day) in text
        assert french_day(campaign.last_day) in text
    for purse in rules.purses:
        assert typographic(f"« {purse.name} »") in text
        assert purse.funder in text
    for code in rules.never:
        assert rules.families[code].name_fr in text


@settings(max_examples=40, deadline=None)
@given(rule_sets())
def test_what_is_printed_is_french_with_its_no_break_spaces(rules: RuleSet) -> None:
    text = text_of(rules)
    assert re.findall(r" [:;!?»€%]|« |\d [€%]", text) == []
    english = {
        "month",
        "lapse",
        "carry",
        "card",
        "price",
        "referenced",
        "sustainable",
        "programme-pays",
        "piece",
        "None",
    }
    assert english & set(re.findall(r"[\w-]+", text)) == set()


@pytest.mark.parametrize(
    ("written", "wrong", "says"),
    [
        ('unspent = "lapse"', 'unspent = "carry"', "ce qui n'est pas dépensé reste acquis"),
        ('into      = "food"', 'into      = "food"', "Le bonus versé rapporte à son tour"),
        ('window  = "month"', 'window  = "dates"', "entre les dates fixées pour chaque foyer"),
        ('adult = "40.00"', 'household = "40.00"', "20,00 € par enfant et 40,00 € par foyer"),
        ('child = "20.00"', 'child = "20.00"\nmonths = 6', "chaque mois, pendant 6 mois"),
        ('child = "20.00"', 'child = "20.00"', "2 adultes et 1 enfant : 100,00 €"),
        (', merchants = ["referenced"] }]', " }]", "partout où la carte est acceptée"),
        (
            'tiers = [{ days = 8 }, { days = 31, day_total = "30.00" }]',
            "tiers = [{ days = 3 }]",
            "depuis plus de 3 jours",
        ),
        ("[ceilings]", '[ceilings]\npayment = "25.00"', "Elle paie au plus 25,00 € en une fois."),
        ('unspent = "lapse"', 'unspent = "lapse"\nunattended = true', "Elle paie aussi là où personne"),
    ],
)
def test_a_word_of_the_file_changes_what_is_printed(written: str, wrong: str, says: str) -> None:
    text = RULE_FILE.read_text(encoding="utf-8")
    assert written in text
    printed = "\n".join(
        line for part in sections(rule_file_of(text.replace(written, wrong, 1))) for line in part.sentences
    )
    assert typographic(says) in printed


def test_a_bonus_into_a_purse_that_does_not_earn_is_said_to_earn_nothing() -> None:
    text = GOOD.replace('into      = "food"', 'into      = "plus"')
    printed = "\n".join(line for part in sections(rule_file_of(text)) for line in part.sentences)
    assert "Le bonus versé ne rapporte pas à son tour" in printed
    assert "Le bonus versé rapporte" not in printed


def test_a_match_is_told_with_ten_euros() -> None:
    file = rule_file_of(INSTANT.read_text(encoding="utf-8"))
    printed = "\n".join(line for part in sections(file) for line in part.sentences)
    assert typographic("Pour 10,00 € de l'enveloppe « Alimentation », elle ajoute 5,00 €.") in printed
    assert file.rules.purses[0].match is not None
    assert file.rules.purses[0].match.of is MatchOf.CARD
    price = rule_file_of(INSTANT.read_text(encoding="utf-8").replace('of = "card"', 'of = "price"'))
    printed = "\n".join(line for part in sections(price) for line in part.sentences)
    assert typographic("Elle paie au plus 1/3 du prix") in printed


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_right_file_is_printed_with_its_examples_and_a_place_to_sign() -> None:
    done = CliRunner().invoke(command, ["check", str(RULE_FILE)])
    assert done.exit_code == 0
    for says in ("✓ 12,50 € de légumes chez un producteur", "bonus 6,25 €", "✓ gers.toml est bon.", "Nom et signature"):
        assert typographic(says) in done.output
    assert "✗" not in done.output
    assert max(len(line) for line in done.output.splitlines()) <= 100


def test_an_example_that_does_not_come_out_is_marked_and_ends_with_status_1(tmp_path: Path) -> None:
    path = tmp_path / "gers.toml"
    path.write_text(RULE_FILE.read_text(encoding="utf-8").replace('bonus    = "6.25"', 'bonus    = "6.00"'))
    done = CliRunner().invoke(command, ["check", str(path)])
    assert done.exit_code == 1
    assert typographic("✗ 12,50 € de légumes chez un producteur") in done.output
    assert typographic("→ « Alimentation » paie 12,50 €, bonus 6,25 €.") in done.output
    assert typographic("L'exemple dit : « Alimentation » paie 12,50 €, bonus 6,00 €.") in done.output
    assert "Nom et signature" not in done.output


def test_mistakes_end_with_status_1_and_nothing_of_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "faux.toml"
    path.write_text(GOOD.replace('"80.00"', "80.0").replace("2026-03-31", "2026-03-15"))
    done = CliRunner().invoke(command, ["check", str(path)])
    assert done.exit_code == 1
    assert "faux.toml : 2 fautes." in done.output
    assert "✗ ligne 42, bonus « winter » : un bonus finit le dernier jour d'un mois" in done.output
    assert "enveloppe « Alimentation »" not in done.output


def test_the_same_is_told_in_json(tmp_path: Path) -> None:
    right = json.loads(CliRunner().invoke(command, ["check", str(RULE_FILE), "--json"]).output)
    assert (right["is_right"], right["programme"], right["version"]) == (True, "gers", 1)
    assert right["examples"][0]["paid_cents"] == {"food": 1250}
    assert right["examples"][1]["rest_cents"] == 700
    path = tmp_path / "faux.toml"
    path.write_text(GOOD.replace('"80.00"', "80.0"))
    done = CliRunner().invoke(command, ["check", str(path), "--json"])
    assert done.exit_code == 1
    (mistake,) = json.loads(done.output)["mistakes"]
    assert (mistake["line"], mistake["where"]) == (74, "[ceilings]")


def test_the_page_shows_mistakes_as_they_are_told() -> None:
    shown = [line.removeprefix("✗ ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("✗ ")]
    assert shown
    assert set(shown) <= {says for _, _, says in MISTAKES.values()}


def test_the_page_shows_what_the_command_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = page.partition("<!-- panier rules check domain/rule-sets/gers.toml -->")[2].partition("```text\n")[2]
    shown = shown.partition("```")[0]
    printed = CliRunner().invoke(command, ["check", str(RULE_FILE)]).output
    assert shown.strip()
    for part in shown.split("[…]"):
        assert part.strip("\n") in printed
