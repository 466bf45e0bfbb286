"""``panier``: the sub-commands, each imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Final

import click

from panier import logs
from sync.errors import PanierError

COMMANDS: Final = {
    "till": "la caisse",
    "sync": "télécollecte et mise à jour, maintenant",
    "enrol": "donner son identité à cette caisse",
    "seal": "choisir ou changer le PIN qui scelle les clés de cette caisse",
    "bound": "ce qu'un vol de caisses peut coûter au plus",
    "issue": "faire d'une carte vierge une carte du programme",
    "card": "ce qu'une carte sait faire, prouvé sur la carte",
    "doctor": "lecteurs et caisse : ce qui va, et ce qu'il y a à faire",
    "products": "du code-barres à la famille",
    "rules": "vérifier des règles, les lire en français, calculer leurs exemples",
    "central": "le centre",
    "bench": "mesures, chacune à côté de sa référence",
    "emulate": "matériel virtuel",
}


class LateGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"panier.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commandes"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LateGroup, help="Caisse à carte pour une aide alimentaire fléchée, et son centre.")
def panier() -> None:
    logs.configure()


def main() -> None:
    """Run; a fault of the world ends with status 1 and one sentence on stderr."""
    try:
        panier.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        raise SystemExit(done.exit_code) from None
    except click.Abort:
        raise SystemExit(130) from None
    except click.UsageError as wrong:
        wrong.show()
        raise SystemExit(wrong.exit_code) from None
    except click.ClickException as refused:
        click.echo(refused.message, err=True)
        raise SystemExit(1) from None
    except PanierError as fault:
        click.echo(str(fault) or type(fault).__name__, err=True)
        raise SystemExit(1) from None
