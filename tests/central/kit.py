"""A centre, stalls that write real signed records, and cards small enough to hold in one hand.

The centre and every format are the real ones; the proofs come from the virtual card's author (tests/sync/pocket.py).
What a card truly spent is known here, so the ledger can be held against it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from central.office import Office, make_centre
from central.report import report
from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, PurseNumber, SlotFile, Station, TerminalId, Uid
from domain.money import ZERO, Cents
from domain.slip import Slip, accepted_slips, given_back, has_same_windows
from sync.batch import Answer, BatchHead, Versions, decode_answer, encode_batch
from sync.bundle import Download, read_bundle
from sync.card_format import (
    SignedEntitlement,
    decode_entitlement,
    decode_log_record,
    encode_log_record,
    encode_reader_id,
    encode_slip,
    read_slip,
)
from sync.cbor import Map, Value
from sync.crypto import PrivateKey, new_private_key, sha256, sign
from sync.enrolment import Enrolled, Request, encode_request, read_response
from sync.issuing import TMAC_KEY, IssueOrder
from sync.record import Envelope, Outcome, Pay, RecordType, Refuse, Resolve, Seen, record_hash, seal_record
from terminal.ports import TerminalIdentity
from tests.central.chip import Chip
from tests.sync.pocket import FULL, Payment

RULE_FILE = Path(__file__).parents[2] / "domain" / "rule-sets" / "gers.toml"
MORNING = datetime(2026, 12, 5, 9, tzinfo=UTC)
DECEMBER = (datetime(2026, 11, 30, 23, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC))
FEBRUARY = (datetime(2027, 1, 31, 23, tzinfo=UTC), datetime(2027, 2, 28, 23, tzinfo=UTC))
FOOD = PurseNumber(1)
DECEMBER_FILE, FEBRUARY_FILE = 2, 2
NONCE = bytes(range(16))


@dataclass
class WoundClock:
    """A centre's clock that moves when it is wound."""

    at: datetime = MORNING

    def __call__(self) -> datetime:
        return self.at


def new_office(directory: Path, clock: WoundClock | None = None) -> Office:
    """A new centre in an empty folder."""
    make_centre(directory, RULE_FILE, MORNING)
    return Office(directory, clock or WoundClock())


@dataclass
class Held:
    """A card in somebody's hand: what the centre ordered, the chip, its entitlement, all it truly paid."""

    order: IssueOrder
    chip: Chip
    word: SignedEntitlement | None = None
    made: list[Payment] = field(default_factory=list)
    voided: list[int] = field(default_factory=list)

    @property
    def card(self) -> CardId:
        return self.order.card

    @property
    def spent(self) -> int:
        """What the card truly spent, voids deducted, in cents."""
        return sum(FULL - value for value in self.chip.values.values()) - sum(self.voided)


def new_card(office: Office, number: int, granted: int = 4_000, window: tuple[datetime, datetime] = DECEMBER) -> Held:
    """A card of the programme with its first grant."""
    uid = Uid(bytes([4, 1, 2, 3, 4, 5, number]))
    order = office.register_card(uid)
    if granted:
        office.grant(order.card, FOOD, Cents(granted), *window)
    return Held(order, Chip(uid, order.keys[TMAC_KEY], logs=(encode_log_record(order.first_log_record),)))


@dataclass
class OpenDoubt:
    """A payment a stall does not know the outcome of."""

    seq: int
    payment: Payment


@dataclass(frozen=True)
class Paid:
    """A payment a stall remembers: its number in the journal, and what it was made under."""

    seq: int
    card: CardId
    payment: Payment
    word: SignedEntitlement | None


