"""The real till with its real lists and outbox on a virtual card, linked to a real centre; one wound clock for both."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from bench.market import READER, HeldCard, Seller, Signer, disk
from central.office import Office
from domain.basket import Basket, Line
from domain.money import Cents
from emulator.field import FieldGone
from emulator.inprocess import InProcessField
from sync.record import Envelope, RecordType, open_record
from terminal import events as say
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.key_store import KeyStore
from terminal.offline_queue.identity import EnrolledTerminal
from terminal.offline_queue.journal import open_journal
from terminal.offline_queue.lists import OfflineLists
from terminal.offline_queue.outbox import OfflineOutbox
from terminal.sale import Till
from terminal.world import World
from tests.central.kit import NONCE, Stall, WoundClock, identity_of


class LinkedTill(Seller):
    """A till that was enrolled as ``stall`` and talks to the centre whenever it is told to."""

    def __init__(self, folder: Path, office: Office, centre_clock: WoundClock, stall: Stall) -> None:
        super().__init__(disk(folder), stall.station, [], device_key=stall.device_key)
        self.office, self.centre_clock, self.stall = office, centre_clock, stall
        self.centre_clock.at = self.clock.wall
        self.identity = identity_of(stall)

    def open(self) -> tuple[say.Outward, ...]:
        keys, signer, enrolled = (
            KeyStore(token=random.Random(5).randbytes),
            Signer(self.device_key),
            self.stall.enrolled,
        )
        self.field = InProcessField()
        self.readers = InProcessReaders(
            {READER: self.field}, FieldGone, keys, self.clock, self.posted.append, has_lanes=False
        )
        self.journal = open_journal(self.medium, self.identity, self.device_key.public_key(), signer)
        who = EnrolledTerminal(
            self.identity, enrolled.certificate, enrolled.response.root, enrolled.centre_keys, self.device_key
        )
        self.offline_lists = OfflineLists(self.journal, who, keys.take)
        self.offline_lists.load()
        self.outbox = OfflineOutbox(self.journal, self.offline_lists)
        if self.journal.head().seq == 0:
            self.outbox.apply_download(enrolled.response.bundle, self.clock.now())
        self.world = World(
            self.identity, self.clock, self.journal, self.readers, self.journal, self.offline_lists, signer
        )
        self.till = Till(self.world)
        return self.till.start()

    def sync(self) -> None:
        """One contact with the centre: everything up, everything down."""
        exchange = self.office.exchange(self.outbox.next_batch(NONCE))
        self.outbox.apply_answer(exchange.answer, NONCE, self.clock.now())
        self.outbox.apply_download(exchange.bundle, self.clock.now())

    def wait(self, time: timedelta) -> None:
        """Both clocks go on; the till stays switched on."""
        self.clock.wind(time.total_seconds())
        self.centre_clock.at = self.clock.wall

    def types(self, *lines: tuple[str, int, str]) -> tuple[say.Outward, ...]:
        """The cashier types lines: family, cents, and the label they claim or nothing."""
        return self.sell_basket(
            Basket(
                tuple(Line(family, Cents(cents), labels=(label,) if label else ()) for family, cents, label in lines)
            )
        )

    def buys(self, card: HeldCard, *lines: tuple[str, int, str]) -> tuple[say.Outward, ...]:
        """A card pays what it may of lines, and its holder agrees; what is said last."""
        self.types(*lines)
        said = self.tap(card)
        if any(isinstance(word, say.Split) for word in said):
            self.accept()
            said = self.tap(card)
        return said

    def payments(self) -> list[Envelope]:
        """The payments in its journal, in order."""
        records = [open_record(record)[1] for record in self.journal.records(1, 99)]
        return [envelope for envelope in records if envelope.type == RecordType.PAYMENT]
