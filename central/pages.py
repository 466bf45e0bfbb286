"""Pages of the centre, the only door to jinja2; everything drawn is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from central.report import Report
from domain.money import Cents, in_euros

TEMPLATES: Final = Path(__file__).parent / "templates"
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
    environment.filters["moment"] = lambda seconds: _moment(datetime.fromtimestamp(seconds, UTC), here)
    page = environment.get_template("report.html")
    return page.render(report=report, at=_moment(at, here), share=_share(report))


def _moment(at: datetime, here: ZoneInfo) -> str:
    local = at.astimezone(here)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year} à {local.hour} h {local.minute:02d}"


def _share(report: Report) -> dict[str, Any]:
    """Parts of what was granted, in thousandths, for the bar."""
    whole = max(report.granted, 1)
    names = ("spent", "doubted", "travelling", "open", "lapsed")
    return {name: round(1_000 * max(getattr(report, name), 0) / whole) for name in names}
