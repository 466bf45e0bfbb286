"""What every kind of reader does: in this process, through pcscd, nfcpy and a PN532 on a line (``ports.Readers``).

The PC/SC half runs inside private namespaces, in a pytest of its own that the last test here starts.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demo.hands import wait_until_empty
from demo.namespace import PrivatePcscd, enter, inside, namespaces_available, private_pcscd
from domain.identity import SlotFile, Uid
from emulator.card import VirtualCard
from emulator.inprocess import FieldGone, InProcessField
from emulator.tear import Fault, Moment, Phase, Tear
from terminal.errors import (
    CardFault,
    CardGone,
    CardMisbehaves,
    NotOurCard,
    OutcomeUnknown,
    ReaderFault,
    ReaderLost,
    ReaderStuck,
)
from terminal.events import CardPresented, CardRemoved, CardsClash, Inward, ReaderCame, ReaderWent
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.key_store import KeyStore
from terminal.nfc.polled import PolledReaders
from terminal.ports import Presence, Readers, Signal
from tests.card.readers.pn532_chip import Pn532Chip
from tests.card.readers.udp_card import UdpField

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall

FIRST_READER, SECOND_READER = "Virtual PCD 00 00", "Virtual PCD 00 01"
READER_ID = bytes([1, 0, 0, 7, 0, 0, 1]) + bytes(9)
BUDGET_S = 60.0
HANG_S = 0.3
FEW_LOOKS_S = 0.5


class Inbox:
    """Events posted by readers, taken one after the other."""

    def __init__(self) -> None:
        self.events: list[Inward] = []
        self.all: list[Inward] = []
        self.changed = threading.Condition()

    def post(self, event: Inward) -> None:
        with self.changed:
            self.events.append(event)
            self.all.append(event)
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

    def swap(self, card: VirtualCard) -> None:
        """Another card in its place, faster than anybody looks."""
        self.lift()
        self.lay(card)

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

    def swap(self, card: VirtualCard) -> None:
        self.lift()
        wait_until_empty(FIRST_READER)
        self.lay(card)

    def close(self) -> None:
        """Wait until pcscd has seen the card go, so that the next test does not find it."""
        self.lift()
        give_up_s = time.monotonic() + BUDGET_S
        while self.readers.has_card("Virtual PCD 00 00") and time.monotonic() < give_up_s:
            time.sleep(0.02)
        self.readers.close()


class PolledCounter(Counter):
    """A reader that must be asked, and how it is taken out of the machine and put back."""

    readers: PolledReaders
    field: Pn532Chip | UdpField

    def _start(self, stall: Stall, opens: Any) -> None:
        self.inbox = Inbox()
        self.readers = PolledReaders({"lecteur": opens}, KeyStore(stall.keys), stall.clock, self.inbox.post)
        self.readers.start()
        self.inbox.take(ReaderCame)

    def lay(self, card: VirtualCard, *disturbances: Any) -> None:
        self.field.lay(card, *disturbances)

    def lift(self) -> None:
        self.field.lift()

    def replug(self) -> None: ...


class Pn532Counter(PolledCounter):
    def __init__(self, stall: Stall) -> None:
        from terminal.nfc.pn532_serial import Pn532, SerialLine

        self.field: Pn532Chip = Pn532Chip(stall.path.parent / "ttyPN532")
        self._start(stall, lambda: Pn532(SerialLine(str(self.field.device))))

    def replug(self) -> None:
        self.field.unplug()
        self.field.plug()

    def close(self) -> None:
        self.readers.close()
        self.field.unplug()


class NfcpyCounter(PolledCounter):
    def __init__(self, stall: Stall) -> None:
        from terminal.nfc.nfcpy_readers import NfcpyAntenna

        self.field: UdpField = UdpField()
        path = self.field.path
        self._start(stall, lambda: NfcpyAntenna(path))

    def replug(self) -> None:
        """nfcpy's ``udp:`` device cannot be unplugged: the program at the other end is another one."""
        self.field.close()
        self.field = UdpField(self.field.port)

    def close(self) -> None:
        self.readers.close()
        self.field.close()


COUNTERS = {"in_process": InProcessCounter, "pn532": Pn532Counter, "nfcpy": NfcpyCounter, "pcsc": PcscCounter}


@pytest.fixture(scope="session")
def pcscd() -> Iterator[PrivatePcscd | None]:
    if not inside():
        yield None
        return
    with private_pcscd() as running:
        yield running


