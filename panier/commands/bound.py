"""``panier bound``: the most a theft of terminals can cost, from a configuration or from a centre's own tables."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from domain.bound import Bound, Cards, Exposure, Terminals, grouped, loss_bound
from domain.money import Cents, in_euros, total
from sync.card_format import unverified_entitlement
from sync.cbor import decode_map, take_int
from sync.cose import open1
from sync.enrolment import USUAL_LEASE_DAYS

FORMULA: Final = """Perte maximale = somme, sur les caisses hors ligne, du plus petit de :
    - le plafond hors ligne de la caisse ;
    - la somme, sur les cartes connues, du plus petit de :
        (solde connu + annulations que le centre ne connaît pas encore) et (plafond par carte)."""
MEANING: Final = """\
Avec des cartes authentiques, ou sans caisse volée, rien n'est payé au-delà de ce qui a été accordé, même hors ligne.
Qui ouvre une caisse volée peut imiter les cartes qu'elle connaissait devant des caisses hors ligne. Il ne peut ni
créditer une carte, ni signer des droits, ni fabriquer la preuve d'une carte : le centre le voit à la première
télécollecte de chaque caisse trompée. La perte est comptée d'un vol à cette télécollecte. Le délai de {lease} jours
arrête une caisse honnête restée sans contact ; il n'arrête pas un voleur qui a les clés."""
_MOST_CERTIFICATE_B: Final = 1_024
_OFFLINE_CAP, _CARD_CAP, _LEASE = 7, 8, 12


@click.command(help="Ce qu'un vol de caisses peut coûter au plus, d'après un fichier TOML ou les tables d'un centre.")
@click.argument("config", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--centre", type=click.Path(path_type=Path, exists=True, file_okay=False), default=None)
@click.option("--stolen", type=click.IntRange(0), default=None, help="caisses volées ; sans l'option : 1")
@click.option("--json", "as_json", is_flag=True)
def bound(config: Path | None, centre: Path | None, stolen: int | None, as_json: bool) -> None:
    if (config is None) == (centre is None):
        raise click.UsageError("un fichier de configuration, ou --centre DOSSIER")
    if config is not None:
        exposure = read_exposure(config, stolen)
    else:
        assert centre is not None
        exposure = exposure_of_centre(centre, datetime.now(UTC), 1 if stolen is None else stolen)
    found = loss_bound(exposure)
    click.echo(json.dumps(as_plain(found), ensure_ascii=False) if as_json else as_french(found))


# --- where the numbers come from -------------------------------------------------------------------------------------


def read_exposure(config: Path, stolen: int | None = None) -> Exposure:
    """The exposure a TOML file describes (docs/operating/key-store.md); a ClickException says what is wrong in it."""
    try:
        told = tomllib.loads(config.read_text())
        cards = tuple(_cards(entry) for entry in told["cards"])
        return Exposure(
            stolen=_number(told, "stolen", 1) if stolen is None else stolen,
            terminals=tuple(_terminals(entry) for entry in told["terminals"]),
            cards=cards,
            void_allowance=Cents(_number(told, "void_allowance_cents", 0)),
            lease_days=_number(told, "lease_days", USUAL_LEASE_DAYS),
        )
    except KeyError as missing:
        raise click.ClickException(f"{config.name} : il manque {missing}.") from None
    except (ValueError, TypeError, AttributeError) as wrong:
        raise click.ClickException(f"{config.name} : {wrong}") from None


def exposure_of_centre(directory: Path, now: datetime, stolen: int) -> Exposure:
    """The exposure of a running programme: caps of its certificates, balances of the entitlements still valid.

    Of each card the greatest balance any valid entitlement says counts, since a false card may carry an old one; a card
    without a window that is still to end has nothing to imitate. The centre's own tables are believed, without keys.
    """
    from central.store import Store  # a till's machine has no centre

    if not (directory / "centre.db").exists():
        raise click.ClickException(f"Il n'y a pas de centre dans {directory}.")
    store = Store(directory / "centre.db")
    store.open()
    try:
        rows = store.all("SELECT certificate, max(epoch) FROM terminal WHERE frozen IS NULL GROUP BY terminal")
        words = store.all("SELECT card, data FROM entitlement WHERE valid_until > ?", int(now.timestamp()))
    finally:
        store.close()
    caps = [_caps(bytes(row["certificate"])) for row in rows]
    entitlements = [unverified_entitlement(bytes(row["data"])) for row in words]
    known: dict[bytes, Cents] = {}
    for word in entitlements:
        left = [slot.limit - slot.floor for slot in word.slots if slot.end is None or slot.end > now]
        if left:
            known[word.card] = Cents(max(known.get(word.card, Cents(0)), total(left)))
    return Exposure(
        stolen=stolen,
        terminals=tuple(
            Terminals("caisses du centre", number, Cents(offline_cap), Cents(card_cap))
            for (offline_cap, card_cap, _lease), number in sorted(Counter(caps).items(), reverse=True)
        ),
        cards=grouped([*known.values()]),
        void_allowance=Cents(max((word.void_allowance for word in entitlements), default=0)),
        lease_days=max((lease for _cap, _card_cap, lease in caps), default=USUAL_LEASE_DAYS),
    )


def _caps(certificate: bytes) -> tuple[int, int, int]:
    fields = decode_map(open1(certificate, _MOST_CERTIFICATE_B).payload, _MOST_CERTIFICATE_B)
    lease = take_int(fields, _LEASE) if _LEASE in fields else USUAL_LEASE_DAYS
    return take_int(fields, _OFFLINE_CAP), take_int(fields, _CARD_CAP), lease


def _terminals(entry: dict[str, Any]) -> Terminals:
    caps = Cents(_number(entry, "offline_cap_cents")), Cents(_number(entry, "card_cap_cents"))
    return Terminals(str(entry.get("name", "caisses")), _number(entry, "count", 1), *caps)


def _cards(entry: dict[str, Any]) -> Cards:
    return Cards(_number(entry, "count", 1), Cents(_number(entry, "balance_cents")))


def _number(entry: dict[str, Any], name: str, usual: int | None = None) -> int:
    value = entry[name] if usual is None else entry.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} est un nombre entier")
    if value < 0:
        raise ValueError(f"{name} n'est pas au-dessous de zéro")
    return value


