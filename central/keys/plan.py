"""What is not secret about a centre's keys: who keeps them, where they lie, every public key there ever was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from central.keys.custodians import MOST_CUSTODIANS, NEEDED_FOR_MONEY, Custodian, read_custodian
from central.keys.faults import KeysDamaged
from central.keys.vaults import ROLES
from sync.cbor import Map, Value, decode_map, encode
from sync.crypto import PublicKey, public_bytes, public_key
from sync.signed_lists import CentreKeys

FIRST_KEY_ID: Final = 1
LAST_KEY_ID: Final = 255
MOST_PLAN_B: Final = 262_144


class _Format:
    FIRST: Final = 1


@dataclass(frozen=True, slots=True)
class PublicEntry:
    """A public key of one role.

    Attributes:
        key_id: 1 to 255, never used again.
        key: 65 bytes.
        made_s: seconds since 1970.
        is_listed: whether terminals are still told of it; the centre itself never forgets one.
    """

    key_id: int
    key: bytes
    made_s: int
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vault's keys are: in the sealed file (no module), or in the token ``label`` of a PKCS#11 module."""

    module: str = ""
    label: str = ""

    @property
    def is_token(self) -> bool:
        return bool(self.module)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known without opening anything.

    Attributes:
        version: of the list of public keys terminals get; grows with each change of it.
        is_throw_away: the custodians' secrets lie beside the keys: a demonstration.
        custodians: in order of number.
        public: public keys by role, oldest first; the last one signs.
        daily, money: where the two vaults are.
    """

    version: int
    is_throw_away: bool
    custodians: tuple[Custodian, ...]
    public: Mapping[str, tuple[PublicEntry, ...]]
    daily: Place
    money: Place

    def newest(self, role: str) -> PublicEntry:
        """The key that signs for a role."""
        return self.public[role][-1]

    def key(self, role: str) -> PublicKey:
        """Its public half."""
        return public_key(self.newest(role).key)

    def all_keys(self, role: str) -> dict[int, PublicKey]:
        """Every key a role ever had, by id."""
        return {entry.key_id: public_key(entry.key) for entry in self.public[role]}

    def centre_keys(self) -> CentreKeys:
        """What terminals are told."""
        return CentreKeys(
            version=self.version,
            entitlements=self._listed("entitlements"),
            cards=self._listed("cards"),
            lists=self.key("lists"),
            answers=self.key("answers"),
        )

    def _listed(self, role: str) -> dict[int, PublicKey]:
        return {entry.key_id: public_key(entry.key) for entry in self.public[role] if entry.is_listed}

    def with_key(self, role: str, key: PublicKey, made_s: int) -> Plan:
        """A further key of a role, which signs from now on. ValueError: all 255 ids are used."""
        before = self.public.get(role, ())
        key_id = before[-1].key_id + 1 if before else FIRST_KEY_ID
        if key_id > LAST_KEY_ID:
            raise ValueError("Les 255 numéros de clé sont utilisés : il faut un nouveau centre.")
        entry = PublicEntry(key_id, public_bytes(key), made_s)
        return replace(self, public={**self.public, role: (*before, entry)})

    def without_listed(self, role: str, key_id: int) -> Plan:
        """A key terminals are no longer told of. ValueError: the one that signs, or none of that id."""
        if key_id == self.newest(role).key_id or key_id not in self._listed(role):
            raise ValueError(f"La clé {key_id} n'est pas une ancienne clé encore annoncée aux caisses.")
        entries = tuple(replace(item, is_listed=item.is_listed and item.key_id != key_id) for item in self.public[role])
        return replace(self, version=self.version + 1, public={**self.public, role: entries})

    def bound_bytes(self) -> bytes:
        """What the seals are bound to: all of this but how each custodian locks their own part."""
        keepers: list[Value] = [[keeper.name, keeper.number, keeper.public] for keeper in self.custodians]
        return encode({**self._own_fields(), 2: keepers})

    def as_bytes(self) -> bytes:
        """For the key file."""
        return encode({**self._own_fields(), 2: [encode(keeper.as_fields()) for keeper in self.custodians]})

    def _own_fields(self) -> Map:
        public: list[Value] = [
            [role, item.key_id, item.key, item.made_s, item.is_listed]
            for role, entries in sorted(self.public.items())
            for item in entries
        ]
        places: list[Value] = [[place.module, place.label] for place in (self.daily, self.money)]
        return {0: [_Format.FIRST, self.version], 1: self.is_throw_away, 3: public, 4: places}


def read_plan(data: bytes) -> Plan:
    """The plan of a key file. Malformed, KeysDamaged."""
    match decode_map(data, MOST_PLAN_B):
        case {
            0: [_Format.FIRST, int() as version],
            1: bool() as is_throw_away,
            2: list() as keepers,
            3: list() as public,
            4: [[str() as daily, str() as daily_label], [str() as money, str() as money_label]],
        }:
            return Plan(
                version=version,
                is_throw_away=is_throw_away,
                custodians=_read_keepers(keepers),
                public=_read_public(public),
                daily=Place(daily, daily_label),
                money=Place(money, money_label),
            )
    raise KeysDamaged("Le fichier des clés est abîmé ou d'une version que ce programme ne connaît pas.")


def _read_keepers(rows: list[Value]) -> tuple[Custodian, ...]:
    found = tuple(read_custodian(decode_map(row, 4_096)) for row in rows if isinstance(row, bytes))
    names, numbers = {keeper.name for keeper in found}, {keeper.number for keeper in found}
    are_distinct = len(names) == len(numbers) == len(found) == len(rows)
    if not are_distinct or not NEEDED_FOR_MONEY <= len(found) <= MOST_CUSTODIANS:
        raise KeysDamaged("Le fichier des clés est abîmé : ses gardiens ne sont pas lisibles.")
    return found


def _read_public(rows: list[Value]) -> dict[str, tuple[PublicEntry, ...]]:
    found: dict[str, tuple[PublicEntry, ...]] = {}
    for row in rows:
        match row:
            case [str() as role, int() as key_id, bytes() as key, int() as made_s, bool() as is_listed]:
                public_key(key)
                found[role] = (*found.get(role, ()), PublicEntry(key_id, key, made_s, is_listed))
            case _:
                raise KeysDamaged("Le fichier des clés est abîmé : une clé publique n'y est pas lisible.")
    if set(found) != set(ROLES):
        raise KeysDamaged("Le fichier des clés est abîmé : il y manque une clé publique.")
    return found
