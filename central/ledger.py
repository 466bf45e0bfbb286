"""What records say about cards, keyed by (card, TMC); proven by the card's own MAC, never by a terminal's word.

States of an event: *proven* (its TMV is the card's), *attested* (no record or no proof yet, but the card shows it:
``central.courier``), *doubt* (no proof yet), *cancelled* (the transaction never was), *false* (a TMV that is not the
card's: quarantine).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from central import earnings, forgotten, redecision, rule_versions, unproven, voids
from central.keys import CentralKeys
from central.store import Store
from central.transactions import (
    PAYMENT,
    RECORD,
    VOID,
    Chip,
    Made,
    Place,
    Undone,
    beside,
    chip_of,
    excess_of,
    forget,
    is_signed,
    own_parts,
    own_word,
    put_event,
    put_logs,
    put_readings,
    put_slips,
    rule_out_others,
    step_aside,
)
from domain.card_log import LogType
from domain.identity import CardId, SlotFile
from domain.purse import Entitlement
from sync.batch import Disposition
from sync.card_format import LOG_RECORD_SIZE_B, SLIP_SIZE_B, decode_log_record, decode_reader_id, read_slip
from sync.cbor import Map, take_bytes, take_int, take_list
from sync.errors import FormatError, Malformed, UnknownVersion
from sync.record import BODY_VERSION, Alarm, Envelope, Outcome, Pay, RecordType, Refuse, Resolve, Seen
from sync.tmac import MOST_LOGS, MOST_TMI_B, TMV_SIZE_B, TransactionInput, parse, transaction_mac_value


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
    RecordType.VOID,
    RecordType.REFUSAL,
    RecordType.CARD_SEEN,
    RecordType.IN_DOUBT,
    RecordType.RESOLUTION,
    RecordType.BOOT,
    RecordType.LIST_IMPORT,
    RecordType.ACKNOWLEDGEMENT,
}


def post(
    store: Store, keys: CentralKeys, programme: str, station: int, envelope: Envelope, received_at: datetime
) -> Verdict:
    """Take in one record of a chain, its place and signature already verified; inside a transaction of the store.

    Args:
        received_at: when it came, aware UTC.
    """
    step_aside(store, _place(envelope))
    if envelope.type not in _BODIES:
        return quarantined("unknown record type")
    try:
        if take_int(envelope.body, 0) != BODY_VERSION:
            return quarantined("unknown version of the body")
        with store.savepoint():
            match envelope.type:
                case RecordType.PAYMENT | RecordType.VOID | RecordType.IN_DOUBT:
                    return _post_transaction(store, keys, programme, station, envelope, received_at)
                case RecordType.RESOLUTION:
                    return _post_resolution(store, envelope)
                case RecordType.REFUSAL:
                    return _post_refusal(store, envelope)
                case RecordType.CARD_SEEN:
                    return _post_seen(store, envelope)
            return POSTED
    except UnknownVersion as fault:
        return quarantined(f"unknown version: {fault}")
    except FormatError as fault:
        return quarantined(f"contradicts itself: {fault}")
    except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
        return quarantined(f"cannot be posted: {type(fault).__name__}")  # one record never stops those behind it


# --- payments and voids ----------------------------------------------------------------------------------------------


def _post_transaction(
    store: Store, keys: CentralKeys, programme: str, station: int, envelope: Envelope, received_at: datetime
) -> Verdict:
    body = envelope.body
    chip = chip_of(store, keys, programme, CardId(take_bytes(body, Pay.CARD, 8)))
    if chip is None:
        return quarantined("a card this centre does not know")
    tmc = take_int(body, Pay.TMC_EXPECTED, MOST_TMC)
    tmi = take_bytes(body, Pay.TMI, most_b=MOST_TMI_B)
    facts = parse(tmi)
    _check_claims(facts, envelope, station, tmc)
    undone = _undone(store, chip, facts, envelope, station, tmc) if facts.is_void else None
    expected = transaction_mac_value(chip.tmac_key, tmc, chip.uid, tmi)
    entitlement = _entitlement_in_force(keys, chip, facts)
    _take_words(store, keys, chip, facts, _place(envelope))
    clocks = datetime.fromtimestamp(envelope.t_lo, UTC), datetime.fromtimestamp(envelope.t_late, UTC)
    made = Made(
        place=_place(envelope),
        tmc=tmc,
        kind=VOID if facts.is_void else PAYMENT,
        state=_state(store, chip, tmc, envelope, expected),
        source=RECORD,
        expected_tmv=expected,
        own_log=facts.own_log,
        entitlement=entitlement,
        undone=undone,
        at=envelope.wall,
        excess={} if entitlement is None else excess_of(store, chip, entitlement, facts, tmc, *clocks),
    )
    if not chip.has_proof and undone is None and made.state != "false":
        told = decode_log_record(facts.own_log)
        found = {part.file: forgotten.highest_found(store, chip.card, part.file) for part in told.debits}
        why = unproven.fault(store, chip.card, told, made.excess, found, _zone(store, keys))
        if why:
            return quarantined(why)
    if made.state == "proven":
        forget(store, beside(chip.card, tmc))
    put_event(store, chip, made, facts)
    is_behind = not facts.is_void and redecision.goes_back(store, envelope)
    if not (facts.is_void or is_behind or made.excess):
        earnings.note(store, keys, chip.card, envelope, facts, entitlement, received_at)
    if made.state == "false":
        return quarantined("the proof is not the card's" if chip.has_proof else "a number of this card comes twice")
    put_readings(store, chip, made, facts)
    before = take_int(body, Pay.TMC_BEFORE, MOST_TMC), take_bytes(body, Pay.TMV_BEFORE, TMV_SIZE_B)
    _see(store, envelope, chip.card, *before)
    if made.state == "proven":
        rule_out_others(store, chip.card, tmc, expected)
        put_slips(store, chip.card, [facts.slip_written[1]] if facts.slip_written else [])
    if undone is not None:
        why = voids.fault(store, made.place, chip.card, tmc, undone, is_record=True)
        return quarantined(why) if why else POSTED
    if not facts.is_void:
        redecision.look_again(store, keys, chip, envelope, facts, entitlement, is_behind=is_behind)
    excess = sum(made.excess.values())
    return Verdict(Disposition.EXCESS, f"{excess} cents above the entitlement in force") if excess else POSTED


def _zone(store: Store, keys: CentralKeys) -> ZoneInfo:
    """Whose days the programme counts."""
    return ZoneInfo(rule_versions.newest(store, keys).timezone)


def _entitlement_in_force(keys: CentralKeys, chip: Chip, facts: TransactionInput) -> Entitlement | None:
    """What the card carried after the transaction: the centre's own word; a void may find none."""
    try:
        return own_word(keys, chip, facts.entitlement_in_force)
    except FormatError:
        if facts.is_void:
            return None
        raise