@dataclass
class Stall:
    """A terminal: its identity, its chain of records, the entitlements it holds, its doubts by card."""

    device_key: PrivateKey
    enrolled: Enrolled
    records: list[bytes] = field(default_factory=list)
    entitlements: dict[CardId, SignedEntitlement] = field(default_factory=dict)
    doubts: dict[CardId, list[OpenDoubt]] = field(default_factory=dict)
    at: datetime = MORNING
    paid: list[Paid] = field(default_factory=list)

    @property
    def terminal(self) -> TerminalId:
        return self.enrolled.certificate.terminal

    @property
    def station(self) -> Station:
        return self.enrolled.certificate.station

    @property
    def next_seq(self) -> int:
        return len(self.records) + 1

    # --- what it writes ------------------------------------------------------------------------------------------

    def write(self, type_: int, body: Map, **odd: Any) -> bytes:
        """Append a record to the chain; ``odd`` replaces fields of the envelope."""
        record = self.record(type_, body, **odd)
        self.records.append(record)
        return record

    def record(self, type_: int, body: Map, sign_with: PrivateKey | None = None, **odd: Any) -> bytes:
        """The record that would come next."""
        before = record_hash(self.records[-1]) if self.records else sha256(self.enrolled.response.certificate)
        wall = int(self.at.timestamp())
        fields: dict[str, Any] = {
            "type": type_,
            "terminal": self.terminal,
            "epoch": self.enrolled.certificate.epoch,
            "seq": self.next_seq,
            "prev": before,
            "boot": 1,
            "boottime_ns": self.next_seq * 1_000_000,
            "wall": wall,
            "wall_source": 2,
            "t_lo": wall,
            "t_late": wall,
            "rules_version": 1,
            "hot_list_version": 1,
            "software": "panier test",
            "cashier": 0,
            "perpetual_net": 0,
            "perpetual_absolute": 0,
            "body": body,
            **odd,
        }
        key = sign_with or self.device_key
        return seal_record(Envelope(**fields), lambda message: sign(key, message))

    def start(self) -> bytes:
        """A record that says nothing about any card."""
        return self.write(RecordType.BOOT, {0: 1})

    def stage(
        self, held: Held, debits: dict[int, int], read: tuple[int, ...] | None = None, logs_read: int = 1
    ) -> tuple[Chip, Payment]:
        """What a payment would make of the card; nothing has happened yet."""
        chip, seq = held.chip, self.next_seq
        parts = tuple(Debit(SlotFile(file), Cents(debits[file])) for file in sorted(debits))
        word = self.word_for(held)
        own = self._own_log(held, LogType.PAYMENT, parts)
        newer = word.padded if word is not None and word is not held.word else None
        mark = 0 if word is None else word.entitlement.mark
        return chip.pay(debits, encode_reader_id(self.station, seq), own, read, newer, mark=mark, logs_read=logs_read)

    def _own_log(self, held: Held, type_: LogType, parts: tuple[Debit, ...]) -> bytes:
        word = self.word_for(held)
        number = 0 if word is None else word.entitlement.seq & 0xFFFF
        at = self.at.replace(second=0, microsecond=0)
        tmc = held.chip.tmc + 1
        return encode_log_record(LogRecord(type_, self.station, self.next_seq, tmc, at, 1, number, parts, ZERO, ZERO))

    def word_for(self, held: Held) -> SignedEntitlement | None:
        """The newer of the card's entitlement and the stall's."""
        known = [word for word in (held.word, self.entitlements.get(held.card)) if word is not None]
        return max(known, key=lambda word: word.entitlement.number, default=None)

    def pay(self, held: Held, amount: int, file: int = DECEMBER_FILE, *, logs_read: int = 1, **odd: Any) -> Payment:
        """A whole payment: the card debited, the record written; ``odd`` replaces fields of the body by name."""
        held.chip, payment = self.stage(held, {file: amount}, logs_read=logs_read)
        held.word = self.word_for(held)
        held.made.append(payment)
        self.paid.append(Paid(self.next_seq, held.card, payment, held.word))
        self.write(RecordType.PAYMENT, self.payment_body(held, payment, **odd))
        return payment

    def may_pay(self, held: Held, file: int = DECEMBER_FILE) -> int:
        """Cents the till would let this card pay from a slot: by the newer entitlement and the slips that count."""
        word, value = self.word_for(held), Cents(held.chip.values[file])
        if word is None or held.chip.tmc < word.entitlement.mark:
            return 0
        slips = [read_slip(data) for data in held.chip.slips.values()]
        back = given_back(accepted_slips(slips, word.entitlement, held.chip.tmc, self.at, self.at))
        return sum(
            slot.available(value, back.get(slot.file, ZERO))
            for slot in word.entitlement.slots
            if slot.file == file and slot.is_open(self.at, self.at)
        )

    def void(
        self,
        held: Held,
        paid: Paid,
        *,
        torn: bool | None = None,
        slip: bool = True,
        instead: int | None = None,
        blind: bool = False,
        logs_read: int = 1,
        **odd: Any,
    ) -> Payment:
        """Undo a payment of this stall; ``torn``: the outcome is unknown, and this is it. ``odd`` as in ``pay``.

        Args:
            instead: cents given back that are not the payment's.
            blind: no counter is read.
        """
        word, parts = self.word_for(held), decode_log_record(paid.payment.own_log).debits
        if instead is not None:
            parts = (Debit(parts[0].file, Cents(instead)),)
        data = self._slip(held, paid, word, parts) if slip else None
        own = self._own_log(held, LogType.VOID, parts)
        newer = word.padded if word is not None and word is not held.word else None
        mark = 0 if word is None else word.entitlement.mark
        files = () if blind else tuple(int(part.file) for part in parts)
        reader_id = encode_reader_id(self.station, self.next_seq)
        after, done = held.chip.pay({}, reader_id, own, files, newer, slip=data, mark=mark, logs_read=logs_read)
        body = {**self.payment_body(held, done), Pay.PAYMENT_SEQ: paid.seq, Pay.PAYMENT_TMC: paid.payment.tmc}
        body[Pay.DEBITS] = _pairs((int(part.file), int(part.amount)) for part in parts)
        for key in (Pay.LINES, Pay.REST, Pay.CAMPAIGN):
            del body[key]
        body.update({getattr(Pay, name): value for name, value in odd.items()})
        if torn is not False:
            held.chip, held.word = after, word
            held.voided.append(sum(int(part.amount) for part in parts))
        if torn is None:
            self.write(RecordType.VOID, body)
        else:
            self.doubts.setdefault(held.card, []).append(OpenDoubt(self.next_seq, done))
            self.write(RecordType.IN_DOUBT, {key: body[key] for key in body if key not in (Pay.TMC, Pay.TMV)})
        return done

    def _slip(self, held: Held, paid: Paid, word: SignedEntitlement | None, parts: tuple[Debit, ...]) -> bytes | None:
        """Where a place is free and the payment's windows are still those in force."""
        if word is None or paid.word is None or not held.chip.has_room(word.entitlement.mark):
            return None
        if not has_same_windows((part.file for part in parts), paid.word.entitlement, word.entitlement):
            return None
        at = self.at.replace(second=0, microsecond=0)
        number, tmc = word.entitlement.number, held.chip.tmc + 1
        told = Slip(self.station, self.next_seq, paid.seq, paid.payment.tmc, tmc, number, parts, at)
        return encode_slip(told, held.card, lambda message: sign(self.device_key, message))

    def see(self, held: Held, files: tuple[int, ...] = (DECEMBER_FILE,), alarm: int = 0) -> None:
        """A tap that debits nothing and reads everything the card carries."""
        chip = held.chip
        body: Map = {
            Seen.VERSION: 1,
            Seen.CARD: held.card,
            Seen.TMC_READ: chip.tmc,
            Seen.TMV_READ: chip.tmv,
            Seen.LOGS: list(chip.logs),
            Seen.VALUES: _pairs((file, chip.values[file]) for file in files),
            Seen.SLIPS: list(chip.slips.values()),
            Seen.ALARM: alarm,
        }
        self.write(RecordType.CARD_SEEN, body)

    def tear(self, held: Held, amount: int, *, committed: bool, file: int = DECEMBER_FILE) -> Payment:
        """A torn payment: the card did it or not, the stall cannot know."""
        after, payment = self.stage(held, {file: amount})
        if committed:
            held.chip, held.word = after, self.word_for(held)
            held.made.append(payment)
        self.doubts.setdefault(held.card, []).append(OpenDoubt(self.next_seq, payment))
        body = self.payment_body(held, payment)
        self.write(RecordType.IN_DOUBT, {key: body[key] for key in body if key not in (Pay.TMC, Pay.TMV)})
        return payment

    def payment_body(self, held: Held, payment: Payment, **odd: Value) -> Map:
        amount = sum(payment.debits.values())
        body: Map = {
            Pay.VERSION: 1,
            Pay.CARD: held.card,
            Pay.TMC: payment.tmc,
            Pay.TMV: payment.tmv,
            Pay.TMI: payment.tmi,
            Pay.TMC_BEFORE: payment.tmc - 1,
            Pay.TMV_BEFORE: payment.tmv_before,
            Pay.NEWEST_LOG: payment.newest_log,
            Pay.OWN_LOG: payment.own_log,
            Pay.VALUES: _pairs(payment.values.items()),
            Pay.DEBITS: _pairs(payment.debits.items()),
            Pay.ENTITLEMENT: [1, 1],
            Pay.ENTITLEMENT_WRITTEN: True,
            Pay.LINES: [["vegetables", amount, 1, amount, 0]],
            Pay.REST: 0,
            Pay.CAMPAIGN: "none",
            Pay.MERCHANT_VERSION: 1,
            Pay.LISTS_AGE_DAYS: 0,
            Pay.PAID_HERE_TODAY: 0,
            Pay.UID: held.order.uid,
            Pay.TMC_EXPECTED: payment.tmc,
        }
        return {**body, **{getattr(Pay, name): value for name, value in odd.items()}}

    def refuse(self, held: Held, files: tuple[int, ...] = (DECEMBER_FILE,)) -> None:
        """A tap that debits nothing; what it read travels along."""
        chip = held.chip
        body: Map = {
            Refuse.VERSION: 1,
            Refuse.CARD: held.card,
            Refuse.REASON: 7,
            Refuse.PRICE: 500,
            Refuse.PAYABLE: 0,
            Refuse.TMC_READ: chip.tmc,
            Refuse.TMV_READ: chip.tmv,
            Refuse.NEWEST_LOG: chip.logs[0],
            Refuse.VALUES: _pairs((file, chip.values[file]) for file in files),
            Refuse.SLIPS: list(chip.slips.values()),
        }
        self.write(RecordType.REFUSAL, body)

    def recover(self, held: Held) -> bool:
        """End the doubts about a card as a till does; whether none is left."""
        left = []
        for doubt in self.doubts.get(held.card, []):
            outcome = outcome_of(doubt.payment, held.chip)
            if outcome is None:
                left.append(doubt)
            else:
                self.resolve(held, doubt, outcome)
        self.doubts[held.card] = left
        return not left

    def resolve(self, held: Held, doubt: OpenDoubt, outcome: Outcome) -> None:
        chip = held.chip
        body: Map = {
            Resolve.VERSION: 1,
            Resolve.DOUBT_SEQ: doubt.seq,
            Resolve.OUTCOME: int(outcome),
            Resolve.CARD: held.card,
            Resolve.TMC_READ: chip.tmc,
            Resolve.TMV_READ: chip.tmv,
            Resolve.LOGS: list(chip.logs),
            Resolve.AMOUNT: sum(doubt.payment.debits.values()),
            Resolve.SLIPS: list(chip.slips.values()),
        }
        self.write(RecordType.RESOLUTION, body)

    # --- what it sends -------------------------------------------------------------------------------------------

    def batch(self, first: int = 1, last: int | None = None, held: Versions | None = None) -> bytes:
        """The batch of records ``first`` to ``last``."""
        return self.batch_of(first, self.records[first - 1 : last], held)

    def batch_of(self, first: int, records: Sequence[bytes], held: Versions | None = None) -> bytes:
        epoch = self.enrolled.certificate.epoch
        return encode_batch(BatchHead(self.terminal, epoch, first, NONCE, held or Versions()), list(records))

    def send(self, office: Office, first: int = 1, last: int | None = None) -> Answer:
        return self.ask(office, self.batch(first, last))

    def ask(self, office: Office, batch: bytes) -> Answer:
        """Send a batch; the verified answer."""
        return decode_answer(office.exchange(batch).answer, self.enrolled.centre_keys.answers, NONCE)

    def download(self, office: Office, held: Versions | None = None) -> Download:
        """What the centre has for this stall; its entitlements are kept."""
        batch = self.batch(self.next_seq, held=held)
        bundle = office.exchange(batch).bundle
        found = read_bundle(bundle, self.enrolled.response.root, self.enrolled.centre_keys, self.terminal)
        self.keep(found)
        return found

    def keep(self, found: Download) -> None:
        for delta in found.entitlements:
            for uid, data in delta.entries:
                word = decode_entitlement(data, uid, self.enrolled.centre_keys.entitlements.get)
                self.entitlements[word.entitlement.card] = word


