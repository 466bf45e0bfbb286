"""The steps of issuing. Each looks where the card stands and does only what is missing.

The card itself is the only memory: another station, or the same one after a power cut, goes on where the card was torn
away. Every step is one command that the card does wholly or not at all, or a write that is simply made again:

    chip's key → settings of the chip → application → K1 … K4 → K0 → files → card info → log record 0 → TMAC file

A key is known by who it lets in and by its version (the factory's is 0), a file by its description, record 0 by the
number of records, the end by the TMAC file. So no tear leads to a card that must be thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from sync import crypto
from sync.card_format import CARD_INFO_SIZE_B, LOG_RECORD_SIZE_B, encode_log_record
from sync.issuing import (
    APPLICATION_MASTER,
    IDENTITY,
    LOAD,
    PICC_MASTER,
    TERMINALS,
    TERMINALS_2,
    TMAC_KEY,
    IssueOrder,
)
from terminal.errors import NotOurCard, WrongKey
from terminal.nfc.apdu import ISO_DEP, CardRefuses, Ins, Profile, Status
from terminal.nfc.channel import Channel, Mode
from terminal.nfc.desfire_purse import CARD_INFO_FILE, LOG_FILE, TMAC_FILE
from terminal.nfc.issuing.card import CardAtStation, file_described, file_numbers, first_record_place, place
from terminal.nfc.issuing.chip import (
    FACTORY_AES_KEY,
    CardNotBlank,
    check_chip,
    jamcrc32,
    looks_blank,
    own_the_chip,
)
from terminal.nfc.issuing.layout import KEY_VERSION, FileOrder, files_before_proof, proof_file
from terminal.nfc.issuing.verification import (
    APPLICATION_SETTINGS,
    PICC_SETTINGS,
    NotAsOrdered,
    check_issued,
    is_first_record,
)
from terminal.nfc.links import Link

MOST_APDUS_TO_ISSUE: Final = 200


class Found(Enum):
    """How a card was found before it was finished."""

    BLANK = "blank"
    BEGUN = "begun"
    ISSUED = "issued"


def issue(
    link: Link, order: IssueOrder, token: Callable[[int], bytes] = crypto.token, profile: Profile = ISO_DEP
) -> Found:
    """Make the card on the reader the one the order describes, from wherever it stands, and test it.

    The link must allow MOST_APDUS_TO_ISSUE. A finished card of the order is only tested.

    Raises:
        CardNotBlank: a card of somebody else, or of another order; nothing was changed.
        NotOurCard: another chip than the order's, or no DESFire EV2 or later of 4 KB; nothing was changed.
        NotAsOrdered: finished or begun, but not as ordered; not by a tear. To be formatted or thrown away.
        CardFault, ReaderFault: broken off in the middle; the card cannot pay yet, and the same call goes on with it.
    """
    if check_chip(link) != order.uid:
        raise NotOurCard("another chip than the one ordered")
    card = CardAtStation(link, order, token, profile)
    try:
        found = _take_the_chip(card)
        is_finished = _personalise(card)
    except CardRefuses as refusal:
        if refusal.status == Status.OUT_OF_MEMORY:
            raise NotAsOrdered("no memory left on the chip: it held something else before") from refusal
        raise
    check_issued(link, order, token, profile)
    return Found.ISSUED if is_finished else found


def _take_the_chip(card: CardAtStation) -> Found:
    """Our key in the chip, its settings, the application."""
    found = Found.BEGUN
    channel = _as_owner(card)
    if channel is None:
        if not looks_blank(card.link):
            raise CardNotBlank("a chip with applications of somebody else")
        own_the_chip(card.link, card.order.keys[PICC_MASTER], card.token)
        channel, found = card.as_chip(), Found.BLANK
    applications = channel.send(Ins.GET_APPLICATION_IDS, mode=Mode.MAC, answer_b=None)
    if not applications:
        _settle(channel)
        channel.send(Ins.CREATE_APPLICATION, card.order.aid + APPLICATION_SETTINGS, mode=Mode.MAC)
    elif applications != card.order.aid:
        raise CardNotBlank("a chip with another application than the programme's")
    return found


def _as_owner(card: CardAtStation) -> Channel | None:
    """A session under our key of the chip, or ``None`` when it does not know it (any more or yet)."""
    try:
        return card.as_chip()
    except (WrongKey, NotOurCard):
        return None


def _settle(channel: Channel) -> None:
    settings = channel.send(Ins.GET_KEY_SETTINGS, mode=Mode.MAC, answer_b=2)
    if settings[:1] != PICC_SETTINGS:
        channel.send(Ins.CHANGE_KEY_SETTINGS, b"", PICC_SETTINGS)


def _personalise(card: CardAtStation) -> bool:
    """Everything inside the application; True when it was all there already."""
    channel = _as_master(card)
    numbers = file_numbers(channel)
    if TMAC_FILE in numbers:
        return True
    for file in files_before_proof(card.order.loaded):
        _create(channel, file, numbers)
    log = file_described(channel, LOG_FILE)
    _write_card_info(card)
    _write_first_record(card, log.records)
    _create_proof_file(card)
    return False


def _as_master(card: CardAtStation) -> Channel:
    """A session under K0 once all five keys are ours; K0 is changed last."""
    try:
        return card.as_key(APPLICATION_MASTER)
    except WrongKey:
        pass
    try:
        channel = card.session(APPLICATION_MASTER, FACTORY_AES_KEY)
    except WrongKey:
        raise NotAsOrdered("the application's master key is neither the factory's nor ours") from None
    _change_keys(channel, card.order)
    return card.as_key(APPLICATION_MASTER)


def _change_keys(channel: Channel, order: IssueOrder) -> None:
    for number in (TERMINALS, TERMINALS_2, LOAD, IDENTITY):
        version = channel.send(Ins.GET_KEY_VERSION, bytes([number]), mode=Mode.MAC, answer_b=1)
        if version[0] != KEY_VERSION:
            new = order.keys[number]  # the old key is zeros: new ⊕ old = new
            channel.send(Ins.CHANGE_KEY, bytes([number]), new + bytes([KEY_VERSION]) + jamcrc32(new))
    own = order.keys[APPLICATION_MASTER] + bytes([KEY_VERSION])
    channel.send(Ins.CHANGE_KEY, bytes([APPLICATION_MASTER]), own, is_session_over=True)


def _create(channel: Channel, file: FileOrder, numbers: tuple[int, ...]) -> None:
    if file.number not in numbers:
        channel.send(file.instruction, file.header, mode=Mode.MAC)
    elif file_described(channel, file.number).settings != file.settings:
        raise NotAsOrdered(f"file {file.number:02X} is not as ordered")


def _write_card_info(card: CardAtStation) -> None:
    wanted, whole = card.order.card_info, place(CARD_INFO_FILE, CARD_INFO_SIZE_B)
    assert len(wanted) == CARD_INFO_SIZE_B
    channel = card.as_key(LOAD)
    if channel.send(card.profile.read_data, whole, answer_b=CARD_INFO_SIZE_B) != wanted:
        channel.send(card.profile.write_data, whole, wanted)


def _write_first_record(card: CardAtStation, records: int) -> None:
    """Record 0 and its Commit; without the Commit the card has forgotten it."""
    channel = card.as_key(TERMINALS)
    if records == 0:
        record = encode_log_record(card.order.first_log_record)
        channel.send(card.profile.write_record, place(LOG_FILE, LOG_RECORD_SIZE_B), record)
        channel.send(Ins.COMMIT_TRANSACTION, mode=Mode.MAC)
        return
    written = channel.send(card.profile.read_records, first_record_place(LOG_FILE), answer_b=LOG_RECORD_SIZE_B)
    if records != 1 or not is_first_record(written, card.order.first_log_record):
        raise NotAsOrdered("the log does not begin with the record of issuing")


def _create_proof_file(card: CardAtStation) -> None:
    channel = card.as_key(APPLICATION_MASTER)
    file = proof_file()
    channel.send(file.instruction, file.header, card.order.keys[TMAC_KEY] + bytes([KEY_VERSION]))
