"""What records say about cards, keyed by (card, TMC); proven by the card's own MAC, never by a terminal's word.

States of an event: *proven* (its TMV is the card's), *doubt* (no proof yet), *cancelled* (the transaction never was),
*false* (a TMV that is not the card's: quarantine).
"""

from __future__ import annotations

from dataclasses import dataclass

from central.keys import CentralKeys
from central.store import Row, Store
from domain.identity import CardId, Uid
from domain.purse import Entitlement
from sync.batch import Disposition
from sync.card_format import LOG_RECORD_SIZE_B, decode_entitlement, decode_log_record, decode_reader_id
from sync.cbor import Map, take_bytes, take_int
from sync.errors import FormatError, Malformed, UnknownVersion
from sync.issuing import TMAC_KEY
from sync.record import BODY_VERSION, Envelope, Outcome, Pay, RecordType, Refuse, Resolve
from sync.tmac import TransactionInput, parse, transaction_mac_value

TMV_SIZE_B = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a record, and why it is not simply posted."""

    disposition: Disposition
    why: str = ""


POSTED = Verdict(Disposition.POSTED)


def quarantined(why: str) -> Verdict:
    """Kept for a person to look at."""
    return Verdict(Disposition.QUARANTINED, why)


MOST_TMC = 0xFFFFFF
_BODIES = {
    RecordType.PAYMENT,
    RecordType.REFUSAL,
    RecordType.IN_DOUBT,
    RecordType.RESOLUTION,
    RecordType.BOOT,
    RecordType.LIST_IMPORT,
    RecordType.ACKNOWLEDGEMENT,
}


def post(store: Store, keys: CentralKeys, programme: str, station: int, envelope: Envelope) -> Verdict:
    """Take in one record of a chain, its place and signature already verified; inside a transaction of the store."""
    if envelope.type not in _BODIES:
        return quarantined("unknown record type")
    try:
        if take_int(envelope.body, 0) != BODY_VERSION:
            return quarantined("unknown version of the body")
        with store.savepoint():
            match envelope.type:
                case RecordType.PAYMENT | RecordType.IN_DOUBT:
                    return _post_payment(store, keys, programme, station, envelope)
                case RecordType.RESOLUTION:
                    return _post_resolution(store, envelope)
                case RecordType.REFUSAL:
                    return _post_refusal(store, envelope)
            return POSTED
    except UnknownVersion as fault:
        return quarantined(f"unknown version: {fault}")
    except FormatError as fault:
        return quarantined(f"contradicts itself: {fault}")
    except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
        return quarantined(f"cannot be posted: {type(fault).__name__}")  # one record never stops those behind it


def _post_payment(store: Store, keys: CentralKeys, programme: str, station: int, envelope: Envelope) -> Verdict:
    body = envelope.body
    card = CardId(take_bytes(body, Pay.CARD, 8))
    known = store.one("SELECT uid, aid FROM card WHERE card = ?", card)
    if known is None:
        return quarantined("a card this centre does not know")
    uid, tmc = Uid(bytes(known["uid"])), take_int(body, Pay.TMC_EXPECTED, 0xFFFFFF)
    tmi = take_bytes(body, Pay.TMI, most_b=1_536)
    facts = parse(tmi)
    _check_claims(facts, body, station, envelope.seq, tmc)
    entitlement = _entitlement_in_force(keys, card, uid, facts)
    tmac_key = keys.card_key(TMAC_KEY, uid, bytes(known["aid"]), programme, card)
    expected = transaction_mac_value(tmac_key, tmc, uid, tmi)
    state = _state(store, card, tmc, envelope, expected)
    store.put(
        "event",
        card=card,
        tmc=tmc,
        terminal=envelope.terminal,
        epoch=envelope.epoch,
        seq=envelope.seq,
        state=state,
        amount=int(facts.amount),
        expected_tmv=expected,
        at=envelope.wall,
    )
    starts = {slot.file: int(slot.start.timestamp()) for slot in entitlement.slots}
    for debit in facts.debits:
        store.put(
            "movement",
            terminal=envelope.terminal,
            epoch=envelope.epoch,
            seq=envelope.seq,
            card=card,
            tmc=tmc,
            file=int(debit.file),
            amount=int(debit.amount),
            value_after=int(facts.value_after(debit.file)),
            start_at=starts.get(debit.file),
        )
    if state == "false":
        return quarantined("the proof is not the card's")
    where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
    for item in facts.values:
        store.put("counter", card=card, tmc=tmc - 1, file=int(item.file), value=int(item.value), **where)
    _see(store, envelope, card, take_int(body, Pay.TMC_BEFORE, MOST_TMC), take_bytes(body, Pay.TMV_BEFORE, TMV_SIZE_B))
    if state == "proven":
        _rule_out_others(store, card, tmc, expected)
    excess = _excess(entitlement, facts)
    return Verdict(Disposition.EXCESS, f"{excess} cents above the entitlement in force") if excess else POSTED


def _entitlement_in_force(keys: CentralKeys, card: CardId, uid: Uid, facts: TransactionInput) -> Entitlement:
    """What the card carried after the transaction must be the centre's own word for this card."""
    public = keys.public().entitlements
    word = decode_entitlement(facts.entitlement_in_force, uid, public.get).entitlement
    if word.card != card:
        raise Malformed("an entitlement of another card")
    return word


