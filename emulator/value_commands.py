"""GetValue, Debit, Credit and LimitedCredit (MF2DL(H)x0 section 10.9)."""

from dataclasses import replace

from emulator.command import Answer, Command, exactly
from emulator.memory import CommMode, ValueFile
from emulator.rights import granted_mode
from emulator.state import CardState
from emulator.status import Refused, Status

GET_VALUE, DEBIT, CREDIT, LIMITED_CREDIT = 0x6C, 0xDC, 0x0C, 0x1C


def _value_file(state: CardState, number: int) -> ValueFile:
    file = state.file(number)
    if not isinstance(file, ValueFile):
        raise Refused(Status.PERMISSION_DENIED)
    return file


def _admit_get_value(state: CardState, header: bytes) -> CommMode:
    file = _value_file(state, header[0])
    rights = file.rights
    try:
        return granted_mode(state, file.mode, rights.read, rights.write, rights.read_write)
    except Refused:
        if file.free_get_value:
            return CommMode.PLAIN
        raise


def _admit_debit(state: CardState, header: bytes) -> CommMode:
    file = _value_file(state, header[0])
    return granted_mode(state, file.mode, file.rights.read, file.rights.write, file.rights.read_write)


def _admit_limited_credit(state: CardState, header: bytes) -> CommMode:
    file = _value_file(state, header[0])
    if not file.limited_credit_on:
        raise Refused(Status.PERMISSION_DENIED)
    return granted_mode(state, file.mode, file.rights.write, file.rights.read_write)


def _admit_credit(state: CardState, header: bytes) -> CommMode:
    file = _value_file(state, header[0])
    return granted_mode(state, file.mode, file.rights.read_write)


def _get_value(state: CardState, ins: int, header: bytes, _data: bytes) -> Answer:
    wire = _value_file(state, header[0]).value.to_bytes(4, "little", signed=True)
    state.note(ins, header + wire)
    return Answer(wire)


def _change(state: CardState, ins: int, header: bytes, data: bytes) -> Answer:
    number = header[0]
    amount = int.from_bytes(data, "little", signed=True)
    if amount < 0:
        raise Refused(Status.PARAMETER_ERROR)
    file = state.pending(number, _value_file(state, number))
    assert isinstance(file, ValueFile)
    match ins:
        case 0xDC:
            changed = _debited(state, number, file, amount)
        case 0x0C:
            changed = replace(file, value=file.value + amount)
        case _:
            changed = _limited_credited(file, amount)
    if not changed.lower <= changed.value <= changed.upper:
        raise Refused(Status.BOUNDARY_ERROR)
    state.transaction.changed[number] = changed
    state.note(ins, header + data)
    return Answer()


def _debited(state: CardState, number: int, file: ValueFile, amount: int) -> ValueFile:
    debits = state.transaction.debited.get(number, 0) + amount
    state.transaction.debited[number] = debits
    return replace(file, value=file.value - amount, limited_credit=debits)


def _limited_credited(file: ValueFile, amount: int) -> ValueFile:
    if amount > file.limited_credit:
        raise Refused(Status.BOUNDARY_ERROR)
    return replace(file, value=file.value + amount, limited_credit=0)


VALUE_COMMANDS = {
    GET_VALUE: Command(1, exactly(0), _admit_get_value, _get_value),
    DEBIT: Command(1, exactly(4), _admit_debit, _change),
    CREDIT: Command(1, exactly(4), _admit_credit, _change),
    LIMITED_CREDIT: Command(1, exactly(4), _admit_limited_credit, _change),
}
