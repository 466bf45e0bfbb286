"""What each word of the till looks like, at each size, in each theme."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import get_args

import pytest

from domain.basket import Line
from domain.decision import LineDecision
from domain.money import Cents, in_euros
from domain.reason import Reason
from sync.record import Outcome, RecordType
from terminal import events as say
from terminal.ports import Durable
from terminal.ui import faces
from terminal.ui.app import ZONE
from terminal.ui.blocks import width_of
from terminal.ui.digits import CUTS, Cut, in_digits, largest_fitting
from terminal.ui.face import Face, Sum, Tone, Words, speaks_of
from terminal.ui.faces import face
from terminal.ui.icons import Icon, picture
from terminal.ui.keys import name_of
from terminal.ui.layout import MARGIN, set_face
from terminal.ui.letters import has_letters_for, wrapped_letters
from terminal.ui.palette import PALETTES, Pair, contrast
from terminal.ui.pictures import NOW, PHONE
from terminal.ui.sentences import sentence

MARCH_END = datetime(2026, 3, 31, 22, tzinfo=UTC)
EARLIER = datetime(2026, 3, 7, 10, tzinfo=UTC)
LARGE = Cents(999_999)
WINE = LineDecision(Line("alcohol", Cents(310)), Cents(0), Reason.NEVER_FAMILY)

SCREENS: dict[str, tuple[say.Outward, str]] = {
    "confirm": (say.ConfirmAmount(1, Cents(6_500)), "65,00 € · Confirmez le montant"),
    "present": (say.PresentCard(1, Cents(1_250), Cents(0), ()), "12,50 € · Présentez la carte"),
    "present with wine": (
        say.PresentCard(1, Cents(1_250), Cents(310), (WINE,)),
        "Carte · 12,50 € · Présentez la carte · À régler autrement 3,10 €",
    ),
    "paid": (say.Paid(1, Cents(1_250), Cents(0), Durable(1, b"", b"")), "Payé · 12,50 €"),
    "paid with bonus": (
        say.Paid(1, Cents(1_250), Cents(310), Durable(1, b"", b""), bonus=Cents(625)),
        "Payé · 12,50 € · + 3,10 € à régler autrement · Bonus 6,25 €",
    ),
    "paid, bonus open": (
        say.Paid(1, Cents(1_250), Cents(0), Durable(1, b"", b""), is_bonus_unknown=True),
        "Payé · 12,50 € · Bonus à confirmer",
    ),
    "split": (
        say.Split(1, Cents(940), Cents(310), Reason.PURSE_EMPTY),
        "Carte · 9,40 € · À régler autrement · 3,10 €",
    ),
    "nothing": (say.PaysNothing(1, Cents(1_250), Reason.PURSE_EMPTY), "À régler autrement · 12,50 €"),
    "not here": (
        say.NotHere(1, Cents(1_250), Reason.CARD_UNKNOWN),
        "Cette carte ne paie pas ici · À régler autrement · 12,50 €",
    ),
    "may call": (
        say.HolderMayCall(1, Cents(1_250), PHONE, Reason.ON_HOT_LIST),
        "À régler autrement · 12,50 € · Le porteur peut appeler le 05 00 00 00 00",
    ),
    "put back": (say.PutBack(1), "Reposez la carte · Rien n'a été débité"),
    "put same back": (
        say.PutSameBack(1, Cents(1_250)),
        "Reposez la même carte · 12,50 € · Vérification du paiement · ne faites pas payer deux fois",
    ),
    "in verification": (
        say.InVerification(1, Cents(1_250), True),
        "Paiement en vérification · 12,50 € · Ne faites pas payer deux fois. Ce paiement vous est garanti.",
    ),
    "in verification, large": (
        say.InVerification(1, Cents(1_250), False),
        "Paiement en vérification · 12,50 € · "
        "Ne faites pas payer deux fois. Ce paiement sera confirmé au prochain passage de la carte.",
    ),
    "already paid": (say.AlreadyPaid(1, Cents(1_250), NOW), "Déjà payé · 12,50 € · à 10 h 42"),
    "one card": (say.OneCardOnly(1), "Une seule carte à la fois"),
    "balance": (say.Balance(1, Cents(3_110), MARCH_END), "Disponible · 31,10 € · jusqu'au 31 mars"),
    "void": (
        say.PresentToVoid(1, Cents(1_250), NOW, 41),
        "Annuler ? · 12,50 € · Payé à 10 h 42 · présentez la même carte",
    ),
    "void, other card": (
        say.PresentToVoid(1, Cents(1_250), NOW, 41, is_other_card=True),
        "Annuler ? · 12,50 € · Payé à 10 h 42 · présentez la même carte · Ce n'est pas la carte qui a payé",
    ),
    "voided": (say.Voided(1, Cents(1_250), Durable(1, b"", b"")), "Annulé · 12,50 € · Rendu sur la carte"),
    "nothing to void": (say.NothingToVoid(1), "Rien à annuler · Aucun paiement depuis la dernière fin de marché"),
    "not voided": (
        say.NotVoided(1, Cents(1_250), Reason.PAYMENT_IN_DOUBT),
        "Pas annulé · 12,50 € · " + sentence(Reason.PAYMENT_IN_DOUBT),
    ),
    "void torn": (
        say.PutSameBack(1, Cents(1_250), is_void=True),
        "Reposez la même carte · 12,50 € · Vérification de l'annulation · ne rendez rien en espèces",
    ),
    "void in verification": (
        say.InVerification(1, Cents(1_250), False, is_void=True),
        "Annulation en vérification · 12,50 € · "
        "Ne rendez rien en espèces. Le prochain passage de la carte dira si elle est faite.",
    ),
    "last void": (
        say.LastOutcome(1, RecordType.VOID, Cents(1_250), EARLIER, is_void=True),
        "Annulé · 12,50 € · Dernière annulation, le 7 mars",
    ),
    "last void in doubt": (
        say.LastOutcome(1, RecordType.IN_DOUBT, Cents(1_250), NOW, is_void=True),
        "Annulation en vérification · 12,50 € · Dernière annulation, à 10 h 42 · Ne rendez rien en espèces.",
    ),
    "update": (
        say.UpdateNeeded(Cents(3_000)),
        "Caisse à mettre à jour · Encore 30,00 € par carte et par jour · Menu . puis 9",
    ),
    "balance only": (say.UpdateNeeded(None), "Caisse à mettre à jour · Solde seulement · Menu . puis 9"),
    "reader away": (say.ReaderAway(False), "Lecteur débranché · Rebranchez-le : la vente continue."),
    "reader stuck": (say.ReaderAway(True), "Lecteur bloqué · Débranchez-le et rebranchez-le."),
    "stopped": (
        say.Stopped("J1", "La mémoire de la caisse est pleine.", PHONE),
        "Caisse arrêtée · Paiement par carte impossible · La mémoire de la caisse est pleine. · "
        "Code J1 · Appelez le 05 00 00 00 00",
    ),
    "last paid": (
        say.LastOutcome(1, RecordType.PAYMENT, Cents(1_250), EARLIER),
        "Payé · 12,50 € · Dernier paiement, le 7 mars",
    ),
    "last in doubt": (
        say.LastOutcome(1, RecordType.IN_DOUBT, Cents(1_250), NOW),
        "Paiement en vérification · 12,50 € · Dernier paiement, à 10 h 42 · Ne faites pas payer deux fois.",
    ),
}
SIZES = [(40, 12), (80, 20), (120, 36)]


def shown(event: say.Outward) -> Face:
    drawn = face(event, NOW, ZONE)
    assert drawn is not None
    return drawn


@pytest.mark.parametrize("name", SCREENS)
def test_each_outcome_says_its_sentence(name: str) -> None:
    event, words = SCREENS[name]
    assert speaks_of(shown(event).parts).replace("\u202f", " ") == words


def test_every_word_of_the_till_has_a_screen_or_is_a_note() -> None:
    with_screen = {type(event) for event, _words in SCREENS.values()}
    notes = {say.Ready, say.DoubtSolved, say.ReaderIsBack}
    assert with_screen | notes == set(get_args(say.Outward))
    assert all(face(event, NOW, ZONE) is None for event in (say.Ready(), say.ReaderIsBack()))


@pytest.mark.parametrize("name", SCREENS)
def test_no_screen_says_refused(name: str) -> None:
    drawn = shown(SCREENS[name][0])
    assert not re.search("refus", speaks_of(drawn.parts) + drawn.cause, re.IGNORECASE)


def test_a_lost_card_and_an_expired_one_have_the_same_screen() -> None:
    lost = shown(say.HolderMayCall(1, Cents(1), PHONE, Reason.ON_HOT_LIST))
    assert lost == shown(say.HolderMayCall(1, Cents(1), PHONE, Reason.CARD_EXPIRED))


def test_the_cause_is_kept_for_those_who_ask() -> None:
    split = shown(SCREENS["split"][0])
    assert "enveloppe" not in speaks_of(split.parts)
    assert "enveloppe" in split.cause
    assert "famille" in shown(SCREENS["present with wine"][0]).cause
    assert shown(SCREENS["present"][0]).cause == ""


def test_outcomes_sound_alike_and_only_a_lifted_card_sounds_otherwise() -> None:
    sounds = {name: shown(event).sound for name, (event, _words) in SCREENS.items()}
    assert {sounds[name] for name in ("paid", "split", "nothing", "not here", "may call", "already paid")} == {1}
    assert {sounds[name] for name in ("put back", "put same back", "one card")} == {2}
    assert {sounds[name] for name in ("present", "balance", "stopped")} == {0}


def test_no_two_outcomes_differ_by_colour_alone() -> None:
    looks = {(shown(event).icon, speaks_of(shown(event).parts)) for event, _words in SCREENS.values()}
    assert len(looks) == len(SCREENS)


def test_a_payment_being_checked_does_not_look_like_a_card_that_moved_too_early() -> None:
    early, late = shown(say.PutBack(1)), shown(say.PutSameBack(1, Cents(1_250)))
    assert late.tone is Tone.VERIFY and early.tone is Tone.AGAIN
    assert late.icon is not early.icon
    assert Sum(Cents(1_250)) in late.parts and not any(isinstance(part, Sum) for part in early.parts)
    assert printed(late) == ["− client parti"]


def test_a_payment_in_verification_is_written_in_great_letters() -> None:
    drawn = shown(SCREENS["in verification"][0])
    assert drawn.parts[0] == Words("Paiement en vérification", is_great=True, is_strong=True)
    assert printed(drawn) == ["Entrée vu, client suivant *"]


def test_what_is_paid_is_paid_a_second_time_only_by_the_key_that_is_not_the_primary_one() -> None:
    assert printed(shown(SCREENS["already paid"][0])) == ["− non, c'est payé *", "Entrée payer encore 12,50 €"]


def test_old_lists_sell_on_with_enter_and_open_the_menu_with_the_point() -> None:
    assert printed(shown(SCREENS["update"][0])) == ["Entrée vendre *", ". menu"]
    assert printed(shown(SCREENS["balance only"][0])) == ["Entrée continuer *", ". menu"]
    note = faces.update_note(say.UpdateNeeded(Cents(3_000))).replace("\u202f", " ")
    assert note == "Caisse à mettre à jour : . puis 9 · Encore 30,00 € par carte et par jour"


@pytest.mark.parametrize("name", SCREENS)
def test_a_cause_is_offered_as_a_detail(name: str) -> None:
    drawn = shown(SCREENS[name][0])
    assert (". détail" in printed(drawn)) == bool(drawn.cause)


def printed(drawn: Face) -> list[str]:
    """The keys of a screen, the primary one with a star."""
    words = [f"{name_of(key.key)} {key.does}{' *' if key.is_first else ''}" for key in drawn.keys]
    return [text.replace("\u202f", " ") for text in words]


def test_a_doubt_solved_is_told_with_day_and_amount() -> None:
    note = faces.solved_note(say.DoubtSolved(Cents(1_240), EARLIER, Outcome.CONFIRMED), ZONE)
    assert note.replace("\u202f", " ") == "Paiement du 7 mars, 12,40 € : confirmé"
    note = faces.solved_note(say.DoubtSolved(Cents(1_240), EARLIER, Outcome.CANCELLED), ZONE)
    assert note.endswith(" : non débité")


# --- layout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("with_cause", [False, True])
def test_nothing_is_clipped_at_any_size(name: str, size: tuple[int, int], with_cause: bool) -> None:
    drawn = shown(SCREENS[name][0])
    cause = drawn.cause if with_cause else ""
    rows = set_face(drawn, *size, cause)
    assert len(rows) == size[1]
    assert all(len(row.text) <= size[0] for row in rows)
    assert_all_is_there(drawn, cause, size, "\n".join(row.text for row in rows))


def assert_all_is_there(drawn: Face, cause: str, size: tuple[int, int], text: str) -> None:
    flat = " ".join(text.replace("\u00a0", " ").split())
    for part in (*drawn.parts, Words(cause)):
        if isinstance(part, Sum):
            sets = [in_digits(in_euros(part.amount), cut) for cut in CUTS]
            is_large = any(all(row.rstrip() in text for row in rows) for rows in sets)
            is_small = bool(cause) and size[0] < 80 and in_euros(part.amount) in text
            assert is_large or is_small, "an amount is at least 5 rows high, unless a small screen shows the cause"
        else:
            words = part.text.upper() if part.is_great else part.text
            letters = wrapped_letters(part.text, size[0], 3) or ()
            is_in_letters = part.is_great and any(
                all(row.strip() in text for row in rows) for rows in _settings(part.text, size[0]) or [letters]
            )
            assert is_in_letters or all(word in flat for word in words.split()), f"{words!r} is clipped"


def _settings(text: str, width: int) -> list[tuple[str, ...]]:
    return [rows for room in range(20, width) if (rows := wrapped_letters(text, room, 3)) is not None]


@pytest.mark.parametrize("size", SIZES)
def test_the_largest_amount_fits_in_digits_of_five_rows(size: tuple[int, int]) -> None:
    rows = largest_fitting(in_euros(LARGE), size[0] - 2 * MARGIN, 5 if size[0] < 80 else 7)
    assert len(rows) >= 5 or size[0] == 40
    event = say.PaysNothing(1, LARGE, None)
    assert all(len(row.text) <= size[0] for row in set_face(shown(event), *size))


def test_digits_have_one_height_and_are_told_apart() -> None:
    for cut in CUTS:
        glyphs = {char: in_digits(char, cut) for char in "0123456789,€−"}
        assert {len(rows) for rows in glyphs.values()} == {cut.rows} and cut.rows >= 5
        assert len(set(glyphs.values())) == len(glyphs)
        assert all(len({len(row) for row in rows}) == 1 for rows in glyphs.values())


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: f"{cut.rows}x{cut.width}")
def test_one_and_seven_are_told_apart_at_head_and_foot(cut: Cut) -> None:
    one, seven = in_digits("1", cut), in_digits("7", cut)
    one_foot, seven_foot = len(one[-1].strip()), len(seven[-1].strip())
    assert one_foot == len(one[-1]) > seven_foot, "the 1 stands on a foot, the 7 on its stroke"
    assert seven[1][0] != " " == one[cut.rows // 2][0], "the 7 has a hook at its upper left"
    right = [row[::-1] for row in one], [row[::-1] for row in seven]
    differing = sum(a != b for ones, sevens in zip(*right, strict=True) for a, b in zip(ones, sevens, strict=False))
    assert differing >= cut.rows


def test_letters_write_every_great_word_of_the_screens() -> None:
    for event, _words in SCREENS.values():
        for part in shown(event).parts:
            if isinstance(part, Words) and part.is_great:
                assert has_letters_for(part.text), part.text
                assert width_of(wrapped_letters(part.text, 76) or ("x" * 99,)) <= 76


def test_icons_are_of_one_size_and_all_different() -> None:
    drawn = {icon: picture(icon) for icon in Icon}
    assert {(len(rows), width_of(rows)) for rows in drawn.values()} == {(7, 16)}
    assert len(set(drawn.values())) == len(Icon) == len({icon.value for icon in Icon})


# --- colours ---------------------------------------------------------------------------------------------------------


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast(Pair("#000000", "#ffffff")) == pytest.approx(21.0)
    assert contrast(Pair("#777777", "#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_every_pair_of_colours_has_a_contrast_of_seven_or_more(palette: object) -> None:
    for name, pair in palette.pairs().items():  # type: ignore[attr-defined]
        assert contrast(pair) >= 7.0, f"{name}: {contrast(pair):.2f}"
