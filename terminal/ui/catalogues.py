"""Collects every sentence of the program and brings the catalogues up to date: ``python -m terminal.ui.catalogues``.

A tool of the workshop, not of the till: it needs Babel, which is not installed at a stall.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from terminal.text import LOCALES

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("terminal", "panier", "demo")
LANGUAGES: Final = ("fr", "en")
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)  # files change with their sentences only
_KEYWORDS: Final = {"_": None, "ngettext": (1, 2)}


def sentences() -> Catalog:
    """Every sentence of the source, with the files it stands in."""
    catalogue = _empty(None)
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in paths:
        for _line, message, _comments, _context in extract_from_file("python", path, keywords=_KEYWORDS):
            catalogue.add(message, locations=[(str(path.relative_to(ROOT)), 0)])
    return catalogue


def _empty(language: str | None) -> Catalog:
    return Catalog(
        locale=language,
        header_comment="# Sentences of Panier; licence EUPL-1.2.",
        project="panier",
        version="0",
        msgid_bugs_address="",
        creation_date=EPOCH,
        revision_date=EPOCH,
        last_translator="Panier",
        language_team="Panier",
        charset="utf-8",
        fuzzy=False,
    )


def place(language: str) -> Path:
    """The catalogue of a language."""
    return LOCALES / language / "LC_MESSAGES" / "panier.po"


def read(language: str) -> Catalog:
    """The stored catalogue, empty where there is none yet."""
    path = place(language)
    if not path.exists():
        return _empty(language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str) -> Catalog:
    """The stored catalogue with today's sentences; those no longer said are dropped."""
    catalogue = read(language)
    catalogue.update(sentences(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    return catalogue


def compiled(catalogue: Catalog) -> bytes:
    """The catalogue as gettext reads it."""
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def write(language: str) -> None:
    """Bring one language up to date and compile it."""
    path = place(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    catalogue = updated(language)
    out = io.BytesIO()
    write_po(out, catalogue, width=110, omit_header=False, include_lineno=False, sort_output=True)
    path.write_bytes(out.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(catalogue))


def untranslated(language: str) -> list[str]:
    """Sentences that will be read in French in this language."""
    return [str(message.id) for message in read(language) if message.id and not message.string]


if __name__ == "__main__":
    for each in LANGUAGES:
        write(each)
    print(*(f"en: {sentence}" for sentence in untranslated("en")), sep="\n")
