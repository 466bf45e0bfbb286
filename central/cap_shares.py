"""Each card's part of its household's month cap, and what parts the card keys have told terminals.

Parts are those of the cards a household has when a month begins (in its first month, of those it is first given): what
one till has shown is never taken back by another card that comes later. A card that comes within a month has no part
until the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from central.days import day_of, number_of
from central.store import Row, Store
from domain.allotment import month_of, next_month, split
from domain.bonus import CapShare
from domain.identity import CardId
from domain.money import ZERO, Cents
from domain.rule_set import RuleSet


def shares_in(store: Store, month: date, rules: RuleSet) -> dict[CardId, Cents | None]:
    """The most bonus each card of a household may show in a month, in cents; ``None`` for one that shares with none.

    A card of no household is not in it; nor is any where no campaign is on.
    """
    whole = month_of(month)
    campaign = rules.campaign_on(whole.first)
    assert whole.last is not None
    if campaign is None:
        return {}
    by_household: dict[int, list[Row]] = defaultdict(list)
    for row in store.all(
        """SELECT household, card, first_day FROM household_card WHERE first_day <= ?
        AND (last_day IS NULL OR last_day >= ?) ORDER BY first_day, card""",
        number_of(whole.last),
        number_of(whole.first),
    ):
        by_household[row["household"]].append(row)
    found: dict[CardId, Cents | None] = {}
    for rows in by_household.values():
        members = _members(rows, number_of(whole.first))
        parts = split(campaign.month_cap, len(members))
        for row in rows:
            found.setdefault(CardId(bytes(row["card"])), ZERO)
        found |= dict(zip(members, (None,) if len(members) == 1 else parts, strict=True))
    return found


def _members(rows: Sequence[Row], first: int) -> list[CardId]:
    """Who shares: those held when the month begins, else those held first in it; rows in order of their first day."""
    begin = max(first, rows[0]["first_day"])
    return [CardId(bytes(row["card"])) for row in rows if row["first_day"] <= begin]


def write_down(store: Store, rules: RuleSet, today: date, at: datetime) -> None:
    """Keep what the newest card keys tell of shares, this month's and the next; inside a transaction of the store.

    Call it before card keys are handed out, so that what a list said is known for as long as somebody may go by it.
    """
    version = store.current_number("card keys")
    if store.one("SELECT 1 FROM share_list WHERE version = ?", version) is not None:
        return
    store.put("share_list", version=version, at=int(at.timestamp()))
    months = [month_of(today).first, next_month(today)]
    found = {month: shares_in(store, month, rules) for month in months}
    sharing = {card for shares in found.values() for card, share in shares.items() if share is not None}
    for month, shares in found.items():
        campaign = rules.campaign_on(month)
        for card in sorted(sharing) if campaign is not None else ():
            share = shares.get(card)
            cents = campaign.month_cap if share is None and campaign is not None else share
            store.put("share_listed", version=version, card=card, month=number_of(month), cents=int(cents or 0))


def newest_version(store: Store) -> int:
    """The newest version of the card keys whose shares are written down: the one that may be handed out."""
    return store.number("SELECT max(version) FROM share_list")


def listed(store: Store) -> dict[CardId, tuple[CapShare, ...]]:
    """What the card keys handed out tell of each card; one that shares with none is not in it."""
    found: dict[CardId, list[CapShare]] = defaultdict(list)
    for row in store.all(
        "SELECT card, month, cents FROM share_listed WHERE version = ? ORDER BY month", newest_version(store)
    ):
        found[CardId(bytes(row["card"]))].append(CapShare(day_of(row["month"]), Cents(row["cents"])))
    return {card: tuple(shares) for card, shares in found.items()}


@dataclass(frozen=True, slots=True)
class Listed:
    """All that card keys ever told of one card: when each list came, and its shares by month, in rising order."""

    lists: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]

    def told(self, month: int, since_s: int, at_s: int) -> frozenset[int | None]:
        """Shares for a month (its first day as a number) by lists that a till may have gone by between two instants.

        ``None``: a list that tells of no share, or no list at all.
        """
        before = [shares for at, shares in self.lists if at <= since_s][-1:] or [()]
        since = [shares for at, shares in self.lists if since_s < at <= at_s]
        return frozenset(_in_force(shares, month) for shares in (*before, *since))


def _in_force(shares: Sequence[tuple[int, int]], month: int) -> int | None:
    begun = [cents for first, cents in shares if first <= month]
    return begun[-1] if begun else None


def listed_of(store: Store, card: CardId) -> Listed:
    """What card keys ever told of a card."""
    found: dict[int, list[tuple[int, int]]] = {}
    when: dict[int, int] = {}
    for row in store.all("SELECT version, at FROM share_list ORDER BY version"):
        found[row["version"]], when[row["version"]] = [], row["at"]
    for row in store.all("SELECT version, month, cents FROM share_listed WHERE card = ? ORDER BY month", card):
        found[row["version"]].append((row["month"], row["cents"]))
    return Listed(tuple((when[version], tuple(shares)) for version, shares in found.items()))
