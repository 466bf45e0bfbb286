"""Every lie a card tells here: how it is made from an honest card, and what the till shall say to it.

The same catalogue is played in process and through the real PC/SC stack; the table of docs/operating/hostile-cards.md
has a line for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from domain.card_log import Debit, LogRecord, LogType
from domain.identity import SlotFile, Station
from domain.money import Cents
from emulator.card import VirtualCard
from emulator.field import Card
from emulator.hostile import (
    GET_RESPONSE_FOR_EVER,
    MORE_FRAMES_FOR_EVER,
    Change,
    Forger,
    Masked,
    Replayed,
    Rewrite,
    Silent,
    counted,
    flipped,
    forever,
    forged,
    more_value,
    proof_of,
    says,
    thief,
    with_content,
    with_counter,
    with_newest_record,
    with_uid,
    with_value,
)
from emulator.memory import CardMemory, ValueFile
from emulator.state_file import CardStore, to_text
from emulator.tear import (
    Disturbance,
    Fault,
    Moment,
    Phase,
    delayed,
    empty,
    one_byte,
    oversized,
    tear_at,
    tear_on,
    truncated,
    wrong_mac,
)
from sync.card_format import ENTITLEMENT_PLACE_B, encode_log_record

GET_VALUE, DEBIT, WRITE_RECORD, COMMIT, READ_RECORDS = 0x6C, 0xDC, 0x8B, 0xC7, 0xAB
LOG_FILE, ENTITLEMENT_FILE = 0x10, 0x11
TERMINALS_KEY: Final = 1
LATE_S: Final = 8.0
APDUS_OF_A_PAYMENT: Final = 12
"""Select, EV2First (2), TMAC file, reader id, log, entitlement, value, newer entitlement, debit, record, Commit."""
PRICE: Final = 500
PUT_BACK, NOT_PAID, PAID, DOUBT, SPLIT = "put_back", "not_paid", "paid", "doubt", "split?"
STUCK, ONE_CARD, NOTHING = "reader_away", "one_card_only", "nothing"
TWICE: Final = (PUT_BACK, NOT_PAID)
CARD_UNKNOWN, NOT_GENUINE = "card_unknown", "not_genuine"


@dataclass(frozen=True)
class Model:
    """The honest card a lie is made from, and what its maker may know.

    Attributes:
        store: the honest card's memory; it paid once before, and its entitlement knows of that payment.
        terminals_key: K1 of the card, which a thief may have taken from a terminal.
        slot: number of its open value file.
        station: number of the terminal it will be laid before.
        tape: the answers of one good payment of this card.
        old_entitlement, foreign_entitlement: 233 bytes: this card's first one, and one of another card.
        other: memory of another card of the programme.
        sleep: how a late card waits.
    """

    store: CardStore
    terminals_key: bytes
    slot: int
    station: int
    tape: Sequence[bytes]
    old_entitlement: bytes
    foreign_entitlement: bytes
    other: CardMemory
    sleep: Callable[[float], None]

    @property
    def honest(self) -> VirtualCard:
        """The card itself: what is done to it stays done."""
        return VirtualCard.load(self.store)

    @property
    def unsynced(self) -> VirtualCard:
        """The card itself without its newer entitlement: a payment writes it, and takes an APDU more."""
        memory = with_content(ENTITLEMENT_FILE, self.old_entitlement, 1)(self.memory)
        self.store.write(to_text(memory))
        return VirtualCard.load(self.store)

    @property
    def memory(self) -> CardMemory:
        """What the honest card remembers now."""
        return self.honest.memory

    @property
    def value(self) -> int:
        """Cents in its open value file."""
        (application,) = self.memory.applications.values()
        file = application.files[self.slot]
        assert isinstance(file, ValueFile)
        return file.value

    def emulated(self, *changes: Change, rewrites: Sequence[Rewrite] = (), forgets: bool = False) -> Forger:
        """A card emulated with the stolen K1 and nothing else."""
        stolen = thief({TERMINALS_KEY: self.terminals_key})
        return forged(self.memory, stolen, *changes, rewrites=rewrites, forgets=forgets)

    def record(self, **changes: object) -> bytes:
        """The newest log record with some fields forged."""
        made = LogRecord(
            LogType.PAYMENT,
            Station(9),
            5,
            proof_of(self.memory).tmc,
            datetime(2026, 3, 1, 9, tzinfo=UTC),
            1,
            1,
            (Debit(SlotFile(self.slot), Cents(1_000)),),
            Cents(0),
            Cents(0),
        )
        return encode_log_record(replace(made, **changes))  # type: ignore[arg-type]


Laid = tuple[Card, Sequence[Disturbance]]


@dataclass(frozen=True)
class Lie:
    """One lie.

    Attributes:
        name: a line of the table.
        laid: the card and what disturbs it.
        says: event names, one for each time the card is laid down while the sale stands.
        reason: of the last event.
        pays: cents the journal holds as paid after the honest card has been laid down once more.
        blocks: what is said instead where PC/SC itself waits for ever (vpcd takes an empty answer for none).
        in_process: whether it can be told without PC/SC and without waiting.
        is_quick: whether the fast lane tells it through PC/SC.
    """

    name: str
    laid: Callable[[Model], Laid]
    says: tuple[str, ...]
    reason: str | None = None
    pays: int = 0
    blocks: tuple[str, ...] | None = None
    in_process: bool = True
    is_quick: bool = False

    @property
    def spoils_its_card(self) -> bool:
        """An emulated card has paid: this till has seen its counters further on, and refuses the true one."""
        return self.says == (PAID,) and not self.name.startswith("taken away")


def distorted(*faults: Disturbance) -> Callable[[Model], Laid]:
    return lambda model: (model.honest, faults)


def emulated(
    *changes: Callable[[Model], Change], rewrites: Callable[[Model], Sequence[Rewrite]] = lambda _model: ()
) -> Callable[[Model], Laid]:
    return lambda model: (
        model.emulated(*(change(model) for change in changes), rewrites=rewrites(model), forgets=True),
        (),
    )


def on(instruction: int, change: Change, *, is_after: bool = False) -> Rewrite:
    return Rewrite(Moment(instruction=instruction), change, is_after)


def wire_lies() -> Iterator[Lie]:
    """Answers no card gives."""
    shapes: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("nothing at all", empty),
        ("one byte", one_byte),
        ("65,535 bytes", oversized),
        ("61 00 for ever", says(GET_RESPONSE_FOR_EVER)),
        ("91 AF for ever, without data", says(MORE_FRAMES_FOR_EVER)),
        ("91 AF for ever, with data", says(bytes(48) + MORE_FRAMES_FOR_EVER)),
        ("91 AF for ever, a byte at a time", says(bytes(1) + MORE_FRAMES_FOR_EVER)),
    )
    for name, shape in shapes:
        is_of_a_chip = len(shape(b"\x91\x00")) in range(2, 259)
        said, why = ((NOT_PAID,), CARD_UNKNOWN) if is_of_a_chip else (TWICE, NOT_GENUINE)
        blocks = (STUCK,) if shape is empty else None
        to_commit = Fault(Moment(instruction=COMMIT), shape)
        yield Lie(f"answers {name}", distorted(*forever(shape)), said, why, blocks=blocks)
        yield Lie(
            f"answers {name} inside the session", distorted(*forever(shape, 3)), TWICE, NOT_GENUINE, blocks=blocks
        )
        yield Lie(f"answers {name} to Commit", distorted(to_commit), (DOUBT,), None, PRICE)
    yield Lie("answers a truncated frame", distorted(*forever(truncated(5), 1)), TWICE, NOT_GENUINE)
    yield Lie("answers a frame cut inside the session", distorted(*forever(truncated(10), 3)), TWICE, NOT_GENUINE)
    yield Lie("a wrong MAC", distorted(*forever(wrong_mac, 3)), TWICE, NOT_GENUINE, is_quick=True)
    yield Lie("a flipped bit in the enciphered log", distorted(*forever(flipped(3), 3)), TWICE, NOT_GENUINE)
    yield Lie("a flipped bit in the authentication", distorted(*forever(flipped(3), 1)), (NOT_PAID,), NOT_GENUINE)
    yield Lie("a wrong MAC at Commit", distorted(Fault(Moment(instruction=COMMIT), wrong_mac)), (DOUBT,), None, PRICE)


def late_lies() -> Iterator[Lie]:
    """Cards that take their time."""

    def late(moment: Moment) -> Callable[[Model], Laid]:
        return lambda model: (model.honest, (Fault(moment, delayed(LATE_S, model.sleep)),))

    yield Lie("eight seconds late from the start", late(Moment(index=0)), (STUCK,), in_process=False)
    yield Lie("eight seconds late in the middle", late(Moment(index=5)), (STUCK,), in_process=False)
    yield Lie("eight seconds late at Commit", late(Moment(instruction=COMMIT)), (DOUBT,), None, PRICE, in_process=False)
    yield Lie("never answers", lambda model: (Silent(model.honest, longest_s=LATE_S), ()), (STUCK,), in_process=False)


def torn_lies() -> Iterator[Lie]:
    """Taken away at each APDU of a payment."""
    for index in range(APDUS_OF_A_PAYMENT):
        for phase, when in (
            (Phase.BEFORE, "before"),
            (Phase.ANSWER_LOST, "before the answer to"),
            (Phase.AFTER, "after"),
        ):
            reached, done = _commit_reached_and_done(index, phase)
            said = PAID if done and phase is Phase.AFTER else DOUBT if reached else PUT_BACK
            pays = PRICE if done else 0
            yield Lie(f"taken away {when} APDU {index + 1}", _torn(index, phase), (said,), None, pays)
    yield Lie("answers Debit, never Commit", distorted(tear_on(COMMIT, Phase.BEFORE)), (DOUBT,), is_quick=True)


def _torn(index: int, phase: Phase) -> Callable[[Model], Laid]:
    return lambda model: (model.unsynced, (tear_at(index, phase),))


def _commit_reached_and_done(index: int, phase: Phase) -> tuple[bool, bool]:
    """Whether Commit was sent, and whether the card carried it out. Taken away right after the APDU before, the card
    is missed only when Commit is sent.
    """
    last = APDUS_OF_A_PAYMENT - 1
    if index == last:
        return True, phase is not Phase.BEFORE
    return index == last - 1 and phase is Phase.AFTER, False


def masked_lies() -> Iterator[Lie]:
    """Programs that pretend to be a card."""
    yield Lie(
        "a good session played again",
        lambda model: (Replayed(model.memory.uid, model.tape), ()),
        (NOT_PAID,),
        NOT_GENUINE,
        is_quick=True,
    )
    yield Lie(
        "another chip's number before this card",
        lambda model: (Masked(model.honest, uids=[model.other.uid]), ()),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie(
        "a number nobody knows",
        lambda model: (Masked(model.honest, uids=[bytes.fromhex("04FFFFFFFFFFFF")]), ()),
        (NOT_PAID,),
        CARD_UNKNOWN,
    )
    yield Lie(
        "a number of four bytes", lambda model: (Masked(model.honest, uids=[b"\x08abc"]), ()), (NOT_PAID,), CARD_UNKNOWN
    )
    yield Lie(
        "another number each time it is asked",
        lambda model: (Masked(model.honest, uids=[model.other.uid, model.memory.uid]), ()),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie(
        "its number changes in the middle",
        emulated(rewrites=lambda model: [on(GET_VALUE, with_uid(model.other.uid))]),
        (PAID,),
        None,
        PRICE,
    )
    for name, atr, said, why in (
        ("no ATR", b"", NOTHING, None),
        ("an ATR of one byte", b"\x3b", NOT_PAID, CARD_UNKNOWN),
        ("an ATR of 33 bytes of noise", bytes(range(0x80, 0xA1)), NOT_PAID, CARD_UNKNOWN),
    ):
        yield Lie(name, _behind_atr(atr), (said,), why, in_process=False)


def _behind_atr(atr: bytes) -> Callable[[Model], Laid]:
    return lambda model: (Masked(model.honest, atr=atr), ())


def counter_lies() -> Iterator[Lie]:
    """Counters that lie, told by an emulated card with the stolen K1."""
    yield Lie("a value below zero", emulated(lambda model: with_value(model.slot, -1)), TWICE, NOT_GENUINE)
    yield Lie("the least value there is", emulated(lambda model: with_value(model.slot, -(2**31))), TWICE, NOT_GENUINE)
    yield Lie(
        "a value above what was loaded",
        emulated(lambda model: with_value(model.slot, 16_000_001)),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie(
        "the greatest value there is",
        emulated(lambda model: with_value(model.slot, 2**31 - 1)),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie("a transaction counter of FFFFFF", emulated(lambda _model: with_counter(0xFFFFFF)), TWICE, NOT_GENUINE)
    yield Lie(
        "a transaction counter of FFFFFFFF", emulated(lambda _model: with_counter(0xFFFFFFFF)), TWICE, NOT_GENUINE
    )
    yield Lie(
        "a transaction counter below the centre's mark",
        emulated(lambda _model: with_counter(0)),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie(
        "spent nothing yet, below the floor",
        emulated(lambda model: with_value(model.slot, 16_000_000)),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie(
        "more value between read and debit",
        emulated(rewrites=lambda model: [on(DEBIT, more_value(model.slot, 100))]),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "no value left between read and debit",
        emulated(rewrites=lambda model: [on(DEBIT, more_value(model.slot, 10 - model.value))]),
        TWICE,
        NOT_GENUINE,
    )
    yield Lie("a counter that jumps at Commit", emulated(rewrites=lambda _model: [on(COMMIT, counted(5))]), (DOUBT,))
    yield Lie("a counter that falls at Commit", emulated(rewrites=lambda _model: [on(COMMIT, counted(-1))]), (DOUBT,))


def content_lies() -> Iterator[Lie]:
    """Content that lies, told by an emulated card with the stolen K1."""
    place = ENTITLEMENT_PLACE_B
    yield Lie(
        "an entitlement of noise",
        emulated(lambda _model: with_content(ENTITLEMENT_FILE, b"\x01" + b"\xa5" * (place - 1), 1)),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "an entitlement of another card",
        emulated(lambda model: with_content(ENTITLEMENT_FILE, model.foreign_entitlement, 1)),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "an entitlement of a version of tomorrow",
        emulated(lambda _model: with_content(ENTITLEMENT_FILE, b"\x09" + bytes(place - 1), 1)),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "its old entitlement, and spent nothing",
        emulated(
            lambda model: with_content(ENTITLEMENT_FILE, model.old_entitlement, 1),
            lambda model: with_value(model.slot, 16_000_000),
        ),
        (NOT_PAID,),
        NOT_GENUINE,
    )
    yield Lie(
        "a newest log record of noise",
        emulated(lambda _model: with_newest_record(LOG_FILE, bytes(range(0x5A, 0x7A)))),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "a log record of a version of tomorrow",
        emulated(lambda _model: with_newest_record(LOG_FILE, b"\xf1" + bytes(31))),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "a log record of the far future",
        emulated(lambda model: with_newest_record(LOG_FILE, model.record(minutes_at=datetime(2051, 1, 1, tzinfo=UTC)))),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "a day's total no card reaches",
        emulated(
            lambda model: with_newest_record(
                LOG_FILE, model.record(day_total=Cents(0xFFFFFE), minutes_at=datetime(2051, 1, 1, tzinfo=UTC))
            )
        ),
        (NOT_PAID,),
        "day_total",
    )
    yield Lie(
        "a record of this till that it never wrote",
        emulated(lambda model: with_newest_record(LOG_FILE, model.record(station=model.station, seq=1_000_000))),
        (NOT_PAID,),
        NOT_GENUINE,
        is_quick=True,
    )
    yield Lie(
        "slips of noise",
        emulated(
            lambda _model: with_content(ENTITLEMENT_FILE, b"\x03"),
            lambda _model: with_content(ENTITLEMENT_FILE, b"\xa5" * 192, 234),
        ),
        (PAID,),
        None,
        PRICE,
    )
    yield Lie(
        "slip places nobody has",
        emulated(lambda _model: with_content(ENTITLEMENT_FILE, b"\xff")),
        (PAID,),
        None,
        PRICE,
    )


LIES: Final = (*wire_lies(), *late_lies(), *torn_lies(), *masked_lies(), *counter_lies(), *content_lies())
