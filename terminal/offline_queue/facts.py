"""What a record brings to the terminal's totals, kept beside it; and an intent, as bytes. Deterministic CBOR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from domain.identity import CardId, PurseNumber, SlotFile
from domain.money import Cents
from domain.purse import Counters
from sync.cbor import Map, Value, decode_map, encode, take_bytes, take_int, take_list, take_map
from sync.errors import Malformed, UnknownVersion
from terminal.ports import CardSeen, Draft, Effect, Instant, Intent, Stamp, WallSource

MOST_FACTS_B: Final = 512
MOST_INTENT_B: Final = 8_192
_FACTS_VERSION, _INTENT_VERSION = 2, 3
_OLDEST_FACTS, _OLDEST_INTENT = 1, 2
"""Versions that did not say what each purse paid; they are still read."""
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """One record's part in the totals.

    Attributes:
        type: of the record; a number, so that one unknown here is still counted.
        at: the clocks it was written under.
        t_lo: earliest time known then.
        effect: cents paid by a card on a day, or ``None``; of an IN_DOUBT record what it would be.
        resolves: seq of the IN_DOUBT record this one ends.
        must_be_seen: whether the cashier must have seen its outcome.
        acknowledges: seq up to which the cashier has seen all outcomes.
        seen: counters a card showed.
    """

    type: int
    at: Instant
    t_lo: datetime
    effect: Effect | None = None
    resolves: int | None = None
    must_be_seen: bool = False
    acknowledges: int | None = None
    seen: CardSeen | None = None


def facts_of(draft: Draft, effect: Effect | None, acknowledges: int | None = None) -> Facts:
    """The facts of a draft; ``effect`` is that of the intent it closes where the draft names none."""
    return Facts(
        type=int(draft.type),
        at=draft.stamp.at,
        t_lo=draft.stamp.t_lo,
        effect=draft.effect or effect,
        resolves=draft.resolves,
        must_be_seen=draft.must_be_seen,
        acknowledges=acknowledges,
        seen=draft.seen,
    )


class _Fact:
    VERSION, TYPE, AT, T_LO, EFFECT, RESOLVES, MUST_BE_SEEN, ACKNOWLEDGES, SEEN = range(9)


def encode_facts(facts: Facts) -> bytes:
    """At most 512 bytes."""
    fields: Map = {
        _Fact.VERSION: _FACTS_VERSION,
        _Fact.TYPE: facts.type,
        _Fact.AT: _instant(facts.at),
        _Fact.T_LO: microseconds(facts.t_lo),
    }
    if facts.effect is not None:
        fields[_Fact.EFFECT] = _effect(facts.effect)
    if facts.resolves is not None:
        fields[_Fact.RESOLVES] = facts.resolves
    if facts.must_be_seen:
        fields[_Fact.MUST_BE_SEEN] = True
    if facts.acknowledges is not None:
        fields[_Fact.ACKNOWLEDGES] = facts.acknowledges
    if facts.seen is not None:
        fields[_Fact.SEEN] = _seen(facts.seen)
    return encode(fields)


def decode_facts(data: bytes) -> Facts:
    """The facts in ``data``; Malformed or UnknownVersion otherwise."""
    with _only_format_errors():
        return _facts_in(data)


def _facts_in(data: bytes) -> Facts:
    fields = decode_map(data, MOST_FACTS_B)
    _expect_version(take_int(fields, _Fact.VERSION), _OLDEST_FACTS, _FACTS_VERSION)
    return Facts(
        type=take_int(fields, _Fact.TYPE),
        at=_instant_of(take_list(fields, _Fact.AT, 4)),
        t_lo=from_microseconds(_whole(fields[_Fact.T_LO])),
        effect=_effect_of(take_list(fields, _Fact.EFFECT, 5)) if _Fact.EFFECT in fields else None,
        resolves=take_int(fields, _Fact.RESOLVES) if _Fact.RESOLVES in fields else None,
        must_be_seen=fields.get(_Fact.MUST_BE_SEEN) is True,
        acknowledges=take_int(fields, _Fact.ACKNOWLEDGES) if _Fact.ACKNOWLEDGES in fields else None,
        seen=_seen_of(take_list(fields, _Fact.SEEN, 3)) if _Fact.SEEN in fields else None,
    )


class _Intended:
    VERSION, SEQ, EFFECT = 0, 1, 2
    LOG_RECORD, BODY, STAMP = 5, 6, 7


def encode_intent(intent: Intent) -> bytes:
    """At most 8 KiB."""
    stamp = intent.stamp
    fields: Map = {
        _Intended.VERSION: _INTENT_VERSION,
        _Intended.SEQ: intent.seq,
        _Intended.EFFECT: _effect(intent.effect),
        _Intended.LOG_RECORD: intent.log_record,
        _Intended.BODY: intent.body,
        _Intended.STAMP: [
            *_instant(stamp.at),
            microseconds(stamp.t_lo),
            microseconds(stamp.t_late),
            stamp.rules_version,
            stamp.hot_list_version,
            stamp.cashier,
        ],
    }
    return encode(fields)


def decode_intent(data: bytes) -> Intent:
    """The intent in ``data``; Malformed or UnknownVersion otherwise."""
    with _only_format_errors():
        return _intent_in(data)


@contextmanager
def _only_format_errors() -> Iterator[None]:
    """Whatever changed bytes lead to is told as what it is: bytes that are not ours."""
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
        raise Malformed(f"not what this program wrote: {type(fault).__name__}") from None


def _intent_in(data: bytes) -> Intent:
    fields = decode_map(data, MOST_INTENT_B)
    _expect_version(take_int(fields, _Intended.VERSION), _OLDEST_INTENT, _INTENT_VERSION)
    stamp = [_whole(value) for value in take_list(fields, _Intended.STAMP, 9)]
    if len(stamp) != 9:
        raise Malformed("a stamp of another length")
    return Intent(
        seq=take_int(fields, _Intended.SEQ),
        effect=_effect_of(take_list(fields, _Intended.EFFECT, 5)),
        log_record=take_bytes(fields, _Intended.LOG_RECORD, 32),
        body=take_map(fields, _Intended.BODY),
        stamp=Stamp(
            at=_instant_of(list(stamp[:4])),
            t_lo=from_microseconds(stamp[4]),
            t_late=from_microseconds(stamp[5]),
            rules_version=stamp[6],
            hot_list_version=stamp[7],
            cashier=stamp[8],
        ),
    )


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970; may be negative."""
    return (instant - _1970) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    """The inverse of ``microseconds``; Malformed for a time no calendar has."""
    try:
        return _1970 + timedelta(microseconds=value)
    except OverflowError:
        raise Malformed("a time no calendar has") from None


