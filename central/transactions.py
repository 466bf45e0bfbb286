"""A card's transactions as the centre keeps them: what happened, what was read, logs and slips the card carried along.

An event comes from a terminal's record or, where the record never came, from what a card showed elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from central.keys import CentralKeys
from central.store import Row, Store
from central.unproven import spent_before
from domain.card_log import Debit
from domain.identity import CardId, SlotFile, Station, Uid
from domain.money import ZERO, Cents
from domain.purse import Entitlement
from domain.slip import Slip, accepted_slips, given_back
from sync.card_format import decode_entitlement, decode_log_record, decode_reader_id, read_slip, verify_slip
from sync.crypto import public_key
from sync.errors import FormatError, Malformed
from sync.issuing import TMAC_KEY
from sync.ntag_format import gives_proof
from sync.tmac import TransactionInput, previous_reader_id

TABLES: Final = ("event", "movement", "counter", "void_made", "given_back", "log_seen")
"""What is kept of a transaction, by its place."""
BORNE_OUT: Final = """(event.has_proof = 1 OR EXISTS (SELECT 1 FROM log_seen AS witness WHERE witness.card = event.card
    AND witness.tmc = event.tmc AND witness.log = event.own_log AND witness.terminal <> event.terminal
    AND NOT EXISTS (SELECT 1 FROM terminal AS ours JOIN terminal AS theirs USING (merchant)
        WHERE ours.terminal = event.terminal AND theirs.terminal = witness.terminal)))"""
"""Of a card that gives no proof, a transaction counts as more than a terminal's word once one of another merchant has
read its log record."""
NO_EPOCH: Final = 0
"""Epochs of terminals begin at 1: under this one stands what a card proves beside the journal it names."""
PAYMENT: Final = "payment"
VOID: Final = "void"
RECORD: Final = "record"
CARD: Final = "card"


@dataclass(frozen=True, slots=True)
class Place:
    """A number in the journal of one epoch of a terminal."""

    terminal: bytes
    epoch: int
    seq: int

    @property
    def is_beside(self) -> bool:
        """Whether it is in no journal: the card's own place for a transaction that the named journal does not hold."""
        return self.epoch == NO_EPOCH


def beside(card: CardId, tmc: int) -> Place:
    """Where a transaction is kept whose number in its terminal's journal holds something else."""
    return Place(card, NO_EPOCH, tmc)


@dataclass(frozen=True, slots=True)
class Chip:
    """A card of the programme with the key its proofs are checked with; some cards give none."""

    card: CardId
    uid: Uid
    tmac_key: bytes = field(repr=False)
    loaded: int = 0
    registered_at: int = 0
    has_proof: bool = True


