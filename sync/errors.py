"""Faults of what was received. The tree, sorted by who must act:

    PanierError
    ├── FormatError            something received is not what it should be (the programme must look)
    │   ├── Malformed          bytes that no version of ours writes
    │   ├── UnknownVersion     a version this program does not know: keep, never drop; update the program
    │   └── BadSignature       not signed by whom it should be
    └── CentreUnreachable      no network, no answer, or an answer that is not the centre's (try again later)
        └── CentreRefuses      it answered that it will not take this (4xx): stop and show, never drop

The terminal's own faults are in terminal/errors.py.
"""

from __future__ import annotations


class PanierError(Exception):
    """Root of our faults; a refusal by rule is a value, never one of these."""


class FormatError(PanierError):
    """Something received is not what it should be."""


class Malformed(FormatError):
    """Bytes that no version of ours writes."""


class UnknownVersion(FormatError):
    """A version this program does not know."""


class BadSignature(FormatError):
    """Not signed by whom it should be."""


class CentreUnreachable(PanierError):
    """No usable answer from the centre; nothing is lost, try again later."""


class CentreRefuses(CentreUnreachable):
    """The centre will not take what was sent; trying the same again changes nothing, dropping it is never right."""
