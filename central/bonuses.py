"""The bonus that tills have shown, granted: what each card's payments earned (central/dues.py), less what was granted.

What a void takes back later is taken from what is granted next, never from a card (domain.bonus.granted_after); a
household answers for all its cards, and a bonus earned on a card that is lost or gone goes to another of its cards.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from central import grants, households, rule_versions
from central.days import check_month, number_of, start_of
from central.dues import Month, months_of
from central.forgotten import forgotten_cents
from central.keys import CentralKeys
from central.store import Store
from domain.allotment import month_of, span_of
from domain.bonus import granted_after
from domain.identity import CardId, PurseNumber
from domain.money import ZERO, Cents, not_negative, total
from domain.rule_set import Purse, RuleSet, Window
from sync.errors import PanierError

FORGOTTEN: Final = (
    "le centre a été restauré, et la carte montre plus qu'il ne se rappelle avoir versé : c'est peut-être déjà ce "
    "bonus. Sinon, versez-le à la main"
)
NO_PURSE: Final = "les règles en vigueur n'ont plus l'enveloppe où il se verse"
NO_WINDOW: Final = "la carte n'a pas de période ouverte dans l'enveloppe où il se verse"
NO_CARD: Final = "la carte est perdue ou rendue, et le foyer n'en a pas d'autre en service"


@dataclass(frozen=True, slots=True)
class Given:
    """A bonus granted to a card into a purse, in cents."""

    card: CardId
    purse: str
    amount: Cents


@dataclass(frozen=True, slots=True)
class Left:
    """Why a bonus that is due waits; a French clause. The card is the one that earned it."""

    card: CardId
    amount: Cents
    why: str


@dataclass(frozen=True, slots=True)
class BonusRound:
    """One run: what was granted, what could not be, cents still to be taken back, grants that wait to be signed."""

    given: tuple[Given, ...]
    left: tuple[Left, ...]
    owed: Cents
    waiting: tuple[tuple[CardId, str], ...]

    @property
    def amount(self) -> Cents:
        """Cents granted by this run."""
        return Cents(sum(int(item.amount) for item in self.given))


@dataclass(frozen=True, slots=True)
class _Account:
    """Months of one purse that answer for each other: those of a household, or of a card that belongs to none."""

    household: int | None
    purse: PurseNumber
    months: tuple[Month, ...]
    forgotten: Cents
    """Cents a restored centre may have granted of it and forgotten."""

    @property
    def due(self) -> tuple[Cents, Cents]:
        """(to grant, still to be taken back), in cents; what is held back as perhaps granted is in neither."""
        differences = [item.earned - item.granted for item in self.months]
        more, less = sum(max(item, 0) for item in differences), sum(max(-item, 0) for item in differences)
        amount, owed = granted_after(Cents(more), Cents(less))
        return not_negative(amount - self.forgotten), owed

    @property
    def held_back(self) -> Cents:
        """Cents that are due unless they were granted before the centre was restored."""
        return self.due_but_for(Cents(0)) - self.due[0]

    def due_but_for(self, forgotten: Cents) -> Cents:
        """What would be granted had so many cents been forgotten."""
        return replace(self, forgotten=forgotten).due[0]


def due(store: Store, keys: CentralKeys) -> Cents:
    """Cents that a run would grant now, were there room and ceilings enough."""
    return Cents(sum(int(account.due[0]) for account in _accounts(store, keys)))


def _accounts(store: Store, keys: CentralKeys) -> list[_Account]:
    found: dict[tuple[int | None, CardId | None, PurseNumber], list[Month]] = defaultdict(list)
    for row in store.all("SELECT DISTINCT card FROM earning UNION SELECT card FROM bonus_given ORDER BY card"):
        card = CardId(bytes(row["card"]))
        for month in months_of(store, keys, card):
            household = households.holder_in(store, card, month.first)
            found[household, None if household is not None else card, month.purse].append(month)
    return [
        _Account(
            household,
            purse,
            tuple(sorted(months, key=lambda month: (month.first, month.card))),
            _forgotten(store, {month.card for month in months}, purse),
        )
        for (household, _, purse), months in found.items()
    ]


def _forgotten(store: Store, cards: Iterable[CardId], purse: PurseNumber) -> Cents:
    if grants.epoch(store) == 1:  # never restored
        return ZERO
    return Cents(sum(forgotten_cents(store, card, purse) for card in cards))


# --- granting ---------------------------------------------------------------------------------------------------------


def run(store: Store, keys: CentralKeys, month: date, at: datetime) -> BonusRound:
    """Grant what is due so far into the windows of a month; each household in a transaction of its own.

    Args:
        month: any day of this month or the next.

    Raises:
        ValueError: another month.
        KeysClosed: two custodians have to open the keys first.
    """
    rules = rule_versions.newest(store, keys)
    check_month(month, at.astimezone(ZoneInfo(rules.timezone)).date())
    keys.entitlement_signer()
    given: list[Given] = []
    left: list[Left] = []
    waiting: list[tuple[CardId, str]] = []
    owed = 0
    with store.writing():
        for row in store.all("SELECT DISTINCT card FROM bonus_given"):
            grants.take_back_unsigned(store, CardId(bytes(row["card"])), at)
        accounts = _accounts(store, keys)
    for account in accounts:
        with store.writing():
            done = _settle(store, account, rules, month, at)
            given += [item for item in done if isinstance(item, Given)]
            left += [item for item in done if isinstance(item, Left)]
            owed += int(account.due[1])
            if account.held_back:
                left.append(Left(account.months[0].card, account.held_back, FORGOTTEN))
            for card in sorted({item.card for item in done if isinstance(item, Given)}):
                why = grants.issue_or_wait(store, keys, card, rules, at)
                waiting += [] if why is None else [(card, why)]
    return BonusRound(tuple(given), tuple(left), Cents(owed), tuple(waiting))


def _settle(store: Store, account: _Account, rules: RuleSet, month: date, at: datetime) -> list[Given | Left]:
    """Grant what an account is due; all of it or nothing, so that its months always add up to its grants."""
    amount, _ = account.due
    if not amount:
        return []
    try:
        with store.savepoint():
            return list(_grant(store, account, rules, month, at))
    except (ValueError, OverflowError, PanierError) as why:
        return [Left(account.months[0].card, amount, str(why))]


def _grant(store: Store, account: _Account, rules: RuleSet, month: date, at: datetime) -> Iterable[Given]:
    purse = rules.purse(account.purse)
    if purse is None:
        raise ValueError(NO_PURSE)
    today = at.astimezone(ZoneInfo(rules.timezone)).date()
    entries = _entries(store, account, today)
    numbers = {}
    for card in sorted({entry.to for entry in entries if entry.to is not None}):
        amount = total(entry.cents for entry in entries if entry.to == card)
        start, end = _window(store, card, purse, rules, month, at)
        numbers[card] = grants.give(store, card, purse.number, amount, start, end, at, grants.Kind.BONUS)
        yield Given(card, purse.code, amount)
    for entry in entries:
        store.put(
            "bonus_given",
            card=entry.month.card,
            month=number_of(entry.month.first),
            purse=int(account.purse),
            cents=int(entry.cents),
            grant_id=None if entry.to is None else numbers[entry.to],
            at=int(at.timestamp()),
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """Cents more (or less) that a month counts as granted, and on which card; ``None``: on none, they cancel out."""

    month: Month
    cents: Cents
    to: CardId | None


def _entries(store: Store, account: _Account, today: date) -> list[_Entry]:
    """What is written down: the entries of each card add up to its grant.

    What was granted too much is taken from the earliest months that are due; what may have been granted and forgotten
    is left as it is.
    """
    too_much = deque((item, item.granted - item.earned) for item in account.months if item.granted > item.earned)
    held, entries = account.forgotten, []
    for item in account.months:
        more = not_negative(item.earned - item.granted)
        backs = []
        while more and too_much:
            month, cents = too_much.popleft()
            back = min(more, cents)
            backs.append((month, back))
            more -= back
            if cents > back:
                too_much.appendleft((month, cents - back))
        kept = min(more, held)
        held, more = held - kept, more - kept
        to = _recipient(store, account.household, item.card, today) if more else None
        taken = total(cents for _, cents in backs)
        entries += [_Entry(item, more + taken, to)] if more + taken else []
        entries += [_Entry(month, -cents, to) for month, cents in backs]
    return entries


def _recipient(store: Store, household: int | None, card: CardId, today: date) -> CardId:
    """The card that earned it while its household can pay with it, else another of that household. ValueError: none."""
    if household is None:
        lost = store.one("SELECT 1 FROM card WHERE card = ? AND hot_since IS NOT NULL", card)
        if lost is None and households.holder_in(store, card, today) is None:
            return card
        raise ValueError(NO_CARD)
    usable = households.cards_in_use(store, household, today)
    if not usable:
        raise ValueError(NO_CARD)
    return card if card in usable else usable[0]


def _window(
    store: Store, card: CardId, purse: Purse, rules: RuleSet, month: date, at: datetime
) -> tuple[datetime, datetime | None]:
    """The window a bonus is credited to: the card's own that is open late in the month, else the month's.

    Raises:
        ValueError: there is none.
    """
    zone = ZoneInfo(rules.timezone)
    last = month_of(month).last
    assert last is not None
    probe = max(int(start_of(last, zone).timestamp()), int(at.timestamp()))
    standing = store.one(
        """SELECT start_at, end_at FROM slot_window WHERE card = ? AND purse = ? AND start_at <= ?
        AND (end_at IS NULL OR end_at > ?) ORDER BY start_at LIMIT 1""",
        card,
        purse.number,
        probe,
        probe,
    )
    if standing is not None:
        end = standing["end_at"]
        return datetime.fromtimestamp(standing["start_at"], UTC), end and datetime.fromtimestamp(end, UTC)
    span = None if purse.window is Window.DATES else span_of(purse, month)
    if span is None:
        raise ValueError(NO_WINDOW)
    return start_of(span.first, zone), None if span.last is None else start_of(span.last + timedelta(days=1), zone)
