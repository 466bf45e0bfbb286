"""Lists signed by the centre, each a COSE_Sign1 of its own kind (docs/formats/bundle.md): encode, read, verify.

A list is stored and sent verbatim, so that it can be verified again at every start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from domain.bonus import CapShare
from domain.identity import CardId, Station, TerminalId, Uid
from domain.money import Cents
from sync.cbor import Map, Value, decode, decode_map, encode, take_bytes, take_int, take_list, whole
from sync.cose import ContentType, open1, sign1, verify1
from sync.crypto import PrivateKey, PublicKey, open_sealed, public_bytes, public_key, seal_to
from sync.errors import Malformed, UnknownVersion

Sign = Callable[[bytes], bytes]
"""64 bytes, ES256, for a message."""

MOST_LIST_B: Final = 4_194_304
MOST_CARDS: Final = 50_000
MOST_TERMINALS: Final = 10_000
MOST_SHARES: Final = 4
"""Rows that say how much of its household's month cap a card has."""
CARD_KEYS_SHAPE: Final = 2
_MOST_VALUES_A_CARD: Final = 8 + 3 * MOST_SHARES
_MOST_SHARE: Final = 1_000_000_000
_EPOCH: Final = date(1970, 1, 1)
_MOST_DAYS: Final = (date.max - _EPOCH).days
_UID_SIZE_B, _CARD_ID_SIZE_B, _KEY_SIZE_B = 7, 8, 16


@dataclass(frozen=True, slots=True)
class CentreKeys:
    """The centre's public keys, signed by its root, which a terminal pins when it is enrolled.

    Attributes:
        version: grows with each change.
        entitlements: keys that sign entitlements, by key id (0 to 255).
        cards: keys that sign card info, by key id.
        lists: key of rule set, merchant entry, hot list, card keys and entitlement deltas.
        answers: key of answers.
    """

    version: int
    entitlements: Mapping[int, PublicKey]
    cards: Mapping[int, PublicKey]
    lists: PublicKey
    answers: PublicKey


@dataclass(frozen=True, slots=True)
class HotList:
    """The whole list of cards to refuse; ``signed_at`` (aware UTC, whole seconds) is the age of a terminal's lists."""

    version: int
    signed_at: datetime
    cards: frozenset[CardId]


@dataclass(frozen=True, slots=True)
class CardKey:
    """One card a terminal may serve: pseudonym, chip, programme, application id (3 B), expiry, key K1 (16 B).

    Attributes:
        bonus_shares: of its household's month cap, four at most, in rising days; none for a card alone.
    """

    card: CardId
    uid: Uid
    programme: str
    aid: bytes
    expires_at: datetime | None
    key: bytes = field(repr=False)
    bonus_shares: tuple[CapShare, ...] = ()


@dataclass(frozen=True, slots=True)
class CardKeysList:
    """The card keys of one terminal, sealed to its device key; ``open_card_keys`` opens them in RAM."""

    version: int
    terminal: TerminalId
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SlipKey:
    """What a slip of one station is verified with.

    Attributes:
        key: public device key of the terminal.
        counts_up_to: journal number of the last record that counts once the terminal is revoked; ``None``: not revoked.
    """

    key: PublicKey
    counts_up_to: int | None = None


def key_for(entry: SlipKey | None, seq: int) -> PublicKey | None:
    """The key a slip with that journal number is verified with; ``None`` when it does not count."""
    if entry is None or (entry.counts_up_to is not None and seq > entry.counts_up_to):
        return None
    return entry.key


@dataclass(frozen=True, slots=True)
class TerminalsList:
    """All stations of the programme, so that any terminal can check a slip of any other."""

    version: int
    stations: Mapping[Station, SlipKey]


@dataclass(frozen=True, slots=True)
class EntitlementDelta:
    """Entitlements changed after change number ``since``, up to ``version``: the chip and the bytes signed for it."""

    since: int
    version: int
    entries: tuple[tuple[Uid, bytes], ...]


# --- centre keys -----------------------------------------------------------------------------------------------------


def encode_centre_keys(keys: CentreKeys, key_id: bytes, sign: Sign) -> bytes:
    """Signed by the root key."""
    payload: Map = {
        0: 1,
        1: keys.version,
        2: _key_table(keys.entitlements),
        3: _key_table(keys.cards),
        4: public_bytes(keys.lists),
        5: public_bytes(keys.answers),
    }
    return sign1(ContentType.CENTRE_KEYS, key_id, encode(payload), sign)


