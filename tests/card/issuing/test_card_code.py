"""The code printed on a card: read aloud, mistyped, and never taken for another card's."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import CardId
from sync.errors import Malformed
from sync.issuing import card_code, card_of_code

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
cards = st.binary(min_size=8, max_size=8).map(CardId)


@given(cards)
def test_a_code_has_fourteen_letters_in_three_groups_and_names_its_card(card: CardId) -> None:
    code = card_code(card)
    assert [len(group) for group in code.split("-")] == [4, 5, 5]
    assert set(code) <= {*LETTERS, "-"}
    assert card_of_code(code) == card


@given(cards)
def test_the_letters_but_the_last_are_the_card_id_in_crockfords_base_32(card: CardId) -> None:
    letters = card_code(card).replace("-", "")[:-1]
    assert int("".join("0123456789abcdefghijklmnopqrstuv"[LETTERS.index(c)] for c in letters), 32) == int.from_bytes(
        card
    )


def test_a_known_card_has_a_known_code() -> None:
    assert card_code(CardId(bytes(8))) == "0000-00000-00000"
    assert card_code(CardId(bytes.fromhex("0011223344556677"))) == "0049-26D25-ASKQV"


@given(cards)
def test_as_it_may_be_typed(card: CardId) -> None:
    code = card_code(card)
    for typed in (
        code.lower(),
        code.replace("-", ""),
        code.replace("-", " "),
        code.replace("0", "O").replace("1", "l"),
    ):
        assert card_of_code(typed) == card


@given(cards)
def test_no_single_wrong_letter_passes(card: CardId) -> None:
    code = card_code(card)
    for place, letter in enumerate(code):
        if letter == "-":
            continue
        for other in set(LETTERS) - {letter}:
            with pytest.raises(Malformed):
                card_of_code(code[:place] + other + code[place + 1 :])


@given(cards)
def test_no_exchange_of_two_neighbours_passes(card: CardId) -> None:
    letters = card_code(card).replace("-", "")
    for place, (left, right) in enumerate(pairwise(letters)):
        if left != right:
            with pytest.raises(Malformed):
                card_of_code(letters[:place] + right + left + letters[place + 2 :])


@pytest.mark.parametrize("text", ["", "0", "0" * 13, "0" * 15, "U" + "0" * 13, "é" + "0" * 13, "Z" * 14])
def test_what_is_no_code_is_said_so(text: str) -> None:
    with pytest.raises(Malformed):
        card_of_code(text)
