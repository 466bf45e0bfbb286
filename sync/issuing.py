"""What the issuing station needs to make a blank card the programme's: keys, signed card info, application id; and the
code that is printed on the card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from domain.card_log import LogRecord, LogType
from domain.identity import CARD_ID_SIZE_B, CardId, Station, Uid
from domain.money import ZERO, Cents
from sync.crypto import PublicKey, diversify
from sync.errors import Malformed

APPLICATION_MASTER, TERMINALS, TERMINALS_2, LOAD, IDENTITY = 0x00, 0x01, 0x02, 0x03, 0x04
TMAC_KEY: Final = 0xF0
PICC_MASTER: Final = 0x80
PICC_AID: Final = bytes(3)
LOADED_AT_ISSUING: Final = Cents(16_000_000)
PROGRAMME_SIZE_B: Final = 12
_PROGRAMME_OFFSET: Final = 10
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U."""

_READ_AS: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
_CODE_LETTERS: Final = 13
_GROUPS: Final = (slice(0, 4), slice(4, 9), slice(9, 14))


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
        info_keys: public keys by key id, to know the card info of an earlier order of the same card again.
    """

    card: CardId
    uid: Uid
    aid: bytes
    loaded: Cents
    card_info: bytes
    first_log_record: LogRecord
    keys: Mapping[int, bytes] = field(repr=False)
    info_keys: Mapping[int, PublicKey] = field(default_factory=dict, repr=False)

    @property
    def programme(self) -> str:
        """Id of the programme, as the card info says it."""
        name = self.card_info[_PROGRAMME_OFFSET : _PROGRAMME_OFFSET + PROGRAMME_SIZE_B]
        return name.rstrip(b"\x00").decode("ascii")


def diversified_key(master: bytes, uid: Uid, aid: bytes, number: int, programme: str, card: CardId) -> bytes:
    """A card's key from the programme's (NXP AN10922 §2.2)."""
    return diversify(master, diversification_input(uid, aid, number, programme, card))


def diversification_input(uid: Uid, aid: bytes, number: int, programme: str, card: CardId) -> bytes:
    """UID ‖ AID ‖ key number ‖ programme id (12 B), for the TMAC key also the card id: 31 bytes at most."""
    name = programme.encode("ascii").ljust(PROGRAMME_SIZE_B, b"\x00")
    text = uid + (PICC_AID if number == PICC_MASTER else aid) + bytes([number]) + name
    return text + card if number == TMAC_KEY else text


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


def card_code(card: CardId) -> str:
    """What is printed on a card, to be read aloud and typed: ``XXXX-XXXXX-XXXXX``.

    Thirteen letters are the card id in Crockford's base 32, the last is a check: with the letters as elements of GF(32)
    (x⁵ + x² + 1) the polynomial they spell is 0 at x, so that one wrong letter or two letters exchanged never pass.
    """
    number = int.from_bytes(card, "big")
    digits = [number >> 5 * place & 31 for place in reversed(range(_CODE_LETTERS))]
    code = "".join(_LETTERS[digit] for digit in [*digits, _times_x(_spelled(digits))])
    return "-".join(code[group] for group in _GROUPS)


def card_of_code(text: str) -> CardId:
    """The card id of a printed code; case, hyphens and spaces do not matter, I and L are 1, O is 0.

    Raises:
        Malformed: another number of letters, a letter that is none, or a mistyped code.
    """
    letters = text.upper().translate(_READ_AS)
    if len(letters) != _CODE_LETTERS + 1 or set(letters) - set(_LETTERS):
        raise Malformed("a card code has fourteen letters and digits")
    digits = [_LETTERS.index(letter) for letter in letters]
    number = sum(digit << 5 * place for place, digit in enumerate(reversed(digits[:-1])))
    if _spelled(digits) or number >> 8 * CARD_ID_SIZE_B:
        raise Malformed("the check letter of the card code does not fit")
    return CardId(number.to_bytes(CARD_ID_SIZE_B, "big"))


def _spelled(digits: Sequence[int]) -> int:
    """The value at x of the polynomial whose coefficients the digits are, highest first."""
    value = 0
    for digit in digits:
        value = _times_x(value) ^ digit
    return value


def _times_x(element: int) -> int:
    doubled = element << 1
    return doubled ^ 0b100101 if doubled > 31 else doubled
