"""Times and ages as people say them; aware UTC comes in, the stall's own zone is drawn."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from terminal.text import _

NOON_H = 12


def hour(at: datetime, zone: tzinfo) -> str:
    """``10 h 42``."""
    local = at.astimezone(zone)
    return _("{hour} h {minute:02d}").format(hour=local.hour, minute=local.minute)


def day(at: datetime, zone: tzinfo) -> str:
    """``7 mars``, ``1er avril``."""
    local = at.astimezone(zone)
    number = _("1er") if local.day == 1 else str(local.day)
    return _("{day} {month}").format(day=number, month=_months()[local.month - 1])


def when(at: datetime, now: datetime, zone: tzinfo) -> str:
    """``à 10 h 42`` on the same day, ``le 7 mars`` before."""
    if at.astimezone(zone).date() == now.astimezone(zone).date():
        return _("à {hour}").format(hour=hour(at, zone))
    return _("le {day}").format(day=day(at, zone))


def last_day(end: datetime, zone: tzinfo) -> str:
    """The last day before an exclusive end: ``31 mars`` for the first instant of April."""
    return day(end - timedelta(microseconds=1), zone)


def age(since: datetime, now: datetime) -> str:
    """``5 min``, ``2 h 10``, ``3 j``; what lies ahead counts as just now."""
    minutes = max(0, int((now - since).total_seconds() // 60))
    hours, days = minutes // 60, minutes // (24 * 60)
    if days >= 2:
        return _("{days} j").format(days=days)
    if hours:
        return _("{hours} h {minutes:02d}").format(hours=hours, minutes=minutes % 60)
    return _("{minutes} min").format(minutes=minutes)


def lists_from(signed_at: datetime, now: datetime, zone: tzinfo) -> str:
    """``de ce matin``, ``d'hier``, ``du 7 mars``."""
    local = signed_at.astimezone(zone)
    days = (now.astimezone(zone).date() - local.date()).days
    if days == 0:
        return _("de ce matin") if local.hour < NOON_H else _("d'aujourd'hui")
    return _("d'hier") if days == 1 else _("du {day}").format(day=day(signed_at, zone))


def _months() -> tuple[str, ...]:
    return (
        _("janvier"),
        _("février"),
        _("mars"),
        _("avril"),
        _("mai"),
        _("juin"),
        _("juillet"),
        _("août"),
        _("septembre"),
        _("octobre"),
        _("novembre"),
        _("décembre"),
    )
