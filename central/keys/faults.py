"""Why a key cannot be used; each sentence says what to do.

PanierError (sync/errors.py)
├── KeysClosed        the custodians: nobody, or not enough of them, opened what is needed
│   └── KeysInClear   the keys lie there as the first version wrote them: seal them first
├── WrongSecret       a custodian: the passphrase or key file does not open
├── KeysDamaged       the technician: the key file was altered or is another centre's
└── TokenFault        the technician: no token of that name, no such key in it, or it answers with a fault
    └── WrongPin      the sealed PIN is not (any more) the token's; it is never tried twice
"""

from __future__ import annotations

from sync.errors import PanierError


class KeysClosed(PanierError):
    """Not enough custodians have opened the keys for what is asked."""


class KeysInClear(KeysClosed):
    """Keys as the first version left them: private keys and card master keys in clear."""


class WrongSecret(PanierError):
    """A custodian's passphrase or key file does not open their part."""


class KeysDamaged(PanierError):
    """The key file does not hold together."""


class TokenFault(PanierError):
    """The token is not there or does not do what it should."""


class WrongPin(TokenFault):
    """The token refuses the PIN."""
