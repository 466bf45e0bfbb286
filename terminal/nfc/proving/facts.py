"""Checks that need no hand. Each takes the card as it stands and leaves it able to pay.

What is expected is what the program was built on: docs/real-card-checklist.md says why each matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sync import tmac
from sync.issuing import TMAC_KEY
from terminal.errors import CardMisbehaves
from terminal.nfc.apdu import CardRefuses, Ins, Status, ask_once, named
from terminal.nfc.channel import Channel, Mode
from terminal.nfc.desfire_purse import ENTITLEMENT_FILE, LOG_FILE
from terminal.nfc.proving.card_in_hand import BUILT_ON, CardInHand, ReaderIdModes, place, read_proof
from terminal.nfc.proving.outcome import Proof, Verdict, proof
from terminal.nfc.proving.transaction import AS_BUILT, RECORD_B, Transaction
from terminal.nfc.tmi import little

SLOT: Final = 1
UPDATE_RECORD, UPDATE_RECORD_CHAINED = 0xDB, 0xBA
PLACE_B: Final = 234
"""What a payment reads and writes of the entitlement file."""

_MODES: Final = (
    BUILT_ON,
    ReaderIdModes(Mode.MAC, Mode.FULL),
    ReaderIdModes(Mode.FULL, Mode.FULL),
    ReaderIdModes(Mode.FULL, Mode.MAC),
)
_NO_SUCH_FILE: Final = 0x1F
_ENDED: Final = frozenset({Status.LENGTH_ERROR, Status.AUTHENTICATION_ERROR, Status.PERMISSION_DENIED})
_NOT_ALLOWED: Final = frozenset({Status.AUTHENTICATION_ERROR, Status.PERMISSION_DENIED})
_NO_SUCH_COMMAND: Final = Status.ILLEGAL_COMMAND
_VALUE_B: Final = 4

Steps = Callable[[Transaction], object]


def proofs_without_hands(card: CardInHand) -> Iterator[Proof]:
    """All of them, in the order of the check-list."""
    modes = reader_id_modes(card)
    yield modes
    if modes.verdict is Verdict.NOT_TRIED:
        return
    yield from proofs_of_tmv(card)
    checks: dict[str, Callable[[CardInHand], Proof]] = {
        "earlier_reader_id": earlier_reader_id,
        "order_of_records": order_of_records,
        "error_ends_session": error_ends_session,
        "commit_without_reader_id": commit_without_reader_id,
        "commit_of_nothing": commit_of_nothing,
        "update_record_db": lambda card: update_of_records(card, UPDATE_RECORD),
        "update_record_ba": lambda card: update_of_records(card, UPDATE_RECORD_CHAINED),
    }
    for name, check in checks.items():
        try:
            yield check(card)
        except CardMisbehaves as fault:
            yield proof(name, False, str(fault))


def reader_id_modes(card: CardInHand) -> Proof:
    """How CommitReaderID is protected; what is found is used from here on."""
    sizes = []
    for modes in _MODES:
        card.reader_id_modes = modes
        try:
            Transaction(card)
        except CardRefuses as fault:
            sizes.append(named(fault.status))
        except CardMisbehaves:
            sizes.append(f"{card.noted[-1].in_b - 2} B")
        else:
            return proof("reader_id_answer", modes == BUILT_ON, f"{modes.name}, {card.noted[-1].in_b - 2} B")
    card.reader_id_modes = BUILT_ON
    return Proof("reader_id_answer", Verdict.NOT_TRIED, "in no known mode: " + ", ".join(sizes))


# --- the card's proof, command by command ----------------------------------------------------------------------------


def proofs_of_tmv(card: CardInHand) -> Iterator[Proof]:
    """One transaction for each command that counts in the TMI, chained by ISO-DEP and natively by AF, each with a
    debit of one cent; then all of them together.
    """
    yield _tmv(card, "tmv_debit", lambda _more: None)
    yield _tmv(card, "tmv_get_value", lambda more: more.get_value(SLOT))
    for way, write_record in (("chained", Ins.WRITE_RECORD_CHAINED), ("native", Ins.WRITE_RECORD)):
        yield _tmv(card, f"tmv_write_record_{way}", _writes(write_record, card))
    for way, read, read_records, write in (
        ("chained", Ins.READ_DATA_CHAINED, Ins.READ_RECORDS_CHAINED, Ins.WRITE_DATA_CHAINED),
        ("native", Ins.READ_DATA, Ins.READ_RECORDS, Ins.WRITE_DATA),
    ):
        yield _tmv(card, f"tmv_read_data_{way}", _reads(read))
        yield _tmv(card, f"tmv_read_one_record_{way}", _reads_records(read_records, 1))
        yield _tmv(card, f"tmv_read_two_records_{way}", _reads_records(read_records, 2))
        yield _tmv(card, f"tmv_write_data_{way}", _overwrites(write, card))


def _tmv(card: CardInHand, name: str, steps: Steps) -> Proof:
    """Whether the command works through this reader, and whether the card's TMV is over what the program thinks."""
    began = len(card.noted)
    try:
        transaction = Transaction(card)
        steps(transaction)
        transaction.debit(SLOT, 1)
        done = transaction.commit()
    except CardMisbehaves as fault:
        return proof(name, False, str(fault))
    if done.tmc != transaction.before.tmc + 1:
        return proof(name, False, f"TMC {transaction.before.tmc} became {done.tmc}")
    how = transaction.reading_of(done)
    apdus = len(card.noted) - began
    return proof(name, how == AS_BUILT, f"TMV {how or 'over something else'}, {apdus} APDUs")


