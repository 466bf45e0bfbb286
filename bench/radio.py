"""How long a tap is on the air: frames, turn-arounds and chained blocks of ISO/IEC 14443 type A, and nothing else.

Times are counted in periods of the carrier (1/fc), so that they are whole numbers. The card's own time is no part of
them (``bench/card_times.py``), nor is the reader's or the host's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.restored_card import Exchanged

FC_HZ: Final = 13_560_000
"""The carrier (ISO/IEC 14443-2)."""
FRAME_MOST_B: Final = 64
"""FSC and FSD: a whole frame with PCB and CRC. FSCI 5 in the ATS 06 75 77 81 02 80 of a DESFire EV3
(flipperzero-firmware pull request 4439); the reader is taken to be no better, though many take 256 B.
"""
PCB_B: Final = 1
"""Prologue of a block without CID and NAD (ISO/IEC 14443-4, block format)."""
CRC_B: Final = 2
"""CRC_A behind every frame but REQA, anticollision and their answers (ISO/IEC 14443-3:2018 §6.2.4)."""
BLOCK_MOST_B: Final = FRAME_MOST_B - PCB_B - CRC_B
BITS_A_BYTE: Final = 9
"""Eight and odd parity (ISO/IEC 14443-3:2018 §6.2.3.2, standard frame)."""
START_ETU: Final = 1
READER_END_ETU: Final = 2
"""End of communication: a logic 0 and a bit without pause (ISO/IEC 14443-2, type A, reader to card)."""
CARD_END_ETU: Final = 1
"""End of communication: a bit without subcarrier (ISO/IEC 14443-2, type A, card to reader)."""
SUBCARRIER_START_FC: Final = 32 * 16
"""At more than 106 kbit/s the card begins with 32 periods of the subcarrier fc/16 (ISO/IEC 14443-2)."""
CARD_TURNS_FC: Final = 1172
"""Shortest frame delay time from reader to card, last bit 0 (ISO/IEC 14443-3:2018 §6.2.1.1, n = 9)."""
READER_TURNS_FC: Final = 1172
"""Shortest frame delay time from card to reader (ISO/IEC 14443-3:2018 §6.2.1.2)."""
ACK_B: Final = PCB_B + CRC_B
"""R(ACK) (ISO/IEC 14443-4, block format)."""
START_UP_FC: Final = 8192
"""What the card asks for after its ATS: SFGI 1 in TB1 = 81 (ISO/IEC 14443-4: 4096/fc · 2^SFGI)."""


@dataclass(frozen=True, slots=True)
class BitRate:
    """One bit rate, both ways: its name in kbit/s, and the length of a bit in 1/fc (ISO/IEC 14443-2)."""

    kbit_s: int
    etu_fc: int


RATE_106: Final = BitRate(106, 128)
RATE_424: Final = BitRate(424, 32)


def milliseconds(periods: int) -> float:
    """Periods of the carrier in ms."""
    return periods * 1_000 / FC_HZ


def reader_frame_fc(size_b: int, rate: BitRate) -> int:
    """A frame of the reader, all its bytes counted."""
    return (START_ETU + BITS_A_BYTE * size_b + READER_END_ETU) * rate.etu_fc


def card_frame_fc(size_b: int, rate: BitRate) -> int:
    """A frame of the card, all its bytes counted."""
    lead_fc = 0 if rate == RATE_106 else SUBCARRIER_START_FC
    return lead_fc + (START_ETU + BITS_A_BYTE * size_b + CARD_END_ETU) * rate.etu_fc


def blocks(size_b: int) -> list[int]:
    """Bytes of an APDU or an answer carried by each of its blocks; 1 block at least."""
    full, rest = divmod(size_b, BLOCK_MOST_B)
    return [BLOCK_MOST_B] * full + ([rest] if rest or not full else [])


def exchange_fc(command_b: int, answer_b: int, rate: BitRate) -> int:
    """One APDU there and its answer back, with the reader's pause before the next APDU.

    All but the last block of a chain is acknowledged. Between the last block of the command and the first of the
    answer, and between an acknowledgement and the next block of the answer, the card works: that time is not in here.
    """
    there, back = blocks(command_b), blocks(answer_b)
    there_fc = sum(reader_frame_fc(PCB_B + size + CRC_B, rate) for size in there)
    card_acks_fc = (len(there) - 1) * (CARD_TURNS_FC + card_frame_fc(ACK_B, rate) + READER_TURNS_FC)
    back_fc = sum(card_frame_fc(PCB_B + size + CRC_B, rate) for size in back)
    reader_acks_fc = (len(back) - 1) * (READER_TURNS_FC + reader_frame_fc(ACK_B, rate))
    return there_fc + card_acks_fc + back_fc + reader_acks_fc + READER_TURNS_FC


def air_ms(exchanged: Iterable[Exchanged], rate: BitRate) -> float:
    """All APDUs of a tap on the air, in ms; without activation."""
    return milliseconds(sum(exchange_fc(len(one.apdu), len(one.answer), rate) for one in exchanged))


WAKE_UP_BITS: Final = 7
"""REQA or WUPA, a short frame (ISO/IEC 14443-3:2018 §6.2.3.1)."""
ACTIVATION: Final = ((2, 5), (9, 3), (2, 5), (9, 3), (4, 8))
"""Bytes there and back for a UID of 7 bytes: anticollision and selection of two levels, RATS and ATS
(ISO/IEC 14443-3:2018 §6.5 and 14443-4; the ATS above with its CRC).
"""
ATQA_B: Final = 2
PPS: Final = (5, 3)
"""PPSS, PPS0, PPS1 and their answer, each with CRC (ISO/IEC 14443-4)."""


def activation_ms(rate: BitRate) -> float:
    """From WUPA to the first APDU, in ms: always at 106 kbit/s, with PPS when another bit rate follows.

    The shortest the standard allows; a reader polls, waits and asks more than that.
    """
    wake_up_fc = (START_ETU + WAKE_UP_BITS + READER_END_ETU) * RATE_106.etu_fc
    pairs = [*ACTIVATION, *(() if rate == RATE_106 else (PPS,))]
    turns_fc = CARD_TURNS_FC + READER_TURNS_FC
    frames_fc = [reader_frame_fc(there, RATE_106) + card_frame_fc(back, RATE_106) + turns_fc for there, back in pairs]
    return milliseconds(
        wake_up_fc + card_frame_fc(ATQA_B, RATE_106) + turns_fc + sum(frames_fc) + START_UP_FC - READER_TURNS_FC
    )
