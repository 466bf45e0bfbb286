"""The device key at rest (docs/formats/sealed-keys.md): sealed under a secret of this device and, where asked, a PIN.

The card keys on the medium are sealed to the device key, so whoever opens this one file opens everything, and whoever
cannot opens nothing. A key in clear, as the first version kept it, is sealed when it is met.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final
from unicodedata import normalize

from sync.cbor import Map, decode_map, encode, take_bytes, take_int
from sync.crypto import (
    PUBLIC_KEY_SIZE_B,
    SALT_SIZE_B,
    PrivateKey,
    argon2id,
    new_private_key,
    private_key_from_pem,
    private_key_pem,
    public_bytes,
    seal,
    token,
    unseal,
)
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from terminal.errors import JournalDamaged, KeysSealed, WrongPin
from terminal.offline_queue.small_files import wipe, write_durably
from terminal.offline_queue.wrong_pins import one_try
from terminal.text import _

SEALED_KEY_FILE: Final = "device-key.sealed"
CLEAR_KEY_FILE: Final = "device-key.pem"
DEVICE_SECRET_FILE: Final = "device-secret"  # noqa: S105 (its name)
SEAL_CREDENTIAL: Final = "panier-seal"
PIN_CREDENTIAL: Final = "panier-pin"
SHORTEST_PIN: Final = 6
LONGEST_PIN: Final = 64
_VERSION: Final = 1
_PURPOSE: Final = b"panier/device-key/1"
_DEVICE_SECRET_SIZE_B: Final = 32
_SHORTEST_CREDENTIAL_B: Final = 16
_MOST_FILE_B: Final = 4_096

Pause = Callable[[float], None]
"""Waits so many seconds; tells the person who waits."""


class Part(IntEnum):
    """Where the device's part of the seal comes from. Numbers are written and never reused."""

    FILE = 1
    CREDENTIAL = 2


@dataclass(frozen=True, slots=True)
class Costs:
    """Of Argon2id: memory in KiB, passes over it, lanes."""

    memory_kib: int
    passes: int
    lanes: int


FOR_A_PIN: Final = Costs(65_536, 3, 4)
"""RFC 9106 §4, second recommendation: each guess of a PIN costs as much."""
FOR_A_SECRET: Final = Costs(8_192, 1, 1)
"""Nobody guesses 32 random bytes."""


@dataclass(frozen=True, slots=True)
class Unlock:
    """What a start brings to open the seal: the PIN typed in, the credential systemd opened; empty for none."""

    pin: str = field(default="", repr=False)
    credential: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Seal:
    """The sealed file, still closed."""

    part: Part
    asks_pin: bool
    salt: bytes
    costs: Costs
    public_key: bytes
    sealed: bytes = field(repr=False)


class _Key:
    VERSION, PART, ASKS_PIN, SALT, MEMORY, PASSES, LANES, PUBLIC_KEY, SEALED = range(9)


