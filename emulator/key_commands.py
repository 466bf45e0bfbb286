"""ChangeKey, ChangeKeySettings, GetKeySettings and GetKeyVersion (MF2DL(H)x0 section 10.6)."""

from dataclasses import replace

from emulator.command import Answer, Command, between, exactly
from emulator.crypto import jamcrc32, xored
from emulator.memory import Application, CardKey, CommMode
from emulator.messaging import Ev1Session
from emulator.rights import (
    MASTER_KEY_CHANGEABLE,
    SETTINGS_CHANGEABLE,
    key_settings,
    management_mode,
    require_listing,
    require_master,
)
from emulator.state import PICC, CardState
from emulator.status import Refused, Status

AES_KEY_TYPE = 0x80
_KEY_B = 16
_CRC_B = 4
_SAME_KEY, _FROZEN = 0xE, 0xF


def _stored_key(state: CardState, number: int) -> CardKey:
    if state.selected == PICC:
        keys: tuple[CardKey, ...] = (state.memory.picc_key,)
    else:
        keys = state.application().keys
    if number >= len(keys):
        raise Refused(Status.NO_SUCH_KEY)
    return keys[number]


def _key_number(state: CardState, wire: int) -> int:
    """At card level the top bits name the type of the new key, and only AES is offered."""
    if state.selected == PICC:
        if wire != AES_KEY_TYPE:
            raise Refused(Status.PARAMETER_ERROR)
        return 0
    return wire


def _admit_change_key(state: CardState, header: bytes) -> CommMode:
    if state.session is None:
        raise Refused(Status.AUTHENTICATION_ERROR)
    number = _key_number(state, header[0])
    _stored_key(state, number)
    settings = key_settings(state)
    right = settings >> 4
    if number == 0:
        if not settings & MASTER_KEY_CHANGEABLE:
            raise Refused(Status.PERMISSION_DENIED)
        required = 0
    elif right == _FROZEN:
        raise Refused(Status.PERMISSION_DENIED)
    elif right == _SAME_KEY:
        required = number
    else:
        required = 0 if number == right else right
    if state.session.key_no != required:
        raise Refused(Status.AUTHENTICATION_ERROR)
    return CommMode.FULL


def _change_key(state: CardState, ins: int, header: bytes, data: bytes) -> Answer:
    """Replace a key at once; replacing the session's own key ends the session and is answered without MAC."""
    assert state.session is not None
    number = _key_number(state, header[0])
    own = number == state.session.key_no
    if isinstance(state.session, Ev1Session):
        key = _key_of_ev1(_stored_key(state, number), own, bytes([ins]) + header, data)
    else:
        key = _key_of_ev2(_stored_key(state, number), own, data)
    _keep_key(state, number, key)
    if own:
        state.reset()
    return Answer()


def _key_of_ev2(stored: CardKey, own: bool, data: bytes) -> CardKey:
    if len(data) != _KEY_B + 1 + (0 if own else _CRC_B):
        raise Refused(Status.LENGTH_ERROR)
    if own:
        return CardKey(data[:_KEY_B], data[_KEY_B])
    value = xored(data[:_KEY_B], stored.value)
    if jamcrc32(value) != data[_KEY_B + 1 :]:
        raise Refused(Status.INTEGRITY_ERROR)
    return CardKey(value, data[_KEY_B])


def _key_of_ev1(stored: CardKey, own: bool, command: bytes, data: bytes) -> CardKey:
    body, crcs = data[: _KEY_B + 1], data[_KEY_B + 1 :]
    value = body[:_KEY_B] if own else xored(body[:_KEY_B], stored.value)
    expected = jamcrc32(command + body) + (b"" if own else jamcrc32(value))
    if crcs[: len(expected)] != expected or any(crcs[len(expected) :]):
        raise Refused(Status.INTEGRITY_ERROR)
    return CardKey(value, body[_KEY_B])


def _keep_key(state: CardState, number: int, key: CardKey) -> None:
    if state.selected == PICC:
        state.keep(replace(state.memory, picc_key=key, picc_key_is_aes=True))
        return
    application = state.application()
    keys = (*application.keys[:number], key, *application.keys[number + 1 :])
    state.keep(state.memory.with_application(replace(application, keys=keys)))


def _admit_change_settings(state: CardState, _header: bytes) -> CommMode:
    require_master(state)
    if isinstance(state.session, Ev1Session) or not key_settings(state) & SETTINGS_CHANGEABLE:
        raise Refused(Status.PERMISSION_DENIED)
    return CommMode.FULL


def _change_settings(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    if state.selected == PICC:
        if data[0] & 0xF0:
            raise Refused(Status.PARAMETER_ERROR)
        state.keep(replace(state.memory, picc_key_settings=data[0]))
        return Answer()
    application = state.application()
    _check_change_right(data[0], len(application.keys))
    state.keep(state.memory.with_application(replace(application, key_settings=data[0])))
    return Answer()


def _check_change_right(settings: int, keys: int) -> None:
    if keys <= settings >> 4 < _SAME_KEY:
        raise Refused(Status.PARAMETER_ERROR)


def _admit_listing(state: CardState, _header: bytes) -> CommMode:
    require_listing(state)
    return management_mode(state)


def _get_settings(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    application: Application | None = state.memory.applications.get(state.selected)
    if application is None:
        kind = AES_KEY_TYPE if state.memory.picc_key_is_aes else 0
        return Answer(bytes([state.memory.picc_key_settings, kind | 1]))
    return Answer(bytes([application.key_settings, AES_KEY_TYPE | len(application.keys)]))


def _admit_anyone(state: CardState, _header: bytes) -> CommMode:
    return management_mode(state)


def _get_version(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    return Answer(bytes([_stored_key(state, data[0]).version]))


KEY_COMMANDS = {
    0xC4: Command(1, between(_KEY_B + 1, _KEY_B + 1 + 2 * _CRC_B), _admit_change_key, _change_key),
    0x54: Command(0, exactly(1), _admit_change_settings, _change_settings),
    0x45: Command(0, exactly(0), _admit_listing, _get_settings),
    0x64: Command(0, exactly(1), _admit_anyone, _get_version),
}
