"""A real till in its own loop, on a real journal, with one card lying on its reader: one call is one tap."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.market import HeldCard, Seller, Signer, disk, entitle, issue_card
from bench.reader_path import LaidCard
from bench.restored_card import Exchanged, RestoredCard
from domain.basket import Basket, Line
from domain.identity import CardId
from domain.money import Cents
from emulator.state_file import MemoryStore
from sync.errors import PanierError
from terminal.events import (
    AskVoid,
    CardPresented,
    CardRemoved,
    Inward,
    Outward,
    Paid,
    PresentCard,
    PresentToVoid,
    Sell,
    Voided,
)
from terminal.loop import Answer, TillLoop
from terminal.nfc.key_store import KeyStore
from terminal.offline_queue.journal import OfflineJournal, journal_name, open_journal
from terminal.ports import Clock
from terminal.sale import Till
from terminal.world import World

ASKED: Final = Cents(10)
LIMITS: Final = {1: (4_000,), 2: (5, 4_000), 3: (5, 4, 4_000)}
"""Cents of each open slot, so that one payment of ASKED debits them all; the first cent is spent beforehand."""
_BETWEEN_TAPS_S: Final = 61.0  # beyond « Déjà payé »
_ANSWERED_WITHIN_S: Final = 30.0
_NEVER_S: Final = 86_400.0
LayDown = Callable[[RestoredCard, KeyStore, Clock], AbstractContextManager[LaidCard]]


@dataclass(frozen=True, slots=True)
class Case:
    """What one card transaction does: a payment or the void of one, of how many slots (1 to 3).

    Attributes:
        has_newer: a newer entitlement is written with the payment.
        is_void: the payment is undone; only the void is measured.
    """

    slots: int
    has_newer: bool
    is_void: bool = False

    @property
    def apdus(self) -> int:
        """APDUs a tap must take: a void writes a slip and its place's bit where a payment debits each slot."""
        return 9 + self.slots + (2 if self.is_void else self.slots + self.has_newer)


PAYMENTS: Final = tuple(Case(slots, has_newer) for slots in (1, 2, 3) for has_newer in (False, True))
VOID: Final = Case(2, has_newer=False, is_void=True)
CASES: Final = (*PAYMENTS, VOID)


class NotPaid(PanierError):
    """The till did not say what a bench needs it to say."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One payment or void as it went.

    Attributes:
        elapsed_ns: from CardPresented posted to the end of ``Till.handle``, the record being durable.
        exchanged: APDUs and answers.
        apdus, out_b, in_b: as the host's links counted them.
        emulator_apdus: as the emulator counted them.
        intent_b, record_b: bytes its two commits added to the journal's log.
    """

    elapsed_ns: int
    exchanged: tuple[Exchanged, ...]
    apdus: int
    out_b: int
    in_b: int
    emulator_apdus: int
    intent_b: int
    record_b: int


class _MemorylessJournal(OfflineJournal):
    """The journal of a terminal that meets the same card, set back to the same state, at every tap."""

    def counters_seen(self, card: CardId) -> None:  # noqa: ARG002
        return


