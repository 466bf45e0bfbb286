"""The centre's keys: made once, kept sealed or in a token, opened by custodians, used and never handed out.

The keys of daily work (lists, answers, card info, card master keys) open with one custodian's secret; those that create
money (entitlements, and the root that names their key) with the secrets of two. docs/operating/keys.md.
"""

from central.keys.faults import KeysClosed, KeysDamaged, KeysInClear, TokenFault, WrongPin, WrongSecret
from central.keys.making import load_keys, make_keys
from central.keys.opened import CentralKeys
from central.keys.vaults import CARD_KEY_NUMBERS, ROLES

__all__ = [
    "CARD_KEY_NUMBERS",
    "ROLES",
    "CentralKeys",
    "KeysClosed",
    "KeysDamaged",
    "KeysInClear",
    "TokenFault",
    "WrongPin",
    "WrongSecret",
    "load_keys",
    "make_keys",
]
