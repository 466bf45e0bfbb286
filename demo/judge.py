"""Judges a morning from what is left of it: journals, card files, the centre's database. It only reads.

Files are opened with the standard library's sqlite3 and json; records are taken apart by the format's own reader.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.cbor import decode_map, take_bytes
from sync.crypto import public_key
from sync.enrolment import MOST_RESPONSE_B, read_certificate
from sync.errors import FormatError
from sync.record import Envelope, Outcome, Pay, RecordType, Refuse, Resolve, open_record, record_hash, verify_record

LOADED = 16_000_000
AID = "A05310"
EXPECTED_CENTS = {"amira": 6_000, "bruno": 0, "chloe": 0, "denis": 3_500, "elise": 700, "farid": 5_700}
STATIONS = (1, 2, 3)
ON_HOT_LIST, ENTITLEMENT_MISSING = 42, 46


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about the morning, and whether it holds."""

    sentence: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class Remains:
    """What the morning left.

    Attributes:
        journals: records by station, in order.
        spent: cents gone from the value files of each card, by name.
        ids: card id of each card, by name.
        tmcs: transaction counter of each card, by name.
        centre: rows of the centre's tables.
    """

    journals: dict[int, list[Envelope]]
    hashes: dict[int, list[bytes]]
    are_chained: bool
    spent: dict[str, int]
    ids: dict[str, bytes]
    tmcs: dict[str, int]
    centre: Callable[..., list[tuple[Any, ...]]]

    def of(self, station: int, kind: RecordType) -> list[Envelope]:
        """Records of one kind in one journal."""
        return [record for record in self.journals[station] if record.type == kind]

    def paid(self, name: str, station: int) -> list[int]:
        """Cents of each payment of a card at a station that the journal holds as paid, in order."""
        found = []
        for record in self.journals[station]:
            body = record.body
            if record.type == RecordType.PAYMENT and body[Pay.CARD] == self.ids[name]:
                found.append(_debited(record))
            is_confirmed = record.type == RecordType.RESOLUTION and body[Resolve.OUTCOME] == Outcome.CONFIRMED
            if is_confirmed and body[Resolve.CARD] == self.ids[name]:
                found.append(int(str(body[Resolve.AMOUNT])))
        return found

    def refusals(self, name: str, station: int) -> list[object]:
        """Reasons a card was refused for at a station."""
        return [
            record.body[Refuse.REASON]
            for record in self.of(station, RecordType.REFUSAL)
            if record.body[Refuse.CARD] == self.ids[name]
        ]


def judge(folder: Path) -> list[Finding]:
    """All findings about the morning in ``folder``."""
    left = _collect(folder)
    return [
        *_on_journals(left),
        *_on_sales(left),
        *_on_doubts(left),
        *_on_offline(left),
        *_on_voids(left),
        *_on_bonus(left),
        *_on_centre(left),
    ]


def _on_journals(left: Remains) -> list[Finding]:
    net = {station: records[-1].perpetual_net for station, records in left.journals.items()}
    paid = {station: sum(sum(left.paid(name, station)) for name in left.ids) for station in STATIONS}
    for station in STATIONS:
        paid[station] -= sum(_debited(record) for record in left.of(station, RecordType.VOID))
    return [
        Finding("chaque journal est une chaîne signée sans trou", left.are_chained),
        Finding("les totaux perpétuels sont la somme des paiements, annulations déduites", net == paid),
    ]


def _on_sales(left: Remains) -> list[Finding]:
    wine = [
        record
        for record in left.of(1, RecordType.PAYMENT)
        if record.body[Pay.REST] == 310 and [line[0] for line in _lines(record)] == ["vegetables", "alcohol"]
    ]
    return [
        Finding(
            "Amira a payé 12,50 €, 9,00 € puis 38,50 €, et rien d'autre", left.paid("amira", 1) == [1250, 900, 3850]
        ),
        Finding("le vin a été réglé autrement", len(wine) == 1 and [line[3] for line in _lines(wine[0])] == [900, 0]),
        Finding("le partage n'a été débité qu'une fois accepté", left.tmcs["amira"] == 3),
        Finding("la carte en opposition n'a rien payé", _is_refused(left, "bruno", [ON_HOT_LIST])),
        Finding("la carte à la mauvaise clé n'a rien payé", _is_refused(left, "chloe", [])),
        Finding("la carte au numéro copié n'a rien payé", _is_blank(left)),
    ]


def _is_refused(left: Remains, name: str, reasons: list[int]) -> bool:
    return left.spent[name] == 0 and left.tmcs[name] == 0 and left.refusals(name, 1) == reasons


def _is_blank(left: Remains) -> bool:
    return left.ids.get("clone") is None and left.spent.get("clone", 0) == 0