def _instant(at: Instant) -> list[Value]:
    return [at.boot, at.boottime_ns, microseconds(at.wall), int(at.source)]


def _instant_of(values: list[Value]) -> Instant:
    boot, boottime_ns, wall, source = (_whole(value) for value in values)
    return Instant(boot, boottime_ns, from_microseconds(wall), WallSource(source))


def _effect(effect: Effect) -> list[Value]:
    """[card, cents, day, number of the payment a void undoes or null, [[purse, cents]] or null]."""
    purses: Value = None if effect.by_purse is None else _pairs(effect.by_purse)
    return [effect.card, int(effect.amount), effect.day.toordinal(), effect.voids, purses]


def _effect_of(values: list[Value]) -> Effect:
    match values:
        case [bytes() as card, int() as amount, int() as day]:
            return Effect(CardId(card), Cents(amount), date.fromordinal(day))
        case [bytes() as card, int() as amount, int() as day, int() as voids]:
            return Effect(CardId(card), Cents(amount), date.fromordinal(day), voids)
        case [bytes() as card, int() as amount, int() as day, None | int() as voids, None | list() as purses]:
            by_purse = None if purses is None else {PurseNumber(key): cents for key, cents in map(_pair, purses)}
            return Effect(CardId(card), Cents(amount), date.fromordinal(day), voids, by_purse)
    raise Malformed("an effect is a card, cents, a day and what each purse paid")


def _seen(seen: CardSeen) -> list[Value]:
    """[card, TMC, [[file, cents left]]]."""
    return [seen.card, seen.counters.tmc, _pairs(seen.counters.values)]


def _seen_of(values: list[Value]) -> CardSeen:
    match values:
        case [bytes() as card, int() as tmc, list() as pairs]:
            left = {SlotFile(key): cents for key, cents in map(_pair, pairs)}
            return CardSeen(CardId(card), Counters(tmc, left))
    raise Malformed("what was seen is a card, a number and its slots")


def _pairs(sums: Mapping[SlotFile, Cents] | Mapping[PurseNumber, Cents]) -> list[Value]:
    return [[int(number), int(cents)] for number, cents in sorted(sums.items())]


def _pair(value: Value) -> tuple[int, Cents]:
    match value:
        case [int() as number, int() as cents]:
            return number, Cents(cents)
    raise Malformed("a sum is a number and cents")


def _whole(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("not a whole number")
    return value


def _expect_version(found: int, oldest: int, newest: int) -> None:
    if not oldest <= found <= newest:
        raise UnknownVersion("written by another version of this program")
