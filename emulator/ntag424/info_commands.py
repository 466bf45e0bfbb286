"""GetVersion, GetCardUID and Read_Sig (NT4H2421Gx sections 10.5.2, 10.5.3 and 10.10)."""

from emulator.command import Answer, Command, exactly
from emulator.memory import CommMode
from emulator.ntag424.state import NtagState
from emulator.rights import management_mode
from emulator.status import Refused, Status

# As public logs of tags show it: NXP, NTAG, subtype, versions, 256 to 512 bytes, ISO.
_HARDWARE = bytes.fromhex("04040230001105")
_SOFTWARE = bytes.fromhex("04040201021105")
_PRODUCTION = bytes.fromhex("00000000001026")  # batch 0, made in week 10 of 2026
_UID_B = 7
_VERSION_FRAMES_B = (7, 7, 14)


def _admit_anyone(state: NtagState, _header: bytes) -> CommMode:
    return management_mode(state)


def _get_version(state: NtagState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    """Hardware 7 bytes, software 7, production 14; with random ID on, zeros stand for the UID."""
    uid = bytes(_UID_B) if state.memory.is_random_id else state.memory.uid
    return Answer(_HARDWARE + _SOFTWARE + uid + _PRODUCTION, frames_b=_VERSION_FRAMES_B)


def _admit_uid(state: NtagState, _header: bytes) -> CommMode:
    if state.session is None:
        raise Refused(Status.AUTHENTICATION_ERROR)
    return CommMode.FULL


def _get_uid(state: NtagState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    return Answer(state.memory.uid)


def _admit_signature(state: NtagState, _header: bytes) -> CommMode:
    """With random ID on, only in a session: the signature would name the tag."""
    if state.session is None and state.memory.is_random_id:
        raise Refused(Status.COMMAND_NOT_FOUND)
    return CommMode.PLAIN if state.session is None else CommMode.FULL


def _read_signature(state: NtagState, _ins: int, header: bytes, _data: bytes) -> Answer:
    """The originality signature, 56 bytes; its success status is 90, as tags answer it."""
    if header != b"\x00":
        raise Refused(Status.PARAMETER_ERROR)
    return Answer(state.memory.originality_signature, status=Status.SIGNATURE_OK)


INFO_COMMANDS = {
    0x60: Command(0, exactly(0), _admit_anyone, _get_version),
    0x51: Command(0, exactly(0), _admit_uid, _get_uid),
    0x3C: Command(1, exactly(0), _admit_signature, _read_signature),
}
