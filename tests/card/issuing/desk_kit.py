"""The issuing station without PC/SC: an in-process reader, a hand that lays cards on it, a centre that knows chips."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

from domain.identity import CardId, Uid
from emulator.card import VirtualCard
from emulator.field import FieldGone
from emulator.inprocess import InProcessField
from emulator.ntag424.card import VirtualNtag
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance
from sync.issuing import IssueOrder
from terminal.events import CardPresented, Inward
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.issuing import Originality, Policy
from terminal.nfc.issuing.desk import Desk, Issued, NotIssued, Registry
from terminal.nfc.key_store import KeyStore
from terminal.ports import Deadline, Instant, WallSource
from tests.card.issuing.kit import AT, HeldCard, order_for

READER = "lecteur"


class RunningClock:
    """``ports.Clock`` over the monotonic clock; its wall time stands still."""

    def now(self) -> Instant:
        return Instant(1, time.monotonic_ns(), AT, WallSource.OPERATOR)

    def deadline(self, budget_s: float) -> Deadline:
        return Deadline(time.monotonic() + budget_s)

    def left_s(self, deadline: Deadline) -> float:
        return max(deadline.at_s - time.monotonic(), 0.0)


@dataclass
class Register:
    """The centre's side: gives each chip one order for good."""

    orders: dict[Uid, IssueOrder] = field(default_factory=dict)

    def has_chip(self, uid: Uid) -> bool:
        return uid in self.orders

    def register_card(self, uid: Uid, aid: bytes | None = None) -> IssueOrder:
        order = order_for(uid, CardId(b"k" + uid))
        return self.orders.setdefault(uid, order if aid is None else replace(order, aid=aid))


@dataclass
class Bench:
    """Desk, reader and hand."""

    register: Register = field(default_factory=Register)
    originality: Originality = field(default_factory=lambda: Originality(Policy.OFF))
    posted: SimpleQueue[Inward] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.field = InProcessField()
        self.readers = InProcessReaders({READER: self.field}, FieldGone, KeyStore(), RunningClock(), self.posted.put)
        self.readers.start()
        self.desk = self.desk_of(self.register)

    def desk_of(self, registry: Registry) -> Desk:
        """Another centre behind the same reader."""
        return Desk(self.readers, RunningClock(), registry, self.originality)

    @classmethod
    def of(cls, order: IssueOrder) -> Bench:
        """A bench whose centre knows one chip."""
        return cls(Register({order.uid: order}))

    def lay(self, card: HeldCard | MemoryStore, disturbances: Sequence[Disturbance] = ()) -> CardPresented:
        """A card, or a tag by its memory, is laid down, freshly powered, where the one before lay."""
        self.field.lift()
        awake = VirtualNtag.load(card) if isinstance(card, MemoryStore) else VirtualCard.load(card.store)
        self.field.present(awake, tuple(disturbances))
        self.readers.field_changed(READER, is_present=True)
        while not isinstance(event := self.posted.get(timeout=60), CardPresented):
            pass
        return event

    def serve(self, card: HeldCard | MemoryStore, *disturbances: Disturbance) -> Issued | NotIssued:
        """Laid down and served."""
        return self.desk.serve(self.lay(card, disturbances).presence)
