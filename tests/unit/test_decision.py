from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType, carried_totals, time_to_write
from domain.decision import CardFacts, Decision, StallFacts, announce, decide, totals_after
from domain.identity import CardId, PurseNumber, SlotFile, Station
from domain.money import Cents
from domain.purse import Counters, Entitlement, Slot, slots_to_read
from domain.reason import Reason
from domain.rule_check import with_widths
from domain.rule_set import (
    USUAL_TIERS,
    Campaign,
    Ceilings,
    Condition,
    Match,
    MatchOf,
    Merchant,
    PriceCeiling,
    Purse,
    PurseCeilings,
    RuleSet,
)
from domain.unproven import UNPROVEN_CEILING

NOON = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
MARCH = (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
FULL = Cents(16_000_000)
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol", "tobacco", "pet", "deposit", "non-food"}),
    purses=(
        Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"}), frozenset({"referenced"})),)),
    ),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
)
STALL = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced", "sustainable"}), "vegetables")


def slot(file: int = 3, limit: int = 4_000, floor: int = 0, window: tuple[datetime, datetime | None] = MARCH) -> Slot:
    return Slot(SlotFile(file), PurseNumber(1), Cents(limit), Cents(floor), FULL, window[0], window[1])


def entitled(*slots: Slot, mark: int = 0, valid_days: int = 20) -> Entitlement:
    return Entitlement(
        key_id=1,
        card=CardId(b"card-one"),
        epoch=1,
        seq=1,
        issued_at=NOON - timedelta(days=2),
        valid_until=NOON + timedelta(days=valid_days),
        rules_version=1,
        mark=mark,
        void_allowance=Cents(0),
        slots=slots,
    )


def logged(day_total: int | None = 0, at: datetime = NOON) -> LogRecord:
    carried = None if day_total is None else Cents(day_total)
    return LogRecord(LogType.PAYMENT, Station(2), 1, 1, at, 1, 1, (), Cents(0), carried)


def card(*slots: Slot, spent: dict[int, int] | None = None, tmc: int = 5, newest: LogRecord | None = None) -> CardFacts:
    values = {item.file: FULL - Cents((spent or {}).get(item.file, 0)) for item in slots}
    return CardFacts(CardId(b"card-one"), None, False, entitled(*slots), Counters(tmc, values), newest or logged())


def here(age_days: int = 0, paid_here: int = 0, at: datetime = NOON) -> StallFacts:
    return StallFacts(at, at, age_days, Cents(paid_here))


def basket(*lines: tuple[str, int]) -> Basket:
    return Basket(tuple(Line(family, Cents(amount)) for family, amount in lines))


def answer(facts: CardFacts, *lines: tuple[str, int], stall: StallFacts | None = None) -> Decision:
    return decide(basket(*lines), RULES, STALL, facts, stall or here())


def test_vegetables_at_a_referenced_stall_are_paid_whole() -> None:
    decision = answer(card(slot()), ("vegetables", 1_250))
    assert (decision.paid, decision.rest, decision.refusal) == (1_250, 0, None)
    assert [(debit.file, debit.amount) for debit in decision.debits] == [(3, 1_250)]


def test_wine_is_announced_as_to_be_paid_otherwise_before_any_card_is_seen() -> None:
    announced = announce(basket(("vegetables", 1_250), ("alcohol", 310)), RULES, STALL)
    assert (announced.asked, announced.rest) == (1_250, 310)
    assert announced.lines[1].reason is Reason.NEVER_FAMILY


def test_a_part_of_a_family_is_of_the_family() -> None:
    assert answer(card(slot()), ("cheese", 500)).paid == 500
    assert answer(card(slot()), ("hygiene", 500)).refusal is Reason.NOTHING_TO_PAY


def test_a_family_nobody_defined_is_not_paid() -> None:
    assert announce(basket(("unicorn", 500)), RULES, STALL).lines[0].reason is Reason.FAMILY_NOT_KNOWN


