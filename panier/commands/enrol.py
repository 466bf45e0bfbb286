"""``panier enrol``: give this terminal its identity with a one-time code from the centre."""

from __future__ import annotations

from pathlib import Path

import click

from sync.errors import CentreRefuses, FormatError
from sync.http_centre import HttpCentre
from terminal import bootstrap
from terminal.offline_queue.identity import ENROLMENT_FILE


@click.command(help="Donner son identité à cette caisse, avec le code à usage unique du centre.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--centre", "url", default="http://localhost", help="adresse du centre")
@click.option("--socket", "unix_socket", type=click.Path(path_type=Path), default=None, help="prise UNIX du centre")
@click.option("--again", is_flag=True, help="une caisse déjà enrôlée commence un nouveau journal")
@click.argument("code")
def enrol(directory: Path, url: str, unix_socket: Path | None, again: bool, code: str) -> None:
    if not again and (directory / ENROLMENT_FILE).exists():
        raise click.ClickException("Cette caisse est déjà enrôlée. Pour un nouveau journal après une panne : --again.")
    centre = HttpCentre(url, unix_socket)
    try:
        enrolled = bootstrap.enrol(directory, code, centre.enrol)
    except (FormatError, CentreRefuses):
        raise click.ClickException("Ce code n'est pas le bon, ou il a déjà servi. Demandez-en un autre.") from None
    finally:
        centre.close()
    click.echo(f"Caisse enrôlée : station {enrolled.identity.station}, programme {enrolled.identity.programme}.")
