"""The policy of a programme as data: who may pay what, where, when and how far.

A territory is set up by writing one of these, never by changing code. Amounts are cents, days are days of the
programme's time zone and always include the last one. What cannot be meant is refused when the rules are made
(``domain.rule_check``), so that a decision never has to doubt them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Final

from domain.family import DEFAULT_FAMILIES, Family, is_within, tree
from domain.identity import PurseNumber
from domain.money import ZERO, Cents

USUAL_LABELS: Final[Mapping[str, str]] = {
    "organic": "Agriculture biologique",
    "local": "Producteur local",
    "protected-origin": "AOP ou AOC",
    "protected-region": "IGP",
    "label-rouge": "Label Rouge",
    "hve": "Haute valeur environnementale",
    "farm-made": "Fabriqué à la ferme",
}
"""Labels by code, with their French names; a rule set may name others."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Which lines, at which merchants. All that is said must hold; of several words in one set any is enough.

    Attributes:
        families: of the line, their parts included; none named: every family.
        merchants: groups or profiles of the merchant; none named: everywhere.
        labels: claimed for the line and certified for the merchant; none named: none needed.
        products: name of a signed product list the line's product stands in, or ``None`` for any product.
    """

    families: frozenset[str] = frozenset()
    merchants: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    products: str | None = None


class Window(StrEnum):
    """How long a grant may be spent, or (where unspent money carries) the rhythm of the grants."""

    MONTH = "month"
    DATES = "dates"
    NONE = "none"


class Unspent(StrEnum):
    """What becomes of money left at the end of a window."""

    LAPSE = "lapse"
    CARRY = "carry"


class MatchOf(StrEnum):
    """What a match purse follows: the money of the card's other purses, or the price (the rest may be own money)."""

    CARD = "card"
    PRICE = "price"


@dataclass(frozen=True, slots=True)
class Match:
    """The purse pays at most this share of the lines it may pay: above 0, below 1.

    With a share of 1/3 of the card's money, 10 € of the other purses bring 5 €.
    """

    share: Fraction
    of: MatchOf = MatchOf.CARD


@dataclass(frozen=True, slots=True)
class PriceCeiling:
    """A price above which the holder pays the difference: cents for one ``per`` (``"kg"``, ``"l"``, ``"piece"``)."""

    price: Cents
    per: str


@dataclass(frozen=True, slots=True)
class PurseCeilings:
    """The most a purse pays, in cents: per payment, and per card and day; ``None`` for no such ceiling."""

    payment: Cents | None = None
    day: Cents | None = None


@dataclass(frozen=True, slots=True)
class Purse:
    """One funder's envelope.

    Attributes:
        number: 1 to 255, never used for another purse of the programme.
        code: what the rule set calls it elsewhere.
        name: what people read.
        pays: its conditions; any one of them is enough for it to pay a line.
        funder: who gives the money, as people say it; may be empty.
        window: how long a grant may be spent.
        unspent: what becomes of the rest.
        ceilings: of a payment and a day.
        price_ceiling: per unit, or ``None``.
        match: how far it follows other money, or ``None`` for a purse that pays by itself.
        pays_unattended: whether it pays where nobody stands at the till.
        width: the smaller, the narrower, the sooner it is used; see ``domain.rule_check.with_widths``.
    """

    number: PurseNumber
    code: str
    name: str
    pays: tuple[Condition, ...]
    funder: str = ""
    window: Window = Window.MONTH
    unspent: Unspent = Unspent.LAPSE
    ceilings: PurseCeilings = PurseCeilings()
    price_ceiling: PriceCeiling | None = None
    match: Match | None = None
    pays_unattended: bool = False
    width: int = 0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A bonus: credit given back later by the centre, shown by the till at once.

    Attributes:
        code: names the campaign in records.
        first_day: the first of a month.
        last_day: the last of a month; both are days of the campaign.
        conditions: which lines earn; any one is enough.
        earned_on: codes of the purses whose money earns. Own money and match money never do.
        give, per: cents given for so many cents paid.
        month_cap: the most one card is given for one month, in cents.
        into: code of the purse it is credited to.
    """

    code: str
    first_day: date
    last_day: date
    conditions: tuple[Condition, ...]
    earned_on: frozenset[str]
    give: Cents
    per: Cents
    month_cap: Cents
    into: str

    def bonus_on(self, base: Cents, card_cap: Cents | None = None) -> Cents:
        """What a month's base earns, in cents: floored once for the whole month, at most the cap.

        Args:
            base: cents that earn, since the month began.
            card_cap: this card's share of its household's cap, or ``None`` for all of it.
        """
        cap = self.month_cap if card_cap is None else min(self.month_cap, card_cap)
        return Cents(min(int(cap), int(base) * int(self.give) // int(self.per)))

    def is_on(self, day: date) -> bool:
        """Whether that day is one of its days."""
        return self.first_day <= day <= self.last_day


@dataclass(frozen=True, slots=True)
class Tier:
    """What holds up to an age of the lists: ``day_total`` cents per card and day, or ``None`` for the usual
    ceilings.
    """

    max_age_days: int
    day_total: Cents | None = None


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Sums in cents above which a card pays no more; they cut, they do not refuse.

    Attributes:
        floor_limit: per card, merchant and day.
        day_total: per card and day, anywhere.
        confirm: a sum above it asks the cashier for one key first.
        tiers: by age of the lists, youngest first; older than the last: balance only.
        void_allowance: per card, greatest sum of voids that other terminals count before the centre knows of them.
        payment: the most a card pays at once, or ``None`` for no such ceiling.
    """

    floor_limit: Cents
    day_total: Cents
    confirm: Cents
    tiers: tuple[Tier, ...]
    void_allowance: Cents
    payment: Cents | None = None


