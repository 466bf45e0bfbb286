"""What a terminal downloads: the newest signed lists, and those it does not hold yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from central import cap_shares, kept_lists, merchants
from central.days import number_of
from central.kept_lists import LISTS_ID
from central.keys import CentralKeys
from central.merchants import PointOfSale
from central.store import Store
from domain.allotment import month_of
from domain.identity import CardId, TerminalId, Uid
from domain.rule_set import RuleSet
from sync.batch import Versions
from sync.bundle import Item, Kind, encode_bundle
from sync.crypto import public_key
from sync.merchant_format import encode_merchant
from sync.signed_lists import CardKey, EntitlementDelta, encode_card_keys, encode_entitlements

_KEYS_MONTH: Final = "card keys month"


@dataclass(frozen=True, slots=True)
class Asking:
    """The terminal that asks: its id, its public key (65 B), where it stands, the lists it holds, and its programme."""

    terminal: TerminalId
    device_key: bytes
    place: PointOfSale
    held: Versions
    programme: str


def newest(store: Store, keys: CentralKeys, place: PointOfSale) -> Versions:
    """The newest version of each list a terminal of that point of sale may have."""
    return Versions(
        rules=kept_lists.newest_of(store, Kind.RULE_SET),
        hot_list=kept_lists.newest_of(store, Kind.HOT_LIST),
        merchant=merchants.entry(store, place).version,
        card_keys=cap_shares.newest_version(store),
        entitlements=store.current_number("entitlement change"),
        centre_keys=keys.public().version,
        terminals=kept_lists.newest_of(store, Kind.TERMINALS),
    )


def bundle(store: Store, keys: CentralKeys, asking: Asking) -> bytes:
    """What this terminal does not hold yet."""
    held, has, items = asking.held, newest(store, keys, asking.place), []
    sign = keys.signer("lists")
    if has.centre_keys > held.centre_keys:
        items.append(Item(Kind.CENTRE_KEYS, has.centre_keys, keys.centre_keys))
    for kind, there, here in (
        (Kind.RULE_SET, has.rules, held.rules),
        (Kind.HOT_LIST, has.hot_list, held.hot_list),
        (Kind.TERMINALS, has.terminals, held.terminals),
    ):
        if there > here:
            items.append(Item(kind, there, kept_lists.kept(store, kind, there)))
    if has.merchant > held.merchant:
        entry = merchants.entry(store, asking.place)
        items.append(Item(Kind.MERCHANT, entry.version, encode_merchant(entry, LISTS_ID, sign)))
    if has.card_keys > held.card_keys:
        signed = encode_card_keys(
            has.card_keys,
            asking.terminal,
            public_key(asking.device_key),
            _card_keys(store, keys, asking.programme),
            LISTS_ID,
            sign,
        )
        items.append(Item(Kind.CARD_KEYS, has.card_keys, signed))
    if has.entitlements > held.entitlements:
        entries = _entitlements(store, held.entitlements, has.entitlements)
        delta = EntitlementDelta(held.entitlements, has.entitlements, entries)
        items.append(Item(Kind.ENTITLEMENTS, delta.version, encode_entitlements(delta, LISTS_ID, sign)))
    return encode_bundle(items)


def renew_card_keys(store: Store, rules: RuleSet, today: date, at: datetime) -> None:
    """Write down what the card keys to be handed out tell of shares of a month cap; a new version in each new month.

    Inside a transaction of the store, before a bundle is made.
    """
    month = number_of(month_of(today).first)
    if store.current_number(_KEYS_MONTH) != month and store.one("SELECT 1 FROM household_card") is not None:
        store.put_new("meta", name=_KEYS_MONTH, value=month)
        store.change("UPDATE meta SET value = ? WHERE name = ?", month, _KEYS_MONTH)
        store.next_number("card keys")
    cap_shares.write_down(store, rules, today, at)


def _card_keys(store: Store, keys: CentralKeys, programme: str) -> tuple[CardKey, ...]:
    found, shares = [], cap_shares.listed(store)
    for row in store.all("SELECT card, uid, aid, expires_at FROM card ORDER BY card"):
        card, uid, aid = CardId(bytes(row["card"])), Uid(bytes(row["uid"])), bytes(row["aid"])
        expires = None if row["expires_at"] is None else datetime.fromtimestamp(row["expires_at"], UTC)
        key = keys.card_key(1, uid, aid, programme, card)
        found.append(CardKey(card, uid, programme, aid, expires, key, shares.get(card, ())))
    return tuple(found)


def _entitlements(store: Store, since: int, up_to: int) -> tuple[tuple[Uid, bytes], ...]:
    """The newest entitlement of each card that changed, in the order of change."""
    rows = store.all(
        """SELECT card.uid AS uid, entitlement.data AS data, max(change_number) FROM entitlement
        JOIN card ON card.card = entitlement.card WHERE change_number > ? AND change_number <= ?
        GROUP BY entitlement.card ORDER BY max(change_number)""",
        since,
        up_to,
    )
    return tuple((Uid(bytes(row["uid"])), bytes(row["data"])) for row in rows)