def read_centre_keys(signed: bytes, root: PublicKey) -> CentreKeys:
    """The keys, verified under the pinned root. Malformed, UnknownVersion, BadSignature."""
    fields = signed_map(signed, ContentType.CENTRE_KEYS, root, 1)
    return CentreKeys(
        version=take_int(fields, 1),
        entitlements=_read_key_table(fields, 2),
        cards=_read_key_table(fields, 3),
        lists=public_key(take_bytes(fields, 4)),
        answers=public_key(take_bytes(fields, 5)),
    )


# --- hot list --------------------------------------------------------------------------------------------------------


def encode_hot_list(hot_list: HotList, key_id: bytes, sign: Sign) -> bytes:
    """The whole list, signed by the list key; card ids in rising order, one after the other."""
    payload: Map = {
        0: 1,
        1: hot_list.version,
        2: int(hot_list.signed_at.timestamp()),
        3: b"".join(sorted(hot_list.cards)),
    }
    return sign1(ContentType.HOT_LIST, key_id, encode(payload), sign)


def read_hot_list(signed: bytes, key: PublicKey) -> HotList:
    """The list, verified. Malformed, UnknownVersion, BadSignature."""
    fields = signed_map(signed, ContentType.HOT_LIST, key, 1)
    ids = take_bytes(fields, 3, most_b=MOST_CARDS * _CARD_ID_SIZE_B)
    if len(ids) % _CARD_ID_SIZE_B:
        raise Malformed("card ids have eight bytes")
    return HotList(
        version=take_int(fields, 1),
        signed_at=datetime.fromtimestamp(take_int(fields, 2, 2**36), UTC),
        cards=frozenset(CardId(ids[at : at + _CARD_ID_SIZE_B]) for at in range(0, len(ids), _CARD_ID_SIZE_B)),
    )


# --- card keys -------------------------------------------------------------------------------------------------------


def encode_card_keys(
    version: int, terminal: TerminalId, device_key: PublicKey, keys: tuple[CardKey, ...], key_id: bytes, sign: Sign
) -> bytes:
    """The whole key table of one terminal: sealed once to its device key, then signed by the list key.

    Raises:
        Malformed: a card's shares are more than four, or not in rising days.
    """
    table: list[Value] = [_card_key_row(item) for item in keys]
    sealed = seal_to(device_key, encode(table), _card_keys_context(version, terminal))
    payload: Map = {0: CARD_KEYS_SHAPE, 1: version, 2: terminal, 3: sealed}
    return sign1(ContentType.CARD_KEYS, key_id, encode(payload), sign)


def read_card_keys(signed: bytes, key: PublicKey, terminal: TerminalId) -> CardKeysList:
    """The sealed list, verified; Malformed when it is another terminal's. UnknownVersion, BadSignature."""
    fields = signed_map(signed, ContentType.CARD_KEYS, key, CARD_KEYS_SHAPE)
    if take_bytes(fields, 2, 8) != terminal:
        raise Malformed("card keys of another terminal")
    return CardKeysList(take_int(fields, 1), terminal, take_bytes(fields, 3, most_b=MOST_LIST_B))


def open_card_keys(sealed: CardKeysList, device_key: PrivateKey) -> tuple[CardKey, ...]:
    """The keys in clear, for RAM only. BadSignature when sealed to another device; Malformed."""
    context = _card_keys_context(sealed.version, sealed.terminal)
    opened = open_sealed(device_key, sealed.sealed, context)
    table = decode(opened, MOST_LIST_B, most_values=1 + _MOST_VALUES_A_CARD * MOST_CARDS)
    if not isinstance(table, list) or len(table) > MOST_CARDS:
        raise Malformed("not a table of card keys")
    return tuple(_card_key_of(row) for row in table)


def _card_key_row(item: CardKey) -> Value:
    _check_shares(item.bonus_shares)
    shares: list[Value] = [[(share.first_day - _EPOCH).days, int(share.cents)] for share in item.bonus_shares]
    return [item.card, item.uid, item.programme, item.aid, _seconds(item.expires_at), item.key, shares]


def _card_key_of(row: Value) -> CardKey:
    match row:
        case [
            bytes() as card,
            bytes() as uid,
            str() as programme,
            bytes() as aid,
            None | int() as expiry,
            bytes() as key,
            list() as shares,
        ]:
            if (len(card), len(uid), len(aid), len(key)) == (_CARD_ID_SIZE_B, _UID_SIZE_B, 3, _KEY_SIZE_B):
                expires_at = None if expiry is None else datetime.fromtimestamp(whole(expiry, 2**36), UTC)
                return CardKey(CardId(card), Uid(uid), programme, aid, expires_at, key, _shares_of(shares))
    raise Malformed("not a line of the card key table")


