"""The log record a card carries about each of its transactions, and the totals it hands on to the next stall."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from zoneinfo import ZoneInfo

from domain.identity import SlotFile, Station
from domain.money import ZERO, Cents, total


class LogType(IntEnum):
    """What happened; the numbers are those on the card."""

    ISSUED = 0
    PAYMENT = 1
    VOID = 2
    TRANSFER = 3


@dataclass(frozen=True, slots=True)
class Debit:
    """Cents taken from one slot."""

    file: SlotFile
    amount: Cents


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One transaction as the card remembers it (32 bytes, docs/formats/card.md).

    Attributes:
        type: see LogType.
        station: who wrote it; 0 is the issuing station.
        seq: journal number of the intent at that station.
        tmc: transaction counter this transaction will have.
        minutes_at: aware UTC, whole minutes; which day and month the totals belong to.
        rules_version: rule set in force.
        entitlement_number: low 16 bits of the entitlement's seq.
        debits: in file order, three at most.
        month_base: of the bonus after this transaction, in cents; ``None`` = unknown.
        day_total: of the card after this transaction, in cents; ``None`` = unknown.
    """

    type: LogType
    station: Station
    seq: int
    tmc: int
    minutes_at: datetime
    rules_version: int
    entitlement_number: int
    debits: tuple[Debit, ...]
    month_base: Cents | None
    day_total: Cents | None

    @property
    def amount(self) -> Cents:
        """All debits together, in cents."""
        return total(debit.amount for debit in self.debits)


@dataclass(frozen=True, slots=True)
class Carried:
    """The totals a card brings along: cents, or ``None`` where nobody offline can know them."""

    month_base: Cents | None
    day_total: Cents | None


def carried_totals(newest: LogRecord | None, t_lo: datetime, timezone: ZoneInfo) -> Carried:
    """The totals that count now. They start again only when the *earliest* time lies in a later day or month."""
    if newest is None:
        return Carried(month_base=None, day_total=None)
    then, now = newest.minutes_at.astimezone(timezone), t_lo.astimezone(timezone)
    later_month = (now.year, now.month) > (then.year, then.month)
    later_day = now.date() > then.date()
    return Carried(
        month_base=ZERO if later_month else newest.month_base,
        day_total=ZERO if later_day else newest.day_total,
    )


def time_to_write(wall: datetime, newest: LogRecord | None, t_lo: datetime, t_late: datetime) -> datetime:
    """The time a new log record bears: the wall clock, never before ``t_lo`` or the newest record, never after
    ``t_late``.
    """
    earliest = t_lo if newest is None else max(t_lo, newest.minutes_at)
    return min(max(wall, earliest), t_late).replace(second=0, microsecond=0)
