"""``panier bench``: benchmarks, each beside its reference measured in the same run."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from demo import namespace


@click.group(help="Mesures, chacune à côté de sa référence.")
def bench() -> None:
    pass


@bench.command(help="Un paiement, de la carte posée à l'enregistrement durable, à côté de son plancher.")
@click.option("--json", "as_json", is_flag=True, help="un objet JSON par cas")
@click.option("--taps", type=click.IntRange(3, 300), default=100, show_default=True, help="paiements par cas")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True, writable=True),
    default=None,
    help="dossier, sur le disque à mesurer ; sans lui, le dossier temporaire",
)
@click.option("--in-process", "is_in_process", is_flag=True, help="sans pcscd, la carte dans ce programme même")
@click.option("--sources", "shows_sources", is_flag=True, help="d'où viennent les temps du modèle ; ne mesure rien")
def tap(as_json: bool, taps: int, directory: Path | None, is_in_process: bool, shows_sources: bool) -> None:
    if shows_sources:
        from bench.report import source_lines

        click.echo("\n".join(source_lines()))
        return
    if not is_in_process and not namespace.inside():
        availability = namespace.namespaces_available()
        if availability.available:
            raise SystemExit(namespace.enter([sys.executable, "-m", "panier", *sys.argv[1:]], _with_our_modules()))
        click.echo(f"{availability.reason} Mesure sans pcscd.", err=True)
        is_in_process = True
    try:
        is_good = _measure(as_json, taps, directory, is_in_process)
    except namespace.NamespaceError as fault:
        raise click.ClickException(str(fault)) from None
    if not is_good:
        raise SystemExit(1)


@bench.command(help="La décision et la recherche d'un produit, à côté du calcul glouton et d'un dict.")
@click.option("--json", "as_json", is_flag=True, help="un objet JSON par cas")
@click.option(
    "--codes", type=click.IntRange(100, 10_000_000), default=1_000_000, show_default=True, help="codes de produits"
)
@click.option("--rounds", type=click.IntRange(1, 1_000), default=21, show_default=True, help="tours de la décision")
def decide(as_json: bool, codes: int, rounds: int) -> None:
    from bench.decide import as_french, as_plain, measure

    result = measure(codes, rounds)
    lines = [json.dumps(case, ensure_ascii=False) for case in as_plain(result)] if as_json else as_french(result)
    click.echo("\n".join(lines))
    for sentence in result.faults:
        click.echo(sentence, err=True)
    if result.faults:
        raise SystemExit(1)


def _measure(as_json: bool, taps: int, directory: Path | None, is_in_process: bool) -> bool:
    from bench import report
    from bench.reader_path import in_process, through_pcscd
    from bench.tap import measure

    reader = "in-process" if is_in_process else "pcsc"
    wrong: list[str] = []
    with ExitStack() as services:
        if not is_in_process:
            services.enter_context(namespace.private_pcscd())
        if not as_json:
            click.echo(report.heading(reader, taps))
        for result in measure(taps, directory, in_process if is_in_process else through_pcscd):
            click.echo(report.json_line(result, reader) if as_json else report.row(result))
            wrong += report.complaints(result)
    for sentence in wrong:
        click.echo(sentence, err=True)
    return not wrong


def _with_our_modules() -> dict[str, str]:
    """The environment, for a process that must find these very modules."""
    root = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, known] if known else [root])}
