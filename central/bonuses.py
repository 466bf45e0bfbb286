"""The bonus that tills have shown, granted: for each card and month what its payments earned, less what was granted.

Month by month a card is owed g(base) = min(cap, floor(base × give ÷ per)) of all its payments that are proven or
attested and not undone, whoever reported them and in whatever order; splitting, delay and repetition change nothing.
What a void takes back later is taken from what is granted next, never from the card (domain.bonus.granted_after).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from central import grants, households, rule_versions
from central.days import day_of, number_of, start_of
from central.keys import CentralKeys
from central.store import Row, Store
from central.transactions import BORNE_OUT
from domain.allotment import month_of, span_of
from domain.bonus import CapShare, granted_after
from domain.identity import CardId, PurseNumber
from domain.money import Cents
from domain.rule_set import Campaign, Purse, RuleSet, Window
from sync.bundle import Kind

NO_PURSE: Final = "les règles en vigueur n'ont plus l'enveloppe où il se verse"
NO_WINDOW: Final = "la carte n'a pas de période ouverte dans l'enveloppe où il se verse"

_OLDEST_LISTS_MONTHS: Final = 2
COUNTED: Final = f"""FROM earning JOIN event USING (terminal, epoch, seq) WHERE event.kind = 'payment'
    AND event.state IN ('proven', 'attested') AND {BORNE_OUT} AND NOT EXISTS (SELECT 1 FROM void_made
        JOIN event AS void USING (terminal, epoch, seq) WHERE void.terminal = event.terminal
        AND void.epoch = event.epoch AND payment_seq = event.seq AND counts = 1
        AND void.state IN ('proven', 'attested'))"""
"""Payments that earn: as in the report, none that a void undid."""


@dataclass(frozen=True, slots=True)
class Month:
    """What one card earned in a campaign in one month, in cents.

    Attributes:
        first: day of the month.
        purse: the bonus is credited to.
        base: what earned.
        earned: of that base, under the cap.
        granted: of it so far; above ``earned`` where a void came later.
    """

    card: CardId
    campaign: str
    first: date
    purse: PurseNumber
    base: Cents
    earned: Cents
    granted: Cents


@dataclass(frozen=True, slots=True)
class Given:
    """A bonus granted to a card into a purse, in cents."""

    card: CardId
    purse: str
    amount: Cents


@dataclass(frozen=True, slots=True)
class Left:
    """Why a bonus that is due waits; a French clause."""

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


def months_of(store: Store, keys: CentralKeys, card: CardId) -> tuple[Month, ...]:
    """What a card has earned so far, the earliest month first."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in store.all(f"SELECT earning.* {COUNTED} AND earning.card = ?", card):
        found[row["campaign"], row["month"]].append(row)
    for row in store.all("SELECT DISTINCT campaign, month FROM bonus_given WHERE card = ?", card):
        found.setdefault((row["campaign"], row["month"]), [])
    told = [_month(store, keys, card, *key, rows) for key, rows in found.items()]
    return tuple(sorted((item for item in told if item is not None), key=lambda item: (item.first, item.campaign)))


def due(store: Store, keys: CentralKeys) -> Cents:
    """Cents that a run would grant now, were there room and ceilings enough."""
    amount = 0
    for card in _cards(store):
        for months in _by_purse(store, keys, card).values():
            amount += int(_amount(months)[0])
    return Cents(amount)


def _cards(store: Store) -> list[CardId]:
    rows = store.all("SELECT DISTINCT card FROM earning UNION SELECT card FROM bonus_given ORDER BY card")
    return [CardId(bytes(row["card"])) for row in rows]


def _by_purse(store: Store, keys: CentralKeys, card: CardId) -> dict[PurseNumber, list[Month]]:
    found: dict[PurseNumber, list[Month]] = defaultdict(list)
    for item in months_of(store, keys, card):
        found[item.purse].append(item)
    return found


def _amount(months: Iterable[Month]) -> tuple[Cents, Cents]:
    """(to grant, still to be taken back) of a card's months in one purse, in cents."""
    differences = [item.earned - item.granted for item in months]
    more, less = sum(max(item, 0) for item in differences), sum(max(-item, 0) for item in differences)
    return granted_after(Cents(more), Cents(less))


def _month(store: Store, keys: CentralKeys, card: CardId, code: str, month: int, rows: Sequence[Row]) -> Month | None:
    first = day_of(month)
    named = [row["rules_version"] for row in rows] or [
        row["version"] for row in store.all("SELECT version FROM signed_list WHERE kind = ?", int(Kind.RULE_SET))
    ]
    found = _campaign(store, keys, code, named)
    if found is None:
        return None
    campaign, rules = found
    base = Cents(sum(row["base"] for row in rows))
    purse = next(purse for purse in rules.purses if purse.code == campaign.into)
    granted = store.number(
        "SELECT sum(cents) FROM bonus_given WHERE card = ? AND campaign = ? AND month = ?", card, code, month
    )
    cap = _cap(store, card, first, rules, [row["cap"] for row in rows])
    return Month(card, code, first, purse.number, base, campaign.bonus_on(base, cap), Cents(granted))


def _campaign(store: Store, keys: CentralKeys, code: str, versions: Iterable[int]) -> tuple[Campaign, RuleSet] | None:
    """A campaign by its code, in the newest of these versions that has it: its terms are the same in all."""
    for version in sorted(set(versions), reverse=True):
        rules = rule_versions.of_version(store, keys, version)
        campaign = next((item for item in rules.campaigns if item.code == code), None) if rules else None
        if rules is not None and campaign is not None:
            return campaign, rules
    return None


