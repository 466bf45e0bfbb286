"""Cards that give no proof, at the centre: what a terminal's word may say of them is kept low.

Nobody can tell an invented payment of such a card from a true one, so none goes above what the centre itself signed,
nor above what honest terminals let such a card pay on one day (domain/unproven.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from central.store import Store
from domain.card_log import LogRecord
from domain.identity import CardId, SlotFile
from domain.money import in_euros
from domain.unproven import UNPROVEN_CEILING
from sync.card_format import decode_log_record
from sync.ntag_format import gives_proof

ABOVE_LIMIT: Final = "above the limit of a card that gives no proof"
ABOVE_DAY: Final = "above the ceiling of a day of a card that gives no proof"
HIGHEST_FILE: Final = SlotFile(6)


def has_proof(store: Store, card: CardId) -> bool:
    """Whether a card proves its transactions; one nobody knows is taken for one that does."""
    row = store.one("SELECT aid FROM card WHERE card = ?", card)
    return row is None or gives_proof(bytes(row["aid"]))


def check_grant(balance: int) -> None:
    """ValueError: a balance (cents) that a card without proof must not have."""
    if balance > UNPROVEN_CEILING:
        raise ValueError(
            f"une carte sans preuve porte {in_euros(UNPROVEN_CEILING)} au plus, ce qui n'est pas encore confirmé par "
            "une autre caisse compris"
        )


def spent_before(store: Store, card: CardId, tmc: int) -> dict[SlotFile, int]:
    """Cents by file that earlier transactions took, by the terminals' word."""
    rows = store.all(
        """SELECT file, sum(movement.amount) AS cents FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND movement.tmc < ? AND state IN ('proven', 'doubt') GROUP BY file""",
        card,
        tmc,
    )
    return {SlotFile(row["file"]): row["cents"] for row in rows}


def fault(
    store: Store,
    card: CardId,
    told: LogRecord,
    excess: Mapping[SlotFile, int],
    found: Mapping[SlotFile, int],
    zone: ZoneInfo,
) -> str:
    """Why a payment of a card without proof is not posted, or nothing at all.

    Args:
        told: the payment's log record.
        excess: cents by file above the entitlement it was made under.
        found: cents by file, the highest limit this centre forgot and cards have shown.
        zone: whose days count.
    """
    if excess or any(
        _taken(store, card, part.file, told.tmc) + int(part.amount) > _most(store, card, part.file, found[part.file])
        for part in told.debits
    ):
        return ABOVE_LIMIT
    amount = sum(int(part.amount) for part in told.debits)
    return ABOVE_DAY if _paid_on_the_day(store, card, told, zone) + amount > UNPROVEN_CEILING else ""


def _taken(store: Store, card: CardId, file: SlotFile, tmc: int) -> int:
    """Cents every other transaction took from a slot, also later ones that came first."""
    return store.number(
        """SELECT sum(movement.amount) FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND file = ? AND movement.tmc <> ? AND state IN ('proven', 'doubt')""",
        card,
        file,
        tmc,
    )


def _most(store: Store, card: CardId, file: SlotFile, found: int) -> int:
    """The highest limit ever signed for a slot, and the voids not in it yet, in cents."""
    signed = store.number("SELECT max(limit_signed) FROM slot_window WHERE card = ? AND file = ?", card, file)
    beyond = store.number(
        """SELECT sum(given_back.amount) FROM given_back JOIN event USING (terminal, epoch, seq)
        WHERE card = ? AND file = ? AND state = 'proven'
        AND event.tmc > (SELECT coalesce(max(mark), 0) FROM entitlement_known WHERE card = ?)""",
        card,
        file,
        card,
    )
    return max(signed, found) + beyond


def _paid_on_the_day(store: Store, card: CardId, told: LogRecord, zone: ZoneInfo) -> int:
    """Cents of the other payments of that day that no void undid."""
    rows = store.all(
        """SELECT own_log, amount FROM event WHERE card = ? AND tmc <> ? AND kind = 'payment'
        AND state IN ('proven', 'doubt') AND NOT EXISTS (SELECT 1 FROM void_made JOIN event AS void
            USING (terminal, epoch, seq) WHERE void.card = event.card AND payment_tmc = event.tmc
            AND void.state = 'proven')""",
        card,
        told.tmc,
    )
    day = told.minutes_at.astimezone(zone).date()
    return sum(
        row["amount"]
        for row in rows
        if decode_log_record(bytes(row["own_log"])).minutes_at.astimezone(zone).date() == day
    )
