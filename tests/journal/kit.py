"""One terminal's journal for tests: identity, key, clock readings, and payments as a till writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from domain.identity import CardId, PurseNumber, Station, TerminalId
from domain.money import Cents
from sync.cbor import Map
from sync.crypto import new_private_key, sign
from sync.record import Outcome, Pay, RecordType, Resolve
from terminal.offline_queue.contact import Contact
from terminal.offline_queue.journal import OfflineJournal, create_journal, open_journal
from terminal.offline_queue.medium import Medium
from terminal.ports import Doubt, Draft, Durable, Effect, Instant, Intent, Stamp, TerminalIdentity, WallSource

NOON = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
DAY = date(2026, 3, 7)
KEY = new_private_key()
IDENTITY = TerminalIdentity(TerminalId(b"term-001"), 1, Station(1), "gers", b"certificate", "panier test")
CONTACT = Contact(NOON - timedelta(hours=3), 1, 5_000_000_000, NOON - timedelta(hours=3))
ANNE, BEA = CardId(b"card-001"), CardId(b"card-002")


class OwnSigner:
    """ports.Signer."""

    def sign(self, message: bytes) -> bytes:
        return sign(KEY, message)


def made(medium: Medium) -> OfflineJournal:
    """A new journal, open."""
    create_journal(medium, 1, CONTACT)
    return opened(medium)


def opened(medium: Medium) -> OfflineJournal:
    return open_journal(medium, IDENTITY, KEY.public_key(), OwnSigner())


def stamp(minute: int = 0, boot: int = 1) -> Stamp:
    at = Instant(boot, 10_000_000_000 + minute * 60_000_000_000, NOON + timedelta(minutes=minute), WallSource.NETWORK)
    return Stamp(at, NOON - timedelta(hours=3), NOON + timedelta(minutes=minute), 1, 1)


def body_of(card: CardId, amount: int, tmc: int = 1) -> Map:
    return {
        Pay.VERSION: 1,
        Pay.CARD: card,
        Pay.TMI: bytes(464),
        Pay.OWN_LOG: bytes([0x11]) + card + amount.to_bytes(3, "big") + tmc.to_bytes(3, "big") + bytes(17),
        Pay.DEBITS: [[3, amount]],
        Pay.TMC_EXPECTED: tmc,
        Pay.LINES: [["vegetables", amount, 0, amount, 0]],
    }


def intent(journal: OfflineJournal, card: CardId, amount: int, minute: int = 0, boot: int = 1) -> Intent:
    body = body_of(card, amount)
    log = body[Pay.OWN_LOG]
    assert isinstance(log, bytes)
    return Intent(journal.head().seq + 1, effect_of(card, amount), log, body, stamp(minute, boot))


def effect_of(card: CardId, amount: int) -> Effect:
    """Paid by two purses, one cent of it by the second."""
    return Effect(card, Cents(amount), DAY, by_purse={PurseNumber(1): Cents(amount - 1), PurseNumber(2): Cents(1)})


def pay(journal: OfflineJournal, card: CardId, amount: int, minute: int = 0, boot: int = 1) -> Durable:
    """Intent and record, as a sale that went well."""
    meant = intent(journal, card, amount, minute, boot)
    journal.open_intent(meant).wait()
    body: Map = {**meant.body, Pay.TMC: 1, Pay.TMV: bytes(8)}
    return journal.append(
        Draft(RecordType.PAYMENT, body, meant.stamp, meant.effect, must_be_seen=True), closes_intent=True
    )


def tear(journal: OfflineJournal, card: CardId, amount: int, minute: int = 0) -> Durable:
    """A sale whose Commit was not answered."""
    meant = intent(journal, card, amount, minute)
    journal.open_intent(meant).wait()
    return journal.append(Draft(RecordType.IN_DOUBT, meant.body, meant.stamp, must_be_seen=True), closes_intent=True)


def solve(journal: OfflineJournal, doubt: Doubt, outcome: Outcome, minute: int = 0) -> Durable:
    body: Map = {Resolve.VERSION: 1, Resolve.DOUBT_SEQ: doubt.seq, Resolve.OUTCOME: outcome.value}
    effect = doubt.effect if outcome is Outcome.CONFIRMED else None
    return journal.append(
        Draft(RecordType.RESOLUTION, body, stamp(minute), effect, resolves=doubt.seq, must_be_seen=True)
    )


def note(journal: OfflineJournal, type_: RecordType = RecordType.BOOT, minute: int = 0, boot: int = 1) -> Durable:
    return journal.append(Draft(type_, {0: 1}, stamp(minute, boot)))


@dataclass(frozen=True, slots=True)
class Picture:
    """All a journal says of itself."""

    head: tuple[int, bytes]
    doubts: tuple[Doubt, ...]
    paid: tuple[Cents, ...]
    by_purse: tuple[Mapping[PurseNumber, Cents] | None, ...]
    unseen: int | None
    intent: Intent | None
    waiting: tuple[int, int, Cents]
    anchor: object


def picture(journal: OfflineJournal) -> Picture:
    unseen = journal.last_unseen()
    return Picture(
        head=(journal.head().seq, journal.head().hash),
        doubts=journal.doubts(),
        paid=tuple(journal.paid_on(card, DAY) for card in (ANNE, BEA)),
        by_purse=tuple(journal.paid_by_purse_on(card, DAY) for card in (ANNE, BEA)),
        unseen=unseen.seq if unseen else None,
        intent=journal.open_intent_left(),
        waiting=journal.waiting,
        anchor=journal.anchor(),
    )
