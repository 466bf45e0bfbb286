"""``panier issue`` itself on a virtual PC/SC reader, with a centre in its folder: a tear, and a card laid again.

This file is also the program that runs inside the namespaces (``python -m tests.card.issuing.test_pcsc DIR``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from central.office import Office, make_centre
from demo.hands import VIRTUAL_READERS, wait_until_empty
from demo.namespace import enter, namespaces_available, private_pcscd
from domain.identity import Uid
from emulator.card import VirtualCard
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance, Phase, tear_on
from emulator.vpcd import FIRST_READER_PORT, CardInField
from sync.issuing import card_of_code
from terminal.nfc.apdu import Ins
from terminal.nfc.issuing import check_issued
from tests.card.issuing.kit import HeldCard

ROOT = Path(__file__).parents[3]
RULES = ROOT / "domain" / "rule-sets" / "gers.toml"
BUDGET_S = 60.0


def laid_until(word: str, said: Path, card: Path, *disturbances: Disturbance) -> None:
    """The card lies on the reader until the station says the word."""
    heard, until = len(said.read_text()), time.monotonic() + BUDGET_S
    field = CardInField(VirtualCard.load(card), FIRST_READER_PORT, disturbances=list(disturbances))
    field.present()
    while word not in said.read_text()[heard:] and time.monotonic() < until:
        time.sleep(0.02)
    field.lift()
    wait_until_empty(VIRTUAL_READERS[0])


def scene(directory: Path) -> int:
    """Inside: a station, a card torn, finished and laid again, another card, Ctrl-C."""
    said, cards = directory / "stderr", [directory / f"{number}.json" for number in range(2)]
    argv = [sys.executable, "-m", "panier", "issue", "--centre", str(directory / "centre"), "--originality", "off"]
    with private_pcscd(), said.open("w") as err:
        station = subprocess.Popen([*argv, "--batch", "0", "--wait", str(BUDGET_S)], cwd=ROOT, stderr=err)
        laid_until("Reposez-la", said, cards[0], tear_on(Ins.CREATE_VALUE_FILE, Phase.ANSWER_LOST, nth=4))
        laid_until("reprise", said, cards[0])
        laid_until("déjà émise", said, cards[0])
        laid_until("émise et vérifiée", said, cards[1])
        station.send_signal(signal.SIGINT)
        return station.wait(BUDGET_S)


@pytest.mark.pcsc
@pytest.mark.slow
def test_a_batch_through_pcsc_with_a_tear_and_a_card_laid_again(tmp_path: Path) -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    make_centre(tmp_path / "centre", RULES)
    for number in range(2):
        VirtualCard.blank(bytes.fromhex("0455AA000000") + bytes([number]), tmp_path / f"{number}.json")
    status = enter([sys.executable, "-m", "tests.card.issuing.test_pcsc", str(tmp_path)])
    said = (tmp_path / "stderr").read_text()
    assert status == 0, said
    assert "Cartes émises : 2 (dont 1 reprises). Déjà émises : 1. Sans suite : 1." in said
    labels = [line.split("\t") for line in (tmp_path / "centre" / "labels.tsv").read_text().splitlines()]
    assert [card_of_code(code).hex() for code, *_ in labels] == [number for *_, number in labels]
    assert len(labels) == 2 and {programme for _, _, programme, _ in labels} == {"gers"}
    office = Office(tmp_path / "centre")
    for number in range(2):
        card = HeldCard(MemoryStore((tmp_path / f"{number}.json").read_text()))
        order = office.register_card(Uid(bytes.fromhex(card.state["uid"])))
        assert order.card.hex() == labels[number][3]
        check_issued(card.laid(), order)
    office.close()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    raise SystemExit(scene(Path(sys.argv[1])))
