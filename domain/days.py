"""Days of the programme's time zone. A terminal knows two: the earliest it can be and the latest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Days:
    """The earliest and the latest day it can be; the same one where the clock is sure."""

    earliest: date
    latest: date

    def may_lie_in(self, first: date | None, last: date | None) -> bool:
        """Whether it can be one of the days from first to last, both included; ``None``: no such bound.

        In favour of the holder, as windows are: what may have begun has begun, what may not have ended has not.
        """
        return (first is None or first <= self.latest) and (last is None or self.earliest <= last)

    @property
    def is_one_month(self) -> bool:
        """Whether the month is known."""
        return (self.earliest.year, self.earliest.month) == (self.latest.year, self.latest.month)


def days_of(t_lo: datetime, t_late: datetime, timezone: ZoneInfo) -> Days:
    """The days two instants lie in."""
    return Days(t_lo.astimezone(timezone).date(), t_late.astimezone(timezone).date())
