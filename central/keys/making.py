"""Making keys, opening them, and every change: custodians, rotation, old keys, PIN, the first version's files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from central.keys.custodians import MOST_CUSTODIANS, NEEDED_FOR_MONEY, Cost, Custodian, new_custodian
from central.keys.faults import KeysClosed, KeysDamaged, WrongSecret
from central.keys.opened import ENTITLEMENTS, CentralKeys
from central.keys.plan import FIRST_KEY_ID, Place, Plan
from central.keys.ring import (
    REFUSED_PIN_FILE,
    Contents,
    Ring,
    open_vault,
    open_vaults,
    read_ring,
    replace_file,
    signed_centre_keys,
    unseal_ring,
    write_ring,
)
from central.keys.vaults import (
    CARD_KEY_NUMBERS,
    DAILY_ROLES,
    MONEY_ROLES,
    SealedVault,
    Vault,
    content_of_pin,
)
from sync.cbor import decode_map, take_bytes
from sync.crypto import KEY_SIZE_B, private_key_from_pem, sha256, token
from sync.errors import FormatError

LONGEST_ENTITLEMENT: Final = timedelta(days=40)
THROW_AWAY: Final = ("throw-away-1", "throw-away-2")
SUFFIX_BESIDE: Final = ".jetable"
CLEAR_MASTERS_FILE: Final = "card-masters.cbor"
_RANDOM_SECRET_B: Final = 32
_NEW_PIN_B: Final = 8
_IN_FILE: Final = Place()


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """A token to make keys in, and its PIN as it is now. A fresh one takes its place unless kept."""

    place: Place
    pin: str = field(repr=False)
    keeps_pin: bool = False


def now_utc() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


# --- making ----------------------------------------------------------------------------------------------------------


def make_keys(directory: Path, at: datetime | None = None) -> None:
    """Make the keys of a throw-away centre: two custodians whose secrets lie beside them. For demonstrations alone."""
    directory.mkdir(mode=0o700, parents=True)
    secrets = {name: token(_RANDOM_SECRET_B) for name in THROW_AWAY}
    for name, secret in secrets.items():
        replace_file(directory / f"{name}{SUFFIX_BESIDE}", secret)
    keepers = tuple(new_custodian(name, number, secrets[name], None) for number, name in enumerate(secrets, 1))
    daily, money = SealedVault(), SealedVault()
    plan = _filled(Plan(1, True, keepers, {}, _IN_FILE, _IN_FILE), daily, money, at or now_utc())
    write_ring(directory, plan, daily.content(), money.content(), signed_centre_keys(plan, money))


def make_kept_keys(
    directory: Path,
    secrets: Mapping[str, bytes],
    at: datetime,
    daily: TokenChoice | None = None,
    money: TokenChoice | None = None,
    cost: Cost | None = None,
) -> None:
    """Make the keys of a centre with real custodians, in files or in tokens.

    Args:
        secrets: the custodians' passphrases by name, at least two.
        cost: of a guess at a passphrase; ``None`` for the recommended one.

    Raises:
        ValueError: too few custodians, or one whose name or passphrase will not do.
        TokenFault.
    """
    keepers = _new_keepers(secrets, cost)
    directory.mkdir(mode=0o700, parents=True)
    try:
        _make_in_vaults(directory, keepers, daily, money, at)
    except BaseException:
        shutil.rmtree(directory)
        raise


def _make_in_vaults(
    directory: Path, keepers: tuple[Custodian, ...], daily: TokenChoice | None, money: TokenChoice | None, at: datetime
) -> None:
    if daily is not None and money is not None and daily.place == money.place:
        raise ValueError("Un seul gardien ouvre le travail du jour : les clés de l'argent vont dans un autre jeton.")
    opened = [_vault_for(choice) for choice in (daily, money)]
    places = (daily.place if daily else _IN_FILE, money.place if money else _IN_FILE)
    plan = _filled(Plan(1, False, keepers, {}, *places), opened[0], opened[1], at)
    with _fresh_pins(zip(opened, (daily, money), strict=True)):
        write_ring(directory, plan, opened[0].content(), opened[1].content(), signed_centre_keys(plan, opened[1]))
    for vault in opened:
        vault.close()


def _vault_for(choice: TokenChoice | None) -> Vault:
    if choice is None:
        return SealedVault()
    from central.keys.token import TokenVault

    return TokenVault(choice.place, choice.pin)


@contextmanager
def _fresh_pins(vaults: Iterable[tuple[Vault, TokenChoice | None]]) -> Iterator[None]:
    """Each token gets a PIN that nobody has ever seen; when it could not be sealed, its own again."""
    chosen = [(vault, choice) for vault, choice in vaults if choice is not None and not choice.keeps_pin]
    for vault, _ in chosen:
        vault.change_pin(token(_NEW_PIN_B).hex())
    try:
        yield
    except BaseException:
        for vault, choice in chosen:
            vault.change_pin(choice.pin)
        raise


def _new_keepers(secrets: Mapping[str, bytes], cost: Cost | None) -> tuple[Custodian, ...]:
    if not NEEDED_FOR_MONEY <= len(secrets) <= MOST_CUSTODIANS:
        raise ValueError(f"Il faut de {NEEDED_FOR_MONEY} à {MOST_CUSTODIANS} gardiens.")
    if len(set(secrets.values())) != len(secrets):
        raise ValueError("Deux gardiens ont la même phrase secrète : chacun doit avoir la sienne.")
    return tuple(
        new_custodian(name, number, secret, cost or Cost()) for number, (name, secret) in enumerate(secrets.items(), 1)
    )


def _filled(plan: Plan, daily: Vault, money: Vault, at: datetime) -> Plan:
    """All keys of a centre, made in their vaults; the plan that names them."""
    for vault, roles in ((daily, DAILY_ROLES), (money, MONEY_ROLES)):
        for role in roles:
            plan = plan.with_key(role, vault.make_signing_key(role, FIRST_KEY_ID), _seconds(at))
    for number in CARD_KEY_NUMBERS:
        daily.make_master(number)
    return plan


# --- opening ---------------------------------------------------------------------------------------------------------


def load_keys(directory: Path, secrets: Mapping[str, bytes] | None = None) -> CentralKeys:
    """The keys of a centre, opened as far as these custodians may.

    Without secrets nothing is opened, and only what needs public keys alone works; a throw-away centre opens itself.

    Args:
        secrets: by custodian's name; one opens daily work, two the keys that create money.

    Raises:
        KeysInClear, KeysClosed, WrongSecret, KeysDamaged, TokenFault.
    """
    ring = read_ring(directory)
    given = dict(secrets or {})
    if not given and ring.plan.is_throw_away:
        given = _secrets_beside(directory, ring.plan)
    opened = open_vaults(directory, ring, unseal_ring(ring, given))
    return CentralKeys(ring.plan, ring.centre_keys, opened.daily, opened.money, opened.opened_by)


def _secrets_beside(directory: Path, plan: Plan) -> dict[str, bytes]:
    found = {}
    for keeper in plan.custodians:
        with suppress(FileNotFoundError):
            found[keeper.name] = (directory / f"{keeper.name}{SUFFIX_BESIDE}").read_bytes()
    return found


# --- changes, each by two custodians ---------------------------------------------------------------------------------


def _by_two(ring: Ring, secrets: Mapping[str, bytes]) -> Contents:
    contents = unseal_ring(ring, secrets)
    if contents.daily is None or contents.money is None:
        raise KeysClosed("Il faut les secrets de deux gardiens pour changer quoi que ce soit aux clés.")
    return contents


def _changed(directory: Path, secrets: Mapping[str, bytes], change: Callable[[Plan, Vault], Plan]) -> Plan:
    """Open both vaults, change plan and keys, and write all of it again."""
    ring = read_ring(directory)
    opened = open_vaults(directory, ring, _by_two(ring, secrets))
    assert opened.daily is not None and opened.money is not None
    try:
        plan = change(ring.plan, opened.money)
        signed = signed_centre_keys(plan, opened.money)
        write_ring(directory, plan, opened.daily.content(), opened.money.content(), signed)
    finally:
        opened.close()
    return plan


def add_custodian(
    directory: Path, secrets: Mapping[str, bytes], name: str, secret: bytes, cost: Cost | None = None
) -> None:
    """A further custodian; two who are one already agree. ValueError: the name or the passphrase will not do."""

    def with_keeper(plan: Plan, _money: Vault) -> Plan:
        _check_is_new(plan, name, secret)
        number = max(keeper.number for keeper in plan.custodians) + 1
        return replace(plan, custodians=(*plan.custodians, new_custodian(name, number, secret, cost or Cost())))

    _changed(directory, secrets, with_keeper)


def _check_is_new(plan: Plan, name: str, secret: bytes) -> None:
    if name in {keeper.name for keeper in plan.custodians}:
        raise ValueError(f"« {name} » est déjà gardien.")
    if len(plan.custodians) >= MOST_CUSTODIANS:
        raise ValueError(f"Il y a déjà {MOST_CUSTODIANS} gardiens.")
    for keeper in plan.custodians:
        with suppress(WrongSecret):
            keeper.unlock(secret)
            raise ValueError("Cette phrase secrète est celle d'un autre gardien : chacun doit avoir la sienne.")


def remove_custodian(directory: Path, secrets: Mapping[str, bytes], name: str) -> None:
    """One custodian fewer. What they copied before stays theirs: rotate the entitlement key afterwards."""

    def without_keeper(plan: Plan, _money: Vault) -> Plan:
        left = tuple(keeper for keeper in plan.custodians if keeper.name != name)
        if len(left) == len(plan.custodians):
            raise ValueError(f"« {name} » n'est pas gardien.")
        if len(left) < NEEDED_FOR_MONEY:
            raise ValueError(f"Il doit rester {NEEDED_FOR_MONEY} gardiens : ajoutez-en un d'abord.")
        return replace(plan, custodians=left)

    _changed(directory, secrets, without_keeper)


def rotate_entitlements(directory: Path, secrets: Mapping[str, bytes], at: datetime) -> int:
    """A new entitlement key under the next id; its id. The old one is destroyed, terminals go on verifying with it."""
    old = read_ring(directory).plan.newest(ENTITLEMENTS).key_id
    is_token = read_ring(directory).plan.money.is_token

    def with_new_key(plan: Plan, money: Vault) -> Plan:
        key = money.make_signing_key(ENTITLEMENTS, old + 1)
        if not is_token:
            money.forget(ENTITLEMENTS, old)
        return replace(plan.with_key(ENTITLEMENTS, key, _seconds(at)), version=plan.version + 1)

    plan = _changed(directory, secrets, with_new_key)
    if is_token:  # only now does the file name the new one
        _forget_in_token(directory, secrets, old)
    return plan.newest(ENTITLEMENTS).key_id


def _forget_in_token(directory: Path, secrets: Mapping[str, bytes], key_id: int) -> None:
    ring = read_ring(directory)
    opened = open_vaults(directory, ring, _by_two(ring, secrets))
    assert opened.money is not None
    opened.money.forget(ENTITLEMENTS, key_id)
    opened.close()


def retire_entitlement_key(directory: Path, secrets: Mapping[str, bytes], key_id: int, at: datetime | None) -> None:
    """Tell terminals no more of an old key.

    Args:
        at: now: what it signed last must have expired; ``None`` for a stolen key, at once.

    Raises:
        ValueError: it signs, is none, or cards may still live by it.
    """

    def without(plan: Plan, _money: Vault) -> Plan:
        later = [entry.made_s for entry in plan.public[ENTITLEMENTS] if entry.key_id > key_id]
        if at is not None and later and _seconds(at) < later[0] + LONGEST_ENTITLEMENT.total_seconds():
            raise ValueError(f"Des cartes portent encore une dotation signée par la clé {key_id} : attendez 40 jours.")
        return plan.without_listed(ENTITLEMENTS, key_id)

    _changed(directory, secrets, without)


def put_pin(directory: Path, secrets: Mapping[str, bytes], vault: Literal["daily", "money"], pin: str) -> None:
    """Seal a token's PIN anew, after it is seen to open it.

    Args:
        vault: whose token.

    Raises:
        ValueError: no token there.
        WrongPin, TokenFault.
    """
    ring = read_ring(directory)
    contents, content = _by_two(ring, secrets), content_of_pin(pin)
    place = ring.plan.daily if vault == "daily" else ring.plan.money
    if not place.is_token:
        raise ValueError("Ces clés ne sont pas dans un jeton : il n'y a pas de code PIN.")
    open_vault(directory, place, content, sha256(token(_RANDOM_SECRET_B))).close()
    daily, money = (content, contents.money) if vault == "daily" else (contents.daily, content)
    assert daily is not None and money is not None
    write_ring(directory, ring.plan, daily, money, ring.centre_keys)
    (directory / REFUSED_PIN_FILE).unlink(missing_ok=True)


def seal_keys(directory: Path, secrets: Mapping[str, bytes], at: datetime, cost: Cost | None = None) -> None:
    """Put keys that lie open (the first version's files, a throw-away centre's) under custodians; nothing else changes.

    The open files are destroyed once the sealed one is on the medium. What was copied from them before stays copied.

    Raises:
        ValueError: they are sealed already, or the custodians will not do.
        KeysDamaged: a file of them cannot be read.
    """
    keepers = _new_keepers(secrets, cost)
    plan, daily, money = _clear_keys(directory, at) if _is_in_clear(directory) else _throw_away_keys(directory)
    plan = replace(plan, is_throw_away=False, custodians=keepers)
    write_ring(directory, plan, daily.content(), money.content(), signed_centre_keys(plan, money))
    for place in (*directory.glob("*.pem"), directory / CLEAR_MASTERS_FILE, *directory.glob(f"*{SUFFIX_BESIDE}")):
        _destroy(place)


def _is_in_clear(directory: Path) -> bool:
    return (directory / "entitlements.pem").exists() and not (directory / "ring.cbor").exists()


def _clear_keys(directory: Path, at: datetime) -> tuple[Plan, SealedVault, SealedVault]:
    daily, money = SealedVault(), SealedVault()
    plan = Plan(1, False, (), {}, _IN_FILE, _IN_FILE)
    try:
        for vault, roles in ((daily, DAILY_ROLES), (money, MONEY_ROLES)):
            for role in roles:
                key = vault.take(role, 1, private_key_from_pem((directory / f"{role}.pem").read_bytes()))
                plan = plan.with_key(role, key, _seconds(at))
        masters = decode_map((directory / CLEAR_MASTERS_FILE).read_bytes(), 4_096)
        for number in CARD_KEY_NUMBERS:
            daily.take_master(number, take_bytes(masters, number, KEY_SIZE_B))
    except (FormatError, OSError):
        raise KeysDamaged(
            f"Les clés en clair de {directory} ne sont pas toutes lisibles ; rien n'est changé."
        ) from None
    return plan, daily, money


def _throw_away_keys(directory: Path) -> tuple[Plan, SealedVault, SealedVault]:
    ring = read_ring(directory)
    if not ring.plan.is_throw_away:
        raise ValueError("Ces clés sont déjà sous la garde de leurs gardiens.")
    opened = open_vaults(directory, ring, _by_two(ring, _secrets_beside(directory, ring.plan)))
    assert isinstance(opened.daily, SealedVault) and isinstance(opened.money, SealedVault)
    return ring.plan, opened.daily, opened.money


def _destroy(place: Path) -> None:
    """Overwrite, then remove: what the medium keeps of it elsewhere cannot be reached from here."""
    with suppress(FileNotFoundError):
        with place.open("r+b") as file:
            file.write(bytes(place.stat().st_size))
        place.unlink()


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
