"""Every sentence a person reads goes through ``_``: French is the source, catalogues translate it (terminal/locale)."""

from __future__ import annotations

import gettext
import os
from functools import lru_cache
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"
_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def _(message: str) -> str:
    """The sentence in the user's language; French where no catalogue has it."""
    return _catalogue(_languages()).gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The sentence for a number, in the user's language."""
    return _catalogue(_languages()).ngettext(singular, plural, count)


def _languages() -> str:
    """The first variable of the environment that names languages (POSIX, Base Definitions section 8.2)."""
    return next((value for value in map(os.environ.get, _VARIABLES) if value), "")


@lru_cache(maxsize=8)
def _catalogue(languages: str) -> gettext.NullTranslations:
    # Without its character set: Python takes "C.UTF-8" for American English.
    wanted = [language.partition(".")[0] for language in languages.split(":")]
    known = [language for language in (*wanted, "fr") if language not in ("", "C", "POSIX")]
    return gettext.translation("panier", LOCALES, known, fallback=True)