@dataclass(frozen=True, slots=True)
class Undone:
    """What a void undoes: number and transaction counter of the payment (``None``: not told), cents per slot."""

    payment_seq: int | None
    payment_tmc: int | None
    parts: tuple[Debit, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """One transaction of a card, in whatever state it is known.

    Attributes:
        source: RECORD or CARD.
        expected_tmv: the proof the card must have given (8 B); nothing where its input is not known.
        entitlement: in force after it, where readable.
        undone: of a void.
        at: seconds since 1970, the terminal's word.
        excess: cents by file that nothing in force allowed; such a debit belongs to no window.
    """

    place: Place
    tmc: int
    kind: str
    state: str
    source: str
    expected_tmv: bytes
    own_log: bytes
    entitlement: Entitlement | None
    undone: Undone | None
    at: int
    excess: Mapping[SlotFile, int] = field(default_factory=dict)


def chip_of(store: Store, keys: CentralKeys, programme: str, card: CardId) -> Chip | None:
    """The card's file, or ``None`` for a card this centre does not know."""
    row = store.one("SELECT uid, aid, loaded, registered_at FROM card WHERE card = ?", card)
    if row is None:
        return None
    uid = Uid(bytes(row["uid"]))
    tmac_key = keys.card_key(TMAC_KEY, uid, bytes(row["aid"]), programme, card)
    return Chip(card, uid, tmac_key, row["loaded"], row["registered_at"], gives_proof(bytes(row["aid"])))


def own_word(keys: CentralKeys, chip: Chip, place: bytes) -> Entitlement:
    """The entitlement in a card's place for it: the centre's own word for this card. Raises FormatError."""
    word = decode_entitlement(place, chip.uid, keys.entitlement_keys.get).entitlement
    if word.card != chip.card:
        raise Malformed("an entitlement of another card")
    return word


# --- writing ---------------------------------------------------------------------------------------------------------


def put_event(store: Store, chip: Chip, made: Made, facts: TransactionInput | None) -> None:
    """Keep a transaction with all its proof's input says; ``facts`` is ``None`` where only log or slip is known."""
    debits = () if made.kind == VOID else decode_log_record(made.own_log).debits if facts is None else facts.debits
    amount = sum(int(part.amount) for part in (made.undone.parts if made.undone else debits))
    previous = None if facts is None else _previous(chip, made.tmc, facts)
    number = None if made.entitlement is None else made.entitlement.number
    store.put(
        "event",
        card=chip.card,
        tmc=made.tmc,
        **_where(made.place),
        kind=made.kind,
        state=made.state,
        source=made.source,
        amount=amount,
        expected_tmv=made.expected_tmv,
        own_log=made.own_log,
        previous_station=previous[0] if previous else None,
        previous_seq=previous[1] if previous else None,
        entitlement_epoch=number[0] if number else None,
        entitlement_seq=number[1] if number else None,
        places_after=None if facts is None else places_after(facts),
        has_proof=int(chip.has_proof),
        at=made.at,
        excess=sum(made.excess.values()),
    )
    if made.undone is not None:
        _put_void(store, chip, made, made.undone, facts)
    starts = window_starts(made.entitlement)
    for debit in debits:
        store.put(
            "movement",
            **_where(made.place),
            card=chip.card,
            tmc=made.tmc,
            file=int(debit.file),
            amount=int(debit.amount),
            value_after=None if facts is None else int(facts.value_after(debit.file)),
            start_at=None if made.excess.get(debit.file) == int(debit.amount) else starts.get(debit.file),
        )


def put_readings(store: Store, chip: Chip, made: Made, facts: TransactionInput) -> None:
    """Keep what the transaction read on the card: counters, log records, slips (and the slip it wrote)."""
    for item in facts.values:
        store.put_new(
            "counter",
            card=chip.card,
            tmc=made.tmc - 1,
            file=int(item.file),
            value=int(item.value),
            **_where(made.place),
        )
    put_logs(store, chip.card, facts.logs, made.place, made.tmc)
    put_slips(store, chip.card, facts.slips_read)


def put_logs(store: Store, card: CardId, logs: Iterable[bytes], place: Place, inside: int | None = None) -> None:
    """Keep log records read on a card.

    Args:
        logs: newest first.
        inside: number of the transaction whose proof covers the reading; ``None``: only a terminal says so.
    """
    for index, log in enumerate(logs):
        try:
            record = decode_log_record(log)
        except FormatError:
            continue
        fits = inside is not None and record.tmc == inside - 1 - index
        store.put_new(
            "log_seen",
            card=card,
            tmc=record.tmc,
            log=log,
            inside=inside if fits else None,
            **_where(place),
        )


def put_slips(store: Store, card: CardId, slips: Iterable[bytes]) -> None:
    """Keep slips seen on a card, each once, with whether its station signed it, and did so before it was revoked."""
    for data in slips:
        try:
            slip = read_slip(data)
        except FormatError:
            continue
        store.put_new(
            "slip_seen",
            card=card,
            slip=data,
            station=int(slip.station),
            seq=slip.seq,
            tmc=slip.tmc,
            is_verified=int(is_signed(store, card, data, slip) and not _is_revoked(store, slip.station)),
        )


def is_signed(store: Store, card: CardId, data: bytes, slip: Slip) -> bool:
    """Whether the terminal a slip names has signed it for this card."""
    row = store.one("SELECT device_key FROM terminal WHERE station = ?", slip.station)
    if row is None:
        return False
    try:
        verify_slip(data, card, public_key(bytes(row["device_key"])))
    except FormatError:
        return False
    return True


def counting_slips(store: Store, card: CardId, slips: Iterable[bytes]) -> tuple[Slip, ...]:
    """The slips that are their stations' word; of a revoked one those seen before."""
    found = []
    for data in slips:
        try:
            slip = read_slip(data)
        except FormatError:
            continue
        if is_signed(store, card, data, slip) and (
            not _is_revoked(store, slip.station)
            or store.one("SELECT 1 FROM slip_seen WHERE card = ? AND slip = ? AND is_verified = 1", card, data)
        ):
            found.append(slip)
    return tuple(found)


def counts_at_all(store: Store, station: int, seq: int, card: CardId, tmc: int) -> bool:
    """Whether a void of this station told by a card alone counts: of a revoked one, if its slip was seen before."""
    if not _is_revoked(store, station):
        return True
    row = store.one(
        "SELECT 1 FROM slip_seen WHERE card = ? AND station = ? AND seq = ? AND tmc = ? AND is_verified = 1",
        card,
        station,
        seq,
        tmc,
    )
    return row is not None


def _is_revoked(store: Store, station: int) -> bool:
    """Whether nothing new is believed of a station; an unknown one neither."""
    row = store.one("SELECT revoked_at FROM terminal WHERE station = ?", station)
    return row is None or row["revoked_at"] is not None


def excess_of(
    store: Store,
    chip: Chip,
    entitlement: Entitlement,
    facts: TransactionInput,
    tmc: int,
    t_lo: datetime,
    t_late: datetime,
) -> dict[SlotFile, int]:
    """Cents by file debited above the limits in force and the slips that counted, or after their time was over.

    Only with keys taken out of a terminal, or a changed till.
    """
    slips = counting_slips(store, chip.card, facts.slips_read)
    back = given_back(accepted_slips(slips, entitlement, tmc - 1, t_lo, t_late))
    limits = {slot.file: slot for slot in entitlement.slots}
    excess: dict[SlotFile, int] = {}
    told = {} if chip.has_proof else spent_before(store, chip.card, tmc)
    for debit in facts.debits:
        slot = limits.get(debit.file)
        before = Cents(min(facts.value_before(debit.file), max(chip.loaded - told.get(debit.file, 0), 0)))
        is_over = t_lo >= entitlement.valid_until or (slot is not None and slot.end is not None and t_lo >= slot.end)
        allowed = ZERO if slot is None or is_over else slot.available(before, back.get(debit.file, ZERO))
        if debit.amount > allowed:
            excess[debit.file] = int(debit.amount) - int(allowed)
    return excess


def forget(store: Store, place: Place, source: str = CARD) -> None:
    """Let go of what a card told about this number: the record itself is here, or it is told anew."""
    row = store.one(
        "SELECT 1 FROM event WHERE terminal = ? AND epoch = ? AND seq = ? AND source = ?",
        place.terminal,
        place.epoch,
        place.seq,
        source,
    )
    if row is None:
        return
    for table in TABLES:
        store.change(
            f"DELETE FROM {table} WHERE terminal = ? AND epoch = ? AND seq = ?", place.terminal, place.epoch, place.seq
        )


def step_aside(store: Store, place: Place) -> None:
    """A station's own record takes its number: what only a card tells under that number moves beside the journal.

    Reader id and log record are claims of whoever holds a card's terminal key; the card's proof is not about them.
    """
    row = store.one(
        "SELECT card, tmc FROM event WHERE terminal = ? AND epoch = ? AND seq = ? AND source = ?",
        place.terminal,
        place.epoch,
        place.seq,
        CARD,
    )
    if row is None:
        return
    there = beside(CardId(bytes(row["card"])), row["tmc"])
    forget(store, there)
    for table in TABLES:
        store.change(
            f"UPDATE {table} SET terminal = ?, epoch = ?, seq = ? WHERE terminal = ? AND epoch = ? AND seq = ?",
            there.terminal,
            there.epoch,
            there.seq,
            place.terminal,
            place.epoch,
            place.seq,
        )


def places_after(facts: TransactionInput) -> int:
    """Slip places in use after a transaction, bit 0 and bit 1."""
    return facts.places_read if facts.places_written is None else facts.places_written


def rule_out_others(store: Store, card: CardId, tmc: int, tmv: bytes) -> None:
    """A card has one transaction a number: a doubt about another one of that number never was."""
    store.change(
        """UPDATE event SET state = 'cancelled' WHERE card = ? AND tmc = ? AND state IN ('doubt', 'attested')
        AND expected_tmv <> ?""",
        card,
        tmc,
        tmv,
    )


def window_starts(entitlement: Entitlement | None) -> dict[SlotFile, int]:
    """Start of the window of each slot, seconds since 1970."""
    slots = () if entitlement is None else entitlement.slots
    return {slot.file: int(slot.start.timestamp()) for slot in slots}


def own_parts(own_log: bytes) -> tuple[Debit, ...]:
    """Cents per slot that a log record tells of."""
    return tuple(Debit(part.file, Cents(part.amount)) for part in decode_log_record(own_log).debits)


def place_of(row: Row) -> Place:
    """Where in which journal a row belongs."""
    return Place(bytes(row["terminal"]), row["epoch"], row["seq"])


def _put_void(store: Store, chip: Chip, made: Made, undone: Undone, facts: TransactionInput | None) -> None:
    starts = window_starts(made.entitlement)
    slip_place, slip = (None, None) if facts is None or facts.slip_written is None else facts.slip_written
    store.put(
        "void_made",
        **_where(made.place),
        card=chip.card,
        tmc=made.tmc,
        payment_seq=undone.payment_seq,
        payment_tmc=undone.payment_tmc,
        slip=slip,
        slip_place=slip_place,
        counts=0,
        why="",
    )
    for part in undone.parts:
        start = starts.get(part.file)
        store.put("given_back", **_where(made.place), file=int(part.file), amount=int(part.amount), start_at=start)


def _previous(chip: Chip, tmc: int, facts: TransactionInput) -> tuple[Station, int] | None:
    return decode_reader_id(previous_reader_id(chip.tmac_key, tmc, chip.uid, facts.enciphered_previous))


def _where(place: Place) -> dict[str, object]:
    return {"terminal": place.terminal, "epoch": place.epoch, "seq": place.seq}
