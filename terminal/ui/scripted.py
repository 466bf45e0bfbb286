"""A till without card or journal that answers from a script: for pictures and for tests of the screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event

from terminal.events import Inward, Outward
from terminal.loop import Answer, Listener, TillCore

CARD_BUDGET_S = 5.0


@dataclass(frozen=True, slots=True)
class Step:
    """When an event of this kind comes, say these words; ``after`` holds the answer back as a slow card does."""

    on: type[Inward]
    say: tuple[Outward, ...]
    after: Event | None = None


class ScriptedTill:
    """Plays its steps in order; an event the next step does not wait for is heard and not answered.

    Args:
        steps: what to answer.
        first: said at the start.
    """

    def __init__(self, steps: Iterable[Step] = (), first: tuple[Outward, ...] = ()) -> None:
        self._steps = list(steps)
        self._first = first
        self.heard: list[Inward] = []

    def start(self) -> tuple[Outward, ...]:
        """The first words of the script."""
        return self._first

    def handle(self, event: Inward) -> tuple[Outward, ...]:
        """The answer of the next step, if it waits for this kind of event."""
        self.heard.append(event)
        if not self._steps or not isinstance(event, self._steps[0].on):
            return ()
        step = self._steps.pop(0)
        if step.after is not None:
            step.after.wait(CARD_BUDGET_S)
        return step.say


class DirectLoop:
    """The loop without its thread: what is posted is answered before ``post`` returns. It never ticks by itself."""

    def __init__(self, core: TillCore) -> None:
        self._core = core
        self._listener: Listener | None = None
        self._inbox: deque[Inward] = deque()
        self._is_turning = False

    def start(self, listener: Listener) -> None:
        """See ``terminal.loop.Loop``."""
        self._listener = listener
        listener.answered(Answer(None, self._core.start()))

    def post(self, event: Inward) -> None:
        """See ``terminal.loop.Loop``; what is posted meanwhile is answered next."""
        assert self._listener is not None, "started before anything is posted"
        self._inbox.append(event)
        if self._is_turning:
            return
        self._is_turning = True
        while self._inbox:
            following = self._inbox.popleft()
            self._listener.begun(following)
            self._listener.answered(Answer(following, self._core.handle(following)))
        self._is_turning = False

    def stop(self) -> None:
        """See ``terminal.loop.Loop``."""
