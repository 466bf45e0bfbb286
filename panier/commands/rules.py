"""``panier rules``: is a rule file right, what does it say in French, and do its own examples come out."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from central.rule_file import Mistake, RuleFile, RuleMistake, open_rule_file
from central.rule_file.examples import ExampleRun, outcome_as_french, run_examples
from central.rule_file.sentences import sections
from central.rule_file.words import typographic
from domain.money import in_euros

WIDTH: Final = 100
"""Columns of a printed page."""


@click.group(help="Les règles d'un programme : un fichier que ses financeurs peuvent signer.")
def rules() -> None:
    pass


@rules.command(
    help="Vérifier un fichier de règles : ses fautes, ou ses règles en phrases et ses exemples.",
    epilog="Termine par 0 si le fichier est bon et si tous ses exemples donnent ce qu'ils disent, par 1 sinon.",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="la même chose en JSON")
def check(file: Path, as_json: bool) -> None:
    try:
        found = open_rule_file(file)
    except RuleMistake as wrong:
        if as_json:
            click.echo(json.dumps(_mistakes_as_plain(wrong.mistakes), ensure_ascii=False))
        else:
            click.echo("\n".join(mistakes_as_french(wrong.mistakes, file.name)), err=True)
        raise click.exceptions.Exit(1) from None
    runs, fingerprint = run_examples(found.rules), hashlib.sha256(file.read_bytes()).hexdigest()
    if as_json:
        click.echo(json.dumps(_as_plain(found, runs, fingerprint), ensure_ascii=False))
    else:
        click.echo("\n".join(as_french(found, runs, file.name, fingerprint)))
    if not all(run.is_as_said for run in runs):
        raise click.exceptions.Exit(1)


# --- how it is said --------------------------------------------------------------------------------------------------


def mistakes_as_french(mistakes: Sequence[Mistake], name: str) -> Iterator[str]:
    """How many, then each on its own line."""
    count = "une faute" if len(mistakes) == 1 else f"{len(mistakes)} fautes"
    yield f"{name} : {count}. Rien n'est pris à moitié : corrigez, puis vérifiez de nouveau."
    yield from (f"  ✗ {mistake}" for mistake in mistakes)


def as_french(found: RuleFile, runs: Sequence[ExampleRun], name: str, fingerprint: str) -> Iterator[str]:
    """The rules, the examples and a place to sign."""
    for section in sections(found):
        yield from (section.title.upper(), *_wrapped(section.sentences), "")
    yield "LES EXEMPLES, CALCULÉS PAR CES RÈGLES"
    if not runs:
        yield from _wrapped(["Aucun. Ajoutez au moins un [[example]] : un financeur relit les exemples en premier."])
    for run in runs:
        yield from _example_as_french(run, found)
    yield ""
    wrong = sum(not run.is_as_said for run in runs)
    if wrong:
        many = "un exemple ne donne" if wrong == 1 else f"{wrong} exemples ne donnent"
        yield typographic(f"✗ {name} : {many} pas ce qu'il faut. Corrigez l'exemple, ou les règles.")
        return
    yield typographic(f"✓ {name} est bon.")
    yield typographic(f"Empreinte du fichier (SHA-256) : {fingerprint}")
    yield typographic("Lu et approuvé, le ......................  Nom et signature : ......................")


def _wrapped(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        is_under = sentence.startswith("- ")
        yield from _set(sentence.removeprefix("- "), "    – " if is_under else "  ")


def _set(text: str, mark: str) -> Iterator[str]:
    """A sentence behind its mark, in lines of a page; no-break spaces break no line."""
    yield from textwrap.wrap(
        typographic(text),
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _example_as_french(run: ExampleRun, found: RuleFile) -> Iterator[str]:
    example = run.example
    yield from _set(f"{example.says}.", "  ✓ " if run.is_as_said else "  ✗ ")
    rest = f" ; à régler autrement : {in_euros(run.rest)}" if run.rest else ""
    yield from _set(f"→ {outcome_as_french(run.paid, run.bonus, found.rules)}{rest}.", "    ")
    if not run.is_as_said:
        yield from _set(f"L'exemple dit : {outcome_as_french(example.paid, example.bonus, found.rules)}.", "    ")


def _as_plain(found: RuleFile, runs: Sequence[ExampleRun], fingerprint: str) -> dict[str, object]:
    return {
        "is_right": all(run.is_as_said for run in runs),
        "programme": found.rules.programme,
        "version": found.rules.version,
        "sha256": fingerprint,
        "rules": [{"title": section.title, "sentences": section.sentences} for section in sections(found)],
        "examples": [
            {
                "says": run.example.says,
                "is_as_said": run.is_as_said,
                "paid_cents": {code: int(amount) for code, amount in run.paid.items()},
                "bonus_cents": int(run.bonus),
                "rest_cents": int(run.rest),
                "said_paid_cents": {code: int(amount) for code, amount in run.example.paid.items()},
                "said_bonus_cents": int(run.example.bonus),
            }
            for run in runs
        ],
    }


def _mistakes_as_plain(mistakes: Iterable[Mistake]) -> dict[str, object]:
    told = [{"line": mistake.line, "where": mistake.where, "says": mistake.says} for mistake in mistakes]
    return {"is_right": False, "mistakes": told}
