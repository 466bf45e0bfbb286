"""The PIN of a till at the command line: asked on the terminal, or read from a file, never from an argument."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from terminal.errors import WrongPin
from terminal.offline_queue.sealed_key import (
    CLEAR_KEY_FILE,
    PIN_CREDENTIAL,
    SEAL_CREDENTIAL,
    SHORTEST_PIN,
    Pause,
    Unlock,
    given_credential,
    seal_of,
)

T = TypeVar("T")
PIN_FILE = click.option(
    "--pin-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="fichier dont la 1re ligne est le PIN",
)
NO_PIN_SAID = (
    "Sans PIN : qui emporte cette machine ou sa carte mémoire emporte ses clés. « panier seal » en choisit un."
)


def opened_with_pin(
    directory: Path, pin_file: Path | None, open_with: Callable[[Unlock, Pause], T], *, may_ask: bool
) -> T:
    """What ``open_with`` opens, with the PIN this terminal asks for; asked again and again where someone can answer.

    Raises:
        KeysSealed, WrongPin: nobody can be asked, or the file holds another PIN.
    """
    unlock = unlock_given(pin_file)
    kept = seal_of(directory)
    asks = may_ask and someone_is_there() and not unlock.pin
    if not asks or (kept is None and not (directory / CLEAR_KEY_FILE).exists()):
        return open_with(unlock, patient)
    if kept is None:
        return open_with(Unlock(chosen_pin(), unlock.credential), patient)
    while True:
        typed = (
            click.prompt("PIN de la caisse", prompt_suffix=" : ", hide_input=True, err=True) if kept.asks_pin else ""
        )
        try:
            return open_with(Unlock(typed, unlock.credential), patient)
        except WrongPin as wrong:
            click.echo(str(wrong), err=True)


def someone_is_there() -> bool:
    """Whether the standard input is a terminal, where a person can answer."""
    return sys.stdin.isatty()


def unlock_given(pin_file: Path | None) -> Unlock:
    """The PIN of the file, or the one systemd opened; and its credential for the seal."""
    pin = given_credential(PIN_CREDENTIAL) if pin_file is None else _content(pin_file)
    try:
        text = pin.decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise click.ClickException("Le fichier du PIN n'est pas du texte.") from None
    return Unlock(text, given_credential(SEAL_CREDENTIAL))


def chosen_pin() -> str:
    """A new PIN, typed twice; nothing for none, and what that means is said."""
    while True:
        typed: str = click.prompt(
            f"PIN à choisir pour cette caisse ({SHORTEST_PIN} caractères au moins ; Entrée seule : sans PIN)",
            hide_input=True,
            confirmation_prompt="Encore une fois",
            default="",
            show_default=False,
            err=True,
        )
        if not typed:
            click.echo(NO_PIN_SAID, err=True)
        if not typed or len(typed) >= SHORTEST_PIN:
            return typed
        click.echo(f"Un PIN a au moins {SHORTEST_PIN} caractères.", err=True)


def patient(seconds: float) -> None:
    """Wait before the next try, and say so."""
    click.echo(f"Plusieurs PIN faux : l'essai se fait dans {seconds:.0f} s.", err=True)
    time.sleep(seconds)


def _content(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        raise click.ClickException(f"Le fichier du PIN ({place}) ne se lit pas.") from None
