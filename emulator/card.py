"""The virtual card: power, APDUs in and out, chaining, and the end of a session after any error."""

import os
from collections.abc import Callable
from pathlib import Path

from emulator.authentication import AUTHENTICATIONS, Handshake, challenge, finish
from emulator.command import Answer, Command
from emulator.create_commands import CREATE_COMMANDS
from emulator.data_commands import DATA_COMMANDS
from emulator.framing import (
    ADDITIONAL_FRAME,
    AF_CHAINED,
    CLA_NATIVE,
    SW_CLASS_UNKNOWN,
    SW_NOT_FOUND,
    SW_OK,
    SW_WRONG_LENGTH,
    NativeCommand,
    answer_frames,
    unwrap,
)
from emulator.info_commands import INFO_COMMANDS, VERSION_FRAME_B
from emulator.key_commands import KEY_COMMANDS
from emulator.memory import CardMemory, CommMode
from emulator.messaging import Ev1Session, Session, open_command, seal_answer, wire_b
from emulator.record_commands import RECORD_COMMANDS
from emulator.state import CardProfile, CardState
from emulator.state_file import CardStore, FileStore, MemoryStore, from_text, to_text
from emulator.status import Refused, Status
from emulator.transaction_commands import TRANSACTION_COMMANDS
from emulator.value_commands import VALUE_COMMANDS

ATR = bytes.fromhex("3B8180018080")
"""What a PC/SC reader reports for a DESFire card (PC/SC part 3, ATS historical byte 80)."""
UID_B = 7
_EV1_SEALED_B = (24, 32)
_CHANGE_KEY = 0xC4

COMMANDS: dict[int, Command] = {
    **INFO_COMMANDS,
    **KEY_COMMANDS,
    **CREATE_COMMANDS,
    **DATA_COMMANDS,
    **VALUE_COMMANDS,
    **RECORD_COMMANDS,
    **TRANSACTION_COMMANDS,
}


class VirtualCard:
    """One DESFire card. It answers APDUs while powered; what it must remember is in its store.

    `blank` makes a card as delivered (triple-DES master key of zeros, no application), `load` and `open` wake one from
    its file or store. Not for use by two threads at once.
    """

    def __init__(
        self,
        memory: CardMemory,
        store: CardStore,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        profile: CardProfile | None = None,
    ) -> None:
        self._state = CardState(memory, store, entropy, profile or CardProfile())
        self._handshake: Handshake | None = None
        self._arriving: NativeCommand | None = None
        self._leaving: list[tuple[bytes, Status]] = []

    @classmethod
    def blank(
        cls,
        uid: bytes,
        store: CardStore | Path | None = None,
        *,
        generation: str = "EV3",
        originality_signature: bytes = bytes(56),
        entropy: Callable[[int], bytes] = os.urandom,
        profile: CardProfile | None = None,
    ) -> "VirtualCard":
        """Make a card as delivered and write its store.

        `uid`: 7 bytes. `store`: a path for a card file, a store, or nothing for memory only. `generation`: EV2 or EV3.
        `originality_signature`: 56 bytes for Read_Sig. `entropy`: challenges and TI; seeded in simulations.
        """
        if len(uid) != UID_B or len(originality_signature) != 56 or generation not in ("EV2", "EV3"):
            raise ValueError("a card needs a 7-byte UID, a 56-byte signature and generation EV2 or EV3")
        memory = CardMemory(uid=uid, generation=generation, originality_signature=originality_signature)
        kept = _store(store)
        kept.write(to_text(memory))
        return cls(memory, kept, entropy=entropy, profile=profile)

    @classmethod
    def load(
        cls,
        store: CardStore | Path,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        profile: CardProfile | None = None,
    ) -> "VirtualCard":
        """Wake a card from its file or store; raises CardFileUnreadable."""
        kept = _store(store)
        return cls(from_text(kept.read()), kept, entropy=entropy, profile=profile)

    @property
    def uid(self) -> bytes:
        """The 7 bytes a reader learns in anticollision."""
        return self._state.memory.uid

    @property
    def atr(self) -> bytes:
        """What a PC/SC reader reports for the card."""
        return ATR

    @property
    def memory(self) -> CardMemory:
        """What the card remembers without power, as last written."""
        return self._state.memory

    def power_on(self) -> bytes:
        """Put the card in the field: card level selected, no session, nothing pending. Returns the ATR."""
        self.power_off()
        return ATR

    def power_off(self) -> None:
        """Take the field away: the session and everything not committed are gone."""
        self._forget_chains()
        self._state.select(bytes(3))

    def transceive(self, apdu: bytes) -> bytes:
        """Answer one APDU, native wrapped (90 …) or SELECT by DF name (00 A4 04 …)."""
        if len(apdu) < 5:
            return SW_WRONG_LENGTH
        if apdu[0] == 0x00 and apdu[1] == 0xA4:
            return self._iso_select(apdu)
        if apdu[0] != CLA_NATIVE:
            return SW_CLASS_UNKNOWN
        try:
            payload, status = self._answer(unwrap(apdu))
        except Refused as refusal:
            self._forget_chains()
            self._state.reset()
            payload, status = b"", refusal.status
        return payload + bytes([0x91, status])

    def _forget_chains(self) -> None:
        self._handshake = None
        self._arriving = None
        self._leaving = []

    def _answer(self, native: NativeCommand) -> tuple[bytes, Status]:
        if native.ins == ADDITIONAL_FRAME:
            return self._continue(native.body)
        if self._handshake or self._arriving or self._leaving:
            raise Refused(Status.COMMAND_ABORTED)
        if native.ins in AUTHENTICATIONS:
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
        command = COMMANDS.get(ins)
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
        payload = seal_answer(self._state.session, answer.status, answer.content, answer.mode or mode)
        frames = answer_frames(ins, payload, VERSION_FRAME_B)
        statuses = [Status.ADDITIONAL_FRAME] * (len(frames) - 1) + [answer.status]
        self._leaving = list(zip(frames, statuses, strict=True))
        return self._leaving.pop(0)

    def _iso_select(self, apdu: bytes) -> bytes:
        """SELECT by DF name: like SelectApplication, answered without file control information."""
        self._forget_chains()
        self._state.reset()
        name = apdu[5 : 5 + apdu[4]]
        if apdu[2] != 0x04 or len(name) != apdu[4] or len(apdu) - 5 - len(name) > 1 or not name:
            return SW_WRONG_LENGTH
        for application in self._state.memory.applications.values():
            if application.df_name == name:
                self._state.select(application.aid)
                return SW_OK
        return SW_NOT_FOUND


def _store(store: CardStore | Path | None) -> CardStore:
    if store is None:
        return MemoryStore()
    return FileStore(store) if isinstance(store, Path) else store


def _wire_range(session: Session | None, mode: CommMode, least: int, most: int) -> tuple[int, int]:
    return wire_b(session, mode, least), wire_b(session, mode, most)


def _check_length(given: int, least: int, most: int, ins: int) -> bool:
    """Return whether the command is whole; refused when too long, or too short and not chained by AF."""
    if given > most or (given < least and ins not in AF_CHAINED):
        raise Refused(Status.LENGTH_ERROR)
    return given >= least
