"""Makes a blank NTAG 424 DNA the programme's, takes up one that was torn away in the middle, and tests the result.

    K1 … K4 → K0 → rights of the two files → entitlement place emptied → purse file

Each step looks where the tag stands. A key is known by who it lets in and by its version (the factory's is 0), the end
by the purse file: once a half of it counts, nothing is written any more. The first keys travel under known zero keys,
so this is done in a controlled place only.

Sources: NT4H2421Gx §8.2.3 (rights), §10.5 (ChangeKey), §10.7 (file settings) by public descriptions; AN12196.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sync import crypto
from sync.card_format import ENTITLEMENT_PLACE_B, encode_log_record
from sync.issuing import APPLICATION_MASTER, IDENTITY, LOAD, TERMINALS, TERMINALS_2, IssueOrder
from sync.ntag_format import NTAG_AID, PURSE_FILE_B, first_purse_file, is_purse_file
from terminal.errors import NotOurCard, WrongKey
from terminal.nfc.apdu import Ins, Status, ask
from terminal.nfc.channel import Channel, Mode, authenticate_ev2_first
from terminal.nfc.issuing.chip import FACTORY_AES_KEY, CardNotBlank, jamcrc32
from terminal.nfc.issuing.layout import KEY_VERSION, FileSettings, Kind, described
from terminal.nfc.issuing.personalise import Found
from terminal.nfc.issuing.verification import NotAsOrdered
from terminal.nfc.links import Link
from terminal.nfc.ntag424.tag import ENTITLEMENT_FILE, FILE_SIZES_B, PURSE_FILE, read_file, select_tag, write_file
from terminal.nfc.tmi import little

_CHANGE_FILE_SETTINGS: Final = 0x5F
_RIGHTS: Final = bytes.fromhex("F011")  # read and write K1, nobody both, change K0
_FULL: Final = Mode.FULL.value
_OTHER_KEYS: Final = (TERMINALS, TERMINALS_2, LOAD, IDENTITY)
_VERSION_B: Final = 28
_NXP_NTAG: Final = bytes([0x04, 0x04])
_NTAG_424: Final = 0x30
_HARDWARE_MAJOR: Final = 3


@dataclass(frozen=True, slots=True)
class TagAtStation:
    """One tag, what shall stand on it, and a source of random bytes."""

    link: Link
    order: IssueOrder
    token: Callable[[int], bytes] = field(default=crypto.token, repr=False)

    def session(self, number: int, key: bytes | None = None) -> Channel:
        """A session under the ordered key of that number, or under another one (16 B). WrongKey, CardFault."""
        select_tag(self.link)
        return authenticate_ev2_first(self.link, key or self.order.keys[number], number, self.token)

    def opens(self, number: int, key: bytes | None = None) -> bool:
        """Whether a key lets in."""
        try:
            self.session(number, key)
        except WrongKey:
            return False
        return True


def is_tag(link: Link) -> bool:
    """Whether an NTAG 424 DNA lies there: it has the application of its kind, which no card of the programme has."""
    try:
        select_tag(link)
    except NotOurCard:
        return False
    return True


def is_blank_tag(link: Link) -> bool:
    """Whether the tag still opens with the factory's first key."""
    select_tag(link)
    try:
        authenticate_ev2_first(link, FACTORY_AES_KEY, APPLICATION_MASTER)
    except WrongKey:
        return False
    return True


def issue_tag(link: Link, order: IssueOrder, token: Callable[[int], bytes] = crypto.token) -> Found:
    """Make the tag on the reader the one the order describes, from wherever it stands, and test it.

    The order's application id is NTAG_AID; its card info has no place on a tag.

    Raises:
        CardNotBlank: a tag of somebody else; nothing was changed.
        NotOurCard: another chip than the order's, or no NTAG 424 DNA; nothing was changed.
        NotAsOrdered: not as ordered, and not by a tear.
        CardFault, ReaderFault: broken off in the middle; the same call goes on with it.
    """
    assert order.aid == NTAG_AID, "an order for another kind of card"
    _check_chip(link, order)
    tag = TagAtStation(link, order, token)
    found = _take_keys(tag)
    _close_files(tag)
    if _put_purse(tag):
        found = Found.ISSUED
    check_issued_tag(link, order, token)
    return found