def test_a_stall_outside_the_programme_is_told_so() -> None:
    stranger = replace(STALL, groups=frozenset({"market"}))
    assert announce(basket(("bread", 200)), RULES, stranger).lines[0].reason is Reason.MERCHANT_NOT_IN_THIS_PURSE


@pytest.mark.parametrize("amount", [0, -100])
def test_nothing_and_less_than_nothing_are_never_paid(amount: int) -> None:
    assert answer(card(slot()), ("bread", amount)).refusal is Reason.NOTHING_TO_PAY


def test_what_is_left_is_paid_and_the_rest_named() -> None:
    decision = answer(card(slot(), spent={3: 3_060}), ("vegetables", 1_250))
    assert (decision.paid, decision.rest, decision.limited_by) == (940, 310, Reason.PURSE_EMPTY)
    assert decision.lines[0].reason is Reason.PURSE_EMPTY


def test_an_empty_purse_pays_nothing_and_says_so() -> None:
    assert answer(card(slot(), spent={3: 4_000}), ("bread", 100)).refusal is Reason.PURSE_EMPTY


def test_a_counter_below_what_the_centre_knows_is_no_card_of_ours() -> None:
    facts = card(slot(floor=2_000), spent={3: 1_999})
    assert answer(facts, ("bread", 100)).refusal is Reason.NOT_GENUINE


def test_a_transaction_counter_below_the_mark_is_no_card_of_ours() -> None:
    facts = card(slot(), tmc=5)
    facts = replace(facts, entitlement=entitled(slot(), mark=6))
    assert answer(facts, ("bread", 100)).refusal is Reason.NOT_GENUINE


def test_an_entitlement_past_its_date_pays_nothing() -> None:
    facts = replace(card(slot()), entitlement=entitled(slot(), valid_days=-1))
    assert answer(facts, ("bread", 100)).refusal is Reason.ENTITLEMENT_EXPIRED


def test_a_card_on_the_hot_list_pays_nothing_whatever_it_holds() -> None:
    facts = replace(card(slot()), is_on_hot_list=True)
    assert answer(facts, ("bread", 100)).refusal is Reason.ON_HOT_LIST


def test_a_payment_still_in_doubt_stops_the_next_one() -> None:
    facts = replace(card(slot()), is_in_doubt=True)
    assert answer(facts, ("bread", 100)).refusal is Reason.PAYMENT_IN_DOUBT


def test_a_window_that_has_not_begun_or_has_ended_pays_nothing_and_says_which() -> None:
    april = (MARCH[1], datetime(2026, 4, 30, 22, tzinfo=UTC))
    february = (datetime(2026, 1, 31, 23, tzinfo=UTC), MARCH[0])
    assert answer(card(slot(window=april)), ("bread", 100)).refusal is Reason.PURSE_NOT_OPEN_YET
    assert answer(card(slot(window=february)), ("bread", 100)).refusal is Reason.PURSE_LAPSED


def test_at_the_turn_of_the_month_the_slot_that_lapses_first_is_used_first() -> None:
    march, april = slot(3, 500), slot(4, 4_000, window=(MARCH[1] - timedelta(hours=2), None))
    edge = replace(here(), t_lo=MARCH[1] - timedelta(hours=1), t_late=MARCH[1] + timedelta(hours=1))
    facts = replace(card(march, april), entitlement=replace(entitled(march, april, valid_days=40)))
    decision = answer(facts, ("vegetables", 1_200), stall=edge)
    assert [(debit.file, debit.amount) for debit in decision.debits] == [(3, 500), (4, 700)]


def test_a_day_total_carried_from_another_stall_counts_here() -> None:
    decision = answer(card(slot(limit=20_000), newest=logged(11_000)), ("vegetables", 4_000))
    assert (decision.paid, decision.limited_by) == (1_000, Reason.DAY_TOTAL)


def test_yesterdays_total_no_longer_counts_once_today_is_certain() -> None:
    facts = card(slot(limit=20_000), newest=logged(11_000, at=NOON - timedelta(days=1)))
    assert answer(facts, ("vegetables", 4_000)).paid == 4_000


