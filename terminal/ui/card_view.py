"""The card screen: one face over the whole screen, its keys below."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from terminal.ui.face import Face, Tone
from terminal.ui.keys import KeyRow
from terminal.ui.layout import Row, set_face


class CardView(Vertical):
    """Draws one face; knows nothing of the till."""

    def __init__(self) -> None:
        super().__init__(id="card")
        self._face: Face | None = None
        self._cause = ""

    def compose(self) -> ComposeResult:
        """The face, then its keys."""
        yield Static(id="face")
        yield KeyRow(id="card-keys")

    def show_face(self, face: Face, cause: str = "") -> None:
        """Draw this face, with the sentence asked for by ``.`` if there is one."""
        self._face, self._cause = face, cause
        for tone in Tone:
            self.set_class(tone is face.tone, f"tone-{tone.value}")
        self.query_one("#card-keys", KeyRow).show_keys(face.keys)
        self.call_after_refresh(self._draw)
        self._draw()

    def on_resize(self, _event: Resize) -> None:
        """Set the face anew for the cells there are now."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        place = self.query_one("#face", Static)
        size = place.size
        if self._face is not None and size.width and size.height:
            place.update(lines(set_face(self._face, size.width, size.height, self._cause)))


def lines(rows: tuple[Row, ...]) -> Content:
    """Rows as text to draw; never read as markup."""
    parts: list[tuple[str, str]] = []
    for number, row in enumerate(rows):
        parts.append(("\n" if number else "", ""))
        parts.append((row.text, "bold" if row.is_strong else ""))
    return Content.assemble(*parts)
