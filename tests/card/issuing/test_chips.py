"""Which chips are taken, how else they may be spoken to, and answers no card gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from central.office import Office, make_centre
from emulator.card import VirtualCard
from emulator.memory import CommMode
from emulator.state import CardProfile
from emulator.tear import Fault, Moment, Phase, empty, one_byte, oversized, tear_on, truncated, wrong_mac
from sync.errors import PanierError
from terminal.errors import NotOurCard
from terminal.nfc.apdu import ISO_DEP, NATIVE, Ins
from terminal.nfc.issuing import MOST_APDUS_TO_ISSUE, Found, check_issued, issue
from terminal.nfc.issuing.chip import check_chip
from terminal.nfc.issuing.desk import Issued, NotIssued
from tests.card.issuing.desk_kit import Bench
from tests.card.issuing.kit import HeldCard, application, blank, issued, order_for

ORDER = order_for()
FULL_ANSWER = CardProfile(reader_id_answer=CommMode.FULL)
RULES = Path(__file__).parents[3] / "domain" / "rule-sets" / "gers.toml"


def hardware(byte: int, value: int) -> Fault:
    """The first part of GetVersion with one byte changed: 0 vendor, 3 generation, 5 storage."""
    return Fault(
        Moment(instruction=Ins.GET_VERSION), lambda answer: answer[:byte] + bytes([value]) + answer[byte + 1 :]
    )


@pytest.mark.parametrize(
    ("byte", "value"),
    [(0, 0x05), (3, 0x01), (3, 0x00), (5, 0x16), (5, 0x10)],
    ids=["another maker", "EV1", "first generation", "2 KB", "less"],
)
def test_another_chip_is_refused_and_left_to_the_byte(byte: int, value: int) -> None:
    card = blank()
    before = card.text
    with pytest.raises(NotOurCard):
        card.issue(ORDER, hardware(byte, value))
    assert card.text == before


@pytest.mark.parametrize("storage", [0x18, 0x1A])
def test_4_and_8_kb_are_taken(storage: int) -> None:
    assert check_chip(blank().laid(hardware(5, storage))) == ORDER.uid


def test_a_desfire_ev2_is_issued_like_an_ev3() -> None:
    card = HeldCard()
    VirtualCard.blank(ORDER.uid, card.store, generation="EV2")
    assert card.issue(ORDER) is Found.BLANK
    assert application(card.state) == application(issued(ORDER).state)


def test_readers_that_need_native_chaining_issue_the_same_card() -> None:
    card = blank()
    link = card.laid()
    assert issue(link, ORDER, profile=NATIVE) is Found.BLANK
    assert card.text == issued(ORDER).text
    assert link.counters.apdus < MOST_APDUS_TO_ISSUE


def test_a_card_that_enciphers_its_answer_to_a_reader_id_is_issued_under_that_profile() -> None:
    card = blank()
    profile = replace(ISO_DEP, is_reader_id_answer_full=True)
    assert issue(card.laid(profile=FULL_ANSWER), ORDER, profile=profile) is Found.BLANK
    check_issued(card.laid(profile=FULL_ANSWER), ORDER, profile=profile)
    with pytest.raises(PanierError):
        check_issued(card.laid(profile=FULL_ANSWER), ORDER)


DISTORTIONS = [empty, one_byte, truncated(3), oversized, wrong_mac]


def noise_does_no_harm(index: int, distort: Callable[[bytes], bytes], whole: str) -> None:
    card = blank()
    try:
        card.issue(ORDER, Fault(Moment(index=index), distort))
    except PanierError:
        card.issue(ORDER)
    assert card.text == whole, f"command {index}"


@pytest.mark.parametrize("distort", DISTORTIONS)
def test_after_a_distorted_answer_the_next_issuing_finishes_the_same_card(distort: Callable[[bytes], bytes]) -> None:
    whole = issued(ORDER).text
    for index in range(0, 170, 13):
        noise_does_no_harm(index, distort, whole)


@pytest.mark.slow
@pytest.mark.parametrize("distort", DISTORTIONS)
def test_after_any_distorted_answer_the_next_issuing_finishes_the_same_card(distort: Callable[[bytes], bytes]) -> None:
    whole = issued(ORDER).text
    for index in range(170):
        noise_does_no_harm(index, distort, whole)


def test_a_real_centres_orders_finish_one_card_over_several_visits(tmp_path: Path) -> None:
    make_centre(tmp_path / "centre", RULES)
    office, card = Office(tmp_path / "centre"), blank()
    bench = Bench()
    bench.desk = bench.desk_of(office)
    assert not office.has_chip(ORDER.uid)
    torn = bench.serve(card, tear_on(Ins.WRITE_DATA_CHAINED, Phase.ANSWER_LOST))
    assert isinstance(torn, NotIssued) and office.has_chip(ORDER.uid)
    for found in (Found.BEGUN, Found.ISSUED):
        served = bench.serve(card)
        assert isinstance(served, Issued) and served.found is found
        assert (served.card, served.programme) == (torn.card, "gers")
    check_issued(card.laid(), office.register_card(ORDER.uid))
    office.close()
