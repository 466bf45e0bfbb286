"""The policy of a programme as data: families, purses, ceilings. Version 0 of its shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.family import DEFAULT_FAMILIES, Family, is_within, tree
from domain.identity import PurseNumber
from domain.money import Cents


@dataclass(frozen=True, slots=True)
class Condition:
    """What a purse pays: lines of these families, at merchants of any of these groups (none named: everywhere)."""

    families: frozenset[str]
    merchants: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Purse:
    """One funder's envelope; any one of its conditions is enough for it to pay a line."""

    number: PurseNumber
    code: str
    name: str
    pays: tuple[Condition, ...]


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
    """

    floor_limit: Cents
    day_total: Cents
    confirm: Cents
    tiers: tuple[Tier, ...]
    void_allowance: Cents


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The signed, versioned policy.

    Attributes:
        programme: short name, at most 12 ASCII letters.
        version: grows with each signed change.
        timezone: IANA name; days and months of ceilings are counted in it.
        never: families no purse pays, whatever its conditions.
        purses: in order of the rule set.
        ceilings: see there.
        phone: number the holder may call, shown when a card cannot pay.
        families: the tree, by code.
    """

    programme: str
    version: int
    timezone: str
    never: frozenset[str]
    purses: tuple[Purse, ...]
    ceilings: Ceilings
    phone: str = ""
    families: Mapping[str, Family] = field(default_factory=lambda: tree(DEFAULT_FAMILIES))

    def purse(self, number: PurseNumber) -> Purse | None:
        """The purse of that number, or ``None`` where this rule set does not know it."""
        return next((purse for purse in self.purses if purse.number == number), None)

    def is_never(self, family: str) -> bool:
        """Whether no purse may ever pay this family."""
        return is_within(family, self.never, self.families)


@dataclass(frozen=True, slots=True)
class Merchant:
    """The centre's signed line about a merchant.

    Attributes:
        number: of the merchant in the programme.
        version: of this entry.
        name: what the programme calls the stall.
        groups: words the rule set names: ``"referenced"``, ``"sustainable"`` …
        default_family: family of a line when the cashier chooses none.
    """

    number: int
    version: int
    name: str
    groups: frozenset[str]
    default_family: str


USUAL_TIERS: Final = (Tier(max_age_days=8), Tier(max_age_days=31, day_total=Cents(3_000)))
