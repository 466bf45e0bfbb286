"""ReadData and WriteData (NT4H2421Gx section 10.8)."""

from emulator.command import Answer, Command, exactly, u24
from emulator.memory import CommMode
from emulator.ntag424.state import NtagState
from emulator.rights import granted_mode
from emulator.status import Refused, Status

_HEADER_B = 7


def _place(header: bytes) -> tuple[int, int, int]:
    """File number, offset and length in bytes."""
    return header[0], u24(header[1:4]), u24(header[4:7])


def _admit_read(state: NtagState, header: bytes) -> CommMode:
    file = state.file(header[0])
    return granted_mode(state, file.mode, file.rights.read, file.rights.read_write)


def _read(state: NtagState, _ins: int, header: bytes, _data: bytes) -> Answer:
    """Length 0 means up to the end of the file."""
    number, offset_b, length_b = _place(header)
    content = state.memory.files[number].content
    end_b = offset_b + length_b if length_b else len(content)
    if offset_b >= len(content) or end_b > len(content):
        raise Refused(Status.BOUNDARY_ERROR)
    state.count_read(number)
    return Answer(content[offset_b:end_b])


def _admit_write(state: NtagState, header: bytes) -> CommMode:
    number, offset_b, length_b = _place(header)
    file = state.file(number)
    mode = granted_mode(state, file.mode, file.rights.write, file.rights.read_write)
    if length_b == 0:
        raise Refused(Status.PARAMETER_ERROR)
    if offset_b + length_b > len(file.content):
        raise Refused(Status.BOUNDARY_ERROR)
    return mode


def _write_size(_state: NtagState, header: bytes) -> tuple[int, int]:
    _, _, length_b = _place(header)
    return length_b, length_b


def _write(state: NtagState, _ins: int, header: bytes, data: bytes) -> Answer:
    """Takes effect at once; there is no commit, and a tear may leave a part of it."""
    number, offset_b, _ = _place(header)
    state.write(number, offset_b, data)
    return Answer()


DATA_COMMANDS = {
    0xAD: Command(_HEADER_B, exactly(0), _admit_read, _read),
    0x8D: Command(_HEADER_B, _write_size, _admit_write, _write),
}
