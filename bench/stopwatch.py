"""Where the time of a tap goes: functions of the product are timed while a block lasts, each nanosecond counted once.

Time spent inside a timed function that was called by another one counts for the inner one alone. Only the thread that
posts and answers is timed: what other threads do meanwhile is no part of the waiting.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from domain.decision import announce, decide
from sync import crypto
from terminal.events import CardPresented, Inward, Outward
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.links import Link
from terminal.offline_queue.store import Store
from terminal.sale import Till

CONNECT, CARD, CRYPTOGRAPHY, DECISION, DISK, REST = PARTS = (
    "connect",
    "card",
    "cryptography",
    "decision",
    "disk",
    "rest",
)
_OURS: Final = ("bench", "domain", "sync", "terminal")
_CRYPTOGRAPHY: Final = (
    crypto.sign,
    crypto.verify,
    crypto.sha256,
    crypto.token,
    crypto.aes_cmac,
    crypto.aes_cbc_encrypt,
    crypto.aes_cbc_decrypt,
    crypto.aes_block_encrypt,
)


class Stopwatch:
    """Exclusive time by part, of the thread that runs ``Till.handle``."""

    def __init__(self) -> None:
        self.spent_ns = dict.fromkeys(PARTS, 0)
        self._stack: list[str] = []
        self._since_ns = 0
        self._thread = 0

    def reset(self) -> None:
        """Forget what was counted, between two taps."""
        self.spent_ns = dict.fromkeys(PARTS, 0)

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted for ``part``."""

        @functools.wraps(call)
        def timed_call(*args: Any, **named: Any) -> Any:
            if not self._stack or threading.get_ident() != self._thread:
                return call(*args, **named)
            return self._within(part, call, args, named)

        return timed_call

    def root(self, handle: Callable[[Till, Inward], tuple[Outward, ...]]) -> Callable[..., tuple[Outward, ...]]:
        """``Till.handle``, its time shared out when a card was laid down, and only then."""

        @functools.wraps(handle)
        def root_handle(till: Till, event: Inward) -> tuple[Outward, ...]:
            if not isinstance(event, CardPresented):
                return handle(till, event)
            self._thread = threading.get_ident()
            said: tuple[Outward, ...] = self._within(REST, handle, (till, event), {})
            return said

        return root_handle

    def _within(self, part: str, call: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self._turn()
        self._stack.append(part)
        try:
            return call(*args, **named)
        finally:
            self._turn()
            self._stack.pop()

    def _turn(self) -> None:
        now_ns = time.perf_counter_ns()
        if self._stack:
            self.spent_ns[self._stack[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns


class _Awaited:
    """A future whose waiting is timed."""

    def __init__(self, future: Future[None], watch: Stopwatch) -> None:
        self.result = watch.timed(DISK, future.result)


@contextmanager
def watching() -> Iterator[Stopwatch]:
    """Time the product while the block lasts; everything is put back after it."""
    watch = Stopwatch()
    with ExitStack() as put_back:

        def replace(owner: object, name: str, by: object) -> None:
            put_back.enter_context(patch.object(owner, name, by))

        for part, calls in ((CRYPTOGRAPHY, _CRYPTOGRAPHY), (DECISION, (announce, decide))):
            for call in calls:
                timed = watch.timed(part, call)
                for owner, name in _places(call):
                    replace(owner, name, timed)
        for readers in _readers():
            replace(readers, "connect", watch.timed(CONNECT, readers.connect))
        replace(Link, "_timed", watch.timed(CARD, Link._timed))
        replace(Link, "close", watch.timed(CONNECT, Link.close))
        commit = Store.commit
        replace(Store, "commit", lambda *args, **named: _Awaited(commit(*args, **named), watch))
        replace(Till, "handle", watch.root(Till.handle))
        yield watch


def _places(call: object) -> list[tuple[object, str]]:
    """Every module of ours that knows this function, and under which name."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in _OURS]
    return [(module, name) for module in modules for name, value in vars(module).items() if value is call]


def _readers() -> list[Any]:
    """The classes of readers in use; PC/SC only where it was imported already."""
    pcsc = sys.modules.get("terminal.nfc.pcsc")
    return [InProcessReaders] if pcsc is None else [InProcessReaders, pcsc.PcscReaders]
