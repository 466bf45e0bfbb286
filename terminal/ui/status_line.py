"""The status bar in words: network, lists, what waits; the longest writing that fits."""

from __future__ import annotations

from datetime import datetime, tzinfo

from domain.money import in_euros
from terminal.events import Status
from terminal.text import _, ngettext
from terminal.ui.moments import age, lists_from

SEPARATOR = " · "


def status_line(status: Status, now: datetime, zone: tzinfo, width: int) -> str:
    """One line of at most ``width`` cells: shorter wordings where the screen is narrow, the network always first."""
    network, lists, pending = _network(status, now), _lists(status, now, zone), _pending(status)
    writings = [
        (network[0], lists[0], pending[0]),
        (network[0], lists[1], pending[0]),
        (network[0], lists[2], pending[0]),
        (network[0], lists[1], pending[1]),
        (network[1], lists[2], pending[1]),
        (network[1], pending[1]) if pending[1] else (network[1], lists[2]),
        (network[1],),
    ]
    lines = [SEPARATOR.join(part for part in parts if part) for parts in writings]
    return next((line for line in lines if len(line) <= width), lines[-1][:width])


def status_page(status: Status, now: datetime, zone: tzinfo) -> tuple[str, ...]:
    """The same in full sentences, one a line, for the page behind menu 9."""
    network, lists, pending = _network(status, now)[0], _lists(status, now, zone)[0], _pending(status)[0]
    contact = (
        ""
        if status.last_contact is None
        else _("dernier échange il y a {age}").format(age=age(status.last_contact, now))
    )
    return tuple(line for line in (network, contact, lists, pending or _("rien à envoyer")) if line)


def _network(status: Status, now: datetime) -> tuple[str, str]:
    if status.is_online:
        return _("● en ligne"), _("● en ligne")
    if status.last_contact is None:
        return _("○ hors ligne"), _("○ hors ligne")
    since = age(status.last_contact, now)
    return _("○ hors ligne depuis {age}").format(age=since), _("○ hors ligne {age}").format(age=since)


def _lists(status: Status, now: datetime, zone: tzinfo) -> tuple[str, str, str]:
    if status.lists_days_left < 0:
        old = _("listes à mettre à jour")
        return old, old, _("à mettre à jour")
    origin, days = lists_from(status.lists_signed_at, now, zone), status.lists_days_left
    return (
        _("listes {origin}, valables encore {days} j").format(origin=origin, days=days),
        _("listes valables encore {days} j").format(days=days),
        _("listes {days} j").format(days=days),
    )


def _pending(status: Status) -> tuple[str, str]:
    count, amount = status.pending_payments, in_euros(status.pending_amount)
    if count == 0:
        return "", ""
    full = ngettext("{count} paiement à envoyer ({amount})", "{count} paiements à envoyer ({amount})", count)
    return full.format(count=count, amount=amount), _("{count} à envoyer").format(count=count)
