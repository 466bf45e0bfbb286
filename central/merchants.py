"""The merchants of the programme: the entry of each of their points of sale, kept whole in every version.

An entry is kept as it is signed (``sync.merchant_format``) and read back with the reader's checks: what cannot be read
at a stall cannot be kept here. The entry in force is the newest version. Certificates are the merchant's: all its
points of sale have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from central.store import Store
from domain.rule_set import Certificate, Merchant
from sync.errors import Malformed
from sync.merchant_format import merchant_payload, read_payload
from sync.record import Envelope


@dataclass(frozen=True, slots=True, order=True)
class PointOfSale:
    """One place of a merchant: number of the merchant, and its own among the merchant's, from 1. As text ``3.2``."""

    merchant: int
    number: int = 1

    def __str__(self) -> str:
        return f"{self.merchant}.{self.number}"


def place_of(entry: Merchant) -> PointOfSale:
    """The point of sale an entry is about."""
    return PointOfSale(entry.number, entry.point_of_sale)


def add(store: Store, entry: Merchant) -> Merchant:
    """A new merchant with its first point of sale; inside a transaction of the store.

    Args:
        entry: all there is to say; its number, version and point of sale are given here.

    Raises:
        Malformed: no reader would take that entry.
    """
    return keep(store, replace(entry, number=store.next_number("merchant"), point_of_sale=1))


def add_place(store: Store, entry: Merchant) -> Merchant:
    """A further point of sale of the merchant ``entry`` names, with the merchant's certificates; as ``add``."""
    others = [other for other in entries(store) if other.number == entry.number]
    if not others:
        raise Malformed("no merchant of that number")
    number = 1 + max(other.point_of_sale for other in others)
    return keep(store, replace(entry, point_of_sale=number, certificates=others[0].certificates))


def keep(store: Store, entry: Merchant, skipped: int = 0) -> Merchant:
    """Keep an entry as the next version of its point of sale, from now on in force; inside a transaction of the store.

    Args:
        skipped: versions left out, for a centre that may have forgotten some.

    Raises:
        Malformed: no reader would take that entry.
    """
    place = place_of(entry)
    newest = store.number(
        "SELECT max(version) FROM merchant_version WHERE number = ? AND point_of_sale = ?",
        place.merchant,
        place.number,
    )
    entry = replace(entry, version=newest + skipped + 1)
    if read_payload(merchant_payload(entry)) != entry:
        raise Malformed("an entry that is not read as it was written")
    _put(store, entry)
    return entry


def keep_certificates(store: Store, merchant: int, certificates: Iterable[Certificate]) -> tuple[Merchant, ...]:
    """Give a merchant these certificates and no others, at each of its points of sale; the new entries.

    Inside a transaction of the store. Raises Malformed: see ``keep``.
    """
    told = tuple(sorted(certificates, key=lambda item: (item.label, item.number)))
    return tuple(keep(store, replace(entry, certificates=told)) for entry in entries(store) if entry.number == merchant)


def raise_versions(store: Store, by: int) -> None:
    """Give each entry in force a version no terminal has seen, as it stands; inside a transaction of the store."""
    for entry in entries(store):
        keep(store, entry, skipped=by)


def entry(store: Store, place: PointOfSale) -> Merchant:
    """The entry in force of a point of sale. Raises Malformed: there is none of that number."""
    row = store.one(
        "SELECT entry FROM merchant_version WHERE number = ? AND point_of_sale = ? ORDER BY version DESC LIMIT 1",
        place.merchant,
        place.number,
    )
    if row is None:
        raise Malformed("no merchant of that number")
    return read_payload(bytes(row["entry"]))


def entries(store: Store) -> tuple[Merchant, ...]:
    """The entries in force, in order of merchant and point of sale."""
    rows = store.all(
        """SELECT entry FROM merchant_version AS this WHERE version = (SELECT max(version) FROM merchant_version AS one
            WHERE one.number = this.number AND one.point_of_sale = this.point_of_sale)
        ORDER BY number, point_of_sale"""
    )
    return tuple(read_payload(bytes(row["entry"])) for row in rows)


def entry_named(store: Store, envelope: Envelope, version: int) -> Merchant | None:
    """The entry of a version of the point of sale a record's terminal belongs to; ``None``: there never was one."""
    row = store.one(
        """SELECT entry FROM merchant_version
        JOIN terminal ON terminal.merchant = number AND terminal.point_of_sale = merchant_version.point_of_sale
        WHERE terminal.terminal = ? AND terminal.epoch = ? AND merchant_version.version = ?""",
        envelope.terminal,
        envelope.epoch,
        version,
    )
    return None if row is None else read_payload(bytes(row["entry"]))


# --- databases before format 5 ---------------------------------------------------------------------------------------


def take_out_former(store: Store) -> tuple[Merchant, ...]:
    """The entries of a database that kept name, groups and default family alone; its tables are gone then.

    Inside a transaction of the store. Nothing in a database of this format.
    """
    columns = "number, version, name, groups, default_family"
    found: dict[tuple[int, int], Merchant] = {}
    for table in ("merchant_version", "merchant"):
        if store.one("SELECT 1 FROM pragma_table_info(?) WHERE name = 'groups'", table) is None:
            continue
        for number, version, name, groups, family in (
            row.values() for row in store.all(f"SELECT {columns} FROM {table}")
        ):
            found[number, version] = Merchant(number, version, name, frozenset(groups.split()), family)
        store.change(f"DROP TABLE {table}")
    return tuple(found.values())


def put_former(store: Store, former: Iterable[Merchant]) -> None:
    """Keep entries under the versions they have; inside a transaction of the store."""
    for entry in former:
        _put(store, entry)


def _put(store: Store, entry: Merchant) -> None:
    place = place_of(entry)
    store.put(
        "merchant_version",
        number=place.merchant,
        point_of_sale=place.number,
        version=entry.version,
        entry=merchant_payload(entry),
    )
