"""Grants become limits: what the counter of a slot may reach inside a window, and the entitlement that says so.

A purse that lapses lives in two value files by turns (odd and even month). When a file is used again its new limit is
min(highest proven counter, earlier limit) + grant: sales not yet reported make a new balance smaller, never larger. A
limit never falls inside its window.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from central.keys import KEY_ID, CentralKeys
from central.store import Row, Store
from domain.identity import CardId, PurseNumber, SlotFile, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from sync.card_format import encode_entitlement

EPOCH: Final = 1
VALID_FOR: Final = timedelta(days=40)
RENEWED_AFTER: Final = timedelta(days=10)
"""A card's entitlement is signed again after so long, so that one that reaches a stall is good for a month."""
FLOORS_RAISED_AFTER: Final = timedelta(days=1)
"""… and after so long when the card was used: floor and mark follow what is proven, without a new one each sale."""


def slot_file(purse: PurseNumber, start: datetime, end: datetime | None) -> SlotFile:
    """The value file of a window: purse 1 in files 1 and 2, purse 2 in 3 and 4 …; even months in the second."""
    first = 2 * purse - 1
    if not 1 <= first <= 7:
        raise ValueError("four purses at most have value files")
    middle = start if end is None else start + (end - start) / 2
    return SlotFile(first if end is None or middle.month % 2 else first + 1)


def give(
    store: Store, card: CardId, purse: PurseNumber, amount: Cents, start: datetime, end: datetime | None, at: datetime
) -> None:
    """Grant cents to a card inside a window; inside a transaction of the store."""
    if amount <= 0:
        raise ValueError("a grant is above zero")
    file = slot_file(purse, start, end)
    begins, ends = int(start.timestamp()), None if end is None else int(end.timestamp())
    key = (card, file, begins)
    if store.one("SELECT 1 FROM slot_window WHERE card = ? AND file = ? AND start_at = ?", *key) is None:
        _open_window(store, card, purse, file, begins, ends)
    store.change(
        "UPDATE slot_window SET spent_limit = spent_limit + ? WHERE card = ? AND file = ? AND start_at = ?",
        amount,
        *key,
    )
    store.put(
        "grant_given",
        card=card,
        purse=purse,
        file=file,
        amount=int(amount),
        start_at=begins,
        end_at=ends,
        given_at=int(at.timestamp()),
    )


def _open_window(store: Store, card: CardId, purse: PurseNumber, file: SlotFile, begins: int, ends: int | None) -> None:
    last = store.one(
        "SELECT spent_limit, end_at FROM slot_window WHERE card = ? AND file = ? ORDER BY start_at DESC LIMIT 1",
        card,
        file,
    )
    if last is not None and (last["end_at"] is None or last["end_at"] > begins):
        raise ValueError("two windows of one value file never overlap")
    base = 0 if last is None else min(proven_spent(store, card, file, begins), last["spent_limit"])
    store.put(
        "slot_window",
        card=card,
        file=file,
        start_at=begins,
        end_at=ends,
        purse=purse,
        base=base,
        spent_limit=base,
        is_confirmed=int(last is None),
    )


