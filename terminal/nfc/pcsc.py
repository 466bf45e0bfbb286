"""Readers through PC/SC: the only door to pyscard, and only to its thin layer over the C library.

One thread waits in SCardGetStatusChange and posts what happens in the fields; card I/O has a context of its own per
reader, in the reader's lane. pyscard's CardMonitor is not used: its thread ends for good when pcscd restarts.
Source: PC/SC part 5 (ICC resource manager), part 3 §3.2.2 (contactless); pcsc-lite's winscard API.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from smartcard import scard

from sync.errors import PanierError
from terminal.errors import CardGone, CardMisbehaves, NotOurCard, ReaderFault, ReaderLost
from terminal.events import Inward, ReaderWent
from terminal.nfc.apdu import ISO_DEP, Profile
from terminal.nfc.contact import Contact, meet
from terminal.nfc.key_store import KeyStore
from terminal.nfc.lane import Lane, Lanes, Result
from terminal.nfc.lights import Lights, lights_of
from terminal.nfc.links import Link, LinkCounters
from terminal.nfc.presence import Fields, FieldState, is_wanted
from terminal.ports import Clock, Deadline, Presence, Signal

_NEW_READER: Final = "\\\\?PnP?\\Notification"
_LOOK_AGAIN_MS: Final = 1_000
"""A cancelled wait is lost when it came just before the wait began (pcsc-lite 1.9.9, SCardCancel): so late at most."""
_SETTLES_S: Final = 0.5
"""pcscd asks most readers every 0.4 s whether they are there; before, it goes on telling what it saw last."""
_RETRY_S: Final = 0.25
_LIST_AGAIN_S: Final = 0.05
_OK: Final = 0
_TIMEOUT: Final = 0x8010000A
_CANCELLED: Final = 0x80100002
_NO_READERS: Final = 0x8010002E
_UNKNOWN_READER: Final = 0x80100009
_CARD_LOST: Final = frozenset({0x8010000B, 0x8010000C, 0x80100016, 0x80100066, 0x80100067, 0x80100068, 0x80100069})
_NOT_SPOKEN: Final = frozenset({0x8010000F})
_ANSWER_TOO_LONG: Final = frozenset({0x80100008})
_ESCAPE_CODES: Final = (1, 3500)
"""Control codes of the escape command: libccid's (where its Info.plist allows it), then that of makers' own drivers."""
_T0_OR_T1: Final = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
_GONE_STATE: Final = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_IGNORE

_log = logging.getLogger(__name__)


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
        self._fields = Fields(", ".join(self._chosen) or "PC/SC")
        self._cards: dict[Lane, _CardIo] = {}
        self._lanes = Lanes(clock.left_s, post, self._doubt, self._free)
        self._status: _StatusThread | None = None
        self._dark: set[str] = set()  # readers whose light has failed: said once
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
        card = self._io(presence.reader, lane)
        field = _PcscField(self._lanes, lane, card)
        field.connect(deadline)
        return meet(Link(field, deadline, self._clock.left_s, counters=self.counters), self._keys, self._profile)

    def signal(self, reader: str, outcome: Signal) -> None:
        """Light and sound of the models in ``lights``; in the lane, so that nobody waits, and never a fault."""
        lights = lights_of(reader)
        if lights is None:
            return
        try:
            lane = self._lanes.of(reader)
        except ReaderFault:
            return
        card = self._io(reader, lane)
        lane.leave(lambda: self._show(card, lights, lights.commands[outcome]))

    def _show(self, card: _CardIo, lights: Lights, command: bytes) -> None:
        try:
            card.show(command, is_pseudo_apdu=lights.is_pseudo_apdu)
        except PanierError as fault:
            if card.reader not in self._dark:
                self._dark.add(card.reader)
                _log.warning("light and sound of %s cannot be driven: %s", card.reader, fault)

    def _io(self, reader: str, lane: Lane) -> _CardIo:
        return self._cards.setdefault(lane, _CardIo(reader))

    def _doubt(self, reader: str) -> None:
        if self._status is not None:
            self._status.doubt(reader)

    def _told(self, states: Sequence[FieldState], doubted: Collection[str]) -> None:
        for event in self._fields.update(states, doubted):
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

    def connect(self, share: int = scard.SCARD_SHARE_EXCLUSIVE, protocols: int = _T0_OR_T1) -> None:
        self.disconnect(is_clean=False)
        if self._context is None:
            code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            self._check(code)
            self._context = context
        code, card, protocol = scard.SCardConnect(self._context, self.reader, share, protocols)
        self._check(code)
        self._card, self._protocol = card, protocol

    def transmit(self, apdu: bytes) -> bytes:
        if self._card is None:
            raise CardGone("the card was let go")
        pci = scard.SCARD_PCI_T1 if self._protocol == scard.SCARD_PROTOCOL_T1 else scard.SCARD_PCI_T0
        code, answer = scard.SCardTransmit(self._card, pci, list(apdu))
        self._check(code)
        return bytes(answer)

    def show(self, command: bytes, *, is_pseudo_apdu: bool) -> None:
        """Send the reader a command of its own: with the card that lies there when it may travel so, else without."""
        if self._card is not None:
            if is_pseudo_apdu:  # a tap holds the card; no escape command between its APDUs
                self._tell_reader(command)
            return
        try:
            if is_pseudo_apdu:
                try:
                    self.connect(scard.SCARD_SHARE_SHARED)
                    self._tell_reader(command)
                    return
                except PanierError:
                    pass  # no card: the other way
            self.connect(scard.SCARD_SHARE_DIRECT, 0)
            self._control(command)
        finally:
            self.disconnect(is_clean=True)

    def _tell_reader(self, pseudo_apdu: bytes) -> None:
        if self.transmit(pseudo_apdu)[-2:-1] != b"\x90":  # the second byte may tell the state of its light
            raise CardMisbehaves("not taken by the reader")

    def _control(self, command: bytes) -> None:
        for number in _ESCAPE_CODES:
            code, _answer = scard.SCardControl(self._card, scard.SCARD_CTL_CODE(number), list(command))
            if code == _OK:
                return
        self._check(code)

    def _check(self, code: int) -> None:
        """A context that lost its reader is given up: its connection to pcscd may be the one that is lost."""
        if code != _OK:
            fault = fault_of(code)
            if isinstance(fault, ReaderLost):
                self.release()
            raise fault

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

    def connect(self, deadline: Deadline) -> None:
        self._run(self._card.connect, deadline)

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        return self._run(lambda: self._card.transmit(apdu), deadline)

    def close(self, *, is_clean: bool) -> None:
        self._lane.leave(lambda: self._card.disconnect(is_clean=is_clean))

    def _run(self, call: Callable[[], Result], deadline: Deadline) -> Result:
        return self._lanes.run(self._card.reader, self._lane, call, deadline)


class _StatusThread:
    """Waits for changes in the fields, through removal of readers and restarts of pcscd, until it is ended."""

    def __init__(self, tell: Callable[[Sequence[FieldState], Collection[str]], None], chosen: Sequence[str]) -> None:
        self._tell = tell
        self._chosen = chosen
        self._doubted: set[str] = set()
        self._ending = threading.Event()
        self._context: Any = None
        self._waker: threading.Thread | None = None
        self._waking = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="PC/SC status", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, budget_s: float = 2.0) -> None:
        """Ask the thread to end and wait for it."""
        self._ending.set()
        while self._thread.is_alive() and budget_s > 0:
            self._wake()
            self._thread.join(0.05)
            budget_s -= 0.05
        if self._waker is not None:
            self._waker.join(max(budget_s, 0.0))

    def doubt(self, reader: str) -> None:
        """The till was told that the reader is lost: look, and if it is there, tell so."""
        self._doubted.add(reader)
        self._wake()

    def _wake(self) -> None:
        """In a thread of its own, one at a time, that nobody waits for: pcscd may not answer."""
        with self._waking:
            context = self._context
            if context is not None and not (self._waker is not None and self._waker.is_alive()):
                self._waker = threading.Thread(
                    target=scard.SCardCancel, args=(context,), name="PC/SC wake", daemon=True
                )
                self._waker.start()

    def _work(self) -> None:
        while not self._ending.is_set():
            code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            if code == _OK:
                self._context = context
                try:
                    self._watch(context)
                except Exception as fault:  # a surprise never ends the watch
                    _log.warning("PC/SC cannot be watched: %s", type(fault).__name__)
                self._context = None
                scard.SCardReleaseContext(context)
            if not self._ending.is_set():
                self._tell((), ())
            self._ending.wait(_RETRY_S)

    def _watch(self, context: Any) -> None:
        """Returns when the context is of no more use."""
        known: dict[str, int] = {}
        doubted: set[str] = set()
        while not self._ending.is_set():
            doubted |= self._newly_doubted()
            code, names = scard.SCardListReaders(context, [])
            if code & 0xFFFFFFFF == _NO_READERS:
                names = []
            elif code != _OK:
                return
            wanted = [name for name in names if name.isascii() and is_wanted(name, self._chosen)]  # pyscard's limit
            has_gone = not known.keys() <= set(wanted)
            known = {name: state for name, state in known.items() if name in wanted and name not in doubted}
            asked = [(name, known.get(name, scard.SCARD_STATE_UNAWARE)) for name in wanted]
            asked.append((_NEW_READER, len(names) << 16))
            code, seen = scard.SCardGetStatusChange(context, 0 if has_gone else _LOOK_AGAIN_MS, asked)
            if code & 0xFFFFFFFF == _CANCELLED:
                continue
            if code & 0xFFFFFFFF == _UNKNOWN_READER:  # it went since the list was made
                self._ending.wait(_LIST_AGAIN_S)
                continue
            if code == _OK:
                # also of a reader that is gone: asked for as never seen it would be answered at once, again and again
                known = {name: state & ~scard.SCARD_STATE_CHANGED for name, state, _atr in seen if name != _NEW_READER}
            elif code & 0xFFFFFFFF != _TIMEOUT:
                return
            states = [_field_state(name, state) for name, state in known.items() if not state & _GONE_STATE]
            self._tell(states, doubted)
            doubted = set()

    def _newly_doubted(self) -> set[str]:
        """Those put into doubt since, once pcscd has had the time to see what became of them."""
        if self._doubted:
            self._ending.wait(_SETTLES_S)
        return {self._doubted.pop() for _ in range(len(self._doubted))}


def _field_state(reader: str, state: int) -> FieldState:
    is_mute = bool(state & scard.SCARD_STATE_MUTE)
    is_present = bool(state & scard.SCARD_STATE_PRESENT)
    return FieldState(reader, is_present and not is_mute, is_mute, state >> 16 & 0xFFFF)


def look() -> tuple[int, dict[str, int]]:
    """For a technician: the PC/SC result of asking (0: fine) and each reader's dwEventState, without connecting.

    Blocks as long as pcscd does; call it where that may be left behind.
    """
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if code != _OK:
        return code & 0xFFFFFFFF, {}
    try:
        code, names = scard.SCardListReaders(context, [])
        if code != _OK or not names:
            return code & 0xFFFFFFFF, {}
        asked = [(name, scard.SCARD_STATE_UNAWARE) for name in names]
        code, seen = scard.SCardGetStatusChange(context, 0, asked)
        return code & 0xFFFFFFFF, {name: state for name, state, _atr in seen}
    finally:
        scard.SCardReleaseContext(context)
