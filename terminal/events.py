"""What happens to a till and what it says: the same stream drives the screen, ``--json`` and simulations.

Words that go in (``Inward``) come from keys, readers and clocks; words that come out (``Outward``) are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.basket import Basket
from domain.decision import LineDecision
from domain.money import ZERO, Cents
from domain.reason import Reason
from sync.record import Outcome, RecordType
from terminal.ports import Durable, Instant, Presence

# --- in --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sell:
    """The cashier asks for payment of a basket; ``sale`` names it in every answer."""

    sale: int
    basket: Basket


@dataclass(frozen=True, slots=True)
class Accept:
    """*Entrée* on a card screen: agreed, confirmed, seen, once more."""


@dataclass(frozen=True, slots=True)
class Back:
    """``-`` on a card screen: no, go back to the sale."""


@dataclass(frozen=True, slots=True)
class AskBalance:
    """The holder wishes to see what is available: the next tap shows it and debits nothing."""

    sale: int


@dataclass(frozen=True, slots=True)
class AskVoid:
    """The cashier wishes to undo a payment: the newest, or the one of journal number ``seq``."""

    sale: int
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class CardPresented:
    """A card was laid into a field."""

    presence: Presence


@dataclass(frozen=True, slots=True)
class CardRemoved:
    """The card left the field."""

    presence: Presence


@dataclass(frozen=True, slots=True)
class CardsClash:
    """More than one card lies on the reader."""

    reader: str


@dataclass(frozen=True, slots=True)
class ReaderCame:
    """A reader can be used (again): also after a ReaderFault alone has told that it cannot."""

    reader: str


@dataclass(frozen=True, slots=True)
class ReaderWent:
    """A reader cannot be used any more, or none was there to begin with; ``is_stuck`` when it hangs and must be
    replugged.
    """

    reader: str
    is_stuck: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed (at least one a second while a card screen stands)."""


@dataclass(frozen=True, slots=True)
class ListsChanged:
    """A download was applied, or an answer came."""


Inward = (
    Sell
    | Accept
    | Back
    | AskBalance
    | AskVoid
    | CardPresented
    | CardRemoved
    | CardsClash
    | ReaderCame
    | ReaderWent
    | Tick
    | ListsChanged
)

# --- out -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing is being paid: the sale screen."""


@dataclass(frozen=True, slots=True)
class ConfirmAmount:
    """The sum is above the set one: *Entrée* first. Cents."""

    sale: int
    amount: Cents


@dataclass(frozen=True, slots=True)
class PresentCard:
    """« Présentez la carte »: cents the card will be asked for, cents to pay otherwise, and the lines with reasons."""

    sale: int
    asked: Cents
    rest: Cents
    lines: tuple[LineDecision, ...]


@dataclass(frozen=True, slots=True)
class Paid:
    """« PAYÉ »: exists only with the journal's receipt in hand.

    Attributes:
        amount, rest: cents paid by the card, cents to pay otherwise.
        bonus: cents the centre will give back, or ``None`` where no campaign runs.
        is_bonus_unknown: the month's base is unknown: « Bonus à confirmer ».
        receipt: of the record on the medium.
    """

    sale: int
    amount: Cents
    rest: Cents
    receipt: Durable
    bonus: Cents | None = None
    is_bonus_unknown: bool = False

    def __post_init__(self) -> None:
        assert isinstance(self.receipt, Durable), "PAYÉ is shown for durable records only"


@dataclass(frozen=True, slots=True)
class Split:
    """The card pays less than announced; nothing debited; *Entrée* accepts. ``reason`` only on demand (key ``.``)."""

    sale: int
    by_card: Cents
    rest: Cents
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class PaysNothing:
    """« À régler autrement »: nothing debited. ``reason`` only on demand."""

    sale: int
    rest: Cents
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class NotHere:
    """« Cette carte ne paie pas ici »: not of the programme, not its key, or a damaged answer."""

    sale: int
    rest: Cents
    reason: Reason


@dataclass(frozen=True, slots=True)
class HolderMayCall:
    """On the hot list or expired: one screen for both, with a phone number (may be empty)."""

    sale: int
    rest: Cents
    phone: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class PutBack:
    """« Reposez la carte · Rien n'a été débité »."""

    sale: int


