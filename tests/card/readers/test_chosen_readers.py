"""``--reader``: which reader a name chooses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.card import VirtualCard
from terminal.bootstrap import chosen_readers
from terminal.events import CardPresented, Inward, ReaderCame
from terminal.nfc.key_store import KeyStore
from tests.card.readers.pn532_chip import Pn532Chip
from tests.card.readers.udp_card import UdpField

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall


@pytest.mark.parametrize("kind", ["pn532", "nfcpy"])
def test_a_reader_named_by_kind_and_place_is_opened_and_bears_that_name(
    kind: str, tmp_path: Path, stall: Stall
) -> None:
    place: Any = Pn532Chip(tmp_path / "ttyPN532") if kind == "pn532" else UdpField()
    name = f"pn532:{tmp_path / 'ttyPN532'}" if kind == "pn532" else f"nfcpy:{place.path}"
    told: list[Inward] = []
    has_card = threading.Event()

    def post(event: Inward) -> None:
        told.append(event)
        if isinstance(event, CardPresented):
            has_card.set()

    readers = chosen_readers(name)(KeyStore(stall.keys), stall.clock, post)
    place.lay(VirtualCard.load(stall.path))
    readers.start()
    assert has_card.wait(60)
    readers.close()
    place.unplug() if kind == "pn532" else place.close()
    assert told[0] == ReaderCame(name)


@pytest.mark.parametrize("name", [None, "ACR122U", "pn532", "nfcpy:", "usb:054c"])
def test_every_other_name_is_a_part_of_a_pcsc_name(name: str | None, stall: Stall) -> None:
    pytest.importorskip("smartcard")
    from terminal.nfc.pcsc import PcscReaders

    readers = chosen_readers(name)(KeyStore(stall.keys), stall.clock, lambda _event: None)
    assert isinstance(readers, PcscReaders)
    readers.close()