def _take_words(store: Store, keys: CentralKeys, chip: Chip, facts: TransactionInput, place: Place) -> None:
    """Entitlements on the card that a restored centre has forgotten."""
    for content in (facts.entitlement_read, facts.entitlement_written):
        if content is None or not any(content) or forgotten.is_remembered(store, chip.card, content):
            continue
        try:
            word = own_word(keys, chip, content)
        except FormatError:
            continue
        data = content[: 97 + 17 * len(word.slots)]
        forgotten.found_on_card(store, word, data, place.terminal, place.epoch, place.seq)


def _state(store: Store, chip: Chip, tmc: int, envelope: Envelope, expected: bytes) -> str:
    card = chip.card
    if not chip.has_proof:
        return _state_without_proof(store, card, tmc, envelope)
    if envelope.type != RecordType.IN_DOUBT and take_int(envelope.body, Pay.TMC) != tmc:
        raise Malformed("another counter than the one intended")
    if envelope.type != RecordType.IN_DOUBT and take_bytes(envelope.body, Pay.TMV, TMV_SIZE_B) == expected:
        return "proven"
    if store.one("SELECT 1 FROM sighting WHERE card = ? AND tmc = ? AND tmv = ?", card, tmc, expected):
        return "proven"
    if envelope.type != RecordType.IN_DOUBT:
        return "false"
    if store.one("SELECT 1 FROM event WHERE card = ? AND tmc = ? AND state = 'proven'", card, tmc):
        return "cancelled"
    return "doubt"


def _state_without_proof(store: Store, card: CardId, tmc: int, envelope: Envelope) -> str:
    """Of a card that proves nothing a terminal's word counts, once a number: which of two is the card nobody knows."""
    place = (envelope.terminal, envelope.epoch, envelope.seq)
    others = store.all(
        "SELECT terminal, epoch, seq FROM event WHERE card = ? AND tmc = ? AND state = 'proven'", card, tmc
    )
    is_taken = any((bytes(row["terminal"]), row["epoch"], row["seq"]) != place for row in others)
    if envelope.type == RecordType.IN_DOUBT:
        return "cancelled" if is_taken else "doubt"
    if take_int(envelope.body, Pay.TMC) != tmc or envelope.body.get(Pay.PROOF) != 0:
        raise Malformed("a proof from a card that gives none")
    return "false" if is_taken else "proven"


