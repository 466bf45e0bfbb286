"""What holds under every rule set, for every basket, card and stall."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import TypeVar

import pytest

from domain.basket import Basket
from domain.days import days_of
from domain.decision import Decision, totals_after
from domain.identity import SlotFile
from domain.may_pay import most_of, why_no_purse, why_not
from domain.money import Cents, total
from domain.purse import Slot, open_slots
from domain.reason import Reason
from domain.rule_set import Ceilings, Purse
from tests.property.rules_at_random import PARIS, Situation, after, situation

SEEDS = range(1_200)
Item = TypeVar("Item")


def slot_of(now: Situation, file: SlotFile) -> Slot:
    assert now.card.entitlement is not None
    return next(slot for slot in now.card.entitlement.slots if slot.file == file)


def purse_of(now: Situation, file: SlotFile) -> Purse:
    purse = now.rules.purse(slot_of(now, file).purse)
    assert purse is not None
    return purse


def test_no_window_ever_pays_more_than_is_available_in_it() -> None:
    paid = 0
    for seed in SEEDS:
        now = situation(seed)
        decision = now.decide()
        paid += decision.paid > 0
        for debit in decision.debits:
            slot, value = slot_of(now, debit.file), now.card.counters.values[debit.file]
            assert 0 < debit.amount <= value, f"seed {seed}"
            assert slot.spent(value) + debit.amount <= slot.limit, f"seed {seed}"
            assert slot.is_open(now.stall.t_lo, now.stall.t_late), f"seed {seed}"
        assert len(decision.debits) <= 3
    assert paid > len(SEEDS) // 2, "most of these cards pay something"


def test_no_line_is_paid_that_no_purse_may_pay_and_every_cent_unpaid_has_a_reason() -> None:
    seen: set[Reason] = set()
    for seed in SEEDS:
        now = situation(seed)
        decision, days = now.decide(), days_of(now.stall.t_lo, now.stall.t_late, PARIS)
        assert decision.paid + decision.rest == now.basket.price, f"seed {seed}"
        assert decision.paid <= now.asked, f"seed {seed}"
        for line in decision.lines:
            assert (line.reason is None) == (line.paid == line.line.amount > 0), f"seed {seed}"
            seen |= {line.reason} if line.reason else set()
            for share in line.by_slot:
                purse = purse_of(now, share.file)
                assert why_no_purse(line.line, now.rules, now.merchant, days) is None, f"seed {seed}"
                assert why_not(line.line, purse, now.rules, now.merchant, days) is None, f"seed {seed}"
    assert {reason for reason in Reason if 1 < reason < 40} - seen <= {
        Reason.FAMILY_NOT_KNOWN,
        Reason.NOT_IN_THE_LIST,
    }, "these situations meet every reason of a line but the rarest"


def test_what_the_rules_say_of_a_purse_holds_for_all_its_windows_together() -> None:
    bound = 0
    for seed in SEEDS:
        now = situation(seed)
        decision = now.decide()
        for purse in now.rules.purses:
            files = [debit.file for debit in decision.debits if purse_of(now, debit.file) is purse]
            paid = total(debit.amount for debit in decision.debits if debit.file in files)
            if purse.ceilings.payment is not None:
                assert paid <= purse.ceilings.payment, f"seed {seed}"
                bound += paid == purse.ceilings.payment > 0
            if purse.ceilings.day is not None and files:
                assert paid + now.stall.paid_here_today <= purse.ceilings.day, f"seed {seed}"
            for line in decision.lines:
                of_line = total(share.amount for share in line.by_slot if share.file in files)
                assert of_line <= most_of(line.line, purse), f"seed {seed}"
            if purse.match is not None:
                assert paid <= purse.match.share * now.basket.price, f"seed {seed}"
    assert bound > 10


def test_ceilings_of_the_payment_cut_and_never_refuse_while_anything_is_left() -> None:
    for seed in SEEDS:
        now = situation(seed)
        ceilings = now.rules.ceilings
        plenty = Ceilings(Cents(10**6), Cents(10**6), ceilings.confirm, ceilings.tiers[:1], Cents(0), None)
        free = replace(now, rules=replace(now.rules, ceilings=plenty))
        free = replace(free, stall=replace(free.stall, terminal_left=None, card_left=None, lists_age_days=0))
        decision, uncut = now.decide(), free.decide()
        assert decision.paid == min(uncut.paid, most_of_payment(now, decision)), f"seed {seed}"


def most_of_payment(now: Situation, decision: Decision) -> int:
    """Floor limit, day total, age of the lists, ceiling of a payment and what the terminal has left, written again."""
    rules, stall = now.rules.ceilings, now.stall
    day = stall.paid_here_today if decision.carried.day_total is None else decision.carried.day_total
    bounds = [int(rules.floor_limit - stall.paid_here_today), int(rules.day_total - day)]
    bounds += [3_000 - int(day)] if stall.lists_age_days > 8 else []
    bounds += [int(left) for left in (rules.payment, stall.terminal_left, stall.card_left) if left is not None]
    return max(min(bounds), 0)


# --- the greatest cover, beside a search for augmenting paths --------------------------------------------------------


def test_the_cover_is_as_great_as_a_search_finds() -> None:
    for seed in SEEDS:
        now = situation(seed, has_match=False)
        decision = now.decide()
        if decision.refusal not in (None, Reason.PURSE_EMPTY):
            continue
        assert decision.paid == min(searched(now, decision), most_of_payment(now, decision)), f"seed {seed}"


def searched(now: Situation, decision: Decision) -> int:
    """The greatest flow from the source through purses, windows, and what a purse may pay of a line, to the lines."""
    assert now.card.entitlement is not None
    days = days_of(now.stall.t_lo, now.stall.t_late, PARIS)
    left: dict[tuple[object, object], int] = {}
    for slot in open_slots(now.card.entitlement, now.rules, now.stall.t_lo, now.stall.t_late):
        purse = now.rules.purse(slot.purse)
        assert purse is not None
        source, window = ("purse", slot.purse), ("window", slot.file)
        left["source", source] = purse_left(now, purse, decision)
        left[source, window] = int(slot.available(now.card.counters.values[slot.file]))
        for number, line in enumerate(now.basket.lines):
            if why_no_purse(line, now.rules, now.merchant, days) is None and not why_not(
                line, purse, now.rules, now.merchant, days
            ):
                left[window, (slot.purse, number)] = 10**9
                left[(slot.purse, number), ("line", number)] = int(most_of(line, purse))
                left[("line", number), "sink"] = int(line.amount)
    return greatest_flow(left)


def purse_left(now: Situation, purse: Purse, decision: Decision) -> int:
    day = now.stall.paid_here_today
    if decision.carried.day_total is not None:
        day = max(day, decision.carried.day_total)
    bounds = [10**9]
    bounds += [] if purse.ceilings.payment is None else [int(purse.ceilings.payment)]
    bounds += [] if purse.ceilings.day is None else [max(int(purse.ceilings.day - day), 0)]
    return min(bounds)


def greatest_flow(left: dict[tuple[object, object], int]) -> int:
    """Ford and Fulkerson's method along shortest paths."""
    left = dict(left)
    flow = 0
    while (path := shortest_path(left)) is not None:
        more = min(left[edge] for edge in path)
        for start, end in path:
            left[start, end] -= more
            left[end, start] = left.get((end, start), 0) + more
        flow += more
    return flow


