"""Readers through PC/SC: the only door to pyscard, and only to its thin layer over the C library.

One thread waits in SCardGetStatusChange and posts what happens in the fields; card I/O has a context of its own per
reader, in the reader's lane. pyscard's CardMonitor is not used: its thread ends for good when pcscd restarts.
Source: PC/SC part 5 (ICC resource manager), part 3 §3.2.2 (contactless); pcsc-lite's winscard API.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from smartcard import scard

from sync.errors import PanierError
from terminal.errors import CardGone, CardMisbehaves, NotOurCard, ReaderLost
from terminal.events import Inward, ReaderWent
from terminal.nfc.apdu import ISO_DEP, Profile
from terminal.nfc.contact import Contact, meet
from terminal.nfc.key_store import KeyStore
from terminal.nfc.lane import Lane, Lanes
from terminal.nfc.links import Link, LinkCounters
from terminal.nfc.presence import Fields, FieldState, is_wanted
from terminal.ports import Clock, Deadline, Presence, Signal

_NEW_READER: Final = "\\\\?PnP?\\Notification"
_LOOK_AGAIN_MS: Final = 10_000
_RETRY_S: Final = 0.25
_OK: Final = 0
_TIMEOUT: Final = 0x8010000A
_NO_READERS: Final = 0x8010002E
_CARD_LOST: Final = frozenset({0x8010000C, 0x80100016, 0x80100066, 0x80100067, 0x80100068, 0x80100069})
_NOT_SPOKEN: Final = frozenset({0x8010000F})
_ANSWER_TOO_LONG: Final = frozenset({0x80100008})
_GONE_STATE: Final = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_IGNORE


def fault_of(code: int) -> PanierError:
    """The fault a PC/SC result stands for; whether a card has acted on what was sent is unknown with each."""
    code &= 0xFFFFFFFF
    if code in _CARD_LOST:
        return CardGone(f"PC/SC {code:08X}")
    if code in _NOT_SPOKEN:
        return NotOurCard(f"PC/SC {code:08X}")
    if code in _ANSWER_TOO_LONG:
        return CardMisbehaves(f"PC/SC {code:08X}")
    return ReaderLost(f"PC/SC {code:08X}")


class PcscReaders:
    """``ports.Readers`` over pcscd.

    Args:
        post: called in the status thread with what happens in the fields.
        chosen: parts of the names of the readers to use; none: all but SAM slots.
    """

    def __init__(
        self,
        keys: KeyStore,
        clock: Clock,
        post: Callable[[Inward], None],
        *,
        chosen: Sequence[str] = (),
        profile: Profile = ISO_DEP,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._post = post
        self._chosen = tuple(chosen)
        self._profile = profile
        self._fields = Fields()
        self._cards: dict[Lane, _CardIo] = {}
        self._lanes = Lanes(clock.left_s, post, self._free)
        self._status: _StatusThread | None = None
        self.counters = LinkCounters()

    def start(self) -> None:
        """Begin to watch the fields; needs no pcscd yet."""
        assert self._status is None, "started once"
        self._status = _StatusThread(self._told, self._chosen)
        self._status.start()

    def close(self) -> None:
        """End the status thread and the lanes."""
        if self._status is not None:
            self._status.end()
        self._lanes.close()

    def has_card(self, reader: str) -> bool:
        """Whether a card lies there, as far as PC/SC has seen."""
        return self._fields.current(reader) is not None

    def connect(self, presence: Presence, deadline: Deadline) -> Contact:
        """Contact with the card that was announced.

        Raises: CardGone, ReaderLost, ReaderStuck, NotOurCard.
        """
        if not self._fields.has(presence.reader):
            raise ReaderLost("no such reader")
        if self._fields.current(presence.reader) != presence:
            raise CardGone("the card has left")
        lane = self._lanes.of(presence.reader)
        card = self._cards.setdefault(lane, _CardIo(presence.reader))
        self._lanes.run(presence.reader, lane, card.connect, deadline)
        field = _PcscField(self._lanes, lane, card)
        return meet(Link(field, deadline, self._clock.left_s, counters=self.counters), self._keys, self._profile)

    def signal(self, reader: str, outcome: Signal) -> None:
        """Light and sound of readers are not driven yet: the till's own screen and sound tell."""

    def _told(self, states: Sequence[FieldState]) -> None:
        for event in self._fields.update(states):
            if isinstance(event, ReaderWent):
                self._lanes.forget(event.reader)
            self._post(event)

    def _free(self, lane: Lane) -> None:
        card = self._cards.pop(lane, None)
        if card is not None:
            card.release()