def _check_claims(facts: TransactionInput, envelope: Envelope, station: int, tmc: int) -> None:
    """Everything the record says beside the TMI must be what the TMI says."""
    body, seq = envelope.body, envelope.seq
    if facts.is_void != (envelope.type == RecordType.VOID) and envelope.type != RecordType.IN_DOUBT:
        raise Malformed("a payment where the card made a void, or the other way round")
    if decode_reader_id(facts.reader_id) != (station, seq):
        raise Malformed("another station or number on the card than in the record")
    if facts.own_log != take_bytes(body, Pay.OWN_LOG, LOG_RECORD_SIZE_B):
        raise Malformed("another log record on the card than in the record")
    log = decode_log_record(facts.own_log)
    if (log.station, log.seq, log.tmc) != (station, seq, tmc):
        raise Malformed("the log record is not that of this transaction")
    if log.type not in (LogType.PAYMENT, LogType.VOID) or (not facts.is_void and log.debits != facts.debits):
        raise Malformed("the log record is not that of this transaction")
    if body.get(Pay.DEBITS) != [[int(debit.file), int(debit.amount)] for debit in log.debits]:
        raise Malformed("other debits on the card than in the record")
    if body.get(Pay.VALUES) != [[int(item.file), int(item.value)] for item in facts.values]:
        raise Malformed("other counters on the card than in the record")


def _undone(store: Store, chip: Chip, facts: TransactionInput, envelope: Envelope, station: int, tmc: int) -> Undone:
    """What a void undoes by its record; the slip it wrote must say the same."""
    body, parts = envelope.body, own_parts(facts.own_log)
    payment_seq, payment_tmc = take_int(body, Pay.PAYMENT_SEQ, MOST_TMC), take_int(body, Pay.PAYMENT_TMC, MOST_TMC)
    if not parts:
        raise Malformed("a void that gives nothing back")
    if facts.slip_written is not None:
        _, data = facts.slip_written
        slip = read_slip(data)
        told = (slip.station, slip.seq, slip.tmc, slip.payment_seq, slip.payment_tmc, slip.amounts)
        if told != (station, envelope.seq, tmc, payment_seq, payment_tmc, parts):
            raise Malformed("a slip that says other than its void")
        if not is_signed(store, chip.card, data, slip):
            raise Malformed("a slip its terminal did not sign")
    return Undone(payment_seq, payment_tmc, parts)


# --- what taps that debit nothing tell -------------------------------------------------------------------------------


def _post_resolution(store: Store, envelope: Envelope) -> Verdict:
    body = envelope.body
    card = CardId(take_bytes(body, Resolve.CARD, 8))
    read = take_int(body, Resolve.TMC_READ, MOST_TMC), take_bytes(body, Resolve.TMV_READ, TMV_SIZE_B)
    put_logs(store, card, _pieces(body, Resolve.LOGS, LOG_RECORD_SIZE_B, MOST_LOGS), _place(envelope))
    put_slips(store, card, _pieces(body, Resolve.SLIPS, SLIP_SIZE_B, 2))
    _see(store, envelope, card, *read)
    if take_int(body, Resolve.OUTCOME) == Outcome.CANCELLED:
        store.change(
            """UPDATE event SET state = 'cancelled' WHERE terminal = ? AND epoch = ? AND seq = ?
            AND state IN ('doubt', 'attested')""",
            envelope.terminal,
            envelope.epoch,
            take_int(body, Resolve.DOUBT_SEQ),
        )
    return POSTED


def _post_refusal(store: Store, envelope: Envelope) -> Verdict:
    body = envelope.body
    if body.get(Refuse.CARD) is None or body.get(Refuse.TMC_READ) is None:
        return POSTED
    card = CardId(take_bytes(body, Refuse.CARD, 8))
    put_slips(store, card, _pieces(body, Refuse.SLIPS, SLIP_SIZE_B, 2))
    if isinstance(body.get(Refuse.NEWEST_LOG), bytes):
        put_logs(store, card, [take_bytes(body, Refuse.NEWEST_LOG, LOG_RECORD_SIZE_B)], _place(envelope))
    read = take_int(body, Refuse.TMC_READ, MOST_TMC), take_bytes(body, Refuse.TMV_READ, TMV_SIZE_B)
    _put_counters(store, envelope, card, read[0], body.get(Refuse.VALUES))
    _see(store, envelope, card, *read)
    return POSTED