@pytest.fixture(params=list(COUNTERS))
def counter(request: pytest.FixtureRequest, stall: Stall, pcscd: PrivatePcscd | None) -> Iterator[Counter]:
    if (request.param == "pcsc") != inside():
        pytest.skip("PC/SC runs in its own namespace, and only PC/SC does")
    made: Counter = COUNTERS[request.param](stall)
    yield made
    made.close()


@pytest.fixture(params=["pn532", "nfcpy"])
def polled(request: pytest.FixtureRequest, stall: Stall) -> Iterator[PolledCounter]:
    if inside():
        pytest.skip("outside")
    made: PolledCounter = {"pn532": Pn532Counter, "nfcpy": NfcpyCounter}[request.param](stall)
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


def pay(contact: Any, stall: Stall, *amounts: int, before_commit: Callable[[], None] = lambda: None) -> Any:
    card = contact.authenticate(stall.ref)
    head = card.open(READER_ID, all_logs=False)
    card.values([SlotFile(n + 1) for n in range(len(amounts))])
    plan = stall.plan_of(head.tmc + 1, *amounts)
    foretold = card.foretell(plan)
    card.stage(plan)
    before_commit()
    proof = card.commit()
    assert proof.tmi == foretold
    return proof


def pays_once_it_is_back(counter: Counter, stall: Stall) -> None:
    """The card that still lies on a reader that was lost; then the counter is closed."""
    counter.inbox.take(ReaderCame)
    with contact_with(counter, stall) as contact:
        assert pay(contact, stall, 5).tmc == 1
    counter.close()


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

    def test_a_card_that_lies_still_is_told_once_and_its_going_once(self, counter: Counter, stall: Stall) -> None:
        counter.lay(VirtualCard.load(stall.path))
        presence = counter.inbox.take(CardPresented).presence
        time.sleep(FEW_LOOKS_S)
        counter.lift()
        counter.inbox.take(CardRemoved)
        time.sleep(FEW_LOOKS_S)
        fields = [event for event in counter.inbox.all if isinstance(event, CardPresented | CardRemoved)]
        assert fields == [CardPresented(presence), CardRemoved(presence)]

    def test_a_card_swapped_for_another_is_another_presence_with_its_own_number(
        self, counter: Counter, stall: Stall, tmp_path: Path
    ) -> None:
        other = Uid(bytes.fromhex("04111111111111"))
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert contact.uid == stall.order.uid
        counter.swap(VirtualCard.blank(other, tmp_path / "other.json"))
        with contact_with(counter, stall) as contact:
            assert contact.uid == other
        fields = [type(event) for event in counter.inbox.all if isinstance(event, CardPresented | CardRemoved)]
        assert fields == [CardPresented, CardRemoved, CardPresented]

    def test_letting_go_twice_does_not_take_the_card_from_the_next_tap(self, counter: Counter, stall: Stall) -> None:
        counter.lay(VirtualCard.load(stall.path))
        presence = counter.inbox.take(CardPresented).presence
        first = counter.readers.connect(presence, stall.clock.deadline(5))
        assert pay(first, stall, 10).tmc == 1
        first.close()
        second = counter.readers.connect(presence, stall.clock.deadline(5))
        card = second.authenticate(stall.ref)
        first.close()
        assert card.open(READER_ID, all_logs=False).tmc == 1
        second.close()
        with pytest.raises(CardGone):
            second.link.exchange(bytes.fromhex("9060000000"))

    def test_an_answer_longer_than_any_card_s_is_told_apart_from_a_card_that_left(
        self, counter: Counter, stall: Stall
    ) -> None:
        for too_long in (300, 600, 5_000):
            counter.lay(VirtualCard.load(stall.path), Fault(Moment(index=4), lambda _, n=too_long: bytes(n)))
            with contact_with(counter, stall, 2.0) as contact, pytest.raises(CardMisbehaves):
                pay(contact, stall, 100)
            counter.lift()
            counter.inbox.take(CardRemoved)

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
            with contact_with(counter, stall, 2.0) as contact, pytest.raises((CardFault, ReaderFault)):
                pay(contact, stall, 100)
            counter.lift()
            counter.inbox.take(CardRemoved)

    def test_a_card_that_answers_too_late_leaves_the_reader_stuck_until_it_has_answered(
        self, counter: Counter, stall: Stall
    ) -> None:
        """It has plenty of time until Commit, and little for that, however busy the machine is."""
        answers, deadline = threading.Event(), stall.clock.deadline(BUDGET_S)

        def late(answer: bytes) -> bytes:
            answers.wait(BUDGET_S)
            return answer

        def time_is_short() -> None:
            stall.clock.skip_s = stall.clock.left_s(deadline) - HANG_S

        counter.lay(VirtualCard.load(stall.path), Fault(Moment(instruction=0xC7), late))
        presence = counter.inbox.take(CardPresented).presence
        contact = counter.readers.connect(presence, deadline)
        with pytest.raises(OutcomeUnknown) as caught:
            pay(contact, stall, 100, before_commit=time_is_short)
        stall.clock.skip_s = 0.0
        assert isinstance(caught.value.__cause__, ReaderStuck)
        contact.close()
        assert counter.inbox.take(ReaderWent).is_stuck
        with pytest.raises(ReaderStuck):
            counter.readers.connect(presence, stall.clock.deadline(1))
        answers.set()
        counter.inbox.take(CardRemoved)
        counter.inbox.take(ReaderCame)
        assert counter.inbox.take(CardPresented).presence != presence  # it lies there still: a new tap
        assert len([event for event in counter.inbox.all if isinstance(event, ReaderWent)]) == 1
        counter.lift()
        counter.inbox.take(CardRemoved)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert contact.authenticate(stall.ref).open(READER_ID, all_logs=False).tmc == 1

    def test_a_blank_card_is_not_ours(self, counter: Counter, stall: Stall, tmp_path: Path) -> None:
        counter.lay(VirtualCard.blank(stall.order.uid, tmp_path / "blank.json"))
        with contact_with(counter, stall) as contact, pytest.raises(NotOurCard):
            contact.authenticate(stall.ref)


