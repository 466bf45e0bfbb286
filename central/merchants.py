"""The merchants of the programme: their signed entries, kept in every version a payment may name."""

from __future__ import annotations

from collections.abc import Sequence

from central.store import Row, Store
from domain.rule_set import Merchant
from sync.errors import Malformed
from sync.record import Envelope


def add(store: Store, name: str, groups: Sequence[str], default_family: str) -> Merchant:
    """A new merchant of the programme; inside a transaction of the store."""
    number = store.next_number("merchant")
    store.put(
        "merchant",
        number=number,
        version=1,
        name=name,
        groups=" ".join(sorted(groups)),
        default_family=default_family,
    )
    keep_versions(store)
    return entry(store, number)


def entry(store: Store, number: int) -> Merchant:
    """The entry in force of a merchant. Raises Malformed: no merchant of that number."""
    row = store.one("SELECT * FROM merchant WHERE number = ?", number)
    if row is None:
        raise Malformed("no merchant of that number")
    return _read(row)


def entry_named(store: Store, envelope: Envelope, version: int) -> Merchant | None:
    """The entry of a version of the merchant a record's terminal belongs to; ``None`` where there never was one."""
    row = store.one(
        """SELECT merchant_version.* FROM merchant_version
        JOIN terminal ON terminal.merchant = merchant_version.number
        WHERE terminal.terminal = ? AND terminal.epoch = ? AND merchant_version.version = ?""",
        envelope.terminal,
        envelope.epoch,
        version,
    )
    return None if row is None else _read(row)


def keep_versions(store: Store) -> None:
    """Keep each merchant's entry as it stands, so that what was decided under it can be decided again later.

    Call it whenever an entry is new or has a new version; inside a transaction.
    """
    store.change(
        """INSERT INTO merchant_version (number, version, name, groups, default_family)
        SELECT number, version, name, groups, default_family FROM merchant WHERE true ON CONFLICT DO NOTHING"""
    )


def _read(row: Row) -> Merchant:
    groups = frozenset(row["groups"].split())
    return Merchant(row["number"], row["version"], row["name"], groups, row["default_family"])
