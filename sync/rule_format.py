"""Rule set and merchant entry as signed lists (docs/formats/bundle.md), version 1 of both shapes.

Nothing is nested deeper than a record, so conditions stand beside the purses and campaigns and name them. Allotments
and worked examples stay at the centre. A payload has one form only: what is read is written again and must be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.family import Family, tree
from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_check import mistakes
from domain.rule_set import (
    Campaign,
    Case,
    Ceilings,
    Certificate,
    Condition,
    Match,
    MatchOf,
    Merchant,
    Payer,
    PriceCeiling,
    Purse,
    PurseCeilings,
    RuleSet,
    Tier,
    Unspent,
    WhoPays,
    Window,
)
from sync.cbor import Map, Value, encode, take_int, take_list, take_text, whole
from sync.cose import ContentType, sign1
from sync.crypto import PublicKey
from sync.errors import Malformed
from sync.signed_lists import Sign, signed_map

SHAPE: Final = 1
"""Version of both shapes."""
MOST_CENTS: Final = 1_000_000_000
"""The greatest sum in rules: ten million euros."""
_EPOCH: Final = date(1970, 1, 1)
_MOST_DAYS: Final = (date.max - _EPOCH).days
_MOST_TEXT: Final = 64


# --- rule set --------------------------------------------------------------------------------------------------------


def encode_rule_set(rules: RuleSet, key_id: bytes, sign: Sign) -> bytes:
    """The rule set, signed by the list key; allotments and examples are left out."""
    return sign1(ContentType.RULE_SET, key_id, encode(rule_set_map(rules)), sign)


def read_rule_set(signed: bytes, key: PublicKey) -> RuleSet:
    """The rule set, verified. Malformed also when it does not hold together (unknown family, purse number twice …),
    UnknownVersion, BadSignature.
    """
    fields = signed_map(signed, ContentType.RULE_SET, key, SHAPE)
    rules = _rule_set_of(fields)
    if encode(rule_set_map(rules)) != encode(fields):
        raise Malformed("a rule set that is not in its one form")
    wrong = mistakes(rules)
    if wrong:
        raise Malformed(f"a rule set that does not hold together: {wrong[0]}")
    _check_timezone(rules.timezone)
    return rules


def rule_set_map(rules: RuleSet) -> Map:
    """What is signed of a rule set (docs/formats/bundle.md)."""
    by_purse = [(purse.number, condition) for purse in rules.purses for condition in purse.pays]
    by_campaign = [(campaign.code, condition) for campaign in rules.campaigns for condition in campaign.conditions]
    usual = rules.ceilings
    return {
        0: SHAPE,
        1: rules.programme,
        2: rules.version,
        3: rules.timezone,
        4: _sorted(rules.never),
        5: [_purse_row(purse) for purse in rules.purses],
        6: [_condition_row(number, condition) for number, condition in by_purse],
        7: [
            int(usual.floor_limit),
            int(usual.day_total),
            int(usual.confirm),
            int(usual.void_allowance),
            _cents(usual.payment),
        ],
        8: [[tier.max_age_days, _cents(tier.day_total)] for tier in usual.tiers],
        9: rules.phone,
        10: [_family_row(family) for family in rules.families.values()],
        11: [_campaign_row(campaign) for campaign in rules.campaigns],
        12: [_condition_row(code, condition) for code, condition in by_campaign],
        13: [
            [row.case.value, row.payer.value, _cents(row.up_to), row.is_decided_by_a_person] for row in rules.who_pays
        ],
    }


def _rule_set_of(fields: Map) -> RuleSet:
    of_purses, of_campaigns = take_list(fields, 6, 2_000), take_list(fields, 12, 2_000)
    return RuleSet(
        programme=take_text(fields, 1, 12),
        version=take_int(fields, 2, 0xFFFF),
        timezone=take_text(fields, 3, 64),
        never=_set(take_list(fields, 4, 500)),
        purses=tuple(_purse_of(row, of_purses) for row in take_list(fields, 5, 255)),
        ceilings=_ceilings_of(take_list(fields, 7, 5), take_list(fields, 8, 20)),
        phone=take_text(fields, 9, 40),
        families=_families_of(take_list(fields, 10, 500)),
        campaigns=tuple(_campaign_of(row, of_campaigns) for row in take_list(fields, 11, 200)),
        who_pays=tuple(_who_pays_of(row) for row in take_list(fields, 13, 50)),
    )


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Malformed("a time zone this system does not know") from None


def _purse_row(purse: Purse) -> Value:
    price, match = purse.price_ceiling, purse.match
    return [
        int(purse.number),
        purse.code,
        purse.name,
        purse.funder,
        purse.window.value,
        purse.unspent.value,
        [_cents(purse.ceilings.payment), _cents(purse.ceilings.day)],
        None if price is None else [int(price.price), price.per],
        None if match is None else [match.share.numerator, match.share.denominator, match.of.value],
        purse.pays_unattended,
        purse.width,
    ]


def _purse_of(row: Value, conditions: Sequence[Value]) -> Purse:
    match row:
        case [
            number,
            str() as code,
            str() as name,
            str() as funder,
            str() as window,
            str() as unspent,
            [payment, day],
            price,
            share,
            bool() as unattended,
            width,
        ]:
            pass
        case _:
            raise Malformed("a purse is a row of eleven")
    try:
        return Purse(
            number=PurseNumber(whole(number, 255)),
            code=_text(code),
            name=_text(name),
            pays=tuple(_condition_of(item) for item in conditions if _is_of(item, number)),
            funder=_text(funder),
            window=Window(window),
            unspent=Unspent(unspent),
            ceilings=PurseCeilings(_cents_of(payment), _cents_of(day)),
            price_ceiling=_price_ceiling_of(price),
            match=_match_of(share),
            pays_unattended=unattended,
            width=whole(width, 0xFFFF),
        )
    except ValueError:
        raise Malformed("a window, or what becomes of unspent money, that nobody knows") from None


def _price_ceiling_of(row: Value) -> PriceCeiling | None:
    match row:
        case None:
            return None
        case [price, str() as unit]:
            return PriceCeiling(_sum_of(price), _text(unit))
    raise Malformed("a price ceiling is a sum and a unit")


def _match_of(row: Value) -> Match | None:
    match row:
        case None:
            return None
        case [part, parts, "card" | "price" as of] if whole(parts):
            return Match(Fraction(whole(part), whole(parts)), MatchOf(of))
    raise Malformed("a match is a share in two whole numbers and what it follows")


def _condition_row(owner: int | str, condition: Condition) -> Value:
    return [
        owner,
        _sorted(condition.families),
        _sorted(condition.merchants),
        _sorted(condition.labels),
        condition.products,
    ]


def _is_of(condition: Value, owner: Value) -> bool:
    return isinstance(condition, list) and bool(condition) and condition[0] == owner


def _condition_of(row: Value) -> Condition:
    match row:
        case [_, list() as families, list() as merchants, list() as labels, None | str() as products]:
            name = None if products is None else _text(products)
            return Condition(_set(families), _set(merchants), _set(labels), name)
    raise Malformed("a condition is an owner, families, merchants, labels and perhaps a product list")


def _campaign_row(campaign: Campaign) -> Value:
    return [
        campaign.code,
        _day(campaign.first_day),
        _day(campaign.last_day),
        _sorted(campaign.earned_on),
        int(campaign.give),
        int(campaign.per),
        int(campaign.month_cap),
        campaign.into,
    ]


def _campaign_of(row: Value, conditions: Sequence[Value]) -> Campaign:
    match row:
        case [str() as code, first, last, list() as earned_on, give, per, month_cap, str() as into]:
            return Campaign(
                code=_text(code),
                first_day=_day_of(first),
                last_day=_day_of(last),
                conditions=tuple(_condition_of(item) for item in conditions if _is_of(item, code)),
                earned_on=_set(earned_on),
                give=_sum_of(give),
                per=_sum_of(per),
                month_cap=_sum_of(month_cap),
                into=_text(into),
            )
    raise Malformed("a campaign is a row of eight")


def _ceilings_of(sums: list[Value], tiers: list[Value]) -> Ceilings:
    if len(sums) != 5:
        raise Malformed("ceilings are five sums, of which the last may be none")
    floor_limit, day_total, confirm, allowance = (_sum_of(amount) for amount in sums[:4])
    rows = tuple(_tier_of(tier) for tier in tiers)
    return Ceilings(floor_limit, day_total, confirm, rows, allowance, _cents_of(sums[4]))


def _tier_of(row: Value) -> Tier:
    match row:
        case [days, day_total]:
            return Tier(whole(days, 10_000), _cents_of(day_total))
    raise Malformed("a tier is days and a sum or none")


def _families_of(rows: list[Value]) -> Mapping[str, Family]:
    try:
        return tree(tuple(_family_of(row) for row in rows))
    except ValueError as mistake:
        raise Malformed(str(mistake)) from None


def _family_row(family: Family) -> Value:
    return [
        family.code,
        family.parent,
        family.name_fr,
        family.icon,
        family.name_en,
        family.colour,
        [*family.tags],
    ]


def _family_of(row: Value) -> Family:
    match row:
        case [str() as code, None | str() as parent, str() as fr, str() as icon, str() as en, str() as colour, [*tags]]:
            return Family(_text(code), parent, _text(fr), _text(icon), _text(en), _text(colour), tuple(_texts(tags)))
    raise Malformed("a family is a code, a parent, a name, a letter, an English name, a colour and tags")


def _who_pays_of(row: Value) -> WhoPays:
    match row:
        case [str() as case, str() as payer, up_to, bool() as by_a_person]:
            try:
                return WhoPays(Case(case), Payer(payer), _cents_of(up_to), by_a_person)
            except ValueError:
                raise Malformed("a case or a payer nobody knows") from None
    raise Malformed("a row of who pays is a case, a payer, a sum or none, and whether a person decides")


# --- merchant entry --------------------------------------------------------------------------------------------------


def encode_merchant(merchant: Merchant, key_id: bytes, sign: Sign) -> bytes:
    """The merchant entry, signed by the list key."""
    return sign1(ContentType.MERCHANT, key_id, encode(merchant_map(merchant)), sign)


def merchant_map(merchant: Merchant) -> Map:
    """What is signed of a merchant entry (docs/formats/bundle.md)."""
    return {
        0: SHAPE,
        1: merchant.number,
        2: merchant.version,
        3: merchant.name,
        4: _sorted(merchant.groups),
        5: merchant.default_family,
        6: merchant.profile,
        7: [[item.label, item.number, _day_or_none(item.last_day)] for item in merchant.certificates],
        8: merchant.is_attended,
        9: [_day_or_none(merchant.first_day), _day_or_none(merchant.last_day)],
        10: merchant.point_of_sale,
    }


def read_merchant(signed: bytes, key: PublicKey) -> Merchant:
    """The merchant entry, verified. Malformed, UnknownVersion, BadSignature."""
    fields = signed_map(signed, ContentType.MERCHANT, key, SHAPE)
    days = take_list(fields, 9, 2)
    if len(days) != 2 or not isinstance(fields.get(8), bool):
        raise Malformed("a merchant entry has a first and a last day, and says whether somebody stands there")
    merchant = Merchant(
        number=take_int(fields, 1),
        version=take_int(fields, 2),
        name=take_text(fields, 3),
        groups=_set(take_list(fields, 4, 50)),
        default_family=take_text(fields, 5, 40),
        profile=take_text(fields, 6, _MOST_TEXT),
        certificates=tuple(_certificate_of(row) for row in take_list(fields, 7, 50)),
        is_attended=fields[8] is True,
        first_day=_day_of_or_none(days[0]),
        last_day=_day_of_or_none(days[1]),
        point_of_sale=take_int(fields, 10),
    )
    if encode(merchant_map(merchant)) != encode(fields):
        raise Malformed("a merchant entry that is not in its one form")
    return merchant


def _certificate_of(row: Value) -> Certificate:
    match row:
        case [str() as label, str() as number, last_day]:
            return Certificate(_text(label), _text(number), _day_of_or_none(last_day))
    raise Malformed("a certificate is a label, a number and perhaps a last day")


# --- shared ----------------------------------------------------------------------------------------------------------


def _text(word: str) -> str:
    if len(word) > _MOST_TEXT:
        raise Malformed(f"a text of more than {_MOST_TEXT} characters")
    return word


def _texts(items: list[Value]) -> list[str]:
    texts = [item for item in items if isinstance(item, str) and len(item) <= _MOST_TEXT]
    if len(texts) != len(items):
        raise Malformed("not a list of words")
    return texts


def _set(items: list[Value]) -> frozenset[str]:
    return frozenset(_texts(items))


def _sorted(words: Iterable[str]) -> list[Value]:
    return [*sorted(words)]


def _cents(amount: Cents | None) -> int | None:
    return None if amount is None else int(amount)


def _sum_of(value: Value) -> Cents:
    return Cents(whole(value, MOST_CENTS))


def _cents_of(value: Value) -> Cents | None:
    return None if value is None else _sum_of(value)


def _day(day: date) -> int:
    return (day - _EPOCH).days


def _day_or_none(day: date | None) -> int | None:
    return None if day is None else _day(day)


def _day_of(value: Value) -> date:
    return _EPOCH + timedelta(days=whole(value, _MOST_DAYS))


def _day_of_or_none(value: Value) -> date | None:
    return None if value is None else _day_of(value)
