"""What an operator of the centre types: a folder, a card, a sum, a day, a month."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from domain.identity import CARD_ID_SIZE_B, CardId
from domain.money import Cents
from sync.errors import Malformed
from sync.issuing import card_of_code

DIRECTORY = click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="la même chose en JSON")


class Day(click.ParamType[date]):
    """A day, written 2027-01-31."""

    name = "AAAA-MM-JJ"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"« {value} » n'est pas un jour : écrivez 2027-01-31.", param, ctx)


class Month(click.ParamType[date]):
    """A month, written 2027-01: its first day."""

    name = "AAAA-MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m").date()
        except ValueError:
            self.fail(f"« {value} » n'est pas un mois : écrivez 2027-01.", param, ctx)


def card_of(text: str) -> CardId:
    """The card of a printed code or of sixteen hexadecimal digits. ClickException."""
    if len(text) == 2 * CARD_ID_SIZE_B and not set(text.lower()) - set("0123456789abcdef"):
        return CardId(bytes.fromhex(text))
    try:
        return card_of_code(text)
    except Malformed:
        raise click.ClickException(
            f"« {text} » n'est pas un numéro de carte : le code imprimé sur la carte, ou seize chiffres hexadécimaux."
        ) from None


def amount_of(text: str) -> Cents:
    """Cents, or euros with two decimals. ClickException."""
    whole, comma, cents = text.replace(".", ",").partition(",")
    if not whole.isdecimal() or (comma and not (len(cents) == 2 and cents.isdecimal())):
        raise click.ClickException(f"« {text} » n'est pas un montant : 4000 centimes, ou 40,00.")
    return Cents(int(whole) * 100 + int(cents) if comma else int(whole))
