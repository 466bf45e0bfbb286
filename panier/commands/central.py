"""``panier central``: the centre by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from central.office import Office, make_centre
from central.report import report
from central.rule_file import RuleMistake
from domain.identity import CARD_ID_SIZE_B, CardId, PurseNumber
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
    office = _open(directory)
    click.echo(f"Code à usage unique pour la caisse de {name}, bon un jour :", err=True)
    click.echo(office.new_code(office.put_merchant(name, groups, default_family).number).text)


@central.command(help="Donner une dotation à une carte, en centimes, du 1er au dernier jour compris.")
@DIRECTORY
@click.argument("card")
@click.argument("amount_cents", type=int)
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]), required=True)
def grant(directory: Path, card: str, amount_cents: int, start: datetime, end: datetime) -> None:
    office = _open(directory)
    first, after = office.day_start(start.date()), office.day_after(end.date())
    try:
        office.grant(_card(card), PurseNumber(1), Cents(amount_cents), first, after)
    except ValueError as mistake:
        raise click.ClickException(f"Dotation impossible pour la carte {card} : {mistake}") from None
    click.echo(f"{in_euros(Cents(amount_cents))} accordés à {card}.")


@central.command(help="Mettre une carte en opposition.")
@DIRECTORY
@click.argument("card")
def lost(directory: Path, card: str) -> None:
    try:
        _open(directory).report_lost(_card(card))
    except ValueError as mistake:
        raise click.ClickException(f"Opposition impossible pour la carte {card} : {mistake}") from None
    click.echo(f"Carte {card} en opposition.")


@central.command(help="Retirer le droit de servir à une caisse volée ou perdue, par son numéro de station.")
@DIRECTORY
@click.argument("station", type=int)
def revoke(directory: Path, station: int) -> None:
    _open(directory).revoke(station)
    click.echo(f"Station {station} : plus rien n'en est accepté, elle ne reçoit plus rien.")


@central.command(name="report", help="Le relevé, en JSON.")
@DIRECTORY
def report_command(directory: Path) -> None:
    click.echo(json.dumps(report(_open(directory)).as_json(), ensure_ascii=False, default=_plain))


def _open(directory: Path) -> Office:
    if not (directory / "centre.db").exists():
        raise click.ClickException(f"Il n'y a pas de centre dans {directory}.")
    return Office(directory)


def _card(text: str) -> CardId:
    if len(text) != 2 * CARD_ID_SIZE_B or set(text.lower()) - set("0123456789abcdef"):
        raise click.ClickException(f"« {text} » n'est pas un numéro de carte : seize chiffres hexadécimaux.")
    return CardId(bytes.fromhex(text))


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