def _cap(store: Store, card: CardId, first: date, rules: RuleSet, told: Iterable[int | None]) -> Cents | None:
    """The card's part of the month's cap: the greatest a till has shown by, if its lists could say so.

    A till that has not heard of a second card shows by the part of a month before, and what it showed is granted.
    Lists two months old pay nothing any more.
    """
    months = [first, *_months_before(first, _OLDEST_LISTS_MONTHS)]
    once = {households.share_of_cap(store, card, month, rules) for month in months}
    now = households.share_of_cap(store, card, first, rules)
    caps = [now, *(cap for cap in (None if item is None else Cents(item) for item in told) if cap in once)]
    known = [cap for cap in caps if cap is not None]
    return None if len(known) < len(caps) else max(known)


def _months_before(first: date, count: int) -> list[date]:
    months = [first]
    for _ in range(count):
        months.append(month_of(months[-1] - timedelta(days=1)).first)
    return months[1:]


# --- granting ---------------------------------------------------------------------------------------------------------


def run(store: Store, keys: CentralKeys, month: date, at: datetime) -> BonusRound:
    """Grant every card what it is due so far, into the windows of a month; each card in a transaction of its own.

    Raises:
        ValueError: the month is over.
        KeysClosed: two custodians have to open the keys first.
    """
    rules = rule_versions.newest(store, keys)
    zone = ZoneInfo(rules.timezone)
    if month_of(month).first < month_of(at.astimezone(zone).date()).first:
        raise ValueError("ce mois est passé")
    keys.entitlement_signer()
    given: list[Given] = []
    left: list[Left] = []
    waiting: list[tuple[CardId, str]] = []
    owed = 0
    for card in _cards(store):
        with store.writing():
            done, still_owed = _grant_card(store, keys, card, rules, month, at)
            given += [item for item in done if isinstance(item, Given)]
            left += [item for item in done if isinstance(item, Left)]
            owed += still_owed
            if any(isinstance(item, Given) for item in done):
                why = grants.issue_or_wait(store, keys, card, rules, at)
                waiting += [] if why is None else [(card, why)]
    return BonusRound(tuple(given), tuple(left), Cents(owed), tuple(waiting))


def _grant_card(
    store: Store, keys: CentralKeys, card: CardId, rules: RuleSet, month: date, at: datetime
) -> tuple[list[Given | Left], int]:
    """What was done for a card, purse by purse, and cents it was granted more than it has earned."""
    done: list[Given | Left] = []
    still_owed = 0
    for number, months in sorted(_by_purse(store, keys, card).items()):
        amount, owed = _amount(months)
        still_owed += owed
        if not amount:
            continue
        try:
            with store.savepoint():
                done.append(_grant(store, card, rules, number, months, amount, month, at))
        except ValueError as why:
            done.append(Left(card, amount, str(why)))
    return done, still_owed


def _grant(
    store: Store,
    card: CardId,
    rules: RuleSet,
    number: PurseNumber,
    months: Iterable[Month],
    amount: Cents,
    month: date,
    at: datetime,
) -> Given:
    purse = rules.purse(number)
    if purse is None:
        raise ValueError(NO_PURSE)
    start, end = _window(store, card, purse, rules, month)
    grant_id = grants.give(store, card, number, amount, start, end, at, grants.Kind.BONUS)
    for item in months:
        if item.earned != item.granted:
            store.put(
                "bonus_given",
                card=card,
                campaign=item.campaign,
                month=number_of(item.first),
                cents=int(item.earned - item.granted),
                grant_id=grant_id,
                at=int(at.timestamp()),
            )
    return Given(card, purse.code, amount)


def _window(store: Store, card: CardId, purse: Purse, rules: RuleSet, month: date) -> tuple[datetime, datetime | None]:
    """The window a bonus is credited to: the card's own that covers the month's end, else the month's. ValueError."""
    zone = ZoneInfo(rules.timezone)
    last = month_of(month).last
    assert last is not None
    standing = store.one(
        """SELECT start_at, end_at FROM slot_window WHERE card = ? AND purse = ? AND start_at <= ?
        AND (end_at IS NULL OR end_at > ?) ORDER BY start_at LIMIT 1""",
        card,
        purse.number,
        *(int(start_of(last, zone).timestamp()),) * 2,
    )
    if standing is not None:
        end = standing["end_at"]
        return datetime.fromtimestamp(standing["start_at"], UTC), end and datetime.fromtimestamp(end, UTC)
    span = None if purse.window is Window.DATES else span_of(purse, month)
    if span is None:
        raise ValueError(NO_WINDOW)
    return start_of(span.first, zone), None if span.last is None else start_of(span.last + timedelta(days=1), zone)


# --- shares of a household's cap --------------------------------------------------------------------------------------


def shares_of(store: Store, card: CardId, rules: RuleSet, today: date) -> tuple[CapShare, ...]:
    """A card's parts of its household's cap as terminals get them: this month's and the next; none for one alone."""
    months = [month_of(today).first, households.next_month(today)]
    found = [(month, households.share_of_cap(store, card, month, rules)) for month in months]
    if all(share is None for _, share in found):
        return ()
    return tuple(
        CapShare(month, campaign.month_cap if share is None else share)
        for month, share in found
        if (campaign := rules.campaign_on(month)) is not None
    )
