"""What a command is: its shape on the wire, its protection, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from emulator.memory import CommMode
from emulator.state import CardState
from emulator.status import Status


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's success. `mode` overrides the command's own; a command that ends the session is answered in plain."""

    content: bytes = b""
    status: Status = Status.OK
    mode: CommMode | None = None


Admit = Callable[[CardState, bytes], CommMode]
Act = Callable[[CardState, int, bytes, bytes], Answer]
Size = Callable[[CardState, bytes], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction.

    `header_b`: bytes always in clear. `size`: least and greatest length of the data behind the header, in plain.
    `admit`: refuses by rights and returns the communication mode. `act(state, instruction, header, data)` takes effect.
    """

    header_b: int
    size: Size
    admit: Admit
    act: Act


def exactly(data_b: int) -> Size:
    """Data of one length."""
    return lambda _state, _header: (data_b, data_b)


def between(least_b: int, most_b: int) -> Size:
    """Data of any length in a range, both ends included."""
    return lambda _state, _header: (least_b, most_b)


def u24(wire: bytes) -> int:
    """Read a 3-byte number, low byte first."""
    assert len(wire) == 3
    return int.from_bytes(wire, "little")
