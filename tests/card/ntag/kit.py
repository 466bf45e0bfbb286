"""Tags of the emulator issued by the host's own issuing, in the hand of somebody at a market."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache

from bench.market import NOON, DirectField, HeldCard, Seller, centre_signs, entitle
from domain.identity import CardId, Uid
from domain.money import Cents
from emulator.field import Exchange
from emulator.inprocess import InProcessField
from emulator.ntag424.card import VirtualNtag
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance
from sync.card_format import CardInfo, SignedEntitlement, encode_card_info
from sync.crypto import new_private_key
from sync.issuing import LOADED_AT_ISSUING, IssueOrder, first_log_record
from sync.ntag_format import NTAG_AID, PurseFile, decode_purse_file
from terminal.nfc.links import Link
from terminal.nfc.ntag424 import issue_tag
from terminal.nfc.ntag424.tag import ENTITLEMENT_FILE, PURSE_FILE
from terminal.ports import CardRef, Deadline
from tests.journal.faulty_vfs import FaultyDisk

KEYS = range(5)


class HeldTag(HeldCard):
    """A tag in somebody's hand; its memory is read as nobody in the field can."""

    @property
    def ref(self) -> CardRef:
        return CardRef(self.order.card, self.order.uid, "gers", NTAG_AID, None)

    def awake(self) -> VirtualNtag:  # type: ignore[override]
        return VirtualNtag.load(self.store, entropy=random.Random(7).randbytes)

    def content(self, file: int) -> bytes:
        return self.awake().memory.files[file].content

    @property
    def purse(self) -> PurseFile:
        return decode_purse_file(self.content(PURSE_FILE), self.order.uid)

    @property
    def entitlement(self) -> bytes:
        return self.content(ENTITLEMENT_FILE)[:233]

    def spent(self) -> dict[int, int]:
        return {slot + 1: int(LOADED_AT_ISSUING - value) for slot, value in enumerate(self.purse.newest.values)}

    def copied(self) -> HeldTag:
        """Another tag that stands where this one stands now."""
        return HeldTag(self.order, MemoryStore(self.store.read()))

    def change(self, file: int, change: Callable[[bytes], bytes]) -> None:
        """Alter a file behind the tag's back."""
        state = json.loads(self.store.read())
        held = state["files"][f"{file:02X}"]
        held["content"] = change(bytes.fromhex(held["content"])).hex().upper()
        self.store.write(json.dumps(state))


def order_for(number: int = 1) -> IssueOrder:
    """What the centre would order for a blank tag."""
    uid, card = Uid(bytes([0x04, 9, 2, 3, 4, 5, number])), CardId(b"tag--%03d" % number)
    dice = random.Random(number)
    info = encode_card_info(CardInfo(1, card, "gers", LOADED_AT_ISSUING, None), uid, centre_signs)
    record = first_log_record(NOON - timedelta(days=9), 1)
    return IssueOrder(card, uid, NTAG_AID, LOADED_AT_ISSUING, info, record, {key: dice.randbytes(16) for key in KEYS})


def blank_store(order: IssueOrder) -> MemoryStore:
    """A tag as delivered, with the serial number of the order."""
    store = MemoryStore()
    VirtualNtag.blank(order.uid, store)
    return store


def laid(store: MemoryStore, *disturbances: Disturbance, said: list[Exchange] | None = None) -> Link:
    """A link to a tag on the issuing station's reader."""
    field = InProcessField()
    log = None if said is None else said.append
    field.present(VirtualNtag.load(store, entropy=random.Random(3).randbytes), disturbances, log)
    return Link(DirectField(field), Deadline(1.0), lambda _: 1.0, most_apdus=200)


@cache
def _issued(number: int) -> str:
    return issued_under(order_for(number)).store.read()


def issued_under(order: IssueOrder) -> HeldTag:
    """A blank tag made the one an order describes."""
    store = blank_store(order)
    issue_tag(laid(store), order)
    return HeldTag(order, store)


def issued_tag(number: int = 1) -> HeldTag:
    """A tag just issued."""
    return HeldTag(order_for(number), MemoryStore(_issued(number)))


@cache
def key_of(station: int) -> object:
    del station
    return new_private_key()


def stall(
    station: int,
    tags: Sequence[HeldCard],
    words: Sequence[SignedEntitlement] = (),
    disk: FaultyDisk | None = None,
    *,
    is_on: bool = True,
) -> Seller:
    """A terminal on a new disk or on one that was enrolled, switched on."""
    medium, key = disk or FaultyDisk(), key_of(station)
    seller = Seller(medium, station, tags, words, device_key=key, is_new=not medium.image())  # type: ignore[arg-type]
    if is_on:
        seller.open()
    return seller


def word_for(tag: HeldTag, *limits: int, seq: int = 1) -> SignedEntitlement:
    """The centre's word: one open slot a limit, file 3 upward."""
    return entitle(tag, seq, limits or (2_500,))


def paid(seller: Seller, tag: HeldTag, cents: int, *disturbances: Disturbance) -> list[Cents]:
    """One sale of vegetables; cents shown as paid."""
    from terminal import events as say

    seller.sell(("vegetables", cents))
    said = seller.tap(tag, *disturbances)
    return [word.amount for word in said if isinstance(word, say.Paid)]
