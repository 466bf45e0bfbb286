"""Rule set and merchant entry as signed lists (docs/formats/bundle.md), version 0 of both shapes.

Nothing is nested deeper than a record, so conditions stand beside the purses and name them by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.family import Family, tree
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_set import Ceilings, Condition, Merchant, Purse, RuleSet, Tier
from sync.cbor import Map, Value, encode, take_int, take_list, take_text, whole
from sync.cose import ContentType, sign1
from sync.crypto import PublicKey
from sync.errors import Malformed
from sync.signed_lists import Sign, signed_map


def encode_rule_set(rules: RuleSet, key_id: bytes, sign: Sign) -> bytes:
    """The rule set (version 0 of its shape), signed by the list key."""
    return sign1(ContentType.RULE_SET, key_id, encode(_rule_set_map(rules)), sign)


def read_rule_set(signed: bytes, key: PublicKey) -> RuleSet:
    """The rule set, verified. Malformed also when it does not hold together (unknown family, purse number twice …)."""
    return _rule_set_of(signed_map(signed, ContentType.RULE_SET, key, 0))


def _rule_set_map(rules: RuleSet) -> Map:
    purses: list[Value] = [[purse.number, purse.code, purse.name] for purse in rules.purses]
    conditions: list[Value] = [
        [purse.number, _sorted(condition.families), _sorted(condition.merchants)]
        for purse in rules.purses
        for condition in purse.pays
    ]
    usual = rules.ceilings
    tiers: list[Value] = [[tier.max_age_days, _cents(tier.day_total)] for tier in usual.tiers]
    families: list[Value] = [[item.code, item.parent, item.name_fr, item.icon] for item in rules.families.values()]
    return {
        0: 0,
        1: rules.programme,
        2: rules.version,
        3: rules.timezone,
        4: _sorted(rules.never),
        5: purses,
        6: conditions,
        7: [int(amount) for amount in (usual.floor_limit, usual.day_total, usual.confirm, usual.void_allowance)],
        8: tiers,
        9: rules.phone,
        10: families,
    }


def _rule_set_of(fields: Map) -> RuleSet:
    families = _families_of(take_list(fields, 10, 500))
    purses = tuple(_purse_of(item, take_list(fields, 6, 2_000)) for item in take_list(fields, 5, 255))
    rules = RuleSet(
        programme=take_text(fields, 1, 12),
        version=take_int(fields, 2, 0xFFFF),
        timezone=take_text(fields, 3, 64),
        never=frozenset(_texts(take_list(fields, 4, 500))),
        purses=purses,
        ceilings=_ceilings_of(take_list(fields, 7, 4), take_list(fields, 8, 20)),
        phone=take_text(fields, 9, 40),
        families=families,
    )
    named = rules.never.union(*(condition.families for purse in purses for condition in purse.pays))
    if named - set(families) or len({purse.number for purse in purses}) != len(purses):
        raise Malformed("a rule set that does not hold together")
    _check_timezone(rules.timezone)
    return rules


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Malformed("a time zone this system does not know") from None


def _purse_of(item: Value, conditions: list[Value]) -> Purse:
    match item:
        case [int() as number, str() as code, str() as name] if 1 <= number <= 255:
            pays = tuple(_condition_of(condition) for condition in conditions if _is_of(condition, number))
            return Purse(PurseNumber(number), code, name, pays)
    raise Malformed("a purse is a number, a code and a name")


def _is_of(condition: Value, number: int) -> bool:
    return isinstance(condition, list) and bool(condition) and condition[0] == number


def _condition_of(item: Value) -> Condition:
    match item:
        case [int(), list() as families, list() as merchants]:
            return Condition(frozenset(_texts(families)), frozenset(_texts(merchants)))
    raise Malformed("a condition is a purse, families and merchant groups")


def _ceilings_of(sums: list[Value], tiers: list[Value]) -> Ceilings:
    if len(sums) != 4:
        raise Malformed("ceilings are four sums")
    floor_limit, day_total, confirm, allowance = (Cents(whole(amount)) for amount in sums)
    return Ceilings(floor_limit, day_total, confirm, tuple(_tier_of(tier) for tier in tiers), allowance)


def _tier_of(item: Value) -> Tier:
    match item:
        case [days, None]:
            return Tier(whole(days))
        case [days, day_total]:
            return Tier(whole(days), Cents(whole(day_total)))
    raise Malformed("a tier is days and a sum or none")


def _families_of(items: list[Value]) -> Mapping[str, Family]:
    try:
        return tree(tuple(_family_of(item) for item in items))
    except ValueError as mistake:
        raise Malformed(str(mistake)) from None


def _family_of(item: Value) -> Family:
    match item:
        case [str() as code, None | str() as parent, str() as name, str() as icon]:
            return Family(code, parent, name, icon)
    raise Malformed("a family is a code, a parent, a name and a letter")


def encode_merchant(merchant: Merchant, key_id: bytes, sign: Sign) -> bytes:
    """The merchant entry (version 0 of its shape), signed by the list key."""
    payload: Map = {
        0: 0,
        1: merchant.number,
        2: merchant.version,
        3: merchant.name,
        4: _sorted(merchant.groups),
        5: merchant.default_family,
    }
    return sign1(ContentType.MERCHANT, key_id, encode(payload), sign)


def read_merchant(signed: bytes, key: PublicKey) -> Merchant:
    """The merchant entry, verified. Malformed, UnknownVersion, BadSignature."""
    fields = signed_map(signed, ContentType.MERCHANT, key, 0)
    return Merchant(
        number=take_int(fields, 1),
        version=take_int(fields, 2),
        name=take_text(fields, 3),
        groups=frozenset(_texts(take_list(fields, 4, 50))),
        default_family=take_text(fields, 5, 40),
    )


def _texts(items: list[Value]) -> list[str]:
    texts = [item for item in items if isinstance(item, str) and len(item) <= 64]
    if len(texts) != len(items):
        raise Malformed("not a list of words")
    return texts


def _cents(amount: Cents | None) -> int | None:
    return None if amount is None else int(amount)


def _sorted(words: Iterable[str]) -> list[Value]:
    return [*sorted(words)]
