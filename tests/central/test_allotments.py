"""A round of allotments: every household gets what the rules give it for a month, once, and the cards carry it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from central import allotments, grants, households, signing_duty
from central.office import Office, make_centre
from domain.allotment import Size, Span
from domain.identity import PurseNumber
from domain.money import Cents
from domain.purse import Slot
from tests.central.kit import Held, WoundClock, account, new_card, new_stall

RULE_FILE = Path(__file__).parent / "several-purses.toml"
MARCH = date(2027, 3, 1)
SPRING = Span(date(2027, 3, 10), date(2027, 5, 31))
FACT = "contribution-received"


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(datetime(2027, 2, 26, 8, tzinfo=UTC))


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    make_centre(tmp_path / "centre", RULE_FILE, clock())
    opened = Office(tmp_path / "centre", clock)
    yield opened
    opened.close()


def home(office: Office, size: Size, *cards: Held) -> int:
    """A household that holds these cards since February."""
    with office.store.writing():
        number = households.take_in(office.store, size, date(2027, 2, 1), office.now())
        for card in cards:
            households.hand_over(office.store, number, card.card, date(2027, 2, 1))
    return number


def card(office: Office, number: int) -> Held:
    return new_card(office, number, granted=0)


def run(office: Office, month: date = MARCH) -> allotments.Round:
    return allotments.run(office.store, office.keys, office.rules_as_written(), month, office.now())


def sums(done: allotments.Round) -> list[tuple[int, str, int]]:
    return [(item.household, item.purse, int(item.amount)) for item in done.given]


def whys(done: allotments.Round) -> list[tuple[int, str, str]]:
    return [(item.household, item.purse, item.why) for item in done.left]


def slots(office: Office, held: Held) -> tuple[Slot, ...]:
    """What the newest entitlement of a card says."""
    word = new_stall(office, f"Étal {office.store.current_number('merchant')}")
    word.download(office)
    return word.entitlements[held.card].entitlement.slots


def test_two_adults_and_a_child_get_100_euros_for_the_month(office: Office) -> None:
    mine = card(office, 1)
    number = home(office, Size(2, 1), mine)
    done = run(office)
    assert sums(done)[:2] == [(number, "food", 10_000), (number, "fresh", 1_000)]
    food, fresh = slots(office, mine)
    assert (food.purse, food.limit, food.start, food.end) == (
        1,
        10_000,
        datetime(2027, 2, 28, 23, tzinfo=UTC),
        datetime(2027, 3, 31, 22, tzinfo=UTC),
    )
    assert (fresh.purse, fresh.limit, fresh.end) == (2, 1_000, None)


def test_the_same_round_again_grants_nothing_more(office: Office) -> None:
    mine = card(office, 1)
    home(office, Size(2, 1), mine)
    first, again = run(office), run(office)
    assert (again.amount, again.already) == (0, len(first.given))
    assert account(office, mine).granted == first.amount


def test_a_household_of_two_cards_has_half_on_each_and_the_odd_cent_on_the_first(office: Office) -> None:
    one, other, third = card(office, 1), card(office, 2), card(office, 3)
    home(office, Size(1, 0), one, other, third)
    (food,) = (item for item in run(office).given if item.purse == "food")
    assert [int(cents) for _, cents in food.cards] == [1_334, 1_333, 1_333]
    assert sum(account(office, held).granted for held in (one, other, third)) == 4_000


def test_a_lost_card_gets_nothing_and_the_other_gets_all(office: Office) -> None:
    mine, lost = card(office, 1), card(office, 2)
    home(office, Size(1, 0), mine, lost)
    office.report_lost(lost.card)
    run(office)
    assert (account(office, mine).granted, account(office, lost).granted) == (4_000, 0)


def test_a_household_without_a_card_waits_and_gets_it_once_it_has_one(office: Office) -> None:
    number = home(office, Size(1, 0))
    assert (number, "food", allotments.NO_CARD) in whys(run(office))
    mine = card(office, 1)
    with office.store.writing():
        households.hand_over(office.store, number, mine.card, date(2027, 2, 26))
    assert sums(run(office)) == [(number, "food", 4_000)]


def test_the_size_counts_that_holds_when_the_month_begins(office: Office) -> None:
    mine = card(office, 1)
    number = home(office, Size(1, 0), mine)
    with office.store.writing():
        households.resize(office.store, number, Size(1, 1), date(2027, 3, 1))
        households.resize(office.store, number, Size(1, 2), date(2027, 3, 2))
    assert sums(run(office)) == [(number, "food", 6_000), (number, "fresh", 1_000)]


def test_what_the_rules_give_for_two_months_ends_after_two(office: Office, clock: WoundClock) -> None:
    number = home(office, Size(0, 1), card(office, 1))
    found = []
    for month in (3, 4, 5):
        clock.at = datetime(2027, month, 1, 8, tzinfo=UTC)
        found += [item for item in sums(run(office, date(2027, month, 1))) if item[1] == "fresh"]
    assert found == [(number, "fresh", 1_000)] * 2


def test_money_that_carries_adds_to_one_window(office: Office, clock: WoundClock) -> None:
    mine = card(office, 1)
    home(office, Size(0, 1), mine)
    run(office)
    clock.at = datetime(2027, 4, 1, 8, tzinfo=UTC)
    run(office, date(2027, 4, 1))
    (fresh,) = (slot for slot in slots(office, mine) if slot.purse == 2)
    assert (fresh.limit, fresh.start) == (2_000, datetime(2027, 2, 28, 23, tzinfo=UTC))


def test_a_purse_by_dates_is_granted_once_for_the_households_dates(office: Office, clock: WoundClock) -> None:
    mine = card(office, 1)
    number = home(office, Size(1, 0), mine)
    assert (number, "spring", allotments.NO_DATES) in whys(run(office))
    with office.store.writing():
        households.put_dates(office.store, number, PurseNumber(5), SPRING)
    assert sums(run(office)) == [(number, "spring", 9_000)]
    clock.at = datetime(2027, 4, 1, 8, tzinfo=UTC)
    assert "spring" not in {item.purse for item in run(office, date(2027, 4, 1)).given}, "once for all its months"
    (spring,) = (slot for slot in slots(office, mine) if slot.purse == 5)
    assert (spring.start, spring.end) == (
        datetime(2027, 3, 9, 23, tzinfo=UTC),
        datetime(2027, 5, 31, 22, tzinfo=UTC),
    )


def test_what_depends_on_a_fact_waits_until_it_is_noted_for_that_month(office: Office) -> None:
    mine = card(office, 1)
    number = home(office, Size(2, 1), mine)
    why = "« la cotisation du mois est reçue » n'est pas noté pour ce mois"
    assert (number, "common", why) in whys(run(office))
    with office.store.writing():
        households.note(office.store, number, FACT, date(2027, 4, 1))
    assert (number, "common", why) in whys(run(office)), "noted for another month"
    with office.store.writing():
        households.note(office.store, number, FACT, MARCH)
    assert sums(run(office)) == [(number, "common", 30_000)]


def test_who_bears_it_is_kept_to_the_cent(office: Office) -> None:
    number = home(office, Size(1, 0), card(office, 1))
    with office.store.writing():
        households.note(office.store, number, FACT, MARCH)
    run(office)
    borne = {(row["purse"], row["payer"]): row["cents"] for row in office.store.all("SELECT * FROM borne")}
    assert borne == {(1, "Département"): 4_000, (200, "contributions"): 6_000, (200, "city"): 9_000}


def test_over_three_months_each_bears_its_third_to_the_cent(office: Office, clock: WoundClock, tmp_path: Path) -> None:
    thirds = tmp_path / "thirds.toml"
    thirds.write_text(
        RULE_FILE.read_text()
        .replace("version   = 1", "version   = 2")
        .replace('household = "150.00"', 'household = "100.00"')
        .replace('city = "60 %"', 'city = "1/3"')
    )
    office.take_rules(thirds)
    number = home(office, Size(1, 0), card(office, 1))
    for month in (3, 4, 5):
        clock.at = datetime(2027, month, 1, 8, tzinfo=UTC)
        with office.store.writing():
            households.note(office.store, number, FACT, clock.at.date())
        run(office, clock.at.date())
    rows = office.store.all("SELECT payer, sum(cents) AS cents FROM borne WHERE purse = 200 GROUP BY payer")
    assert {row["payer"]: row["cents"] for row in rows} == {"contributions": 20_000, "city": 10_000}


def test_what_one_card_has_no_room_for_is_granted_on_none(office: Office) -> None:
    one, full = card(office, 1), card(office, 2)
    number = home(office, Size(1, 0), one)
    with office.store.writing():
        households.hand_over(office.store, number, full.card, date(2027, 2, 2))
    for purse in (2, 5, 200):
        office.grant(full.card, PurseNumber(purse), Cents(100), datetime(2027, 3, 1, tzinfo=UTC), None)
    done = run(office)
    assert (sums(done), next(purse for _, purse, _ in whys(done))) == ([], "food")
    assert (account(office, one).granted, account(office, full).granted) == (0, 300)
    assert office.store.number("SELECT count(*) FROM allotted WHERE household = ?", number) == 0


def test_a_fourth_purse_open_at_once_is_left_and_said_so(office: Office) -> None:
    mine = card(office, 1)
    number = home(office, Size(1, 1), mine)
    with office.store.writing():
        households.put_dates(office.store, number, PurseNumber(5), SPRING)
        households.note(office.store, number, FACT, MARCH)
    done = run(office)
    assert [purse for _, purse, _ in sums(done)] == ["food", "fresh", "spring"]
    ((_, purse, why),) = whys(done)
    assert purse == "common" and why.startswith("3 enveloppes de cette carte sont déjà ouvertes")
    assert account(office, mine).is_conserved


def test_a_round_broken_off_between_two_households_is_taken_up_where_it_stood(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [card(office, number) for number in (1, 2, 3)]
    for each in held:
        home(office, Size(1, 0), each)
    issue, asked = grants.issue_or_wait, []

    def breaks(*words: object) -> str | None:
        asked.append(words)
        if len(asked) == 2:
            raise OSError("the power is gone")
        return issue(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(grants, "issue_or_wait", breaks)
    with pytest.raises(OSError):
        run(office)
    assert [account(office, each).granted for each in held] == [4_000, 0, 0]
    monkeypatch.undo()
    assert run(office).already == 1
    assert [account(office, each).granted for each in held] == [4_000, 4_000, 4_000]


def test_above_the_days_ceiling_grants_are_kept_and_signed_on_a_later_day(office: Office, clock: WoundClock) -> None:
    held = [card(office, number) for number in (1, 2, 3)]
    for each in held:
        home(office, Size(1, 0), each)
    with office.store.writing():
        signing_duty.put_standing_ceiling(office.store, office.keys, 9_000, None)
    done = run(office)
    assert [waiting for waiting, _ in done.waiting] == [held[2].card]
    assert [account(office, each).granted for each in held] == [4_000] * 3
    clock.at = datetime(2027, 2, 27, 8, tzinfo=UTC)
    new_stall(office).send(office)
    assert [slot.limit for slot in slots(office, held[2])] == [4_000]


def test_a_month_that_is_over_is_not_granted_any_more(office: Office) -> None:
    home(office, Size(1, 0), card(office, 1))
    with pytest.raises(ValueError, match="ce mois est passé"):
        run(office, date(2027, 1, 1))
    assert office.store.number("SELECT count(*) FROM grant_given") == 0


def test_a_household_that_comes_later_gets_nothing_before_it_is_there(office: Office, clock: WoundClock) -> None:
    mine = card(office, 1)
    with office.store.writing():
        number = households.take_in(office.store, Size(1, 0), date(2027, 4, 1), office.now())
        households.hand_over(office.store, number, mine.card, date(2027, 2, 26))
    assert (number, "food", allotments.NO_SIZE) in whys(run(office))
    clock.at = datetime(2027, 3, 28, 8, tzinfo=UTC)
    assert sums(run(office, date(2027, 4, 1))) == [(number, "food", 4_000)]


def test_second_dates_are_granted_too_and_dates_that_are_over_are_not(office: Office, clock: WoundClock) -> None:
    number = home(office, Size(1, 0), card(office, 1))
    spans = [Span(date(2027, 3, 2), date(2027, 3, 8)), Span(date(2027, 3, 20), date(2027, 4, 5))]
    spans.append(Span(date(2027, 4, 10), date(2027, 4, 25)))
    with office.store.writing():
        for span in spans:
            households.put_dates(office.store, number, PurseNumber(5), span)
    clock.at = datetime(2027, 3, 9, 8, tzinfo=UTC)
    given = [item.span for item in run(office).given if item.purse == "spring"]
    clock.at = datetime(2027, 4, 1, 8, tzinfo=UTC)
    given += [item.span for item in run(office, date(2027, 4, 1)).given if item.purse == "spring"]
    assert given == spans[1:]
    clock.at = datetime(2027, 4, 30, 8, tzinfo=UTC)
    assert run(office, date(2027, 4, 1)).already == 1 + 1, "food and the dates that were granted"


def test_dates_that_ended_before_any_round_are_told(office: Office, clock: WoundClock) -> None:
    number = home(office, Size(1, 0), card(office, 1))
    with office.store.writing():
        households.put_dates(office.store, number, PurseNumber(5), Span(date(2027, 3, 2), date(2027, 3, 8)))
    clock.at = datetime(2027, 3, 9, 8, tzinfo=UTC)
    assert (number, "spring", allotments.DATES_OVER) in whys(run(office))


def test_one_household_that_cannot_be_granted_holds_up_nobody(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [card(office, number) for number in (1, 2, 3)]
    homes = [home(office, Size(1, 0), each) for each in held]
    issue = grants.issue_or_wait

    def breaks(store: object, keys: object, wanted: object, *words: object) -> str | None:
        if wanted == held[1].card:
            raise OverflowError("a number no card can hold")
        return issue(store, keys, wanted, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(grants, "issue_or_wait", breaks)
    done = run(office)
    assert [(item.household, item.why) for item in done.left if not item.purse] == [
        (homes[1], "a number no card can hold")
    ]
    assert [account(office, each).granted for each in held] == [4_000, 0, 4_000]


@pytest.mark.parametrize("wrong", [date(2027, 4, 1), date(2037, 3, 1)])
def test_a_month_typed_wrongly_grants_nothing(office: Office, wrong: date) -> None:
    home(office, Size(1, 0), card(office, 1))
    with pytest.raises(ValueError, match="ce mois est trop loin"):
        run(office, wrong)


def test_a_centre_that_lost_the_text_of_its_rules_says_what_to_do(office: Office) -> None:
    with office.store.writing():
        office.store.change("DELETE FROM rule_text")
    with pytest.raises(ValueError, match="panier central rules"):
        office.rules_as_written()
    office.take_rules(RULE_FILE)
    assert office.rules_as_written().rules.allotments


def test_every_grant_is_traced_to_its_household_purse_and_rules(office: Office) -> None:
    one, other = card(office, 1), card(office, 2)
    home(office, Size(2, 0), one, other)
    run(office)
    rows = office.store.all(
        """SELECT allotted.household AS household, allotted.amount AS whole, grant_given.amount AS part, kind
        FROM allotted_grant JOIN allotted USING (household, purse, for_day)
        JOIN grant_given ON grant_given.id = allotted_grant.grant_id"""
    )
    assert {(row["whole"], row["part"], row["kind"]) for row in rows} == {(8_000, 4_000, "allotment")}
    assert Cents(sum(row["part"] for row in rows)) == 8_000
