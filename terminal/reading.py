"""Reading a card in the one fixed order, and what of it can be believed.

The centre signed the entitlement and a terminal each slip: these are verified. A log record and a reader id are claims
of whoever holds a terminal's card key; the card's own proof (TMC, TMV) is checked by the centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from domain.bonus import cap_on
from domain.card_log import Debit, LogRecord
from domain.days import days_of
from domain.decision import CardFacts
from domain.identity import SlotFile
from domain.money import Cents
from domain.purse import Counters, slots_to_read
from domain.reason import Reason
from domain.slip import Slip, passed_places
from sync.card_format import SignedEntitlement, decode_log_record, encode_reader_id, read_slip, verify_slip
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from sync.ntag_format import gives_proof
from terminal.ports import CardContact, CardHead, CardRef, CardSeen, PurseCard
from terminal.two_clocks import TwoClocks
from terminal.world import World, clocks_now


@dataclass(frozen=True, slots=True)
class Reading:
    """All a tap has read before it decides.

    Attributes:
        seq: number the reader id named: the journal's next.
        newest: newest log record, ``None`` where unreadable.
        entitlement: the greater of the card's and the cache's.
        is_newer_than_cards: whether it is the cache's and the card is to be given it.
        no_entitlement: why the card's own could not be read, where it could not.
        values: cents in the slots that count now.
        slips: verified slips by place.
    """

    seq: int
    head: CardHead
    newest: LogRecord | None
    entitlement: SignedEntitlement | None
    is_newer_than_cards: bool
    no_entitlement: Reason | None
    values: Mapping[SlotFile, Cents]
    slips: Mapping[int, Slip]

    @property
    def freed(self) -> frozenset[int]:
        """Slip places whose void the entitlement knows."""
        return frozenset() if self.entitlement is None else passed_places(self.slips, self.entitlement.entitlement)


def read_card(world: World, contact: CardContact, ref: CardRef) -> tuple[PurseCard, Reading]:
    """Authenticate and read a card as every tap does; what follows may debit or void, or leave it alone.

    Raises:
        CardFault, ReaderFault: nothing was changed.
    """
    card = contact.authenticate(ref)
    seq = world.journal.head().seq + 1
    head = card.open(encode_reader_id(world.identity.station, seq), all_logs=False)
    from_card, why_not = _cards_entitlement(world, ref, head)
    cached = world.lists.entitlement(ref.card)
    best = max(
        (item for item in (from_card, cached) if item is not None),
        key=lambda item: item.entitlement.number,
        default=None,
    )
    values: Mapping[SlotFile, Cents] = {}
    if best is not None:
        world.times.raise_t_lo(best.entitlement.issued_at)
        clocks = clocks_now(world)
        values = card.values(slots_to_read(best.entitlement, world.lists.rules(), clocks.t_lo, clocks.t_late))
    is_newer = best is not None and (from_card is None or best.entitlement.number > from_card.entitlement.number)
    reading = Reading(seq, head, _newest(head), best, is_newer, why_not, values, _slips(world, ref, head))
    return card, reading


def claims_our_future(world: World, reading: Reading) -> bool:
    """Whether the card's log names this station with a number its journal has not reached.

    Either this terminal's medium was rolled back, or the record is forged: no terminal can tell. The card is refused
    and shown to the centre, which can (docs/decisions/0005).
    """
    newest = reading.newest
    return newest is not None and newest.station == world.identity.station and newest.seq >= reading.seq


def facts_of(world: World, ref: CardRef, reading: Reading, clocks: TwoClocks) -> CardFacts:
    """What the decision is made from."""
    days = days_of(clocks.t_lo, clocks.t_late, ZoneInfo(world.lists.rules().timezone))
    return CardFacts(
        card=ref.card,
        expires_at=ref.expires_at,
        is_on_hot_list=world.lists.is_on_hot_list(ref.card),
        entitlement=reading.entitlement.entitlement if reading.entitlement else None,
        counters=Counters(reading.head.tmc, reading.values),
        newest=reading.newest,
        is_in_doubt=bool(world.journal.doubts(ref.card)),
        no_entitlement=reading.no_entitlement or Reason.ENTITLEMENT_MISSING,
        slips=tuple(reading.slips.values()),
        seen=world.journal.counters_seen(ref.card),
        bonus_cap=cap_on(ref.bonus_shares, days),
        gives_proof=gives_proof(ref.aid),
    )


def seen_of(ref: CardRef, reading: Reading, spent: Iterable[Debit] = (), tmc: int | None = None) -> CardSeen:
    """What the journal remembers of the card's counters, after ``spent`` was debited in the transaction ``tmc``."""
    values = dict(reading.values)
    for debit in spent:
        values[debit.file] -= debit.amount
    return CardSeen(ref.card, Counters(reading.head.tmc if tmc is None else tmc, values))


def _newest(head: CardHead) -> LogRecord | None:
    try:
        return decode_log_record(head.logs[0]) if head.logs else None
    except FormatError:
        return None


def _cards_entitlement(world: World, ref: CardRef, head: CardHead) -> tuple[SignedEntitlement | None, Reason | None]:
    try:
        signed = world.lists.read_entitlement(head.entitlement, ref.uid)
    except UnknownVersion:
        return None, Reason.ENTITLEMENT_VERSION_UNKNOWN
    except BadSignature:
        return None, Reason.ENTITLEMENT_UNREADABLE
    except Malformed:
        return None, Reason.ENTITLEMENT_UNREADABLE if any(head.entitlement) else Reason.ENTITLEMENT_MISSING
    if signed.entitlement.card != ref.card:
        return None, Reason.ENTITLEMENT_UNREADABLE
    return signed, None


def _slips(world: World, ref: CardRef, head: CardHead) -> Mapping[int, Slip]:
    """The slips that are what they say; another one counts for nothing and keeps its place."""
    found: dict[int, Slip] = {}
    for place, content in head.slips.items():
        try:
            slip = read_slip(content)
            key = world.lists.slip_key(slip.station, slip.seq)
            if key is not None:
                verify_slip(content, ref.card, key)
                found[place] = slip
        except FormatError:
            continue
    return found
