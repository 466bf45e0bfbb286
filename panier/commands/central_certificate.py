"""``panier central stall certificate``: what backs a merchant's labels (docs/operating/merchants.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Final

import click

from central import merchants
from central.merchant_check import check_certificate, check_not_past, label_doubts
from central.rule_file.words import french_day
from domain.rule_set import Certificate
from panier.commands.asked import AS_JSON, DIRECTORY, Day
from panier.custodians import open_office
from panier.stalls import mistakes, of_merchant, told
from sync.merchant_format import MOST_WORDS

MERCHANT: Final = click.argument("merchant_number", metavar="MERCHANT")
LABEL: Final = click.option("--label", required=True, help="label qu'il prouve, par exemple organic")
NUMBER: Final = click.option("--number", required=True, help="numéro écrit sur le certificat")


@click.group(help="Les certificats d'un commerçant ; ils valent à tous ses points de vente.")
def certificate() -> None:
    pass


@certificate.command(name="add", help="Ajouter le certificat d'un label.")
@DIRECTORY
@MERCHANT
@LABEL
@NUMBER
@click.option("--to", "last", type=Day(), default=None, help="dernier jour du certificat, compris")
@click.option("--no-end", is_flag=True, help="le certificat n'a pas de fin")
@AS_JSON
def add_certificate(
    directory: Path,
    merchant_number: str,
    label: str,
    number: str,
    last: date | None,
    no_end: bool,
    as_json: bool,
) -> None:
    def change(held: tuple[Certificate, ...], today: date) -> tuple[Certificate, ...]:
        if _find(held, label, number) is not None:
            raise ValueError(f"Le certificat {number} ({label}) y est déjà. Pour un nouveau dernier jour : « renew ».")
        if len(held) >= MOST_WORDS:
            raise ValueError(f"Un commerçant a {MOST_WORDS} certificats au plus : retirez ceux qui sont finis.")
        new = Certificate(label, number, _certificate_day(last, no_end, today))
        check_certificate(new)
        return (*held, new)

    _change_certificates(directory, merchant_number, label, change, as_json)


@certificate.command(help="Prolonger un certificat : nouveau dernier jour, et nouveau numéro s'il en a changé.")
@DIRECTORY
@MERCHANT
@LABEL
@NUMBER
@click.option("--to", "last", type=Day(), default=None, help="nouveau dernier jour, compris")
@click.option("--no-end", is_flag=True, help="le certificat n'a pas de fin")
@click.option("--new-number", default=None, help="numéro du nouveau certificat, s'il en a un autre")
@AS_JSON
def renew(
    directory: Path,
    merchant_number: str,
    label: str,
    number: str,
    last: date | None,
    no_end: bool,
    new_number: str | None,
    as_json: bool,
) -> None:
    def change(held: tuple[Certificate, ...], today: date) -> tuple[Certificate, ...]:
        old = _known(held, label, number)
        new = Certificate(label, new_number or number, _certificate_day(last, no_end, today))
        check_certificate(new)
        if new.last_day is not None and (old.last_day is None or new.last_day <= old.last_day):
            until = "sans fin" if old.last_day is None else f"jusqu'au {french_day(old.last_day)}"
            raise ValueError(
                f"Le certificat {number} ({label}) court déjà {until}. Pour une fin plus proche : « withdraw », "
                "puis « certificate add »."
            )
        if new_number and new_number != number and _find(held, label, new_number) is not None:
            raise ValueError(f"Le certificat {new_number} ({label}) y est déjà : retirez l'ancien avec « withdraw ».")
        return tuple(new if item == old else item for item in held)

    _change_certificates(directory, merchant_number, label, change, as_json)


@certificate.command(help="Retirer un certificat : il ne compte plus, dès le prochain contact de chaque caisse.")
@DIRECTORY
@MERCHANT
@LABEL
@NUMBER
@AS_JSON
def withdraw(directory: Path, merchant_number: str, label: str, number: str, as_json: bool) -> None:
    def change(held: tuple[Certificate, ...], _today: date) -> tuple[Certificate, ...]:
        old = _known(held, label, number)
        return tuple(item for item in held if item != old)

    _change_certificates(directory, merchant_number, "", change, as_json)


def _change_certificates(
    directory: Path,
    merchant_number: str,
    label: str,
    change: Callable[[tuple[Certificate, ...], date], tuple[Certificate, ...]],
    as_json: bool,
) -> None:
    office = open_office(directory)
    with mistakes(), office.store.writing():
        entries = of_merchant(office, merchant_number)
        held = change(entries[0].certificates, office.today())
        entries = merchants.keep_certificates(office.store, entries[0].number, held)
    told(office, entries, label_doubts([label] if label else [], office.rules), as_json=as_json)


def _certificate_day(last: date | None, no_end: bool, today: date) -> date | None:
    if (last is None) != no_end:
        raise ValueError("Dites le dernier jour du certificat avec --to, ou --no-end s'il n'en a pas.")
    check_not_past(last, today, "Un certificat déjà fini ne prouve plus rien : demandez le nouveau au commerçant.")
    return last


def _find(held: Iterable[Certificate], label: str, number: str) -> Certificate | None:
    return next((item for item in held if (item.label, item.number) == (label, number)), None)


def _known(held: tuple[Certificate, ...], label: str, number: str) -> Certificate:
    found = _find(held, label, number)
    if found is None:
        those = ", ".join(f"{item.label} {item.number}" for item in held) or "aucun"
        raise ValueError(f"Ce commerçant n'a pas de certificat {number} ({label}). Il a : {those}.")
    return found
