"""Every way a tap can be torn, times every moment the power can go, for one, two and three terminals sharing a card.

After each schedule the card visits every terminal once more, untorn. Then: what was shown as paid is in the journal, no
doubt is left anywhere, and the card's counter is the sum of what the journals hold as paid. To the cent, once each.

The fast lane plays a part that is the same in every run: every tear (each APDU in each phase) and every power cut, with
several of the other; at two terminals every tear at each of them. The slow lane plays them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, product

import pytest

from bench.market import HeldCard, Seller, entitle, issue_card
from emulator.field import Exchange
from emulator.inprocess import InProcessField
from emulator.state_file import MemoryStore
from emulator.tear import Phase, Tear, tear_at
from sync.card_format import SignedEntitlement
from sync.crypto import new_private_key
from sync.record import Outcome, Pay, RecordType, Resolve, open_record
from terminal import events as say
from terminal import tap, transaction
from terminal.errors import CardFault
from terminal.ports import CardHead, Doubt, Draft, Durable, Intent
from terminal.world import World
from tests.journal.faulty_vfs import FaultyDisk, Survivors
from tests.schedules import one_in

FATES = (Survivors.NONE, Survivors.ALL)
PRICES = (300, 500, 700)
NEVER = 10_000


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong at one terminal's tap: where the card is torn, after how many disk operations the power goes."""

    tear: Tear | None = None
    cut: int = NEVER
    fate: Survivors = Survivors.NONE


NONE = Mishap()


@cache
def one_card() -> tuple[HeldCard, SignedEntitlement]:
    card = issue_card()
    return card, entitle(card, limits=(9_000,))


@cache
def key_of(station: int) -> object:
    del station
    return new_private_key()


def fresh(stations: int) -> tuple[HeldCard, list[Seller]]:
    card, word = one_card()
    held = HeldCard(card.order, MemoryStore(card.store.read()))
    sellers = []
    for station in range(2, 2 + stations):
        disk = FaultyDisk(empty_disk(station))
        sellers.append(
            Seller(disk, station, [held], [word], device_key=key_of(station), is_new=False)  # type: ignore[arg-type]
        )
    return held, sellers


@cache
def empty_disk(station: int) -> dict[str, bytes]:
    """The disk of a terminal just enrolled; made once, used by every schedule."""
    card, word = one_card()
    disk = FaultyDisk()
    Seller(disk, station, [card], [word], device_key=key_of(station))  # type: ignore[arg-type]
    image = disk.image()
    disk.close()
    return image


def torn_tap(seller: Seller, card: HeldCard, price: int, mishap: Mishap) -> tuple[Seller, int]:
    """One sale with its mishap, and a restart where the power went; the seller now, and cents shown as paid."""
    disk = seller.medium
    assert isinstance(disk, FaultyDisk)
    disk.cut_after(mishap.cut)
    seller.sell(("vegetables", price))
    tears = () if mishap.tear is None else (mishap.tear,)
    said = seller.tap(card, *tears)
    shown = sum(word.amount for word in said if isinstance(word, say.Paid))
    seller.back()
    seller.accept()
    if not disk.is_dark:
        disk.cut_after(NEVER)
        return seller, shown
    seller.journal.close()
    found = disk.restarted(mishap.fate)
    disk.close()
    restarted = seller.after_power_cut(found)
    restarted.open()
    restarted.accept()
    return restarted, shown


def paid_by_journal(seller: Seller) -> int:
    """Cents this journal holds as paid: payments, and doubts that were confirmed."""
    paid = 0
    for record in seller.journal.records(1, 999):
        envelope = open_record(record)[1]
        body = envelope.body
        if envelope.type == RecordType.PAYMENT:
            paid += sum(pair[1] for pair in body[Pay.DEBITS])  # type: ignore[union-attr,index,misc]
        elif envelope.type == RecordType.RESOLUTION and body[Resolve.OUTCOME] == Outcome.CONFIRMED:
            paid += int(body[Resolve.AMOUNT])  # type: ignore[arg-type]
    return paid


