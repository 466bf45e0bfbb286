"""A market on one desk, for benchmarks and tests: real tills on real journals, virtual cards in the hand, a centre's
keys, and a clock to wind.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.basket import Basket, Line
from domain.identity import CardId, PurseNumber, SlotFile, Station, TerminalId, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Merchant, Purse, RuleSet
from emulator.card import VirtualCard
from emulator.field import FieldGone
from emulator.inprocess import InProcessField
from emulator.memory import ValueFile
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance
from sync.card_format import (
    CardInfo,
    SignedEntitlement,
    decode_entitlement,
    encode_card_info,
    encode_entitlement,
)
from sync.crypto import PrivateKey, new_private_key, sign
from sync.issuing import LOADED_AT_ISSUING, PICC_MASTER, TERMINALS, TMAC_KEY, IssueOrder, first_log_record
from sync.signed_lists import SlipKey
from terminal.events import Accept, AskVoid, Back, Inward, Outward, Sell
from terminal.fixed_lists import FixedLists
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.issuing import MOST_APDUS_TO_ISSUE, issue
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.offline_queue.contact import Contact
from terminal.offline_queue.journal import OfflineJournal, create_journal, open_journal
from terminal.offline_queue.medium import Disk, Medium
from terminal.ports import CardRef, Deadline, Instant, TerminalIdentity, WallSource
from terminal.sale import Till
from terminal.world import World

NOON = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
MARCH = (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
AID = bytes.fromhex("A05310")
RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol", "tobacco", "pet", "deposit", "non-food"}),
    purses=(
        Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"}), frozenset({"referenced"})),)),
    ),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
    phone="05 62 00 00 00",
)
STALL = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables")
READER = "lecteur"


@dataclass(slots=True)
class WoundClock:
    """ports.Clock that moves only when wound."""

    boottime_ns: int = 10_000_000_000
    boot: int = 1
    wall: datetime = NOON

    def now(self) -> Instant:
        return Instant(self.boot, self.boottime_ns, self.wall, WallSource.NETWORK)

    def deadline(self, budget_s: float) -> Deadline:
        return Deadline(self.boottime_ns / 1e9 + budget_s)

    def left_s(self, deadline: Deadline) -> float:
        return max(deadline.at_s - self.boottime_ns / 1e9, 0.0)

    def wind(self, seconds: float) -> None:
        self.boottime_ns += int(seconds * 1e9)
        self.wall += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class HeldCard:
    """A card in somebody's hand."""

    order: IssueOrder
    store: MemoryStore

    @property
    def ref(self) -> CardRef:
        return CardRef(self.order.card, self.order.uid, "gers", AID, None)

    def awake(self) -> VirtualCard:
        return VirtualCard.load(self.store, entropy=random.Random(7).randbytes)

    def spent(self) -> dict[int, int]:
        """Cents spent of each slot, read from the card's memory as nobody in the field can."""
        files = self.awake().memory.applications[AID].files
        return {
            number: int(LOADED_AT_ISSUING) - file.value for number, file in files.items() if isinstance(file, ValueFile)
        }


CENTRE_KEY = new_private_key()


def centre_signs(message: bytes) -> bytes:
    return sign(CENTRE_KEY, message)


def issue_card(number: int = 1, seed: int = 0) -> HeldCard:
    """A card issued by the real issuing code onto a virtual chip."""
    uid = Uid(bytes([0x04, 1, 2, 3, 4, 5, number]))
    card = CardId(b"card-%03d" % number)
    dice = random.Random(seed * 1_000 + number)
    keys = {key: dice.randbytes(16) for key in (0, 1, 2, 3, 4, TMAC_KEY, PICC_MASTER)}
    info = encode_card_info(CardInfo(1, card, "gers", LOADED_AT_ISSUING, None), uid, centre_signs)
    order = IssueOrder(card, uid, AID, LOADED_AT_ISSUING, info, first_log_record(NOON - timedelta(days=9), 1), keys)
    return issued(order)


def issued(order: IssueOrder) -> HeldCard:
    """A virtual chip that the issuing code has made this order's card."""
    store, field = MemoryStore(), InProcessField()
    field.present(VirtualCard.blank(order.uid, store))
    issue(Link(DirectField(field), Deadline(1.0), lambda _: 1.0, most_apdus=MOST_APDUS_TO_ISSUE), order)
    return HeldCard(order, store)


class DirectField:
    """terminal.nfc.links.Field on an in-process field."""

    def __init__(self, field: InProcessField) -> None:
        self._field = field

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:  # noqa: ARG002
        return self._field.exchange(apdu)

    def close(self, *, is_clean: bool) -> None:  # noqa: ARG002
        return


def entitle(
    card: HeldCard,
    seq: int = 1,
    limits: Sequence[int] = (4_000,),
    issued_at: datetime = NOON - timedelta(days=2),
    *,
    mark: int = 0,
    allowance: int = 2_000,
    unconfirmed: Iterable[int] = (),
    purses: Sequence[int] = (),
) -> SignedEntitlement:
    """The centre's word: file 3 upward, one open slot a limit; of purse 1 unless others are named."""
    slots = tuple(
        Slot(
            SlotFile(3 + k), PurseNumber(purses[k] if purses else 1), Cents(limit), Cents(0), LOADED_AT_ISSUING, *MARCH
        )
        for k, limit in enumerate(limits)
    )
    word = Entitlement(
        key_id=1,
        card=card.order.card,
        epoch=1,
        seq=seq,
        issued_at=issued_at,
        valid_until=issued_at + timedelta(days=40),
        rules_version=1,
        mark=mark,
        void_allowance=Cents(allowance),
        slots=slots,
        unconfirmed=frozenset(SlotFile(file) for file in unconfirmed),
    )
    data = encode_entitlement(word, card.order.uid, centre_signs)
    return decode_entitlement(data, card.order.uid, lambda _: CENTRE_KEY.public_key())


