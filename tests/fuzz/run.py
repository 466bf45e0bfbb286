"""Trying inputs on a target: what may escape, how long it may take, and what is kept."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from sync.crypto import sha256
from sync.errors import FormatError
from tests.fuzz.mutate import Mutator

CORPUS: Final = Path(__file__).parent / "corpus"
HANG_S: Final = 5.0
"""An input that takes so long is a hang; the slowest known one takes a hundredth of it."""


class Hung(BaseException):
    """The input took longer than HANG_S. No ``Exception``, so that no parser takes it for a fault of its own."""


@dataclass(frozen=True)
class Target:
    """One parser of bytes from outside.

    Attributes:
        name: a folder of the corpus.
        examples: good inputs; ``read`` takes each without a fault.
        read: the parser, or what surrounds it.
        expected: what it may raise.
        is_cbor: whether the examples' CBOR values are changed too.
        cost: how many times dearer than a usual parser; the fast lane plays so many times fewer mutations.
    """

    name: str
    examples: tuple[bytes, ...] = field(repr=False)
    read: Callable[[bytes], object] = field(repr=False)
    expected: tuple[type[BaseException], ...] = (FormatError,)
    is_cbor: bool = False
    cost: int = 1


@dataclass(frozen=True)
class Finding:
    """An input that broke a target."""

    target: str
    data: bytes
    fault: BaseException

    def __str__(self) -> str:
        return (
            f"{self.target}: {type(self.fault).__name__}: {self.fault} for {self.data[:60].hex()} ({len(self.data)} B)"
        )

    @property
    def kind(self) -> tuple[str, str, int]:
        """Where it comes from: two inputs that break the same line are one finding."""
        trace = self.fault.__traceback__
        where, line = "", 0
        while trace is not None:
            where, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            trace = trace.tb_next
        return type(self.fault).__name__, where, line


def attempt(target: Target, data: bytes) -> Finding | None:
    """Read one input; a finding when anything but the expected escapes, or time runs out. Main thread only."""
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        target.read(data)
    except target.expected:
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as fault:
        return Finding(target.name, data, fault)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return None


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise Hung(f"more than {HANG_S:.0f} s")


def mutations(target: Target, seed: int, count: int) -> Iterator[bytes]:
    """The first ``count`` mutations of a seed; the same ones each time."""
    mutator = Mutator(seed)
    for _ in range(count):
        yield mutator.of(target.examples, is_cbor=target.is_cbor)


def corpus_of(target: Target) -> list[Path]:
    """Inputs that once broke it."""
    return sorted((CORPUS / _folder(target.name)).glob("*.bin"))


def _folder(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def keep(finding: Finding) -> Path:
    """Keep the input in the corpus; the same input has the same name."""
    folder = CORPUS / _folder(finding.target)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha256(finding.data)[:8].hex()}.bin"
    path.write_bytes(finding.data)
    return path


def shortened(target: Target, finding: Finding, tries: int = 2_000) -> Finding:
    """A shorter input that breaks the same line."""
    best, size = finding, max(len(finding.data) // 2, 1)
    while size and tries > 0:
        at = 0
        while at < len(best.data) and tries > 0:
            tries -= 1
            shorter = attempt(target, best.data[:at] + best.data[at + size :])
            if shorter is not None and shorter.kind == finding.kind:
                best = shorter
            else:
                at += size
        size //= 2
    return best


@dataclass
class Figures:
    """What a run over one target came to."""

    inputs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest: bytes = field(default=b"", repr=False)
    findings: dict[tuple[str, str, int], Finding] = field(default_factory=dict)

    def count(self, target: Target, data: bytes) -> None:
        """Try one input and write down what it was like."""
        began_s = time.perf_counter()
        finding = attempt(target, data)
        took_s = time.perf_counter() - began_s
        self.inputs += 1
        self.seconds += took_s
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest = took_s, data
        if finding is not None and finding.kind not in self.findings:
            self.findings[finding.kind] = finding
