"""Selecting, listing and identifying: what a reader may ask a card about itself."""

from emulator.command import Answer, Command, exactly
from emulator.memory import CardFile, CommMode, CyclicFile, DataFile, TmacFile, ValueFile
from emulator.messaging import Ev1Session
from emulator.rights import management_mode, require_listing
from emulator.state import PICC, CardState
from emulator.status import Refused, Status

_STORAGE_4K, _PROTOCOL_ISO = 0x18, 0x05
_NXP, _DESFIRE = 0x04, 0x01
# Type, subtype and versions of hardware and software, from cards' public GetVersion answers.
_HARDWARE = {"EV2": b"\x01\x12\x00", "EV3": b"\x01\x33\x00"}
_SOFTWARE = {"EV2": b"\x01\x02\x01", "EV3": b"\x01\x03\x00"}
_PRODUCTION = bytes.fromhex("00000000001026")  # batch 0, made in week 10 of 2026
_UID_B = 7
_VERSION_FRAMES_B = (7, 7, 14)


def _admit_plain(_state: CardState, _header: bytes) -> CommMode:
    return CommMode.PLAIN


def _admit_anyone(state: CardState, _header: bytes) -> CommMode:
    return management_mode(state)


def _admit_listing(state: CardState, _header: bytes) -> CommMode:
    require_listing(state)
    return management_mode(state)


def _select(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """Any selection ends the session; an unknown application leaves the level selected as it was."""
    state.reset()
    if data != PICC and data not in state.memory.applications:
        raise Refused(Status.APPLICATION_NOT_FOUND)
    state.select(data)
    return Answer()


def _get_version(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    """Hardware 7 bytes, software 7, production 14: UID (zeros with random ID on), batch, week and year."""
    end = bytes([_STORAGE_4K, _PROTOCOL_ISO])
    generation = state.memory.generation
    hardware = bytes([_NXP, _DESFIRE]) + _HARDWARE[generation] + end
    software = bytes([_NXP, _DESFIRE]) + _SOFTWARE[generation] + end
    uid = bytes(_UID_B) if state.memory.is_random_id else state.memory.uid
    return Answer(hardware + software + uid + _PRODUCTION, frames_b=_VERSION_FRAMES_B)


def _get_application_ids(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    if state.selected != PICC:
        raise Refused(Status.PERMISSION_DENIED)
    return Answer(b"".join(state.memory.applications))


def _admit_names(state: CardState, _header: bytes) -> CommMode:
    require_listing(state)
    if state.selected != PICC or state.session is not None:
        raise Refused(Status.PERMISSION_DENIED)
    return CommMode.PLAIN


def _get_df_names(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    """A frame for each application with ISO names: AID 3, ISO file id 2, DF name up to 16. Without a session only."""
    applications = state.memory.applications.values()
    names = [found.aid + found.iso_file_id + found.df_name for found in applications if found.iso_file_id]
    return Answer(b"".join(names), frames_b=tuple(len(name) for name in names))


def _get_file_ids(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    return Answer(bytes(state.application().files))


def _get_file_settings(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    file = state.file(data[0])
    kind, details = _settings(file)
    return Answer(bytes([kind, file.mode]) + file.rights.to_wire() + details)


def _settings(file: CardFile) -> tuple[int, bytes]:
    """File type byte and what follows the access rights (MF2DL(H)x0 section 10.7.2)."""
    match file:
        case DataFile():
            return (0x01 if file.is_backup else 0x00), len(file.content).to_bytes(3, "little")
        case ValueFile():
            numbers = (file.lower, file.upper, file.limited_credit)
            flags = file.limited_credit_on | file.free_get_value << 1
            return 0x02, b"".join(n.to_bytes(4, "little", signed=True) for n in numbers) + bytes([flags])
        case CyclicFile():
            numbers = (file.record_b, file.max_records, len(file.records))
            return 0x04, b"".join(n.to_bytes(3, "little") for n in numbers)
        case TmacFile():
            return 0x05, bytes([0x02, file.key.version])


def _admit_card_uid(state: CardState, _header: bytes) -> CommMode:
    if state.session is None:
        raise Refused(Status.AUTHENTICATION_ERROR)
    if isinstance(state.session, Ev1Session):
        raise Refused(Status.PERMISSION_DENIED)
    return CommMode.FULL


def _get_card_uid(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    return Answer(state.memory.uid)


def _admit_signature(state: CardState, _header: bytes) -> CommMode:
    """With random ID on, only in a session: the signature would name the card."""
    if isinstance(state.session, Ev1Session):
        raise Refused(Status.PERMISSION_DENIED)
    if state.session is None and state.memory.is_random_id:
        raise Refused(Status.AUTHENTICATION_ERROR)
    return CommMode.PLAIN if state.session is None else CommMode.FULL


def _read_signature(state: CardState, _ins: int, header: bytes, _data: bytes) -> Answer:
    """The originality signature, 56 bytes; its success status is 90, not 00."""
    if header != b"\x00":
        raise Refused(Status.PARAMETER_ERROR)
    return Answer(state.memory.originality_signature, status=Status.SIGNATURE_OK)


INFO_COMMANDS = {
    0x5A: Command(0, exactly(3), _admit_plain, _select),
    0x60: Command(0, exactly(0), _admit_anyone, _get_version),
    0x6A: Command(0, exactly(0), _admit_listing, _get_application_ids),
    0x6D: Command(0, exactly(0), _admit_names, _get_df_names),
    0x6F: Command(0, exactly(0), _admit_listing, _get_file_ids),
    0xF5: Command(0, exactly(1), _admit_listing, _get_file_settings),
    0x51: Command(0, exactly(0), _admit_card_uid, _get_card_uid),
    0x3C: Command(1, exactly(0), _admit_signature, _read_signature),
}