def test_a_doubtful_clock_does_not_reset_the_day_total() -> None:
    facts = card(slot(limit=20_000), newest=logged(11_000, at=NOON))
    doubtful = replace(here(), t_lo=NOON - timedelta(hours=1), t_late=NOON + timedelta(days=1))
    assert answer(facts, ("vegetables", 4_000), stall=doubtful).paid == 1_000


def test_old_lists_cut_the_day_and_older_ones_leave_nothing() -> None:
    facts = card(slot(limit=20_000))
    assert answer(facts, ("vegetables", 4_000), stall=here(age_days=9)).paid == 3_000
    assert answer(facts, ("vegetables", 4_000), stall=here(age_days=32)).refusal is Reason.LISTS_TOO_OLD


def test_the_floor_limit_cuts_what_one_stall_takes_from_a_card_in_a_day() -> None:
    decision = answer(card(slot(limit=20_000)), ("vegetables", 4_000), stall=here(paid_here=6_000))
    assert (decision.paid, decision.limited_by) == (2_000, Reason.FLOOR_LIMIT)


def test_totals_go_on_unknown_until_a_new_day_is_certain() -> None:
    decision = answer(card(slot(), newest=logged(None)), ("bread", 100))
    assert totals_after(decision).day_total is None


def test_the_files_a_tap_reads_are_the_open_and_the_unconfirmed_ones() -> None:
    early = slot(1, window=(MARCH[0] - timedelta(days=60), MARCH[0]))
    word = replace(entitled(early, slot(2)), unconfirmed=frozenset({SlotFile(1)}))
    assert slots_to_read(word, RULES, NOON, NOON) == (1, 2)
    assert slots_to_read(replace(word, unconfirmed=frozenset()), RULES, NOON, NOON) == (2,)


def test_a_log_time_never_goes_back_and_never_runs_ahead_of_the_latest_time() -> None:
    newest = logged(at=NOON)
    assert time_to_write(NOON - timedelta(days=3), newest, NOON - timedelta(days=1), NOON) == NOON
    assert time_to_write(NOON + timedelta(days=3), newest, NOON, NOON + timedelta(hours=1)) == NOON + timedelta(hours=1)


def test_carried_totals_of_an_unreadable_log_are_unknown() -> None:
    assert carried_totals(None, NOON, ZoneInfo("Europe/Paris")).day_total is None


# --- several purses, ceilings and a bonus ----------------------------------------------------------------------------


def purse(number: int, code: str, *families: str, **more: object) -> Purse:
    conditions = (Condition(frozenset(families), frozenset({"referenced"})),)
    return Purse(PurseNumber(number), code, code, conditions, **more)  # type: ignore[arg-type]


def of_purse(file: int, number: int, limit: int, window: tuple[datetime, datetime | None] = MARCH) -> Slot:
    return replace(slot(file, limit, window=window), purse=PurseNumber(number))


def paid_by(rules: RuleSet, slots: tuple[Slot, ...], *lines: Line, stall: StallFacts | None = None) -> Decision:
    return decide(Basket(lines), rules, STALL, card(*slots), stall or here())


def sums(decision: Decision) -> dict[int, int]:
    return {int(debit.file): int(debit.amount) for debit in decision.debits}


def line(family: str, amount: int, **more: object) -> Line:
    return Line(family, Cents(amount), **more)  # type: ignore[arg-type]


FOOD, VEG = purse(1, "food", "food"), purse(2, "veg", "fresh-produce")
TWO = with_widths(replace(RULES, purses=(FOOD, VEG)))
WINTER = Campaign(
    "winter", date(2026, 1, 1), date(2026, 3, 31), (Condition(frozenset({"bread"})),), frozenset({"food"}), Cents(500),
    Cents(1_000), Cents(6_000), "food",
)  # fmt: skip