@dataclass(frozen=True, slots=True)
class PutSameBack:
    """« Reposez la même carte · Vérification du paiement »: Commit was sent and not answered. Cents."""

    sale: int
    amount: Cents
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class InVerification:
    """« Paiement en vérification »: the holder has gone. *Entrée* = seen. ``is_guaranteed`` within the cap. Cents.

    Of a void (``is_void``): the payment stands until the card or the centre says otherwise.
    """

    sale: int
    amount: Cents
    is_guaranteed: bool
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class DoubtSolved:
    """An earlier doubt of this terminal ended with this tap: cents, when it was, how, and whether it was a void."""

    amount: Cents
    at: datetime
    outcome: Outcome
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class AlreadyPaid:
    """Same card and amount within a minute: *Entrée* pays once more, ``-`` does not."""

    sale: int
    amount: Cents
    at: datetime


@dataclass(frozen=True, slots=True)
class OneCardOnly:
    """« Une seule carte à la fois »."""

    sale: int


@dataclass(frozen=True, slots=True)
class Balance:
    """Available, and until when (``None``: no end), on the holder's wish. Cents."""

    sale: int
    available: Cents
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PresentToVoid:
    """« Annuler 12,50 € de 10 h 42 ? Présentez la carte ». Cents; when it was paid; its number in the journal.

    ``is_other_card``: a card was laid down that did not make this payment.
    """

    sale: int
    amount: Cents
    at: datetime
    seq: int
    is_other_card: bool = False


@dataclass(frozen=True, slots=True)
class Voided:
    """« ANNULÉ »: exists only with the journal's receipt in hand. Cents given back to the card."""

    sale: int
    amount: Cents
    receipt: Durable

    def __post_init__(self) -> None:
        assert isinstance(self.receipt, Durable), "ANNULÉ is shown for durable records only"


@dataclass(frozen=True, slots=True)
class NothingToVoid:
    """No payment that can still be undone (none, undone already, or before the last closing)."""

    sale: int


@dataclass(frozen=True, slots=True)
class NotVoided:
    """Nothing was undone: ``reason`` says why this card cannot be given anything back now. Cents."""

    sale: int
    amount: Cents
    reason: Reason


@dataclass(frozen=True, slots=True)
class UpdateNeeded:
    """Lists too old: cents still possible per card and day, or ``None`` when cards show their balance only."""

    left: Cents | None


@dataclass(frozen=True, slots=True)
class ReaderAway:
    """« Lecteur débranché » or « Lecteur bloqué : débranchez-le et rebranchez-le »; goes by itself when it is back."""

    is_stuck: bool


@dataclass(frozen=True, slots=True)
class ReaderIsBack:
    """A reader is there again."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """« Caisse arrêtée : paiement par carte impossible »: code for the phone, sentence, phone number."""

    code: str
    sentence: str
    phone: str


@dataclass(frozen=True, slots=True)
class LastOutcome:
    """After a restart: the last outcome the cashier may not have seen; *Entrée* = seen. Cents.

    ``is_void``: it is about a payment undone, not about one made.
    """

    seq: int
    type: RecordType
    amount: Cents
    at: datetime
    is_void: bool = False


Outward = (
    Ready
    | ConfirmAmount
    | PresentCard
    | Paid
    | Split
    | PaysNothing
    | NotHere
    | HolderMayCall
    | PutBack
    | PutSameBack
    | InVerification
    | DoubtSolved
    | AlreadyPaid
    | OneCardOnly
    | Balance
    | PresentToVoid
    | Voided
    | NothingToVoid
    | NotVoided
    | UpdateNeeded
    | ReaderAway
    | ReaderIsBack
    | Stopped
    | LastOutcome
)

FINAL = (
    Paid,
    PaysNothing,
    NotHere,
    HolderMayCall,
    InVerification,
    Balance,
    Voided,
    NothingToVoid,
    NotVoided,
    Stopped,
)
"""Events after which nothing more is said about a sale."""


@dataclass(frozen=True, slots=True)
class Status:
    """The status bar: network, lists, what waits.

    Attributes:
        is_online: the last exchange worked.
        last_contact: wall time of the last accepted answer, or ``None``.
        lists_signed_at: when the lists were signed.
        lists_days_left: whole days they remain fully valid; negative when past.
        pending_payments, pending_amount: not yet at the centre; cents.
        now: for ages.
    """

    is_online: bool
    last_contact: datetime | None
    lists_signed_at: datetime
    lists_days_left: int
    pending_payments: int
    pending_amount: Cents = ZERO
    now: Instant | None = None
