"""Pulling a card at a chosen moment, and cards that misbehave."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random

OVERSIZED_B = 65535


@dataclass(frozen=True, slots=True)
class Moment:
    """Which APDU of a presentation is meant; pseudo-APDUs answered by the reader do not count.

    `index`: position from 0. `instruction`: native instruction code, AF frames included as AF. With neither, any APDU.
    `nth`: which of the matching ones, from 1; 0 means each of them.
    """

    index: int | None = None
    instruction: int | None = None
    nth: int = 1

    def covers(self, index: int, instruction: int) -> bool:
        """Whether an APDU matches, whatever its occurrence."""
        return self.index in (None, index) and self.instruction in (None, instruction)


class Phase(Enum):
    """When the field goes: before the APDU's effect, after its answer arrived, or after its effect with no answer."""

    BEFORE = "before"
    AFTER = "after"
    ANSWER_LOST = "answer lost"


@dataclass(frozen=True, slots=True)
class Tear:
    """The card leaves the field around one APDU."""

    at: Moment
    phase: Phase


Written = Callable[[int], int]
"""How many bytes of a write reach the memory before the field goes: 0 to the length asked. A change that the card makes
whole or not at all asks with length 1."""


@dataclass(frozen=True, slots=True)
class TornWrite:
    """The card leaves the field while it writes: no answer, and the effect is there, not there, or there in part."""

    at: Moment
    written: Written


def prefix(written_b: int) -> Written:
    """The first `written_b` bytes, or all when there are fewer."""
    return lambda length_b: min(written_b, length_b)


def chance(seed: int) -> Written:
    """Nothing, everything or a prefix of any length, each as likely; the same for the same seed."""
    choose = Random(seed)
    return lambda length_b: choose.choice((0, length_b, choose.randint(0, length_b)))


@dataclass(frozen=True, slots=True)
class Fault:
    """The card gives a distorted answer to some APDU; `distort` gets the true answer, status bytes included."""

    at: Moment
    distort: Callable[[bytes], bytes]


Disturbance = Tear | TornWrite | Fault


def tear_at(index: int, phase: Phase) -> Tear:
    """Tear at the APDU of that position, counted from 0."""
    return Tear(Moment(index=index), phase)


def tear_on(instruction: int, phase: Phase, nth: int = 1) -> Tear:
    """Tear at the nth APDU with that instruction."""
    return Tear(Moment(instruction=instruction, nth=nth), phase)


def torn_write(instruction: int, written: Written, nth: int = 1) -> TornWrite:
    """Tear inside the nth APDU with that instruction, by `prefix(n)` or `chance(seed)`."""
    return TornWrite(Moment(instruction=instruction, nth=nth), written)


def empty(_answer: bytes) -> bytes:
    """No byte at all."""
    return b""


def one_byte(_answer: bytes) -> bytes:
    """A single byte, less than a status."""
    return b"\x91"


def truncated(keep_b: int) -> Callable[[bytes], bytes]:
    """Only the first `keep_b` bytes."""
    return lambda answer: answer[:keep_b]


def oversized(_answer: bytes) -> bytes:
    """65,535 bytes, the most the virtual reader carries."""
    return bytes(OVERSIZED_B - 2) + b"\x91\x00"


def wrong_mac(answer: bytes) -> bytes:
    """The last byte before the status is changed: a MAC no longer fits."""
    if len(answer) < 3:
        return answer
    return answer[:-3] + bytes([answer[-3] ^ 0x01]) + answer[-2:]


def delayed(delay_s: float, sleep: Callable[[float], None] = time.sleep) -> Callable[[bytes], bytes]:
    """The true answer, late by `delay_s` seconds."""

    def distort(answer: bytes) -> bytes:
        sleep(delay_s)
        return answer

    return distort
