"""WriteRecord and ReadRecords on cyclic files (MF2DL(H)x0 section 10.10)."""

from dataclasses import replace

from emulator.command import Answer, Command, exactly, u24
from emulator.data_commands import write_size
from emulator.memory import CommMode, CyclicFile
from emulator.rights import granted_mode
from emulator.state import CardState
from emulator.status import Refused, Status

_HEADER_B = 7


def _cyclic_file(state: CardState, number: int) -> CyclicFile:
    file = state.file(number)
    if not isinstance(file, CyclicFile):
        raise Refused(Status.PERMISSION_DENIED)
    return file


def _admit_read(state: CardState, header: bytes) -> CommMode:
    file = _cyclic_file(state, header[0])
    return granted_mode(state, file.mode, file.rights.read, file.rights.read_write)


def _admit_write(state: CardState, header: bytes) -> CommMode:
    file = _cyclic_file(state, header[0])
    mode = granted_mode(state, file.mode, file.rights.write, file.rights.read_write)
    offset_b, length_b = u24(header[1:4]), u24(header[4:7])
    if length_b == 0:
        raise Refused(Status.PARAMETER_ERROR)
    if offset_b + length_b > file.record_b:
        raise Refused(Status.BOUNDARY_ERROR)
    return mode


def _read_records(state: CardState, ins: int, header: bytes, _data: bytes) -> Answer:
    """Record 0 is the newest; the answer runs from the oldest asked for to the newest; count 0 means all."""
    file = _cyclic_file(state, header[0])
    newest, count = u24(header[1:4]), u24(header[4:7])
    count = count or len(file.records) - newest
    if newest >= len(file.records) or newest + count > len(file.records):
        raise Refused(Status.BOUNDARY_ERROR)
    end = len(file.records) - newest
    content = b"".join(file.records[end - count : end])
    state.note(ins, header[:4] + count.to_bytes(3, "little"), content)
    return Answer(content)


def _write_record(state: CardState, ins: int, header: bytes, data: bytes) -> Answer:
    """The first write of a transaction begins a new record of zeros, later ones change that same record."""
    number, offset_b = header[0], u24(header[1:4])
    file = state.pending(number, _cyclic_file(state, number))
    assert isinstance(file, CyclicFile)
    begun = number in state.transaction.recorded
    record = file.records[-1] if begun else bytes(file.record_b)
    earlier = file.records[:-1] if begun else file.records
    record = record[:offset_b] + data + record[offset_b + len(data) :]
    usable = file.max_records - 1
    state.transaction.changed[number] = replace(file, records=(*earlier, record)[-usable:])
    state.transaction.recorded.add(number)
    state.note(ins, header, data)
    return Answer()


_READ = Command(_HEADER_B, exactly(0), _admit_read, _read_records)
_WRITE = Command(_HEADER_B, write_size, _admit_write, _write_record)

RECORD_COMMANDS = {0xBB: _READ, 0xAB: _READ, 0x3B: _WRITE, 0x8B: _WRITE}
