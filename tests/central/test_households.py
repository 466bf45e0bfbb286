"""Who is in the programme: sizes and cards from a day on, and each card's part of its household's bonus cap."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from central import cap_shares, households
from central.office import Office
from domain.allotment import Size, Span
from domain.bonus import CapShare
from domain.identity import CardId, PurseNumber
from domain.money import Cents
from sync.signed_lists import open_card_keys
from tests.central.kit import WoundClock, new_card, new_office, new_stall

FAMILY = Size(2, 1)
FIRST = date(2026, 2, 1)
CAP = Cents(6_000)
NOON = datetime(2026, 2, 1, 11, tzinfo=UTC)


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(NOON)


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", clock)
    yield opened
    opened.close()


@pytest.fixture
def home(office: Office) -> int:
    with office.store.writing():
        return households.take_in(office.store, FAMILY, FIRST, NOON)


def cards(office: Office, count: int) -> list[CardId]:
    return [new_card(office, number, granted=0).card for number in range(1, count + 1)]


def given(office: Office, home: int, *handed: tuple[CardId, date]) -> None:
    with office.store.writing():
        for card, first in handed:
            households.hand_over(office.store, home, card, first)


def share(office: Office, card: CardId, month: date) -> Cents | None:
    """Cents; ``None`` for a card that shares with none."""
    return cap_shares.shares_in(office.store, month, office.rules).get(card)


def test_a_household_grows_from_a_day_on_and_stays_what_it_was_before(office: Office, home: int) -> None:
    with office.store.writing():
        households.resize(office.store, home, Size(2, 2), date(2026, 3, 15))
    assert households.on(office.store, home, date(2026, 3, 14)).size == FAMILY
    assert households.on(office.store, home, date(2026, 3, 15)).size == Size(2, 2)
    assert households.on(office.store, home, date(2026, 1, 31)).size is None


@pytest.mark.parametrize("size", [Size(0, 0), Size(-1, 2), Size(30, 1)])
def test_a_household_has_from_one_to_thirty_people(office: Office, size: Size) -> None:
    with pytest.raises(ValueError, match="de 1 à 30 personnes"), office.store.writing():
        households.take_in(office.store, size, FIRST, NOON)


def test_a_card_is_one_households_at_a_time(office: Office, home: int) -> None:
    (card,) = cards(office, 1)
    given(office, home, (card, FIRST))
    with office.store.writing():
        other = households.take_in(office.store, Size(1, 0), FIRST, NOON)
    with pytest.raises(ValueError, match=f"celle du foyer {home}"):
        given(office, other, (card, date(2026, 4, 1)))
    with office.store.writing():
        households.take_back(office.store, home, card, date(2026, 3, 31))
    given(office, other, (card, date(2026, 4, 1)))
    assert households.on(office.store, home, date(2026, 3, 31)).cards == (card,)
    assert households.on(office.store, home, date(2026, 4, 1)).cards == ()
    assert households.on(office.store, other, date(2026, 4, 1)).cards == (card,)


def test_a_card_nobody_knows_and_a_household_nobody_knows_are_told(office: Office, home: int) -> None:
    with pytest.raises(ValueError, match="aucune carte"):
        given(office, home, (CardId(bytes(8)), FIRST))
    with pytest.raises(ValueError, match="aucun foyer n° 99"):
        given(office, 99, (cards(office, 1)[0], FIRST))


def test_a_lost_card_is_the_households_but_gets_nothing(office: Office, home: int) -> None:
    mine, lost = cards(office, 2)
    given(office, home, (mine, FIRST), (lost, FIRST))
    office.report_lost(lost)
    assert set(households.on(office.store, home, FIRST).cards) == {mine, lost}
    assert households.cards_in_use(office.store, home, FIRST) == (mine,)


def test_dates_of_one_purse_do_not_cross(office: Office, home: int) -> None:
    spring = Span(date(2026, 3, 1), date(2026, 5, 31))
    with office.store.writing():
        households.put_dates(office.store, home, PurseNumber(2), spring)
        households.put_dates(office.store, home, PurseNumber(3), spring)
    with pytest.raises(ValueError, match="chevauchent"), office.store.writing():
        households.put_dates(office.store, home, PurseNumber(2), Span(date(2026, 5, 31), date(2026, 6, 30)))
    assert households.dates_in(office.store, home, PurseNumber(2), date(2026, 5, 1)) == (spring,)
    assert households.dates_in(office.store, home, PurseNumber(2), date(2026, 6, 1)) == ()


def test_dates_put_by_mistake_can_be_taken_back_until_they_are_granted(office: Office, home: int) -> None:
    wrong, purse = Span(date(2036, 3, 1), date(2036, 5, 31)), PurseNumber(2)
    with office.store.writing():
        households.put_dates(office.store, home, purse, wrong)
        households.drop_dates(office.store, home, purse, wrong.first)
    with pytest.raises(ValueError, match="n'a pas de dates"), office.store.writing():
        households.drop_dates(office.store, home, purse, wrong.first)


@pytest.mark.parametrize("wrong", [date(1017, 3, 1), date(2072, 3, 1)])
def test_a_day_no_card_can_hold_is_no_day_of_the_programme(office: Office, home: int, wrong: date) -> None:
    (card,) = cards(office, 1)
    with pytest.raises(ValueError, match="n'est pas un jour de ce programme"), office.store.writing():
        households.put_dates(office.store, home, PurseNumber(2), Span(min(wrong, FIRST), max(wrong, FIRST)))
    with pytest.raises(ValueError, match="n'est pas un jour de ce programme"):
        given(office, home, (card, wrong))


def test_a_card_promised_for_a_later_day_can_be_taken_back_before_it(office: Office, home: int) -> None:
    (card,) = cards(office, 1)
    given(office, home, (card, date(2026, 12, 1)))
    with office.store.writing():
        households.take_back(office.store, home, card, FIRST)
    given(office, home, (card, FIRST))
    assert households.on(office.store, home, date(2026, 12, 1)).cards == (card,)


# --- shares of the month cap ------------------------------------------------------------------------------------------


def test_a_card_alone_has_the_whole_cap(office: Office, home: int) -> None:
    (card,) = cards(office, 1)
    assert share(office, card, FIRST) is None, "a card of no household"
    given(office, home, (card, FIRST))
    assert share(office, card, FIRST) is None


def test_cards_of_one_household_share_the_cap_to_the_cent(office: Office, home: int) -> None:
    mine = cards(office, 7)
    given(office, home, *((card, FIRST) for card in mine))
    shares = [share(office, card, FIRST) for card in mine]
    assert sorted(int(part) for part in shares if part is not None) == [857, 857, 857, 857, 857, 857, 858]


def test_a_card_that_comes_within_a_month_has_its_part_from_the_next(office: Office, home: int) -> None:
    first, second = cards(office, 2)
    given(office, home, (first, FIRST), (second, date(2026, 2, 12)))
    assert [share(office, card, FIRST) for card in (first, second)] == [None, 0]
    assert [share(office, card, date(2026, 3, 1)) for card in (first, second)] == [3_000, 3_000]


def test_in_its_first_month_a_household_shares_among_the_cards_it_is_first_given(office: Office, home: int) -> None:
    first, second, third = cards(office, 3)
    given(office, home, (first, date(2026, 2, 9)), (second, date(2026, 2, 9)), (third, date(2026, 2, 20)))
    assert [share(office, card, FIRST) for card in (first, second, third)] == [3_000, 3_000, 0]


def test_where_there_is_no_campaign_there_is_no_part(office: Office, home: int) -> None:
    mine = cards(office, 2)
    given(office, home, *((card, FIRST) for card in mine))
    assert [share(office, card, date(2026, 6, 1)) for card in mine] == [None, None]


def test_a_card_left_alone_is_told_the_whole_cap_again(office: Office, home: int) -> None:
    first, second = cards(office, 2)
    given(office, home, (first, FIRST), (second, FIRST))
    with office.store.writing():
        households.take_back(office.store, home, second, date(2026, 2, 15))
    new_stall(office)
    assert cap_shares.listed(office.store)[first] == (CapShare(FIRST, Cents(3_000)), CapShare(date(2026, 3, 1), CAP))


def test_terminals_get_each_cards_parts_of_this_month_and_the_next(
    office: Office, home: int, clock: WoundClock
) -> None:
    first, second, stranger = cards(office, 3)
    stall = new_stall(office)
    given(office, home, (first, FIRST))
    before = stall.download(office).card_keys
    given(office, home, (second, date(2026, 2, 12)))
    told = stall.download(office).card_keys
    assert told is not None and before is not None and told.version > before.version
    parts = {key.card: key.bonus_shares for key in open_card_keys(told, stall.device_key)}
    march = date(2026, 3, 1)
    assert parts == {
        first: (CapShare(FIRST, CAP), CapShare(march, Cents(3_000))),
        second: (CapShare(FIRST, Cents(0)), CapShare(march, Cents(3_000))),
        stranger: (),
    }
    with office.store.writing():
        households.take_back(office.store, home, second, date(2026, 2, 20))
    later = stall.download(office).card_keys
    assert later is not None and later.version > told.version


def test_a_new_month_brings_terminals_new_parts(office: Office, home: int, clock: WoundClock) -> None:
    first, second = cards(office, 2)
    stall = new_stall(office)
    given(office, home, (first, FIRST), (second, FIRST))
    stall.send(office)
    version = office.store.current_number("card keys")
    stall.send(office)
    assert office.store.current_number("card keys") == version, "once a month is enough"
    clock.at = clock.at.replace(month=3)
    stall.send(office)
    assert office.store.current_number("card keys") == version + 1
