"""GetFileSettings, ChangeFileSettings, GetFileCounters and SetConfiguration (NT4H2421Gx sections 10.5.1 and 10.7).

Of secure dynamic messaging the settings are checked, kept and answered and reads are counted; nothing is mirrored.
"""

from dataclasses import replace

from emulator.command import Answer, Command, between, exactly
from emulator.memory import FREE, NEVER, PICC_CONFIGURATION, RANDOM_ID, AccessRights, CommMode, comm_mode
from emulator.ntag424.key_commands import require_master
from emulator.ntag424.memory import KEYS, NDEF
from emulator.ntag424.state import NtagState
from emulator.rights import granted_mode, management_mode
from emulator.status import Refused, Status

_STANDARD_FILE = 0x00
_SDM_ON = 0x40
_UID, _COUNTER, _LIMIT, _ENCIPHERED, _SDM_RESERVED = 0x80, 0x40, 0x20, 0x10, 0x0E
_OFFSET_B = 3
_LENGTH_B_OF_OPTION = {PICC_CONFIGURATION: 1, 0x04: 2, 0x05: 10, 0x0A: 5, 0x0B: 1}
_CAPABILITIES, _LRP_BYTE, _LRP = 0x05, 4, 0x02


def _admit_settings(state: NtagState, _header: bytes) -> CommMode:
    state.require_application()
    return management_mode(state)


def _get_settings(state: NtagState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """Type, option, rights, size and, while it is on, the settings of dynamic messaging."""
    file = state.file(data[0])
    option = file.mode | (_SDM_ON if file.sdm else 0)
    size = len(file.content).to_bytes(3, "little")
    return Answer(bytes([_STANDARD_FILE, option]) + file.rights.to_wire() + size + file.sdm)


def _admit_change(state: NtagState, header: bytes) -> CommMode:
    return granted_mode(state, CommMode.FULL, state.file(header[0]).rights.change)


def _change_settings(state: NtagState, _ins: int, header: bytes, data: bytes) -> Answer:
    number = header[0]
    option, rights, sdm = data[0], AccessRights.from_wire(data[1:3]), data[3:]
    _check_conditions(rights.read, rights.write, rights.read_write, rights.change)
    mode = comm_mode(option & ~_SDM_ON)
    if option & _SDM_ON:
        _check_dynamic_messaging(number, sdm)
    elif sdm:
        raise Refused(Status.LENGTH_ERROR)
    file = state.memory.files[number]
    counter = file.read_counter if option & _SDM_ON else 0
    changed = replace(file, mode=mode, rights=rights, sdm=sdm, read_counter=counter)
    state.keep(state.memory.with_file(number, changed))
    return Answer()


def _check_conditions(*conditions: int) -> None:
    if any(KEYS <= condition < FREE for condition in conditions):
        raise Refused(Status.NO_SUCH_KEY)


def _check_dynamic_messaging(number: int, sdm: bytes) -> None:
    """SDMOptions 1, SDMAccessRights 2, then the offsets that those two ask for, 3 bytes each."""
    if number != NDEF:
        raise Refused(Status.PARAMETER_ERROR)
    if len(sdm) < 3:
        raise Refused(Status.LENGTH_ERROR)
    options, counter_right, meta, file_read = sdm[0], sdm[1] & 0xF, sdm[2] >> 4, sdm[2] & 0xF
    if options & _SDM_RESERVED or sdm[1] >> 4 != NEVER:
        raise Refused(Status.PARAMETER_ERROR)
    _check_conditions(counter_right, meta, file_read)
    offsets = 0
    if meta == FREE:
        offsets += bool(options & _UID) + bool(options & _COUNTER)
    elif meta != NEVER:
        offsets += 1
    if file_read != NEVER:
        offsets += 2 + 2 * bool(options & _ENCIPHERED)
    offsets += bool(options & _LIMIT)
    if len(sdm) != 3 + offsets * _OFFSET_B:
        raise Refused(Status.LENGTH_ERROR)


def _admit_counters(state: NtagState, header: bytes) -> CommMode:
    """By the right SDMCtrRet: a key's holder gets the counter enciphered, a free one is under MAC in a session."""
    sdm = state.file(header[0]).sdm
    if not sdm:
        raise Refused(Status.PERMISSION_DENIED)
    right = sdm[1] & 0xF
    return management_mode(state) if right == FREE else granted_mode(state, CommMode.FULL, right)


def _get_counters(state: NtagState, _ins: int, header: bytes, _data: bytes) -> Answer:
    """SDMReadCtr, low byte first, and two reserved bytes."""
    return Answer(state.memory.files[header[0]].read_counter.to_bytes(3, "little") + bytes(2))


def _admit_configuration(state: NtagState, _header: bytes) -> CommMode:
    require_master(state)
    return CommMode.FULL


def _set_configuration(state: NtagState, _ins: int, header: bytes, data: bytes) -> Answer:
    """Random ID is acted on and can't be taken back; the other options are kept only. LRP is not offered."""
    option = header[0]
    if option not in _LENGTH_B_OF_OPTION:
        raise Refused(Status.PARAMETER_ERROR)
    if len(data) != _LENGTH_B_OF_OPTION[option]:
        raise Refused(Status.LENGTH_ERROR)
    if option == _CAPABILITIES and data[_LRP_BYTE] & _LRP:
        raise Refused(Status.PARAMETER_ERROR)
    if option == PICC_CONFIGURATION:
        if data[0] & ~RANDOM_ID:
            raise Refused(Status.PARAMETER_ERROR)
        data = bytes([data[0] | state.memory.configuration.get(option, b"\x00")[0]])
    state.keep(replace(state.memory, configuration={**state.memory.configuration, option: data}))
    return Answer()


SETTINGS_COMMANDS = {
    0xF5: Command(0, exactly(1), _admit_settings, _get_settings),
    0x5F: Command(1, between(3, 30), _admit_change, _change_settings),
    0xF6: Command(1, exactly(0), _admit_counters, _get_counters),
    0x5C: Command(1, between(1, 10), _admit_configuration, _set_configuration),
}
