from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.money import Cents
from sync.crypto import sha256
from sync.record import Outcome, Pay, RecordType, open_record, verify_record
from terminal.errors import DiskFull
from terminal.offline_queue.chain import verify_signatures
from terminal.offline_queue.journal import OfflineJournal
from tests.journal import kit
from tests.journal.faulty_vfs import FaultyDisk
from tests.journal.kit import ANNE, BEA, DAY


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def journal(disk: FaultyDisk) -> Iterator[OfflineJournal]:
    journal = kit.made(disk)
    yield journal
    journal.close()


def test_records_are_numbered_from_one_and_each_names_the_hash_of_the_one_before(journal: OfflineJournal) -> None:
    records = [kit.note(journal), kit.pay(journal, ANNE, 1_250), kit.note(journal)]
    prev = sha256(kit.IDENTITY.certificate)
    for number, durable in enumerate(records, start=1):
        signed, envelope = open_record(durable.record)
        verify_record(signed, kit.KEY.public_key())
        assert (envelope.seq, envelope.prev) == (number, prev)
        prev = durable.hash
    assert journal.head().hash == prev
    assert journal.records(1, 10) == [durable.record for durable in records]


def test_a_journal_opened_again_says_the_same_of_itself(disk: FaultyDisk, journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 1_250)
    kit.tear(journal, BEA, 300)
    kit.note(journal, RecordType.CLOSING, minute=5)
    kit.pay(journal, ANNE, 50, minute=1, boot=2)
    journal.open_intent(kit.intent(journal, BEA, 700)).wait()
    before = kit.picture(journal)
    journal.close()
    again = kit.opened(FaultyDisk(disk.image()))
    assert kit.picture(again) == before
    again.close()


def test_an_intent_is_kept_whole_until_its_record_takes_its_number(disk: FaultyDisk, journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 100)
    meant = kit.intent(journal, ANNE, 1_250, minute=3)
    journal.open_intent(meant).wait()
    again = kit.opened(FaultyDisk(disk.image()))
    assert again.open_intent_left() == meant
    durable = again.append(kit.Draft(RecordType.IN_DOUBT, meant.body, kit.stamp(9)), closes_intent=True)
    assert durable.seq == meant.seq
    assert again.open_intent_left() is None
    again.close()


def test_a_dropped_intent_gives_its_number_back(journal: OfflineJournal) -> None:
    journal.open_intent(kit.intent(journal, ANNE, 1_250)).wait()
    journal.drop_intent()
    assert kit.pay(journal, BEA, 300).seq == 1
    assert journal.paid_on(ANNE, DAY) == 0


def test_nothing_else_is_appended_while_an_intent_is_open(journal: OfflineJournal) -> None:
    journal.open_intent(kit.intent(journal, ANNE, 1_250)).wait()
    with pytest.raises(AssertionError):
        kit.note(journal)
    with pytest.raises(AssertionError):
        journal.open_intent(kit.intent(journal, BEA, 1))


def test_no_intent_takes_another_number_than_the_next(journal: OfflineJournal) -> None:
    with pytest.raises(AssertionError):
        journal.open_intent(replace(kit.intent(journal, ANNE, 1), seq=5))


def test_a_doubt_counts_as_paid_by_the_card_but_not_in_the_perpetual_totals(journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 1_000)
    torn = kit.tear(journal, ANNE, 250)
    assert journal.paid_on(ANNE, DAY) == 1_250
    envelope = open_record(torn.record)[1]
    assert (envelope.perpetual_net, envelope.perpetual_absolute) == (1_000, 1_000)
    (doubt,) = journal.doubts(ANNE)
    assert (doubt.seq, doubt.amount, doubt.body[Pay.CARD]) == (2, 250, ANNE)
    assert doubt.log_record == doubt.body[Pay.OWN_LOG]
    assert journal.doubts(BEA) == ()


@pytest.mark.parametrize(("outcome", "total"), [(Outcome.CONFIRMED, 1_250), (Outcome.CANCELLED, 1_000)])
def test_a_resolution_ends_its_doubt_and_counts_only_when_confirmed(
    disk: FaultyDisk, journal: OfflineJournal, outcome: Outcome, total: int
) -> None:
    kit.pay(journal, ANNE, 1_000)
    kit.tear(journal, ANNE, 250, minute=4)
    solved = kit.solve(journal, journal.doubts()[0], outcome, minute=9)
    assert journal.doubts() == ()
    assert journal.paid_on(ANNE, DAY) == total
    assert open_record(solved.record)[1].perpetual_net == total
    again = kit.opened(FaultyDisk(disk.image()))
    assert (again.doubts(), again.paid_on(ANNE, DAY)) == ((), Cents(total))
    last = again.last_payment(ANNE)
    assert last is not None
    assert last.amount == (250 if outcome is Outcome.CONFIRMED else 1_000)
    again.close()


