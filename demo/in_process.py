"""The demonstration where the machine refuses namespaces: the reader is inside the till's own process, no PC/SC.

``python -m demo.in_process --dir DIR`` is ``panier till --json`` with one more kind of line, for the hand:

    {"hand": {"lay": "card.json", "instruction": 199, "phase": "before", "kills": false}}   {"hand": {"lift": true}}
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from central.office import Office
from demo.hands import PipeHand
from demo.morning import Stage, played
from domain.identity import CardId, Uid
from emulator.card import VirtualCard
from emulator.field import Exchange, FieldGone
from emulator.inprocess import InProcessField
from emulator.tear import Phase, Tear, tear_on
from terminal.bootstrap import OpenTill, Post
from terminal.errors import CardGone
from terminal.json_lines import JsonTill
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.issuing import MOST_APDUS_TO_ISSUE, issue
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.ports import Clock, Deadline

READER = "lecteur du processus"


class Table:
    """One in-process reader and the card on it."""

    def __init__(self) -> None:
        self.field = InProcessField()
        self.readers: InProcessReaders | None = None

    def make_readers(self, keys: KeyStore, clock: Clock, post: Post) -> InProcessReaders:
        """For terminal.bootstrap."""
        self.readers = InProcessReaders({READER: self.field}, FieldGone, keys, clock, post)
        return self.readers

    def lay_down(self, card: Path, tears: Iterable[Tear] = (), kills_at: int | None = None) -> None:
        """Lay down the card of that file."""
        assert self.readers is not None
        self.field.present(VirtualCard.load(card), tuple(tears), _killer(kills_at))
        self.readers.field_changed(READER, is_present=True)

    def lift(self) -> None:
        """Take it away; nothing when it has gone by itself."""
        assert self.readers is not None
        self.field.lift()
        self.readers.field_changed(READER, is_present=False)

    def obey(self, hand: dict[str, Any]) -> None:
        """What a hand line says."""
        if "lay" not in hand:
            self.lift()
        elif hand.get("kills"):
            self.lay_down(Path(hand["lay"]), kills_at=hand["instruction"])
        elif "instruction" in hand:
            self.lay_down(Path(hand["lay"]), [tear_on(hand["instruction"], Phase(hand["phase"]))])
        else:
            self.lay_down(Path(hand["lay"]))


def _killer(instruction: int | None) -> Any:
    def on_exchange(exchange: Exchange) -> None:
        if exchange.instruction == instruction:
            os.kill(os.getpid(), signal.SIGKILL)

    return None if instruction is None else on_exchange


def play_in_process(folder: Path, say: Any) -> int:
    """The scripted morning on in-process readers; 0 when every till did what it should."""
    return played(
        Stage(
            folder=folder,
            socket=folder / "centre.sock",
            hands=(PipeHand(), PipeHand()),
            till_argv=lambda directory, _reader: [sys.executable, "-m", "demo.in_process", "--dir", str(directory)],
            issue=lambda card, _reader: issue_in_process(folder, card),
            say=say,
        )
    )


class _Direct:
    """terminal.nfc.links.Field on an in-process field."""

    def __init__(self, field: InProcessField) -> None:
        self._field = field

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:  # noqa: ARG002
        try:
            return self._field.exchange(apdu)
        except FieldGone:
            raise CardGone("the card left the field") from None

    def close(self, *, is_clean: bool) -> None:  # noqa: ARG002
        self._field.lift()


def issue_in_process(folder: Path, card: Path) -> CardId:
    """The issuing code itself, on an in-process field."""
    field = InProcessField()
    made = VirtualCard.load(card)
    field.present(made)
    office = Office(folder / "centre")
    try:
        order = office.register_card(Uid(made.uid))
    finally:
        office.close()
    issue(Link(_Direct(field), Deadline(0.0), lambda _deadline: 1.0, most_apdus=MOST_APDUS_TO_ISSUE), order)
    return order.card


def _serve(directory: Path) -> int:
    table = Table()
    opened = OpenTill(directory, table.make_readers)
    lines = JsonTill(opened.loop, sys.stdout)
    opened.watch_readers()
    try:
        lines.run(_requests(table))
    finally:
        opened.close()
    return 1 if lines.error else 0


def _requests(table: Table) -> Iterator[bytes]:
    """The lines for the till; those for the hand are obeyed on the way."""
    for line in sys.stdin.buffer:
        if line.startswith(b'{"hand"'):
            table.obey(json.loads(line)["hand"])
        else:
            yield line


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    raise SystemExit(_serve(parser.parse_args().dir))
