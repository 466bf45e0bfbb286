"""Makes a blank DESFire card the programme's: keys, files, first log record, and the TMAC file last.

The first keys travel under known zero keys, so this is done in a controlled place only. Source: MF2DL(H)x0 rev 3.3
§11.3-11.4; AN12343 rev 1.1 (its page 84, points 30 and 32, is wrong); docs/formats/card.md "Application layout".
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Callable
from typing import Final

from domain.identity import FIRST_SLOT, LAST_SLOT, Uid
from sync import crypto
from sync.card_format import CARD_INFO_SIZE_B, LOG_RECORD_SIZE_B, encode_log_record
from sync.issuing import (
    APPLICATION_MASTER,
    IDENTITY,
    LOAD,
    PICC_AID,
    PICC_MASTER,
    TERMINALS,
    TERMINALS_2,
    TMAC_KEY,
    IssueOrder,
)
from terminal.errors import CardFault, CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.apdu import Answer, CardRefuses, Ins, Status, ask, ask_once
from terminal.nfc.channel import Channel, Mode, authenticate_ev2_first, select_application
from terminal.nfc.desfire_purse import CARD_INFO_FILE, ENTITLEMENT_FILE, ENTITLEMENT_FILE_B, LOG_FILE, TMAC_FILE
from terminal.nfc.links import Link
from terminal.nfc.tmi import little

MOST_APDUS_TO_ISSUE: Final = 120
KEY_VERSION: Final = 1
_ZERO_AES_KEY: Final = bytes(16)
_ZERO_DES_KEY: Final = bytes(16)
_APPLICATION_SETTINGS: Final = bytes([0x09, 0x85])  # settings changeable with K0, nothing free; AES, five keys
_PICC_SETTINGS: Final = bytes([0x09])
_LOG_RECORDS: Final = 9  # eight can be read, one is being written
_AES_TMAC_KEY: Final = 0x02
_SLOT_RIGHTS, _OPEN_RIGHTS, _INFO_RIGHTS, _TMAC_RIGHTS = (
    bytes.fromhex(rights) for rights in ("301F", "F011", "301F", "101F")
)
_FULL: Final = bytes([Mode.FULL.value])
_NXP: Final = 0x04
_EV2: Final = 0x12
_VERSION_PARTS_B: Final = (7, 7, 14)


class CardNotBlank(CardFault):
    """The card is not as it left the factory; nothing was changed.

    Attributes:
        is_issued: it already has this programme's application.
    """

    def __init__(self, message: str, *, is_issued: bool) -> None:
        super().__init__(message)
        self.is_issued = is_issued


def read_uid(link: Link) -> Uid:
    """The 7-byte serial number of the chip that lies there; NotOurCard for any other."""
    return link.read_uid()


def issue(link: Link, order: IssueOrder, token: Callable[[int], bytes] = crypto.token) -> None:
    """Make the blank card on the reader the one the order describes. The link must allow MOST_APDUS_TO_ISSUE.

    Raises:
        CardNotBlank: already issued, or its first key was changed; nothing was changed.
        NotOurCard: another chip than the order's, or no DESFire EV2 or later; nothing was changed.
        CardFault, ReaderFault: broken off in the middle; the card cannot be used yet.
    """
    _check_chip(link, order)
    _check_not_issued(link, order)
    _own_the_chip(link, order, token)
    _create_application(link, order, token)
    _change_keys(link, order, token)
    _create_files(link, order, token)
    _write_card_info(link, order, token)
    _write_first_record(link, order, token)
    _create_tmac_file(link, order, token)
    check_settings(link, order, token)


def check_settings(link: Link, order: IssueOrder, token: Callable[[int], bytes] = crypto.token) -> None:
    """That an issued card gives nothing away for free and every key works.

    Raises: CardMisbehaves when a setting is not as ordered; WrongKey when a key is not.
    """
    select_application(link, PICC_AID)
    _expect_refusal(ask(link.exchange, Ins.GET_APPLICATION_IDS), "lists its applications to anybody")
    select_application(link, order.aid)
    _expect_refusal(ask(link.exchange, Ins.GET_FILE_IDS), "lists its files to anybody")
    for number in (TERMINALS, TERMINALS_2, LOAD, IDENTITY, APPLICATION_MASTER):
        channel = _in_application(link, order, number, token)
    if channel.send(Ins.GET_KEY_SETTINGS, mode=Mode.MAC, answer_b=2) != _APPLICATION_SETTINGS:
        raise CardMisbehaves("key settings are not as ordered")
    files = channel.send(Ins.GET_FILE_IDS, mode=Mode.MAC, answer_b=None)
    if sorted(files) != [*range(FIRST_SLOT, LAST_SLOT + 1), TMAC_FILE, LOG_FILE, ENTITLEMENT_FILE, CARD_INFO_FILE]:
        raise CardMisbehaves("files are not as ordered")


def _expect_refusal(answer: Answer, what: str) -> None:
    if answer.status not in (Status.AUTHENTICATION_ERROR, Status.PERMISSION_DENIED):
        raise CardMisbehaves(f"the card {what}")


def _check_chip(link: Link, order: IssueOrder) -> None:
    if link.read_uid() != order.uid:
        raise NotOurCard("another chip than the one ordered")
    select_application(link, PICC_AID)
    parts = _version(link)
    hardware, serial = parts[0], parts[2][:7]
    if hardware[0] != _NXP or hardware[3] < _EV2:
        raise NotOurCard("no DESFire EV2 or later")
    if serial not in (order.uid, bytes(7)):  # zeros when the chip shows a random number
        raise NotOurCard("the chip says another serial number than the reader")


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


def _check_not_issued(link: Link, order: IssueOrder) -> None:
    answer = ask_once(link.exchange, Ins.SELECT_APPLICATION, order.aid)
    if answer.status == Status.OK:
        raise CardNotBlank("the card already has the programme's application", is_issued=True)
    if answer.status != Status.APPLICATION_NOT_FOUND:
        raise CardRefuses(Ins.SELECT_APPLICATION, answer.status)
    select_application(link, PICC_AID)


def _own_the_chip(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    session_key = _authenticate_iso(link, token)
    plain = order.keys[PICC_MASTER] + bytes([KEY_VERSION])
    plain += _jamcrc32(bytes([Ins.CHANGE_KEY, PICC_MASTER]) + plain)
    enciphered = crypto.two_key_3des_cbc_encrypt(session_key, bytes(8), plain.ljust(24, b"\x00"))
    answer = ask(link.exchange, Ins.CHANGE_KEY, bytes([PICC_MASTER]) + enciphered)
    if answer.status != Status.OK:
        raise CardRefuses(Ins.CHANGE_KEY, answer.status)


def _authenticate_iso(link: Link, token: Callable[[int], bytes]) -> bytes:
    """AuthenticateISO (1A) with the factory's zero key; the IV is carried on from block to block.

    Returns: the session key, 16 bytes (two equal halves).
    """
    first = ask_once(link.exchange, Ins.AUTHENTICATE_ISO, b"\x00")
    if first.status != Status.MORE_FRAMES or len(first.data) != 8:
        raise CardNotBlank("the chip's first key is not the factory's", is_issued=False)
    rnd_a, rnd_b = token(8), crypto.two_key_3des_cbc_decrypt(_ZERO_DES_KEY, bytes(8), first.data)
    reply = crypto.two_key_3des_cbc_encrypt(_ZERO_DES_KEY, first.data, rnd_a + rnd_b[1:] + rnd_b[:1])
    second = ask_once(link.exchange, Ins.MORE, reply)
    if second.status != Status.OK or len(second.data) != 8:
        raise CardNotBlank("the chip's first key is not the factory's", is_issued=False)
    proof = crypto.two_key_3des_cbc_decrypt(_ZERO_DES_KEY, reply[-8:], second.data)
    if not hmac.compare_digest(proof, rnd_a[1:] + rnd_a[:1]):
        raise WrongKey("the chip does not prove that it knows the factory's key")
    return (rnd_a[:4] + rnd_b[:4]) * 2


def _create_application(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    channel = authenticate_ev2_first(link, order.keys[PICC_MASTER], 0, token)
    channel.send(Ins.CREATE_APPLICATION, order.aid + _APPLICATION_SETTINGS, mode=Mode.MAC)
    channel.send(Ins.CHANGE_KEY_SETTINGS, b"", _PICC_SETTINGS)


def _change_keys(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    select_application(link, order.aid)
    channel = authenticate_ev2_first(link, _ZERO_AES_KEY, APPLICATION_MASTER, token)
    for number in (TERMINALS, TERMINALS_2, LOAD, IDENTITY):
        new = order.keys[number]  # the old key is zeros: new ⊕ old = new
        channel.send(Ins.CHANGE_KEY, bytes([number]), new + bytes([KEY_VERSION]) + _jamcrc32(new))
    own = order.keys[APPLICATION_MASTER] + bytes([KEY_VERSION])
    channel.send(Ins.CHANGE_KEY, bytes([APPLICATION_MASTER]), own, is_session_over=True)


def _create_files(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    channel = _in_application(link, order, APPLICATION_MASTER, token)
    loaded = little(order.loaded, 4)
    for file in range(FIRST_SLOT, LAST_SLOT + 1):
        limits = bytes(4) + loaded + loaded + b"\x00"  # lower, upper, value, LimitedCredit off
        channel.send(Ins.CREATE_VALUE_FILE, bytes([file]) + _FULL + _SLOT_RIGHTS + limits, mode=Mode.MAC)
    records = little(LOG_RECORD_SIZE_B, 3) + little(_LOG_RECORDS, 3)
    channel.send(Ins.CREATE_CYCLIC_RECORD_FILE, bytes([LOG_FILE]) + _FULL + _OPEN_RIGHTS + records, mode=Mode.MAC)
    size = little(ENTITLEMENT_FILE_B, 3)
    channel.send(Ins.CREATE_BACKUP_FILE, bytes([ENTITLEMENT_FILE]) + _FULL + _OPEN_RIGHTS + size, mode=Mode.MAC)
    size = little(CARD_INFO_SIZE_B, 3)
    channel.send(Ins.CREATE_STANDARD_FILE, bytes([CARD_INFO_FILE]) + _FULL + _INFO_RIGHTS + size, mode=Mode.MAC)


def _write_card_info(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    assert len(order.card_info) == CARD_INFO_SIZE_B
    channel = _in_application(link, order, LOAD, token)
    channel.send(Ins.WRITE_DATA_CHAINED, _place(CARD_INFO_FILE, CARD_INFO_SIZE_B), order.card_info)


def _write_first_record(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    channel = _in_application(link, order, TERMINALS, token)
    record = encode_log_record(order.first_log_record)
    channel.send(Ins.WRITE_RECORD_CHAINED, _place(LOG_FILE, LOG_RECORD_SIZE_B), record)
    channel.send(Ins.COMMIT_TRANSACTION, mode=Mode.MAC)


def _create_tmac_file(link: Link, order: IssueOrder, token: Callable[[int], bytes]) -> None:
    channel = _in_application(link, order, APPLICATION_MASTER, token)
    header = bytes([TMAC_FILE]) + _FULL + _TMAC_RIGHTS + bytes([_AES_TMAC_KEY])
    channel.send(Ins.CREATE_TMAC_FILE, header, order.keys[TMAC_KEY] + bytes([KEY_VERSION]))


def _in_application(link: Link, order: IssueOrder, number: int, token: Callable[[int], bytes]) -> Channel:
    select_application(link, order.aid)
    return authenticate_ev2_first(link, order.keys[number], number, token)


def _place(file: int, size_b: int) -> bytes:
    return bytes([file]) + little(0, 3) + little(size_b, 3)


def _jamcrc32(data: bytes) -> bytes:
    """CRC-32 without its final inversion, as DESFire writes it: 4 bytes, least significant first."""
    return little(zlib.crc32(data) ^ 0xFFFFFFFF, 4)