def _shares_of(rows: list[Value]) -> tuple[CapShare, ...]:
    shares = tuple(_share_of(row) for row in rows)
    _check_shares(shares)
    return shares


def _share_of(row: Value) -> CapShare:
    match row:
        case [int() as day, int() as cents]:
            try:
                return CapShare(_EPOCH + timedelta(whole(day, _MOST_DAYS)), Cents(whole(cents, _MOST_SHARE)))
            except ValueError:
                raise Malformed("a share of a month cap counts from the first of a month") from None
    raise Malformed("a share of a month cap is a day and cents")


def _check_shares(shares: tuple[CapShare, ...]) -> None:
    days = [share.first_day for share in shares]
    if len(days) > MOST_SHARES or days != sorted(set(days)):
        raise Malformed(f"at most {MOST_SHARES} shares of a month cap, in rising days")


def _card_keys_context(version: int, terminal: TerminalId) -> bytes:
    return b"panier/card-keys/1" + terminal + version.to_bytes(8, "big")


# --- terminals -------------------------------------------------------------------------------------------------------


def encode_terminals(terminals: TerminalsList, key_id: bytes, sign: Sign) -> bytes:
    """The whole list, signed by the list key, in the order of stations."""
    rows: list[Value] = [
        [int(station), public_bytes(entry.key), entry.counts_up_to]
        for station, entry in sorted(terminals.stations.items())
    ]
    return sign1(ContentType.TERMINALS, key_id, encode({0: 1, 1: terminals.version, 2: rows}), sign)


def read_terminals(signed: bytes, key: PublicKey) -> TerminalsList:
    """The list, verified. Malformed, UnknownVersion, BadSignature."""
    fields = signed_map(signed, ContentType.TERMINALS, key, 1)
    rows = (_slip_key_of(row) for row in take_list(fields, 2, MOST_TERMINALS))
    return TerminalsList(take_int(fields, 1), dict(rows))


def _slip_key_of(row: Value) -> tuple[Station, SlipKey]:
    match row:
        case [int() as station, bytes() as point, None | int() as last] if 0 < station <= 0xFFFFFF:
            return Station(station), SlipKey(public_key(point), last)
    raise Malformed("a station has a number, a point and perhaps a last record")


# --- entitlements ----------------------------------------------------------------------------------------------------


def encode_entitlements(delta: EntitlementDelta, key_id: bytes, sign: Sign) -> bytes:
    """The delta, signed by the list key so that nobody can make a terminal skip a change."""
    entries: list[Value] = [uid + data for uid, data in delta.entries]
    payload: Map = {0: 1, 1: delta.since, 2: delta.version, 3: entries}
    return sign1(ContentType.ENTITLEMENTS, key_id, encode(payload), sign)


def read_entitlements(signed: bytes, key: PublicKey) -> EntitlementDelta:
    """The delta, verified; each entitlement is verified on its own (``sync.card_format.decode_entitlement``)."""
    fields = signed_map(signed, ContentType.ENTITLEMENTS, key, 1)
    entries = []
    for entry in take_list(fields, 3, MOST_CARDS):
        if not isinstance(entry, bytes) or not _UID_SIZE_B < len(entry) <= _UID_SIZE_B + 233:
            raise Malformed("an entitlement is a chip and the bytes signed for it")
        entries.append((Uid(entry[:_UID_SIZE_B]), entry[_UID_SIZE_B:]))
    return EntitlementDelta(take_int(fields, 1), take_int(fields, 2), tuple(entries))


# --- shared ----------------------------------------------------------------------------------------------------------


def signed_map(signed: bytes, content_type: str, key: PublicKey, version: int) -> Map:
    """The map of a list of this kind and version, verified. Malformed, UnknownVersion, BadSignature."""
    fields = decode_map(verify1(open1(signed, MOST_LIST_B), content_type, key), MOST_LIST_B, most_values=2 * MOST_CARDS)
    if take_int(fields, 0) != version:
        raise UnknownVersion(f"{content_type} of an unknown version")
    return fields


def _key_table(keys: Mapping[int, PublicKey]) -> list[Value]:
    return [[key_id, public_bytes(key)] for key_id, key in sorted(keys.items())]


def _read_key_table(fields: Map, number: int) -> Mapping[int, PublicKey]:
    table: dict[int, PublicKey] = {}
    for row in take_list(fields, number, 256):
        match row:
            case [int() as key_id, bytes() as point] if 0 <= key_id <= 255:
                table[key_id] = public_key(point)
            case _:
                raise Malformed("a key has an id and a point")
    return table


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())
