"""What records say about cards, keyed by (card, TMC); proven by the card's own MAC, never by a terminal's word.

States of an event: *proven* (its TMV is the card's), *doubt* (no proof yet), *cancelled* (the transaction never was),
*false* (a TMV that is not the card's: quarantine).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from central.keys import CentralKeys
from central.store import Row, Store
from domain.identity import CardId, Uid
from sync.card_format import LOG_RECORD_SIZE_B, decode_log_record, decode_reader_id
from sync.cbor import Map, take_bytes, take_int
from sync.errors import FormatError, Malformed, UnknownVersion
from sync.issuing import TMAC_KEY
from sync.record import BODY_VERSION, Envelope, Outcome, Pay, RecordType, Refuse, Resolve
from sync.tmac import TransactionInput, parse, transaction_mac_value

TMV_SIZE_B = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a record is posted, or quarantined and why."""

    is_posted: bool
    why: str = ""


POSTED = Verdict(True)
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
        return Verdict(False, "unknown record type")
    try:
        if take_int(envelope.body, 0) != BODY_VERSION:
            return Verdict(False, "unknown version of the body")
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
        return Verdict(False, f"unknown version: {fault}")
    except FormatError as fault:
        return Verdict(False, f"contradicts itself: {fault}")


def _post_payment(store: Store, keys: CentralKeys, programme: str, station: int, envelope: Envelope) -> Verdict:
    body = envelope.body
    card = CardId(take_bytes(body, Pay.CARD, 8))
    known = store.one("SELECT uid, aid FROM card WHERE card = ?", card)
    if known is None:
        return Verdict(False, "a card this centre does not know")
    uid, tmc = Uid(bytes(known["uid"])), take_int(body, Pay.TMC_EXPECTED, 0xFFFFFF)
    tmi = take_bytes(body, Pay.TMI, most_b=1_536)
    facts = parse(tmi)
    _check_claims(facts, body, station, envelope.seq, tmc)
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
        )
    for item in facts.values:
        store.put_new("counter", card=card, tmc=tmc - 1, file=int(item.file), value=int(item.value))
    _see(store, envelope, card, take_int(body, Pay.TMC_BEFORE), take_bytes(body, Pay.TMV_BEFORE, TMV_SIZE_B))
    if state == "proven":
        _rule_out_others(store, card, tmc, expected)
    return POSTED if state != "false" else Verdict(False, "the proof is not the card's")


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
    _see(store, envelope, card, take_int(body, Resolve.TMC_READ), take_bytes(body, Resolve.TMV_READ, TMV_SIZE_B))
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
    card, tmc = CardId(take_bytes(body, Refuse.CARD, 8)), take_int(body, Refuse.TMC_READ)
    _see(store, envelope, card, tmc, take_bytes(body, Refuse.TMV_READ, TMV_SIZE_B))
    for file, value in _pairs(body, Refuse.VALUES):
        store.put_new("counter", card=card, tmc=tmc, file=file, value=value)
    return POSTED


def _see(store: Store, envelope: Envelope, card: CardId, tmc: int, tmv: bytes) -> None:
    """A later tap read the proof of the card's newest transaction: a doubt with that proof is one no more."""
    if tmc == 0:
        return
    where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
    store.put_new("sighting", card=card, tmc=tmc, tmv=tmv, **where)
    proven = store.change(
        "UPDATE event SET state = 'proven' WHERE card = ? AND tmc = ? AND state = 'doubt' AND expected_tmv = ?",
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


def _pairs(body: Map, key: int) -> Iterator[tuple[int, int]]:
    pairs = body.get(key)
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case [int() as file, int() as value]:
                yield file, value
            case _:
                raise Malformed("a counter is a file and a value")


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
        newest_tmc, missing_tmcs: of the card, as far as known; numbers without a record.
    """

    card: CardId
    granted: int
    spent: int
    doubted: int
    travelling: int
    open: int
    lapsed: int
    newest_tmc: int
    missing_tmcs: tuple[int, ...]
    is_hot: bool

    @property
    def is_conserved(self) -> bool:
        """granted = spent + doubted + travelling + open + lapsed."""
        return self.granted == self.spent + self.doubted + self.travelling + self.open + self.lapsed


def account(store: Store, card: Row, now_s: int) -> CardAccount:
    """The state of one card's money."""
    card_id = CardId(bytes(card["card"]))
    events = store.all("SELECT tmc, state, amount FROM event WHERE card = ?", card_id)
    spent = sum(event["amount"] for event in events if event["state"] == "proven")
    doubted = sum(event["amount"] for event in events if event["state"] == "doubt")
    known = {event["tmc"] for event in events if event["state"] in ("proven", "doubt")}
    newest = max(
        store.number("SELECT max(tmc) FROM sighting WHERE card = ?", card_id),
        store.number("SELECT max(tmc) FROM counter WHERE card = ?", card_id),
        max((event["tmc"] for event in events if event["state"] == "proven"), default=0),
    )
    left_open, lapsed, travelling = _windows(store, card_id, card["loaded"], now_s)
    return CardAccount(
        card=card_id,
        granted=store.number("SELECT sum(amount) FROM grant_given WHERE card = ?", card_id),
        spent=spent,
        doubted=doubted,
        travelling=travelling,
        open=left_open,
        lapsed=lapsed,
        newest_tmc=newest,
        missing_tmcs=tuple(sorted(set(range(1, newest + 1)) - known)),
        is_hot=card["hot_since"] is not None,
    )


def _windows(store: Store, card: CardId, loaded: int, now_s: int) -> tuple[int, int, int]:
    """What is left in open windows, what lapsed in ended ones, and what the counters show beyond all records."""
    left_open = lapsed = travelling = 0
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
            if window["end_at"] is not None and window["end_at"] <= now_s:
                lapsed += left
            else:
                left_open += left
    return left_open, lapsed, travelling


def _lowest_value(store: Store, card: CardId, file: int, loaded: int) -> int:
    """The lowest value of a file anybody read, or any proven payment left behind."""
    read = store.one("SELECT min(value) AS value FROM counter WHERE card = ? AND file = ?", card, file)
    left = store.one(
        """SELECT min(value_after) AS value FROM movement JOIN event USING (terminal, epoch, seq)
        WHERE movement.card = ? AND movement.file = ? AND event.state = 'proven'""",
        card,
        file,
    )
    values = [row["value"] for row in (read, left) if row is not None and row["value"] is not None]
    return min(values, default=loaded)