def test_the_newest_payment_of_a_card_is_known_with_the_time_of_its_tap(journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 100, minute=1)
    kit.pay(journal, ANNE, 200, minute=2)
    kit.pay(journal, BEA, 300, minute=3)
    last = journal.last_payment(ANNE)
    assert last is not None
    assert (last.seq, last.amount, last.at) == (2, 200, kit.stamp(2).at)


def test_an_outcome_stays_unseen_over_restarts_until_it_is_acknowledged(
    disk: FaultyDisk, journal: OfflineJournal
) -> None:
    kit.pay(journal, ANNE, 100, minute=1)
    kit.note(journal)
    unseen = journal.last_unseen()
    assert unseen is not None
    assert (unseen.seq, unseen.type, unseen.wall) == (1, RecordType.PAYMENT, kit.NOON + timedelta(minutes=1))
    after = FaultyDisk(disk.image())
    again = kit.opened(after)
    assert again.last_unseen() == unseen
    again.acknowledge(1, kit.stamp(5))
    assert again.last_unseen() is None
    again.close()
    once_more = kit.opened(FaultyDisk(after.image()))
    assert (once_more.head().seq, once_more.last_unseen()) == (3, None)
    once_more.close()


def test_powered_time_and_boots_are_counted_from_the_records(journal: OfflineJournal) -> None:
    kit.note(journal, minute=60)
    kit.note(journal, RecordType.CLOSING, minute=61)
    kit.note(journal, boot=2, minute=10)
    kit.note(journal, boot=3, minute=0)
    anchor = journal.anchor()
    first_boot_ns = 10_000_000_000 + 61 * 60_000_000_000 - kit.CONTACT.received_boottime_ns
    assert anchor.powered_before_ns == first_boot_ns + 10_000_000_000 + 10 * 60_000_000_000
    assert (anchor.market_boots, anchor.other_boots) == (1, 1)


def test_the_earliest_time_never_goes_down_and_is_kept_with_the_next_record(
    disk: FaultyDisk, journal: OfflineJournal
) -> None:
    later = kit.NOON + timedelta(days=1)
    journal.raise_t_lo(later)
    journal.raise_t_lo(kit.NOON - timedelta(days=9))
    assert journal.anchor().t_lo == later
    kit.note(journal)
    again = kit.opened(FaultyDisk(disk.image()))
    assert again.anchor().t_lo == later
    again.close()


def test_a_full_disk_is_noticed_before_the_card_is_debited(disk: FaultyDisk, journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 100)
    disk.room_b = sum(len(content) for content in disk.image().values()) + 100_000
    with pytest.raises(DiskFull):
        journal.open_intent(kit.intent(journal, ANNE, 100))
    assert journal.open_intent_left() is None
    disk.room_b = 1 << 40
    assert kit.pay(journal, ANNE, 100).seq == 2


def test_every_record_bears_this_terminals_signature(journal: OfflineJournal) -> None:
    for minute in range(5):
        kit.pay(journal, ANNE, 100, minute)
    rows = journal.stored_records()
    assert verify_signatures(rows, kit.KEY.public_key()) == set()
    forged = [replace(rows[2], sealed=rows[1].sealed[:-1] + b"\x00"), rows[3]]
    assert verify_signatures(forged, kit.KEY.public_key()) == {3}


def test_the_log_is_emptied_only_when_all_is_acknowledged(disk: FaultyDisk, journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 100)
    log = "journal-000001.db-wal"
    journal.rest()
    assert disk.size_b(log) > 0
    journal.keep_contact(replace(journal.contact, acknowledged=1))
    journal.rest()
    assert disk.size_b(log) == 0
    assert kit.pay(journal, ANNE, 100).seq == 2


def test_a_log_that_cannot_be_emptied_on_a_full_disk_stays_and_nothing_is_lost(
    disk: FaultyDisk, journal: OfflineJournal
) -> None:
    for minute in range(20):
        kit.pay(journal, ANNE, 100, minute)
    journal.keep_contact(replace(journal.contact, acknowledged=20))
    disk.room_b = sum(len(content) for content in disk.image().values())
    journal.rest()
    again = kit.opened(FaultyDisk(disk.image()))
    assert again.head() == journal.head()
    again.close()
    disk.room_b = 1 << 40
    journal.rest()
    assert disk.size_b("journal-000001.db-wal") == 0
    assert kit.pay(journal, ANNE, 100).seq == 21
