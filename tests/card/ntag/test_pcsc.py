"""A tag pays through the real PC/SC stack: paid, pulled inside the write, paid after all, each cent once.

This file is also the program that runs inside the namespaces (``python -m tests.card.ntag.test_pcsc FOLDER``).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from bench.market import Seller, disk
from demo.hands import VIRTUAL_READERS, wait_until_empty
from demo.namespace import enter, namespaces_available, private_pcscd
from emulator.ntag424.card import VirtualNtag
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance, Phase, prefix, tear_on, torn_write
from emulator.vpcd import CardInField
from terminal import events as say
from terminal.nfc.key_store import KeyStore
from terminal.nfc.pcsc import PcscReaders
from terminal.sale import Till
from tests.card.ntag.kit import HeldTag, issued_tag, order_for, word_for
from tests.sale.test_tear_and_power_cut import paid_by_journal

BUDGET_S = 60.0
SETTLED_S = 0.3
WRITE = 0x8D
ANSWERS = say.Paid | say.PutBack | say.PutSameBack | say.NotHere | say.PaysNothing | say.Split


class Stall(Seller):
    """A till at a reader of PC/SC."""

    def open_at_pcsc(self) -> None:
        self.open()
        self.inbox: SimpleQueue[say.Inward] = SimpleQueue()
        self.pcsc = PcscReaders(KeyStore(self.lists), self.clock, self.inbox.put)
        self.world = dataclasses.replace(self.world, readers=self.pcsc)
        self.till = Till(self.world)
        self.pcsc.start()

    def tap_at(self, path: Path, *disturbances: Disturbance) -> list[str]:
        """Lay the tag down until the till has an answer; names of the answers."""
        field = CardInField(VirtualNtag.load(path), disturbances=disturbances)
        field.present()
        answers, until_s = self._answers(time.monotonic() + BUDGET_S), time.monotonic() + BUDGET_S
        field.lift()
        wait_until_empty(VIRTUAL_READERS[0])
        while time.monotonic() < until_s:
            try:
                self.tell(self.inbox.get(timeout=SETTLED_S))
            except Empty:
                break
        return answers

    def _answers(self, until_s: float) -> list[str]:
        while time.monotonic() < until_s:
            said = self.tell(self.inbox.get(timeout=BUDGET_S))
            found = [type(word).__name__ for word in said if isinstance(word, ANSWERS)]
            if found:
                return found
        return []


def scene(folder: Path) -> dict[str, Any]:
    """Inside: three sales, of which two are torn."""
    tag = HeldTag(order_for(), MemoryStore((folder / "tag.json").read_text()))
    stall = Stall(disk(folder / "stall"), 2, [tag], [word_for(tag)])
    told: list[list[str]] = []
    with private_pcscd():
        stall.open_at_pcsc()
        for cents, torn in (
            (300, None),
            (400, torn_write(WRITE, prefix(30))),
            (500, tear_on(WRITE, Phase.ANSWER_LOST)),
        ):
            stall.clock.wind(100)
            stall.sell(("vegetables", cents))
            told.append(stall.tap_at(folder / "tag.json", *([] if torn is None else [torn])))
            if torn is not None:
                told.append(stall.tap_at(folder / "tag.json"))
        stall.pcsc.close()
    left = len(stall.journal.doubts())
    return {"told": told, "booked": paid_by_journal(stall), "left": left}


@pytest.mark.pcsc
@pytest.mark.slow
def test_a_tag_pays_through_pcsc_torn_or_not(tmp_path: Path) -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    (tmp_path / "tag.json").write_text(issued_tag().store.read())
    assert enter([sys.executable, "-m", "tests.card.ntag.test_pcsc", str(tmp_path)]) == 0
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["told"] == [["Paid"], ["PutSameBack"], ["Paid"], ["PutSameBack"], ["Paid"]]
    assert (seen["booked"], seen["left"]) == (1_200, 0)
    tag = HeldTag(order_for(), MemoryStore((tmp_path / "tag.json").read_text()))
    assert (sum(tag.spent().values()), tag.purse.newest.counter) == (1_200, 3)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    place = Path(sys.argv[1])
    (place / "seen").write_text(json.dumps(scene(place)))
