"""What a till waits for: one value at a time."""

from __future__ import annotations

from dataclasses import dataclass

from domain.basket import Basket
from domain.decision import Announcement
from domain.identity import CardId
from domain.money import Cents
from terminal.events import Stopped
from terminal.ports import PastPayment


@dataclass(frozen=True, slots=True)
class Sale:
    """What is being paid: the caller's number, the basket and what was announced."""

    sale: int
    basket: Basket
    announced: Announcement


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is being paid."""


@dataclass(frozen=True, slots=True)
class ToConfirm:
    """A large sum waits for one key."""

    sale: Sale


@dataclass(frozen=True, slots=True)
class AwaitingCard:
    """A card may be laid down.

    Attributes:
        paid_twice_by: has agreed to pay the same once more.
        is_misread: a card gave an answer none of ours gives; the next such one is not tried again.
    """

    sale: Sale
    paid_twice_by: CardId | None = None
    is_misread: bool = False


@dataclass(frozen=True, slots=True)
class SplitOffered:
    """The holder is asked whether the card pays a part; ``is_accepted`` until the same card is there."""

    sale: Sale
    card: CardId
    by_card: Cents
    until_ns: int
    is_accepted: bool = False


@dataclass(frozen=True, slots=True)
class TwiceAsked:
    """The same card paid the same sum a moment ago: once more?"""

    sale: Sale
    card: CardId


@dataclass(frozen=True, slots=True)
class Verifying:
    """Commit was not answered: the same card is awaited. ``offer`` was agreed to, if there was a split."""

    sale: Sale
    card: CardId
    amount: Cents
    seq: int
    offer: SplitOffered | None = None


@dataclass(frozen=True, slots=True)
class ToBeSeen:
    """An outcome waits for the cashier's *Entrée*."""

    seq: int


@dataclass(frozen=True, slots=True)
class BalanceAsked:
    """The next tap shows what is available."""

    sale: int


@dataclass(frozen=True, slots=True)
class AwaitingVoid:
    """The card that made this payment may be laid down."""

    sale: int
    payment: PastPayment


@dataclass(frozen=True, slots=True)
class VerifyingVoid:
    """Commit of a void was not answered: the same card is awaited; ``seq`` of the IN_DOUBT record."""

    sale: int
    payment: PastPayment
    seq: int


@dataclass(frozen=True, slots=True)
class Halted:
    """No card is taken any more until the program is started again."""

    stopped: Stopped


Standing = (
    Idle
    | ToConfirm
    | AwaitingCard
    | SplitOffered
    | TwiceAsked
    | Verifying
    | ToBeSeen
    | BalanceAsked
    | AwaitingVoid
    | VerifyingVoid
    | Halted
)
