"""The fixed binary objects on the card: log record, entitlement, slip, card info, reader id (docs/formats/card.md).

Our numbers are big-endian. Times of 3 bytes are minutes since 2020-01-01T00:00Z, of 4 bytes seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, PurseNumber, SlotFile, Station, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.slip import Slip
from sync.crypto import SIGNATURE_SIZE_B, PublicKey, verify
from sync.errors import Malformed, UnknownVersion

LOG_RECORD_SIZE_B: Final = 32
ENTITLEMENT_PLACE_B: Final = 233
CARD_INFO_SIZE_B: Final = 96
READER_ID_SIZE_B: Final = 16
SLIP_SIZE_B: Final = 96
SLIP_PLACES: Final = 2
MOST_SLOTS: Final = 8
_LOG_VERSION, _ENTITLEMENT_VERSION, _CARD_INFO_VERSION, _READER_ID_VERSION, _SLIP_VERSION = 1, 1, 1, 1, 1
_SLIP_BODY_B: Final = SLIP_SIZE_B - SIGNATURE_SIZE_B
_UNKNOWN_3: Final = 0xFFFFFF
_EPOCH_2020: Final = datetime(2020, 1, 1, tzinfo=UTC)


def encode_log_record(record: LogRecord) -> bytes:
    """32 bytes."""
    amounts = _amount_words(record.debits)
    fields = (
        ((_LOG_VERSION << 4) | record.type, 1),
        (record.station, 3),
        (record.seq, 3),
        (record.tmc, 3),
        (_minutes(record.minutes_at), 3),
        (record.rules_version, 2),
        (record.entitlement_number & 0xFFFF, 2),
        *((amount, 3) for amount in amounts),
        (_or_unknown(record.month_base), 3),
        (_or_unknown(record.day_total), 3),
    )
    return b"".join(value.to_bytes(size, "big") for value, size in fields)


def decode_log_record(data: bytes) -> LogRecord:
    """The record of 32 bytes.

    Raises:
        Malformed: of another size or with amounts that cannot be.
        UnknownVersion: the card still pays; its carried totals are unknown.
    """
    if len(data) != LOG_RECORD_SIZE_B:
        raise Malformed("a log record has 32 bytes")
    if data[0] >> 4 != _LOG_VERSION:
        raise UnknownVersion("log record of an unknown version")
    if data[0] & 0x0F not in {item.value for item in LogType}:
        raise UnknownVersion("log record of an unknown type")
    return LogRecord(
        type=LogType(data[0] & 0x0F),
        station=Station(_int(data, 1, 3)),
        seq=_int(data, 4, 3),
        tmc=_int(data, 7, 3),
        minutes_at=_EPOCH_2020 + timedelta(minutes=_int(data, 10, 3)),
        rules_version=_int(data, 13, 2),
        entitlement_number=_int(data, 15, 2),
        debits=_amounts_of(data, 17),
        month_base=_known(_int(data, 26, 3)),
        day_total=_known(_int(data, 29, 3)),
    )


@dataclass(frozen=True, slots=True)
class SignedEntitlement:
    """An entitlement with the bytes that were signed (97 + 17 n), as the card and the lists carry them."""

    entitlement: Entitlement
    data: bytes

    @property
    def padded(self) -> bytes:
        """The 233 bytes of its place on the card, zeros behind the signature."""
        return self.data.ljust(ENTITLEMENT_PLACE_B, b"\x00")


def encode_entitlement(entitlement: Entitlement, uid: Uid, sign: Callable[[bytes], bytes]) -> bytes:
    """97 + 17 n bytes, signed for the chip ``uid``."""
    body = _entitlement_body(entitlement)
    return body + sign(_entitlement_message(uid, body))


def unverified_entitlement(data: bytes) -> Entitlement:
    """What an entitlement says, without asking who signed it: for the centre's own table. Malformed, UnknownVersion."""
    if not data or data[0] != _ENTITLEMENT_VERSION:
        raise UnknownVersion("entitlement of an unknown version")
    if len(data) < 97 or len(data) != 97 + 17 * data[31]:
        raise Malformed("an entitlement of another size")
    return _entitlement_of(data[:-64])


def decode_entitlement(data: bytes, uid: Uid, key_of: Callable[[int], PublicKey | None]) -> SignedEntitlement:
    """The entitlement in ``data`` (zeros behind the signature allowed), verified.

    Args:
        key_of: public key for a key id, or ``None`` for one this terminal does not know.

    Raises:
        UnknownVersion: version or key id not known here.
        Malformed: too short, too many slots, contradictory content.
        BadSignature: not the centre's word for this chip.
    """
    if not data or data[0] == 0:
        raise Malformed("no entitlement is written")
    if data[0] != _ENTITLEMENT_VERSION:
        raise UnknownVersion("entitlement of an unknown version")
    count = data[31] if len(data) > 31 else MOST_SLOTS + 1
    size = 33 + 17 * count + SIGNATURE_SIZE_B
    if count > MOST_SLOTS or len(data) < size or any(data[size:]):
        raise Malformed("an entitlement of another size")
    body, signature = data[: size - SIGNATURE_SIZE_B], data[size - SIGNATURE_SIZE_B : size]
    key = key_of(body[1])
    if key is None:
        raise UnknownVersion("entitlement signed with a key this program does not know")
    verify(key, _entitlement_message(uid, body), signature)
    return SignedEntitlement(_entitlement_of(body), data[:size])


