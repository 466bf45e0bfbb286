"""The terminal's totals in memory: a fold over the facts of its records, the same at every start. Pure, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from domain.identity import CardId, PurseNumber
from domain.money import ZERO, Cents, total
from domain.purse import Counters
from sync.record import RecordType
from terminal.offline_queue.contact import Contact
from terminal.offline_queue.facts import Facts
from terminal.ports import CardSeen, Effect, Instant, LastPayment, TimeAnchor

_OUTCOME_UNKNOWN: Final = int(RecordType.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class OpenDoubt:
    """An IN_DOUBT record that no RESOLUTION has ended."""

    seq: int
    effect: Effect
    at: Instant


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that can be voided: what it changed, and when it was."""

    effect: Effect
    at: Instant


@dataclass(frozen=True, slots=True)
class SeenHere:
    """The furthest counters a card showed, and the number of the newest record that says so.

    Remembered until the centre has that record: from then on its floors and marks speak, and a card that lied about
    itself once is not refused for ever.
    """

    seq: int
    counters: Counters


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record the centre has not acknowledged: its number, and what it moved (``None``: no money)."""

    seq: int
    effect: Effect | None


@dataclass(slots=True)
class Ledger:
    """Everything the till asks about its own past.

    Attributes:
        net, absolute: perpetual totals in cents.
        paid: cents per card and day, doubts not counted.
        by_purse: the same by purse; ``None`` once a record counted does not say it.
        last: newest payment per card.
        payments: since the last closing, by the number of their intent, not voided.
        doubts: open ones by seq.
        unseen, unseen_at: seq and time of the newest record that must be seen, or ``None``.
        waiting: not acknowledged by the centre, in order.
        seen: the furthest counters of each card met here since the last contact with the centre.
        cancelled: doubts about payments that ended with nothing paid, since the last contact.
        t_lo: greatest earliest time any record was written under.
        boots: powered time and boots since the last anchor.
    """

    net: int = 0
    absolute: int = 0
    paid: dict[tuple[CardId, date], Cents] = field(default_factory=dict)
    by_purse: dict[tuple[CardId, date], Mapping[PurseNumber, Cents] | None] = field(default_factory=dict)
    last: dict[CardId, LastPayment] = field(default_factory=dict)
    payments: dict[int, Payment] = field(default_factory=dict)
    doubts: dict[int, OpenDoubt] = field(default_factory=dict)
    unseen: int | None = None
    unseen_at: Instant | None = None
    waiting: deque[Waiting] = field(default_factory=deque)
    seen: dict[CardId, SeenHere] = field(default_factory=dict)
    cancelled: list[tuple[int, Effect]] = field(default_factory=list)
    t_lo: datetime | None = None
    boots: Boots | None = None

    def add(self, seq: int, facts: Facts, *, is_acknowledged: bool = False) -> None:
        """Count one record more."""
        counted = self.effect_counted(facts)
        if counted is not None:
            self._count(seq, counted, facts)
        self._follow_doubt(seq, facts)
        self._follow_outcomes(seq, facts)
        self._follow_closing(facts)
        if not is_acknowledged:
            self.waiting.append(Waiting(seq, counted))
            if facts.seen is not None:
                self._remember(seq, facts.seen)
        self.t_lo = facts.t_lo if self.t_lo is None else max(self.t_lo, facts.t_lo)
        if self.boots is not None and seq > self.boots.after_seq:
            self.boots.follow(facts)

    def effect_counted(self, facts: Facts) -> Effect | None:
        """What a record adds to the totals now: nothing while its outcome is unknown."""
        return None if facts.type == _OUTCOME_UNKNOWN else facts.effect

    def acknowledged(self, up_to: int) -> None:
        """The centre has every record up to that seq."""
        while self.waiting and self.waiting[0].seq <= up_to:
            self.waiting.popleft()
        self.seen = {card: seen for card, seen in self.seen.items() if seen.seq > up_to}
        self.cancelled = [(seq, effect) for seq, effect in self.cancelled if seq > up_to]

    def await_again(self, records: list[tuple[int, Facts]]) -> None:
        """A restored centre lost these; they wait once more, in order."""
        effects = [(seq, self.effect_counted(facts)) for seq, facts in records]
        self.waiting = deque(Waiting(seq, effect) for seq, effect in effects)

    def paid_on(self, card: CardId, day: date) -> Cents:
        """Cents a card paid here on a day, payments in doubt counted as paid, voids in doubt as not made."""
        return self.paid.get((card, day), ZERO) + total(effect.amount for effect in self._doubted_on(card, day))

    def paid_by_purse_on(self, card: CardId, day: date) -> Mapping[PurseNumber, Cents] | None:
        """Cents each purse of a card paid here on a day, counted alike; ``None`` where a record does not say it."""
        counted = self.by_purse.get((card, day), {})
        return _together([counted, *(effect.by_purse for effect in self._doubted_on(card, day))])

    def _doubted_on(self, card: CardId, day: date) -> list[Effect]:
        effects = [doubt.effect for doubt in self.doubts.values() if doubt.effect.voids is None]
        return [effect for effect in effects if (effect.card, effect.day) == (card, day)]

    def unreported(self, card: CardId | None = None) -> Cents:
        """Cents that wait for the centre, of one card or of all; payments in doubt counted as paid.

        A void of a payment the centre knows already gives nothing back here: it is no room for another payment.
        """
        waiting = {item.seq: item.effect for item in self.waiting if item.effect is not None}
        counted = [effect for effect in waiting.values() if effect.voids is None or effect.voids in waiting]
        counted += [doubt.effect for doubt in self.doubts.values() if doubt.effect.voids is None]
        return total(effect.amount for effect in counted if card in (None, effect.card))

    def doubted_of(self, card: CardId) -> Cents:
        """Cents of a card's payments in doubt, and of those that ended unpaid since the last contact."""
        effects = [doubt.effect for doubt in self.doubts.values()] + [effect for _seq, effect in self.cancelled]
        return total(effect.amount for effect in effects if effect.card == card and effect.voids is None)

    def voidable(self, seq: int | None) -> int | None:
        """The payment of that number, or the newest, that is neither voided nor perhaps voided; ``None`` for none."""
        doubted = {doubt.effect.voids for doubt in self.doubts.values()}
        found = [number for number in self.payments if number not in doubted and seq in (None, number)]
        return max(found, default=None)

    def _remember(self, seq: int, seen: CardSeen) -> None:
        known = self.seen.get(seen.card)
        before = known.counters if known else Counters(0, {})
        lowest = {file: min(value, before.values.get(file, value)) for file, value in seen.counters.values.items()}
        furthest = Counters(max(before.tmc, seen.counters.tmc), {**before.values, **lowest})
        self.seen[seen.card] = SeenHere(seq, furthest)

    def _count(self, seq: int, effect: Effect, facts: Facts) -> None:
        self.net += effect.amount
        self.absolute += abs(effect.amount)
        key = (effect.card, effect.day)
        self.paid[key] = self.paid.get(key, ZERO) + effect.amount
        self.by_purse[key] = _together([self.by_purse.get(key, {}), effect.by_purse])
        if effect.voids is not None:
            self._count_void(effect.voids, effect)
        elif facts.type == RecordType.PAYMENT:
            self.last[effect.card] = LastPayment(seq, effect.amount, facts.at)
            self.payments[seq] = Payment(effect, facts.at)
        elif facts.type == RecordType.RESOLUTION and facts.resolves in self.doubts:
            self._count_confirmed(seq, effect, self.doubts[facts.resolves])

    def _count_confirmed(self, seq: int, effect: Effect, doubt: OpenDoubt) -> None:
        self.payments[doubt.seq] = Payment(effect, doubt.at)
        newest = self.last.get(effect.card)
        if newest is None or newest.seq < doubt.seq:
            self.last[effect.card] = LastPayment(seq, effect.amount, doubt.at)

    def _count_void(self, payment: int, effect: Effect) -> None:
        self.payments.pop(payment, None)
        newest = self.last.get(effect.card)
        if newest is not None and newest.amount == -effect.amount:
            del self.last[effect.card]

    def _follow_closing(self, facts: Facts) -> None:
        if facts.type == RecordType.CLOSING:
            self.payments.clear()

    def _follow_doubt(self, seq: int, facts: Facts) -> None:
        if facts.type == _OUTCOME_UNKNOWN and facts.effect is not None:
            self.doubts[seq] = OpenDoubt(seq, facts.effect, facts.at)
        if facts.resolves is not None:
            ended = self.doubts.pop(facts.resolves, None)
            if ended is not None and facts.effect is None:
                self.cancelled.append((seq, ended.effect))

    def _follow_outcomes(self, seq: int, facts: Facts) -> None:
        if facts.must_be_seen:
            self.unseen, self.unseen_at = seq, facts.at
        if facts.acknowledges is not None and self.unseen is not None and self.unseen <= facts.acknowledges:
            self.unseen = None


