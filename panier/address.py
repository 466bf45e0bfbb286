"""Where the centre is, as the command line says it."""

from __future__ import annotations

from pathlib import Path

import click


def address_of(url: str | None, unix_socket: Path | None) -> str:
    """The centre's address; a click.ClickException says what to give when nothing was."""
    if url is None and unix_socket is None:
        raise click.ClickException("Où est le centre ? Donnez --centre ADRESSE (ou --socket PRISE, ici même).")
    return url or "http://localhost"
