"""Readers without PC/SC: chips that must be asked again and again whether a card lies there.

Each reader has a lane, and everything said to its chip is said there: looking as well as paying, so the driver needs to
know of one thread only, and a chip that hangs is left behind like any other reader. A second thread of each reader only
waits and has the lane look; it never looks while a tap holds the card.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from terminal.errors import CardFault, CardGone, NotOurCard, ReaderFault, ReaderLost, ReaderStuck
from terminal.events import Inward
from terminal.nfc.apdu import ISO_DEP, Profile
from terminal.nfc.contact import Contact, meet
from terminal.nfc.key_store import KeyStore
from terminal.nfc.lane import Lane, Lanes
from terminal.nfc.links import GET_UID, Link, LinkCounters
from terminal.nfc.presence import Fields, FieldState
from terminal.ports import Clock, Deadline, Presence, Signal

LOOK_EVERY_S: Final = 0.1
LOOK_BUDGET_S: Final = 3.0
_OK: Final = b"\x90\x00"

Told = TypeVar("Told")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """What lies in a field.

    Attributes:
        uid: from anticollision; empty when there is no card, or more than one.
        is_crowded: more than one card.
        speaks_apdus: the chip has ISO 14443-4; others are not ours.
    """

    uid: bytes = b""
    is_crowded: bool = False
    speaks_apdus: bool = True


NOTHING: Final = Sight()


class Antenna(Protocol):
    """One chip with its field, opened. Every call comes from the same thread and may raise ReaderLost, by which it is
    of no more use.
    """

    def look(self) -> Sight:
        """Switch the field off and on, so that every card forgets what it was told, and activate the one that is
        there.
        """
        ...

    def is_still_there(self) -> bool:
        """Whether the activated card still answers; must not disturb it."""
        ...

    def transmit(self, apdu: bytes) -> bytes:
        """The activated card's raw answer. Sends the APDU once.

        Raises:
            CardGone, ReaderLost: whether the card has acted is unknown.
            CardMisbehaves: it answered more than a card may.
        """
        ...

    def close(self) -> None:
        """Switch the field off and give the device back; raises nothing."""
        ...


OpenAntenna = Callable[[], Antenna]
"""Opens a reader; ReaderLost when it is not there."""


class PolledReaders:
    """``ports.Readers`` over chips that must be asked.

    Args:
        antennas: reader name → how to open it, now and after each time it was lost.
        post: called in the readers' threads with what happens in the fields.
    """

    def __init__(
        self,
        antennas: Mapping[str, OpenAntenna],
        keys: KeyStore,
        clock: Clock,
        post: Callable[[Inward], None],
        *,
        profile: Profile = ISO_DEP,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._profile = profile
        self._places: dict[Lane, _Place] = {}
        self._lanes = Lanes(clock.left_s, post, self._doubt, self._free)
        self._watches = {name: _Watch(name, self._look_through(name, made), post) for name, made in antennas.items()}
        self.counters = LinkCounters()

    def start(self) -> None:
        """Begin to watch the fields; the readers need not be there yet."""
        for watch in self._watches.values():
            watch.start()

    def close(self) -> None:
        """End the watching threads, then the lanes, and give the devices back."""
        for watch in self._watches.values():
            watch.end()
        self._lanes.close()

    def has_card(self, reader: str) -> bool:
        """Whether a card lies there, as far as was seen."""
        return self._watches[reader].fields.current(reader) is not None

    def connect(self, presence: Presence, deadline: Deadline) -> Contact:
        """Contact with the card that was announced.

        Raises: CardGone, ReaderLost, ReaderStuck, NotOurCard.
        """
        watch = self._watches.get(presence.reader)
        if watch is None or not watch.fields.has(presence.reader):
            raise ReaderLost("no such reader")
        if watch.fields.current(presence.reader) != presence:
            raise CardGone("the card has left")
        lane = self._lanes.of(presence.reader)
        place = self._places.get(lane)
        if place is None:
            raise CardGone("the reader was opened anew")
        uid = self._lanes.run(presence.reader, lane, place.hold, deadline)
        field = _PolledField(presence.reader, self._lanes, lane, place, uid)
        return meet(Link(field, deadline, self._clock.left_s, counters=self.counters), self._keys, self._profile)

    def signal(self, reader: str, outcome: Signal) -> None:
        """These readers have neither light nor sound of their own."""

    def _look_through(self, reader: str, opens: OpenAntenna) -> Callable[[], FieldState | None]:
        numbers = itertools.count(1)

        def look() -> FieldState | None:
            lane = self._lanes.of(reader)
            place = self._places.get(lane)
            if place is None:
                place = self._places[lane] = _Place(reader, opens, numbers)
            if place.is_held:
                return None
            return self._lanes.run(reader, lane, place.look, self._clock.deadline(LOOK_BUDGET_S))

        return look

    def _doubt(self, reader: str) -> None:
        self._watches[reader].doubt()

    def _free(self, lane: Lane) -> None:
        place = self._places.pop(lane, None)
        if place is not None:
            place.release()


class _Watch:
    """The thread that has one reader looked at, and what was seen last."""

    def __init__(self, reader: str, look: Callable[[], FieldState | None], post: Callable[[Inward], None]) -> None:
        self.fields = Fields(reader)
        self._reader = reader
        self._look = look
        self._post = post
        self._is_doubted = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"watch {reader}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end and wait for it, at most as long as a look may take."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(LOOK_BUDGET_S)

    def doubt(self) -> None:
        """The till was told that the reader is lost: if the next look finds it there, tell so."""
        self._is_doubted = True

    def _work(self) -> None:
        is_odd = False
        while not self._ending.is_set():
            try:
                news, is_odd = self._news(), False
            except Exception as fault:  # a driver's surprise never ends the watch
                if not is_odd:
                    _log.warning("%s cannot be looked at: %s", self._reader, type(fault).__name__)
                news, is_odd = self.fields.update(()), True
            for event in news:
                self._post(event)
            self._ending.wait(LOOK_EVERY_S)

    def _news(self) -> list[Inward]:
        is_doubted = self._is_doubted
        try:
            state = self._look()
        except ReaderStuck:
            return []  # the lane tells
        except (ReaderFault, CardFault):
            return [] if self._ending.is_set() else self.fields.update(())
        if state is None:
            return []
        if is_doubted:
            self._is_doubted = False
        return self.fields.update((state,), (self._reader,) if is_doubted else ())


class _Place:
    """The open antenna of one lane and the card on it; used in the lane's thread only, but for ``is_held``."""

    __slots__ = ("_antenna", "_count", "_numbers", "_opens", "_reader", "_sight", "is_held")

    def __init__(self, reader: str, opens: OpenAntenna, numbers: Iterator[int]) -> None:
        self._reader = reader
        self._opens = opens
        self._numbers = numbers
        self._antenna: Antenna | None = None
        self._sight = NOTHING
        self._count = next(numbers)
        self.is_held = False

    def look(self) -> FieldState:
        """What lies there now; ReaderLost when nothing can be said. Then it is opened anew."""
        if not self.is_held and not self._is_still_there():
            self._look_anew(was_gone=True)
        return FieldState(self._reader, bool(self._sight.uid), self._sight.is_crowded, self._count)

    def hold(self) -> bytes:
        """A tap begins: nobody looks until it lets go. The card's serial number."""
        if not self._sight.uid:
            raise CardGone("the card has left")
        self.is_held = True
        return self._sight.uid

    def transmit(self, apdu: bytes) -> bytes:
        if self._antenna is None or not self._sight.uid:
            raise CardGone("the card has left")
        if not self._sight.speaks_apdus:
            raise NotOurCard("a chip that takes no APDUs")
        try:
            return self._ask(lambda antenna: antenna.transmit(apdu))
        except CardGone:
            self._see(NOTHING)
            raise

    def let_go(self, *, is_clean: bool) -> None:
        """The tap is over; a card that may be in the middle of something is reset."""
        self.is_held = False
        if not is_clean and self._sight.uid:
            self._look_anew(was_gone=False)

    def release(self) -> None:
        """Give the device back; raises nothing."""
        antenna, self._antenna = self._antenna, None
        self.is_held = False
        self._see(NOTHING)
        if antenna is not None:
            antenna.close()

    def _is_still_there(self) -> bool:
        return bool(self._sight.uid) and self._ask(lambda antenna: antenna.is_still_there())

    def _look_anew(self, *, was_gone: bool) -> None:
        sight = self._ask(lambda antenna: antenna.look())
        if sight != self._sight or (was_gone and sight.uid):
            self._see(sight)

    def _ask(self, question: Callable[[Antenna], Told]) -> Told:
        if self._antenna is None:
            self._antenna = self._opens()
        try:
            return question(self._antenna)
        except ReaderLost:
            self.release()
            raise

    def _see(self, sight: Sight) -> None:
        self._sight = sight
        self._count = next(self._numbers)


class _PolledField:
    """The card a tap holds (``links.Field``)."""

    __slots__ = ("_lane", "_lanes", "_place", "_reader", "_uid")

    def __init__(self, reader: str, lanes: Lanes, lane: Lane, place: _Place, uid: bytes) -> None:
        self._reader = reader
        self._lanes = lanes
        self._lane = lane
        self._place = place
        self._uid = uid

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        if apdu == GET_UID:
            return self._uid + _OK
        return self._lanes.run(self._reader, self._lane, lambda: self._place.transmit(apdu), deadline)

    def close(self, *, is_clean: bool) -> None:
        def let_go() -> None:
            with contextlib.suppress(ReaderFault, CardFault):
                self._place.let_go(is_clean=is_clean)

        self._lane.leave(let_go)