class TestReadersThatMustBeAsked:
    """What only those without PC/SC do."""

    def test_a_stuck_reader_works_after_it_was_plugged_in_again(self, polled: PolledCounter, stall: Stall) -> None:
        release = threading.Event()

        def never(answer: bytes) -> bytes:
            release.wait(BUDGET_S)
            return answer

        polled.lay(VirtualCard.load(stall.path), Fault(Moment(instruction=0x8B), never))
        with contact_with(polled, stall, 0.5) as contact, pytest.raises(ReaderStuck):
            pay(contact, stall, 100)
        assert polled.inbox.take(ReaderWent).is_stuck
        release.set()
        polled.replug()
        polled.inbox.take(ReaderCame)
        polled.lift()
        polled.lay(VirtualCard.load(stall.path))
        self.pays(polled, stall)

    def pays(self, polled: PolledCounter, stall: Stall) -> None:
        """The last card laid down pays; one seen before may already have been gone."""
        while True:
            presence = polled.inbox.take(CardPresented).presence
            try:
                with closing(polled.readers.connect(presence, stall.clock.deadline(5))) as contact:
                    proof = pay(contact, stall, 5)
            except (CardGone, ReaderLost):
                continue
            assert proof.tmc == 1
            return

    def test_threads_end_with_the_readers(self, polled: PolledCounter) -> None:
        polled.readers.close()
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if "lecteur" in name]


class NothingWakes:
    """Something on the first virtual reader that is there and does not wake when it is switched on: mute to pcscd."""

    def __init__(self) -> None:
        self._link = socket.create_connection(("127.0.0.1", 35963))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while len(head := self._link.recv(2, socket.MSG_WAITALL)) == 2:
            asked = self._link.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            if asked == b"\x04":
                self._link.sendall(b"\x00\x02\x3b\x00")
            if asked == b"\x01":
                break

    def lift(self) -> None:
        self._thread.join(BUDGET_S)
        self._link.close()


