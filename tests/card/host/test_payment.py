"""A payment on the emulator's card: how many APDUs, which bytes, and what a tear at each of them does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.identity import SlotFile
from emulator.tear import Fault, Moment, Phase, Tear
from sync import crypto
from sync.issuing import TMAC_KEY, IssueOrder
from terminal.errors import CardFault, CardGone, CardMisbehaves, OutcomeUnknown
from terminal.nfc.apdu import ISO_DEP, NATIVE, Profile
from terminal.nfc.desfire_purse import DesfirePurse
from terminal.ports import CardHead, CardPlan, CommitProof

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall

READER_ID = bytes([1, 0, 0, 7, 0, 0, 1]) + bytes(9)
ENTITLEMENT = bytes([1]) + bytes(range(232))
COMMIT = 0xC7
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "desfire.json").read_text())


def plan_of(stall: Stall, tmc: int, *amounts: int, entitlement: bytes | None = None) -> CardPlan:
    return stall.plan_of(tmc, *amounts, entitlement=entitlement)


def authenticated(stall: Stall, *disturbances: object, budget_s: float = 5.0) -> DesfirePurse:
    contact = stall.readers.connect(stall.lay(*disturbances), stall.clock.deadline(budget_s))
    return contact.authenticate(stall.ref)


def pay(stall: Stall, *amounts: int, disturbances: tuple[object, ...] = (), **more: bytes) -> CommitProof:
    """A whole payment of one amount per slot, as the till does it."""
    card = authenticated(stall, *disturbances)
    head = card.open(READER_ID, all_logs=False)
    card.values([SlotFile(n + 1) for n in range(len(amounts))])
    plan = plan_of(stall, head.tmc + 1, *amounts, **more)
    foretold = card.foretell(plan)
    card.stage(plan)
    proof = card.commit()
    assert proof.tmi == foretold
    return proof


def head_of(stall: Stall, *, all_logs: bool = False) -> CardHead:
    return authenticated(stall).open(READER_ID, all_logs=all_logs)


def values_of(stall: Stall, *files: int) -> list[int]:
    card = authenticated(stall)
    card.open(READER_ID, all_logs=False)
    return [int(value) for value in card.values([SlotFile(file) for file in files]).values()]


@pytest.mark.parametrize(
    ("amounts", "entitlement", "apdus", "tmi_b"),
    [
        ((100,), None, 11, 432),
        ((100, 250), None, 13, 464),
        ((100, 250), ENTITLEMENT, 14, 720),
        ((1, 2, 3), None, 15, 496),
    ],
)
def test_a_payment_takes_nine_apdus_and_one_for_each_slot_read_and_debited(
    stall: Stall, amounts: tuple[int, ...], entitlement: bytes | None, apdus: int, tmi_b: int
) -> None:
    proof = pay(stall, *amounts, **({"entitlement": entitlement} if entitlement else {}))
    assert stall.readers.counters.apdus == apdus
    assert (proof.tmc, len(proof.tmi)) == (1, tmi_b)
    assert values_of(stall, *range(1, len(amounts) + 1)) == [16_000_000 - amount for amount in amounts]


def tmv_over(order: IssueOrder, tmc: int, tmi: bytes) -> bytes:
    """The proof a card owes for a TMI (MF2DL(H)x0 §10.3.2)."""
    vector = bytes.fromhex("5A00010080") + tmc.to_bytes(4, "little") + order.uid
    session_key = crypto.aes_cmac(order.keys[TMAC_KEY], vector)
    return crypto.aes_cmac(session_key, tmi)[1::2]


def test_the_key_of_a_proof_is_the_published_one() -> None:
    vector = VECTORS["tmac_session_keys"][0]
    text = bytes.fromhex("5A00010080") + vector["tmc"].to_bytes(4, "little") + bytes.fromhex(vector["uid"])
    assert crypto.aes_cmac(bytes.fromhex(vector["app_tm_key"]), text) == bytes.fromhex(vector["mac"])


@pytest.mark.parametrize("profile", [ISO_DEP, NATIVE], ids=["iso-dep", "native"])
def test_the_proof_of_the_card_holds_over_the_tmi_as_foretold(stall: Stall, profile: Profile) -> None:
    stall.use(profile)
    for tmc, entitlement in ((1, None), (2, ENTITLEMENT), (3, None)):
        proof = pay(stall, 100, 250, **({"entitlement": entitlement} if entitlement else {}))
        assert proof.tmv == tmv_over(stall.order, tmc, proof.tmi)
    stall.set_slip_places(0b01, bytes(range(192)))
    proof = pay(stall, 7)
    assert proof.tmv == tmv_over(stall.order, 5, proof.tmi)


def test_the_proof_holds_over_eight_records_read_too(stall: Stall) -> None:
    for _ in range(9):
        pay(stall, 1)
    card = authenticated(stall)
    card.open(READER_ID, all_logs=True)
    card.stage(plan_of(stall, 10, 1))
    proof = card.commit()
    assert proof.tmv == tmv_over(stall.order, 10, proof.tmi)


def test_the_next_tap_reads_the_proof_the_record_and_the_entitlement_of_the_last_payment(stall: Stall) -> None:
    proof = pay(stall, 100, 250, entitlement=ENTITLEMENT)
    head = head_of(stall)
    assert (head.tmc, head.tmv) == (1, proof.tmv)
    assert head.logs == (plan_of(stall, 1, 100, 250).log_record,)
    assert (head.entitlement, head.slips) == (ENTITLEMENT, {})


def test_a_fresh_card_has_no_proof_one_record_and_no_entitlement(stall: Stall) -> None:
    head = head_of(stall, all_logs=True)
    assert (head.tmc, head.tmv) == (0, bytes(8))
    assert len(head.logs) == 1 and head.logs[0][0] == 0x10
    assert not any(head.entitlement)


@pytest.mark.parametrize("profile", [ISO_DEP, NATIVE], ids=["iso-dep", "native"])
def test_all_records_come_newest_first_on_young_and_old_cards(stall: Stall, profile: Profile) -> None:
    stall.use(profile)
    records = [head_of(stall).logs[0]]
    for tmc in range(1, 12):
        pay(stall, tmc)
        records.insert(0, plan_of(stall, tmc, tmc).log_record)
        assert head_of(stall, all_logs=True).logs == tuple(records[:8])


def test_a_card_that_only_knows_native_chaining_pays_within_22_apdus(stall: Stall) -> None:
    stall.use(NATIVE)
    pay(stall, 100, 250, entitlement=ENTITLEMENT)
    assert 14 <= stall.readers.counters.apdus <= 27
    stall.readers.counters.apdus = 0
    pay(stall, 100, 250)
    assert 14 <= stall.readers.counters.apdus <= 22
    assert values_of(stall, 1, 2) == [16_000_000 - 200, 16_000_000 - 500]


def test_the_byte_of_slip_places_is_kept_when_an_entitlement_is_written(stall: Stall) -> None:
    pay(stall, 1, entitlement=ENTITLEMENT)
    stall.set_slip_places(0b11, bytes([0xA1]) * 96 + bytes([0xB2]) * 96)
    newer = bytes([1]) + bytes(232)
    stall.readers.counters.apdus = 0
    pay(stall, 1, entitlement=newer)
    assert stall.readers.counters.apdus == 13
    head = head_of(stall)
    assert head.entitlement == newer
    assert head.slips == {0: bytes([0xA1]) * 96, 1: bytes([0xB2]) * 96}


def test_only_the_slip_places_in_use_are_told(stall: Stall) -> None:
    stall.set_slip_places(0b10, bytes([0xA1]) * 96 + bytes([0xB2]) * 96)
    assert head_of(stall).slips == {1: bytes([0xB2]) * 96}


def test_a_card_may_be_authenticated_twice_in_one_tap(stall: Stall) -> None:
    contact = stall.readers.connect(stall.lay(), stall.clock.deadline(5))
    contact.authenticate(stall.ref).open(READER_ID, all_logs=True)
    card = contact.authenticate(stall.ref)
    head = card.open(READER_ID, all_logs=False)
    plan = plan_of(stall, head.tmc + 1, 500)
    foretold = card.foretell(plan)
    card.stage(plan)
    assert card.commit().tmi == foretold


INDEXES = range(14)  # two slots and a newer entitlement


@pytest.mark.parametrize("phase", list(Phase), ids=[phase.name for phase in Phase])
@pytest.mark.parametrize("index", INDEXES)
def test_a_torn_payment_leaves_all_or_nothing_and_says_which_where_it_can(
    stall: Stall, index: int, phase: Phase
) -> None:
    before = values_of(stall, 1, 2)
    tear = Tear(Moment(index=index), phase)
    is_commit, answered = index == INDEXES[-1], phase is Phase.AFTER
    is_unknown = is_commit or (index == INDEXES[-2] and answered)  # Commit went into an empty field
    if is_commit and answered:
        pay(stall, 100, 250, entitlement=ENTITLEMENT, disturbances=(tear,))
    else:
        with pytest.raises(OutcomeUnknown if is_unknown else CardGone):
            pay(stall, 100, 250, entitlement=ENTITLEMENT, disturbances=(tear,))
    is_paid = is_commit and phase is not Phase.BEFORE
    assert values_of(stall, 1, 2) == ([before[0] - 100, before[1] - 250] if is_paid else before)
    head = head_of(stall)
    assert head.tmc == int(is_paid)
    assert any(head.entitlement) == is_paid
    assert head.logs[0][4:10] == (bytes([0, 0, 1, 0, 0, 1]) if is_paid else bytes(6))


DISTORTIONS = {
    "empty": lambda answer: b"",
    "one byte": lambda answer: answer[:1],
    "truncated": lambda answer: answer[:-3],
    "without status": lambda answer: answer[:-2],
    "too long": lambda answer: bytes(257) + answer,
    "65535 bytes": lambda answer: bytes(65_535),
    "status 9000": lambda answer: answer[:-2] + b"\x90\x00",
    "unknown error": lambda answer: b"\x91\xee",
    "more, for ever": lambda answer: answer[:-2] + b"\x00\x91\xaf",
    "one bit": lambda answer: bytes([answer[0] ^ 1]) + answer[1:] if len(answer) > 2 else b"\x91\x01",
    "last byte": lambda answer: (
        answer[:-3] + bytes([answer[-3] ^ 0x80]) + answer[-2:] if len(answer) > 2 else b"\x00\x91\x00"
    ),
}


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distorted_answer_is_a_clear_fault_and_never_a_payment(stall: Stall, name: str) -> None:
    for index in INDEXES:
        done = values_of(stall, 1, 2)
        fault = Fault(Moment(index=index), DISTORTIONS[name])
        is_commit = index == INDEXES[-1]
        with pytest.raises(OutcomeUnknown if is_commit else CardFault) as caught:
            pay(stall, 100, 250, entitlement=ENTITLEMENT, disturbances=(fault,))
        assert not isinstance(caught.value, CardGone)
        assert values_of(stall, 1, 2) == ([done[0] - 100, done[1] - 250] if is_commit else done)


@pytest.mark.parametrize("status", [0x0C, 0x1E, 0x7E, 0x9D, 0xAE])
def test_a_commit_refused_before_anything_is_done_is_an_ordinary_fault(stall: Stall, status: int) -> None:
    fault = Fault(Moment(instruction=COMMIT), lambda _answer: bytes([0x91, status]))
    with pytest.raises(CardMisbehaves):
        pay(stall, 100, disturbances=(fault,))


@pytest.mark.parametrize("status", [0x0E, 0xAF, 0xBE, 0xCA, 0xEE, 0xF1, 0x91])
def test_any_other_answer_to_commit_leaves_the_outcome_unknown(stall: Stall, status: int) -> None:
    fault = Fault(Moment(instruction=COMMIT), lambda _answer: bytes([0x91, status]))
    with pytest.raises(OutcomeUnknown):
        pay(stall, 100, disturbances=(fault,))


def test_commit_is_not_sent_once_the_time_is_over(stall: Stall) -> None:
    card = authenticated(stall, budget_s=0.5)
    head = card.open(READER_ID, all_logs=False)
    card.stage(plan_of(stall, head.tmc + 1, 100))
    sent = stall.readers.counters.apdus
    stall.clock.skip_s = 10.0
    with pytest.raises(CardGone):
        card.commit()
    stall.clock.skip_s = 0.0
    assert stall.readers.counters.apdus == sent
    assert head_of(stall).tmc == 0
