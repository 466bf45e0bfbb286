"""ISOSelectFile, ISOReadBinary and ISOUpdateBinary, never under secure messaging (NT4H2421Gx section 10.9)."""

from emulator.memory import FREE
from emulator.ntag424.memory import FILE_IDS
from emulator.ntag424.state import NtagState

DF_NAME = bytes.fromhex("D2760000850101")
_MASTER_NAME = bytes.fromhex("D2760000850100")
_APPLICATION_ID, _MASTER_ID = 0xE110, 0x3F00
_BY_ID, _CHILD, _FILE, _PARENT, _BY_NAME = 0x00, 0x01, 0x02, 0x03, 0x04
_SHORT_ID = 0x80
_SHORT_IDS = {file_id & 0x1F: number for file_id, number in FILE_IDS.items()}
_MOST_B = 256

_OK = b"\x90\x00"
_WRONG_LENGTH = b"\x67\x00"
_NOT_ALLOWED = b"\x69\x82"
_CONDITIONS = b"\x69\x85"
_NOT_FOUND = b"\x6a\x82"
_WRONG_P1_P2 = b"\x6a\x86"
_WRONG_LC = b"\x6a\x87"
_UNKNOWN = b"\x6d\x00"


def iso_answer(state: NtagState, apdu: bytes) -> bytes:
    """Answer an APDU of class 00, at least 5 bytes long, status bytes included."""
    match apdu[1]:
        case 0xA4:
            return _select(state, apdu)
        case 0xB0:
            return _read(state, apdu)
        case 0xD6:
            return _update(state, apdu)
        case _:
            return _UNKNOWN


def _select(state: NtagState, apdu: bytes) -> bytes:
    """Selecting application or card level ends the session, selecting a file does not; nothing but a status comes."""
    body = apdu[5 : 5 + apdu[4]]
    if len(body) != apdu[4] or len(apdu) - 5 - len(body) > 1:
        return _WRONG_LENGTH
    if apdu[2] > _BY_NAME or apdu[3] not in (0x00, 0x0C):
        return _WRONG_P1_P2
    if apdu[2] == _BY_NAME:
        return _select_level(state, {DF_NAME: True, _MASTER_NAME: False}.get(body))
    if len(body) != (0 if apdu[2] == _PARENT else 2):
        return _WRONG_LC
    return _select_by_id(state, apdu[2], int.from_bytes(body, "big"))


def _select_level(state: NtagState, application: bool | None) -> bytes:
    if application is None:
        return _NOT_FOUND
    state.select(application=application)
    return _OK


def _select_by_id(state: NtagState, how: int, file_id: int) -> bytes:
    if how == _PARENT:
        return _select_level(state, application=False)
    if how in (_BY_ID, _FILE) and state.is_application_selected and file_id in FILE_IDS:
        state.selected_file = FILE_IDS[file_id]
        return _OK
    if how in (_BY_ID, _CHILD) and file_id == _APPLICATION_ID:
        return _select_level(state, application=True)
    if how == _BY_ID and file_id == _MASTER_ID:
        return _select_level(state, application=False)
    return _NOT_FOUND


def _place(state: NtagState, apdu: bytes) -> tuple[int, int] | bytes:
    """File number and offset from P1 and P2, or the refusal; a short file id selects that file."""
    if not apdu[2] & _SHORT_ID:
        if state.selected_file is None:
            return _CONDITIONS
        return state.selected_file, apdu[2] << 8 | apdu[3]
    if apdu[2] & 0x60:
        return _WRONG_P1_P2
    if not state.is_application_selected or apdu[2] & 0x1F not in _SHORT_IDS:
        return _NOT_FOUND
    state.selected_file = _SHORT_IDS[apdu[2] & 0x1F]
    return state.selected_file, apdu[3]


def _read(state: NtagState, apdu: bytes) -> bytes:
    """Le bytes, or with Le 00 up to the end, at most 256; the file must be free to read and no session open."""
    if len(apdu) != 5:
        return _WRONG_LENGTH
    place = _place(state, apdu)
    if isinstance(place, bytes):
        return place
    number, offset_b = place
    file = state.memory.files[number]
    if state.session is not None or FREE not in (file.rights.read, file.rights.read_write):
        return _NOT_ALLOWED
    if offset_b >= len(file.content):
        return _WRONG_P1_P2
    end_b = offset_b + apdu[4] if apdu[4] else min(len(file.content), offset_b + _MOST_B)
    if end_b > len(file.content):
        return _WRONG_LENGTH
    state.count_read(number)
    return file.content[offset_b:end_b] + _OK


def _update(state: NtagState, apdu: bytes) -> bytes:
    """Write at once; the file must be free to write and no session open."""
    new = apdu[5:]
    if not new or len(new) != apdu[4]:
        return _WRONG_LENGTH
    place = _place(state, apdu)
    if isinstance(place, bytes):
        return place
    number, offset_b = place
    file = state.memory.files[number]
    if state.session is not None or FREE not in (file.rights.write, file.rights.read_write):
        return _NOT_ALLOWED
    if offset_b + len(new) > len(file.content):
        return _CONDITIONS
    state.write(number, offset_b, new)
    return _OK
