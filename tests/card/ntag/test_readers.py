"""A tag pays at readers without PC/SC, where its UID comes from the anticollision and its APDUs go in frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.market import disk
from emulator.tear import prefix, torn_write
from terminal import events as say
from terminal.nfc.nfcpy_readers import NfcpyAntenna
from terminal.nfc.pn532_serial import Pn532, SerialLine
from tests.card.ntag.kit import HeldTag, issued_tag, word_for
from tests.card.readers.pn532_chip import Pn532Chip
from tests.card.readers.test_a_sale_at_each_reader import SellerAtAReader
from tests.card.readers.udp_card import UdpField


@pytest.fixture
def tag() -> HeldTag:
    return issued_tag()


@pytest.fixture(params=["pn532", "nfcpy"])
def seller(request: pytest.FixtureRequest, tmp_path: Path, tag: HeldTag) -> Iterator[SellerAtAReader]:
    made = SellerAtAReader(disk(tmp_path / "stall"), 2, [tag], [word_for(tag)])
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


def test_a_tag_pays_and_torn_inside_its_write_pays_once(seller: SellerAtAReader, tag: HeldTag) -> None:
    seller.sell(("vegetables", 1_250))
    said = seller.tap_at(tag)
    assert [word.amount for word in said if isinstance(word, say.Paid)] == [1_250]
    seller.clock.wind(100)
    seller.sell(("vegetables", 700))
    assert [type(word) for word in seller.tap_at(tag, torn_write(0x8D, prefix(30)))] == [say.PutSameBack]
    assert [word.amount for word in seller.tap_at(tag) if isinstance(word, say.Paid)] == [700]
    assert (tag.spent()[3], seller.paid_by_the_journal()) == (1_950, 1_950)