def encode_slip(slip: Slip, card: CardId, sign: Callable[[bytes], bytes]) -> bytes:
    """96 bytes, signed by the terminal's device key for the card ``card``."""
    fields = (
        ((_SLIP_VERSION << 4) | LogType.VOID, 1),
        (slip.station, 3),
        (slip.seq, 3),
        (slip.payment_seq, 3),
        (slip.payment_tmc, 3),
        (slip.tmc, 3),
        (slip.entitlement[0], 1),
        (slip.entitlement[1], 3),
        *((amount, 3) for amount in _amount_words(slip.amounts)),
        (_minutes(slip.minutes_at), 3),
    )
    body = b"".join(value.to_bytes(size, "big") for value, size in fields)
    assert len(body) == _SLIP_BODY_B
    return body + sign(_slip_message(card, body))


def read_slip(data: bytes) -> Slip:
    """What the 96 bytes of a slip say; the signature is not looked at. Malformed, UnknownVersion."""
    if len(data) != SLIP_SIZE_B:
        raise Malformed("a slip has 96 bytes")
    if data[0] != (_SLIP_VERSION << 4) | LogType.VOID:
        raise UnknownVersion("slip of an unknown version or type")
    amounts = _amounts_of(data, 20)
    if [part.file for part in amounts] != sorted({part.file for part in amounts}):
        raise Malformed("amounts of a slip stand in file order, each slot once")
    return Slip(
        station=Station(_int(data, 1, 3)),
        seq=_int(data, 4, 3),
        payment_seq=_int(data, 7, 3),
        payment_tmc=_int(data, 10, 3),
        tmc=_int(data, 13, 3),
        entitlement=(data[16], _int(data, 17, 3)),
        amounts=amounts,
        minutes_at=_EPOCH_2020 + timedelta(minutes=_int(data, 29, 3)),
    )


def verify_slip(data: bytes, card: CardId, key: PublicKey) -> None:
    """Nothing when the key signed this slip for this card; BadSignature otherwise."""
    verify(key, _slip_message(card, data[:_SLIP_BODY_B]), data[_SLIP_BODY_B:])


def _slip_message(card: CardId, body: bytes) -> bytes:
    return b"panier/slip/1" + card + body


@dataclass(frozen=True, slots=True)
class CardInfo:
    """What file 12 says: the card's pseudonym, its programme, what its slots were loaded with, until when it serves."""

    key_id: int
    card: CardId
    programme: str
    loaded: Cents
    expires_at: datetime | None


def encode_card_info(info: CardInfo, uid: Uid, sign: Callable[[bytes], bytes]) -> bytes:
    """96 bytes, signed for the chip ``uid``."""
    expiry = _UNKNOWN_3 if info.expires_at is None else _minutes(info.expires_at)
    body = (
        bytes([_CARD_INFO_VERSION, info.key_id])
        + info.card
        + info.programme.encode("ascii").ljust(12, b"\x00")
        + info.loaded.to_bytes(3, "big")
        + expiry.to_bytes(3, "big")
        + bytes(4)
    )
    assert len(body) == CARD_INFO_SIZE_B - SIGNATURE_SIZE_B
    return body + sign(b"panier/card/1" + uid + body)


def decode_card_info(data: bytes, uid: Uid, key_of: Callable[[int], PublicKey | None]) -> CardInfo:
    """The card info in 96 bytes, verified; raises as ``decode_entitlement``."""
    if len(data) != CARD_INFO_SIZE_B:
        raise Malformed("card info has 96 bytes")
    if data[0] != _CARD_INFO_VERSION:
        raise UnknownVersion("card info of an unknown version")
    key = key_of(data[1])
    if key is None:
        raise UnknownVersion("card info signed with a key this program does not know")
    verify(key, b"panier/card/1" + uid + data[:32], data[32:])
    expiry = _int(data, 25, 3)
    return CardInfo(
        key_id=data[1],
        card=CardId(data[2:10]),
        programme=_ascii(data[10:22]),
        loaded=Cents(_int(data, 22, 3)),
        expires_at=None if expiry == _UNKNOWN_3 else _EPOCH_2020 + timedelta(minutes=expiry),
    )