class Backup:
    """A centre's folder, copied once and put back in place of what it has become."""

    def __init__(self, office: Office, kept: Path, clock: WoundClock) -> None:
        self._office = office
        self._kept = kept
        self._clock = clock

    def backup(self) -> None:
        self._office.store.all("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(self._office.directory, self._kept)

    def __call__(self) -> Office:
        """The centre as it was when the backup was taken."""
        self._office.close()
        shutil.rmtree(self._office.directory)
        shutil.copytree(self._kept, self._office.directory)
        return Office(self._office.directory, self._clock)


def new_stall(office: Office, name: str = "Ferme du Moulin", device_key: PrivateKey | None = None) -> Stall:
    """A merchant with an enrolled terminal."""
    merchant = office.put_merchant(name, ["referenced"], "vegetables")
    return enrol(office, merchant.number, device_key or new_private_key())


def enrol(office: Office, merchant: int, key: PrivateKey, point_of_sale: int = 1) -> Stall:
    code = office.new_code(merchant, point_of_sale)
    request = encode_request(Request(code.secret, key.public_key(), "panier test"), lambda message: sign(key, message))
    stall = Stall(key, read_response(office.enrol(request), code, key.public_key()))
    stall.keep(stall.enrolled.download)
    return stall


def identity_of(stall: Stall) -> TerminalIdentity:
    """What a real till enrolled as this stall knows of itself."""
    certificate = stall.enrolled.certificate
    return TerminalIdentity(
        stall.terminal,
        certificate.epoch,
        stall.station,
        certificate.programme,
        stall.enrolled.response.certificate,
        "panier test",
        certificate.offline_cap,
        certificate.card_cap,
        certificate.caps_version,
    )


def outcome_of(payment: Payment, chip: Chip) -> Outcome | None:
    """As a till decides it from what the card shows."""
    if payment.own_log in chip.logs:
        return Outcome.CONFIRMED
    if chip.tmc == payment.tmc - 1 or payment.tmc in [decode_log_record(log).tmc for log in chip.logs]:
        return Outcome.CANCELLED
    return None


def figures(office: Office) -> dict[str, Any]:
    """The whole report but the times of contact."""
    plain = report(office).as_json()
    terminals = [{**_plain(line), "last_contact": None} for line in plain["terminals"]]
    return {**plain, "terminals": terminals}


def account(office: Office, held: Held) -> Any:
    """The account of one card."""
    return next(found for found in office.accounts() if found.card == held.card)


def in_days(days: float, since: datetime = MORNING) -> datetime:
    return since + timedelta(days=days)


def _plain(line: Any) -> dict[str, Any]:
    return dict(line)


def _pairs(pairs: Iterable[tuple[int, int]]) -> list[Value]:
    return [[file, value] for file, value in sorted(pairs)]


Wound = Callable[[], datetime]
