"""One card's counters along its transactions: where they are known, and what was debited where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from central.store import Row, Store
from domain.identity import CardId


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a card, by transaction counter.

    Attributes:
        loaded: cents every slot started with.
        events: the transactions that happened.
        debits: cents each of them took, by file.
        points: value of a file (cents) after a transaction, read on the card: (file, tmc).
        newest: newest transaction that anything tells of.
        files: every slot that anything was read of or taken from.
    """

    loaded: int
    events: Mapping[int, Row]
    debits: Mapping[int, Mapping[int, int]]
    points: Mapping[tuple[int, int], int]
    newest: int
    files: tuple[int, ...] = field(default=())

    def value_after(self, file: int, tmc: int) -> int | None:
        """Cents in a file after a transaction; ``None`` where an unknown transaction lies between it and every reading.

        tmc 0 is the card as it was issued.
        """
        return self._from_the_left(file, tmc) if tmc >= 0 else None

    def _from_the_left(self, file: int, tmc: int) -> int | None:
        taken, at = 0, tmc
        while True:
            known = self.loaded if at == 0 else self.points.get((file, at))
            if known is not None:
                return known - taken
            if at not in self.events:
                return self._from_the_right(file, tmc)
            taken += self.debits.get(at, {}).get(file, 0)
            at -= 1

    def _from_the_right(self, file: int, tmc: int) -> int | None:
        taken, at = 0, tmc + 1
        while at in self.events:
            taken += self.debits.get(at, {}).get(file, 0)
            known = self.points.get((file, at))
            if known is not None:
                return known + taken
            at += 1
        return None

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last number of each run of transactions up to the newest that nothing proves or attests."""
        return runs_missing(set(self.events), self.newest)


def history_of(
    store: Store, card_id: CardId, *, with_attested: bool = True, with_told_counters: bool = True
) -> History:
    """Everything known of one card of the programme.

    Args:
        with_attested: also the transactions that are only attested.
        with_told_counters: also counters a tap read that debited nothing: a terminal's word, good for figures and
            for guesses that a proof confirms, never to attest anything.
    """
    weaker = "attested" if with_attested else "proven"
    rows = store.all(
        "SELECT * FROM event WHERE card = ? AND state IN ('proven', ?) ORDER BY state, seq", card_id, weaker
    )
    events = {row["tmc"]: row for row in rows}  # of two the proven one
    debits: dict[int, dict[int, int]] = {}
    points: dict[tuple[int, int], int] = {}
    here = {(bytes(row["terminal"]), row["epoch"], row["seq"]) for row in events.values()}
    counters = store.all(
        """SELECT counter.file, counter.tmc, value, event.state AS state FROM counter
        LEFT JOIN event USING (terminal, epoch, seq) WHERE counter.card = ? AND counter.tmc > 0
        AND (event.state = 'proven' OR (event.state IS NULL AND ?))""",
        card_id,
        int(with_told_counters),
    )
    points.update({(row["file"], row["tmc"]): row["value"] for row in counters if row["state"] is None})
    for row in store.all("SELECT * FROM movement WHERE card = ?", card_id):
        if (bytes(row["terminal"]), row["epoch"], row["seq"]) in here:
            debits.setdefault(row["tmc"], {})[row["file"]] = row["amount"]
            if row["value_after"] is not None:
                points[row["file"], row["tmc"]] = row["value_after"]
    points.update({(row["file"], row["tmc"]): row["value"] for row in counters if row["state"] is not None})
    seen = store.number("SELECT max(tmc) FROM sighting WHERE card = ?", card_id)
    read = store.number("SELECT max(tmc) FROM counter WHERE card = ?", card_id)
    newest = max(seen, read, max(events, default=0))
    files = tuple(sorted({file for file, _ in points} | {file for taken in debits.values() for file in taken}))
    loaded = store.number("SELECT loaded FROM card WHERE card = ?", card_id)
    return History(loaded, events, debits, points, newest, files)


def runs_missing(known: set[int], newest: int) -> tuple[tuple[int, int], ...]:
    """First and last number of each run of transactions up to the newest that is not known."""
    gaps, before = [], 0
    for tmc in sorted({*(number for number in known if number <= newest), newest + 1}):
        if tmc > before + 1:
            gaps.append((before + 1, tmc - 1))
        before = tmc
    return tuple(gaps)