class _CardIo:
    """PC/SC context and card handle of one lane; used in its thread only."""

    __slots__ = ("_card", "_context", "_protocol", "reader")

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self._context: Any = None
        self._card: Any = None
        self._protocol = scard.SCARD_PROTOCOL_T1

    def connect(self) -> None:
        self.disconnect(is_clean=False)
        if self._context is None or scard.SCardIsValidContext(self._context) != _OK:
            code, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            _check(code)
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, card, protocol = scard.SCardConnect(self._context, self.reader, scard.SCARD_SHARE_EXCLUSIVE, protocols)
        _check(code)
        self._card, self._protocol = card, protocol

    def transmit(self, apdu: bytes) -> bytes:
        if self._card is None:
            raise CardGone("the card was let go")
        pci = scard.SCARD_PCI_T1 if self._protocol == scard.SCARD_PROTOCOL_T1 else scard.SCARD_PCI_T0
        code, answer = scard.SCardTransmit(self._card, pci, list(apdu))
        _check(code)
        return bytes(answer)

    def disconnect(self, *, is_clean: bool) -> None:
        card, self._card = self._card, None
        if card is not None:
            scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD if is_clean else scard.SCARD_RESET_CARD)

    def release(self) -> None:
        self.disconnect(is_clean=False)
        context, self._context = self._context, None
        if context is not None:
            scard.SCardReleaseContext(context)


class _PcscField:
    """The card a lane is connected to (``links.Field``)."""

    __slots__ = ("_card", "_lane", "_lanes")

    def __init__(self, lanes: Lanes, lane: Lane, card: _CardIo) -> None:
        self._lanes = lanes
        self._lane = lane
        self._card = card

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        return self._lanes.run(self._card.reader, self._lane, lambda: self._card.transmit(apdu), deadline)

    def close(self, *, is_clean: bool) -> None:
        self._lane.leave(lambda: self._card.disconnect(is_clean=is_clean))


class _StatusThread:
    """Waits for changes in the fields, through removal of readers and restarts of pcscd, until it is ended."""

    def __init__(self, tell: Callable[[Sequence[FieldState]], None], chosen: Sequence[str]) -> None:
        self._tell = tell
        self._chosen = chosen
        self._ending = threading.Event()
        self._context: Any = None
        self._thread = threading.Thread(target=self._work, name="PC/SC status", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, budget_s: float = 2.0) -> None:
        """Ask the thread to end and wait for it."""
        self._ending.set()
        while self._thread.is_alive() and budget_s > 0:
            context = self._context
            if context is not None:
                scard.SCardCancel(context)
            self._thread.join(0.05)
            budget_s -= 0.05

    def _work(self) -> None:
        while not self._ending.is_set():
            code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            if code == _OK:
                self._context = context
                self._watch(context)
                self._context = None
                scard.SCardReleaseContext(context)
            if not self._ending.is_set():
                self._tell(())
            self._ending.wait(_RETRY_S)

    def _watch(self, context: Any) -> None:
        """Returns when the context is of no more use."""
        known: dict[str, int] = {}
        while not self._ending.is_set():
            code, names = scard.SCardListReaders(context, [])
            if code & 0xFFFFFFFF == _NO_READERS:
                names = []
            elif code != _OK:
                return
            wanted = [name for name in names if is_wanted(name, self._chosen)]
            asked = [(name, known.get(name, scard.SCARD_STATE_UNAWARE)) for name in wanted]
            asked.append((_NEW_READER, len(names) << 16))
            code, seen = scard.SCardGetStatusChange(context, _LOOK_AGAIN_MS, asked)
            if code & 0xFFFFFFFF == _TIMEOUT:
                continue
            if code != _OK:
                return
            known = {
                name: state & ~scard.SCARD_STATE_CHANGED
                for name, state, _atr in seen
                if name != _NEW_READER and not state & _GONE_STATE
            }
            self._tell([_field_state(name, state) for name, state in known.items()])


def _field_state(reader: str, state: int) -> FieldState:
    is_mute = bool(state & scard.SCARD_STATE_MUTE)
    is_present = bool(state & scard.SCARD_STATE_PRESENT)
    return FieldState(reader, is_present and not is_mute, is_mute, state >> 16 & 0xFFFF)


def _check(code: int) -> None:
    if code != _OK:
        raise fault_of(code)
