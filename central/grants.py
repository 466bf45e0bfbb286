"""Grants become limits, and the entitlement that says so is signed.

How far a window may go is worked out in central/limits.py, where it stands on the card in central/windows.py. A signed
limit contains exactly the proven voids whose transaction is at most the entitlement's mark; those beyond it travel as
slips on the card.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from central import signing_duty
from central.keys import CentralKeys
from central.limits import limit_of, mark, open_window, proven_spent, settle_windows, standing_windows, voids_up_to
from central.store import Row, Store
from central.unproven import check_grant, has_proof
from central.windows import FOREVER, file_for
from domain.identity import CardId, PurseNumber, SlotFile, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.rule_set import RuleSet

VALID_FOR: Final = timedelta(days=40)
RENEWED_AFTER: Final = timedelta(days=10)
"""A card's entitlement is signed again after so long, so that one that reaches a stall is good for a month."""
FLOORS_RAISED_AFTER: Final = timedelta(days=1)
"""… and after so long when the card was used: floor and mark follow what is proven, without a new one each sale."""


class Kind(StrEnum):
    """Why a grant was made."""

    BY_HAND = "by hand"
    ALLOTMENT = "allotment"
    BONUS = "bonus"


def give(
    store: Store,
    card: CardId,
    purse: PurseNumber,
    amount: Cents,
    start: datetime,
    end: datetime | None,
    at: datetime,
    kind: Kind = Kind.BY_HAND,
) -> int:
    """Grant cents to a card inside a window; its number. Inside a transaction of the store.

    Raises:
        ValueError: no sum, a window that is over, or no place on the card for it; a French sentence.
    """
    if amount <= 0:
        raise ValueError("un montant est au-dessus de zéro")
    begins, ends = int(start.timestamp()), None if end is None else int(end.timestamp())
    if ends is not None and ends <= begins:
        raise ValueError("cette période finit avant de commencer")
    if ends is not None and ends <= at.timestamp():
        raise ValueError("cette période est passée")
    file = file_for(store, card, purse, begins, ends)
    key = (card, file, begins)
    if not has_proof(store, card):
        overlapping = store.all(
            """SELECT file, base, spent_limit FROM slot_window WHERE card = ? AND coalesce(end_at, ?) > ?
            AND start_at < ?""",
            card,
            FOREVER,
            max(begins, int(at.timestamp())),
            FOREVER if ends is None else ends,
        )
        spent = {SlotFile(row["file"]): proven_spent(store, card, SlotFile(row["file"])) for row in overlapping}
        left = sum(max(row["spent_limit"] - max(row["base"], spent[row["file"]]), 0) for row in overlapping)
        check_grant(left + int(amount))
    if store.one("SELECT 1 FROM slot_window WHERE card = ? AND file = ? AND start_at = ?", *key) is None:
        open_window(store, card, purse, file, begins, ends)
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
        kind=str(kind),
    )
    return store.number("SELECT max(id) FROM grant_given WHERE card = ?", card)


def take_back_unsigned(store: Store, card: CardId, at: datetime) -> Cents:
    """Take back each bonus of a card that was never signed and whose window is over: it is due again; cents.

    Nobody ever saw it. Other grants stay where they lapsed, for a person to look at (``signing_duty.never_signed``).
    Inside a transaction of the store.
    """
    lost = [row for row in signing_duty.never_signed(store, at) if row["card"] == card and row["kind"] == Kind.BONUS]
    for row in lost:
        store.change("DELETE FROM bonus_given WHERE grant_id = ?", row["id"])
        store.change("DELETE FROM grant_given WHERE id = ?", row["id"])
        store.change(
            "UPDATE slot_window SET spent_limit = spent_limit - ? WHERE card = ? AND file = ? AND start_at = ?",
            row["amount"],
            card,
            row["file"],
            row["start_at"],
        )
    return Cents(sum(int(row["amount"]) for row in lost))


def renew(store: Store, keys: CentralKeys, touched: Iterable[CardId], rules: RuleSet, at: datetime) -> None:
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
        if settle_windows(store, card) or is_old or _has_more_to_sign(store, card, at):
            due.add(card)
    if not keys.is_money_open:
        return
    sign_waiting(store, keys, rules, at)
    for card in sorted(due):
        issue_or_wait(store, keys, card, rules, at)


