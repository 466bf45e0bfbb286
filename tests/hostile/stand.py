"""A stall in process for hostile cards: three cards of the programme, a terminal, and who counts afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from bench.market import (
    CENTRE_KEY,
    MARCH,
    NOON,
    HeldCard,
    Seller,
    centre_signs,
    disk,
    entitle,
    issue_card,
)
from domain.identity import PurseNumber, SlotFile
from domain.money import Cents
from domain.purse import Entitlement, Slot
from emulator.hostile import Tape
from emulator.state_file import MemoryStore
from sync.card_format import SignedEntitlement, decode_entitlement, encode_entitlement
from sync.cbor import Map
from sync.issuing import LOADED_AT_ISSUING, TERMINALS
from sync.record import Outcome, Pay, RecordType, Resolve, open_record
from terminal import events as say
from terminal.json_lines import event_line
from terminal.offline_queue.journal import OfflineJournal
from terminal.offline_queue.medium import Medium
from tests.hostile.catalogue import Model

SLOT = 3
STATION = 2
GRANTED, PAID_BEFORE = 4_000, 1_000
KNOWN_BALANCE = GRANTED - PAID_BEFORE


def word(
    card: HeldCard,
    seq: int,
    *,
    limit: int = GRANTED,
    floor: int = 0,
    mark: int = 0,
    issued_at: datetime = NOON - timedelta(days=2),
) -> SignedEntitlement:
    """The centre's word on one slot of a card, with what it knows of it."""
    slot = Slot(SlotFile(SLOT), PurseNumber(1), Cents(limit), Cents(floor), LOADED_AT_ISSUING, *MARCH)
    until = issued_at + timedelta(days=40)
    entitlement = Entitlement(1, card.order.card, 1, seq, issued_at, until, 1, mark, Cents(0), (slot,))
    data = encode_entitlement(entitlement, card.order.uid, centre_signs)
    return decode_entitlement(data, card.order.uid, lambda _: CENTRE_KEY.public_key())


@dataclass(frozen=True)
class Village:
    """What was issued and paid before a hostile card comes.

    Attributes:
        victim: the card the lies are about; it paid once, and the centre knows.
        other, good: two more cards; the good one never lies.
        tape: the answers of one good payment of the victim.
    """

    victim: HeldCard
    other: HeldCard
    good: HeldCard
    tape: tuple[bytes, ...]

    @property
    def words(self) -> tuple[SignedEntitlement, ...]:
        """What every terminal's lists hold."""
        return (word(self.victim, 2, floor=PAID_BEFORE, mark=1), entitle(self.other), entitle(self.good))


def copy_of(card: HeldCard) -> HeldCard:
    """The same card, to be used once."""
    return HeldCard(card.order, MemoryStore(card.store.read()))


@cache
def village() -> Village:
    """Made once; copy its cards before use."""
    import tempfile

    victim, other, good = issue_card(1), issue_card(2), issue_card(3)
    with tempfile.TemporaryDirectory() as folder:
        first = Seller(disk(Path(folder)), 9, [victim], [word(victim, 1)])
        first.open()
        first.sell(("vegetables", PAID_BEFORE))
        (paid,) = first.tap(victim)
        assert isinstance(paid, say.Paid)
        overheard = copy_of(victim)
        tape = Tape(overheard.awake())
        first.sell(("vegetables", 300))
        first.tap(tape)
        first.close()
    return Village(victim, other, good, tuple(tape.answers))


class Stand:
    """One terminal of the village with all three cards in its lists; ``open`` for each test anew."""

    def __init__(self, place: Path | Medium, words: Sequence[SignedEntitlement] | None = None) -> None:
        self.village = village()
        self.victim, self.good = copy_of(self.village.victim), copy_of(self.village.good)
        cards = [self.victim, self.village.other, self.good]
        medium = disk(place) if isinstance(place, Path) else place
        self.seller = Seller(medium, STATION, cards, self.village.words if words is None else words)
        self.seller.open()

    def model(self, sleep: Callable[[float], None] | None = None) -> Model:
        """What a liar may start from."""
        return Model(
            self.victim.store,
            self.victim.order.keys[TERMINALS],
            SLOT,
            STATION,
            self.village.tape,
            word(self.village.victim, 1).padded,
            entitle(self.village.other).padded,
            self.village.other.awake().memory,
            sleep or self.seller.clock.wind,
        )

    def sell(self, cents: int) -> None:
        self.seller.sell(("vegetables", cents))

    def end_the_sale(self) -> None:
        """The cashier gives up, or has seen."""
        self.seller.back()
        self.seller.accept()

    def spent(self) -> int:
        """What the honest victim's card paid here, from its own memory."""
        return sum(self.victim.spent().values()) - PAID_BEFORE

    def count(self) -> int:
        """Close the till, open its journal again, checking all of it, and count the victim's cents."""
        self.seller.close()
        self.seller.open()
        return booked(self.seller.journal, self.victim.order.card)


def told(said: Sequence[say.Outward]) -> list[tuple[str, str | None]]:
    """Event names as JSON lines name them, with their reasons."""
    events: list[dict[str, Any]] = [json.loads(event_line(event, None, None)) for event in said]
    return [(event["event"], event.get("reason")) for event in events]


def booked(journal: OfflineJournal, card: bytes) -> int:
    """Cents the journal holds as paid by a card: payments, and doubts that were confirmed."""
    paid = 0
    for record in journal.records(1, 9_999):
        envelope = open_record(record)[1]
        body = envelope.body
        if envelope.type == RecordType.PAYMENT and body[Pay.CARD] == card:
            paid += sum(pair[1] for pair in body[Pay.DEBITS])  # type: ignore[union-attr,index,misc]
        elif envelope.type == RecordType.RESOLUTION and body[Resolve.CARD] == card:
            paid += int(body[Resolve.AMOUNT]) * (body[Resolve.OUTCOME] == Outcome.CONFIRMED)  # type: ignore[arg-type]
    return paid


def types_of(journal: OfflineJournal) -> list[int]:
    """Types of all records, in order."""
    return [open_record(record)[1].type for record in journal.records(1, 9_999)]


def bodies_of(journal: OfflineJournal, type_: RecordType) -> list[Map]:
    """Bodies of the records of one type, in order."""
    envelopes = [open_record(record)[1] for record in journal.records(1, 9_999)]
    return [envelope.body for envelope in envelopes if envelope.type == type_]
