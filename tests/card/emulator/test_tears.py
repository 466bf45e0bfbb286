"""Pulling the card at every APDU of a payment, in every phase: the card's file has all of it or nothing."""

import os
from pathlib import Path

import pytest
from virtual_card_host import (
    AID,
    ENTITLEMENT,
    FULL_CENTS,
    INFO,
    KEYS,
    LOG,
    TMAC,
    UID,
    Host,
    cbc,
    issue,
    le4,
    short_mac,
)

from emulator.card import VirtualCard
from emulator.field import Exchange, FieldGone
from emulator.inprocess import InProcessField
from emulator.memory import CardMemory, CyclicFile, DataFile, TmacFile, ValueFile
from emulator.state_file import FileStore, MemoryStore, from_text
from emulator.tear import Fault, Moment, Phase, Tear, empty, one_byte, oversized, tear_at, tear_on, truncated, wrong_mac
from emulator.tear import delayed as delayed_by

APDUS = 14
COMMIT = APDUS - 1
RECORD = bytes(range(32))
NEWER = bytes(i % 251 for i in range(234))


@pytest.fixture(scope="session")
def issued_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("card") / "card.json"
    issue(VirtualCard.blank(UID, path))
    return path.read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path, issued_text: str) -> Path:
    path = tmp_path / "card.json"
    path.write_text(issued_text, encoding="utf-8")
    return path


def _pay(field: InProcessField, native: bool = False) -> None:
    """Two slots, a newer entitlement and the log record: 14 APDUs by ISO-DEP chaining."""
    read, write, records, record = (0xBD, 0x3D, 0xBB, 0x3B) if native else (0xAD, 0x8D, 0xAB, 0x8B)
    host = Host(field.exchange)
    host.select()
    host.ev2(KEYS[1], 1)
    host.read(TMAC, 0, 12, ins=read)
    host.reader_id(b"\x01" * 16)
    host.read_records(LOG, 0, 1, ins=records)
    host.read(ENTITLEMENT, 0, 234, ins=read)
    for slot in (1, 2):
        host.get_value(slot)
    host.write(ENTITLEMENT, 0, NEWER, ins=write)
    for slot in (1, 2):
        host.debit(slot, 100 * slot)
    host.write_record(LOG, RECORD, ins=record)
    host.commit()


def _facts(memory: CardMemory) -> tuple[int, int, bytes, bytes, int, bool]:
    """Both slots, the newest record, the entitlement, TMC, and whether a TMV is there."""
    files = memory.applications[AID].files
    first, second, log, entitlement, tmac = files[1], files[2], files[LOG], files[ENTITLEMENT], files[TMAC]
    assert isinstance(first, ValueFile)
    assert isinstance(second, ValueFile)
    assert isinstance(log, CyclicFile)
    assert isinstance(entitlement, DataFile)
    assert isinstance(tmac, TmacFile)
    newest, written = log.records[-1], entitlement.content[:234]
    return first.value, second.value, newest, written, tmac.tmc, tmac.tmv != bytes(8)


NOTHING = (FULL_CENTS, FULL_CENTS, bytes(32), bytes(234), 0, False)
ALL = (FULL_CENTS - 100, FULL_CENTS - 200, RECORD, NEWER, 1, True)


def test_a_whole_payment_is_fourteen_apdus(path: Path) -> None:
    seen: list[Exchange] = []
    field = InProcessField()
    field.present(VirtualCard.load(path), log=seen.append)
    _pay(field)
    assert [exchange.index for exchange in seen] == list(range(APDUS))
    assert seen[COMMIT].instruction == 0xC7
    assert _facts(from_text(path.read_text(encoding="utf-8"))) == ALL


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
@pytest.mark.parametrize("index", range(APDUS))
def test_a_torn_payment_leaves_all_or_nothing(path: Path, index: int, phase: Phase) -> None:
    card = VirtualCard.load(path)
    field = InProcessField()
    field.present(card, [tear_at(index, phase)])
    if (index, phase) == (COMMIT, Phase.AFTER):
        _pay(field)
    else:
        with pytest.raises(FieldGone):
            _pay(field)
    assert not field.is_occupied
    done = index == COMMIT and phase is not Phase.BEFORE
    expected = ALL if done else NOTHING
    assert _facts(from_text(path.read_text(encoding="utf-8"))) == expected
    for again in (card, VirtualCard.load(path)):
        field.present(again)
        host = Host(field.exchange)
        host.select()
        host.ev2(KEYS[1], 1)
        assert host.get_value(1) == expected[0]
        assert host.read_records(LOG, 0, 1) == expected[2]
        assert host.read(TMAC, 0, 4) == le4(expected[4])
        field.lift()


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
def test_a_payment_torn_inside_an_af_chain_leaves_nothing(path: Path, phase: Phase) -> None:
    for nth in range(1, 6):
        field = InProcessField()
        field.present(VirtualCard.load(path), [tear_on(0xAF, phase, nth=nth)])
        with pytest.raises(FieldGone):
            _pay(field, native=True)
        assert _facts(from_text(path.read_text(encoding="utf-8"))) == NOTHING


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
def test_the_second_of_two_commits_can_be_torn(path: Path, phase: Phase) -> None:
    field = InProcessField()
    field.present(VirtualCard.load(path), [tear_on(0xC7, phase, nth=2)])
    _pay(field)
    if phase is Phase.AFTER:
        _pay(field)
    else:
        with pytest.raises(FieldGone):
            _pay(field)
    assert _facts(VirtualCard.load(path).memory)[4] == (1 if phase is Phase.BEFORE else 2)


