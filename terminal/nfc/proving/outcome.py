"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How the card's answer stands to what the program was built on."""

    AS_EXPECTED = "as expected"
    OTHERWISE = "otherwise"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Proof:
    """One line of the check-list.

    Attributes:
        name: as in docs/real-card-checklist.md.
        measured: what the card did, in few words; never a key or a plain text.
    """

    name: str
    verdict: Verdict
    measured: str


def proof(name: str, is_as_expected: bool, measured: str) -> Proof:
    """A check that was made."""
    return Proof(name, Verdict.AS_EXPECTED if is_as_expected else Verdict.OTHERWISE, measured)
