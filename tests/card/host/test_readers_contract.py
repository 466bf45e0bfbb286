"""What every kind of reader does, in this process and through pcscd (``ports.Readers``).

The PC/SC half runs inside private namespaces, in a pytest of its own that the last test here starts.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demo.namespace import PrivatePcscd, enter, inside, namespaces_available, private_pcscd
from domain.identity import SlotFile
from emulator.card import VirtualCard
from emulator.inprocess import FieldGone, InProcessField
from emulator.tear import Fault, Moment, Phase, Tear
from terminal.errors import (
    CardFault,
    CardGone,
    NotOurCard,
    OutcomeUnknown,
    ReaderFault,
    ReaderLost,
    ReaderStuck,
)
from terminal.events import CardPresented, CardRemoved, Inward, ReaderCame, ReaderWent
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.key_store import KeyStore
from terminal.ports import Presence, Readers

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall

READER_ID = bytes([1, 0, 0, 7, 0, 0, 1]) + bytes(9)
BUDGET_S = 10.0
HANG_S = 1.2


class Inbox:
    """Events posted by readers, taken one after the other."""

    def __init__(self) -> None:
        self.events: list[Inward] = []
        self.changed = threading.Condition()

    def post(self, event: Inward) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def take(self, kind: type[Any]) -> Any:
        """The next event of a kind, waited for; those before it are dropped."""
        with self.changed:
            found = self.changed.wait_for(lambda: any(isinstance(event, kind) for event in self.events), BUDGET_S)
            assert found, f"no {kind.__name__} came; {self.events}"
            while not isinstance(event := self.events.pop(0), kind):
                pass
            return event


class Counter:
    """A reader under test, and the hand that lays cards on it."""

    readers: Readers
    inbox: Inbox

    def lay(self, card: VirtualCard, *disturbances: Any) -> None: ...

    def lift(self) -> None: ...

    def close(self) -> None: ...


class InProcessCounter(Counter):
    def __init__(self, stall: Stall) -> None:
        self.inbox = Inbox()
        self.field = InProcessField(self._changed)
        keys = KeyStore(stall.keys)
        self.readers: InProcessReaders = InProcessReaders(
            {"lecteur": self.field}, FieldGone, keys, stall.clock, self.inbox.post
        )

    def _changed(self, is_present: bool) -> None:
        self.readers.field_changed("lecteur", is_present=is_present)

    def lay(self, card: VirtualCard, *disturbances: Any) -> None:
        self.field.present(card, disturbances)

    def lift(self) -> None:
        self.field.lift()

    def close(self) -> None:
        self.readers.close()


class PcscCounter(Counter):
    def __init__(self, stall: Stall) -> None:
        from terminal.nfc.pcsc import PcscReaders

        self.inbox = Inbox()
        self.card: Any = None
        self.readers: PcscReaders = PcscReaders(
            KeyStore(stall.keys), stall.clock, self.inbox.post, chosen=("Virtual PCD 00 00",)
        )
        self.readers.start()
        self.inbox.take(ReaderCame)

    def lay(self, card: VirtualCard, *disturbances: Any) -> None:
        from emulator.vpcd import CardInField

        self.card = CardInField(card, disturbances=disturbances)
        self.card.present()

    def lift(self) -> None:
        if self.card is not None:
            self.card.lift()

    def close(self) -> None:
        """Wait until pcscd has seen the card go, so that the next test does not find it."""
        self.lift()
        give_up_s = time.monotonic() + BUDGET_S
        while self.readers.has_card("Virtual PCD 00 00") and time.monotonic() < give_up_s:
            time.sleep(0.02)
        self.readers.close()


@pytest.fixture(scope="session")
def pcscd() -> Iterator[PrivatePcscd | None]:
    if not inside():
        yield None
        return
    with private_pcscd() as running:
        yield running


@pytest.fixture(params=["in_process", "pcsc"])
def counter(request: pytest.FixtureRequest, stall: Stall, pcscd: PrivatePcscd | None) -> Iterator[Counter]:
    if (request.param == "pcsc") != inside():
        pytest.skip("PC/SC runs in its own namespace, and only PC/SC does")
    made = PcscCounter(stall) if request.param == "pcsc" else InProcessCounter(stall)
    yield made
    made.close()


@contextmanager
def contact_with(counter: Counter, stall: Stall, budget_s: float = 5.0) -> Iterator[Any]:
    presence = counter.inbox.take(CardPresented).presence
    contact = counter.readers.connect(presence, stall.clock.deadline(budget_s))
    try:
        yield contact
    finally:
        contact.close()


def pay(contact: Any, stall: Stall, *amounts: int) -> Any:
    card = contact.authenticate(stall.ref)
    head = card.open(READER_ID, all_logs=False)
    card.values([SlotFile(n + 1) for n in range(len(amounts))])
    plan = stall.plan_of(head.tmc + 1, *amounts)
    foretold = card.foretell(plan)
    card.stage(plan)
    proof = card.commit()
    assert proof.tmi == foretold
    return proof


class TestReaders:
    """The contract."""

    def test_a_card_laid_down_pays_and_is_told_when_lifted(self, counter: Counter, stall: Stall) -> None:
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert contact.uid == stall.order.uid
            assert pay(contact, stall, 100, 250).tmc == 1
        counter.lift()
        counter.inbox.take(CardRemoved)
        assert counter.readers.counters.apdus == 13  # type: ignore[attr-defined]

    def test_each_laying_down_is_another_presence(self, counter: Counter, stall: Stall) -> None:
        seen = []
        for tmc in (1, 2, 3):
            counter.lay(VirtualCard.load(stall.path))
            presence = counter.inbox.take(CardPresented).presence
            contact = counter.readers.connect(presence, stall.clock.deadline(5))
            assert pay(contact, stall, 1).tmc == tmc
            contact.close()
            counter.lift()
            assert counter.inbox.take(CardRemoved).presence == presence
            seen.append(presence)
        assert len(set(seen)) == 3

    def test_another_card_than_the_announced_one_is_not_met(self, counter: Counter, stall: Stall) -> None:
        counter.lay(VirtualCard.load(stall.path))
        first = counter.inbox.take(CardPresented).presence
        counter.lift()
        counter.inbox.take(CardRemoved)
        counter.lay(VirtualCard.load(stall.path))
        counter.inbox.take(CardPresented)
        with pytest.raises(CardGone):
            counter.readers.connect(first, stall.clock.deadline(1))

    def test_a_card_that_has_left_or_a_reader_that_never_was_is_told(self, counter: Counter, stall: Stall) -> None:
        counter.lay(VirtualCard.load(stall.path))
        presence = counter.inbox.take(CardPresented).presence
        counter.lift()
        counter.inbox.take(CardRemoved)
        with pytest.raises(CardGone):
            counter.readers.connect(presence, stall.clock.deadline(1))
        with pytest.raises(ReaderLost):
            counter.readers.connect(Presence("nowhere", 1), stall.clock.deadline(1))

    def test_a_card_pulled_before_commit_paid_nothing_and_after_it_is_unknown(
        self, counter: Counter, stall: Stall
    ) -> None:
        cases = (
            (Tear(Moment(instruction=0x8B), Phase.ANSWER_LOST), CardFault, 0),
            (Tear(Moment(instruction=0xC7), Phase.ANSWER_LOST), OutcomeUnknown, 1),
        )
        for tear, fault, tmc in cases:
            counter.lay(VirtualCard.load(stall.path), tear)
            with contact_with(counter, stall) as contact, pytest.raises(fault):
                pay(contact, stall, 100)
            counter.lift()
            counter.inbox.take(CardRemoved)
            counter.lay(VirtualCard.load(stall.path))
            with contact_with(counter, stall) as contact:
                assert contact.authenticate(stall.ref).open(READER_ID, all_logs=False).tmc == tmc
            counter.lift()
            counter.inbox.take(CardRemoved)

    def test_answers_no_card_gives_are_clear_faults_within_the_deadline(self, counter: Counter, stall: Stall) -> None:
        distortions = (
            lambda answer: answer[:1],
            lambda answer: answer[:-2],
            lambda answer: bytes(65_535),
            lambda answer: bytes(300) + answer,
        )
        for distort in distortions:
            counter.lay(VirtualCard.load(stall.path), Fault(Moment(index=4), distort))
            began = time.monotonic()
            with contact_with(counter, stall, 2.0) as contact, pytest.raises((CardFault, ReaderFault)):
                pay(contact, stall, 100)
            assert time.monotonic() - began < 4
            counter.lift()
            counter.inbox.take(CardRemoved)

    def test_a_card_that_answers_too_late_leaves_the_reader_stuck_until_it_has_answered(
        self, counter: Counter, stall: Stall
    ) -> None:
        def late(answer: bytes) -> bytes:
            time.sleep(HANG_S)
            return answer

        counter.lay(VirtualCard.load(stall.path), Fault(Moment(instruction=0xC7), late))
        presence = counter.inbox.take(CardPresented).presence
        contact = counter.readers.connect(presence, stall.clock.deadline(0.6))
        with pytest.raises(OutcomeUnknown) as caught:
            pay(contact, stall, 100)
        assert isinstance(caught.value.__cause__, ReaderStuck)
        contact.close()
        assert counter.inbox.take(ReaderWent).is_stuck
        with pytest.raises(ReaderStuck):
            counter.readers.connect(presence, stall.clock.deadline(1))
        counter.inbox.take(ReaderCame)
        counter.lift()
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert contact.authenticate(stall.ref).open(READER_ID, all_logs=False).tmc == 1

    def test_a_blank_card_is_not_ours(self, counter: Counter, stall: Stall, tmp_path: Path) -> None:
        counter.lay(VirtualCard.blank(stall.order.uid, tmp_path / "blank.json"))
        with contact_with(counter, stall) as contact, pytest.raises(NotOurCard):
            contact.authenticate(stall.ref)


@pytest.mark.skipif(not inside(), reason="in the namespace")
class TestPcsc:
    """What only PC/SC does."""

    def test_readers_come_back_after_pcscd_was_restarted(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        counter = PcscCounter(stall)
        for round_ in (1, 2):
            counter.lay(VirtualCard.load(stall.path))
            with contact_with(counter, stall) as contact:
                assert pay(contact, stall, 5).tmc == round_
                pcscd.restart() if round_ == 1 else None
            if round_ == 1:
                counter.inbox.take(CardRemoved)
                counter.inbox.take(ReaderWent)
                counter.inbox.take(ReaderCame)
                counter.lift()
        counter.close()

    def test_pcscd_that_dies_in_the_middle_is_a_reader_lost(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            card = contact.authenticate(stall.ref)
            pcscd.stop()
            with pytest.raises((ReaderLost, CardGone)):
                card.open(READER_ID, all_logs=False)
        counter.close()
        pcscd.start()

    def test_a_till_may_start_before_pcscd(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        from terminal.nfc.pcsc import PcscReaders

        pcscd.stop()
        before = set(threading.enumerate())
        inbox = Inbox()
        readers = PcscReaders(KeyStore(stall.keys), stall.clock, inbox.post)
        readers.start()
        pcscd.start()
        names = {inbox.take(ReaderCame).reader, inbox.take(ReaderCame).reader}
        assert len(names) == 2
        readers.close()
        assert set(threading.enumerate()) <= before

    def test_a_card_whose_answer_is_empty_is_left_behind_in_time(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path), Fault(Moment(index=4), lambda _answer: b""))
        began = time.monotonic()
        with contact_with(counter, stall, 1.0) as contact, pytest.raises((CardFault, ReaderFault)):
            pay(contact, stall, 100)
        assert time.monotonic() - began < 3
        counter.close()
        pcscd.restart()


@pytest.mark.pcsc
@pytest.mark.skipif(inside(), reason="outside")
def test_the_same_contract_holds_through_pcscd(tmp_path: Path) -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    report = tmp_path / "report.xml"
    here = Path(__file__)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", str(here)]
    assert enter([*argv, f"--rootdir={here.parents[3]}", f"--basetemp={tmp_path / 'inside'}"]) == 0
    said = report.read_text()
    assert 'failures="0"' in said and said.count("[pcsc]") >= 7
