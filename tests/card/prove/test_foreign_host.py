"""A host of other people's making (libfreefare) and ours meet on the same virtual card, over a serial PN532.

What the two say alike is not only our own opinion: first key to AES, ChangeKey, settings, applications and files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.identity import Uid
from emulator.card import VirtualCard
from emulator.inprocess import InProcessField
from sync.issuing import PICC_AID, PICC_MASTER, IssueOrder
from terminal.nfc.apdu import Ins
from terminal.nfc.channel import authenticate_ev2_first, select_application
from terminal.nfc.issuing import Found, issue
from terminal.nfc.links import Link
from terminal.nfc.proving.card_in_hand import MOST_APDUS_TO_PROVE
from terminal.nfc.proving.throwaway import TestCards
from terminal.ports import Deadline
from terminal.system_clock import SystemClock
from tests.card.prove import foreign_host
from tests.card.prove.pn532_on_a_line import Pn532OnALine
from tests.card.prove.test_card_proofs_page import ROWS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not foreign_host.is_installed(), reason="libfreefare is not installed (Debian: libfreefare0, libnfc6)"
    ),
]

STANDARD, BACKUP, VALUE, CYCLIC = 0, 1, 2, 4
FULL = 3
SENT: dict[str, set[int]] = {}
"""Instructions the other host sent, by scene."""

UID = Uid(bytes.fromhex("04A1B2C3D4E5F6"))


class DirectField:
    """``links.Field`` over the emulator's."""

    def __init__(self, card: VirtualCard) -> None:
        self._inner = InProcessField()
        self._inner.present(card)

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        return self._inner.exchange(apdu)

    def close(self, *, is_clean: bool) -> None:
        self._inner.lift()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.json"
    VirtualCard.blank(UID, path)
    return path


@pytest.fixture
def order(tmp_path: Path) -> IssueOrder:
    return TestCards(tmp_path / "keys.json").new_order(UID, SystemClock(1).now().wall)


def our_link(card: Path) -> Link:
    return Link(DirectField(VirtualCard.load(card)), Deadline(0.0), lambda _: 1.0, most_apdus=MOST_APDUS_TO_PROVE)


def foreign(scene: str, card: Path, order: IssueOrder) -> Any:
    """What the other host finds, or does, on the card."""
    reader = Pn532OnALine(VirtualCard.load(card))
    asked = {
        "port": reader.path,
        "scene": scene,
        "aid": order.aid.hex(),
        "keys": {f"{number:02X}": key.hex() for number, key in order.keys.items()},
    }
    try:
        done = subprocess.run(
            [sys.executable, foreign_host.__file__],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "LIBNFC_AUTO_SCAN": "false"},
        )
    finally:
        reader.close()
    assert done.returncode == 0, done.stderr
    SENT[scene] = {apdu[1] for apdu in reader.apdus}
    return json.loads(done.stdout.splitlines()[-1])


def test_a_card_we_issued_is_what_the_other_host_thinks_it_is(card: Path, order: IssueOrder) -> None:
    issue(our_link(card), order)
    told = foreign("look", card, order)
    assert told == {
        "serial number": UID.hex(),
        "factory": "authenticate_iso: AE",
        "free listing": "get_application_ids: AE",
        "applications": 1,
        "chip settings": 0x09,
        "zero keys": ["authenticate_aes: AE"] * 5,
        "own keys": ["taken"] * 5,
        "settings": [0x09, 5],  # the library keeps the number of keys
        "versions": [1] * 5,
        "files": [*range(1, 9), 0x0F, 0x10, 0x11, 0x12],
        "slot": [VALUE, FULL, 0x1F30, 0, 16_000_000, 0],
        "log": [CYCLIC, FULL, 0x11F0, 32, 9, 1],
        "entitlement": [BACKUP, FULL, 0x11F0, 426],
        "card info": [STANDARD, FULL, 0x1F30, 96],
    }


def test_a_card_the_other_host_began_is_finished_and_checked_by_ours(card: Path, order: IssueOrder) -> None:
    assert foreign("issue", card, order) == {"files": [*range(1, 9), 0x10, 0x11, 0x12]}
    link = our_link(card)
    select_application(link, PICC_AID)
    channel = authenticate_ev2_first(link, order.keys[PICC_MASTER], 0)
    channel.send(Ins.CHANGE_KEY_SETTINGS, b"", b"\x09")  # EV1's messaging of it is not in the virtual card
    assert issue(our_link(card), order) is Found.BEGUN
    link = our_link(card)
    select_application(link, order.aid)
    for number in range(5):
        authenticate_ev2_first(link, order.keys[number], number)


def test_the_page_of_proofs_claims_for_the_other_host_what_it_sent_and_no_more(
    card: Path, order: IssueOrder, tmp_path: Path
) -> None:
    foreign("issue", card, order)
    VirtualCard.blank(UID, tmp_path / "ours.json")
    issue(our_link(tmp_path / "ours.json"), order)
    foreign("look", tmp_path / "ours.json", order)
    claimed = {ins for ins, row in ROWS.items() if "foreign host" in row[2]}
    assert claimed == (SENT["issue"] | SENT["look"]) & set(Ins)