def _post_seen(store: Store, envelope: Envelope) -> Verdict:
    body = envelope.body
    card = CardId(take_bytes(body, Seen.CARD, 8))
    read = take_int(body, Seen.TMC_READ, MOST_TMC), take_bytes(body, Seen.TMV_READ, TMV_SIZE_B)
    logs = _pieces(body, Seen.LOGS, LOG_RECORD_SIZE_B, MOST_LOGS)
    put_slips(store, card, _pieces(body, Seen.SLIPS, SLIP_SIZE_B, 2))
    put_logs(store, card, logs, _place(envelope))
    if body.get(Seen.ALARM, Alarm.NONE) == Alarm.OUR_FUTURE:
        _raise_alarm(store, envelope, card, logs)
    _put_counters(store, envelope, card, read[0], body.get(Seen.VALUES))
    _see(store, envelope, card, *read)
    return POSTED


def _raise_alarm(store: Store, envelope: Envelope, card: CardId, logs: list[bytes]) -> None:
    """The card names a number of this terminal that it has not reached; ``central.courier`` finds out which is true."""
    claim = decode_log_record(logs[0]) if logs else None
    store.put(
        "alarm",
        terminal=envelope.terminal,
        epoch=envelope.epoch,
        seq=envelope.seq,
        card=card,
        claimed_seq=0 if claim is None else claim.seq,
        claimed_tmc=0 if claim is None else claim.tmc,
    )


def _pieces(body: Map, key: int, size_b: int, most: int) -> list[bytes]:
    """Byte strings of one size in a list of a body; none where the key is missing."""
    found = take_list(body, key, most) if body.get(key) is not None else []
    if not all(isinstance(piece, bytes) and len(piece) == size_b for piece in found):
        raise Malformed(f"pieces of {size_b} bytes")
    return [piece for piece in found if isinstance(piece, bytes)]


def _put_counters(store: Store, envelope: Envelope, card: CardId, tmc: int, pairs: object) -> None:
    """Counters a tap read that debited nothing: a terminal's word, so never beyond what the card may have spent."""
    loaded = store.number("SELECT loaded FROM card WHERE card = ?", card)
    found = []
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case [int() as file, int() as value] if 1 <= file <= 8 and 0 <= value <= loaded:
                found.append((file, value))
            case _:
                raise Malformed("a counter is a file and a value")
    for file, value in found:
        if loaded - value > _most_spent(store, card, file):
            raise Malformed("a counter beyond all that was granted")
        where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
        store.put("counter", card=card, tmc=tmc, file=file, value=value, **where)


def _most_spent(store: Store, card: CardId, file: int) -> int:
    """The highest counter of a file that grants, voids and signed slips can explain, in cents."""
    granted = store.number("SELECT max(spent_limit) FROM slot_window WHERE card = ? AND file = ?", card, file)
    found = forgotten.highest_found(store, card, SlotFile(file))
    told = store.all(
        """SELECT event.tmc AS tmc, given_back.amount AS amount FROM given_back JOIN event USING (terminal, epoch, seq)
        WHERE card = ? AND file = ? AND state NOT IN ('false', 'cancelled')""",
        card,
        file,
    )
    back: dict[int, int] = {row["tmc"]: row["amount"] for row in told}
    for row in store.all("SELECT slip FROM slip_seen WHERE card = ? AND is_verified = 1", card):
        slip = read_slip(bytes(row["slip"]))
        back[slip.tmc] = sum(int(part.amount) for part in slip.amounts if part.file == file)
    return max(granted, found) + sum(back.values())


def _see(store: Store, envelope: Envelope, card: CardId, tmc: int, tmv: bytes) -> None:
    """A later tap read the proof of the card's newest transaction: a doubt with that proof is one no more.

    The card's proof beats every terminal's word, also one that called the transaction cancelled or its proof another.
    """
    if tmc == 0:
        return
    where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
    store.put_new("sighting", card=card, tmc=tmc, tmv=tmv, **where)
    proven = store.change(
        "UPDATE event SET state = 'proven' WHERE card = ? AND tmc = ? AND state <> 'proven' AND expected_tmv = ?",
        card,
        tmc,
        tmv,
    )
    if proven:
        rule_out_others(store, card, tmc, tmv)


def _place(envelope: Envelope) -> Place:
    return Place(envelope.terminal, envelope.epoch, envelope.seq)
