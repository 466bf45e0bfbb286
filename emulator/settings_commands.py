"""ChangeFileSettings on every kind of file (MF2DL(H)x0 section 10.7.1)."""

from dataclasses import replace

from emulator.command import Answer, Command, exactly
from emulator.memory import FREE, NEVER, AccessRights, CardFile, CommMode, TmacFile, comm_mode
from emulator.rights import granted_mode
from emulator.state import CardState
from emulator.status import Refused, Status


def _admit(state: CardState, header: bytes) -> CommMode:
    """By the right Change; in plain when it is free."""
    return granted_mode(state, CommMode.FULL, state.file(header[0]).rights.change)


def _change_settings(state: CardState, _ins: int, header: bytes, data: bytes) -> Answer:
    """File option 1, rights 2. What a pending transaction would change in the file stays pending."""
    number, application = header[0], state.application()
    rights = AccessRights.from_wire(data[1:3])
    nibbles = (rights.read, rights.write, rights.read_write, rights.change)
    if any(len(application.keys) <= right < FREE for right in nibbles):
        raise Refused(Status.PARAMETER_ERROR)
    file = state.file(number)
    if isinstance(file, TmacFile) and rights.write != NEVER:
        raise Refused(Status.PARAMETER_ERROR)
    changed = _with_settings(file, comm_mode(data[0]), rights)
    state.keep(state.memory.with_application(application.with_file(number, changed)))
    pending = state.transaction.changed.get(number)
    if pending is not None:
        state.transaction.changed[number] = _with_settings(pending, changed.mode, rights)
    return Answer()


def _with_settings(file: CardFile, mode: CommMode, rights: AccessRights) -> CardFile:
    return replace(file, mode=mode, rights=rights)


SETTINGS_COMMANDS = {0x5F: Command(1, exactly(3), _admit, _change_settings)}
