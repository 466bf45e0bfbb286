"""Two clocks instead of one: the earliest it can be (t_lo) and the latest (t_late). No clock creates money.

t_lo grows with every signed thing that names a time and with powered time since the centre last told it. t_late also
believes the wall clock when it runs ahead, and counts what may have passed while the terminal was off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from terminal.ports import Instant, TimeAnchor

OFF_AFTER_CLOSING: Final = timedelta(days=7)
OFF_OTHERWISE: Final = timedelta(hours=1)
NEVER_BEFORE: Final = datetime(2020, 1, 1, tzinfo=UTC)
NEVER_AFTER: Final = datetime(2051, 1, 1, tzinfo=UTC)
"""The card's three-byte minutes end in November 2051."""


@dataclass(frozen=True, slots=True)
class TwoClocks:
    """Aware UTC: the earliest it can be, the latest, and the wall clock with its known error taken out."""

    t_lo: datetime
    t_late: datetime
    wall: datetime


def two_clocks(
    anchor: TimeAnchor,
    now: Instant,
    *,
    has_working_rtc: bool = True,
    market_interval: timedelta = OFF_AFTER_CLOSING,
) -> TwoClocks:
    """What time it can be, from the last anchor and the clocks of this boot.

    Args:
        anchor: kept by the journal.
        now: all clocks now.
        has_working_rtc: whether the wall clock went on while the power was off.
        market_interval: time assumed off at each boot that followed a closing, without a working RTC.
    """
    powered_ns = now.boottime_ns
    if now.boot == anchor.received_boot:
        powered_ns -= anchor.received_boottime_ns
    powered = timedelta(microseconds=(anchor.powered_before_ns + max(powered_ns, 0)) // 1_000)
    told = anchor.centre_time + powered
    t_lo = _within(max(anchor.t_lo, told))
    off = timedelta(0)
    if not has_working_rtc:
        off = anchor.market_boots * market_interval + anchor.other_boots * OFF_OTHERWISE
    wall = _within(now.wall - timedelta(seconds=anchor.wall_error_s))
    return TwoClocks(t_lo=t_lo, t_late=_within(max(t_lo, wall, told + off)), wall=wall)


def _within(instant: datetime) -> datetime:
    return min(max(instant, NEVER_BEFORE), NEVER_AFTER)
