"""Signed rule sets of this centre, each read once: every card, stall and batch asks for the one in force."""

from __future__ import annotations

from functools import lru_cache

from domain.rule_set import RuleSet
from sync.crypto import PublicKey, public_bytes, public_key
from sync.rule_format import read_rule_set


def read_once(signed: bytes, key: PublicKey) -> RuleSet:
    """The verified rule set, from memory when these very bytes were verified under this very key before.

    Raises FormatError as ``read_rule_set`` does.
    """
    return _read(signed, public_bytes(key))


@lru_cache(maxsize=8)
def _read(signed: bytes, key: bytes) -> RuleSet:
    return read_rule_set(signed, public_key(key))
