"""What a terminal downloads: a CBOR sequence of signed lists (docs/formats/bundle.md).

The bundle itself is not signed, each item is. An item of an unknown kind or version, or one that does not verify, is
reported and left out; the others count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from domain.identity import TerminalId
from domain.rule_set import Merchant, RuleSet
from sync.cbor import Map, decode_map, encode, sequence, take_bytes, take_int, whole_items
from sync.crypto import PublicKey
from sync.errors import FormatError, Malformed, UnknownVersion
from sync.merchant_format import read_merchant
from sync.rule_format import read_rule_set
from sync.signed_lists import (
    MOST_LIST_B,
    CardKeysList,
    CentreKeys,
    EntitlementDelta,
    HotList,
    TerminalsList,
    read_card_keys,
    read_centre_keys,
    read_entitlements,
    read_hot_list,
    read_terminals,
)

BUNDLE_VERSION: Final = 1
MOST_BUNDLE_B: Final = 8_388_608
_MOST_ITEMS: Final = 64


class Kind(IntEnum):
    """Kinds of items; numbers are never reused."""

    CENTRE_KEYS = 1
    RULE_SET = 2
    MERCHANT = 3
    HOT_LIST = 4
    CARD_KEYS = 5
    ENTITLEMENTS = 6
    TERMINALS = 7


@dataclass(frozen=True, slots=True)
class Item:
    """One list as it travels and is stored: its kind (maybe unknown), its version, its signed bytes."""

    kind: int
    version: int
    signed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """An item that was left out, and why."""

    kind: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Download:
    """A bundle read and verified: what it brings (``None``: nothing of that kind), what to store, what was left out.

    Attributes:
        centre_keys, rules, merchant, hot_list, card_keys, terminals: the lists.
        entitlements: deltas in the order they stand.
        items: the verified items, verbatim, to be stored.
        problems: items left out.
    """

    centre_keys: CentreKeys | None = None
    rules: RuleSet | None = None
    merchant: Merchant | None = None
    hot_list: HotList | None = None
    card_keys: CardKeysList | None = None
    entitlements: tuple[EntitlementDelta, ...] = ()
    items: tuple[Item, ...] = ()
    problems: tuple[Problem, ...] = ()
    terminals: TerminalsList | None = None


_List = CentreKeys | RuleSet | Merchant | HotList | CardKeysList | EntitlementDelta | TerminalsList


def encode_bundle(items: Sequence[Item]) -> bytes:
    """The bytes of a download; nothing at all for no items."""
    if not items:
        return b""
    head: Map = {0: BUNDLE_VERSION}
    return sequence([encode(head), *(encode({0: item.kind, 1: item.version, 2: item.signed}) for item in items)])


def split_bundle(bundle: bytes) -> tuple[Item, ...]:
    """The items, not verified; none for an empty bundle.

    Raises:
        Malformed: too long, cut, or not a bundle.
        UnknownVersion: a bundle of another version.
    """
    if not bundle:
        return ()
    if len(bundle) > MOST_BUNDLE_B:
        raise Malformed(f"{len(bundle)} bytes where at most {MOST_BUNDLE_B} are read")
    parts, damage = whole_items(bundle, _MOST_ITEMS)
    if damage is not None or not parts:
        raise Malformed(damage or "a bundle without a head")
    if take_int(decode_map(parts[0], 64), 0) != BUNDLE_VERSION:
        raise UnknownVersion("bundle of an unknown version")
    return tuple(_item_of(part) for part in parts[1:])


def read_bundle(bundle: bytes, root: PublicKey, held_keys: CentreKeys | None, terminal: TerminalId) -> Download:
    """Everything in a bundle that is good.

    Args:
        root: the centre's root key, pinned at enrolment.
        held_keys: the centre keys known so far, or ``None`` before the first bundle.
        terminal: whose card keys are read.

    Raises:
        Malformed, UnknownVersion: the bundle as a whole; never because of one item.
    """
    found: dict[int, _List] = {}
    deltas: list[EntitlementDelta] = []
    good: list[Item] = []
    problems: list[Problem] = []
    keys = held_keys
    for item in sorted(split_bundle(bundle), key=lambda item: item.kind):  # the keys first
        try:
            content = _read(item, root, keys, terminal)
        except FormatError as fault:
            problems.append(Problem(item.kind, str(fault)))
            continue
        good.append(item)
        if isinstance(content, CentreKeys):
            keys = content
        if isinstance(content, EntitlementDelta):
            deltas.append(content)
        else:
            found[item.kind] = content
    return _download(found, tuple(deltas), tuple(good), tuple(problems))


def _read(item: Item, root: PublicKey, keys: CentreKeys | None, terminal: TerminalId) -> _List:
    if item.kind == Kind.CENTRE_KEYS:
        offered = read_centre_keys(item.signed, root)
        if keys is not None and offered.version < keys.version:
            raise Malformed("older centre keys than those held")
        return _of_version(offered, item)
    if keys is None:
        raise Malformed("no centre keys to verify it with")
    match item.kind:
        case Kind.RULE_SET:
            return _of_version(read_rule_set(item.signed, keys.lists), item)
        case Kind.MERCHANT:
            return _of_version(read_merchant(item.signed, keys.lists), item)
        case Kind.HOT_LIST:
            return _of_version(read_hot_list(item.signed, keys.lists), item)
        case Kind.CARD_KEYS:
            return _of_version(read_card_keys(item.signed, keys.lists, terminal), item)
        case Kind.ENTITLEMENTS:
            return _of_version(read_entitlements(item.signed, keys.lists), item)
        case Kind.TERMINALS:
            return _of_version(read_terminals(item.signed, keys.lists), item)
    raise UnknownVersion(f"an item of unknown kind {item.kind}")


def _of_version(content: _List, item: Item) -> _List:
    """The number outside is for finding things; only the signed one counts, and both must agree."""
    if content.version != item.version:
        raise Malformed("the version outside is not the signed one")
    return content


def _download(
    found: dict[int, _List],
    deltas: tuple[EntitlementDelta, ...],
    good: tuple[Item, ...],
    problems: tuple[Problem, ...],
) -> Download:
    keys, rules, merchant = found.get(Kind.CENTRE_KEYS), found.get(Kind.RULE_SET), found.get(Kind.MERCHANT)
    hot_list, card_keys = found.get(Kind.HOT_LIST), found.get(Kind.CARD_KEYS)
    terminals = found.get(Kind.TERMINALS)
    return Download(
        centre_keys=keys if isinstance(keys, CentreKeys) else None,
        rules=rules if isinstance(rules, RuleSet) else None,
        merchant=merchant if isinstance(merchant, Merchant) else None,
        hot_list=hot_list if isinstance(hot_list, HotList) else None,
        card_keys=card_keys if isinstance(card_keys, CardKeysList) else None,
        entitlements=deltas,
        items=good,
        problems=problems,
        terminals=terminals if isinstance(terminals, TerminalsList) else None,
    )


def _item_of(part: bytes) -> Item:
    fields = decode_map(part, MOST_LIST_B + 64)
    return Item(take_int(fields, 0), take_int(fields, 1), take_bytes(fields, 2, most_b=MOST_LIST_B))
