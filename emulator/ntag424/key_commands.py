"""ChangeKey and GetKeyVersion (NT4H2421Gx section 10.6)."""

from emulator.command import Answer, Command, between, exactly
from emulator.crypto import jamcrc32, xored
from emulator.memory import CardKey, CommMode
from emulator.ntag424.state import NtagState
from emulator.rights import management_mode
from emulator.status import Refused, Status

_KEY_B = 16
_CRC_B = 4


def require_master(state: NtagState) -> None:
    """Refuse unless the session was opened with key 0 of the application."""
    state.require_application()
    if state.session is None or state.session.key_no != 0:
        raise Refused(Status.AUTHENTICATION_ERROR)


def _stored_key(state: NtagState, number: int) -> CardKey:
    if number >= len(state.memory.keys):
        raise Refused(Status.NO_SUCH_KEY)
    return state.memory.keys[number]


def _admit_change(state: NtagState, header: bytes) -> CommMode:
    """Only key 0 changes keys, its own included."""
    require_master(state)
    _stored_key(state, header[0])
    return CommMode.FULL


def _change(state: NtagState, _ins: int, header: bytes, data: bytes) -> Answer:
    """Replacing key 0 ends the session and is answered without MAC."""
    number = header[0]
    own = number == 0
    key = _own_key(data) if own else _other_key(_stored_key(state, number), data)
    state.keep(state.memory.with_key(number, key))
    if own:
        state.reset()
    return Answer()


def _own_key(data: bytes) -> CardKey:
    if len(data) != _KEY_B + 1:
        raise Refused(Status.LENGTH_ERROR)
    return CardKey(data[:_KEY_B], data[_KEY_B])


def _other_key(stored: CardKey, data: bytes) -> CardKey:
    """New key xor old key, version, checksum of the new key."""
    if len(data) != _KEY_B + 1 + _CRC_B:
        raise Refused(Status.LENGTH_ERROR)
    value = xored(data[:_KEY_B], stored.value)
    if jamcrc32(value) != data[_KEY_B + 1 :]:
        raise Refused(Status.INTEGRITY_ERROR)
    return CardKey(value, data[_KEY_B])


def _admit_version(state: NtagState, _header: bytes) -> CommMode:
    state.require_application()
    return management_mode(state)


def _version(state: NtagState, _ins: int, _header: bytes, data: bytes) -> Answer:
    return Answer(bytes([_stored_key(state, data[0]).version]))


KEY_COMMANDS = {
    0xC4: Command(1, between(_KEY_B + 1, _KEY_B + 1 + _CRC_B), _admit_change, _change),
    0x64: Command(0, exactly(1), _admit_version, _version),
}
