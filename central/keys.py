"""The centre's keys in a folder of its own (mode 0700): signing keys as PEM, the card master keys as CBOR."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from domain.identity import CardId, Uid
from sync.cbor import Map, decode_map, encode, take_bytes
from sync.crypto import KEY_SIZE_B, PrivateKey, new_private_key, private_key_from_pem, private_key_pem, sign, token
from sync.issuing import (
    APPLICATION_MASTER,
    IDENTITY,
    LOAD,
    PICC_MASTER,
    TERMINALS,
    TERMINALS_2,
    TMAC_KEY,
    diversified_key,
)
from sync.signed_lists import CentreKeys

ROLES: Final = ("root", "lists", "answers", "entitlements", "cards")
CARD_KEY_NUMBERS: Final = (APPLICATION_MASTER, TERMINALS, TERMINALS_2, LOAD, IDENTITY, TMAC_KEY, PICC_MASTER)
KEY_ID: Final = 1
_MASTERS_FILE: Final = "card-masters.cbor"


@dataclass(frozen=True, slots=True)
class CentralKeys:
    """All keys of a centre, opened in RAM."""

    signing: Mapping[str, PrivateKey] = field(repr=False)
    masters: Mapping[int, bytes] = field(repr=False)

    def signer(self, role: str) -> Callable[[bytes], bytes]:
        """Signs with the key of that role."""
        key = self.signing[role]
        return lambda message: sign(key, message)

    def public(self) -> CentreKeys:
        """What terminals are told."""
        public = {role: key.public_key() for role, key in self.signing.items()}
        return CentreKeys(
            version=1,
            entitlements={KEY_ID: public["entitlements"]},
            cards={KEY_ID: public["cards"]},
            lists=public["lists"],
            answers=public["answers"],
        )

    def card_key(self, number: int, uid: Uid, aid: bytes, programme: str, card: CardId) -> bytes:
        """One key of one card (NXP AN10922)."""
        return diversified_key(self.masters[number], uid, aid, number, programme, card)


def make_keys(directory: Path) -> None:
    """Make all keys of a new centre; each once."""
    directory.mkdir(mode=0o700)
    for role in ROLES:
        _write(directory / f"{role}.pem", private_key_pem(new_private_key()))
    masters: Map = {number: token(KEY_SIZE_B) for number in CARD_KEY_NUMBERS}
    _write(directory / _MASTERS_FILE, encode(masters))


def load_keys(directory: Path) -> CentralKeys:
    """Open the keys in RAM."""
    signing = {role: private_key_from_pem((directory / f"{role}.pem").read_bytes()) for role in ROLES}
    fields = decode_map((directory / _MASTERS_FILE).read_bytes(), 4_096)
    return CentralKeys(signing, {number: take_bytes(fields, number, KEY_SIZE_B) for number in CARD_KEY_NUMBERS})


def _write(place: Path, content: bytes) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
