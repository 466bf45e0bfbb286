"""The signed record of a journal: an envelope with chain, number and time, and a body by type (docs/formats/record.md).

The envelope is version 1. A body carries its own version under key 0; those of this program are version 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from domain.identity import TerminalId
from sync.cbor import Map, decode_map, encode, take_bytes, take_int, take_map, take_text
from sync.cose import ContentType, Sign1, open1, sign1, verify1
from sync.crypto import PublicKey, sha256
from sync.errors import UnknownVersion

MOST_RECORD_B: Final = 8_192
ENVELOPE_VERSION: Final = 1
BODY_VERSION: Final = 1


class RecordType(IntEnum):
    """What a record tells; numbers are never reused. One unknown to the centre is kept in quarantine."""

    PAYMENT = 1
    VOID = 2
    REFUND = 3
    REFUSAL = 4
    CARD_SEEN = 5
    IN_DOUBT = 6
    RESOLUTION = 7
    CLOSING = 8
    BOOT = 9
    CLOCK = 10
    OPERATOR = 11
    CONFIGURATION = 12
    LIST_IMPORT = 13
    ACKNOWLEDGEMENT = 14
    EPOCH_START = 15
    TRAINING = 16


class Field:
    """Keys of the envelope."""

    VERSION, TYPE, TERMINAL, EPOCH, SEQ, PREV = 0, 1, 2, 3, 4, 5
    BOOT, BOOTTIME_NS, WALL, WALL_SOURCE, T_LO, T_LATE = 6, 7, 8, 9, 10, 11
    RULES_VERSION, HOT_LIST_VERSION, SOFTWARE, CASHIER = 12, 13, 14, 15
    PERPETUAL_NET, PERPETUAL_ABSOLUTE = 16, 17
    ANCHOR_TIME, ANCHOR_SEQ = 18, 19
    BODY = 20


class Pay:
    """Keys of the body of PAYMENT, VOID and IN_DOUBT.

    In doubt there is no TMC or TMV yet; TMC_EXPECTED always stands. A void has PAYMENT_SEQ and PAYMENT_TMC, DEBITS are
    the amounts it gives back, and it has none of what is said of a decision; its slip is in the TMI. What a slot held
    after a debit is not written: it is what it held before (VALUES) less the debit.
    """

    VERSION = 0
    CARD = 1  # card id, 8 B
    TMC, TMV = 2, 3  # of this transaction: the card's proof (TMV 8 B)
    TMI = 4  # bytes the proof is over, verbatim
    TMC_BEFORE, TMV_BEFORE = 5, 6  # read at the start of the tap: the proof of the card's transaction before
    NEWEST_LOG = 7  # newest log record read, 32 B, or null
    OWN_LOG = 8  # log record written, 32 B
    VALUES = 9  # [[file, value in cents before]] of every slot read
    DEBITS = 10  # [[file, cents]]
    ENTITLEMENT = 11  # [epoch, seq]
    ENTITLEMENT_WRITTEN = 12  # whether this transaction wrote it on the card
    LINES = 13  # [[family, price, typed 0/1, paid, reason or 0]]
    REST = 14  # cents paid otherwise
    CAMPAIGN = 15  # code of the campaign in force, or "none"
    MERCHANT_VERSION = 16
    LISTS_AGE_DAYS = 17
    PAID_HERE_TODAY = 18  # cents by this card at this terminal before
    UID = 19  # 7 B
    TMC_EXPECTED = 20
    PAYMENT_SEQ, PAYMENT_TMC = 21, 22  # of the payment a void undoes
    SHARES = 24  # [[line from 0, file, cents paid of it from this slot]]
    PROOF = 25  # 0: the card gives none, TMV is zeros and the TMI the terminal's own account; missing: TMV is the proof
    SLIPS_COUNTED = 23  # [[station, seq of the void]] of the slips the decision counted
    BONUS = 29  # [base of this payment, month's base before, shown, the card's cap]; cents, null where unknown or none
    LINE_WORDS = 26  # what lines claim, each once: "label:…", "list:…", "unit:…"
    LINE_CLAIMS = 27  # [[line from 0, quantity in thousandths or null, product or null, places in LINE_WORDS …]]
    TILL_LEFT = 28  # [cents the terminal might still take, this card here]; null for no limit
    CAPS_VERSION = 32  # of the caps the terminal's certificate names; 0 without a certificate
    PRODUCT_LISTS = 33  # [[name, version]] of the product lists in force, by name; none reaches a till yet
    POINT_OF_SALE = 34  # number of the place, of the merchant entry in force
    CHECKS = 35  # numbers of Check that were made and held, rising
    UNIT_PRICES = 36  # [[line from 0, cents for one unit]]; missing where none was given
    PURSES_TODAY = 31  # [[purse number, cents its windows paid at this terminal today before]]; null where not known
    TILL_BEFORE = 30  # [cents the terminal had taken, from this card] that the centre had not acknowledged


class Check(IntEnum):
    """What a till found to hold before it changed a card; numbers are never reused."""

    CARD_KEY = 1  # card and terminal authenticated each other with the card's own key
    CARD_LIST = 2  # the signed list of card keys has this chip, of this programme
    EXPIRY = 3  # by that list the card has not expired at the latest time it can be
    HOT_LIST = 4  # the card is not on the hot list in force
    ENTITLEMENT = 5  # the centre signed it for this chip and this card
    COUNTERS = 6  # the card is not behind the floors and the mark of its entitlement
    SEEN_HERE = 7  # nor behind what this terminal has seen of it since its last contact; missing: it had not seen it
    LOG = 8  # its newest log record can be read and names no number this terminal has not reached
    SLIPS = 9  # every slip it carries is signed by its terminal; missing: it carries none, or one is not


class Resolve:
    """Keys of the body of RESOLUTION."""

    VERSION, DOUBT_SEQ, OUTCOME = 0, 1, 2  # outcome: see Outcome
    CARD, TMC_READ, TMV_READ = 3, 4, 5
    LOGS = 6  # log records read, newest first, 32 B each
    AMOUNT = 7  # cents of the payment or void in doubt
    SLIPS = 8  # slips read, 96 B each; missing: none
    IS_VOID = 9  # 1 when what was in doubt is a void; missing: a payment


class Refuse:
    """Keys of the body of REFUSAL: nothing was debited."""

    VERSION, CARD, REASON, PRICE, PAYABLE = 0, 1, 2, 3, 4  # CARD null when unknown
    TMC_READ, TMV_READ, NEWEST_LOG, VALUES = 5, 6, 7, 8
    SLIPS = 9  # slips read, 96 B each; missing: none


class Seen:
    """Keys of the body of CARD_SEEN: what a card showed at a tap that debited nothing (the card is a courier)."""

    VERSION, CARD, TMC_READ, TMV_READ = 0, 1, 2, 3
    LOGS = 4  # log records read, newest first, 32 B each
    VALUES = 5  # [[file, value in cents]]
    SLIPS = 6  # slips read, 96 B each
    ALARM = 7  # see Alarm


class Alarm(IntEnum):
    """Why a card was kept away and shown to the centre."""

    NONE = 0
    OUR_FUTURE = 1  # its newest log record names this station and a number its journal has not reached


class Outcome(IntEnum):
    """How a doubt ended."""

    CONFIRMED = 1
    CANCELLED = 2


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around every body.

    Attributes:
        prev: SHA-256 of the whole record before; of the terminal's certificate for seq 1.
        boot: number of this boot.
        boottime_ns: CLOCK_BOOTTIME, nanoseconds since it.
        wall, t_lo, t_late: seconds since 1970.
        wall_source: 0 unknown, 1 hardware clock, 2 network, 3 operator.
        perpetual_net: all payments less voids and refunds of this terminal since enrolment, cents, this record
        included.
        perpetual_absolute: the same with every amount counted positive.
        anchor_time: the time the centre told at its last contact, seconds since 1970; ``None``: not said.
        anchor_seq: number of the last record then.
    """

    type: int
    terminal: TerminalId
    epoch: int
    seq: int
    prev: bytes
    boot: int
    boottime_ns: int
    wall: int
    wall_source: int
    t_lo: int
    t_late: int
    rules_version: int
    hot_list_version: int
    software: str
    cashier: int
    perpetual_net: int
    perpetual_absolute: int
    body: Map
    anchor_time: int | None = None
    anchor_seq: int | None = None


