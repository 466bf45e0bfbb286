"""The sale screen: the total in large digits, the lines, the families where they matter, the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.content import Content
from textual.events import Click, Resize
from textual.message import Message
from textual.widgets import Static

from domain.money import Cents, in_euros
from terminal.text import _, ngettext
from terminal.ui.digits import largest_fitting
from terminal.ui.entry import PAGE, Entry, Measure, Typed
from terminal.ui.face import Key
from terminal.ui.keys import KeyRow
from terminal.ui.plain import plain

MARGIN: Final = 2
LEAST_TILE: Final = 15
LOW_ROWS: Final = 20


class FamilyTile(NamedTuple):
    """A family the rules treat differently at this stall: code, name to read, one letter."""

    code: str
    name: str
    icon: str


class FamilyTouched(Message):
    """A tile was touched."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__()


class Tile(Static):
    """One family: the keys that choose it, its name."""

    def __init__(self) -> None:
        super().__init__(classes="tile")
        self._code = ""

    def show_family(self, keys: str, family: FamilyTile | None, *, is_chosen: bool) -> None:
        """Print a family and the keys that choose it now, or hide the tile."""
        self.display = family is not None
        if family is None:
            return
        self._code = family.code
        self.set_class(is_chosen, "chosen")
        sign = "▸" if is_chosen else " "
        self.update(Content.assemble((f"{sign}{keys} ", "bold"), plain(family.name)))

    def on_click(self, event: Click) -> None:
        """Touched."""
        event.stop()
        self.post_message(FamilyTouched(self._code))


