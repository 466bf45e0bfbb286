"""Cards that lie: programs a reader may meet in place of an honest card.

Three kinds. Answers no card gives: combine `forever` and the functions of `emulator.tear` with any card. Programs that
pretend to be a card: `Masked` (other serial numbers, another ATR), `Tape` and `Replayed` (a recorded session played
again), `Silent` (never answers). And emulated cards of somebody who holds a terminal's key: `Forger` speaks the secure
channel as an honest card does, while what it remembers is what its maker wishes at any moment.

A `Forger` made by `thief` has the stolen key alone; every other key, the transaction MAC's too, is the thief's own.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event

from emulator.card import ATR, VirtualCard
from emulator.field import Card
from emulator.memory import Application, CardFile, CardKey, CardMemory, CyclicFile, DataFile, TmacFile, ValueFile
from emulator.state_file import CardStore, MemoryStore
from emulator.tear import Fault, Moment

GET_RESPONSE_FOR_EVER = b"\x61\x00"
MORE_FRAMES_FOR_EVER = b"\x91\xaf"
Change = Callable[[CardMemory], CardMemory]
"""What a forger does to its own memory."""


# --- answers no card gives -----------------------------------------------------------------------------------------


def forever(distort: Callable[[bytes], bytes], first: int = 0) -> list[Fault]:
    """The distortion of every answer from APDU number `first` (from 0) on; far more APDUs than any tap has."""
    if first == 0:
        return [Fault(Moment(nth=0), distort)]
    return [Fault(Moment(index=index), distort) for index in range(first, first + 100)]


def says(answer: bytes) -> Callable[[bytes], bytes]:
    """The same answer whatever was asked."""
    return lambda _answer: answer


def more_to_come(answer: bytes) -> bytes:
    """The true data, and a promise of more frames in place of the true status."""
    return answer[:-2] + MORE_FRAMES_FOR_EVER


def flipped(position: int) -> Callable[[bytes], bytes]:
    """One bit of the byte at `position` (from the end when negative) changed; a shorter answer stays as it is."""

    def distort(answer: bytes) -> bytes:
        if not -len(answer) <= position < len(answer):
            return answer
        changed = bytearray(answer)
        changed[position] ^= 0x01
        return bytes(changed)

    return distort


# --- programs that pretend to be a card ----------------------------------------------------------------------------


class Masked:
    """A card behind a mask: it reports other serial numbers, or another ATR.

    `uids`: told one after the other, each time the reader asks, the last one from then on.
    """

    def __init__(self, card: Card, *, uids: Sequence[bytes] = (), atr: bytes | None = None) -> None:
        self._card = card
        self._uids = list(uids)
        self._atr = atr

    @property
    def uid(self) -> bytes:
        """The next serial number of the list."""
        if not self._uids:
            return self._card.uid
        return self._uids.pop(0) if len(self._uids) > 1 else self._uids[0]

    @property
    def atr(self) -> bytes:
        """The mask's ATR, or the card's own."""
        return self._card.atr if self._atr is None else self._atr

    def power_on(self) -> bytes:
        """Field on."""
        self._card.power_on()
        return self.atr

    def power_off(self) -> None:
        """Field off."""
        self._card.power_off()

    def transceive(self, apdu: bytes) -> bytes:
        """One APDU and the card's answer."""
        return self._card.transceive(apdu)


class Tape(Masked):
    """A card whose answers are kept, in order, as an eavesdropper on the reader's cable hears them."""

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        self.answers: list[bytes] = []

    def transceive(self, apdu: bytes) -> bytes:
        """One APDU; its answer goes on the tape."""
        answer = self._card.transceive(apdu)
        self.answers.append(answer)
        return answer


@dataclass(slots=True)
class Replayed:
    """Plays a tape: the answers in their order, whatever is asked; from the beginning each time it is powered."""

    uid: bytes
    answers: Sequence[bytes]
    atr: bytes = ATR
    _next: int = field(default=0, repr=False)

    def power_on(self) -> bytes:
        """Rewind."""
        self._next = 0
        return self.atr

    def power_off(self) -> None:
        """Nothing is kept."""

    def transceive(self, _apdu: bytes) -> bytes:
        """The next answer of the tape; at its end an error status."""
        self._next += 1
        return self.answers[self._next - 1] if self._next <= len(self.answers) else b"\x91\x1c"


class Silent(Masked):
    """Takes an APDU and does not answer until it is `free`d. `from_apdu`: the first one (from 0) it leaves open."""

    def __init__(self, card: Card, from_apdu: int = 0, longest_s: float = 60.0) -> None:
        super().__init__(card)
        self._left = from_apdu
        self._longest_s = longest_s
        self._free = Event()

    def free(self) -> None:
        """Let whoever waits for an answer go."""
        self._free.set()

    def transceive(self, apdu: bytes) -> bytes:
        """The card's answer, or a very long wait."""
        if self._left <= 0:
            self._free.wait(self._longest_s)
        self._left -= 1
        return self._card.transceive(apdu)


# --- emulated cards of somebody who holds a key --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Something a forger's memory becomes right before it carries out an APDU (or right after, when `is_after`)."""

    at: Moment
    change: Change
    is_after: bool = False


