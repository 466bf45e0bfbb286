"""ReadData and WriteData on standard, backup and transaction MAC files (MF2DL(H)x0 section 10.8)."""

from dataclasses import replace

from emulator.command import Answer, Command, exactly, u24
from emulator.memory import CommMode, DataFile, TmacFile
from emulator.rights import granted_mode
from emulator.state import CardState
from emulator.status import Refused, Status

_HEADER_B = 7


def admit_read(state: CardState, header: bytes) -> CommMode:
    """Reading needs the R or RW right; a transaction MAC file knows R alone."""
    file = state.file(header[0])
    match file:
        case DataFile():
            return granted_mode(state, file.mode, file.rights.read, file.rights.read_write)
        case TmacFile():
            return granted_mode(state, file.mode, file.rights.read)
        case _:
            raise Refused(Status.PERMISSION_DENIED)


def read_data(state: CardState, ins: int, header: bytes, _data: bytes) -> Answer:
    """Answer with committed content; length 0 means up to the end."""
    number, offset_b, length_b = header[0], u24(header[1:4]), u24(header[4:7])
    file = state.file(number)
    assert isinstance(file, DataFile | TmacFile)
    end_b = offset_b + length_b if length_b else len(file.content)
    if offset_b >= len(file.content) or end_b > len(file.content):
        raise Refused(Status.BOUNDARY_ERROR)
    content = file.content[offset_b:end_b]
    if isinstance(file, DataFile):
        state.note(ins, header[:4] + len(content).to_bytes(3, "little"), content)
    return Answer(content)


def admit_write(state: CardState, header: bytes) -> CommMode:
    """Writing needs the W or RW right and must stay inside the file."""
    file = state.file(header[0])
    if not isinstance(file, DataFile):
        raise Refused(Status.PERMISSION_DENIED)
    mode = granted_mode(state, file.mode, file.rights.write, file.rights.read_write)
    offset_b, length_b = u24(header[1:4]), u24(header[4:7])
    if length_b == 0:
        raise Refused(Status.PARAMETER_ERROR)
    if offset_b + length_b > len(file.content):
        raise Refused(Status.BOUNDARY_ERROR)
    return mode


def write_size(_state: CardState, header: bytes) -> tuple[int, int]:
    """The data is as long as the header says."""
    length_b = u24(header[4:7])
    return length_b, length_b


def write_data(state: CardState, ins: int, header: bytes, data: bytes) -> Answer:
    """A standard file changes at once, and under a tear in part; a backup file with CommitTransaction."""
    number, offset_b = header[0], u24(header[1:4])
    committed = state.file(number)
    file = state.pending(number, committed)
    assert isinstance(file, DataFile)
    if state.torn is not None and not file.is_backup:
        data = data[: state.torn(len(data))]
    content = file.content[:offset_b] + data + file.content[offset_b + len(data) :]
    written = replace(file, content=content)
    if file.is_backup:
        state.transaction.changed[number] = written
    else:
        state.keep(state.memory.with_application(state.application().with_file(number, written)))
    state.note(ins, header, data)
    return Answer()


_READ = Command(_HEADER_B, exactly(0), admit_read, read_data)
_WRITE = Command(_HEADER_B, write_size, admit_write, write_data)

DATA_COMMANDS = {0xBD: _READ, 0xAD: _READ, 0x3D: _WRITE, 0x8D: _WRITE}
