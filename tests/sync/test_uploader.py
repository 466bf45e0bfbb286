"""One sync: until nothing waits, and never in a circle."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import TerminalId
from sync.batch import BatchHead, Versions, decode_batch, encode_batch
from sync.cbor import decode, encode
from sync.errors import CentreUnreachable
from sync.uploader import LONGEST_RETRY_S, USUAL_INTERVAL_S, next_delay_s, sync_once


@dataclass(frozen=True)
class State:
    pending_records: int
    frozen: str | None = None


@dataclass
class Shelf:
    """An outbox of numbered records; an answer is the last number the centre holds, in CBOR."""

    records: int
    batch: int = 10
    acknowledged: int = 0
    held: int = 0
    frozen: str | None = None

    def next_batch(self, nonce: bytes) -> bytes:
        first = self.acknowledged + 1
        head = BatchHead(TerminalId(b"terminal"), 1, first, nonce, Versions(rules=self.held))
        return encode_batch(head, [encode(seq) for seq in range(first, min(first + self.batch, self.records + 1))])

    def apply_answer(self, answer: bytes, nonce: bytes, at: int) -> State:
        acknowledged = decode(answer, 100)
        assert isinstance(acknowledged, int)
        if acknowledged > self.records:
            self.frozen = "the centre holds what we never wrote"
        self.acknowledged = max(self.acknowledged, acknowledged)
        return self.state()

    def apply_download(self, bundle: bytes, at: int) -> State:
        self.held += bundle != b"useless"
        return self.state()

    def state(self) -> State:
        return State(max(self.records - self.acknowledged, 0), self.frozen)


@dataclass
class Counter:
    """A centre that takes batches; ``bundles`` are handed out one by one; cut at the exchanges in ``fails``."""

    bundles: list[bytes] = field(default_factory=list)
    fails: frozenset[int] = frozenset()
    takes: int = 1_000
    head: int = 0
    exchanges: int = 0

    def exchange(self, batch: bytes) -> tuple[bytes, bytes]:
        self.exchanges += 1
        taken = decode_batch(batch)
        self.head = min(max(self.head, taken.head.first_seq - 1 + len(taken.records)), self.takes)
        if self.exchanges in self.fails:
            raise CentreUnreachable("cut after it arrived")
        return encode(self.head), self.bundles.pop(0) if self.bundles else b""


class Entropy:
    def token(self, size_b: int) -> bytes:
        return bytes(size_b)


class Clock:
    def now(self) -> int:
        return 0


@pytest.mark.parametrize(("pending", "rounds"), [(0, 1), (1, 1), (10, 1), (11, 2), (95, 10)])
def test_everything_is_sent_in_as_few_rounds_as_batches(pending: int, rounds: int) -> None:
    shelf, centre = Shelf(pending), Counter()
    outcome = sync_once(shelf, centre, Entropy(), Clock())
    assert (outcome.rounds, outcome.sent, outcome.pending, outcome.stopped) == (rounds, pending, 0, False)


def test_what_arrived_before_the_cut_is_never_sent_as_new() -> None:
    shelf, centre = Shelf(25), Counter(fails=frozenset({2}))
    with pytest.raises(CentreUnreachable):
        sync_once(shelf, centre, Entropy(), Clock())
    assert (shelf.acknowledged, centre.head) == (10, 20)
    assert sync_once(shelf, centre, Entropy(), Clock()).pending == 0
    assert centre.head == 25


def test_downloads_are_asked_for_until_nothing_more_comes() -> None:
    shelf, centre = Shelf(0), Counter(bundles=[b"one", b"two"])
    assert sync_once(shelf, centre, Entropy(), Clock()).rounds == 3
    assert shelf.held == 2


def test_a_centre_that_takes_nothing_is_shown_and_not_asked_for_ever() -> None:
    shelf, centre = Shelf(30), Counter(takes=5)
    outcome = sync_once(shelf, centre, Entropy(), Clock())
    assert outcome.stopped
    assert outcome.pending == 25
    assert centre.exchanges <= 3


def test_a_bundle_that_changes_nothing_is_not_fetched_in_a_circle() -> None:
    centre = Counter(bundles=[b"useless"] * 1_000)
    sync_once(Shelf(0), centre, Entropy(), Clock())
    assert centre.exchanges <= 2


def test_a_frozen_terminal_sends_nothing_more() -> None:
    shelf, centre = Shelf(5), Counter(head=9)
    outcome = sync_once(shelf, centre, Entropy(), Clock())
    assert outcome.stopped
    assert centre.exchanges == 1


@given(failures=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_the_next_try_is_never_now_and_never_in_an_hour(failures: int, jitter: float) -> None:
    delay_s = next_delay_s(failures, jitter)
    assert 2.5 <= delay_s <= LONGEST_RETRY_S
    if failures == 0:
        assert USUAL_INTERVAL_S / 2 <= delay_s <= USUAL_INTERVAL_S


def test_each_failure_waits_longer_up_to_a_quarter_of_an_hour() -> None:
    delays = [next_delay_s(failures, 1.0) for failures in range(1, 12)]
    assert delays == sorted(delays)
    assert (delays[0], delays[1], delays[-1]) == (5.0, 10.0, 900.0)
