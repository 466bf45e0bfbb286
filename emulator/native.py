"""Native commands of any card: chaining, secure messaging around each command, and the end of a session by an error."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from emulator.authentication import Authenticating, Handshake, challenge, finish
from emulator.command import Answer, Command
from emulator.framing import ADDITIONAL_FRAME, AF_CHAINED, NativeCommand, answer_frames, unwrap
from emulator.memory import CommMode
from emulator.messaging import Ev1Session, Session, open_command, seal_answer, wire_b
from emulator.status import Refused, Status

_EV1_SEALED_B = (24, 32)


State = TypeVar("State", bound=Authenticating)


class NativeCommands(Generic[State]):
    """One card's native commands, and what is under way between two of its APDUs.

    `commands`: by instruction. `authentications`: instructions that open a session on this kind of card.
    """

    def __init__(self, state: State, commands: Mapping[int, Command[State]], authentications: frozenset[int]) -> None:
        self._state = state
        self._commands = commands
        self._authentications = authentications
        self._handshake: Handshake | None = None
        self._arriving: NativeCommand | None = None
        self._leaving: list[tuple[bytes, Status]] = []

    def forget_chains(self) -> None:
        """Drop a half-done authentication and what was still to come or to go."""
        self._handshake = None
        self._arriving = None
        self._leaving = []

    def answer(self, apdu: bytes) -> bytes:
        """Answer one wrapped native APDU (90 …), status bytes included; an error ends the session."""
        try:
            payload, status = self._answer(unwrap(apdu))
        except Refused as refusal:
            self.forget_chains()
            self._state.reset()
            payload, status = b"", refusal.status
        return payload + bytes([0x91, status])

    def _answer(self, native: NativeCommand) -> tuple[bytes, Status]:
        if native.ins == ADDITIONAL_FRAME:
            return self._continue(native.body)
        if self._handshake or self._arriving or self._leaving:
            raise Refused(Status.COMMAND_ABORTED)
        if native.ins in self._authentications:
            self._handshake, enciphered = challenge(self._state, native.ins, native.body)
            return enciphered, Status.ADDITIONAL_FRAME
        return self._run(native)

    def _continue(self, body: bytes) -> tuple[bytes, Status]:
        if self._handshake is not None:
            handshake, self._handshake = self._handshake, None
            return finish(self._state, handshake, body), Status.OK
        if self._arriving is not None:
            if not body:
                raise Refused(Status.LENGTH_ERROR)
            whole, self._arriving = NativeCommand(self._arriving.ins, self._arriving.body + body), None
            return self._run(whole)
        if not self._leaving:
            raise Refused(Status.ILLEGAL_COMMAND)
        if body:
            raise Refused(Status.LENGTH_ERROR)
        return self._leaving.pop(0)

    def _run(self, native: NativeCommand) -> tuple[bytes, Status]:
        """Carry out a command once it is whole; ask for more frames before."""
        state, ins = self._state, native.ins
        command = self._commands.get(ins)
        if command is None:
            raise Refused(Status.ILLEGAL_COMMAND)
        if len(native.body) < command.header_b:
            raise Refused(Status.LENGTH_ERROR)
        header, sealed = native.body[: command.header_b], native.body[command.header_b :]
        least, most = command.size(state, header)
        if state.session is None:
            _check_length(len(sealed), least, most, ins)
        mode = command.admit(state, header)
        if isinstance(state.session, Ev1Session) and mode is CommMode.FULL:
            _check_length(len(sealed), *_EV1_SEALED_B, ins)
        elif not _check_length(len(sealed), *_wire_range(state.session, mode, least, most), ins):
            self._arriving = native
            return b"", Status.ADDITIONAL_FRAME
        data = open_command(state.session, ins, header, sealed, mode)
        if not (least <= len(data) <= most or isinstance(state.session, Ev1Session)):
            raise Refused(Status.LENGTH_ERROR)
        answer = command.act(state, ins, header, data)
        return self._send(ins, answer, mode)

    def _send(self, ins: int, answer: Answer, mode: CommMode) -> tuple[bytes, Status]:
        mode = mode if answer.mode is None else answer.mode
        payload = seal_answer(self._state.session, answer.status, answer.content, mode)
        frames = answer_frames(ins, payload, answer.frames_b)
        statuses = [Status.ADDITIONAL_FRAME] * (len(frames) - 1) + [answer.status]
        self._leaving = list(zip(frames, statuses, strict=True))
        return self._leaving.pop(0)


def _wire_range(session: Session | None, mode: CommMode, least: int, most: int) -> tuple[int, int]:
    return wire_b(session, mode, least), wire_b(session, mode, most)


def _check_length(given: int, least: int, most: int, ins: int) -> bool:
    """Return whether the command is whole; refused when too long, or too short and not chained by AF."""
    if given > most or (given < least and ins not in AF_CHAINED):
        raise Refused(Status.LENGTH_ERROR)
    return given >= least
