"""A tag has no commit: pulled inside a write, any first part of it stays. A payment is still whole or not at all.

After each schedule the tag visits every terminal once more, untorn. Then what was shown as paid is in a journal, and a
doubt is left only where two others have paid since, whose records end it; to the cent, once each.

Of one terminal and of two the fast lane plays a part that is the same in every run: every tear with several power cuts,
every power cut, every neighbour. The slow lane plays all of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import cycle, product

import pytest

from bench.market import Seller
from emulator.tear import Disturbance, Phase, prefix, tear_at, torn_write
from sync.card_format import decode_log_record
from sync.record import Pay, RecordType, Resolve, open_record
from sync.tmac import parse
from terminal.ports import Doubt
from tests.card.ntag.kit import issued_tag, paid, stall, word_for
from tests.journal.faulty_vfs import FaultyDisk, Survivors
from tests.sale.test_tear_and_power_cut import NEVER, Mishap, paid_by_journal, torn_tap
from tests.schedules import one_in

APDUS = 7
"""Select, two halves of the authentication, purse, entitlement, newer entitlement written, the next half written."""
HALF_B, ENTITLEMENT_B = 64, 233
WRITE = 0x8D
PRICES = (300, 500, 700)
FATES = (Survivors.NONE, Survivors.ALL)


def half_torn(written_b: int) -> Disturbance:
    """Pulled inside the write of the next half, the second write of a first payment."""
    return torn_write(WRITE, prefix(written_b), nth=2)


def second_half_torn(written_b: int) -> Disturbance:
    """The same at a stall that finds the entitlement there already."""
    return torn_write(WRITE, prefix(written_b), nth=1)


def tears() -> Iterator[Disturbance | None]:
    yield None
    for index, phase in product(range(APDUS), Phase):
        yield tear_at(index, phase)
    for written_b in (0, 30, 60, HALF_B):
        yield half_torn(written_b)
    yield torn_write(WRITE, prefix(ENTITLEMENT_B // 2), nth=1)


def mishap(tear: Disturbance | None, cut: int = NEVER, fate: Survivors = Survivors.NONE) -> Mishap:
    return Mishap(tear, cut, fate)  # type: ignore[arg-type]


def read_on_cards(sellers: Sequence[Seller]) -> set[bytes]:
    """Log records that taps of these terminals read, and those they know were written."""
    logs: set[bytes] = set()
    for seller in sellers:
        for record in seller.journal.records(1, 999):
            envelope = open_record(record)[1]
            if envelope.type in (RecordType.PAYMENT, RecordType.IN_DOUBT):
                logs |= set(parse(envelope.body[Pay.TMI]).logs)  # type: ignore[arg-type]
            if envelope.type == RecordType.PAYMENT:
                logs.add(envelope.body[Pay.OWN_LOG])  # type: ignore[arg-type]
            if envelope.type == RecordType.RESOLUTION:
                logs |= set(envelope.body[Resolve.LOGS])  # type: ignore[arg-type]
    return logs


def settled_by_centre(doubt: Doubt, sellers: Sequence[Seller]) -> int:
    """Cents of a doubt the card tells about no more, from what the next ones at other terminals read."""
    read = read_on_cards(sellers)
    if doubt.log_record in read:
        return int(doubt.amount)
    assert doubt.body[Pay.TMC_EXPECTED] in {decode_log_record(log).tmc for log in read}, "nobody can tell"
    return 0


def check(mishaps: Sequence[Mishap]) -> int:
    """Play one schedule and hold it to the invariants; how many doubts were left to the centre."""
    tag = issued_tag()
    word = word_for(tag)
    sellers = [stall(2 + index, [tag], [word], FaultyDisk(empty_disk(2 + index))) for index in range(len(mishaps))]
    shown, booked, left = [], [], 0
    try:
        for index, mishap_ in enumerate(mishaps):
            sellers[index], paid_ = torn_tap(sellers[index], tag, PRICES[index], mishap_)
            shown.append(paid_)
        for seller in sellers:
            seller.tap(tag)
        for seller in sellers:
            doubts = seller.journal.doubts()
            assert len(doubts) == 0 or len(mishaps) > 2, "a doubt was left that the tag could still end"
            left += len(doubts)
            booked.append(paid_by_journal(seller) + sum(settled_by_centre(doubt, sellers) for doubt in doubts))
        assert sum(booked) == sum(tag.spent().values()), "card and journals disagree"
        assert all(has >= said for has, said in zip(booked, shown, strict=True)), "shown as paid, and lost"
        assert all(has in (0, price) for has, price in zip(booked, PRICES, strict=False)), "paid in part or twice"
    finally:
        for seller in sellers:
            seller.journal.close()
            seller.medium.close()
    return left


@cache
def empty_disk(station: int) -> dict[str, bytes]:
    """The disk of a terminal just enrolled; made once."""
    disk = FaultyDisk()
    stall(station, [issued_tag()], disk=disk, is_on=False)
    image = disk.image()
    disk.close()
    return image


@cache
def operations() -> int:
    """Disk operations of an untroubled tap."""
    tag = issued_tag()
    disk = FaultyDisk(empty_disk(2))
    seller = stall(2, [tag], [word_for(tag)], disk)
    before = disk.operations
    assert paid(seller, tag, 300) == [300]
    made = disk.operations - before
    seller.journal.close()
    disk.close()
    return made


def cuts() -> Iterator[tuple[int, Survivors]]:
    yield NEVER, Survivors.NONE
    yield from product(range(operations() + 4), FATES)


def neighbours() -> list[Mishap]:
    """Each way a neighbour's tap can end: well, torn before, inside and after the write, cut before the record."""
    last = APDUS - 1
    return [
        mishap(None),
        mishap(tear_at(last - 1, Phase.BEFORE)),
        mishap(half_torn(30)),
        mishap(tear_at(last - 1, Phase.ANSWER_LOST)),
        mishap(None, operations() // 2 + 1),
    ]


def test_one_terminal_every_tear_and_every_power_cut() -> None:
    """One schedule in four of all of them."""
    schedules = one_in(4, tears(), cuts())
    assert [check([mishap(tear, cut, fate)]) for tear, (cut, fate) in schedules] == [0] * len(schedules)


@pytest.mark.slow
def test_one_terminal_every_tear_times_every_power_cut() -> None:
    schedules = [[mishap(tear, cut, fate)] for tear, (cut, fate) in product(tears(), cuts())]
    assert [check(schedule) for schedule in schedules] == [0] * len(schedules)
    assert len(schedules) > 250


def test_torn_at_any_byte_of_the_next_half_at_any_of_two_payments_each_cent_counts_once() -> None:
    for written_b, place in product(range(HALF_B + 1), range(2)):
        schedule = [mishap(half_torn(written_b)), mishap(None)]
        assert check(schedule if place == 0 else [mishap(None), mishap(second_half_torn(written_b))]) == 0


def two_share_a_tag(schedules: Iterable[tuple[Disturbance | None, Mishap, int]]) -> None:
    for tear, other, place in schedules:
        schedule = [mishap(tear), other]
        assert check(schedule if place == 0 else schedule[::-1]) == 0


def test_two_terminals_every_tear_and_each_neighbour() -> None:
    """One schedule in three of all of them."""
    two_share_a_tag(one_in(3, tears(), neighbours(), range(2)))


@pytest.mark.slow
def test_two_terminals_every_tear_and_every_neighbour() -> None:
    two_share_a_tag(product(tears(), neighbours(), range(2)))


def test_three_terminals_every_tear_what_the_tag_has_forgotten_the_centre_can_tell() -> None:
    others, places, left = cycle(product(neighbours(), neighbours())), cycle(range(3)), 0
    for tear in [*tears(), *tears()]:
        around, place = list(next(others)), next(places)
        left += check([*around[:place], mishap(tear), *around[place:]])
    assert left > 0, "two others paid since: the case is among the schedules"
