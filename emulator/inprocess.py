"""A field inside the calling process: no PC/SC, no threads, no waiting."""

from collections.abc import Callable, Sequence

from emulator.field import Card, FieldGone, Log, Presentation
from emulator.tear import Disturbance


class InProcessField:
    """One reader's field. `on_change` is called with True when a card comes and False when it goes, a tear included.

    `insertions` counts presentations, as the high word of PC/SC's event state does.
    """

    def __init__(self, on_change: Callable[[bool], None] | None = None) -> None:
        self._on_change = on_change
        self._presentation: Presentation | None = None
        self.insertions = 0

    @property
    def is_occupied(self) -> bool:
        """Whether a card is in the field."""
        return self._presentation is not None

    def present(self, card: Card, disturbances: Sequence[Disturbance] = (), log: Log | None = None) -> bytes:
        """Put a card into the empty field; returns its ATR."""
        if self._presentation is not None:
            raise ValueError("a card is in the field already")
        self._presentation = Presentation(card, disturbances, log)
        self.insertions += 1
        atr = self._presentation.power_on()
        self._changed(True)
        return atr

    def lift(self) -> None:
        """Take the card away; nothing happens in an empty field."""
        if self._presentation is not None:
            self._presentation.leave()
            self._emptied()

    def reset(self) -> bytes:
        """Switch the field off and on; returns the ATR. Raises FieldGone."""
        return self._present_card().power_on()

    def exchange(self, apdu: bytes) -> bytes:
        """Carry one APDU; raises FieldGone when the card left before, during or instead of the answer.

        When a tear takes the card right after its answer, `on_change` is called before the answer is returned.
        """
        presentation = self._present_card()
        try:
            return presentation.exchange(apdu)
        finally:
            if presentation.is_gone:
                self._emptied()

    def _present_card(self) -> Presentation:
        if self._presentation is None:
            raise FieldGone
        return self._presentation

    def _emptied(self) -> None:
        if self._presentation is not None:
            self._presentation = None
            self._changed(False)

    def _changed(self, is_occupied: bool) -> None:
        if self._on_change is not None:
            self._on_change(is_occupied)
