"""One part of a rule file, read strictly: every word known, every value of its kind. Mistakes are kept, not raised.

A word that is wrong is read as something harmless, so that the rest of the file can be looked at too; rules are made
only where there was no mistake at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, TypeVar

from central.rule_file.mistakes import Lines, Mistake, listed, meant, near
from domain.money import ZERO, Cents
from sync.rule_format import MOST_CENTS

_SUM: Final = re.compile(r"(\d{1,8})\.(\d{2})", re.ASCII)
_NUMBER: Final = r"(\d{1,6})(?:[.,](\d{1,3}))?"
_PERCENT: Final = re.compile(_NUMBER + r"\s*%", re.ASCII)
_FRACTION: Final = re.compile(r"(\d{1,4})\s*/\s*(\d{1,4})", re.ASCII)
_QUANTITY: Final = re.compile(_NUMBER + r"\s*(\S+)", re.ASCII)
_Word = TypeVar("_Word", bound=StrEnum)
REST: Final = "rest"
LONGEST_TEXT: Final = 64
_NO_DAY: Final = date(2000, 1, 1)


@dataclass(slots=True)
class Part:
    """One table of the file.

    Attributes:
        raw: what tomllib read.
        where: what its author calls it.
        section: name of the [[part]] it stands in; empty at the top.
        count: how many parts of this name stand before.
        lines: where words stand.
        found: mistakes, of all parts.
        word: the word of the part that holds this table, for a table inside a part.
        outer: that part.
        is_sound: whether nothing was wrong in it so far, nor in what it holds.
        misspelt: words that unknown ones were probably meant to be.
    """

    raw: Mapping[str, Any]
    where: str
    section: str
    count: int
    lines: Lines
    found: list[Mistake]
    word: str = ""
    outer: Part | None = None
    is_sound: bool = True
    misspelt: set[str] = field(default_factory=set)

    def wrong(self, name: str, says: str) -> None:
        """Note a mistake at a word of this part."""
        part: Part | None = self
        while part is not None:
            part.is_sound, part = False, part.outer
        line = self.lines.of(self.section, self.count, self.word or name)
        if not self.section:
            line = line or self.lines.of(name, 0)
        mistake = Mistake(self.where, says, line)
        if mistake not in self.found:
            self.found.append(mistake)

    def only(self, *known: str) -> None:
        """Every word of the part is one of these."""
        for name in self.raw:
            if name not in known:
                self.wrong(name, f"mot inconnu « {name} ». {meant(name, known)}")
                self.misspelt |= {word for word in near(name, known) if word not in self.raw}

    def lacks(self, name: str, says: str) -> None:
        """Note a word that is not there, unless it is there in another spelling."""
        if name not in self.misspelt:
            self.wrong(name, f"il manque {says}")

    def text(self, name: str, usual: str | None = None, most: int = LONGEST_TEXT) -> str:
        """A text that says something."""
        value = self.raw.get(name, usual)
        if isinstance(value, str) and (value.strip() or value == usual) and len(value) <= most and value.isprintable():
            return value
        if name not in self.raw:
            self.lacks(name, f'{name} = "…". Ajoutez cette ligne.')
        elif isinstance(value, str) and len(value) > most:
            self.wrong(name, f"{name} a {most} caractères au plus ; celui-ci en a {len(value)}. Raccourcissez-le.")
        else:
            self.wrong(name, f'{name} est un texte d\'une ligne entre guillemets, pas vide : {name} = "…".')
        return ""

    def whole(self, name: str, most: int, usual: int | None = None) -> int:
        """A whole number from 1."""
        value = self.raw.get(name, usual)
        if name not in self.raw and usual is None:
            self.lacks(name, f"{name} = … (un nombre entier de 1 à {most}). Ajoutez cette ligne.")
        elif isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            self.wrong(name, f"{name} est un nombre entier de 1 à {most}, sans guillemets ; ici : {shown(value)}.")
        else:
            return value
        return 1

    def flag(self, name: str) -> bool:
        """``true`` or ``false``; false where nothing is said."""
        value = self.raw.get(name, False)
        if not isinstance(value, bool):
            self.wrong(name, f"{name} est true (oui) ou false (non), sans guillemets ; ici : {shown(value)}.")
            return False
        return value

    def cents(self, name: str) -> Cents:
        """A sum that must be there."""
        if name not in self.raw:
            self.lacks(name, f'{name} = "…" (une somme, par exemple "80.00"). Ajoutez cette ligne.')
            return ZERO
        return self.cents_or_none(name) or ZERO

    def cents_or_none(self, name: str) -> Cents | None:
        """A sum, or nothing said."""
        if name not in self.raw:
            return None
        value = self.raw[name]
        amount = cents_of(value)
        if amount is None:
            self.wrong(name, f"{name} s'écrit entre guillemets avec deux décimales : {_as_sum(value)}.")
        return amount

    def day(self, name: str, usual: date | None = None) -> date:
        """A whole day, as TOML has it: 2026-01-31."""
        value = self.raw.get(name, usual)
        if name not in self.raw and usual is None:
            self.lacks(name, f"{name} = 2026-01-31 (un jour, sans guillemets). Ajoutez cette ligne.")
        elif isinstance(value, datetime) or not isinstance(value, date):
            day = value.date() if isinstance(value, datetime) else value if _is_day(value) else "2026-01-31"
            self.wrong(name, f"{name} est un jour, sans guillemets et sans heure : {name} = {day}.")
        elif not 1970 <= value.year <= 9998:
            self.wrong(name, f"{name} : l'année {value.year} n'est pas plausible. Corrigez-la.")
        else:
            return value
        return _NO_DAY

    def choice(self, name: str, words: type[_Word], usual: _Word | None = None) -> _Word:
        """One of the words of an enum."""
        value = self.raw.get(name, usual)
        known = [word.value for word in words]
        if value in known:
            return words(value)
        choices = listed([f'"{word}"' for word in known])
        if name not in self.raw:
            self.lacks(name, f"{name} = {choices}. Ajoutez cette ligne.")
        else:
            self.wrong(name, f"{name} est {choices} ; ici : {shown(value)}.")
        return usual or next(iter(words))

    def words(self, name: str) -> frozenset[str]:
        """A list of words; none where nothing is said."""
        value = self.raw.get(name, [])
        if isinstance(value, str):
            self.wrong(name, f'{name} est une liste, même d\'un seul mot : {name} = ["{value}"].')
        elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(name, f'{name} est une liste de mots entre guillemets : {name} = ["…", "…"].')
        else:
            twice = next((item for item in value if value.count(item) > 1), None)
            if twice is not None:
                self.wrong(name, f"« {twice} » est écrit deux fois dans {name}. Gardez-en un.")
            if name in self.raw and not value:
                self.wrong(name, f"{name} = [] est une liste vide. Mettez-y un mot, ou retirez la ligne.")
            return frozenset(value)
        return frozenset()

    def table(self, name: str) -> Part | None:
        """The table of one word, or ``None`` where nothing is said."""
        if name not in self.raw:
            return None
        value = self.raw[name]
        if not isinstance(value, dict):
            self.wrong(name, f"{name} s'écrit {name} = {{ … }} ; ici : {shown(value)}.")
            return None
        return self._inner(value, name, name)

    def tables(self, name: str) -> list[Part]:
        """The tables of one word, in order."""
        value = self.raw.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.wrong(name, f"{name} est une liste de {{ … }} : {name} = [{{ … }}, {{ … }}] ; ici : {shown(value)}.")
            return []
        numbered = [f"{name}, n° {number}" for number in range(1, len(value) + 1)] if len(value) != 1 else [name]
        return [self._inner(item, name, called) for item, called in zip(value, numbered, strict=True)]

    def _inner(self, value: Mapping[str, Any], name: str, called: str) -> Part:
        place = ", ".join(word for word in (self.where, called) if word)
        return Part(value, place, self.section, self.count, self.lines, self.found, self.word or name, self)

    def share(self, name: str, says_rest: bool = False) -> Fraction | None:
        """A share such as "60 %" or "1/3"; ``None`` for "rest" (where that may be said) and for a mistake."""
        value = self.raw.get(name)
        if says_rest and value == REST:
            return None
        share = share_of(value)
        if share is None:
            rest = ', ou "rest" pour ce qui reste' if says_rest else ""
            self.wrong(name, f'{name} est une part entre guillemets : "60 %" ou "1/3"{rest} ; ici : {shown(value)}.')
            return Fraction(0)
        return share

    def quantity(self, name: str) -> tuple[int | None, str]:
        """Thousandths of a unit, and the unit: "12 l"; nothing where nothing is said."""
        if name not in self.raw:
            return None, ""
        value = self.raw[name]
        match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            self.wrong(name, f'{name} est un nombre et une unité entre guillemets : "12 l" ou "1.250 kg".')
            return None, ""
        return int(match[1]) * 1_000 + int((match[2] or "").ljust(3, "0")), match[3]


def cents_of(value: object) -> Cents | None:
    """Cents of a quoted sum; ``None`` for anything else."""
    match = _SUM.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    amount = int(match[1]) * 100 + int(match[2])
    return Cents(amount) if amount <= MOST_CENTS else None


def share_of(value: object) -> Fraction | None:
    """The share a text names; ``None`` for anything else."""
    if not isinstance(value, str):
        return None
    if match := _PERCENT.fullmatch(value.strip()):
        decimals = match[2] or ""
        return Fraction(int(match[1] + decimals), 100 * 10 ** len(decimals))
    match = _FRACTION.fullmatch(value.strip())
    return Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else None


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _as_sum(value: object) -> str:
    """What a sum that was written wrongly should look like, where it can be guessed."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e7:
        return f'"{value:.2f}"'
    if isinstance(value, str) and cents_of(value.strip().replace(",", ".").removesuffix("€").strip()):
        plain = value.strip().replace(",", ".").removesuffix("€").strip()
        return f'"{plain}", avec un point, sans virgule ni €'
    if isinstance(value, str) and value.strip().isdecimal():
        return f'"{value.strip()}.00"'
    if isinstance(value, str) and value.lstrip().startswith(("-", "−")):
        return 'par exemple "80.00", et jamais au-dessous de zéro'
    if isinstance(value, str) and _SUM.fullmatch(value):
        return f'"{value}" est trop, {MOST_CENTS // 100_000_000} millions d\'euros au plus'
    return f'par exemple "80.00" ; ici : {shown(value)}'


def shown(value: object) -> str:
    """A value as its author would recognise it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "{ … }"
    if isinstance(value, list):
        return "[ … ]"
    return str(value)


def of_words(part: Part, name: str, words: Iterable[str], known: Iterable[str], what: str) -> None:
    """Note every word of a list that nobody has defined."""
    choices = list(known)
    for word in sorted(set(words) - set(choices)):
        part.wrong(name, f"dans {name}, {what} « {word} » n'existe pas. {meant(word, choices)}")
