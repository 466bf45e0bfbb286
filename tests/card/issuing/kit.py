"""Virtual cards on the issuing station's reader: orders under fixed masters, blank, torn and doctored cards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from domain.identity import CardId, Uid
from emulator.card import VirtualCard
from emulator.field import FieldGone
from emulator.inprocess import InProcessField
from emulator.state import CardProfile
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance
from sync import crypto
from sync.card_format import CardInfo, encode_card_info
from sync.issuing import (
    LOADED_AT_ISSUING,
    PICC_MASTER,
    TMAC_KEY,
    IssueOrder,
    diversified_key,
    first_log_record,
)
from terminal.errors import CardGone
from terminal.nfc.issuing import MOST_APDUS_TO_ISSUE, Found, issue
from terminal.nfc.links import Link
from terminal.ports import Deadline

UID = Uid(bytes.fromhex("04A1B2C3D4E5F6"))
CARD = CardId(bytes.fromhex("0011223344556677"))
AID = bytes.fromhex("F48120")
PROGRAMME = "panier-demo"
AT = datetime(2026, 5, 2, 8, 0, tzinfo=UTC)
SIGNER = crypto.new_private_key()
NUMBERS = (0, 1, 2, 3, 4, TMAC_KEY, PICC_MASTER)

State = dict[str, Any]
"""Content of a virtual card's file (docs/formats/emulator-card-file.md)."""


def order_for(uid: Uid = UID, card: CardId = CARD, at: datetime = AT, masters: int = 0xA0) -> IssueOrder:
    """An issue order; the same arguments give the same keys, and each call signs the card info anew."""
    keys = {n: diversified_key(bytes([masters ^ n]) * 16, uid, AID, n, PROGRAMME, card) for n in NUMBERS}
    info = CardInfo(1, card, PROGRAMME, LOADED_AT_ISSUING, None)
    signed = encode_card_info(info, uid, lambda message: crypto.sign(SIGNER, message))
    record = first_log_record(at, 1)
    return IssueOrder(card, uid, AID, LOADED_AT_ISSUING, signed, record, keys, {1: SIGNER.public_key()})


@dataclass
class OnReader:
    """An emulator's field as the station's reader (``links.Field``)."""

    field: InProcessField

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        try:
            return self.field.exchange(apdu)
        except FieldGone as fault:
            raise CardGone("lifted") from fault

    def close(self, *, is_clean: bool) -> None:
        self.field.lift()


@dataclass
class HeldCard:
    """A virtual card that remembers without a disk, laid down as often as wished."""

    store: MemoryStore = field(default_factory=MemoryStore)

    @property
    def text(self) -> str:
        """What the card remembers without power, as its file would have it."""
        return self.store.text

    @text.setter
    def text(self, text: str) -> None:
        self.store.write(text)

    @property
    def state(self) -> State:
        """The same, taken apart."""
        content: State = json.loads(self.text)
        return content

    def doctored(self, change: Callable[[State], object]) -> HeldCard:
        """The same card with something changed in its memory."""
        content = self.state
        change(content)
        self.text = json.dumps(content)
        return self

    def laid(self, *disturbances: Disturbance, profile: CardProfile | None = None) -> Link:
        """On the station's reader, freshly powered; ``profile``: a card that answers otherwise than ours."""
        reader = InProcessField()
        reader.present(VirtualCard.load(self.store, profile=profile), disturbances)
        until = time.monotonic() + 60
        left_s = lambda _deadline: until - time.monotonic()  # noqa: E731
        return Link(OnReader(reader), Deadline(until), left_s, most_apdus=MOST_APDUS_TO_ISSUE)

    def issue(self, order: IssueOrder, *disturbances: Disturbance) -> Found:
        """Laid down and issued."""
        return issue(self.laid(*disturbances), order)


def blank(uid: Uid = UID) -> HeldCard:
    """A card as delivered."""
    card = HeldCard()
    VirtualCard.blank(uid, card.store)
    return card


def issued(order: IssueOrder) -> HeldCard:
    """A card issued in one go."""
    card = blank(order.uid)
    card.issue(order)
    return card


def application(content: State, aid: bytes = AID) -> State:
    """The programme's application in a card's memory."""
    found: State = content["applications"][aid.hex().upper()]
    return found
