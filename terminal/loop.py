"""The loop around the synchronous core: one worker thread, one inbox, words out to whoever draws them.

Anyone may post: keys, readers, clocks. Only the worker calls the core, so a slow card never freezes a key.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from terminal.events import Inward, Outward, Tick

TICK_S: Final = 1.0
JOIN_S: Final = 5.0


class TillCore(Protocol):
    """What the loop turns around; ``terminal.sale.Till`` is one, the scripted core of the pictures another."""

    def start(self) -> tuple[Outward, ...]:
        """First words after a start."""
        ...

    def handle(self, event: Inward) -> tuple[Outward, ...]:
        """The answer to one event."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What the core said, and to what; ``None`` for its first words."""

    to: Inward | None
    said: tuple[Outward, ...]


class Listener(Protocol):
    """Hears from the worker thread; each call must return at once."""

    def begun(self, event: Inward) -> None:
        """The core now looks at this event."""
        ...

    def answered(self, answer: Answer) -> None:
        """The core has answered, in the order of the events; also when it said nothing."""
        ...

    def failed(self, error: BaseException) -> None:
        """The core met a bug: the loop has ended and the program must stop; the journal knows what happened."""
        ...


class Loop(Protocol):
    """What a screen needs of a loop."""

    def start(self, listener: Listener) -> None:
        """Begin, with the core's first words as the first answer."""
        ...

    def post(self, event: Inward) -> None:
        """Put an event into the inbox; from any thread."""
        ...

    def stop(self) -> None:
        """End after what was posted before."""
        ...


class TillLoop:
    """One core and its worker. Nothing runs before ``start``.

    Args:
        core: called from the worker thread alone, ``start`` included.
        tick_s: longest time between two ticks, in seconds.
    """

    def __init__(self, core: TillCore, tick_s: float = TICK_S) -> None:
        self._core = core
        self._tick_s = tick_s
        self._inbox: SimpleQueue[Inward | None] = SimpleQueue()
        self._worker: threading.Thread | None = None

    def start(self, listener: Listener) -> None:
        """Begin: the core's first words come as the first answer. Once in the life of a loop."""
        assert self._worker is None, "a loop starts once"
        self._worker = threading.Thread(target=self._run, args=(listener,), name="till", daemon=True)
        self._worker.start()

    def post(self, event: Inward) -> None:
        """Put an event into the inbox; from any thread, never waits."""
        self._inbox.put(event)

    def stop(self) -> None:
        """Answer what was posted before, then end; returns when the worker is gone (5 s at most)."""
        self._inbox.put(None)
        if self._worker is not None and self._worker is not threading.current_thread():
            self._worker.join(JOIN_S)

    def _run(self, listener: Listener) -> None:
        try:
            listener.answered(Answer(None, self._core.start()))
            self._turn(listener)
        except BaseException as error:
            listener.failed(error)

    def _turn(self, listener: Listener) -> None:
        due_s = time.monotonic() + self._tick_s
        while True:
            event = self._next(due_s)
            if event is None:
                return
            if isinstance(event, Tick):
                due_s = time.monotonic() + self._tick_s
            listener.begun(event)
            listener.answered(Answer(event, self._core.handle(event)))

    def _next(self, due_s: float) -> Inward | None:
        """The next event; a tick when it is due, even while the inbox is never empty."""
        left_s = due_s - time.monotonic()
        if left_s <= 0:
            return Tick()
        try:
            return self._inbox.get(timeout=left_s)
        except Empty:
            return Tick()
