"""The till: one synchronous core, ``Till.handle(event) -> events``. Screen, ``--json`` and simulations loop around it.

It never waits for a person and never calls back. What it is waiting for is a value (``Standing``); every event is
answered in every standing. A fault of the world becomes an event; a bug is an assertion, and the program stops and
recovers from its journal.
"""

from __future__ import annotations

from typing import Final

from domain.decision import Announcement, Decision, announce, day_total_by_age, left_in_slots
from domain.identity import CardId
from domain.money import ZERO, Cents, total
from domain.purse import Counters, open_slots
from domain.reason import Reason
from domain.rule_set import Case
from domain.slip import accepted_slips
from sync.record import BODY_VERSION, Outcome, Pay, RecordType, Resolve
from terminal import bodies
from terminal import events as say
from terminal.errors import (
    CardFault,
    CardMisbehaves,
    JournalFault,
    KeysAsleep,
    NotOurCard,
    ReaderFault,
    TooManyCards,
    WrongKey,
)
from terminal.ports import Draft, Durable, Presence, SeenState, Signal
from terminal.standing import (
    AwaitingCard,
    AwaitingVoid,
    BalanceAsked,
    Halted,
    Idle,
    Sale,
    SplitOffered,
    Standing,
    ToBeSeen,
    ToConfirm,
    TwiceAsked,
    Verifying,
    VerifyingVoid,
)
from terminal.stops import why_stopped
from terminal.tap import Debited, Declined, LeftInDoubt, Solved, TapResult, WouldPayLess, look, pay, recover
from terminal.transaction import doubt_from
from terminal.undo import Undone, left_unknown, undo
from terminal.words import Outwards, reader_words, told
from terminal.world import World, clocks_now, days_now, lists_age_days, met, stamp_now

SPLIT_STANDS_S: Final = 60
TWICE_WITHIN_S: Final = 60


