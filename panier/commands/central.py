"""``panier central``: the centre by hand."""

from __future__ import annotations

import errno
import json
from datetime import UTC, date, datetime
from pathlib import Path

import click

from central.keys import CentralKeys, load_keys
from central.keys.ring import read_ring
from central.office import make_centre
from central.report import report
from central.rule_file import RuleMistake, read_rule_file
from domain.money import in_euros
from domain.rule_set import Purse, RuleSet, Unspent
from panier.commands.asked import DIRECTORY, Day, amount_of, card_of
from panier.commands.central_households import household
from panier.commands.central_keys import keys
from panier.commands.central_rounds import allot, bonus, rules_command
from panier.commands.central_stall import stall
from panier.custodians import THROW_AWAY_WARNING, custodian_files, open_office, secrets_of

DEFAULT_RULES = Path(__file__).parents[2] / "domain" / "rule-sets" / "gers.toml"


@click.group(help="Le centre : cartes, dotations, caisses, relevé.")
def central() -> None:
    pass


central.add_command(keys)
central.add_command(household)
central.add_command(rules_command)
central.add_command(allot)
central.add_command(bonus)
central.add_command(stall)


@central.command(help="Créer un centre dans un dossier vide.")
@DIRECTORY
@click.option("--rules", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=DEFAULT_RULES)
@click.option("--throw-away", is_flag=True, help="avec des clés jetables, pour une démonstration")
@custodian_files
def init(directory: Path, rules: Path, throw_away: bool, files: tuple[str, ...]) -> None:
    if directory.exists() and any(place.name != "keys" for place in directory.iterdir()):
        raise click.ClickException(f"{directory} n'est pas vide : un centre se crée dans un dossier vide.")
    try:
        read_rule_file(rules)
    except RuleMistake as mistake:
        raise click.ClickException(f"{rules.name} : {mistake}") from None
    if not throw_away and not (directory / "keys").exists():
        raise click.ClickException(
            "Un centre a d'abord des clés, sous la garde de deux personnes : « panier central keys init ». "
            "Pour une démonstration : --throw-away."
        )
    make_centre(directory, rules, keys=_keys_for_init(directory / "keys", files))
    click.echo(f"Centre créé dans {directory}.")


def _keys_for_init(place: Path, files: tuple[str, ...]) -> CentralKeys | None:
    if not place.exists():
        click.echo(THROW_AWAY_WARNING, err=True)
        return None
    return load_keys(place, secrets_of(read_ring(place).plan, files, 1))


@central.command(name="serve", help="Servir le centre, jusqu'à Ctrl-C.")
@DIRECTORY
@click.option("--port", type=int, default=None, help="port de 127.0.0.1 pour le navigateur ; 0 : un port libre")
@click.option("--socket", "unix_socket", type=click.Path(path_type=Path), default=None)
@click.option("--closed", is_flag=True, help="un seul gardien : rien n'est accordé ni enrôlé, le reste est servi")
@custodian_files
def serve_command(
    directory: Path, port: int | None, unix_socket: Path | None, closed: bool, files: tuple[str, ...]
) -> None:
    from central.serve import serve

    office = open_office(directory, files, 1 if closed else 2, "centre servi")
    office.close()
    try:
        serve(directory, port, unix_socket, lambda where: click.echo(where), office.keys)
    except OSError as fault:
        if fault.errno != errno.EADDRINUSE:
            raise
        raise click.ClickException(f"Le port {port} est déjà pris : choisissez-en un autre avec --port.") from None


