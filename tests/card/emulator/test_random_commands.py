"""Random commands: the card never fails, and money moves only at CommitTransaction, by what was debited."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from virtual_card_host import AID, ENTITLEMENT, FULL_CENTS, KEYS, LOG, TMAC, UID, Host, Status, issue, le4

from emulator.card import COMMANDS, VirtualCard
from emulator.memory import CardMemory, DataFile, TmacFile, ValueFile
from emulator.state_file import MemoryStore, from_text

SLOTS = range(1, 9)
INSTRUCTIONS = sorted({*COMMANDS, 0x1A, 0xAA, 0x71, 0x77, 0xAF, 0xFC, 0xEB})


@pytest.fixture(scope="module")
def issued() -> CardMemory:
    card = VirtualCard.blank(UID)
    issue(card)
    return card.memory


def _values(memory: CardMemory) -> list[int]:
    files = [memory.applications[AID].files[slot] for slot in SLOTS]
    return [file.value for file in files if isinstance(file, ValueFile)]


def _tmac(memory: CardMemory) -> TmacFile:
    file = memory.applications[AID].files[TMAC]
    assert isinstance(file, TmacFile)
    return file


def _entitlement(memory: CardMemory) -> bytes:
    file = memory.applications[AID].files[ENTITLEMENT]
    assert isinstance(file, DataFile)
    return file.content


@dataclass
class Ledger:
    """What the card should hold, kept by the test."""

    values: list[int] = field(default_factory=lambda: [FULL_CENTS] * 8)
    pending: dict[int, int] = field(default_factory=dict)
    entitlement: bytes = bytes(426)
    written: bytes | None = None
    records: int = 0
    has_reader: bool = False
    tmc: int = 0

    def drop(self) -> None:
        self.pending, self.records, self.written, self.has_reader = {}, 0, None, False

    def commit(self) -> None:
        for slot, cents in self.pending.items():
            self.values[slot - 1] -= cents
        self.entitlement = self.written or self.entitlement
        self.tmc += 1
        self.drop()


slot = st.sampled_from(SLOTS)
cents = st.one_of(st.integers(0, 5000), st.sampled_from([FULL_CENTS, FULL_CENTS + 1, 2**31 - 1, -1, -(2**31)]))
step = st.one_of(
    st.tuples(st.just("session"), st.integers(0, 5)),
    st.tuples(st.just("debit"), slot, cents),
    st.tuples(st.just("debit"), slot, st.integers(0, 5000)),
    st.tuples(st.just("credit"), slot, cents),
    st.tuples(st.just("reader")),
    st.tuples(st.just("reader")),
    st.tuples(st.just("value"), slot),
    st.tuples(st.just("record"), st.binary(min_size=0, max_size=33)),
    st.tuples(st.just("entitlement"), st.integers(0, 426), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("commit")),
    st.tuples(st.just("payment"), slot, st.integers(0, 5000)),
    st.tuples(st.just("payment"), slot, st.integers(0, 5000)),
    st.tuples(st.just("abort")),
    st.tuples(st.just("power")),
    st.tuples(st.just("garbage"), st.binary(max_size=40)),
    st.tuples(st.just("native"), st.sampled_from(INSTRUCTIONS), st.binary(max_size=60)),
)


def _take(host: Host, card: VirtualCard, ledger: Ledger, action: tuple[object, ...]) -> None:
    """Do one step and keep the ledger; raises Status when the card refuses."""
    match action:
        case ("session", int() as key_no):
            ledger.drop()
            host.select()
            host.ev2(KEYS[key_no % 5], key_no)
        case ("debit", int() as number, int() as amount):
            host.debit(number, amount)
            ledger.pending[number] = ledger.pending.get(number, 0) + amount
        case ("credit", int() as number, int() as amount):
            host.full(0x0C, bytes([number]), le4(amount))
            ledger.pending[number] = ledger.pending.get(number, 0) - amount
        case ("reader",):
            host.reader_id(bytes(16))
            ledger.has_reader = True
        case ("value", int() as number):
            assert host.get_value(number) == ledger.values[number - 1]
        case ("record", bytes() as content):
            host.write_record(LOG, content)
            ledger.records += 1
        case ("entitlement", int() as offset, bytes() as content):
            host.write(ENTITLEMENT, offset, content)
            before = ledger.written or ledger.entitlement
            ledger.written = before[:offset] + content + before[offset + len(content) :]
        case ("commit",):
            changed = bool(ledger.pending or ledger.records or ledger.written)
            tmc, _ = host.commit()
            assert changed
            assert ledger.has_reader
            ledger.commit()
            assert tmc == ledger.tmc
            event("committed")
        case ("payment", int() as number, int() as amount):
            for part in (("session", 1), ("reader",), ("debit", number, amount), ("record", b"paid"), ("commit",)):
                _take(host, card, ledger, part)
        case ("abort",):
            host.mac(0xA7)
            ledger.drop()
        case ("power",):
            card.power_on()
            ledger.drop()
        case ("garbage", bytes() as apdu):
            assert len(card.transceive(apdu)) >= 2
            raise Status(0xFF)
        case ("native", int() as ins, bytes() as body):
            host.apdu(ins, body)
            raise Status(0xFF)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=3, max_size=40))
def test_money_moves_only_at_commit_and_by_what_was_debited(
    issued: CardMemory, steps: list[tuple[object, ...]]
) -> None:
    store = MemoryStore()
    card = VirtualCard.blank(UID, store)
    card._state.keep(issued)
    card.power_on()
    host, ledger = Host(card.transceive), Ledger()
    for action in [("session", 1), *steps]:
        try:
            _take(host, card, ledger, action)
        except Status:
            # A refusal has ended the session and dropped the transaction; what was meddled with is ended here.
            card.power_on()
            _take(host, card, ledger, ("session", 1))
        assert _values(card.memory) == ledger.values
        assert _entitlement(card.memory) == ledger.entitlement
        assert _tmac(card.memory).tmc == ledger.tmc
        assert from_text(store.text) == card.memory


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    level=st.sampled_from([None, 0, 1, 3]),
    frames=st.lists(st.tuples(st.sampled_from(INSTRUCTIONS), st.binary(max_size=255)), min_size=1, max_size=6),
)
def test_no_frame_makes_the_card_fail(issued: CardMemory, level: int | None, frames: list[tuple[int, bytes]]) -> None:
    card = VirtualCard.blank(UID)
    card._state.keep(issued)
    card.power_on()
    host = Host(card.transceive)
    host.select()
    if level is not None:
        host.ev2(KEYS[level], level)
    for ins, body in frames:
        answer, _status = host.apdu(ins, body)
        assert len(answer) <= 256
    assert _values(card.memory) == [FULL_CENTS] * 8


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ins=st.sampled_from(sorted(COMMANDS)), data=st.data())
def test_no_well_protected_command_makes_the_card_fail(issued: CardMemory, ins: int, data: st.DataObject) -> None:
    card = VirtualCard.blank(UID)
    card._state.keep(issued)
    for key_no in (0, 1, 3):
        card.power_on()
        host = Host(card.transceive)
        host.select()
        try:
            host.ev2(KEYS[key_no], key_no)
        except Status:
            return  # the command before changed the keys
        header = data.draw(st.binary(max_size=8))
        body = data.draw(st.binary(max_size=24))
        full = data.draw(st.booleans())
        answer, _status = host.apdu(ins, host.sealed(ins, header, body, full=full))
        assert len(answer) <= 256
