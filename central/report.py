"""What the centre knows, in figures: for the page, for programs, for a judge. Cents; no names anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from central import bonuses, merchant_check, merchants
from central.account import CardAccount
from central.grants import Kind
from central.office import Office
from central.presence import Notice, decided_otherwise, notices
from central.signing_duty import never_signed
from central.transactions import BORNE_OUT


@dataclass(frozen=True, slots=True)
class TerminalLine:
    """One terminal.

    Attributes:
        records: in its chain.
        paid: cents of its proven payments that no void undid, without what was above the limits.
        excess: cents of the same payments that nothing in force allowed: they pay nobody before a person has looked.
        last_contact: seconds since 1970.
        frozen: why nothing more is taken from it.
    """

    station: int
    merchant: str
    records: int
    paid: int
    excess: int
    last_contact: int | None
    frozen: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole programme, in cents.

    Attributes:
        attested, voided, false, unproven: see CardAccount.
        bonus_granted: part of what was granted.
        bonus_due: bonus that tills have shown, by all that is known here, and that is not granted yet.
        never_signed: card, purse and cents of each grant whose window was over before it was signed; part of lapsed.
        ending: point of sale and French sentence of each entry and certificate that ends soon or has ended.
        missing: debits no record tells of, from the cards' counters, by the station that made the last of them (0: not
            known), greatest first.
        notices: what contradicts a card's own proof: station, journal number, French sentence.
        decided_otherwise: payments that are proven and counted, but which the rules, merchant entry and entitlement
            they name decide otherwise here (``central.redecision``).
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
    bonus_granted: int
    bonus_due: int
    payments: int
    voids: int
    cards: tuple[CardAccount, ...]
    terminals: tuple[TerminalLine, ...]
    quarantined: tuple[tuple[int, int, str], ...]
    never_signed: tuple[tuple[str, int, int], ...]
    ending: tuple[tuple[str, str], ...]
    missing: tuple[tuple[int, int], ...]
    notices: tuple[Notice, ...]
    decided_otherwise: tuple[Notice, ...]

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
        bonus_granted=store.number("SELECT sum(amount) FROM grant_given WHERE kind = ?", str(Kind.BONUS)),
        bonus_due=int(bonuses.due(store, office.keys)),
        payments=store.number("SELECT count(*) FROM event WHERE state = 'proven' AND kind = 'payment'"),
        voids=store.number("SELECT count(*) FROM (SELECT DISTINCT card, tmc FROM void_made WHERE counts = 1)"),
        cards=accounts,
        terminals=tuple(_terminals(office)),
        quarantined=tuple(
            (row["station"], row["seq"], row["why"])
            for row in store.all(
                """SELECT terminal.station AS station, record.seq AS seq, record.why AS why FROM record
                JOIN terminal USING (terminal, epoch) WHERE record.disposition IN (1, 2) ORDER BY station, seq"""
            )
        ),
        never_signed=tuple(
            (row["card"].hex(), row["purse"], row["amount"]) for row in never_signed(store, office.now())
        ),
        ending=tuple(_ending(office)),
        missing=_missing(accounts),
        notices=notices(store),
        decided_otherwise=decided_otherwise(store),
    )


def _ending(office: Office) -> Iterator[tuple[str, str]]:
    for entry in merchants.entries(office.store):
        yield from ((entry.name, sentence) for sentence in merchant_check.ends_say(entry, office.today()))


def _missing(accounts: tuple[CardAccount, ...]) -> tuple[tuple[int, int], ...]:
    """Station and cents of what is missing."""
    sums: Counter[int] = Counter()
    for gap in (gap for account in accounts for gap in account.gaps):
        sums[gap.station or 0] += gap.cents
    return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _terminals(office: Office) -> list[TerminalLine]:
    rows = office.store.all(
        f"""SELECT station, merchant, point_of_sale, head_seq, last_contact, frozen,
        coalesce(sum(amount - excess), 0) AS paid, coalesce(sum(excess), 0) AS excess
        FROM terminal LEFT JOIN event ON event.terminal = terminal.terminal AND event.epoch = terminal.epoch
            AND state = 'proven' AND kind = 'payment' AND {BORNE_OUT} AND NOT EXISTS (SELECT 1 FROM void_made
                JOIN event AS void USING (terminal, epoch, seq) WHERE void.terminal = event.terminal
                AND void.epoch = event.epoch AND payment_seq = event.seq AND counts = 1
                AND void.state IN ('proven', 'attested'))
        GROUP BY station ORDER BY station"""
    )
    names = {merchants.place_of(entry): entry.name for entry in merchants.entries(office.store)}
    return [
        TerminalLine(
            station=row["station"],
            merchant=names[merchants.PointOfSale(row["merchant"], row["point_of_sale"])],
            records=row["head_seq"],
            paid=row["paid"],
            excess=row["excess"],
            last_contact=row["last_contact"],
            frozen=row["frozen"],
        )
        for row in rows
    ]
