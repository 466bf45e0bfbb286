"""``panier central keys``: the centre's keys and their custodians (docs/operating/keys.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from central import grants, signing_duty
from central.keys import load_keys, make_keys
from central.keys.custodians import Cost
from central.keys.making import (
    TokenChoice,
    add_custodian,
    make_kept_keys,
    put_pin,
    remove_custodian,
    retire_entitlement_key,
    rotate_entitlements,
    seal_keys,
)
from central.keys.plan import Place, Plan
from central.keys.ring import read_ring
from central.office import Office
from central.signing_duty import Duty
from domain.identity import CardId
from domain.money import Cents, in_euros
from panier.custodians import (
    THROW_AWAY_WARNING,
    ask,
    custodian_files,
    new_secrets,
    open_office,
    read_secret,
    secrets_of,
    write_down,
)

DIRECTORY = click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
NEW_NAMES = click.option("--custodian", "names", multiple=True, metavar="NOM", help="gardien dont demander la phrase")
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group(help="Les clés du centre et leurs gardiens.")
def keys() -> None:
    pass


@keys.command(help="Faire les clés d'un centre à créer, sous la garde de deux personnes au moins.")
@DIRECTORY
@NEW_NAMES
@custodian_files
@click.option("--throw-away", is_flag=True, help="clés jetables, pour une démonstration")
@click.option("--module", type=FILE, default=None, help="module PKCS#11 du jeton")
@click.option("--money-token", default=None, help="nom du jeton des clés qui créent l'argent")
@click.option("--money-pin-file", type=FILE, default=None)
@click.option("--daily-token", default=None, help="nom du jeton des autres clés")
@click.option("--daily-pin-file", type=FILE, default=None)
@click.option("--keep-pin", is_flag=True, help="ne pas remplacer le code PIN du jeton par un code que personne n'a vu")
def init(
    directory: Path,
    names: tuple[str, ...],
    files: tuple[str, ...],
    throw_away: bool,
    module: Path | None,
    money_token: str | None,
    money_pin_file: Path | None,
    daily_token: str | None,
    daily_pin_file: Path | None,
    keep_pin: bool,
) -> None:
    place = directory / "keys"
    if place.exists():
        raise click.ClickException(f"Il y a déjà des clés dans {place} : rien n'est changé.")
    if throw_away:
        make_keys(place)
        click.echo(THROW_AWAY_WARNING, err=True)
        return
    with _mistakes():
        secrets = new_secrets(names, files)
        daily = _choice(module, daily_token, daily_pin_file, keep_pin)
        money = _choice(module, money_token, money_pin_file, keep_pin)
        make_kept_keys(place, secrets, datetime.now(UTC), daily, money, Cost())
    click.echo(f"Clés faites dans {place} ; gardiens : {', '.join(secrets)}. Ensuite : « panier central init ».")


def _choice(module: Path | None, label: str | None, pin_file: Path | None, keep_pin: bool) -> TokenChoice | None:
    if label is None:
        return None
    if module is None:
        raise click.ClickException("Un jeton demande --module : le module PKCS#11 de son fabricant.")
    return TokenChoice(Place(str(module.resolve()), label), _pin(label, pin_file), keep_pin)


def _pin(label: str, pin_file: Path | None) -> str:
    return (read_secret(pin_file) if pin_file else ask(f"Code PIN du jeton « {label} »")).decode()


@keys.command(name="open", help="Vérifier que deux gardiens ouvrent les clés ; rien n'est changé.")
@DIRECTORY
@custodian_files
def open_command(directory: Path, files: tuple[str, ...]) -> None:
    if (directory / "centre.db").exists():
        opened = open_office(directory, files, 2, "ouverture d'essai").keys
    else:
        plan = _plan(directory)
        opened = load_keys(directory / "keys", secrets_of(plan, files, 2))
    click.echo(f"Ouvertes par {' et '.join(opened.opened_by)} ; clé des dotations n° {opened.entitlement_key_id}.")
    opened.close()


@keys.command(help="Qui garde quoi, quelles clés signent, ce qui a été signé aujourd'hui. Rien n'est ouvert.")
@DIRECTORY
@click.option("--json", "as_json", is_flag=True)
def status(directory: Path, as_json: bool) -> None:
    found = _status(_plan(directory), directory)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for name, value in found.items():
        if isinstance(value, list):
            value = "".join(f"\n  {item}" for item in value) or "aucune"
        click.echo(f"{name} : {value}")


def _status(plan: Plan, directory: Path) -> dict[str, object]:
    found: dict[str, object] = {
        "gardiens": "JETABLES (démonstration)" if plan.is_throw_away else [keeper.name for keeper in plan.custodians],
        "clés de l'argent": _place(plan.money),
        "autres clés": _place(plan.daily),
        "clé des dotations": plan.newest("entitlements").key_id,
        "annoncées aux caisses": sorted(plan.centre_keys().entitlements),
    }
    if (directory / "centre.db").exists():
        office = Office(directory, keys=load_keys(directory / "keys", {}))
        found |= _duty_words(signing_duty.duty_of(office.store, datetime.now(UTC).date()))
        waiting = signing_duty.waiting(office.store, datetime.now(UTC))
        found["dotations en attente"] = f"{len(waiting)} cartes, {in_euros(Cents(sum(waiting.values())))}"
        rows = office.store.all("SELECT at, what, custodians FROM custody ORDER BY id DESC LIMIT 10")
        found["ouvertures"] = [
            f"{datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M} UTC {row['what']} : {row['custodians']}"
            for row in rows
        ]
        office.close()
    return found


def _place(place: Place) -> str:
    return f"jeton « {place.label} » ({place.module})" if place.is_token else "fichier scellé"


def _duty_words(duty: Duty) -> dict[str, object]:
    return {
        "signé aujourd'hui": f"{in_euros(Cents(duty.cents))} sur {in_euros(Cents(duty.ceiling_cents))}",
        "signatures aujourd'hui": f"{duty.signatures} sur {duty.most_signatures}",
    }


@keys.command(name="add-custodian", help="Ajouter un gardien ; deux gardiens ouvrent.")
@DIRECTORY
@click.argument("name")
@custodian_files
@click.option("--new-file", type=FILE, default=None, help="fichier qui contient la phrase du nouveau gardien")
def add_command(directory: Path, name: str, files: tuple[str, ...], new_file: Path | None) -> None:
    def add(place: Path, secrets: dict[str, bytes]) -> None:
        secret = read_secret(new_file) if new_file else ask(f"Phrase secrète de {name}", is_new=True)
        add_custodian(place, secrets, name, secret)

    _change(directory, files, f"gardien {name} ajouté", add)
    click.echo(f"{name} est gardien. Faites une copie de sauvegarde de {directory / 'keys'}.")


@keys.command(name="remove-custodian", help="Retirer un gardien ; deux gardiens ouvrent.")
@DIRECTORY
@click.argument("name")
@custodian_files
def remove_command(directory: Path, name: str, files: tuple[str, ...]) -> None:
    _change(directory, files, f"gardien {name} retiré", lambda place, secrets: remove_custodian(place, secrets, name))
    click.echo(
        f"{name} n'est plus gardien. Une ancienne copie des clés s'ouvre encore avec son secret : "
        "« panier central keys rotate entitlements », et détruisez les anciennes copies."
    )


@keys.command(help="Une nouvelle clé des dotations ; les caisses vérifient encore avec l'ancienne.")
@DIRECTORY
@click.argument("role", type=click.Choice(["entitlements"]))
@custodian_files
def rotate(directory: Path, role: str, files: tuple[str, ...]) -> None:
    _change(
        directory,
        files,
        "nouvelle clé des dotations",
        lambda place, secrets: rotate_entitlements(place, secrets, datetime.now(UTC)),
    )
    key_id = _plan(directory).newest(role).key_id
    click.echo(f"La clé n° {key_id} signe les dotations. Redémarrez « panier central serve » s'il tourne.")


@keys.command(help="Ne plus annoncer aux caisses une ancienne clé des dotations (40 jours après sa rotation).")
@DIRECTORY
@click.argument("key_id", type=int)
@click.option("--now", "is_urgent", is_flag=True, help="sans attendre : une clé volée")
@custodian_files
def retire(directory: Path, key_id: int, is_urgent: bool, files: tuple[str, ...]) -> None:
    secrets = _change(
        directory,
        files,
        f"clé des dotations n° {key_id} retirée",
        lambda place, secrets: retire_entitlement_key(place, secrets, key_id, None if is_urgent else datetime.now(UTC)),
    )
    click.echo(f"La clé n° {key_id} n'est plus annoncée. Redémarrez « panier central serve » s'il tourne.")
    if is_urgent and (directory / "centre.db").exists():
        click.echo(f"Dotations signées de nouveau : {_sign_all_again(directory, secrets)} cartes.")


def _sign_all_again(directory: Path, secrets: dict[str, bytes]) -> int:
    """What bears a key no terminal knows any more is worth nothing: sign all entitlements anew; how many."""
    office, now = Office(directory, keys=load_keys(directory / "keys", secrets)), datetime.now(UTC)
    with office.store.writing():
        cards = [CardId(bytes(row["card"])) for row in office.store.all("SELECT DISTINCT card FROM entitlement")]
        held_back = [grants.issue_or_wait(office.store, office.keys, card, office.rules, now) for card in cards]
    office.close()
    return held_back.count(None)


@keys.command(help="Sceller le code PIN d'un jeton, après l'avoir essayé une fois.")
@DIRECTORY
@click.argument("vault", type=click.Choice(["money", "daily"]))
@click.option("--pin-file", type=FILE, default=None)
@custodian_files
def pin(directory: Path, vault: Literal["money", "daily"], pin_file: Path | None, files: tuple[str, ...]) -> None:
    def put(place: Path, secrets: dict[str, bytes]) -> None:
        put_pin(place, secrets, vault, _pin(vault, pin_file))

    _change(directory, files, f"code PIN scellé ({vault})", put)
    click.echo("Le jeton s'ouvre ; son code PIN est scellé.")


@keys.command(help="Mettre sous la garde de deux personnes des clés en clair ou jetables.")
@DIRECTORY
@NEW_NAMES
@custodian_files
def seal(directory: Path, names: tuple[str, ...], files: tuple[str, ...]) -> None:
    with _mistakes():
        secrets = new_secrets(names, files)
        seal_keys(directory / "keys", secrets, datetime.now(UTC), Cost())
    if (directory / "centre.db").exists():
        office = Office(directory, keys=load_keys(directory / "keys", {}))
        with office.store.writing():
            signing_duty.take_over(office.store)
        write_down(office, "clés scellées", tuple(secrets))
        office.close()
    click.echo(
        f"Clés scellées ; gardiens : {', '.join(secrets)}. Elles ont été lisibles jusqu'ici : détruisez leurs "
        "copies, puis « panier central keys rotate entitlements »."
    )


@keys.command(name="raise", help="Relever le plafond de signature d'un jour ; deux gardiens ouvrent.")
@DIRECTORY
@click.option("--cents", type=click.IntRange(min=0), default=None, help="centimes nouveaux qui peuvent être signés")
@click.option("--signatures", type=click.IntRange(min=0), default=None)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), default=None, help="jour UTC ; aujourd'hui")
@custodian_files
def raise_command(
    directory: Path, cents: int | None, signatures: int | None, day: datetime | None, files: tuple[str, ...]
) -> None:
    now = datetime.now(UTC)
    chosen = day.date() if day else now.date()
    office = open_office(directory, files, 2, f"plafond du {chosen} : {_ceiling_words(cents, signatures)}")
    with _mistakes(), office.store.writing():
        signing_duty.raise_ceiling(office.store, office.keys, chosen, cents, signatures)
        if chosen == now.date():
            grants.sign_waiting(office.store, office.keys, office.rules, now)
    duty = signing_duty.duty_of(office.store, chosen)
    click.echo(
        f"Plafond du {chosen:%d/%m/%Y} : {in_euros(Cents(duty.ceiling_cents))}, {duty.most_signatures} signatures."
    )
    waiting = signing_duty.waiting(office.store, datetime.now(UTC))
    click.echo(f"Dotations en attente : {len(waiting)} cartes, {in_euros(Cents(sum(waiting.values())))}")


@keys.command(help="Le plafond de signature de chaque jour ; deux gardiens ouvrent.")
@DIRECTORY
@click.option("--cents", type=click.IntRange(min=0), default=None, help="centimes nouveaux par jour")
@click.option("--signatures", type=click.IntRange(min=0), default=None)
@custodian_files
def ceiling(directory: Path, cents: int | None, signatures: int | None, files: tuple[str, ...]) -> None:
    office = open_office(directory, files, 2, f"plafond de chaque jour : {_ceiling_words(cents, signatures)}")
    with office.store.writing():
        signing_duty.put_standing_ceiling(office.store, office.keys, cents, signatures)
    most_cents, most_signatures = signing_duty.standing_ceiling(office.store)
    click.echo(f"Plafond de chaque jour : {in_euros(Cents(most_cents))}, {most_signatures} signatures.")


def _ceiling_words(cents: int | None, signatures: int | None) -> str:
    parts = [] if cents is None else [in_euros(Cents(cents))]
    parts += [] if signatures is None else [f"{signatures} signatures"]
    if not parts:
        raise click.ClickException("Dites --cents, --signatures, ou les deux.")
    return ", ".join(parts)


def _plan(directory: Path) -> Plan:
    return read_ring(directory / "keys").plan


def _change(
    directory: Path, files: tuple[str, ...], what: str, change: Callable[[Path, dict[str, bytes]], object]
) -> dict[str, bytes]:
    """One change of the keys by two custodians, written down; their secrets."""
    plan = _plan(directory)
    if plan.is_throw_away:
        raise click.ClickException("Ces clés sont jetables : « panier central keys seal » d'abord.")
    secrets = secrets_of(plan, files, 2)
    with _mistakes():
        change(directory / "keys", secrets)
    if (directory / "centre.db").exists():
        office = Office(directory, keys=load_keys(directory / "keys", {}))
        write_down(office, what, tuple(secrets))
        office.close()
    return secrets


@contextmanager
def _mistakes() -> Iterator[None]:
    """A mistake in what was asked ends with its sentence."""
    try:
        yield
    except ValueError as mistake:
        raise click.ClickException(str(mistake)) from None
