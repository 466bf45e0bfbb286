"""One thread per reader for calls that may never return: the caller leaves it behind when time is up.

A card that never answers blocks the reader's driver for good, and nothing can cancel it. So the till waits in another
thread, at most until its deadline, then abandons the lane; whatever comes back later is thrown away.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from sync.errors import PanierError
from terminal.errors import ReaderLost, ReaderStuck
from terminal.events import Inward, ReaderWent
from terminal.ports import Deadline

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class _Job:
    """A call on its way through the lane, and what became of it."""

    __slots__ = ("call", "done", "fault", "result")

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.done = threading.Event()
        self.result: object = None
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.call()
        except BaseException as fault:
            self.fault = fault
        self.done.set()


class Lane:
    """Runs calls one after another in its own thread, each for no longer than its deadline.

    Args:
        name: of the reader, for the thread's name.
        left_s: seconds left until a deadline, from the clock.
        on_end: called in the lane's thread when it ends, also long after it was abandoned: free what it holds.
    """

    __slots__ = ("_is_abandoned", "_is_ending", "_is_told", "_jobs", "_left_s", "_lock", "_name", "_on_end", "_thread")

    def __init__(
        self, name: str, left_s: Callable[[Deadline], float], on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._name = name
        self._left_s = left_s
        self._on_end = on_end
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # nothing is put behind the word that ends the thread
        self._is_abandoned = False
        self._is_ending = False
        self._is_told = False
        self._thread: threading.Thread | None = None

    @property
    def is_abandoned(self) -> bool:
        """A call did not come back in time: this lane takes no more."""
        return self._is_abandoned

    @property
    def has_ended(self) -> bool:
        """It takes no more calls and its thread is over: a new lane may be opened."""
        return self._is_ending and (self._thread is None or not self._thread.is_alive())

    def run(self, call: Callable[[], Result], deadline: Deadline) -> Result:
        """What ``call`` returns or raises, run in the lane's thread.

        Raises:
            ReaderStuck: the deadline passed before it returned; it may still take effect. Or the lane was abandoned
                earlier, and the call was not made.
            ReaderLost: the lane was ended, and the call was not made.
        """
        job = _Job(call)
        self._put(job)
        if not job.done.wait(self._left_s(deadline)):
            self._is_abandoned = True
            self._tell_end()
            raise ReaderStuck("no answer in time")
        if job.fault is not None:
            raise job.fault
        return job.result  # type: ignore[return-value]

    def is_news(self) -> bool:
        """Whether it was abandoned and nobody has asked yet: true once, whoever waited in it."""
        with self._lock:
            was_told, self._is_told = self._is_told, self._is_abandoned
            return self._is_abandoned and not was_told

    def leave(self, call: Callable[[], object]) -> None:
        """Have ``call`` made after those before it and wait for nothing; not made when the lane takes no more."""

        def quietly() -> None:
            try:
                call()
            except PanierError:
                pass  # nobody waits for it
            except Exception as fault:
                _log.warning("%s: left behind with %s", self._name, type(fault).__name__)

        with contextlib.suppress(ReaderStuck, ReaderLost):
            self._put(_Job(quietly))

    def end(self, budget_s: float = 1.0) -> None:
        """Let the thread end after the calls already given; waits ``budget_s`` at most."""
        self._tell_end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(budget_s)

    def _put(self, job: _Job) -> None:
        with self._lock:
            if self._is_abandoned:
                raise ReaderStuck("the reader does not answer")
            if self._is_ending:
                raise ReaderLost("the reader is away")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"lane {self._name}", daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def _tell_end(self) -> None:
        with self._lock:
            if not self._is_ending:
                self._is_ending = True
                self._jobs.put(None)

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job.run()
        finally:
            self._on_end()


class Lanes:
    """The lane of each reader: opened when first needed, and again when a stuck one has come back or was replugged.

    Posts ``ReaderWent(is_stuck=True)`` when a lane is abandoned. Whether its reader can be used again is told by who
    looks at it: an abandoned call comes back just as well because the reader was unplugged.
    """

    __slots__ = ("_doubt", "_free", "_lanes", "_left_s", "_lock", "_post")

    def __init__(
        self,
        left_s: Callable[[Deadline], float],
        post: Callable[[Inward], None],
        doubt: Callable[[str], None],
        free: Callable[[Lane], None] = lambda _lane: None,
    ) -> None:
        """Both are called in a lane's thread.

        Args:
            doubt: the till was told that this reader is lost or stuck, and it may be there all the same, or again:
                a call has lost it, or the call of an abandoned lane came back, well or badly. Look.
            free: the lane ends: give back what is held for it.
        """
        self._left_s = left_s
        self._post = post
        self._doubt = doubt
        self._free = free
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()  # "stuck" is posted before its end is looked into, or not at all

    def of(self, reader: str) -> Lane:
        """The lane to use now; ReaderStuck when the one there is has not come back."""
        lane = self._lanes.get(reader)
        if lane is not None and not lane.has_ended:
            if lane.is_abandoned:
                raise ReaderStuck("the reader does not answer")
            return lane
        lane = self._lanes[reader] = self._opened(reader)
        return lane

    def run(self, reader: str, lane: Lane, call: Callable[[], Result], deadline: Deadline) -> Result:
        """``lane.run``, telling the till when the lane is lost by it."""

        def watched() -> Result:
            try:
                return call()
            except ReaderLost:
                if self._lanes.get(reader) is lane:
                    self._doubt(reader)
                raise

        try:
            return lane.run(watched, deadline)
        except ReaderStuck:
            with self._lock:
                if lane.is_news() and self._lanes.get(reader) is lane:
                    self._post(ReaderWent(reader, is_stuck=True))
            raise

    def forget(self, reader: str) -> None:
        """The reader was unplugged or its service restarted: the next one of that name starts afresh."""
        lane = self._lanes.pop(reader, None)
        if lane is not None:
            lane.end(budget_s=0)

    def close(self) -> None:
        """End every lane that can end."""
        for lane in list(self._lanes.values()):
            lane.end(budget_s=0 if lane.is_abandoned else 1.0)
        self._lanes.clear()

    def _opened(self, reader: str) -> Lane:
        lane: Lane
        lane = Lane(reader, self._left_s, lambda: self._ended(reader, lane))
        return lane

    def _ended(self, reader: str, lane: Lane) -> None:
        try:
            self._free(lane)
        except Exception as fault:
            _log.warning("%s: not given back: %s", reader, type(fault).__name__)
        with self._lock:
            is_to_look = lane.is_abandoned and self._lanes.get(reader) is lane
            if is_to_look:
                del self._lanes[reader]
        if is_to_look:
            self._doubt(reader)
