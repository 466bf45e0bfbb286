from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, PurseNumber, SlotFile, Station, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.slip import Slip
from sync.card_format import (
    CardInfo,
    decode_card_info,
    decode_entitlement,
    decode_log_record,
    decode_reader_id,
    encode_card_info,
    encode_entitlement,
    encode_log_record,
    encode_reader_id,
    encode_slip,
    read_slip,
    verify_slip,
)
from sync.crypto import PublicKey, diversify, new_private_key, public_key, sign
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "card-objects.json").read_text())
DESFIRE = json.loads((Path(__file__).parents[1] / "vectors" / "desfire.json").read_text())
KEY = new_private_key()
UID = Uid(bytes.fromhex("04010203040506"))
START = datetime(2020, 1, 1, tzinfo=UTC)

minutes = st.integers(0, 0xFFFFFE).map(lambda count: START + timedelta(minutes=count))
seconds = st.integers(0, 2**32 - 1).map(lambda count: datetime.fromtimestamp(count, UTC))
three = st.integers(0, 0xFFFFFF)
cents = st.integers(0, 0xFFFFFE).map(Cents)
debits = st.lists(
    st.builds(Debit, st.integers(1, 8).map(SlotFile), st.integers(1, 0xFFFFF).map(Cents)), max_size=3
).map(tuple)
log_records = st.builds(
    LogRecord,
    st.sampled_from(LogType),
    three.map(Station),
    three,
    three,
    minutes,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    debits,
    st.one_of(st.none(), cents),
    st.one_of(st.none(), cents),
)


@st.composite
def entitlements(draw: st.DrawFn) -> Entitlement:
    files = sorted(draw(st.sets(st.integers(1, 8))))
    slots = tuple(
        Slot(
            SlotFile(file),
            PurseNumber(draw(st.integers(1, 255))),
            draw(cents),
            draw(cents),
            draw(cents),
            draw(minutes),
            draw(st.one_of(st.none(), minutes)),
        )
        for file in files
    )
    return Entitlement(
        draw(st.integers(0, 255)),
        CardId(draw(st.binary(min_size=8, max_size=8))),
        draw(st.integers(0, 255)),
        draw(three),
        draw(seconds),
        draw(seconds),
        draw(st.integers(0, 0xFFFF)),
        draw(st.integers(0, 2**32 - 1)),
        draw(cents),
        slots,
        frozenset(SlotFile(file) for file in draw(st.sets(st.integers(1, 8)))),
    )


def key_of(key_id: int) -> PublicKey | None:
    return KEY.public_key()


def signed(entitlement: Entitlement, uid: Uid = UID) -> bytes:
    return encode_entitlement(entitlement, uid, lambda message: sign(KEY, message))


@given(log_records)
def test_a_log_record_says_after_the_card_what_it_said_before(record: LogRecord) -> None:
    data = encode_log_record(record)
    assert len(data) == 32
    assert decode_log_record(data) == record


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_a_log_record_or_are_refused(data: bytes) -> None:
    try:
        decode_log_record(data)
    except FormatError:
        return


@given(entitlements())
def test_an_entitlement_says_after_the_card_what_the_centre_said(entitlement: Entitlement) -> None:
    data = signed(entitlement)
    assert len(data) == 97 + 17 * len(entitlement.slots) <= 233
    assert decode_entitlement(data, UID, key_of).entitlement == entitlement
    assert decode_entitlement(data.ljust(233, b"\x00"), UID, key_of).data == data


ONE = Entitlement(1, CardId(b"card-one"), 1, 7, START, START, 1, 0, Cents(0), ())


def test_an_entitlement_for_another_chip_counts_for_nothing() -> None:
    with pytest.raises(BadSignature):
        decode_entitlement(signed(ONE), Uid(bytes(7)), key_of)


def test_no_bit_of_an_entitlement_can_be_changed() -> None:
    original = signed(
        replace(ONE, slots=(Slot(SlotFile(1), PurseNumber(1), Cents(5), Cents(0), Cents(9), START, None),))
    )
    for place in range(len(original) * 8):
        changed = bytearray(original)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(FormatError):
            decode_entitlement(bytes(changed), UID, key_of)


def test_a_version_of_tomorrow_is_told_from_a_damaged_entitlement() -> None:
    with pytest.raises(UnknownVersion):
        decode_entitlement(b"\x02" + signed(ONE)[1:], UID, key_of)
    with pytest.raises(UnknownVersion):
        decode_entitlement(signed(ONE), UID, lambda _: None)
    with pytest.raises(Malformed):
        decode_entitlement(bytes(233), UID, key_of)
    with pytest.raises(Malformed):
        decode_entitlement(signed(ONE)[:-1], UID, key_of)


