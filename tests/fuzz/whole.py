"""Whole taps and whole batches: an emulated card whose files hold anything, a terminal that signs anything."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from central.office import Office
from emulator.hostile import forged, with_content, with_counter, with_newest_record, with_value
from sync import cbor
from sync.batch import Disposition
from sync.errors import FormatError, Malformed
from sync.record import RecordType, open_record
from terminal.standing import Halted
from tests.central import kit
from tests.fuzz.run import Target
from tests.hostile.catalogue import ENTITLEMENT_FILE, LOG_FILE
from tests.hostile.stand import SLOT, Stand, told
from tests.journal.faulty_vfs import FaultyDisk

PRICE: Final = 100
TAPS_A_STAND: Final = 60
RECORDS_A_CENTRE: Final = 200
PAYMENTS: Final = (RecordType.PAYMENT, RecordType.VOID, RecordType.IN_DOUBT)
_FILE_11_B: Final = 426
_WHOLE_B: Final = 12 + 32 + _FILE_11_B + 4


# --- a tap -----------------------------------------------------------------------------------------------------------


@dataclass
class Stall:
    """A stand that is exchanged for a fresh one now and then."""

    stand: Stand
    taps: int = 0


@cache
def stall() -> Stall:
    return Stall(Stand(FaultyDisk()))


def card_files() -> bytes:
    """What the honest card holds: proof, newest log record, file 11, open value file."""
    memory = Stand(FaultyDisk()).model().memory
    (application,) = memory.applications.values()
    files = application.files
    proof, log, file_11, value = files[0x0F], files[LOG_FILE], files[ENTITLEMENT_FILE], files[SLOT]
    held: bytes = proof.content + log.records[-1] + file_11.content  # type: ignore[union-attr]
    return held + value.value.to_bytes(4, "little", signed=True)  # type: ignore[union-attr]


def tap(data: bytes) -> object:
    """One sale with a card whose files hold ``data``: answered by an event, never more taken than asked, no stop."""
    held = data[:_WHOLE_B].ljust(_WHOLE_B, b"\x00")
    here = stall()
    here.taps += 1
    if here.taps % TAPS_A_STAND == 0:
        here.stand.seller.close()
        here.stand = Stand(FaultyDisk())
    stand = here.stand
    card = forged(
        stand.model().memory,
        with_counter(int.from_bytes(held[:4], "little"), held[4:12]),
        with_newest_record(LOG_FILE, held[12:44]),
        with_content(ENTITLEMENT_FILE, held[44 : 44 + _FILE_11_B]),
        with_value(SLOT, int.from_bytes(held[-4:], "little", signed=True)),
    )
    stand.seller.clock.wind(61)
    stand.sell(PRICE)
    heard = told(stand.seller.tap(card))
    assert heard, "every tap of a sale is answered"
    assert not isinstance(stand.seller.till.standing, Halted), "no card stops a till"
    stand.end_the_sale()
    return heard


# --- a batch ---------------------------------------------------------------------------------------------------------


class Centre:
    """A centre, a card, and a terminal whose key is in wrong hands."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="panier-fuzz-")
        self.office: Office = kit.new_office(Path(self._folder.name) / "centre")
        self.held = kit.new_card(self.office, 1, granted=100_000)
        self.stall = kit.new_stall(self.office)
        self.stall.start()
        self.stall.pay(self.held, 700)
        self.stall.send(self.office)

    def close(self) -> None:
        self.office.close()
        self._folder.cleanup()


@dataclass
class Ingest:
    """A centre that is exchanged for a fresh one now and then."""

    centre: Centre
    batches: int = 0


@cache
def ingest() -> Ingest:
    return Ingest(Centre())


def bodies() -> tuple[bytes, ...]:
    """[type, body] of records a terminal writes."""
    centre = Centre()
    try:
        centre.stall.tear(centre.held, 300, committed=True)
        centre.stall.recover(centre.held)
        centre.stall.refuse(centre.held)
        envelopes = [open_record(record)[1] for record in centre.stall.records]
        return tuple(cbor.encode([envelope.type, envelope.body], 6) for envelope in envelopes)
    finally:
        centre.close()


def take_in(data: bytes) -> object:
    """A record with this type and body, chained and signed as it should be, sent to the centre: it answers, and what it
    cannot believe it keeps aside.
    """
    match cbor.decode(data, 4_096, 6):
        case [int() as type_, dict() as body] if 0 <= type_ < 2**31:
            pass
        case _:
            raise Malformed("not a type and a body")
    here = ingest()
    here.batches += 1
    if here.batches % RECORDS_A_CENTRE == 0:
        here.centre.close()
        here.centre = Centre()
    stall_, office = here.centre.stall, here.centre.office
    try:
        record = stall_.record(type_, body)
    except (AssertionError, FormatError):
        raise Malformed("longer or deeper than any record") from None
    before = len(stall_.records)
    stall_.records.append(record)
    answer = stall_.send(office, before + 1)
    if answer.head_seq == before:
        stall_.records.pop()
        assert answer.dispositions, "what is not taken is named"
    assert not answer.is_frozen or answer.dispositions
    assert all(code in Disposition for _, code in answer.dispositions)
    return answer


WHOLE_TARGETS: Final = (
    Target("a whole tap", (card_files(),), tap, (), cost=20),
    Target("a record the centre takes in", bodies(), take_in, is_cbor=True, cost=20),
)
