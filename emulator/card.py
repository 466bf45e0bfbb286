"""The virtual card: power, APDUs in and out, chaining, and the end of a session after any error."""

import os
from collections.abc import Callable
from pathlib import Path

from emulator.authentication import AUTHENTICATIONS
from emulator.card_commands import CARD_COMMANDS
from emulator.command import Command
from emulator.create_commands import CREATE_COMMANDS
from emulator.crypto import originality_signature as _signature
from emulator.data_commands import DATA_COMMANDS
from emulator.framing import CLA_NATIVE, SW_CLASS_UNKNOWN, SW_NOT_FOUND, SW_OK, SW_WRONG_LENGTH
from emulator.info_commands import INFO_COMMANDS
from emulator.key_commands import KEY_COMMANDS
from emulator.memory import CardMemory
from emulator.native import NativeCommands
from emulator.random_id import random_id
from emulator.record_commands import RECORD_COMMANDS
from emulator.settings_commands import SETTINGS_COMMANDS
from emulator.state import CardProfile, CardState
from emulator.state_file import CardStore, from_text, store_for, to_text
from emulator.tear import Written
from emulator.transaction_commands import TRANSACTION_COMMANDS
from emulator.value_commands import VALUE_COMMANDS

ATR = bytes.fromhex("3B8180018080")
"""What a PC/SC reader reports for a DESFire card (PC/SC part 3, ATS historical byte 80)."""
UID_B = 7

COMMANDS: dict[int, Command[CardState]] = {
    **INFO_COMMANDS,
    **CARD_COMMANDS,
    **KEY_COMMANDS,
    **SETTINGS_COMMANDS,
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
        self._native = NativeCommands(self._state, COMMANDS, AUTHENTICATIONS)
        self._shown_id = self._draw_id()

    @classmethod
    def blank(
        cls,
        uid: bytes,
        store: CardStore | Path | None = None,
        *,
        generation: str = "EV3",
        originality_signature: bytes | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        profile: CardProfile | None = None,
    ) -> "VirtualCard":
        """Make a card as delivered and write its store.

        `uid`: 7 bytes. `store`: a path for a card file, a store, or nothing for memory only. `generation`: EV2 or EV3.
        `originality_signature`: 56 bytes for Read_Sig in place of a good one. `entropy`: challenges, TI and random IDs;
        seeded in simulations.
        """
        signature = _signature(uid) if originality_signature is None else originality_signature
        if len(uid) != UID_B or len(signature) != 56 or generation not in ("EV2", "EV3"):
            raise ValueError("a card needs a 7-byte UID, a 56-byte signature and generation EV2 or EV3")
        memory = CardMemory(uid=uid, generation=generation, originality_signature=signature)
        kept = store_for(store)
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
        kept = store_for(store)
        return cls(from_text(kept.read()), kept, entropy=entropy, profile=profile)

    @property
    def uid(self) -> bytes:
        """What anticollision learns: the 7 bytes of the UID, or with random ID on 4 bytes new for each power-on."""
        return self._shown_id

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
        self._shown_id = self._draw_id()
        return ATR

    def _draw_id(self) -> bytes:
        return random_id(self._state.entropy) if self._state.memory.is_random_id else self._state.memory.uid

    def power_off(self) -> None:
        """Take the field away: the session and everything not committed are gone."""
        self._native.forget_chains()
        self._state.select(bytes(3))

    def transceive(self, apdu: bytes) -> bytes:
        """Answer one APDU, native wrapped (90 …) or SELECT by DF name (00 A4 04 …)."""
        if len(apdu) < 5:
            return SW_WRONG_LENGTH
        if apdu[0] == 0x00 and apdu[1] == 0xA4:
            return self._iso_select(apdu)
        if apdu[0] != CLA_NATIVE:
            return SW_CLASS_UNKNOWN
        return self._native.answer(apdu)

    def transceive_torn(self, apdu: bytes, written: Written) -> None:
        """Carry out an APDU under which the power goes.

        What it keeps at once is kept whole or not at all; of a write into a standard file, a prefix.
        """
        self._state.torn = written
        self.transceive(apdu)
        self._state.torn = None

    def _iso_select(self, apdu: bytes) -> bytes:
        """SELECT by DF name: like SelectApplication, answered without file control information."""
        self._native.forget_chains()
        self._state.reset()
        name = apdu[5 : 5 + apdu[4]]
        if apdu[2] != 0x04 or len(name) != apdu[4] or len(apdu) - 5 - len(name) > 1 or not name:
            return SW_WRONG_LENGTH
        for application in self._state.memory.applications.values():
            if application.df_name == name:
                self._state.select(application.aid)
                return SW_OK
        return SW_NOT_FOUND
