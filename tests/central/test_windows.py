"""Which value file of a card a window goes into, and how many may be open at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from central.office import Office
from domain.identity import CardId, PurseNumber, Uid
from domain.money import Cents
from sync.ntag_format import NTAG_AID
from tests.central.kit import WoundClock, new_card, new_office

JANUARY = date(2027, 1, 1)


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", clock)
    yield opened
    opened.close()


@pytest.fixture
def card(office: Office) -> CardId:
    return new_card(office, 1, granted=0).card


def month(number: int) -> tuple[datetime, datetime]:
    """The months from January 2027, in the UTC instants of a programme without time zone."""
    year, of_year = divmod(number, 12)
    after_year, after = divmod(number + 1, 12)
    return datetime(2027 + year, of_year + 1, 1, tzinfo=UTC), datetime(2027 + after_year, after + 1, 1, tzinfo=UTC)


def granted(office: Office, card: CardId, purse: int, window: tuple[datetime, datetime | None]) -> int:
    """The file a cent of that window goes into."""
    office.grant(card, PurseNumber(purse), Cents(100), *window)
    return office.store.number("SELECT file FROM grant_given ORDER BY id DESC LIMIT 1")


def test_months_go_by_turns_and_the_same_month_adds_up(office: Office, card: CardId) -> None:
    assert [granted(office, card, 1, month(number)) for number in (0, 1, 2, 2, 3)] == [1, 2, 1, 1, 2]
    limit = office.store.number("SELECT spent_limit FROM slot_window WHERE file = 1 ORDER BY start_at DESC LIMIT 1")
    assert limit == 200


def test_windows_that_follow_each_other_never_share_a_file_whatever_their_length(office: Office, card: CardId) -> None:
    start, files = datetime(2027, 1, 1, tzinfo=UTC), []
    for days in (59, 61, 92, 31, 28, 365, 400, 7, 7, 7):
        end = start + timedelta(days=days)
        files.append(granted(office, card, 2, (start, end)))
        start = end
    assert all(file in (3, 4) for file in files)
    assert all(one != next_ for one, next_ in itertools.pairwise(files))


def test_a_window_goes_where_its_pair_is_free_even_behind_one_that_just_ended(office: Office, card: CardId) -> None:
    assert granted(office, card, 1, month(0)) == 1
    assert granted(office, card, 1, (month(0)[0] + timedelta(days=14), month(2)[0] + timedelta(days=14))) == 2
    assert granted(office, card, 1, (month(1)[0], month(2)[1])) == 1


def test_a_purse_without_end_stays_in_one_file(office: Office, card: CardId) -> None:
    window = (month(0)[0], None)
    assert [granted(office, card, 3, window) for _ in range(3)] == [5, 5, 5]


def test_a_purse_of_a_high_number_takes_a_free_pair(office: Office, card: CardId) -> None:
    assert granted(office, card, 200, month(0)) == 1
    assert granted(office, card, 1, month(0)) == 3, "the files of purse 1 are taken"
    assert granted(office, card, 200, month(1)) == 2


def test_files_are_used_again_by_another_purse_once_all_is_over_there(office: Office, card: CardId) -> None:
    for number in range(4):
        granted(office, card, number + 1, month(number))
    assert granted(office, card, 9, month(4)) == 1, "purse 1 was over first"
    assert granted(office, card, 9, month(5)) == 2
    assert granted(office, card, 1, month(6)) == 3, "and purse 1 moves on to the next that is over"


def test_a_fifth_purse_waits_until_a_pair_is_free(office: Office, card: CardId) -> None:
    for number in range(4):
        granted(office, card, number + 1, (month(number)[0], month(number + 2)[0]))
        granted(office, card, number + 1, (month(12 + number)[0], month(13 + number)[0]))
    with pytest.raises(ValueError, match="4 enveloppes au plus tiennent"):
        granted(office, card, 5, month(8))


def test_no_more_than_three_windows_are_open_at_any_instant(office: Office, card: CardId) -> None:
    granted(office, card, 1, (month(0)[0], month(6)[0]))
    granted(office, card, 2, (month(3)[0], month(9)[0]))
    granted(office, card, 3, (month(5)[0], None))
    with pytest.raises(ValueError, match="3 enveloppes de cette carte sont déjà ouvertes"):
        granted(office, card, 4, month(5))
    with pytest.raises(ValueError, match="déjà ouvertes"):
        granted(office, card, 4, (month(0)[0], month(9)[0]))
    assert granted(office, card, 4, month(6)) == 7, "purse 1 is over when it begins"
    assert granted(office, card, 1, (month(0)[0], month(6)[0])) == granted(office, card, 1, (month(0)[0], month(6)[0]))


def test_a_window_that_crosses_two_of_its_purse_is_refused_and_nothing_is_granted(office: Office, card: CardId) -> None:
    start, end = month(0)
    assert granted(office, card, 1, (start, end)) == 1
    assert granted(office, card, 1, (start + timedelta(days=1), end)) == 2, "the pair's other file was free"
    with pytest.raises(ValueError, match="chevauche"):
        granted(office, card, 1, (start + timedelta(days=2), end))
    assert office.store.number("SELECT count(*) FROM grant_given") == 2


def test_a_month_is_never_granted_into_a_window_that_ends_before_it(office: Office, card: CardId) -> None:
    """Ten euros by hand for the first days of a month, then the month's own money."""
    start, end = month(0)
    assert granted(office, card, 1, (start, start + timedelta(days=9))) == 1
    assert granted(office, card, 1, (start, end)) == 2
    rows = office.store.all("SELECT file, end_at, spent_limit FROM slot_window ORDER BY file")
    days = [(row["file"], datetime.fromtimestamp(row["end_at"], UTC), row["spent_limit"]) for row in rows]
    assert days == [(1, start + timedelta(days=9), 100), (2, end, 100)]
    with pytest.raises(ValueError, match="chevauche"):
        granted(office, card, 1, (start, start + timedelta(days=20)))
    assert [granted(office, card, 1, month(number)) for number in (1, 2, 3)] == [1, 2, 1]


def test_money_without_end_never_joins_a_window_that_ends(office: Office, card: CardId) -> None:
    start, end = month(0)
    assert granted(office, card, 1, (start, end)) == 1
    assert granted(office, card, 1, (start, None)) == 2
    assert [row["end_at"] for row in office.store.all("SELECT end_at FROM slot_window ORDER BY file")] == [
        int(end.timestamp()),
        None,
    ]


def test_nothing_is_granted_into_a_window_that_is_over(office: Office, card: CardId, clock: WoundClock) -> None:
    start, end = month(0)
    clock.at = end - timedelta(seconds=1)
    assert granted(office, card, 1, (start, end)) == 1
    clock.at = end
    with pytest.raises(ValueError, match="cette période est passée"):
        granted(office, card, 1, (start, end))
    with pytest.raises(ValueError, match="finit avant de commencer"):
        granted(office, card, 1, (month(3)[0], month(2)[0]))
    assert office.store.number("SELECT count(*) FROM grant_given") == 1


def test_a_tag_has_three_purses_of_any_numbers(office: Office) -> None:
    tag = office.register_card(Uid(bytes.fromhex("04A1A2A3A4A5A6")), NTAG_AID).card
    assert granted(office, tag, 4, month(0)) == 1, "the fourth pair is not on a tag"
    assert granted(office, tag, 3, month(0)) == 5
    assert granted(office, tag, 200, month(1)) == 4
    with pytest.raises(ValueError, match="3 enveloppes au plus tiennent"):
        granted(office, tag, 2, month(0))
    assert granted(office, tag, 2, month(2)) == 1, "purse 4 is over"
