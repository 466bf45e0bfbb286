"""The centre's reading of a card's proof: the public vector, the grammar, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.card_log import Debit
from domain.identity import SlotFile, Uid
from domain.money import Cents
from sync.errors import Malformed
from sync.tmac import is_proven, parse, previous_reader_id, session_keys
from tests.sync.pocket import PocketCard, file_part, item, little, padded

UID = Uid(bytes.fromhex("04A1B2C3D4E5F6"))
KEY = bytes(range(16))
READER_ID = b"\x01" + bytes.fromhex("000007 00002A") + bytes(9)
LOG = bytes(range(32))
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "desfire.json").read_text(encoding="utf-8"))
CARD = PocketCard(UID, KEY, tmc=4, reader_id=b"\x01" + bytes(15))
AFTER, PAYMENT = CARD.pay({1: 1_250, 3: 300}, READER_ID, LOG, read=(1, 2, 3))


@pytest.mark.parametrize("vector", VECTORS["tmac_session_keys"], ids=lambda vector: vector["source"])
def test_session_keys_are_those_of_the_public_vector(vector: dict[str, str]) -> None:
    mac, enc = session_keys(bytes.fromhex(vector["app_tm_key"]), int(vector["tmc"]), Uid(bytes.fromhex(vector["uid"])))
    assert (mac.hex().upper(), enc.hex().upper()) == (vector["mac"], vector["enc"])


def test_every_money_fact_comes_out_of_the_input_of_the_proof() -> None:
    facts = parse(PAYMENT.tmi)
    assert facts.debits == (Debit(SlotFile(1), Cents(1_250)), Debit(SlotFile(3), Cents(300)))
    assert facts.amount == 1_550
    assert [(item.file, item.value) for item in facts.values] == [(file, 16_000_000) for file in (1, 2, 3)]
    assert facts.value_after(SlotFile(1)) == 15_998_750
    assert facts.value_after(SlotFile(2)) == 16_000_000
    assert (facts.reader_id, facts.own_log, facts.logs) == (READER_ID, LOG, (bytes(32),))
    assert facts.entitlement_written is None


def test_a_written_entitlement_is_the_one_in_force() -> None:
    newer = bytes([1]) * 233
    _, payment = CARD.pay({1: 5}, READER_ID, LOG, entitlement=newer)
    facts = parse(payment.tmi)
    assert facts.entitlement_in_force == facts.entitlement_written == newer
    assert facts.entitlement_read == bytes(233)


def test_native_commands_are_read_like_chained_ones() -> None:
    native = {"data": 0xBD, "write": 0x3D, "records": 0xBB, "record": 0x3B}
    _, payment = CARD.pay({1: 5}, READER_ID, LOG, entitlement=bytes(233), commands=native)
    assert parse(payment.tmi).amount == 5


def test_the_cards_own_proof_holds_and_any_other_does_not() -> None:
    assert is_proven(KEY, 5, UID, PAYMENT.tmi, PAYMENT.tmv)
    assert not is_proven(KEY, 6, UID, PAYMENT.tmi, PAYMENT.tmv)
    assert not is_proven(KEY, 5, UID, PAYMENT.tmi[:-1] + b"\x00", PAYMENT.tmv)
    assert not is_proven(bytes(16), 5, UID, PAYMENT.tmi, PAYMENT.tmv)


def test_the_reader_before_is_deciphered() -> None:
    enciphered = parse(PAYMENT.tmi).enciphered_previous
    assert previous_reader_id(KEY, 5, UID, enciphered) == b"\x01" + bytes(15)


def test_eight_log_records_in_two_reads_come_out_newest_first() -> None:
    newest_first = [bytes([number]) * 32 for number in range(8)]
    reads = b"".join(
        item(0xAB, file_part(0x10, start, 4)) + b"".join(reversed(newest_first[start : start + 4])) for start in (0, 4)
    )
    head, tail = 48, 48 + 16 + 32
    assert parse(PAYMENT.tmi[:head] + reads + PAYMENT.tmi[tail:]).logs == tuple(newest_first)


def test_slips_are_read_when_and_only_when_some_are_in_use() -> None:
    before = PAYMENT.tmi[: 48 + 48]
    after = PAYMENT.tmi[48 + 48 + 256 :]
    in_use = item(0xAD, file_part(0x11, 0, 234)) + padded(b"\x01" + bytes(233))
    unused = item(0xAD, file_part(0x11, 0, 234)) + padded(bytes(234))
    slips = item(0xAD, file_part(0x11, 234, 192)) + bytes([7]) * 192
    assert parse(before + in_use + slips + after).slips == bytes([7]) * 192
    for wrong in (in_use, unused + slips):
        with pytest.raises(Malformed):
            parse(before + wrong + after)


COMMIT = PAYMENT.tmi[:48]
RECORDS = PAYMENT.tmi[48:96]
ENTITLEMENT = PAYMENT.tmi[96:352]
VALUES = [PAYMENT.tmi[at : at + 16] for at in (352, 368, 384)]
DEBITS = [PAYMENT.tmi[at : at + 16] for at in (400, 416)]
RECORD = PAYMENT.tmi[432:]
WHOLE = [COMMIT, RECORDS, ENTITLEMENT, *VALUES, *DEBITS, RECORD]

INADMISSIBLE = {
    "nothing": [],
    "no reader id": WHOLE[1:],
    "reader id twice": [COMMIT, *WHOLE],
    "no log record read": [COMMIT, *WHOLE[2:]],
    "entitlement not read": [COMMIT, RECORDS, *WHOLE[3:]],
    "no value read": [COMMIT, RECORDS, ENTITLEMENT, *DEBITS, RECORD],
    "values out of file order": [COMMIT, RECORDS, ENTITLEMENT, VALUES[1], VALUES[0], VALUES[2], *DEBITS, RECORD],
    "a value read twice": [COMMIT, RECORDS, ENTITLEMENT, VALUES[0], *VALUES, *DEBITS, RECORD],
    "debits out of file order": [COMMIT, RECORDS, ENTITLEMENT, *VALUES, DEBITS[1], DEBITS[0], RECORD],
    "debited twice": [COMMIT, RECORDS, ENTITLEMENT, *VALUES, DEBITS[0], *DEBITS, RECORD],
    "nothing debited": [COMMIT, RECORDS, ENTITLEMENT, *VALUES, RECORD],
    "debit of a slot not read": [COMMIT, RECORDS, ENTITLEMENT, VALUES[0], *DEBITS, RECORD],
    "debit before a value": [COMMIT, RECORDS, ENTITLEMENT, DEBITS[0], *VALUES, DEBITS[1], RECORD],
    "no log record written": WHOLE[:-1],
    "two log records written": [*WHOLE, RECORD],
    "a credit": [*WHOLE[:-1], item(0x0C, b"\x01", little(100, 4)), RECORD],
    "a negative debit": [*WHOLE[:-3], item(0xDC, b"\x01", little(2**32 - 5, 4)), RECORD],
    "a debit of nothing": [*WHOLE[:-3], item(0xDC, b"\x01", little(0, 4)), RECORD],
    "more than the slot holds": [*WHOLE[:-3], item(0xDC, b"\x01", little(16_000_001, 4)), RECORD],
    "a slot that does not exist": [COMMIT, RECORDS, ENTITLEMENT, item(0x6C, b"\x09", little(9, 4)), *DEBITS, RECORD],
    "padding that says something": [*WHOLE[:-2], DEBITS[1][:-1] + b"\x01", RECORD],
    "another file's records": [COMMIT, item(0xAB, file_part(0x12, 0, 1)) + bytes(32), *WHOLE[2:]],
    "no record at all": [COMMIT, item(0xAB, file_part(0x10, 0, 0)), *WHOLE[2:]],
    "older records only": [COMMIT, item(0xAB, file_part(0x10, 1, 1)) + bytes(32), *WHOLE[2:]],
    "nine records": [COMMIT, item(0xAB, file_part(0x10, 0, 9)) + bytes(288), *WHOLE[2:]],
    "part of the entitlement": [COMMIT, RECORDS, item(0xAD, file_part(0x11, 0, 16)) + bytes(16), *WHOLE[3:]],
    "a slip place taken": [
        *WHOLE[:6],
        item(0x8D, file_part(0x11, 0, 234)) + padded(b"\x01" + bytes(233)),
        *WHOLE[6:],
    ],
    "four slots debited": [
        COMMIT,
        RECORDS,
        ENTITLEMENT,
        *(item(0x6C, bytes([file]), little(50, 4)) for file in (1, 2, 3, 4)),
        *(item(0xDC, bytes([file]), little(5, 4)) for file in (1, 2, 3, 4)),
        RECORD,
    ],
    "too long": [*WHOLE, bytes(2_000)],
}


VOID_LOG = bytes([0x12]) + bytes(31)
VOID_RECORD = item(0x8B, file_part(0x10, 0, 32)) + VOID_LOG
READS = [COMMIT, RECORDS, ENTITLEMENT, *VALUES]
SLIP = bytes([0x12]) + bytes([9]) * 95


def slip_into(place: int, size_b: int = 96) -> bytes:
    return item(0x8D, file_part(0x11, 234 + 96 * place, size_b)) + SLIP[:size_b]


def places(byte: int, entitlement: bytes = b"") -> bytes:
    return item(0x8D, file_part(0x11, 0, 1 + len(entitlement))) + padded(bytes([byte]) + entitlement)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("entitlement", [b"", bytes([1]) * 233], ids=["alone", "with a newer entitlement"])
def test_a_void_writes_a_slip_its_place_and_a_record(place: int, entitlement: bytes) -> None:
    facts = parse(b"".join([*READS, slip_into(place), places(1 << place, entitlement), VOID_RECORD]))
    assert facts.is_void
    assert (facts.slip_written, facts.places_written) == ((place, SLIP), 1 << place)
    assert (facts.entitlement_written, facts.own_log, facts.debits) == (entitlement or None, VOID_LOG, ())


def test_a_void_may_write_nothing_but_its_record_and_read_no_slot() -> None:
    facts = parse(b"".join([*READS, VOID_RECORD]))
    assert (facts.slip_written, facts.places_written, facts.is_void) == (None, None, True)
    assert parse(b"".join([*READS[:3], VOID_RECORD])).values == ()


NO_VOIDS = {
    "a payment's record": [*READS, slip_into(0), places(1), RECORD],
    "a void's record behind debits": [*READS, *DEBITS, VOID_RECORD],
    "a slip whose place is not taken": [*READS, slip_into(0), VOID_RECORD],
    "a slip and another place taken": [*READS, slip_into(0), places(2), VOID_RECORD],
    "both places taken by one slip": [*READS, slip_into(0), places(3), VOID_RECORD],
    "a place taken without a slip": [*READS, places(1), VOID_RECORD],
    "two slips": [*READS, slip_into(0), slip_into(1), places(3), VOID_RECORD],
    "the place before the slip": [*READS, places(1), slip_into(0), VOID_RECORD],
    "a slip cut short": [*READS, slip_into(0, 64), places(1), VOID_RECORD],
    "a slip in no place": [*READS, slip_into(2), places(1), VOID_RECORD],
    "a slip across two places": [*READS, item(0x8D, file_part(0x11, 240, 96)) + SLIP, places(1), VOID_RECORD],
    "a slip and a debit": [*READS, slip_into(0), places(1), *DEBITS, RECORD],
    "a payment that writes the byte alone": [*READS, places(0), *DEBITS, RECORD],
}


@pytest.mark.parametrize("parts", NO_VOIDS.values(), ids=NO_VOIDS.keys())
def test_anything_a_void_does_not_send_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(Malformed):
        parse(b"".join(parts))


def test_the_parts_these_tests_are_made_of_are_the_payment() -> None:
    assert b"".join(WHOLE) == PAYMENT.tmi


@pytest.mark.parametrize("parts", INADMISSIBLE.values(), ids=INADMISSIBLE.keys())
def test_anything_a_payment_does_not_send_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(Malformed):
        parse(b"".join(parts))


@settings(max_examples=300, deadline=None)
@given(cut=st.integers(0, len(PAYMENT.tmi) - 1))
def test_a_cut_input_is_refused(cut: int) -> None:
    with pytest.raises(Malformed):
        parse(PAYMENT.tmi[:cut])


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, len(PAYMENT.tmi)))
def test_no_bytes_do_more_than_be_refused(data: bytes, at: int) -> None:
    for tmi in (data, PAYMENT.tmi[:at] + data + PAYMENT.tmi[at + len(data) :]):
        try:
            facts = parse(tmi)
        except Malformed:
            continue
        assert all(0 < debit.amount <= facts.value_before(debit.file) for debit in facts.debits)
