"""The keys of the cards: put in when the stall opens, used to authenticate, never given away.

Python hides nothing from code of the same process, nor from who reads its memory (docs/operating/key-store.md). What is
held here is that no call, attribute, copy or text of the store gives a key out, so that no mistake can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NoReturn

from domain.identity import CardId
from sync import crypto
from sync.issuing import TERMINALS
from terminal.errors import KeysAsleep, NotOurCard
from terminal.nfc.channel import Channel, authenticate_ev2_first
from terminal.nfc.links import Link
from terminal.ports import CardKeys, CardRef


class KeyRole(IntEnum):
    """Which of a card's keys to authenticate with; a terminal holds one of them. The values are the card's numbers."""

    TERMINALS = TERMINALS
    SECOND_GROUP = 2


def _never() -> bool:
    return False


class KeyStore:
    """Authenticates with the cards' own keys. Keys go in by ``take``; none comes out."""

    __slots__ = ("_authenticate", "_take")

    def __init__(
        self,
        keys: CardKeys | None = None,
        token: Callable[[int], bytes] = crypto.token,
        is_asleep: Callable[[], bool] = _never,
    ) -> None:
        """An empty store, or one over keys kept elsewhere (simulations, benchmarks).

        Args:
            token: source of the random bytes of an authentication (seeded only in simulations).
            is_asleep: whether the lease has run out; asked at every authentication.
        """
        self._authenticate, self._take = _closed_over(keys, token, is_asleep)

    def __repr__(self) -> str:
        return "KeyStore()"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key store is not copied or written down")

    def take(self, keys: Mapping[CardId, bytes]) -> None:
        """From now on the 16-byte keys of these cards and no others."""
        self._take(keys)

    def authenticate(self, link: Link, card: CardRef, role: KeyRole = KeyRole.TERMINALS) -> Channel:
        """A session with the application selected, under this card's key. Its session keys live in the channel only.

        Raises:
            KeysAsleep: the lease has run out; the card was not asked anything.
            NotOurCard: no such key of this card is here.
            WrongKey, CardFault, ReaderFault: as ``authenticate_ev2_first``.
        """
        return self._authenticate(link, card, role)


def _closed_over(
    outside: CardKeys | None, token: Callable[[int], bytes], is_asleep: Callable[[], bool]
) -> tuple[Callable[[Link, CardRef, KeyRole], Channel], Callable[[Mapping[CardId, bytes]], None]]:
    """The two things that reach the keys, which are in no attribute of any object."""
    inside: dict[CardId, bytes] = {}

    def authenticate(link: Link, card: CardRef, role: KeyRole) -> Channel:
        if is_asleep():
            raise KeysAsleep("the lease has run out")
        key = (inside.get(card.card) or (outside and outside.key(card.card))) if role is KeyRole.TERMINALS else None
        if not key:
            raise NotOurCard("no key of this card is here")
        return authenticate_ev2_first(link, key, role, token)

    def take(keys: Mapping[CardId, bytes]) -> None:
        inside.clear()
        inside.update(keys)

    return authenticate, take
