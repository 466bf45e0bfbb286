"""A card small enough to hold in one hand: counters, a proof, and the TMI its payments have.

Built from the public description alone (docs/formats/tmi.md); the MAC is that of the virtual card's own author, so that
what checks a proof never made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emulator.tmac import enciphered_reader_id, transaction_mac

FULL = 16_000_000


def item(command: int, *fields: bytes) -> bytes:
    head = bytes([command]) + b"".join(fields)
    return head + bytes(-len(head) % 16)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 16)


def little(number: int, size_b: int) -> bytes:
    return number.to_bytes(size_b, "little")


def file_part(file: int, offset: int, length: int) -> bytes:
    return bytes([file]) + little(offset, 3) + little(length, 3)


@dataclass(frozen=True)
class Payment:
    """One transaction of a card: its number, the input of its proof, the proof, and what the tap read."""

    tmc: int
    tmi: bytes
    tmv: bytes
    tmv_before: bytes
    own_log: bytes
    newest_log: bytes
    values: Mapping[int, int]
    debits: Mapping[int, int]


@dataclass(frozen=True)
class PocketCard:
    """A card's memory; ``pay`` gives the card after the payment, and the payment."""

    uid: bytes
    tmac_key: bytes = field(repr=False)
    tmc: int = 0
    tmv: bytes = bytes(8)
    values: Mapping[int, int] = field(default_factory=lambda: dict.fromkeys(range(1, 9), FULL))
    entitlement: bytes = bytes(233)
    logs: tuple[bytes, ...] = (bytes(32),)
    reader_id: bytes = bytes(16)

    def pay(
        self,
        debits: Mapping[int, int],
        reader_id: bytes,
        own_log: bytes,
        read: tuple[int, ...] | None = None,
        entitlement: bytes | None = None,
        commands: Mapping[str, int] | None = None,
    ) -> tuple[PocketCard, Payment]:
        code = {"data": 0xAD, "write": 0x8D, "records": 0xAB, "record": 0x8B, **(commands or {})}
        files = tuple(sorted(read or debits))
        parts = [
            item(0xC8, reader_id, enciphered_reader_id(self.tmac_key, self.tmc + 1, self.uid, self.reader_id)),
            item(code["records"], file_part(0x10, 0, 1)) + self.logs[0],
            item(code["data"], file_part(0x11, 0, 234)) + padded(b"\x00" + self.entitlement),
            *(item(0x6C, bytes([file]), little(self.values[file], 4)) for file in files),
        ]
        if entitlement is not None:
            parts.append(item(code["write"], file_part(0x11, 0, 234)) + padded(b"\x00" + entitlement))
        parts += [item(0xDC, bytes([file]), little(debits[file], 4)) for file in sorted(debits)]
        parts.append(item(code["record"], file_part(0x10, 0, 32)) + own_log)
        tmi = b"".join(parts)
        tmv = transaction_mac(self.tmac_key, self.tmc + 1, self.uid, tmi)
        after = replace(
            self,
            tmc=self.tmc + 1,
            tmv=tmv,
            values={file: value - debits.get(file, 0) for file, value in self.values.items()},
            entitlement=self.entitlement if entitlement is None else entitlement,
            logs=(own_log, *self.logs[:7]),
            reader_id=reader_id,
        )
        read_values = {file: self.values[file] for file in files}
        return after, Payment(
            self.tmc + 1, tmi, tmv, self.tmv, own_log, self.logs[0], read_values, dict(sorted(debits.items()))
        )
