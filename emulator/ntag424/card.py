"""The virtual NTAG 424 DNA: power, native and ISO commands, and writes that a tear can leave in part."""

import os
from collections.abc import Callable
from pathlib import Path

from emulator.authentication import EV2_FIRST, EV2_NON_FIRST
from emulator.command import Command
from emulator.crypto import originality_signature
from emulator.framing import CLA_NATIVE, SW_CLASS_UNKNOWN, SW_WRONG_LENGTH
from emulator.native import NativeCommands
from emulator.ntag424.card_file import from_text, to_text
from emulator.ntag424.data_commands import DATA_COMMANDS
from emulator.ntag424.info_commands import INFO_COMMANDS
from emulator.ntag424.iso_commands import iso_answer
from emulator.ntag424.key_commands import KEY_COMMANDS
from emulator.ntag424.memory import NtagMemory
from emulator.ntag424.settings_commands import SETTINGS_COMMANDS
from emulator.ntag424.state import NtagState
from emulator.random_id import random_id
from emulator.state_file import CardStore, store_for
from emulator.tear import Written

ATR = bytes.fromhex("3B8180018080")
"""What a PC/SC reader reports for the tag: the same as for a DESFire card (PC/SC part 3, historical byte 80)."""
UID_B = 7

COMMANDS: dict[int, Command[NtagState]] = {**INFO_COMMANDS, **KEY_COMMANDS, **SETTINGS_COMMANDS, **DATA_COMMANDS}


class VirtualNtag:
    """One NTAG 424 DNA. It answers APDUs while powered; what it must remember is in its store.

    `blank` makes a tag as delivered (five keys of zeros), `load` wakes one from its file or store. Not for use by two
    threads at once.
    """

    def __init__(self, memory: NtagMemory, store: CardStore, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._state = NtagState(memory, store, entropy)
        self._native = NativeCommands(self._state, COMMANDS, frozenset({EV2_FIRST, EV2_NON_FIRST}))
        self._shown_id = self._draw_id()

    @classmethod
    def blank(
        cls,
        uid: bytes,
        store: CardStore | Path | None = None,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> "VirtualNtag":
        """Make a tag as delivered and write its store.

        `uid`: 7 bytes. `store`: a path for a card file, a store, or nothing for memory only. `entropy`: challenges, TI
        and random IDs; seeded in simulations.
        """
        if len(uid) != UID_B:
            raise ValueError("a tag needs a 7-byte UID")
        memory = NtagMemory(uid, originality_signature(uid))
        kept = store_for(store)
        kept.write(to_text(memory))
        return cls(memory, kept, entropy=entropy)

    @classmethod
    def load(cls, store: CardStore | Path, *, entropy: Callable[[int], bytes] = os.urandom) -> "VirtualNtag":
        """Wake a tag from its file or store; raises CardFileUnreadable."""
        kept = store_for(store)
        return cls(from_text(kept.read()), kept, entropy=entropy)

    @property
    def uid(self) -> bytes:
        """What anticollision learns: the 7 bytes of the UID, or with random ID on 4 bytes new for each power-on."""
        return self._shown_id

    @property
    def atr(self) -> bytes:
        """What a PC/SC reader reports for the tag."""
        return ATR

    @property
    def memory(self) -> NtagMemory:
        """What the tag remembers without power, as last written."""
        return self._state.memory

    def power_on(self) -> bytes:
        """Put the tag in the field: card level selected, no session, nothing pending. Returns the ATR."""
        self.power_off()
        self._shown_id = self._draw_id()
        return ATR

    def _draw_id(self) -> bytes:
        return random_id(self._state.entropy) if self._state.memory.is_random_id else self._state.memory.uid

    def power_off(self) -> None:
        """Take the field away: session, selection and half-done commands are gone."""
        self._native.forget_chains()
        self._state.select(application=False)
        self._state.counted.clear()

    def transceive(self, apdu: bytes) -> bytes:
        """Answer one APDU, native wrapped (90 …) or ISO (00 …)."""
        if len(apdu) < 5:
            return SW_WRONG_LENGTH
        if apdu[0] == CLA_NATIVE:
            return self._native.answer(apdu)
        if apdu[0] != 0x00:
            return SW_CLASS_UNKNOWN
        self._native.forget_chains()
        return iso_answer(self._state, apdu)

    def transceive_torn(self, apdu: bytes, written: Written) -> None:
        """Carry out an APDU under which the power goes.

        A write into a file keeps as many of its first bytes as `written` says; other changes are kept or not.
        """
        self._state.torn = written
        self.transceive(apdu)
        self._state.torn = None
