"""The operator's desk: rules, households, a month's round and the bonus, as typed on the command line."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from central.office import Office, make_centre
from domain.identity import Uid
from panier.commands.central import central
from sync.issuing import card_code

RULE_FILE = Path(__file__).parent / "several-purses.toml"
TODAY = datetime.now(ZoneInfo("Europe/Paris")).date()
THIS_MONTH = f"{TODAY:%Y-%m}"
NEXT_MONTH = f"{(TODAY.replace(day=1) + timedelta(days=32)):%Y-%m}"
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    make_centre(tmp_path / "centre", RULE_FILE)
    return tmp_path


def run(desk: Path, *words: str) -> Result:
    command, *rest = words
    where = ["--dir", str(desk / "centre")]
    if command == "household":
        return CliRunner().invoke(central, [command, rest[0], *where, *rest[1:]])
    return CliRunner().invoke(central, [command, *where, *rest])


def said(desk: Path, *words: str) -> str:
    done = run(desk, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(desk: Path, *words: str) -> str:
    done = run(desk, *words)
    assert done.exit_code == 1, done.output
    return done.stderr


def card(desk: Path, number: int = 1) -> str:
    office = Office(desk / "centre")
    try:
        return card_code(office.register_card(Uid(bytes([4, 1, 2, 3, 4, 8, number]))).card)
    finally:
        office.close()


def test_a_household_is_taken_in_given_a_card_and_granted_its_month(desk: Path) -> None:
    mine = card(desk)
    assert said(desk, "household", "add", "--adults", "2", "--children", "1").startswith(
        "Foyer 1 : 2 adultes et 1 enfant, à partir du"
    )
    said(desk, "household", "card", "1", mine)
    assert said(desk, "household", "list") == f"Foyer 1 : 2 adultes et 1 enfant ; {mine}.\n"
    told = said(desk, "allot", "--month", NEXT_MONTH)
    assert told.splitlines()[0].endswith("110,00\u202f€ à 1 foyer.")
    assert "foyer 1, enveloppe common : « la cotisation du mois est reçue » n'est pas noté pour ce mois." in told
    again = said(desk, "allot", "--month", NEXT_MONTH)
    assert "2 dotations de ce mois étaient déjà versées : rien de plus." in again


def test_the_round_as_json_names_cards_windows_and_cents(desk: Path) -> None:
    mine = card(desk)
    said(desk, "household", "add", "--adults", "1")
    said(desk, "household", "card", "1", mine)
    done = json.loads(said(desk, "allot", "--month", NEXT_MONTH, "--json"))
    (food,) = done["given"]
    assert (food["purse"], food["amount_cents"], food["cards"]) == ("food", 4_000, [{"card": mine, "cents": 4_000}])
    assert food["first_day"] == f"{NEXT_MONTH}-01" and done["granted_cents"] == 4_000
    assert {item["purse"] for item in done["left"]} == {"spring", "common"}


def test_facts_and_dates_are_those_the_rules_ask_for(desk: Path) -> None:
    said(desk, "household", "add", "--adults", "1")
    assert "elles demandent : contribution-received" in refused(desk, "household", "note", "1", "contribution")
    assert said(desk, "household", "note", "1", "contribution-received", "--month", NEXT_MONTH).startswith("Foyer 1")
    wrong = refused(desk, "household", "dates", "1", "food", "--from", "2027-03-01", "--to", "2027-05-31")
    assert "« food » n'est pas une enveloppe qui va par dates ; il y a : spring" in wrong
    good = said(desk, "household", "dates", "1", "spring", "--from", "2027-03-01", "--to", "2027-05-31")
    assert "du 01/03/2027 au 31/05/2027 compris" in good


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("household", "add", "--adults", "0"), "un foyer a de 1 à 30 personnes"),
        (("household", "size", "7", "--adults", "1"), "aucun foyer n° 7"),
        (("household", "card", "1", "0102030405060708"), "aucune carte de ce numéro"),
        (("household", "card", "1", "pas-une-carte"), "n'est pas un numéro de carte"),
        (("allot", "--month", "2020-01"), "ce mois est passé"),
        (("bonus", "--month", "2020-01"), "ce mois est passé"),
        (("grant", "0102030405060708", "4000", "--from", "2027-01-01"), "Plusieurs enveloppes : dites laquelle"),
        (("grant", "0102030405060708", "4000", "--from", "2027-01-01", "--purse", "cheese"), "Aucune enveloppe"),
        (("grant", "0102030405060708", "4000", "--from", "2027-01-01", "--purse", "food"), "dites jusqu'à quand"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence_and_changes_nothing(desk: Path, words: tuple[str, ...], why: str) -> None:
    said(desk, "household", "add", "--adults", "1")
    assert why in refused(desk, *words)
    assert said(desk, "household", "list") == "Foyer 1 : 1 adulte ; aucune carte.\n"


def test_a_card_is_not_handed_over_in_the_past(desk: Path) -> None:
    said(desk, "household", "add", "--adults", "1")
    assert "ce jour est passé" in refused(desk, "household", "card", "1", card(desk), "--from", f"{YESTERDAY:%Y-%m-%d}")


def test_a_card_changes_hands(desk: Path) -> None:
    mine = card(desk)
    for _ in range(2):
        said(desk, "household", "add", "--adults", "1")
    said(desk, "household", "card", "1", mine)
    assert "celle du foyer 1" in refused(desk, "household", "card", "2", mine)
    said(desk, "household", "take-back", "1", mine)
    tomorrow = f"{TODAY + timedelta(days=1):%Y-%m-%d}"
    said(desk, "household", "card", "2", mine, "--from", tomorrow)


@pytest.mark.parametrize(("words", "wrong"), [(("--month", "mars"), "« mars » n'est pas un mois : écrivez 2027-01.")])
def test_a_month_is_written_as_a_year_and_a_month(desk: Path, words: tuple[str, ...], wrong: str) -> None:
    done = run(desk, "allot", *words)
    assert done.exit_code == 2 and wrong in done.output


def test_a_purse_that_carries_is_granted_without_end(desk: Path) -> None:
    mine = card(desk)
    told = said(desk, "grant", mine, "10,00", "--from", f"{TODAY:%Y-%m-%d}", "--purse", "fresh")
    assert told == f"10,00\u202f€ accordés à {mine}, du {TODAY:%d/%m/%Y}.\n"


def test_nothing_to_do_is_said_too(desk: Path) -> None:
    assert said(desk, "household", "list").startswith("Aucun foyer.")
    assert said(desk, "bonus", "--month", THIS_MONTH).endswith("0,00\u202f€ à 0 carte.\n")
    assert json.loads(said(desk, "bonus", "--month", THIS_MONTH, "--json"))["granted_cents"] == 0


def test_a_new_version_of_the_rules_is_taken_and_mistakes_are_told(desk: Path, tmp_path: Path) -> None:
    path = tmp_path / "next.toml"
    path.write_text(RULE_FILE.read_text().replace("version   = 1", "version   = 2"))
    assert said(desk, "rules", str(path)).startswith("Version 2 des règles prise.")
    path.write_text(path.read_text().replace('floor_limit = "80.00"', 'floor_limit = "90.00"'))
    assert "Écrivez version = 3." in refused(desk, "rules", str(path))
    path.write_text(RULE_FILE.read_text().replace('"food"]', '"fodo"]'))
    assert "Vouliez-vous « food »" in refused(desk, "rules", str(path))
