"""What a restored centre forgot, as cards bring it back: entitlements of its own key that it does not remember."""

from __future__ import annotations

from central import voids
from central.limits import MOST_TMC, base_at, open_window, reachable, voids_since
from central.store import Row, Store
from central.windows import FOREVER, displaced, may_take, span_of, standing
from domain.identity import CardId, PurseNumber, SlotFile
from domain.purse import Entitlement, Slot
from sync.card_format import unverified_entitlement


def is_remembered(store: Store, card: CardId, content: bytes) -> bool:
    """Whether these bytes of a card's entitlement place (zeros behind the signature) are a word this centre kept."""
    number = content[10], int.from_bytes(content[11:14], "big")
    own = store.one("SELECT data FROM entitlement WHERE card = ? AND epoch = ? AND seq = ?", card, *number)
    return own is not None and bytes(own["data"]) == content.rstrip(b"\x00").ljust(len(own["data"]), b"\x00")


def found_on_card(store: Store, word: Entitlement, data: bytes, terminal: bytes, at_epoch: int, seq: int) -> None:
    """An entitlement of this centre's own key that a card showed: one it has forgotten binds it.

    Each of its slots binds the window it is of: same file, purse, start and end. One that is forgotten too is opened
    where its place is free, also before windows granted since. Where another window has its place by now (the grants
    were typed again in another order or for other days), nothing is bound, the payment stands, and
    ``central.presence`` asks a person: the next entitlement overwrites this one, what the card spent under it was
    granted and is paid (``central.account``) but counts in the window that stands there, and what the holder has lost
    by that is granted by hand. So nobody gets more than was granted, and no producer waits for his money.

    Two with one number were signed because a restored centre went on under its old epoch: an alarm, and of each slot
    the smaller limit counts. Inside a transaction of the store.

    Args:
        terminal, at_epoch, seq: the record that brought it.
    """
    key = (word.card, *word.number)
    own = store.one("SELECT data FROM entitlement WHERE card = ? AND epoch = ? AND seq = ?", *key)
    if own is not None and bytes(own["data"]) == data:
        return
    if store.one("SELECT 1 FROM entitlement_found WHERE card = ? AND epoch = ? AND seq = ? AND data = ?", *key, data):
        return
    store.put(
        "entitlement_found",
        card=word.card,
        epoch=word.epoch,
        seq=word.seq,
        mark=word.mark,
        is_twin=int(own is not None),
        terminal=terminal,
        record_epoch=at_epoch,
        record_seq=seq,
        data=data,
    )
    for slot in word.slots:
        if own is None and may_take(store, word.card, slot):
            open_window(store, word.card, slot.purse, slot.file, *span_of(slot))
        if standing(store, word.card, slot) is None:
            continue
        if own is None:
            change = "bound_mark = CASE WHEN ? > bound THEN ? ELSE bound_mark END, bound = max(bound, ?)"
            values: tuple[int, ...] = (int(slot.limit), word.mark, int(slot.limit))
        else:
            change, values = "cap = min(coalesce(cap, ?), ?)", (int(slot.limit), int(slot.limit))
        store.change(
            f"UPDATE slot_window SET {change} WHERE card = ? AND file = ? AND start_at = ?",
            *values,
            word.card,
            slot.file,
            span_of(slot)[0],
        )


def highest_found(store: Store, card: CardId, file: SlotFile) -> int:
    """The highest limit of a file in entitlements this centre forgot and the card has shown, in cents; 0 if none."""
    rows = store.all("SELECT data FROM entitlement_found WHERE card = ?", card)
    return max(
        (
            int(slot.limit)
            for row in rows
            for slot in unverified_entitlement(bytes(row["data"])).slots
            if slot.file == file
        ),
        default=0,
    )


def forgotten_cents(store: Store, card: CardId, purse: PurseNumber) -> int:
    """Cents that limits found on a card show beyond all this centre knows it granted in a purse, over all windows.

    Nobody can tell a forgotten bonus from a forgotten allotment, so it is the most that may have been bonus. It falls
    when grants are typed again for the same window. 0 unless a centre was restored.
    """
    windows = store.all("SELECT * FROM slot_window WHERE card = ? AND purse = ? AND bound > 0", card, purse)
    cents = sum(max(reachable(store, card, row["file"], row) - _known(store, card, row), 0) for row in windows)
    elsewhere: dict[tuple[int, int], int] = {}
    for item in displaced(store, card):
        if item.slot.purse == purse:
            begins, _ = span_of(item.slot)
            reached = int(item.slot.limit) + voids_since(store, card, item)
            granted = reached - base_at(store, card, item.slot.file, begins) - _granted_instead(store, card, item.slot)
            place = int(item.slot.file), begins
            elsewhere[place] = max(elsewhere.get(place, 0), granted)
    return cents + sum(elsewhere.values())


def _known(store: Store, card: CardId, window: Row) -> int:
    """How far a window goes by what this centre granted, all voids known of it included."""
    return int(window["spent_limit"]) + voids.in_limit(store, card, window["file"], window["start_at"], MOST_TMC)


def _granted_instead(store: Store, card: CardId, slot: Slot) -> int:
    """Cents in the windows of a purse that were granted again where one that was forgotten stood, or for its days."""
    begins, ends = span_of(slot)
    rows = store.all(
        """SELECT * FROM slot_window WHERE card = ? AND purse = ? AND ((start_at = ? AND end_at IS ?)
        OR (file = ? AND start_at < ? AND coalesce(end_at, ?) > ?))""",
        card,
        slot.purse,
        begins,
        ends,
        slot.file,
        FOREVER if ends is None else ends,
        FOREVER,
        begins,
    )
    return sum(_known(store, card, row) - int(row["base"]) for row in rows)
