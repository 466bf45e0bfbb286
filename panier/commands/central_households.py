"""``panier central household``: who is in the programme. Numbers only: no name is ever written down here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import click

from central import households
from central.office import Office
from domain.allotment import Size, Span
from domain.rule_set import Purse, Window
from panier.commands.asked import AS_JSON, DIRECTORY, Day, Month, card_of
from panier.custodians import open_office
from sync.issuing import card_code

FROM = click.option("--from", "first", type=Day(), default=None, help="à partir de ce jour (aujourd'hui)")
NUMBER = click.argument("number", type=int)
SIZE = (
    click.option("--adults", type=int, required=True, help="adultes"),
    click.option("--children", type=int, default=0, help="enfants"),
)


@click.group(help="Les foyers : combien de personnes, quelles cartes. Des numéros, jamais de nom.")
def household() -> None:
    pass


@household.command(help="Prendre un foyer dans le programme ; affiche son numéro.")
@DIRECTORY
@SIZE[0]
@SIZE[1]
@FROM
def add(directory: Path, adults: int, children: int, first: date | None) -> None:
    with _changing(directory) as (office, today):
        at = office.now()
        number = households.take_in(office.store, Size(adults, children), first or today, at)
    click.echo(f"Foyer {number} : {_people(Size(adults, children))}, à partir du {(first or today):%d/%m/%Y}.")


@household.command(help="Dire qu'un foyer a une autre taille à partir d'un jour.")
@DIRECTORY
@NUMBER
@SIZE[0]
@SIZE[1]
@FROM
def size(directory: Path, number: int, adults: int, children: int, first: date | None) -> None:
    with _changing(directory) as (office, today):
        households.resize(office.store, number, Size(adults, children), first or today)
    click.echo(f"Foyer {number} : {_people(Size(adults, children))}, à partir du {(first or today):%d/%m/%Y}.")


@household.command(help="Remettre une carte à un foyer, à partir d'aujourd'hui ou d'un jour à venir.")
@DIRECTORY
@NUMBER
@click.argument("card")
@FROM
def card(directory: Path, number: int, card: str, first: date | None) -> None:
    with _changing(directory) as (office, today):
        _near(first, today)
        households.hand_over(office.store, number, card_of(card), first or today)
    click.echo(f"Carte {card} : au foyer {number} à partir du {(first or today):%d/%m/%Y}.")


@household.command(name="take-back", help="Noter qu'une carte n'est plus à un foyer après un jour (aujourd'hui).")
@DIRECTORY
@NUMBER
@click.argument("card")
@click.option("--after", "last", type=Day(), default=None, help="dernier jour (aujourd'hui)")
def take_back(directory: Path, number: int, card: str, last: date | None) -> None:
    with _changing(directory) as (office, today):
        _near(last, today)
        households.take_back(office.store, number, card_of(card), last or today)
    click.echo(f"Carte {card} : au foyer {number} jusqu'au {(last or today):%d/%m/%Y} compris.")


@household.command(
    help="Noter pour un mois un fait que les règles demandent (only_if), par exemple une cotisation reçue."
)
@DIRECTORY
@NUMBER
@click.argument("fact")
@click.option("--month", type=Month(), default=None, help="ce mois (le mois en cours)")
def note(directory: Path, number: int, fact: str, month: date | None) -> None:
    with _changing(directory) as (office, today):
        known = {item.only_if for item in office.rules_as_written().rules.allotments if item.only_if}
        if fact not in known:
            asked = f"elles demandent : {', '.join(sorted(known))}" if known else "elles n'en demandent aucun"
            raise ValueError(f"aucune dotation des règles ne dépend de « {fact} » ; {asked}")
        households.note(office.store, number, fact, month or today)
    click.echo(f"Foyer {number} : « {fact} » noté pour {(month or today):%m/%Y}.")


@household.command(help="Donner les dates d'un foyer dans une enveloppe qui va par dates, jours compris.")
@DIRECTORY
@NUMBER
@click.argument("purse")
@click.option("--from", "first", type=Day(), required=True)
@click.option("--to", "last", type=Day(), default=None)
@click.option("--cancel", is_flag=True, help="retirer les dates qui commencent ce jour-là, si rien n'est versé")
def dates(directory: Path, number: int, purse: str, first: date, last: date | None, cancel: bool) -> None:
    with _changing(directory) as (office, today):
        found = _by_dates(office, purse)
        if cancel:
            households.drop_dates(office.store, number, found.number, first)
            click.echo(f"Foyer {number}, enveloppe « {found.name} » : dates du {first:%d/%m/%Y} retirées.")
            return
        if last is None:
            raise ValueError("dites le dernier jour, avec --to")
        _near(max(first, today), today)
        households.put_dates(office.store, number, found.number, Span(first, last))
    click.echo(f"Foyer {number}, enveloppe « {found.name} » : du {first:%d/%m/%Y} au {last:%d/%m/%Y} compris.")


@household.command(name="list", help="Les foyers d'aujourd'hui : taille et cartes.")
@DIRECTORY
@AS_JSON
def list_(directory: Path, as_json: bool) -> None:
    office = open_office(directory)
    today = office.today()
    found = [households.on(office.store, number, today) for number in households.numbers(office.store)]
    if as_json:
        rows = [
            {
                "household": item.number,
                "adults": item.size.adults if item.size else None,
                "children": item.size.children if item.size else None,
                "cards": [card_code(each) for each in item.cards],
            }
            for item in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for item in found:
        people = "pas encore dans le programme" if item.size is None else _people(item.size)
        cards = ", ".join(card_code(each) for each in item.cards) or "aucune carte"
        click.echo(f"Foyer {item.number} : {people} ; {cards}.")
    if not found:
        click.echo("Aucun foyer. « panier central household add » en prend un dans le programme.")


@contextmanager
def _changing(directory: Path) -> Iterator[tuple[Office, date]]:
    """A transaction of the centre and the day it is; what is wrong is told, and nothing is changed."""
    office = open_office(directory)
    try:
        with office.store.writing():
            yield office, office.today()
    except ValueError as mistake:
        raise click.ClickException(f"Rien n'a été changé : {mistake}.") from None


def _near(day: date | None, today: date) -> None:
    if day is not None and day < today:
        raise ValueError("ce jour est passé, et ce que les caisses ont montré depuis ne change plus")
    if day is not None and day > today + timedelta(days=366):
        raise ValueError("ce jour est dans plus d'un an")


def _by_dates(office: Office, word: str) -> Purse:
    purses = [purse for purse in office.rules.purses if purse.window is Window.DATES]
    for purse in purses:
        if word in (purse.code, str(purse.number)):
            return purse
    known = ", ".join(purse.code for purse in purses)
    raise ValueError(f"« {word} » n'est pas une enveloppe qui va par dates" + (f" ; il y a : {known}" if known else ""))


def _people(size: Size) -> str:
    words = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((size.adults, "adulte"), (size.children, "enfant"))
        if count
    ]
    return " et ".join(words)
