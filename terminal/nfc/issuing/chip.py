"""What lies on the reader before anything is trusted, and the change of the chip's own key.

Source: MF2DL(H)x0 rev 3.3 §11.2 (GetVersion); public descriptions of DESFire EV1 for AuthenticateISO and
ChangeKey under it; docs/formats/card.md.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Callable
from typing import Final

from domain.identity import Uid
from sync import crypto
from sync.issuing import PICC_AID, PICC_MASTER
from terminal.errors import CardFault, CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.apdu import CardRefuses, Ins, Status, ask, ask_once
from terminal.nfc.channel import select_application
from terminal.nfc.issuing.layout import KEY_VERSION
from terminal.nfc.links import Link
from terminal.nfc.tmi import little

FACTORY_AES_KEY: Final = bytes(16)
_FACTORY_DES_KEY: Final = bytes(16)
_NXP: Final = 0x04
_EV2: Final = 0x12
_FOUR_KB: Final = 0x18
_HARDWARE_VERSION, _STORAGE = 3, 5
_VERSION_PARTS_B: Final = (7, 7, 14)
_ISO_BLOCK_B: Final = 8


class CardNotBlank(CardFault):
    """Neither as it left the factory nor begun by this programme; nothing was changed."""


def read_uid(link: Link) -> Uid:
    """The 7-byte serial number of the chip that lies there; NotOurCard for any other."""
    return link.read_uid()


def check_chip(link: Link) -> Uid:
    """That a DESFire EV2 or later of 4 KB or more lies there; leaves the chip itself selected.

    Returns: its serial number.
    Raises: NotOurCard for any other chip; nothing was changed.
    """
    uid = link.read_uid()
    select_application(link, PICC_AID)
    parts = _version(link)
    hardware, serial = parts[0], parts[2][:7]
    if hardware[0] != _NXP or hardware[_HARDWARE_VERSION] < _EV2:
        raise NotOurCard("no DESFire EV2 or later")
    if hardware[_STORAGE] < _FOUR_KB:
        raise NotOurCard("a chip of less than 4 KB")
    if serial not in (uid, bytes(7)):  # zeros when the chip shows a random number
        raise NotOurCard("the chip says another serial number than the reader")
    return uid


def looks_blank(link: Link) -> bool:
    """Whether the chip tells anybody that it holds no application, as it leaves the factory.

    Every card of ours keeps that to itself from the step after its first key on.
    """
    select_application(link, PICC_AID)
    answer = ask(link.exchange, Ins.GET_APPLICATION_IDS)
    return answer.status == Status.OK and not answer.data


def _version(link: Link) -> list[bytes]:
    answer = ask_once(link.exchange, Ins.GET_VERSION)
    parts = [answer.data]
    while answer.status == Status.MORE_FRAMES and len(parts) < len(_VERSION_PARTS_B):
        answer = ask_once(link.exchange, Ins.MORE)
        parts.append(answer.data)
    if answer.status != Status.OK or len(parts) != len(_VERSION_PARTS_B):
        raise NotOurCard("no DESFire card")
    if any(len(part) < size_b for part, size_b in zip(parts, _VERSION_PARTS_B, strict=True)):
        raise CardMisbehaves("a version of another size")
    return parts


def own_the_chip(link: Link, key: bytes, token: Callable[[int], bytes]) -> None:
    """Put our AES key (16 B) in the place of the factory's first key.

    Raises: CardNotBlank: the first key is not the factory's; nothing was changed.
    """
    select_application(link, PICC_AID)
    session_key = _authenticate_iso(link, token)
    plain = key + bytes([KEY_VERSION])
    plain += jamcrc32(bytes([Ins.CHANGE_KEY, PICC_MASTER]) + plain)
    enciphered = crypto.two_key_3des_cbc_encrypt(session_key, bytes(_ISO_BLOCK_B), plain.ljust(24, b"\x00"))
    answer = ask(link.exchange, Ins.CHANGE_KEY, bytes([PICC_MASTER]) + enciphered)
    if answer.status != Status.OK:
        raise CardRefuses(Ins.CHANGE_KEY, answer.status)


def has_factory_des_key(link: Link, token: Callable[[int], bytes]) -> bool:
    """Whether the chip lets anybody in with the factory's zero key; changes nothing."""
    select_application(link, PICC_AID)
    try:
        _authenticate_iso(link, token)
    except (CardNotBlank, WrongKey):
        return False
    return True


def _authenticate_iso(link: Link, token: Callable[[int], bytes]) -> bytes:
    """AuthenticateISO (1A) with the factory's zero key; the IV is carried on from block to block.

    Returns: the session key, 16 bytes (two equal halves).
    """
    first = ask_once(link.exchange, Ins.AUTHENTICATE_ISO, b"\x00")
    if first.status != Status.MORE_FRAMES or len(first.data) != _ISO_BLOCK_B:
        raise CardNotBlank("the chip's first key is neither the factory's nor ours")
    rnd_a, rnd_b = token(8), crypto.two_key_3des_cbc_decrypt(_FACTORY_DES_KEY, bytes(_ISO_BLOCK_B), first.data)
    reply = crypto.two_key_3des_cbc_encrypt(_FACTORY_DES_KEY, first.data, rnd_a + rnd_b[1:] + rnd_b[:1])
    second = ask_once(link.exchange, Ins.MORE, reply)
    if second.status != Status.OK or len(second.data) != _ISO_BLOCK_B:
        raise CardNotBlank("the chip's first key is neither the factory's nor ours")
    proof = crypto.two_key_3des_cbc_decrypt(_FACTORY_DES_KEY, reply[-_ISO_BLOCK_B:], second.data)
    if not hmac.compare_digest(proof, rnd_a[1:] + rnd_a[:1]):
        raise WrongKey("the chip does not prove that it knows the factory's key")
    return (rnd_a[:4] + rnd_b[:4]) * 2


def jamcrc32(data: bytes) -> bytes:
    """CRC-32 without its final inversion, as DESFire writes it: 4 bytes, least significant first."""
    return little(zlib.crc32(data) ^ 0xFFFFFFFF, 4)
