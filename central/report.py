"""What the centre knows, in figures: for the page, for programs, for a judge. Cents; no names anywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from central.ledger import CardAccount
from central.office import Office


@dataclass(frozen=True, slots=True)
class TerminalLine:
    """One terminal: station, stall, records and proven cents it sent, last contact (s since 1970), why frozen."""

    station: int
    merchant: str
    records: int
    paid: int
    last_contact: int | None
    frozen: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole programme, in cents."""

    programme: str
    granted: int
    spent: int
    doubted: int
    travelling: int
    open: int
    lapsed: int
    excess: int
    payments: int
    cards: tuple[CardAccount, ...]
    terminals: tuple[TerminalLine, ...]
    quarantined: tuple[tuple[int, int, str], ...]

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
        payments=store.number("SELECT count(*) FROM event WHERE state = 'proven'"),
        cards=accounts,
        terminals=tuple(_terminals(office)),
        quarantined=tuple(
            (row["station"], row["seq"], row["why"])
            for row in store.all(
                """SELECT terminal.station AS station, record.seq AS seq, record.why AS why FROM record
                JOIN terminal USING (terminal, epoch) WHERE record.disposition IN (1, 2) ORDER BY station, seq"""
            )
        ),
    )


def _terminals(office: Office) -> list[TerminalLine]:
    rows = office.store.all(
        """SELECT station, merchant.name AS name, head_seq, last_contact, frozen,
        (SELECT coalesce(sum(amount), 0) FROM event WHERE event.terminal = terminal.terminal
            AND event.epoch = terminal.epoch AND state = 'proven') AS paid
        FROM terminal JOIN merchant ON merchant.number = terminal.merchant ORDER BY station"""
    )
    return [
        TerminalLine(row["station"], row["name"], row["head_seq"], row["paid"], row["last_contact"], row["frozen"])
        for row in rows
    ]
