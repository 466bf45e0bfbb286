"""Events from what PC/SC reports of readers and fields."""

from __future__ import annotations

import pytest

from terminal.events import CardPresented, CardRemoved, CardsClash, Inward, ReaderCame, ReaderWent
from terminal.nfc.presence import Fields, FieldState, is_wanted
from terminal.ports import Presence


def empty(count: int, reader: str = "r") -> FieldState:
    return FieldState(reader, is_present=False, is_mute=False, event_count=count)


def card(count: int, reader: str = "r") -> FieldState:
    return FieldState(reader, is_present=True, is_mute=False, event_count=count)


def mute(count: int, reader: str = "r") -> FieldState:
    return FieldState(reader, is_present=False, is_mute=True, event_count=count)


def told(*reports: FieldState | tuple[FieldState, ...]) -> list[Inward]:
    fields = Fields()
    events: list[Inward] = []
    for report in reports:
        events += fields.update(report if isinstance(report, tuple) else (report,))
    return events


def at(insertion: int, reader: str = "r") -> Presence:
    return Presence(reader, insertion)


def test_a_card_is_laid_down_and_lifted() -> None:
    assert told(empty(0), card(1), card(1), empty(2)) == [ReaderCame("r"), CardPresented(at(1)), CardRemoved(at(1))]


def test_a_card_that_lies_there_from_the_start_is_told() -> None:
    assert told(card(1)) == [ReaderCame("r"), CardPresented(at(1))]


def test_a_card_swapped_between_two_looks_is_seen_by_the_count() -> None:
    assert told(card(1), card(3))[1:] == [CardPresented(at(1)), CardRemoved(at(1)), CardPresented(at(2))]


def test_a_card_that_came_and_went_between_two_looks_is_not_told() -> None:
    assert told(empty(0), empty(2)) == [ReaderCame("r")]


def test_an_unplugged_reader_takes_its_card_with_it_and_insertions_go_on_counting() -> None:
    assert told(card(1), (), card(1)) == [
        ReaderCame("r"),
        CardPresented(at(1)),
        CardRemoved(at(1)),
        ReaderWent("r"),
        ReaderCame("r"),
        CardPresented(at(2)),
    ]


def test_a_reader_in_doubt_that_is_there_all_the_same_is_told_as_back_with_its_card() -> None:
    fields = Fields()
    fields.update((card(1), empty(0, "s")))
    assert fields.update((card(1), empty(0, "s")), {"r"}) == [
        CardRemoved(at(1)),
        ReaderCame("r"),
        CardPresented(at(2)),
    ]
    assert fields.update((card(1), empty(0, "s"))) == []


def test_a_reader_in_doubt_that_is_gone_is_told_as_gone_and_later_as_back_once() -> None:
    fields = Fields()
    fields.update((card(1),))
    assert fields.update((), {"r"}) == [CardRemoved(at(1)), ReaderWent("r")]
    assert fields.update((), {"r"}) == []
    assert fields.update((empty(0),), {"r"}) == [ReaderCame("r")]


def test_two_readers_do_not_disturb_each_other() -> None:
    assert told((card(1), empty(0, "s")), (card(1), card(1, "s")))[3:] == [CardPresented(at(1, "s"))]


def test_something_that_does_not_answer_is_told_once_as_more_than_one_card() -> None:
    assert told(empty(0), mute(1), mute(1), mute(3)) == [ReaderCame("r"), CardsClash("r"), CardsClash("r")]


def test_a_second_card_laid_on_the_first_ends_its_presence() -> None:
    assert told(card(1), mute(2))[1:] == [CardPresented(at(1)), CardRemoved(at(1)), CardsClash("r")]


def test_a_card_that_went_mute_without_coming_or_going_could_not_be_reset_and_is_no_second_one() -> None:
    assert told(card(1), mute(1))[1:] == [CardPresented(at(1)), CardRemoved(at(1))]


def test_no_reader_at_the_first_look_is_told_once() -> None:
    fields = Fields("ACR1252")
    assert fields.update(()) == [ReaderWent("ACR1252")]
    assert fields.update(()) == []
    assert fields.update((empty(0),)) == [ReaderCame("r")]


@pytest.mark.parametrize(
    ("reader", "chosen", "wanted"),
    [
        ("ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM] 01 00", (), False),
        ("ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00", (), True),
        ("Samsung Reader 00 00", (), True),
        ("Virtual PCD 00 00", ("acr",), False),
        ("ACS ACR122U 00 00", ("omnikey", "acr"), True),
        ("ACS ACR1252 [SAM] 01 00", ("acr",), False),
        ("ACS ACR1281U-C1 [ACR1281 Dual Reader ICC] 00 00", (), False),
        ("ACS ACR1281U-C1 [ACR1281 Dual Reader PICC] 00 01", (), True),
        ("Identiv uTrust 4701 F [Contact Reader] 00 00", (), False),
        ("Identiv uTrust 4701 F [Contactless Reader] 01 00", (), True),
        ("Identiv uTrust 4701 F [Contact-less Reader] 01 00", (), True),
        ("Identiv uTrust 4701 F [Contact Reader] 00 00", ("contact reader",), True),
    ],
)
def test_slots_no_customer_uses_and_readers_not_chosen_are_left_alone(
    reader: str, chosen: tuple[str, ...], wanted: bool
) -> None:
    assert is_wanted(reader, chosen) is wanted
