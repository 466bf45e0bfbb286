"""Custodians' secrets: from files, from systemd credentials, or asked on the terminal; never from an argument.

``--custodian-file NAME=PATH`` names a file with the passphrase; systemd puts one in
``$CREDENTIALS_DIRECTORY/panier-custodian-NAME``; on a terminal what is still missing is asked.
"""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import click

from central import signing_duty
from central.keys import load_keys
from central.keys.custodians import check_name
from central.keys.plan import Plan
from central.keys.ring import read_ring
from central.office import Office

CREDENTIAL: Final = "panier-custodian-"
THROW_AWAY_WARNING: Final = (
    "ATTENTION : clés jetables. Leurs secrets sont à côté d'elles : qui lit ce dossier crée de l'argent. "
    "Pour une démonstration seulement ; sinon : « panier central keys seal »."
)
_MOST_SECRET_B: Final = 4_096

Command = TypeVar("Command", bound=Callable[..., object])


def custodian_files(command: Command) -> Command:
    """The option that names files with custodians' secrets."""
    return click.option(
        "--custodian-file",
        "files",
        multiple=True,
        metavar="NOM=FICHIER",
        help="fichier qui contient la phrase secrète d'un gardien ; sinon elle est demandée",
    )(command)


def secrets_of(plan: Plan, files: Sequence[str], needed: int) -> dict[str, bytes]:
    """The secrets of ``needed`` custodians, by name; none for a throw-away centre, which opens itself."""
    if plan.is_throw_away:
        click.echo(THROW_AWAY_WARNING, err=True)
        return {}
    names = [keeper.name for keeper in plan.custodians]
    found = dict(_from_file(text) for text in files)
    for name in names:
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / f"{CREDENTIAL}{name}"
        if len(found) < needed and name not in found and credential.is_file():
            found[name] = read_secret(credential)
    while len(found) < needed and sys.stdin.isatty():
        left = [name for name in names if name not in found]
        name = click.prompt("Gardien", type=click.Choice(left), err=True)
        found[name] = ask(f"Phrase secrète de {name}")
    if len(found) < needed:
        who = "le secret d'un gardien" if needed == 1 else f"les secrets de {needed} gardiens"
        raise click.ClickException(
            f"Il faut {who} ({', '.join(names)}) : --custodian-file NOM=FICHIER, un « credential » "
            "systemd, ou un terminal où les demander."
        )
    return found


def new_secrets(names: Sequence[str], files: Sequence[str]) -> dict[str, bytes]:
    """The passphrases of custodians to come: from files, and asked twice for the names alone."""
    found = dict(_from_file(text) for text in files)
    for name in names:
        check_name(name)
        if name in found:
            raise click.ClickException(f"« {name} » est nommé deux fois.")
        if not sys.stdin.isatty():
            raise click.ClickException(
                f"Pas de terminal où demander la phrase de {name} : --custodian-file NOM=FICHIER."
            )
        found[name] = ask(f"Phrase secrète de {name} (12 caractères ou plus)", is_new=True)
    return found


def ask(what: str, is_new: bool = False) -> bytes:
    """A secret typed on the terminal, not shown; twice when it is new."""
    return _normal(str(click.prompt(what, hide_input=True, confirmation_prompt=is_new, err=True)).encode())


def read_secret(place: Path) -> bytes:
    """The secret in a file, without the line end behind it."""
    try:
        if place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise click.ClickException(f"{place} est lisible par d'autres : chmod 600, puis recommencez.")
        with place.open("rb") as file:
            content = file.read(_MOST_SECRET_B)
    except OSError as fault:
        raise click.ClickException(f"{place} : secret illisible ({fault.strerror}).") from None
    return _normal(content.rstrip(b"\r\n"))


def _normal(secret: bytes) -> bytes:
    """A passphrase the same bytes whatever keyboard made its accents (Unicode NFKC)."""
    try:
        return unicodedata.normalize("NFKC", secret.decode()).encode()
    except UnicodeDecodeError:
        return secret


def _from_file(text: str) -> tuple[str, bytes]:
    name, separator, place = text.partition("=")
    if not separator or not place:
        raise click.ClickException("--custodian-file s'écrit NOM=FICHIER.")
    return name, read_secret(Path(place))


def open_office(directory: Path, files: Sequence[str] = (), needed: int = 0, what: str = "") -> Office:
    """An open centre, its keys opened by ``needed`` custodians (none: public keys alone); written down as ``what``."""
    if not (directory / "centre.db").exists():
        raise click.ClickException(f"Il n'y a pas de centre dans {directory}.")
    ring = read_ring(directory / "keys")
    secrets = secrets_of(ring.plan, files, needed) if needed else {}
    office = Office(directory, keys=load_keys(directory / "keys", secrets))
    if needed and not ring.plan.is_throw_away:
        write_down(office, what)
    return office


def write_down(office: Office, what: str, names: Sequence[str] = ()) -> None:
    """Record who opened the keys, and for what."""
    with office.store.writing():
        signing_duty.record(office.store, what, tuple(names) or office.keys.opened_by, datetime.now(UTC))