class Till:
    """The core of one terminal.

    Args:
        world: its ports; nothing is opened here.
        phone: shown when the till must stop.
    """

    def __init__(self, world: World, phone: str = "") -> None:
        self._world = world
        self._phone = phone
        self._standing: Standing = Idle()
        self._lying: Presence | None = None
        self._usable: set[str] = set()
        self._stuck: set[str] = set()

    @property
    def standing(self) -> Standing:
        """What the till waits for."""
        return self._standing

    def start(self) -> Outwards:
        """First words after a start: end what a power cut left open, then show the last outcome not yet seen."""
        try:
            left = self._world.journal.open_intent_left()
            if left is not None:
                doubt_from(self._world, left)
            stamp = stamp_now(self._world, clocks_now(self._world))
            self._world.journal.append(Draft(RecordType.BOOT, {0: BODY_VERSION}, stamp))
            return (*self._show_unseen(), *self._update_needed())
        except JournalFault as fault:
            return self._halt(fault)

    def handle(self, event: say.Inward) -> Outwards:
        """The answer to one event: what to show, in order; nothing when it changes nothing."""
        if isinstance(self._standing, Halted):
            return (self._standing.stopped,) if isinstance(event, say.Sell | say.CardPresented) else ()
        try:
            return self._handle(event)
        except JournalFault as fault:
            return self._halt(fault)

    def _handle(self, event: say.Inward) -> Outwards:
        match event:
            case say.Sell():
                return self._sell(event)
            case say.AskBalance():
                return self._ask_balance(event.sale)
            case say.CardPresented():
                self._lying = event.presence
                return self._card_laid_down()
            case say.CardRemoved():
                return self._card_lifted(event.presence)
            case say.CardsClash():
                return (say.OneCardOnly(self._sale_number()),) if self._sale_number() else ()
            case say.AskVoid():
                return self._ask_void(event)
            case say.Accept():
                return self._accept()
            case say.Back():
                return self._back()
            case say.Tick():
                return self._tick()
            case say.ListsChanged():
                return self._update_needed()
            case say.ReaderCame():
                self._usable.add(event.reader)
                self._stuck.discard(event.reader)
                return (say.ReaderIsBack(),)
            case say.ReaderWent():
                return self._reader_went(event)

    def _reader_went(self, event: say.ReaderWent) -> Outwards:
        """Nothing is said of a reader unplugged while another one serves, but that a stuck one need not be any more."""
        was_stuck = event.reader in self._stuck
        self._lose(event.reader, is_stuck=event.is_stuck)
        if self._lying is not None and self._lying.reader == event.reader:
            self._lying = None
        if event.is_stuck or not self._usable:
            return (say.ReaderAway(event.is_stuck),)
        return (say.ReaderIsBack(),) if was_stuck and not self._stuck else ()

    def _lose(self, reader: str, *, is_stuck: bool) -> None:
        self._usable.discard(reader)
        if is_stuck:
            self._stuck.add(reader)
        else:
            self._stuck.discard(reader)

    # --- what the cashier asks ---------------------------------------------------------------------------------------

    def _sell(self, event: say.Sell) -> Outwards:
        if isinstance(self._standing, Verifying | VerifyingVoid | ToBeSeen):
            return self._still_standing()
        rules, merchant = self._world.lists.rules(), self._world.lists.merchant()
        announced = announce(event.basket, rules, merchant, days_now(self._world))
        sale = Sale(event.sale, event.basket, announced)
        if sale.announced.asked <= 0:
            self._standing = Idle()
            return (say.PaysNothing(sale.sale, sale.announced.rest, _first_reason(sale.announced)),)
        if sale.announced.asked > rules.ceilings.confirm:
            self._standing = ToConfirm(sale)
            return (say.ConfirmAmount(sale.sale, sale.announced.asked),)
        return self._await_card(sale)

    def _await_card(self, sale: Sale, paid_twice_by: CardId | None = None) -> Outwards:
        self._standing = AwaitingCard(sale, paid_twice_by)
        announced = sale.announced
        shown = say.PresentCard(sale.sale, announced.asked, announced.rest, announced.lines)
        if self._lying is None:
            return (shown,)
        return (shown, *self._card_laid_down())

    def _ask_balance(self, sale: int) -> Outwards:
        if not isinstance(self._standing, Idle):
            return self._still_standing()
        self._standing = BalanceAsked(sale)
        return self._card_laid_down() if self._lying else ()

    def _ask_void(self, event: say.AskVoid) -> Outwards:
        if not isinstance(self._standing, Idle):
            return self._still_standing()
        payment = self._world.journal.voidable(event.seq)
        if payment is None:
            return (say.NothingToVoid(event.sale),)
        self._standing = AwaitingVoid(event.sale, payment)
        shown = say.PresentToVoid(event.sale, payment.amount, payment.at, payment.seq)
        return (shown, *self._card_laid_down()) if self._lying else (shown,)

    def _accept(self) -> Outwards:
        match self._standing:
            case ToConfirm(sale):
                return self._await_card(sale)
            case TwiceAsked(sale, card):
                return self._await_card(sale, card)
            case SplitOffered() as offer:
                self._standing = SplitOffered(offer.sale, offer.card, offer.by_card, offer.until_ns, is_accepted=True)
                return self._card_laid_down() if self._lying else ()
            case ToBeSeen(seq):
                self._world.journal.acknowledge(seq, stamp_now(self._world, clocks_now(self._world)))
                self._standing = Idle()
                return (say.Ready(),)
            case _:
                return ()

    def _back(self) -> Outwards:
        match self._standing:
            case ToBeSeen():
                return ()
            case Verifying(sale, card, amount, seq):
                self._standing = ToBeSeen(seq)
                return (say.InVerification(sale.sale, amount, self._is_guaranteed(card)),)
            case VerifyingVoid() as verifying:
                return self._take_undone(left_unknown(verifying))
            case _:
                self._standing = Idle()
                return (say.Ready(),)

    def _tick(self) -> Outwards:
        offer = self._standing
        if isinstance(offer, SplitOffered) and self._world.clock.now().boottime_ns > offer.until_ns:
            self._standing = Idle()
            return (say.Ready(),)
        return ()

    # --- what the card brings ----------------------------------------------------------------------------------------

    def _card_laid_down(self) -> Outwards:
        presence = self._lying
        assert presence is not None
        return self._without_reader(presence.reader, self._meet(presence))

    def _without_reader(self, reader: str, said: Outwards) -> Outwards:
        """What a tap said; when it lost its reader while another one serves, the card may be laid on that one."""
        faults = [word for word in said if isinstance(word, say.ReaderAway)]
        if not faults:
            return said
        self._lose(reader, is_stuck=faults[-1].is_stuck)
        return (*said, say.ReaderIsBack()) if self._usable and not faults[-1].is_stuck else said

    def _meet(self, presence: Presence) -> Outwards:
        match self._standing:
            case Idle() | ToBeSeen() | ToConfirm() | TwiceAsked():
                return self._recover_quietly(presence)
            case BalanceAsked(sale):
                return self._show_balance(presence, sale)
            case AwaitingCard(sale, paid_twice_by):
                return self._tap(presence, sale, paid_twice_by=paid_twice_by)
            case SplitOffered(is_accepted=True) as offer:
                return self._tap(presence, offer.sale, offer=offer)
            case SplitOffered():
                return ()
            case Verifying() as verifying:
                return self._verify(presence, verifying)
            case AwaitingVoid() | VerifyingVoid() as waiting:
                return self._take_undone(undo(self._world, presence, waiting))
            case Halted():
                return ()

    def _card_lifted(self, presence: Presence) -> Outwards:
        if self._lying is not None and self._lying.reader == presence.reader:
            self._lying = None
        return ()

    def _recover_quietly(self, presence: Presence) -> Outwards:
        """A card laid down outside a sale ends its doubts and is left alone otherwise."""
        if not self._world.journal.doubts():
            return ()
        try:
            with met(self._world, presence) as (contact, ref):
                return () if isinstance(ref, Reason) else told(recover(self._world, contact, ref))
        except (CardFault, ReaderFault):
            return ()

    def _verify(self, presence: Presence, verifying: Verifying) -> Outwards:
        sale = verifying.sale
        card: CardId | None = None
        solved: tuple[Solved, ...] = ()
        try:
            with met(self._world, presence) as (contact, ref):
                if not isinstance(ref, Reason):
                    card, solved = ref.card, recover(self._world, contact, ref)
        except (CardFault, ReaderFault) as fault:
            return (say.PutSameBack(sale.sale, verifying.amount), *reader_words(fault))
        ours = next((item for item in solved if item.doubt.seq == verifying.seq), None)
        notes = told(item for item in solved if item is not ours)
        if ours is None:
            return (*notes, *self._other_card_while_verifying(verifying, card))
        if ours.outcome is Outcome.CONFIRMED:
            return (*notes, *self._paid_after_all(sale, ours))
        self._standing = verifying.offer or AwaitingCard(sale, paid_twice_by=verifying.card)
        return (*notes, *self._meet(presence))

    def _take_undone(self, undone: Undone) -> Outwards:
        self._standing = undone.standing
        if undone.signal is not None:
            self._signal(undone.signal)
        return undone.said

    def _other_card_while_verifying(self, verifying: Verifying, card: CardId | None) -> Outwards:
        if card == verifying.card:  # its log no longer tells: the centre will
            self._standing = ToBeSeen(verifying.seq)
            amount = verifying.amount
            return (say.InVerification(verifying.sale.sale, amount, self._is_guaranteed(verifying.card)),)
        return (say.PutSameBack(verifying.sale.sale, verifying.amount),)

    def _is_guaranteed(self, card: CardId) -> bool:
        """Whether the programme answers for a payment whose proof is awaited, as far as its rules say; doubts that
        ended unpaid are counted, so that a card that never answers is not promised again and again.
        """
        most = self._world.lists.rules().programme_bears(Case.TORN_WITHOUT_PROOF)
        return most is None or self._world.journal.doubted_of(card) <= most

    def _paid_after_all(self, sale: Sale, solved: Solved) -> Outwards:
        self._standing = Idle()
        self._signal(Signal.PAID)
        rest = sale.basket.price - solved.doubt.amount
        earned, is_unknown = bodies.bonus_shown(solved.doubt.body)
        return (say.Paid(sale.sale, solved.doubt.amount, rest, solved.durable, earned, is_unknown),)

    def _tap(
        self,
        presence: Presence,
        sale: Sale,
        *,
        paid_twice_by: CardId | None = None,
        offer: SplitOffered | None = None,
    ) -> Outwards:
        notes: Outwards = ()
        try:
            with met(self._world, presence) as (contact, ref):
                if isinstance(ref, Reason):
                    return self._declined(sale, ref)
                notes = told(recover(self._world, contact, ref))
                if ref.card != paid_twice_by and offer is None and self._paid_the_same(ref.card, sale):
                    return (*notes, *self._ask_twice(sale, ref.card))
                agreed = offer.by_card if offer else sale.announced.asked
                result = pay(self._world, contact, ref, sale.basket, agreed)
        except (CardFault, ReaderFault) as fault:
            return (*notes, *self._interrupted(sale, fault))
        return (*notes, *self._after(sale, result, offer))

    def _paid_the_same(self, card: CardId, sale: Sale) -> bool:
        last = self._world.journal.last_payment(card)
        if last is None or last.amount != sale.announced.asked:
            return False
        return self._is_recent(last.at.boot, last.at.boottime_ns)

    def _ask_twice(self, sale: Sale, card: CardId) -> Outwards:
        last = self._world.journal.last_payment(card)
        assert last is not None
        self._standing = TwiceAsked(sale, card)
        return (say.AlreadyPaid(sale.sale, last.amount, last.at.wall),)

    def _is_recent(self, boot: int, boottime_ns: int) -> bool:
        now = self._world.clock.now()
        return now.boot == boot and now.boottime_ns - boottime_ns < TWICE_WITHIN_S * 1_000_000_000

    # --- what a tap came to ------------------------------------------------------------------------------------------

    def _after(self, sale: Sale, result: TapResult, offer: SplitOffered | None) -> Outwards:
        match result:
            case Debited(decision, durable):
                self._standing = Idle()
                self._signal(Signal.PAID)
                return (_paid(sale, decision, durable),)
            case WouldPayLess(card, decision):
                return self._offer_split(sale, card, decision.paid, decision.rest, _why_less(sale, decision))
            case Declined(reason):
                return self._declined(sale, reason)
            case LeftInDoubt(card, amount, durable):
                self._standing = Verifying(sale, card, amount, durable.seq, offer)
                self._signal(Signal.ATTENTION)
                return (say.PutSameBack(sale.sale, amount),)

    def _offer_split(self, sale: Sale, card: CardId, by_card: Cents, rest: Cents, reason: Reason | None) -> Outwards:
        until = self._world.clock.now().boottime_ns + SPLIT_STANDS_S * 1_000_000_000
        self._standing = SplitOffered(sale, card, by_card, until)
        return (say.Split(sale.sale, by_card, rest, reason),)

    def _declined(self, sale: Sale, reason: Reason) -> Outwards:
        self._standing = Idle()
        rest = sale.basket.price
        if reason in (Reason.ON_HOT_LIST, Reason.CARD_EXPIRED):
            return (say.HolderMayCall(sale.sale, rest, self._world.lists.rules().phone, reason),)
        if reason in (Reason.CARD_UNKNOWN, Reason.OTHER_PROGRAMME, Reason.NOT_GENUINE, Reason.KEY_NOT_ON_THIS_TERMINAL):
            return (say.NotHere(sale.sale, rest, reason),)
        return (say.PaysNothing(sale.sale, rest, reason),)

    def _interrupted(self, sale: Sale, fault: CardFault | ReaderFault) -> Outwards:
        match fault:
            case WrongKey():
                return self._declined(sale, Reason.NOT_GENUINE)
            case NotOurCard():
                return self._declined(sale, Reason.CARD_UNKNOWN)
            case KeysAsleep():
                return self._declined(sale, Reason.LISTS_TOO_OLD)
            case TooManyCards():
                return (say.OneCardOnly(sale.sale),)
            case ReaderFault():
                return reader_words(fault)
            case CardMisbehaves():
                return self._misread(sale)
            case _:
                self._signal(Signal.ATTENTION)
                return (say.PutBack(sale.sale),)

    def _misread(self, sale: Sale) -> Outwards:
        """One bad answer is most often a card that moved: put it back. A second one is no card of ours."""
        waiting = self._standing
        if isinstance(waiting, AwaitingCard) and not waiting.is_misread:
            self._standing = AwaitingCard(waiting.sale, waiting.paid_twice_by, is_misread=True)
            self._signal(Signal.ATTENTION)
            return (say.PutBack(sale.sale),)
        return self._declined(sale, Reason.NOT_GENUINE)

    def _show_balance(self, presence: Presence, sale: int) -> Outwards:
        self._standing = Idle()
        try:
            with met(self._world, presence) as (contact, ref):
                if isinstance(ref, Reason):
                    return (say.NotHere(sale, ZERO, ref),)
                seen = look(self._world, contact, ref)
        except KeysAsleep:
            return (say.NotHere(sale, ZERO, Reason.LISTS_TOO_OLD),)
        except (CardFault, ReaderFault) as fault:
            return reader_words(fault) or (say.PutBack(sale),)
        if seen.entitlement is None:
            return (say.Balance(sale, ZERO, None),)
        clocks = clocks_now(self._world)
        word = seen.entitlement.entitlement
        slots = open_slots(word, self._world.lists.rules(), clocks.t_lo, clocks.t_late)
        slips = accepted_slips(seen.slips.values(), word, seen.head.tmc, clocks.t_lo, clocks.t_late)
        available = total(left_in_slots(slots, Counters(seen.head.tmc, seen.values), slips).values())
        ends = [slot.end for slot in slots if slot.end is not None]
        return (say.Balance(sale, available, min(ends, default=None)),)

    # --- standing words ----------------------------------------------------------------------------------------------

    def _show_unseen(self) -> Outwards:
        unseen = self._world.journal.last_unseen()
        if unseen is None:
            return (say.Ready(),)
        self._standing = ToBeSeen(unseen.seq)
        is_void = _is_of_a_void(unseen)
        return (say.LastOutcome(unseen.seq, unseen.type, _amount_of(unseen), unseen.wall, is_void),)

    def _still_standing(self) -> Outwards:
        match self._standing:
            case Verifying(sale, _, amount, _):
                return (say.PutSameBack(sale.sale, amount),)
            case VerifyingVoid(number, payment, _):
                return (say.PutSameBack(number, payment.amount, is_void=True),)
            case ToBeSeen():
                return self._show_unseen()
            case _:
                return ()

    def _update_needed(self) -> Outwards:
        clocks = clocks_now(self._world)
        rules = self._world.lists.rules()
        left = day_total_by_age(rules.ceilings, lists_age_days(self._world, clocks))
        if left is None:
            return ()
        return (say.UpdateNeeded(left if left > 0 else None),)

    def _sale_number(self) -> int:
        match self._standing:
            case AwaitingCard(sale) | SplitOffered(sale) | Verifying(sale) | TwiceAsked(sale) | ToConfirm(sale):
                return sale.sale
            case AwaitingVoid(number) | VerifyingVoid(number):
                return number
            case _:
                return 0

    def _signal(self, signal: Signal) -> None:
        if self._lying is not None:
            self._world.readers.signal(self._lying.reader, signal)

    def _halt(self, fault: JournalFault) -> Outwards:
        return self._stop(*why_stopped(fault))

    def _stop(self, code: str, sentence: str) -> Outwards:
        stopped = say.Stopped(code, sentence, self._phone)
        self._standing = Halted(stopped)
        return (stopped,)


