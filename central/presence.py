"""Proof of presence: each transaction of a card names the one before it, so the centre knows exactly what is missing.

The card enciphers the reader id of its previous transaction into the next one's proof, and its counters show the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from central.history import History
from central.store import Row, Store
from central.transactions import NO_EPOCH
from central.voids import NOT_TOLD
from central.windows import displaced
from domain.identity import CardId
from sync.card_format import decode_log_record

OTHER_TERMINAL: Final = "la carte nomme une autre opération avant celle-ci"
FUTURE: Final = "une carte nomme un numéro que cette caisse n'a pas atteint ; rien ne le prouve"
FUTURE_PROVEN: Final = "une carte prouve une opération que cette caisse a oubliée"
FORGOTTEN: Final = (
    "une carte prouve une opération sous ce numéro, le journal de la caisse dit autre chose : sa mémoire est revenue "
    "en arrière, ou quelqu'un s'est servi de son numéro"
)
FALSE_PROOF: Final = (
    "preuve fausse : la carte {card} est suspendue. Une copie de la carte, ou cette caisse ment ; si la carte est "
    "bonne : « panier central release »"
)
FALSE_STATION: Final = "preuves fausses de plusieurs cartes : regardez cette caisse elle-même"
TWIN: Final = "deux dotations différentes de même numéro : le centre a été restauré sans « panier central restored »"
DISPLACED: Final = (
    "carte {card} : une période de l'enveloppe n° {purse} que ce centre a oubliée n'a plus sa place, une autre s'y "
    "trouve ; rien n'en est repris : voyez avec le porteur ce qui lui manque, et donnez-le à la main"
)
SLIP_AGAINST: Final = "un bon d'annulation signé contredit le journal de la caisse ou la carte"
VOIDS_IN_FRENCH: Final[dict[str, str]] = {
    "a void of a payment that its terminal never sent": "annulation d'un paiement que la caisse n'a pas envoyé",
    "a void of other amounts or another transaction than the payment's": "annulation qui ne correspond pas au paiement",
    "a void of a terminal after its revocation": "annulation par une caisse révoquée",
    "a payment is voided once": "deuxième annulation du même paiement",
    "a void under a number its terminal gave to something else": "annulation sous un numéro qui dit autre chose",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Transactions of a card that no record and no proof tells of.

    Attributes:
        first, last: transaction counters.
        cents: what they debited together by the card's counters; of a counter not read between two gaps the later one
            bears the whole.
        station, seq: who made the last of them; ``None``: not known yet.
        is_claim: only a terminal says so, not the card's proof.
    """

    first: int
    last: int
    cents: int
    station: int | None
    seq: int | None
    is_claim: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for a person to look at: station, its journal number, a French sentence."""

    station: int
    seq: int
    why: str


def gaps_of(store: Store, card: CardId, history: History, doubts: Sequence[Row] = ()) -> tuple[Gap, ...]:
    """What is missing of a card, each run of unknown transactions with its sum; doubts are not missing."""
    doubted: dict[int, int] = {row["tmc"]: row["amount"] for row in doubts}
    sums = _sums(history)
    found = []
    for first, last in history.gaps():
        inside = [tmc for tmc in doubted if first <= tmc <= last]
        cents = max(sums.get(last, 0) - sum(doubted[tmc] for tmc in inside), 0)
        if len(inside) < last - first + 1 or cents:
            found.append(Gap(first, last, cents, *_last_of(store, card, history, last)))
    return tuple(found)


def notices(store: Store) -> tuple[Notice, ...]:
    """All that contradicts a card's own proof, for a person to look at."""
    found = [
        *_false_proofs(store),
        *_unlike(store),
        *_futures(store),
        *_forgotten(store),
        *_voids(store),
        *_slips(store),
        *_twins(store),
        *_displaced(store),
    ]
    return tuple(sorted(found, key=lambda item: (item.station, item.seq, item.why)))


def decided_otherwise(store: Store) -> tuple[Notice, ...]:
    """Payments that cards prove and that this centre would have decided otherwise, or cannot decide again."""
    rows = store.all(
        """SELECT station, decided_otherwise.seq AS seq, why FROM decided_otherwise
        JOIN event USING (terminal, epoch, seq) JOIN terminal USING (terminal, epoch)
        WHERE event.state IN ('proven', 'attested') ORDER BY station, decided_otherwise.seq"""
    )
    return tuple(Notice(row["station"], row["seq"], row["why"]) for row in rows)


def _sums(history: History) -> dict[int, int]:
    """Cents missing by the last transaction of each gap: what every counter lost between two readings."""
    gaps, sums = history.gaps(), dict[int, int]()
    for file in history.files:
        anchors = sorted(
            {(0, history.loaded), *((tmc, value) for (at, tmc), value in history.points.items() if at == file)}
        )
        for (since, before), (until, after) in pairwise(anchors):
            known = sum(taken.get(file, 0) for tmc, taken in history.debits.items() if since < tmc <= until)
            lost = before - after - known
            bearing = [last for first, last in gaps if first <= until and last > since]
            if lost > 0 and bearing:
                sums[bearing[-1]] = sums.get(bearing[-1], 0) + lost
    return sums


def _last_of(store: Store, card: CardId, history: History, last: int) -> tuple[int | None, int | None, bool]:
    """Who made the last transaction of a gap: by the next one's proof, or by a log record somebody read."""
    after = history.events.get(last + 1)
    if after is not None and after["previous_station"] is not None:
        return after["previous_station"], after["previous_seq"], False
    rows = store.all("SELECT DISTINCT log FROM log_seen WHERE card = ? AND tmc = ? ORDER BY log LIMIT 2", card, last)
    if len(rows) != 1:
        return None, None, after is None
    told = decode_log_record(bytes(rows[0]["log"]))
    return int(told.station), told.seq, True


