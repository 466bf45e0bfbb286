"""One transaction of chosen commands. Its TMI is kept item by item, so that an item the card sees otherwise is named.

Source: MF2DL(H)x0 rev 3.3 §10.3; docs/formats/tmi.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from sync import tmac
from sync.issuing import TMAC_KEY, IssueOrder
from terminal.nfc import tmi
from terminal.nfc.apdu import Ins
from terminal.nfc.channel import Mode
from terminal.nfc.desfire_purse import LOG_FILE
from terminal.nfc.proving.card_in_hand import PROOF_B, CardInHand, CardProof, card_proof, place, read_proof
from terminal.nfc.tmi import little, zero_padded

RECORD_B: Final = 32
_VALUE_B, _READER_ID_B = 4, 16
AS_BUILT: Final = "as built"


@dataclass(frozen=True, slots=True)
class Item:
    """One command's part of the TMI: as the program builds it, and what else a card might mean by it."""

    ins: int
    readings: Mapping[str, bytes] = field(repr=False)


class Transaction:
    """Begun with the proof of the one before and a reader id; then commands in any order; then commit."""

    def __init__(self, card: CardInHand) -> None:
        self._order = card.order
        self._channel = card.session()
        self.before = read_proof(self._channel)
        self.reader_id = card.next_reader_id()
        modes = card.reader_id_modes
        header, data = (b"", self.reader_id) if modes.command is Mode.FULL else (self.reader_id, b"")
        self.earlier_id = self._channel.send(
            Ins.COMMIT_READER_ID, header, data, mode=modes.command, answer_mode=modes.answer, answer_b=_READER_ID_B
        )
        own = bytes([Ins.COMMIT_READER_ID]) + self.reader_id
        self._items = [
            _item(
                tmi.reader_id_item(self.reader_id, self.earlier_id),
                {"without the earlier id": zero_padded(own)},
            )
        ]

    def debit(self, file: int, cents: int) -> None:
        """Take cents from a slot."""
        self._channel.send(Ins.DEBIT, bytes([file]), little(cents, _VALUE_B))
        self._items.append(_item(tmi.value_item(Ins.DEBIT, file, cents), {}))

    def get_value(self, file: int) -> int:
        """Cents in a slot."""
        answer = self._channel.send(Ins.GET_VALUE, bytes([file]), answer_b=_VALUE_B)
        value = int.from_bytes(answer, "little", signed=True)
        head = zero_padded(bytes([Ins.GET_VALUE, file]))
        self._items.append(_item(tmi.value_item(Ins.GET_VALUE, file, value), {"without the value": head}))
        return value

    def read_data(self, ins: int, file: int, size_b: int) -> bytes:
        """The first bytes of a file."""
        content = self._channel.send(ins, place(file, size_b), answer_b=size_b)
        self._items.append(_file_item(ins, file, content))
        return content

    def read_records(self, ins: int, count: int) -> tuple[bytes, ...]:
        """The newest log records, in the order the card gives them."""
        content = self._channel.send(ins, place(LOG_FILE, count), answer_b=count * RECORD_B)
        records = tuple(content[at : at + RECORD_B] for at in range(0, len(content), RECORD_B))
        head = zero_padded(bytes([ins]) + place(LOG_FILE, count))
        others = {
            "newest first": head + b"".join(reversed(records)),
            "length instead of count": zero_padded(bytes([ins]) + place(LOG_FILE, len(content))) + content,
            "without the records": head,
        }
        self._items.append(_item(tmi.records_item(ins, LOG_FILE, 0, count, content), others))
        return records

    def write_data(self, ins: int, file: int, content: bytes) -> None:
        """Overwrite the beginning of a file."""
        self._channel.send(ins, place(file, len(content)), content)
        self._items.append(_file_item(ins, file, content))

    def write_record(self, ins: int, record: bytes) -> None:
        """A new log record."""
        self._channel.send(ins, place(LOG_FILE, len(record)), record)
        self._items.append(_file_item(ins, LOG_FILE, record))

    def commit(self) -> CardProof:
        """Make it so; the card's own proof of it."""
        return card_proof(self._channel.send(Ins.COMMIT_TRANSACTION, b"\x01", mode=Mode.MAC, answer_b=PROOF_B))

    def reading_of(self, done: CardProof) -> str | None:
        """How the items must be read for the card's TMV to hold: ``as built``, or which differ; ``None`` for no way.

        Every combination of the known readings is tried, and the counter before instead of the counter after.
        """
        for how, text in self._texts():
            if is_proof_of(self._order, done.tmc, text, done.tmv):
                return how
        for how, text in self._texts():
            if is_proof_of(self._order, done.tmc - 1, text, done.tmv):
                return f"{how}, keys of the counter before"
        return None

    def _texts(self) -> Iterator[tuple[str, bytes]]:
        for chosen in product(*(item.readings.items() for item in self._items)):
            hows = [
                f"{item.ins:02X} {how}" for item, (how, _) in zip(self._items, chosen, strict=True) if how != AS_BUILT
            ]
            yield ", ".join(hows) or AS_BUILT, b"".join(part for _, part in chosen)


def is_proof_of(order: IssueOrder, tmc: int, text: bytes, tmv: bytes) -> bool:
    """Whether ``tmv`` is the card's proof of the TMI ``text``."""
    return tmac.is_proven(order.keys[TMAC_KEY], tmc, order.uid, text, tmv)


def _item(built: bytes, others: Mapping[str, bytes]) -> Item:
    return Item(built[0], {AS_BUILT: built, **others, "not counted": b""})


def _file_item(ins: int, file: int, content: bytes) -> Item:
    head = bytes([ins]) + place(file, len(content))
    others = {"without the data": zero_padded(head), "head and data not padded apart": zero_padded(head + content)}
    return _item(tmi.file_item(ins, file, 0, content), others)
