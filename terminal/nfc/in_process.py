"""Readers without PC/SC: cards that answer in this very process (training, tests, machines without namespaces)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from terminal.errors import CardGone, ReaderLost
from terminal.events import CardPresented, CardRemoved, Inward, ReaderCame
from terminal.nfc.apdu import ISO_DEP, Profile
from terminal.nfc.contact import Contact, meet
from terminal.nfc.key_store import KeyStore
from terminal.nfc.lane import Lanes
from terminal.nfc.links import Link, LinkCounters
from terminal.ports import Clock, Deadline, Presence, Signal


class Exchanging(Protocol):
    """Anything that answers APDUs for the card that lies in it."""

    def exchange(self, apdu: bytes) -> bytes: ...


class InProcessReaders:
    """``ports.Readers`` over objects of this process.

    Args:
        fields: reader name → what lies in it.
        gone: exception an ``exchange`` raises when the card has left.
        post: receives what happens in the fields; ``field_changed`` must be called for that.
        has_lanes: run each exchange in a lane, as with real readers; without them the deadline holds between
            exchanges only and there is no thread at all (simulations).
    """

    def __init__(
        self,
        fields: Mapping[str, Exchanging],
        gone: type[Exception],
        keys: KeyStore,
        clock: Clock,
        post: Callable[[Inward], None] = lambda _event: None,
        *,
        profile: Profile = ISO_DEP,
        has_lanes: bool = True,
    ) -> None:
        self._fields = fields
        self._gone = gone
        self._keys = keys
        self._clock = clock
        self._post = post
        self._profile = profile
        self._lanes = Lanes(clock.left_s, post, self._doubt) if has_lanes else None
        self._insertions = dict.fromkeys(fields, 0)
        self._present: dict[str, Presence] = {}
        self.counters = LinkCounters()

    def start(self) -> None:
        """Tell that the readers are there."""
        for reader in self._fields:
            self._post(ReaderCame(reader))

    def _doubt(self, reader: str) -> None:
        """The card that still lies there is told as a new one, as every reader does that is back."""
        is_present = reader in self._present
        if is_present:
            self.field_changed(reader, is_present=False)
        self._post(ReaderCame(reader))
        if is_present:
            self.field_changed(reader, is_present=True)

    def field_changed(self, reader: str, *, is_present: bool) -> None:
        """A card was laid into a field, or left it: posts the event."""
        before = self._present.pop(reader, None)
        if before is not None:
            self._post(CardRemoved(before))
        if is_present:
            self._insertions[reader] += 1
            self._present[reader] = Presence(reader, self._insertions[reader])
            self._post(CardPresented(self._present[reader]))

    def insertions(self, reader: str) -> int:
        """How many cards were laid into a field so far."""
        return self._insertions[reader]

    def connect(self, presence: Presence, deadline: Deadline) -> Contact:
        """Contact with the card that was announced.

        Raises: CardGone, ReaderLost, ReaderStuck, NotOurCard.
        """
        if presence.reader not in self._fields:
            raise ReaderLost("no such reader")
        if self._present.get(presence.reader) != presence:
            raise CardGone("the card has left")
        field = _Field(presence.reader, self._fields[presence.reader], self._gone, self._lanes)
        link = Link(field, deadline, self._clock.left_s, counters=self.counters)
        return meet(link, self._keys, self._profile)

    def signal(self, reader: str, outcome: Signal) -> None:
        """These readers have neither light nor sound."""

    def close(self) -> None:
        """End the lanes."""
        if self._lanes is not None:
            self._lanes.close()


class _Field:
    """One card of this process for one tap (``links.Field``)."""

    __slots__ = ("_gone", "_inner", "_lane", "_lanes", "_reader")

    def __init__(self, reader: str, inner: Exchanging, gone: type[Exception], lanes: Lanes | None) -> None:
        self._reader = reader
        self._inner = inner
        self._gone = gone
        self._lanes = lanes
        self._lane = lanes.of(reader) if lanes is not None else None

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        if self._lanes is None or self._lane is None:
            return self._answer(apdu)
        return self._lanes.run(self._reader, self._lane, lambda: self._answer(apdu), deadline)

    def close(self, *, is_clean: bool) -> None:
        """Nothing is held."""

    def _answer(self, apdu: bytes) -> bytes:
        try:
            return self._inner.exchange(apdu)
        except self._gone as fault:
            raise CardGone("the card left the field") from fault