def _paid(sale: Sale, decision: Decision, durable: Durable) -> say.Paid:
    bonus = decision.bonus
    earned = None if bonus is None else bonus.earned
    is_unknown = bonus is not None and bonus.earned is None
    return say.Paid(sale.sale, decision.paid, decision.rest, durable, earned, is_unknown)


def _why_less(sale: Sale, decision: Decision) -> Reason | None:
    """Reason of the first line of which the card pays less than was shown."""
    shown = zip(decision.lines, sale.announced.lines, strict=True)
    return next((now.reason for now, before in shown if now.paid < before.paid), None)


def _first_reason(announced: Announcement) -> Reason | None:
    return next((line.reason for line in announced.lines if line.reason is not None), Reason.NOTHING_TO_PAY)


def _amount_of(unseen: SeenState) -> Cents:
    """What the record speaks of, in cents."""
    body = unseen.body
    if unseen.type is RecordType.RESOLUTION:
        amount = body[Resolve.AMOUNT]
        assert isinstance(amount, int)
        return Cents(amount)
    debits = body[Pay.DEBITS]
    assert isinstance(debits, list)
    return total(Cents(pair[1]) for pair in debits if isinstance(pair, list) and isinstance(pair[1], int))


def _is_of_a_void(unseen: SeenState) -> bool:
    """Whether an outcome is about a payment undone."""
    return unseen.type is RecordType.VOID or unseen.body.get(Resolve.IS_VOID) == 1 or Pay.PAYMENT_SEQ in unseen.body