class SaleView(Vertical):
    """Draws what has been typed; knows nothing of the till.

    Args:
        families: tiles in their order; the first is the stall's default. Tiles are drawn where there are two or more.
    """

    def __init__(self, families: Sequence[FamilyTile]) -> None:
        super().__init__(id="sale")
        self._families = tuple(families)
        self._names = {family.code: plain(family.name) for family in families}
        self._entry: Entry | None = None

    def compose(self) -> ComposeResult:
        """Total, lines, tiles, keys."""
        yield Static(id="total")
        yield Static(id="lines")
        with Grid(id="tiles"):
            for _number in range(min(PAGE, len(self._families))):
                yield Tile()
        yield KeyRow(self._keys(None), id="sale-keys")

    def show_entry(self, entry: Entry) -> None:
        """Draw what has been typed."""
        self._entry = entry
        self._draw()
        self.call_after_refresh(self._draw)

    def on_resize(self, _event: Resize) -> None:
        """Draw anew for the cells there are now."""
        self._arrange_tiles()
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._entry is None:
            return
        self._draw_tiles(self._entry)
        self.query_one("#sale-keys", KeyRow).show_keys(self._keys(self._entry))
        total, lines = self.query_one("#total", Static), self.query_one("#lines", Static)
        total.update(self._total(self._entry, total.size.width, total.size.height))
        lines.update(self._lines(self._entry, lines.size.width, lines.size.height))

    def _keys(self, entry: Entry | None) -> tuple[Key, ...]:
        if entry is not None and entry.page is not None:
            return choosing_keys(has_pages=entry.pages > 1)
        return sale_keys(has_families=len(self._families) > 1)

    # --- total -------------------------------------------------------------------------------------------------------

    def _total(self, entry: Entry, width: int, height: int) -> Content:
        room = width - 2 * MARGIN
        label = self._label(entry)
        rows = largest_fitting(in_euros(entry.price), room, height - 1)
        style = "" if entry.price else "$soft-ink"
        above = [""] * max(0, (height - len(rows)) // 2)
        drawn = [*above, *(row.rjust(room) for row in rows)]
        if len(rows[-1]) + len(label) + MARGIN <= room:
            drawn[-1] = label + drawn[-1][len(label) :]
        else:  # below the digits where there is no room beside them
            drawn.append(label.rjust(room))
        return Content.assemble(*((" " * MARGIN + row + "\n", style) for row in drawn))

    def _label(self, entry: Entry) -> str:
        count = len(entry.lines) + (entry.typed.amount > 0)
        if count < 2:
            return _("À payer")
        return ngettext("{count} ligne", "{count} lignes", count).format(count=count)

    # --- lines -------------------------------------------------------------------------------------------------------

    def _lines(self, entry: Entry, width: int, height: int) -> Content:
        room = max(0, width - 2 * MARGIN)
        rows = [self._row(self._family_name(line.family), "", line.amount, room) for line in entry.lines]
        parts: list[tuple[str, str]] = [(row, "") for row in rows]
        parts.append(self._typed_row(entry, room))
        if len(parts) > height > 1:
            hidden = len(parts) - height + 1
            words = ngettext("… {count} ligne au-dessus", "… {count} lignes au-dessus", hidden).format(count=hidden)
            parts = [(words, "$soft-ink"), *parts[hidden:]]
        return Content.assemble(*(piece for text, style in parts for piece in (" " * MARGIN, (text, style), "\n")))

    def _typed_row(self, entry: Entry, room: int) -> tuple[str, str]:
        typed = entry.typed
        if entry.page is not None:
            last = min(PAGE, len(entry.families) - entry.page * PAGE)
            hint = _("Famille : 1 à {last}") if last > 1 else _("Famille : {last}")
            return hint.format(last=last).ljust(room), "$typed-ink on $typed-ground"
        if typed.is_empty:
            family = self._family_name(entry.default_family)
            hint = _("{family} · tapez le montant en centimes : 1250 pour 12,50 €")
            short = _("{family} · tapez le montant")
            text = hint if len(hint.format(family=family)) <= room else short
            return text.format(family=family)[:room], "$soft-ink"
        name = self._family_name(typed.family or entry.default_family)
        row = self._row(name, _quantity(typed), typed.amount, room)
        return row, "bold $typed-ink on $typed-ground"

    def _row(self, name: str, quantity: str, amount: Cents, room: int) -> str:
        price = in_euros(amount)
        middle = f"{quantity}   " if quantity else ""
        left = name[: max(0, room - len(price) - len(middle) - 1)]
        return left + (middle + price).rjust(room - len(left))

    def _family_name(self, code: str) -> str:
        return self._names.get(code, plain(code))

    # --- tiles -------------------------------------------------------------------------------------------------------

    def _arrange_tiles(self) -> None:
        tiles = self.query_one("#tiles", Grid)
        shown = min(PAGE, len(self._families))
        columns = max(1, min(shown, (self.size.width - 2 * MARGIN) // LEAST_TILE))
        tiles.styles.grid_size_columns = columns
        rows = -(-shown // columns) if shown else 0
        each = 1 if self.size.height < LOW_ROWS else (3 if rows == 1 else 2)
        tiles.styles.grid_rows = str(each)
        tiles.styles.height = rows * each + (rows - 1 if each > 1 else 0)

    def _draw_tiles(self, entry: Entry) -> None:
        grid = self.query_one("#tiles", Grid)
        is_choosing = entry.page is not None
        is_low = self.size.height < LOW_ROWS
        grid.display = len(self._families) > 1 and (is_choosing or not is_low)
        grid.set_class(is_choosing, "choosing")
        first = (entry.page or 0) * PAGE
        current = entry.typed.family or entry.default_family
        for place, tile in enumerate(self.query(Tile)):
            family = self._families[first + place] if first + place < len(self._families) else None
            keys = f"{place + 1}" if is_choosing else f"/ {place + 1}"
            tile.show_family(keys, family, is_chosen=family is not None and family.code == current)


def sale_keys(*, has_families: bool) -> tuple[Key, ...]:
    """The keys of the sale screen; the family key only where it means something."""
    family = (Key("/", _("famille")),) if has_families else ()
    return (
        Key("enter", _("payer"), is_first=True),
        Key("+", _("ligne")),
        Key("-", _("effacer")),
        *family,
        Key("*", _("quantité")),
        Key(".", _("menu")),
    )


def choosing_keys(*, has_pages: bool) -> tuple[Key, ...]:
    """The keys beside the tiles' own digits while a family is being chosen."""
    return (Key("-", _("retour")), *((Key("/", _("autres familles")),) if has_pages else ()))


def _quantity(typed: Typed) -> str:
    if typed.count is None:
        return ""
    price = in_euros(Cents(int(typed.digits or "0")))
    if typed.measure is Measure.PIECES:
        return _("{count} × {price}").format(count=typed.count, price=price)
    return _("{count} g × {price} le kg").format(count=typed.count, price=price)
