"""What changed in the fields, from what PC/SC reports: pure, so that every order of events can be tried."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from terminal.events import CardPresented, CardRemoved, CardsClash, Inward, ReaderCame, ReaderWent
from terminal.ports import Presence

_SAM_SLOT: Final = re.compile(r"\bSAM\b", re.IGNORECASE)
_CONTACT_SLOT: Final = re.compile(r"\bICC\b|\bContact\b(?!-)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FieldState:
    """One reader as PC/SC sees it now.

    Attributes:
        is_present: a card that answers lies there.
        is_mute: something lies there that does not answer; on a contactless reader mostly two cards at once.
        event_count: PC/SC's count of cards that came and went (high word of dwEventState).
    """

    reader: str
    is_present: bool
    is_mute: bool
    event_count: int


def is_wanted(reader: str, chosen: Sequence[str]) -> bool:
    """Whether a reader takes customers' cards: no SAM slot; in the chosen list (parts of names) if there is one, else
    not the contact slot of a reader with two.
    """
    if _SAM_SLOT.search(reader):
        return False
    if chosen:
        return any(part.casefold() in reader.casefold() for part in chosen)
    return not _CONTACT_SLOT.search(reader)


class Fields:
    """The fields of all readers and the card in each. One thread updates it, others may ask what is there now."""

    __slots__ = ("_has_looked", "_insertions", "_present", "_states", "_wanted")

    def __init__(self, wanted: str = "") -> None:
        """``wanted``: what the reader is called while none was seen yet."""
        self._wanted = wanted
        self._has_looked = False
        self._states: dict[str, FieldState] = {}
        self._present: dict[str, Presence] = {}
        self._insertions: dict[str, int] = {}

    def current(self, reader: str) -> Presence | None:
        """The card that lies there, or ``None``."""
        return self._present.get(reader)

    def has(self, reader: str) -> bool:
        """Whether the reader is there."""
        return reader in self._states

    def update(self, states: Iterable[FieldState], doubted: Collection[str] = ()) -> list[Inward]:
        """Take over what PC/SC reports of *all* readers and tell what changed, in order.

        Args: doubted, the readers that a fault has told to be lost before they were looked at: told as back when they
            are there all the same, and the card on them as a new one.
        """
        now = {state.reader: state for state in states}
        told: list[Inward] = []
        if not self._has_looked and not now:
            told.append(ReaderWent(self._wanted))
        self._has_looked = True
        for reader in [reader for reader in self._states if reader not in now]:
            del self._states[reader]
            told += [*self._left(reader), ReaderWent(reader)]
        for reader, state in now.items():
            before = self._states.get(reader)
            if before is not None and reader in doubted:
                told += self._left(reader)
                before = None
            if before is None:
                told.append(ReaderCame(reader))
            told += self._changed(before, state)
            self._states[reader] = state
        return told

    def _changed(self, before: FieldState | None, now: FieldState) -> list[Inward]:
        told: list[Inward] = []
        lay_there = before is not None and before.is_present
        is_another = before is not None and before.event_count != now.event_count
        if lay_there and (is_another or not now.is_present):
            told += self._left(now.reader)
        if now.is_present and (is_another or not lay_there):
            told.append(CardPresented(self._came(now.reader)))
        if now.is_mute and (before is None or is_another):  # without a count it is a card that failed to be reset
            told.append(CardsClash(now.reader))
        return told

    def _came(self, reader: str) -> Presence:
        self._insertions[reader] = self._insertions.get(reader, 0) + 1
        self._present[reader] = Presence(reader, self._insertions[reader])
        return self._present[reader]

    def _left(self, reader: str) -> list[Inward]:
        before = self._present.pop(reader, None)
        return [] if before is None else [CardRemoved(before)]
