"""The twelve files of the application: how each is created, and how the card describes it afterwards.

Source: docs/formats/card.md "File map and access rights"; MF2DL(H)x0 rev 3.3 §11.4 (creation, GetFileSettings), public
descriptions of DESFire EV1 for the answers of GetFileSettings of record and value files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from domain.identity import FIRST_SLOT, LAST_SLOT
from domain.money import Cents
from sync.card_format import CARD_INFO_SIZE_B, LOG_RECORD_SIZE_B
from terminal.errors import CardMisbehaves
from terminal.nfc.apdu import Ins
from terminal.nfc.channel import Mode
from terminal.nfc.desfire_purse import CARD_INFO_FILE, ENTITLEMENT_FILE, ENTITLEMENT_FILE_B, LOG_FILE, TMAC_FILE
from terminal.nfc.tmi import little

KEY_VERSION: Final = 1
"""Version of every key of ours; 0 is the factory's."""

LOG_RECORDS: Final = 9  # eight can be read, one is being written
_AES_TMAC_KEY: Final = 0x02
_SLOT_RIGHTS, _OPEN_RIGHTS, _INFO_RIGHTS, _TMAC_RIGHTS = (
    bytes.fromhex(rights) for rights in ("301F", "F011", "301F", "101F")
)
_FULL: Final = Mode.FULL.value


class Kind(IntEnum):
    """First byte of the answer to GetFileSettings."""

    STANDARD = 0x00
    BACKUP = 0x01
    VALUE = 0x02
    CYCLIC = 0x04
    TMAC = 0x05


_CREATED_BY: Final = {
    Kind.STANDARD: Ins.CREATE_STANDARD_FILE,
    Kind.BACKUP: Ins.CREATE_BACKUP_FILE,
    Kind.VALUE: Ins.CREATE_VALUE_FILE,
    Kind.CYCLIC: Ins.CREATE_CYCLIC_RECORD_FILE,
    Kind.TMAC: Ins.CREATE_TMAC_FILE,
}
_HEAD_B: Final = 4
_MEASURES: Final = {
    Kind.STANDARD: (slice(4, 7),),  # size
    Kind.BACKUP: (slice(4, 7),),
    Kind.VALUE: (slice(4, 12), slice(16, 17)),  # lower and upper limit, LimitedCredit and free GetValue; not its amount
    Kind.CYCLIC: (slice(4, 10),),  # size of a record, most records; not how many there are
    Kind.TMAC: (slice(4, 6),),  # kind and version of the key
}
_RECORDS: Final = slice(10, 13)


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What of a file never changes.

    Attributes:
        kind, mode: first two bytes of the description.
        rights: 2 bytes as sent: R and W in the second, RW and change in the first.
        measures: sizes, limits and switches in the order of the description.
    """

    kind: Kind
    mode: int
    rights: bytes
    measures: bytes


@dataclass(frozen=True, slots=True)
class FileOrder:
    """One file to create.

    Attributes:
        settings: as the card must describe it.
        content: last part of the creating command, in clear; for the TMAC file the key follows enciphered.
    """

    number: int
    settings: FileSettings
    content: bytes

    @property
    def instruction(self) -> Ins:
        """The creating command."""
        return _CREATED_BY[self.settings.kind]

    @property
    def header(self) -> bytes:
        """Everything the creating command carries in clear."""
        return bytes([self.number, self.settings.mode]) + self.settings.rights + self.content


@dataclass(frozen=True, slots=True)
class Described:
    """A file as the card describes it; ``records``: how many a record file holds, else 0."""

    settings: FileSettings
    records: int


def described(answer: bytes) -> Described:
    """The answer to GetFileSettings (F5).

    Raises: CardMisbehaves: too short, or a kind of file that is none of ours.
    """
    if len(answer) < _HEAD_B or answer[0] not in set(Kind):
        raise CardMisbehaves("a file of a kind that is none of ours")
    kind = Kind(answer[0])
    parts = _MEASURES[kind]
    if len(answer) < max(part.stop for part in parts):
        raise CardMisbehaves("a description of a file that breaks off")
    measures = b"".join(answer[part] for part in parts)
    records = int.from_bytes(answer[_RECORDS], "little") if kind is Kind.CYCLIC else 0
    return Described(FileSettings(kind, answer[1], answer[2:4], measures), records)


def files_before_proof(loaded: Cents) -> tuple[FileOrder, ...]:
    """All files but the TMAC file, in the order they are created; ``loaded``: cents each slot starts with."""
    slots = tuple(_slot(number, loaded) for number in range(FIRST_SLOT, LAST_SLOT + 1))
    records = little(LOG_RECORD_SIZE_B, 3) + little(LOG_RECORDS, 3)
    return (
        *slots,
        _file(LOG_FILE, Kind.CYCLIC, _OPEN_RIGHTS, records),
        _file(ENTITLEMENT_FILE, Kind.BACKUP, _OPEN_RIGHTS, little(ENTITLEMENT_FILE_B, 3)),
        _file(CARD_INFO_FILE, Kind.STANDARD, _INFO_RIGHTS, little(CARD_INFO_SIZE_B, 3)),
    )


def proof_file() -> FileOrder:
    """The TMAC file: the last to be created, its existence says that the card is finished."""
    settings = FileSettings(Kind.TMAC, _FULL, _TMAC_RIGHTS, bytes([_AES_TMAC_KEY, KEY_VERSION]))
    return FileOrder(TMAC_FILE, settings, bytes([_AES_TMAC_KEY]))


def settings_of_all(loaded: Cents) -> Mapping[int, FileSettings]:
    """What a finished card must say of each of its files, by file number."""
    return {file.number: file.settings for file in (*files_before_proof(loaded), proof_file())}


def _slot(number: int, loaded: Cents) -> FileOrder:
    limits = bytes(4) + little(loaded, 4)
    off = b"\x00"  # neither LimitedCredit nor free GetValue
    settings = FileSettings(Kind.VALUE, _FULL, _SLOT_RIGHTS, limits + off)
    return FileOrder(number, settings, limits + little(loaded, 4) + off)


def _file(number: int, kind: Kind, rights: bytes, sizes: bytes) -> FileOrder:
    return FileOrder(number, FileSettings(kind, _FULL, rights, sizes), sizes)