def check(mishaps: Sequence[Mishap]) -> None:
    """Play one schedule and hold it to the invariants."""
    card, sellers = fresh(len(mishaps))
    shown = []
    try:
        for index, mishap in enumerate(mishaps):
            sellers[index].open()
            sellers[index], paid = torn_tap(sellers[index], card, PRICES[index], mishap)
            shown.append(paid)
        for seller in sellers:
            seller.tap(card)
        booked = [paid_by_journal(seller) for seller in sellers]
        assert all(seller.journal.doubts() == () for seller in sellers), "a doubt was left"
        assert sum(booked) == sum(card.spent().values()), "card and journals disagree"
        assert all(has >= said for has, said in zip(booked, shown, strict=True)), "shown as paid, and lost"
        assert all(has <= price for has, price in zip(booked, PRICES, strict=False)), "booked twice"
    finally:
        for seller in sellers:
            seller.journal.close()
            seller.medium.close()


@cache
def apdus_and_operations() -> tuple[int, int]:
    """How many APDUs and how many disk operations an untroubled tap has."""
    card, (seller,) = fresh(1)
    seller.open()
    disk = seller.medium
    assert isinstance(disk, FaultyDisk)
    before = disk.operations
    seller.sell(("vegetables", 300))
    apdus = apdus_of_a_tap(seller, card)
    operations = disk.operations - before
    seller.journal.close()
    disk.close()
    return apdus, operations


def apdus_of_a_tap(seller: Seller, card: HeldCard) -> int:
    """How many APDUs the card is asked in one tap, counted in the field."""
    counted: list[Exchange] = []
    present = InProcessField.present

    def counting(field: InProcessField, *arguments: object, **_named: object) -> bytes:
        return present(field, arguments[0], (), counted.append)  # type: ignore[arg-type]

    InProcessField.present = counting  # type: ignore[method-assign,assignment]
    try:
        seller.tap(card)
    finally:
        InProcessField.present = present  # type: ignore[method-assign]
    return len(counted)


def tears(first: int = 0) -> Iterator[Tear | None]:
    yield None
    apdus, _ = apdus_and_operations()
    for index, phase in product(range(first, apdus), Phase):
        yield tear_at(index, phase)


def cuts() -> Iterator[tuple[int, Survivors]]:
    yield NEVER, Survivors.NONE
    _, operations = apdus_and_operations()
    yield from product(range(operations + 4), FATES)


def test_a_tap_has_the_apdus_the_card_paper_says_and_two_commits() -> None:
    apdus, operations = apdus_and_operations()
    assert apdus == 12, "one slot, and a newer entitlement written"
    assert operations >= 4


def test_one_terminal_every_tear_and_every_power_cut() -> None:
    """Every other schedule of all of them."""
    schedules = one_in(2, tears(), cuts())
    for tear, (cut, fate) in schedules:
        check([Mishap(tear, cut, fate)])
    assert len(schedules) > 500


@pytest.mark.slow
def test_one_terminal_every_tear_times_every_power_cut() -> None:
    count = 0
    for tear, (cut, fate) in product(tears(), cuts()):
        check([Mishap(tear, cut, fate)])
        count += 1
    assert count > 500


def last_tears() -> list[Tear | None]:
    """The tears where something is at stake: the last two APDUs, log record and Commit."""
    apdus, _ = apdus_and_operations()
    return list(tears(first=apdus - 2))


