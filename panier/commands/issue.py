"""``panier issue``: the issuing station makes the blank card on the reader one of the programme's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import click

from central.office import Office
from sync.errors import PanierError
from terminal.errors import CardFault, ReaderFault
from terminal.events import CardPresented, Inward, ReaderCame
from terminal.nfc.issuing import MOST_APDUS_TO_ISSUE, CardNotBlank
from terminal.nfc.issuing import issue as write_card
from terminal.nfc.key_store import KeyStore
from terminal.nfc.pcsc import PcscReaders
from terminal.system_clock import SystemClock

ISSUE_BUDGET_S = 30.0


class _NoKeys:
    def key(self, card: bytes) -> bytes | None:  # noqa: ARG002
        return None


@click.command(help="Faire d'une carte vierge une carte du programme.")
@click.option("--centre", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--reader", default=None, help="partie du nom du lecteur")
@click.option("--wait", "wait_s", default=30.0, help="secondes à attendre une carte")
@click.option("--json", "as_json", is_flag=True)
def issue(centre: Path, reader: str | None, wait_s: float, as_json: bool) -> None:
    posted: SimpleQueue[Inward] = SimpleQueue()
    clock = SystemClock(1)
    readers = PcscReaders(KeyStore(_NoKeys()), clock, posted.put, chosen=(reader,) if reader else ())
    readers.start()
    if not as_json:
        click.echo("Posez une carte vierge sur le lecteur…", err=True)
    try:
        presence = _first_card(posted, wait_s)
        contact = readers.connect(presence.presence, clock.deadline(ISSUE_BUDGET_S))
        order = Office(centre).register_card(contact.uid)
        contact.link.allow(MOST_APDUS_TO_ISSUE)
        write_card(contact.link, order)
        contact.close()
    except CardNotBlank as fault:
        raise click.ClickException(
            "Cette carte est déjà émise : rien n'a été changé."
            if fault.is_issued
            else "Cette carte n'est pas vierge : rien n'a été changé."
        ) from None
    except (CardFault, ReaderFault) as fault:
        raise click.ClickException(f"Émission interrompue, carte inutilisable en l'état : {fault}") from None
    finally:
        readers.close()
    if as_json:
        click.echo(json.dumps({"card": order.card.hex(), "uid": order.uid.hex()}))
    else:
        click.echo(f"Carte {order.card.hex()} émise.")


def _first_card(posted: SimpleQueue[Inward], wait_s: float) -> CardPresented:
    until, has_reader = time.monotonic() + wait_s, False
    while (left := until - time.monotonic()) > 0:
        try:
            event = posted.get(timeout=left)
        except Empty:
            break
        has_reader = has_reader or isinstance(event, ReaderCame)
        if isinstance(event, CardPresented):
            return event
    if has_reader:
        raise PanierError("Aucune carte sur le lecteur : posez une carte vierge et recommencez.")
    raise PanierError("Aucun lecteur branché, ou aucun de ce nom : branchez-le et recommencez.")
