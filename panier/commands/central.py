"""``panier central``: the centre by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from central.office import Office, make_centre
from central.report import report
from central.rule_file import RuleMistake
from domain.identity import CardId, PurseNumber
from domain.money import Cents, in_euros

DIRECTORY = click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
DEFAULT_RULES = Path(__file__).parents[2] / "domain" / "rule-sets" / "gers.toml"


@click.group(help="Le centre : cartes, dotations, caisses, relevé.")
def central() -> None:
    pass


@central.command(help="Créer un centre dans un dossier vide.")
@DIRECTORY
@click.option("--rules", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=DEFAULT_RULES)
def init(directory: Path, rules: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        raise click.ClickException(f"{directory} n'est pas vide : un centre se crée dans un dossier vide.")
    try:
        make_centre(directory, rules)
    except RuleMistake as mistake:
        raise click.ClickException(f"{rules.name} : {mistake}") from None
    click.echo(f"Centre créé dans {directory}.")


@central.command(name="serve", help="Servir le centre, jusqu'à Ctrl-C.")
@DIRECTORY
@click.option("--port", type=int, default=None, help="port de 127.0.0.1 pour le navigateur ; 0 : un port libre")
@click.option("--socket", "unix_socket", type=click.Path(path_type=Path), default=None)
def serve_command(directory: Path, port: int | None, unix_socket: Path | None) -> None:
    from central.serve import serve

    serve(directory, port, unix_socket, lambda where: click.echo(where))


@central.command(help="Ajouter un commerçant et donner le code à usage unique de sa caisse.")
@DIRECTORY
@click.option("--name", required=True)
@click.option("--group", "groups", multiple=True, default=("referenced",))
@click.option("--default-family", default="vegetables")
def stall(directory: Path, name: str, groups: tuple[str, ...], default_family: str) -> None:
    office = Office(directory)
    click.echo(office.new_code(office.put_merchant(name, groups, default_family).number).text)


@central.command(help="Donner une dotation à une carte, en centimes, du 1er au dernier jour compris.")
@DIRECTORY
@click.argument("card")
@click.argument("amount_cents", type=int)
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]), required=True)
def grant(directory: Path, card: str, amount_cents: int, start: datetime, end: datetime) -> None:
    office = Office(directory)
    first, after = office.day_start(start.date()), office.day_after(end.date())
    try:
        office.grant(CardId(bytes.fromhex(card)), PurseNumber(1), Cents(amount_cents), first, after)
    except ValueError as mistake:
        raise click.ClickException(f"Dotation impossible : {mistake}") from None
    click.echo(f"{in_euros(Cents(amount_cents))} accordés à {card}.")


@central.command(help="Mettre une carte en opposition.")
@DIRECTORY
@click.argument("card")
def lost(directory: Path, card: str) -> None:
    Office(directory).report_lost(CardId(bytes.fromhex(card)))
    click.echo(f"Carte {card} en opposition.")


@central.command(help="Retirer le droit de servir à une caisse volée ou perdue, par son numéro de station.")
@DIRECTORY
@click.argument("station", type=int)
def revoke(directory: Path, station: int) -> None:
    Office(directory).revoke(station)
    click.echo(f"Station {station} : plus rien n'en est accepté, elle ne reçoit plus rien.")


@central.command(name="report", help="Le relevé, en JSON.")
@DIRECTORY
def report_command(directory: Path) -> None:
    click.echo(json.dumps(report(Office(directory)).as_json(), ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
