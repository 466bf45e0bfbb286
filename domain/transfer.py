"""Money moved from one card of a household to another: a debit on the first, then a larger limit on the second.

The limit of the first card is never lowered, since it may be spending offline at the same moment: its own counter
bears the transfer. The centre raises the second card's limit only once it holds the card's proof of the debit. Money
keeps its purse and its window: it cannot outlive by moving what it would have lapsed with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from domain.card_log import Debit
from domain.identity import CardId, PurseNumber, SlotFile
from domain.money import ZERO, Cents
from domain.purse import Entitlement, Slot, open_slots
from domain.reason import Reason
from domain.rule_set import RuleSet


@dataclass(frozen=True, slots=True)
class Moved:
    """What a proven transfer debit takes from one window of a card.

    Attributes:
        card: that paid it.
        debit: value file and cents.
        purse, start, end: of the window the money belongs to.
    """

    card: CardId
    debit: Debit
    purse: PurseNumber
    start: datetime
    end: datetime | None


def move_out(
    source: Entitlement,
    left: Mapping[SlotFile, Cents],
    purse: PurseNumber,
    amount: Cents,
    rules: RuleSet,
    at: tuple[datetime, datetime],
) -> tuple[Moved, ...] | Reason:
    """What to debit from a card so that so many cents of a purse may go to another one; whole or not at all.

    Args:
        left: cents each slot read may still pay, slips counted.
        at: the earliest and the latest time it can be; a window must be open at both.
    """
    if amount <= 0:
        return Reason.NEGATIVE_OR_ZERO_AMOUNT
    t_lo, t_late = at
    windows = [
        slot
        for slot in open_slots(source, rules, t_lo, t_late)
        if slot.purse == purse and slot.start <= t_lo and (slot.end is None or t_late < slot.end)
    ]
    missing, moved = amount, []
    for slot in windows:
        part = min(missing, left.get(slot.file, ZERO))
        if part > 0:
            moved.append(Moved(source.card, Debit(slot.file, part), purse, slot.start, slot.end))
            missing -= part
    if missing > 0:
        return Reason.PURSE_EMPTY if windows else Reason.PURSE_LAPSED
    return tuple(moved)


def move_in(target: Entitlement, moved: Moved) -> Entitlement | Reason:
    """The same entitlement with the money added to the limit of the window it belongs to; to be signed anew.

    The other card must hold the same window of the same purse, open or still to come.
    """
    place = next((place for place, slot in enumerate(target.slots) if _is_same_window(slot, moved)), None)
    if place is None or moved.card == target.card:
        return Reason.PURSE_NOT_OPEN_YET
    slot = target.slots[place]
    raised = replace(slot, limit=slot.limit + moved.debit.amount)
    return replace(target, slots=(*target.slots[:place], raised, *target.slots[place + 1 :]))


def _is_same_window(slot: Slot, moved: Moved) -> bool:
    return (slot.purse, slot.start, slot.end) == (moved.purse, moved.start, moved.end)
