"""The daily ceiling on what is signed: how many newly granted cents, how many entitlements, on one UTC day.

It bounds a slip of the hand, a misused account, a programme gone wrong: not a machine taken over with its keys open.
What is counted stands in the same transaction as the entitlement. Every rise of a limit counts, on the day it is first
signed: granted cents, voids folded in, what a late report gives back; renewals that raise nothing cost no cents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from central.days import number_of
from central.keys import CentralKeys
from central.store import Row, Store
from central.tables import SIGNING_TABLES
from domain.identity import CardId, Uid
from domain.money import Cents, in_euros
from domain.purse import Entitlement
from sync.card_format import encode_entitlement
from sync.errors import PanierError

CEILING_CENTS: Final = Cents(1_000_000)
MOST_SIGNATURES: Final = 20_000
_CENTS_NAME, _SIGNATURES_NAME = "signing ceiling cents", "signing ceiling signatures"


class CeilingReached(PanierError):
    """This entitlement would go above what may be signed today: it is not signed, and waits."""


@dataclass(frozen=True, slots=True)
class Duty:
    """One UTC day: what was signed, and what may be."""

    day: date
    cents: int
    signatures: int
    ceiling_cents: int
    most_signatures: int

    @property
    def cents_left(self) -> int:
        """What may still be granted today."""
        return max(self.ceiling_cents - self.cents, 0)


def duty_of(store: Store, day: date) -> Duty:
    """The duty of a day so far."""
    row = store.one("SELECT * FROM signing_day WHERE day = ?", number_of(day)) or {}
    cents, signatures = standing_ceiling(store)
    return Duty(
        day=day,
        cents=row.get("cents", 0),
        signatures=row.get("signatures", 0),
        ceiling_cents=max(cents, row.get("ceiling_cents") or 0),
        most_signatures=max(signatures, row.get("most_signatures") or 0),
    )


def standing_ceiling(store: Store) -> tuple[int, int]:
    """Cents and signatures of any day that nobody raised."""
    found = {
        row["name"]: row["value"]
        for row in store.all("SELECT name, value FROM meta WHERE name IN (?, ?)", _CENTS_NAME, _SIGNATURES_NAME)
    }
    return found.get(_CENTS_NAME, int(CEILING_CENTS)), found.get(_SIGNATURES_NAME, MOST_SIGNATURES)


def sign(store: Store, keys: CentralKeys, entitlement: Entitlement, uid: Uid, at: datetime) -> bytes:
    """The signed bytes of an entitlement, counted; inside a transaction of the store.

    Raises:
        CeilingReached: nothing is signed and nothing counted.
        KeysClosed: two custodians have to open the keys first.
    """
    signer = keys.entitlement_signer()
    new = _new_cents(store, entitlement)
    _count(store, _rise(store, entitlement), at)
    for (file, start_s), cents in new.items():
        where = {"card": entitlement.card, "file": file, "start_at": start_s}
        store.put_new("signed_grant", **where, cents=0)
        store.change(
            "UPDATE signed_grant SET cents = cents + ? WHERE card = ? AND file = ? AND start_at = ?",
            cents,
            *where.values(),
        )
    return encode_entitlement(entitlement, uid, signer)


def _rise(store: Store, entitlement: Entitlement) -> int:
    """Cents by which limits go above those signed before; of a window never signed, above the counter it begins at."""
    rise = 0
    for slot in entitlement.slots:
        window = store.one(
            "SELECT base, limit_signed FROM slot_window WHERE card = ? AND file = ? AND start_at = ?",
            entitlement.card,
            int(slot.file),
            int(slot.start.timestamp()),
        )
        signed = 0 if window is None else int(window["limit_signed"] or window["base"])
        rise += max(int(slot.limit) - signed, 0)
    return rise


def _new_cents(store: Store, entitlement: Entitlement) -> dict[tuple[int, int], int]:
    """By file and start of a window (s since 1970): granted cents no entitlement was signed for yet.

    None of a window that is over: its limit does not contain them (``limits.limit_of``).
    """
    found = {}
    for slot in entitlement.slots:
        place = (int(slot.file), int(slot.start.timestamp()))
        new = unsigned(store, entitlement.card, *place)
        if new and (slot.end is None or slot.end > entitlement.issued_at):
            found[place] = new
    return found


def unsigned(store: Store, card: CardId, file: int, start_s: int) -> int:
    """Granted cents of a window that no entitlement was signed for."""
    granted, signed = (
        store.number(
            f"SELECT sum({what}) FROM {table} WHERE card = ? AND file = ? AND start_at = ?", card, file, start_s
        )
        for what, table in (("amount", "grant_given"), ("cents", "signed_grant"))
    )
    return max(granted - signed, 0)


def waiting(store: Store, at: datetime) -> dict[CardId, int]:
    """Cards with granted cents that could be signed and are not, oldest grant first, and how many.

    A window behind another of its file that has not ended is not due yet.
    """
    rows = store.all(
        """SELECT card, sum(amount - signed) AS cents, min(newest) AS oldest FROM (
            SELECT card, file, start_at, max(end_at) AS end_at, sum(amount) AS amount, max(id) AS newest,
            coalesce((SELECT cents FROM signed_grant WHERE signed_grant.card = grant_given.card
                AND signed_grant.file = grant_given.file AND signed_grant.start_at = grant_given.start_at), 0) AS signed
            FROM grant_given GROUP BY card, file, start_at) AS due
        WHERE amount > signed AND (end_at IS NULL OR end_at > ?) AND NOT EXISTS (
            SELECT 1 FROM slot_window WHERE slot_window.card = due.card AND slot_window.file = due.file
            AND slot_window.start_at < due.start_at AND (slot_window.end_at IS NULL OR slot_window.end_at > ?))
        GROUP BY card ORDER BY oldest""",
        int(at.timestamp()),
        int(at.timestamp()),
    )
    return {CardId(bytes(row["card"])): row["cents"] for row in rows}


def never_signed(store: Store, at: datetime) -> tuple[Row, ...]:
    """Grants whose window was over before a ceiling or closed keys let them be signed, the oldest first.

    They reached no card and cannot any more. An entitlement signs all that was granted for a window so far, so what is
    not signed is always the newest.
    """
    rows = store.all(
        """SELECT * FROM (SELECT grant_given.*, slot_window.end_at AS over_at,
            sum(amount) OVER (PARTITION BY card, file, start_at ORDER BY grant_given.id) AS granted,
            coalesce((SELECT cents FROM signed_grant WHERE signed_grant.card = grant_given.card
                AND signed_grant.file = grant_given.file AND signed_grant.start_at = grant_given.start_at), 0) AS signed
            FROM grant_given JOIN slot_window USING (card, file, start_at))
        WHERE over_at <= ? AND granted > signed ORDER BY id""",
        int(at.timestamp()),
    )
    return tuple(rows)


def _count(store: Store, new: int, at: datetime) -> None:
    duty = duty_of(store, at.astimezone(UTC).date())
    if duty.signatures + 1 > duty.most_signatures:
        raise CeilingReached(
            f"Le plafond du jour est atteint : {duty.most_signatures} dotations ont été signées. "
            "Celle-ci est enregistrée et attend demain (UTC), ou deux gardiens : « panier central keys raise ». "
            "Ne la saisissez pas une deuxième fois."
        )
    if new and duty.cents + new > duty.ceiling_cents:
        raise CeilingReached(
            f"{in_euros(Cents(new))} de plus dépasseraient le plafond du jour ({in_euros(Cents(duty.ceiling_cents))}, "
            f"dont {in_euros(Cents(duty.cents))} sont signés). Rien n'est signé ; la dotation est enregistrée et "
            "attend demain (UTC), ou deux gardiens : « panier central keys raise ». Ne la saisissez pas une "
            "deuxième fois."
        )
    store.put_new("signing_day", day=number_of(duty.day), cents=0, signatures=0)
    store.change(
        "UPDATE signing_day SET cents = cents + ?, signatures = signatures + 1 WHERE day = ?", new, number_of(duty.day)
    )


# --- what two custodians may do --------------------------------------------------------------------------------------


def raise_ceiling(store: Store, keys: CentralKeys, day: date, cents: int | None, signatures: int | None) -> Duty:
    """Let more be signed on one day; inside a transaction. ValueError: lower than it is. KeysClosed."""
    keys.entitlement_signer()
    duty = duty_of(store, day)
    if (cents is not None and cents < duty.ceiling_cents) or (
        signatures is not None and signatures < duty.most_signatures
    ):
        raise ValueError("Le plafond d'un jour se relève ; il ne s'abaisse pas.")
    store.put_new("signing_day", day=number_of(day), cents=0, signatures=0)
    store.change(
        """UPDATE signing_day SET ceiling_cents = coalesce(?, ceiling_cents),
        most_signatures = coalesce(?, most_signatures) WHERE day = ?""",
        cents,
        signatures,
        number_of(day),
    )
    return duty_of(store, day)


def put_standing_ceiling(store: Store, keys: CentralKeys, cents: int | None, signatures: int | None) -> None:
    """The ceiling of every day from now on; inside a transaction. ValueError: below zero. KeysClosed."""
    keys.entitlement_signer()
    for name, value in ((_CENTS_NAME, cents), (_SIGNATURES_NAME, signatures)):
        if value is not None and value < 0:
            raise ValueError("Un plafond n'est pas négatif.")
        if value is not None:
            store.put_new("meta", name=name, value=value)
            store.change("UPDATE meta SET value = ? WHERE name = ?", value, name)


def record(store: Store, what: str, custodians: tuple[str, ...], at: datetime) -> None:
    """Write down which custodians opened the keys, and for what; inside a transaction."""
    store.put("custody", at=int(at.timestamp()), what=what, custodians=" ".join(custodians))


def take_over(store: Store) -> None:
    """Give the database of the first version its new tables: what it signed so far counts as signed."""
    for table in SIGNING_TABLES:
        store.change(table)
    store.change(
        """INSERT INTO signed_grant (card, file, start_at, cents) SELECT card, file, start_at, sum(amount)
        FROM grant_given WHERE card IN (SELECT card FROM entitlement) GROUP BY card, file, start_at
        ON CONFLICT DO NOTHING"""
    )
