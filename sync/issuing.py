"""What the issuing station needs to make a blank card the programme's: keys, signed card info, application id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from domain.card_log import LogRecord, LogType
from domain.identity import CardId, Station, Uid
from domain.money import ZERO, Cents
from sync.crypto import diversify

APPLICATION_MASTER, TERMINALS, TERMINALS_2, LOAD, IDENTITY = 0x00, 0x01, 0x02, 0x03, 0x04
TMAC_KEY: Final = 0xF0
PICC_MASTER: Final = 0x80
PICC_AID: Final = bytes(3)
LOADED_AT_ISSUING: Final = Cents(16_000_000)
PROGRAMME_SIZE_B: Final = 12


@dataclass(frozen=True, slots=True)
class IssueOrder:
    """Everything written on one card at issuing.

    Attributes:
        card, uid: pseudonym and chip.
        aid: application id, 3 bytes as sent (least significant first).
        loaded: cents each of the eight value files starts with.
        card_info: 96 bytes, signed.
        first_log_record: log record 0 (type issued).
        keys: 16-byte AES keys by number: 0 to 4, 0xF0 the TMAC key, 0x80 the PICC master key.
    """

    card: CardId
    uid: Uid
    aid: bytes
    loaded: Cents
    card_info: bytes
    first_log_record: LogRecord
    keys: Mapping[int, bytes] = field(repr=False)


def diversified_key(master: bytes, uid: Uid, aid: bytes, number: int, programme: str, card: CardId) -> bytes:
    """A card's key from the programme's (NXP AN10922 §2.2).

    The input is UID ‖ AID ‖ key number ‖ programme id (12 B), for the TMAC key also the card id, 31 bytes at most.
    """
    name = programme.encode("ascii").ljust(PROGRAMME_SIZE_B, b"\x00")
    text = uid + (PICC_AID if number == PICC_MASTER else aid) + bytes([number]) + name
    return diversify(master, text + card if number == TMAC_KEY else text)


def first_log_record(at: datetime, rules_version: int) -> LogRecord:
    """Record 0 of a first card: type issued, station 0, both totals 0."""
    return LogRecord(
        type=LogType.ISSUED,
        station=Station(0),
        seq=0,
        tmc=0,
        minutes_at=at.replace(second=0, microsecond=0),
        rules_version=rules_version,
        entitlement_number=0,
        debits=(),
        month_base=ZERO,
        day_total=ZERO,
    )
