"""The issuing station's desk: card after card is laid down, recognised, issued, tested, and named for its label."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.identity import CardId, Uid
from sync.errors import PanierError
from sync.issuing import IssueOrder
from sync.ntag_format import NTAG_AID
from terminal.errors import CardFault, ReaderFault
from terminal.nfc.apdu import ISO_DEP, Profile
from terminal.nfc.contact import Contact
from terminal.nfc.issuing.chip import CardNotBlank, check_chip, looks_blank
from terminal.nfc.issuing.originality import Originality, is_to_be_told
from terminal.nfc.issuing.personalise import MOST_APDUS_TO_ISSUE, Found, issue
from terminal.nfc.links import Link
from terminal.nfc.ntag424.issuing import is_blank_tag, is_tag, issue_tag
from terminal.ports import Clock, Deadline, Presence

BUDGET_S = 30.0
"""Enough for every APDU of issuing and testing on the slowest of readers; a card that hangs is left behind."""


class Registry(Protocol):
    """The centre's side (``central.office.Office``)."""

    def has_chip(self, uid: Uid) -> bool:
        """Whether the chip was ever taken into the programme."""
        ...

    def register_card(self, uid: Uid, aid: bytes | None = None) -> IssueOrder:
        """Take the chip in, or find it again, and say what to write on it; ``aid``: of its kind, if not the usual."""
        ...


class IssuingReaders(Protocol):
    """Any of the readers of ``terminal.nfc``."""

    def connect(self, presence: Presence, deadline: Deadline) -> Contact:
        """Contact with the card that was announced."""
        ...


@dataclass(frozen=True, slots=True)
class Issued:
    """A card that is finished and was tested.

    Attributes:
        at: aware UTC, minute of the order it was finished or tested under.
        is_origin_unproven: to be told: the chip shows no signature of its maker.
    """

    card: CardId
    programme: str
    at: datetime
    found: Found
    is_origin_unproven: bool


@dataclass(frozen=True, slots=True)
class NotIssued:
    """What lay there and why it is no finished card; ``uid`` and ``card`` as far as they became known."""

    fault: PanierError
    uid: Uid | None
    card: CardId | None


class Desk:
    """Serves one card at a time; all it remembers is on the card and at the centre."""

    __slots__ = ("_clock", "_originality", "_profile", "_readers", "_registry")

    def __init__(
        self,
        readers: IssuingReaders,
        clock: Clock,
        registry: Registry,
        originality: Originality,
        profile: Profile = ISO_DEP,
    ) -> None:
        self._readers = readers
        self._clock = clock
        self._registry = registry
        self._originality = originality
        self._profile = profile

    def serve(self, presence: Presence) -> Issued | NotIssued:
        """Issue what was laid down, or finish it, or recognise it; never raises a fault of card or reader."""
        contact: Contact | None = None
        order: IssueOrder | None = None
        try:
            contact = self._readers.connect(presence, self._clock.deadline(BUDGET_S))
            contact.link.allow(MOST_APDUS_TO_ISSUE)
            if is_tag(contact.link):
                is_unproven, order = True, self._order_of_tag(contact.link, contact.uid)
                found = issue_tag(contact.link, order)
            else:
                is_unproven = is_to_be_told(contact.link, check_chip(contact.link), self._originality)
                order = self._order(contact.link, contact.uid)
                found = issue(contact.link, order, profile=self._profile)
            return Issued(order.card, order.programme, order.first_log_record.minutes_at, found, is_unproven)
        except (CardFault, ReaderFault) as fault:
            return NotIssued(
                fault,
                uid=None if contact is None else contact.uid,
                card=None if order is None else order.card,
            )
        finally:
            if contact is not None:
                contact.close()

    def _order_of_tag(self, link: Link, uid: Uid) -> IssueOrder:
        """A tag's origin is not looked at: its payments are unproven and its limits low in any case."""
        if not self._registry.has_chip(uid) and not is_blank_tag(link):
            raise CardNotBlank("a tag that is neither blank nor of the programme")
        return self._registry.register_card(uid, NTAG_AID)

    def _order(self, link: Link, uid: Uid) -> IssueOrder:
        if not self._registry.has_chip(uid) and not looks_blank(link):
            raise CardNotBlank("a chip that is neither blank nor of the programme")
        return self._registry.register_card(uid)
