"""The two ways to a virtual card: through pcscd and vpcd as on a real reader, or inside this process."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from bench.market import READER
from bench.restored_card import RestoredCard
from emulator.field import Exchange, FieldGone
from emulator.inprocess import InProcessField
from emulator.vpcd import FIRST_READER_PORT, CardInField
from terminal.errors import CardGone, ReaderLost
from terminal.events import CardPresented, CardRemoved, Inward
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import LinkCounters
from terminal.ports import Clock, Presence, Readers

_LAID_WITHIN_S: Final = 20.0
_FREED_WITHIN_S: Final = 5.0


class BareReader(Protocol):
    """A reader with nothing of the till around it: no lane, no deadline, no counting."""

    def connect(self) -> None: ...

    def transmit(self, apdu: bytes) -> bytes: ...

    def disconnect(self, *, is_clean: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class LaidCard:
    """A card that lies on a reader for a whole case.

    Attributes:
        readers, presence: for the till.
        counters: what the till's links count.
        bare: the same reader for the floor.
        seen: what the emulator counts, newest last; cleared by the bench.
    """

    readers: Readers
    presence: Presence
    counters: LinkCounters
    bare: BareReader
    seen: list[Exchange]

    def wait_free(self) -> None:
        """Return when the till has let the card go (it does so behind its back).

        Raises: CardGone (how PC/SC's sharing violation is told) or ReaderLost, when it has not after 5 s.
        """
        give_up_s = time.monotonic() + _FREED_WITHIN_S
        while True:
            try:
                self.bare.connect()
            except (CardGone, ReaderLost):
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(0.001)
            else:
                self.bare.disconnect(is_clean=True)
                return


class _BareField:
    """``BareReader`` inside this process."""

    def __init__(self, field: InProcessField) -> None:
        self.transmit = field.exchange

    def connect(self) -> None:
        return

    def disconnect(self, *, is_clean: bool) -> None:  # noqa: ARG002
        return


@contextmanager
def in_process(card: RestoredCard, keys: KeyStore, clock: Clock) -> Iterator[LaidCard]:
    """Lay the card on a reader of this process; without lanes, as no card of this process can hang."""
    field, seen = InProcessField(), list[Exchange]()
    posted: queue.SimpleQueue[Inward] = queue.SimpleQueue()
    readers = InProcessReaders({READER: field}, FieldGone, keys, clock, posted.put, has_lanes=False)
    field.present(card, log=seen.append)
    readers.field_changed(READER, is_present=True)
    try:
        yield LaidCard(readers, _first_presence(posted), readers.counters, _BareField(field), seen)
    finally:
        readers.close()


@contextmanager
def through_pcscd(card: RestoredCard, keys: KeyStore, clock: Clock) -> Iterator[LaidCard]:
    """Lay the card on vpcd's first reader; pcscd runs already (``demo.namespace.private_pcscd``)."""
    from terminal.nfc.pcsc import PcscReaders, _CardIo

    posted: queue.SimpleQueue[Inward] = queue.SimpleQueue()
    seen: list[Exchange] = []
    readers = PcscReaders(keys, clock, posted.put)
    field = CardInField(card, FIRST_READER_PORT, log=seen.append)
    readers.start()
    try:
        field.present()
        presence = _first_presence(posted)
        bare = _CardIo(presence.reader)
        try:
            yield LaidCard(readers, presence, readers.counters, bare, seen)
        finally:
            bare.release()
    finally:
        _lift(field, posted)
        readers.close()


def _lift(field: CardInField, posted: queue.SimpleQueue[Inward]) -> None:
    """Take the card away and wait until pcscd has seen it: the next one must not be taken for this one."""
    was_present = field.is_present
    field.lift()
    while was_present and not isinstance(posted.get(timeout=_LAID_WITHIN_S), CardRemoved):
        pass


def _first_presence(posted: queue.SimpleQueue[Inward]) -> Presence:
    while True:
        event = posted.get(timeout=_LAID_WITHIN_S)
        if isinstance(event, CardPresented):
            return event.presence
