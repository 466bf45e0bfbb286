"""The cashier's application: keys and touches in, words of the till drawn. It decides nothing about money.

key → Entry (what is typed) → Sell → TillLoop → answer → Desk (what is shown) → widgets
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key as KeyEvent
from textual.message import Message
from textual.theme import Theme
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from terminal.events import Inward, Status
from terminal.loop import Answer, Loop
from terminal.ui.card_view import CardView
from terminal.ui.desk import Desk, MenuScreen
from terminal.ui.keys import KeyPressed
from terminal.ui.palette import PALETTES, SOLEIL, Palette
from terminal.ui.sale_view import FamilyTile, FamilyTouched, SaleView
from terminal.ui.status_line import status_line

Sound = Callable[[int], None]
"""Called with 1 for an outcome, with 2 when the card must be laid down again."""

READING_SHOWN_AFTER_S: Final = 0.3
SECOND_RING_S: Final = 0.18
ZONE: Final = ZoneInfo("Europe/Paris")
_KEYS: Final = {
    "enter": "enter",
    "backspace": "-",
    "escape": "-",
    "delete": "-",
    "plus": "+",
    "minus": "-",
    "asterisk": "*",
    "slash": "/",
    "full_stop": ".",
    "comma": ".",
}


@dataclass(frozen=True, slots=True)
class Extra:
    """What a demonstration adds at the bottom: a widget, and letters with what they do. The product has none."""

    widget: Widget
    keys: Mapping[str, Callable[[], None]] = field(default_factory=dict)


class Begun(Message):
    """The core looks at an event."""

    def __init__(self, to: Inward) -> None:
        self.to = to
        super().__init__()


class Answered(Message):
    """The core has answered."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__()


