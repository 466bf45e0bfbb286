"""A purse on a card: its windows (slots), the centre's word on them (entitlement), and what is left in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from domain.card_log import Debit
from domain.identity import MOST_SLOTS_A_PAYMENT, CardId, PurseNumber, SlotFile
from domain.money import ZERO, Cents, not_negative
from domain.rule_set import RuleSet

NEVER: Final = datetime.max.replace(tzinfo=UTC)
"""Later than every end of a window."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One window of a purse: what the centre signed about one value file of the card.

    Attributes:
        file: the value file, 1 to 8.
        purse: number of the purse.
        limit: value in cents that the spent counter may reach inside the window.
        floor: spent counter known to the centre, in cents; a card below it is not genuine.
        loaded: value the file started with at issuing, in cents; never changes.
        start: first instant of the window (inclusive).
        end: first instant after the window (exclusive), or ``None`` for a purse without end.
    """

    file: SlotFile
    purse: PurseNumber
    limit: Cents
    floor: Cents
    loaded: Cents
    start: datetime
    end: datetime | None

    def spent(self, value: Cents) -> Cents:
        """What the slot has paid since issuing, in cents, from the value read on the card."""
        return self.loaded - value

    def available(self, value: Cents, given_back: Cents = ZERO) -> Cents:
        """What the slot may still pay, in cents; never below zero.

        Args:
            value: read on the card, in cents.
            given_back: cents of accepted slips, which the limit does not contain yet.
        """
        return not_negative(Cents(min(value, self.limit + given_back - self.spent(value))))

    def is_open(self, t_lo: datetime, t_late: datetime) -> bool:
        """Open from when the latest time reaches its start until the earliest time passes its end."""
        return t_late >= self.start and (self.end is None or t_lo < self.end)


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The centre's signed word on how far each slot of a card may go.

    Attributes:
        key_id: which of the centre's entitlement keys signed it.
        card: the card it is for.
        epoch: of the centre; a restored centre starts a new one.
        seq: counted per card from 1.
        issued_at: whole seconds UTC.
        valid_until: whole seconds UTC, at most 40 days later.
        rules_version: the rule set its purse numbers need.
        mark: the card's transaction counter up to which the centre knows all.
        void_allowance: greatest sum of slips not yet known to the centre, in cents.
        slots: in file order, at most eight.
        unconfirmed: files whose counter the centre wants reported.
    """

    key_id: int
    card: CardId
    epoch: int
    seq: int
    issued_at: datetime
    valid_until: datetime
    rules_version: int
    mark: int
    void_allowance: Cents
    slots: tuple[Slot, ...]
    unconfirmed: frozenset[SlotFile] = frozenset()

    @property
    def number(self) -> tuple[int, int]:
        """Of two entitlements of a card the one with the greater number counts."""
        return (self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Counters:
    """What the card itself says: its transaction counter and the values of the slots read.

    Attributes:
        tmc: transaction counter of the card, 0 before the first payment.
        values: cents left in each value file read.
    """

    tmc: int
    values: Mapping[SlotFile, Cents]


def slots_to_read(entitlement: Entitlement, rules: RuleSet, t_lo: datetime, t_late: datetime) -> tuple[SlotFile, ...]:
    """Files whose value a tap reads: the open slots (three at most) and the unconfirmed ones, in file order."""
    wanted = {slot.file for slot in open_slots(entitlement, rules, t_lo, t_late)} | entitlement.unconfirmed
    return tuple(sorted(wanted))


def open_slots(entitlement: Entitlement, rules: RuleSet, t_lo: datetime, t_late: datetime) -> tuple[Slot, ...]:
    """The open slots in order of use, three at most: match; soonest to lapse; narrowest; order of the rule set; file.

    Slots of purses the rules do not know come last.
    """
    is_open = [slot for slot in entitlement.slots if slot.is_open(t_lo, t_late)]
    return tuple(sorted(is_open, key=lambda slot: _order_of_use(slot, rules))[:MOST_SLOTS_A_PAYMENT])


def _order_of_use(slot: Slot, rules: RuleSet) -> tuple[bool, bool, datetime, int, int, int]:
    is_unknown = rules.purse(slot.purse) is None
    matches_nothing, width, place = rules.order_of_use(slot.purse)
    return (is_unknown, matches_nothing, slot.end or NEVER, width, place, slot.file)


def by_purse(parts: Iterable[Debit], entitlement: Entitlement) -> Mapping[PurseNumber, Cents]:
    """Cents each purse pays of these debits, in rising numbers; its windows together.

    Args:
        entitlement: in force at the payment; it names the purse of every slot debited.
    """
    purse_of = {slot.file: slot.purse for slot in entitlement.slots}
    sums: dict[PurseNumber, Cents] = {}
    for part in parts:
        number = purse_of[part.file]
        sums[number] = sums.get(number, ZERO) + part.amount
    return dict(sorted(sums.items()))
