"""A programme's rule set from a TOML file (version 0 of its shape): strict, in plain words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.identity import PurseNumber
from domain.money import Cents
from domain.rule_set import Ceilings, Condition, Purse, RuleSet, Tier
from sync.issuing import PROGRAMME_SIZE_B

_TOP: Final = {"programme", "version", "unit", "timezone", "phone", "never", "purse", "ceilings"}
_PURSE: Final = {"number", "id", "name", "pays", "window", "unspent"}
_CONDITION: Final = {"families", "merchants"}
_CEILINGS: Final = {"floor_limit", "day_total", "confirm", "tiers", "void_allowance"}
_TIER: Final = {"days", "day_total"}


class RuleMistake(Exception):
    """A mistake in a rule file; says where and what to do, in French."""


def read_rule_file(path: Path) -> RuleSet:
    """The rule set of a file.

    Raises:
        RuleMistake: unknown word, amount that is no quoted sum, family nobody defined, no purse …
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise RuleMistake(f"{path.name} ne se lit pas : {fault.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise RuleMistake(f"{path.name} n'est pas un fichier TOML lisible : {fault}") from None
    _only(raw, _TOP, "au début du fichier")
    if raw.get("unit", "EUR-cent") != "EUR-cent":
        raise RuleMistake('unit = "EUR-cent" : une autre unité n\'existe pas encore.')
    purses = _tables(raw, "purse")
    if not purses:
        raise RuleMistake("aucune enveloppe : écrivez au moins un [[purse]].")
    ceilings = _table(raw, "ceilings")
    _only(ceilings, _CEILINGS, "dans [ceilings]")
    rules = RuleSet(
        programme=_text(raw, "programme"),
        version=_whole(raw, "version", 0xFFFF),
        timezone=_text(raw, "timezone"),
        never=_words(raw, "never"),
        purses=_distinct(tuple(_purse(item) for item in purses)),
        ceilings=Ceilings(
            floor_limit=_cents(ceilings, "floor_limit"),
            day_total=_cents(ceilings, "day_total"),
            confirm=_cents(ceilings, "confirm"),
            tiers=tuple(_tier(item) for item in _tables(ceilings, "tiers")),
            void_allowance=_cents(ceilings, "void_allowance"),
        ),
        phone=_text(raw, "phone") if "phone" in raw else "",
    )
    if not (rules.programme.isascii() and len(rules.programme) <= PROGRAMME_SIZE_B):
        raise RuleMistake("programme a douze lettres au plus, sans accent.")
    _check_timezone(rules.timezone)
    _check_families(rules)
    return rules


def _purse(raw: Mapping[str, Any]) -> Purse:
    _only(raw, _PURSE, "dans [[purse]]")
    if raw.get("window") not in ("month", "dates", "none") or raw.get("unspent") not in ("lapse", "carry"):
        raise RuleMistake('window est "month", "dates" ou "none" ; unspent est "lapse" ou "carry".')
    conditions = _tables(raw, "pays")
    if not conditions:
        raise RuleMistake("cette enveloppe ne paie rien : donnez au moins une condition dans pays = [ … ].")
    for condition in conditions:
        _only(condition, _CONDITION, "dans pays")
    return Purse(
        number=PurseNumber(_whole(raw, "number", 255)),
        code=_text(raw, "id"),
        name=_text(raw, "name"),
        pays=tuple(Condition(_words(item, "families"), _words(item, "merchants")) for item in conditions),
    )


def _distinct(purses: tuple[Purse, ...]) -> tuple[Purse, ...]:
    for name, values in (("number", [str(p.number) for p in purses]), ("id", [p.code for p in purses])):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise RuleMistake(f"deux enveloppes ont {name} = {twice} : chacune a le sien, jamais réattribué.")
    return purses


def _tier(raw: Mapping[str, Any]) -> Tier:
    _only(raw, _TIER, "dans tiers")
    return Tier(_whole(raw, "days"), _cents(raw, "day_total") if "day_total" in raw else None)


def _check_families(rules: RuleSet) -> None:
    named = rules.never | {family for purse in rules.purses for rule in purse.pays for family in rule.families}
    for family in sorted(named - set(rules.families)):
        raise RuleMistake(f"la famille « {family} » n'existe pas : voyez la liste des familles.")


def _only(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    for word in raw:
        if word not in known:
            raise RuleMistake(f"mot inconnu « {word} » {where} : corrigez-le ou retirez-le, rien n'est pris à moitié.")


def _table(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    if not isinstance(value, dict):
        raise RuleMistake(f"il manque la partie [{name}].")
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise RuleMistake(f'il manque {name} = "…".')
    return value


def _tables(raw: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RuleMistake(f"{name} est une suite de parties : [[{name}]] ou [{{ … }}, {{ … }}].")
    return value


def _words(raw: Mapping[str, Any], name: str) -> frozenset[str]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RuleMistake(f'{name} est une liste de mots : ["…", "…"].')
    return frozenset(value)


def _whole(raw: Mapping[str, Any], name: str, most: int = 10_000) -> int:
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise RuleMistake(f"{name} est un nombre entier de 1 à {most}.")
    return value


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RuleMistake(f"le fuseau horaire « {name} » n'existe pas.") from None


def _cents(raw: Mapping[str, Any], name: str) -> Cents:
    value = raw.get(name)
    whole, dot, cents = value.partition(".") if isinstance(value, str) else ("", "", "")
    if not (dot and whole.isdecimal() and len(cents) == 2 and cents.isdecimal()):
        raise RuleMistake(f'{name} s\'écrit entre guillemets avec deux décimales, par exemple "80.00".')
    return Cents(int(whole) * 100 + int(cents))
