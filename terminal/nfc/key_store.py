"""The keys of the cards: opened in RAM, used to authenticate, never given away."""

from __future__ import annotations

from collections.abc import Callable

from sync import crypto
from sync.issuing import TERMINALS
from terminal.errors import NotOurCard
from terminal.nfc.channel import Channel, authenticate_ev2_first
from terminal.nfc.links import Link
from terminal.ports import CardKeys, CardRef


class KeyStore:
    """Authenticates with a card's own terminal key. Has no way to read a key out and says nothing about them."""

    __slots__ = ("_keys", "_token")

    def __init__(self, keys: CardKeys, token: Callable[[int], bytes] = crypto.token) -> None:
        """``token``: source of the random bytes of an authentication (seeded only in simulations)."""
        self._keys = keys
        self._token = token

    def __repr__(self) -> str:
        return "KeyStore()"

    def __reduce__(self) -> str:
        raise TypeError("a key store is not copied or written down")

    def authenticate(self, link: Link, card: CardRef) -> Channel:
        """A session with the application selected, under this card's key.

        Raises:
            NotOurCard: no key of this card is here.
            WrongKey, CardFault, ReaderFault: as ``authenticate_ev2_first``.
        """
        key = self._keys.key(card.card)
        if key is None:
            raise NotOurCard("no key of this card is here")
        return authenticate_ev2_first(link, key, TERMINALS, self._token)