class Seller:
    """One terminal: its medium, its till, its reader, and the hand that lays cards on it."""

    def __init__(
        self,
        medium: Medium,
        station: int,
        cards: Sequence[HeldCard],
        entitlements: Sequence[SignedEntitlement] = (),
        *,
        hot_list: frozenset[CardId] = frozenset(),
        clock: WoundClock | None = None,
        device_key: PrivateKey | None = None,
        is_new: bool = True,
        slip_keys: Mapping[Station, SlipKey] | None = None,
        rules: RuleSet = RULES,
        merchant: Merchant = STALL,
    ) -> None:
        self.medium = medium
        self.clock = clock or WoundClock()
        self.device_key = device_key or new_private_key()
        self.identity = TerminalIdentity(
            TerminalId(b"term-%03d" % station), 1, Station(station), "gers", b"certificate", "panier test"
        )
        self.lists = FixedLists(
            rules,
            merchant,
            {card.order.uid: card.ref for card in cards},
            {card.order.card: card.order.keys[TERMINALS] for card in cards},
            lambda key_id: CENTRE_KEY.public_key() if key_id == 1 else None,
            NOON - timedelta(hours=3),
            {word.entitlement.card: word for word in entitlements},
            hot_list,
            {Station(station): SlipKey(self.device_key.public_key()), **(slip_keys or {})},
        )
        self.heard: list[Outward] = []
        self.posted: deque[Inward] = deque()
        self._insertion = 0
        self._sale = 0
        self._make = (cards, entitlements, hot_list, slip_keys, rules, merchant)
        if is_new:
            create_journal(medium, 1, Contact(NOON - timedelta(hours=3), 1, 0, NOON - timedelta(hours=3)))

    def after_power_cut(self, medium: Medium) -> Seller:
        """The same terminal on what is left of its medium, in its next boot."""
        cards, entitlements, hot_list, slip_keys, rules, merchant = self._make
        clock = WoundClock(boot=self.clock.boot + 1, boottime_ns=1_000_000_000, wall=self.clock.wall)
        return Seller(
            medium,
            self.identity.station,
            cards,
            entitlements,
            hot_list=hot_list,
            clock=clock,
            device_key=self.device_key,
            is_new=False,
            slip_keys=slip_keys,
            rules=rules,
            merchant=merchant,
        )

    def open(self) -> tuple[Outward, ...]:
        """Switch the till on."""
        self.field = InProcessField()
        self.readers = InProcessReaders(
            {READER: self.field},
            FieldGone,
            KeyStore(self.lists, random.Random(5).randbytes),
            self.clock,
            self.posted.append,
            has_lanes=False,
        )
        key, signer = self.device_key.public_key(), Signer(self.device_key)
        self.journal: OfflineJournal = open_journal(self.medium, self.identity, key, signer)
        self.world = World(self.identity, self.clock, self.journal, self.readers, self.journal, self.lists, signer)
        self.till = Till(self.world, phone="05 62 00 00 01")
        said = self.till.start()
        self.heard.extend(said)
        return said

    def close(self) -> None:
        """Switch the till off in good order."""
        self.journal.close()

    def tell(self, event: Inward) -> tuple[Outward, ...]:
        said = self.till.handle(event)
        self.heard.extend(said)
        return said

    def sell(self, *lines: tuple[str, int]) -> tuple[Outward, ...]:
        return self.sell_basket(Basket(tuple(Line(family, Cents(amount)) for family, amount in lines)))

    def sell_basket(self, basket: Basket) -> tuple[Outward, ...]:
        self._sale += 1
        return self.tell(Sell(self._sale, basket))

    def void(self, seq: int | None = None) -> tuple[Outward, ...]:
        self._sale += 1
        return self.tell(AskVoid(self._sale, seq))

    def lay_down(self, card: HeldCard | VirtualCard, *disturbances: Disturbance) -> tuple[Outward, ...]:
        """Lay a card on the reader; it stays until lifted."""
        awake = card.awake() if isinstance(card, HeldCard) else card
        self.field.present(awake, disturbances)
        self.readers.field_changed(READER, is_present=True)
        return self._hear()

    def lift(self) -> None:
        self.field.lift()
        self.readers.field_changed(READER, is_present=False)
        self._hear()

    def _hear(self) -> tuple[Outward, ...]:
        """Tell the till what its reader has posted: the hand is also the loop."""
        said: list[Outward] = []
        while self.posted:
            said += self.tell(self.posted.popleft())
        return tuple(said)

    def tap(self, card: HeldCard | VirtualCard, *disturbances: Disturbance) -> tuple[Outward, ...]:
        """Lay a card down and lift it again."""
        said = self.lay_down(card, *disturbances)
        self.lift()
        return said

    def accept(self) -> tuple[Outward, ...]:
        return self.tell(Accept())

    def back(self) -> tuple[Outward, ...]:
        return self.tell(Back())


class Signer:
    """ports.Signer with a key in memory."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        return sign(self._key, message)


def disk(path: Path) -> Disk:
    path.mkdir(parents=True, exist_ok=True)
    return Disk(path)
