"""The fast lane's part of all schedules leaves nothing out that it promises to play."""

from __future__ import annotations

import pytest

from tests.schedules import one_in


def test_everything_of_each_factor_is_played_with_several_of_the_others() -> None:
    chosen = one_in(7, "abcdefghij", range(9))
    assert len(chosen) == 13
    assert {letter for letter, _ in chosen} == set("abcdefghij") and {number for _, number in chosen} == set(range(9))


def test_a_step_that_leaves_something_out_is_refused() -> None:
    with pytest.raises(AssertionError, match="factor 1 is not played whole"):
        one_in(2, range(4), range(2))
