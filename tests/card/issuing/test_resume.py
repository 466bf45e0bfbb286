"""Issuing is torn at every command, in every way, and taken up again from the card alone: the same card comes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, SlotFile, Station, Uid
from domain.money import Cents
from emulator.state_file import MemoryStore
from emulator.tear import Phase, tear_at, tear_on
from sync.card_format import encode_log_record, encode_reader_id
from sync.issuing import TERMINALS, TMAC_KEY, IssueOrder
from sync.tmac import transaction_mac_value
from terminal.errors import CardGone, NotOurCard
from terminal.nfc import tmi
from terminal.nfc.apdu import CardRefuses, Ins
from terminal.nfc.channel import Mode, authenticate_ev2_first, select_application
from terminal.nfc.desfire_purse import LOG_FILE, TMAC_FILE
from terminal.nfc.issuing import CardNotBlank, Found, NotAsOrdered, issue
from terminal.nfc.issuing.card import place
from terminal.nfc.tmi import little
from tests.card.issuing.kit import AID, AT, HeldCard, State, application, blank, issued, order_for

PHASES = (Phase.BEFORE, Phase.AFTER, Phase.ANSWER_LOST)
ORDER = order_for()


@dataclass
class Undisturbed:
    """A card issued in one go: what it remembers, and how many commands it took."""

    text: str
    apdus: int


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    card = blank()
    link = card.laid()
    assert issue(link, ORDER) is Found.BLANK
    return Undisturbed(card.text, link.counters.apdus)


def torn_states(card: HeldCard, text: str, phases: tuple[Phase, ...]) -> Iterator[tuple[str, str]]:
    """What a card that stood at ``text`` remembers after each tear of one issuing, and where it was torn."""
    index = 0
    while True:
        untorn = True
        for phase in phases:
            card.text = text
            try:
                card.issue(ORDER, tear_at(index, phase))
            except CardGone:
                untorn = False
            else:
                # torn after the answer to the last command of all: nothing is missing any more
                assert phase is Phase.AFTER or untorn
            yield card.text, f"{phase.value} command {index}"
        if untorn:
            return
        index += 1


def first_payment_is_proven(card: HeldCard, order: IssueOrder) -> bool:
    """Pays 1,25 € from slot 2 as a till does, command by command, and checks the card's proof of it."""
    link = card.laid()
    select_application(link, order.aid)
    channel = authenticate_ev2_first(link, order.keys[TERMINALS], TERMINALS)
    proof = channel.send(Ins.READ_DATA_CHAINED, place(TMAC_FILE, 12), answer_b=12)
    assert proof == bytes(12)
    reader_id = encode_reader_id(Station(7), 1)
    previous = channel.send(Ins.COMMIT_READER_ID, reader_id, mode=Mode.MAC, answer_b=16)
    channel.send(Ins.DEBIT, b"\x02", little(125, 4))
    record = encode_log_record(
        LogRecord(
            LogType.PAYMENT, Station(7), 1, 1, AT, 1, 1, (Debit(SlotFile(2), Cents(125)),), Cents(125), Cents(125)
        )
    )
    channel.send(Ins.WRITE_RECORD_CHAINED, place(LOG_FILE, 32), record)
    answer = channel.send(Ins.COMMIT_TRANSACTION, b"\x01", mode=Mode.MAC, answer_b=12)
    items = tmi.reader_id_item(reader_id, previous) + tmi.value_item(Ins.DEBIT, SlotFile(2), 125)
    items += tmi.file_item(Ins.WRITE_RECORD_CHAINED, LOG_FILE, 0, record)
    proven = transaction_mac_value(order.keys[TMAC_KEY], 1, order.uid, items)
    return answer == little(1, 4) + proven


def test_the_undisturbed_card_has_proof_counter_0_one_log_record_and_pays_its_first_payment_with_proof(
    undisturbed: Undisturbed,
) -> None:
    card = HeldCard(MemoryStore(undisturbed.text))
    files = application(card.state)["files"]
    assert files["0F"]["tmc"] == 0
    assert files["10"]["records_oldest_first"] == [encode_log_record(ORDER.first_log_record).hex().upper()]
    assert first_payment_is_proven(card, ORDER)


def test_torn_at_any_command_in_any_way_and_taken_up_again_the_same_card_comes_out(undisturbed: Undisturbed) -> None:
    fresh = blank().text
    torn, resumed = HeldCard(), HeldCard()
    outcomes: dict[str, Found] = {}
    tears = 0
    for state, where in torn_states(torn, fresh, PHASES):
        tears += 1
        if state in outcomes:
            continue  # nothing but the card remembers, so the same state ends the same
        resumed.text = state
        outcomes[state] = resumed.issue(ORDER)
        assert resumed.text == undisturbed.text, where
        assert first_payment_is_proven(resumed, ORDER), where
    assert tears >= 3 * undisturbed.apdus
    assert set(outcomes.values()) == {Found.BLANK, Found.BEGUN, Found.ISSUED}
    # chip's key, its settings, application, 5 keys, 11 files, card info, record 0 committed, TMAC file
    assert len(outcomes) == 1 + 1 + 1 + 1 + 5 + 11 + 1 + 1 + 1


