"""A centre's keys and pen for the terminal's tests: honest unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from domain.bonus import CapShare
from domain.identity import CardId, PurseNumber, SlotFile, Station, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Merchant, Purse, RuleSet
from sync.batch import Answer, decode_batch, encode_answer
from sync.bundle import Item, Kind, encode_bundle
from sync.card_format import encode_entitlement
from sync.crypto import PrivateKey, new_private_key, sha256, sign
from sync.enrolment import Certificate
from sync.merchant_format import encode_merchant
from sync.record import record_hash
from sync.rule_format import encode_rule_set
from sync.signed_lists import (
    CardKey,
    CentreKeys,
    EntitlementDelta,
    HotList,
    encode_card_keys,
    encode_centre_keys,
    encode_entitlements,
    encode_hot_list,
)
from terminal.offline_queue.identity import SOFTWARE, EnrolledTerminal, FileSigner
from terminal.offline_queue.journal import OfflineJournal, create_journal, open_journal
from terminal.offline_queue.lists import OfflineLists
from terminal.offline_queue.medium import Disk, Medium
from terminal.offline_queue.outbox import OfflineOutbox
from terminal.ports import Instant, TerminalIdentity, WallSource
from tests.journal import kit
from tests.journal.kit import ANNE, BEA, NOON

RULES = RuleSet(
    programme="gers",
    version=1,
    timezone="Europe/Paris",
    never=frozenset({"alcohol"}),
    purses=(Purse(PurseNumber(1), "food", "Alimentation", (Condition(frozenset({"food"})),)),),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
)
STALL = Merchant(1, 1, "Ferme du Moulin", frozenset({"referenced"}), "vegetables")
SHARE = CapShare(date(2026, 3, 1), Cents(3_000))
"""Of Bea, who shares a month cap; Anne's card is alone."""
ANNES_CHIP, BEAS_CHIP = Uid(b"\x04anne01"), Uid(b"\x04bea001")
AID = bytes.fromhex("A05310")


def at(minutes: float = 0, boot: int = 1) -> Instant:
    return Instant(boot, int((10 + minutes * 60) * 1e9), NOON + timedelta(minutes=minutes), WallSource.NETWORK)


@dataclass(slots=True)
class Keys:
    """The centre's private keys."""

    root: PrivateKey = field(default_factory=new_private_key)
    lists: PrivateKey = field(default_factory=new_private_key)
    answers: PrivateKey = field(default_factory=new_private_key)
    entitlements: PrivateKey = field(default_factory=new_private_key)

    def public(self, version: int = 1) -> CentreKeys:
        entitlements = {1: self.entitlements.public_key()}
        return CentreKeys(version, entitlements, {}, self.lists.public_key(), self.answers.public_key())


