"""Rule set as a signed list (docs/formats/bundle.md), version 1 of its shape.

Nothing is nested deeper than a record, so conditions stand beside the purses and campaigns and name them. Allotments
and worked examples stay at the centre. A payload has one form only: what is read is written again and must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Condition,
    Match,
    MatchOf,
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
from sync.listed_values import day_number, day_of, sorted_words, text_of, texts, word_set
from sync.signed_lists import Sign, signed_map

SHAPE: Final = 1
MOST_CENTS: Final = 1_000_000_000
"""The greatest sum in rules: ten million euros."""


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
        4: sorted_words(rules.never),
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
        never=word_set(take_list(fields, 4, 500)),
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
            code=text_of(code),
            name=text_of(name),
            pays=tuple(_condition_of(item) for item in conditions if _is_of(item, number)),
            funder=text_of(funder),
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
            return PriceCeiling(_sum_of(price), text_of(unit))
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
        sorted_words(condition.families),
        sorted_words(condition.merchants),
        sorted_words(condition.labels),
        condition.products,
    ]


def _is_of(condition: Value, owner: Value) -> bool:
    return isinstance(condition, list) and bool(condition) and condition[0] == owner


def _condition_of(row: Value) -> Condition:
    match row:
        case [_, list() as families, list() as merchants, list() as labels, None | str() as products]:
            name = None if products is None else text_of(products)
            return Condition(word_set(families), word_set(merchants), word_set(labels), name)
    raise Malformed("a condition is an owner, families, merchants, labels and perhaps a product list")


def _campaign_row(campaign: Campaign) -> Value:
    return [
        campaign.code,
        day_number(campaign.first_day),
        day_number(campaign.last_day),
        sorted_words(campaign.earned_on),
        int(campaign.give),
        int(campaign.per),
        int(campaign.month_cap),
        campaign.into,
    ]


def _campaign_of(row: Value, conditions: Sequence[Value]) -> Campaign:
    match row:
        case [str() as code, first, last, list() as earned_on, give, per, month_cap, str() as into]:
            return Campaign(
                code=text_of(code),
                first_day=day_of(first),
                last_day=day_of(last),
                conditions=tuple(_condition_of(item) for item in conditions if _is_of(item, code)),
                earned_on=word_set(earned_on),
                give=_sum_of(give),
                per=_sum_of(per),
                month_cap=_sum_of(month_cap),
                into=text_of(into),
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
            return Family(
                text_of(code), parent, text_of(fr), text_of(icon), text_of(en), text_of(colour), tuple(texts(tags))
            )
    raise Malformed("a family is a code, a parent, a name, a letter, an English name, a colour and tags")


def _who_pays_of(row: Value) -> WhoPays:
    match row:
        case [str() as case, str() as payer, up_to, bool() as by_a_person]:
            try:
                return WhoPays(Case(case), Payer(payer), _cents_of(up_to), by_a_person)
            except ValueError:
                raise Malformed("a case or a payer nobody knows") from None
    raise Malformed("a row of who pays is a case, a payer, a sum or none, and whether a person decides")


# --- sums ------------------------------------------------------------------------------------------------------------


def _cents(amount: Cents | None) -> int | None:
    return None if amount is None else int(amount)


def _sum_of(value: Value) -> Cents:
    return Cents(whole(value, MOST_CENTS))


def _cents_of(value: Value) -> Cents | None:
    return None if value is None else _sum_of(value)