class Forger(VirtualCard):
    """An emulated card in the hands of its maker: its memory becomes what `rewrites` say, when they say it.

    Make it with `forged`. It speaks the channel as the honest card it was copied from.
    """

    rewrites: Sequence[Rewrite] = ()
    forgets = False
    _kept: CardMemory | None = None
    _count = 0
    _seen: tuple[int, ...] = ()

    def power_on(self) -> bytes:
        """Field on; one that `forgets` is again what it was when made."""
        if self.forgets and self._kept is not None:
            self._state.memory = self._kept
        self._count, self._seen = 0, (0,) * len(self.rewrites)
        return super().power_on()

    def transceive(self, apdu: bytes) -> bytes:
        """One APDU and its answer, between the lies that are due."""
        due = self._due(apdu[1] if len(apdu) > 1 else 0)
        for rewrite in due:
            if not rewrite.is_after:
                self._state.memory = rewrite.change(self._state.memory)
        answer = super().transceive(apdu)
        for rewrite in due:
            if rewrite.is_after:
                self._state.memory = rewrite.change(self._state.memory)
        return answer

    def _due(self, instruction: int) -> list[Rewrite]:
        index, self._count = self._count, self._count + 1
        covered = [rewrite.at.covers(index, instruction) for rewrite in self.rewrites]
        self._seen = tuple(seen + is_covered for seen, is_covered in zip(self._seen, covered, strict=True))
        return [
            rewrite
            for rewrite, is_covered, seen in zip(self.rewrites, covered, self._seen, strict=True)
            if is_covered and rewrite.at.nth in (0, seen)
        ]


def forged(
    memory: CardMemory,
    *changes: Change,
    rewrites: Sequence[Rewrite] = (),
    forgets: bool = False,
    store: CardStore | None = None,
    seed: int = 0,
) -> Forger:
    """A forger that begins as a copy of `memory` with `changes` made; one that `forgets` begins so each time."""
    for change in changes:
        memory = change(memory)
    forger = Forger(memory, store or MemoryStore(), entropy=random.Random(seed).randbytes)
    forger.rewrites, forger.forgets, forger._kept = tuple(rewrites), forgets, memory
    forger._seen = (0,) * len(forger.rewrites)
    return forger


def thief(stolen: Mapping[int, bytes], seed: int = 1) -> Change:
    """All keys are the thief's own but the `stolen` ones (key number → 16 bytes): the proofs it makes are false."""
    dice = random.Random(seed)

    def change(memory: CardMemory) -> CardMemory:
        application = _application(memory)
        keys = tuple(CardKey(stolen.get(number, dice.randbytes(16))) for number in range(len(application.keys)))
        found = application.tmac_file()
        if found is not None:
            number, file = found
            application = application.with_file(number, replace(file, key=CardKey(dice.randbytes(16))))
        return memory.with_application(replace(application, keys=keys))

    return change


def with_value(number: int, value: int) -> Change:
    """A value file holds this, whatever its limits are."""

    def rewritten(file: CardFile) -> CardFile:
        assert isinstance(file, ValueFile)
        return replace(file, value=value, lower=min(file.lower, value, -(2**31)), upper=max(file.upper, value))

    return _of_file(number, rewritten)


def more_value(number: int, more: int) -> Change:
    """A value file holds so much more (less, when negative) than it did."""

    def rewritten(file: CardFile) -> CardFile:
        assert isinstance(file, ValueFile)
        return replace(file, value=file.value + more)

    return _of_file(number, rewritten)


def with_counter(tmc: int, tmv: bytes | None = None) -> Change:
    """The transaction counter stands at `tmc`; its newest proof is `tmv`, or stays."""

    def change(memory: CardMemory) -> CardMemory:
        application = _application(memory)
        found = application.tmac_file()
        assert found is not None
        number, file = found
        return memory.with_application(
            application.with_file(number, replace(file, tmc=tmc, tmv=file.tmv if tmv is None else tmv))
        )

    return change


def counted(by: int) -> Change:
    """The transaction counter goes on (or, when negative, back) by so many transactions."""

    def change(memory: CardMemory) -> CardMemory:
        found = _application(memory).tmac_file()
        assert found is not None
        return with_counter(found[1].tmc + by)(memory)

    return change


def with_newest_record(number: int, record: bytes) -> Change:
    """The newest record of a cyclic file is this one."""

    def rewritten(file: CardFile) -> CardFile:
        assert isinstance(file, CyclicFile)
        return replace(file, records=(*file.records[:-1], record))

    return _of_file(number, rewritten)


def with_content(number: int, content: bytes, offset_b: int = 0) -> Change:
    """A data file holds `content` from `offset_b` on."""

    def rewritten(file: CardFile) -> CardFile:
        assert isinstance(file, DataFile)
        return replace(file, content=file.content[:offset_b] + content + file.content[offset_b + len(content) :])

    return _of_file(number, rewritten)


def with_uid(uid: bytes) -> Change:
    """The chip has another serial number."""
    return lambda memory: replace(memory, uid=uid)


def proof_of(memory: CardMemory) -> TmacFile:
    """The transaction MAC file of the card's one application."""
    found = _application(memory).tmac_file()
    assert found is not None
    return found[1]


def _of_file(number: int, rewritten: Callable[[CardFile], CardFile]) -> Change:
    def change(memory: CardMemory) -> CardMemory:
        application = _application(memory)
        return memory.with_application(application.with_file(number, rewritten(application.files[number])))

    return change


def _application(memory: CardMemory) -> Application:
    (application,) = memory.applications.values()
    return application
