"""Names that came from a file or the network, made safe to draw."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MOST_NAME_CHARS: Final = 40
_MARKUP: Final = re.compile(r"\[/?[a-zA-Z@#$][^\[\]]*\]|\[/\]")
_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)?|\x9b[0-?]*[ -/]*[@-~]")
_UNDRAWABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_MOST_MARKS: Final = 2


def plain(name: str, most: int = MOST_NAME_CHARS) -> str:
    """The name in one line of ``most`` characters at most, without control and bidi characters, sequences and markup.

    Marks stacked on one letter are kept up to two; a name too long ends with ``…``. Source: Unicode Technical Report 36
    (bidirectional text spoofing), ECMA-48 section 5.4 (control sequences).
    """
    name = _MARKUP.sub("", _SEQUENCES.sub("", name))
    spaced = "".join(" " if unicodedata.category(char)[0] == "Z" or char in "\t\n\r\v\f" else char for char in name)
    kept = "".join(char for char in spaced if unicodedata.category(char) not in _UNDRAWABLE)
    line = _MARKUP.sub("", _with_few_marks(unicodedata.normalize("NFC", " ".join(kept.split()))))
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _with_few_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        if marks <= _MOST_MARKS and (marks == 0 or kept):
            kept.append(char)
    return "".join(kept)
