"""ports.Journal and ports.TimeKeeper on the store: the append-only signed truth of one terminal.

A record, its facts (totals, doubts, unseen outcome) and the end of its intent are one commit. What waits for the centre
is what stands above the acknowledged number, so a record can never be in the journal and not in the outbox.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from domain.identity import CardId, PurseNumber
from domain.money import Cents, total
from domain.purse import Counters
from sync.card_format import LOG_RECORD_SIZE_B
from sync.cbor import Map, take_bytes
from sync.crypto import PublicKey
from sync.errors import FormatError
from sync.record import BODY_VERSION, Envelope, Pay, RecordType, open_record, record_hash, seal_record
from terminal.bodies import base_of
from terminal.errors import DiskFull, JournalDamaged, MediumFailed, TerminalFrozen
from terminal.offline_queue.chain import read_chain
from terminal.offline_queue.contact import Contact, decode_contact, encode_contact
from terminal.offline_queue.facts import Facts, decode_facts, decode_intent, encode_facts, encode_intent, facts_of
from terminal.offline_queue.ledger import Ledger, OpenDoubt, anchor_of, boots_since
from terminal.offline_queue.medium import Medium
from terminal.offline_queue.store import Change, ListRow, RecordRow, Store, record_mark
from terminal.offline_queue.witness import Witness
from terminal.ports import (
    Doubt,
    Draft,
    Durable,
    Effect,
    Head,
    Intent,
    LastPayment,
    PastPayment,
    SeenState,
    Signer,
    Stamp,
    TerminalIdentity,
    TimeAnchor,
)
from terminal.text import _

ROOM_B: Final = 262_144
"""Free bytes below which no intent is opened: the record of a payment must still find room after it."""
MOST_LOG_B: Final = 16 * 1024 * 1024


def journal_name(epoch: int) -> str:
    """File of one epoch's journal; an older epoch's stays beside it."""
    return f"journal-{epoch:06d}.db"


def create_journal(medium: Medium, epoch: int, contact: Contact) -> None:
    """Make the journal of an epoch, durable before it returns; one that exists is left as it is."""
    Store(medium, journal_name(epoch)).create(encode_contact(contact))


def open_journal(medium: Medium, identity: TerminalIdentity, key: PublicKey, signer: Signer) -> OfflineJournal:
    """Open the journal of this epoch and check all of it.

    Args:
        key: the terminal's own public key.

    Raises:
        JournalInUse, UnsafeSettings, JournalDamaged, MediumFailed.
    """
    store = Store(medium, journal_name(identity.epoch))
    try:
        store.open()
        latch, contact = store.latch(), decode_contact(store.contact())
        chain = read_chain(store, identity, key, contact, latch)
        intent = decode_intent(latch.intent) if latch.intent else None
        if intent is not None and intent.seq != chain.head.seq + 1:
            raise JournalDamaged(_("Le journal est abîmé : l'intention ne suit pas le dernier numéro."), (intent.seq,))
    except FormatError:
        store.close()
        raise JournalDamaged(_("Le journal a été écrit par une autre version de ce programme.")) from None
    except BaseException:
        store.close()
        raise
    return OfflineJournal(store, identity, signer, chain.head, chain.ledger, contact, intent)


class _Writing:
    """ports.Pending: a commit on its way."""

    def __init__(self, written: Future[None]) -> None:
        self._written = written

    def wait(self) -> None:
        """Returns after it is durable; DiskFull, MediumFailed."""
        self._written.result()


class OfflineJournal:
    """The open journal; ``open_journal`` makes one. Not for two threads at once."""

    def __init__(
        self,
        store: Store,
        identity: TerminalIdentity,
        signer: Signer,
        head: Head,
        ledger: Ledger,
        contact: Contact,
        intent: Intent | None,
    ) -> None:
        self._store = store
        self._identity = identity
        self._signer = signer
        self._head = head
        self._ledger = ledger
        self._contact = contact
        self._intent = intent
        self._raised_t_lo = contact.t_lo

    # --- ports.Journal ---

    def open_intent(self, intent: Intent) -> _Writing:
        """Start making the intent durable.

        Raises:
            DiskFull: no room for the record that will follow; nothing was written.
        """
        assert self._intent is None, "at most one intent is open"
        if self._contact.frozen:
            raise TerminalFrozen(self._contact.frozen)
        assert intent.seq == self._head.seq + 1, "an intent takes the next number"
        if self._store.free_b < ROOM_B:
            raise DiskFull(_("Le disque est plein : paiement par carte impossible."))
        self._intent = intent
        return _Writing(self._store.commit(Change(intent=encode_intent(intent)), self._witness()))

    def drop_intent(self) -> None:
        """Commit was never sent: forget the intent; its number is used again."""
        assert self._intent is not None, "an intent is open"
        self._store.commit(Change(intent=b""), self._witness()).result()
        self._intent = None

    def open_intent_left(self) -> Intent | None:
        """The intent still open, of a till that ended between intent and record."""
        return self._intent

    def append(self, draft: Draft, *, closes_intent: bool = False) -> Durable:
        """Sign, chain and count a record in one commit; the open intent ends in the same one."""
        return self._append(draft, closes_intent=closes_intent)

    def head(self) -> Head:
        """The end of the chain."""
        return self._head

    def doubts(self, card: CardId | None = None) -> tuple[Doubt, ...]:
        """Payments whose outcome is unknown, oldest first; of one card or of all."""
        doubts = [doubt for _seq, doubt in sorted(self._ledger.doubts.items())]
        return tuple(self._doubt(item) for item in doubts if card is None or item.effect.card == card)

    def paid_on(self, card: CardId, day: date) -> Cents:
        """Cents the card paid here on that day, doubts counted as paid."""
        return self._ledger.paid_on(card, day)

    def paid_by_purse_on(self, card: CardId, day: date) -> Mapping[PurseNumber, Cents] | None:
        """Cents each purse of the card paid here on that day; ``None`` where an older record does not say it."""
        return self._ledger.paid_by_purse_on(card, day)

    def unreported(self) -> Cents:
        """Cents the centre has not acknowledged yet, doubts counted as paid."""
        return self._ledger.unreported()

    def unreported_of(self, card: CardId) -> Cents:
        """Cents of this card the centre has not acknowledged yet, doubts counted as paid."""
        return self._ledger.unreported(card)

    def counters_seen(self, card: CardId) -> Counters | None:
        """The furthest this terminal has seen the card's counters since its last contact with the centre."""
        seen = self._ledger.seen.get(card)
        return seen.counters if seen else None

    def doubted_of(self, card: CardId) -> Cents:
        """Cents of this card in doubt here, and of doubts that ended unpaid since the last contact."""
        return self._ledger.doubted_of(card)

    def last_payment(self, card: CardId) -> LastPayment | None:
        """The newest payment of a card here; a confirmed doubt bears the time of its tap."""
        return self._ledger.last.get(card)

    def voidable(self, seq: int | None = None) -> PastPayment | None:
        """The newest payment since the last closing that can still be undone, or the one of that number."""
        number = self._ledger.voidable(seq)
        if number is None:
            return None
        payment, body = self._ledger.payments[number], self._envelope(number).body
        return PastPayment(
            seq=number,
            card=payment.effect.card,
            amount=payment.effect.amount,
            day=payment.effect.day,
            at=payment.at.wall,
            log_record=take_bytes(body, Pay.OWN_LOG, LOG_RECORD_SIZE_B),
            tmi=take_bytes(body, Pay.TMI),
            base=base_of(body),
            by_purse=payment.effect.by_purse,
        )

    def last_unseen(self) -> SeenState | None:
        """The newest outcome the cashier must see and has not."""
        if self._ledger.unseen is None:
            return None
        envelope = self._envelope(self._ledger.unseen)
        wall = datetime.fromtimestamp(envelope.wall, UTC)
        return SeenState(envelope.seq, RecordType(envelope.type), envelope.body, wall)

    def acknowledge(self, seq: int, stamp: Stamp) -> None:
        """The cashier has seen every outcome up to ``seq``: an ACKNOWLEDGEMENT record."""
        body: Map = {0: BODY_VERSION, 1: seq}
        self._append(Draft(RecordType.ACKNOWLEDGEMENT, body, stamp), acknowledges=seq)

    # --- ports.TimeKeeper ---

    def anchor(self) -> TimeAnchor:
        """What the two clocks start from."""
        return anchor_of(self._contact, self._ledger, self._raised_t_lo)

    def raise_t_lo(self, t_lo: datetime) -> None:
        """Remember a later earliest time; written with the next append."""
        self._raised_t_lo = max(self._raised_t_lo, t_lo)

    # --- for outbox, lists and the loop ---

    @property
    def identity(self) -> TerminalIdentity:
        """Whose journal it is."""
        return self._identity

    @property
    def contact(self) -> Contact:
        """What is known of the centre."""
        return self._contact

    @property
    def waiting(self) -> tuple[int, int, Cents]:
        """Records not acknowledged by the centre, payments among them, and their sum less the voids, in cents."""
        effects = [item.effect for item in self._ledger.waiting if item.effect is not None]
        payments = len([effect for effect in effects if effect.voids is None])
        return len(self._ledger.waiting), payments, total(effect.amount for effect in effects)

    @property
    def has_open_intent(self) -> bool:
        """Whether the next number is taken."""
        return self._intent is not None

    def records(self, first_seq: int, most: int) -> list[bytes]:
        """Sealed records from ``first_seq`` on, as stored."""
        return [row.sealed for row in self._store.records(first_seq, most)]

    def stored_records(self) -> list[RecordRow]:
        """Every row, for a diagnosis."""
        return self._store.records()

    def hash_at(self, seq: int) -> bytes | None:
        """Hash of the record ``seq``, or ``None`` above the head; of the certificate for 0."""
        if seq == self._head.seq:
            return self._head.hash
        if seq == 0:
            return self._first_prev
        rows = self._store.records(seq, 1)
        return record_hash(rows[0].sealed) if rows and rows[0].seq == seq else None

    def keep_contact(self, contact: Contact) -> None:
        """Remember what the centre said; durable on return."""
        self._store.commit(Change(contact=encode_contact(contact)), self._witness()).result()
        self._take_contact(contact)

    def keep_lists(self, lists: tuple[ListRow, ...], draft: Draft) -> Durable:
        """Store lists and the record of their import in one commit."""
        return self._append(draft, lists=lists)

    def stored_lists(self, *, is_old: bool = False) -> list[ListRow]:
        """Lists in force, or those before them."""
        return self._store.lists(is_old=is_old)

    def rest(self) -> None:
        """Tidy up between two sales: empty the write-ahead log once all is acknowledged, or when it is too long.

        A log that cannot be emptied now (a full disk) stays, whole, and is tried again; nothing depends on it.
        """
        size_b = self._store.log_size_b
        if size_b and self._intent is None and (not self._ledger.waiting or size_b > MOST_LOG_B):
            with contextlib.suppress(DiskFull, MediumFailed):
                self._store.checkpoint()

    def close(self) -> None:
        """Give the files back."""
        self._store.close()

    # --- within ---

    @property
    def _first_prev(self) -> bytes:
        return record_hash(self._identity.certificate)

    def _append(
        self,
        draft: Draft,
        *,
        closes_intent: bool = False,
        acknowledges: int | None = None,
        lists: tuple[ListRow, ...] = (),
    ) -> Durable:
        assert closes_intent == (self._intent is not None), "while an intent is open, only its own record is appended"
        facts = facts_of(draft, self._implied_effect(draft), acknowledges)
        facts = replace(facts, t_lo=max(facts.t_lo, self._raised_t_lo))
        durable = self._seal(draft, facts)
        encoded = encode_facts(facts)
        row = RecordRow(durable.seq, durable.record, encoded, record_mark(durable.seq, durable.hash, encoded))
        head = Head(self._head.epoch, durable.seq, durable.hash)
        change = Change(record=row, intent=b"" if closes_intent else None, lists=lists)
        self._store.commit(change, Witness(head.seq, head.hash)).result()
        self._head = head
        self._ledger.add(durable.seq, facts)
        if closes_intent:
            self._intent = None
        return durable

    def _implied_effect(self, draft: Draft) -> Effect | None:
        if draft.type in (RecordType.PAYMENT, RecordType.VOID, RecordType.IN_DOUBT) and self._intent is not None:
            return self._intent.effect
        return None

    def _seal(self, draft: Draft, facts: Facts) -> Durable:
        counted = self._ledger.effect_counted(facts)
        amount = int(counted.amount) if counted else 0
        stamp = draft.stamp
        envelope = Envelope(
            type=int(draft.type),
            terminal=self._identity.terminal,
            epoch=self._identity.epoch,
            seq=self._head.seq + 1,
            prev=self._head.hash,
            boot=stamp.at.boot,
            boottime_ns=stamp.at.boottime_ns,
            wall=max(int(stamp.at.wall.timestamp()), 0),
            wall_source=int(stamp.at.source),
            t_lo=int(stamp.t_lo.timestamp()),
            t_late=int(stamp.t_late.timestamp()),
            rules_version=stamp.rules_version,
            hot_list_version=stamp.hot_list_version,
            software=self._identity.software,
            cashier=stamp.cashier,
            perpetual_net=self._ledger.net + amount,
            perpetual_absolute=self._ledger.absolute + abs(amount),
            body=draft.body,
            anchor_time=int(self._contact.centre_time.timestamp()),
            anchor_seq=self._contact.anchor_seq,
        )
        sealed = seal_record(envelope, self._signer.sign)
        return Durable(envelope.seq, record_hash(sealed), sealed)

    def _doubt(self, item: OpenDoubt) -> Doubt:
        body = self._envelope(item.seq).body
        return Doubt(
            seq=item.seq,
            effect=item.effect,
            log_record=take_bytes(body, Pay.OWN_LOG, LOG_RECORD_SIZE_B),
            body=body,
            stamp_wall=item.at.wall,
        )

    def _envelope(self, seq: int) -> Envelope:
        return open_record(self._store.records(seq, 1)[0].sealed)[1]

    def _witness(self) -> Witness:
        return Witness(self._head.seq, self._head.hash)

    def _take_contact(self, contact: Contact) -> None:
        before, self._contact = self._contact, contact
        self._raised_t_lo = max(self._raised_t_lo, contact.t_lo)
        self._ledger.boots = boots_since(contact)
        if contact.acknowledged >= before.acknowledged:
            self._ledger.acknowledged(contact.acknowledged)
            return
        rows = self._store.records(contact.acknowledged + 1)
        self._ledger.await_again([(row.seq, decode_facts(row.facts)) for row in rows])
