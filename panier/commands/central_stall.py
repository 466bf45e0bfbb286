"""``panier central stall``: merchants and their points of sale (docs/operating/merchants.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

import click

from central import merchants
from central.merchant_check import check_days, check_family, check_not_past, check_texts, doubts
from central.merchants import place_of
from central.office import Office
from domain.rule_set import Merchant
from panier.commands.asked import AS_JSON, DIRECTORY, Day
from panier.commands.central_certificate import certificate
from panier.custodians import open_office
from panier.stalls import attention, echo_json, entry_at, mistakes, of_merchant, plain, say, shown, told, warn

STALL: Final = click.argument("stall_number", metavar="STALL")
WORDS: Final = (
    click.option("--profile", default=None, help="ce que c'est : producer, farm-shop, organic-shop, grocery, market …"),
    click.option("--group", "groups", multiple=True, help="groupe, une fois pour chacun ; remplace tous les autres"),
    click.option("--default-family", default=None, help="famille d'une ligne dont le caissier n'en choisit pas"),
    click.option("--attended/--unattended", "is_attended", default=None, help="quelqu'un tient la caisse, ou personne"),
    click.option("--from", "first", type=Day(), default=None, help="premier jour"),
    click.option("--to", "last", type=Day(), default=None, help="dernier jour, compris"),
)


class AddUnlessSaid(click.Group):
    """``stall --name …`` is ``stall add --name …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the sub-command that is meant in front of options that come first."""
        is_unsaid = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        return super().parse_args(ctx, ["add", *args] if is_unsaid else args)


def words(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what an entry says."""
    for option in reversed(WORDS):
        command = option(command)
    return command


@click.group(cls=AddUnlessSaid, help="Les commerçants : points de vente, certificats, codes de leurs caisses.")
def stall() -> None:
    pass


stall.add_command(certificate)


@stall.command(help="Ajouter un commerçant, ou un point de vente à l'un d'eux, et donner le code de sa caisse.")
@DIRECTORY
@click.option("--name", required=True, help="nom du point de vente")
@click.option("--merchant", default=None, help="numéro du commerçant, pour un point de vente de plus")
@words
@AS_JSON
def add(
    directory: Path,
    name: str,
    merchant: str | None,
    profile: str | None,
    groups: tuple[str, ...],
    default_family: str | None,
    is_attended: bool | None,
    first: date | None,
    last: date | None,
    as_json: bool,
) -> None:
    office = open_office(directory)
    with mistakes(), office.store.writing():
        base = Merchant(0, 0, name, frozenset({"referenced"}), "vegetables")
        if merchant is not None:
            base = of_merchant(office, merchant)[0]
            base = replace(base, first_day=None, last_day=None)
        entry = _with(base, office.today(), name, profile, groups, default_family, is_attended, first, last)
        _check(entry, office, has_new_words=True)
        entry = (merchants.add if merchant is None else merchants.add_place)(office.store, entry)
    code = office.new_code(entry.number, entry.point_of_sale).text
    warnings = doubts(entry, office.rules)
    if as_json:
        echo_json(plain(office, entry) | {"code": code, "warnings": warnings})
        return
    warn(warnings)
    say(f"{entry.name} : point de vente {place_of(entry)}.", is_aside=True)
    _say_code(entry, code)


@stall.command(help="Changer ce qui est dit d'un point de vente ; le reste ne change pas.")
@DIRECTORY
@STALL
@click.option("--name", default=None, help="nom du point de vente")
@words
@click.option("--no-group", is_flag=True, help="plus aucun groupe")
@click.option("--no-from", is_flag=True, help="plus de premier jour")
@click.option("--no-to", is_flag=True, help="plus de dernier jour")
@AS_JSON
def change(
    directory: Path,
    stall_number: str,
    name: str | None,
    profile: str | None,
    groups: tuple[str, ...],
    default_family: str | None,
    is_attended: bool | None,
    first: date | None,
    last: date | None,
    no_group: bool,
    no_from: bool,
    no_to: bool,
    as_json: bool,
) -> None:
    office = open_office(directory)
    with mistakes(), office.store.writing():
        before = entry = entry_at(office, stall_number)
        if no_group:
            entry = replace(entry, groups=frozenset())
        if no_from:
            entry = replace(entry, first_day=None)
        if no_to:
            entry = replace(entry, last_day=None)
        entry = _with(entry, office.today(), name, profile, groups, default_family, is_attended, first, last)
        if entry == before:
            raise ValueError(f"{before.name} : rien à changer, tout est déjà comme dit. « change --help » dit quoi.")
        _check(entry, office, has_new_words=_paying(entry) != _paying(before))
        entry = merchants.keep(office.store, entry)
    told(office, (entry,), doubts(entry, office.rules), as_json=as_json)