class Failed(Message):
    """The core met a bug."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__()


class TillApp(App[None]):
    """The screens of one till.

    Args:
        loop: the core's loop, not yet started; started when the screen is ready, stopped when it closes.
        status: the status bar's content; called each second from the screen's thread, must return at once.
        families: tiles, the stall's default family first (code, name, icon letter).
        extra: a widget and letters for a demonstration.
        sound: how an outcome sounds; the terminal's bell without.
        zone: time zone of the stall.
        theme: ``"soleil"`` or ``"nuit"``.
        failed: called with the error when the core met a bug, before the screen closes.
    """

    CSS_PATH = "till.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "Panier"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-usual"), (36, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        loop: Loop,
        status: Callable[[], Status],
        families: Sequence[FamilyTile],
        extra: Extra | None = None,
        *,
        sound: Sound | None = None,
        zone: tzinfo = ZONE,
        theme: str = SOLEIL.name,
    ) -> None:
        assert families, "a stall has at least its default family"
        super().__init__()
        for palette in PALETTES:
            self.register_theme(_theme(palette))
        self.theme = theme
        self._till_loop = loop
        self._status = status
        self._tiles = tuple(FamilyTile(*family) for family in families)
        self._extra = extra
        self._sound = sound or self._ring
        self._zone = zone
        self.desk = Desk(loop.post, tuple(tile.code for tile in self._tiles), zone, self._now)
        self._reading: Timer | None = None
        self._leaving: Timer | None = None
        self.error: BaseException | None = None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours for the style sheet before a theme is chosen."""
        return _variables(SOLEIL)

    def compose(self) -> ComposeResult:
        """Note, sale or card screen, extra, status bar."""
        yield Static(id="note")
        with Vertical(id="body"):
            yield SaleView(self._tiles)
            yield CardView()
        if self._extra is not None:
            with Vertical(id="extra"):
                yield self._extra.widget
        yield Static(id="status")

    def on_mount(self) -> None:
        """The screen is ready: start the loop."""
        self._draw()
        self.set_interval(1.0, self._draw_status)
        self._till_loop.start(self)

    def on_resize(self) -> None:
        """Another size: the status bar finds the wording that fits."""
        self.call_after_refresh(self._draw_status)

    def on_unmount(self) -> None:
        """Closing: end the worker after what was posted before."""
        self._till_loop.stop()

    # --- the loop speaks (worker thread) -----------------------------------------------------------------------------

    def begun(self, event: Inward) -> None:
        """See ``terminal.loop.Listener``."""
        self.post_message(Begun(event))

    def answered(self, answer: Answer) -> None:
        """See ``terminal.loop.Listener``."""
        self.post_message(Answered(answer))

    def failed(self, error: BaseException) -> None:
        """See ``terminal.loop.Listener``."""
        self.post_message(Failed(error))

    # --- and is heard (screen thread) --------------------------------------------------------------------------------

    def on_begun(self, message: Begun) -> None:
        """A card is perhaps being read: say so when it takes long."""
        if self.desk.begin(message.to):
            self._reading = self.set_timer(READING_SHOWN_AFTER_S, self._show_reading)

    def on_answered(self, message: Answered) -> None:
        """Show what was said."""
        if self._reading is not None:
            self._reading.stop()
            self._reading = None
        sound = self.desk.hear(message.answer)
        self._draw()
        if sound:
            self._sound(sound)

    def on_failed(self, message: Failed) -> None:
        """A bug: close; the journal knows what happened and the next start recovers from it."""
        self.error = message.error
        self.exit(return_code=1)

    def on_key(self, event: KeyEvent) -> None:
        """A key of the keypad, or a letter of the demonstration."""
        letters = self._extra.keys if self._extra is not None else {}
        key = event.character if event.character and event.character in "0123456789+*/-." else _KEYS.get(event.key)
        if key is not None:
            event.stop()
            self._press(key)
        elif event.key in letters:
            event.stop()
            letters[event.key]()

    def on_key_pressed(self, message: KeyPressed) -> None:
        """A button was touched."""
        self._press(message.key)

    def on_family_touched(self, message: FamilyTouched) -> None:
        """A tile was touched."""
        self.desk.touch_family(message.code)
        self._draw()

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _press(self, key: str) -> None:
        if isinstance(self.desk.screen, MenuScreen) and key == "8":
            self.theme = next(palette.name for palette in PALETTES if palette.name != self.theme)
        self.desk.press(key, self._status)
        self._draw()

    @property
    def _can_draw(self) -> bool:
        """Not while the widgets are being removed: the last answers and ticks may come later than that."""
        return len(self.query("#status")) == 1

    def _draw(self) -> None:
        if not self._can_draw:
            return
        screen = self.desk.screen
        sale, card, note = self.query_one(SaleView), self.query_one(CardView), self.query_one("#note", Static)
        sale.display, card.display = screen is None, screen is not None
        if screen is None:
            sale.show_entry(self.desk.entry)
        else:
            card.show_face(screen.face, screen.face.cause if self.desk.has_asked_why else "")
        words = self.desk.notes()
        note.display = bool(words)
        note.update(Content("\n".join(words)))
        self._leave_in_time()
        self._draw_status()

    def _draw_status(self) -> None:
        if not self._can_draw:
            return
        bar = self.query_one("#status", Static)
        bar.update(Content(status_line(self._status(), self._now(), self._zone, max(1, bar.content_size.width))))
        if self.desk.forget_old_notes():
            self._draw()

    def _leave_in_time(self) -> None:
        if self._leaving is not None:
            self._leaving.stop()
            self._leaving = None
        if (lasts_s := self.desk.lasts_s) is not None:
            self._leaving = self.set_timer(lasts_s, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        self.desk.time_out()
        self._draw()

    def _show_reading(self) -> None:
        self._reading = None
        self.desk.show_reading()
        self._draw()

    def _ring(self, sound: int) -> None:
        self.bell()
        if sound == 2:
            self.set_timer(SECOND_RING_S, self.bell)

    def _now(self) -> datetime:
        instant = self._status().now
        return instant.wall if instant is not None else datetime.now(UTC)


def _theme(palette: Palette) -> Theme:
    return Theme(
        name=palette.name,
        primary=palette.first.ground,
        foreground=palette.page.ink,
        background=palette.page.ground,
        dark=palette.is_dark,
        variables=_variables(palette),
    )


def _variables(palette: Palette) -> dict[str, str]:
    named = palette.pairs().items()
    return {f"{name}-ink": pair.ink for name, pair in named} | {f"{name}-ground": pair.ground for name, pair in named}
