"""Words of the till that several dialogues share."""

from __future__ import annotations

from collections.abc import Iterable

from terminal.errors import CardFault, ReaderFault, ReaderStuck
from terminal.events import DoubtSolved, Outward, ReaderAway
from terminal.tap import Solved

Outwards = tuple[Outward, ...]


def told(solved: Iterable[Solved]) -> Outwards:
    """A note for each doubt that a tap ended."""
    return tuple(
        DoubtSolved(item.doubt.amount, item.doubt.stamp_wall, item.outcome, item.doubt.is_void) for item in solved
    )


def reader_words(fault: CardFault | ReaderFault) -> Outwards:
    """What a lost reader is worth saying; a card's fault is nothing to say here."""
    return (ReaderAway(isinstance(fault, ReaderStuck)),) if isinstance(fault, ReaderFault) else ()
