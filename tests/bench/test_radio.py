"""The radio model: frames by hand, frames and turn-arounds that others recorded, and a published table it must meet."""

from __future__ import annotations

import itertools

import pytest

from bench.card_times import CIPHER_BLOCK, NEXT_BLOCK, PAGE, READ, TIMES, Basis, card_ms, command_ms, sources, untimed
from bench.radio import (
    RATE_106,
    RATE_424,
    BitRate,
    activation_ms,
    air_ms,
    blocks,
    card_frame_fc,
    exchange_fc,
    milliseconds,
    reader_frame_fc,
)
from bench.restored_card import Exchanged

SELECT = Exchanged(bytes.fromhex("905A000003A0531000"), bytes.fromhex("9100"))
COMMIT = Exchanged(bytes.fromhex("90C7000009 01") + bytes(9), bytes(20) + b"\x91\x00")


def plain_read(kbit_s: int, etu_fc: int) -> float:
    """1 KiB from a DESFire in frames of 64 bytes, 59 bytes of it in each, from activation to deselection; in ms."""
    rate = BitRate(kbit_s, etu_fc)
    wanted = [59] * 17 + [1024 - 17 * 59]
    asked = [8] + [1] * 17
    reads_fc = sum(exchange_fc(there, 1 + back, rate) for there, back in zip(asked, wanted, strict=True))
    select_fc, deselect_fc = exchange_fc(4, 1, rate), exchange_fc(0, 0, rate)
    return activation_ms(rate if kbit_s > 106 else RATE_106) + milliseconds(select_fc + reads_fc + deselect_fc)


def test_a_short_exchange_at_106_is_what_the_hand_computes() -> None:
    # There: 9 bytes of APDU, PCB and CRC are 12: 1 + 12 * 9 + 2 = 111 bits of 128/fc. Back: 5 bytes, 1 + 45 + 1 = 47.
    assert air_ms([SELECT], RATE_106) == pytest.approx((111 * 128 + 47 * 128 + 1172) * 1000 / 13_560_000)
    assert round(air_ms([SELECT], RATE_106), 3) == 1.578


def test_a_short_exchange_at_424_has_shorter_bits_and_a_lead_of_subcarrier() -> None:
    assert exchange_fc(9, 2, RATE_424) == 111 * 32 + (512 + 47 * 32) + 1172


def test_an_answer_of_250_bytes_comes_in_five_blocks_with_four_acknowledgements() -> None:
    assert blocks(250) == [61, 61, 61, 61, 6]
    # Back: four frames of 64 bytes (578 bits), one of 9 (83); four acknowledgements of 3 bytes (30 bits), each after
    # the reader's turn; there: 21 + 3 bytes (219 bits); and the reader's turn before the next APDU.
    bits = 219 + 4 * 578 + 83 + 4 * 30
    assert exchange_fc(21, 250, RATE_106) == bits * 128 + 5 * 1172


def test_a_command_of_261_bytes_is_acknowledged_by_the_card_four_times() -> None:
    assert blocks(261) == [61, 61, 61, 61, 17]
    # There: four frames of 64 bytes (579 bits), one of 20 (183); the card acknowledges in 29 bits, both turn each time.
    bits = 4 * 579 + 183 + 4 * 29 + (1 + 13 * 9 + 1)
    assert exchange_fc(261, 10, RATE_106) == bits * 128 + 4 * 2 * 1172 + 1172


def test_an_apdu_that_fills_a_block_is_not_chained() -> None:
    assert (blocks(61), blocks(62), blocks(0)) == ([61], [61, 1], [0])


@pytest.mark.parametrize("rate", [RATE_106, RATE_424], ids=str)
def test_more_bytes_are_never_faster(rate: BitRate) -> None:
    for times in (
        [exchange_fc(size, 2, rate) for size in range(300)],
        [exchange_fc(2, size, rate) for size in range(300)],
    ):
        assert all(shorter < longer for shorter, longer in itertools.pairwise(times))


def test_bits_at_424_are_a_quarter_as_long_and_turns_are_not_shortened() -> None:
    assert reader_frame_fc(64, RATE_106) == 4 * reader_frame_fc(64, RATE_424)
    assert card_frame_fc(64, RATE_106) == 4 * (card_frame_fc(64, RATE_424) - 512)
    slow, fast = exchange_fc(9, 2, RATE_106) - 1172, exchange_fc(9, 2, RATE_424) - 1172 - 512
    assert slow == 4 * fast