@dataclass(frozen=True, slots=True)
class Allotment:
    """How much a household is granted into a purse in each window; read by the centre alone, no part of what is
    signed for terminals.

    Attributes:
        purse: code of the purse.
        adult, child: cents for each one.
        household, next: cents for the first person, and for each further one.
        months: how many windows, or ``None`` without end.
        only_if: name of a fact that must be noted for the household in that window, or ``None``.
        paid_by: who bears which share; nobody named: the purse's funder. Shares add up to 1.
    """

    purse: str
    adult: Cents = ZERO
    child: Cents = ZERO
    household: Cents = ZERO
    next: Cents = ZERO
    months: int | None = None
    only_if: str | None = None
    paid_by: tuple[tuple[str, Fraction], ...] = ()

    def granted(self, adults: int, children: int) -> Cents:
        """Cents for a household of so many people, in one window; nothing for nobody."""
        if adults + children == 0:
            return ZERO
        return self.adult * adults + self.child * children + self.household + self.next * (adults + children - 1)


class Payer(StrEnum):
    """Who bears a sum."""

    PROGRAMME = "programme"
    MERCHANT = "merchant"
    HOLDER = "holder"


class Case(StrEnum):
    """What can happen to a payment, in the order the printed table has it."""

    WITHIN_LIMITS = "within-limits"
    TORN_WITHOUT_PROOF = "torn-without-proof"
    REPORTED_LOST = "reported-lost"
    TERMINAL_DESTROYED = "terminal-destroyed"
    FALSE_PROOF = "false-proof"
    STOLEN_SLIP = "stolen-slip"
    LATE_AND_RETURNED = "late-and-returned"
    NEWER_ENTITLEMENT_LOWER = "newer-entitlement-lower"
    NOT_COVERED = "not-covered"


@dataclass(frozen=True, slots=True)
class WhoPays:
    """One row of the table: in this case this one bears it.

    Attributes:
        case: what happened.
        payer: who bears the sum.
        up_to: cents per card and terminal, or ``None`` for all of it; what is above falls to the merchant.
        is_decided_by_a_person: kept in quarantine until somebody has looked at it.
    """

    case: Case
    payer: Payer
    up_to: Cents | None = None
    is_decided_by_a_person: bool = False


USUAL_WHO_PAYS: Final = (
    WhoPays(Case.WITHIN_LIMITS, Payer.PROGRAMME),
    WhoPays(Case.TORN_WITHOUT_PROOF, Payer.PROGRAMME, up_to=Cents(5_000)),
    WhoPays(Case.REPORTED_LOST, Payer.PROGRAMME),
    WhoPays(Case.TERMINAL_DESTROYED, Payer.PROGRAMME),
    WhoPays(Case.FALSE_PROOF, Payer.PROGRAMME, is_decided_by_a_person=True),
    WhoPays(Case.STOLEN_SLIP, Payer.PROGRAMME),
    WhoPays(Case.LATE_AND_RETURNED, Payer.MERCHANT),
    WhoPays(Case.NEWER_ENTITLEMENT_LOWER, Payer.PROGRAMME),
    WhoPays(Case.NOT_COVERED, Payer.HOLDER),
)


