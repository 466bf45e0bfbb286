"""What the use cases need from the world: narrow protocols, each with a fake that is shipped and the same contract
tests.

Card: Readers posts events and gives a CardContact; that gives a PurseCard once authenticated.
Store: Journal (append-only truth), Outbox (what is to be sent), Lists (what was received).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, IntEnum
from typing import Protocol

from domain.bonus import CapShare
from domain.card_log import Debit
from domain.identity import CardId, PurseNumber, SlotFile, Station, TerminalId, Uid
from domain.money import ZERO, Cents
from domain.purse import Counters
from domain.rule_set import Merchant, RuleSet
from sync.card_format import SignedEntitlement
from sync.cbor import Map
from sync.crypto import PublicKey
from sync.record import RecordType

# --- time ------------------------------------------------------------------------------------------------------------


class WallSource(IntEnum):
    """Where the wall clock was set from."""

    UNKNOWN = 0
    HARDWARE_CLOCK = 1
    NETWORK = 2
    OPERATOR = 3


@dataclass(frozen=True, slots=True)
class Instant:
    """A reading of all clocks: boot number, CLOCK_BOOTTIME in ns, wall time (aware UTC) and its source."""

    boot: int
    boottime_ns: int
    wall: datetime
    source: WallSource


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on CLOCK_MONOTONIC in seconds after which nobody waits any more."""

    at_s: float


class Clock(Protocol):
    """Time; the only place it comes from."""

    def now(self) -> Instant: ...

    def deadline(self, budget_s: float) -> Deadline: ...

    def left_s(self, deadline: Deadline) -> float:
        """Seconds left, never below 0."""
        ...


# --- card ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Presence:
    """One card lying in one field: reader name and a count that differs for each time a card is laid down."""

    reader: str
    insertion: int


@dataclass(frozen=True, slots=True)
class CardRef:
    """A card of the key list: pseudonym, chip, programme, application id (3 B), expiry, and its shares of its
    household's month cap in rising days (none for a card alone). Its key stays in the key store.
    """

    card: CardId
    uid: Uid
    programme: str
    aid: bytes
    expires_at: datetime | None
    bonus_shares: tuple[CapShare, ...] = ()


@dataclass(frozen=True, slots=True)
class CardHead:
    """What a tap reads first.

    Attributes:
        tmc, tmv: counter and proof (8 B) of the card's newest transaction; 0 and zeros before the first.
        logs: log records of 32 B, newest first: one, or up to eight when all were asked for.
        entitlement: the 233 B of its place, zeros when none was ever written.
        slips: the 96 B of each slip place in use, by place (0 or 1).
    """

    tmc: int
    tmv: bytes
    logs: tuple[bytes, ...]
    entitlement: bytes
    slips: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardPlan:
    """What one card transaction writes.

    Attributes:
        debits: of a payment, in file order; none for a void.
        log_record: 32 B.
        entitlement: a newer one (233 B), or ``None``.
        slip: place (0 or 1) and 96 B of the slip of a void, or ``None``.
        freed: slip places whose void the entitlement in force knows; given free whenever byte 0 is written anyway.
    """

    debits: tuple[Debit, ...]
    log_record: bytes
    entitlement: bytes | None = None
    slip: tuple[int, bytes] | None = None
    freed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CommitProof:
    """The card's word on its transaction: counter, TMV (8 B), and the TMI bytes it is over."""

    tmc: int
    tmv: bytes
    tmi: bytes


class PurseCard(Protocol):
    """An authenticated card. Calls in this order: open, values, foretell, stage, commit. Any may raise CardFault or
    ReaderFault.
    """

    def open(self, reader_id: bytes, *, all_logs: bool) -> CardHead:
        """TMAC file, reader id (16 B), newest log record (or all), entitlement and slips."""
        ...

    def values(self, files: Sequence[SlotFile]) -> Mapping[SlotFile, Cents]:
        """Cents in the value files asked for, read in file order."""
        ...

    def foretell(self, plan: CardPlan) -> bytes:
        """The TMI this transaction will have when ``plan`` is staged and committed; sends nothing."""
        ...

    def stage(self, plan: CardPlan) -> None:
        """Slip, entitlement, debits, log record; nothing takes effect yet."""
        ...

    def commit(self) -> CommitProof:
        """Make it so.

        Raises:
            OutcomeUnknown: sent, and no answer that says what happened. Never retried here.
        """
        ...


class CardContact(Protocol):
    """A card in a field before it is trusted."""

    @property
    def uid(self) -> Uid: ...

    def authenticate(self, card: CardRef) -> PurseCard:
        """Select and authenticate with the card's own key: NotOurCard, WrongKey, CardGone, ReaderStuck."""
        ...

    def close(self) -> None: ...


class Signal(Enum):
    """Light and sound of a reader."""

    PAID = "paid"
    ATTENTION = "attention"


