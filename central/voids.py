"""Which voids count: each undoes one payment of its own terminal, whole, once, in the window the payment was made in.

A limit contains exactly the voids whose transaction is at most the entitlement's mark; a slip beyond the mark is
counted by the stalls. The ledger counts a void as soon as it is proven, or as its terminal signed it on the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from central.store import Row, Store
from central.transactions import CARD, PAYMENT, Place, Undone, counts_at_all, place_of
from domain.card_log import Debit
from domain.identity import CardId, SlotFile
from domain.money import Cents

NO_PAYMENT: Final = "a void of a payment that its terminal never sent"
OTHER_PAYMENT: Final = "a void of other amounts or another transaction than the payment's"
TWICE: Final = "a payment is voided once"
REVOKED: Final = "a void of a terminal after its revocation"
BESIDE: Final = "a void under a number its terminal gave to something else"
NOT_TOLD: Final = "the log record of a void does not say which payment"
_NEVER_WAS: Final = frozenset({"cancelled", "false"})


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What one counting void gives back to one slot, in cents.

    Attributes:
        tmc: of the void.
        payment_seq: journal number of the payment, at the same terminal.
        start_at: start of the window the payment was made in, seconds since 1970.
        is_payment_known: whether the payment is proven or attested; otherwise it still travels or is in doubt, and
            its void is in no limit.
    """

    place: Place
    tmc: int
    payment_seq: int
    file: int
    start_at: int
    amount: int
    is_payment_known: bool


def fault(store: Store, place: Place, card: CardId, tmc: int, undone: Undone, *, is_record: bool) -> str:
    """Why a void counts for nothing, or nothing at all.

    Args:
        is_record: the void's own record is here, so that every earlier record of its terminal is here too.
    """
    if place.is_beside:
        return BESIDE
    if undone.payment_seq is None or undone.payment_tmc is None:
        return NOT_TOLD
    if not is_record and not _counts_at_all(store, place, card, tmc):
        return REVOKED
    payment = _payment(store, place, undone.payment_seq)
    if payment is None:
        return NO_PAYMENT if is_record or _cannot_come(store, place, card, undone) else ""
    told = (CardId(bytes(payment["card"])), payment["tmc"], payment["kind"])
    if told != (card, undone.payment_tmc, PAYMENT) or payment["tmc"] >= tmc or payment["state"] in _NEVER_WAS:
        return OTHER_PAYMENT
    parts = {row["file"]: row["amount"] for row in _movements(store, payment)}
    if parts != {int(part.file): int(part.amount) for part in undone.parts}:
        return OTHER_PAYMENT
    if any(row["start_at"] is None for row in _movements(store, payment)):
        return OTHER_PAYMENT  # paid out of no window of ours: only taken keys do that
    earlier = store.one(
        """SELECT 1 FROM void_made JOIN event USING (terminal, epoch, seq) WHERE void_made.terminal = ?
        AND void_made.epoch = ? AND payment_seq = ? AND event.state IN ('proven', 'attested') AND seq <> ?
        AND void_made.tmc < ?""",
        place.terminal,
        place.epoch,
        undone.payment_seq,
        place.seq,
        tmc,
    )
    return TWICE if earlier is not None else ""


def settle(store: Store, card: CardId) -> None:
    """Say of each void of a card whether it counts; inside a transaction of the store.

    A payment in doubt that its own terminal has voided did not thereby happen: only the card tells.
    """
    for row in store.all(
        """SELECT event.terminal, event.epoch, event.seq, event.tmc, source, payment_seq, payment_tmc, counts, why
        FROM event JOIN void_made USING (terminal, epoch, seq)
        WHERE event.card = ? AND kind = 'void' AND state IN ('proven', 'attested') ORDER BY event.tmc, event.seq""",
        card,
    ):
        place, undone = place_of(row), undone_by(store, row)
        why = fault(store, place, card, row["tmc"], undone, is_record=row["source"] != CARD)
        if (int(not why), why) != (row["counts"], row["why"]):
            store.change(
                "UPDATE void_made SET counts = ?, why = ? WHERE terminal = ? AND epoch = ? AND seq = ?",
                int(not why),
                why,
                place.terminal,
                place.epoch,
                place.seq,
            )
        if not why:
            _take_window_of_payment(store, place, undone)


