"""What a cashier and a holder live through at one stall."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bench.market import AID, NOON, READER, RULES, HeldCard, Seller, disk, entitle, issue_card
from domain.money import Cents
from domain.reason import Reason
from domain.rule_set import Case, Payer, WhoPays
from emulator.card import VirtualCard
from emulator.state_file import MemoryStore
from emulator.tear import Fault, Moment, Phase, empty, one_byte, oversized, tear_on, truncated, wrong_mac
from sync.record import Alarm, Outcome, Pay, RecordType, Seen, open_record
from terminal import events as say
from terminal.errors import ReaderLost, ReaderStuck
from tests.journal.faulty_vfs import FaultyDisk

COMMIT, DEBIT, WRITE_RECORD = 0xC7, 0xDC, 0x8B


def copy_of(card: HeldCard) -> HeldCard:
    return HeldCard(card.order, MemoryStore(card.store.read()))


@pytest.fixture
def card(issued: HeldCard) -> HeldCard:
    return copy_of(issued)


@pytest.fixture
def stall(tmp_path: Path, card: HeldCard) -> Iterator[Seller]:
    seller = Seller(disk(tmp_path / "stall"), 2, [card], [entitle(card)])
    seller.open()
    yield seller
    seller.close()


def kinds(said: tuple[say.Outward, ...]) -> list[type]:
    return [type(word) for word in said]


def types_of(stall: Seller) -> list[int]:
    return [open_record(record)[1].type for record in stall.journal.records(1, 999)]


def test_one_tap_pays(stall: Seller, card: HeldCard) -> None:
    assert kinds(stall.sell(("vegetables", 1_250))) == [say.PresentCard]
    (paid,) = stall.tap(card)
    assert isinstance(paid, say.Paid)
    assert (paid.amount, paid.rest) == (1_250, 0)
    assert card.spent()[3] == 1_250
    assert paid.receipt.seq == stall.journal.head().seq


def test_wine_is_paid_otherwise_and_one_tap_is_still_enough(stall: Seller, card: HeldCard) -> None:
    (shown,) = stall.sell(("vegetables", 1_250), ("alcohol", 310))
    assert isinstance(shown, say.PresentCard)
    assert (shown.asked, shown.rest) == (1_250, 310)
    (paid,) = stall.tap(card)
    assert isinstance(paid, say.Paid)
    assert (paid.amount, paid.rest) == (1_250, 310)


def test_a_basket_no_card_may_pay_never_asks_for_a_card(stall: Seller) -> None:
    (answer,) = stall.sell(("alcohol", 900))
    assert isinstance(answer, say.PaysNothing)
    assert answer.reason is Reason.NEVER_FAMILY


def test_a_card_that_lies_there_already_pays_at_once(stall: Seller, card: HeldCard) -> None:
    stall.lay_down(card)
    assert kinds(stall.sell(("bread", 300))) == [say.PresentCard, say.Paid]


def test_when_too_little_is_left_nothing_is_debited_until_the_split_is_accepted(stall: Seller, card: HeldCard) -> None:
    stall.sell(("vegetables", 3_060))
    stall.tap(card)
    stall.sell(("vegetables", 1_250))
    (split,) = stall.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.rest) == (940, 310)
    assert card.spent()[3] == 3_060
    assert stall.accept() == ()
    (paid,) = stall.tap(card)
    assert isinstance(paid, say.Paid)
    assert (paid.amount, paid.rest) == (940, 310)
    assert card.spent()[3] == 4_000


def test_accepting_a_split_debits_at_once_a_card_that_still_lies_there(stall: Seller, card: HeldCard) -> None:
    stall.sell(("vegetables", 4_500))
    stall.lay_down(card)
    assert kinds(stall.accept()) == [say.Paid]
    assert card.spent()[3] == 4_000


def test_a_split_nobody_answers_goes_away_after_a_minute(stall: Seller, card: HeldCard) -> None:
    stall.sell(("vegetables", 4_500))
    stall.tap(card)
    stall.clock.wind(59)
    assert stall.tell(say.Tick()) == ()
    stall.clock.wind(2)
    assert kinds(stall.tell(say.Tick())) == [say.Ready]


def test_another_card_may_not_pay_a_split_offered_to_the_first(stall: Seller, card: HeldCard, tmp_path: Path) -> None:
    other = issue_card(2)
    seller = Seller(disk(tmp_path / "other"), 3, [card, other], [entitle(card), entitle(other, limits=(700,))])
    seller.open()
    seller.sell(("vegetables", 4_500))
    seller.tap(card)
    seller.accept()
    (offered,) = seller.tap(other)
    assert isinstance(offered, say.Split)
    assert offered.by_card == 700
    assert card.spent()[3] == other.spent()[3] == 0
    seller.close()


def test_the_same_sum_by_the_same_card_within_a_minute_is_asked_about(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 300))
    stall.tap(card)
    stall.sell(("bread", 300))
    (asked,) = stall.tap(card)
    assert isinstance(asked, say.AlreadyPaid)
    assert card.spent()[3] == 300
    assert kinds(stall.accept()) == [say.PresentCard]
    assert kinds(stall.tap(card)) == [say.Paid]
    stall.clock.wind(61)
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card)) == [say.Paid]


def test_a_large_sum_asks_for_a_key_first(tmp_path: Path, card: HeldCard) -> None:
    seller = Seller(disk(tmp_path / "stall"), 2, [card], [entitle(card, limits=(9_000,))])
    seller.open()
    assert kinds(seller.sell(("vegetables", 6_500))) == [say.ConfirmAmount]
    assert seller.tap(card) == ()
    assert kinds(seller.accept()) == [say.PresentCard]
    assert kinds(seller.tap(card)) == [say.Paid]
    seller.close()


def test_a_card_on_the_hot_list_and_an_unknown_one_pay_nothing(tmp_path: Path, card: HeldCard) -> None:
    hot = frozenset({card.order.card})
    seller = Seller(disk(tmp_path / "stall"), 2, [card], [entitle(card)], hot_list=hot)
    seller.open()
    seller.sell(("bread", 300))
    (call,) = seller.tap(card)
    assert isinstance(call, say.HolderMayCall)
    assert call.phone == "05 62 00 00 00"
    seller.sell(("bread", 300))
    (unknown,) = seller.tap(VirtualCard.blank(bytes.fromhex("04FFFFFFFFFFFF")))
    assert isinstance(unknown, say.NotHere)
    assert card.spent()[3] == 0
    seller.close()


def test_a_cloned_chip_number_without_the_key_pays_nothing(stall: Seller, card: HeldCard) -> None:
    clone = HeldCard(replace(issue_card(1, seed=9).order, card=card.order.card), issue_card(1, seed=9).store)
    assert clone.order.uid == card.order.uid
    stall.sell(("bread", 300))
    (answer,) = stall.tap(clone)
    assert isinstance(answer, say.NotHere)
    assert clone.spent()[3] == 0


def test_a_blank_card_with_a_known_number_pays_nothing(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 300))
    (answer,) = stall.tap(VirtualCard.blank(card.order.uid))
    assert isinstance(answer, say.NotHere)


def test_a_card_lifted_before_commit_pays_nothing_and_is_asked_back(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card, tear_on(WRITE_RECORD, Phase.ANSWER_LOST))) == [say.PutBack]
    assert card.spent()[3] == 0
    assert kinds(stall.tap(card)) == [say.Paid]
    assert card.spent()[3] == 300
    assert types_of(stall) == [RecordType.BOOT, RecordType.PAYMENT]


@pytest.mark.parametrize("distort", [empty, one_byte, oversized, wrong_mac, truncated(5)])
def test_a_card_that_answers_nonsense_may_be_put_back_once_and_then_does_not_pay(
    stall: Seller, card: HeldCard, distort: Callable[[bytes], bytes]
) -> None:
    nonsense = Fault(Moment(instruction=WRITE_RECORD), distort)
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card, nonsense)) == [say.PutBack]
    (answer,) = stall.tap(card, nonsense)
    assert isinstance(answer, say.NotHere)
    assert card.spent()[3] == 0
    assert types_of(stall) == [RecordType.BOOT]
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card)) == [say.Paid]


@pytest.mark.parametrize("phase", [Phase.BEFORE, Phase.ANSWER_LOST])
def test_an_unanswered_commit_is_resolved_by_putting_the_same_card_back(
    stall: Seller, card: HeldCard, phase: Phase
) -> None:
    stall.sell(("bread", 300))
    (put_back,) = stall.tap(card, tear_on(COMMIT, phase))
    assert isinstance(put_back, say.PutSameBack)
    said = stall.tap(card)
    assert isinstance(said[-1], say.Paid)
    assert said[-1].amount == 300
    assert card.spent()[3] == 300, "debited once, whatever was lost"
    resolved = RecordType.RESOLUTION
    paid_after = [RecordType.PAYMENT] if phase is Phase.BEFORE else []
    assert types_of(stall) == [RecordType.BOOT, RecordType.IN_DOUBT, resolved, *paid_after]


def test_when_the_holder_has_gone_the_doubt_stays_and_the_next_tap_ends_it(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 300))
    stall.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    (waiting,) = stall.back()
    assert isinstance(waiting, say.InVerification)
    assert waiting.is_guaranteed
    assert kinds(stall.accept()) == [say.Ready]
    stall.sell(("vegetables", 500))
    solved, paid = stall.tap(card)
    assert isinstance(solved, say.DoubtSolved)
    assert (solved.amount, solved.outcome) == (300, Outcome.CONFIRMED)
    assert isinstance(paid, say.Paid)
    assert card.spent()[3] == 800


def test_a_doubt_ends_by_itself_when_the_card_is_laid_down_outside_a_sale(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 300))
    stall.tap(card, tear_on(COMMIT, Phase.BEFORE))
    stall.back()
    stall.accept()
    (solved,) = stall.tap(card)
    assert isinstance(solved, say.DoubtSolved)
    assert solved.outcome is Outcome.CANCELLED
    assert stall.journal.doubts() == ()


def test_another_card_does_not_end_the_doubt_of_the_first(tmp_path: Path, card: HeldCard) -> None:
    other = issue_card(2)
    seller = Seller(disk(tmp_path / "stall"), 2, [card, other], [entitle(card), entitle(other)])
    seller.open()
    seller.sell(("bread", 300))
    seller.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    assert kinds(seller.tap(other)) == [say.PutSameBack]
    assert other.spent()[3] == 0
    assert len(seller.journal.doubts()) == 1
    seller.close()


def test_what_one_stall_took_another_refuses_with_both_offline(tmp_path: Path, card: HeldCard) -> None:
    sellers = [Seller(disk(tmp_path / str(n)), n, [card], [entitle(card)]) for n in (2, 3)]
    for seller in sellers:
        seller.open()
    sellers[0].sell(("vegetables", 3_800))
    sellers[0].tap(card)
    sellers[1].sell(("vegetables", 3_800))
    (split,) = sellers[1].tap(card)
    assert isinstance(split, say.Split)
    assert split.by_card == 200
    for seller in sellers:
        seller.close()


def test_a_card_brings_its_own_entitlement_to_a_stall_that_has_none(tmp_path: Path, card: HeldCard) -> None:
    informed = Seller(disk(tmp_path / "informed"), 2, [card], [entitle(card, seq=2, limits=(5_000,))])
    unaware = Seller(disk(tmp_path / "unaware"), 3, [card])
    for seller in (informed, unaware):
        seller.open()
    unaware.sell(("bread", 100))
    (answer,) = unaware.tap(card)
    assert isinstance(answer, say.PaysNothing)
    assert answer.reason is Reason.ENTITLEMENT_MISSING
    informed.sell(("bread", 100))
    assert kinds(informed.tap(card)) == [say.Paid]
    unaware.sell(("bread", 100))
    assert kinds(unaware.tap(card)) == [say.Paid]
    for seller in (informed, unaware):
        seller.close()


def test_an_older_entitlement_in_the_cache_never_replaces_the_cards_newer_one(tmp_path: Path, card: HeldCard) -> None:
    newer = Seller(disk(tmp_path / "newer"), 2, [card], [entitle(card, seq=2, limits=(4_000,))])
    older = Seller(disk(tmp_path / "older"), 3, [card], [entitle(card, seq=1, limits=(9_000,))])
    for seller in (newer, older):
        seller.open()
    newer.sell(("bread", 3_900))
    newer.tap(card)
    older.sell(("bread", 4_000))
    (split,) = older.tap(card)
    assert isinstance(split, say.Split)
    assert split.by_card == 100
    for seller in (newer, older):
        seller.close()


def test_after_a_restart_the_last_outcome_is_shown_until_seen(stall: Seller, card: HeldCard) -> None:
    stall.sell(("bread", 300))
    stall.tap(card)
    stall.close()
    shown = stall.open()[0]
    assert isinstance(shown, say.LastOutcome)
    assert (shown.amount, shown.type) == (300, RecordType.PAYMENT)
    assert kinds(stall.sell(("bread", 100))) == [say.LastOutcome]
    assert kinds(stall.accept()) == [say.Ready]
    stall.close()
    assert kinds(stall.open())[0] is say.Ready


def test_a_full_disk_stops_the_till_before_anything_is_debited_and_nothing_is_lost(card: HeldCard) -> None:
    medium = FaultyDisk()
    seller = Seller(medium, 2, [card], [entitle(card)])
    seller.open()
    seller.sell(("bread", 300))
    seller.tap(card)
    medium.room_b = medium.room_b - medium.free_b() + 1_000
    seller.sell(("bread", 500))
    (stopped,) = seller.tap(card)
    assert isinstance(stopped, say.Stopped)
    assert stopped.code == "J1"
    assert card.spent()[3] == 300
    seller.close()
    medium.room_b = 1 << 40
    seller.open()
    seller.accept()
    seller.sell(("bread", 500))
    assert kinds(seller.tap(card)) == [say.Paid]
    assert card.spent()[3] == 800
    seller.close()


def test_a_frozen_terminal_debits_nothing_and_says_what_to_do(stall: Seller, card: HeldCard) -> None:
    contact = replace(stall.journal.contact, frozen="Le centre connaît un autre journal : il faut l'enrôler à nouveau.")
    stall.journal.keep_contact(contact)
    stall.sell(("bread", 300))
    (stopped,) = stall.tap(card)
    assert isinstance(stopped, say.Stopped)
    assert (stopped.code, stopped.sentence) == ("J6", contact.frozen)
    assert card.spent()[3] == 0


def test_a_terminal_takes_no_more_offline_than_its_certificate_allows(tmp_path: Path, card: HeldCard) -> None:
    seller = Seller(disk(tmp_path / "stall"), 2, [card], [entitle(card)])
    seller.identity = replace(seller.identity, offline_cap=Cents(1_000))
    seller.open()
    seller.sell(("bread", 700))
    seller.tap(card)
    seller.sell(("vegetables", 500))
    (split,) = seller.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.reason) == (300, Reason.TERMINAL_LIMIT)
    seller.close()


def test_a_card_whose_counter_is_at_its_end_is_not_of_ours_and_stops_nothing(stall: Seller, card: HeldCard) -> None:
    state = json.loads(card.store.text)
    state["applications"][AID.hex().upper()]["files"]["0F"]["tmc"] = 0xFFFFFF
    card.store.write(json.dumps(state))
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card)) == [say.PutBack]
    assert kinds(stall.tap(card)) == [say.NotHere]
    assert card.spent()[3] == 0


def test_a_wall_clock_far_ahead_closes_windows_and_never_opens_more(stall: Seller, card: HeldCard) -> None:
    stall.clock.wall = NOON + timedelta(days=400)
    stall.sell(("bread", 300))
    (answer,) = stall.tap(card)
    assert isinstance(answer, say.PaysNothing)
    assert answer.reason is Reason.ENTITLEMENT_EXPIRED
    assert isinstance(stall.tell(say.ListsChanged())[0], say.UpdateNeeded)


def test_a_wall_clock_of_1970_changes_nothing(stall: Seller, card: HeldCard) -> None:
    stall.clock.wall = NOON.replace(year=1970)
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card)) == [say.Paid]


def test_a_card_that_knows_more_of_this_terminal_than_its_journal_is_refused_and_shown_to_the_centre(
    tmp_path: Path, card: HeldCard
) -> None:
    key_holder = Seller(disk(tmp_path / "stall"), 2, [card], [entitle(card)])
    key_holder.open()
    key_holder.sell(("bread", 300))
    key_holder.tap(card)
    key_holder_record = key_holder.journal.records(1, 999)[-1]
    key_holder.close()
    restored = Seller(disk(tmp_path / "old"), 2, [card], [entitle(card)], device_key=key_holder.device_key)
    restored.open()
    restored.sell(("bread", 200))
    (refused,) = restored.tap(card)
    assert isinstance(refused, say.NotHere)
    assert card.spent()[3] == 300
    alarm = open_record(restored.journal.records(1, 999)[-1])[1]
    assert (alarm.type, alarm.body[Seen.ALARM]) == (RecordType.CARD_SEEN, Alarm.OUR_FUTURE)
    assert alarm.body[Seen.LOGS] == [open_record(key_holder_record)[1].body[Pay.OWN_LOG]]
    other = issue_card(2)
    other_stall = Seller(
        disk(tmp_path / "old"), 2, [other], [entitle(other)], is_new=False, device_key=restored.device_key
    )
    restored.close()
    other_stall.open()
    other_stall.accept()
    other_stall.sell(("bread", 200))
    assert kinds(other_stall.tap(other)) == [say.Paid]
    other_stall.close()


def test_the_balance_is_shown_on_the_holders_wish_and_debits_nothing(stall: Seller, card: HeldCard) -> None:
    assert stall.tell(say.AskBalance(9)) == ()
    (balance,) = stall.tap(card)
    assert isinstance(balance, say.Balance)
    assert balance.available == 4_000
    assert card.spent()[3] == 0


def test_a_card_spends_no_more_at_one_terminal_offline_than_its_certificate_allows(
    tmp_path: Path, card: HeldCard
) -> None:
    seller = Seller(disk(tmp_path / "capped"), 5, [card], [entitle(card)])
    seller.identity = replace(seller.identity, card_cap=Cents(900))
    seller.open()
    seller.sell(("bread", 600))
    assert kinds(seller.tap(card)) == [say.Paid]
    seller.sell(("bread", 500))
    (split,) = seller.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.reason) == (300, Reason.TERMINAL_LIMIT)
    seller.close()


def test_a_card_that_shows_less_than_was_seen_of_it_is_not_genuine_also_after_a_restart(
    stall: Seller, card: HeldCard
) -> None:
    before = HeldCard(card.order, MemoryStore(card.store.read()))
    stall.sell(("bread", 600))
    stall.tap(card)
    stall.close()
    stall.open()
    stall.accept()
    stall.sell(("bread", 500))
    (refused,) = stall.tap(before)
    assert isinstance(refused, say.NotHere)
    assert refused.reason is Reason.NOT_GENUINE
    stall.sell(("bread", 500))
    assert kinds(stall.tap(card)) == [say.Paid]


def test_a_card_with_the_right_number_of_transactions_but_more_money_is_not_genuine(
    stall: Seller, card: HeldCard
) -> None:
    stall.sell(("bread", 600))
    stall.tap(card)
    files = card.awake().memory.applications[AID].files
    told = json.loads(card.store.read())
    told["applications"][AID.hex().upper()]["files"]["03"]["value"] = files[3].value + 100  # type: ignore[union-attr]
    richer = HeldCard(card.order, MemoryStore(json.dumps(told)))
    stall.sell(("bread", 500))
    (refused,) = stall.tap(richer)
    assert isinstance(refused, say.NotHere)
    assert refused.reason is Reason.NOT_GENUINE


def test_a_reader_unplugged_while_another_serves_is_not_worth_a_word(stall: Seller) -> None:
    stall.tell(say.ReaderCame("one"))
    stall.tell(say.ReaderCame("two"))
    assert stall.tell(say.ReaderWent("one")) == ()
    (away,) = stall.tell(say.ReaderWent("two"))
    assert away == say.ReaderAway(is_stuck=False)
    assert stall.tell(say.ReaderWent("two", is_stuck=True)) == (say.ReaderAway(is_stuck=True),)


def test_a_stuck_reader_that_is_unplugged_as_told_is_forgotten_while_another_serves(stall: Seller) -> None:
    stall.tell(say.ReaderCame("one"))
    stall.tell(say.ReaderCame("two"))
    stall.tell(say.ReaderCame("three"))
    for reader in ("one", "two"):
        assert stall.tell(say.ReaderWent(reader, is_stuck=True)) == (say.ReaderAway(is_stuck=True),)
    assert stall.tell(say.ReaderWent("one")) == ()
    assert stall.tell(say.ReaderWent("two")) == (say.ReaderIsBack(),)
    assert stall.tell(say.ReaderWent("three")) == (say.ReaderAway(is_stuck=False),)


def test_a_tap_that_loses_its_reader_while_another_serves_leaves_the_sale_to_that_one(
    stall: Seller, card: HeldCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unplugged(apdu: bytes) -> bytes:
        raise ReaderLost("unplugged")

    stall.tell(say.ReaderCame("other"))
    stall.tell(say.ReaderCame(READER))
    stall.sell(("bread", 300))
    with monkeypatch.context() as pulled:
        pulled.setattr(stall.field, "exchange", unplugged)
        assert stall.tap(card) == (say.ReaderAway(is_stuck=False), say.ReaderIsBack())
        assert stall.tell(say.ReaderWent("other")) == (say.ReaderAway(is_stuck=False),)
        assert stall.tap(card) == (say.ReaderAway(is_stuck=False),)
    assert kinds(stall.tap(card)) == [say.Paid]


def test_a_reader_that_hangs_in_a_tap_is_told_to_be_replugged_also_while_another_serves(
    stall: Seller, card: HeldCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(apdu: bytes) -> bytes:
        raise ReaderStuck("no answer in time")

    stall.tell(say.ReaderCame("other"))
    stall.sell(("bread", 300))
    monkeypatch.setattr(stall.field, "exchange", hangs)
    assert stall.tap(card) == (say.ReaderAway(is_stuck=True),)


def test_a_false_card_that_is_only_looked_at_does_not_shut_the_true_one_out(stall: Seller, card: HeldCard) -> None:
    told = json.loads(card.store.read())
    files = told["applications"][AID.hex().upper()]["files"]
    files["03"]["value"], files["0F"]["tmc"] = 0, 0xFFFF00
    false_card = HeldCard(card.order, MemoryStore(json.dumps(told)))
    stall.tell(say.AskBalance(1))
    assert kinds(stall.tap(false_card)) == [say.Balance]
    stall.sell(("bread", 300))
    assert kinds(stall.tap(card)) == [say.Paid]


def test_a_holder_who_never_lets_the_card_answer_is_promised_a_sum_once(stall: Seller, card: HeldCard) -> None:
    promises = []
    for _ in range(3):
        stall.sell(("bread", 3_000))
        stall.tap(card, tear_on(COMMIT, Phase.BEFORE))
        (waits,) = stall.back()
        assert isinstance(waits, say.InVerification)
        promises.append(waits.is_guaranteed)
        stall.accept()
        stall.tap(card)
        stall.accept()
    assert promises == [True, False, False]
    assert card.spent()[3] == 0


def test_voids_of_payments_the_centre_knows_make_no_room_for_more(tmp_path: Path, card: HeldCard) -> None:
    seller = Seller(disk(tmp_path / "capped"), 5, [card], [entitle(card, limits=(9_000,))])
    seller.identity = replace(seller.identity, offline_cap=Cents(1_000), card_cap=Cents(1_000))
    seller.open()
    seller.sell(("bread", 900))
    seller.tap(card)
    seller.journal._ledger.acknowledged(seller.journal.head().seq)
    seller.void()
    assert kinds(seller.tap(card)) == [say.Voided]
    seller.sell(("bread", 1_500))
    (split,) = seller.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.reason) == (1_000, Reason.TERMINAL_LIMIT)
    seller.close()


@pytest.mark.parametrize(
    ("rows", "is_promised"),
    [
        ((), False),
        ((WhoPays(Case.TORN_WITHOUT_PROOF, Payer.MERCHANT),), False),
        ((WhoPays(Case.TORN_WITHOUT_PROOF, Payer.PROGRAMME, up_to=Cents(299)),), False),
        ((WhoPays(Case.TORN_WITHOUT_PROOF, Payer.PROGRAMME, up_to=Cents(300)),), True),
        ((WhoPays(Case.TORN_WITHOUT_PROOF, Payer.PROGRAMME),), True),
    ],
    ids=["nothing said", "the merchant", "too little", "just enough", "all of it"],
)
def test_a_payment_in_verification_is_promised_as_far_as_the_rules_say_who_pays(
    tmp_path: Path, card: HeldCard, rows: tuple[WhoPays, ...], is_promised: bool
) -> None:
    seller = Seller(disk(tmp_path / "x"), 5, [card], [entitle(card)], rules=replace(RULES, who_pays=rows))
    seller.open()
    seller.sell(("bread", 300))
    seller.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST))
    (waits,) = seller.back()
    assert isinstance(waits, say.InVerification)
    assert waits.is_guaranteed is is_promised
    seller.close()
