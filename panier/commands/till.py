"""``panier till``: the cashier's screen, or the same events as JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from panier import logs
from panier.pin import PIN_FILE, opened_with_pin
from terminal.bootstrap import OpenTill, chosen_readers
from terminal.errors import JournalFault
from terminal.offline_queue.sealed_key import Pause, Unlock
from terminal.stops import why_stopped


@click.command(help="La caisse : l'écran du commerçant, ou --json pour un programme.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--reader", default=None, help="partie du nom du lecteur, ou pn532:/dev/…, nfcpy:…")
@click.option("--phone", default="", help="numéro affiché quand la caisse s'arrête")
@PIN_FILE
@click.option("--json", "as_json", is_flag=True, help="une requête et un événement JSON par ligne")
@click.option("--theme", type=click.Choice(["soleil", "nuit"]), default="soleil")
def till(directory: Path, reader: str | None, phone: str, pin_file: Path | None, as_json: bool, theme: str) -> None:
    def open_with(unlock: Unlock, pause: Pause) -> OpenTill:
        return OpenTill(directory, chosen_readers(reader), phone, unlock, pause)

    try:
        opened = opened_with_pin(directory, pin_file, open_with, may_ask=not as_json)
    except JournalFault as fault:
        code, sentence = why_stopped(fault)
        raise click.ClickException(f"{sentence} ({code})") from None
    try:
        error = _as_lines(opened) if as_json else _on_screen(opened, theme)
    finally:
        opened.close()
    if error is not None:
        logs.bug(error)
        raise click.ClickException("La caisse a rencontré une erreur et s'est arrêtée. Redémarrez-la.")


def _as_lines(opened: OpenTill) -> BaseException | None:
    from terminal.json_lines import MOST_LINE_B, JsonTill

    lines = JsonTill(opened.loop, sys.stdout)
    opened.watch_readers()
    lines.run(iter(lambda: sys.stdin.buffer.readline(MOST_LINE_B + 2), b""))
    return lines.error


def _on_screen(opened: OpenTill, theme: str) -> BaseException | None:
    from terminal.ui.app import TillApp
    from terminal.ui.sale_view import FamilyTile

    tiles = [FamilyTile(family.code, family.name_fr, family.icon) for family in opened.tiles()]
    app = TillApp(opened.loop, opened.status, tiles, theme=theme)
    opened.watch_readers()
    app.run()
    return app.error
