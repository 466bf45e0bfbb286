"""``panier issue``: the issuing station makes blank cards the programme's, one or a whole batch.

On stdout and in the labels file: one line a finished card, its columns separated by tabs: printed code, date,
programme, card id (16 hexadecimal digits). With ``--json`` stdout has one object a line instead. Sentences for the
person at the station go to stderr.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import click

from panier.custodians import custodian_files, open_office
from sync.errors import PanierError
from sync.issuing import card_code
from terminal.errors import CardGone, NotOurCard, ReaderLost, ReaderStuck
from terminal.events import CardPresented, CardsClash, Inward, ReaderCame, ReaderWent
from terminal.nfc.issuing import CardNotBlank, Found, NotAsOrdered, NotGenuine, Originality, Policy
from terminal.nfc.issuing.desk import Desk, Issued, NotIssued
from terminal.nfc.key_store import KeyStore
from terminal.nfc.pcsc import PcscReaders
from terminal.ports import Clock
from terminal.system_clock import SystemClock

LABELS_FILE: Final = "labels.tsv"
WAIT_FOR_ONE_S: Final = 30.0
_SAID: Final = {
    Found.BLANK: "émise et vérifiée",
    Found.BEGUN: "émission reprise, carte émise et vérifiée",
    Found.ISSUED: "déjà émise, vérifiée, rien n'a été changé",
}
_UNEXPECTED: Final = "retirée trop tôt, ou réponse inattendue. Reposez-la ; si cela se répète, mettez-la à part"
_WRONG: Final = "mal émise. Reposez-la une fois ; si cela se répète, mettez-la à part : elle est à formater ou à jeter"
_FAULTS: Final[tuple[tuple[type[PanierError], str], ...]] = (
    (CardGone, "retirée trop tôt. Reposez-la : l'émission reprendra où elle s'est arrêtée."),
    (NotGenuine, "la puce ne prouve pas qu'elle vient de son fabricant. Rien n'a été changé ; mettez-la à part."),
    (CardNotBlank, "ni vierge, ni de ce programme, ou émise sous un autre numéro. Rien n'a été changé."),
    (NotOurCard, "ce n'est pas une carte DESFire EV2 ou EV3 de 4 ko. Rien n'a été changé."),
    (NotAsOrdered, _WRONG),
    (ReaderStuck, "le lecteur ne répond plus. Débranchez-le, rebranchez-le et reposez la carte."),
    (ReaderLost, "le lecteur a été débranché. Rebranchez-le et reposez la carte."),
)
_WITH_DETAIL: Final = (_UNEXPECTED, _WRONG)


@click.command(help="Faire de cartes vierges des cartes du programme.")
@click.option("--centre", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--reader", default=None, help="partie du nom du lecteur")
@click.option("--batch", type=click.IntRange(min=0), default=None, help="nombre de cartes ; 0 : jusqu'à Ctrl-C")
@click.option("--wait", "wait_s", type=float, default=None, help="secondes à attendre une carte (30 sans --batch)")
@click.option("--labels", type=click.Path(path_type=Path, dir_okay=False), default=None, help="fichier des étiquettes")
@click.option(
    "--originality",
    type=click.Choice([policy.value for policy in Policy]),
    default=Policy.REQUIRED.value,
    help="signature du fabricant de la puce : exigée, signalée quand elle manque, ou non lue",
)
@click.option("--json", "as_json", is_flag=True, help="un objet par ligne au lieu de l'étiquette")
@custodian_files
def issue(
    centre: Path,
    reader: str | None,
    batch: int | None,
    wait_s: float | None,
    labels: Path | None,
    originality: str,
    as_json: bool,
    files: tuple[str, ...],
) -> None:
    written = Labels(labels or centre / LABELS_FILE)
    office = open_office(centre, files, 1, "émission de cartes")
    clock, posted = SystemClock(1), SimpleQueue[Inward]()
    readers = open_readers(clock, posted.put, reader)
    try:
        desk = Desk(readers, clock, office, Originality(Policy(originality)))
        run = _Run(desk, posted, written, as_json)
        if batch is None:
            run.one(WAIT_FOR_ONE_S if wait_s is None else wait_s)
        else:
            run.many(batch, wait_s)
    finally:
        readers.close()
        office.close()


def open_readers(clock: Clock, post: Callable[[Inward], None], reader: str | None) -> PcscReaders:
    """The PC/SC readers of the station, watching."""
    readers = PcscReaders(KeyStore(), clock, post, chosen=(reader,) if reader else ())
    readers.start()
    return readers


class Labels:
    """The labels file: a line for each finished card, each card once, also over several batches."""

    def __init__(self, place: Path) -> None:
        """ClickException when it cannot be written: better before a card is issued than after."""
        self._place = place
        try:
            place.touch()
            written = place.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise click.ClickException(f"{place} : fichier d'étiquettes inutilisable ; donnez-en un autre.") from None
        self._codes = {line.split("\t", 1)[0] for line in written}

    def put(self, issued: Issued) -> None:
        """Append the card's line unless it is there."""
        code = card_code(issued.card)
        if code not in self._codes:
            with self._place.open("a", encoding="utf-8") as file:
                file.write(label(issued) + "\n")
            self._codes.add(code)


