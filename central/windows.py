"""Where a grant goes on a card: which value file holds a window, and how many windows may be open at once.

A purse has two files of a card, used by turns (odd and even months), so that a sale that is told late never meets the
next window in the same file. A card holds four purses at a time, one that gives no proof three; a pair of files whose
windows have all ended may be taken by another purse.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from central.store import Row, Store
from central.unproven import HIGHEST_FILE, has_proof
from domain.identity import MOST_SLOTS_A_PAYMENT, CardId, PurseNumber, SlotFile

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


def check_free(last: Row | None, begins: int) -> None:
    """ValueError: the newest window of a file has not ended when the next one begins."""
    if last is not None and _end(last) > begins:
        raise ValueError(_OVERLAPS)


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
