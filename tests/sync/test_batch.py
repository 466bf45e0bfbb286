"""Batch and answer: whole, cut, damaged, of another version, signed by somebody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import TerminalId
from sync.batch import (
    MOST_BATCH_B,
    MOST_RECORDS,
    Answer,
    BatchHead,
    Disposition,
    Versions,
    decode_answer,
    decode_batch,
    encode_answer,
    encode_batch,
    head_of,
    records_that_fit,
)
from sync.cbor import Map, decode_map, encode
from sync.cose import ContentType, open1, sign1
from sync.crypto import new_private_key, sign
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion

HEAD = BatchHead(TerminalId(b"terminal"), 1, 7, bytes(range(16)), Versions(1, 2, 3, 4, 5, 6))
RECORDS = [encode([b"protected", {}, bytes([number]) * 40, bytes(64)]) for number in range(5)]
KEY = new_private_key()
ANSWER = Answer(
    terminal=HEAD.terminal,
    epoch=1,
    head_seq=11,
    head_hash=bytes(32),
    centre_time=datetime(2026, 12, 1, 9, 30, tzinfo=UTC),
    nonce=HEAD.nonce,
    dispositions=((8, Disposition.QUARANTINED), (9, Disposition.EXCESS)),
    newest=Versions(9, 8, 7, 6, 5, 4),
)


def signed(answer: Answer) -> bytes:
    return encode_answer(answer, b"answers", lambda message: sign(KEY, message))


def test_a_batch_comes_out_as_it_went_in() -> None:
    batch = decode_batch(encode_batch(HEAD, RECORDS))
    assert (batch.head, list(batch.records), batch.damage) == (HEAD, RECORDS, None)
    assert head_of(encode_batch(HEAD, RECORDS)) == HEAD


def test_an_empty_batch_asks_only_for_the_answer() -> None:
    assert decode_batch(encode_batch(HEAD, [])).records == ()


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, len(encode_batch(HEAD, RECORDS))))
def test_a_batch_cut_on_its_way_gives_the_whole_records_that_arrived(cut: int) -> None:
    whole = encode_batch(HEAD, RECORDS)
    head_b = len(encode_batch(HEAD, []))
    if cut < head_b:
        with pytest.raises(Malformed):
            decode_batch(whole[:cut])
        return
    batch = decode_batch(whole[:cut])
    arrived = (cut - head_b) // len(RECORDS[0])
    assert list(batch.records) == RECORDS[:arrived]
    assert (batch.damage is None) == ((cut - head_b) % len(RECORDS[0]) == 0)


@settings(max_examples=300, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_is_refused_or_read_as_nothing_more_than_it_is(noise: bytes) -> None:
    for data in (noise, encode_batch(HEAD, RECORDS[:1]) + noise):
        try:
            batch = decode_batch(data)
        except FormatError:
            continue
        assert b"".join([encode_batch(batch.head, []), *batch.records]) == data or batch.damage is not None


def test_a_batch_of_tomorrow_is_named_so() -> None:
    fields: Map = {**decode_map(encode_batch(HEAD, []), 512), 0: 2}
    with pytest.raises(UnknownVersion):
        decode_batch(encode(fields))


def test_a_batch_never_outgrows_its_two_limits() -> None:
    small, large = [b"\x40"] * 300, [encode(bytes(4_000))] * 80
    assert records_that_fit(small) == MOST_RECORDS
    fitting = records_that_fit(large)
    assert (
        len(encode_batch(HEAD, large[:fitting]))
        <= MOST_BATCH_B
        < len(encode_batch(HEAD, [])) + sum(len(record) for record in large[: fitting + 1])
    )
    with pytest.raises(ValueError, match="256"):
        encode_batch(HEAD, small)
    with pytest.raises(Malformed):
        decode_batch(encode_batch(HEAD, []) + b"".join(large))
    with pytest.raises(Malformed):
        decode_batch(encode_batch(HEAD, []) + b"".join(small))


def test_an_answer_comes_out_as_it_was_signed() -> None:
    assert decode_answer(signed(ANSWER), KEY.public_key(), HEAD.nonce) == ANSWER
    frozen = replace(ANSWER, is_frozen=True)
    assert decode_answer(signed(frozen), KEY.public_key(), HEAD.nonce).is_frozen


def test_an_answer_to_another_batch_is_refused() -> None:
    with pytest.raises(Malformed):
        decode_answer(signed(ANSWER), KEY.public_key(), bytes(16))


def test_an_answer_somebody_else_signed_is_refused() -> None:
    with pytest.raises(BadSignature):
        decode_answer(signed(ANSWER), new_private_key().public_key(), HEAD.nonce)


def test_no_bit_of_an_answer_can_change() -> None:
    answer = signed(ANSWER)
    for place in range(len(answer)):
        for bit in (0, 3, 7):
            altered = bytearray(answer)
            altered[place] ^= 1 << bit
            with pytest.raises(FormatError):
                decode_answer(bytes(altered), KEY.public_key(), HEAD.nonce)


def test_another_signed_thing_is_never_taken_for_an_answer() -> None:
    payload = open1(signed(ANSWER), 65_536).payload
    other = sign1(ContentType.HOT_LIST, b"answers", payload, lambda message: sign(KEY, message))
    with pytest.raises(UnknownVersion):
        decode_answer(other, KEY.public_key(), HEAD.nonce)


def test_a_disposition_of_tomorrow_counts_as_quarantined() -> None:
    payload: Map = {**decode_map(open1(signed(ANSWER), 65_536).payload, 65_536), 7: [[8, 99]]}
    answer = sign1(ContentType.ANSWER, b"answers", encode(payload), lambda message: sign(KEY, message))
    assert decode_answer(answer, KEY.public_key(), HEAD.nonce).dispositions == ((8, Disposition.QUARANTINED),)