def _unlike(store: Store) -> list[Notice]:
    """Two neighbouring transactions of a card, where the later names another one than the earlier."""
    rows = store.all(
        """SELECT terminal.station AS station, after.seq AS seq FROM event AS after
        JOIN event AS before ON before.card = after.card AND before.tmc = after.tmc - 1
            AND before.state IN ('proven', 'attested')
        JOIN terminal AS own ON own.terminal = before.terminal AND own.epoch = before.epoch
        JOIN terminal ON terminal.terminal = after.terminal AND terminal.epoch = after.epoch
        WHERE after.state = 'proven' AND after.has_proof = 1
        AND (after.previous_station, after.previous_seq) IS NOT (own.station, before.seq)"""
    )
    return [Notice(row["station"], row["seq"], OTHER_TERMINAL) for row in rows]


def _futures(store: Store) -> list[Notice]:
    rows = store.all(
        """SELECT terminal.station AS station, alarm.claimed_seq AS seq, EXISTS (SELECT 1 FROM event
            WHERE event.card = alarm.card AND event.tmc = claimed_tmc
            AND event.source = 'card' AND event.state = 'proven') AS is_proven
        FROM alarm JOIN terminal USING (terminal, epoch)"""
    )
    return [Notice(row["station"], row["seq"], FUTURE_PROVEN if row["is_proven"] else FUTURE) for row in rows]


def _forgotten(store: Store) -> list[Notice]:
    """What cards prove or attest under numbers that hold something else in the journals they name."""
    rows = store.all(
        "SELECT own_log FROM event WHERE epoch = ? AND state IN ('proven', 'attested') AND own_log <> x''", NO_EPOCH
    )
    told = [decode_log_record(bytes(row["own_log"])) for row in rows]
    return [Notice(int(record.station), record.seq, FORGOTTEN) for record in told]


def _false_proofs(store: Store) -> list[Notice]:
    """Who sent the proofs that suspended cards; one that did so for two cards is looked at itself."""
    rows = store.all(
        """SELECT station, suspension.card AS card, seq, released_at FROM suspension
        JOIN terminal USING (terminal, epoch) ORDER BY station, seq"""
    )
    found = [
        Notice(row["station"], row["seq"], FALSE_PROOF.format(card=bytes(row["card"]).hex()))
        for row in rows
        if row["released_at"] is None
    ]
    cards: dict[int, set[bytes]] = {}
    for row in rows:
        of_station = cards.setdefault(row["station"], set())
        if len(of_station | {bytes(row["card"])}) == 2 and len(of_station) == 1:
            found.append(Notice(row["station"], row["seq"], FALSE_STATION))
        of_station.add(bytes(row["card"]))
    return found


def _voids(store: Store) -> list[Notice]:
    rows = store.all(
        """SELECT terminal.station AS station, event.seq AS seq, why FROM void_made
        JOIN event USING (terminal, epoch, seq) JOIN terminal USING (terminal, epoch)
        WHERE event.state IN ('proven', 'attested') AND why NOT IN ('', ?)""",
        NOT_TOLD,
    )
    return [Notice(row["station"], row["seq"], VOIDS_IN_FRENCH.get(row["why"]) or str(row["why"])) for row in rows]


def _twins(store: Store) -> list[Notice]:
    """Two entitlements of one number: a centre was restored and went on under its old epoch."""
    rows = store.all(
        """SELECT station, record_seq AS seq FROM entitlement_found JOIN terminal
        ON terminal.terminal = entitlement_found.terminal AND terminal.epoch = record_epoch WHERE is_twin = 1"""
    )
    return [Notice(row["station"], row["seq"], TWIN) for row in rows]


def _displaced(store: Store) -> list[Notice]:
    """Windows a restored centre forgot, whose place another window has by now: each once, by what told of it last."""
    found: dict[tuple[object, ...], Notice] = {}
    for row in store.all("SELECT DISTINCT card FROM entitlement_found WHERE is_twin = 0 ORDER BY card"):
        card = CardId(bytes(row["card"]))
        for item in displaced(store, card):
            station = store.number(
                "SELECT station FROM terminal WHERE terminal = ? AND epoch = ?", item.terminal, item.epoch
            )
            why = DISPLACED.format(card=card.hex(), purse=item.slot.purse)
            found[card, item.slot.file, item.slot.purse, item.slot.start, item.slot.end] = Notice(
                station, item.seq, why
            )
    return list(found.values())


def _slips(store: Store) -> list[Notice]:
    """Slips a station signed that neither its journal nor the card bears out, once either has spoken."""
    rows = store.all(
        """SELECT slip_seen.station AS station, slip_seen.seq AS seq FROM slip_seen
        JOIN terminal ON terminal.station = slip_seen.station
        LEFT JOIN event ON event.terminal = terminal.terminal AND event.epoch = terminal.epoch
            AND event.seq = slip_seen.seq AND event.card = slip_seen.card AND event.tmc = slip_seen.tmc
            AND event.kind = 'void'
        WHERE is_verified = 1 AND event.seq IS NULL AND (
            EXISTS (SELECT 1 FROM record WHERE record.terminal = terminal.terminal AND record.epoch = terminal.epoch
                AND record.seq = slip_seen.seq)
            OR EXISTS (SELECT 1 FROM event AS other WHERE other.card = slip_seen.card AND other.tmc = slip_seen.tmc
                AND other.state = 'proven'))"""
    )
    return [Notice(row["station"], row["seq"], SLIP_AGAINST) for row in rows]
