"""The pictures of the documentation are what the program draws today."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ET
from functools import cache

import pytest

from terminal.ui.palette import Pair, contrast
from terminal.ui.pictures import FOLDER, Picture, draw, pictures
from terminal.ui.svg import CELL_H, CELL_W, words_of


@cache
def drawn(picture: Picture) -> str:
    return asyncio.run(draw(picture))


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
def test_the_picture_in_the_documentation_says_what_the_screen_says(picture: Picture) -> None:
    stored = (FOLDER / f"{picture.name}.svg").read_text(encoding="utf-8")
    assert words_of(drawn(picture)) == words_of(stored), "look at the screen, then run scripts/pictures"


def test_the_usual_outcome_is_plain_and_the_one_with_a_rest_says_it() -> None:
    by_name = {picture.name: words_of(drawn(picture)) for picture in pictures()}
    assert "autrement" not in str(by_name["carte-paye"])
    assert "à régler autrement" in str(by_name["carte-paye-reste"])


def test_the_till_to_be_updated_has_old_lists_in_its_status_bar() -> None:
    picture = next(picture for picture in pictures() if picture.name == "caisse-a-mettre-a-jour")
    assert picture.status().lists_days_left < 0
    assert "valables" not in str(words_of(drawn(picture)))


def test_there_is_no_picture_of_a_screen_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == {picture.name for picture in pictures()}


def test_pictures_are_small_and_fetch_nothing() -> None:
    for path in FOLDER.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert len(text) < 20_000
        assert text.count("http") == text.count("http://www.w3.org/2000/svg") == 1
        ET.fromstring(text)


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
def test_whatever_is_drawn_has_a_contrast_of_seven_or_more(picture: Picture) -> None:
    pairs = pairs_drawn(drawn(picture))
    assert len(pairs) >= 2
    assert {pair: contrast(pair) for pair in pairs if contrast(pair) < 7.0} == {}


def pairs_drawn(svg: str) -> set[Pair]:
    """Every ink with the ground of the cell it is drawn in."""
    grounds: dict[tuple[int, int], str] = {}
    for x, y, width, colour in re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)"[^>]*fill="(#\w{6})"', svg):
        for column in range(int(x) // CELL_W, (int(x) + int(width)) // CELL_W):
            grounds[column, int(y) // CELL_H] = colour
    texts = re.findall(r'<text x="(\d+)" y="(\d+)" fill="(#\w{6})"', svg)
    inks = [(int(x), int(y), ink) for x, y, ink in texts]
    for ink, path in re.findall(r'<path fill="(#\w{6})" d="([^"]*)"', svg):
        inks += [(int(x), int(y), ink) for x, y in re.findall(r"M(\d+) (\d+)", path)]
    assert inks
    return {Pair(ink, grounds[x // CELL_W, y // CELL_H]) for x, y, ink in inks}