def test_of_two_purses_that_end_together_the_narrower_one_is_used_first() -> None:
    both = (of_purse(1, 1, 500), of_purse(3, 2, 500))
    assert sums(paid_by(TWO, both, line("vegetables", 700))) == {3: 500, 1: 200}
    assert sums(paid_by(replace(TWO, purses=(FOOD, replace(VEG, width=99))), both, line("fruit", 700))) == {
        1: 500,
        3: 200,
    }


def test_what_ends_sooner_is_used_before_what_is_narrower() -> None:
    both = (of_purse(1, 1, 500), of_purse(3, 2, 500, (MARCH[0], None)))
    assert sums(paid_by(TWO, both, line("vegetables", 700))) == {1: 500, 3: 200}


def test_a_line_that_earns_is_covered_before_one_that_does_not() -> None:
    rules = replace(RULES, campaigns=(WINTER,))
    decision = paid_by(rules, (of_purse(1, 1, 500),), line("vegetables", 400), line("bread", 400))
    assert [item.paid for item in decision.lines] == [100, 400]
    assert decision.bonus is not None
    assert (decision.bonus.base, decision.bonus.earned, totals_after(decision).month_base) == (400, 200, 400)


def test_money_of_a_purse_that_does_not_earn_earns_nothing() -> None:
    rules = replace(TWO, campaigns=(replace(WINTER, earned_on=frozenset({"veg"})),))
    decision = paid_by(rules, (of_purse(1, 1, 500),), line("bread", 400))
    assert decision.bonus is not None
    assert decision.bonus.base == 0


def test_a_new_month_starts_its_base_again() -> None:
    rules = replace(RULES, campaigns=(WINTER,))
    before = replace(logged(), minutes_at=NOON - timedelta(days=20), month_base=Cents(11_900))
    facts = card(slot(), newest=before)
    decision = decide(Basket((line("bread", 1_000),)), rules, STALL, facts, here())
    assert decision.bonus is not None
    assert (decision.bonus.earned, totals_after(decision).month_base) == (500, 1_000)


def test_a_purse_pays_no_more_a_payment_than_its_ceiling() -> None:
    rules = replace(RULES, purses=(replace(FOOD, ceilings=PurseCeilings(payment=Cents(300))),))
    decision = paid_by(rules, (of_purse(1, 1, 900),), line("bread", 400))
    assert (decision.paid, decision.limited_by) == (300, Reason.PURSE_CEILING_OF_A_PAYMENT)


@pytest.mark.parametrize(
    ("by_purse", "elsewhere", "paid"),
    [(None, 0, 300), ({1: 200}, 0, 600), ({}, 0, 800), ({1: 200}, 500, 100), (None, 500, 0)],
)
def test_a_purses_day_counts_what_it_paid_here_and_all_the_card_paid_elsewhere(
    by_purse: dict[int, int] | None, elsewhere: int, paid: int
) -> None:
    rules = replace(RULES, purses=(replace(FOOD, ceilings=PurseCeilings(day=Cents(800))),))
    counted = None if by_purse is None else {PurseNumber(number): Cents(sum_) for number, sum_ in by_purse.items()}
    stall = replace(here(paid_here=500), paid_here_by_purse=counted)
    facts = card(slot(), newest=logged(500 + elsewhere))
    decision = decide(Basket((line("bread", 900),)), rules, STALL, facts, stall)
    assert (decision.paid, decision.limited_by) == (paid, Reason.PURSE_CEILING_OF_A_DAY)


def test_two_windows_of_one_purse_share_its_price_ceiling_and_its_ceiling_of_a_payment() -> None:
    """At the turn of a month both are open; a litre is still paid no more than once."""
    both = (of_purse(1, 1, 900, (MARCH[0], NOON)), of_purse(2, 1, 900, (NOON, None)))
    edge = replace(here(), t_lo=NOON - timedelta(hours=1), t_late=NOON + timedelta(hours=1))
    milk = line("milk", 400, quantity=1_000, unit="l")
    capped = replace(RULES, purses=(replace(FOOD, price_ceiling=PriceCeiling(Cents(150), "l")),))
    assert sums(paid_by(capped, both, milk, stall=edge)) == {1: 150}
    once = replace(RULES, purses=(replace(FOOD, ceilings=PurseCeilings(payment=Cents(1_000))),))
    assert sums(paid_by(once, both, line("bread", 1_500), stall=edge)) == {1: 900, 2: 100}


