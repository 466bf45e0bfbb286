"""The signed product file: what is written is found, what was touched is refused, and the bench measures both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.products import as_french, as_plain, measure
from domain.product import Gtin, Product, check_digit
from sync.crypto import PrivateKey, new_private_key, sign
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from sync.product_format import MOST_LABELS, MOST_LISTS, Catalogue, key_of, open_products, write_products
from sync.signed_lists import Sign

KEY = new_private_key()
CHEESE = Product("cheese")
MILK = Product("milk", frozenset({"organic", "label-rouge"}), frozenset({"milk-2026"}))
CATALOGUE = Catalogue(7, datetime(2026, 3, 7, 9, 30, tzinfo=UTC), "made up", (CHEESE, MILK))
ENTRIES = [(376_000_000_000 + 3 * number, number % 2) for number in range(300)]


def signer(key: PrivateKey) -> Sign:
    return lambda message: sign(key, message)


def written(place: Path, entries: Sequence[tuple[int, int]] = ENTRIES, catalogue: Catalogue = CATALOGUE) -> Path:
    write_products(place / "products", catalogue, entries, b"lists", signer(KEY))
    return place / "products"


def code(key: int) -> Gtin:
    return Gtin(f"0{key:012d}{check_digit(f'{key:012d}')}")


def test_what_is_written_is_found_and_nothing_else(tmp_path: Path) -> None:
    with open_products(written(tmp_path), KEY.public_key()) as products:
        assert len(products) == 300
        assert products.catalogue == replace(CATALOGUE, count=300)
        for key, kind in ENTRIES:
            assert products.find(code(key)) == (CHEESE, MILK)[kind]
            assert products.find(code(key + 1)) is None
        assert products.find(code(1)) is None
        assert products.find(code(999_999_999_999)) is None


def test_the_case_of_a_product_is_not_the_product(tmp_path: Path) -> None:
    with open_products(written(tmp_path), KEY.public_key()) as products:
        article = code(ENTRIES[0][0])
        case = f"1{article[1:-1]}"
        assert key_of(Gtin(f"{case}{check_digit(case)}")) is None
        assert products.find(Gtin(f"{case}{check_digit(case)}")) is None


def test_a_key_that_only_stands_across_two_others_is_not_found(tmp_path: Path) -> None:
    first, second = bytes.fromhex("0102030405"), bytes.fromhex("0203040506")
    across = bytes.fromhex("0304050203")
    entries = [(int.from_bytes(first, "big"), 0), (int.from_bytes(second, "big"), 1)]
    with open_products(written(tmp_path, entries), KEY.public_key()) as products:
        assert products.find(code(int.from_bytes(across, "big"))) is None
        assert products.find(code(entries[1][0])) == MILK


def test_a_key_that_also_stands_across_two_others_before_it_is_found(tmp_path: Path) -> None:
    keys = [int(text, 16) for text in ("0000050000", "0000060000", "0500000000")]
    with open_products(written(tmp_path, [(key, at % 2) for at, key in enumerate(keys)]), KEY.public_key()) as products:
        assert [products.find(code(key)) for key in keys] == [CHEESE, MILK, CHEESE]


def test_a_file_without_products_knows_none(tmp_path: Path) -> None:
    with open_products(written(tmp_path, [], replace(CATALOGUE, kinds=())), KEY.public_key()) as products:
        assert products.find(code(376_000_000_000)) is None


@pytest.mark.parametrize("entries", [[(2, 0), (1, 0)], [(1, 0), (1, 1)], [(1, 2)], [(1, -1)], [(10**12, 0)]])
def test_entries_out_of_order_or_of_no_kind_are_not_written(tmp_path: Path, entries: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="rising order"):
        written(tmp_path, entries)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind",
    [
        Product("milk", frozenset(f"label-{number}" for number in range(MOST_LABELS + 1))),
        Product("milk", lists=frozenset(f"list-{number}" for number in range(MOST_LISTS + 1))),
    ],
    ids=["labels", "lists"],
)
def test_more_labels_or_lists_than_there_are_bits_are_not_written(tmp_path: Path, kind: Product) -> None:
    with pytest.raises(ValueError, match="at most"):
        written(tmp_path, [(1, 0)], replace(CATALOGUE, kinds=(kind,)))


def test_a_failure_while_writing_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    before = written(tmp_path).read_bytes()
    with pytest.raises(ValueError, match="rising order"):
        written(tmp_path, [(2, 0), (1, 0)])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_any_byte_changed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ENTRIES[:20])
    good = path.read_bytes()
    for place in range(len(good)):
        changed = bytearray(good)
        changed[place] ^= 0x01
        path.write_bytes(changed)
        with pytest.raises(FormatError):
            open_products(path, KEY.public_key())


def test_a_file_cut_anywhere_or_longer_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ENTRIES[:20])
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(Malformed):
            open_products(path, KEY.public_key())
    path.write_bytes(good + b"\0")
    with pytest.raises(Malformed, match="another length"):
        open_products(path, KEY.public_key())


def test_the_refusal_is_a_sentence(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(Malformed, match="changed after it was signed"):
        open_products(path, KEY.public_key())
    path.write_bytes(b"PK\3\4 something else")
    with pytest.raises(Malformed, match="not a product file"):
        open_products(path, KEY.public_key())


def test_a_file_another_key_signed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSignature):
        open_products(written(tmp_path), new_private_key().public_key())


def test_another_signed_list_is_never_taken_for_a_product_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.cose.ContentType.PRODUCTS", "panier/products/2")
    path = written(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UnknownVersion):
        open_products(path, KEY.public_key())


def test_a_later_shape_of_the_head_is_unknown_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.product_format.VERSION", 2)
    path = written(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UnknownVersion):
        open_products(path, KEY.public_key())


def test_the_bench_finds_the_same_as_a_dict_and_says_both_figures() -> None:
    result = measure(products=3_000, lookups=200)
    assert result.is_same
    assert result.file_b < result.memory_b < result.dict_memory_b
    assert as_plain(result).keys() >= {"case", "products", "find_ns", "dict_ns", "ratio", "memory_b", "dict_memory_b"}
    assert "3000 produits" in as_french(result)
