"""The maker's signature over a chip's serial number: tells a chip of NXP's from an imitation with an invented number.

It can be read from one chip and shown by another, so it proves nothing about a card in use; it keeps cheap imitations
out of the stock. Source: AN12196 §7.2 and AN11350 (Read_Sig 3C 00, ECDSA on P-224 over the 7 bytes themselves); the
public keys as published there and in the proxmark3 project's list of makers' keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from domain.identity import Uid
from sync.crypto import verify_p224_unhashed
from sync.errors import BadSignature
from sync.issuing import PICC_AID
from terminal.errors import CardFault
from terminal.nfc.apdu import Ins, Status, ask
from terminal.nfc.channel import select_application
from terminal.nfc.links import Link

_SIGNATURE_FOLLOWS: Final = 0x90  # Read_Sig says so instead of 00
_DESFIRE_EV2: Final = (
    "04B304DC4C615F5326FE9383DDEC9AA892DF3A57FA7FFB3276192BC0EAA252ED45A865E3B093A3D0DCE5BE29E92F1392CE7DE321E3E5C52B3A"
)
_DESFIRE_EV2_AND_NTAG_424: Final = (
    "048A9B380AF2EE1B98DC417FECC263F8449C7625CECE82D9B916C992DA209D68422B81EC20B65A66B5102A61596AF3379200599316A00A1410"
)
_DESFIRE_EV2_XL: Final = (
    "04CD5D45E50B1502F0BA4656FF37669597E7E183251150F9574CC8DA56BF01C7ABE019E29FEA48F9CE22C3EA4029A765E1BC95A89543BAD1BC"
)
_DESFIRE_EV3: Final = (
    "041DB46C145D0A36539C6544BD6D9B0AA62FF91EC48CBC6ABAE36E0089A46F0D08C8A715EA40A63313B92E90DDC1730230E0458A33276FB743"
)
NXP_KEYS: Final = tuple(
    bytes.fromhex(key) for key in (_DESFIRE_EV3, _DESFIRE_EV2, _DESFIRE_EV2_AND_NTAG_424, _DESFIRE_EV2_XL)
)


class NotGenuine(CardFault):
    """The chip does not show a signature of its maker over its serial number; nothing was changed."""


class Policy(Enum):
    """What becomes of a chip without the maker's signature."""

    REQUIRED = "required"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Originality:
    """How strictly chips are taken, and whose signatures count (public keys, 57-byte points)."""

    policy: Policy = Policy.REQUIRED
    keys: tuple[bytes, ...] = NXP_KEYS


def is_to_be_told(link: Link, uid: Uid, originality: Originality) -> bool:
    """Whether a person must be told that the chip does not prove its origin; True under ``WARN`` only.

    Raises: NotGenuine under ``REQUIRED``; CardGone, CardMisbehaves, ReaderFault.
    """
    if originality.policy is Policy.OFF:
        return False
    try:
        check_originality(link, uid, originality.keys)
    except NotGenuine:
        if originality.policy is Policy.REQUIRED:
            raise
        return True
    return False


def check_originality(link: Link, uid: Uid, keys: tuple[bytes, ...] = NXP_KEYS) -> None:
    """That one of the makers' keys signed this chip's number. Raises: NotGenuine; leaves the chip itself selected."""
    select_application(link, PICC_AID)
    answer = ask(link.exchange, Ins.READ_SIGNATURE, b"\x00")
    if answer.status not in (Status.OK, _SIGNATURE_FOLLOWS):
        raise NotGenuine("the chip shows no signature of its maker")
    if not any(_is_signed(key, uid, answer.data) for key in keys):
        raise NotGenuine("the chip's signature is not its maker's")


def _is_signed(key: bytes, uid: Uid, signature: bytes) -> bool:
    try:
        verify_p224_unhashed(key, uid, signature)
    except BadSignature:
        return False
    return True