def _excess(entitlement: Entitlement, facts: TransactionInput) -> int:
    """Cents debited above the limits of the entitlement in force: only with keys taken out of a terminal."""
    limits = {slot.file: slot for slot in entitlement.slots}
    excess = 0
    for debit in facts.debits:
        slot = limits.get(debit.file)
        allowed = 0 if slot is None else slot.available(facts.value_before(debit.file))
        excess += max(int(debit.amount) - int(allowed), 0)
    return excess


def _state(store: Store, card: CardId, tmc: int, envelope: Envelope, expected: bytes) -> str:
    if envelope.type == RecordType.PAYMENT:
        if take_int(envelope.body, Pay.TMC) != tmc:
            raise Malformed("another counter than the one intended")
        return "proven" if take_bytes(envelope.body, Pay.TMV, TMV_SIZE_B) == expected else "false"
    if store.one("SELECT 1 FROM sighting WHERE card = ? AND tmc = ? AND tmv = ?", card, tmc, expected):
        return "proven"
    if store.one("SELECT 1 FROM event WHERE card = ? AND tmc = ? AND state = 'proven'", card, tmc):
        return "cancelled"
    return "doubt"


def _check_claims(facts: TransactionInput, body: Map, station: int, seq: int, tmc: int) -> None:
    """Everything the record says beside the TMI must be what the TMI says."""
    if decode_reader_id(facts.reader_id) != (station, seq):
        raise Malformed("another station or number on the card than in the record")
    if facts.own_log != take_bytes(body, Pay.OWN_LOG, LOG_RECORD_SIZE_B):
        raise Malformed("another log record on the card than in the record")
    log = decode_log_record(facts.own_log)
    if (log.station, log.seq, log.tmc) != (station, seq, tmc) or log.debits != facts.debits:
        raise Malformed("the log record is not that of this payment")
    if body.get(Pay.DEBITS) != [[int(debit.file), int(debit.amount)] for debit in facts.debits]:
        raise Malformed("other debits on the card than in the record")
    if body.get(Pay.VALUES) != [[int(item.file), int(item.value)] for item in facts.values]:
        raise Malformed("other counters on the card than in the record")


