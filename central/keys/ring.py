"""The key file, ``ring.cbor``: the plan in clear, and the two vaults sealed, each under a key of its own.

Each custodian finds the daily seal key and a share of the money seal key sealed to them. Both vaults are bound to the
plan, so that nobody can slip in a custodian or a public key of their own. With every change both seal keys and all
shares are made anew, and the file is replaced whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from central.keys.custodians import NEEDED_FOR_MONEY, Custodian, joined, shares_of
from central.keys.faults import KeysClosed, KeysDamaged, KeysInClear, WrongPin
from central.keys.plan import MOST_PLAN_B, Place, Plan, read_plan
from central.keys.vaults import DAILY_ROLES, MONEY_ROLES, Vault, pin_of, read_sealed_vault
from sync.cbor import Map, decode_map, encode, take_bytes, take_map
from sync.crypto import (
    SEAL_KEY_SIZE_B,
    PrivateKey,
    open_sealed,
    public_key,
    seal,
    seal_to,
    sha256,
    token,
    unseal,
    verify,
)
from sync.errors import BadSignature, FormatError
from sync.signed_lists import encode_centre_keys

RING_FILE: Final = "ring.cbor"
REFUSED_PIN_FILE: Final = "refused-pin"
ROOT_ID: Final = b"root"
_MOST_FILE_B: Final = 1_048_576
_DAILY, _MONEY = b"panier/keys/daily/1", b"panier/keys/money/1"
_CHECK: Final = b"panier/keys/check/1"


@dataclass(frozen=True, slots=True)
class Ring:
    """A key file, read.

    Attributes:
        plan: what is not secret.
        daily_keys, shares: sealed to each custodian, by number.
        daily, money: the sealed vaults.
        centre_keys: the list terminals get, signed by the root.
    """

    plan: Plan
    daily_keys: Mapping[int, bytes] = field(repr=False)
    shares: Mapping[int, bytes] = field(repr=False)
    daily: bytes = field(repr=False)
    money: bytes = field(repr=False)
    centre_keys: bytes = field(repr=False)


def read_ring(directory: Path) -> Ring:
    """The key file of a folder. KeysInClear, KeysClosed (none there), KeysDamaged."""
    try:
        data = (directory / RING_FILE).read_bytes()
    except FileNotFoundError:
        if (directory / "entitlements.pem").exists():
            raise KeysInClear(
                "Les clés de ce centre sont en clair, comme la première version les laissait. Mettez-les sous "
                "la garde de deux personnes : « panier central keys seal »."
            ) from None
        raise KeysClosed(f"Il n'y a pas de clés dans {directory} : « panier central keys init ».") from None
    try:
        fields = decode_map(data, _MOST_FILE_B)
        return Ring(
            plan=read_plan(take_bytes(fields, 0, most_b=MOST_PLAN_B)),
            daily_keys=_blobs(take_map(fields, 1)),
            shares=_blobs(take_map(fields, 2)),
            daily=take_bytes(fields, 3),
            money=take_bytes(fields, 4),
            centre_keys=take_bytes(fields, 5),
        )
    except FormatError:
        raise KeysDamaged(f"{directory / RING_FILE} est abîmé : remettez sa copie de sauvegarde.") from None


def _blobs(fields: Map) -> dict[int, bytes]:
    return {number: take_bytes(fields, number, most_b=1_024) for number in fields}


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the vaults, in clear, and which custodians unsealed it; ``None`` for a vault that stays shut."""

    daily: bytes | None = field(default=None, repr=False)
    money: bytes | None = field(default=None, repr=False)
    opened_by: tuple[str, ...] = ()


def unseal_ring(ring: Ring, secrets: Mapping[str, bytes]) -> Contents:
    """Unseal what these custodians may: one the daily vault, two both.

    Args:
        secrets: by custodian's name.

    Raises:
        KeysClosed: no custodian of that name.
        WrongSecret: one of them is not theirs.
        KeysDamaged: the file was altered.
    """
    opened = {keeper: keeper.unlock(secrets[keeper.name]) for keeper in _named(ring.plan, secrets)}
    if not opened:
        return Contents()
    try:
        daily = _daily_content(ring, opened)
        money = _money_content(ring, opened) if len(opened) >= NEEDED_FOR_MONEY else None
    except (FormatError, KeyError):
        raise KeysDamaged("Le fichier des clés est abîmé ou a été modifié : remettez sa copie de sauvegarde.") from None
    return Contents(daily, money, tuple(keeper.name for keeper in opened))


def _named(plan: Plan, secrets: Mapping[str, bytes]) -> list[Custodian]:
    known = {keeper.name: keeper for keeper in plan.custodians}
    for name in secrets:
        if name not in known:
            raise KeysClosed(f"« {name} » n'est pas gardien de ces clés ; ils le sont : {', '.join(known)}.")
    return [known[name] for name in secrets]


