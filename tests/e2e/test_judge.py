"""The demonstration's judge can say no: what a morning leaves is altered in one place, and a finding turns false."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.judge import judge


@pytest.fixture(scope="module")
def morning() -> Iterator[Path]:
    """What a morning on in-process readers left; the one on PC/SC is the demonstration's own business."""
    argv = [sys.executable, "-m", "demo", "--headless", "--in-process", "--keep"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(done.stdout.strip().splitlines()[-1].removeprefix("Gardé : "))
    yield folder
    shutil.rmtree(folder)


def wrong(folder: Path) -> set[str]:
    return {finding.sentence for finding in judge(folder) if not finding.is_right}


def test_an_untouched_morning_is_right(morning: Path) -> None:
    assert wrong(morning) == set()


def card_pays_a_cent_more(folder: Path) -> None:
    path = folder / "cards" / "denis.json"
    state = json.loads(path.read_text())
    files = state["applications"]["A05310"]["files"]
    used = next(number for number in ("01", "02") if files[number]["value"] < 16_000_000)
    files[used]["value"] -= 1
    path.write_text(json.dumps(state))


def in_database(name: str, statement: str) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        base = sqlite3.connect(folder / name)
        base.execute(statement)
        base.commit()
        base.close()

    return alter


CENTRE, JOURNAL = "centre/centre.db", "till-1/journal-000001.db"
LEDGER = "le grand livre du centre est la somme des cartes, au centime"
ONCE = "après deux coupures, le centre tient chaque enregistrement une fois et une seule"
CHAIN = "chaque journal est une chaîne signée sans trou"
BONUS = "le centre verse les bonus que les caisses ont montrés : 69,50 €"
ALLOTTED = "le foyer d'Amira a reçu ce que les règles lui donnent : 60,00 €"
ALTERED = [
    (in_database(CENTRE, "UPDATE grant_given SET amount = amount + 1 WHERE kind = 'bonus' AND amount = 3000"), BONUS),
    (in_database(CENTRE, "DELETE FROM grant_given WHERE kind = 'bonus' AND amount = 350"), BONUS),
    (in_database(CENTRE, "UPDATE grant_given SET amount = 6001 WHERE kind = 'allotment'"), ALLOTTED),
    (card_pays_a_cent_more, LEDGER),
    (in_database(CENTRE, "UPDATE event SET amount = amount + 1 WHERE amount = 1250"), LEDGER),
    (
        in_database(CENTRE, "UPDATE event SET state = 'doubt' WHERE amount = 600"),
        "la carte elle-même les a prouvés au centre",
    ),
    (in_database(CENTRE, "DELETE FROM record WHERE seq = 2"), ONCE),
    (in_database(CENTRE, "UPDATE record SET disposition = 2 WHERE seq = 3"), "rien en quarantaine, plus aucun doute"),
    (in_database(CENTRE, "UPDATE terminal SET frozen = 'x'"), "rien à côté des chaînes, aucune caisse gelée"),
    (in_database(JOURNAL, "DELETE FROM record WHERE seq = 4"), CHAIN),
    (in_database(JOURNAL, "UPDATE record SET sealed = zeroblob(length(sealed)) WHERE seq = 4"), CHAIN),
]


@pytest.mark.parametrize(("alter", "sentence"), ALTERED)
def test_one_altered_thing_is_found(
    morning: Path, tmp_path: Path, alter: Callable[[Path], None], sentence: str
) -> None:
    copy = tmp_path / "morning"
    shutil.copytree(morning, copy, ignore=shutil.ignore_patterns("*.sock"))
    alter(copy)
    assert sentence in wrong(copy)