def seal_record(envelope: Envelope, sign: Callable[[bytes], bytes]) -> bytes:
    """The record as it is stored, chained and sent: COSE_Sign1, at most 8 KiB. The key id is the terminal id."""
    fields: Map = {
        Field.VERSION: ENVELOPE_VERSION,
        Field.TYPE: envelope.type,
        Field.TERMINAL: envelope.terminal,
        Field.EPOCH: envelope.epoch,
        Field.SEQ: envelope.seq,
        Field.PREV: envelope.prev,
        Field.BOOT: envelope.boot,
        Field.BOOTTIME_NS: envelope.boottime_ns,
        Field.WALL: envelope.wall,
        Field.WALL_SOURCE: envelope.wall_source,
        Field.T_LO: envelope.t_lo,
        Field.T_LATE: envelope.t_late,
        Field.RULES_VERSION: envelope.rules_version,
        Field.HOT_LIST_VERSION: envelope.hot_list_version,
        Field.SOFTWARE: envelope.software,
        Field.CASHIER: envelope.cashier,
        Field.PERPETUAL_NET: envelope.perpetual_net,
        Field.PERPETUAL_ABSOLUTE: envelope.perpetual_absolute,
        Field.BODY: envelope.body,
    }
    if envelope.anchor_time is not None and envelope.anchor_seq is not None:
        fields |= {Field.ANCHOR_TIME: envelope.anchor_time, Field.ANCHOR_SEQ: envelope.anchor_seq}
    record = sign1(ContentType.RECORD, envelope.terminal, encode(fields), sign)
    assert len(record) <= MOST_RECORD_B, "the greatest record a basket of 40 lines makes fits"
    return record