def some_mishaps() -> list[Mishap]:
    """Each way a neighbour's tap can end: well, torn before and after Commit, cut between Commit and record."""
    apdus, operations = apdus_and_operations()
    return [
        NONE,
        Mishap(tear_at(apdus - 2, Phase.BEFORE)),
        Mishap(tear_at(apdus - 2, Phase.ANSWER_LOST)),
        Mishap(None, operations // 2 + 1),
    ]


def placed(mishap: Mishap, place: int, others: Sequence[Mishap]) -> list[Mishap]:
    """The mishap at the terminal ``place``, the others around it."""
    return [*others[:place], mishap, *others[place:]]


def two_share_a_card(schedules: Iterable[tuple[Tear | None, tuple[int, Survivors], int]]) -> None:
    """What the other terminal lives through changes from schedule to schedule."""
    others = cycle(some_mishaps())
    for tear, (cut, fate), place in schedules:
        check(placed(Mishap(tear, cut, fate), place, [next(others)]))


def three_share_a_card(schedules: Iterable[tuple[Tear | None, tuple[int, Survivors]]]) -> None:
    """At each of the three in turn; what the other two live through goes through all its pairs."""
    others, places = cycle(product(some_mishaps(), some_mishaps())), cycle((0, 1, 2))
    for tear, (cut, fate) in schedules:
        check(placed(Mishap(tear, cut, fate), next(places), list(next(others))))


def test_two_terminals_sharing_a_card_every_tear_and_every_power_cut() -> None:
    """At the first and at the second terminal; one schedule in eleven of all of them."""
    schedules = one_in(11, tears(), cuts(), range(2))
    assert {(tear, place) for tear, _cut, place in schedules} == set(product(tears(), range(2)))
    two_share_a_card(schedules)


def test_three_terminals_sharing_a_card_every_tear_and_every_power_cut() -> None:
    """One schedule in seven of all of them."""
    three_share_a_card(one_in(7, tears(), cuts()))


@pytest.mark.slow
def test_two_terminals_sharing_a_card_every_tear_times_every_power_cut() -> None:
    two_share_a_card(product(tears(), cuts(), range(2)))


@pytest.mark.slow
def test_three_terminals_sharing_a_card_every_tear_times_every_power_cut() -> None:
    three_share_a_card(product(tears(), cuts()))


@pytest.mark.slow
def test_two_terminals_every_tear_times_every_power_cut_times_every_neighbour() -> None:
    for tear, (cut, fate), other, place in product(tears(), cuts(), some_mishaps(), range(2)):
        check(placed(Mishap(tear, cut, fate), place, [other]))


@pytest.mark.slow
def test_three_terminals_every_tear_at_stake_times_every_power_cut_times_every_pair_of_neighbours() -> None:
    for tear, (cut, fate), place in product(last_tears(), cuts(), range(3)):
        for others in product(some_mishaps(), some_mishaps()):
            check(placed(Mishap(tear, cut, fate), place, list(others)))


# --- the checks are seen to fail -------------------------------------------------------------------------------------


def what_fails() -> Iterator[str]:
    """What the schedules of one terminal complain of, as long as somebody asks."""
    for tear, (cut, fate) in product(last_tears(), cuts()):
        try:
            check([Mishap(tear, cut, fate)])
        except AssertionError as complaint:
            yield str(complaint).splitlines()[0]


def test_without_waiting_for_the_intent_a_payment_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from terminal.offline_queue import journal

    class Impatient:
        def __init__(self, written: object) -> None:
            del written

        def wait(self) -> None:
            return

    def forgetful(self: object, intent: object) -> Impatient:
        self._intent = intent  # type: ignore[attr-defined]
        return Impatient(None)

    monkeypatch.setattr(journal.OfflineJournal, "open_intent", forgetful)
    assert "card and journals disagree" in what_fails()


def test_treating_an_unanswered_commit_as_nothing_debited_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(world: World, intent: Intent) -> object:
        del intent
        world.journal.drop_intent()
        raise CardFault("gone")

    monkeypatch.setattr(transaction, "doubt_from", careless)
    assert "card and journals disagree" in what_fails()


def test_believing_the_counter_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another terminal's payment in between, a counter that moved says nothing."""

    def by_counter(doubt: Doubt, head: CardHead) -> Outcome:
        return Outcome.CANCELLED if head.tmc == doubt.body[Pay.TMC_EXPECTED] - 1 else Outcome.CONFIRMED  # type: ignore[operator]

    monkeypatch.setattr(tap, "outcome_of", by_counter)
    apdus, _ = apdus_and_operations()
    with pytest.raises(AssertionError):
        check([Mishap(tear_at(apdus - 1, Phase.BEFORE)), NONE])


def test_showing_paid_before_the_record_is_durable_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from terminal.offline_queue.journal import OfflineJournal

    append = OfflineJournal.append

    def hasty(self: OfflineJournal, draft: Draft, *, closes_intent: bool = False) -> Durable:
        if draft.type is RecordType.PAYMENT:
            self.drop_intent()
            return Durable(self.head().seq + 1, b"", b"")
        return append(self, draft, closes_intent=closes_intent)

    monkeypatch.setattr(OfflineJournal, "append", hasty)
    with pytest.raises(AssertionError):
        check([NONE])