@pytest.mark.parametrize(
    ("size_b", "is_reader", "recorded_fc"),
    [(16, True, 18_528), (11, True, 12_832), (26, True, 30_048), (6, False, 6_976), (14, False, 16_256)],
)
def test_frames_are_as_long_as_those_recorded_of_a_card(size_b: int, is_reader: bool, recorded_fc: int) -> None:
    """proxmark3, traces/hf_mfdes_sniff.trace: it ends a frame with its last bit, the model after the end of frame."""
    modelled_fc = (reader_frame_fc if is_reader else card_frame_fc)(size_b, RATE_106)
    assert 0 < modelled_fc - recorded_fc < 3 * 128


def test_activation_without_the_readers_waits_is_as_long_as_the_one_recorded() -> None:
    """The same recording, from WUPA to the end of the answer to PPS, each wait of the reader taken off."""
    waits_fc = [4_028, 4_780, 4_508, 5_020, 4_444, 13_164]
    recorded_fc = 18_225_495 - 18_109_523 - sum(waits_fc)
    modelled_fc = activation_ms(RATE_424) * 13_560 - 6 * 1_172 - 8_192
    assert 0 < modelled_fc - recorded_fc < 14 * 2 * 128  # 14 frames, recorded without their end


def test_activation_has_pps_only_when_another_bit_rate_follows() -> None:
    more_ms = activation_ms(RATE_424) - activation_ms(RATE_106)
    assert more_ms == pytest.approx(milliseconds(reader_frame_fc(5, RATE_106) + card_frame_fc(3, RATE_106) + 2 * 1172))


@pytest.mark.parametrize(
    ("kbit_s", "etu_fc", "published_ms"), [(106, 128, 130), (212, 64, 80), (424, 32, 52), (848, 16, 43)]
)
def test_reading_a_kilobyte_takes_what_was_published_at_every_bit_rate(
    kbit_s: int, etu_fc: int, published_ms: int
) -> None:
    """gorferay.com, "The use of higher data rates in applications", Table 12, DESFire: 18 reads and a selection."""
    modelled_ms = plain_read(kbit_s, etu_fc) + 19 * NEXT_BLOCK.ms
    assert modelled_ms == pytest.approx(published_ms, abs=4)


def test_every_figure_names_its_source_and_what_it_rests_on() -> None:
    for _instruction, name, figure in sources():
        assert name and figure.ms > 0 and isinstance(figure.basis, Basis)
        assert len(figure.source) > 10


def test_a_figure_of_another_command_or_card_is_called_assumed() -> None:
    of_a_desfire = {instruction for instruction, time in TIMES.items() if time.base.basis is not Basis.ASSUMED}
    assert of_a_desfire == {0x5A, 0xAD, 0xBD}


def test_a_command_without_a_figure_is_named() -> None:
    unheard_of = Exchanged(bytes.fromhex("9060000000"), bytes.fromhex("91AF"))
    assert untimed([SELECT, unheard_of]) == [0x60]
    assert card_ms([SELECT, unheard_of]) == card_ms([SELECT])


def written(instruction: int, file: int, size_b: int) -> Exchanged:
    """A write as the channel sends it in full mode: header, enciphered data, MAC."""
    enciphered_b = (size_b // 16 + 1) * 16
    data = bytes([file]) + bytes(3) + size_b.to_bytes(3, "little") + bytes(enciphered_b + 8)
    return Exchanged(bytes([0x90, instruction, 0, 0, len(data)]) + data + b"\0", bytes(8) + b"\x91\x00")


def test_a_written_record_costs_its_cipher_blocks_and_its_pages() -> None:
    one = written(0x8B, 0x10, 32)
    assert len(one.apdu) == 69
    assert command_ms(one) == pytest.approx(READ.ms + NEXT_BLOCK.ms + 3 * CIPHER_BLOCK.ms + 2 * PAGE.ms)


def test_commit_costs_a_page_for_each_file_changed_once() -> None:
    debit = bytes.fromhex("90DC000019") + b"\x03" + bytes(25)
    debits = [Exchanged(debit[:5] + bytes([file]) + debit[6:], bytes(8) + b"\x91\x00") for file in (3, 3, 4)]
    alone_ms = sum(command_ms(one) for one in (*debits, COMMIT))
    assert card_ms([*debits, COMMIT]) == pytest.approx(alone_ms + 2 * PAGE.ms)
    assert card_ms(debits) == pytest.approx(alone_ms - command_ms(COMMIT))