def check_issued_tag(link: Link, order: IssueOrder, token: Callable[[int], bytes] = crypto.token) -> None:
    """Nothing is the factory's, every key and file is as ordered, a purse stands there. Changes nothing.

    Raises: NotAsOrdered, with what is wrong.
    """
    tag = TagAtStation(link, order, token)
    for number in (APPLICATION_MASTER, *_OTHER_KEYS):
        if tag.opens(number, FACTORY_AES_KEY):
            raise NotAsOrdered(f"key {number} is still the factory's")
        if not tag.opens(number):
            raise NotAsOrdered(f"key {number} is not the ordered one")
    channel = tag.session(APPLICATION_MASTER)
    for file in FILE_SIZES_B:
        if _settings(channel, file) != _wanted(file):
            raise NotAsOrdered(f"file {file:02X} is not as ordered")
    if not is_purse_file(read_file(tag.session(TERMINALS), PURSE_FILE, PURSE_FILE_B), order.uid):
        raise NotAsOrdered("no purse stands on the tag")


def _check_chip(link: Link, order: IssueOrder) -> None:
    uid = link.read_uid()
    select_tag(link)
    answer = ask(link.exchange, Ins.GET_VERSION)
    if answer.status != Status.OK or len(answer.data) < _VERSION_B:
        raise NotOurCard("no NTAG 424 DNA")
    if answer.data[:2] != _NXP_NTAG or answer.data[_HARDWARE_MAJOR] != _NTAG_424:
        raise NotOurCard("no NTAG 424 DNA")
    if uid != order.uid or answer.data[14:21] not in (uid, bytes(7)):
        raise NotOurCard("another chip than the one ordered")


def _take_keys(tag: TagAtStation) -> Found:
    """All five keys ours; K0 is changed last, so it tells whether the others are."""
    if tag.opens(APPLICATION_MASTER):
        return Found.BEGUN
    try:
        channel = tag.session(APPLICATION_MASTER, FACTORY_AES_KEY)
    except WrongKey:
        raise CardNotBlank("the tag's master key is neither the factory's nor ours") from None
    found = Found.BLANK
    for number in _OTHER_KEYS:
        if channel.send(Ins.GET_KEY_VERSION, bytes([number]), mode=Mode.MAC, answer_b=1)[0] == KEY_VERSION:
            found = Found.BEGUN
            continue
        new = tag.order.keys[number]  # the old key is zeros: new ⊕ old = new
        channel.send(Ins.CHANGE_KEY, bytes([number]), new + bytes([KEY_VERSION]) + jamcrc32(new))
    own = tag.order.keys[APPLICATION_MASTER] + bytes([KEY_VERSION])
    channel.send(Ins.CHANGE_KEY, bytes([APPLICATION_MASTER]), own, is_session_over=True)
    return found


def _close_files(tag: TagAtStation) -> None:
    channel = tag.session(APPLICATION_MASTER)
    for file in FILE_SIZES_B:
        if _settings(channel, file) != _wanted(file):
            channel.send(_CHANGE_FILE_SETTINGS, bytes([file]), bytes([_FULL]) + _RIGHTS)


def _put_purse(tag: TagAtStation) -> bool:
    """The first state of the purse; True when one stood there already."""
    channel, order = tag.session(TERMINALS), tag.order
    if is_purse_file(read_file(channel, PURSE_FILE, PURSE_FILE_B), order.uid):
        return True
    write_file(channel, ENTITLEMENT_FILE, 0, bytes(ENTITLEMENT_PLACE_B))
    first = first_purse_file(order.loaded, encode_log_record(order.first_log_record), order.uid)
    write_file(channel, PURSE_FILE, 0, first)
    return False


def _settings(channel: Channel, file: int) -> FileSettings:
    answer = channel.send(Ins.GET_FILE_SETTINGS, bytes([file]), mode=Mode.MAC, answer_b=None)
    return described(answer).settings


def _wanted(file: int) -> FileSettings:
    return FileSettings(Kind.STANDARD, _FULL, _RIGHTS, little(FILE_SIZES_B[file], 3))
