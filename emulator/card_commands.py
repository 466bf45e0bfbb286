"""SetConfiguration, FormatPICC and FreeMemory: commands about the card as a whole."""

from dataclasses import replace

from emulator.budget import free_b
from emulator.command import Answer, Command, between, exactly
from emulator.memory import FORMAT_DISABLED, PICC_CONFIGURATION, RANDOM_ID, CommMode
from emulator.messaging import Ev1Session
from emulator.rights import management_mode, require_master
from emulator.state import PICC, CardState, Transaction
from emulator.status import Refused, Status

_ATS = 0x02


def _require_card_master(state: CardState) -> None:
    if state.selected != PICC:
        raise Refused(Status.PERMISSION_DENIED)
    require_master(state)


def _admit_configuration(state: CardState, _header: bytes) -> CommMode:
    _require_card_master(state)
    if isinstance(state.session, Ev1Session):
        raise Refused(Status.PERMISSION_DENIED)
    return CommMode.FULL


def _set_configuration(state: CardState, _ins: int, header: bytes, data: bytes) -> Answer:
    """Option 00: bit 0 disables FormatPICC, bit 1 enables random ID, for good. Option 02, the ATS, is kept only."""
    option = header[0]
    if option == PICC_CONFIGURATION and len(data) == 1 and not data[0] & ~(FORMAT_DISABLED | RANDOM_ID):
        data = bytes([data[0] | state.memory.picc_configuration])
    elif option != _ATS:
        raise Refused(Status.PARAMETER_ERROR)
    state.keep(replace(state.memory, configuration={**state.memory.configuration, option: data}))
    return Answer()


def _admit_format(state: CardState, _header: bytes) -> CommMode:
    _require_card_master(state)
    if state.memory.picc_configuration & FORMAT_DISABLED:
        raise Refused(Status.PERMISSION_DENIED)
    return management_mode(state)


def _format(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    """All applications go and all memory comes back; the card's key, key settings and configuration stay."""
    state.keep(replace(state.memory, applications={}, deleted_b=0))
    state.transaction = Transaction()
    return Answer()


def _admit_anyone(state: CardState, _header: bytes) -> CommMode:
    return management_mode(state)


def _free_memory(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    """Free bytes, 3 bytes, low byte first."""
    return Answer(free_b(state.memory).to_bytes(3, "little"))


CARD_COMMANDS = {
    0x5C: Command(1, between(1, 20), _admit_configuration, _set_configuration),
    0xFC: Command(0, exactly(0), _admit_format, _format),
    0x6E: Command(0, exactly(0), _admit_anyone, _free_memory),
}
