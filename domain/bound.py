"""The most a theft of terminals can cost a programme (docs/operating/key-store.md): one formula, computed, published.

A thief who opens a stolen terminal has the keys of the cards it knew. He can show false cards to other terminals that
are offline, and sign voids that never were; he can credit nothing, sign no entitlement and forge no card's proof. Each
terminal he cheats holds three things against him, each counted since its last contact with the centre:

    its offline cap · per card its card cap · per card the known balance, with the voids it may have to believe

With genuine cards, or without a stolen terminal, nothing is paid beyond what was granted, whatever is offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.money import ZERO, Cents, total


@dataclass(frozen=True, slots=True)
class Terminals:
    """Terminals of one kind that may be offline while the theft is unknown.

    Attributes:
        name: of the kind, as people say it.
        count: how many.
        offline_cap: cents each takes between two contacts with the centre.
        card_cap: cents of these that one card may spend at each.
    """

    name: str
    count: int
    offline_cap: Cents
    card_cap: Cents


@dataclass(frozen=True, slots=True)
class Cards:
    """So many cards whose keys a stolen terminal knew, each with at most this known balance in cents."""

    count: int
    balance: Cents


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the bound is computed from.

    Attributes:
        stolen: terminals stolen and opened; 0 for none.
        terminals: that may be offline, the stolen ones among them.
        cards: whose keys the stolen ones knew.
        void_allowance: cents of voids the centre does not know yet that a terminal believes of one card.
        lease_days: days without contact after which an honest terminal takes no card any more.
    """

    stolen: int
    terminals: tuple[Terminals, ...]
    cards: tuple[Cards, ...]
    void_allowance: Cents = ZERO
    lease_days: int = 31

    def __post_init__(self) -> None:
        counts = [self.stolen, self.lease_days, self.void_allowance, *(cards.count for cards in self.cards)]
        counts += [number for kind in self.terminals for number in (kind.count, kind.offline_cap, kind.card_cap)]
        if min([*counts, *(cards.balance for cards in self.cards)]) < 0:
            raise ValueError("counts and amounts are not below zero")


@dataclass(frozen=True, slots=True)
class Share:
    """What terminals of one kind add to the bound.

    Attributes:
        terminals: of this kind.
        by_cards: cents all known cards together could spend at one of them, were there no offline cap.
        each: cents lost at one of them at most.
        loss: cents lost at all of them at most.
    """

    terminals: Terminals
    by_cards: Cents
    each: Cents
    loss: Cents

    @property
    def is_capped(self) -> bool:
        """Whether it is the offline cap that binds."""
        return self.each < self.by_cards


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound and its parts, in cents."""

    exposure: Exposure
    shares: tuple[Share, ...]

    @property
    def loss(self) -> Cents:
        """The most that is paid beyond what was granted."""
        return total(share.loss for share in self.shares)


def loss_bound(exposure: Exposure) -> Bound:
    """Σ over offline terminals of min(offline cap, Σ over known cards of min(balance + void allowance, card cap))."""
    return Bound(exposure, tuple(_share(kind, exposure) for kind in exposure.terminals))


def _share(kind: Terminals, exposure: Exposure) -> Share:
    if not exposure.stolen:
        return Share(kind, ZERO, ZERO, ZERO)
    by_cards = total(_by_one(cards.balance, kind, exposure) * cards.count for cards in exposure.cards)
    each = Cents(min(kind.offline_cap, by_cards))
    return Share(kind, by_cards, each, each * kind.count)


def _by_one(balance: Cents, kind: Terminals, exposure: Exposure) -> Cents:
    """What one card can spend at one terminal."""
    return Cents(min(balance + exposure.void_allowance, kind.card_cap))


def grouped(balances: Sequence[Cents]) -> tuple[Cards, ...]:
    """Cards by their balance, the greatest first."""
    return tuple(Cards(balances.count(balance), balance) for balance in sorted(set(balances), reverse=True))
