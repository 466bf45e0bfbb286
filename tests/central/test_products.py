"""From an extract of Open Food Facts to the signed product file: what is taken, what is left and why."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from central.office import Office, make_centre
from central.products import MOST_LINE_B, RUN_SIZE, ExtractMistake, Left, ProductList, Report, build_products, read_list
from domain.family import DEFAULT_FAMILIES, tree
from domain.product import Gtin, Product, gtin
from panier.commands.products import products as command
from sync.crypto import new_private_key, sign
from sync.product_format import open_products
from tests.central.made_up_extract import COLUMNS, check_digit, ean, row, write_columns, write_many

ROOT = Path(__file__).parents[2]
RULE_FILE = ROOT / "domain" / "rule-sets" / "gers.toml"
KEY = new_private_key()
FAMILIES = tree(DEFAULT_FAMILIES)
CHEESE = "en:dairies,en:fermented-milk-products,en:cheeses"
BREAD = "en:plant-based-foods,en:cereals-and-potatoes,en:breads"


def build(extract: Path, lists: tuple[ProductList, ...] = ()) -> tuple[Report, dict[str, Product]]:
    """The report, and what the file says of every code the extract or a list could mean."""
    out = extract.parent / "products"
    report = build_products(
        extract,
        out,
        families=FAMILIES,
        lists=lists,
        version=1,
        made_at=datetime(2026, 3, 7, tzinfo=UTC),
        key_id=b"lists",
        sign=lambda message: sign(KEY, message),
    )
    with open_products(out, KEY.public_key()) as opened:
        assert len(opened) == report.written
        codes = [ean(number) for number in range(60)]
        return report, {code: found for code in codes if (found := opened.find(gtin(code))) is not None}


def extract_of(place: Path, *rows: str) -> Path:
    return write_columns(place / "extract.tsv", rows)


def left_of(report: Report) -> dict[Left, int]:
    return dict(report.left)


# --- what is taken ---------------------------------------------------------------------------------------------------


def test_a_product_gets_the_family_of_its_most_specific_category_and_its_labels(tmp_path: Path) -> None:
    report, found = build(
        extract_of(tmp_path, row(ean(1), CHEESE, "en:organic,en:eu-organic,en:vegan"), row(ean(2), BREAD))
    )
    assert found == {ean(1): Product("cheese", frozenset({"organic"})), ean(2): Product("bread")}
    assert (report.rows, report.written, left_of(report)) == (2, 2, {})
    assert report.by_family == {"cheese": 1, "bread": 1}


def test_rows_come_in_any_order_and_are_found_all_the_same(tmp_path: Path) -> None:
    numbers = [number * 7 % 60 for number in range(60)]
    _, found = build(extract_of(tmp_path, *(row(ean(number), BREAD) for number in numbers)))
    assert set(found) == {ean(number) for number in range(60)}


def test_more_rows_than_one_run_holds_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("central.products.RUN_SIZE", 7)
    rows = [row(ean(number * 7 % 60), (BREAD, CHEESE)[number % 2]) for number in range(60)]
    report, found = build(extract_of(tmp_path, *rows))
    assert found == {ean(number * 7 % 60): Product(("bread", "cheese")[number % 2]) for number in range(60)}
    assert report.written == 60 < RUN_SIZE


@pytest.mark.parametrize("is_gzipped", [False, True])
@pytest.mark.parametrize("shape", ["tsv", "csv", "semicolons", "jsonl"])
def test_every_shape_of_extract_gives_the_same_file(tmp_path: Path, shape: str, is_gzipped: bool) -> None:
    text = {
        "tsv": "\n".join(["\t".join(COLUMNS), row(ean(1), CHEESE, "en:pdo"), row(ean(2), BREAD)]),
        "csv": f'labels_tags,code,categories_tags\nen:pdo,{ean(1)},"{CHEESE}"\n,"{ean(2)}","{BREAD}"',
        "semicolons": f"\ufeffcode;categories_tags;labels_tags\r\n{ean(1)};{CHEESE};en:pdo\r\n{ean(2)};{BREAD};",
        "jsonl": "\n".join(
            [
                json.dumps({"code": ean(1), "categories_tags": CHEESE.split(","), "labels_tags": ["en:pdo"]}),
                json.dumps({"code": int(ean(2)), "categories_tags": BREAD.split(","), "nutriments": {"salt": 1.2}}),
            ]
        ),
    }[shape]
    path = tmp_path / "extract"
    path.write_bytes(gzip.compress(text.encode()) if is_gzipped else text.encode())
    _, found = build(path)
    assert found == {ean(1): Product("cheese", frozenset({"protected-origin"})), ean(2): Product("bread")}


def test_wine_is_wine_though_somebody_also_called_it_chocolate(tmp_path: Path) -> None:
    _, found = build(extract_of(tmp_path, row(ean(1), "en:beverages,en:alcoholic-beverages,en:wines,en:chocolates")))
    assert found == {ean(1): Product("wine")}


# --- what is left ----------------------------------------------------------------------------------------------------


def test_each_row_left_out_is_counted_by_its_reason(tmp_path: Path) -> None:
    wrong_digit = ean(1)[:-1] + str((int(ean(1)[-1]) + 1) % 10)
    in_store = f"200000012345{check_digit('200000012345')}"
    case = f"1376000000001{check_digit('1376000000001')}"
    report, found = build(
        extract_of(
            tmp_path,
            row(ean(0), BREAD),
            "only one column",
            row("", BREAD),
            row("123456", BREAD),
            row(wrong_digit, BREAD),
            row(in_store, BREAD),
            row(case, BREAD),
            row(ean(2), ""),
            row(ean(3), "fr:rien-de-connu"),
            row(ean(4), BREAD),
            row(ean(4), BREAD),
            row(ean(5), BREAD),
            row(ean(5), CHEESE),
            row(ean(5), BREAD),
        )
    )
    assert found == {ean(0): Product("bread"), ean(4): Product("bread")}
    assert report.rows == 14
    assert left_of(report) == {
        Left.DAMAGED: 1,
        Left.NO_CODE: 2,
        Left.CHECK_DIGIT: 1,
        Left.IN_STORE: 1,
        Left.CASE: 1,
        Left.NO_CATEGORY: 1,
        Left.UNKNOWN_CATEGORY: 1,
        Left.DOUBLE: 1,
        Left.DISAGREES: 3,
    }
    assert report.rows == report.written + sum(report.left.values())


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00\x01\tbroken",
        b'{"code": ',
        b'["a list"]',
        b"\x00" * 50,
        b'"' * 3 + b"\t" * 3,
        b"[" * 100_000,
        b"9" * 5_000,
    ],
    ids=["bytes", "half", "list", "zeros", "quotes", "deep", "number"],
)
@pytest.mark.parametrize("shape", ["tsv", "csv", "jsonl"])
def test_a_bad_row_never_stops_the_others(tmp_path: Path, line: bytes, shape: str) -> None:
    first, good = {
        "tsv": ("\t".join(COLUMNS), row(ean(1), BREAD)),
        "csv": ("code,categories_tags,labels_tags", f'{ean(1)},"{BREAD}",'),
        "jsonl": ('{"code": ""}', json.dumps({"code": ean(1), "categories_tags": BREAD.split(",")})),
    }[shape]
    path = tmp_path / "extract"
    path.write_bytes(b"\n".join([first.encode(), line, good.encode(), b""]))
    report, found = build(path)
    assert found == {ean(1): Product("bread")}
    assert sum(report.left.values()) == report.rows - 1


def test_a_row_longer_than_any_row_is_left_out_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = extract_of(tmp_path, row(ean(1), BREAD), "x" * (MOST_LINE_B + 10), row(ean(2), BREAD))
    report, found = build(path)
    assert set(found) == {ean(1), ean(2)}
    assert left_of(report) == {Left.DAMAGED: 1}


def test_an_extract_cut_short_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(["\t".join(COLUMNS), *(row(ean(n), BREAD) for n in range(500))]).encode())
    path = tmp_path / "extract.tsv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExtractMistake, match="coupé ou endommagé"):
        build(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_the_columns_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExtractMistake, match="categories_tags"):
        build(write_columns(tmp_path / "extract", [row(ean(1), BREAD)], ["code", "name"]))


def test_an_empty_extract_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "extract").write_bytes(b"")
    with pytest.raises(ExtractMistake, match="n'est pas un extrait"):
        build(tmp_path / "extract")


# --- lists -----------------------------------------------------------------------------------------------------------


def code_of(number: int) -> Gtin:
    return gtin(ean(number))


def test_a_product_of_a_list_says_so_and_a_list_s_own_family_counts_before_the_extract_s(tmp_path: Path) -> None:
    milk = ProductList("milk-2026", {code_of(1): None, code_of(2): "milk", code_of(3): "milk", code_of(4): None})
    local = ProductList("local", {code_of(1): None})
    extract = extract_of(tmp_path, row(ean(1), CHEESE), row(ean(2), BREAD, "en:organic"), row(ean(5), BREAD))
    report, found = build(extract, (milk, local))
    assert found == {
        ean(1): Product("cheese", lists=frozenset({"milk-2026", "local"})),
        ean(2): Product("milk", frozenset({"organic"}), frozenset({"milk-2026"})),
        ean(3): Product("milk", lists=frozenset({"milk-2026"})),
        ean(5): Product("bread"),
    }
    assert report.absent == {"milk-2026": (code_of(4),)}


def test_a_list_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "milk.txt"
    path.write_text(f"# lait 2026\n{ean(1)}\n\n{ean(2)}\tmilk\n", encoding="utf-8")
    assert read_list("milk-2026", path, FAMILIES) == ProductList("milk-2026", {code_of(1): None, code_of(2): "milk"})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("12345", "ligne 2 : « 12345 » n'est pas un code"),
        (f"{ean(1)}\tcaviar", "la famille « caviar » n'existe pas"),
        (f"200000012345{check_digit('200000012345')}", "code de magasin ou de carton"),
        (f"1376000000001{check_digit('1376000000001')}", "code de magasin ou de carton"),
    ],
    ids=["code", "family", "in store", "case"],
)
def test_one_wrong_line_refuses_the_whole_list(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "milk.txt"
    path.write_text(f"{ean(1)}\n{line}\n", encoding="utf-8")
    with pytest.raises(ExtractMistake, match=says):
        read_list("milk-2026", path, FAMILIES)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    make_centre(tmp_path / "centre", RULE_FILE)
    return tmp_path / "centre"


def test_the_command_reports_in_french_and_its_file_can_be_asked(tmp_path: Path, centre: Path) -> None:
    extract = extract_of(tmp_path, row(ean(1), CHEESE, "en:organic"), row(ean(2), ""), row(ean(3), BREAD))
    (tmp_path / "milk.txt").write_text(f"{ean(1)}\n{ean(9)}\n")
    where = ["--centre", str(centre)]
    out = tmp_path / "products"
    listed = f"--list=fromage={tmp_path / 'milk.txt'}"
    done = CliRunner().invoke(command, ["build", str(extract), "--out", str(out), listed, *where])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:5] == [
        "3 lignes lues, 2 produits écrits.",
        "  Pain : 1",
        "  Fromages : 1",
        "1 lignes laissées :",
        "  aucune catégorie : 1",
    ]
    assert f"Liste fromage : 1 codes sans famille dans l'extrait ({code_of(9)})" in done.output
    wrong = ean(1)[:-1] + str((int(ean(1)[-1]) + 1) % 10)
    asked = CliRunner().invoke(command, ["find", str(out), ean(1), ean(2), wrong, *where])
    assert asked.exit_code == 0, asked.output
    assert asked.output.splitlines()[1:] == [
        f"{ean(1)} : cheese, organic, list:fromage",
        f"{ean(2)} : produit inconnu.",
        f"{wrong} a une clé de contrôle fausse : relisez-le.",
    ]
    with open_products(out, Office(centre).keys.public().lists) as opened:
        assert (opened.catalogue.version, opened.catalogue.count) == (1, 2)


def test_a_new_file_has_a_new_version(tmp_path: Path, centre: Path) -> None:
    extract, out = extract_of(tmp_path, row(ean(1), BREAD)), tmp_path / "products"
    for version in (1, 2):
        done = CliRunner().invoke(command, ["build", str(extract), "--out", str(out), "--centre", str(centre)])
        assert done.output.endswith(f"version {version}.\n")


def test_a_changed_file_and_another_centre_s_are_refused_with_a_sentence(tmp_path: Path, centre: Path) -> None:
    extract, out = extract_of(tmp_path, row(ean(1), BREAD)), tmp_path / "products"
    for_centre = ["--centre", str(centre)]
    build(extract)
    other = CliRunner().invoke(command, ["find", str(out), *for_centre])
    assert (other.exit_code, other.output) == (1, "Error: products n'est pas signé par ce centre : refaites-le.\n")
    CliRunner().invoke(command, ["build", str(extract), "--out", str(out), *for_centre])
    out.write_bytes(out.read_bytes()[:-1])
    cut = CliRunner().invoke(command, ["find", str(out), *for_centre])
    assert cut.exit_code == 1
    assert "n'est pas un fichier de produits entier" in cut.output


def test_a_mistake_in_the_extract_ends_the_command_with_one_sentence(tmp_path: Path, centre: Path) -> None:
    (tmp_path / "extract").write_text("name\tbrand\nMade up\tNobody\n")
    done = CliRunner().invoke(
        command, ["build", str(tmp_path / "extract"), "--out", str(tmp_path / "products"), "--centre", str(centre)]
    )
    assert done.exit_code == 1
    assert "Error: extract n'est pas un extrait d'Open Food Facts" in done.stderr
    assert not (tmp_path / "products").exists()


def test_the_extract_is_never_written_over(tmp_path: Path, centre: Path) -> None:
    extract = extract_of(tmp_path, row(ean(1), BREAD))
    before = extract.read_bytes()
    done = CliRunner().invoke(command, ["build", str(extract), "--out", str(extract), "--centre", str(centre)])
    assert (done.exit_code, extract.read_bytes()) == (2, before)


# --- a million -------------------------------------------------------------------------------------------------------

BUILD = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from central.products import build_products
from domain.family import DEFAULT_FAMILIES, tree
from sync.crypto import new_private_key, sign
key = new_private_key()
report = build_products(
    Path(sys.argv[1]), Path(sys.argv[2]), families=tree(DEFAULT_FAMILIES), lists=(), version=1,
    made_at=datetime(2026, 3, 7, tzinfo=UTC), key_id=b"lists", sign=lambda message: sign(key, message),
)
print(report.rows, report.written, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def built_apart(extract: Path, out: Path) -> tuple[int, int, int]:
    """Rows and products of a build in a program of its own, and the most memory it took, in kilobytes."""
    call = [sys.executable, "-c", BUILD, extract, out]
    rows, written, peak_kb = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return int(rows), int(written), int(peak_kb)


@pytest.mark.slow
def test_a_million_rows_need_hardly_more_memory_than_a_hundred_thousand(tmp_path: Path) -> None:
    write_many(tmp_path / "small.tsv", 100_000)
    *counted, small_kb = built_apart(tmp_path / "small.tsv", tmp_path / "small")
    assert counted == [100_000, 90_000]
    write_many(tmp_path / "large.tsv", 1_000_000)
    *counted, large_kb = built_apart(tmp_path / "large.tsv", tmp_path / "large")
    assert counted == [1_000_000, 900_000]
    assert large_kb - small_kb < 40_000
    assert (tmp_path / "large").stat().st_size < 7 * 900_000 + 2_000
