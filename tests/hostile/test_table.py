"""The page for operators says of every lie what the till really says."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.table import lines

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "hostile-cards.md"


def test_every_lie_has_its_line_with_the_sentence_of_the_screen() -> None:
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:4]) for line in PAGE.read_text().splitlines() if "|" in line
    ]
    wanted = [(name, words, does) for name, words, does, _ in lines()]
    assert [row for row in wanted if row not in rows] == []


def test_the_page_has_no_line_of_a_lie_nobody_tells() -> None:
    told = {name for name, *_ in lines()}
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "« " in line]
    assert [row for row in table if row.split("|")[1].strip() not in told] == []
