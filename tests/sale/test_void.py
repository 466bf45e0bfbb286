"""A payment undone at the stall, without a network, and what other stalls without one make of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bench.market import AID, NOON, HeldCard, Seller, disk, entitle, issue_card
from domain.card_log import LogType
from domain.identity import Station
from domain.reason import Reason
from emulator.memory import CyclicFile
from emulator.state_file import MemoryStore
from emulator.tear import Phase, tear_on
from sync.card_format import SignedEntitlement, decode_log_record
from sync.crypto import PrivateKey, new_private_key
from sync.issuing import TMAC_KEY
from sync.record import Pay, RecordType, open_record
from sync.signed_lists import SlipKey
from sync.tmac import is_proven, parse
from terminal import events as say

COMMIT = 0xC7
KEYS: dict[int, PrivateKey] = {2: new_private_key(), 3: new_private_key()}


@pytest.fixture
def card(issued: HeldCard) -> HeldCard:
    return HeldCard(issued.order, MemoryStore(issued.store.read()))


def stall_of(
    place: Path, station: int, card: HeldCard, word: SignedEntitlement, revoked_after: int | None = None
) -> Seller:
    """A terminal that knows the keys of all others; station 2 may be revoked."""
    keys = {Station(number): SlipKey(key.public_key()) for number, key in KEYS.items()}
    if revoked_after is not None:
        keys[Station(2)] = SlipKey(KEYS[2].public_key(), revoked_after)
    seller = Seller(disk(place / str(station)), station, [card], [word], device_key=KEYS[station], slip_keys=keys)
    seller.open()
    return seller


@pytest.fixture
def stall(tmp_path: Path, card: HeldCard) -> Iterator[Seller]:
    seller = stall_of(tmp_path, 2, card, entitle(card, limits=(1_600,)))
    yield seller
    seller.close()


def paid(seller: Seller, card: HeldCard, cents: int) -> None:
    seller.sell(("vegetables", cents))
    (word,) = seller.tap(card)
    assert isinstance(word, say.Paid), word


def voided(seller: Seller, card: HeldCard) -> say.Voided:
    seller.void()
    (word,) = seller.tap(card)
    assert isinstance(word, say.Voided), word
    return word


def log_of(card: HeldCard) -> list[bytes]:
    """Log records on the card, newest first."""
    file = card.awake().memory.applications[AID].files[0x10]
    assert isinstance(file, CyclicFile)
    return list(reversed(file.records))


def asked_for(seller: Seller, card: HeldCard, cents: int) -> int:
    """What a card pays of a sum when it is asked for it: all, a part or nothing."""
    seller.sell(("vegetables", cents))
    (word,) = seller.tap(card)
    match word:
        case say.Paid(amount=amount):
            return int(amount)
        case say.Split(by_card=by_card):
            seller.back()
            return int(by_card)
        case say.PaysNothing():
            return 0
    raise AssertionError(word)


def test_the_card_that_paid_is_given_back_what_it_paid(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 1_250)
    (ask,) = stall.void()
    assert isinstance(ask, say.PresentToVoid)
    assert (ask.amount, ask.is_other_card) == (1_250, False)
    (done,) = stall.tap(card)
    assert isinstance(done, say.Voided)
    assert done.amount == 1_250
    assert done.receipt.seq == stall.journal.head().seq
    record = decode_log_record(log_of(card)[0])
    assert (record.type, record.amount, record.day_total) == (LogType.VOID, 1_250, 0)
    assert card.spent()[3] == 1_250, "a counter never goes back"
    assert asked_for(stall, card, 1_600) == 1_600


def test_another_stall_without_a_network_counts_on_the_slip(stall: Seller, card: HeldCard, tmp_path: Path) -> None:
    paid(stall, card, 1_250)
    voided(stall, card)
    other = stall_of(tmp_path, 3, card, entitle(card, limits=(1_600,)))
    assert asked_for(other, card, 2_000) == 1_600
    body = open_record(other.journal.records(1, 99)[-1])[1]
    assert body.type == RecordType.CARD_SEEN
    other.close()


def test_a_payment_that_counts_on_a_slip_names_it(stall: Seller, card: HeldCard, tmp_path: Path) -> None:
    paid(stall, card, 1_250)
    seq = voided(stall, card).receipt.seq
    other = stall_of(tmp_path, 3, card, entitle(card, limits=(1_600,)))
    paid(other, card, 1_600)
    body = open_record(other.journal.records(1, 99)[-1])[1].body
    assert body[Pay.SLIPS_COUNTED] == [[2, seq]]
    other.close()


@pytest.mark.parametrize(
    ("word", "expected", "why"),
    [
        ({"allowance": 1_249}, 350, "above the allowance: taken whole or not at all"),
        ({"allowance": 0}, 350, "no allowance"),
        ({"mark": 2}, 350, "the limit contains every void up to the mark: the slip is old"),
        ({"unconfirmed": (3,)}, 350, "a reused slot not confirmed yet, another entitlement"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_slip_does_not_count(
    stall: Seller, card: HeldCard, tmp_path: Path, word: dict[str, object], expected: int, why: str
) -> None:
    paid(stall, card, 1_250)
    voided(stall, card)
    newer = entitle(card, 2, (1_600,), **word)  # type: ignore[arg-type]
    other = stall_of(tmp_path, 3, card, newer)
    assert asked_for(other, card, 2_000) == expected, why
    other.close()


def test_a_slip_made_under_the_same_entitlement_counts_in_an_unconfirmed_slot(card: HeldCard, tmp_path: Path) -> None:
    word = entitle(card, 1, (1_600,), unconfirmed=(3,))
    stall, other = stall_of(tmp_path, 2, card, word), stall_of(tmp_path, 3, card, word)
    paid(stall, card, 1_250)
    voided(stall, card)
    assert asked_for(other, card, 2_000) == 1_600
    stall.close()
    other.close()


def test_a_slip_of_a_revoked_terminal_counts_only_up_to_its_revocation(
    stall: Seller, card: HeldCard, tmp_path: Path
) -> None:
    paid(stall, card, 1_250)
    seq = voided(stall, card).receipt.seq
    word = entitle(card, limits=(1_600,))
    (tmp_path / "late").mkdir()
    late, early = (
        stall_of(tmp_path / "late", 3, card, word, seq - 1),
        stall_of(tmp_path, 3, card, word, seq),
    )
    assert asked_for(late, card, 2_000) == 350
    assert asked_for(early, card, 2_000) == 1_600
    late.close()
    early.close()


def test_only_the_card_that_paid_can_be_given_back(stall: Seller, card: HeldCard, tmp_path: Path) -> None:
    neighbour = issue_card(2)
    seller = Seller(disk(tmp_path / "two"), 4, [card, neighbour], [entitle(card), entitle(neighbour)])
    seller.open()
    paid(seller, card, 500)
    seller.void()
    (again,) = seller.tap(neighbour)
    assert isinstance(again, say.PresentToVoid)
    assert again.is_other_card
    (done,) = seller.tap(card)
    assert isinstance(done, say.Voided)
    seller.close()
    del stall


def test_a_payment_is_undone_once(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 500)
    seq = stall.journal.head().seq
    voided(stall, card)
    assert [type(word) for word in stall.void(seq)] == [say.NothingToVoid]
    assert [type(word) for word in stall.void()] == [say.NothingToVoid]


def test_the_newest_payment_is_undone_unless_another_is_named(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 100)
    first = stall.journal.head().seq
    paid(stall, card, 200)
    (newest,) = stall.void()
    assert isinstance(newest, say.PresentToVoid)
    assert newest.amount == 200
    stall.back()
    (named,) = stall.void(first)
    assert isinstance(named, say.PresentToVoid)
    assert named.amount == 100


def test_a_third_void_stays_in_the_journal_and_in_the_cards_log(stall: Seller, card: HeldCard) -> None:
    slips = []
    for cents in (100, 200, 300):
        paid(stall, card, cents)
        voided(stall, card)
        facts = parse(open_record(stall.journal.records(1, 99)[-1])[1].body[Pay.TMI])  # type: ignore[arg-type]
        assert facts.is_void
        slips.append(None if facts.slip_written is None else facts.slip_written[0])
    assert slips == [0, 1, None]
    assert decode_log_record(log_of(card)[0]).amount == 300


def test_places_the_centre_knows_of_are_used_again(stall: Seller, card: HeldCard, tmp_path: Path) -> None:
    for cents in (100, 200):
        paid(stall, card, cents)
        voided(stall, card)
    newer = entitle(card, 2, (1_900,), mark=4)
    other = stall_of(tmp_path, 3, card, newer)
    paid(other, card, 300)
    voided(other, card)
    facts = parse(open_record(other.journal.records(1, 99)[-1])[1].body[Pay.TMI])  # type: ignore[arg-type]
    assert facts.slip_written is not None
    assert facts.slip_written[0] == 0
    other.close()


def test_the_cards_own_proof_is_over_the_void(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 700)
    voided(stall, card)
    body = open_record(stall.journal.records(1, 99)[-1])[1].body
    tmi, tmv = body[Pay.TMI], body[Pay.TMV]
    assert isinstance(tmi, bytes)
    assert isinstance(tmv, bytes)
    assert is_proven(card.order.keys[TMAC_KEY], 2, card.order.uid, tmi, tmv)
    assert (body[Pay.PAYMENT_TMC], body[Pay.DEBITS]) == (1, [[3, 700]])


def test_the_day_total_goes_down_and_never_below_zero(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 300)
    paid(stall, card, 500)
    voided(stall, card)
    assert decode_log_record(log_of(card)[0]).day_total == 300
    paid(stall, card, 100)
    assert decode_log_record(log_of(card)[0]).day_total == 400


def test_a_total_that_started_again_since_is_left_alone(tmp_path: Path, card: HeldCard) -> None:
    stall = stall_of(tmp_path, 2, card, entitle(card, limits=(1_600,), issued_at=NOON - timedelta(days=1)))
    paid(stall, card, 300)
    stall.clock.wind(24 * 3_600)
    paid(stall, card, 500)
    voided_seq = stall.journal.head().seq
    stall.void(voided_seq - 1)
    (done,) = stall.tap(card)
    assert isinstance(done, say.Voided)
    assert done.amount == 300
    assert decode_log_record(log_of(card)[0]).day_total == 500
    stall.close()


def test_a_void_torn_at_commit_is_ended_by_the_same_card(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 500)
    stall.void()
    (unknown,) = stall.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    assert isinstance(unknown, say.PutSameBack)
    assert unknown.is_void
    (done,) = stall.tap(card)
    assert isinstance(done, say.Voided)
    assert stall.journal.doubts() == ()
    assert stall.journal.paid_on(card.order.card, NOON.date()) == 0


def test_a_void_that_was_not_done_is_done_at_the_second_tap(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 500)
    stall.void()
    stall.tap(card, tear_on(COMMIT, Phase.BEFORE))
    assert len(stall.journal.doubts()) == 1
    (done,) = stall.tap(card)
    assert isinstance(done, say.Voided)
    assert [decode_log_record(record).type for record in log_of(card)[:2]] == [LogType.VOID, LogType.PAYMENT]


def test_a_holder_who_leaves_with_a_void_in_doubt_keeps_the_payment_standing(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 500)
    stall.void()
    stall.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    (waits,) = stall.back()
    assert isinstance(waits, say.InVerification)
    assert waits.is_void
    assert stall.journal.paid_on(card.order.card, NOON.date()) == 500
    assert [type(word) for word in stall.accept()] == [say.Ready]
    assert [type(word) for word in stall.void()] == [say.NothingToVoid], "perhaps it is undone already"
    (note,) = stall.tap(card)
    assert isinstance(note, say.DoubtSolved)
    assert note.is_void
    assert stall.journal.paid_on(card.order.card, NOON.date()) == 0


def test_after_a_void_the_same_sum_is_no_second_payment(stall: Seller, card: HeldCard) -> None:
    paid(stall, card, 500)
    voided(stall, card)
    stall.sell(("vegetables", 500))
    (word,) = stall.tap(card)
    assert isinstance(word, say.Paid)


def test_a_card_behind_its_mark_is_given_nothing_back(stall: Seller, card: HeldCard, tmp_path: Path) -> None:
    before = MemoryStore(card.store.read())
    paid(stall, card, 500)
    cloned = HeldCard(card.order, before)
    stall.lists.entitlements[card.order.card] = entitle(card, 2, (1_600,), mark=1)  # type: ignore[index]
    stall.void()
    (word,) = stall.tap(cloned)
    assert isinstance(word, say.NotVoided)
    assert word.reason is Reason.NOT_GENUINE
    del tmp_path