@pytest.mark.slow
def test_torn_again_and_again_the_same_card_comes_out(undisturbed: Undisturbed) -> None:
    fresh = blank().text
    torn, resumed = HeldCard(), HeldCard()
    met, left = {fresh}, deque([fresh])
    while left:
        content = left.popleft()
        resumed.text = content
        resumed.issue(ORDER)
        assert resumed.text == undisturbed.text
        for state, _ in torn_states(torn, content, (Phase.BEFORE, Phase.ANSWER_LOST)):
            if state not in met:
                met.add(state)
                left.append(state)
    assert len(met) == 23


@pytest.mark.parametrize("torn_on", [Ins.CREATE_APPLICATION, Ins.CREATE_VALUE_FILE, Ins.COMMIT_TRANSACTION])
def test_another_day_and_station_finish_a_card_with_a_new_order_of_the_same_number(torn_on: Ins) -> None:
    card = blank()
    with pytest.raises(CardGone):
        card.issue(ORDER, tear_on(torn_on, Phase.ANSWER_LOST))
    later = order_for(at=AT + timedelta(days=3))
    assert later.card_info != ORDER.card_info  # signed anew
    assert card.issue(later) is Found.BEGUN
    assert bytes.fromhex(application(card.state)["files"]["12"]["content"]) == later.card_info
    before = card.text
    assert card.issue(order_for(at=AT + timedelta(days=9))) is Found.ISSUED
    assert card.text == before
    assert first_payment_is_proven(card, later)


def test_a_card_info_torn_inside_its_writing_is_written_again(undisturbed: Undisturbed) -> None:
    card = blank()
    with pytest.raises(CardGone):
        card.issue(ORDER, tear_on(Ins.WRITE_DATA_CHAINED, Phase.ANSWER_LOST))
    half = ORDER.card_info[:48] + bytes(48)
    card.doctored(lambda content: application(content)["files"]["12"].update(content=half.hex().upper()))
    assert card.issue(ORDER) is Found.BEGUN
    assert card.text == undisturbed.text


def test_a_finished_card_is_tested_and_left_to_the_byte_also_when_it_has_paid(undisturbed: Undisturbed) -> None:
    card = HeldCard(MemoryStore(undisturbed.text))
    for _ in range(2):
        before = card.text
        assert card.issue(ORDER) is Found.ISSUED
        assert card.text == before
        if application(card.state)["files"]["0F"]["tmc"] == 0:
            assert first_payment_is_proven(card, ORDER)
    assert application(card.state)["files"]["0F"]["tmc"] == 1


def another_card_number() -> IssueOrder:
    """The same chip under another pseudonym, as another centre of the same masters would order."""
    return order_for(card=CardId(bytes(7) + b"\x01"))


@pytest.mark.parametrize(
    ("other", "refusal"),
    [
        (order_for(masters=0x50), CardNotBlank),
        (replace(ORDER, aid=b"\x01\x02\x03"), CardNotBlank),
        (another_card_number(), CardNotBlank),
        (replace(ORDER, uid=Uid(b"\x04" + bytes(6))), NotOurCard),
    ],
    ids=["other masters", "other application", "other card number", "other chip"],
)
def test_a_card_of_another_programme_or_order_is_refused_and_left_to_the_byte(
    undisturbed: Undisturbed, other: IssueOrder, refusal: type[Exception]
) -> None:
    card = HeldCard(MemoryStore(undisturbed.text))
    before = card.text
    with pytest.raises(refusal):
        card.issue(other)
    assert card.text == before


def foreign_des_key(content: State) -> None:
    content["picc"]["key"] = "11" * 16


def foreign_application(content: State) -> None:
    content["applications"]["F00001"] = application(issued(ORDER).state)


@pytest.mark.parametrize("change", [foreign_des_key, foreign_application])
def test_a_foreign_card_is_refused_and_left_to_the_byte(change: Callable[[State], None]) -> None:
    card = blank().doctored(change)
    before = card.text
    with pytest.raises(CardNotBlank):
        card.issue(ORDER)
    assert card.text == before


def test_a_begun_card_that_no_tear_can_have_left_is_named_for_the_scrap() -> None:
    """A file of another size, and a log that begins with something else: somebody with the keys was there."""
    for number, change in (("11", {"content": "00" * 32}), ("10", {"records_oldest_first": ["22" * 32]})):
        card = blank()
        with pytest.raises(CardGone):
            card.issue(ORDER, tear_on(Ins.CREATE_TMAC_FILE, Phase.BEFORE))
        card.doctored(lambda content, n=number, c=change: application(content)["files"][n].update(c))  # type: ignore[misc]
        with pytest.raises(NotAsOrdered):
            card.issue(ORDER)


def test_an_unfinished_card_cannot_pay() -> None:
    card = blank()
    with pytest.raises(CardGone):
        card.issue(ORDER, tear_on(Ins.CREATE_TMAC_FILE, Phase.BEFORE))
    assert "0F" not in application(card.state)["files"]
    link = card.laid()
    select_application(link, AID)
    channel = authenticate_ev2_first(link, ORDER.keys[TERMINALS], TERMINALS)
    with pytest.raises(CardRefuses):
        channel.send(Ins.READ_DATA_CHAINED, place(TMAC_FILE, 12), answer_b=12)
