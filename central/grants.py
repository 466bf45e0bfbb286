"""Grants become limits: what the counter of a slot may reach inside a window, and the entitlement that says so.

A purse that lapses lives in two value files by turns (central/windows.py). When a file is used again its new limit is
min(highest proven counter, earlier limit + voids known in that window) + grant: sales not yet reported make a new
balance smaller, never larger. A limit never falls inside its window.

A signed limit contains exactly the proven voids whose transaction is at most the entitlement's mark; those beyond it
travel as slips on the card.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from central import signing_duty, voids
from central.keys import CentralKeys
from central.store import Row, Store
from central.transactions import BORNE_OUT
from central.unproven import check_grant, has_proof
from central.windows import FOREVER, check_free, file_for
from domain.identity import CardId, PurseNumber, SlotFile, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.rule_set import RuleSet

MOST_TMC: Final = 0xFFFFFF
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
        kind=str(kind),
    )
    return store.number("SELECT max(id) FROM grant_given WHERE card = ?", card)


def _open_window(store: Store, card: CardId, purse: PurseNumber, file: SlotFile, begins: int, ends: int | None) -> None:
    last = store.one(
        "SELECT * FROM slot_window WHERE card = ? AND file = ? ORDER BY start_at DESC LIMIT 1",
        card,
        file,
    )
    check_free(last, begins)
    base = 0 if last is None else min(proven_spent(store, card, file, begins), _reachable(store, card, file, last))
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


def _reachable(store: Store, card: CardId, file: int, window: Row) -> int:
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
        gained = max(min(proven, _reachable(store, card, window["file"], before)) - window["base"], 0)
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
        _limit(store, card, window, _voids_up_to(store, card, window, up_to), up_to) > window["limit_signed"]
        for window in _windows(store, card, at)
    )


def _voids_up_to(store: Store, card: CardId, window: Row, up_to: int) -> int:
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


def issue(store: Store, keys: CentralKeys, card: CardId, rules: RuleSet, at: datetime) -> Entitlement:
    """Sign a new entitlement of a card; inside a transaction of the store."""
    row = store.one("SELECT uid, loaded FROM card WHERE card = ?", card)
    assert row is not None, "entitlements are for cards of the programme"
    uid = Uid(bytes(row["uid"]))
    windows, up_to = _windows(store, card, at), mark(store, card)
    slots = tuple(_slot(store, card, window, row["loaded"], up_to) for window in windows)
    issued_at = at.replace(microsecond=0)
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
            _voids_up_to(store, card, window, up_to),
            int(slot.limit),
            card,
            window["file"],
            window["start_at"],
        )
    return entitlement


def _limit(store: Store, card: CardId, window: Row, back: int, up_to: int) -> int:
    limit = int(window["spent_limit"]) + back
    if window["bound"]:
        file, start = window["file"], window["start_at"]
        since = voids.in_limit(store, card, file, start, up_to) - voids.in_limit(
            store, card, file, start, window["bound_mark"]
        )
        limit = max(limit, int(window["bound"]) + max(since, 0))
    return limit if window["cap"] is None else min(limit, int(window["cap"]))


def epoch(store: Store) -> int:
    """The centre's epoch: 1, and one more for each time it was restored from a backup."""
    return 1 + store.current_number("epoch")


def _last_seq(store: Store, card: CardId) -> int:
    query = "SELECT max(seq) FROM entitlement_known WHERE card = ? AND epoch = ?"
    return store.number(query, card, epoch(store))


def is_remembered(store: Store, card: CardId, content: bytes) -> bool:
    """Whether these bytes of a card's entitlement place (zeros behind the signature) are a word this centre kept."""
    number = content[10], int.from_bytes(content[11:14], "big")
    own = store.one("SELECT data FROM entitlement WHERE card = ? AND epoch = ? AND seq = ?", card, *number)
    return own is not None and bytes(own["data"]) == content.rstrip(b"\x00").ljust(len(own["data"]), b"\x00")


def found_on_card(store: Store, word: Entitlement, data: bytes, terminal: bytes, at_epoch: int, seq: int) -> None:
    """An entitlement of this centre's own key that a card showed: one it has forgotten binds it.

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
        begins, ends = int(slot.start.timestamp()), None if slot.end is None else int(slot.end.timestamp())
        window = store.one(
            "SELECT * FROM slot_window WHERE card = ? AND file = ? AND start_at = ?", word.card, slot.file, begins
        )
        if window is None and own is None:
            _open_window(store, word.card, slot.purse, slot.file, begins, ends)
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
            begins,
        )


def _windows(store: Store, card: CardId, at: datetime) -> list[Row]:
    """For each value file the first window that has not ended; else its last."""
    now_s = int(at.timestamp())
    chosen: dict[int, Row] = {}
    for window in store.all("SELECT * FROM slot_window WHERE card = ? ORDER BY file, start_at", card):
        standing = chosen.get(window["file"])
        if standing is None or (standing["end_at"] is not None and standing["end_at"] <= now_s):
            chosen[window["file"]] = window
    return [chosen[file] for file in sorted(chosen)]


def _slot(store: Store, card: CardId, window: Row, loaded: int, up_to: int) -> Slot:
    """A window as it is signed: its limit with the voids up to the mark, never fewer than were signed before.

    A limit found on a card that this centre forgot binds it; of two that bear one number the smaller counts.
    """
    file = SlotFile(window["file"])
    back = _voids_up_to(store, card, window, up_to)
    return Slot(
        file=file,
        purse=PurseNumber(window["purse"]),
        limit=Cents(_limit(store, card, window, back, up_to)),
        floor=Cents(proven_spent(store, card, file)),
        loaded=Cents(loaded),
        start=datetime.fromtimestamp(window["start_at"], UTC),
        end=None if window["end_at"] is None else datetime.fromtimestamp(window["end_at"], UTC),
    )
