"""What an operator says of a merchant, beside the rules in force: mistakes, doubts, and what comes to an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from central.merchant_check import (
    check_certificate,
    check_days,
    check_family,
    check_not_past,
    check_texts,
    days_say,
    doubts,
    label_doubts,
    standings,
)
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_set import USUAL_TIERS, Campaign, Ceilings, Certificate, Condition, Merchant, Purse, RuleSet

FOOD = Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"}), frozenset({"referenced"})),))
VEGETABLES = Purse(
    PurseNumber(2),
    "veg",
    "Légumes",
    (Condition(frozenset({"fresh-produce"}), frozenset({"producer"}), frozenset({"organic"})),),
    pays_unattended=True,
)
WINTER = Campaign(
    "winter",
    date(2026, 1, 1),
    date(2026, 3, 31),
    (Condition(frozenset({"food"}), frozenset({"sustainable"})),),
    frozenset({"food"}),
    Cents(500),
    Cents(1_000),
    Cents(6_000),
    "food",
)
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol"}),
    purses=(FOOD, VEGETABLES),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(0)),
    campaigns=(WINTER,),
)
STALL = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables", "producer")
TODAY = date(2026, 3, 7)
THE_WORDS = "producer (producteurs), referenced (commerces référencés), sustainable (commerces durables)."


def until(days: int | None, label: str = "organic", number: str = "FR-BIO-01") -> Certificate:
    return Certificate(label, number, None if days is None else TODAY + timedelta(days=days))


# --- words ------------------------------------------------------------------------------------------------------------


def test_words_that_purses_or_campaigns_name_raise_no_doubt() -> None:
    entry = replace(STALL, groups=frozenset({"referenced", "sustainable"}), certificates=(until(100),))
    assert doubts(entry, RULES) == ()


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (replace(STALL, groups=frozenset({"referenced", "referencd"})), "le groupe « referencd »"),
        (replace(STALL, profile="farm-shop"), "le profil « farm-shop »"),
    ],
)
def test_a_word_no_rule_names_is_doubted_beside_those_they_name(entry: Merchant, what: str) -> None:
    (doubt,) = doubts(entry, RULES)
    assert doubt.startswith(f"Aucune règle en vigueur ne nomme {what}")
    assert doubt.endswith(f"Les règles nomment : {THE_WORDS}")
    assert ("Vouliez-vous « referenced » ?" in doubt) == ("referencd" in what)


def test_a_label_no_rule_asks_for_is_doubted_beside_those_they_ask_for() -> None:
    (doubt,) = doubts(replace(STALL, certificates=(until(9, "local"), until(9))), RULES)
    assert "ne nomme le label « local »" in doubt
    assert doubt.endswith("Les règles nomment : organic (Agriculture biologique).")
    assert label_doubts(["organic"], RULES) == ()
    assert label_doubts(["local"], replace(RULES, purses=(FOOD,)))[0].endswith("Les règles n'en nomment aucun.")


def test_a_place_where_nothing_is_paid_is_doubted() -> None:
    assert any(
        "aucune enveloppe ne paie rien ici" in doubt
        for doubt in doubts(replace(STALL, groups=frozenset(), profile=""), RULES)
    )
    alone = replace(STALL, profile="", is_attended=False)
    assert any("sans personne à la caisse, aucune enveloppe" in doubt for doubt in doubts(alone, RULES))
    assert doubts(replace(STALL, is_attended=False), RULES) == (), "the vegetable purse pays where nobody stands"


# --- the default family -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (
            replace(STALL, default_family="vegetable"),
            "Il n'y a pas de famille « vegetable ». Les plus proches : vegetables",
        ),
        (replace(STALL, default_family="légumes"), "Les plus proches : vegetables (Légumes)"),
        (replace(STALL, default_family="alcohol"), "(Alcool) à ce point de vente"),
        (replace(STALL, default_family="alcohol"), "Les plus proches : food (Alimentation)."),
        (
            replace(STALL, default_family="bread", groups=frozenset()),
            "Les plus proches : fresh-produce (Fruits et légumes).",
        ),
        (
            replace(STALL, default_family="bread", is_attended=False),
            "à ce point de vente, où personne ne tient la caisse",
        ),
    ],
)
def test_a_default_family_no_purse_can_pay_there_is_refused_with_the_nearest(entry: Merchant, says: str) -> None:
    with pytest.raises(ValueError) as refusal:
        check_family(entry, RULES)
    assert says in str(refusal.value)


def test_a_default_family_that_a_purse_pays_with_a_label_may_be_said() -> None:
    check_family(replace(STALL, groups=frozenset()), RULES)


def test_the_family_of_a_place_whose_words_come_with_the_next_rules_need_only_be_payable_somewhere() -> None:
    new = replace(STALL, groups=frozenset({"epicerie-solidaire"}), profile="")
    check_family(replace(new, default_family="bread"), RULES)
    with pytest.raises(ValueError, match="alcohol"):
        check_family(replace(new, default_family="alcohol"), RULES)


# --- texts and days ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        replace(STALL, name=" "),
        replace(STALL, name="Ferme\ndu Moulin"),
        replace(STALL, name="F" * 201),
        replace(STALL, groups=frozenset({"two words"})),
        replace(STALL, groups=frozenset({""})),
        replace(STALL, groups=frozenset({"g" * 65})),
        replace(STALL, groups=frozenset(f"group-{number}" for number in range(51))),
        replace(STALL, profile="farm shop"),
    ],
)
def test_a_text_no_till_could_read_or_show_is_refused(entry: Merchant) -> None:
    check_texts(STALL)
    with pytest.raises(ValueError):
        check_texts(entry)


@pytest.mark.parametrize(
    "wrong", [("", "1"), ("l" * 25, "1"), ("organic", ""), ("organic", "1" * 65), ("two words", "1")]
)
def test_a_label_no_line_can_claim_and_a_certificate_without_a_number_are_refused(wrong: tuple[str, str]) -> None:
    check_certificate(Certificate("organic", "FR-BIO-01"))
    with pytest.raises(ValueError):
        check_certificate(Certificate(*wrong))


def test_days_end_after_they_begin_and_are_not_over() -> None:
    check_days(TODAY, TODAY)
    check_days(None, TODAY)
    check_not_past(TODAY, TODAY, "")
    with pytest.raises(ValueError, match="Le dernier jour, 6 mars 2026, est avant le premier, 7 mars 2026"):
        check_days(TODAY, TODAY - timedelta(days=1))
    with pytest.raises(ValueError, match="Le 6 mars 2026 est passé"):
        check_not_past(TODAY - timedelta(days=1), TODAY, "Faites ceci.")


# --- what comes to an end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (-1, "fini le 6 mars 2026, il ne compte plus. Renouvelez-le"),
        (0, "prend fin ce soir. Demandez le suivant"),
        (1, "prend fin demain soir."),
        (60, "prend fin dans 60 jours, le 6 mai 2026."),
        (61, ""),
        (None, ""),
    ],
)
def test_a_certificate_that_ends_within_sixty_days_or_has_ended_is_told(days: int | None, says: str) -> None:
    (standing,) = standings([until(days)], TODAY)
    assert says in standing.says
    assert bool(standing.says) == bool(says)
    assert standing.days_left == days


def test_a_certificate_another_of_its_label_outlives_asks_for_nothing() -> None:
    old, new, other = standings([until(-3), until(200, number="FR-BIO-02"), until(-3, "local")], TODAY)
    assert (old.says, new.says) == ("", "")
    assert "Producteur local" in other.says
    assert [bool(item.says) for item in standings([until(-3), until(20, number="2")], TODAY)] == [False, True]


def test_the_days_of_an_entry_are_told_when_they_matter() -> None:
    assert days_say(STALL, TODAY) == ""
    assert "finie le 6 mars 2026" in days_say(replace(STALL, last_day=TODAY - timedelta(days=1)), TODAY)
    assert days_say(replace(STALL, last_day=TODAY), TODAY) == "Dernier jour ce soir."
    assert "à partir du 8 mars 2026" in days_say(replace(STALL, first_day=TODAY + timedelta(days=1)), TODAY)
    assert days_say(replace(STALL, first_day=TODAY, last_day=TODAY + timedelta(days=61)), TODAY) == ""
