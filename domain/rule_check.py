"""Whether rules hold together, and what is compiled into them before they are signed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from domain.family import is_within
from domain.rule_set import Purse, RuleSet


def with_widths(rules: RuleSet) -> RuleSet:
    """The same rules with the width of each purse compiled in: how many families it may pay at some merchant.

    A condition narrowed by a product list or a label counts as one family.
    """
    return replace(rules, purses=tuple(replace(purse, width=_width(purse, rules)) for purse in rules.purses))


def _width(purse: Purse, rules: RuleSet) -> int:
    whole: set[str] = set()
    narrowed = 0
    for condition in purse.pays:
        if condition.products is not None or condition.labels:
            narrowed += 1
            continue
        roots = condition.families
        whole |= {code for code in rules.families if not roots or is_within(code, roots, rules.families)}
    return len({code for code in whole if not rules.is_never(code)}) + narrowed


def mistakes(rules: RuleSet) -> tuple[str, ...]:
    """What these rules cannot mean, in short English words for a refusal; nothing when they hold together."""
    return (*_twice(rules), *_unknown_words(rules), *_purse_mistakes(rules), *_campaign_mistakes(rules))


def _twice(rules: RuleSet) -> Iterator[str]:
    rows: tuple[tuple[str, Sequence[object]], ...] = (
        ("purse number", [purse.number for purse in rules.purses]),
        ("purse code", [purse.code for purse in rules.purses]),
        ("campaign code", [campaign.code for campaign in rules.campaigns]),
        ("row of who pays", [row.case for row in rules.who_pays]),
    )
    for what, values in rows:
        if len(set(values)) != len(values):
            yield f"a {what} is used twice"
    if sum(purse.match is not None for purse in rules.purses) > 1:
        yield "at most one purse matches other money"


def _unknown_words(rules: RuleSet) -> Iterator[str]:
    conditions = [item for purse in rules.purses for item in purse.pays]
    conditions += [item for campaign in rules.campaigns for item in campaign.conditions]
    named = rules.never.union(*(condition.families for condition in conditions))
    for family in sorted(named - set(rules.families)):
        yield f"family {family} is not defined"
    codes = {purse.code for purse in rules.purses}
    for campaign in rules.campaigns:
        for code in sorted((campaign.earned_on | {campaign.into}) - codes):
            yield f"campaign {campaign.code} names purse {code}, which does not exist"
    for allotment in rules.allotments:
        if allotment.purse not in codes:
            yield f"an allotment names purse {allotment.purse}, which does not exist"
        if allotment.paid_by and sum(share for _, share in allotment.paid_by) != 1:
            yield f"the shares of who pays for {allotment.purse} do not add up to the whole"


def _purse_mistakes(rules: RuleSet) -> Iterator[str]:
    for purse in rules.purses:
        if not 1 <= purse.number <= 255:
            yield f"purse {purse.code} has a number outside 1 to 255"
        if not purse.pays:
            yield f"purse {purse.code} pays nothing"
        if purse.match is not None and not 0 < purse.match.share < 1:
            yield f"the share of purse {purse.code} is not between 0 and 1"
        ceilings = (purse.ceilings.payment, purse.ceilings.day)
        if any(ceiling is not None and ceiling < 0 for ceiling in ceilings):
            yield f"a ceiling of purse {purse.code} is below zero"
        if purse.price_ceiling is not None and (purse.price_ceiling.price < 0 or not purse.price_ceiling.per):
            yield f"the price ceiling of purse {purse.code} is no price per unit"


def _campaign_mistakes(rules: RuleSet) -> Iterator[str]:
    matching = {purse.code for purse in rules.purses if purse.match is not None}
    for campaign in rules.campaigns:
        whole = campaign.first_day.day == 1 and (campaign.last_day + timedelta(days=1)).day == 1
        if not whole or campaign.last_day < campaign.first_day:
            yield f"campaign {campaign.code} does not go from the first of a month to the last of one"
        if campaign.give <= 0 or campaign.per <= 0 or campaign.month_cap < 0:
            yield f"campaign {campaign.code} gives no sum for a sum"
        if campaign.earned_on & matching:
            yield f"campaign {campaign.code} lets match money earn"
        if not campaign.conditions or not campaign.earned_on:
            yield f"campaign {campaign.code} is earned by nothing"
    in_order = sorted(rules.campaigns, key=lambda campaign: campaign.first_day)
    for before, after in pairwise(in_order):
        if after.first_day <= before.last_day:
            yield f"campaigns {before.code} and {after.code} are in force on the same day"