class Readers(Protocol):
    """Readers of one terminal; an adapter thread posts what happens in their fields to the till's inbox."""

    def connect(self, presence: Presence, deadline: Deadline) -> CardContact:
        """NotOurCard, CardGone, ReaderLost, ReaderStuck. The deadline holds for everything done with the contact."""
        ...

    def signal(self, reader: str, outcome: Signal) -> None: ...


# --- journal ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stamp:
    """Time and versions a record is written under."""

    at: Instant
    t_lo: datetime
    t_late: datetime
    rules_version: int
    hot_list_version: int
    cashier: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a record changes in the terminal's totals: cents paid by a card on a day (rule set's time zone).

    Attributes:
        amount: above zero for a payment, below for a void.
        voids: number of the payment undone, of a void.
        by_purse: what each purse has in ``amount``; ``None`` where a program before this one wrote it.
    """

    card: CardId
    amount: Cents
    day: date
    voids: int | None = None
    by_purse: Mapping[PurseNumber, Cents] | None = None


@dataclass(frozen=True, slots=True)
class CardSeen:
    """What a card's own counters were at some tap here; a genuine card never goes behind it.

    Attributes:
        tmc: its transaction counter.
        values: cents left in the slots read.
    """

    card: CardId
    counters: Counters


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before the journal gives it number, chain and signature."""

    type: RecordType
    body: Map
    stamp: Stamp
    effect: Effect | None = None
    resolves: int | None = None  # seq of the IN_DOUBT record this one ends
    must_be_seen: bool = False  # shown again after a restart until the cashier has acknowledged it
    seen: CardSeen | None = None  # what the card showed; remembered against a card that goes back


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be committed on a card; durable before Commit. ``seq`` is head + 1.

    Attributes:
        effect: what it will change in the totals.
        log_record: the whole 32 B record as it will stand on the card.
        body: body of the PAYMENT or VOID record without proof (Pay.TMC and Pay.TMV missing), TMI included.
        stamp: when and under which versions it was decided.
    """

    seq: int
    effect: Effect
    log_record: bytes
    body: Map
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Durable:
    """The journal's receipt: this record is on the medium and survives a power cut. Only the journal makes one."""

    seq: int
    hash: bytes
    record: bytes = field(repr=False)


class Pending(Protocol):
    """A write on its way to the medium."""

    def wait(self) -> None:
        """Returns after it is durable. DiskFull, MediumFailed (outcome unknown)."""
        ...


@dataclass(frozen=True, slots=True)
class Doubt:
    """A payment or void whose outcome is unknown: the IN_DOUBT record's seq and what it says."""

    seq: int
    effect: Effect
    log_record: bytes
    body: Map
    stamp_wall: datetime

    @property
    def card(self) -> CardId:
        """The card it is about."""
        return self.effect.card

    @property
    def is_void(self) -> bool:
        """Whether it undoes a payment."""
        return self.effect.voids is not None

    @property
    def amount(self) -> Cents:
        """Cents paid or given back, above zero."""
        return Cents(abs(self.effect.amount))


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: epoch, last seq (0 before the first record) and its hash."""

    epoch: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class SeenState:
    """The last record that must be seen and was not, with its type and body."""

    seq: int
    type: RecordType
    body: Map
    wall: datetime


@dataclass(frozen=True, slots=True)
class LastPayment:
    """For « Déjà payé »: the newest payment of a card at this terminal."""

    seq: int
    amount: Cents
    at: Instant


@dataclass(frozen=True, slots=True)
class PastPayment:
    """A payment of this terminal that can still be undone.

    Attributes:
        seq: of its intent, as its log record says.
        day: of the totals it counts in.
        log_record: as it stands on the card, 32 B.
        tmi: what its proof is over.
        base: cents it added to the month's base of the bonus; ``None`` where that is unknown.
        by_purse: what each purse paid of it; ``None`` where that is unknown.
    """

    seq: int
    card: CardId
    amount: Cents
    day: date
    at: datetime
    log_record: bytes
    tmi: bytes = field(repr=False)
    base: Cents | None = ZERO
    by_purse: Mapping[PurseNumber, Cents] | None = None


class Journal(Protocol):
    """The append-only signed truth of one terminal. At most one intent is open; while it is, nothing else is
    appended.
    """

    def open_intent(self, intent: Intent) -> Pending:
        """Start making the intent durable; may overlap ``stage``, must be waited for before ``commit``."""
        ...

    def drop_intent(self) -> None:
        """Commit was never sent: forget the intent, its number is used again."""
        ...

    def open_intent_left(self) -> Intent | None:
        """The intent found open at start, of a till that ended between intent and record."""
        ...

    def append(self, draft: Draft, *, closes_intent: bool = False) -> Durable:
        """Sign, chain, outbox and totals in one commit; with ``closes_intent`` the open intent ends in the same
        commit.
        """
        ...

    def head(self) -> Head: ...

    def doubts(self, card: CardId | None = None) -> tuple[Doubt, ...]: ...

    def paid_on(self, card: CardId, day: date) -> Cents:
        """What the card paid here on that day, doubts counted as paid."""
        ...

    def paid_by_purse_on(self, card: CardId, day: date) -> Mapping[PurseNumber, Cents] | None:
        """The same by purse; ``None`` where a program before this one did not keep that of one of its payments."""
        ...

    def unreported(self) -> Cents:
        """Cents of the payments the centre has not acknowledged yet, doubts counted as paid."""
        ...

    def unreported_of(self, card: CardId) -> Cents:
        """Cents of this card's payments the centre has not acknowledged yet, doubts counted as paid."""
        ...

    def counters_seen(self, card: CardId) -> Counters | None:
        """The furthest this terminal has seen the card's counters since its last contact with the centre.

        ``None``: not met since; the centre's floor and mark speak for what was before.
        """
        ...

    def doubted_of(self, card: CardId) -> Cents:
        """Cents of this card's payments in doubt, and of doubts that ended unpaid since the last contact."""
        ...

    def last_payment(self, card: CardId) -> LastPayment | None:
        """The newest payment of a card here that was not voided."""
        ...

    def voidable(self, seq: int | None = None) -> PastPayment | None:
        """The newest payment since the last closing that is not voided (nor perhaps voided), or the one of that seq."""
        ...

    def last_unseen(self) -> SeenState | None: ...

    def acknowledge(self, seq: int, stamp: Stamp) -> None:
        """The cashier has seen the outcome of ``seq``."""
        ...


