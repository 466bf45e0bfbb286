from __future__ import annotations

import pytest

from domain.money import Cents, in_euros, total


@pytest.mark.parametrize("wrong", [1.0, 0.1, True, "12", None])
def test_an_amount_is_never_made_from_anything_but_whole_cents(wrong: object) -> None:
    with pytest.raises(TypeError):
        Cents(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0.5, True])
def test_money_is_only_added_to_money(wrong: object) -> None:
    with pytest.raises(TypeError):
        Cents(5) + wrong  # type: ignore[operator]
    with pytest.raises(TypeError):
        Cents(5) - wrong  # type: ignore[operator]


def test_what_a_float_or_a_share_makes_of_an_amount_is_never_money_again() -> None:
    with pytest.raises(TypeError):
        Cents(0.5 - Cents(5))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Cents(5) / 2
    with pytest.raises(TypeError):
        Cents(5) * 0.5


def test_sums_and_differences_remain_money() -> None:
    assert type(Cents(5) + Cents(7) - Cents(2)) is Cents
    assert total([Cents(3), Cents(-1)]) == Cents(2)
    assert total([]) == Cents(0)


@pytest.mark.parametrize(
    ("cents", "written"),
    [
        (1250, "12,50\u202f€"),
        (5, "0,05\u202f€"),
        (123450, "1\u202f234,50\u202f€"),
        (-310, "−3,10\u202f€"),
        (0, "0,00\u202f€"),
    ],
)
def test_amounts_are_written_as_the_french_write_them(cents: int, written: str) -> None:
    assert in_euros(Cents(cents)) == written
