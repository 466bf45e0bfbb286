"""A mistake in a rule file: where it stands and what to do about it, in plain French."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

_HEADER: Final = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")
_WORD: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[=.]""")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Attributes:
        where: the part of the file, as its author calls it.
        says: what is wrong and what to write instead.
        line: counted from 1, or ``None`` where it cannot be said.
    """

    where: str
    says: str
    line: int | None = None

    def __str__(self) -> str:
        place = ", ".join(([f"ligne {self.line}"] if self.line else []) + ([self.where] if self.where else []))
        return f"{place} : {self.says}" if place else self.says


class RuleMistake(Exception):
    """The mistakes of a rule file, all of them; as text, one a line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


@dataclass(slots=True)
class Lines:
    """Where the words of a TOML text stand: by part, by how many parts of this name came before, by word.

    Only good for telling people where to look; what the text means is tomllib's to say.
    """

    text: str
    _found: dict[tuple[str, int, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        part, count, prefix = "", 0, ""
        seen: dict[str, int] = {}
        for number, row in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(row):
                part, _, prefix = header[1].replace(" ", "").partition(".")
                if not prefix:
                    seen[part] = seen.get(part, -1) + 1
                count = seen.get(part, 0)
                self._found.setdefault((part, count, prefix), number)
            elif word := _WORD.match(row):
                self._found.setdefault((part, count, prefix or word[1] or word[2] or word[3]), number)

    def of(self, part: str, count: int, word: str = "") -> int | None:
        """The line of a word in the ``count``-th part (from 0) of this name, or of the part's own header."""
        return self._found.get((part, count, word)) or self._found.get((part, count, ""))


def meant(word: str, known: Iterable[str]) -> str:
    """« Vouliez-vous … ? » for a word nobody knows, or what there is to choose from."""
    words = sorted(known)
    for guess in near(word, words):
        return f"Vouliez-vous « {guess} » ?"
    return f"On peut écrire : {listed(words)}." if 0 < len(words) <= 20 else "Retirez-le ou corrigez-le."


def near(word: str, known: Iterable[str]) -> list[str]:
    """The known word that was probably meant, if there is one."""
    return get_close_matches(word, sorted(known), 1, 0.6)


def listed(words: Sequence[str]) -> str:
    """« a, b ou c »."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} ou {words[-1]}"


_TOMLLIB: Final = (
    ("Cannot overwrite a value", "ce mot est écrit deux fois dans la même partie ; gardez-en un seul"),
    ("Cannot declare", "cette partie est écrite deux fois ; [[…]] pour chacune de plusieurs, […] pour une seule"),
    ("Cannot mutate immutable", "cette partie est écrite deux fois ; gardez-en une seule"),
    ("Expected '=' after a key", "il manque = entre le mot et sa valeur"),
    ("Invalid value", "cette valeur ne se lit pas ; un texte ou une somme s'écrit entre guillemets"),
    ("Unclosed array", "il manque ] à la fin d'une liste, ici ou plus haut"),
    ("Unclosed inline table", "il manque } à la fin de { … }, ici ou plus haut"),
    ("Unterminated string", "il manque le guillemet qui ferme"),
    ("Illegal character '\\n'", "il manque le guillemet qui ferme"),
    ("Invalid date or datetime", "ce jour n'existe pas ; un jour s'écrit 2026-01-31"),
    ("Expected newline", "il y a quelque chose de trop après la valeur ; un mot et sa valeur par ligne"),
    (
        "Invalid initial character for a key",
        "une ligne commence par un mot, et le mot n'a ni accent ni guillemet courbe",
    ),
    ("Expected ']'", "il manque ] à la fin de l'en-tête"),
)


def not_toml(fault: str) -> Mistake:
    """What tomllib says of a text it cannot read, in French."""
    at = re.search(r"at line (\d+)", fault)
    known = next(
        (french for english, french in _TOMLLIB if english in fault), f"cette ligne n'est pas du TOML ({fault})"
    )
    return Mistake("ce fichier n'est pas du TOML lisible", f"{known}.", int(at[1]) if at else None)
