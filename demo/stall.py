"""The stall on the screen: the till as the cashier sees it, and a table with virtual cards to lay on its reader."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from rich.text import Text
from textual.widgets import Static

from central.office import Office
from demo.morning import panier
from domain.identity import CardId, PurseNumber
from domain.money import Cents
from emulator.card import VirtualCard
from terminal.bootstrap import MakeReaders, OpenTill
from terminal.ui.app import Extra, TillApp
from terminal.ui.sale_view import FamilyTile

SYNC_EVERY_S = 15.0
CARDS = (
    ("a", "40 €", "04A1B2C3D40001", 4_000, False),
    ("b", "9,40 €", "04A1B2C3D40002", 940, False),
    ("c", "opposition", "04A1B2C3D40003", 4_000, True),
    ("d", "inconnue", "04A1B2C3D40004", 0, False),
)


class Reader(Protocol):
    """What lays cards on the stall's reader."""

    def lay_down(self, card: Path) -> None: ...

    def lift(self) -> None: ...


class Table:
    """The virtual cards, and which one lies on the reader. The hand moves in a thread of its own: keys never wait."""

    def __init__(self, folder: Path, reader: Reader, address: str) -> None:
        self._folder = folder
        self._reader = reader
        self._address = address
        self._moves: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.lying: str | None = None
        threading.Thread(target=self._move, name="hand", daemon=True).start()

    def path(self, letter: str) -> Path:
        """File of a card."""
        return self._folder / "cards" / f"{letter}.json"

    def toggle(self, letter: str) -> None:
        """Lay a card down, or lift it; only one lies there at a time."""
        before, self.lying = self.lying, None
        if before is not None:
            self._moves.put(self._reader.lift)
        if before != letter:
            self._moves.put(lambda: self._reader.lay_down(self.path(letter)))
            self.lying = letter

    def drawn(self) -> Text:
        """Two lines for the bottom of the screen."""
        text = Text(" Cartes : ")
        for letter, label, *_ in CARDS:
            is_lying = letter == self.lying
            text.append(f" {letter} ", style="reverse bold" if is_lying else "bold")
            text.append(f"{label}{' ▼' if is_lying else ''}  ")
        return text.append(f"q quitter\n Centre, dans un navigateur : {self._address}")

    def _move(self) -> None:
        while True:
            self._moves.get()()


def prepare_stall(folder: Path, issue: Callable[[Path], CardId]) -> None:
    """Issue the cards, grant, report one lost, enrol the terminal."""
    (folder / "cards").mkdir()
    office = Office(folder / "centre")
    try:
        first = office.today().replace(day=1)
        window = office.day_start(first), office.day_start((first + timedelta(days=32)).replace(day=1))
        for letter, _label, uid, cents, is_hot in CARDS:
            path = folder / "cards" / f"{letter}.json"
            VirtualCard.blank(bytes.fromhex(uid), path)
            if not cents:
                continue
            card = issue(path)
            office.grant(card, PurseNumber(1), Cents(cents), *window)
            if is_hot:
                office.report_lost(card)
        merchant = office.put_merchant("Ferme du Moulin", ("referenced", "sustainable"), "vegetables")
        code = office.new_code(merchant.number)
    finally:
        office.close()
    till, centre = str(folder / "till-1"), str(folder / "centre.sock")
    argv = panier("enrol", "--dir", till, "--socket", centre, "--no-pin", code.text)
    subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


def show_stall(folder: Path, make_readers: MakeReaders, reader: Reader, address: str) -> int:
    """Open the till on the screen; returns when it is closed."""
    opened = OpenTill(folder / "till-1", make_readers, phone="05 62 00 00 01")
    table = Table(folder, reader, address)
    widget = Static(table.drawn())
    tiles = [FamilyTile(family.code, family.name_fr, family.icon) for family in opened.tiles()]

    def toggler(letter: str) -> Callable[[], None]:
        def toggle() -> None:
            table.toggle(letter)
            widget.update(table.drawn())

        return toggle

    keys = {letter: toggler(letter) for letter, *_ in CARDS}
    app = TillApp(opened.loop, opened.status, tiles, Extra(widget, {**keys, "q": lambda: app.exit()}))
    closing = threading.Event()
    syncing = threading.Thread(target=_sync_again_and_again, args=(folder, closing), daemon=True)
    opened.watch_readers()
    syncing.start()
    try:
        app.run()
    finally:
        closing.set()
        syncing.join(20)
        opened.close()
    return 1 if app.error else 0


def _sync_again_and_again(folder: Path, closing: threading.Event) -> None:
    """The network of the stall: another process fetches batches through the till's socket."""
    argv = panier("sync", "--dir", str(folder / "till-1"), "--socket", str(folder / "centre.sock"))
    while not closing.wait(SYNC_EVERY_S):
        subprocess.run(argv, check=False, capture_output=True, timeout=60)
