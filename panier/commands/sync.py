"""``panier sync``: one upload and download now, through the running till or without one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from domain.money import in_euros
from panier.address import address_of
from sync.crypto import token
from sync.http_centre import HttpCentre
from sync.uploader import sync_once
from terminal.bootstrap import open_outbox


class _Entropy:
    def token(self, size_b: int) -> bytes:
        return token(size_b)


@click.command(help="Télécollecte et mise à jour, maintenant.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--centre", "url", default=None, help="adresse du centre")
@click.option("--socket", "unix_socket", type=click.Path(path_type=Path), default=None, help="prise UNIX du centre")
@click.option("--json", "as_json", is_flag=True)
def sync(directory: Path, url: str | None, unix_socket: Path | None, as_json: bool) -> None:
    where = address_of(url, unix_socket)
    opened = open_outbox(directory)
    centre = HttpCentre(where, unix_socket)
    try:
        done = sync_once(opened.outbox, centre, _Entropy(), opened.clock)
        state = opened.outbox.state()
    finally:
        centre.close()
        opened.close()
    if as_json:
        click.echo(json.dumps({"sent": done.sent, "pending": done.pending, "frozen": state.frozen}, ensure_ascii=False))
    elif state.frozen is None:
        left = f"reste {done.pending} ({in_euros(state.pending_amount)})" if done.pending else "tout est transmis"
        click.echo(f"{done.sent} enregistrement(s) transmis, {left}.")
    if state.frozen is not None:
        raise click.ClickException(state.frozen)
    if done.stopped:
        raise click.ClickException(
            "Le centre n'accepte pas ces enregistrements ; rien n'est perdu. Appelez le programme."
        )