def _writes(ins: int, card: CardInHand) -> Steps:
    return lambda more: more.write_record(ins, _some(card, RECORD_B))


def _reads(ins: int) -> Steps:
    return lambda more: more.read_data(ins, ENTITLEMENT_FILE, PLACE_B)


def _reads_records(ins: int, count: int) -> Steps:
    return lambda more: more.read_records(ins, count)


def _overwrites(ins: int, card: CardInHand) -> Steps:
    return lambda more: more.write_data(ins, ENTITLEMENT_FILE, b"\x00" + _some(card, PLACE_B - 1))


def _some(card: CardInHand, size_b: int) -> bytes:
    """Bytes that differ each time."""
    return card.token(size_b)


# --- what payments and recovery stand on -----------------------------------------------------------------------------


def earlier_reader_id(card: CardInHand) -> Proof:
    """That CommitReaderID's answer deciphers to the reader id of the transaction before."""
    first = Transaction(card)
    first.debit(SLOT, 1)
    done = first.commit()
    second = Transaction(card)
    order = card.order
    told = tmac.previous_reader_id(order.keys[TMAC_KEY], done.tmc + 1, order.uid, second.earlier_id)
    is_it = told == first.reader_id
    return proof("earlier_reader_id", is_it, "the one before" if is_it else "something else")


def order_of_records(card: CardInHand) -> Proof:
    """That several records are read oldest first, and record 0 is the newest."""
    written = []
    for _ in range(3):
        transaction = Transaction(card)
        written.append(_some(card, RECORD_B))
        transaction.write_record(Ins.WRITE_RECORD_CHAINED, written[-1])
        transaction.commit()
    told = list(Transaction(card).read_records(Ins.READ_RECORDS_CHAINED, 3))
    named_orders = {"oldest first": written, "newest first": written[::-1]}
    measured = next((how for how, records in named_orders.items() if records == told), "neither order")
    return proof("order_of_records", told == written, measured)


def error_ends_session(card: CardInHand) -> Proof:
    """That after an error status a command with a MAC is not taken any more: 7E, and not 1E (MAC looked at)."""
    channel = card.session()
    status = _refused(channel, Ins.GET_VALUE, bytes([_NO_SUCH_FILE]), answer_b=_VALUE_B)
    if status is None:
        return proof("error_ends_session", False, "a file that is not there has a value")
    after = ask_once(card.link.exchange, Ins.GET_VALUE, bytes([SLOT]) + bytes(8)).status
    return proof("error_ends_session", after in _ENDED, f"{named(status)}, then {named(after)}")


def commit_without_reader_id(card: CardInHand) -> Proof:
    """That a terminal that keeps its name to itself cannot commit."""
    before = _state(card)
    channel = card.session()
    channel.send(Ins.DEBIT, bytes([SLOT]), little(1, _VALUE_B))
    status = _refused(channel, Ins.COMMIT_TRANSACTION, data=b"\x01", mode=Mode.MAC, answer_b=12)
    is_kept = _state(card) == before
    measured = f"{_said(status)}, {'nothing changed' if is_kept else 'it was done'}"
    return proof("commit_without_reader_id", status == Status.PERMISSION_DENIED and is_kept, measured)


def commit_of_nothing(card: CardInHand) -> Proof:
    """What Commit answers when only a reader id was given: nothing is counted."""
    before = _state(card)
    transaction = Transaction(card)
    try:
        transaction.commit()
    except CardRefuses as fault:
        status: int | None = fault.status
    else:
        status = None
    is_kept = _state(card) == before
    measured = f"{_said(status)}, {'nothing counted' if is_kept else 'TMC moved'}"
    return proof("commit_of_nothing", status == Status.NO_CHANGES and is_kept, measured)


def update_of_records(card: CardInHand, ins: int) -> Proof:
    """That K1, which may write log records, may not change one that stands there."""
    name = f"update_record_{ins:02x}"
    transaction = Transaction(card)
    transaction.write_record(Ins.WRITE_RECORD_CHAINED, _some(card, RECORD_B))
    transaction.commit()
    before = _state(card)
    header = bytes([LOG_FILE]) + little(0, 3) + little(0, 3) + little(4, 3)
    status = _refused(card.session(), ins, header, b"\xff\xff\xff\xff")
    if _state(card) != before:
        return proof(name, False, "the record was changed without Commit")
    is_refused = status in _NOT_ALLOWED or status == _NO_SUCH_COMMAND
    return proof(name, is_refused, _said(status))


def _refused(
    channel: Channel, ins: int, header: bytes = b"", data: bytes = b"", *, mode: Mode = Mode.FULL, answer_b: int = 0
) -> int | None:
    """The status a command is refused with, or ``None`` when it is taken."""
    try:
        channel.send(ins, header, data, mode=mode, answer_b=answer_b)
    except CardRefuses as fault:
        return fault.status
    return None


def _said(status: int | None) -> str:
    return "taken" if status is None else named(status)


def _state(card: CardInHand) -> tuple[object, ...]:
    """Everything a transaction could have changed: proof, slot, newest record."""
    channel = card.session()
    value = channel.send(Ins.GET_VALUE, bytes([SLOT]), answer_b=_VALUE_B)
    record = channel.send(Ins.READ_RECORDS_CHAINED, place(LOG_FILE, 1), answer_b=RECORD_B)
    return read_proof(channel), value, record