def undone_by(store: Store, void: Row) -> Undone:
    """What a void undoes, from its rows."""
    parts = store.all(
        "SELECT file, amount FROM given_back WHERE terminal = ? AND epoch = ? AND seq = ? ORDER BY file",
        void["terminal"],
        void["epoch"],
        void["seq"],
    )
    return Undone(
        void["payment_seq"],
        void["payment_tmc"],
        tuple(Debit(SlotFile(part["file"]), Cents(part["amount"])) for part in parts),
    )


def in_limit(store: Store, card: CardId, file: int, start_at: int, mark: int) -> int:
    """Cents of proven voids, of payments proven or attested, up to ``mark`` that belong into the limit of a window."""
    return store.number(
        """SELECT sum(given_back.amount) FROM given_back JOIN void_made USING (terminal, epoch, seq)
        JOIN event USING (terminal, epoch, seq) WHERE event.card = ? AND given_back.file = ?
        AND given_back.start_at = ? AND counts = 1 AND event.state = 'proven' AND event.tmc <= ?
        AND EXISTS (SELECT 1 FROM event AS payment WHERE payment.terminal = event.terminal
            AND payment.epoch = event.epoch AND payment.seq = payment_seq
            AND payment.state IN ('proven', 'attested'))""",
        card,
        file,
        start_at,
        mark,
    )


def all_given_back(store: Store, card: CardId) -> tuple[GivenBack, ...]:
    """Every counting void of a card by slot, in the order of transactions."""
    rows = store.all(
        """SELECT event.terminal, event.epoch, event.seq, event.tmc, payment_seq, given_back.file,
        given_back.start_at, given_back.amount, payment.seq AS known FROM given_back
        JOIN void_made USING (terminal, epoch, seq) JOIN event USING (terminal, epoch, seq)
        LEFT JOIN event AS payment ON payment.terminal = event.terminal AND payment.epoch = event.epoch
            AND payment.seq = payment_seq AND payment.state IN ('proven', 'attested')
        WHERE event.card = ? AND counts = 1 AND event.state IN ('proven', 'attested') AND given_back.start_at NOT NULL
        ORDER BY event.tmc, event.seq, given_back.file""",
        card,
    )
    return tuple(
        GivenBack(
            place_of(row),
            row["tmc"],
            row["payment_seq"],
            row["file"],
            row["start_at"],
            row["amount"],
            row["known"] is not None,
        )
        for row in rows
    )


def _counts_at_all(store: Store, place: Place, card: CardId, tmc: int) -> bool:
    query = "SELECT station FROM terminal WHERE terminal = ? AND epoch = ?"
    return counts_at_all(store, store.number(query, place.terminal, place.epoch), place.seq, card, tmc)


def _payment(store: Store, place: Place, seq: int) -> Row | None:
    return store.one(
        "SELECT * FROM event WHERE terminal = ? AND epoch = ? AND seq = ?", place.terminal, place.epoch, seq
    )


def _cannot_come(store: Store, place: Place, card: CardId, undone: Undone) -> bool:
    """Whether the payment's number or its transaction is already taken by something else."""
    record = store.one(
        "SELECT 1 FROM record WHERE terminal = ? AND epoch = ? AND seq = ?",
        place.terminal,
        place.epoch,
        undone.payment_seq,
    )
    other = store.one(
        "SELECT 1 FROM event WHERE card = ? AND tmc = ? AND state IN ('proven', 'attested')", card, undone.payment_tmc
    )
    return record is not None or other is not None


def _movements(store: Store, payment: Row) -> list[Row]:
    return store.all(
        "SELECT file, amount, start_at FROM movement WHERE terminal = ? AND epoch = ? AND seq = ?",
        payment["terminal"],
        payment["epoch"],
        payment["seq"],
    )


def _take_window_of_payment(store: Store, place: Place, undone: Undone) -> None:
    assert undone.payment_seq is not None
    payment = _payment(store, place, undone.payment_seq)
    if payment is None:
        return
    for row in _movements(store, payment):
        store.change(
            "UPDATE given_back SET start_at = ? WHERE terminal = ? AND epoch = ? AND seq = ? AND file = ?",
            row["start_at"],
            place.terminal,
            place.epoch,
            place.seq,
            row["file"],
        )
