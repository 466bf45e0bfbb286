from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.batch import Versions, decode_batch
from sync.crypto import new_private_key
from sync.errors import FormatError, Malformed
from sync.record import RecordType, open_record
from terminal.errors import JournalDamaged, TerminalFrozen
from terminal.two_clocks import two_clocks
from tests.journal import centre_kit, kit
from tests.journal.centre_kit import Desk, Pen, at
from tests.journal.faulty_vfs import FaultyDisk, Survivors
from tests.journal.kit import ANNE, BEA, NOON

NONCE = bytes(range(16))


@pytest.fixture
def pen() -> Pen:
    return Pen()


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def desk(pen: Pen, disk: FaultyDisk) -> Iterator[Desk]:
    desk = centre_kit.made(pen, disk)
    yield desk
    desk.journal.close()


def sync(desk: Desk, pen: Pen, minutes: float = 0) -> None:
    nonce = random.Random(minutes).randbytes(16)
    desk.outbox.apply_answer(pen.take(desk.outbox.next_batch(nonce)), nonce, at(minutes))


def test_a_batch_holds_the_records_not_yet_acknowledged_verbatim_and_in_order(desk: Desk, pen: Pen) -> None:
    records = [kit.pay(desk.journal, ANNE, amount).record for amount in (100, 200, 300)]
    batch = decode_batch(desk.outbox.next_batch(NONCE))
    assert (batch.head.first_seq, batch.head.nonce, batch.records) == (1, NONCE, tuple(records))
    sync(desk, pen)
    kit.pay(desk.journal, BEA, 400)
    batch = decode_batch(desk.outbox.next_batch(NONCE))
    assert (batch.head.first_seq, len(batch.records)) == (4, 1)


def test_a_batch_keeps_to_its_limits_and_the_rest_follows(desk: Desk, pen: Pen) -> None:
    for _ in range(10):
        kit.note(desk.journal)
    assert len(decode_batch(desk.outbox.next_batch(NONCE, max_records=4)).records) == 4
    two_records_b = 2 * len(desk.journal.records(1, 1)[0])
    assert 0 < len(decode_batch(desk.outbox.next_batch(NONCE, max_b=512 + two_records_b)).records) <= 2
    rounds = 0
    while desk.outbox.state().pending_records:
        nonce = bytes([rounds]) * 16
        desk.outbox.apply_answer(pen.take(desk.outbox.next_batch(nonce, max_records=4)), nonce, at())
        rounds += 1
    assert rounds == 3


