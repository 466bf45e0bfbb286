"""What the commands about merchants share: which one is meant, and how an entry is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Final

import click

from central import merchants
from central.merchant_check import ends_say, standings
from central.merchants import PointOfSale, place_of
from central.office import Office
from central.rule_file.words import LABELS, MERCHANTS, french_day, typographic
from domain.rule_set import Certificate, Merchant

_NUMBER: Final = re.compile(r"([1-9]\d{0,8})(?:\.([1-9]\d{0,8}))?")


def entry_at(office: Office, text: str) -> Merchant:
    """The entry of « 3.2 », or of « 3 » where that merchant has one point of sale. ValueError otherwise."""
    number, place = _numbers(text)
    entries = of_merchant(office, str(number))
    if place is None and len(entries) > 1:
        raise ValueError(f"Le commerçant {number} a plusieurs points de vente : {_choice(entries)}. Dites lequel.")
    found = [entry for entry in entries if place in (None, entry.point_of_sale)]
    if not found:
        raise ValueError(f"Le commerçant {number} n'a pas de point de vente {text}. Il a : {_choice(entries)}.")
    return found[0]


def of_merchant(office: Office, text: str) -> tuple[Merchant, ...]:
    """The entries of all points of sale of a merchant, one at least. ValueError: no merchant's number."""
    number, place = _numbers(text)
    if place is not None:
        raise ValueError(f"« {text} » est un point de vente ; ici on parle du commerçant : écrivez {number}.")
    found = tuple(entry for entry in merchants.entries(office.store) if entry.number == number)
    if not found:
        raise ValueError(f"Il n'y a pas de commerçant {number}. « panier central stall list » les montre.")
    return found


@contextmanager
def mistakes() -> Iterator[None]:
    """A mistake in what was asked ends with its sentence."""
    try:
        yield
    except ValueError as mistake:
        raise click.ClickException(typographic(str(mistake))) from None


# --- how an entry is said ---------------------------------------------------------------------------------------------


def told(office: Office, entries: Iterable[Merchant], warnings: Iterable[str], *, as_json: bool) -> None:
    """Entries that have just changed."""
    for entry in entries:
        if as_json:
            echo_json(plain(office, entry) | {"warnings": [*warnings]})
        else:
            which = f"{entry.name} ({place_of(entry)}) : fiche n° {entry.version}"
            say(f"{which}, que ses caisses reçoivent à leur prochain contact.")
    if not as_json:
        warn(warnings)


def shown(office: Office, entry: Merchant) -> Iterator[str]:
    """All that is said of a point of sale, line by line."""
    family = office.rules.families.get(entry.default_family)
    days = [f"à partir du {french_day(entry.first_day)}"] if entry.first_day else []
    days += [f"jusqu'au {french_day(entry.last_day)} compris"] if entry.last_day else []
    stations = ", ".join(map(str, _stations(office, place_of(entry))))
    yield f"{entry.name} : point de vente {place_of(entry)}, fiche n° {entry.version}"
    yield f"  profil : {_meant(entry.profile, MERCHANTS) if entry.profile else 'aucun'}"
    yield f"  groupes : {', '.join(_meant(group, MERCHANTS) for group in sorted(entry.groups)) or 'aucun'}"
    yield f"  famille par défaut : {entry.default_family}{f' ({family.name_fr})' if family else ''}"
    yield f"  caisse : {'tenue par une personne' if entry.is_attended else 'sans personne'}"
    yield f"  en vigueur : {' '.join(days) or 'sans limite de jours'}"
    yield "  certificats :" if entry.certificates else "  certificats : aucun"
    for item in entry.certificates:
        yield f"    {_meant(item.label, LABELS)} {item.number}, {_until(item)}"
    yield f"  caisses enrôlées : {f'stations {stations}' if stations else 'aucune'}"
    for sentence in attention(office, entry):
        yield f"  ! {sentence}"


def attention(office: Office, entry: Merchant) -> list[str]:
    """What an operator should look at today: days of the entry, certificates soon or already over."""
    return list(ends_say(entry, office.today()))


def plain(office: Office, entry: Merchant) -> dict[str, object]:
    """An entry for a machine."""
    return {
        "stall": str(place_of(entry)),
        "merchant": entry.number,
        "point_of_sale": entry.point_of_sale,
        "version": entry.version,
        "name": entry.name,
        "profile": entry.profile,
        "groups": sorted(entry.groups),
        "default_family": entry.default_family,
        "is_attended": entry.is_attended,
        "first_day": _iso(entry.first_day),
        "last_day": _iso(entry.last_day),
        "certificates": [
            {
                "label": standing.certificate.label,
                "number": standing.certificate.number,
                "last_day": _iso(standing.certificate.last_day),
                "days_left": standing.days_left,
            }
            for standing in standings(entry.certificates, office.today())
        ],
        "stations": _stations(office, place_of(entry)),
        "attention": attention(office, entry),
    }


def say(text: str, *, is_aside: bool = False) -> None:
    """A line with the spaces of the French press; aside: on stderr."""
    click.echo(typographic(text), err=is_aside)


def warn(sentences: Iterable[str]) -> None:
    """What is probably not meant, aside."""
    for sentence in sentences:
        say(f"Attention : {sentence}", is_aside=True)


def echo_json(found: Mapping[str, object]) -> None:
    """One object on one line."""
    click.echo(json.dumps(found, ensure_ascii=False))


def _numbers(text: str) -> tuple[int, int | None]:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"« {text} » n'est pas un numéro de commerçant (3) ni de point de vente (3.2).")
    return int(match[1]), None if match[2] is None else int(match[2])


def _choice(entries: Iterable[Merchant]) -> str:
    return ", ".join(f"{place_of(entry)} ({entry.name})" for entry in entries)


def _meant(word: str, meanings: Mapping[str, str]) -> str:
    return f"{word} ({meanings[word]})" if word in meanings else word


def _until(certificate: Certificate) -> str:
    return "sans fin" if certificate.last_day is None else f"jusqu'au {french_day(certificate.last_day)}"


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _stations(office: Office, place: PointOfSale) -> list[int]:
    rows = office.store.all(
        """SELECT station FROM terminal WHERE merchant = ? AND point_of_sale = ? AND revoked_at IS NULL
        ORDER BY station""",
        place.merchant,
        place.number,
    )
    return [row["station"] for row in rows]
