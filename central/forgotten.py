"""What a restored centre forgot, as cards bring it back: entitlements of its own key that it does not remember."""

from __future__ import annotations

from central.limits import open_window
from central.store import Store
from central.windows import may_take, span_of, standing
from domain.identity import CardId
from domain.purse import Entitlement


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
