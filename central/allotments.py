"""A round of allotments: what the rules give each household for a month becomes grants on its cards, once.

A household is done in one transaction: what was granted and the note that it was. The same round may be run again at
any time, after a breakdown or when a card was missing; nobody is granted twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from central import grants, households
from central.days import check_month, number_of, start_of
from central.keys import CentralKeys
from central.rule_file import RuleFile
from central.store import Store
from domain.allotment import Span, borne_by, month_of, span_of, split
from domain.identity import CardId
from domain.money import Cents
from domain.rule_set import Allotment, Purse, Window
from sync.errors import PanierError

NO_SIZE: Final = "sa taille n'est pas connue à cette date"
NO_CARD: Final = "il n'a aucune carte en service"
DATES_OVER: Final = "ses dates dans cette enveloppe sont passées"
NO_DATES: Final = "il n'a pas de dates dans cette enveloppe"


@dataclass(frozen=True, slots=True)
class Given:
    """What a household was granted into a purse: the window, cents in all, cents by card."""

    household: int
    purse: str
    span: Span
    amount: Cents
    cards: tuple[tuple[CardId, Cents], ...]


@dataclass(frozen=True, slots=True)
class Left:
    """Why a household was not granted what the rules give it into a purse (or, ``""``, anything); a French clause.

    To be run again once that is mended.
    """

    household: int
    purse: str
    why: str


@dataclass(frozen=True, slots=True)
class Round:
    """One run.

    Attributes:
        given: by this run.
        left: by this run.
        already: how many were granted by a run before.
        waiting: cards whose grant is kept and waits to be signed, and why (central/signing_duty.py).
    """

    month: date
    given: tuple[Given, ...]
    left: tuple[Left, ...]
    already: int
    waiting: tuple[tuple[CardId, str], ...]

    @property
    def amount(self) -> Cents:
        """Cents granted by this run."""
        return Cents(sum(int(item.amount) for item in self.given))


def run(store: Store, keys: CentralKeys, file: RuleFile, month: date, at: datetime) -> Round:
    """Grant what the rules give for a month; each household in a transaction of its own.

    Args:
        file: the rules in force, as written.
        month: any day of this month or the next.

    Raises:
        ValueError: another month.
        KeysClosed: two custodians have to open the keys first.
    """
    zone = ZoneInfo(file.rules.timezone)
    today = at.astimezone(zone).date()
    check_month(month, today)
    keys.entitlement_signer()
    given: list[Given] = []
    left: list[Left] = []
    waiting: list[tuple[CardId, str]] = []
    already = 0
    for household in households.numbers(store):
        try:
            with store.writing():
                done = _household(store, file, household, month, today, at)
                touched = {card for item in done if isinstance(item, Given) for card, _ in item.cards}
                waits = _sign(store, keys, file, touched, at)
        except (ValueError, OverflowError, PanierError) as fault:
            left.append(Left(household, "", str(fault)))  # of this household nothing was kept; the next ones go on
            continue
        given += [item for item in done if isinstance(item, Given)]
        left += [item for item in done if isinstance(item, Left)]
        already += sum(item is None for item in done)
        waiting += waits
    return Round(month_of(month).first, tuple(given), tuple(left), already, tuple(waiting))


def _sign(
    store: Store, keys: CentralKeys, file: RuleFile, cards: Iterable[CardId], at: datetime
) -> list[tuple[CardId, str]]:
    waits = [(card, grants.issue_or_wait(store, keys, card, file.rules, at)) for card in sorted(cards)]
    return [(card, why) for card, why in waits if why is not None]


def _household(
    store: Store, file: RuleFile, household: int, month: date, today: date, at: datetime
) -> list[Given | Left | None]:
    """What was done for each allotment that gives this household something; ``None``: it had been done."""
    purses = {purse.code: purse for purse in file.rules.purses}
    done: list[Given | Left | None] = []
    for allotment in file.rules.allotments:
        purse = purses[allotment.purse]
        span, is_done = _span(store, household, purse, month, today)
        if is_done:
            done.append(None)
            continue
        found = _due(store, file, household, allotment, purse, month, span, today)
        if isinstance(found, str):
            done.append(Left(household, purse.code, found))
        elif found is not None:
            done.append(_grant(store, file, household, allotment, purse, month, found, at))
    return done


@dataclass(frozen=True, slots=True)
class _Due:
    span: Span
    amount: Cents
    cards: tuple[CardId, ...]


def _due(
    store: Store,
    file: RuleFile,
    household: int,
    allotment: Allotment,
    purse: Purse,
    month: date,
    span: Span | None,
    today: date,
) -> _Due | str | None:
    """What is to be granted, or why it cannot be; ``None`` where the rules give this household nothing."""
    first = month_of(month).first if span is None else span.first
    day = max(first, today)
    size = households.on(store, household, day).size
    if size is None:
        return NO_SIZE
    amount = allotment.granted(size.adults, size.children)
    if not amount:
        return None
    if span is None:
        return DATES_OVER if households.dates_in(store, household, purse.number, month) else NO_DATES
    times = store.number("SELECT count(*) FROM allotted WHERE household = ? AND purse = ?", household, purse.number)
    if allotment.months is not None and times >= allotment.months:
        return None
    if allotment.only_if is not None and not households.is_noted(store, household, allotment.only_if, month):
        return f"« {file.words.get(allotment.only_if, allotment.only_if)} » n'est pas noté pour ce mois"
    cards = households.cards_in_use(store, household, day)
    return _Due(span, amount, cards) if cards else NO_CARD


def _grant(
    store: Store,
    file: RuleFile,
    household: int,
    allotment: Allotment,
    purse: Purse,
    month: date,
    due: _Due,
    at: datetime,
) -> Given | Left:
    key = {"household": household, "purse": int(purse.number), "for_day": _for_day(purse, month, due.span)}
    zone = ZoneInfo(file.rules.timezone)
    parts = [(card, part) for card, part in zip(due.cards, split(due.amount, len(due.cards)), strict=True) if part]
    try:
        with store.savepoint():
            for card, part in parts:
                start, end = _instants(store, card, purse, due.span, zone)
                number = grants.give(store, card, purse.number, part, start, end, at, grants.Kind.ALLOTMENT)
                store.put("allotted_grant", **key, grant_id=number)
    except ValueError as why:
        return Left(household, purse.code, str(why))
    before = store.number("SELECT sum(amount) FROM allotted WHERE household = ? AND purse = ?", household, purse.number)
    store.put("allotted", **key, amount=int(due.amount), rules_version=file.rules.version, at=int(at.timestamp()))
    for payer, cents in borne_by(allotment, purse, Cents(before), due.amount):
        store.put("borne", **key, payer=payer, cents=int(cents))
    return Given(household, purse.code, due.span, due.amount, tuple(parts))


def _span(store: Store, household: int, purse: Purse, month: date, today: date) -> tuple[Span | None, bool]:
    """The window a grant for this month goes into, and whether that grant was made.

    Of a household's dates those count that are not over and not granted yet, the earliest of them.
    """
    if purse.window is not Window.DATES:
        span = span_of(purse, month)
        assert span is not None, "only dates can be missing"
        return span, _is_done(store, household, purse, _for_day(purse, month, span))
    dates = households.dates_in(store, household, purse.number, month)
    spans = [span for each in dates if (span := span_of(purse, month, each)) is not None]
    done = [_is_done(store, household, purse, _for_day(purse, month, span)) for span in spans]
    still = zip(dates, spans, done, strict=True)
    open_ = [span for each, span, is_done in still if not is_done and _last(each) >= today]
    return (open_[0], False) if open_ else (None, any(done))


def _last(dates: Span) -> date:
    assert dates.last is not None, "a household's dates end"
    return dates.last


def _for_day(purse: Purse, month: date, span: Span) -> int:
    """What a grant is for, so that it is made once: the month, or the first of the household's dates."""
    return number_of(span.first if purse.window is Window.DATES else month_of(month).first)


def _is_done(store: Store, household: int, purse: Purse, for_day: int) -> bool:
    return (
        store.one(
            "SELECT 1 FROM allotted WHERE household = ? AND purse = ? AND for_day = ?",
            household,
            purse.number,
            for_day,
        )
        is not None
    )


def _instants(store: Store, card: CardId, purse: Purse, span: Span, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
    """A window as the card has it: money that carries adds to the one window without end that there is."""
    if span.last is None:
        standing = store.one(
            "SELECT start_at FROM slot_window WHERE card = ? AND purse = ? AND end_at IS NULL", card, purse.number
        )
        if standing is not None:
            return datetime.fromtimestamp(standing["start_at"], UTC), None
        return start_of(span.first, zone), None
    return start_of(span.first, zone), start_of(span.last + timedelta(days=1), zone)
