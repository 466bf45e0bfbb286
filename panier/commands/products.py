"""``panier products``: the programme's product file, made from an extract of Open Food Facts and looked into."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from central.kept_lists import LISTS_ID
from central.products import ExtractMistake, Left, ProductList, Report, build_products, read_list
from domain.family import Family
from domain.product import CodeFault, Product, WrongCode, gtin, is_in_store
from panier.custodians import custodian_files, open_office
from sync.errors import BadSignature, FormatError
from sync.product_format import SignedProducts, open_products

CENTRE: Final = click.option(
    "--centre", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True
)
_LEFT: Final = {
    Left.DAMAGED: "ligne illisible",
    Left.NO_CODE: "pas de code à 8, 12, 13 ou 14 chiffres",
    Left.CHECK_DIGIT: "clé de contrôle fausse",
    Left.IN_STORE: "code propre à un magasin",
    Left.CASE: "code de carton, pas d'article",
    Left.NO_CATEGORY: "aucune catégorie",
    Left.UNKNOWN_CATEGORY: "aucune catégorie qui dise une famille",
    Left.DOUBLE: "même produit, déjà pris",
    Left.DISAGREES: "même code, réponses différentes",
}
_FAULTS: Final = {
    CodeFault.NOT_A_CODE: "n'a pas 8, 12, 13 ou 14 chiffres",
    CodeFault.CHECK_DIGIT: "a une clé de contrôle fausse : relisez-le",
    CodeFault.PRICE_CHECK_DIGIT: "a un prix ou un poids mal lu : relisez-le",
}
_MOST_ABSENT_SHOWN: Final = 5


@click.group(help="Les produits : du code-barres à la famille.")
def products() -> None:
    pass


@products.command(help="Faire le fichier des produits, signé, d'un extrait d'Open Food Facts (TSV, CSV ou JSONL, gz).")
@click.argument("extract", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="fichier à écrire")
@CENTRE
@click.option("--list", "named", multiple=True, metavar="NOM=FICHIER", help="liste de produits : un code par ligne")
@custodian_files
def build(extract: Path, out: Path, directory: Path, named: tuple[str, ...], files: tuple[str, ...]) -> None:
    if out.exists() and out.samefile(extract):
        raise click.UsageError("--out est l'extrait lui-même : donnez un autre fichier.")
    office = open_office(directory, files, 1, "fichier des produits")
    families = office.rules.families
    try:
        lists = [_list(text, families) for text in named]
        if len({entry.name for entry in lists}) < len(lists):
            raise click.ClickException("Deux listes ont le même nom : chacune a le sien.")
        with office.store.writing():
            version = office.store.next_number("products")
        report = build_products(
            extract,
            out,
            families=families,
            lists=lists,
            version=version,
            made_at=datetime.now(UTC),
            key_id=LISTS_ID,
            sign=office.keys.signer("lists"),
        )
    except ExtractMistake as mistake:
        raise click.ClickException(str(mistake)) from None
    except OSError as fault:
        raise click.ClickException(f"{out} ne s'écrit pas : {fault.strerror}.") from None
    for line in as_french(report, {code: family.name_fr for code, family in families.items()}):
        click.echo(line)
    click.echo(f"{out} : {out.stat().st_size} octets, version {version}.")


@products.command(help="Ce qu'un code veut dire d'après un fichier de produits ; vérifie le fichier entier.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("codes", nargs=-1)
@CENTRE
def find(file: Path, codes: tuple[str, ...], directory: Path) -> None:
    office = open_office(directory)
    try:
        opened = open_products(file, office.keys.public().lists)
    except BadSignature:
        raise click.ClickException(f"{file.name} n'est pas signé par ce centre : refaites-le.") from None
    except FormatError as fault:
        raise click.ClickException(f"{file.name} n'est pas un fichier de produits entier : {fault}.") from None
    with opened:
        head = opened.catalogue
        click.echo(f"Version {head.version}, {head.count} produits, {head.made_at:%d/%m/%Y}. Source : {head.source}.")
        for text in codes:
            click.echo(_meaning(text, opened))


def as_french(report: Report, names: dict[str, str]) -> list[str]:
    """The report of a build, line by line."""
    lines = [f"{report.rows} lignes lues, {report.written} produits écrits."]
    lines += [
        f"  {names.get(family, family)} : {count}"
        for family, count in sorted(report.by_family.items(), key=lambda item: (-item[1], item[0]))
    ]
    if report.left:
        lines.append(f"{sum(report.left.values())} lignes laissées :")
        lines += [f"  {_LEFT[reason]} : {report.left[reason]}" for reason in Left if reason in report.left]
    for name, codes in report.absent.items():
        shown = ", ".join(codes[:_MOST_ABSENT_SHOWN]) + (", …" if len(codes) > _MOST_ABSENT_SHOWN else "")
        lines.append(
            f"Liste {name} : {len(codes)} codes sans famille dans l'extrait ({shown}). "
            "Écrivez leur famille derrière le code, après une tabulation."
        )
    return lines


def _list(text: str, families: Mapping[str, Family]) -> ProductList:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise click.UsageError("--list NOM=FICHIER")
    return read_list(name, Path(path), families)


def _meaning(text: str, opened: SignedProducts) -> str:
    try:
        code = gtin(text)
    except WrongCode as wrong:
        return f"{text} {_FAULTS[wrong.fault]}."
    if is_in_store(code):
        return f"{text} : code propre à un magasin."
    product = opened.find(code)
    return f"{text} : produit inconnu." if product is None else f"{text} : {_words(product)}"


def _words(product: Product) -> str:
    parts = [product.family, *sorted(product.labels), *(f"list:{name}" for name in sorted(product.lists))]
    return ", ".join(parts)
