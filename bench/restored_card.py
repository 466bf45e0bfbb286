"""A virtual card that can be set back to a remembered state, and notes what it was asked and what it answered."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from emulator.card import VirtualCard
from emulator.state_file import MemoryStore

COMMIT_TRANSACTION: Final = 0xC7


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One APDU and the card's answer to it, byte for byte."""

    apdu: bytes
    answer: bytes

    @property
    def instruction(self) -> int:
        """Second byte of the APDU."""
        return self.apdu[1]


class RestoredCard:
    """``emulator.field.Card`` over a virtual card that is exchanged for a fresh one while nobody looks.

    Args:
        text: memory of the card as its store keeps it; every ``restore`` begins from it, until ``remember``.
        before_commit: called when CommitTransaction arrives, before the card acts.
    """

    def __init__(self, text: str, before_commit: Callable[[], None] = lambda: None) -> None:
        self._first_text = self._text = text
        self._before_commit = before_commit
        self.exchanged: list[Exchanged] = []
        self.restore(0)

    def restore(self, seed: int) -> None:
        """Back to the remembered state, in the field and powered; the same seed gives the same answers again."""
        self._store = MemoryStore(self._text)
        self._card = VirtualCard.load(self._store, entropy=random.Random(seed).randbytes)
        self._card.power_on()
        self.exchanged = []

    def remember(self) -> None:
        """Let every ``restore`` begin from the state the card is in now."""
        self._text = self._store.read()

    def start_over(self) -> None:
        """Let every ``restore`` begin from the first state again."""
        self._text = self._first_text

    @property
    def uid(self) -> bytes:
        """7 bytes."""
        return self._card.uid

    @property
    def atr(self) -> bytes:
        """What a reader makes of it."""
        return self._card.atr

    def power_on(self) -> bytes:
        """Field on."""
        return self._card.power_on()

    def power_off(self) -> None:
        """Field off."""
        self._card.power_off()

    def transceive(self, apdu: bytes) -> bytes:
        """One APDU and its answer."""
        if apdu[1:2] == bytes([COMMIT_TRANSACTION]):
            self._before_commit()
        answer = self._card.transceive(apdu)
        self.exchanged.append(Exchanged(apdu, answer))
        return answer
