"""Grants become limits: what the counter of a slot may reach inside a window, and the entitlement that says so.

A purse that lapses lives in two value files by turns (odd and even month). When a file is used again its new limit is
min(highest proven counter, earlier limit) + grant: sales not yet reported make a new balance smaller, never larger. A
limit never falls inside its window.
"""

from __future__ import annotations

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
SHOWN_AHEAD: Final = timedelta(days=10)
"""A window is written into entitlements from so long before it begins."""


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
    base = 0 if last is None else min(proven_spent(store, card, file), last["spent_limit"])
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


def proven_spent(store: Store, card: CardId, file: SlotFile) -> int:
    """Highest counter of a value file that the card itself has proven, in cents since issuing."""
    loaded = store.number("SELECT loaded FROM card WHERE card = ?", card)
    lowest = store.one(
        """SELECT min(value_after) AS value FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND movement.file = ? AND event.state = 'proven'""",
        card,
        file,
    )
    return 0 if lowest is None or lowest["value"] is None else loaded - int(lowest["value"])


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
    """For each value file the newest window that has begun or begins soon; else its first."""
    soon = int((at + SHOWN_AHEAD).timestamp())
    chosen: dict[int, Row] = {}
    for window in store.all("SELECT * FROM slot_window WHERE card = ? ORDER BY file, start_at", card):
        if window["file"] not in chosen or window["start_at"] <= soon:
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
