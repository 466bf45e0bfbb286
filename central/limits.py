"""How far a card's counters may go: where each window starts from, what is proven of it, and its limit.

A purse that lapses lives in two value files by turns (central/windows.py). When a file is used again its new limit is
min(highest proven counter, earlier limit + voids known in that window) + grant: sales not yet reported make a new
balance smaller, never larger. A limit never falls inside its window.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from central import voids
from central.signing_duty import unsigned
from central.store import Row, Store
from central.transactions import BORNE_OUT
from central.windows import FOREVER, Displaced, displaced, span_of
from domain.identity import CardId, PurseNumber, SlotFile

MOST_TMC: Final = 0xFFFFFF


def open_window(store: Store, card: CardId, purse: PurseNumber, file: SlotFile, begins: int, ends: int | None) -> None:
    """Put a window into a file that is free for it: it starts from what is proven of those before.

    One behind it, where there is one, starts later than was thought: it is not confirmed any more.
    """
    last = _before(store, card, file, begins)
    reach = _reach_before(store, card, file, begins, last)
    store.put(
        "slot_window",
        card=card,
        file=file,
        start_at=begins,
        end_at=ends,
        purse=purse,
        base=(base := base_at(store, card, file, begins)),
        spent_limit=base,
        is_confirmed=int(last is None and not reach),
    )
    store.change(
        "UPDATE slot_window SET is_confirmed = 0 WHERE card = ? AND file = ? AND start_at > ?", card, file, begins
    )


def base_at(store: Store, card: CardId, file: SlotFile, begins: int) -> int:
    """The counter a window that begins then starts from, by all that is proven before, in cents."""
    reach = _reach_before(store, card, file, begins, _before(store, card, file, begins))
    return min(proven_spent(store, card, file, begins), reach) if reach else 0


def _before(store: Store, card: CardId, file: int, begins: int) -> Row | None:
    return store.one(
        "SELECT * FROM slot_window WHERE card = ? AND file = ? AND start_at < ? ORDER BY start_at DESC LIMIT 1",
        card,
        file,
        begins,
    )


def _reach_before(store: Store, card: CardId, file: int, begins: int, last: Row | None) -> int:
    """What the counter may have reached before a window: in the one before, or under a limit that found no place."""
    found = 0 if last is None else reachable(store, card, file, last)
    for item in displaced(store, card):
        if item.slot.file == file and span_of(item.slot)[0] < begins:
            found = max(found, int(item.slot.limit) + voids_since(store, card, item))
    return found


def voids_since(store: Store, card: CardId, item: Displaced) -> int:
    """Cents of voids in a window that found no place, which its limit does not contain yet."""
    start, _ = span_of(item.slot)
    file = item.slot.file
    return voids.in_limit(store, card, file, start, MOST_TMC) - voids.in_limit(store, card, file, start, item.mark)


def reachable(store: Store, card: CardId, file: int, window: Row) -> int:
    """What the counter may have reached in a window: its limit and all voids known of it, in cents."""
    start, bound_mark = window["start_at"], window["bound_mark"]
    everything = voids.in_limit(store, card, file, start, MOST_TMC)
    since = everything - voids.in_limit(store, card, file, start, bound_mark)
    return max(int(window["spent_limit"]) + everything, int(window["bound"]) + since if window["bound"] else 0)


def proven_spent(store: Store, card: CardId, file: SlotFile, before_s: int = FOREVER) -> int:
    """Highest counter of a value file that the card itself has proven, in cents since issuing.

    Args:
        before_s: only payments in windows that begin before (s since 1970); a sale belongs to the window of the
            entitlement it was made under, so one of a new window never counts for an earlier one.
    """
    loaded = store.number("SELECT loaded FROM card WHERE card = ?", card)
    lowest = store.one(
        """SELECT min(value_after) AS value FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND movement.file = ? AND event.state = 'proven' AND coalesce(start_at, -1) < ?
        AND (start_at IS NOT NULL OR ? = 1) AND """
        + BORNE_OUT,
        card,
        file,
        before_s,
        int(before_s == FOREVER),
    )
    return 0 if lowest is None or lowest["value"] is None else loaded - int(lowest["value"])


def settle_windows(store: Store, card: CardId) -> bool:
    """Let each window start from what is proven by now of the one before; whether anything changed.

    A late report gives the holder back what was held back: the base of the next window rises, never above the limit
    before it. A window is confirmed once the card is known without a gap into it. Inside a transaction of the store.
    """
    changed, before = False, None
    for window in store.all("SELECT * FROM slot_window WHERE card = ? ORDER BY file, start_at", card):
        if before is None or before["file"] != window["file"]:
            before = window
            continue
        proven = proven_spent(store, card, SlotFile(window["file"]), window["start_at"])
        reach = _reach_before(store, card, window["file"], window["start_at"], before)
        gained = max(min(proven, reach) - window["base"], 0)
        confirmed = int(window["is_confirmed"] or _is_known_into(store, card, window))
        if gained or confirmed != window["is_confirmed"]:
            changed = True
            store.change(
                """UPDATE slot_window SET base = base + ?, spent_limit = spent_limit + ?, is_confirmed = ?
                WHERE card = ? AND file = ? AND start_at = ?""",
                gained,
                gained,
                confirmed,
                card,
                window["file"],
                window["start_at"],
            )
        before = {**window, "spent_limit": window["spent_limit"] + gained}  # bound and its mark stay
    return changed


def _is_known_into(store: Store, card: CardId, window: Row) -> bool:
    """Whether a payment of this window is proven, and so is every one before it."""
    return (
        store.one(
            """SELECT 1 FROM movement JOIN event USING (terminal, epoch, seq) WHERE movement.card = ?
            AND movement.file = ? AND start_at = ? AND event.state = 'proven' AND movement.tmc <= ?""",
            card,
            window["file"],
            window["start_at"],
            mark(store, card),
        )
        is not None
    )


def limit_of(store: Store, card: CardId, window: Row, up_to: int, at: datetime) -> int:
    """The limit of a window as it is signed with a mark, in cents: voids up to it, never fewer than signed before.

    A limit found on a card that this centre forgot binds it; of two that bear one number the smaller counts. What was
    granted and not signed before the window was over is not signed any more: it is nobody's, and may be taken back.
    """
    file, start = window["file"], window["start_at"]
    limit = int(window["spent_limit"]) + voids_up_to(store, card, window, up_to)
    if window["end_at"] is not None and window["end_at"] <= at.timestamp():
        limit -= unsigned(store, card, file, start)
    if window["bound"]:
        since = voids.in_limit(store, card, file, start, up_to) - voids.in_limit(
            store, card, file, start, window["bound_mark"]
        )
        limit = max(limit, int(window["bound"]) + max(since, 0))
    return limit if window["cap"] is None else min(limit, int(window["cap"]))


def voids_up_to(store: Store, card: CardId, window: Row, up_to: int) -> int:
    """Cents of voids in a signed limit, never fewer than were signed before."""
    return max(voids.in_limit(store, card, window["file"], window["start_at"], up_to), int(window["voids_signed"]))


def mark(store: Store, card: CardId) -> int:
    """The TMC up to which every transaction of the card is known, without a gap; it never falls.

    A void must be proven: a slip stops counting once the mark has passed it, and a limit contains proven voids only.
    Of a payment it is enough that the card's counters attest it.
    """
    known = store.all(
        f"""SELECT DISTINCT tmc FROM event WHERE card = ? AND {BORNE_OUT}
        AND (state = 'proven' OR (state = 'attested' AND kind = 'payment')) ORDER BY tmc""",
        card,
    )
    signed = store.number("SELECT max(mark) FROM entitlement_known WHERE card = ?", card)
    reached = 0
    for row in known:
        if row["tmc"] != reached + 1:
            break
        reached = row["tmc"]
    return max(reached, signed)


def standing_windows(store: Store, card: CardId, at: datetime) -> list[Row]:
    """For each value file the first window that has not ended; else its last."""
    now_s = int(at.timestamp())
    chosen: dict[int, Row] = {}
    for window in store.all("SELECT * FROM slot_window WHERE card = ? ORDER BY file, start_at", card):
        standing = chosen.get(window["file"])
        if standing is None or (standing["end_at"] is not None and standing["end_at"] <= now_s):
            chosen[window["file"]] = window
    return [chosen[file] for file in sorted(chosen)]
