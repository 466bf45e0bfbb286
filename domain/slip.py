"""Slips: voids made at a stall, carried by the card, and how far another offline terminal may count on them.

A limit of an entitlement contains exactly the voids whose transaction number is at most its mark. A slip beyond the
mark gives back what a payment took, inside the window the payment was made in, while the sum of slips stays within the
void allowance (docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.card_log import Debit
from domain.identity import SlotFile, Station
from domain.money import ZERO, Cents, total
from domain.purse import Entitlement


@dataclass(frozen=True, slots=True)
class Slip:
    """A void, signed by the terminal that took the payment.

    Attributes:
        station: of that terminal.
        seq: journal number of the void.
        payment_seq, payment_tmc: journal number and transaction counter of the payment undone.
        tmc: transaction counter of the void.
        entitlement: (epoch, seq) in force on the card when it was voided.
        amounts: cents given back to each slot, in file order, three at most.
        minutes_at: aware UTC, whole minutes; display only.
    """

    station: Station
    seq: int
    payment_seq: int
    payment_tmc: int
    tmc: int
    entitlement: tuple[int, int]
    amounts: tuple[Debit, ...]
    minutes_at: datetime

    @property
    def amount(self) -> Cents:
        """Everything given back, in cents."""
        return total(part.amount for part in self.amounts)


def accepted_slips(
    slips: Iterable[Slip], entitlement: Entitlement, tmc: int, t_lo: datetime, t_late: datetime
) -> tuple[Slip, ...]:
    """The slips that count beside this entitlement, in the order of their transactions.

    Args:
        slips: signatures verified, revoked terminals left out.
        tmc: the card's transaction counter; a slip of a later transaction is no slip of this card.
    """
    counted: list[Slip] = []
    left = entitlement.void_allowance
    seen: set[tuple[Station, int]] = set()
    for slip in sorted(slips, key=lambda slip: (slip.tmc, slip.station, slip.seq)):
        if (slip.station, slip.payment_seq) in seen or not _counts(slip, entitlement, tmc, t_lo, t_late):
            continue
        if slip.amount > left:
            break  # taken whole, in order: what does not fit ends the row
        seen.add((slip.station, slip.payment_seq))
        left -= slip.amount
        counted.append(slip)
    return tuple(counted)


def given_back(slips: Iterable[Slip]) -> Mapping[SlotFile, Cents]:
    """Cents per slot that accepted slips add to its limit."""
    sums: dict[SlotFile, Cents] = {}
    for slip in slips:
        for part in slip.amounts:
            sums[part.file] = sums.get(part.file, ZERO) + part.amount
    return sums


def passed_places(slips: Mapping[int, Slip], entitlement: Entitlement) -> frozenset[int]:
    """Slip places whose void the centre knows by this entitlement: they are free again."""
    return frozenset(place for place, slip in slips.items() if slip.tmc <= entitlement.mark)


def has_same_windows(files: Iterable[SlotFile], then: Entitlement, now: Entitlement) -> bool:
    """Whether each of these slots holds the same window (purse and start) under both entitlements."""
    return all(_window(then, file) is not None and _window(then, file) == _window(now, file) for file in files)


def _counts(slip: Slip, entitlement: Entitlement, tmc: int, t_lo: datetime, t_late: datetime) -> bool:
    if not entitlement.mark < slip.tmc <= tmc or not slip.payment_tmc < slip.tmc or not slip.amounts:
        return False
    return all(_is_of_an_open_window(slip, part.file, entitlement, t_lo, t_late) for part in slip.amounts)


def _is_of_an_open_window(
    slip: Slip, file: SlotFile, entitlement: Entitlement, t_lo: datetime, t_late: datetime
) -> bool:
    """A reused slot still unconfirmed may hold slips of the window before: only one made under this very entitlement
    is surely of this window.
    """
    slot = next((slot for slot in entitlement.slots if slot.file == file), None)
    if slot is None or not slot.is_open(t_lo, t_late):
        return False
    return file not in entitlement.unconfirmed or slip.entitlement == entitlement.number


def _window(entitlement: Entitlement, file: SlotFile) -> tuple[int, datetime] | None:
    return next(((slot.purse, slot.start) for slot in entitlement.slots if slot.file == file), None)