@dataclass(frozen=True, slots=True)
class ExampleLine:
    """One line of a worked example, as in ``domain.basket.Line``."""

    family: str
    amount: Cents
    labels: tuple[str, ...] = ()
    quantity: int | None = None
    unit: str = ""
    lists: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example of the rules, checked whenever they are: what is paid by which purse, and what it earns.

    Attributes:
        says: the situation in one sentence of plain French.
        basket: the lines.
        merchant: groups and profile of the merchant.
        card: cents available by purse code.
        paid: cents each purse pays, by code; a purse not named pays nothing.
        bonus: cents earned.
        month_base: cents that earned a bonus before, this month.
        day: of the payment, or ``None`` for the first day of the newest campaign (any day where there is none).
        certified: labels the merchant has a valid certificate for.
    """

    says: str
    basket: tuple[ExampleLine, ...]
    merchant: frozenset[str]
    card: Mapping[str, Cents]
    paid: Mapping[str, Cents]
    bonus: Cents = ZERO
    month_base: Cents = ZERO
    day: date | None = None
    certified: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The signed, versioned policy.

    Attributes:
        programme: short name, at most 12 ASCII letters.
        version: grows with each signed change.
        timezone: IANA name; days and months of ceilings and campaigns are counted in it.
        never: families no purse pays, whatever its conditions.
        purses: in order of the rule set.
        ceilings: see there.
        phone: number the holder may call, shown when a card cannot pay.
        families: the tree, by code.
        campaigns: bonus campaigns; at most one is in force on any day.
        who_pays: the table that names who bears what.
        allotments, examples: read by the centre and by ``panier rules check``; not signed for terminals.
    """

    programme: str
    version: int
    timezone: str
    never: frozenset[str]
    purses: tuple[Purse, ...]
    ceilings: Ceilings
    phone: str = ""
    families: Mapping[str, Family] = field(default_factory=lambda: tree(DEFAULT_FAMILIES))
    campaigns: tuple[Campaign, ...] = ()
    who_pays: tuple[WhoPays, ...] = USUAL_WHO_PAYS
    allotments: tuple[Allotment, ...] = ()
    examples: tuple[Example, ...] = ()

    def purse(self, number: PurseNumber) -> Purse | None:
        """The purse of that number, or ``None`` where this rule set does not know it."""
        return next((purse for purse in self.purses if purse.number == number), None)

    def is_never(self, family: str) -> bool:
        """Whether no purse may ever pay this family."""
        return is_within(family, self.never, self.families)

    def campaign_on(self, day: date) -> Campaign | None:
        """The campaign in force on that day; no campaign, no bonus."""
        return next((campaign for campaign in self.campaigns if campaign.is_on(day)), None)

    @property
    def product_lists(self) -> frozenset[str]:
        """The product lists its conditions name."""
        every = (*(purse.pays for purse in self.purses), *(campaign.conditions for campaign in self.campaigns))
        return frozenset(item.products for conditions in every for item in conditions if item.products is not None)

    def programme_bears(self, case: Case) -> Cents | None:
        """Cents per card and terminal that the programme bears in this case; ``None``: all of it."""
        row = next((row for row in self.who_pays if row.case is case), None)
        return ZERO if row is None or row.payer is not Payer.PROGRAMME else row.up_to

    def order_of_use(self, number: PurseNumber) -> tuple[bool, int, int]:
        """Where a purse stands in the order of use beside the end of its window: whether it matches nothing, width,
        place. One this rule set does not know stands last.
        """
        for place, purse in enumerate(self.purses):
            if purse.number == number:
                return (purse.match is None, purse.width, place)
        return (True, 1 << 30, len(self.purses))


@dataclass(frozen=True, slots=True)
class Certificate:
    """What backs a merchant's claim of a label: number on the certificate, and the last day it holds (or ``None``)."""

    label: str
    number: str
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Merchant:
    """The centre's signed line about a merchant's point of sale.

    Attributes:
        number: of the merchant in the programme.
        version: of this entry.
        name: what the programme calls the stall.
        groups: words the rule set names: ``"referenced"``, ``"sustainable"`` …
        default_family: family of a line when the cashier chooses none.
        profile: what kind of place it is: ``"producer"``, ``"farm-shop"``, ``"organic-shop"``, ``"grocery"`` …
        certificates: of the labels it may claim.
        is_attended: whether somebody stands at the till.
        first_day, last_day: when the entry holds, both included; ``None`` for no such bound.
        point_of_sale: number of the place among those of the merchant.
    """

    number: int
    version: int
    name: str
    groups: frozenset[str]
    default_family: str
    profile: str = ""
    certificates: tuple[Certificate, ...] = ()
    is_attended: bool = True
    first_day: date | None = None
    last_day: date | None = None
    point_of_sale: int = 1

    @property
    def words(self) -> frozenset[str]:
        """What conditions may name: its groups and its profile."""
        return self.groups | {self.profile} if self.profile else self.groups


USUAL_TIERS: Final = (Tier(max_age_days=8), Tier(max_age_days=31, day_total=Cents(3_000)))
