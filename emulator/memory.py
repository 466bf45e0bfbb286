"""What a virtual card remembers without power: keys, applications, files. Values only; changes make new values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from emulator.status import Refused, Status

FREE = 0xE
NEVER = 0xF
PICC_CONFIGURATION = 0x00
FORMAT_DISABLED, RANDOM_ID = 0x01, 0x02


class CommMode(IntEnum):
    """Communication mode, as in the two low bits of a file's option byte (MF2DL(H)x0 section 8.2.3.5)."""

    PLAIN = 0
    MAC = 1
    FULL = 3


@dataclass(frozen=True, slots=True)
class CardKey:
    """A 16-byte key and its version byte."""

    value: bytes
    version: int = 0


@dataclass(frozen=True, slots=True)
class AccessRights:
    """Who may use a file: four nibbles, 0..D a key number, E free, F never."""

    read: int
    write: int
    read_write: int
    change: int

    @staticmethod
    def from_wire(wire: bytes) -> "AccessRights":
        """Read the two bytes as sent, low byte first."""
        bits = int.from_bytes(wire, "little")
        return AccessRights(bits >> 12, bits >> 8 & 0xF, bits >> 4 & 0xF, bits & 0xF)

    def to_wire(self) -> bytes:
        """Return the two bytes as sent, low byte first."""
        bits = self.read << 12 | self.write << 8 | self.read_write << 4 | self.change
        return bits.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A standard data file, or a backup data file whose writes wait for CommitTransaction."""

    mode: CommMode
    rights: AccessRights
    content: bytes
    is_backup: bool


@dataclass(frozen=True, slots=True)
class ValueFile:
    """A signed 32-bit value between two limits; in this project, cents.

    `limited_credit` is what LimitedCredit may still give back: the debits of the newest transaction that had one.
    """

    mode: CommMode
    rights: AccessRights
    value: int
    lower: int
    upper: int
    limited_credit: int
    limited_credit_on: bool
    free_get_value: bool


@dataclass(frozen=True, slots=True)
class CyclicFile:
    """A cyclic record file, records oldest first; one place of `max_records` is the card's spare."""

    mode: CommMode
    rights: AccessRights
    record_b: int
    max_records: int
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TmacFile:
    """A transaction MAC file: counter and MAC of the newest transaction, and its reader id (TMRIPrev)."""

    mode: CommMode
    rights: AccessRights
    key: CardKey
    tmc: int = 0
    tmv: bytes = bytes(8)
    reader_id: bytes = bytes(16)

    @property
    def content(self) -> bytes:
        """The 12 bytes ReadData sees: TMC, low byte first, then TMV."""
        return self.tmc.to_bytes(4, "little") + self.tmv


CardFile = DataFile | ValueFile | CyclicFile | TmacFile


@dataclass(frozen=True, slots=True)
class Application:
    """One application: AES keys, key settings and files by number 00..1F."""

    aid: bytes
    key_settings: int
    keys: tuple[CardKey, ...]
    files: Mapping[int, CardFile] = field(default_factory=dict)
    has_iso_file_ids: bool = False
    iso_file_id: bytes = b""
    df_name: bytes = b""

    def with_file(self, number: int, file: CardFile) -> "Application":
        """The same application with one file added or replaced."""
        return replace(self, files={**self.files, number: file})

    def tmac_file(self) -> tuple[int, TmacFile] | None:
        """The transaction MAC file and its number, if the application has one."""
        for number, file in self.files.items():
            if isinstance(file, TmacFile):
                return number, file
        return None


@dataclass(frozen=True, slots=True)
class CardMemory:
    """The whole card. `picc_key_is_aes` is False on a blank card, whose master key is two-key triple DES.

    `configuration`: option → bytes, as set by SetConfiguration. `deleted_b`: bytes that deleted files still take.
    """

    uid: bytes
    generation: str = "EV3"
    picc_key: CardKey = CardKey(bytes(16))
    picc_key_is_aes: bool = False
    picc_key_settings: int = 0x0F
    originality_signature: bytes = bytes(56)
    configuration: Mapping[int, bytes] = field(default_factory=dict)
    applications: Mapping[bytes, Application] = field(default_factory=dict)
    deleted_b: int = 0

    @property
    def picc_configuration(self) -> int:
        """The bits FORMAT_DISABLED and RANDOM_ID."""
        return self.configuration.get(PICC_CONFIGURATION, b"\x00")[0]

    @property
    def is_random_id(self) -> bool:
        """Whether anticollision gives a new number each time instead of the UID."""
        return bool(self.picc_configuration & RANDOM_ID)

    def with_application(self, application: Application) -> "CardMemory":
        """The same card with one application added or replaced."""
        return replace(self, applications={**self.applications, application.aid: application})


def comm_mode(file_option: int) -> CommMode:
    """Read a file's option byte; 00 and 10 both mean plain."""
    if file_option & ~0x03:
        raise Refused(Status.PARAMETER_ERROR)
    return {0: CommMode.PLAIN, 1: CommMode.MAC, 2: CommMode.PLAIN, 3: CommMode.FULL}[file_option]
