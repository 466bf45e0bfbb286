"""``panier emulate``: virtual hardware by hand."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click


@click.group(help="Matériel virtuel, à la main.")
def emulate() -> None:
    pass


@emulate.command(help="Une carte virtuelle sur le lecteur de vpcd, jusqu'à Ctrl-C.")
@click.option("--port", default=35963, help="35963 : premier lecteur, 35964 : second")
@click.option("--state", "state", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--uid", default=None, help="14 chiffres hexadécimaux : fait une carte vierge si le fichier manque")
def card(port: int, state: Path, uid: str | None) -> None:
    from emulator.card import VirtualCard
    from emulator.open_card import open_card
    from emulator.vpcd import CardInField

    if not state.exists() and uid is None:
        raise click.ClickException(f"{state} n'existe pas. Donnez --uid pour faire une carte vierge.")
    made = VirtualCard.blank(bytes.fromhex(uid), state) if uid and not state.exists() else open_card(state)
    field = CardInField(made, port)
    try:
        field.present()
    except OSError:
        raise click.ClickException(f"Aucun lecteur virtuel n'écoute sur le port {port}.") from None
    click.echo("Carte posée. Ctrl-C pour la retirer.", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        field.wait_gone()
    field.lift()