def encode_reader_id(station: Station, seq: int) -> bytes:
    """16 bytes the terminal commits before each transaction: 01 ‖ station 3 ‖ seq of the intent 3 ‖ zeros."""
    return bytes([_READER_ID_VERSION]) + station.to_bytes(3, "big") + seq.to_bytes(3, "big") + bytes(9)


def decode_reader_id(data: bytes) -> tuple[Station, int] | None:
    """Station and seq of a reader id, or ``None`` when no terminal of ours wrote it (sixteen zeros: none yet)."""
    if len(data) != READER_ID_SIZE_B or data[0] != _READER_ID_VERSION or any(data[7:]):
        return None
    return Station(_int(data, 1, 3)), _int(data, 4, 3)


def _entitlement_message(uid: Uid, body: bytes) -> bytes:
    return b"panier/entitlement/1" + uid + body


def _entitlement_body(entitlement: Entitlement) -> bytes:
    unconfirmed = sum(1 << (file - 1) for file in entitlement.unconfirmed)
    fields = (
        (_ENTITLEMENT_VERSION, 1),
        (entitlement.key_id, 1),
        (int.from_bytes(entitlement.card, "big"), 8),
        (entitlement.epoch, 1),
        (entitlement.seq, 3),
        (int(entitlement.issued_at.timestamp()), 4),
        (int(entitlement.valid_until.timestamp()), 4),
        (entitlement.rules_version, 2),
        (entitlement.mark, 4),
        (entitlement.void_allowance, 3),
        (len(entitlement.slots), 1),
        (unconfirmed, 1),
    )
    head = b"".join(value.to_bytes(size, "big") for value, size in fields)
    return head + b"".join(_slot_bytes(slot) for slot in entitlement.slots)


def _slot_bytes(slot: Slot) -> bytes:
    end = _UNKNOWN_3 if slot.end is None else _minutes(slot.end)
    three = (slot.limit, slot.floor, slot.loaded, _minutes(slot.start), end)
    return bytes([slot.file, slot.purse]) + b"".join(value.to_bytes(3, "big") for value in three)


def _entitlement_of(body: bytes) -> Entitlement:
    slots = tuple(_slot_of(body[33 + 17 * k : 50 + 17 * k]) for k in range(body[31]))
    files = [slot.file for slot in slots]
    if files != sorted(set(files)):
        raise Malformed("slots of an entitlement stand in file order, each once")
    return Entitlement(
        key_id=body[1],
        card=CardId(body[2:10]),
        epoch=body[10],
        seq=_int(body, 11, 3),
        issued_at=datetime.fromtimestamp(_int(body, 14, 4), UTC),
        valid_until=datetime.fromtimestamp(_int(body, 18, 4), UTC),
        rules_version=_int(body, 22, 2),
        mark=_int(body, 24, 4),
        void_allowance=Cents(_int(body, 28, 3)),
        slots=slots,
        unconfirmed=frozenset(SlotFile(bit + 1) for bit in range(8) if body[32] >> bit & 1),
    )


def _slot_of(data: bytes) -> Slot:
    if not 1 <= data[0] <= MOST_SLOTS:
        raise Malformed("a slot is file 1 to 8")
    end = _int(data, 14, 3)
    return Slot(
        file=SlotFile(data[0]),
        purse=PurseNumber(data[1]),
        limit=Cents(_int(data, 2, 3)),
        floor=Cents(_int(data, 5, 3)),
        loaded=Cents(_int(data, 8, 3)),
        start=_EPOCH_2020 + timedelta(minutes=_int(data, 11, 3)),
        end=None if end == _UNKNOWN_3 else _EPOCH_2020 + timedelta(minutes=end),
    )


def _amount_words(amounts: tuple[Debit, ...]) -> list[int]:
    words = [(part.file << 20) | part.amount for part in amounts]
    return words + [0] * (3 - len(words))


def _amounts_of(data: bytes, offset: int) -> tuple[Debit, ...]:
    words = [_int(data, offset + 3 * k, 3) for k in range(3)]
    amounts = tuple(Debit(SlotFile(word >> 20), Cents(word & 0xFFFFF)) for word in words if word)
    if any(not 1 <= part.file <= MOST_SLOTS or part.amount == 0 for part in amounts):
        raise Malformed("amounts that cannot be")
    return amounts


def _minutes(instant: datetime) -> int:
    return int((instant - _EPOCH_2020).total_seconds()) // 60


def _or_unknown(amount: Cents | None) -> int:
    return _UNKNOWN_3 if amount is None else int(amount)


def _known(value: int) -> Cents | None:
    return None if value == _UNKNOWN_3 else Cents(value)


def _int(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "big")


def _ascii(data: bytes) -> str:
    try:
        return data.rstrip(b"\x00").decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("a programme is named in ASCII") from None