def test_a_log_record_of_tomorrow_is_told_from_a_damaged_one() -> None:
    record = encode_log_record(LogRecord(LogType.PAYMENT, Station(1), 1, 1, START, 1, 1, (), None, None))
    for first in (0x21, 0x1F):
        with pytest.raises(UnknownVersion):
            decode_log_record(bytes([first]) + record[1:])


@given(st.integers(0, 0xFFFFFF), st.integers(0, 0xFFFFFF))
def test_a_reader_id_names_station_and_number(station: int, seq: int) -> None:
    assert decode_reader_id(encode_reader_id(Station(station), seq)) == (station, seq)


def test_sixteen_zeros_are_no_reader_id() -> None:
    assert decode_reader_id(bytes(16)) is None


def test_card_info_is_bound_to_its_chip() -> None:
    info = CardInfo(1, CardId(b"card-one"), "gers", Cents(16_000_000), START)
    data = encode_card_info(info, UID, lambda message: sign(KEY, message))
    assert decode_card_info(data, UID, key_of) == info
    with pytest.raises(BadSignature):
        decode_card_info(data, Uid(bytes(7)), key_of)


@pytest.mark.parametrize("vector", VECTORS["log_records"], ids=lambda vector: vector["says"])
def test_log_record_vectors(vector: dict[str, str]) -> None:
    record = decode_log_record(bytes.fromhex(vector["hex"]))
    assert repr(record) == vector["record"]
    assert encode_log_record(record).hex() == vector["hex"]


@pytest.mark.parametrize("vector", DESFIRE["an10922_aes128"], ids=lambda vector: vector["source"])
def test_key_diversification_vector(vector: dict[str, str]) -> None:
    key = diversify(bytes.fromhex(vector["master"]), bytes.fromhex(vector["diversification_input"]))
    assert key.hex().upper() == vector["key"]


slips = st.builds(
    Slip,
    three.map(Station),
    three,
    three,
    three,
    three,
    st.tuples(st.integers(0, 255), three),
    st.dictionaries(st.integers(1, 8), st.integers(1, 0xFFFFF), max_size=3).map(
        lambda amounts: tuple(Debit(SlotFile(file), Cents(amounts[file])) for file in sorted(amounts))
    ),
    minutes,
)
CARD = CardId(b"card-one")


@given(slips)
def test_a_slip_comes_back_from_its_96_bytes(slip: Slip) -> None:
    data = encode_slip(slip, CARD, lambda message: sign(KEY, message))
    assert len(data) == 96
    assert read_slip(data) == slip
    verify_slip(data, CARD, KEY.public_key())


@pytest.mark.parametrize("row", VECTORS["slips"]["vectors"], ids=lambda row: row["says"])
def test_slips_are_the_bytes_the_paper_says(row: dict[str, object]) -> None:
    data = bytes.fromhex(str(row["hex"]))
    slip = read_slip(data)
    told = {name: row[name] for name in ("station", "seq", "payment_seq", "payment_tmc", "tmc")}
    assert {name: getattr(slip, name) for name in told} == told
    assert [list(slip.entitlement), [[part.file, part.amount] for part in slip.amounts]] == [
        row["entitlement"],
        row["amounts"],
    ]
    assert slip.minutes_at.isoformat().replace("+00:00", "Z") == row["minutes_at"]
    card, key = VECTORS["slips"]["card"], VECTORS["slips"]["device_key"]
    verify_slip(data, CardId(bytes.fromhex(card)), public_key(bytes.fromhex(key)))
    assert encode_slip(slip, CardId(bytes(8)), lambda _: data[32:]) == data


def test_a_slip_is_for_one_card_and_every_bit_of_it_is_signed() -> None:
    data = bytes.fromhex(VECTORS["slips"]["vectors"][0]["hex"])
    key = public_key(bytes.fromhex(VECTORS["slips"]["device_key"]))
    card = CardId(bytes.fromhex(VECTORS["slips"]["card"]))
    with pytest.raises(BadSignature):
        verify_slip(data, CARD, key)
    for bit in range(32 * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSignature):
            verify_slip(bytes(changed), card, key)


def test_a_slip_of_tomorrow_is_named_so() -> None:
    data = bytes.fromhex(VECTORS["slips"]["vectors"][0]["hex"])
    for first in (0x22, 0x13):
        with pytest.raises(UnknownVersion):
            read_slip(bytes([first]) + data[1:])
    with pytest.raises(Malformed):
        read_slip(data[:95])


@given(st.binary(min_size=96, max_size=96))
def test_no_bytes_of_a_slip_do_more_than_be_refused(noise: bytes) -> None:
    for data in (noise, b"\x12" + noise[1:]):
        try:
            read_slip(data)
        except FormatError:
            continue
