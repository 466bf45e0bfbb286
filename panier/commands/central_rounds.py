"""``panier central rules | allot | bonus``: the programme's policy at the centre, and what it grants month by month."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import click

from central import allotments, bonuses
from central.rule_file import RuleMistake
from domain.identity import CardId
from domain.money import Cents, in_euros
from panier.commands.asked import AS_JSON, DIRECTORY, Month
from panier.commands.rules import mistakes_as_french
from panier.custodians import custodian_files, open_office
from sync.issuing import card_code

MONTH = click.option("--month", type=Month(), required=True, help="pour ce mois, écrit 2027-01")


@click.command(name="rules", help="Donner au centre une nouvelle version des règles ; les caisses la prennent ensuite.")
@DIRECTORY
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@custodian_files
def rules_command(directory: Path, path: Path, files: tuple[str, ...]) -> None:
    office = open_office(directory, files, 1, f"règles de {path.name}")
    try:
        taken = office.take_rules(path)
    except RuleMistake as wrong:
        click.echo("\n".join(mistakes_as_french(wrong.mistakes, path.name)), err=True)
        raise click.exceptions.Exit(1) from None
    click.echo(f"Version {taken.version} des règles prise. Les caisses la reçoivent à leur prochain contact.")


@click.command(help="Verser à chaque foyer ce que les règles lui donnent pour un mois, une seule fois.")
@DIRECTORY
@MONTH
@AS_JSON
@custodian_files
def allot(directory: Path, month: date, as_json: bool, files: tuple[str, ...]) -> None:
    office = open_office(directory, files, 2, f"dotations de {month:%m/%Y}")
    try:
        done = allotments.run(office.store, office.keys, office.rules_as_written(), month, office.now())
    except ValueError as mistake:
        raise click.ClickException(f"Rien n'a été versé : {mistake}.") from None
    if as_json:
        click.echo(json.dumps(_round_as_plain(done), ensure_ascii=False))
        return
    click.echo("\n".join(_round_as_french(done)))


@click.command(help="Verser les bonus que les caisses ont montrés, d'après ce qui est parvenu au centre.")
@DIRECTORY
@MONTH
@AS_JSON
@custodian_files
def bonus(directory: Path, month: date, as_json: bool, files: tuple[str, ...]) -> None:
    office = open_office(directory, files, 2, f"bonus versés sur {month:%m/%Y}")
    try:
        done = bonuses.run(office.store, office.keys, month, office.now())
    except ValueError as mistake:
        raise click.ClickException(f"Rien n'a été versé : {mistake}.") from None
    if as_json:
        click.echo(json.dumps(_bonuses_as_plain(done), ensure_ascii=False))
        return
    click.echo("\n".join(_bonuses_as_french(done, month)))


# --- how it is said --------------------------------------------------------------------------------------------------


def _round_as_french(done: allotments.Round) -> Iterator[str]:
    households = len({item.household for item in done.given})
    yield f"Dotations de {done.month:%m/%Y} : {in_euros(done.amount)} à {_counted(households, 'foyer')}."
    sums: Counter[str] = Counter()
    for item in done.given:
        sums[item.purse] += int(item.amount)
    yield from (f"  enveloppe {purse} : {in_euros(Cents(cents))}" for purse, cents in sorted(sums.items()))
    if done.already:
        yield f"{_counted(done.already, 'dotation')} de ce mois étaient déjà versées : rien de plus."
    for left in done.left:
        where = f"foyer {left.household}" + (f", enveloppe {left.purse}" if left.purse else "")
        yield f"  ✗ {where} : {left.why}."
    if done.left:
        yield "Corrigez, puis relancez la même commande : ce qui est versé ne l'est pas deux fois."
    yield from _waiting(done.waiting)


def _bonuses_as_french(done: bonuses.BonusRound, month: date) -> Iterator[str]:
    cards = len({item.card for item in done.given})
    yield f"Bonus versés sur {month:%m/%Y} : {in_euros(done.amount)} à {_counted(cards, 'carte')}."
    yield from (f"  ✗ carte {card_code(item.card)}, {in_euros(item.amount)} : {item.why}." for item in done.left)
    if done.owed:
        yield f"{in_euros(done.owed)} versés de trop après des annulations seront repris sur les prochains bonus."
    yield from _waiting(done.waiting)


def _waiting(waiting: Iterable[tuple[CardId, str]]) -> Iterator[str]:
    held = [(card_code(card), why) for card, why in waiting]
    if held:
        yield f"{_counted(len(held), 'carte')} en attente de signature : {', '.join(code for code, _ in held)}."
        yield held[0][1]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _round_as_plain(done: allotments.Round) -> dict[str, object]:
    return {
        "month": f"{done.month:%Y-%m}",
        "granted_cents": int(done.amount),
        "given": [
            {
                "household": item.household,
                "purse": item.purse,
                "first_day": item.span.first.isoformat(),
                "last_day": item.span.last.isoformat() if item.span.last else None,
                "amount_cents": int(item.amount),
                "cards": [{"card": card_code(card), "cents": int(cents)} for card, cents in item.cards],
            }
            for item in done.given
        ],
        "left": [{"household": item.household, "purse": item.purse, "why": item.why} for item in done.left],
        "already": done.already,
        "waiting": [{"card": card_code(card), "why": why} for card, why in done.waiting],
    }


def _bonuses_as_plain(done: bonuses.BonusRound) -> dict[str, object]:
    return {
        "granted_cents": int(done.amount),
        "given": [
            {"card": card_code(item.card), "purse": item.purse, "cents": int(item.amount)} for item in done.given
        ],
        "left": [{"card": card_code(item.card), "cents": int(item.amount), "why": item.why} for item in done.left],
        "owed_cents": int(done.owed),
        "waiting": [{"card": card_code(card), "why": why} for card, why in done.waiting],
    }