def _daily_content(ring: Ring, opened: Mapping[Custodian, PrivateKey]) -> bytes:
    keeper, private = next(iter(opened.items()))
    key = open_sealed(private, ring.daily_keys[keeper.number], _DAILY)
    return unseal(key, ring.daily, _DAILY + ring.plan.bound_bytes())


def _money_content(ring: Ring, opened: Mapping[Custodian, PrivateKey]) -> bytes:
    shares = {
        keeper.number: open_sealed(private, ring.shares[keeper.number], _MONEY) for keeper, private in opened.items()
    }
    return unseal(joined(shares), ring.money, _MONEY + ring.plan.bound_bytes())


@dataclass(frozen=True, slots=True)
class Opened:
    """The vaults that enough custodians opened, and who they were."""

    daily: Vault | None = field(default=None, repr=False)
    money: Vault | None = field(default=None, repr=False)
    opened_by: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of both."""
        for vault in (self.daily, self.money):
            if vault is not None:
                vault.close()


def open_vaults(directory: Path, ring: Ring, contents: Contents) -> Opened:
    """The vaults behind their contents, each seen to hold the keys of the plan. TokenFault, KeysDamaged."""
    plan, daily, money = ring.plan, None, None
    if contents.daily is not None:
        daily = open_vault(directory, plan.daily, contents.daily, sha256(ring.daily))
        _check_is_of(plan, daily, DAILY_ROLES)
    if contents.money is not None:
        money = open_vault(directory, plan.money, contents.money, sha256(ring.money))
        _check_is_of(plan, money, MONEY_ROLES)
    return Opened(daily, money, contents.opened_by)


def open_vault(directory: Path, place: Place, content: bytes, mark: bytes) -> Vault:
    """One vault. A PIN the token refuses is never tried twice: its sealed form leaves a mark.

    Args:
        mark: 32 bytes that change when the PIN is sealed anew and tell nothing about it.
    """
    if not place.is_token:
        return read_sealed_vault(content)
    from central.keys.token import TokenVault  # a centre without a token needs no PKCS#11 library

    refused = directory / REFUSED_PIN_FILE
    if refused.exists() and refused.read_bytes() == mark:
        raise WrongPin(
            f"Le jeton « {place.label} » a déjà refusé ce code PIN : il n'est pas essayé une deuxième fois. "
            "Donnez le bon avec « panier central keys pin »."
        )
    try:
        return TokenVault(place, pin_of(content))
    except WrongPin:
        replace_file(refused, mark)
        raise


def _check_is_of(plan: Plan, vault: Vault, roles: tuple[str, ...]) -> None:
    for role in roles:
        try:
            verify(plan.key(role), _CHECK, vault.sign(role, plan.newest(role).key_id, _CHECK))
        except BadSignature:
            raise KeysDamaged(f"La clé « {role} » n'est pas celle de ce centre : mauvais jeton ?") from None


def write_ring(directory: Path, plan: Plan, daily: bytes, money: bytes, centre_keys: bytes) -> None:
    """Seal both vaults under fresh keys and replace the file whole.

    Args:
        daily, money: contents of the vaults.
        centre_keys: from ``signed_centre_keys``.
    """
    daily_key, money_key = token(SEAL_KEY_SIZE_B), token(SEAL_KEY_SIZE_B)
    shares = shares_of(money_key, tuple(keeper.number for keeper in plan.custodians))
    bound = plan.bound_bytes()
    daily_keys: Map = {
        keeper.number: seal_to(public_key(keeper.public), daily_key, _DAILY) for keeper in plan.custodians
    }
    sealed_shares: Map = {
        keeper.number: seal_to(public_key(keeper.public), shares[keeper.number], _MONEY) for keeper in plan.custodians
    }
    fields: Map = {
        0: plan.as_bytes(),
        1: daily_keys,
        2: sealed_shares,
        3: seal(daily_key, daily, _DAILY + bound),
        4: seal(money_key, money, _MONEY + bound),
        5: centre_keys,
    }
    replace_file(directory / RING_FILE, encode(fields))


def signed_centre_keys(plan: Plan, money: Vault) -> bytes:
    """The list of public keys for terminals, signed by the root."""
    return encode_centre_keys(
        plan.centre_keys(), ROOT_ID, lambda message: money.sign("root", plan.newest("root").key_id, message)
    )


def replace_file(place: Path, content: bytes) -> None:
    """Write a file (mode 0600) so that after any crash it is the old one or the new one, whole."""
    new = place.with_name(place.name + ".new")
    with suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(place)
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