@dataclass(frozen=True, slots=True)
class TimeAnchor:
    """What the two clocks start from: newest t_lo, last centre time and the instant it was received at, market
    boots since.
    """

    t_lo: datetime
    centre_time: datetime
    received_boot: int
    received_boottime_ns: int
    powered_before_ns: int = 0  # powered time of the boots that ended since
    market_boots: int = 0  # boots since that followed a closing
    other_boots: int = 0
    wall_error_s: int = 0  # wall clock minus centre time at the anchor, seconds


class TimeKeeper(Protocol):
    """Where the two clocks are kept between boots."""

    def anchor(self) -> TimeAnchor: ...

    def raise_t_lo(self, t_lo: datetime) -> None:
        """Remember a later earliest time; never goes down. Written with the next append, not on its own."""
        ...


# --- what goes to the centre and comes from it -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SyncState:
    """For the status bar: what waits, and when the centre last answered.

    Attributes:
        pending_records: not yet acknowledged.
        pending_payments: payments among them.
        pending_amount: their sum in cents.
        last_contact: wall time of the last accepted answer, or ``None`` for never.
        frozen: sentence why this terminal must be enrolled again, or ``None``.
    """

    pending_records: int = 0
    pending_payments: int = 0
    pending_amount: Cents = ZERO
    last_contact: datetime | None = None
    frozen: str | None = None


class Outbox(Protocol):
    """What network, stick and simulation use."""

    def next_batch(self, nonce: bytes, max_records: int = 256, max_b: int = 262_144) -> bytes:
        """Head and the records not yet acknowledged, in order; without records it asks only for the answer."""
        ...

    def apply_answer(self, answer: bytes, nonce: bytes, at: Instant) -> SyncState:
        """Verify the centre's signed answer and acknowledge up to its head; freeze when its head is not our record."""
        ...

    def apply_download(self, bundle: bytes, at: Instant) -> SyncState:
        """Verify and store lists in one commit; a version never goes down."""
        ...

    def state(self) -> SyncState: ...


@dataclass(frozen=True, slots=True)
class ListsState:
    """Versions and age of what was received: ``signed_at`` of the hot list counts as the lists' age."""

    rules_version: int
    hot_list_version: int
    signed_at: datetime


class Lists(Protocol):
    """What the centre sent; versions only grow."""

    def rules(self) -> RuleSet: ...

    def merchant(self) -> Merchant: ...

    def state(self) -> ListsState: ...

    def card(self, uid: Uid) -> CardRef | None: ...

    def entitlement(self, card: CardId) -> SignedEntitlement | None: ...

    def read_entitlement(self, data: bytes, uid: Uid) -> SignedEntitlement:
        """Verify an entitlement read from a card; raises the FormatErrors of ``decode_entitlement``."""
        ...

    def is_on_hot_list(self, card: CardId) -> bool: ...

    def slip_key(self, station: Station, seq: int) -> PublicKey | None:
        """Key of the terminal that signs as ``station``; ``None`` for one not known, or revoked before ``seq``."""
        ...


class CardKeys(Protocol):
    """Keys of cards, opened in RAM; only the key store of terminal/nfc sees them."""

    def key(self, card: CardId) -> bytes | None: ...


class Signer(Protocol):
    """The device key: a file now; a TPM or secure element later."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes, ES256."""
        ...


@dataclass(frozen=True, slots=True)
class TerminalIdentity:
    """Who this terminal is, from its certificate."""

    terminal: TerminalId
    epoch: int
    station: Station
    programme: str
    certificate: bytes
    software: str
    offline_cap: Cents | None = None
    """Cents it may take between two contacts with the centre; ``None`` for no limit (training, benchmarks)."""
    card_cap: Cents | None = None
    """Cents of these that one card may spend."""
    caps_version: int = 0
    """Of the two."""
