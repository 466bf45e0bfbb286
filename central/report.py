"""What the centre knows, in figures: for the page, for programs, for a judge. Cents; no names anywhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from central.account import CardAccount
from central.courier import ROLLED_BACK
from central.office import Office
from central.presence import Notice, notices


@dataclass(frozen=True, slots=True)
class TerminalLine:
    """One terminal: station, stall, records, proven cents less voids, last contact (s since 1970), why frozen."""

    station: int
    merchant: str
    records: int
    paid: int
    last_contact: int | None
    frozen: str | None

    @property
    def is_rolled_back(self) -> bool:
        """Whether a card proved that this terminal's medium went back in time."""
        return self.frozen == ROLLED_BACK


@dataclass(frozen=True, slots=True)
class Report:
    """The whole programme, in cents.

    Attributes:
        attested, voided, false, unproven: see CardAccount.
        missing: debits no record tells of, from the cards' counters, by the station that made the last of them (0: not
            known), greatest first.
        notices: what contradicts a card's own proof: station, journal number, French sentence.
    """

    programme: str
    granted: int
    spent: int
    doubted: int
    travelling: int
    open: int
    lapsed: int
    excess: int
    attested: int
    voided: int
    false: int
    unproven: int
    payments: int
    voids: int
    cards: tuple[CardAccount, ...]
    terminals: tuple[TerminalLine, ...]
    quarantined: tuple[tuple[int, int, str], ...]
    missing: tuple[tuple[int, int], ...]
    notices: tuple[Notice, ...]

    @property
    def is_conserved(self) -> bool:
        """granted = spent + doubted + travelling + open + lapsed, for each card and so for the whole; no excess."""
        return all(card.is_conserved for card in self.cards)

    def as_json(self) -> dict[str, Any]:
        """Plain values; card ids in hexadecimal."""
        cards = [{**asdict(card), "card": card.card.hex(), "is_conserved": card.is_conserved} for card in self.cards]
        plain = asdict(self)
        return {**plain, "cards": cards, "is_conserved": self.is_conserved}


def report(office: Office) -> Report:
    """The figures now."""
    accounts = office.accounts()
    store = office.store

    def over(name: str) -> int:
        return sum(int(getattr(account, name)) for account in accounts)

    return Report(
        programme=office.rules.programme,
        granted=over("granted"),
        spent=over("spent"),
        doubted=over("doubted"),
        travelling=over("travelling"),
        open=over("open"),
        lapsed=over("lapsed"),
        excess=over("excess"),
        attested=over("attested"),
        voided=over("voided"),
        false=over("false"),
        unproven=over("unproven"),
        payments=store.number("SELECT count(*) FROM event WHERE state = 'proven' AND kind = 'payment'"),
        voids=store.number("SELECT count(*) FROM event JOIN void_made USING (terminal, epoch, seq) WHERE counts = 1"),
        cards=accounts,
        terminals=tuple(_terminals(office)),
        quarantined=tuple(
            (row["station"], row["seq"], row["why"])
            for row in store.all(
                """SELECT terminal.station AS station, record.seq AS seq, record.why AS why FROM record
                JOIN terminal USING (terminal, epoch) WHERE record.disposition IN (1, 2) ORDER BY station, seq"""
            )
        ),
        missing=_missing(accounts),
        notices=notices(store),
    )


def _missing(accounts: tuple[CardAccount, ...]) -> tuple[tuple[int, int], ...]:
    """Station and cents of what is missing."""
    sums: Counter[int] = Counter()
    for gap in (gap for account in accounts for gap in account.gaps):
        sums[gap.station or 0] += gap.cents
    return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _terminals(office: Office) -> list[TerminalLine]:
    rows = office.store.all(
        """SELECT station, merchant.name AS name, head_seq, last_contact, frozen,
        (SELECT coalesce(sum(CASE kind WHEN 'payment' THEN amount ELSE -amount END), 0) FROM event
            LEFT JOIN void_made USING (terminal, epoch, seq) WHERE event.terminal = terminal.terminal
            AND event.epoch = terminal.epoch AND state = 'proven' AND (kind = 'payment' OR counts = 1)) AS paid
        FROM terminal JOIN merchant ON merchant.number = terminal.merchant ORDER BY station"""
    )
    return [
        TerminalLine(row["station"], row["name"], row["head_seq"], row["paid"], row["last_contact"], row["frozen"])
        for row in rows
    ]
