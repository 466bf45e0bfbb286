"""Cards of the emulator on the host's readers: a stall with one field, and cards issued for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, SlotFile, Station, Uid
from domain.money import Cents
from emulator.card import VirtualCard
from emulator.inprocess import FieldGone, InProcessField
from sync import crypto
from sync.card_format import CardInfo, encode_card_info, encode_log_record
from sync.issuing import (
    LOADED_AT_ISSUING,
    PICC_MASTER,
    TERMINALS,
    TMAC_KEY,
    IssueOrder,
    diversified_key,
    first_log_record,
)
from terminal.errors import CardGone
from terminal.events import Inward
from terminal.nfc.apdu import ISO_DEP, Ins, Profile
from terminal.nfc.channel import Mode, authenticate_ev2_first, select_application
from terminal.nfc.desfire_purse import ENTITLEMENT_FILE
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.issuing import MOST_APDUS_TO_ISSUE, issue
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.nfc.tmi import little
from terminal.ports import CardPlan, CardRef, Deadline, Instant, Presence, WallSource

READER = "lecteur"
UID = Uid(bytes.fromhex("04A1B2C3D4E5F6"))
CARD = CardId(bytes.fromhex("0011223344556677"))
AID = bytes.fromhex("F48120")
PROGRAMME = "panier-demo"
AT = datetime(2026, 5, 2, 8, 0, tzinfo=UTC)


class RunningClock:
    """``ports.Clock`` over the monotonic clock; its wall time stands still."""

    skip_s = 0.0

    def now(self) -> Instant:
        return Instant(1, time.monotonic_ns(), AT, WallSource.OPERATOR)

    def deadline(self, budget_s: float) -> Deadline:
        return Deadline(time.monotonic() + budget_s)

    def left_s(self, deadline: Deadline) -> float:
        return max(deadline.at_s - time.monotonic() - self.skip_s, 0.0)


@dataclass
class KeysInRam:
    """``ports.CardKeys``."""

    keys: dict[CardId, bytes]

    def key(self, card: CardId) -> bytes | None:
        return self.keys.get(card)


@dataclass
class DirectField:
    """An emulator's field as an adapter's, without lanes."""

    inner: InProcessField

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        try:
            return self.inner.exchange(apdu)
        except FieldGone as fault:
            raise CardGone("lifted") from fault

    def close(self, *, is_clean: bool) -> None:
        pass


def order_for(uid: Uid = UID, card: CardId = CARD) -> IssueOrder:
    """An issue order under fixed masters."""
    numbers = (0, 1, 2, 3, 4, TMAC_KEY, PICC_MASTER)
    keys = {n: diversified_key(bytes([n]) * 16, uid, AID, n, PROGRAMME, card) for n in numbers}
    signer = crypto.new_private_key()
    info = CardInfo(1, card, PROGRAMME, LOADED_AT_ISSUING, None)
    signed = encode_card_info(info, uid, lambda message: crypto.sign(signer, message))
    return IssueOrder(card, uid, AID, LOADED_AT_ISSUING, signed, first_log_record(AT, 1), keys)


def link_to(field_: InProcessField, most_apdus: int = MOST_APDUS_TO_ISSUE) -> Link:
    clock = RunningClock()
    return Link(DirectField(field_), clock.deadline(20), clock.left_s, most_apdus=most_apdus)


def issued_card(path: Path, order: IssueOrder) -> VirtualCard:
    """A card of the emulator made the programme's by the host's own issuing."""
    place = InProcessField()
    place.present(VirtualCard.blank(order.uid, path))
    issue(link_to(place), order)
    place.lift()
    return VirtualCard.load(path)


@dataclass
class Stall:
    """One reader, the cards that come, and what the till's inbox received."""

    path: Path
    order: IssueOrder
    inbox: list[Inward] = field(default_factory=list)
    keys: KeysInRam = field(default_factory=lambda: KeysInRam({}))

    def __post_init__(self) -> None:
        self.clock = RunningClock()
        self.keys.keys[self.order.card] = self.order.keys[TERMINALS]
        self.field = InProcessField()
        self.use(ISO_DEP)

    def use(self, profile: Profile) -> None:
        """Readers that speak to cards as the profile says."""
        keys = KeyStore(self.keys)
        self.readers = InProcessReaders(
            {READER: self.field}, FieldGone, keys, self.clock, self.inbox.append, profile=profile
        )

    def plan_of(self, tmc: int, *amounts: int, entitlement: bytes | None = None) -> CardPlan:
        """Debits of slots 1, 2, 3 with the log record that goes with them."""
        return plan_of(tmc, *amounts, entitlement=entitlement)

    def link_to(self, field_: InProcessField, most_apdus: int = MOST_APDUS_TO_ISSUE) -> Link:
        """A bare link to whatever lies in a field, for issuing."""
        return link_to(field_, most_apdus)

    def set_slip_places(self, in_use: int, places: bytes) -> None:
        """Write slips as a later program will: byte 0 of file 11 and both places, committed."""
        contact = self.readers.connect(self.lay(), self.clock.deadline(5))
        select_application(contact.link, AID)
        channel = authenticate_ev2_first(contact.link, self.order.keys[TERMINALS], TERMINALS)
        channel.send(Ins.COMMIT_READER_ID, bytes([1]) + bytes(15), mode=Mode.MAC, answer_b=16)
        for offset, content in ((0, bytes([in_use])), (234, places)):
            header = bytes([ENTITLEMENT_FILE]) + little(offset, 3) + little(len(content), 3)
            channel.send(Ins.WRITE_DATA_CHAINED, header, content)
        channel.send(Ins.COMMIT_TRANSACTION, b"\x01", mode=Mode.MAC, answer_b=12)

    @property
    def ref(self) -> CardRef:
        return CardRef(self.order.card, self.order.uid, PROGRAMME, AID, None)

    def lay(self, *disturbances: object, card: VirtualCard | None = None) -> Presence:
        """A card (the stall's own, woken from its file) is laid down, disturbed as said."""
        if self.field.is_occupied:
            self.field.lift()
        self.field.present(card or VirtualCard.load(self.path), disturbances)  # type: ignore[arg-type]
        self.readers.field_changed(READER, is_present=True)
        return Presence(READER, self.readers.insertions(READER))


def plan_of(tmc: int, *amounts: int, entitlement: bytes | None = None) -> CardPlan:
    """Debits of slots 1, 2, 3 with the log record that goes with them."""
    debits = tuple(Debit(SlotFile(n + 1), Cents(amount)) for n, amount in enumerate(amounts))
    record = LogRecord(
        LogType.PAYMENT, Station(7), tmc, tmc, AT, 1, 1, debits, Cents(sum(amounts)), Cents(sum(amounts))
    )
    return CardPlan(debits, encode_log_record(record), entitlement)


@pytest.fixture(scope="session")
def issued_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, IssueOrder]:
    """The file of one freshly issued card, to be copied, and its order."""
    path = tmp_path_factory.mktemp("issued") / "card.json"
    order = order_for()
    issued_card(path, order)
    return path.read_bytes(), order


@pytest.fixture
def stall(tmp_path: Path, issued_file: tuple[bytes, IssueOrder]) -> Iterator[Stall]:
    """A stall whose own card was just issued."""
    path = tmp_path / "card.json"
    path.write_bytes(issued_file[0])
    made = Stall(path, issued_file[1])
    yield made
    made.readers.close()
