"""A card in a field before it is trusted (``ports.CardContact``), whatever reader it lies on."""

from __future__ import annotations

from domain.identity import Uid
from sync.ntag_format import gives_proof
from terminal.errors import NotOurCard
from terminal.nfc.apdu import ISO_DEP, Profile
from terminal.nfc.channel import select_application
from terminal.nfc.desfire_purse import DesfirePurse
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.nfc.ntag424.purse import Ntag424Purse
from terminal.nfc.ntag424.tag import select_tag
from terminal.ports import CardRef


class Contact:
    """One card for one tap; may be authenticated more than once, each time a new transaction."""

    __slots__ = ("_keys", "_link", "_profile", "_uid")

    def __init__(self, link: Link, uid: Uid, keys: KeyStore, profile: Profile = ISO_DEP) -> None:
        self._link = link
        self._uid = uid
        self._keys = keys
        self._profile = profile

    @property
    def uid(self) -> Uid:
        """Serial number of the chip, as the reader reports it: not to be trusted before authentication."""
        return self._uid

    @property
    def link(self) -> Link:
        """What it goes over; issuing and benches need it."""
        return self._link

    def authenticate(self, card: CardRef) -> DesfirePurse | Ntag424Purse:
        """Select the application of the kind of card the list names and authenticate with the card's own key.

        Raises: NotOurCard, WrongKey, CardGone, CardMisbehaves, ReaderLost, ReaderStuck.
        """
        if card.uid != self._uid:
            raise NotOurCard("another card")
        if not gives_proof(card.aid):
            select_tag(self._link)
            return Ntag424Purse(self._keys.authenticate(self._link, card), card.uid)
        select_application(self._link, card.aid)
        return DesfirePurse(self._keys.authenticate(self._link, card), self._profile)

    def close(self) -> None:
        """Let the card go; never raises a fault of card or reader."""
        self._link.close()


def meet(link: Link, keys: KeyStore, profile: Profile = ISO_DEP) -> Contact:
    """The contact with the card at the other end of a fresh link; lets it go again when it cannot be ours."""
    try:
        return Contact(link, link.read_uid(), keys, profile)
    except BaseException:
        link.close()
        raise
