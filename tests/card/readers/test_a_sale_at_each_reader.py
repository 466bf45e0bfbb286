"""A till and its journal at readers without PC/SC: paid, torn, in doubt, unplugged, and every cent once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from bench.market import HeldCard, Seller, disk, entitle, issue_card
from emulator.field import Exchange
from emulator.state_file import MemoryStore
from emulator.tear import Phase, tear_on
from sync.record import RecordType, open_record
from terminal import events as say
from terminal.nfc.key_store import KeyStore
from terminal.nfc.nfcpy_readers import NfcpyAntenna
from terminal.nfc.pn532_serial import Pn532, SerialLine
from terminal.nfc.polled import PolledReaders
from terminal.sale import Till
from tests.card.readers.pn532_chip import Pn532Chip
from tests.card.readers.udp_card import UdpField

COMMIT, WRITE_RECORD = 0xC7, 0x8B
WAIT_S = 60.0


class SellerAtAReader(Seller):
    """A seller whose till hears of cards from a reader that must be asked."""

    place: Pn532Chip | UdpField

    def open_at(self, place: Pn532Chip | UdpField, opens: Any) -> None:
        self.open()
        self.place = place
        self.inbox: SimpleQueue[say.Inward] = SimpleQueue()
        self.polled = PolledReaders({"lecteur": opens}, KeyStore(self.lists), self.clock, self.inbox.put)
        self.world = dataclasses.replace(self.world, readers=self.polled)
        self.till = Till(self.world)
        self.polled.start()
        self.until(say.ReaderCame)

    def until(self, kind: type[Any]) -> list[say.Outward]:
        """The till's words to all that happens until an event of a kind."""
        said: list[say.Outward] = []
        while True:
            event = self.inbox.get(timeout=WAIT_S)
            said += self.tell(event)
            if isinstance(event, kind):
                return said

    def tap_at(self, card: HeldCard, *disturbances: Any) -> list[say.Outward]:
        self.place.lay(card.awake(), *disturbances)
        said = self.until(say.CardPresented)
        self.place.lift()
        said += self.until(say.CardRemoved)
        return said

    def paid_by_the_journal(self) -> int:
        contents = [open_record(record)[1] for record in self.journal.records(1, 99)]
        assert [content.type for content in contents].count(RecordType.VOID) == 0
        return contents[-1].perpetual_net


@pytest.fixture(scope="module")
def issued() -> HeldCard:
    return issue_card()


@pytest.fixture
def card(issued: HeldCard) -> HeldCard:
    return HeldCard(issued.order, MemoryStore(issued.store.read()))


@pytest.fixture(params=["pn532", "nfcpy"])
def seller(request: pytest.FixtureRequest, tmp_path: Path, card: HeldCard) -> Iterator[SellerAtAReader]:
    made = SellerAtAReader(disk(tmp_path / "stall"), 2, [card], [entitle(card)])
    if request.param == "pn532":
        chip = Pn532Chip(tmp_path / "ttyPN532")
        made.open_at(chip, lambda: Pn532(SerialLine(str(chip.device))))
    else:
        field = UdpField()
        made.open_at(field, lambda: NfcpyAntenna(field.path))
    yield made
    made.polled.close()
    made.place.unplug() if isinstance(made.place, Pn532Chip) else made.place.close()
    made.close()


def paid(said: list[say.Outward]) -> list[int]:
    return [word.amount for word in said if isinstance(word, say.Paid)]


def test_one_tap_pays(seller: SellerAtAReader, card: HeldCard) -> None:
    seller.sell(("vegetables", 1_250))
    assert paid(seller.tap_at(card)) == [1_250]
    assert (card.spent()[3], seller.paid_by_the_journal()) == (1_250, 1_250)


