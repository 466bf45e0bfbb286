"""ports.Lists and ports.CardKeys that never change: for training, benchmarks, simulations and tests. No files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.identity import CardId, Station, Uid
from domain.rule_set import Merchant, RuleSet
from sync.card_format import SignedEntitlement, decode_entitlement
from sync.crypto import PublicKey
from sync.signed_lists import SlipKey, key_for
from terminal.ports import CardRef, ListsState


@dataclass(frozen=True, slots=True)
class FixedLists:
    """What the centre would have sent.

    Attributes:
        rule_set, entry: the rules and the merchant's line.
        refs: cards of the key list by chip.
        card_keys: 16-byte keys by card.
        key_of: public entitlement key for a key id.
        entitlements: by card, verified.
        hot_list: cards to refuse.
        signed_at: when the lists were signed, aware UTC.
        slip_keys: device keys of the terminals by station.
    """

    rule_set: RuleSet
    entry: Merchant
    refs: Mapping[Uid, CardRef]
    card_keys: Mapping[CardId, bytes] = field(repr=False)
    key_of: Callable[[int], PublicKey | None]
    signed_at: datetime
    entitlements: Mapping[CardId, SignedEntitlement] = field(default_factory=dict)
    hot_list: frozenset[CardId] = frozenset()
    slip_keys: Mapping[Station, SlipKey] = field(default_factory=dict)

    def rules(self) -> RuleSet:
        """The rule set in force."""
        return self.rule_set

    def merchant(self) -> Merchant:
        """The merchant's line."""
        return self.entry

    def state(self) -> ListsState:
        """Versions and age."""
        return ListsState(self.rule_set.version, 1, self.signed_at)

    def card(self, uid: Uid) -> CardRef | None:
        """The card with this chip."""
        return self.refs.get(uid)

    def entitlement(self, card: CardId) -> SignedEntitlement | None:
        """The newest one held."""
        return self.entitlements.get(card)

    def read_entitlement(self, data: bytes, uid: Uid) -> SignedEntitlement:
        """One read from a card, verified."""
        return decode_entitlement(data, uid, self.key_of)

    def is_on_hot_list(self, card: CardId) -> bool:
        """Whether the card is to be refused."""
        return card in self.hot_list

    def slip_key(self, station: Station, seq: int) -> PublicKey | None:
        """Key of the terminal that signs as that station."""
        return key_for(self.slip_keys.get(station), seq)

    def key(self, card: CardId) -> bytes | None:
        """The card's key (ports.CardKeys)."""
        return self.card_keys.get(card)
