"""A card on the issuing station's reader together with its order: the sessions that issuing and testing open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sync import crypto
from sync.issuing import PICC_AID, PICC_MASTER, IssueOrder
from terminal.nfc.apdu import ISO_DEP, Ins, Profile
from terminal.nfc.channel import Channel, Mode, authenticate_ev2_first, select_application
from terminal.nfc.issuing.layout import Described, described
from terminal.nfc.links import Link
from terminal.nfc.tmi import little

_MASTER = 0


@dataclass(frozen=True, slots=True)
class CardAtStation:
    """One card, what shall stand on it, a source of random bytes, and how such cards are spoken to."""

    link: Link
    order: IssueOrder
    token: Callable[[int], bytes] = field(default=crypto.token, repr=False)
    profile: Profile = ISO_DEP

    def as_chip(self) -> Channel:
        """A session with the chip under its own diversified key. Raises: WrongKey, CardFault, ReaderFault."""
        return self.chip_session(self.order.keys[PICC_MASTER])

    def chip_session(self, key: bytes) -> Channel:
        """The same under any key of 16 B."""
        select_application(self.link, PICC_AID)
        return authenticate_ev2_first(self.link, key, _MASTER, self.token)

    def as_key(self, number: int) -> Channel:
        """A session in the application under one of the card's keys. Raises as ``as_chip``, NotOurCard without one."""
        return self.session(number, self.order.keys[number])

    def session(self, number: int, key: bytes) -> Channel:
        """The same under any key of 16 B."""
        select_application(self.link, self.order.aid)
        return authenticate_ev2_first(self.link, key, number, self.token)


def file_numbers(channel: Channel) -> tuple[int, ...]:
    """Numbers of the files there, in order; the session is the application master's."""
    return tuple(sorted(channel.send(Ins.GET_FILE_IDS, mode=Mode.MAC, answer_b=None)))


def file_described(channel: Channel, number: int) -> Described:
    """One file as the card describes it; the session is the application master's."""
    return described(channel.send(Ins.GET_FILE_SETTINGS, bytes([number]), mode=Mode.MAC, answer_b=None))


def place(file: int, size_b: int) -> bytes:
    """The header of a read or write of a file's first ``size_b`` bytes."""
    return bytes([file]) + little(0, 3) + little(size_b, 3)


def first_record_place(file: int) -> bytes:
    """The header of a read of the newest record."""
    return bytes([file]) + little(0, 3) + little(1, 3)
