"""What each card's bonus comes to: by month and purse, what its payments earned, and what of it was granted.

Payments of a month in the order of the card's transactions, each by its own campaign and part of the cap, on the base
of those before it: just what tills show. A month earns at most the cap, whichever campaigns it was shown by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from central import cap_shares, rule_versions
from central.days import DAY_S, day_of
from central.keys import CentralKeys
from central.store import Row, Store
from central.transactions import BORNE_OUT
from domain.identity import CardId, PurseNumber
from domain.money import ZERO, Cents
from domain.rule_set import Campaign, RuleSet

COUNTED: Final = f"""FROM earning JOIN event USING (terminal, epoch, seq) WHERE event.kind = 'payment'
    AND event.state IN ('proven', 'attested') AND {BORNE_OUT} AND NOT EXISTS (SELECT 1 FROM void_made
        JOIN event AS void USING (terminal, epoch, seq) WHERE void.terminal = event.terminal
        AND void.epoch = event.epoch AND payment_seq = event.seq AND counts = 1
        AND void.state IN ('proven', 'attested'))"""
"""Payments that earn: as in the report, none that a void undid."""


@dataclass(frozen=True, slots=True)
class Month:
    """What one card earned into a purse in one month, in cents.

    Attributes:
        first: day of the month.
        purse: the bonus is credited to.
        base: what earned.
        earned: of that base, under the cap.
        granted: of it so far; above ``earned`` where a void came later.
    """

    card: CardId
    first: date
    purse: PurseNumber
    base: Cents
    earned: Cents
    granted: Cents


def months_of(store: Store, keys: CentralKeys, card: CardId) -> tuple[Month, ...]:
    """What a card has earned so far, the earliest month first."""
    rows = store.all(f"SELECT earning.*, event.tmc {COUNTED} AND earning.card = ? ORDER BY month, event.tmc", card)
    by_month: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_month[row["month"]].append(row)
    granted = {
        (row["month"], row["purse"]): row["cents"]
        for row in store.all(
            "SELECT month, purse, sum(cents) AS cents FROM bonus_given WHERE card = ? GROUP BY month, purse", card
        )
    }
    listed = cap_shares.listed_of(store, card) if rows else cap_shares.Listed(())
    found = {
        (month, purse): sums for month, rows in by_month.items() for purse, sums in _earned(store, keys, rows, listed)
    }
    return tuple(
        Month(
            card,
            day_of(month),
            PurseNumber(purse),
            *found.get((month, purse), (ZERO, ZERO)),
            Cents(granted.get((month, purse), 0)),
        )
        for month, purse in sorted({*found, *granted})
    )


def _earned(
    store: Store, keys: CentralKeys, rows: Sequence[Row], listed: cap_shares.Listed
) -> Iterable[tuple[int, tuple[Cents, Cents]]]:
    """(base, earned) of a month by the number of the purse credited; rows in the order of the card's transactions."""
    base = earned = most = ZERO
    sums: dict[int, tuple[Cents, Cents]] = {}
    for row in rows:
        found = _campaign(store, keys, row)
        if found is None:
            continue
        campaign, rules = found
        cap = _cap(row, campaign, rules, listed)
        most = max(most, campaign.month_cap)
        now = campaign.bonus_on(base + row["base"], cap) - campaign.bonus_on(base, cap)
        now = min(now, most - earned)
        base, earned = base + row["base"], earned + now
        had = sums.get(row["purse"], (ZERO, ZERO))
        sums[row["purse"]] = (had[0] + row["base"], had[1] + now)
    return sums.items()


def _campaign(store: Store, keys: CentralKeys, row: Row) -> tuple[Campaign, RuleSet] | None:
    rules = rule_versions.of_version(store, keys, row["rules_version"])
    if rules is None:
        return None
    return next(((item, rules) for item in rules.campaigns if item.code == row["campaign"]), None)


def _cap(row: Row, campaign: Campaign, rules: RuleSet, listed: cap_shares.Listed) -> Cents | None:
    """The part of the cap a payment was shown by, if a list the till may have had says so; else the least of those."""
    oldest_s = DAY_S * (1 + max(tier.max_age_days for tier in rules.ceilings.tiers))
    whole = int(campaign.month_cap)
    told = {
        whole if cents is None else min(cents, whole)
        for cents in listed.told(row["month"], row["at"] - oldest_s, row["at"])
    }
    said = whole if row["cap"] is None else min(row["cap"], whole)
    cap = said if said in told else min(told)
    return None if cap == whole else Cents(cap)
