"""The screens, reached by keys, touches and words of the till only."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from domain.money import Cents
from domain.reason import Reason
from sync.record import Outcome, RecordType
from terminal import events as say
from terminal.loop import TillLoop
from terminal.ports import Durable, Presence
from terminal.ui.app import Extra, TillApp
from terminal.ui.desk import CardScreen, MenuScreen
from terminal.ui.face import speaks_of
from terminal.ui.keys import KeyButton
from terminal.ui.palette import NUIT
from terminal.ui.pictures import FAMILIES, NOW, ONE_FAMILY, PHONE, draw, pictures, status
from terminal.ui.sale_view import Tile
from terminal.ui.scripted import DirectLoop, ScriptedTill, Step

TAP = say.CardPresented(Presence("reader", 1))
ASKED = say.PresentCard(1, Cents(1_250), Cents(0), ())
PAID = say.Paid(1, Cents(1_250), Cents(0), Durable(1, b"", b""))
NAMES_OF_DESK = {"\n": "enter"}
NAMES = {"\n": "enter", "+": "plus", "-": "minus", "*": "asterisk", "/": "slash", ".": "full_stop"}


class Stall:
    """A till on a script, its keys and its ears."""

    def __init__(self, pilot: Pilot[None], app: TillApp, loop: DirectLoop, core: ScriptedTill, rung: list[int]) -> None:
        self.pilot, self.app, self.loop, self.core, self.rung = pilot, app, loop, core, rung

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.pilot.press(NAMES.get(key, key))
        await self.pilot.pause()

    async def hear(self, event: say.Inward) -> None:
        self.loop.post(event)
        await self.pilot.pause()

    @property
    def words(self) -> str:
        """What the card screen says; empty on the sale screen."""
        screen = self.app.desk.screen
        return speaks_of(screen.face.parts).replace("\u202f", " ") if screen is not None else ""

    @property
    def heard(self) -> list[say.Inward]:
        return self.core.heard

    @property
    def note(self) -> str:
        note = self.app.query_one("#note", Static)
        return str(note.render()) if note.display else ""


def at_a_stall(
    play: Callable[[Stall], Awaitable[None]],
    *steps: Step,
    first: tuple[say.Outward, ...] = (),
    families: tuple[object, ...] = FAMILIES,
    extra: Extra | None = None,
) -> None:
    async def run() -> None:
        rung: list[int] = []
        core = ScriptedTill(steps, first)
        loop = DirectLoop(core)
        app = TillApp(loop, status, families, extra, sound=rung.append)  # type: ignore[arg-type]
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await play(Stall(pilot, app, loop, core, rung))

    asyncio.run(run())


def sold(*said: say.Outward) -> Step:
    return Step(say.Sell, said)


def tapped(*said: say.Outward) -> Step:
    return Step(say.CardPresented, said)


def test_twelve_fifty_is_five_keys_and_one_tap() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        sale = stall.heard[-1]
        assert isinstance(sale, say.Sell)
        assert [(line.family, line.amount) for line in sale.basket.lines] == [("vegetables", 1_250)]
        assert stall.words == "12,50 € · Présentez la carte"
        await stall.hear(TAP)
        assert stall.words == "Payé · 12,50 €"
        assert stall.rung == [1]

    at_a_stall(play, sold(ASKED), tapped(PAID))


def test_after_paid_the_next_digit_starts_the_next_sale() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(TAP)
        await stall.press("\n-")
        assert stall.words.startswith("Payé"), "only a digit, the menu or time ends it"
        await stall.press("3")
        assert stall.words == ""
        assert stall.app.desk.entry.price == 3
        assert stall.app.desk.entry.lines == ()
        assert stall.heard[-1] == TAP, "the core is told nothing"

    at_a_stall(play, sold(ASKED), tapped(PAID))


def test_paid_leaves_by_itself_and_so_does_pays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminal.ui.faces.OUTCOME_LASTS_S", 0.01)

    async def play(stall: Stall) -> None:
        for _sale in range(2):
            await stall.press("1250\n")
            await stall.hear(TAP)
            for _try in range(6_000):
                if not stall.words:
                    break
                await asyncio.sleep(0.01)
            assert stall.words == ""
            assert stall.app.desk.entry.is_empty

    nothing = say.PaysNothing(2, Cents(1_250), Reason.PURSE_EMPTY)
    at_a_stall(play, sold(ASKED), tapped(PAID), sold(ASKED), tapped(nothing))


def test_the_rest_of_the_till_never_hides_paid() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(TAP)
        await stall.hear(say.Tick())
        assert stall.words.startswith("Payé")

    at_a_stall(play, sold(ASKED), tapped(PAID), Step(say.Tick, (say.Ready(),)))


def test_less_than_asked_is_agreed_to_with_enter_and_the_card_still_lying_there_pays() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(TAP)
        assert stall.words == "Carte · 9,40 € · À régler autrement · 3,10 €"
        assert "enveloppe" not in drawn(stall)
        await stall.press(".")
        assert "enveloppe" in drawn(stall)
        await stall.press("\n")
        assert stall.heard[-1] == say.Accept()
        assert stall.words == "Payé · 9,40 € · + 3,10 € à régler autrement"

    less = say.Split(1, Cents(940), Cents(310), Reason.PURSE_EMPTY)
    paid = say.Paid(1, Cents(940), Cents(310), Durable(1, b"", b""))
    at_a_stall(play, sold(ASKED), tapped(less), Step(say.Accept, (paid,)))


def test_an_agreed_split_waits_for_the_lifted_card_and_leaves_with_the_core() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(TAP)
        await stall.press("\n")
        assert stall.words == "9,40 € · Présentez la même carte · À régler autrement 3,10 €"
        await stall.hear(say.Tick())
        assert stall.words == ""
        assert stall.app.desk.entry.price == 1_250, "the basket is kept"

    less = say.Split(1, Cents(940), Cents(310), None)
    at_a_stall(play, sold(ASKED), tapped(less), Step(say.Tick, (say.Ready(),)))


def test_back_from_pays_nothing_keeps_the_basket_and_a_digit_begins_anew() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(TAP)
        assert stall.words == "À régler autrement · 12,50 €"
        await stall.press("-")
        assert stall.words == ""
        assert stall.app.desk.entry.price == 1_250
        await stall.press("\n")
        await stall.press("7")
        assert stall.app.desk.entry.price == 7

    nothing = say.PaysNothing(1, Cents(1_250), Reason.PURSE_EMPTY)
    at_a_stall(play, sold(ASKED), tapped(nothing), sold(nothing))


def test_a_slow_card_asks_for_patience_and_its_keys_are_not_obeyed() -> None:
    async def run() -> None:
        gate = threading.Event()
        core = ScriptedTill((sold(ASKED), Step(say.CardPresented, (PAID,), after=gate)))
        loop = TillLoop(core, tick_s=60)
        app = TillApp(loop, status, FAMILIES, sound=lambda _sound: None)
        async with app.run_test() as pilot:
            await pilot.press("5", "enter")
            await until(lambda: app.desk.screen is not None)
            loop.post(TAP)
            await until(lambda: "Gardez la carte posée…" in speaks_of(app.desk.screen.face.parts))  # type: ignore[union-attr]
            await pilot.press("minus", "enter", "4")
            gate.set()
            await until(lambda: isinstance(app.desk.screen, CardScreen) and app.desk.screen.event == PAID)
            assert [type(event) for event in core.heard] == [say.Sell, say.CardPresented]

    asyncio.run(run())


def test_a_quick_card_outside_a_sale_shows_nothing_and_a_solved_doubt_is_noted() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("12")
        await stall.hear(TAP)
        assert stall.words == ""
        assert stall.note.replace("\u202f", " ") == "Paiement du 12 mars, 12,40 € : confirmé"
        assert stall.app.desk.entry.price == 12

    at_a_stall(play, tapped(say.DoubtSolved(Cents(1_240), NOW, Outcome.CONFIRMED)))


def test_a_reader_that_went_comes_back_to_where_the_sale_was() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(say.ReaderWent("reader"))
        assert stall.words.startswith("Lecteur débranché")
        await stall.hear(say.ReaderCame("reader"))
        assert stall.words == "12,50 € · Présentez la carte"
        await stall.press("-")
        await stall.hear(say.ReaderWent("reader", is_stuck=True))
        assert stall.words == ""
        assert stall.note == "Lecteur bloqué : débranchez-le et rebranchez-le"
        await stall.hear(say.ReaderCame("reader"))
        assert stall.note == ""

    at_a_stall(
        play,
        sold(ASKED),
        Step(say.ReaderWent, (say.ReaderAway(False),)),
        Step(say.ReaderCame, (say.ReaderIsBack(),)),
        Step(say.Back, (say.Ready(),)),
        Step(say.ReaderWent, (say.ReaderAway(True),)),
        Step(say.ReaderCame, (say.ReaderIsBack(),)),
    )


def test_no_card_is_asked_for_while_there_is_no_reader() -> None:
    async def play(stall: Stall) -> None:
        await stall.hear(say.ReaderWent("reader"))
        assert stall.note == "Lecteur débranché"
        await stall.press("1250\n")
        assert stall.words.startswith("Lecteur débranché")
        await stall.hear(say.ReaderCame("reader"))
        assert stall.words == "12,50 € · Présentez la carte"

    at_a_stall(
        play,
        Step(say.ReaderWent, (say.ReaderAway(False),)),
        sold(ASKED),
        Step(say.ReaderCame, (say.ReaderIsBack(),)),
    )


def test_a_card_is_asked_for_beside_a_stuck_reader_as_another_may_serve() -> None:
    async def play(stall: Stall) -> None:
        await stall.hear(say.ReaderWent("reader", is_stuck=True))
        await stall.press("1250\n")
        assert stall.words == "12,50 € · Présentez la carte"
        assert stall.note == "Lecteur bloqué : débranchez-le et rebranchez-le"

    at_a_stall(play, Step(say.ReaderWent, (say.ReaderAway(True),)), sold(ASKED))


def test_two_cards_then_one_goes_back_to_asking() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(say.CardsClash("reader"))
        assert stall.words == "Une seule carte à la fois"
        await stall.hear(say.CardRemoved(TAP.presence))
        assert stall.words == "12,50 € · Présentez la carte"

    at_a_stall(play, sold(ASKED), Step(say.CardsClash, (say.OneCardOnly(1),)))


def test_the_last_outcome_after_a_restart_waits_to_be_seen() -> None:
    async def play(stall: Stall) -> None:
        assert stall.words.startswith("Payé · 12,50 €")
        await stall.press("5")
        assert stall.words.startswith("Payé"), "a digit does not hide it"
        await stall.press("\n")
        assert stall.heard == [say.Accept()]
        assert stall.words == ""

    last = say.LastOutcome(7, RecordType.PAYMENT, Cents(1_250), NOW)
    at_a_stall(play, Step(say.Accept, (say.Ready(),)), first=(last,))


def test_old_lists_are_said_once_in_full_and_stay_as_a_band_until_they_are_new() -> None:
    async def play(stall: Stall) -> None:
        assert stall.words.startswith("Caisse à mettre à jour")
        await stall.press("5")
        assert stall.words == "" and stall.app.desk.entry.price == 5
        assert stall.note.startswith("Caisse à mettre à jour : . puis 9 · Encore")
        await stall.hear(say.ListsChanged())
        assert stall.note == ""

    at_a_stall(play, first=(say.Ready(), say.UpdateNeeded(Cents(3_000))))


def test_a_stopped_till_stays_stopped_and_its_diagnostics_can_be_read() -> None:
    async def play(stall: Stall) -> None:
        assert stall.words.startswith("Caisse arrêtée")
        await stall.press(".1")
        assert isinstance(stall.app.desk.screen, MenuScreen) and stall.heard == []
        await stall.press("9")
        assert "hors ligne" in stall.words and "14 paiements à envoyer" in stall.words
        await stall.press("-")
        assert stall.words.startswith("Caisse arrêtée")

    at_a_stall(play, first=(say.Stopped("J2", "Abîmé.", PHONE),))


def test_the_balance_is_asked_for_in_the_menu_and_shown_for_the_holder() -> None:
    async def play(stall: Stall) -> None:
        await stall.press(".1")
        assert isinstance(stall.heard[-1], say.AskBalance)
        assert stall.words.startswith("Présentez la carte")
        await stall.hear(TAP)
        assert stall.words == "Disponible · 31,10 € · jusqu'au 12 mars"
        assert stall.rung == []
        await stall.press("8")
        assert stall.app.desk.entry.price == 8

    at_a_stall(play, tapped(say.Balance(1, Cents(3_110), NOW)))


def test_the_menu_shows_only_what_is_built_and_does_not_open_over_an_amount() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("5.")
        assert stall.words == ""
        await stall.press("-.")
        assert stall.words == "Menu · 1   Solde · 2   Annuler le dernier · 8   Soleil / Nuit · 9   Diagnostic"
        await stall.press("34567")
        assert stall.heard == []
        await stall.press("8")
        assert stall.app.theme == NUIT.name
        await stall.press("-")
        assert stall.words == ""

    at_a_stall(play)


def test_a_touch_is_worth_its_key() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("850")
        await stall.pilot.click([*stall.app.query(Tile)][1])
        await stall.pilot.pause()
        assert [line.family for line in stall.app.desk.entry.lines] == ["cheese"]
        pay = next(button for button in stall.app.query(KeyButton) if button.has_class("first"))
        await stall.pilot.click(pay)
        await stall.pilot.pause()
        assert isinstance(stall.heard[-1], say.Sell)

    at_a_stall(play, sold(ASKED))


def test_a_stall_with_one_family_shows_no_tiles() -> None:
    async def play(stall: Stall) -> None:
        assert not stall.app.query_one("#tiles").display
        assert "famille" not in drawn(stall)

    at_a_stall(play, families=ONE_FAMILY)


def test_tiles_print_the_keys_that_choose_them_and_choosing_prints_its_own_keys() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("850+400")
        assert "/ 2 Fromages" in drawn(stall) and "× quantité" in drawn(stall)
        assert not re.search(r"^ *1 +Légumes", drawn(stall), re.MULTILINE), "lines have no number"
        await stall.press("/")
        assert "/ 2" not in drawn(stall) and "2 Fromages" in drawn(stall)
        assert "Famille : 1 à 3" in drawn(stall)
        assert keys_of(stall) == ["−"], "one page: / turns nothing, Entrée does not pay"
        await stall.press("2")
        assert keys_of(stall) == ["Entrée", "+", "−", "/", "×", "."]

    at_a_stall(play)


def test_choosing_among_more_than_nine_families_prints_the_key_that_turns_the_page() -> None:
    async def play(stall: Stall) -> None:
        await stall.press("100/")
        assert keys_of(stall) == ["−", "/"] and "Famille : 1 à 9" in drawn(stall)
        await stall.press("/")
        assert "Famille : 1 à 2" in drawn(stall)

    at_a_stall(play, families=tuple((f"family-{number}", f"Famille {number}", "F") for number in range(11)))


def test_a_reason_stays_until_it_has_been_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminal.ui.faces.OUTCOME_LASTS_S", 0.3)

    async def play(stall: Stall) -> None:
        await stall.press("1250\n")
        await stall.hear(TAP)
        await stall.press(".")
        await asyncio.sleep(0.5)
        assert stall.words == "À régler autrement · 12,50 €" and "enveloppe" in drawn(stall)
        await stall.press(".")
        await until(lambda: stall.words == "")

    at_a_stall(play, sold(ASKED), tapped(say.PaysNothing(1, Cents(1_250), Reason.PURSE_EMPTY)))


def test_a_demonstration_adds_a_widget_and_letters() -> None:
    pressed: list[str] = []

    async def play(stall: Stall) -> None:
        assert "carte de Léa" in drawn(stall)
        await stall.press("a1")
        assert pressed == ["a"] and stall.app.desk.entry.price == 1

    at_a_stall(play, extra=Extra(Static("a  carte de Léa"), {"a": lambda: pressed.append("a")}))


def test_a_bug_in_the_core_closes_the_screen_with_its_error() -> None:
    class Broken(ScriptedTill):
        def handle(self, event: say.Inward) -> tuple[say.Outward, ...]:
            raise AssertionError("a bug")

    async def run() -> None:
        app = TillApp(TillLoop(Broken(), tick_s=60), status, FAMILIES, sound=lambda _sound: None)
        async with app.run_test() as pilot:
            await pilot.press("5", "enter")
            await until(lambda: app.error is not None)
        assert isinstance(app.error, AssertionError)
        assert app.return_code == 1

    asyncio.run(run())


@pytest.mark.parametrize("size", [(40, 15), (80, 24), (120, 40)])
def test_the_sale_screen_shows_total_lines_and_status_at_each_size(size: tuple[int, int]) -> None:
    picture = next(picture for picture in pictures() if picture.name == "vente-deux-lignes")
    svg = asyncio.run(draw(picture, size))
    words = " ".join(re.findall(r">([^<>]+)</text>", svg)).replace("\u202f", " ")
    for expected in ("Fromages", "4,00 €", "8,50 €", "2 lignes", "○ hors ligne", "Entrée"):
        assert expected in words
    assert svg.count("M") > 50, "the total is drawn in blocks"


def keys_of(stall: Stall) -> list[str]:
    """Names of the keys printed on the sale screen."""
    return [str(button.render()).split()[0] for button in stall.app.query("#sale-keys KeyButton") if button.display]


def drawn(stall: Stall) -> str:
    strips = stall.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(is_true: Callable[[], bool]) -> None:
    for _try in range(6_000):
        if is_true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")
