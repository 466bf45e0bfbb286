"""The demonstration's rules: those of the Gers, with their bonus in force this month."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from central.rule_file import read_rule_file
from domain.allotment import month_of

GERS: Final = Path(__file__).parents[1] / "domain" / "rule-sets" / "gers.toml"


def today() -> date:
    """The day it is in the zone of the Gers' rules, whatever zone this machine keeps."""
    return datetime.now(ZoneInfo(read_rule_file(GERS).timezone)).date()


def write_rules(path: Path, today: date) -> Path:
    """Write the rule file of a demonstration; its path."""
    month = month_of(today)
    text, count = re.subn(
        r"^from( *)= .*\nto( *)= \S+.*$",
        rf"from\1= {month.first}\nto\2= {month.last}",
        GERS.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert count == 1, "the Gers have one bonus"
    path.write_text(text, encoding="utf-8")
    return path