def _together(parts: Iterable[Mapping[PurseNumber, Cents] | None]) -> Mapping[PurseNumber, Cents] | None:
    """Sums by purse; unknown as soon as one part is."""
    sums: dict[PurseNumber, Cents] = {}
    for part in parts:
        if part is None:
            return None
        for number, cents in part.items():
            sums[number] = sums.get(number, ZERO) + cents
    return {number: cents for number, cents in sums.items() if cents}


@dataclass(slots=True)
class Boots:
    """Boots since the last anchor, for the two clocks."""

    after_seq: int
    received_boot: int
    boot: int
    first_ns: int
    newest_ns: int
    powered_before_ns: int = 0
    market_boots: int = 0
    other_boots: int = 0
    was_closed: bool = False

    def follow(self, facts: Facts) -> None:
        """Take in the clocks of one record more."""
        if facts.at.boot > self.boot:
            self._end_boot(facts.at.boot)
        if facts.at.boot == self.boot:
            self.newest_ns = max(self.newest_ns, facts.at.boottime_ns)
            self.was_closed = facts.type == RecordType.CLOSING

    def _end_boot(self, next_boot: int) -> None:
        self.powered_before_ns += max(self.newest_ns - self.first_ns, 0)
        self.market_boots += int(self.was_closed)
        self.other_boots += next_boot - self.boot - int(self.was_closed)
        self.boot, self.first_ns, self.newest_ns, self.was_closed = next_boot, 0, 0, False


def boots_since(contact: Contact) -> Boots:
    """Boots counted from the instant the centre's time was received."""
    return Boots(
        after_seq=contact.anchor_seq,
        received_boot=contact.received_boot,
        boot=contact.received_boot,
        first_ns=contact.received_boottime_ns,
        newest_ns=contact.received_boottime_ns,
    )


def anchor_of(contact: Contact, ledger: Ledger, raised: datetime) -> TimeAnchor:
    """What the two clocks start from now."""
    assert ledger.boots is not None
    known = [contact.t_lo, raised] + ([] if ledger.t_lo is None else [ledger.t_lo])
    return TimeAnchor(
        t_lo=max(known),
        centre_time=contact.centre_time,
        received_boot=contact.received_boot,
        received_boottime_ns=contact.received_boottime_ns,
        powered_before_ns=ledger.boots.powered_before_ns,
        market_boots=ledger.boots.market_boots,
        other_boots=ledger.boots.other_boots,
        wall_error_s=contact.wall_error_s,
    )
