"""The lists the centre has signed, kept in every version."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from central.store import Store
from sync.bundle import Kind

LISTS_ID: Final = b"lists"
"""Key id of the key that signs lists."""


def keep(store: Store, kind: Kind, version: int, at: datetime, signed: bytes) -> None:
    """Keep a list just signed; its version is new. Inside a transaction of the store."""
    store.put("signed_list", kind=int(kind), version=version, signed_at=int(at.timestamp()), data=signed)


def newest_of(store: Store, kind: Kind) -> int:
    """The newest version of a kind, 0 for none."""
    return store.number("SELECT max(version) FROM signed_list WHERE kind = ?", int(kind))


def kept(store: Store, kind: Kind, version: int) -> bytes:
    """A list that is there, as it was signed."""
    row = store.one("SELECT data FROM signed_list WHERE kind = ? AND version = ?", int(kind), version)
    assert row is not None, "a version that was signed is kept"
    return bytes(row["data"])
