"""Commands in frames, and answers judged by length before anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.errors import CardGone, CardMisbehaves
from terminal.nfc.apdu import FRAME_PAYLOAD_B, Ins, ask, named, unwrap, wrap
from terminal.nfc.links import Link
from terminal.ports import Deadline


class Script:
    """Answers in order; remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = [bytes.fromhex(answer) for answer in answers]
        self.asked: list[bytes] = []

    def __call__(self, apdu: bytes) -> bytes:
        self.asked.append(apdu)
        return self.answers.pop(0)


def test_a_command_is_wrapped_with_its_length_and_without_one_when_empty() -> None:
    assert wrap(0x60) == bytes.fromhex("9060000000")
    assert wrap(0x5A, b"\x01\x02\x03") == bytes.fromhex("905A00000301020300")


def test_an_iso_dep_instruction_carries_255_bytes_in_one_apdu() -> None:
    card = Script("9100")
    ask(card, Ins.WRITE_DATA_CHAINED, bytes(255))
    assert len(card.asked) == 1 and len(card.asked[0]) == 261


def test_a_native_instruction_is_cut_into_frames() -> None:
    card = Script("91AF", "91AF", "019100")
    answer = ask(card, Ins.WRITE_DATA, bytes(range(120)))
    assert [apdu[1] for apdu in card.asked] == [Ins.WRITE_DATA, Ins.MORE, Ins.MORE]
    assert b"".join(apdu[5:-1] for apdu in card.asked) == bytes(range(120))
    assert max(len(apdu) for apdu in card.asked) <= FRAME_PAYLOAD_B + 6
    assert answer.data == b"\x01"


def test_an_answer_in_frames_is_put_together() -> None:
    answer = ask(Script("0191AF", "0291AF", "039100"), Ins.READ_DATA, b"\x01")
    assert (answer.data, answer.status) == (b"\x01\x02\x03", 0)


def test_an_answer_that_never_ends_is_cut_off() -> None:
    with pytest.raises(CardMisbehaves):
        ask(lambda _apdu: bytes(59) + b"\x91\xaf", Ins.READ_DATA, b"\x01")
    with pytest.raises(CardMisbehaves):
        ask(lambda _apdu: b"\x91\xaf", Ins.READ_DATA, b"\x01")


@pytest.mark.parametrize("answers", [("9100",), ("0191AF", "9100")])
def test_a_card_that_does_not_wait_for_the_rest_of_a_command_misbehaves(answers: tuple[str, ...]) -> None:
    with pytest.raises(CardMisbehaves):
        ask(Script(*answers), Ins.WRITE_DATA, bytes(120))


def test_an_error_in_the_middle_of_a_command_is_its_answer() -> None:
    assert ask(Script("917E"), Ins.WRITE_DATA, bytes(120)).status == 0x7E


@pytest.mark.parametrize("answer", [b"", b"\x91", b"\x90\x00", b"\x6d\x00", bytes(257) + b"\x91\x00", bytes(65_535)])
def test_an_answer_no_card_of_ours_gives_is_misbehaviour(answer: bytes) -> None:
    with pytest.raises(CardMisbehaves):
        unwrap(answer)


@pytest.mark.parametrize("answer", [b"\x63\x00", b"\x64\x01"])
def test_a_reader_that_lost_the_card_says_so_in_its_place(answer: bytes) -> None:
    with pytest.raises(CardGone):
        unwrap(answer)


@given(st.binary(max_size=300))
def test_any_answer_gives_an_answer_or_a_fault(answer: bytes) -> None:
    try:
        taken = unwrap(answer)
    except (CardMisbehaves, CardGone):
        return
    assert taken.data + bytes([0x91, taken.status]) == answer


def test_a_status_is_named() -> None:
    assert (named(0xAE), named(0x33)) == ("AUTHENTICATION_ERROR", "33")


class Echo:
    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        return b"\x91\x00"

    def close(self, *, is_clean: bool) -> None: ...


def test_a_tap_takes_forty_apdus_and_no_more() -> None:
    link = Link(Echo(), Deadline(0), lambda _deadline: 1.0)
    for _ in range(40):
        link.exchange(wrap(0x60))
    with pytest.raises(CardMisbehaves):
        link.exchange(wrap(0x60))
    assert link.counters.apdus == 40


def test_nothing_is_sent_once_the_time_is_over() -> None:
    link = Link(Echo(), Deadline(0), lambda _deadline: 0.0)
    with pytest.raises(CardGone):
        link.exchange(wrap(0x60))
    assert link.counters.apdus == 0
