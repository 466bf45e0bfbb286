"""What a command is: its shape on the wire, its protection, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from emulator.memory import CommMode
from emulator.status import Status

State = TypeVar("State")
"""The running state of the kind of card a command is for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's success. `mode` overrides the command's own; a command that ends the session is answered in plain.

    `frames_b`: lengths of the frames of an answer that is not simply cut where a frame is full.
    """

    content: bytes = b""
    status: Status = Status.OK
    mode: CommMode | None = None
    frames_b: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Command(Generic[State]):
    """One instruction.

    `header_b`: bytes always in clear. `size`: least and greatest length of the data behind the header, in plain.
    `admit`: refuses by rights and returns the communication mode. `act(state, instruction, header, data)` takes effect.
    """

    header_b: int
    size: Callable[[State, bytes], tuple[int, int]]
    admit: Callable[[State, bytes], CommMode]
    act: Callable[[State, int, bytes, bytes], Answer]


def exactly(data_b: int) -> Callable[[object, bytes], tuple[int, int]]:
    """Data of one length."""
    return lambda _state, _header: (data_b, data_b)


def between(least_b: int, most_b: int) -> Callable[[object, bytes], tuple[int, int]]:
    """Data of any length in a range, both ends included."""
    return lambda _state, _header: (least_b, most_b)


def u24(wire: bytes) -> int:
    """Read a 3-byte number, low byte first."""
    assert len(wire) == 3
    return int.from_bytes(wire, "little")
