"""``panier seal``: choose, change or drop the PIN of a till; its keys are sealed anew, nothing else changes."""

from __future__ import annotations

from pathlib import Path

import click

from panier.pin import NO_PIN_SAID, PIN_FILE, chosen_pin, opened_with_pin, unlock_given
from sync.crypto import PrivateKey
from terminal.bootstrap import opened_device_key
from terminal.offline_queue.sealed_key import Pause, Unlock, seal_device_key, seal_of


@click.command(help="Choisir ou changer le PIN qui scelle les clés de cette caisse.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@PIN_FILE
@click.option(
    "--new-pin-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="fichier dont la 1re ligne est le nouveau PIN ; sans lui, il est demandé",
)
@click.option("--no-pin", is_flag=True, help="sceller sans PIN, sous le seul secret de cette machine")
def seal(directory: Path, pin_file: Path | None, new_pin_file: Path | None, no_pin: bool) -> None:
    if no_pin and new_pin_file is not None:
        raise click.UsageError("--no-pin ou --new-pin-file, pas les deux")

    def key(unlock: Unlock, pause: Pause) -> PrivateKey:
        return opened_device_key(directory, unlock, pause)

    device_key = opened_with_pin(directory, pin_file, key, may_ask=True) if seal_of(directory) else None
    credential = unlock_given(None).credential
    if no_pin:
        wanted = Unlock("", credential)
    elif new_pin_file is not None:
        wanted = Unlock(unlock_given(new_pin_file).pin, credential)
    else:
        wanted = Unlock(chosen_pin(), credential)
    if device_key is None:
        opened_device_key(directory, wanted)
    else:
        seal_device_key(directory, device_key, wanted)
    if no_pin and not credential:
        click.echo(NO_PIN_SAID, err=True)
    click.echo("Clés de la caisse scellées avec un PIN." if wanted.pin else "Clés de la caisse scellées sans PIN.")
