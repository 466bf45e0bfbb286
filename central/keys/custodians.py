"""Custodians: each opens daily work alone, any two together open the keys that create money.

A custodian has a key pair whose private half is locked under their own secret; what they hold is sealed to the public
half, so that custodians can be added, removed and given new shares while the others are away. A passphrase becomes a
key by Argon2id; a file of random bytes, as a throw-away centre has beside its keys, by a hash.

The money seal key is shared as a line through a point (Shamir, "How to share a secret", 1979, with two of n): two
points tell it, one tells nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from central.keys.faults import KeysDamaged, WrongSecret
from sync.cbor import Map, Value, take_bytes, take_int, take_text
from sync.crypto import (
    SALT_SIZE_B,
    SEAL_KEY_SIZE_B,
    PrivateKey,
    argon2id,
    new_private_key,
    private_key_from_pem,
    private_key_pem,
    public_bytes,
    public_key,
    seal,
    sha256,
    token,
    unseal,
)
from sync.errors import BadSignature

NEEDED_FOR_MONEY: Final = 2
SHORTEST_PASSPHRASE: Final = 12
MOST_CUSTODIANS: Final = 20
_PRIME: Final = 2**521 - 1
_SHARE_SIZE_B: Final = 66
_MOST_MEMORY_KIB: Final = 4_194_304
_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs (Argon2id). Default: RFC 9106 §4, second recommendation."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4


@dataclass(frozen=True, slots=True)
class Custodian:
    """One person who keeps a part of the keys.

    Attributes:
        name: letters, digits, - and _; configuration of the centre, never a holder of a card.
        number: where on the line their share lies, from 1, never used again.
        public: 65 bytes; what they hold is sealed to it.
        salt: 16 bytes.
        cost: of a passphrase; ``None`` when the secret is a file of random bytes.
        locked: the private half, sealed under the key their secret gives.
    """

    name: str
    number: int
    public: bytes
    salt: bytes
    cost: Cost | None
    locked: bytes = field(repr=False)

    def unlock(self, secret: bytes) -> PrivateKey:
        """The private half, in RAM. WrongSecret."""
        try:
            return private_key_from_pem(unseal(_own_key(secret, self.salt, self.cost), self.locked, _context(self)))
        except BadSignature:
            raise WrongSecret(f"Ce secret n'est pas celui de {self.name} : rien n'est ouvert.") from None

    def as_fields(self) -> Map:
        """For the key file."""
        cost: Value = None if self.cost is None else [self.cost.memory_kib, self.cost.passes, self.cost.lanes]
        return {0: self.name, 1: self.number, 2: self.public, 3: self.salt, 4: cost, 5: self.locked}


def new_custodian(name: str, number: int, secret: bytes, cost: Cost | None) -> Custodian:
    """A custodian with a fresh key pair. ValueError: a name or passphrase that will not do."""
    check_name(name)
    if cost is not None and len(secret.decode("utf-8", "replace")) < SHORTEST_PASSPHRASE:
        raise ValueError(f"La phrase secrète de {name} a moins de {SHORTEST_PASSPHRASE} caractères.")
    private, salt = new_private_key(), token(SALT_SIZE_B)
    bare = Custodian(name, number, public_bytes(private), salt, cost, b"")
    locked = seal(_own_key(secret, salt, cost), private_key_pem(private), _context(bare))
    return Custodian(name, number, bare.public, salt, cost, locked)


def check_name(name: str) -> None:
    """ValueError when a custodian cannot be called that."""
    if not 1 <= len(name) <= 32 or set(name) - _NAME_CHARACTERS:
        raise ValueError(f"« {name} » : un nom de gardien a 1 à 32 lettres sans accent, chiffres, - ou _.")


def read_custodian(fields: Map) -> Custodian:
    """The inverse of ``as_fields``. Malformed, KeysDamaged."""
    public = take_bytes(fields, 2)
    public_key(public)
    return Custodian(
        name=take_text(fields, 0, 32),
        number=take_int(fields, 1, 1_000),
        public=public,
        salt=take_bytes(fields, 3, SALT_SIZE_B),
        cost=_read_cost(fields.get(4)),
        locked=take_bytes(fields, 5, most_b=1_024),
    )


def _read_cost(value: Value) -> Cost | None:
    match value:
        case None:
            return None
        case [int() as memory, int() as passes, int() as lanes] if (
            8 * lanes <= memory <= _MOST_MEMORY_KIB and 1 <= passes <= 100 and 1 <= lanes <= 64
        ):
            return Cost(memory, passes, lanes)
    raise KeysDamaged("Le fichier des clés est abîmé : le coût d'une phrase secrète n'y est pas lisible.")


def _own_key(secret: bytes, salt: bytes, cost: Cost | None) -> bytes:
    if cost is None:
        return sha256(b"panier/custodian-file/1" + salt + secret)
    return argon2id(secret, salt, memory_kib=cost.memory_kib, passes=cost.passes, lanes=cost.lanes)


def _context(custodian: Custodian) -> bytes:
    return b"panier/custodian/1" + custodian.public + custodian.name.encode()


def shares_of(secret: bytes, numbers: tuple[int, ...]) -> dict[int, bytes]:
    """A 32-byte secret as one 66-byte share for each number; any two tell it, one tells nothing."""
    slope = secrets.randbelow(_PRIME)
    start = int.from_bytes(secret, "big")
    return {number: ((start + number * slope) % _PRIME).to_bytes(_SHARE_SIZE_B, "big") for number in numbers}


def joined(shares: Mapping[int, bytes]) -> bytes:
    """The secret behind two shares. KeysDamaged when they are not of one secret."""
    (a, share_a), (b, share_b) = sorted(shares.items())[:NEEDED_FOR_MONEY]
    y_a, y_b = int.from_bytes(share_a, "big"), int.from_bytes(share_b, "big")
    start = (y_a * b - y_b * a) * pow(b - a, -1, _PRIME) % _PRIME
    if start >> (8 * SEAL_KEY_SIZE_B):
        raise KeysDamaged("Les deux parts ne vont pas ensemble : le fichier des clés est abîmé.")
    return start.to_bytes(SEAL_KEY_SIZE_B, "big")
