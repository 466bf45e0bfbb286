"""Pages of the centre, the only door to jinja2; everything drawn is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from central.account import CardAccount
from central.presence import VOIDS_IN_FRENCH
from central.report import Report
from domain.money import Cents, in_euros

TEMPLATES: Final = Path(__file__).parent / "templates"
_REASONS: Final = {
    "the proof is not the card's": "la preuve n'est pas celle de la carte",
    "a number of this card comes twice": "deux opérations de cette carte portent le même numéro",
    "a card this centre does not know": "carte inconnue du centre",
    "contradicts itself": "l'enregistrement contredit ce que la carte a vu",
    "cannot be posted": "l'enregistrement ne se lit pas",
    "unknown version": "écrit par une version plus récente : mettez le centre à jour",
    "unknown record type": "écrit par une version plus récente : mettez le centre à jour",
    "the terminal's certificate has expired": "le certificat de la caisse avait expiré",
    "above the limit of a card that gives no proof": "carte sans preuve : au-dessus de sa dotation",
    "above the ceiling of a day": "carte sans preuve : au-dessus du plafond d'un jour",
    "earlier than the record before it": "une heure plus ancienne que celle de l'enregistrement d'avant",
    **VOIDS_IN_FRENCH,
}
_MONTHS: Final = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)


def report_page(report: Report, at: datetime, timezone: str) -> str:
    """The report as one HTML page that needs nothing from anywhere else."""
    here = ZoneInfo(timezone)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["euros"] = lambda cents: in_euros(Cents(cents))
    environment.filters["remarks"] = _remarks
    environment.filters["en_clair"] = _in_french
    environment.filters["moment"] = lambda seconds: _moment(datetime.fromtimestamp(seconds, UTC), here)
    page = environment.get_template("report.html")
    return page.render(report=report, at=_moment(at, here), share=_share(report))


def _remarks(card: CardAccount) -> str:
    """What there is to say of a card beside its sums."""
    said = ["en opposition"] if card.is_hot else []
    said += ["suspendue : preuve fausse"] if card.is_suspended else []
    said += [f"manque : n° {first}" + (f" à {last}" if last > first else "") for first, last in card.missing_tmcs]
    sums = (("en vérification", card.doubted), ("attesté", card.attested), ("annulé", card.voided))
    said += [f"{word} : {in_euros(Cents(cents))}" for word, cents in sums if cents]
    return " ; ".join(said)


def _in_french(why: str) -> str:
    """Why a record is kept apart, as the person who looks reads it."""
    return next((french for english, french in _REASONS.items() if why.startswith(english)), why)


def _moment(at: datetime, here: ZoneInfo) -> str:
    local = at.astimezone(here)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year} à {local.hour} h {local.minute:02d}"


def _share(report: Report) -> dict[str, Any]:
    """Parts of what was granted, in thousandths, for the bar."""
    whole = max(report.granted, 1)
    names = ("spent", "doubted", "travelling", "open", "lapsed")
    return {name: round(1_000 * max(getattr(report, name), 0) / whole) for name in names}