@central.command(help="Donner une dotation à une carte, en centimes (4000) ou en euros (40,00), jours compris.")
@DIRECTORY
@click.argument("card")
@click.argument("amount")
@click.option("--from", "first", type=Day(), required=True)
@click.option("--to", "last", type=Day(), default=None, help="dernier jour ; aucun pour une enveloppe qui se garde")
@click.option("--purse", default=None, help="enveloppe, par son nom ou son numéro (quand les règles en ont plusieurs)")
@custodian_files
def grant(
    directory: Path,
    card: str,
    amount: str,
    first: date,
    last: date | None,
    purse: str | None,
    files: tuple[str, ...],
) -> None:
    granted, number = amount_of(amount), card_of(card)
    if last is not None and last < first:
        raise click.ClickException("Le dernier jour est avant le premier.")
    office = open_office(directory)
    into = _purse_named(office.rules, purse)
    if last is None and into.unspent is Unspent.LAPSE:
        raise click.ClickException(f"L'argent de l'enveloppe « {into.name} » se perd : dites jusqu'à quand, avec --to.")
    if last is not None and last < office.today():
        raise click.ClickException("Cette période est passée : rien n'a été accordé.")
    office = open_office(directory, files, 2, f"dotation de {in_euros(granted)}")
    start, after = office.day_start(first), None if last is None else office.day_after(last)
    try:
        waits = office.grant(number, into.number, granted, start, after)
    except ValueError as mistake:
        raise click.ClickException(f"Dotation impossible pour la carte {card} : {mistake}.") from None
    until = "" if last is None else f" au {last:%d/%m/%Y}"
    click.echo(waits or f"{in_euros(granted)} accordés à {card}, du {first:%d/%m/%Y}{until}.")


def _purse_named(rules: RuleSet, word: str | None) -> Purse:
    """The purse of a code or number; the only one where none is said."""
    if word is None and len(rules.purses) == 1:
        return rules.purses[0]
    for purse in rules.purses:
        if word in (purse.code, str(purse.number)):
            return purse
    what = "Plusieurs enveloppes : dites laquelle, avec --purse" if word is None else f"Aucune enveloppe « {word} »"
    known = ", ".join(f"{purse.code} (n° {purse.number})" for purse in rules.purses)
    raise click.ClickException(f"{what}. Les règles ont : {known}.")


@central.command(help="Mettre une carte en opposition.")
@DIRECTORY
@click.argument("card")
@custodian_files
def lost(directory: Path, card: str, files: tuple[str, ...]) -> None:
    try:
        open_office(directory, files, 1, "opposition").report_lost(card_of(card))
    except ValueError as mistake:
        raise click.ClickException(f"Opposition impossible pour la carte {card} : {mistake}") from None
    click.echo(f"Carte {card} en opposition.")


@central.command(help="Laisser payer à nouveau une carte suspendue pour une preuve fausse.")
@DIRECTORY
@click.argument("card")
@custodian_files
def release(directory: Path, card: str, files: tuple[str, ...]) -> None:
    try:
        open_office(directory, files, 1, "suspension levée").release(card_of(card))
    except ValueError as mistake:
        raise click.ClickException(f"Rien à lever pour la carte {card} : {mistake}.") from None
    click.echo(f"Carte {card} : suspension levée.")


@central.command(help="Retirer le droit de servir à une caisse volée ou perdue, par son numéro de station.")
@DIRECTORY
@click.argument("station", type=int)
@custodian_files
def revoke(directory: Path, station: int, files: tuple[str, ...]) -> None:
    try:
        open_office(directory, files, 1, f"station {station} retirée").revoke(station)
    except ValueError as mistake:
        raise click.ClickException(f"Rien à retirer : {mistake}.") from None
    click.echo(f"Station {station} : plus rien n'en est accepté, elle ne reçoit plus rien.")


@central.command(help="Après une restauration, avant toute autre chose : aucun numéro déjà donné ne resservira.")
@DIRECTORY
@custodian_files
def restored(directory: Path, files: tuple[str, ...]) -> None:
    epoch = open_office(directory, files, 2, "centre restauré").raise_epoch()
    click.echo(f"Époque {epoch}. Ce que le centre a oublié revient avec les caisses et les cartes.")


@central.command(name="report", help="Le relevé, en JSON.")
@DIRECTORY
def report_command(directory: Path) -> None:
    click.echo(json.dumps(report(open_office(directory)).as_json(), ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
