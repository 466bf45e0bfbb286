"""What an NTAG 424 DNA is to this program: its one application, its files, its numbers.

Sources: NT4H2421Gx §8.2 (application and files), §10.9 (ISO SELECT) by public descriptions; ISO 7816-4 §5.1.
"""

from __future__ import annotations

from typing import Final

from sync.ntag_format import DF_NAME, PURSE_FILE_B
from terminal.errors import CardGone, NotOurCard
from terminal.nfc.apdu import FIELD_LOST, Ins
from terminal.nfc.channel import Channel
from terminal.nfc.links import Link
from terminal.nfc.tmi import little

ENTITLEMENT_FILE, PURSE_FILE = 0x02, 0x03
ENTITLEMENT_FILE_B: Final = 256
READ_DATA, WRITE_DATA = Ins.READ_DATA_CHAINED, Ins.WRITE_DATA_CHAINED
"""The only instructions it has for file contents; chained by ISO-DEP."""

FILE_SIZES_B: Final = {ENTITLEMENT_FILE: ENTITLEMENT_FILE_B, PURSE_FILE: PURSE_FILE_B}
_SELECT: Final = bytes.fromhex("00A4040C") + bytes([len(DF_NAME)]) + DF_NAME + b"\x00"
_SELECTED: Final = b"\x90\x00"


def select_tag(link: Link) -> None:
    """Make the tag's application the current one; whatever was authenticated before is gone.

    Raises:
        NotOurCard: no NTAG 424 DNA.
        CardGone: the reader says that it lost the card.
    """
    answer = link.exchange(_SELECT)
    if answer in FIELD_LOST:
        raise CardGone("the reader lost the card")
    if answer != _SELECTED:
        raise NotOurCard("no card of this kind")


def read_file(channel: Channel, file: int, size_b: int) -> bytes:
    """The first ``size_b`` bytes of a file, enciphered on their way."""
    return channel.send(READ_DATA, _place(file, 0, size_b), answer_b=size_b)


def write_file(channel: Channel, file: int, offset: int, content: bytes) -> None:
    """Write at ``offset`` (bytes). It takes effect at once; torn, any part of it may."""
    channel.send(WRITE_DATA, _place(file, offset, len(content)), content)


def _place(file: int, offset: int, size_b: int) -> bytes:
    return bytes([file]) + little(offset, 3) + little(size_b, 3)
