"""Where a grant goes on a card: which value file holds a window, and how many windows may be open at once.

A purse has two files of a card, used by turns (odd and even months), so that a sale that is told late never meets the
next window in the same file. A card holds four purses at a time, one that gives no proof three; a pair of files whose
windows have all ended may be taken by another purse.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from central.store import Row, Store
from central.unproven import HIGHEST_FILE, has_proof
from domain.identity import MOST_SLOTS_A_PAYMENT, CardId, PurseNumber, SlotFile
from domain.purse import Slot
from sync.card_format import unverified_entitlement

FOREVER: Final = 2**62
"""Later than any end of a window, in seconds."""
PAIRS: Final = 4
_OVERLAPS: Final = "cette période en chevauche une autre de cette carte sans être la même"


def file_for(store: Store, card: CardId, purse: PurseNumber, begins: int, ends: int | None) -> SlotFile:
    """The value file of a window of a purse, begun or not; inside a transaction of the store.

    Args:
        begins, ends: s since 1970; ``None`` for a window without end.

    Raises:
        ValueError: no file is free, or a fourth window would be open at once; a French clause.
    """
    windows = store.all("SELECT file, purse, start_at, end_at FROM slot_window WHERE card = ?", card)
    same = [row for row in windows if (row["purse"], row["start_at"], row["end_at"]) == (purse, begins, ends)]
    if same:
        return SlotFile(same[0]["file"])
    if _most_open_beside(windows, begins, ends) >= MOST_SLOTS_A_PAYMENT:
        raise ValueError(
            f"{MOST_SLOTS_A_PAYMENT} enveloppes de cette carte sont déjà ouvertes pendant cette période, "
            "et une carte n'en paie pas davantage à la fois"
        )
    pair = _pair_of(windows, purse, begins, PAIRS if has_proof(store, card) else HIGHEST_FILE // 2)
    return SlotFile(_turn(windows, pair, begins, ends))


def _pair_of(windows: Iterable[Row], purse: PurseNumber, begins: int, pairs: int) -> int:
    """Which pair of files a purse has on this card, 1 to ``pairs``: files 1 and 2, 3 and 4 …"""
    newest: dict[int, Row] = {}
    for row in sorted(windows, key=lambda row: int(row["start_at"])):
        newest[_pair(row["file"])] = row
    own = [pair for pair, row in newest.items() if row["purse"] == purse]
    if own:
        return int(max(own, key=lambda pair: int(newest[pair]["start_at"])))
    free = [pair for pair in range(1, pairs + 1) if pair not in newest]
    if free:
        return int(purse) if purse in free else free[0]
    ended = [pair for pair in newest if all(_end(row) <= begins for row in windows if _pair(row["file"]) == pair)]
    if not ended:
        raise ValueError(f"{pairs} enveloppes au plus tiennent en même temps sur cette carte")
    return int(min(ended, key=lambda pair: _end(newest[pair])))


def _turn(windows: Iterable[Row], pair: int, begins: int, ends: int | None) -> int:
    """Of a pair the file whose turn it is, odd months in the first; the other where that one is taken or just over.

    A file is free for a window when all that is in it has ended as the window begins: one file never holds two
    windows that cross, nor two with one start.
    """
    first = 2 * pair - 1
    middle = None if ends is None else datetime.fromtimestamp(begins + (ends - begins) // 2, UTC)
    by_month = first if middle is None or middle.month % 2 else first + 1
    files = by_month, 2 * first + 1 - by_month
    free = [file for file in files if all(_end(row) <= begins for row in windows if row["file"] == file)]
    if not free:
        raise ValueError(_OVERLAPS)
    is_just_over = any(row["file"] == free[0] and row["end_at"] == begins for row in windows)
    return free[-1] if is_just_over else free[0]


def may_take(store: Store, card: CardId, slot: Slot) -> bool:
    """Whether a slot of an entitlement this centre forgot can be a window in its file.

    Not where another window of that file crosses it, nor where the very same window stands in another file by now: its
    money would be there twice.
    """
    begins, ends = span_of(slot)
    rows = store.all("SELECT file, purse, start_at, end_at FROM slot_window WHERE card = ?", card)
    return not any(
        (row["purse"], row["start_at"], row["end_at"]) == (slot.purse, begins, ends)
        or (row["file"] == slot.file and row["start_at"] < (FOREVER if ends is None else ends) and _end(row) > begins)
        for row in rows
    )


def standing(store: Store, card: CardId, slot: Slot) -> Row | None:
    """The window a slot of an entitlement is of: file, purse, start and end are the same."""
    return store.one(
        "SELECT * FROM slot_window WHERE card = ? AND file = ? AND purse = ? AND start_at = ? AND end_at IS ?",
        card,
        slot.file,
        slot.purse,
        *span_of(slot),
    )


@dataclass(frozen=True, slots=True)
class Displaced:
    """A slot of an entitlement that this centre forgot, whose place another window has by now: it binds nothing.

    Attributes:
        mark: of that entitlement.
        terminal, epoch, seq: the record that brought it.
    """

    slot: Slot
    mark: int
    terminal: bytes
    epoch: int
    seq: int


def displaced(store: Store, card: CardId) -> tuple[Displaced, ...]:
    """All of a card, the oldest entitlement first."""
    rows = store.all("SELECT * FROM entitlement_found WHERE card = ? AND is_twin = 0 ORDER BY epoch, seq", card)
    return tuple(
        Displaced(slot, row["mark"], bytes(row["terminal"]), row["record_epoch"], row["record_seq"])
        for row in rows
        for slot in unverified_entitlement(bytes(row["data"])).slots
        if standing(store, card, slot) is None
    )


def span_of(slot: Slot) -> tuple[int, int | None]:
    """Start and end of a slot's window, s since 1970."""
    return int(slot.start.timestamp()), None if slot.end is None else int(slot.end.timestamp())


def _most_open_beside(windows: Iterable[Row], begins: int, ends: int | None) -> int:
    """The most windows that are open together at any instant of another one."""
    until = FOREVER if ends is None else ends
    beside = [row for row in windows if row["start_at"] < until and _end(row) > begins]
    instants = {begins, *(row["start_at"] for row in beside if row["start_at"] > begins)}
    return max(sum(int(row["start_at"] <= at < _end(row)) for row in beside) for at in instants)


def _pair(file: int) -> int:
    return (file + 1) // 2


def _end(row: Row) -> int:
    return FOREVER if row["end_at"] is None else int(row["end_at"])