@pytest.mark.skipif(not inside(), reason="in the namespace")
class TestPcsc:
    """What only PC/SC does."""

    def test_that_no_reader_of_the_name_is_there_is_told_at_once(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        from terminal.nfc.pcsc import PcscReaders

        inbox = Inbox()
        readers = PcscReaders(KeyStore(stall.keys), stall.clock, inbox.post, chosen=("ACR1252",))
        readers.start()
        assert inbox.take(ReaderWent) == ReaderWent("ACR1252")
        readers.close()

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

    def test_a_till_may_start_before_pcscd_and_leaves_no_thread_behind(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smartcard import scard

        from terminal.nfc.pcsc import PcscReaders

        cancels = scard.SCardCancel

        def slowly(context: Any) -> Any:
            code = cancels(context)
            time.sleep(0.3)
            return code

        monkeypatch.setattr(scard, "SCardCancel", slowly)
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

    def test_something_that_does_not_wake_is_told_as_more_than_one_card_and_a_card_after_it_pays(
        self, stall: Stall, pcscd: PrivatePcscd
    ) -> None:
        counter = PcscCounter(stall)
        mute = NothingWakes()
        mute.lift()
        assert counter.inbox.take(CardsClash).reader == FIRST_READER
        assert CardPresented not in [type(event) for event in counter.inbox.all]
        wait_until_empty(FIRST_READER)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert pay(contact, stall, 5).tmc == 1
        counter.close()

    def test_two_readers_are_told_apart_and_only_the_chosen_ones_are_watched(
        self, stall: Stall, pcscd: PrivatePcscd
    ) -> None:
        from emulator.vpcd import SECOND_READER_PORT, CardInField
        from terminal.nfc.pcsc import PcscReaders

        inbox, second = Inbox(), Inbox()
        both = PcscReaders(KeyStore(stall.keys), stall.clock, inbox.post)
        one = PcscReaders(KeyStore(stall.keys), stall.clock, second.post, chosen=("00 01",))
        both.start()
        one.start()
        assert {inbox.take(ReaderCame).reader, inbox.take(ReaderCame).reader} == {FIRST_READER, SECOND_READER}
        card = CardInField(VirtualCard.load(stall.path), SECOND_READER_PORT)
        card.present()
        assert inbox.take(CardPresented).presence.reader == SECOND_READER
        assert second.take(CardPresented).presence.reader == SECOND_READER
        card.lift()
        second.take(CardRemoved)
        assert {event.reader for event in second.all if isinstance(event, ReaderCame)} == {SECOND_READER}
        both.close()
        one.close()

    @pytest.mark.parametrize("is_wake_lost", [False, True])
    def test_a_reader_lost_in_a_tap_that_is_there_all_the_same_is_told_as_back_with_its_card(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch, is_wake_lost: bool
    ) -> None:
        """Also when SCardCancel came between two waits, where it does nothing."""
        from smartcard import scard

        if is_wake_lost:
            monkeypatch.setattr(scard, "SCardCancel", lambda _context: 0)
        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            card = contact.authenticate(stall.ref)
            with monkeypatch.context() as broken:
                broken.setattr(scard, "SCardTransmit", lambda *_: (0x80100001, []))
                with pytest.raises(ReaderLost):
                    card.open(READER_ID, all_logs=False)
        counter.inbox.take(CardRemoved)
        pays_once_it_is_back(counter, stall)

    def test_a_lane_whose_connection_to_pcscd_is_dead_gets_another(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smartcard import scard

        connects, dead = scard.SCardConnect, set()

        def connect(context: Any, *rest: Any) -> Any:
            if not dead:
                dead.add(context)
            return [0x8010001D, 0, 0] if context in dead else connects(context, *rest)

        monkeypatch.setattr(scard, "SCardConnect", connect)
        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path))
        presence = counter.inbox.take(CardPresented).presence
        with pytest.raises(ReaderLost):
            counter.readers.connect(presence, stall.clock.deadline(BUDGET_S))
        pays_once_it_is_back(counter, stall)

    def test_a_lane_that_finds_no_pcscd_finds_it_later(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smartcard import scard

        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path))
        presence = counter.inbox.take(CardPresented).presence
        with monkeypatch.context() as away:
            away.setattr(scard, "SCardEstablishContext", lambda _scope: [0x8010001D, 0])
            with pytest.raises(ReaderLost):
                counter.readers.connect(presence, stall.clock.deadline(BUDGET_S))
        pays_once_it_is_back(counter, stall)

    def test_another_reader_that_goes_in_the_middle_of_a_question_takes_this_one_not_away(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smartcard import scard

        counter, asks, times = PcscCounter(stall), scard.SCardGetStatusChange, []

        def unknown(*asked: Any) -> Any:
            times.append(1)
            return [0x80100009, []] if len(times) == 1 else asks(*asked)

        monkeypatch.setattr(scard, "SCardGetStatusChange", unknown)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert pay(contact, stall, 5).tmc == 1
        assert times and not [event for event in counter.inbox.all if isinstance(event, ReaderWent)]
        counter.close()

    def test_a_surprise_of_the_library_does_not_end_the_watch(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smartcard import scard

        def surprise(*_asked: Any) -> Any:
            raise SystemError("a library of C")

        counter = PcscCounter(stall)
        with monkeypatch.context() as odd:
            odd.setattr(scard, "SCardGetStatusChange", surprise)
            counter.inbox.take(ReaderWent)
        counter.inbox.take(ReaderCame)
        counter.close()

    def test_the_till_can_be_closed_while_pcscd_hangs(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        counter = PcscCounter(stall)
        assert pcscd.pid is not None
        os.kill(pcscd.pid, signal.SIGSTOP)
        try:
            closing_it = threading.Thread(target=counter.readers.close, daemon=True)
            closing_it.start()
            closing_it.join(BUDGET_S)
            assert not closing_it.is_alive()
        finally:
            os.kill(pcscd.pid, signal.SIGCONT)

    def test_a_reader_that_goes_between_two_questions_to_pcscd_is_told_as_gone(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smartcard import scard

        def waits_in_vain(_context: Any, wait_ms: int, _asked: Any) -> tuple[int, list[Any]]:
            time.sleep(wait_ms / 1000)
            return 0x8010000A, []

        counter = PcscCounter(stall)
        with monkeypatch.context() as pulled:
            pulled.setattr(scard, "SCardListReaders", lambda *_: (0, []))
            pulled.setattr(scard, "SCardGetStatusChange", waits_in_vain)
            counter.inbox.take(ReaderWent)
        counter.inbox.take(ReaderCame)
        counter.close()

    def test_a_card_another_program_holds_is_not_met_and_is_when_it_is_free_again(
        self, stall: Stall, pcscd: PrivatePcscd
    ) -> None:
        from smartcard import scard

        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path))
        presence = counter.inbox.take(CardPresented).presence
        context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)[1]
        held = scard.SCardConnect(context, FIRST_READER, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1)[1]
        with pytest.raises(CardGone):
            counter.readers.connect(presence, stall.clock.deadline(2))
        scard.SCardDisconnect(held, scard.SCARD_LEAVE_CARD)
        scard.SCardReleaseContext(context)
        contact = counter.readers.connect(presence, stall.clock.deadline(2))
        assert pay(contact, stall, 5).tmc == 1
        contact.close()
        counter.close()

    def test_light_goes_to_a_known_reader_with_its_card_and_never_stands_in_the_way(
        self, stall: Stall, pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        from emulator import field
        from terminal.nfc import lights

        told_the_reader = []

        def hears(apdu: bytes, uid: bytes) -> bytes | None:
            if apdu.startswith(b"\xff\x00\x40"):
                told_the_reader.append(apdu)
                return b"\x90\x02"
            return answers(apdu, uid)

        answers = field.reader_answer
        monkeypatch.setattr(field, "reader_answer", hears)
        known = dataclasses.replace(lights.TABLE[0], model="Virtual PCD")
        assert known.is_pseudo_apdu
        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            pay(contact, stall, 5)
        counter.readers.signal(FIRST_READER, Signal.PAID)
        counter.readers.signal("nowhere", Signal.PAID)
        monkeypatch.setattr(lights, "TABLE", (known,))
        counter.readers.signal(FIRST_READER, Signal.PAID)
        counter.readers.signal(FIRST_READER, Signal.ATTENTION)
        presence = next(event.presence for event in counter.inbox.all if isinstance(event, CardPresented))
        contact = counter.readers.connect(presence, stall.clock.deadline(5))
        assert pay(contact, stall, 5).tmc == 2
        counter.readers.signal(FIRST_READER, Signal.PAID)  # while a tap holds the card
        assert contact.authenticate(stall.ref).open(READER_ID, all_logs=False).tmc == 2
        contact.close()
        signals = (Signal.PAID, Signal.ATTENTION, Signal.PAID)
        assert told_the_reader == [known.commands[signal] for signal in signals]
        assert not caplog.records
        counter.lift()
        counter.inbox.take(CardRemoved)
        for _ in range(3):  # no card, and no escape command with this driver: nothing but a line in the log
            counter.readers.signal(FIRST_READER, Signal.PAID)
        counter.lay(VirtualCard.load(stall.path))
        with contact_with(counter, stall) as contact:
            assert pay(contact, stall, 5).tmc == 3
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        counter.close()

    def test_a_card_whose_answer_is_empty_is_left_behind_in_time(self, stall: Stall, pcscd: PrivatePcscd) -> None:
        counter = PcscCounter(stall)
        counter.lay(VirtualCard.load(stall.path), Fault(Moment(index=4), lambda _answer: b""))
        with contact_with(counter, stall, 1.0) as contact, pytest.raises((CardFault, ReaderFault)):
            pay(contact, stall, 100)
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
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--maxfail=2", f"--junitxml={report}", str(here)]
    assert enter([*argv, f"--rootdir={here.parents[3]}", f"--basetemp={tmp_path / 'inside'}"]) == 0
    said = report.read_text()
    assert 'failures="0"' in said and said.count("[pcsc]") >= 7