def test_a_card_lifted_before_commit_is_put_back_and_pays_once(seller: SellerAtAReader, card: HeldCard) -> None:
    seller.sell(("vegetables", 700))
    said = seller.tap_at(card, tear_on(WRITE_RECORD, Phase.ANSWER_LOST))
    assert [type(word) for word in said] == [say.PutBack]
    assert card.spent()[3] == 0
    assert paid(seller.tap_at(card)) == [700]
    assert (card.spent()[3], seller.paid_by_the_journal()) == (700, 700)


def test_a_lost_answer_to_commit_is_found_again_and_debited_once(seller: SellerAtAReader, card: HeldCard) -> None:
    seller.sell(("vegetables", 800))
    said = seller.tap_at(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    assert [type(word) for word in said] == [say.PutSameBack]
    assert card.spent()[3] == 800
    assert paid(seller.tap_at(card)) == [800]
    assert (card.spent()[3], seller.paid_by_the_journal()) == (800, 800)


def test_a_reader_unplugged_while_a_card_is_awaited_comes_back_by_itself(
    seller: SellerAtAReader, card: HeldCard
) -> None:
    if not isinstance(seller.place, Pn532Chip):
        pytest.skip("nfcpy's udp device cannot be unplugged")
    seller.sell(("vegetables", 900))
    seller.place.unplug()
    assert seller.until(say.ReaderWent) == [say.ReaderAway(is_stuck=False)]
    seller.place.plug()
    assert seller.until(say.ReaderCame) == [say.ReaderIsBack()]
    assert paid(seller.tap_at(card)) == [900]
    assert (card.spent()[3], seller.paid_by_the_journal()) == (900, 900)


def test_a_reader_torn_off_when_the_card_has_just_committed_leaves_a_doubt_and_one_payment(
    seller: SellerAtAReader, card: HeldCard
) -> None:
    if not isinstance(seller.place, Pn532Chip):
        pytest.skip("nfcpy's udp device cannot be unplugged")
    chip = seller.place
    seller.sell(("vegetables", 1_300))

    def tears_off(exchange: Exchange) -> None:
        if exchange.instruction == COMMIT:
            chip.spoil = pulled

    chip.lay(card.awake(), log=tears_off)
    said = seller.until(say.CardPresented)
    assert [type(word) for word in said] == [say.PutSameBack]
    assert card.spent()[3] == 1_300
    assert seller.until(say.ReaderWent) == [say.ReaderAway(is_stuck=False)]
    chip.unplug()
    chip.spoil = lambda sent: sent
    chip.plug()
    said = seller.until(say.ReaderCame) + seller.until(say.CardPresented)
    assert [type(word) for word in said] == [say.ReaderIsBack, say.Paid]
    assert (card.spent()[3], seller.paid_by_the_journal()) == (1_300, 1_300)


def pulled(_sent: bytes) -> bytes:
    raise OSError("the line is pulled out")


def test_a_line_disturbed_in_the_middle_of_a_tap_is_told_and_the_card_pays_when_it_is_quiet_again(
    seller: SellerAtAReader, card: HeldCard
) -> None:
    if not isinstance(seller.place, Pn532Chip):
        pytest.skip("a serial line")
    chip = seller.place
    seller.sell(("vegetables", 1_100))
    chip.spoil = spoils_answers_of(chip, 0x40)
    chip.lay(card.awake())
    assert seller.until(say.CardPresented) == [say.ReaderAway(is_stuck=False)]
    chip.spoil = lambda sent: sent
    said = seller.until(say.ReaderCame) + seller.until(say.CardPresented)
    assert [type(word) for word in said] == [say.ReaderIsBack, say.Paid]
    assert (card.spent()[3], seller.paid_by_the_journal()) == (1_100, 1_100)


def spoils_answers_of(chip: Pn532Chip, code: int) -> Callable[[bytes], bytes]:
    """A line on which no answer to one command arrives whole."""

    def spoil(sent: bytes) -> bytes:
        is_answer = len(sent) > 6 and chip.heard and chip.heard[-1][1] == code
        return sent[:-2] + bytes([sent[-2] ^ 1]) + sent[-1:] if is_answer else sent

    return spoil
