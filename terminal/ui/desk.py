"""What lies on the cashier's desk: the basket being typed, the screen that stands, the notes that stay.

It turns keys into events for the till and the till's words into screens; it knows no widget and no thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from terminal import events as say
from terminal.loop import Answer
from terminal.ui import faces
from terminal.ui.entry import Entry, basket, choose_family, press
from terminal.ui.face import Face
from terminal.ui.status_line import status_page

NOTE_LASTS_S: Final = 20.0
_READS_A_CARD: Final = (say.CardPresented, say.Sell, say.Accept, say.AskBalance, say.AskVoid)
_ACCEPTED: Final = (say.ConfirmAmount, say.Split, say.AlreadyPaid, say.InVerification, say.LastOutcome)
_OVER: Final = (
    say.Paid,
    say.PaysNothing,
    say.NotHere,
    say.HolderMayCall,
    say.Balance,
    say.UpdateNeeded,
    say.Voided,
    say.NothingToVoid,
    say.NotVoided,
)
_NEEDS_A_READER: Final = (say.PresentCard, say.PresentToVoid, say.PutBack, say.OneCardOnly, say.ReaderAway)
_PASSING: Final = (say.OneCardOnly, say.ReaderAway)


@dataclass(frozen=True, slots=True)
class CardScreen:
    """A face, and the word of the till behind it (``None``: our own, such as waiting for a balance)."""

    face: Face
    event: say.Outward | None = None


@dataclass(frozen=True, slots=True)
class MenuScreen:
    """The menu or the page behind it; ``under`` comes back."""

    face: Face
    under: CardScreen | None = None


class Desk:
    """State of the screens.

    Args:
        post: puts an event into the till's inbox.
        families: codes of the tiles, the default first.
        zone: time zone of the stall.
        now: wall time, aware.
    """

    def __init__(
        self, post: Callable[[say.Inward], None], families: tuple[str, ...], zone: tzinfo, now: Callable[[], datetime]
    ) -> None:
        self._post = post
        self._fresh = Entry(default_family=families[0], families=families)
        self._zone = zone
        self._now = now
        self.entry = self._fresh
        self.screen: CardScreen | MenuScreen | None = None
        self.has_asked_why = False
        self._before: CardScreen | None = None
        self._sale = 0
        self._waits_for_answer = False
        self._is_reading = False
        self._solved: tuple[tuple[str, datetime], ...] = ()
        self._update: say.UpdateNeeded | None = None
        self._reader: say.ReaderAway | None = None

    # --- keys --------------------------------------------------------------------------------------------------------

    def press(self, key: str, status: Callable[[], say.Status]) -> None:
        """One key; while the core looks at a card or owes an answer, keys of card screens mean nothing."""
        match self.screen:
            case None:
                self._press_on_sale(key)
            case MenuScreen() as menu:
                self._press_on_menu(menu, key, status)
            case CardScreen() as card if not (self._waits_for_answer or self._is_reading):
                self._press_on_card(card, key)

    def touch_family(self, code: str) -> None:
        """A tile was touched."""
        if self.screen is None:
            self.entry = choose_family(self.entry, code)

    def _press_on_sale(self, key: str) -> None:
        if self._waits_for_answer:
            return
        if key == "enter":
            self._sell()
        elif key == ".":
            if self.entry.typed.is_empty:
                self.screen = MenuScreen(faces.menu(has_balance=True))
        else:
            self.entry = press(self.entry, key)

    def _sell(self) -> None:
        bought = basket(self.entry)
        if bought is None or self.entry.page is not None:
            return
        self._sale += 1
        self._waits_for_answer = True
        self._post(say.Sell(self._sale, bought))

    def _press_on_menu(self, menu: MenuScreen, key: str, status: Callable[[], say.Status]) -> None:
        if key == "9":
            self.screen = MenuScreen(faces.diagnostic(status_page(status(), self._now(), self._zone)), menu.under)
        elif key == "1" and menu.under is None and any(entry.key == "1" for entry in menu.face.keys):
            self._sale += 1
            self.screen = CardScreen(faces.awaiting_balance())
            self._post(say.AskBalance(self._sale))
        elif key == "2" and menu.under is None and any(entry.key == "2" for entry in menu.face.keys):
            self._sale += 1
            self._waits_for_answer = True
            self.screen = None
            self._post(say.AskVoid(self._sale))
        elif key in ("-", "."):
            self.screen = menu.under

    def _press_on_card(self, card: CardScreen, key: str) -> None:
        event = card.event
        if card.face.ends_by_digit and key.isdigit():
            self._end(is_done=True)
            self.entry = press(self.entry, key)
        elif key == "." and card.face.cause:
            self.has_asked_why = not self.has_asked_why
        elif key == "." and isinstance(event, say.Paid | say.Voided):
            self._end(is_done=True)
            self.screen = MenuScreen(faces.menu(has_balance=True))
        elif key == "." and isinstance(event, say.Stopped):
            self.screen = MenuScreen(faces.menu(has_balance=False), card)
        elif key == "." and isinstance(event, say.UpdateNeeded):
            self.screen = MenuScreen(faces.menu(has_balance=True))
        elif key == "enter" and isinstance(event, _ACCEPTED) and _has_key(card.face, "enter"):
            self._waits_for_answer = True
            self._post(say.Accept())
        elif key == "-" and _has_key(card.face, "-"):
            self._go_back(event)
        elif key == "enter" and isinstance(event, say.UpdateNeeded):
            self._end(is_done=False)

    def _go_back(self, event: say.Outward | None) -> None:
        if isinstance(event, _OVER):
            self._end(is_done=False)
        elif isinstance(event, say.AlreadyPaid):  # « non, c'est payé »: this basket is not sold again
            self.entry = self._fresh
        self._post(say.Back())

    # --- time --------------------------------------------------------------------------------------------------------

    def time_out(self) -> None:
        """The screen has stood as long as it may."""
        if self.lasts_s is not None:
            self._end(is_done=True)

    @property
    def lasts_s(self) -> float | None:
        """Seconds until the sale screen comes back by itself; ``None`` also while a reason is being read."""
        return self.screen.face.lasts_s if isinstance(self.screen, CardScreen) and not self.has_asked_why else None

    def begin(self, event: say.Inward) -> bool:
        """The core now looks at an event; whether a card may be read for it while a card screen stands."""
        in_sale = isinstance(self.screen, CardScreen) and not isinstance(self.screen.event, _OVER)
        self._is_reading = isinstance(event, say.CardPresented) and in_sale
        return self._is_reading or (isinstance(event, _READS_A_CARD) and self._waits_for_answer)

    def show_reading(self) -> None:
        """The card takes long: ask for patience."""
        if not isinstance(self.screen, MenuScreen):
            event = self.screen.event if self.screen is not None else None
            self.screen = CardScreen(faces.keep_lying(), event)

    def forget_old_notes(self) -> bool:
        """Drop notes shown long enough; whether there were any."""
        now = self._now()
        kept = tuple(note for note in self._solved if (now - note[1]).total_seconds() < NOTE_LASTS_S)
        has_changed, self._solved = kept != self._solved, kept
        return has_changed

    # --- words of the till -------------------------------------------------------------------------------------------

    def hear(self, answer: Answer) -> int:
        """Show an answer; which sound goes with it (0: none)."""
        self._is_reading = False
        if isinstance(answer.to, say.Sell | say.Accept | say.AskBalance | say.AskVoid):
            self._waits_for_answer = False
        if isinstance(answer.to, say.ListsChanged):
            self._update = None
        self._undo_reading()
        before = self.screen
        for event in answer.said:
            self._take(event)
        if not answer.said:
            self._take_silence(answer.to)
        return self.screen.face.sound if self.screen is not None and self.screen is not before else 0

    def notes(self) -> tuple[str, ...]:
        """Bands to read above the screen."""
        shown = self.screen.event if isinstance(self.screen, CardScreen) else None
        notes = [text for text, _at in self._solved]
        if self._reader is not None and not isinstance(shown, say.ReaderAway):
            notes.append(faces.reader_note(self._reader))
        if self._update is not None and not isinstance(shown, say.UpdateNeeded):
            notes.append(faces.update_note(self._update))
        return tuple(notes)

    def _take(self, event: say.Outward) -> None:
        match event:
            case say.Ready():
                self._ready()
            case say.DoubtSolved():
                self._solved = (*self._solved[-1:], (faces.solved_note(event, self._zone), self._now()))
            case say.ReaderIsBack():
                self._reader = None
                self._come_back_from(say.ReaderAway)
            case say.ReaderAway():
                self._reader = event
                if isinstance(self.screen, CardScreen) and isinstance(self.screen.event, _NEEDS_A_READER):
                    self._show(event)
            case say.UpdateNeeded():
                self._update = event
                if self.screen is None and self.entry.is_empty:
                    self._show(event)
            case _:
                self._show(event)
                if isinstance(event, _NEEDS_A_READER) and self._reader is not None and not self._reader.is_stuck:
                    self._show(self._reader)  # no other one serves either

    def _show(self, event: say.Outward) -> None:
        face = faces.face(event, self._now(), self._zone)
        assert face is not None, "notes and Ready are taken before"
        screen = self.screen
        if isinstance(event, _PASSING) and isinstance(screen, CardScreen) and not isinstance(screen.event, _PASSING):
            self._before = screen
        if isinstance(event, say.Paid | say.InVerification):
            self.entry = self._fresh
        self.has_asked_why = False
        self.screen = CardScreen(face, event)

    def _ready(self) -> None:
        """The till rests. What was paid stays to be read until its own time is over."""
        if isinstance(self.screen, CardScreen) and isinstance(self.screen.event, _OVER):
            return
        self._before = None
        if isinstance(self.screen, CardScreen):
            self._end(is_done=False)

    def _take_silence(self, to: say.Inward | None) -> None:
        screen = self.screen
        if isinstance(to, say.Accept) and isinstance(screen, CardScreen) and isinstance(screen.event, say.Split):
            self.screen = CardScreen(faces.accepted_split(screen.event), screen.event)
        elif isinstance(to, say.CardRemoved):
            self._come_back_from(say.OneCardOnly)

    def _come_back_from(self, passing: type[say.Outward]) -> None:
        if isinstance(self.screen, CardScreen) and isinstance(self.screen.event, passing):
            self.screen, self._before = self._before, None

    def _undo_reading(self) -> None:
        """Show again what stood before « Gardez la carte posée… »."""
        screen = self.screen
        if not isinstance(screen, CardScreen) or screen.face != faces.keep_lying():
            return
        face = faces.face(screen.event, self._now(), self._zone) if screen.event is not None else None
        self.screen = CardScreen(face, screen.event) if face is not None else None

    def _end(self, *, is_done: bool) -> None:
        """Back to the sale screen; with an empty basket when the sale is over."""
        self.screen, self._before, self.has_asked_why = None, None, False
        if is_done:
            self.entry = self._fresh


def _has_key(face: Face, key: str) -> bool:
    return any(entry.key == key for entry in face.keys)
