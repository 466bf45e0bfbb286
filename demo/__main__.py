"""``python -m demo``: the market stall on one machine.

Outside the namespace: a folder, a centre, then this module again inside. Inside: a private pcscd, the tills, the cards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from central.office import make_centre
from demo import namespace
from demo.hands import VIRTUAL_READERS, VpcdHand
from demo.judge import judge
from demo.morning import Stage, panier, played
from demo.rules import today, write_rules
from demo.served import served_centre
from demo.till_process import Disappointed
from domain.identity import CardId
from terminal.bootstrap import pcsc_readers

ADDRESS = "PANIER_DEMO_CENTRE"


def main() -> int:
    """Outside: prepare and enter. Inside: play."""
    options = _options()
    if options.inside is not None:
        return _inside(options.inside, options.headless)
    if not options.in_process:
        found = namespace.namespaces_available()
        if not found.available:
            print(
                f"PC/SC ne peut pas avoir son espace privé ici : {found.reason} Le lecteur est donc dans le processus."
            )
            options.in_process = True
    folder = Path(tempfile.mkdtemp(prefix="panier-"))
    try:
        with _centre(folder) as address:
            print(f"Centre : {address}")
            os.environ[ADDRESS] = address
            status = _enter(folder, options)
        if options.headless and status == 0:
            status = _judged(folder)
        return status
    finally:
        if options.keep:
            print(f"Gardé : {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Un stand de marché sur cette machine.")
    parser.add_argument("--headless", action="store_true", help="jouer une matinée sans écran, et la juger")
    parser.add_argument("--in-process", action="store_true", help="sans PC/SC, lecteur dans le processus")
    parser.add_argument("--keep", action="store_true", help="garder les fichiers de la démonstration")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.headless = options.headless or not sys.stdout.isatty()
    return options


@contextlib.contextmanager
def _centre(folder: Path) -> Iterator[str]:
    """A centre in ``folder``, serving until the end; its address for the browser."""
    make_centre(folder / "centre", write_rules(folder / "rules.toml", today()))
    log = folder / "centre.log"
    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(served_centre(folder / "centre", folder / "centre.sock", log, "--port", "0"))
        except Disappointed as why:
            raise SystemExit(str(why)) from None
        yield next(line for line in log.read_text().splitlines() if line.startswith("http://"))


def _enter(folder: Path, options: argparse.Namespace) -> int:
    if not options.in_process:
        argv = [sys.executable, "-m", "demo", "--inside", str(folder)] + (["--headless"] if options.headless else [])
        return namespace.enter(argv)
    from demo import in_process

    if options.headless:
        return in_process.play_in_process(folder, _say)
    from demo.stall import prepare_stall, show_stall

    table = in_process.Table()
    prepare_stall(folder, lambda card: in_process.issue_in_process(folder, card))
    return show_stall(folder, table.make_readers, table, os.environ[ADDRESS])


def _inside(folder: Path, is_headless: bool) -> int:
    with namespace.private_pcscd(folder / "pcscd.log"):
        print("PC/SC privé, deux lecteurs virtuels.", flush=True)
        if not is_headless:
            from demo.stall import prepare_stall, show_stall

            prepare_stall(folder, lambda card: issue_through_pcsc(folder, card, 0))
            return show_stall(folder, pcsc_readers(VIRTUAL_READERS[0]), VpcdHand(0), os.environ[ADDRESS])
        stage = Stage(
            folder=folder,
            socket=folder / "centre.sock",
            hands=(VpcdHand(0), VpcdHand(1)),
            till_argv=lambda directory, reader: panier(
                "till", "--json", "--dir", str(directory), "--reader", VIRTUAL_READERS[reader]
            ),
            issue=lambda card, reader: issue_through_pcsc(folder, card, reader),
            say=_say,
        )
        return played(stage)


def _say(sentence: str) -> None:
    print(f"  · {sentence}", flush=True)


def issue_through_pcsc(folder: Path, card: Path, reader: int) -> CardId:
    """The issuing station's own command, on a virtual reader."""
    hand = VpcdHand(reader)
    hand.lay_down(card)
    station = ("--centre", str(folder / "centre"), "--reader", VIRTUAL_READERS[reader])
    argv = panier("issue", "--json", *station, "--originality", "off")  # no maker signs a virtual chip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    hand.lift()
    if done.returncode != 0:
        raise Disappointed(f"émission : {done.stderr.strip()[-400:]}")
    return CardId(bytes.fromhex(json.loads(done.stdout)["card"]))


def _judged(folder: Path) -> int:
    """The judge reads the journals, the cards and the ledger; it has heard nothing of what was printed."""
    findings = judge(folder)
    for finding in findings:
        print(f"{'✓' if finding.is_right else '✗'} {finding.sentence}")
    wrong = [finding for finding in findings if not finding.is_right]
    print("Tout est juste." if not wrong else f"{len(wrong)} constat(s) faux.")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    raise SystemExit(main())