# --- how it is said --------------------------------------------------------------------------------------------------


def as_french(found: Bound) -> str:
    """The formula, its numbers and what it means, for whoever pays."""
    exposure = found.exposure
    cards = sum(kind.count for kind in exposure.cards)
    balances = total(kind.balance * kind.count for kind in exposure.cards)
    greatest = max((kind.balance for kind in exposure.cards), default=Cents(0))
    lines = ["Ce qu'un vol de caisses peut coûter au plus", "", FORMULA, ""]
    lines.append(
        f"Caisses volées et ouvertes : {exposure.stolen}" + ("" if exposure.stolen else " : la perte est nulle")
    )
    lines.append(f"Cartes connues : {cards}, solde le plus grand {in_euros(greatest)}, en tout {in_euros(balances)}")
    lines.append(f"Annulations crues d'une carte sans le centre : {in_euros(exposure.void_allowance)}")
    for share in found.shares if exposure.stolen else ():
        kind = share.terminals
        binding = "le plafond hors ligne" if share.is_capped else "ce que les cartes pourraient payer"
        lines += [
            "",
            f"{kind.name} ({kind.count}) : plafond hors ligne {in_euros(kind.offline_cap)}, "
            f"par carte {in_euros(kind.card_cap)}",
            f"    toutes les cartes à une caisse : {in_euros(share.by_cards)}",
            f"    le plus petit, {binding} : {in_euros(share.each)}",
            f"    × {kind.count} = {in_euros(share.loss)}",
        ]
    lines += ["", f"Perte maximale : {in_euros(found.loss)}"]
    return "\n".join([*lines, "", MEANING.format(lease=exposure.lease_days)])


def as_plain(found: Bound) -> dict[str, object]:
    """The same for a machine; amounts in cents."""
    exposure = found.exposure
    return {
        "loss_cents": int(found.loss),
        "stolen": exposure.stolen,
        "lease_days": exposure.lease_days,
        "void_allowance_cents": int(exposure.void_allowance),
        "cards": [{"count": kind.count, "balance_cents": int(kind.balance)} for kind in exposure.cards],
        "terminals": [
            {
                "name": share.terminals.name,
                "count": share.terminals.count,
                "offline_cap_cents": int(share.terminals.offline_cap),
                "card_cap_cents": int(share.terminals.card_cap),
                "by_cards_cents": int(share.by_cards),
                "each_cents": int(share.each),
                "loss_cents": int(share.loss),
            }
            for share in found.shares
        ],
    }