def shortest_path(left: dict[tuple[object, object], int]) -> list[tuple[object, object]] | None:
    came: dict[object, object] = {"source": None}
    waiting: deque[object] = deque(["source"])
    while waiting:
        node = waiting.popleft()
        for (start, end), room in left.items():
            if start == node and room > 0 and end not in came:
                came[end] = node
                waiting.append(end)
    if "sink" not in came:
        return None
    path, node = [], "sink"
    while came[node] is not None:
        path.append((came[node], node))
        node = came[node]  # type: ignore[assignment]
    return path


# --- one answer ------------------------------------------------------------------------------------------------------


def test_the_answer_does_not_depend_on_how_things_are_listed() -> None:
    for seed in SEEDS:
        now = situation(seed)
        assert now.decide() == shuffled(now, Random(seed)).decide(), f"seed {seed}"


def shuffled(now: Situation, dice: Random) -> Situation:
    """The same facts, listed in another order wherever order means nothing."""

    def mixed(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(dice.sample(items, len(items)))

    assert now.card.entitlement is not None
    rules = replace(
        now.rules,
        purses=tuple(replace(purse, pays=mixed(purse.pays)) for purse in now.rules.purses),
        campaigns=mixed(now.rules.campaigns),
        families=dict(now.rules.families),
    )
    word = replace(now.card.entitlement, slots=mixed(now.card.entitlement.slots))
    counters = replace(now.card.counters, values=dict(mixed(tuple(now.card.counters.values.items()))))
    merchant = replace(now.merchant, certificates=mixed(now.merchant.certificates))
    return replace(now, rules=rules, merchant=merchant, card=replace(now.card, entitlement=word, counters=counters))


# --- fewer rights ----------------------------------------------------------------------------------------------------


def test_taking_a_right_away_never_raises_what_is_paid() -> None:
    never_raises(range(500))


@pytest.mark.slow
def test_taking_a_right_away_never_raises_what_is_paid_in_many_situations() -> None:
    never_raises(range(500, 6_000))


def never_raises(seeds: range) -> None:
    fell = 0
    for seed in seeds:
        now = situation(seed)
        paid = now.decide().paid
        for what, poorer in poorer_ones(now):
            left = poorer.decide().paid
            assert left <= paid, f"seed {seed}: without {what} the card pays {left}, with it {paid}"
            fell += left < paid
    assert fell > 700, "most rights matter somewhere"


def poorer_ones(now: Situation) -> Iterator[tuple[str, Situation]]:
    """The same situation, with one right less."""
    rules, merchant, card = now.rules, now.merchant, now.card
    word = card.entitlement
    assert word is not None
    for place, purse in enumerate(rules.purses):
        for number, condition in enumerate(purse.pays):
            others = (*purse.pays[:number], *purse.pays[number + 1 :])
            if others:
                yield "a condition", with_purse(now, place, replace(purse, pays=others))
            for family in condition.families - {"food"}:
                fewer = replace(condition, families=(condition.families - {family}) or frozenset({"tobacco"}))
                yield "a family", with_purse(now, place, replace(purse, pays=(*others, fewer)))
            strict = replace(condition, labels=frozenset({"organic"}))
            if not condition.labels:
                yield "a sale without label", with_purse(now, place, replace(purse, pays=(*others, strict)))
    for item in merchant.certificates:
        fewer = tuple(other for other in merchant.certificates if other is not item)
        yield "a certificate", replace(now, merchant=replace(merchant, certificates=fewer))
    for group in merchant.groups:
        yield "a group", replace(now, merchant=replace(merchant, groups=merchant.groups - {group}))
    for slot in word.slots:
        others = tuple(other for other in word.slots if other is not slot)
        yield "a slot", with_slots(now, others)
        lower = replace(slot, limit=max(slot.limit - 300, Cents(0)))
        yield "a limit", with_slots(now, tuple(lower if other is slot else other for other in word.slots))
    yield "a family for ever", replace(now, rules=replace(rules, never=rules.never | {"fruit"}))
    ceilings = replace(rules.ceilings, floor_limit=max(rules.ceilings.floor_limit - 500, Cents(0)))
    yield "a floor limit", replace(now, rules=replace(rules, ceilings=ceilings))
    yield "newer lists", replace(now, stall=replace(now.stall, lists_age_days=now.stall.lists_age_days + 9))


def with_purse(now: Situation, place: int, purse: Purse) -> Situation:
    purses = (*now.rules.purses[:place], purse, *now.rules.purses[place + 1 :])
    return replace(now, rules=replace(now.rules, purses=purses))


def with_slots(now: Situation, slots: tuple[Slot, ...]) -> Situation:
    assert now.card.entitlement is not None
    return replace(now, card=replace(now.card, entitlement=replace(now.card.entitlement, slots=slots)))


# --- bonus -----------------------------------------------------------------------------------------------------------


def test_splitting_a_payment_neither_gains_nor_loses_a_cent_of_bonus() -> None:
    """A card that can pay everything: whatever the baskets, the same money lies on the same lines."""
    earned = 0
    for seed in SEEDS:
        now = plenty(situation(seed, has_match=False))
        dice = Random(seed)
        at = dice.randrange(len(now.basket.lines) + 1)
        whole = now.decide()
        first = replace(now, basket=Basket(now.basket.lines[:at])).decide()
        second = after(now, first, Basket(now.basket.lines[at:])).decide()
        if whole.bonus is None or whole.bonus.earned is None:
            continue
        parts = [part.bonus.earned for part in (first, second) if part.bonus is not None and part.bonus.earned]
        assert sum(parts) == whole.bonus.earned, f"seed {seed}"
        earned += whole.bonus.earned > 0
    assert earned > 100


def plenty(now: Situation) -> Situation:
    """The same with one purse, no ceilings, and more on the card than anything costs."""
    rules = now.rules
    purse = replace(rules.purses[0], ceilings=type(rules.purses[0].ceilings)(), pays_unattended=True)
    campaigns = tuple(replace(item, earned_on=frozenset({purse.code})) for item in rules.campaigns)
    wide = Ceilings(Cents(10**6), Cents(10**6), Cents(0), rules.ceilings.tiers, Cents(0))
    assert now.card.entitlement is not None
    slot = replace(now.card.entitlement.slots[0], purse=purse.number, limit=Cents(200_000), end=None)
    slot = replace(slot, start=min(slot.start, now.stall.t_lo))
    rich = replace(now, rules=replace(rules, purses=(purse,), campaigns=campaigns, ceilings=wide))
    rich = replace(rich, stall=replace(now.stall, lists_age_days=0, terminal_left=None, card_left=None))
    return with_slots(rich, (slot,))


def test_a_bonus_is_never_above_the_cap_of_its_month_and_follows_the_base_alone() -> None:
    shown = 0
    for seed in SEEDS:
        now = situation(seed)
        decision = now.decide()
        bonus, before = decision.bonus, decision.carried.month_base
        if bonus is None or bonus.earned is None or bonus.base is None or before is None:
            continue
        campaign = next(item for item in now.rules.campaigns if item.code == bonus.campaign)
        cap = campaign.month_cap if now.card.bonus_cap is None else min(campaign.month_cap, now.card.bonus_cap)
        had = min(cap, before * campaign.give // campaign.per)
        has = min(cap, (before + bonus.base) * campaign.give // campaign.per)
        assert bonus.earned == has - had, f"seed {seed}"
        earning = [item for item in now.rules.purses if item.code in campaign.earned_on]
        money = total(debit.amount for debit in decision.debits if purse_of(now, debit.file) in earning)
        assert bonus.base <= money, f"seed {seed}"
        shown += bonus.earned > 0
    assert shown > 50


def test_a_month_that_is_not_sure_shows_no_sum_and_leaves_the_base_unknown() -> None:
    unsure = 0
    for seed in SEEDS:
        now = situation(seed)
        decision = now.decide()
        if days_of(now.stall.t_lo, now.stall.t_late, PARIS).is_one_month or decision.bonus is None:
            continue
        assert not decision.bonus.earned, f"seed {seed}"
        if decision.bonus.base is None:
            unsure += 1
            assert totals_after(decision).month_base is None, f"seed {seed}"
    assert unsure > 20
