"""What must be true of an issued card, asked of the card itself: nothing is free, nothing is the factory's, and every
key may do what it is for and no more. Also good for a card long in use; it is left as it was.

Source: docs/formats/card.md "File map and access rights"; MF2DL(H)x0 rev 3.3 §8.2.3 (rights), §11 (commands).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from domain.card_log import LogRecord
from domain.identity import FIRST_SLOT, LAST_SLOT, Station
from sync import crypto
from sync.card_format import (
    CARD_INFO_SIZE_B,
    ENTITLEMENT_PLACE_B,
    LOG_RECORD_SIZE_B,
    READER_ID_SIZE_B,
    decode_card_info,
    decode_log_record,
    decode_reader_id,
    encode_reader_id,
)
from sync.errors import FormatError
from sync.issuing import APPLICATION_MASTER, IDENTITY, LOAD, PICC_AID, TERMINALS, TERMINALS_2, TMAC_KEY, IssueOrder
from sync.tmac import previous_reader_id
from terminal.errors import CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.apdu import ISO_DEP, Answer, CardRefuses, Ins, Profile, Status, ask
from terminal.nfc.channel import Channel, Mode, select_application
from terminal.nfc.desfire_purse import CARD_INFO_FILE, ENTITLEMENT_FILE, LOG_FILE, TMAC_FILE
from terminal.nfc.issuing.card import CardAtStation, file_described, file_numbers, first_record_place, place
from terminal.nfc.issuing.chip import FACTORY_AES_KEY, CardNotBlank, has_factory_des_key
from terminal.nfc.issuing.layout import LOG_RECORDS, settings_of_all
from terminal.nfc.links import Link
from terminal.nfc.tmi import little

APPLICATION_SETTINGS: Final = bytes([0x09, 0x85])  # settings changeable with K0, nothing free; AES, five keys
PICC_SETTINGS: Final = bytes([0x09])
_KEYS: Final = (APPLICATION_MASTER, TERMINALS, TERMINALS_2, LOAD, IDENTITY)
_TMC_B, _TMV_B, _VALUE_B = 4, 8, 4
_ONE_CENT: Final = little(1, _VALUE_B)
_SIGNED_PART_B: Final = 32
_REFUSALS: Final = frozenset({Status.AUTHENTICATION_ERROR, Status.PERMISSION_DENIED})


class NotAsOrdered(CardMisbehaves):
    """A card of the programme on which something is not as ordered; to be formatted or thrown away."""


def check_issued(
    link: Link, order: IssueOrder, token: Callable[[int], bytes] = crypto.token, profile: Profile = ISO_DEP
) -> None:
    """All checks below, one after another; nothing is committed.

    Raises:
        CardNotBlank: issued under another order (another card id on the same chip).
        NotAsOrdered: what is wrong, in its message.
    """
    card = CardAtStation(link, order, token, profile)
    check_nothing_is_listed(card)
    check_factory_keys_are_gone(card)
    check_chip_settings(card)
    check_card_info(card)
    check_keys(card)
    check_terminals_cannot_credit(card)
    check_terminals_cannot_rewrite_card_info(card)
    check_proof_key(card)
    check_contents(card)
    check_application_settings(card)
    check_files(card)


def check_nothing_is_listed(card: CardAtStation) -> None:
    """Neither chip nor application lists to anybody what it holds."""
    select_application(card.link, PICC_AID)
    _expect_refusal(ask(card.link.exchange, Ins.GET_APPLICATION_IDS), "the chip lists its applications to anybody")
    select_application(card.link, card.order.aid)
    _expect_refusal(ask(card.link.exchange, Ins.GET_FILE_IDS), "the application lists its files to anybody")


def check_factory_keys_are_gone(card: CardAtStation) -> None:
    """No zero key opens chip or application."""
    if has_factory_des_key(card.link, card.token):
        raise NotAsOrdered("the chip still knows the factory's DES key")
    if _opens(partial(card.chip_session, FACTORY_AES_KEY)):
        raise NotAsOrdered("the chip still knows a key of zeros")
    for number in _KEYS:
        if _opens(partial(card.session, number, FACTORY_AES_KEY)):
            raise NotAsOrdered(f"key {number} of the application is still the factory's")


def check_keys(card: CardAtStation) -> None:
    """Every key of the order opens the application."""
    for number in _KEYS:
        if not _opens(partial(card.as_key, number)):
            raise NotAsOrdered(f"key {number} of the application is not the ordered one")


def check_chip_settings(card: CardAtStation) -> None:
    """Our key opens the chip; who may list, create and delete on it is only we; the programme is alone on it."""
    try:
        channel = card.as_chip()
    except (WrongKey, NotOurCard):
        raise NotAsOrdered("the chip's key is not the ordered one") from None
    if channel.send(Ins.GET_KEY_SETTINGS, mode=Mode.MAC, answer_b=2)[:1] != PICC_SETTINGS:
        raise NotAsOrdered("the chip's key settings are not as ordered")
    if channel.send(Ins.GET_APPLICATION_IDS, mode=Mode.MAC, answer_b=None) != card.order.aid:
        raise NotAsOrdered("the programme's application is not alone on the chip")


def check_application_settings(card: CardAtStation) -> None:
    """Who may list, create and delete files is only K0; five AES keys."""
    channel = card.as_key(APPLICATION_MASTER)
    if channel.send(Ins.GET_KEY_SETTINGS, mode=Mode.MAC, answer_b=2) != APPLICATION_SETTINGS:
        raise NotAsOrdered("the application's key settings are not as ordered")


def check_files(card: CardAtStation) -> None:
    """The files of the order and no other, each of the ordered kind, mode, rights, sizes and limits."""
    channel, wanted = card.as_key(APPLICATION_MASTER), settings_of_all(card.order.loaded)
    if file_numbers(channel) != tuple(sorted(wanted)):
        raise NotAsOrdered("files are missing, or there are more than ordered")
    for number, settings in wanted.items():
        if file_described(channel, number).settings != settings:
            raise NotAsOrdered(f"file {number:02X} is not as ordered")


def check_terminals_cannot_credit(card: CardAtStation) -> None:
    """K1 puts nothing into a slot, neither by Credit nor by LimitedCredit; tried, and never committed."""
    for ins in (Ins.CREDIT, Ins.LIMITED_CREDIT):
        if _is_taken(card, ins, bytes([FIRST_SLOT]), _ONE_CENT):
            raise NotAsOrdered("a terminal's key can credit a slot")


def check_terminals_cannot_rewrite_card_info(card: CardAtStation) -> None:
    """K1 does not write file 12; tried with the byte that stands there."""
    if _is_taken(card, card.profile.write_data, place(CARD_INFO_FILE, 1), card.order.card_info[:1]):
        raise NotAsOrdered("a terminal's key can rewrite the card info")


def check_card_info(card: CardAtStation) -> None:
    """File 12 says this card, byte for byte or in an earlier signature of ours; only K1 and K3 read it.

    Raises: CardNotBlank when another card id stands there.
    """
    channel = _as_ordered_key(card, TERMINALS)
    read, wanted = _first_bytes(card, channel, CARD_INFO_FILE, CARD_INFO_SIZE_B), card.order.card_info
    if read == wanted:
        return
    if read[2:10] != wanted[2:10]:
        raise CardNotBlank("issued under another card number")
    if read[:_SIGNED_PART_B] != wanted[:_SIGNED_PART_B] or not _is_signed(read, card.order):
        raise NotAsOrdered("the card info is not as ordered")


def check_proof_key(card: CardAtStation) -> None:
    """The card makes its proofs with the ordered key.

    CommitReaderID is answered under it (§10.3.2.4) with the reader id of the transaction before; nothing is committed.
    """
    channel = _as_ordered_key(card, TERMINALS)
    tmc = int.from_bytes(_first_bytes(card, channel, TMAC_FILE, _TMC_B + _TMV_B)[:_TMC_B], "little")
    previous = channel.send(
        Ins.COMMIT_READER_ID,
        encode_reader_id(Station(0), 0),
        mode=Mode.MAC,
        answer_mode=Mode.FULL if card.profile.is_reader_id_answer_full else Mode.MAC,
        answer_b=READER_ID_SIZE_B,
    )
    before = previous_reader_id(card.order.keys[TMAC_KEY], tmc + 1, card.order.uid, previous)
    if any(before) and decode_reader_id(before) is None:
        raise NotAsOrdered("the key of the card's proofs is not the ordered one")


def check_contents(card: CardAtStation) -> None:
    """A card that has not paid yet holds full slots, record 0 and nothing else."""
    channel = _as_ordered_key(card, TERMINALS)
    if any(_first_bytes(card, channel, TMAC_FILE, _TMC_B + _TMV_B)[:_TMC_B]):
        return
    for slot in range(FIRST_SLOT, LAST_SLOT + 1):
        value = channel.send(Ins.GET_VALUE, bytes([slot]), answer_b=_VALUE_B)
        if int.from_bytes(value, "little") != card.order.loaded:
            raise NotAsOrdered(f"slot {slot} does not hold what was ordered")
    if any(_first_bytes(card, channel, ENTITLEMENT_FILE, 1 + ENTITLEMENT_PLACE_B)):
        raise NotAsOrdered("an entitlement stands on a card that has not paid yet")
    record = channel.send(card.profile.read_records, first_record_place(LOG_FILE), answer_b=LOG_RECORD_SIZE_B)
    if not is_first_record(record, card.order.first_log_record):
        raise NotAsOrdered("the log does not begin with the record of issuing")
    log = file_described(card.as_key(APPLICATION_MASTER), LOG_FILE)
    if log.records != 1:
        raise NotAsOrdered(f"the log holds {log.records} of {LOG_RECORDS} records")


def is_first_record(written: bytes, ordered: LogRecord) -> bool:
    """Whether a record is record 0 of this card, though an order of another day had written it."""
    try:
        record = decode_log_record(written)
    except FormatError:
        return False
    return replace(record, minutes_at=ordered.minutes_at, rules_version=ordered.rules_version) == ordered


def _first_bytes(card: CardAtStation, channel: Channel, file: int, size_b: int) -> bytes:
    return channel.send(card.profile.read_data, place(file, size_b), answer_b=size_b)


def _is_signed(card_info: bytes, order: IssueOrder) -> bool:
    try:
        decode_card_info(card_info, order.uid, order.info_keys.get)
    except FormatError:
        return False
    return True


def _as_ordered_key(card: CardAtStation, number: int) -> Channel:
    try:
        return card.as_key(number)
    except WrongKey:
        raise NotAsOrdered(f"key {number} of the application is not the ordered one") from None


def _opens(authenticate: Callable[[], Channel]) -> bool:
    try:
        authenticate()
    except (WrongKey, NotOurCard):
        return False
    return True


def _is_taken(card: CardAtStation, ins: int, header: bytes, content: bytes) -> bool:
    """Whether the card takes a command under K1 that it must refuse for want of the right; another refusal says that
    the right is there (a full slot takes no credit from anybody).
    """
    try:
        _as_ordered_key(card, TERMINALS).send(ins, header, content)
    except CardRefuses as refusal:
        return refusal.status not in _REFUSALS
    return True


def _expect_refusal(answer: Answer, fault: str) -> None:
    if answer.status not in _REFUSALS:
        raise NotAsOrdered(fault)
