"""``panier enrol``: give this terminal its identity with a one-time code from the centre."""

from __future__ import annotations

from pathlib import Path

import click

from panier.address import address_of
from panier.pin import NO_PIN_SAID, PIN_FILE, chosen_pin, someone_is_there, unlock_given
from sync.errors import CentreRefuses, FormatError
from sync.http_centre import HttpCentre
from terminal import bootstrap
from terminal.offline_queue.identity import ENROLMENT_FILE
from terminal.offline_queue.sealed_key import Unlock, seal_of


@click.command(help="Donner son identité à cette caisse, avec le code à usage unique du centre.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--centre", "url", default=None, help="adresse du centre")
@click.option("--socket", "unix_socket", type=click.Path(path_type=Path), default=None, help="prise UNIX du centre")
@click.option("--again", is_flag=True, help="une caisse déjà enrôlée commence un nouveau journal")
@PIN_FILE
@click.option("--no-pin", is_flag=True, help="sceller les clés sans PIN, sous le seul secret de cette machine")
@click.argument("code")
def enrol(
    directory: Path,
    url: str | None,
    unix_socket: Path | None,
    again: bool,
    pin_file: Path | None,
    no_pin: bool,
    code: str,
) -> None:
    if not again and (directory / ENROLMENT_FILE).exists():
        raise click.ClickException("Cette caisse est déjà enrôlée. Pour un nouveau journal après une panne : --again.")
    where = address_of(url, unix_socket)
    unlock = _unlock(directory, pin_file, no_pin)
    centre = HttpCentre(where, unix_socket)
    try:
        enrolled = bootstrap.enrol(directory, code, centre.enrol, unlock)
    except (FormatError, CentreRefuses):
        raise click.ClickException("Ce code n'est pas le bon, ou il a déjà servi. Demandez-en un autre.") from None
    finally:
        centre.close()
    click.echo(f"Caisse enrôlée : station {enrolled.identity.station}, programme {enrolled.identity.programme}.")


def _unlock(directory: Path, pin_file: Path | None, no_pin: bool) -> Unlock:
    """What the device key is sealed with, or opened when there is one: the PIN given, asked for, or none, said."""
    given = unlock_given(pin_file)
    if given.pin or no_pin:
        if no_pin and not given.credential:
            click.echo(NO_PIN_SAID, err=True)
        return Unlock("" if no_pin else given.pin, given.credential)
    kept = seal_of(directory)
    if kept is not None and kept.asks_pin and someone_is_there():
        return Unlock(
            click.prompt("PIN de la caisse", prompt_suffix=" : ", hide_input=True, err=True), given.credential
        )
    if (kept is None or not kept.asks_pin) and not given.credential:
        if someone_is_there():
            return Unlock(chosen_pin())
        click.echo(NO_PIN_SAID, err=True)
    return given