@dataclass(slots=True)
class Pen:
    """Writes what a centre would; ``records`` are those it holds of the terminal."""

    keys: Keys = field(default_factory=Keys)
    device: PrivateKey = field(default_factory=new_private_key)
    now: datetime = NOON
    records: list[bytes] = field(default_factory=list)

    # --- answers ---

    def take(self, batch: bytes) -> bytes:
        """Hold the records of a batch, answer it."""
        read = decode_batch(batch)
        if read.head.first_seq == len(self.records) + 1:
            self.records.extend(read.records)
        return self.answer(read.head.nonce)

    def answer(self, nonce: bytes, **changes: object) -> bytes:
        head_hash = record_hash(self.records[-1]) if self.records else sha256(self.certificate)
        said = Answer(kit.IDENTITY.terminal, 1, len(self.records), head_hash, self.now, nonce)
        said = replace(said, **changes)  # type: ignore[arg-type]
        return encode_answer(said, b"answer", lambda message: sign(self.keys.answers, message))

    # --- lists ---

    def bundle(self, *items: Item) -> bytes:
        return encode_bundle(items)

    def first_bundle(self) -> bytes:
        return self.bundle(
            self.centre_keys(), self.rules(1), self.merchant(1), self.hot_list(1), self.card_keys(1),
            self.entitlements(0, 1, (ANNES_CHIP, ANNE, 1)),
        )  # fmt: skip

    def by_lists(self, message: bytes) -> bytes:
        return sign(self.keys.lists, message)

    def centre_keys(self, version: int = 1) -> Item:
        signed = encode_centre_keys(self.keys.public(version), b"root", lambda message: sign(self.keys.root, message))
        return Item(Kind.CENTRE_KEYS, version, signed)

    def rules(self, version: int) -> Item:
        signed = encode_rule_set(replace(RULES, version=version), b"lists", self.by_lists)
        return Item(Kind.RULE_SET, version, signed)

    def merchant(self, version: int, number: int = 1, point_of_sale: int = 1) -> Item:
        entry = replace(STALL, version=version, number=number, point_of_sale=point_of_sale)
        signed = encode_merchant(entry, b"lists", self.by_lists)
        return Item(Kind.MERCHANT, version, signed)

    def hot_list(self, version: int, *cards: CardId) -> Item:
        hot = HotList(version, self.now.replace(microsecond=0), frozenset(cards))
        return Item(Kind.HOT_LIST, version, encode_hot_list(hot, b"lists", self.by_lists))

    def card_keys(self, version: int, device: PrivateKey | None = None) -> Item:
        chips = ((ANNE, ANNES_CHIP), (BEA, BEAS_CHIP))
        keys = tuple(
            CardKey(card, uid, "gers", AID, None, bytes([number]) * 16, (SHARE,) * number)
            for number, (card, uid) in enumerate(chips)
        )
        key = (device or self.device).public_key()
        signed = encode_card_keys(version, kit.IDENTITY.terminal, key, keys, b"lists", self.by_lists)
        return Item(Kind.CARD_KEYS, version, signed)

    def entitlements(self, since: int, version: int, *entries: tuple[Uid, CardId, int]) -> Item:
        words = tuple((uid, self.entitlement(uid, card, seq)) for uid, card, seq in entries)
        signed = encode_entitlements(EntitlementDelta(since, version, words), b"lists", self.by_lists)
        return Item(Kind.ENTITLEMENTS, version, signed)

    def entitlement(self, uid: Uid, card: CardId, seq: int) -> bytes:
        slot = Slot(SlotFile(3), PurseNumber(1), Cents(4_000), Cents(0), Cents(16_000_000), NOON, None)
        issued = self.now.replace(microsecond=0)
        word = Entitlement(1, card, 1, seq, issued, issued + timedelta(days=30), 1, 0, Cents(0), (slot,))
        return encode_entitlement(word, uid, lambda message: sign(self.keys.entitlements, message))

    # --- the terminal ---

    @property
    def certificate(self) -> bytes:
        return b"certificate"

    def enrolled(self) -> EnrolledTerminal:
        identity = TerminalIdentity(kit.IDENTITY.terminal, 1, Station(1), "gers", self.certificate, SOFTWARE)
        certificate = Certificate(
            identity.terminal, 1, Station(1), 1, "gers", self.device.public_key(), Cents(50_000), Cents(4_000), 1,
            NOON, NOON + timedelta(days=365),
        )  # fmt: skip
        return EnrolledTerminal(identity, certificate, self.keys.root.public_key(), self.keys.public(), self.device)


@dataclass(slots=True)
class Desk:
    """A terminal's journal, lists and outbox, open, and the card keys the lists have handed on."""

    journal: OfflineJournal
    lists: OfflineLists
    outbox: OfflineOutbox
    keys: dict[CardId, bytes]


def made(pen: Pen, medium: Medium | Path) -> Desk:
    place = Disk(medium) if isinstance(medium, Path) else medium
    create_journal(place, 1, kit.CONTACT)
    return opened(pen, place)


def opened(pen: Pen, medium: Medium) -> Desk:
    enrolled = pen.enrolled()
    journal = open_journal(medium, enrolled.identity, pen.device.public_key(), FileSigner(pen.device))
    keys: dict[CardId, bytes] = {}
    lists = OfflineLists(journal, enrolled, keys.update)
    lists.load()
    return Desk(journal, lists, OfflineOutbox(journal, lists), keys)
