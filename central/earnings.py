"""What payments earn: the base each adds to its card's month, under the rules and merchant entry it names.

The till showed the bonus; the centre keeps here what it grants it on (central/bonuses.py). Who paid what of which line
is the terminal's word, held against the debits the card has proven; where lines earn is the centre's own: the
campaign, the purses and the merchant's groups and certificates are those of the versions named.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from central import merchants, rule_versions
from central.days import DAY_S, number_of
from central.keys import CentralKeys
from central.store import Store
from domain.allotment import month_of
from domain.basket import Basket
from domain.bonus import base_of
from domain.card_log import Debit
from domain.days import days_of
from domain.identity import CardId, SlotFile
from domain.money import Cents, total
from domain.purse import Entitlement
from domain.rule_set import Purse, RuleSet
from sync.bundle import Kind
from sync.card_format import decode_log_record
from sync.cbor import Map, take_int, take_list
from sync.errors import FormatError, Malformed
from sync.record import Envelope, Pay
from sync.replay import basket_of
from sync.tmac import TransactionInput

_MOST_CENTS: Final = 1_000_000_000


def note(
    store: Store,
    keys: CentralKeys,
    card: CardId,
    envelope: Envelope,
    facts: TransactionInput,
    entitlement: Entitlement | None,
    received_at: datetime,
) -> None:
    """Keep what a posted payment adds to its card's month, if anything; inside a transaction of the store.

    The month is the one the card's own log record counts it in, as far as that can be true: not before the record
    before it on the card, the centre's word it was made under, or the earliest it was; not after the latest it was, or
    after it came here. Rules that were replaced longer ago than lists may be old earn nothing. A record that does not
    say who paid what earns nothing and holds up nobody; the second decision (central/redecision.py) points at it.

    Args:
        facts: of the record's TMI.
        entitlement: the centre's own word, in force after the transaction.
        received_at: when the record came, aware UTC.
    """
    rules = rule_versions.of_version(store, keys, envelope.rules_version)
    if rules is None or entitlement is None:
        return
    try:
        version = take_int(envelope.body, Pay.MERCHANT_VERSION, rule_versions.MOST_VERSION)
        merchant = merchants.entry_named(store, envelope, version)
        zone = ZoneInfo(rules.timezone)
        at = _when(envelope, facts, entitlement, received_at)
        day = at.astimezone(zone).date()
        campaign = rules.campaign_on(day)
        if merchant is None or campaign is None or _was_replaced_long_before(store, rules, at):
            return
        days = days_of(_instant(envelope.t_lo), _instant(envelope.t_late), zone)
        basket = basket_of(envelope.body)
        shares = _shares(envelope.body, basket, facts.debits)
        base = base_of(
            campaign,
            [(line, shares.get(number, ())) for number, line in enumerate(basket.lines)],
            _purses(entitlement, rules),
            rules,
            merchant,
            days,
        )
        shown, cap = _shown(envelope.body)
    except (FormatError, ArithmeticError, LookupError, TypeError, ValueError):
        return
    if base > 0:
        store.put_new(
            "earning",
            terminal=envelope.terminal,
            epoch=envelope.epoch,
            seq=envelope.seq,
            card=card,
            campaign=campaign.code,
            purse=int(next(purse.number for purse in rules.purses if purse.code == campaign.into)),
            at=int(at.timestamp()),
            month=number_of(month_of(day).first),
            base=int(base),
            cap=cap,
            shown=shown,
            rules_version=rules.version,
        )


def _when(envelope: Envelope, facts: TransactionInput, entitlement: Entitlement, received_at: datetime) -> datetime:
    """When a payment was made: the time of its log record, between what surely came before it and what surely after."""
    told, before = decode_log_record(facts.own_log).minutes_at, [_instant(envelope.t_lo), entitlement.issued_at]
    with contextlib.suppress(FormatError, IndexError):
        before.append(decode_log_record(facts.logs[0]).minutes_at)
    latest = min(_instant(envelope.t_late), received_at)
    return min(max(told, *before), latest)


def _was_replaced_long_before(store: Store, rules: RuleSet, at: datetime) -> bool:
    """Whether a newer version was signed longer before than a till's lists may be old and still pay."""
    oldest_s = DAY_S * (1 + max(tier.max_age_days for tier in rules.ceilings.tiers))
    signed_at = store.number(
        "SELECT min(signed_at) FROM signed_list WHERE kind = ? AND version > ?", int(Kind.RULE_SET), rules.version
    )
    return bool(signed_at) and signed_at + oldest_s < at.timestamp()


def _shares(body: Map, basket: Basket, debits: tuple[Debit, ...]) -> Mapping[int, tuple[Debit, ...]]:
    """What each slot paid of each line; no more than the line cost, and of each slot just what the card has proven."""
    by_line: dict[int, list[Debit]] = defaultdict(list)
    by_file: Counter[int] = Counter()
    for row in take_list(body, Pay.SHARES):
        match row:
            case [int() as number, int() as file, int() as cents] if 0 <= number < len(basket.lines) and cents > 0:
                by_line[number].append(Debit(SlotFile(file), Cents(cents)))
                by_file[file] += cents
            case _:
                raise Malformed("a share is a line, a slot and cents")
    if by_file != Counter({int(debit.file): int(debit.amount) for debit in debits}):
        raise Malformed("shares that do not add up to what the card paid")
    for number, shares in by_line.items():
        if total(share.amount for share in shares) > basket.lines[number].amount:
            raise Malformed("a line that was paid more than it cost")
    return {number: tuple(shares) for number, shares in by_line.items()}


def _purses(entitlement: Entitlement, rules: RuleSet) -> Mapping[SlotFile, Purse]:
    return {slot.file: purse for slot in entitlement.slots if (purse := rules.purse(slot.purse)) is not None}


def _shown(body: Map) -> tuple[int | None, int | None]:
    """The bonus the till showed, and the card's share of the cap as it knew it; ``None`` where it did not."""
    match body.get(Pay.BONUS):
        case [_, _, (int() | None) as shown, (int() | None) as cap]:
            if all(value is None or 0 <= value <= _MOST_CENTS for value in (shown, cap)):
                return shown, cap
    raise Malformed("a bonus is a base, a base before, what was shown and a share")


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