def open_record(record: bytes) -> tuple[Sign1, Envelope]:
    """The envelope of a record, its signature not yet verified.

    Raises:
        Malformed: no version of ours wrote it.
        UnknownVersion: an envelope this program does not know.
    """
    signed = open1(record, MOST_RECORD_B)
    if signed.content_type != ContentType.RECORD:
        raise UnknownVersion(f"{signed.content_type} where a record is read")
    return signed, _envelope_of(decode_map(signed.payload, MOST_RECORD_B))


def verify_record(signed: Sign1, key: PublicKey) -> None:
    """Nothing when the terminal's key signed it; BadSignature otherwise."""
    verify1(signed, ContentType.RECORD, key)


def record_hash(record: bytes) -> bytes:
    """32 bytes: what the next record names as ``prev``."""
    return sha256(record)


def _envelope_of(fields: Map) -> Envelope:
    if take_int(fields, Field.VERSION) != ENVELOPE_VERSION:
        raise UnknownVersion("record envelope of an unknown version")
    return Envelope(
        type=take_int(fields, Field.TYPE),
        terminal=TerminalId(take_bytes(fields, Field.TERMINAL, 8)),
        epoch=take_int(fields, Field.EPOCH),
        seq=take_int(fields, Field.SEQ, 0xFFFFFF),
        prev=take_bytes(fields, Field.PREV, 32),
        boot=take_int(fields, Field.BOOT),
        boottime_ns=take_int(fields, Field.BOOTTIME_NS),
        wall=take_int(fields, Field.WALL),
        wall_source=take_int(fields, Field.WALL_SOURCE),
        t_lo=take_int(fields, Field.T_LO),
        t_late=take_int(fields, Field.T_LATE),
        rules_version=take_int(fields, Field.RULES_VERSION),
        hot_list_version=take_int(fields, Field.HOT_LIST_VERSION),
        software=take_text(fields, Field.SOFTWARE, 40),
        cashier=take_int(fields, Field.CASHIER),
        perpetual_net=take_int(fields, Field.PERPETUAL_NET),
        perpetual_absolute=take_int(fields, Field.PERPETUAL_ABSOLUTE),
        body=take_map(fields, Field.BODY),
        anchor_time=take_int(fields, Field.ANCHOR_TIME) if Field.ANCHOR_TIME in fields else None,
        anchor_seq=take_int(fields, Field.ANCHOR_SEQ, 0xFFFFFF) if Field.ANCHOR_SEQ in fields else None,
    )
