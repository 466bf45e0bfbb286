"""A card in a reader's field: tears, faults, the reader's own answers and the log, alike for every kind of field."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from emulator.tear import Disturbance, Fault, Phase, Tear, TornWrite, Written

_CLA_READER = 0xFF
_GET_UID = bytes.fromhex("FFCA000000")
_SW_OK = b"\x90\x00"
_SW_FUNCTION_UNKNOWN = b"\x6a\x81"


class FieldGone(Exception):
    """The card left the field; whether its last command took effect is not known here."""


class Card(Protocol):
    """What a field needs of a card."""

    @property
    def uid(self) -> bytes:
        """What anticollision learns."""

    @property
    def atr(self) -> bytes:
        """What the reader makes of the card's ATS."""

    def power_on(self) -> bytes:
        """Field on; returns the ATR."""

    def power_off(self) -> None:
        """Field off."""

    def transceive(self, apdu: bytes) -> bytes:
        """One APDU and its answer."""


@runtime_checkable
class TearableInside(Protocol):
    """A card that can lose its power while it writes."""

    def transceive_torn(self, apdu: bytes, written: Written) -> None:
        """Carry out an APDU of whose writes only as much is kept as `written` says."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One APDU as benches see it: position, instruction and sizes, no content. A lost answer counts 0 bytes in."""

    index: int
    instruction: int
    out_b: int
    in_b: int


Log = Callable[[Exchange], None]


def reader_answer(apdu: bytes, uid: bytes) -> bytes | None:
    """Answer FF pseudo-APDUs in the reader's place (PC/SC part 3): Get Data gives the UID; None for the card's own."""
    if apdu[:1] != bytes([_CLA_READER]):
        return None
    return uid + _SW_OK if apdu == _GET_UID else _SW_FUNCTION_UNKNOWN


class Presentation:
    """One stay of a card in a field. APDUs are counted from its beginning; once gone it stays gone."""

    def __init__(self, card: Card, disturbances: Sequence[Disturbance] = (), log: Log | None = None) -> None:
        self._card = card
        self._disturbances = disturbances
        self._log = log
        self._seen = [0] * len(disturbances)
        self._count = 0
        self.is_gone = False

    @property
    def atr(self) -> bytes:
        """The card's ATR, powered or not."""
        return self._card.atr

    def power_on(self) -> bytes:
        """Field on or reset; returns the ATR."""
        return self._card.power_on()

    def power_off(self) -> None:
        """Field off, the card still on the reader."""
        self._card.power_off()

    def leave(self) -> None:
        """Take the card away."""
        self.is_gone = True
        self._card.power_off()

    def exchange(self, apdu: bytes) -> bytes:
        """Carry one APDU; raises FieldGone. After a tear of phase AFTER the answer comes and `is_gone` is set."""
        if self.is_gone:
            raise FieldGone
        from_reader = reader_answer(apdu, self._card.uid)
        if from_reader is not None:
            return from_reader
        index, instruction = self._count, apdu[1] if len(apdu) > 1 else 0
        self._count += 1
        due = self._due(index, instruction)
        phases = {disturbance.phase for disturbance in due if isinstance(disturbance, Tear)}
        if Phase.BEFORE in phases:
            self._lose(index, instruction, len(apdu))
        for disturbance in due:
            if isinstance(disturbance, TornWrite):
                self._write_in_part(apdu, disturbance.written)
                self._lose(index, instruction, len(apdu))
        answer = self._card.transceive(apdu)
        if Phase.ANSWER_LOST in phases:
            self._lose(index, instruction, len(apdu))
        for disturbance in due:
            if isinstance(disturbance, Fault):
                answer = disturbance.distort(answer)
        self._note(index, instruction, len(apdu), len(answer))
        if Phase.AFTER in phases:
            self.leave()
        return answer

    def _due(self, index: int, instruction: int) -> list[Disturbance]:
        due = []
        for position, disturbance in enumerate(self._disturbances):
            moment = disturbance.at
            if not moment.covers(index, instruction):
                continue
            self._seen[position] += 1
            if moment.nth in (0, self._seen[position]):
                due.append(disturbance)
        return due

    def _write_in_part(self, apdu: bytes, written: Written) -> None:
        if isinstance(self._card, TearableInside):
            self._card.transceive_torn(apdu, written)
        elif written(1):
            self._card.transceive(apdu)

    def _lose(self, index: int, instruction: int, out_b: int) -> None:
        self._note(index, instruction, out_b, 0)
        self.leave()
        raise FieldGone

    def _note(self, index: int, instruction: int, out_b: int, in_b: int) -> None:
        if self._log is not None:
            self._log(Exchange(index, instruction, out_b, in_b))