def _on_doubts(left: Remains) -> list[Finding]:
    doubts = {record.seq: record for record in left.of(1, RecordType.IN_DOUBT)}
    ended = {record.body[Resolve.DOUBT_SEQ]: record.body for record in left.of(1, RecordType.RESOLUTION)}
    amounts = {(record.body[Pay.CARD], _debited(record)) for record in doubts.values()}
    proven = left.centre(
        """SELECT event.amount, event.state FROM event JOIN record USING (terminal, epoch, seq)
        WHERE record.type = ? ORDER BY event.amount""",
        RecordType.IN_DOUBT,
    )
    return [
        Finding(
            "deux doutes, et deux seulement : réponse perdue (8,00 €), caisse tuée (6,00 €)",
            amounts == {(left.ids["denis"], 800), (left.ids["farid"], 600)} and len(doubts) == 2,
        ),
        Finding(
            "les deux doutes se sont résolus d'eux-mêmes : confirmés",
            set(ended) == set(doubts) and all(body[Resolve.OUTCOME] == Outcome.CONFIRMED for body in ended.values()),
        ),
        Finding("la carte elle-même les a prouvés au centre", proven == [(600, "proven"), (800, "proven")]),
        Finding("la carte retirée avant la fin a payé une fois : 7,00 €", left.paid("denis", 1) == [700, 800, 2000]),
    ]


def _on_offline(left: Remains) -> list[Finding]:
    elise = {station: _payments_of(left, "elise", station) for station in STATIONS}
    imports = [record.seq for record in left.of(3, RecordType.LIST_IMPORT)]
    carried = elise[3][0].body if elise[3] else {}
    return [
        Finding("le second stand n'a rien pris de ce que le premier avait déjà", left.paid("denis", 2) == []),
        Finding(
            "le stand sans réseau avait d'abord refusé Élise : pas de droits",
            left.refusals("elise", 3) == [ENTITLEMENT_MISSING],
        ),
        Finding(
            "le premier stand a écrit les nouveaux droits sur la carte d'Élise",
            [record.body[Pay.ENTITLEMENT_WRITTEN] for record in elise[1]] == [True],
        ),
        Finding(
            "le stand sans réseau a lu ces droits sur la carte : il n'avait rien reçu depuis son enrôlement",
            carried.get(Pay.ENTITLEMENT_WRITTEN) is False
            and [seq for seq in imports if elise[3] and seq < elise[3][0].seq] == imports[:1],
        ),
    ]


def _on_voids(left: Remains) -> list[Finding]:
    made, counting = left.of(1, RecordType.VOID), _payments_of(left, "farid", 2)
    undone = [
        record for record in left.of(1, RecordType.PAYMENT) if made and record.seq == made[0].body[Pay.PAYMENT_SEQ]
    ]
    folded = left.centre("SELECT kind, state, amount FROM event WHERE kind = 'void'")
    return [
        Finding(
            "une annulation et une seule : 20,00 € de Farid, au stand qui les avait encaissés",
            [_debited(record) for record in made] == [_debited(record) for record in undone] == [2_000]
            and [record.body[Pay.CARD] for record in made] == [left.ids["farid"]],
        ),
        Finding(
            "le second stand a encaissé 30,00 € en comptant sur elle, sans réseau",
            [_debited(record) for record in counting] == [3_000]
            and [record.body[Pay.SLIPS_COUNTED] for record in counting] == [[[1, record.seq] for record in made]],
        ),
        Finding("le centre l'a reçue une fois, prouvée par la carte", folded == [("void", "proven", 2_000)]),
    ]


def _on_bonus(left: Remains) -> list[Finding]:
    undone = {
        (station, record.body[Pay.PAYMENT_SEQ]) for station in STATIONS for record in left.of(station, RecordType.VOID)
    }
    shown: dict[bytes, int] = {}
    for station in STATIONS:
        for record in (*left.of(station, RecordType.PAYMENT), *left.of(station, RecordType.IN_DOUBT)):
            match record.body[Pay.CARD], record.body[Pay.BONUS]:
                case bytes() as card, [_, _, int() as cents, _] if (station, record.seq) not in undone:
                    shown[card] = shown.get(card, 0) + cents
    granted = left.centre("SELECT card, sum(amount) FROM grant_given WHERE kind = 'bonus' GROUP BY card")
    allotted = left.centre("SELECT card, amount FROM grant_given WHERE kind = 'allotment'")
    told = f"{sum(shown.values()) / 100:.2f} €".replace(".", ",")
    return [
        Finding(
            "le foyer d'Amira a reçu ce que les règles lui donnent : 60,00 €", allotted == [(left.ids["amira"], 6_000)]
        ),
        Finding(
            f"le centre verse les bonus que les caisses ont montrés : {told}",
            {bytes(card): cents for card, cents in granted} == shown != {},
        ),
    ]


