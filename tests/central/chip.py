"""A card in one hand that also holds slips: the void of a payment, and payments that read what voids left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from emulator.tmac import enciphered_reader_id, transaction_mac
from sync.card_format import read_slip
from tests.sync.pocket import Payment, PocketCard, file_part, item, little, padded

SLIP_B, HEAD_B = 96, 234


@dataclass(frozen=True)
class Chip(PocketCard):
    """A card's memory with its two slip places; what a payment reads of them enters its proof."""

    places: int = 0
    slip_area: bytes = bytes(2 * SLIP_B)

    @property
    def slips(self) -> dict[int, bytes]:
        """The slips in use, by place."""
        return {
            place: self.slip_area[place * SLIP_B : (place + 1) * SLIP_B] for place in (0, 1) if self.places >> place & 1
        }

    def pay(
        self,
        debits: Mapping[int, int],
        reader_id: bytes,
        own_log: bytes,
        read: tuple[int, ...] | None = None,
        entitlement: bytes | None = None,
        commands: Mapping[str, int] | None = None,
        slip: bytes | None = None,
        mark: int = 0,
        logs_read: int = 1,
    ) -> tuple[Chip, Payment]:
        """A payment, or a void where nothing is debited; places that ``mark`` has passed are given free."""
        code = {"data": 0xAD, "write": 0x8D, "records": 0xAB, "record": 0x8B, **(commands or {})}
        files = tuple(sorted(read or debits))
        parts = [item(0xC8, reader_id, enciphered_reader_id(self.tmac_key, self.tmc + 1, self.uid, self.reader_id))]
        newest, rest = self.logs[: min(logs_read, 4)], self.logs[4:logs_read]
        for first, records in ((0, newest), (4, rest)):
            if records:
                head = bytes([0x10]) + little(first, 3) + little(len(records), 3)
                parts.append(item(code["records"], head) + b"".join(reversed(records)))
        parts.append(
            item(code["data"], file_part(0x11, 0, HEAD_B)) + padded(bytes([self.places]) + self.entitlement),
        )
        if self.places:
            parts.append(item(code["data"], file_part(0x11, HEAD_B, 2 * SLIP_B)) + self.slip_area)
        parts += [item(0x6C, bytes([file]), little(self.values[file], 4)) for file in files]
        freed = sum(1 << place for place, data in self.slips.items() if read_slip(data).tmc <= mark)
        places, area = self.places & ~freed, self.slip_area
        place = next((place for place in (0, 1) if not places >> place & 1), None)
        if slip is not None and place is not None:
            places |= 1 << place
            area = area[: place * SLIP_B] + slip + area[(place + 1) * SLIP_B :]
            parts.append(item(code["write"], file_part(0x11, HEAD_B + place * SLIP_B, SLIP_B)) + slip)
        if entitlement is not None:
            parts.append(item(code["write"], file_part(0x11, 0, HEAD_B)) + padded(bytes([places]) + entitlement))
        elif slip is not None and place is not None:
            parts.append(item(code["write"], file_part(0x11, 0, 1)) + padded(bytes([places])))
        else:
            places = self.places
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
            places=places,
            slip_area=area,
        )
        read_values = {file: self.values[file] for file in files}
        return after, Payment(
            self.tmc + 1, tmi, tmv, self.tmv, own_log, self.logs[0], read_values, dict(sorted(debits.items()))
        )

    def has_room(self, mark: int) -> bool:
        """Whether a slip place is free, or passed by the mark."""
        return any(place not in self.slips or read_slip(self.slips[place]).tmc <= mark for place in (0, 1))
