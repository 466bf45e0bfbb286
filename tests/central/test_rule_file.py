"""A rule file is taken whole or refused with a sentence that says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.rule_file import RuleMistake, read_rule_file
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_set import Tier
from tests.central.kit import RULE_FILE

GOOD = RULE_FILE.read_text(encoding="utf-8")


def test_the_rules_of_the_gers_are_read() -> None:
    rules = read_rule_file(RULE_FILE)
    assert (rules.programme, rules.version, rules.timezone) == ("gers", 1, "Europe/Paris")
    assert rules.never == {"alcohol", "tobacco", "pet", "deposit", "non-food"}
    (purse,) = rules.purses
    assert (purse.number, purse.name) == (PurseNumber(1), "Alimentation")
    assert (rules.ceilings.floor_limit, rules.ceilings.day_total, rules.ceilings.confirm) == (8_000, 12_000, 5_000)
    assert rules.ceilings.tiers == (Tier(8), Tier(31, Cents(3_000)))


@pytest.mark.parametrize(
    ("written", "wrong", "told"),
    [
        ('unit      = "EUR-cent"', 'units = "EUR-cent"', "units"),
        ('window  = "month"', 'windo = "month"', "windo"),
        ('window  = "month"', 'window = "moon"', "window"),
        ('floor_limit = "80.00"', 'floor_limit = "80"', "floor_limit"),
        ('floor_limit = "80.00"', "floor_limit = 80.00", "floor_limit"),
        ('floor_limit = "80.00"', 'floor_limit = "-80.00"', "floor_limit"),
        ('families = ["food"]', 'families = ["foods"]', "foods"),
        ('"pet", ', '"pets", ', "pets"),
        ("version   = 1", 'version = "1"', "version"),
        ("version   = 1", "version = 0", "version"),
        ("[ceilings]", "[ceiling]", "ceiling"),
        ("programme = ", "programme : ", "TOML"),
        ("[[purse]]", "[[purses]]", "purses"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_a_mistake_refuses_the_whole_file_and_says_where(tmp_path: Path, written: str, wrong: str, told: str) -> None:
    assert written in GOOD
    path = tmp_path / "rules.toml"
    path.write_text(GOOD.replace(written, wrong, 1), encoding="utf-8")
    with pytest.raises(RuleMistake, match=told):
        read_rule_file(path)


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ('never     = ["alcohol", "tobacco", "pet", "deposit", "non-food"]', "never = 3"),
        ('never     = ["alcohol", "tobacco", "pet", "deposit", "non-food"]', "never = [1]"),
        ('pays    = [{ families = ["food"], merchants = ["referenced"] }]', "pays = 3"),
        ('pays    = [{ families = ["food"], merchants = ["referenced"] }]', 'pays = ["food"]'),
        ('pays    = [{ families = ["food"], merchants = ["referenced"] }]', 'pays = [{ families = "food" }]'),
        ("[[purse]]", "[purse]"),
        ('programme = "gers"', 'programme = "gers-et-landes"'),
        ('programme = "gers"', 'programme = "gerç"'),
        ('timezone  = "Europe/Paris"', 'timezone = "Europe/Auch"'),
        ("version   = 1", "version = 70000"),
        ("number  = 1 ", "number = 300 "),
        ('unit      = "EUR-cent"', 'unit = "USD-cent"'),
        ('tiers = [{ days = 8 }, { days = 31, day_total = "30.00" }]', "tiers = 8"),
        ('phone     = "05 62 00 00 00"', "phone = 562000000"),
    ],
)
def test_a_word_of_the_wrong_kind_is_a_mistake_too(tmp_path: Path, written: str, wrong: str) -> None:
    assert written in GOOD
    path = tmp_path / "rules.toml"
    path.write_text(GOOD.replace(written, wrong, 1), encoding="utf-8")
    with pytest.raises(RuleMistake):
        read_rule_file(path)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RuleMistake):
        read_rule_file(tmp_path / "nowhere.toml")
