"""Creating applications and files, and deleting files (MF2DL(H)x0 section 10.7 and the public EV1 descriptions)."""

from dataclasses import replace

from emulator.budget import file_b, require_room
from emulator.command import Answer, Command, between, exactly, u24
from emulator.key_commands import AES_KEY_TYPE
from emulator.memory import (
    FREE,
    AccessRights,
    Application,
    CardFile,
    CardKey,
    CommMode,
    CyclicFile,
    DataFile,
    TmacFile,
    ValueFile,
    comm_mode,
)
from emulator.messaging import Ev1Session
from emulator.rights import management_mode, require_creating
from emulator.state import PICC, CardState, Transaction
from emulator.status import Refused, Status

LAST_FILE_NUMBER = 0x1F
_MOST_KEYS = 14
_ISO_FILE_IDS = 0x20
_AES_TMAC_KEY = 0x02
_MOST_DATA_B = 4096
_LIMITED_CREDIT, _FREE_GET_VALUE = 0x01, 0x02
_TMAC_HEADER_B = 5


def _admit_create(state: CardState, _header: bytes) -> CommMode:
    require_creating(state)
    return management_mode(state)


def _create_application(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """AID 3, key settings 2, then optionally an ISO file id 2 and a DF name up to 16 bytes; keys start as zeros."""
    if state.selected != PICC:
        raise Refused(Status.PERMISSION_DENIED)
    aid, settings, kind, iso = data[:3], data[3], data[4], data[5:]
    keys = kind & 0x0F
    if kind & 0xC0 != AES_KEY_TYPE or kind & 0x10 or not 1 <= keys <= _MOST_KEYS or aid == PICC:
        raise Refused(Status.PARAMETER_ERROR)
    if keys <= settings >> 4 < FREE or len(iso) == 1:
        raise Refused(Status.PARAMETER_ERROR)
    names = {application.df_name for application in state.memory.applications.values()}
    if aid in state.memory.applications or (iso[2:] and iso[2:] in names):
        raise Refused(Status.DUPLICATE)
    application = Application(
        aid=aid,
        key_settings=settings,
        keys=(CardKey(bytes(16)),) * keys,
        has_iso_file_ids=bool(kind & _ISO_FILE_IDS),
        iso_file_id=iso[:2],
        df_name=iso[2:],
    )
    return _keep_created(state, application)


def _keep_created(state: CardState, application: Application) -> Answer:
    memory = state.memory.with_application(application)
    require_room(memory)
    state.keep(memory)
    return Answer()


def _add(state: CardState, number: int, file: CardFile) -> Answer:
    application = state.application()
    if number > LAST_FILE_NUMBER:
        raise Refused(Status.PARAMETER_ERROR)
    if number in application.files:
        raise Refused(Status.DUPLICATE)
    rights = file.rights
    nibbles = (rights.read, rights.write, rights.read_write, rights.change)
    if any(len(application.keys) <= right < FREE for right in nibbles):
        raise Refused(Status.PARAMETER_ERROR)
    return _keep_created(state, application.with_file(number, file))


def _without_iso_file_id(state: CardState, data: bytes, length_b: int) -> bytes:
    """Check the length; leave out the ISO file id behind the file number where the application has such ids."""
    has_ids = state.application().has_iso_file_ids
    if len(data) != length_b + (2 if has_ids else 0):
        raise Refused(Status.LENGTH_ERROR)
    return data[:1] + data[3:] if has_ids else data


def _create_data_file(state: CardState, ins: int, _header: bytes, data: bytes) -> Answer:
    """CD standard, CB backup: number, option, rights 2, size 3."""
    data = _without_iso_file_id(state, data, 7)
    size_b = u24(data[4:7])
    if not 1 <= size_b <= _MOST_DATA_B:
        raise Refused(Status.PARAMETER_ERROR)
    rights = AccessRights.from_wire(data[2:4])
    return _add(state, data[0], DataFile(comm_mode(data[1]), rights, bytes(size_b), is_backup=ins == 0xCB))


def _create_value_file(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """Number, option, rights 2, lower limit 4, upper limit 4, value 4, limited credit and free GetValue 1."""
    lower, upper, value = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (4, 8, 12))
    if upper <= lower or not lower <= value <= upper or data[16] & ~(_LIMITED_CREDIT | _FREE_GET_VALUE):
        raise Refused(Status.PARAMETER_ERROR)
    file = ValueFile(
        comm_mode(data[1]),
        AccessRights.from_wire(data[2:4]),
        value=value,
        lower=lower,
        upper=upper,
        limited_credit=0,
        limited_credit_on=bool(data[16] & _LIMITED_CREDIT),
        free_get_value=bool(data[16] & _FREE_GET_VALUE),
    )
    return _add(state, data[0], file)


def _create_cyclic_file(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """Number, option, rights 2, record size 3, greatest number of records 3 (one of them the card's spare)."""
    data = _without_iso_file_id(state, data, 10)
    record_b, max_records = u24(data[4:7]), u24(data[7:10])
    if record_b < 1 or max_records < 2 or record_b * max_records > _MOST_DATA_B:
        raise Refused(Status.PARAMETER_ERROR)
    rights = AccessRights.from_wire(data[2:4])
    return _add(state, data[0], CyclicFile(comm_mode(data[1]), rights, record_b, max_records, ()))


def _admit_tmac(state: CardState, _header: bytes) -> CommMode:
    state.application()
    if not state.is_master():
        raise Refused(Status.AUTHENTICATION_ERROR)
    if isinstance(state.session, Ev1Session):
        raise Refused(Status.PERMISSION_DENIED)
    return CommMode.FULL


def _create_tmac_file(state: CardState, _ins: int, header: bytes, data: bytes) -> Answer:
    """In clear: number, option, rights 2, key option; enciphered: key 16, version 1. One such file an application."""
    rights = AccessRights.from_wire(header[2:4])
    if header[4] != _AES_TMAC_KEY or rights.write != 0xF:
        raise Refused(Status.PARAMETER_ERROR)
    if state.tmac() is not None:
        raise Refused(Status.DUPLICATE)
    answer = _add(state, header[0], TmacFile(comm_mode(header[1]), rights, CardKey(data[:16], data[16])))
    state.transaction.tmi = b""
    return answer


def _delete_file(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """The number is free again; the memory comes back with FormatPICC only."""
    number = data[0]
    lost_b = file_b(state.file(number))
    application = state.application()
    files = {other: file for other, file in application.files.items() if other != number}
    memory = state.memory.with_application(replace(application, files=files))
    state.keep(replace(memory, deleted_b=memory.deleted_b + lost_b))
    state.transaction = Transaction()
    return Answer()


CREATE_COMMANDS = {
    0xCA: Command(0, between(5, 23), _admit_create, _create_application),
    0xCD: Command(0, between(7, 9), _admit_create, _create_data_file),
    0xCB: Command(0, between(7, 9), _admit_create, _create_data_file),
    0xCC: Command(0, exactly(17), _admit_create, _create_value_file),
    0xC0: Command(0, between(10, 12), _admit_create, _create_cyclic_file),
    0xCE: Command(_TMAC_HEADER_B, exactly(17), _admit_tmac, _create_tmac_file),
    0xDF: Command(0, exactly(1), _admit_create, _delete_file),
}
