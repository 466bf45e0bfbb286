"""Keys and words of the till meet on the cashier's desk; no widget takes part."""

from __future__ import annotations

import pytest

from domain.money import Cents
from domain.reason import Reason
from terminal import events as say
from terminal.loop import Answer
from terminal.ports import Durable, Presence
from terminal.ui import faces
from terminal.ui.app import ZONE
from terminal.ui.desk import CardScreen, Desk, MenuScreen
from terminal.ui.pictures import NOW, PHONE, status

TAP = say.CardPresented(Presence("reader", 1))
ASKED = say.PresentCard(1, Cents(1_250), Cents(0), ())
PAID = say.Paid(1, Cents(1_250), Cents(0), Durable(1, b"", b""))
FAMILY = "vegetables"


def at_a_desk() -> tuple[Desk, list[say.Inward]]:
    heard: list[say.Inward] = []
    return Desk(heard.append, (FAMILY,), ZONE, lambda: NOW), heard


def sold(event: say.Outward) -> tuple[Desk, list[say.Inward]]:
    """A desk where 12,50 € were asked for and this was answered."""
    desk, heard = at_a_desk()
    press(desk, *"1250", "enter")
    desk.hear(Answer(heard.pop(), (event,)))
    assert isinstance(desk.screen, CardScreen)
    return desk, heard


def press(desk: Desk, *keys: str) -> None:
    for key in keys:
        desk.press(key, status)


@pytest.mark.parametrize(
    ("event", "key", "told"),
    [
        (say.ConfirmAmount(1, Cents(6_500)), "enter", say.Accept()),
        (say.ConfirmAmount(1, Cents(6_500)), "-", say.Back()),
        (ASKED, "-", say.Back()),
        (say.AlreadyPaid(1, Cents(1_250), NOW), "enter", say.Accept()),
        (say.AlreadyPaid(1, Cents(1_250), NOW), "-", say.Back()),
        (say.PutBack(1), "-", say.Back()),
        (say.PutSameBack(1, Cents(1_250)), "-", say.Back()),
        (say.InVerification(1, Cents(1_250), True), "enter", say.Accept()),
        (say.OneCardOnly(1), "-", say.Back()),
        (say.NotHere(1, Cents(1_250), Reason.CARD_UNKNOWN), "-", say.Back()),
        (say.HolderMayCall(1, Cents(1_250), PHONE, Reason.ON_HOT_LIST), "-", say.Back()),
        (ASKED, "enter", None),
        (say.PutSameBack(1, Cents(1_250)), "enter", None),
        (say.InVerification(1, Cents(1_250), True), "-", None),
        (say.Stopped("J1", "Plein.", PHONE), "enter", None),
        (say.Stopped("J1", "Plein.", PHONE), "5", None),
        (say.PutSameBack(1, Cents(1_250)), "5", None),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else repr(value),
)
def test_each_card_screen_tells_the_till_what_its_keys_mean(
    event: say.Outward, key: str, told: say.Inward | None
) -> None:
    desk, heard = sold(event)
    press(desk, key)
    assert heard == ([told] if told is not None else [])


def test_a_double_enter_sells_once_and_what_is_asked_for_cannot_be_changed_meanwhile() -> None:
    desk, heard = at_a_desk()
    press(desk, "5", "enter", "enter", "7", "-", ".")
    assert [type(event) for event in heard] == [say.Sell]
    assert desk.entry.price == 5
    assert desk.screen is None


def test_a_double_enter_agrees_once() -> None:
    desk, heard = sold(say.Split(1, Cents(940), Cents(310), None))
    press(desk, "enter", "enter", "-")
    assert heard == [say.Accept()]


def test_keys_mean_nothing_while_a_card_is_being_read() -> None:
    desk, heard = sold(ASKED)
    assert desk.begin(TAP)
    press(desk, "-", "enter", "5")
    assert heard == []
    desk.hear(Answer(TAP, (PAID,)))
    assert isinstance(desk.screen, CardScreen) and desk.screen.event == PAID


def test_a_card_read_in_silence_brings_back_what_stood_before() -> None:
    desk, _heard = sold(ASKED)
    desk.begin(TAP)
    desk.show_reading()
    assert desk.hear(Answer(TAP, ())) == 0
    assert isinstance(desk.screen, CardScreen) and desk.screen.event == ASKED
    assert desk.screen.face.keys


def test_a_basket_in_verification_is_not_sold_a_second_time() -> None:
    desk, heard = sold(say.InVerification(1, Cents(1_250), True))
    press(desk, "enter")
    desk.hear(Answer(heard.pop(), (say.Ready(),)))
    assert desk.screen is None
    assert desk.entry.is_empty


def test_a_basket_that_is_already_paid_is_not_sold_a_second_time() -> None:
    desk, heard = sold(say.AlreadyPaid(1, Cents(1_250), NOW))
    press(desk, "-")
    desk.hear(Answer(heard.pop(), (say.Ready(),)))
    assert desk.screen is None and desk.entry.is_empty


@pytest.mark.parametrize("left", [Cents(3_000), None])
def test_the_point_opens_the_menu_where_the_lists_are_old(left: Cents | None) -> None:
    desk, heard = at_a_desk()
    desk.hear(Answer(None, (say.UpdateNeeded(left),)))
    press(desk, ".", "9")
    assert isinstance(desk.screen, MenuScreen)
    press(desk, "-")
    assert desk.screen is None and desk.entry.is_empty and heard == []
    assert desk.notes() == (faces.update_note(say.UpdateNeeded(left)),)


def test_enter_sells_on_where_the_lists_are_old_and_minus_means_nothing() -> None:
    desk, heard = at_a_desk()
    desk.hear(Answer(None, (say.UpdateNeeded(None),)))
    press(desk, "-")
    assert isinstance(desk.screen, CardScreen)
    press(desk, "enter")
    assert desk.screen is None and heard == []


def test_a_reason_that_is_being_read_does_not_go_by_itself() -> None:
    desk, _heard = sold(say.PaysNothing(1, Cents(1_250), Reason.PURSE_EMPTY))
    assert desk.lasts_s is not None
    press(desk, ".")
    assert desk.lasts_s is None
    desk.time_out()
    assert isinstance(desk.screen, CardScreen)
    press(desk, ".")
    desk.time_out()
    assert desk.screen is None


def test_a_reader_that_goes_away_never_hides_that_the_card_paid() -> None:
    desk, _heard = sold(ASKED)
    desk.hear(Answer(TAP, (PAID, say.ReaderAway(False))))
    assert isinstance(desk.screen, CardScreen) and desk.screen.event == PAID
    assert desk.notes() == ("Lecteur débranché",)
    assert desk.entry.is_empty


def test_each_sale_has_a_number_of_its_own() -> None:
    desk, heard = sold(say.PaysNothing(1, Cents(1_250), Reason.PURSE_EMPTY))
    press(desk, "7", "enter")
    assert isinstance(heard[-1], say.Sell) and heard[-1].sale == 2
    assert heard[-1].basket.price == 7


def test_late_words_about_an_earlier_sale_are_shown_all_the_same() -> None:
    desk, _heard = at_a_desk()
    press(desk, "5")
    desk.hear(Answer(TAP, (PAID,)))
    assert isinstance(desk.screen, CardScreen) and desk.screen.event == PAID


def test_a_payment_just_made_can_be_undone_from_its_own_screen() -> None:
    desk, heard = sold(PAID)
    press(desk, ".")
    assert isinstance(desk.screen, MenuScreen)
    press(desk, "2")
    assert isinstance(heard[-1], say.AskVoid)