def given_credential(name: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """A credential systemd opened for this service (systemd.exec(5), ``$CREDENTIALS_DIRECTORY``); empty for none."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return b""
    try:
        return (Path(folder) / name).read_bytes()
    except FileNotFoundError:
        return b""


def seal_of(directory: Path) -> Seal | None:
    """How the device key of this folder is sealed, or ``None`` where none is; opens nothing. JournalDamaged."""
    try:
        content = (directory / SEALED_KEY_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _read_seal(content)
    except FormatError as fault:
        raise _damaged() from fault


def device_key_of(directory: Path, unlock: Unlock, pause: Pause = time.sleep) -> PrivateKey | None:
    """The device key, opened; ``None`` where there is none. One kept in clear is sealed with ``unlock`` first.

    Raises:
        WrongPin: try again; each wrong one in a row makes the next wait longer, none locks for ever.
        KeysSealed: a PIN is needed, or the secret of this device is not here.
        JournalDamaged: the sealed file does not hold together.
    """
    clear = directory / CLEAR_KEY_FILE
    kept = seal_of(directory)
    if kept is None:
        if not clear.exists():
            return None
        seal_device_key(directory, _from_pem(clear.read_bytes()), unlock)
        kept = seal_of(directory)
        assert kept is not None, "just written"
    key = _open(directory, kept, unlock, pause)
    _wipe_clear(clear, kept)
    return key


def own_device_key(directory: Path, unlock: Unlock, pause: Pause = time.sleep) -> PrivateKey:
    """The device key; made here and sealed, durably, the first time. It never leaves. Raises as ``device_key_of``.

    A PIN given for a key that was sealed without one seals it anew.
    """
    key = device_key_of(directory, unlock, pause)
    kept = seal_of(directory)
    if key is None or kept is None or (unlock.pin and not kept.asks_pin):
        key = key or new_private_key()
        seal_device_key(directory, key, unlock)
    return key


def device_key_without_pin(directory: Path, credential: bytes = b"") -> PrivateKey | None:
    """The device key where nobody has to be asked for it, ``None`` otherwise; changes nothing. JournalDamaged."""
    kept = seal_of(directory)
    if kept is None:
        clear = directory / CLEAR_KEY_FILE
        return _from_pem(clear.read_bytes()) if clear.exists() else None
    if kept.asks_pin:
        return None
    try:
        return _open(directory, kept, Unlock(credential=credential), time.sleep)
    except KeysSealed:
        return None


def seal_device_key(directory: Path, key: PrivateKey, unlock: Unlock) -> None:
    """Write the key sealed: under the credential where one is given, else a secret kept here; and under the PIN.

    Raises:
        KeysSealed: a PIN or a credential that is too short, or the secret of this device is not here.
    """
    part = Part.CREDENTIAL if unlock.credential else Part.FILE
    if unlock.pin and not SHORTEST_PIN <= len(unlock.pin) <= LONGEST_PIN:
        raise KeysSealed(_("Un PIN a au moins %d caractères.") % SHORTEST_PIN)
    if part is Part.FILE and not os.path.lexists(directory / DEVICE_SECRET_FILE):
        write_durably(directory / DEVICE_SECRET_FILE, token(_DEVICE_SECRET_SIZE_B), mode=0o600)
    costs = FOR_A_PIN if unlock.pin else FOR_A_SECRET
    closed = Seal(part, bool(unlock.pin), token(SALT_SIZE_B), costs, public_bytes(key), b"")
    fields = _fields(closed)
    sealed = seal(_seal_key(directory, closed, unlock), private_key_pem(key), _bound(fields))
    write_durably(directory / SEALED_KEY_FILE, encode({**fields, _Key.SEALED: sealed}), mode=0o600)


def _wipe_clear(clear: Path, kept: Seal) -> None:
    """Let the key in clear go once it is sealed, also after a power cut between the two; another key is left alone."""
    if clear.exists():
        try:
            is_ours = public_bytes(private_key_from_pem(clear.read_bytes())) == kept.public_key
        except Malformed:
            is_ours = True  # zeros: the power went while it was wiped
        if is_ours:
            wipe(clear)


def _open(directory: Path, kept: Seal, unlock: Unlock, pause: Pause) -> PrivateKey:
    if not kept.asks_pin:
        return _unsealed(directory, kept, unlock)
    if not unlock.pin:
        raise KeysSealed(_("Les clés de cette caisse s'ouvrent avec son PIN."))
    with one_try(directory, pause) as attempt:
        key = _unsealed(directory, kept, unlock)
        attempt.was_right()
    return key


def _unsealed(directory: Path, kept: Seal, unlock: Unlock) -> PrivateKey:
    seal_key = _seal_key(directory, kept, unlock)
    try:
        key = _from_pem(unseal(seal_key, kept.sealed, _bound(_fields(kept))))
    except BadSignature:
        if kept.asks_pin:
            raise WrongPin(_("Ce n'est pas le PIN de cette caisse.")) from None
        raise KeysSealed(_("Les clés de cette caisse ont été scellées avec un autre secret que celui-ci.")) from None
    if public_bytes(key) != kept.public_key:
        raise _damaged()
    return key


def _seal_key(directory: Path, kept: Seal, unlock: Unlock) -> bytes:
    """Argon2id over the device's part (its length first) and the PIN."""
    part = _device_part(directory, kept.part, unlock)
    pin = normalize("NFKC", unlock.pin).encode() if kept.asks_pin else b""
    secret = len(part).to_bytes(4, "big") + part + pin
    costs = kept.costs
    return argon2id(secret, kept.salt, memory_kib=costs.memory_kib, passes=costs.passes, lanes=costs.lanes)


def _device_part(directory: Path, part: Part, unlock: Unlock) -> bytes:
    if part is Part.CREDENTIAL:
        if len(unlock.credential) < _SHORTEST_CREDENTIAL_B:
            raise KeysSealed(_("Les clés de cette caisse s'ouvrent par son service : démarrez-la par systemd."))
        return unlock.credential
    try:
        return (directory / DEVICE_SECRET_FILE).read_bytes()
    except OSError:
        raise KeysSealed(
            _("Le secret de cette caisse (device-secret) n'est pas lisible : rebranchez le support qui le porte.")
        ) from None


def _fields(kept: Seal) -> Map:
    return {
        _Key.VERSION: _VERSION,
        _Key.PART: int(kept.part),
        _Key.ASKS_PIN: kept.asks_pin,
        _Key.SALT: kept.salt,
        _Key.MEMORY: kept.costs.memory_kib,
        _Key.PASSES: kept.costs.passes,
        _Key.LANES: kept.costs.lanes,
        _Key.PUBLIC_KEY: kept.public_key,
    }


def _bound(fields: Map) -> bytes:
    return _PURPOSE + encode(fields)


def _read_seal(content: bytes) -> Seal:
    fields = decode_map(content, _MOST_FILE_B)
    if take_int(fields, _Key.VERSION) != _VERSION:
        raise UnknownVersion("sealed by another version of this program")
    part, asks_pin = take_int(fields, _Key.PART), fields.get(_Key.ASKS_PIN)
    lanes = take_int(fields, _Key.LANES, 16)
    costs = Costs(take_int(fields, _Key.MEMORY, 1_048_576), take_int(fields, _Key.PASSES, 64), lanes)
    if part not in {known.value for known in Part} or not isinstance(asks_pin, bool):
        raise Malformed("a seal of an unknown kind")
    if lanes < 1 or costs.passes < 1 or costs.memory_kib < 8 * lanes:
        raise Malformed("costs Argon2id does not know")
    return Seal(
        part=Part(part),
        asks_pin=asks_pin,
        salt=take_bytes(fields, _Key.SALT, SALT_SIZE_B),
        costs=costs,
        public_key=take_bytes(fields, _Key.PUBLIC_KEY, PUBLIC_KEY_SIZE_B),
        sealed=take_bytes(fields, _Key.SEALED),
    )


def _from_pem(content: bytes) -> PrivateKey:
    try:
        return private_key_from_pem(content)
    except Malformed as fault:
        raise _damaged() from fault


def _damaged() -> JournalDamaged:
    return JournalDamaged(_("Les clés scellées de cette caisse sont abîmées : il faut l'enrôler à nouveau."))