@stall.command(help="Un nouveau code à usage unique pour une caisse d'un point de vente, bon un jour.")
@DIRECTORY
@STALL
@AS_JSON
def code(directory: Path, stall_number: str, as_json: bool) -> None:
    office = open_office(directory)
    with mistakes():
        entry = entry_at(office, stall_number)
    text = office.new_code(entry.number, entry.point_of_sale).text
    if as_json:
        echo_json({"stall": str(place_of(entry)), "code": text})
        return
    _say_code(entry, text)


@stall.command(help="Tout ce qui est dit d'un point de vente.")
@DIRECTORY
@STALL
@AS_JSON
def show(directory: Path, stall_number: str, as_json: bool) -> None:
    office = open_office(directory)
    with mistakes():
        entry = entry_at(office, stall_number)
    if as_json:
        echo_json(plain(office, entry) | {"warnings": doubts(entry, office.rules)})
        return
    for line in shown(office, entry):
        say(line)
    warn(doubts(entry, office.rules))


@stall.command(name="list", help="Tous les points de vente, et les certificats qui prennent fin dans les 60 jours.")
@DIRECTORY
@AS_JSON
def list_command(directory: Path, as_json: bool) -> None:
    office = open_office(directory)
    entries = merchants.entries(office.store)
    if as_json:
        for entry in entries:
            echo_json(plain(office, entry))
        return
    if not entries:
        say("Aucun commerçant. « panier central stall add --name … » en ajoute un.")
    for entry in entries:
        words = ", ".join([*([entry.profile] if entry.profile else []), *sorted(entry.groups)]) or "aucun groupe"
        say(f"{place_of(entry)!s:<6}{entry.name} : {words} ; {entry.default_family} ; fiche n° {entry.version}")
        for sentence in attention(office, entry):
            say(f"      ! {sentence}")


# --- within -----------------------------------------------------------------------------------------------------------


def _with(
    entry: Merchant,
    today: date,
    name: str | None,
    profile: str | None,
    groups: tuple[str, ...],
    default_family: str | None,
    is_attended: bool | None,
    first: date | None,
    last: date | None,
) -> Merchant:
    """The entry with what was said of it; ``None`` and nothing at all leave it. ValueError: a day that is over."""
    if first is not None:
        remedy = "Une fiche est en vigueur aussitôt si elle n'a pas de premier jour : ne donnez pas --from."
        check_not_past(first, today, remedy)
    if last is not None:
        remedy = f"Pour fermer un point de vente : --to {today}, il paie encore ce jour-là."
        check_not_past(last, today, remedy)
    return replace(
        entry,
        name=entry.name if name is None else name,
        profile=entry.profile if profile is None else profile,
        groups=frozenset(groups) or entry.groups,
        default_family=entry.default_family if default_family is None else default_family,
        is_attended=entry.is_attended if is_attended is None else is_attended,
        first_day=entry.first_day if first is None else first,
        last_day=entry.last_day if last is None else last,
    )


def _check(entry: Merchant, office: Office, *, has_new_words: bool) -> None:
    """ValueError for what cannot be meant; the family only where what it hangs on has changed."""
    check_texts(entry)
    check_days(entry.first_day, entry.last_day)
    if has_new_words:
        check_family(entry, office.rules)


def _paying(entry: Merchant) -> tuple[object, ...]:
    """What decides which families can be paid."""
    return entry.default_family, entry.groups, entry.profile, entry.is_attended


def _say_code(entry: Merchant, text: str) -> None:
    say(f"Code à usage unique pour la caisse de {entry.name}, bon un jour :", is_aside=True)
    click.echo(text)
