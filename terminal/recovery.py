"""How a torn tap resolves itself: what the card says about a payment whose outcome is unknown."""

from __future__ import annotations

from sync.card_format import decode_log_record
from sync.errors import FormatError
from sync.record import Outcome, Pay
from terminal.ports import CardHead, Doubt


def outcome_of(doubt: Doubt, head: CardHead) -> Outcome | None:
    """Confirmed, cancelled, or ``None`` where only the centre can tell.

    Confirmed when the card's log holds the whole intended record. Cancelled when its counter has not moved since,
    or when another record bears the number the intended one would have had.

    Args:
        head: read with all log records.
    """
    if doubt.log_record in head.logs:
        return Outcome.CONFIRMED
    expected = doubt.body[Pay.TMC_EXPECTED]
    assert isinstance(expected, int)
    if head.tmc == expected - 1 or expected in [_tmc_of(record) for record in head.logs]:
        return Outcome.CANCELLED
    return None


def _tmc_of(record: bytes) -> int | None:
    try:
        return decode_log_record(record).tmc
    except FormatError:
        return None
