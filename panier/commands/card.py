"""``panier card``: what a card is like. ``prove`` asks a real one what no public source proves."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

import click

from domain.identity import Uid
from sync.errors import PanierError
from terminal.errors import CardFault, CardGone, ReaderFault
from terminal.events import CardPresented, Inward
from terminal.nfc.links import Link
from terminal.nfc.proving.card_in_hand import PROVING_BUDGET_S, NotATestCard
from terminal.nfc.proving.check_list import check_list
from terminal.nfc.proving.outcome import Proof, Verdict
from terminal.nfc.proving.pace import Pace
from terminal.nfc.proving.throwaway import TestCards
from terminal.ports import Clock, Deadline, Presence

KEYS_FILE: Final = Path("panier-test-cards.json")
WAIT_S: Final = 60.0
_SAY_VERDICT: Final = {
    Verdict.AS_EXPECTED: "conforme",
    Verdict.OTHERWISE: "AUTREMENT",
    Verdict.NOT_TRIED: "pas essayé",
}
_SAY_PROOF: Final = {
    "issuing": "émission et ses vérifications",
    "reader_id_answer": "réponse de CommitReaderID",
    "tmv_debit": "TMV d'un débit",
    "tmv_get_value": "TMV avec GetValue",
    "earlier_reader_id": "identité du lecteur d'avant",
    "order_of_records": "ordre des enregistrements lus",
    "error_ends_session": "une erreur ferme la session",
    "commit_without_reader_id": "Commit sans identité du lecteur",
    "commit_of_nothing": "Commit sans rien",
    "update_record_db": "UpdateRecord (DB) avec la clé d'une caisse",
    "update_record_ba": "UpdateRecord (BA) avec la clé d'une caisse",
    "payment_chained": "paiements entiers, chaînés par ISO-DEP",
    "payment_native": "paiements entiers, chaînés par AF",
    "payment_after_doubt": "paiement qui lit tout le journal",
    "payment": "paiements entiers",
    "tears_at_commit": "arrachages",
}
_SAY_COMMAND: Final = {
    "read_data": "ReadData",
    "read_one_record": "ReadRecords, un",
    "read_two_records": "ReadRecords, deux",
    "write_data": "WriteData",
    "write_record": "WriteRecord",
}
_SAY_WAY: Final = {"chained": "ISO-DEP", "native": "AF"}


class Contact(Protocol):
    """A card on a reader."""

    @property
    def uid(self) -> Uid: ...

    @property
    def link(self) -> Link: ...

    def close(self) -> None: ...


class Reading(Protocol):
    """Readers that tell of cards (``terminal.nfc``)."""

    def connect(self, presence: Presence, deadline: Deadline) -> Contact: ...


@click.group(help="Ce qu'une carte sait faire, prouvé sur la carte.")
def card() -> None:
    pass


@card.command(help="Ce qu'aucun document public ne prouve, demandé à une vraie carte d'essai.")
@click.option("--reader", default=None, help="comme pour la caisse")
@click.option("--issue-blank", is_flag=True, help="faire d'une carte vierge une carte d'essai : elle le restera")
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    default=KEYS_FILE,
    show_default=True,
    help="où sont gardées les clés jetables des cartes d'essai",
)
@click.option("--rounds", type=click.IntRange(1, 500), default=20, show_default=True, help="paiements chronométrés")
@click.option("--pulls", type=click.IntRange(0, 2000), default=3, show_default=True, help="arrachages à la main")
@click.option("--json", "as_json", is_flag=True, help="un objet JSON par constat")
def prove(reader: str | None, issue_blank: bool, keys: Path, rounds: int, pulls: int, as_json: bool) -> None:
    from terminal.bootstrap import chosen_readers
    from terminal.nfc.key_store import KeyStore
    from terminal.system_clock import SystemClock

    posted: SimpleQueue[Inward] = SimpleQueue()
    clock = SystemClock(1)
    readers: Any = chosen_readers(reader)(KeyStore(), clock, posted.put)
    readers.start()
    try:
        person = PersonAtReader(readers, posted, clock)
        show = as_json_line if as_json else as_row
        found = check_list(
            person.first_card(), TestCards(keys), clock, person, may_issue=issue_blank, rounds=rounds, pulls=pulls
        )
        is_good = proven(found, lambda each: click.echo(show(each)))
    finally:
        readers.close()
    click.echo(f"Clés jetables des cartes d'essai : {keys.absolute()}", err=True)
    if not is_good:
        raise SystemExit(1)


def proven(found: Iterable[Proof | Pace], tell: Callable[[Proof | Pace], None]) -> bool:
    """Tell everything of a check-list as it is found; False when the card does anything otherwise."""
    is_good = True
    try:
        for each in found:
            tell(each)
            is_good = is_good and not (isinstance(each, Proof) and each.verdict is Verdict.OTHERWISE)
    except NotATestCard:
        raise click.ClickException(
            "Cette carte n'est ni vierge ni faite par cette commande : rien n'a été changé. "
            "Une carte vierge devient une carte d'essai avec --issue-blank."
        ) from None
    except (CardFault, ReaderFault) as fault:
        raise click.ClickException(f"Interrompu : {fault}. Reposez la carte et recommencez.") from None
    return is_good


class PersonAtReader:
    """The person who lays cards down and pulls them (``proving.tears.Hand``)."""

    def __init__(
        self,
        readers: Reading,
        posted: SimpleQueue[Inward],
        clock: Clock,
        tell: Callable[[str], None] = lambda sentence: click.echo(sentence, err=True),
        wait_s: float = WAIT_S,
    ) -> None:
        self._readers = readers
        self._posted = posted
        self._clock = clock
        self._tell = tell
        self._wait_s = wait_s

    def first_card(self) -> Link:
        """The card that lies there, or is laid down."""
        self._tell("Posez une carte d'essai sur le lecteur, et ne la retirez que quand on vous le demande.")
        return self._laid()

    def pull_when_you_like(self) -> None:
        """See ``Hand``."""
        self._tell("La carte paie, centime après centime : retirez-la d'un coup, quand vous voulez.")

    def lay_again(self) -> Link:
        """See ``Hand``."""
        self._tell("Reposez la même carte.")
        return self._laid()

    def _laid(self) -> Link:
        for event in self._events():
            if isinstance(event, CardPresented):
                with contextlib.suppress(CardGone):  # gone again already: the next one
                    return self._readers.connect(event.presence, self._clock.deadline(PROVING_BUDGET_S)).link
        raise PanierError("Aucune carte sur le lecteur : posez-la et recommencez.")

    def _events(self) -> Iterator[Inward]:
        until = time.monotonic() + self._wait_s
        while (left := until - time.monotonic()) > 0:
            try:
                yield self._posted.get(timeout=left)
            except Empty:
                return


def as_row(found: Proof | Pace) -> str:
    """One line of the table."""
    if isinstance(found, Pace):
        sizes = f"{found.out_b:>4} → {found.in_b:<4} octets"
        return (
            f"{'':<11} {_SAY_WAY[found.way]:<8} {found.command:<24} {found.median_ms:8.2f} ms  {sizes} × {found.times}"
        )
    return f"{_SAY_VERDICT[found.verdict]:<11} {said(found.name):<48} {found.measured}"


def said(name: str) -> str:
    """A proof's name in French."""
    if name in _SAY_PROOF:
        return _SAY_PROOF[name]
    if name.startswith("pull_"):
        return f"arrachage n° {name.removeprefix('pull_')}"
    command, _, way = name.removeprefix("tmv_").rpartition("_")
    return f"TMV avec {_SAY_COMMAND[command]}, par {_SAY_WAY[way]}"


def as_json_line(found: Proof | Pace) -> str:
    """One object for programs."""
    if isinstance(found, Proof):
        return json.dumps({"proof": found.name, "verdict": found.verdict.value, "measured": found.measured})
    fields = {"way": found.way, "command": found.command, "times": found.times, "median_ms": round(found.median_ms, 3)}
    return json.dumps({**fields, "out_b": found.out_b, "in_b": found.in_b})
