"""``panier central stall`` as an operator uses it: entries, points of sale, certificates, mistakes and what is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from central import merchants
from central.merchants import PointOfSale
from central.office import Office, now_utc
from domain.rule_set import Certificate, Merchant
from panier.commands.central_stall import stall
from sync.crypto import new_private_key, sign
from sync.enrolment import Enrolled, Request, encode_request, read_code, read_response
from tests.central.kit import RULE_FILE
from tests.central.test_keys_command import run

ROOT = Path(__file__).parents[2]
FARM = ("--name", "Ferme du Moulin")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    run(tmp_path, "central", "init", "--dir", str(tmp_path / "centre"), "--throw-away", "--rules", str(RULE_FILE))
    return tmp_path


@pytest.fixture
def office(desk: Path) -> Iterator[Office]:
    opened = Office(desk / "centre")
    yield opened
    opened.close()


@pytest.fixture
def today(office: Office) -> date:
    return office.today()


def say(desk: Path, *words: str, status: int = 0) -> str:
    """What ``panier central stall`` says to these words, on both outputs."""
    said = run(desk, "central", "stall", *words, "--dir", str(desk / "centre"), status=status)
    return said.replace("\u00a0", " ")


def one(desk: Path, *words: str) -> dict[str, Any]:
    """The one JSON object a command prints."""
    found: dict[str, Any] = json.loads(say(desk, *words, "--json"))
    return found


def entry(office: Office, merchant: int = 1, place: int = 1) -> Merchant:
    return merchants.entry(office.store, PointOfSale(merchant, place))


def enrolled(office: Office, said: str) -> Enrolled:
    """What a terminal becomes with the code on the last line of what was said."""
    key, one_time = new_private_key(), read_code(said.strip().splitlines()[-1])
    request = encode_request(Request(one_time.secret, key.public_key(), "panier"), lambda message: sign(key, message))
    return read_response(office.enrol(request), one_time, key.public_key())


# --- points of sale ---------------------------------------------------------------------------------------------------


def test_all_there_is_to_say_of_a_merchant_reaches_its_terminal(desk: Path, office: Office, today: date) -> None:
    first, last = str(today), str(today + timedelta(days=400))
    words = ("--profile", "producer", "--group", "referenced", "--group", "sustainable", "--default-family", "dairy")
    said = say(desk, "add", *FARM, *words, "--attended", "--from", first, "--to", last)
    assert "point de vente 1.1" in said
    terminal = enrolled(office, said)
    assert terminal.download.merchant == entry(office) == Merchant(
        1, 1, "Ferme du Moulin", frozenset({"referenced", "sustainable"}), "dairy", "producer",
        first_day=today, last_day=today + timedelta(days=400),
    )  # fmt: skip
    assert (terminal.certificate.merchant, terminal.certificate.point_of_sale) == (1, 1)


def test_a_name_alone_is_enough_and_add_need_not_be_said(desk: Path, office: Office) -> None:
    terminal = enrolled(office, run(desk, "central", "stall", "--dir", str(desk / "centre"), *FARM))
    assert terminal.download.merchant == Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables")


def test_a_further_point_of_sale_begins_as_the_first_and_has_its_own_code(
    desk: Path, office: Office, today: date
) -> None:
    say(desk, *FARM, "--group", "referenced", "--group", "sustainable", "--to", str(today))
    say(desk, "certificate", "add", "1", "--label", "organic", "--number", "FR-BIO-01", "--no-end")
    said = say(desk, "add", "--merchant", "1", "--name", "Ferme du Moulin, magasin", "--default-family", "cheese")
    terminal = enrolled(office, said)
    shop = entry(office, 1, 2)
    assert terminal.download.merchant == shop
    assert (terminal.certificate.merchant, terminal.certificate.point_of_sale) == (1, 2)
    assert (shop.groups, shop.default_family, shop.last_day) == ({"referenced", "sustainable"}, "cheese", None)
    assert shop.certificates == entry(office).certificates == (Certificate("organic", "FR-BIO-01"),)
    assert say(desk, "add", "--merchant", "7", *FARM, status=1).startswith("Il n'y a pas de commerçant 7.")


def test_only_what_is_said_changes_and_each_change_is_a_new_version(desk: Path, office: Office, today: date) -> None:
    say(desk, *FARM, "--profile", "producer")
    before = entry(office)
    assert "fiche n° 2" in say(desk, "change", "1", "--group", "sustainable", "--group", "referenced")
    assert one(desk, "change", "1.1", "--to", str(today))["version"] == 3
    assert entry(office) == Merchant(
        1, 3, before.name, frozenset({"referenced", "sustainable"}), "vegetables", "producer", last_day=today
    )
    say(desk, "change", "1", "--no-to", "--no-group", "--unattended", "--profile", "")
    assert entry(office) == Merchant(1, 4, before.name, frozenset(), "vegetables", is_attended=False)
    assert "rien à changer" in say(desk, "change", "1", "--unattended", status=1)
    assert entry(office).version == 4


def test_a_new_code_is_for_that_point_of_sale(desk: Path, office: Office) -> None:
    say(desk, *FARM)
    say(desk, "add", "--merchant", "1", "--name", "Magasin")
    assert "1.1 (Ferme du Moulin), 1.2 (Magasin). Dites lequel." in say(desk, "code", "1", status=1)
    assert enrolled(office, say(desk, "code", "1.2")).certificate.point_of_sale == 2
    assert enrolled(office, one(desk, "code", "1.1")["code"]).certificate.point_of_sale == 1
    assert one(desk, "show", "1.2")["stations"] == [1]
    office.revoke(1)
    assert [one(desk, "show", place)["stations"] for place in ("1.1", "1.2")] == [[2], []], "a stolen one is left out"


@pytest.mark.parametrize("number", ["0", "x", "1.", "1.0", "1,1", "9" * 12])
def test_a_number_that_is_none_is_refused_with_how_one_is_written(desk: Path, number: str) -> None:
    said = say(desk, "show", number, status=1)
    assert said.strip() == f"« {number} » n'est pas un numéro de commerçant (3) ni de point de vente (3.2)."


# --- mistakes and doubts ----------------------------------------------------------------------------------------------


def test_a_word_no_rule_names_is_kept_with_a_warning_that_lists_those_they_name(desk: Path, office: Office) -> None:
    said = say(desk, *FARM, "--group", "referenced", "--group", "referencd", "--profile", "producer")
    assert "Attention" in said
    assert "le groupe « referencd »" in said
    assert "Vouliez-vous « referenced »" in said
    assert "Les règles nomment : referenced (commerces référencés), sustainable (commerces durables)." in said
    assert entry(office).groups == {"referenced", "referencd"}
    (warning,) = one(desk, "change", "1", "--group", "referenced")["warnings"]
    assert "le profil « producer »" in warning


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--default-family", "vegetable"), "Il n'y a pas de famille « vegetable ». Les plus proches : vegetables"),
        (("--default-family", "wine"), "Aucune enveloppe ne peut payer la famille « wine » (Vin)"),
        (("--to", "2020-01-01"), "Le 1er janvier 2020 est passé. Pour fermer un point de vente : --to"),
        (("--from", "2020-01-01"), "ne donnez pas --from"),
        (("--from", "2999-01-02", "--to", "2999-01-01"), "1er janvier 2999, est avant le premier, 2 janvier 2999"),
        (("--group", "two words"), "« two words » n'est pas un groupe"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_kept(
    desk: Path, office: Office, words: tuple[str, ...], says: str
) -> None:
    assert says in say(desk, "add", *FARM, *words, status=1)
    assert merchants.entries(office.store) == ()
    say(desk, *FARM)
    assert says in say(desk, "change", "1", *words, status=1)
    assert entry(office).version == 1


def test_an_entry_whose_days_are_over_can_still_be_renamed_and_opened_again(
    desk: Path, office: Office, today: date
) -> None:
    say(desk, *FARM)
    with office.store.writing():
        over = {"first_day": today - timedelta(days=9), "last_day": today - timedelta(days=2)}
        merchants.keep(office.store, Merchant(1, 1, "Ferme", frozenset({"referenced"}), "vegetables", **over))
    assert "Fiche finie le" in say(desk, "list")
    say(desk, "change", "1", "--name", "Ferme du Moulin")
    say(desk, "change", "1", "--to", str(today + timedelta(days=200)))
    assert "!" not in say(desk, "list")


def test_a_place_whose_family_the_next_rules_no_longer_pay_can_still_be_renamed_and_closed(
    desk: Path, office: Office, today: date
) -> None:
    """Only a change of what the family hangs on asks for one that can be paid."""
    say(desk, *FARM)
    with office.store.writing():
        office.put_rule_set(replace(office.rules, version=2, never=office.rules.never | {"vegetables"}), now_utc())
    say(desk, "change", "1", "--name", "Ferme du Moulin, fermée", "--to", str(today))
    assert "vegetables" in say(desk, "change", "1", "--group", "sustainable", "--group", "referenced", status=1)
    say(desk, "change", "1", "--group", "sustainable", "--group", "referenced", "--default-family", "bread")


# --- certificates -----------------------------------------------------------------------------------------------------

ORGANIC = ("--label", "organic", "--number", "FR-BIO-01")


def test_a_certificate_is_added_renewed_and_withdrawn_at_every_point_of_sale(
    desk: Path, office: Office, today: date
) -> None:
    say(desk, *FARM)
    say(desk, "add", "--merchant", "1", "--name", "Magasin")
    soon, later = today + timedelta(days=12), today + timedelta(days=377)

    def held() -> list[tuple[Certificate, ...]]:
        return [item.certificates for item in merchants.entries(office.store)]

    said = say(desk, "certificate", "add", "1", *ORGANIC, "--to", str(soon))
    assert "Ferme du Moulin (1.1) : fiche n° 2" in said and "Magasin (1.2) : fiche n° 2" in said
    assert "ne nomme le label « organic »" in said, "the rules of the Gers ask for none"
    assert held() == [(Certificate("organic", "FR-BIO-01", soon),)] * 2
    assert "y est déjà" in say(desk, "certificate", "add", "1", *ORGANIC, "--no-end", status=1)
    assert "court déjà jusqu'au" in say(desk, "certificate", "renew", "1", *ORGANIC, "--to", str(today), status=1)
    say(desk, "certificate", "renew", "1", *ORGANIC, "--to", str(later), "--new-number", "FR-BIO-02")
    assert held() == [(Certificate("organic", "FR-BIO-02", later),)] * 2
    assert "Il a : organic FR-BIO-02." in say(desk, "certificate", "withdraw", "1", *ORGANIC, status=1)
    say(desk, "certificate", "add", "1", "--label", "organic", "--number", "FR-BIO-03", "--no-end")
    say(desk, "certificate", "withdraw", "1", "--label", "organic", "--number", "FR-BIO-02")
    assert held() == [(Certificate("organic", "FR-BIO-03"),)] * 2
    assert [item.version for item in merchants.entries(office.store)] == [5, 5]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("1", *ORGANIC), "Dites le dernier jour du certificat"),
        (
            ("1", *ORGANIC, "--to", "2999-01-01", "--no-end"),
            "Dites le dernier jour du certificat",
        ),
        (
            ("1", *ORGANIC, "--to", "2020-02-28"),
            "Le 28 février 2020 est passé. Un certificat déjà fini",
        ),
        (("1.1", *ORGANIC, "--no-end"), "« 1.1 » est un point de vente ; ici on parle du commerçant : écrivez 1."),
        (("1", "--label", "two words", "--number", "1", "--no-end"), "n'est pas un label"),
        (("1", "--label", "organic", "--number", " ", "--no-end"), "Un certificat a un numéro"),
        (("2", *ORGANIC, "--no-end"), "Il n'y a pas de commerçant 2."),
    ],
)
def test_a_certificate_that_cannot_be_meant_changes_nothing(
    desk: Path, office: Office, words: tuple[str, ...], says: str
) -> None:
    say(desk, *FARM)
    assert says in say(desk, "certificate", "add", *words, status=1)
    assert entry(office).version == 1


def test_the_list_shows_certificates_that_end_soon_or_have_ended_and_no_others(
    desk: Path, office: Office, today: date
) -> None:
    for name in ("Ferme du Moulin", "Le Fournil"):
        say(desk, "--name", name)
    last = {"organic": 12, "local": -1, "hve": 61}
    certificates = [Certificate(label, "N-1", today + timedelta(days=days)) for label, days in last.items()]
    with office.store.writing():
        merchants.keep_certificates(office.store, 1, certificates)
    lines = say(desk, "list").splitlines()
    assert [line[:6].strip() for line in lines] == ["1.1", "", "", "2.1"]
    assert "Agriculture biologique, certificat N-1 : prend fin dans 12 jours" in lines[2]
    assert "Producteur local, certificat N-1 : fini le" in lines[1]
    assert all("!" in line for line in lines[1:3])
    told = [json.loads(line) for line in say(desk, "list", "--json").splitlines()]
    assert [item["days_left"] for item in told[0]["certificates"]] == [61, -1, 12]
    assert [len(item["attention"]) for item in told] == [2, 0]


def test_show_says_everything_in_words(desk: Path, today: date) -> None:
    say(desk, *FARM, "--group", "referenced", "--to", str(today + timedelta(days=5)))
    say(desk, "certificate", "add", "1", *ORGANIC, "--no-end")
    said = say(desk, "show", "1")
    for words in (
        "groupes : referenced (commerces référencés)",
        "famille par défaut : vegetables (Légumes)",
        "organic (Agriculture biologique) FR-BIO-01, sans fin",
        "caisses enrôlées : aucune",
        "! Dernier jour dans 5 jours",
    ):
        assert words in said
    assert "Aucun commerçant" not in say(desk, "list")


def test_every_command_about_merchants_is_in_the_operators_paper() -> None:
    paper = (ROOT / "docs" / "operating" / "merchants.md").read_text(encoding="utf-8")
    for name, command in stall.commands.items():
        names = [f"{name} {under}" for under in command.commands] if isinstance(command, click.Group) else [name]
        for each in names:
            assert f"panier central stall {each} " in paper
