"""Every port one till works with, and what it can say of time and of a card before it reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from domain.days import Days, days_of
from domain.identity import Uid
from domain.reason import Reason
from terminal.ports import (
    CardContact,
    CardRef,
    Clock,
    Journal,
    Lists,
    Presence,
    Readers,
    Signer,
    Stamp,
    TerminalIdentity,
    TimeKeeper,
)
from terminal.two_clocks import TwoClocks, two_clocks

TAP_BUDGET_S: Final = 1.5
"""Seconds from the card's coming to the till's answer, at most. The cashier's 2 s begin earlier, when the card is laid
down: PC/SC looks into a field every 0.4 s, and the card must be powered. A tap needs far less: modelled 150 to 250 ms,
with a published slow reader (15.8 ms more an APDU) 0.3 to 0.5 s; the 40 APDUs a tap may send at most, some 1.3 s.
"""


@dataclass(frozen=True, slots=True)
class World:
    """Every port one till works with."""

    identity: TerminalIdentity
    clock: Clock
    times: TimeKeeper
    readers: Readers
    journal: Journal
    lists: Lists
    signer: Signer
    has_working_rtc: bool = True


def clocks_now(world: World) -> TwoClocks:
    """The two clocks now."""
    return two_clocks(world.times.anchor(), world.clock.now(), has_working_rtc=world.has_working_rtc)


def days_now(world: World) -> Days:
    """The earliest and the latest day it can be, in the programme's time zone."""
    clocks = clocks_now(world)
    return days_of(clocks.t_lo, clocks.t_late, ZoneInfo(world.lists.rules().timezone))


def stamp_now(world: World, clocks: TwoClocks) -> Stamp:
    """Time and versions for a record written now."""
    state = world.lists.state()
    return Stamp(world.clock.now(), clocks.t_lo, clocks.t_late, state.rules_version, state.hot_list_version)


def lists_age_days(world: World, clocks: TwoClocks) -> int:
    """Whole days since the lists were signed, by the latest time."""
    return max((clocks.t_late - world.lists.state().signed_at).days, 0)


@contextmanager
def met(world: World, presence: Presence) -> Iterator[tuple[CardContact, CardRef | Reason]]:
    """The card that lies there, and who it is in the key list (or why it cannot pay here), for one tap.

    Raises:
        CardFault, ReaderFault: it cannot be reached.
    """
    contact = world.readers.connect(presence, world.clock.deadline(TAP_BUDGET_S))
    try:
        yield contact, known_card(world, contact.uid)
    finally:
        contact.close()


def known_card(world: World, uid: Uid) -> CardRef | Reason:
    """The card of the key list with this chip, or why it cannot pay here."""
    ref = world.lists.card(uid)
    if ref is None:
        return Reason.CARD_UNKNOWN
    return ref if ref.programme == world.identity.programme else Reason.OTHER_PROGRAMME