def proven_spent(store: Store, card: CardId, file: SlotFile, before_s: int = 2**62) -> int:
    """Highest counter of a value file that the card itself has proven, in cents since issuing.

    Args:
        before_s: only payments in windows that begin before (s since 1970); a sale belongs to the window of the
            entitlement it was made under, so one of a new window never counts for an earlier one.
    """
    loaded = store.number("SELECT loaded FROM card WHERE card = ?", card)
    lowest = store.one(
        """SELECT min(value_after) AS value FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND movement.file = ? AND event.state = 'proven' AND coalesce(start_at, -1) < ?
        AND (start_at IS NOT NULL OR ? = 1)""",
        card,
        file,
        before_s,
        int(before_s == 2**62),
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
        gained = max(min(proven, before["spent_limit"]) - window["base"], 0)
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
        before = {**window, "spent_limit": window["spent_limit"] + gained}
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


def renew(store: Store, keys: CentralKeys, touched: Iterable[CardId], rules_version: int, at: datetime) -> None:
    """Sign again what changed or grows old; inside a transaction of the store.

    Args:
        touched: cards a batch said something about.
    """
    newest = {
        CardId(bytes(row["card"])): row["issued_at"]
        for row in store.all("SELECT card, max(issued_at) AS issued_at FROM entitlement GROUP BY card")
    }
    due = {card for card, issued_at in newest.items() if at.timestamp() - issued_at >= RENEWED_AFTER.total_seconds()}
    for card in touched:
        issued_at = newest.get(card)
        if issued_at is None:
            continue
        is_old = at.timestamp() - issued_at >= FLOORS_RAISED_AFTER.total_seconds()
        if settle_windows(store, card) or is_old:
            due.add(card)
    for card in sorted(due):
        issue(store, keys, card, rules_version, at)


def mark(store: Store, card: CardId) -> int:
    """The TMC up to which every transaction of the card is proven, without a gap."""
    known = store.all("SELECT DISTINCT tmc FROM event WHERE card = ? AND state = 'proven' ORDER BY tmc", card)
    reached = 0
    for row in known:
        if row["tmc"] != reached + 1:
            break
        reached = row["tmc"]
    return reached


def issue(store: Store, keys: CentralKeys, card: CardId, rules_version: int, at: datetime) -> Entitlement:
    """Sign a new entitlement of a card; inside a transaction of the store."""
    row = store.one("SELECT uid, loaded FROM card WHERE card = ?", card)
    assert row is not None, "entitlements are for cards of the programme"
    uid = Uid(bytes(row["uid"]))
    windows = _windows(store, card, at)
    issued_at = at.replace(microsecond=0)
    entitlement = Entitlement(
        key_id=KEY_ID,
        card=card,
        epoch=EPOCH,
        seq=store.number("SELECT max(seq) FROM entitlement WHERE card = ? AND epoch = ?", card, EPOCH) + 1,
        issued_at=issued_at,
        valid_until=issued_at + VALID_FOR,
        rules_version=rules_version,
        mark=mark(store, card),
        void_allowance=Cents(0),
        slots=tuple(_slot(store, card, window, row["loaded"]) for window in windows),
        unconfirmed=frozenset(SlotFile(window["file"]) for window in windows if not window["is_confirmed"]),
    )
    store.put(
        "entitlement",
        card=card,
        epoch=entitlement.epoch,
        seq=entitlement.seq,
        change_number=store.next_number("entitlement change"),
        issued_at=int(issued_at.timestamp()),
        valid_until=int(entitlement.valid_until.timestamp()),
        data=encode_entitlement(entitlement, uid, keys.signer("entitlements")),
    )
    return entitlement


def _windows(store: Store, card: CardId, at: datetime) -> list[Row]:
    """For each value file the first window that has not ended; else its last."""
    now_s = int(at.timestamp())
    chosen: dict[int, Row] = {}
    for window in store.all("SELECT * FROM slot_window WHERE card = ? ORDER BY file, start_at", card):
        standing = chosen.get(window["file"])
        if standing is None or (standing["end_at"] is not None and standing["end_at"] <= now_s):
            chosen[window["file"]] = window
    return [chosen[file] for file in sorted(chosen)]


def _slot(store: Store, card: CardId, window: Row, loaded: int) -> Slot:
    file = SlotFile(window["file"])
    return Slot(
        file=file,
        purse=PurseNumber(window["purse"]),
        limit=Cents(window["spent_limit"]),
        floor=Cents(proven_spent(store, card, file)),
        loaded=Cents(loaded),
        start=datetime.fromtimestamp(window["start_at"], UTC),
        end=None if window["end_at"] is None else datetime.fromtimestamp(window["end_at"], UTC),
    )
