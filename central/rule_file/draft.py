"""A rule file read word by word, not yet known to hold together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from central.rule_file.mistakes import Mistake
from central.rule_file.part import Part
from domain.family import Family
from domain.rule_set import Allotment, Campaign, Ceilings, Example, Purse, WhoPays

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Read(Generic[_Made]):
    """What was made of a part, and the part: where its mistakes stand."""

    made: _Made
    part: Part


@dataclass(frozen=True, slots=True)
class Draft:
    """All parts of a file; what was wrong in them stands in ``top.found``."""

    top: Part
    programme: str
    version: int
    timezone: str
    phone: str
    never: frozenset[str]
    families: Mapping[str, Family]
    words: Mapping[str, str]
    ceilings: Read[Ceilings]
    purses: list[Read[Purse]]
    campaigns: list[Read[Campaign]]
    allotments: list[Read[Allotment]]
    who_pays: tuple[WhoPays, ...]
    examples: list[Read[Example]]

    @property
    def found(self) -> list[Mistake]:
        """Mistakes of all parts so far."""
        return self.top.found

    @property
    def purse_codes(self) -> frozenset[str]:
        """What purses may be called elsewhere in the file, be they sound or not."""
        return frozenset(read.made.code for read in self.purses if read.made.code)