def test_a_ceiling_of_the_payment_is_announced_and_cuts_from_the_last_line_back() -> None:
    rules = replace(RULES, ceilings=replace(RULES.ceilings, payment=Cents(500)))
    lines = (line("bread", 400), line("vegetables", 400))
    announced = announce(Basket(lines), rules, STALL)
    assert (announced.asked, announced.lines[1].reason) == (500, Reason.PAYMENT_CEILING)
    decision = paid_by(rules, (of_purse(1, 1, 900),), *lines)
    assert [item.paid for item in decision.lines] == [400, 100]
    assert decision.limited_by is None, "nothing less than was announced"


def test_a_match_is_announced_as_far_as_any_card_could_pay_it() -> None:
    bonus = purse(9, "bonus", "food", match=Match(Fraction(1, 3)))
    alone = replace(RULES, purses=(bonus,))
    assert announce(basket(("bread", 900)), alone, STALL).asked == 0
    of_price = replace(bonus, match=Match(Fraction(1, 3), MatchOf.PRICE))
    assert announce(basket(("bread", 900)), replace(RULES, purses=(of_price,)), STALL).asked == 300
    assert announce(basket(("bread", 900)), replace(RULES, purses=(bonus, FOOD)), STALL).asked == 900


def test_a_value_file_that_is_used_up_is_named_so_that_the_card_is_replaced() -> None:
    facts = card(slot(limit=16_000_900), spent={3: 15_999_900})
    decision = answer(facts, ("bread", 500))
    assert (decision.paid, decision.limited_by) == (100, Reason.CARD_FILE_EXHAUSTED)


def test_a_card_whose_only_purse_is_newer_than_these_rules_asks_for_an_update() -> None:
    assert paid_by(RULES, (of_purse(1, 7, 900),), line("bread", 100)).refusal is Reason.LISTS_TOO_OLD


def test_a_card_without_the_purse_that_pays_this_says_what_its_own_asks_for() -> None:
    assert paid_by(TWO, (of_purse(3, 2, 900),), line("bread", 100)).refusal is Reason.NOT_IN_THE_LIST


@pytest.mark.parametrize(
    ("stall", "reason"),
    [
        (here(), Reason.FLOOR_LIMIT),
        (replace(here(), card_left=Cents(8_000), card_unreported=Cents(1_000)), Reason.TERMINAL_LIMIT),
        (replace(here(), card_left=None, card_unreported=Cents(1_000)), Reason.TERMINAL_LIMIT),
    ],
)
def test_a_card_without_proof_pays_less_of_the_same_basket(stall: StallFacts, reason: Reason) -> None:
    facts = card(slot())
    basket_ = basket(("bread", 3_500))
    proven = decide(basket_, RULES, STALL, facts, stall)
    unproven = decide(basket_, RULES, STALL, replace(facts, gives_proof=False), stall)
    assert (proven.paid, unproven.paid) == (3_500, UNPROVEN_CEILING - stall.card_unreported)
    assert unproven.limited_by is reason


def test_a_tighter_limit_of_the_certificate_holds_for_a_card_without_proof_too() -> None:
    facts = replace(card(slot()), gives_proof=False)
    stall = replace(here(), card_left=Cents(500), card_unreported=Cents(1_000))
    assert decide(basket(("bread", 3_500)), RULES, STALL, facts, stall).paid == 500


def test_the_day_of_a_card_without_proof_ends_lower_wherever_it_paid() -> None:
    facts = card(slot(), newest=logged(2_500))
    assert decide(basket(("bread", 800)), RULES, STALL, facts, here()).paid == 800
    decision = decide(basket(("bread", 800)), RULES, STALL, replace(facts, gives_proof=False), here())
    assert (decision.paid, decision.limited_by) == (500, Reason.DAY_TOTAL)