def sign_waiting(store: Store, keys: CentralKeys, rules: RuleSet, at: datetime) -> None:
    """Sign the grants that a ceiling held back, oldest first, as far as today's ceiling lets; in a transaction."""
    for card, cents in signing_duty.waiting(store, at).items():
        if cents <= signing_duty.duty_of(store, at.date()).cents_left:
            issue_or_wait(store, keys, card, rules, at)


def issue_or_wait(store: Store, keys: CentralKeys, card: CardId, rules: RuleSet, at: datetime) -> str | None:
    """As ``issue``; where a ceiling holds it back, nothing is signed and a sentence says so."""
    try:
        issue(store, keys, card, rules, at)
    except signing_duty.CeilingReached as why:
        return str(why)
    return None


def _has_more_to_sign(store: Store, card: CardId, at: datetime) -> bool:
    """Whether a limit would be above the one signed last: a void the mark has passed, a limit that was forgotten."""
    up_to = mark(store, card)
    return any(
        limit_of(store, card, window, up_to, at) > window["limit_signed"]
        for window in standing_windows(store, card, at)
    )


def issue(store: Store, keys: CentralKeys, card: CardId, rules: RuleSet, at: datetime) -> Entitlement:
    """Sign a new entitlement of a card; inside a transaction of the store."""
    row = store.one("SELECT uid, loaded FROM card WHERE card = ?", card)
    assert row is not None, "entitlements are for cards of the programme"
    uid = Uid(bytes(row["uid"]))
    windows, up_to = standing_windows(store, card, at), mark(store, card)
    issued_at = at.replace(microsecond=0)
    slots = tuple(_slot(store, card, window, row["loaded"], up_to, issued_at) for window in windows)
    entitlement = Entitlement(
        key_id=keys.entitlement_key_id,
        card=card,
        epoch=epoch(store),
        seq=_last_seq(store, card) + 1,
        issued_at=issued_at,
        valid_until=issued_at + VALID_FOR,
        rules_version=rules.version,
        mark=up_to,
        void_allowance=rules.ceilings.void_allowance,
        slots=slots,
        unconfirmed=frozenset(SlotFile(window["file"]) for window in windows if not window["is_confirmed"]),
    )
    signed = signing_duty.sign(store, keys, entitlement, uid, at)
    store.put(
        "entitlement",
        card=card,
        epoch=entitlement.epoch,
        seq=entitlement.seq,
        change_number=store.next_number("entitlement change"),
        issued_at=int(issued_at.timestamp()),
        valid_until=int(entitlement.valid_until.timestamp()),
        mark=up_to,
        data=signed,
    )
    for window, slot in zip(windows, slots, strict=True):
        store.change(
            """UPDATE slot_window SET voids_signed = ?, limit_signed = ?
            WHERE card = ? AND file = ? AND start_at = ?""",
            voids_up_to(store, card, window, up_to),
            int(slot.limit),
            card,
            window["file"],
            window["start_at"],
        )
    return entitlement


def epoch(store: Store) -> int:
    """The centre's epoch: 1, and one more for each time it was restored from a backup."""
    return 1 + store.current_number("epoch")


def _last_seq(store: Store, card: CardId) -> int:
    query = "SELECT max(seq) FROM entitlement_known WHERE card = ? AND epoch = ?"
    return store.number(query, card, epoch(store))


def _slot(store: Store, card: CardId, window: Row, loaded: int, up_to: int, at: datetime) -> Slot:
    """A window as it is signed."""
    file = SlotFile(window["file"])
    return Slot(
        file=file,
        purse=PurseNumber(window["purse"]),
        limit=Cents(limit_of(store, card, window, up_to, at)),
        floor=Cents(proven_spent(store, card, file)),
        loaded=Cents(loaded),
        start=datetime.fromtimestamp(window["start_at"], UTC),
        end=None if window["end_at"] is None else datetime.fromtimestamp(window["end_at"], UTC),
    )