def test_an_answer_acknowledges_up_to_its_head_and_the_records_stay(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    kit.pay(desk.journal, ANNE, 1_250)
    kit.note(desk.journal)
    state = desk.outbox.state()
    assert (state.pending_records, state.pending_payments, state.pending_amount) == (2, 1, 1_250)
    sync(desk, pen)
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    for each in (desk, again):
        assert each.outbox.state().pending_records == 0
        assert each.outbox.state().last_contact == NOON
        assert len(each.journal.records(1, 10)) == 2
    again.journal.close()


def test_an_answer_sets_the_clocks_and_what_is_known_of_the_time(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    pen.now = NOON + timedelta(minutes=1)  # the wall clock is five minutes ahead of the centre
    sync(desk, pen, minutes=6)
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    for each in (desk, again):
        clocks = two_clocks(each.journal.anchor(), at(16))
        assert clocks.t_lo == NOON + timedelta(minutes=11)
        assert clocks.wall == NOON + timedelta(minutes=11)
    again.journal.close()


@pytest.mark.parametrize(
    "changes",
    [{"nonce": bytes(16)}, {"terminal": b"term-002"}, {"epoch": 2}],
    ids=["another nonce", "another terminal", "another epoch"],
)
def test_an_answer_to_another_question_changes_nothing(desk: Desk, pen: Pen, changes: dict[str, object]) -> None:
    kit.pay(desk.journal, ANNE, 100)
    pen.take(desk.outbox.next_batch(NONCE))
    with pytest.raises(Malformed):
        desk.outbox.apply_answer(pen.answer(**{"nonce": NONCE, **changes}), NONCE, at())  # type: ignore[arg-type]
    assert desk.outbox.state().pending_records == 1
    assert desk.outbox.state().last_contact is None


def test_an_answer_of_another_key_changes_nothing(desk: Desk, pen: Pen) -> None:
    kit.pay(desk.journal, ANNE, 100)
    pen.keys.answers = new_private_key()
    with pytest.raises(FormatError):
        desk.outbox.apply_answer(pen.take(desk.outbox.next_batch(NONCE)), NONCE, at())
    assert desk.outbox.state().pending_records == 1


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damaged_answer_is_taken(desk: Desk, pen: Pen, data: st.DataObject) -> None:
    good = bytearray(pen.answer(NONCE))
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    good[bit // 8] ^= 1 << (bit % 8)
    before = desk.journal.contact
    desk.outbox.next_batch(NONCE)
    with pytest.raises(FormatError):
        desk.outbox.apply_answer(bytes(good), NONCE, at())
    assert desk.journal.contact == before


def test_an_answer_is_taken_once_and_only_to_the_newest_batch(desk: Desk, pen: Pen) -> None:
    kit.pay(desk.journal, ANNE, 100)
    first = pen.take(desk.outbox.next_batch(NONCE))
    second = pen.take(desk.outbox.next_batch(bytes(16)))
    with pytest.raises(Malformed):
        desk.outbox.apply_answer(first, NONCE, at())
    assert desk.outbox.apply_answer(second, bytes(16), at()).pending_records == 0
    with pytest.raises(Malformed):
        desk.outbox.apply_answer(second, bytes(16), at())


def test_a_centre_that_knows_another_record_freezes_the_terminal_for_good(
    desk: Desk, pen: Pen, disk: FaultyDisk
) -> None:
    kit.pay(desk.journal, ANNE, 100)
    pen.take(desk.outbox.next_batch(NONCE))
    state = desk.outbox.apply_answer(pen.answer(NONCE, head_hash=bytes(32)), NONCE, at())
    assert state.frozen is not None
    assert state.pending_records == 1
    sync(desk, pen, minutes=1)
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    assert again.outbox.state().frozen == state.frozen
    with pytest.raises(TerminalFrozen, match="enrôler"):
        again.journal.open_intent(kit.intent(again.journal, ANNE, 1))
    again.journal.close()


def test_a_centre_that_knows_more_than_the_journal_freezes_a_rolled_back_terminal(pen: Pen) -> None:
    disk = FaultyDisk()
    desk = centre_kit.made(pen, disk)
    kit.pay(desk.journal, ANNE, 100)
    old = FaultyDisk({name: data for name, data in disk.image().items() if not name.endswith(".witness")})
    kit.pay(desk.journal, ANNE, 200)
    sync(desk, pen)
    desk.journal.close()
    back = centre_kit.opened(pen, old)
    sync(back, pen, minutes=2)
    assert back.outbox.state().frozen is not None
    back.journal.close()


def test_a_restored_centre_gets_everything_again_that_it_lost(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    for amount in (100, 200, 300):
        kit.pay(desk.journal, ANNE, amount)
    sync(desk, pen)
    del pen.records[1:]
    sync(desk, pen, minutes=1)
    state = desk.outbox.state()
    assert (state.pending_records, state.pending_amount, state.frozen) == (2, 500, None)
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    assert again.outbox.state() == state
    again.journal.close()
    sync(desk, pen, minutes=2)
    assert desk.outbox.state().pending_records == 0
    assert pen.records == desk.journal.records(1, 10)


def test_the_first_download_fills_the_lists_and_is_a_record(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    assert decode_batch(desk.outbox.next_batch(NONCE)).head.held == Versions()
    desk.outbox.apply_download(pen.first_bundle(), at())
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    for each in (desk, again):
        lists = each.lists
        assert (lists.rules().version, lists.merchant().name) == (1, "Ferme du Moulin")
        card = lists.card(centre_kit.ANNES_CHIP)
        assert card is not None and card.card == ANNE
        assert card.bonus_shares == ()
        bea = lists.card(centre_kit.BEAS_CHIP)
        assert bea is not None and bea.bonus_shares == (centre_kit.SHARE,)
        assert each.keys[BEA] == b"\x01" * 16
        word = lists.entitlement(ANNE)
        assert word is not None and word.entitlement.seq == 1
        assert lists.versions == Versions(1, 1, 1, 1, 1, 1)
        assert open_record(each.journal.records(1, 1)[0])[1].type == RecordType.LIST_IMPORT
    again.journal.close()


def test_no_version_ever_goes_down(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    desk.outbox.apply_download(pen.first_bundle(), at())
    newer = pen.bundle(
        pen.rules(3), pen.merchant(3), pen.hot_list(3, BEA), pen.card_keys(3),
        pen.entitlements(1, 3, (centre_kit.ANNES_CHIP, ANNE, 3)),
    )  # fmt: skip
    desk.outbox.apply_download(newer, at(1))
    older = pen.bundle(
        pen.rules(2), pen.merchant(2), pen.hot_list(2), pen.card_keys(2),
        pen.entitlements(1, 2, (centre_kit.ANNES_CHIP, ANNE, 2)),
        pen.entitlements(3, 4, (centre_kit.ANNES_CHIP, ANNE, 2)),
    )  # fmt: skip
    desk.outbox.apply_download(older, at(2))
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    for each in (desk, again):
        assert each.lists.versions == Versions(3, 3, 3, 3, 4, 1)
        assert each.lists.is_on_hot_list(BEA)
        word = each.lists.entitlement(ANNE)
        assert word is not None and word.entitlement.seq == 3
    again.journal.close()


@pytest.mark.parametrize(("number", "point_of_sale"), [(2, 1), (1, 2)], ids=["another merchant", "another place"])
def test_the_signed_entry_of_another_point_of_sale_is_left_out(
    desk: Desk, pen: Pen, disk: FaultyDisk, number: int, point_of_sale: int
) -> None:
    """Whoever carries lists may put one in that was signed for somebody else, also in front of an old one of ours."""
    desk.outbox.apply_download(pen.first_bundle(), at())
    other = pen.merchant(9, number, point_of_sale)
    problems = desk.lists.take_download(pen.bundle(other), kit.stamp(1))
    assert [problem.sentence for problem in problems] == ["the entry of another point of sale"]
    desk.outbox.apply_download(pen.bundle(other, pen.merchant(1)), at(2))
    desk.outbox.apply_download(pen.bundle(pen.merchant(2), other), at(3))
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    for each in (desk, again):
        assert each.lists.merchant() == centre_kit.STALL
        assert each.lists.versions.merchant == 1
    again.journal.close()


def test_entitlements_behind_a_gap_are_not_taken(desk: Desk, pen: Pen) -> None:
    desk.outbox.apply_download(pen.first_bundle(), at())
    desk.outbox.apply_download(pen.bundle(pen.entitlements(5, 6, (centre_kit.BEAS_CHIP, BEA, 1))), at())
    assert desk.lists.versions.entitlements == 1
    assert desk.lists.entitlement(BEA) is None


def test_the_same_download_twice_is_one_record(desk: Desk, pen: Pen) -> None:
    for _ in range(2):
        desk.outbox.apply_download(pen.first_bundle(), at())
    assert desk.journal.head().seq == 1


def test_card_keys_sealed_for_another_device_are_left_out_and_the_rest_counts(
    desk: Desk, pen: Pen, disk: FaultyDisk
) -> None:
    desk.outbox.apply_download(pen.first_bundle(), at())
    stray = pen.bundle(pen.card_keys(2, new_private_key()), pen.hot_list(2, ANNE))
    desk.outbox.apply_download(stray, at(1))
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    for each in (desk, again):
        assert (each.lists.versions.card_keys, each.lists.versions.hot_list) == (1, 2)
        assert each.keys[ANNE] == bytes(16)
    again.journal.close()


def test_an_entitlement_of_a_card_whose_key_comes_later_is_kept(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    desk.outbox.apply_download(
        pen.bundle(
            pen.centre_keys(), pen.rules(1), pen.merchant(1), pen.hot_list(1),
            pen.entitlements(0, 1, (centre_kit.ANNES_CHIP, ANNE, 1)),
        ),
        at(),
    )  # fmt: skip
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    assert again.lists.entitlement(ANNE) is not None
    again.journal.close()


def test_lists_signed_before_the_centre_changed_its_keys_still_hold_after_a_restart(
    desk: Desk, pen: Pen, disk: FaultyDisk
) -> None:
    desk.outbox.apply_download(pen.first_bundle(), at())
    pen.keys.lists = new_private_key()
    desk.outbox.apply_download(pen.bundle(pen.centre_keys(2), pen.hot_list(2, BEA)), at(1))
    again = centre_kit.opened(pen, FaultyDisk(disk.image()))
    assert (again.lists.versions.rules, again.lists.versions.centre_keys) == (1, 2)
    assert again.lists.is_on_hot_list(BEA)
    again.journal.close()


def test_a_download_waits_while_a_killed_till_has_left_its_intent_open(desk: Desk, pen: Pen) -> None:
    desk.outbox.apply_download(pen.first_bundle(), at())
    desk.journal.open_intent(kit.intent(desk.journal, ANNE, 100)).wait()
    desk.outbox.apply_download(pen.bundle(pen.hot_list(2, BEA)), at(1))
    assert desk.lists.versions.hot_list == 1
    desk.journal.drop_intent()
    desk.outbox.apply_download(pen.bundle(pen.hot_list(2, BEA)), at(1))
    assert desk.lists.versions.hot_list == 2


def test_lists_raise_the_earliest_time(desk: Desk, pen: Pen) -> None:
    pen.now = NOON + timedelta(days=3)
    desk.outbox.apply_download(pen.first_bundle(), at())
    assert desk.journal.anchor().t_lo == pen.now


def test_no_card_key_is_on_the_disk_in_clear(desk: Desk, pen: Pen, disk: FaultyDisk) -> None:
    desk.outbox.apply_download(pen.first_bundle(), at())
    assert desk.keys[BEA] == b"\x01" * 16
    assert all(b"\x01" * 16 not in content for content in disk.image().values())


def test_a_power_cut_while_lists_are_stored_leaves_all_or_nothing(pen: Pen) -> None:
    first = FaultyDisk()
    desk = centre_kit.made(pen, first)
    desk.outbox.apply_download(pen.first_bundle(), at())
    desk.journal.close()
    newer = pen.bundle(pen.rules(2), pen.hot_list(2, BEA), pen.entitlements(1, 2, (centre_kit.BEAS_CHIP, BEA, 1)))
    seen = set()
    for cut in range(100):
        disk = FaultyDisk(first.image())
        cut_desk = centre_kit.opened(pen, disk)
        disk.cut_after(cut)
        try:
            cut_desk.outbox.apply_download(newer, at())
        except JournalDamaged:
            raise
        except Exception:
            assert disk.is_dark
        cut_desk.journal.close()
        for fate in fates():
            again = centre_kit.opened(pen, disk.restarted(*fate))
            versions = again.lists.versions
            whole = replace(versions, rules=2, hot_list=2, entitlements=2)
            none = replace(versions, rules=1, hot_list=1, entitlements=1)
            assert versions in (whole, none)
            assert again.journal.head().seq == versions.rules
            seen.add(versions.rules)
            again.journal.close()
        if not disk.is_dark:
            break
    assert seen == {1, 2}


def fates() -> list[tuple[Survivors, int]]:
    return [(Survivors.NONE, 0), (Survivors.ALL, 0), (Survivors.SOME, 1)]
