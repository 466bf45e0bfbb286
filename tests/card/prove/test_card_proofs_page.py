"""The page of proofs names every command the host sends, and what it leans on exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

from terminal.nfc.apdu import Ins
from terminal.nfc.proving.facts import UPDATE_RECORD, UPDATE_RECORD_CHAINED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "card-proofs.md").read_text()
ROWS = {
    int(row[0], 16): row
    for row in (re.split(r"\s*\|\s*", line.strip("| ")) for line in PAGE.splitlines())
    if re.fullmatch(r"[0-9A-F]{2}", row[0])
}
BY = {"public vector", "foreign host", "ours only"}


def test_every_instruction_the_host_sends_has_its_row_and_no_other_has() -> None:
    assert set(ROWS) == {*Ins, UPDATE_RECORD, UPDATE_RECORD_CHAINED}


def test_each_row_says_by_whom() -> None:
    assert {ins: row[2] for ins, row in ROWS.items() if not set(row[2].split(", ")) <= BY} == {}


def test_every_vector_named_is_in_the_file_of_vectors() -> None:
    vectors = json.loads((ROOT / "tests" / "vectors" / "desfire.json").read_text())
    named = set(re.findall(r"vector `(\w+)`", PAGE))
    assert named == set(vectors) - {"about"}


def test_a_proof_by_public_vector_names_it() -> None:
    assert all("vector `" in row[3] for row in ROWS.values() if "public vector" in row[2])
