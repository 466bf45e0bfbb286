"""Where keys are while a centre works: in RAM out of a sealed file, or in a token (token.py). Both answer alike."""

from __future__ import annotations

from typing import Final, Protocol

from central.keys.faults import KeysClosed, KeysDamaged
from sync.cbor import Map, Value, decode_map, encode, take_list
from sync.crypto import (
    KEY_SIZE_B,
    PrivateKey,
    PublicKey,
    diversify,
    new_private_key,
    private_key_from_pem,
    private_key_pem,
    sign,
    token,
)
from sync.issuing import APPLICATION_MASTER, IDENTITY, LOAD, PICC_MASTER, TERMINALS, TERMINALS_2, TMAC_KEY

DAILY_ROLES: Final = ("lists", "answers", "cards")
MONEY_ROLES: Final = ("root", "entitlements")
"""Whoever has one of these creates money: the root names the entitlement key."""
ROLES: Final = (*DAILY_ROLES, *MONEY_ROLES)
CARD_KEY_NUMBERS: Final = (APPLICATION_MASTER, TERMINALS, TERMINALS_2, LOAD, IDENTITY, TMAC_KEY, PICC_MASTER)
MOST_CONTENT_B: Final = 65_536


class Vault(Protocol):
    """Keys that are used and never handed out. Threads may share one."""

    def sign(self, role: str, key_id: int, message: bytes) -> bytes:
        """ES256: 64 bytes, r ‖ s. KeysClosed when it has no such key; TokenFault."""

    def card_key(self, number: int, diversification_input: bytes) -> bytes:
        """The 16-byte key of one card (NXP AN10922), from the master key of that number."""

    def make_signing_key(self, role: str, key_id: int) -> PublicKey:
        """A fresh P-256 key that never leaves; its public half."""

    def make_master(self, number: int) -> None:
        """A fresh card master key that never leaves."""

    def forget(self, role: str, key_id: int) -> None:
        """Destroy a signing key."""

    def change_pin(self, pin: str) -> None:
        """Give a token another PIN; nothing where there is none."""

    def content(self) -> bytes:
        """What has to be sealed so that this vault can be opened again. Never for anything but sealing."""

    def close(self) -> None:
        """Let go."""


class SealedVault:
    """Keys in RAM, out of a sealed file and back into one."""

    def __init__(self) -> None:
        self._signing: dict[tuple[str, int], PrivateKey] = {}
        self._masters: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return "SealedVault()"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("keys are not pickled")

    def sign(self, role: str, key_id: int, message: bytes) -> bytes:
        """As ``Vault``."""
        key = self._signing.get((role, key_id))
        if key is None:
            raise KeysClosed(f"Il n'y a pas de clé « {role} {key_id} » ici.")
        return sign(key, message)

    def card_key(self, number: int, diversification_input: bytes) -> bytes:
        """As ``Vault``."""
        if number not in self._masters:
            raise KeysClosed(f"Il n'y a pas de clé mère {number:02X} ici.")
        return diversify(self._masters[number], diversification_input)

    def make_signing_key(self, role: str, key_id: int) -> PublicKey:
        """As ``Vault``."""
        return self.take(role, key_id, new_private_key())

    def make_master(self, number: int) -> None:
        """As ``Vault``."""
        self._masters[number] = token(KEY_SIZE_B)

    def take(self, role: str, key_id: int, key: PrivateKey) -> PublicKey:
        """Put a key made elsewhere in; its public half."""
        self._signing[role, key_id] = key
        return key.public_key()

    def take_master(self, number: int, key: bytes) -> None:
        """Put a master key made elsewhere in."""
        self._masters[number] = key

    def forget(self, role: str, key_id: int) -> None:
        """As ``Vault``."""
        self._signing.pop((role, key_id), None)

    def change_pin(self, pin: str) -> None:
        """As ``Vault``."""

    def content(self) -> bytes:
        """As ``Vault``."""
        signing: list[Value] = [[role, number, private_key_pem(key)] for (role, number), key in self._signing.items()]
        masters: list[Value] = [[number, key] for number, key in self._masters.items()]
        return encode({0: signing, 1: masters})

    def close(self) -> None:
        """As ``Vault``."""
        self._signing.clear()
        self._masters.clear()


def read_sealed_vault(content: bytes) -> SealedVault:
    """The inverse of ``SealedVault.content``. Malformed, KeysDamaged."""
    fields, vault = decode_map(content, MOST_CONTENT_B), SealedVault()
    for key in take_list(fields, 0, 600):
        match key:
            case [str() as role, int() as key_id, bytes() as pem]:
                vault.take(role, key_id, private_key_from_pem(pem))
            case _:
                raise KeysDamaged("Une clé du fichier n'est pas lisible.")
    for master in take_list(fields, 1, 256):
        match master:
            case [int() as number, bytes() as key] if len(key) == KEY_SIZE_B:
                vault.take_master(number, key)
            case _:
                raise KeysDamaged("Une clé mère du fichier n'est pas lisible.")
    return vault


def pin_of(content: bytes) -> str:
    """The PIN sealed for a token vault."""
    fields: Map = decode_map(content, MOST_CONTENT_B)
    pin = fields.get(2)
    if not isinstance(pin, str):
        raise KeysDamaged("Le code PIN du jeton n'est pas lisible.")
    return pin


def content_of_pin(pin: str) -> bytes:
    """The inverse of ``pin_of``."""
    return encode({2: pin})