def _post_resolution(store: Store, envelope: Envelope) -> Verdict:
    body = envelope.body
    card = CardId(take_bytes(body, Resolve.CARD, 8))
    _see(
        store,
        envelope,
        card,
        take_int(body, Resolve.TMC_READ, MOST_TMC),
        take_bytes(body, Resolve.TMV_READ, TMV_SIZE_B),
    )
    if take_int(body, Resolve.OUTCOME) == Outcome.CANCELLED:
        store.change(
            "UPDATE event SET state = 'cancelled' WHERE terminal = ? AND epoch = ? AND seq = ? AND state = 'doubt'",
            envelope.terminal,
            envelope.epoch,
            take_int(body, Resolve.DOUBT_SEQ),
        )
    return POSTED


def _post_refusal(store: Store, envelope: Envelope) -> Verdict:
    body = envelope.body
    if body.get(Refuse.CARD) is None or body.get(Refuse.TMC_READ) is None:
        return POSTED
    card, tmc = CardId(take_bytes(body, Refuse.CARD, 8)), take_int(body, Refuse.TMC_READ, MOST_TMC)
    for file, value in _counters(store, card, body.get(Refuse.VALUES)):
        where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
        store.put("counter", card=card, tmc=tmc, file=file, value=value, **where)
    _see(store, envelope, card, tmc, take_bytes(body, Refuse.TMV_READ, TMV_SIZE_B))
    return POSTED


def _counters(store: Store, card: CardId, pairs: object) -> list[tuple[int, int]]:
    """Counters a refused tap read: a terminal's word, so never beyond what the card was granted."""
    loaded = store.number("SELECT loaded FROM card WHERE card = ?", card)
    found = []
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case [int() as file, int() as value] if 1 <= file <= 8 and 0 <= value <= loaded:
                found.append((file, value))
            case _:
                raise Malformed("a counter is a file and a value")
    for file, value in found:
        most = store.number("SELECT max(spent_limit) FROM slot_window WHERE card = ? AND file = ?", card, file)
        if loaded - value > most:
            raise Malformed("a counter beyond all that was granted")
    return found


def _see(store: Store, envelope: Envelope, card: CardId, tmc: int, tmv: bytes) -> None:
    """A later tap read the proof of the card's newest transaction: a doubt with that proof is one no more.

    The card's proof beats every terminal's word, also one that called the transaction cancelled.
    """
    if tmc == 0:
        return
    where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
    store.put_new("sighting", card=card, tmc=tmc, tmv=tmv, **where)
    proven = store.change(
        """UPDATE event SET state = 'proven'
        WHERE card = ? AND tmc = ? AND state IN ('doubt', 'cancelled') AND expected_tmv = ?""",
        card,
        tmc,
        tmv,
    )
    if proven:
        _rule_out_others(store, card, tmc, tmv)


def _rule_out_others(store: Store, card: CardId, tmc: int, tmv: bytes) -> None:
    """A card has one transaction a number: a doubt about another one of that number never was."""
    store.change(
        "UPDATE event SET state = 'cancelled' WHERE card = ? AND tmc = ? AND state = 'doubt' AND expected_tmv <> ?",
        card,
        tmc,
        tmv,
    )


@dataclass(frozen=True, slots=True)
class CardAccount:
    """One card in the ledger, in cents.

    Attributes:
        granted: all grants.
        spent: proven payments.
        doubted: payments whose outcome is unknown.
        travelling: debits the card's own counters show and no record here explains: still on offline terminals.
        open: windows not ended, what is left of their limits by what is known.
        lapsed: left in windows that ended (provisional until all have reported).
        excess: spent above all limits; only stolen keys can do that.
        newest_tmc: newest transaction of the card that any record tells of.
        missing_tmcs: transactions before it without a record, as first and last number of each gap.
    """

    card: CardId
    granted: int
    spent: int
    doubted: int
    travelling: int
    open: int
    lapsed: int
    excess: int
    newest_tmc: int
    missing_tmcs: tuple[tuple[int, int], ...]
    is_hot: bool

    @property
    def is_conserved(self) -> bool:
        """granted + excess = spent + doubted + travelling + open + lapsed, and no excess."""
        explained = self.spent + self.doubted + self.travelling + self.open + self.lapsed
        return self.granted + self.excess == explained and self.excess == 0


