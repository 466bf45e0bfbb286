"""Keys printed on buttons: a row of them under each screen, touched or typed with the same effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Click, Resize
from textual.message import Message
from textual.widgets import Static

from terminal.text import _
from terminal.ui.face import Key

MOST_KEYS: Final = 6
_AROUND: Final = 4  # cells of padding and gap that one button needs beside its words


def name_of(key: str) -> str:
    """What is printed on the key itself."""
    return {"enter": _("Entrée"), "-": "−", "*": "×"}.get(key, key)


class KeyPressed(Message):
    """A button was touched: the same as its key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__()


class KeyButton(Static):
    """One key and what it does."""

    def __init__(self) -> None:
        super().__init__(classes="key")
        self._key = ""

    def show_key(self, key: Key | None, *, has_words: bool = True) -> None:
        """Print a key, without its words where there is no room; ``None`` hides the button."""
        self.display = key is not None
        if key is None:
            return
        self._key = key.key
        self.set_class(key.is_first, "first")
        words = f" {key.does}" if has_words else ""
        self.update(Content.assemble((name_of(key.key), "bold"), words))

    def on_click(self, event: Click) -> None:
        """Touched."""
        event.stop()
        self.post_message(KeyPressed(self._key))


class KeyRow(Horizontal):
    """The keys that mean something now."""

    def __init__(self, keys: Sequence[Key] = (), id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys = tuple(keys)

    def compose(self) -> ComposeResult:
        """As many buttons as a screen ever has; unused ones are hidden."""
        for _number in range(MOST_KEYS):
            yield KeyButton()

    def on_mount(self) -> None:
        """Print what was given at the start."""
        self._print()

    def on_resize(self, event: Resize) -> None:
        """Words come and go with the room there is."""
        self._print(event.size.width)

    def show_keys(self, keys: Sequence[Key]) -> None:
        """Other keys mean something now; none hides the row."""
        if tuple(keys) == self._keys:
            return
        self._keys = tuple(keys)
        self.display = bool(keys)
        self._print()

    def _print(self, width: int | None = None) -> None:
        with_words = worded(self._keys, width or self.size.width or self.app.size.width)
        for place, button in enumerate(self.query(KeyButton)):
            key = self._keys[place] if place < len(self._keys) else None
            button.show_key(key, has_words=place < with_words)


def worded(keys: Sequence[Key], width: int) -> int:
    """How many of the keys, from the first on, keep their words so that all buttons fit into ``width`` cells."""
    for with_words in range(len(keys), 0, -1):
        needed = sum(
            len(name_of(key.key)) + _AROUND + (len(key.does) + 1 if place < with_words else 0)
            for place, key in enumerate(keys)
        )
        if needed <= width:
            return with_words
    return 1
