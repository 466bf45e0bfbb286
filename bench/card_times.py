"""How long the card itself takes for each command of a tap: published figures, and what had to be assumed.

No data sheet open to the public says it. The figures come from recorded exchanges of real cards, from the last bit of
the reader's frame to the first of the card's, and from a published table of transaction times. None was taken from
a DESFire EV3; where a figure of a DESFire is missing, a slower relative stands in and the entry says *assumed*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bench.radio import blocks
from bench.restored_card import COMMIT_TRANSACTION, Exchanged


class Basis(Enum):
    """What a figure rests on; the value is how it is said in French."""

    CARD = "carte seule"
    DERIVED = "carte seule, calculé"
    WHOLE = "avec lecteur et poste"
    ASSUMED = "supposé"


@dataclass(frozen=True, slots=True)
class Figure:
    """A duration in ms, what it rests on, and where it was published."""

    ms: float
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True)
class CommandTime:
    """The card's time for one instruction.

    Attributes:
        name: of the command.
        base: what it takes whatever its length, its MACs included.
        header_b: bytes of the command in front of the data, without the MAC; None: the base covers all.
        pages: pages programmed besides those of the data itself.
        holds_data: the data goes to the EEPROM.
    """

    name: str
    base: Figure
    header_b: int | None = None
    pages: int = 0
    holds_data: bool = False


_DESFIRE_TRACE: Final = "proxmark3, traces/hf_mfdes_sniff.trace : DESFire (carte SIO) et lecteur HID à 106 kbit/s"
_PLUS_TRACE: Final = "proxmark3, traces/hf_mfp_read_sc0_sl3.trace : MIFARE Plus SL3, AES"
_RATES_TABLE: Final = (
    "gorferay.com, « The use of higher data rates in applications », tableau 12 : DESFire, trames de 64 octets"
)

READ: Final = Figure(1.069, Basis.CARD, f"{_DESFIRE_TRACE}, ReadData de 5 octets avec MAC")
_LIKE_READ: Final = Figure(READ.ms, Basis.ASSUMED, "comme ReadData, dont la mesure est d'une DESFire")

NEXT_BLOCK: Final = Figure(
    1.08,
    Basis.DERIVED,
    f"{_RATES_TABLE} : 1 Kio en clair, moins l'air de ce modèle, par commande ; 0,88 à 1,08 ms selon le débit",
)
"""Each further block of a chained command or answer."""
CIPHER_BLOCK: Final = Figure(
    0.64, Basis.DERIVED, f"{_RATES_TABLE} : 1 Kio chiffré, 33 à 41 ms de plus qu'en clair selon le débit, par 16 octets"
)
"""Each 16 bytes enciphered or under a MAC."""
PAGE: Final = Figure(
    2.0,
    Basis.ASSUMED,
    "« fast programming cycles (erase/write) 1 ms », résumé du produit MF3D(H)x2 (smartcardamerica.com) ; "
    "compté 1 ms pour effacer et 1 ms pour écrire",
)
"""Each page programmed."""
PAGE_B: Final = 32
"""Bytes of a page: assumed. A larger page would mean fewer pages and less time."""
COMMIT_PAGES: Final = 2
"""Pages of the Transaction MAC file programmed at Commit, its counter and its value: assumed."""
MAC_B: Final = 8
STATUS_B: Final = 2
CIPHER_BLOCK_B: Final = 16

TIMES: Final = {
    0x5A: CommandTime("SelectApplication", Figure(0.772, Basis.CARD, _DESFIRE_TRACE)),
    0x71: CommandTime(
        "AuthenticateEV2First",
        Figure(
            17.740,
            Basis.ASSUMED,
            f"comme la première authentification de {_PLUS_TRACE} ; une DESFire en 3DES met 2,466 ms "
            "(hf_mfdes_sniff.trace)",
        ),
    ),
    0xAF: CommandTime(
        "AuthenticateEV2First, 2e partie",
        Figure(2.027, Basis.ASSUMED, f"comme en 3DES, {_DESFIRE_TRACE} ; MIFARE Plus en AES : 1,494 ms"),
    ),
    0xAD: CommandTime("ReadData (ISO)", READ, 7),
    0xBD: CommandTime("ReadData", READ, 7),
    0xAB: CommandTime("ReadRecords (ISO)", _LIKE_READ, 7),
    0xBB: CommandTime("ReadRecords", _LIKE_READ, 7),
    0x6C: CommandTime("GetValue", _LIKE_READ, 1),
    0xC8: CommandTime("CommitReaderID", _LIKE_READ, 0, pages=1),
    0xDC: CommandTime("Debit", _LIKE_READ, 1, pages=1),
    0x8B: CommandTime("WriteRecord (ISO)", _LIKE_READ, 7, pages=1, holds_data=True),
    0x3B: CommandTime("WriteRecord", _LIKE_READ, 7, pages=1, holds_data=True),
    0x8D: CommandTime("WriteData (ISO)", _LIKE_READ, 7, pages=1, holds_data=True),
    0x3D: CommandTime("WriteData", _LIKE_READ, 7, pages=1, holds_data=True),
    COMMIT_TRANSACTION: CommandTime("CommitTransaction", _LIKE_READ, 1, pages=COMMIT_PAGES),
}
"""By instruction byte. Commit programs one page more for each file the transaction has changed."""
CHANGING: Final = frozenset({0xDC, 0x8B, 0x3B, 0x8D, 0x3D})

COMPARISONS: Final = (
    (
        "5 commandes (2 SelectApplication, GetVersion en 3 parties)",
        Figure(92.768, Basis.WHOLE, "Stack Overflow 50622564 : DESFire EV1, libnfc et PN532"),
    ),
    (
        "1549 octets lus en plusieurs commandes",
        Figure(593.0, Basis.WHOLE, "Stack Overflow 33781600 : DESFire, Android, 424 kbit/s"),
    ),
    ("lire 1 Kio en clair, activation comprise, à 106", Figure(130.0, Basis.CARD, _RATES_TABLE)),
    ("lire 1 Kio en clair, activation comprise, à 424", Figure(52.0, Basis.CARD, _RATES_TABLE)),
)
"""Whole exchanges that others measured; no total uses them."""


def untimed(exchanged: Iterable[Exchanged]) -> list[int]:
    """Instructions that have no time here, in order; a total over them would be too small."""
    return sorted({one.instruction for one in exchanged} - TIMES.keys())


def card_ms(exchanged: Sequence[Exchanged]) -> float:
    """What the card itself takes for the APDUs of one card transaction, in ms; ``untimed`` ones count for nothing."""
    changed = {_file(one) for one in exchanged if one.instruction in CHANGING}
    commits = sum(one.instruction == COMMIT_TRANSACTION for one in exchanged)
    timed = [one for one in exchanged if one.instruction in TIMES]
    return sum(command_ms(one) for one in timed) + commits * len(changed) * PAGE.ms


def command_ms(one: Exchanged) -> float:
    """What the card takes for one APDU, in ms; without what Commit programs for each changed file.

    Raises: KeyError for an instruction that is not in the table.
    """
    time = TIMES[one.instruction]
    if time.header_b is None:
        return time.base.ms
    sent_b = max(one.apdu[4] - time.header_b - MAC_B, 0)
    answered_b = max(len(one.answer) - MAC_B - STATUS_B, 0)
    cipher_blocks = sent_b // CIPHER_BLOCK_B + answered_b // CIPHER_BLOCK_B
    pages = time.pages + (-(-_length(one) // PAGE_B) if time.holds_data else 0)
    further_blocks = len(blocks(len(one.apdu))) + len(blocks(len(one.answer))) - 2
    return time.base.ms + further_blocks * NEXT_BLOCK.ms + cipher_blocks * CIPHER_BLOCK.ms + pages * PAGE.ms


def _file(one: Exchanged) -> int:
    """File number, the first byte of the command's header."""
    return one.apdu[5]


def _length(one: Exchanged) -> int:
    """Bytes written, bytes 4 to 6 of the command's header, little-endian."""
    return int.from_bytes(one.apdu[9:12], "little")


def sources() -> list[tuple[str, str, Figure]]:
    """Every figure of the model, for people: instruction or empty, what it is of, and the figure."""
    commands = [(f"{instruction:02X}", time.name, time.base) for instruction, time in TIMES.items()]
    parts = [
        ("", "bloc de réponse suivant", NEXT_BLOCK),
        ("", "16 octets chiffrés", CIPHER_BLOCK),
        ("", f"page de {PAGE_B} octets programmée", PAGE),
    ]
    return commands + parts + [("", name, figure) for name, figure in COMPARISONS]
