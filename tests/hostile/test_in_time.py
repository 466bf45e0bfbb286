"""A card that never answers costs the till the time of one tap, and not more: real lanes, a real clock, no PC/SC."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.market import READER, WoundClock
from emulator.field import FieldGone
from emulator.hostile import Silent
from terminal.events import CardPresented, CardRemoved, Inward, ReaderCame
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.key_store import KeyStore
from terminal.ports import Deadline
from terminal.sale import Till
from terminal.world import TAP_BUDGET_S
from tests.hostile.catalogue import APDUS_OF_A_PAYMENT, PRICE
from tests.hostile.stand import Stand, told

A_BUSY_MACHINE_S = 1.0


class RunningClock(WoundClock):
    """Its deadlines are real and remembered; its wall time moves when wound."""

    def __init__(self) -> None:
        super().__init__()
        self.budgets_s: list[float] = []

    def deadline(self, budget_s: float) -> Deadline:
        self.budgets_s.append(budget_s)
        return Deadline(time.monotonic() + budget_s)

    def left_s(self, deadline: Deadline) -> float:
        return max(deadline.at_s - time.monotonic(), 0.0)


class OneReader(Stand):
    """A stand whose reader has a lane; ``is_back`` is set when a stuck one answers again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        seller, self.is_back = self.seller, threading.Event()
        self.clock = seller.clock = RunningClock()
        keys = KeyStore(seller.lists)
        self.lanes = InProcessReaders({READER: seller.field}, FieldGone, keys, seller.clock, self._posted)
        seller.readers = self.lanes
        seller.world = replace(seller.world, readers=self.lanes, clock=seller.clock)
        seller.till = Till(seller.world)

    def _posted(self, event: Inward) -> None:
        if isinstance(event, ReaderCame):
            self.is_back.set()
        if isinstance(event, CardPresented | CardRemoved):
            self.seller.posted.append(event)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[OneReader]:
    stand = OneReader(tmp_path / "stall")
    yield stand
    stand.lanes.close()
    stand.seller.close()


def timed_tap(stand: OneReader, card: Silent) -> list[str]:
    """Event names of one tap, in time."""
    stand.sell(PRICE)
    stand.clock.budgets_s.clear()
    began_s = time.monotonic()
    said = stand.seller.lay_down(card)
    seconds = time.monotonic() - began_s
    print(f"{seconds:.2f} s")
    assert stand.clock.budgets_s == [TAP_BUDGET_S], "one budget for all a tap does"
    assert seconds <= TAP_BUDGET_S + A_BUSY_MACHINE_S
    return [name for name, _ in told(said)]


def let_go(stand: OneReader, card: Silent) -> None:
    """The card answers after all, or is taken away; the reader is of use again."""
    card.free()
    stand.seller.lift()
    assert stand.is_back.wait(60)


def test_a_silent_card_blocks_the_reader_and_not_the_till(stand: OneReader) -> None:
    silent = Silent(stand.victim.awake())
    assert timed_tap(stand, silent)[-1] == "reader_away"
    let_go(stand, silent)
    stand.end_the_sale()
    stand.sell(300)
    assert told(stand.seller.tap(stand.good)) == [("paid", None)]


def test_a_card_silent_at_commit_leaves_a_doubt_that_it_solves_itself(stand: OneReader) -> None:
    silent = Silent(stand.victim.awake(), from_apdu=APDUS_OF_A_PAYMENT - 1)
    assert timed_tap(stand, silent)[-1] == "doubt"
    let_go(stand, silent)
    assert told(stand.seller.tap(stand.victim)) == [("paid", None)]
    assert stand.spent() == PRICE
