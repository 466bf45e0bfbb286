"""Days of the programme: as the database keeps them (whole days since 1970-01-01), and when they begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.allotment import month_of, next_month

DAY_S: Final = 86_400
_FIRST: Final = date(1970, 1, 1)


def number_of(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _FIRST) // timedelta(days=1)


def day_of(number: int) -> date:
    """The day of that number."""
    return _FIRST + timedelta(days=number)


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The instant a day begins in a time zone, aware UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def check_month(month: date, today: date) -> None:
    """ValueError: neither this month nor the next; money far ahead could not be called back."""
    first = month_of(month).first
    if first < month_of(today).first:
        raise ValueError("ce mois est passé")
    if first > next_month(today):
        raise ValueError("ce mois est trop loin : on verse pour ce mois-ci ou pour le suivant")
