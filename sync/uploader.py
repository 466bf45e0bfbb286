"""One upload and download, the same for network, stick and simulation; and when to try again.

One batch is in flight at a time. Nothing is ever dropped here: what the centre did not acknowledge stays in the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from sync.batch import NONCE_SIZE_B, head_of
from sync.centre import Centre

MOST_ROUNDS: Final = 10_000
FIRST_RETRY_S: Final = 5.0
LONGEST_RETRY_S: Final = 900.0
USUAL_INTERVAL_S: Final = 60.0

InstantT = TypeVar("InstantT")
InstantOut = TypeVar("InstantOut", covariant=True)
InstantIn = TypeVar("InstantIn", contravariant=True)


class State(Protocol):
    """What the loop needs to know of the outbox; ``terminal.ports.SyncState`` is one."""

    @property
    def pending_records(self) -> int: ...

    @property
    def frozen(self) -> str | None: ...


class Outbox(Protocol[InstantIn]):
    """As ``terminal.ports.Outbox``."""

    def next_batch(self, nonce: bytes) -> bytes: ...

    def apply_answer(self, answer: bytes, nonce: bytes, at: InstantIn) -> State: ...

    def apply_download(self, bundle: bytes, at: InstantIn) -> State: ...

    def state(self) -> State: ...


class Clock(Protocol[InstantOut]):
    """As ``terminal.ports.Clock``."""

    def now(self) -> InstantOut: ...


class Entropy(Protocol):
    """Random bytes; seeded in a simulation."""

    def token(self, size_b: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """What one sync did.

    Attributes:
        rounds: batches exchanged.
        sent: records acknowledged meanwhile.
        pending: records still waiting.
        stopped: the terminal is frozen, or the centre takes nothing more: show it; trying again changes nothing.
    """

    rounds: int
    sent: int
    pending: int
    stopped: bool


def sync_once(
    outbox: Outbox[InstantT], centre: Centre, entropy: Entropy, clock: Clock[InstantT], most_rounds: int = MOST_ROUNDS
) -> SyncOutcome:
    """Exchange batches until nothing is pending and nothing more comes down; at least one.

    Raises:
        CentreUnreachable: nothing usable came back; what was acknowledged before it counts.
        FormatError: an answer or bundle that is not the centre's.
    """
    before = outbox.state().pending_records
    rounds, last, is_stalled = 0, None, False
    while rounds < most_rounds and outbox.state().frozen is None:
        nonce = entropy.token(NONCE_SIZE_B)
        batch = outbox.next_batch(nonce)
        head = head_of(batch)
        is_stalled = (head.first_seq, head.held) == last  # nothing was taken, nothing came down
        if is_stalled:
            break
        last = (head.first_seq, head.held)
        rounds += 1
        downloaded = _exchange(outbox, centre, batch, nonce, clock)
        if outbox.state().pending_records == 0 and not downloaded:
            break
    state = outbox.state()
    return SyncOutcome(
        rounds=rounds,
        sent=max(before - state.pending_records, 0),
        pending=state.pending_records,
        stopped=state.frozen is not None or (is_stalled and state.pending_records > 0),
    )


def next_delay_s(failures: int, jitter: float) -> float:
    """Seconds until the next try: after success the usual interval, after failures doubling up to a quarter of an hour.

    Args:
        failures: tries in a row that failed, 0 after a success.
        jitter: from 0 to 1, drawn anew each time, so that a market's terminals do not all call at once.
    """
    doubled = FIRST_RETRY_S * 2.0 ** min(max(failures - 1, 0), 16)
    longest = min(doubled, LONGEST_RETRY_S) if failures > 0 else USUAL_INTERVAL_S
    return longest * (0.5 + 0.5 * jitter)


def _exchange(outbox: Outbox[InstantT], centre: Centre, batch: bytes, nonce: bytes, clock: Clock[InstantT]) -> bool:
    """One round; whether something came down."""
    answer, bundle = centre.exchange(batch)
    state = outbox.apply_answer(answer, nonce, clock.now())
    if bundle and state.frozen is None:
        outbox.apply_download(bundle, clock.now())
    return bool(bundle)