class _Ear:
    """``terminal.loop.Listener`` that notes the moment of each answer."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()

    def begun(self, event: Inward) -> None:  # noqa: ARG002
        return

    def answered(self, answer: Answer) -> None:
        self._answers.put((time.perf_counter_ns(), answer))

    def failed(self, error: BaseException) -> None:
        self._answers.put((time.perf_counter_ns(), error))

    def next(self) -> tuple[int, tuple[Outward, ...]]:
        at_ns, heard = self._answers.get(timeout=_ANSWERED_WITHIN_S)
        if isinstance(heard, BaseException):
            raise heard
        return at_ns, heard.said


@dataclass(slots=True)
class TillAtWork:
    """The till of one case; ``at_work`` makes one."""

    case: Case
    seller: Seller
    card: RestoredCard
    laid: LaidCard
    loop: TillLoop
    ear: _Ear
    log_b_at_commit: list[int]
    sales: int = 0

    def prepare(self, seed: int) -> None:
        """What must have happened before the tap that is measured: nothing, or the payment it will undo."""
        if not self.case.is_void:
            return
        self.card.start_over()
        self.card.restore(seed)
        self.seller.clock.wind(_BETWEEN_TAPS_S)
        self._ask_payment()
        self._expect(CardPresented(self.laid.presence), Paid)
        self._tell(CardRemoved(self.laid.presence))
        self.laid.wait_free()
        self.card.remember()

    def tap(self, seed: int) -> Tap:
        """One payment, or one void after ``prepare``, by the card in its remembered state."""
        self.seller.clock.wind(_BETWEEN_TAPS_S)
        self.card.restore(seed)
        self.laid.seen.clear()
        self.log_b_at_commit.clear()
        if self.case.is_void:
            self._ask_void()
        else:
            self._ask_payment()
        counters, before_b = self.laid.counters, self._log_b()
        apdus, out_b, in_b = counters.apdus, counters.out_b, counters.in_b
        elapsed_ns = self._expect(CardPresented(self.laid.presence), Voided if self.case.is_void else Paid)
        self._tell(CardRemoved(self.laid.presence))
        (at_commit_b,) = self.log_b_at_commit
        return Tap(
            elapsed_ns=elapsed_ns,
            exchanged=tuple(self.card.exchanged),
            apdus=counters.apdus - apdus,
            out_b=counters.out_b - out_b,
            in_b=counters.in_b - in_b,
            emulator_apdus=len(self.laid.seen),
            intent_b=at_commit_b - before_b,
            record_b=self._log_b() - at_commit_b,
        )

    def _ask_payment(self) -> None:
        self.sales += 1
        self._expect(Sell(self.sales, Basket((Line("vegetables", ASKED),))), PresentCard)

    def _ask_void(self) -> None:
        self.sales += 1
        self._expect(AskVoid(self.sales), PresentToVoid)

    def _expect(self, event: Inward, word: type[Outward]) -> int:
        elapsed_ns, said = self._tell(event)
        if len(said) != 1 or not isinstance(said[0], word):
            raise NotPaid(f"{word.__name__} expected, heard {', '.join(type(item).__name__ for item in said)}")
        return elapsed_ns

    def _tell(self, event: Inward) -> tuple[int, tuple[Outward, ...]]:
        began_ns = time.perf_counter_ns()
        self.loop.post(event)
        at_ns, said = self.ear.next()
        return at_ns - began_ns, said

    def _log_b(self) -> int:
        return _log_b(self.seller)


def _log_b(seller: Seller) -> int:
    return seller.medium.size_b(journal_name(1) + "-wal")


def _used_card(case: Case, directory: Path) -> HeldCard:
    """A card that has paid one cent elsewhere and carries its first entitlement."""
    card = issue_card(case.slots)
    elsewhere = Seller(disk(directory), 3, [card], [entitle(card, 1, LIMITS[case.slots])])
    elsewhere.open()
    elsewhere.sell(("vegetables", 1))
    said = elsewhere.tap(card)
    elsewhere.close()
    if len(said) != 1 or not isinstance(said[0], Paid):
        raise NotPaid("the card could not be prepared")
    return card


@contextmanager
def at_work(case: Case, directory: Path, lay_down: LayDown) -> Iterator[TillAtWork]:
    """A till that has just been switched on, its journal in ``directory``, the case's card on its reader."""
    held = _used_card(case, directory / "elsewhere")
    assert isinstance(held.store, MemoryStore)
    newest = entitle(held, 2 if case.has_newer else 1, LIMITS[case.slots])
    seller = Seller(disk(directory / "till"), 2, [held], [newest])
    at_commit: list[int] = []
    card = RestoredCard(held.store.read(), lambda: at_commit.append(_log_b(seller)))
    keys = KeyStore(seller.lists, random.Random(5).randbytes)
    with lay_down(card, keys, seller.clock) as laid:
        signer = Signer(seller.device_key)
        journal = open_journal(seller.medium, seller.identity, seller.device_key.public_key(), signer)
        journal.__class__ = _MemorylessJournal
        try:
            world = World(seller.identity, seller.clock, journal, laid.readers, journal, seller.lists, signer)
            loop, ear = TillLoop(Till(world), tick_s=_NEVER_S), _Ear()
            loop.start(ear)
            ear.next()
            try:
                yield TillAtWork(case, seller, card, laid, loop, ear, at_commit)
            finally:
                loop.stop()
        finally:
            journal.close()
