"""The two halves of a purse file: whatever is left of a write, the file says the state before it or the one after."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import SlotFile, Uid
from domain.money import Cents
from sync import ntag_format
from sync.errors import FormatError, Malformed, UnknownVersion
from sync.ntag_format import (
    HALF_SIZE_B,
    PURSE_FILE_B,
    PurseHalf,
    decode_half,
    decode_purse_file,
    encode_half,
    first_purse_file,
    is_purse_file,
)

UID = Uid(bytes.fromhex("04958CAA5C5E80"))
LOADED = Cents(16_000_000)
OLDEST = PurseHalf(7, (LOADED,) * 6, b"a" * 32)
STANDS = PurseHalf(8, (LOADED, Cents(15_999_700), *(LOADED,) * 4), b"b" * 32)
NEXT = PurseHalf(9, (LOADED, Cents(15_999_200), *(LOADED,) * 4), b"c" * 32)


def file_of(first: PurseHalf, second: PurseHalf) -> bytes:
    return encode_half(first, UID) + encode_half(second, UID)


def test_the_half_on_the_format_page_is_the_one_this_program_writes() -> None:
    page = (Path(__file__).parents[3] / "docs" / "formats" / "card-ntag424.md").read_text()
    assert "\n".join(textwrap.wrap(encode_half(STANDS, UID).hex().upper(), 64)) in page.replace("    ", "")


def test_the_greater_number_counts_wherever_it_stands_and_the_other_half_is_free() -> None:
    for content, free in ((file_of(OLDEST, STANDS), 0), (file_of(STANDS, OLDEST), 1)):
        found = decode_purse_file(content, UID)
        assert (found.newest, found.older, found.free) == (STANDS, OLDEST, free)
        assert found.logs == (STANDS.log_record, OLDEST.log_record)


@pytest.mark.parametrize("place", [0, 1])
def test_any_first_part_of_a_write_leaves_the_state_before_or_the_state_after(place: int) -> None:
    for before in (encode_half(OLDEST, UID), bytes(HALF_SIZE_B), b"\x00\x7e" + bytes(62)):
        for written_b in range(HALF_SIZE_B + 1):
            new = encode_half(NEXT, UID)
            torn = new[:written_b] + before[written_b:]
            halves = [encode_half(STANDS, UID)] * 2
            halves[place] = torn
            found = decode_purse_file(b"".join(halves), UID)
            assert found.newest == (NEXT if torn == new else STANDS)
            assert found.free == (1 - place if torn == new else place), "the half that counts is never written"


def test_halves_of_two_states_mixed_at_any_place_do_not_count() -> None:
    one, other = encode_half(OLDEST, UID), encode_half(NEXT, UID)
    for at in range(HALF_SIZE_B + 1):
        mixed = one[:at] + other[at:]
        if mixed not in (one, other):
            with pytest.raises(Malformed):
                decode_half(mixed, UID)


def test_a_half_of_another_chip_does_not_count() -> None:
    with pytest.raises(Malformed):
        decode_half(encode_half(STANDS, UID), Uid(bytes.fromhex("04958CAA5C5E81")))


def test_a_later_programs_half_is_not_passed_over_for_an_older_state() -> None:
    """Passing it over would put the purse back by a payment."""
    body = b"\x02" + encode_half(NEXT, UID)[1:56]
    later = body + ntag_format._check_value(body, UID)
    content = encode_half(STANDS, UID) + later
    with pytest.raises(UnknownVersion):
        decode_purse_file(content, UID)
    assert is_purse_file(content, UID)


def test_two_states_of_one_number_are_no_state() -> None:
    with pytest.raises(Malformed):
        decode_purse_file(file_of(STANDS, replace(NEXT, counter=8)), UID)


@pytest.mark.parametrize("content", [b"", bytes(PURSE_FILE_B), b"\x00\x7e" + bytes(126), bytes(PURSE_FILE_B - 1)])
def test_a_file_without_a_state_is_none(content: bytes) -> None:
    assert not is_purse_file(content, UID)
    with pytest.raises(Malformed):
        decode_purse_file(content, UID)


def test_a_purse_as_issued_is_full_and_bears_number_0() -> None:
    found = decode_purse_file(first_purse_file(LOADED, b"a" * 32, UID), UID)
    assert (found.newest, found.older, found.free) == (replace(OLDEST, counter=0), None, 1)


def test_a_tag_holds_slots_1_to_6() -> None:
    assert [STANDS.value(SlotFile(file)) is not None for file in range(9)] == [False, *[True] * 6, False, False]


@given(st.one_of(st.binary(max_size=2 * PURSE_FILE_B), st.binary(min_size=PURSE_FILE_B, max_size=PURSE_FILE_B)))
def test_whatever_stands_in_the_file_is_a_state_or_a_fault_of_its_format(content: bytes) -> None:
    try:
        found = decode_purse_file(content, UID)
    except FormatError:
        return
    assert encode_half(found.newest, UID) in (content[:HALF_SIZE_B], content[HALF_SIZE_B:])


@given(st.integers(0, 8 * HALF_SIZE_B - 1))
def test_one_bit_turned_in_a_half_and_the_half_does_not_count(bit: int) -> None:
    half = bytearray(encode_half(NEXT, UID))
    half[bit // 8] ^= 1 << bit % 8
    found = decode_purse_file(encode_half(STANDS, UID) + half, UID)
    assert (found.newest, found.older) == (STANDS, None)
