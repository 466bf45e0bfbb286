"""A new version of the rules: taken, or refused with what to do where it would break what was promised."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from central.office import Office
from central.rule_file import RuleMistake
from domain.identity import PurseNumber
from domain.money import Cents
from tests.central.kit import RULE_FILE, WoundClock, new_card, new_office, new_stall

TEXT = RULE_FILE.read_text()
MARCH = (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(datetime(2026, 3, 7, 8, tzinfo=UTC))


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", clock)
    yield opened
    opened.close()


def changed(folder: Path, *pairs: tuple[str, str], version: int = 2) -> Path:
    """The Gers' rules with other words, under another version."""
    text = TEXT
    for before, after in (("version   = 1", f"version   = {version}"), *pairs):
        assert before in text
        text = text.replace(before, after)
    path = folder / f"rules-{version}.toml"
    path.write_text(text)
    return path


def refused(office: Office, path: Path) -> list[str]:
    with pytest.raises(RuleMistake) as wrong:
        office.take_rules(path)
    return [str(mistake) for mistake in wrong.value.mistakes]


OTHER_PURSE = """
[[purse]]
number  = 2
id      = "fresh"
name    = "Frais"
pays    = [{ families = ["fresh-produce"], merchants = ["referenced"] }]
window  = "month"
unspent = "lapse"

[ceilings]"""


def test_a_new_version_reaches_the_terminals_and_keeps_its_text(office: Office, tmp_path: Path) -> None:
    stall = new_stall(office)
    office.take_rules(changed(tmp_path, ('floor_limit = "80.00"', 'floor_limit = "90.00"')))
    told = stall.download(office).rules
    assert told is not None and (told.version, told.ceilings.floor_limit) == (2, 9_000)
    assert office.rules_as_written().rules.allotments == office.rules_as_written().rules.allotments != ()


def test_a_version_that_does_not_grow_is_refused_and_nothing_changes(office: Office, tmp_path: Path) -> None:
    path = changed(tmp_path, ('floor_limit = "80.00"', 'floor_limit = "90.00"'), version=1)
    assert refused(office, path) == ["version : les règles en vigueur ont la version 1. Écrivez version = 2."]
    assert office.rules.ceilings.floor_limit == 8_000


def test_the_text_of_the_version_in_force_may_be_given_again(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "again.toml"
    path.write_text(TEXT.replace("# jamais réattribué", "# jamais donné"))
    assert office.take_rules(path).version == 1
    assert "jamais donné" in office.store.all("SELECT text FROM rule_text")[0]["text"]


def test_another_programmes_rules_are_refused(office: Office, tmp_path: Path) -> None:
    (why,) = refused(office, changed(tmp_path, ('programme = "gers"', 'programme = "landes"')))
    assert why == "programme : ce centre est celui du programme « gers ». Un autre a le sien."


def test_days_stay_those_of_the_programmes_time_zone(office: Office, tmp_path: Path) -> None:
    (why,) = refused(office, changed(tmp_path, ("Europe/Paris", "America/Martinique")))
    assert why == "timezone : les jours de ce programme sont ceux de Europe/Paris, depuis son début."


def test_a_purse_number_is_never_another_purses_not_even_years_later(office: Office, tmp_path: Path) -> None:
    office.take_rules(changed(tmp_path, ("[ceilings]", OTHER_PURSE.lstrip())))
    office.take_rules(changed(tmp_path, version=3))
    again = OTHER_PURSE.lstrip().replace('"fresh"', '"bread"')
    (why,) = refused(office, changed(tmp_path, ("[ceilings]", again), version=4))
    assert why.startswith("[[purse]] bread : le numéro 2 est celui de l'enveloppe « fresh » depuis la version 2")


def test_a_purse_that_cards_hold_money_in_stays_in_the_rules(office: Office, tmp_path: Path, clock: WoundClock) -> None:
    office.take_rules(changed(tmp_path, ("[ceilings]", OTHER_PURSE.lstrip())))
    held = new_card(office, 1, granted=0)
    office.grant(held.card, PurseNumber(2), Cents(500), *MARCH)
    (why,) = refused(office, changed(tmp_path, version=3))
    assert why.startswith("[[purse]] fresh : des cartes ont encore de l'argent dans l'enveloppe n° 2")
    clock.at = datetime(2026, 4, 1, 8, tzinfo=UTC)
    assert office.take_rules(changed(tmp_path, version=3)).version == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('give      = "5.00"', 'give      = "4.00"'),
        ('per       = "10.00"', 'per       = "11.00"'),
        ('month_cap = "60.00"', 'month_cap = "50.00"'),
        ("from      = 2026-01-01", "from      = 2026-02-01"),
    ],
)
def test_a_bonus_that_has_begun_keeps_its_terms(office: Office, tmp_path: Path, before: str, after: str) -> None:
    (why,) = refused(office, changed(tmp_path, (before, after)))
    assert why.startswith("[[bonus]] sustainable-winter : ce bonus a commencé le 1er janvier 2026")


def test_a_bonus_that_has_begun_may_end_sooner_or_later(office: Office, tmp_path: Path) -> None:
    assert office.take_rules(changed(tmp_path, ("2026-05-31", "2026-06-30"), version=2)).version == 2
    assert office.take_rules(changed(tmp_path, ("2026-05-31", "2026-03-31"), version=3)).version == 3


def test_a_bonus_to_come_may_still_change(office: Office, tmp_path: Path, clock: WoundClock) -> None:
    clock.at = datetime(2025, 12, 20, 8, tzinfo=UTC)
    assert office.take_rules(changed(tmp_path, ('give      = "5.00"', 'give      = "4.00"'))).version == 2


def test_all_that_is_wrong_is_told_at_once(office: Office, tmp_path: Path) -> None:
    path = changed(tmp_path, ('id      = "food"', 'id      = "eat"'), ('"food"]       #', '"eat"]       #'))
    path.write_text(
        path.read_text()
        .replace('into      = "food"', 'into      = "eat"')
        .replace('purse = "food"', 'purse = "eat"')
        .replace('{ food = "', '{ eat = "')
        .replace('give      = "5.00"', 'give      = "4.00"')
        .replace('bonus    = "6.25"', 'bonus    = "5.00"')
    )
    purse, bonus = refused(office, path)
    assert purse.startswith("[[purse]] eat : le numéro 1 est celui de l'enveloppe « food »")
    assert bonus.startswith("[[bonus]] sustainable-winter : ce bonus a commencé")