def _on_centre(left: Remains) -> list[Finding]:
    held = left.centre("SELECT station, count(*) FROM record JOIN terminal USING (terminal, epoch) GROUP BY station")
    hashes = {bytes(row[0]) for row in left.centre("SELECT hash FROM record")}
    own = {item for items in left.hashes.values() for item in items}
    ledger = left.centre(
        "SELECT card, sum(amount) FROM event WHERE state = 'proven' AND kind = 'payment' GROUP BY card"
    )
    by_card = {bytes(card): amount for card, amount in ledger}
    cards = {left.ids[name]: cents for name, cents in left.spent.items() if cents}
    states = left.centre("SELECT state, count(*) FROM event WHERE state <> 'proven' GROUP BY state")
    beside = left.centre(
        "SELECT (SELECT count(*) FROM stray), (SELECT count(*) FROM terminal WHERE frozen IS NOT NULL)"
    )
    quarantined = left.centre("SELECT count(*) FROM record WHERE disposition <> 0")
    return [
        Finding(
            "après deux coupures, le centre tient chaque enregistrement une fois et une seule",
            hashes == own and dict(held) == {station: len(items) for station, items in left.hashes.items()},
        ),
        Finding("rien à côté des chaînes, aucune caisse gelée", beside == [(0, 0)]),
        Finding("rien en quarantaine, plus aucun doute", quarantined == [(0,)] and states == []),
        Finding("chaque carte porte exactement ce qu'elle a payé", left.spent == EXPECTED_CENTS),
        Finding("le grand livre du centre est la somme des cartes, au centime", by_card == cards),
        Finding(
            f"en tout {sum(cards.values()) / 100:.2f} € payés".replace(".", ","),
            sum(by_card.values()) == sum(EXPECTED_CENTS.values()) == sum(left.spent.values()),
        ),
    ]


def _payments_of(left: Remains, name: str, station: int) -> list[Envelope]:
    return [record for record in left.of(station, RecordType.PAYMENT) if record.body[Pay.CARD] == left.ids[name]]


def _debited(record: Envelope) -> int:
    debits = record.body[Pay.DEBITS]
    assert isinstance(debits, list)
    return sum(pair[1] for pair in debits if isinstance(pair, list) and isinstance(pair[1], int))


def _lines(record: Envelope) -> list[Any]:
    lines = record.body[Pay.LINES]
    assert isinstance(lines, list)
    return lines


# --- reading ---------------------------------------------------------------------------------------------------------


def _collect(folder: Path) -> Remains:
    journals, hashes, are_chained = {}, {}, True
    for station in STATIONS:
        records, is_chained = _journal(folder / f"till-{station}")
        journals[station] = [open_record(record)[1] for record in records]
        hashes[station] = [record_hash(record) for record in records]
        are_chained = are_chained and is_chained
    base = sqlite3.connect(f"file:{folder / 'centre' / 'centre.db'}?mode=ro", uri=True)
    ids = {bytes(uid).hex().upper(): bytes(card) for card, uid in base.execute("SELECT card, uid FROM card")}
    spent, names, tmcs = {}, {}, {}
    for path in sorted((folder / "cards").glob("*.json")):
        state = json.loads(path.read_text())
        application = state["applications"].get(AID)
        if application is None:
            continue
        files = application["files"]
        spent[path.stem] = sum(LOADED - files[f"{number:02X}"]["value"] for number in range(1, 9))
        tmcs[path.stem] = files["0F"]["tmc"]
        names[path.stem] = ids[state["uid"]]
    return Remains(
        journals,
        hashes,
        are_chained,
        spent,
        names,
        tmcs,
        lambda query, *values: [tuple(row) for row in base.execute(query, values)],
    )


def _journal(folder: Path) -> tuple[list[bytes], bool]:
    """The records of a terminal, and whether they are one signed chain from its certificate on."""
    base = sqlite3.connect(f"file:{folder / 'journal-000001.db'}?mode=ro", uri=True)
    records = [bytes(row[0]) for row in base.execute("SELECT sealed FROM record ORDER BY seq")]
    base.close()
    papers = decode_map((folder / "enrolment.cbor").read_bytes(), MOST_RESPONSE_B)
    signed = take_bytes(papers, 2)
    key = read_certificate(signed, public_key(take_bytes(papers, 1))).device_key
    prev, is_chained = record_hash(signed), bool(records)
    readable = []
    for seq, record in enumerate(records, start=1):
        try:
            envelope, content = open_record(record)
            verify_record(envelope, key)
        except FormatError:
            is_chained = False
            continue
        is_chained = is_chained and (content.seq, content.prev) == (seq, prev)
        prev = record_hash(record)
        readable.append(record)
    return readable, is_chained
