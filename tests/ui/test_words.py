"""Sentences, names, times, catalogues: what is read."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Cents
from domain.reason import Reason
from terminal import text
from terminal.events import Status
from terminal.ui import catalogues, moments
from terminal.ui.pictures import status as picture_status
from terminal.ui.plain import plain
from terminal.ui.sentences import sentence
from terminal.ui.status_line import status_line, status_page

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 3, 12, 9, 42, tzinfo=UTC)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_that_says_what_to_do(reason: Reason) -> None:
    words = sentence(reason)
    assert words.endswith(".") and " : " in words
    assert not re.search(r"refus|rejet|fraud|interdit", words, re.IGNORECASE)
    assert len(words) < 120


def test_lost_and_expired_cards_read_the_same() -> None:
    assert sentence(Reason.ON_HOT_LIST) == sentence(Reason.CARD_EXPIRED)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Ferme des Deux\u202eriV\u202c", "Ferme des DeuxriV"),
        ("\x1b[31mRouge\x1b[0m", "Rouge"),
        ("\x1b]0;title\x07Stand", "Stand"),
        ("\x9b2JStand", "Stand"),
        ("[b]Gras[/b] [red on blue]x[/]", "Gras x"),
        ("[[b]b]caché", "[b]caché".replace("[b]", "")),
        ("a\u200bb\u2066c\ufeff", "abc"),
        ("deux\nlignes\tici", "deux lignes ici"),
        ("e" + "\u0301" * 9, "é\u0301\u0301"),
        ("Œufs & Cie", "Œufs & Cie"),
        ("lot [3]", "lot [3]"),
        ("\x00\x07", ""),
    ],
)
def test_a_name_from_a_file_is_stripped_of_what_is_not_writing(name: str, drawn: str) -> None:
    assert plain(name) == drawn


def test_a_long_name_ends_with_three_dots() -> None:
    assert plain("abcdef " * 20, 10) == "abcdef ab…"


@given(st.text(max_size=200))
def test_no_name_keeps_a_control_bidi_or_markup_sign(name: str) -> None:
    drawn = plain(name)
    assert len(drawn) <= 40
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in drawn)
    assert not re.search(r"\[/?[a-z@#$][^\[\]]*\]", drawn)


def test_ages_and_days_are_said_as_people_say_them() -> None:
    assert moments.age(NOW - timedelta(minutes=130), NOW) == "2 h 10"
    assert moments.age(NOW - timedelta(minutes=5), NOW) == "5 min"
    assert moments.age(NOW - timedelta(days=3), NOW) == "3 j"
    assert moments.age(NOW + timedelta(days=3), NOW) == "0 min"
    assert moments.hour(NOW, PARIS) == "10 h 42"
    assert moments.day(datetime(2026, 4, 1, tzinfo=UTC), PARIS) == "1er avril"
    assert moments.last_day(datetime(2026, 3, 31, 22, tzinfo=UTC), PARIS) == "31 mars"
    assert moments.when(NOW, NOW, PARIS) == "à 10 h 42"
    assert moments.when(NOW - timedelta(days=5), NOW, PARIS) == "le 7 mars"


def test_the_status_bar_says_network_lists_and_money_in_one_line() -> None:
    full = status_line(picture_status(), NOW, PARIS, 120)
    assert full.replace("\u202f", " ") == (
        "○ hors ligne depuis 2 h 10 · listes de ce matin, valables encore 7 j · 14 paiements à envoyer (187,40 €)"
    )


@pytest.mark.parametrize("width", [20, 38, 40, 60, 76, 80, 116, 120])
def test_the_status_bar_always_fits_and_begins_with_the_network(width: int) -> None:
    line = status_line(picture_status(), NOW, PARIS, width)
    assert len(line) <= width
    assert line.startswith("○ hors ligne")


def test_old_lists_and_a_first_day_have_their_words() -> None:
    old = Status(True, None, NOW - timedelta(days=40), -2, 1, Cents(5))
    assert "listes à mettre à jour" in status_line(old, NOW, PARIS, 80)
    assert "1 paiement à envoyer" in status_line(old, NOW, PARIS, 80)
    never = Status(False, None, NOW, 7, 0, Cents(0))
    assert status_line(never, NOW, PARIS, 80).startswith("○ hors ligne · listes")
    assert status_page(never, NOW, PARIS)[-1] == "rien à envoyer"


# --- catalogues ------------------------------------------------------------------------------------------------------


def identities(catalogue: object) -> set[object]:
    return {message.id for message in catalogue if message.id}  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_every_sentence_stands_in_the_catalogue(language: str) -> None:
    missing = identities(catalogues.sentences()) - identities(catalogues.read(language))
    assert not missing, "run scripts/catalogues"


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_the_compiled_catalogue_is_the_written_one(language: str) -> None:
    stored = catalogues.place(language).with_suffix(".mo").read_bytes()
    assert stored == catalogues.compiled(catalogues.read(language)), "run scripts/catalogues"


def test_english_is_whole_and_keeps_every_place_for_a_value() -> None:
    for message in catalogues.read("en"):
        if not message.id:
            continue
        sources = message.id if isinstance(message.id, tuple | list) else (message.id,)
        words = message.string if isinstance(message.string, tuple | list) else (message.string,)
        for source, translation in zip(sources, words, strict=True):
            assert translation, f"not translated: {source}"
            assert sorted(re.findall(r"{[^}]*}|%\w", source)) == sorted(re.findall(r"{[^}]*}|%\w", translation))


def test_the_language_comes_from_the_environment_and_french_is_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    assert text._("Reposez la carte") == "Lay the card down again"
    monkeypatch.setenv("LANGUAGE", "de")
    assert text._("Reposez la carte") == "Reposez la carte"
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert text.ngettext("{count} ligne", "{count} lignes", 0) == "{count} ligne"
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    assert text.ngettext("{count} ligne", "{count} lignes", 0) == "{count} lines"
