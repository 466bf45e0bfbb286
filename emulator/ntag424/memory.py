"""What a virtual NTAG 424 DNA remembers without power, and how it is delivered (NT4H2421Gx section 8.2.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emulator.memory import PICC_CONFIGURATION, RANDOM_ID, AccessRights, CardKey, CommMode

KEYS = 5
CC, NDEF, PROPRIETARY = 0x01, 0x02, 0x03
FILE_IDS = {0xE103: CC, 0xE104: NDEF, 0xE105: PROPRIETARY}
"""The files' ISO identifiers; their five low bits are the short ones."""


@dataclass(frozen=True, slots=True)
class NtagFile:
    """A standard data file of fixed size.

    `sdm`: the settings of secure dynamic messaging as sent, from SDMOptions on; empty when it is off. `read_counter`:
    SDMReadCtr, 0 to 2²⁴ - 1.
    """

    mode: CommMode
    rights: AccessRights
    content: bytes
    sdm: bytes = b""
    read_counter: int = 0


def _as_delivered() -> Mapping[int, NtagFile]:
    """File contents and settings of an unused tag; contents as tags in the shops answer them."""
    capabilities = bytes.fromhex("001720010000FF0406E104010000000506E10500808283")
    return {
        CC: NtagFile(CommMode.PLAIN, AccessRights.from_wire(b"\x00\xe0"), capabilities.ljust(32, b"\x00")),
        NDEF: NtagFile(CommMode.PLAIN, AccessRights.from_wire(b"\xe0\xee"), bytes(256)),
        PROPRIETARY: NtagFile(CommMode.FULL, AccessRights.from_wire(b"\x30\x23"), b"\x00\x7e".ljust(128, b"\x00")),
    }


@dataclass(frozen=True, slots=True)
class NtagMemory:
    """The whole tag. `configuration`: option → bytes, as last set by SetConfiguration."""

    uid: bytes
    originality_signature: bytes
    keys: tuple[CardKey, ...] = (CardKey(bytes(16)),) * KEYS
    files: Mapping[int, NtagFile] = field(default_factory=_as_delivered)
    configuration: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def is_random_id(self) -> bool:
        """Whether anticollision gives a new number each time instead of the UID."""
        return bool(self.configuration.get(PICC_CONFIGURATION, b"\x00")[0] & RANDOM_ID)

    def with_file(self, number: int, file: NtagFile) -> "NtagMemory":
        """The same tag with one file changed."""
        return replace(self, files={**self.files, number: file})

    def with_key(self, number: int, key: CardKey) -> "NtagMemory":
        """The same tag with one key changed."""
        return replace(self, keys=(*self.keys[:number], key, *self.keys[number + 1 :]))
