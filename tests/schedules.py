"""A part of all schedules, the same in every run, for the fast lane; the slow lane plays them all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, product
from typing import Any


def one_in(step: int, *factors: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Every ``step``-th of the product of ``factors``: each thing of each factor, with several of every other one.

    Raises:
        AssertionError: something is not among them; choose a step that has no divisor in common with the sizes.
    """
    parts = [list(factor) for factor in factors]
    places = list(islice(product(*(range(len(part)) for part in parts)), 0, None, step))
    for number, part in enumerate(parts):
        assert {place[number] for place in places} == set(range(len(part))), f"factor {number} is not played whole"
    return [tuple(part[at] for part, at in zip(parts, place, strict=True)) for place in places]