class _PowerCut(Exception):
    pass


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_power_cut_while_the_file_is_written_leaves_the_old_one(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = InProcessField()
    card = VirtualCard.load(path)
    field.present(card)

    def cut(*_arguments: object, **_named: object) -> None:
        raise _PowerCut

    pay_until_commit = Host(field.exchange)
    pay_until_commit.select()
    pay_until_commit.ev2(KEYS[1], 1)
    pay_until_commit.reader_id(bytes(16))
    pay_until_commit.debit(1, 100)
    target = os if step == "fsync" else Path
    monkeypatch.setattr(target, step, cut)
    with pytest.raises(_PowerCut):
        pay_until_commit.commit()
    monkeypatch.undo()
    assert _facts(VirtualCard.load(path).memory) == NOTHING
    assert _facts(card.memory) == NOTHING


def test_a_commit_is_one_write_of_the_cards_file(issued_text: str) -> None:
    written: list[str] = []

    class Recorder(MemoryStore):
        def write(self, text: str) -> None:
            written.append(text)
            self.text = text

    field = InProcessField()
    field.present(VirtualCard.load(Recorder(issued_text)))
    _pay(field)
    assert [_facts(from_text(text)) for text in written] == [ALL]


@pytest.mark.parametrize(
    ("phase", "content"), [(Phase.BEFORE, b"I" * 96), (Phase.AFTER, b"N" * 96), (Phase.ANSWER_LOST, b"N" * 96)]
)
def test_a_torn_write_to_a_standard_file_is_whole_or_not_there(path: Path, phase: Phase, content: bytes) -> None:
    field = InProcessField()
    field.present(VirtualCard.load(path), [tear_on(0x8D, phase)])
    host = Host(field.exchange)
    host.select()
    host.ev2(KEYS[3], 3)
    if phase is Phase.AFTER:
        host.write(INFO, 0, b"N" * 96)
    else:
        with pytest.raises(FieldGone):
            host.write(INFO, 0, b"N" * 96)
    file = VirtualCard.load(path).memory.applications[AID].files[INFO]
    assert isinstance(file, DataFile)
    assert file.content == content


def test_the_proof_of_a_lost_answer_waits_in_the_transaction_mac_file(path: Path) -> None:
    field = InProcessField()
    field.present(VirtualCard.load(path), [tear_on(0xC7, Phase.ANSWER_LOST)])
    with pytest.raises(FieldGone):
        _pay(field)
    field.present(VirtualCard.load(path))
    host = Host(field.exchange)
    host.select()
    host.ev2(KEYS[1], 1)
    tmac = host.read(TMAC, 0, 12)
    assert tmac[:4] == le4(1)
    assert tmac[4:] != bytes(8)


@pytest.mark.parametrize(
    ("distort", "length_b"),
    [(empty, 0), (one_byte, 1), (truncated(5), 5), (oversized, 65535), (wrong_mac, 14)],
    ids=["empty", "one byte", "truncated", "oversized", "wrong MAC"],
)
def test_a_misbehaving_card_answers_as_told(path: Path, distort: object, length_b: int) -> None:
    field = InProcessField()
    field.present(VirtualCard.load(path), [Fault(Moment(instruction=0x45), distort)])  # type: ignore[arg-type]
    host = Host(field.exchange)
    host.select()
    host.ev2(KEYS[0], 0)
    sealed = host.sealed(0x45, b"", b"", full=False)
    answer = field.exchange(b"\x90\x45\x00\x00" + bytes([len(sealed)]) + sealed + b"\x00")
    if distort is wrong_mac:
        assert answer[:2] == b"\x09\x85"
        expected = short_mac(host.mac_key, b"\x00\x01\x00" + host.ti + answer[:2])
        assert [a == b for a, b in zip(answer[2:10], expected, strict=True)] == [True] * 7 + [False]
    else:
        assert len(answer) == length_b


def test_a_late_answer_is_the_true_one(path: Path) -> None:
    waited: list[float] = []
    field = InProcessField()
    field.present(VirtualCard.load(path), [Fault(Moment(index=0), delayed_by(2.5, waited.append))])
    assert field.exchange(b"\x90\x60\x00\x00\x00")[-2:] == b"\x91\xaf"
    assert waited == [2.5]


def test_a_fault_can_meet_every_apdu(path: Path) -> None:
    field = InProcessField()
    field.present(VirtualCard.load(path), [Fault(Moment(nth=0), one_byte)])
    assert {field.exchange(b"\x90\x60\x00\x00\x00") for _ in range(3)} == {b"\x91"}


def test_a_moment_names_position_instruction_and_occurrence() -> None:
    assert Moment(index=3).covers(3, 0xC7)
    assert not Moment(index=3).covers(4, 0xC7)
    assert Moment(instruction=0xC7).covers(9, 0xC7)
    assert not Moment(instruction=0xC7).covers(9, 0xDC)
    assert Tear(Moment(), Phase.BEFORE).at.covers(0, 0)


def test_a_clone_has_the_uid_but_not_the_keys(path: Path) -> None:
    clone = VirtualCard.blank(UID)
    field = InProcessField()
    field.present(clone)
    assert field.exchange(bytes.fromhex("FFCA000000")) == UID + b"\x90\x00"
    assert Host(field.exchange).apdu(0x5A, AID) == (b"", 0xA0)


def test_the_file_can_be_edited_to_make_a_card_with_the_wrong_key(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    FileStore(path).write(text.replace(KEYS[1].hex().upper(), "AB" * 16))
    card = VirtualCard.load(path)
    card.power_on()
    host = Host(card.transceive)
    host.select()
    challenge, _ = host.apdu(0x71, b"\x01\x00")
    b = cbc(KEYS[1], bytes(16), challenge, decrypt=True)
    assert host.apdu(0xAF, cbc(KEYS[1], bytes(16), bytes(16) + b[1:] + b[:1])) == (b"", 0xAE)