def label(issued: Issued) -> str:
    """Printed code, date of the label, programme, card id, separated by tabs."""
    columns = (card_code(issued.card), f"{issued.at:%Y-%m-%d}", issued.programme, issued.card.hex())
    return "\t".join(columns)


def sentence(result: Issued | NotIssued) -> str:
    """What the person at the station is told of a card, in French."""
    if isinstance(result, Issued):
        warned = (
            " Attention : la puce ne prouve pas qu'elle vient de son fabricant." if result.is_origin_unproven else ""
        )
        return f"Carte {card_code(result.card)} : {_SAID[result.found]}.{warned}"
    said = next((words for kind, words in _FAULTS if isinstance(result.fault, kind)), _UNEXPECTED)
    detail = f" (pour le technicien : {result.fault})." if said in _WITH_DETAIL else ""
    return f"{_name(result)} : {said}{detail}"


def _name(result: NotIssued) -> str:
    if result.card is not None:
        return f"Carte {card_code(result.card)}"
    return f"Puce {result.uid.hex().upper()}" if result.uid is not None else "Carte"


class _Run:
    """Cards laid on the reader from the first to the last."""

    def __init__(self, desk: Desk, posted: SimpleQueue[Inward], labels: Labels, as_json: bool) -> None:
        self._desk = desk
        self._posted = posted
        self._labels = labels
        self._as_json = as_json
        self._readers: set[str] = set()

    def one(self, wait_s: float) -> None:
        """One card. Raises: ClickException when it is not finished; PanierError when none came."""
        if not self._as_json:
            click.echo("Posez une carte vierge sur le lecteur…", err=True)
        result = self._desk.serve(self._next_card(wait_s).presence)
        if isinstance(result, NotIssued):
            raise click.ClickException(sentence(result))
        self._tell(result)

    def many(self, wanted: int, wait_s: float | None) -> None:
        """Cards until ``wanted`` were finished here (0: no end), none comes any more, or Ctrl-C."""
        counted: Counter[Found | None] = Counter()
        try:
            while not wanted or counted[Found.BLANK] + counted[Found.BEGUN] < wanted:
                click.echo("Posez la carte suivante… (Ctrl-C pour finir)", err=True)
                result = self._desk.serve(self._next_card(wait_s).presence)
                counted[result.found if isinstance(result, Issued) else None] += 1
                self._tell(result)
        except KeyboardInterrupt:
            click.echo("", err=True)
        finally:
            click.echo(_count(counted), err=True)

    def _tell(self, result: Issued | NotIssued) -> None:
        click.echo(sentence(result), err=True)
        if isinstance(result, Issued):
            self._labels.put(result)
            click.echo(json.dumps(_as_object(result)) if self._as_json else label(result))

    def _next_card(self, wait_s: float | None) -> CardPresented:
        until = None if wait_s is None else time.monotonic() + wait_s
        while until is None or time.monotonic() < until:
            try:
                event = self._posted.get(timeout=None if until is None else max(until - time.monotonic(), 0.0))
            except Empty:
                break
            if isinstance(event, CardPresented):
                return event
            self._heed(event)
        if self._readers:
            raise PanierError("Aucune carte sur le lecteur : posez une carte vierge et recommencez.")
        raise PanierError("Aucun lecteur branché, ou aucun de ce nom : branchez-le et recommencez.")

    def _heed(self, event: Inward) -> None:
        match event:
            case ReaderCame(reader):
                self._readers.add(reader)
            case CardsClash():
                click.echo("Plusieurs cartes sur le lecteur : n'en laissez qu'une.", err=True)
            case ReaderWent(reader, is_stuck):
                self._readers.discard(reader)
                if not is_stuck:  # the card's own sentence has told of that
                    click.echo("Lecteur débranché : branchez-le.", err=True)


def _as_object(issued: Issued) -> dict[str, str]:
    return {
        "card": issued.card.hex(),
        "code": card_code(issued.card),
        "date": f"{issued.at:%Y-%m-%d}",
        "programme": issued.programme,
        "found": issued.found.value,
    }


def _count(counted: Counter[Found | None]) -> str:
    finished = counted[Found.BLANK] + counted[Found.BEGUN]
    return (
        f"Cartes émises : {finished} (dont {counted[Found.BEGUN]} reprises). "
        f"Déjà émises : {counted[Found.ISSUED]}. Sans suite : {counted[None]}."
    )