def account(store: Store, card: Row, now_s: int) -> CardAccount:
    """The state of one card's money."""
    card_id = CardId(bytes(card["card"]))
    events = store.all("SELECT tmc, state, amount FROM event WHERE card = ?", card_id)
    spent = sum(event["amount"] for event in events if event["state"] == "proven")
    doubted = sum(event["amount"] for event in events if event["state"] == "doubt")
    proven = {event["tmc"] for event in events if event["state"] == "proven"}
    known = proven | {event["tmc"] for event in events if event["state"] == "doubt"}
    seen = store.number("SELECT max(tmc) FROM sighting WHERE card = ?", card_id)
    newest = max(seen, store.number("SELECT max(tmc) FROM counter WHERE card = ?", card_id), *proven, 0)
    left_open, lapsed, travelling, excess = _windows(store, card_id, card["loaded"], now_s)
    return CardAccount(
        card=card_id,
        granted=store.number("SELECT sum(amount) FROM grant_given WHERE card = ?", card_id),
        spent=spent,
        doubted=doubted,
        travelling=travelling,
        open=left_open,
        lapsed=lapsed,
        excess=excess,
        newest_tmc=newest,
        missing_tmcs=_gaps(known, newest),
        is_hot=card["hot_since"] is not None,
    )


def _gaps(known: set[int], newest: int) -> tuple[tuple[int, int], ...]:
    """First and last number of each run of transactions up to the newest that no record tells of."""
    gaps, before = [], 0
    for tmc in sorted({*(number for number in known if number <= newest), newest + 1}):
        if tmc > before + 1:
            gaps.append((before + 1, tmc - 1))
        before = tmc
    return tuple(gaps)


def _windows(store: Store, card: CardId, loaded: int, now_s: int) -> tuple[int, int, int, int]:
    """Left in open windows, lapsed in ended ones, proven by counters beyond all records, spent above all limits."""
    left_open = lapsed = travelling = excess = 0
    files = store.all("SELECT DISTINCT file FROM slot_window WHERE card = ?", card)
    for file in (row["file"] for row in files):
        shown = loaded - _lowest_value(store, card, file, loaded)
        explained = store.number(
            """SELECT sum(movement.amount) FROM movement JOIN event USING (terminal, epoch, seq)
            WHERE movement.card = ? AND movement.file = ? AND event.state IN ('proven', 'doubt')""",
            card,
            file,
        )
        travelling += max(shown - explained, 0)
        counted = max(shown, explained)
        windows = store.all("SELECT * FROM slot_window WHERE card = ? AND file = ? ORDER BY start_at", card, file)
        for index, window in enumerate(windows):
            is_last = index == len(windows) - 1
            reached = (
                counted if is_last else min(max(windows[index + 1]["base"], window["base"]), window["spent_limit"])
            )
            left = window["spent_limit"] - max(reached, window["base"])
            excess += max(-left, 0)
            if window["end_at"] is not None and window["end_at"] <= now_s:
                lapsed += max(left, 0)
            else:
                left_open += max(left, 0)
    return left_open, lapsed, travelling, excess


def _lowest_value(store: Store, card: CardId, file: int, loaded: int) -> int:
    """The lowest value of a file that a proven payment or a refused tap read, or a proven payment left behind."""
    read = store.one(
        """SELECT min(value) AS value FROM counter LEFT JOIN event USING (terminal, epoch, seq)
        WHERE counter.card = ? AND counter.file = ? AND (event.state = 'proven' OR event.state IS NULL)""",
        card,
        file,
    )
    left = store.one(
        """SELECT min(value_after) AS value FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND movement.file = ? AND event.state = 'proven'""",
        card,
        file,
    )
    values = [row["value"] for row in (read, left) if row is not None and row["value"] is not None]
    return min(values, default=loaded)
