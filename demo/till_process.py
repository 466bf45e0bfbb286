"""A till as a process of its own, driven by JSON lines like a shop's own program would."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

Event = dict[str, Any]
USUAL_WAIT_S = 60.0
"""Nothing takes so long but on a machine with too much to do; what never comes is told after it."""


class Disappointed(Exception):
    """What should have happened did not."""


class TillProcess:
    """One running till.

    Args:
        argv: the command, ``panier till --json …``.
        log_path: where its error output goes.
        env: environment of the process.
    """

    def __init__(self, argv: Sequence[str], log_path: Path, env: Mapping[str, str] | None = None) -> None:
        self._log = log_path.open("ab")
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=dict(env) if env else None
        )
        self._heard: Queue[Event] = Queue()
        self._log_path = log_path
        self._seen: set[str] = set()
        threading.Thread(target=self._listen, name="till-events", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the till."""
        return self._process.pid

    def ask(self, request: Event) -> None:
        """Send one request line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def expect(self, *names: str, within_s: float = USUAL_WAIT_S) -> Event:
        """The next event of one of these names; others that come before it are passed over.

        Raises:
            Disappointed: it does not come in time, or the till ends.
        """
        passed: list[str] = []
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            try:
                event = self._heard.get(timeout=left)
            except Empty:
                break
            self._seen.add(event["event"])
            if event["event"] in names:
                return event
            passed.append(event["event"])
            if event["event"] == "the till ended":
                break
        tail = self._log_path.read_text(errors="replace")[-800:] if self._log_path.exists() else ""
        raise Disappointed(f"attendu : {' ou '.join(names)} ; entendu : {', '.join(passed) or 'rien'}\n{tail}")

    def expect_once(self, name: str) -> None:
        """That an event of this name has come by now, or comes."""
        if name not in self._seen:
            self.expect(name)

    def sell(self, sale: int, *lines: tuple[str, int]) -> Event:
        """Ask for a sale; the event that answers it first."""
        basket = [{"family": family, "amount_cents": amount} for family, amount in lines]
        self.ask({"id": sale, "sale": {"lines": basket}})
        return self.expect("present_card", "not_paid", "confirm?", "doubt", "stopped")

    def kill(self) -> None:
        """As a power cut: SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def wait(self, within_s: float = USUAL_WAIT_S) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(within_s)

    def stop(self) -> None:
        """End it in good order: no more requests."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(USUAL_WAIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put({"event": "the till ended"})
