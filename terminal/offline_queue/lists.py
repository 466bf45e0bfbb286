"""ports.Lists: what the centre sent, verified, in memory; as signed, it lies in the journal's file.

A version never goes down. A download is stored with the record of its import in one commit. Card keys are handed on
when they are opened, and are not held here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from domain.identity import CardId, Station, Uid
from domain.rule_set import Merchant, RuleSet
from sync.batch import Versions
from sync.bundle import Download, Item, Kind, Problem, encode_bundle, read_bundle
from sync.card_format import SignedEntitlement, decode_entitlement
from sync.cbor import Map, Value
from sync.crypto import PublicKey
from sync.errors import FormatError
from sync.record import BODY_VERSION, RecordType
from sync.signed_lists import CardKey, CentreKeys, HotList, TerminalsList, key_for, open_card_keys, read_centre_keys
from terminal.errors import JournalDamaged
from terminal.offline_queue.identity import EnrolledTerminal
from terminal.offline_queue.journal import OfflineJournal
from terminal.offline_queue.store import ListRow
from terminal.ports import CardRef, Draft, ListsState, Stamp
from terminal.text import _

TakeKeys = Callable[[Mapping[CardId, bytes]], None]
"""Receives the keys of all cards served, 16 bytes each, whenever they change."""
Listed = TypeVar("Listed", RuleSet, Merchant, HotList, CentreKeys, TerminalsList)
_SINGLE: Final = (
    Kind.CENTRE_KEYS,
    Kind.RULE_SET,
    Kind.MERCHANT,
    Kind.HOT_LIST,
    Kind.CARD_KEYS,
    Kind.TERMINALS,
)


@dataclass(frozen=True, slots=True)
class _Word:
    """An entitlement and the chip it was signed for."""

    uid: Uid
    signed: SignedEntitlement

    @property
    def row(self) -> ListRow:
        word = self.signed.entitlement
        return ListRow(Kind.ENTITLEMENTS, word.card, word.epoch << 24 | word.seq, self.uid + self.signed.data)


@dataclass(frozen=True, slots=True)
class _Held:
    """Everything in force."""

    rules: RuleSet
    merchant: Merchant
    hot_list: HotList
    cards: dict[Uid, CardRef]
    entitlements: dict[CardId, _Word]
    versions: Versions
    centre_keys: CentreKeys
    terminals: TerminalsList


class OfflineLists:
    """The lists of one terminal; ``load`` or the first ``take_download`` fills them.

    Args:
        take_keys: where opened card keys go; without it, nowhere.
    """

    def __init__(
        self, journal: OfflineJournal, enrolled: EnrolledTerminal, take_keys: TakeKeys = lambda _keys: None
    ) -> None:
        self._journal = journal
        self._enrolled = enrolled
        self._take_keys = take_keys
        self._held: _Held | None = None

    def __repr__(self) -> str:
        return "OfflineLists()"

    def load(self) -> None:
        """Read what is stored; nothing when no list was ever stored. JournalDamaged when it does not verify."""
        rows = self._journal.stored_lists()
        singles = [row for row in rows if row.kind in _SINGLE]
        if not singles:
            return
        read = self._read_stored(singles)
        opened = self._opened(read)
        held = self._after(read, None, opened)
        entries = [
            (Uid(row.content[:7]), row.content[7:]) for row in rows if row.kind == Kind.ENTITLEMENTS and row.item
        ]
        change = max((row.version for row in rows if row.kind == Kind.ENTITLEMENTS and not row.item), default=0)
        held.entitlements.update(self._verified(entries, held.centre_keys))
        self._held = replace(held, versions=replace(held.versions, entitlements=change))
        self._hand_on(opened)

    def verify(self, bundle: bytes) -> None:
        """Whether a bundle can be read, without taking anything from it. Malformed, UnknownVersion."""
        keys = self._held.centre_keys if self._held else self._enrolled.centre_keys
        read_bundle(bundle, self._enrolled.root, keys, self._enrolled.identity.terminal)

    def take_download(self, bundle: bytes, stamp: Stamp) -> tuple[Problem, ...]:
        """Verify a bundle and take what is newer, in one commit; what was left out and why."""
        before = self._held
        keys = before.centre_keys if before else self._enrolled.centre_keys
        read = self._ours(read_bundle(bundle, self._enrolled.root, keys, self._enrolled.identity.terminal))
        read, opened = self._openable(read, before.versions.card_keys if before else 0)
        after = self._after(read, before, opened)
        rows = [*self._new_singles(read, before), *self._new_entitlements(after, before)]
        self._journal.raise_t_lo(after.hot_list.signed_at)
        if rows:
            imported: list[Value] = [[row.kind, row.version] for row in rows if not row.item]
            body: Map = {0: BODY_VERSION, 1: imported, 2: len([row for row in rows if row.item])}
            draft_stamp = replace(stamp, rules_version=after.rules.version, hot_list_version=after.hot_list.version)
            self._journal.keep_lists(tuple(rows), Draft(RecordType.LIST_IMPORT, body, draft_stamp))
        self._held = after
        self._hand_on(opened)
        return read.problems

    # --- ports.Lists -------------------------------------------------------------------------------------------------

    def rules(self) -> RuleSet:
        """The rule set in force."""
        return self._in_force.rules

    def merchant(self) -> Merchant:
        """This stall's signed line."""
        return self._in_force.merchant

    def state(self) -> ListsState:
        """Versions, and when the lists were signed."""
        held = self._in_force
        return ListsState(held.rules.version, held.hot_list.version, held.hot_list.signed_at)

    def card(self, uid: Uid) -> CardRef | None:
        """The card with this chip."""
        return self._in_force.cards.get(uid)

    def entitlement(self, card: CardId) -> SignedEntitlement | None:
        """The newest one held."""
        word = self._in_force.entitlements.get(card)
        return word.signed if word else None

    def read_entitlement(self, data: bytes, uid: Uid) -> SignedEntitlement:
        """One read from a card, verified; raises as ``decode_entitlement``."""
        return decode_entitlement(data, uid, self._in_force.centre_keys.entitlements.get)

    def is_on_hot_list(self, card: CardId) -> bool:
        """Whether the card is to be refused."""
        return card in self._in_force.hot_list.cards

    def slip_key(self, station: Station, seq: int) -> PublicKey | None:
        """Key of the terminal that signs as that station; this terminal's own is always known."""
        entry = self._in_force.terminals.stations.get(station)
        identity = self._enrolled.identity
        if entry is None and station == identity.station:
            return self._enrolled.certificate.device_key
        return key_for(entry, seq)

    # --- for the outbox ----------------------------------------------------------------------------------------------

    @property
    def versions(self) -> Versions:
        """What is held; zeros before the first download."""
        return self._held.versions if self._held else Versions()

    @property
    def answer_key(self) -> PublicKey:
        """Key of the centre's answers."""
        return (self._held.centre_keys if self._held else self._enrolled.centre_keys).answers

    # --- within ------------------------------------------------------------------------------------------------------

    @property
    def _in_force(self) -> _Held:
        if self._held is None:
            raise JournalDamaged(_("Cette caisse n'a pas encore reçu ses listes : il faut l'enrôler à nouveau."))
        return self._held

    def _after(self, read: Download, before: _Held | None, opened: tuple[CardKey, ...] | None) -> _Held:
        """What is in force after a download; an older version never replaces a newer one."""
        keys = _newer(read.centre_keys, before.centre_keys if before else self._enrolled.centre_keys)
        rules = _newer(read.rules, before.rules if before else None)
        merchant = _newer(read.merchant, before.merchant if before else None)
        hot_list = _newer(read.hot_list, before.hot_list if before else None)
        if keys is None or rules is None or merchant is None or hot_list is None:
            raise JournalDamaged(_("Le centre n'a pas envoyé toutes les listes : règles, commerçant, opposition."))
        cards = dict(before.cards) if before else {}
        held = before.versions if before else Versions()
        version = held.card_keys
        if read.card_keys is not None and read.card_keys.version > version:
            cards, version = _by_chip(opened or ()), read.card_keys.version
        entitlements = dict(before.entitlements) if before else {}
        change = held.entitlements
        for delta in sorted(read.entitlements, key=lambda delta: delta.since):
            if delta.since <= change < delta.version:
                for card, word in self._verified(delta.entries, keys).items():
                    known = entitlements.get(card)
                    if known is None or word.signed.entitlement.number > known.signed.entitlement.number:
                        entitlements[card] = word
                change = delta.version
        terminals = _newer(read.terminals, before.terminals if before else None) or TerminalsList(0, {})
        versions = Versions(
            rules.version, hot_list.version, merchant.version, version, change, keys.version, terminals.version
        )
        return _Held(rules, merchant, hot_list, cards, entitlements, versions, keys, terminals)

    def _read_stored(self, singles: list[ListRow]) -> Download:
        """Stored lists verified again; one the centre signed before it changed its keys, under the keys before."""
        read = self._read(singles, None)
        if not read.problems:
            return read
        kinds = {problem.kind for problem in read.problems}
        former = [row for row in self._journal.stored_lists(is_old=True) if row.kind == Kind.CENTRE_KEYS]
        keys = read_centre_keys(former[0].content, self._enrolled.root) if former else self._enrolled.centre_keys
        again = self._read([row for row in singles if row.kind in kinds], keys)
        if again.problems:
            raise JournalDamaged(
                _("Une liste reçue du centre est abîmée sur le disque : %s") % again.problems[0].sentence
            )
        return replace(
            read,
            rules=read.rules or again.rules,
            merchant=read.merchant or again.merchant,
            hot_list=read.hot_list or again.hot_list,
            card_keys=read.card_keys or again.card_keys,
            terminals=read.terminals or again.terminals,
        )

    def _read(self, rows: list[ListRow], keys: CentreKeys | None) -> Download:
        bundle = encode_bundle([Item(row.kind, row.version, row.content) for row in rows])
        return read_bundle(bundle, self._enrolled.root, keys, self._enrolled.identity.terminal)

    def _ours(self, read: Download) -> Download:
        """The same download without entries of other points of sale than this terminal's; they are signed as well."""
        mine, entry = self._enrolled.certificate, read.merchant
        entries = [item for item in read.items if item.kind == Kind.MERCHANT]
        if entry is None or (entry.number, entry.point_of_sale) == (mine.merchant, mine.point_of_sale):
            left_out, problems = entries[:-1], read.problems
        else:
            left_out = entries
            problems = (*read.problems, Problem(Kind.MERCHANT, "the entry of another point of sale"))
            read = replace(read, merchant=None)
        return replace(read, items=tuple(item for item in read.items if item not in left_out), problems=problems)

    def _openable(self, read: Download, held: int) -> tuple[Download, tuple[CardKey, ...] | None]:
        """The same download without card keys that were sealed for another device, and newer ones opened."""
        if read.card_keys is None or read.card_keys.version <= held:
            return read, None
        try:
            return read, self._opened(read)
        except FormatError as fault:
            items = tuple(item for item in read.items if item.kind != Kind.CARD_KEYS)
            problems = (*read.problems, Problem(Kind.CARD_KEYS, str(fault)))
            return replace(read, card_keys=None, items=items, problems=problems), None

    def _opened(self, read: Download) -> tuple[CardKey, ...] | None:
        """Card keys in clear, for RAM only; ``None`` without any, or while the device key is sealed."""
        if read.card_keys is None or self._enrolled.device_key is None:
            return None
        return open_card_keys(read.card_keys, self._enrolled.device_key)

    def _hand_on(self, opened: tuple[CardKey, ...] | None) -> None:
        if opened is not None:
            self._take_keys({entry.card: entry.key for entry in opened})

    def _verified(self, entries: Iterable[tuple[Uid, bytes]], keys: CentreKeys) -> dict[CardId, _Word]:
        """Each entitlement verified on its own; one that does not hold counts for nothing."""
        found: dict[CardId, _Word] = {}
        for uid, data in entries:
            try:
                signed = decode_entitlement(data, uid, keys.entitlements.get)
            except FormatError:
                continue
            found[signed.entitlement.card] = _Word(uid, signed)
        return found

    def _new_singles(self, read: Download, before: _Held | None) -> list[ListRow]:
        held = before.versions if before else Versions()
        known = {
            Kind.CENTRE_KEYS: held.centre_keys,
            Kind.RULE_SET: held.rules,
            Kind.MERCHANT: held.merchant,
            Kind.HOT_LIST: held.hot_list,
            Kind.CARD_KEYS: held.card_keys,
            Kind.TERMINALS: held.terminals,
        }
        return [
            ListRow(item.kind, b"", item.version, item.signed)
            for item in read.items
            if item.kind in _SINGLE and item.version > known[Kind(item.kind)]
        ]

    def _new_entitlements(self, after: _Held, before: _Held | None) -> list[ListRow]:
        known = before.entitlements if before else {}
        rows = [word.row for card, word in after.entitlements.items() if known.get(card) != word]
        if after.versions.entitlements != (before.versions.entitlements if before else 0):
            rows.append(ListRow(Kind.ENTITLEMENTS, b"", after.versions.entitlements, b""))
        return rows


def _by_chip(cards: Iterable[CardKey]) -> dict[Uid, CardRef]:
    return {
        item.uid: CardRef(item.card, item.uid, item.programme, item.aid, item.expires_at, item.bonus_shares)
        for item in cards
    }


def _newer(new: Listed | None, old: Listed | None) -> Listed | None:
    if new is None or (old is not None and new.version <= old.version):
        return old
    return new
