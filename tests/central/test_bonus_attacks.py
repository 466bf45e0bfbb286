"""A changed till with its real keys, and an accomplice's genuine card: what it writes earns no bonus that was not due.

Each of these once made the centre grant money, or lose what was due.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from central import bonuses, households, rule_versions, signing_duty
from central.office import Office
from domain.allotment import Size
from domain.card_log import Debit, LogRecord, LogType
from domain.identity import SlotFile
from domain.money import ZERO, Cents
from sync.card_format import encode_log_record, encode_reader_id
from sync.cbor import Value
from sync.crypto import new_private_key
from sync.record import RecordType
from tests.central.kit import FOOD, Held, Stall, WoundClock, enrol, new_card, new_office

MARCH = (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
NOW = datetime(2026, 3, 7, 9, tzinfo=UTC)
FILE = 1
CAP = 6_000


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(NOW)


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", clock)
    yield opened
    opened.close()


def rogue(office: Office, clock: WoundClock) -> Stall:
    """A sustainable stall whose till writes what it likes."""
    merchant = office.put_merchant("Ferme", ["referenced", "sustainable"], "vegetables")
    stall = enrol(office, merchant.number, new_private_key())
    stall.at = clock.at
    stall.download(office)
    return stall


def debit(
    stall: Stall,
    held: Held,
    amount: int,
    *,
    logged_at: datetime | None = None,
    cap: Value = None,
    rules: int = 1,
    seen: tuple[datetime, datetime] | None = None,
    file: int = FILE,
    **odd: Value,
) -> None:
    """A debit that the card makes and proves; log time, clocks, rules and bonus are what the till likes."""
    word, seq = stall.word_for(held), stall.next_seq
    assert word is not None
    own = encode_log_record(
        LogRecord(
            LogType.PAYMENT,
            stall.station,
            seq,
            held.chip.tmc + 1,
            (logged_at or stall.at).replace(second=0, microsecond=0),
            rules,
            word.entitlement.seq & 0xFFFF,
            (Debit(SlotFile(file), Cents(amount)),),
            ZERO,
            ZERO,
        )
    )
    newer = word.padded if word is not held.word else None
    reader_id = encode_reader_id(stall.station, seq)
    held.chip, payment = held.chip.pay({file: amount}, reader_id, own, None, newer, mark=word.entitlement.mark)
    held.word = word
    held.made.append(payment)
    claims: dict[str, Value] = {"SHARES": [[0, file, amount]], "BONUS": [amount, 0, 0, cap], **odd}
    t_lo, t_late = seen or (stall.at, stall.at)
    stall.write(
        RecordType.PAYMENT,
        stall.payment_body(held, payment, **claims),
        rules_version=rules,
        t_lo=int(t_lo.timestamp()),
        t_late=int(t_late.timestamp()),
    )


def granted(office: Office, stall: Stall, *held: Held) -> int:
    """What all of it earns these cards, in cents."""
    assert stall.send(office).dispositions is not None
    bonuses.run(office.store, office.keys, office.today(), office.now())
    assert bonuses.run(office.store, office.keys, office.today(), office.now()).given == ()
    return sum(
        office.store.number("SELECT sum(amount) FROM grant_given WHERE card = ? AND kind = 'bonus'", each.card)
        for each in held
    )


def entries_add_up(office: Office) -> bool:
    """What is written down of each bonus grant adds up to it; what went on no card adds up to nothing."""
    wrong = office.store.all(
        """SELECT grant_id FROM bonus_given LEFT JOIN grant_given ON grant_given.id = grant_id
        GROUP BY grant_id HAVING sum(cents) <> coalesce(max(amount), 0)"""
    )
    return not wrong


def card(office: Office, number: int = 1, amount: int = 90_000) -> Held:
    return new_card(office, number, amount, MARCH)


def family(office: Office, since: date, *held: Held) -> int:
    with office.store.writing():
        home = households.take_in(office.store, Size(2, 0), since, office.now())
        for each in held:
            households.hand_over(office.store, home, each.card, since)
    return home


def test_a_debit_above_every_limit_earns_nothing(office: Office, clock: WoundClock) -> None:
    poor = card(office, amount=1)
    stall = rogue(office, clock)
    debit(stall, poor, 12_000)
    assert granted(office, stall, poor) == 0


def test_the_till_does_not_choose_the_month(office: Office, clock: WoundClock) -> None:
    held = card(office)
    stall = rogue(office, clock)
    for month in range(1, 6):
        debit(stall, held, 12_000, logged_at=datetime(2026, month, 7, 9, tzinfo=UTC))
    assert granted(office, stall, held) == CAP


def test_nor_does_it_by_its_clocks(office: Office, clock: WoundClock) -> None:
    """Not before the centre's word it was made under, nor after the record came."""
    held = card(office)
    stall = rogue(office, clock)
    for month in range(1, 6):
        at = datetime(2026, month, 7, 9, tzinfo=UTC)
        debit(stall, held, 12_000, logged_at=at, seen=(min(at, NOW), max(at, NOW)))
    assert granted(office, stall, held) == CAP


def test_two_campaigns_in_one_month_earn_no_more_than_one_cap(office: Office, clock: WoundClock) -> None:
    held = card(office)
    stall = rogue(office, clock)
    rules = office.rules
    renamed = tuple(replace(campaign, code="second", give=Cents(100)) for campaign in rules.campaigns)
    with office.store.writing():
        rule_versions.sign(office.store, office.keys, replace(rules, version=2, campaigns=renamed), NOW)
    debit(stall, held, 12_000)
    debit(stall, held, 12_000, rules=2)
    assert granted(office, stall, held) == CAP


def test_rules_replaced_longer_ago_than_lists_may_be_old_earn_nothing(office: Office, clock: WoundClock) -> None:
    held, stall = card(office), rogue(office, clock)
    with office.store.writing():
        rule_versions.sign(office.store, office.keys, replace(office.rules, version=2, campaigns=()), NOW)
    clock.at = stall.at = NOW + timedelta(days=20)
    debit(stall, held, 1_000)
    assert granted(office, stall, held) == 500, "a till may not have heard yet"
    office.grant(held.card, FOOD, Cents(9_000), MARCH[1], datetime(2026, 4, 30, 22, tzinfo=UTC))
    clock.at = stall.at = NOW + timedelta(days=33)
    stall.download(office)
    debit(stall, held, 1_000, file=2)
    assert granted(office, stall, held) == 500


@pytest.mark.parametrize("cap", [None, 6_000, 5_000, 2_000])
def test_a_share_that_no_list_named_is_not_believed(office: Office, clock: WoundClock, cap: int | None) -> None:
    held = [card(office, number) for number in range(1, 5)]
    clock.at = datetime(2025, 11, 20, 9, tzinfo=UTC)
    rogue(office, clock)  # by its lists each card was alone; they are too old to pay by
    clock.at = datetime(2025, 12, 1, 9, tzinfo=UTC)
    family(office, date(2025, 12, 1), *held)
    stall = rogue(office, clock)
    clock.at = stall.at = NOW
    stall.download(office)
    for each in held:
        debit(stall, each, 12_000, cap=cap)
    assert granted(office, stall, *held) == CAP


def test_the_share_that_the_lists_named_is_granted_though_it_is_smaller_since(
    office: Office, clock: WoundClock
) -> None:
    first, second = card(office), card(office, 2)
    clock.at = datetime(2026, 2, 10, 9, tzinfo=UTC)
    home = family(office, date(2026, 2, 10), first)
    stall = rogue(office, clock)
    clock.at = datetime(2026, 2, 20, 9, tzinfo=UTC)
    with office.store.writing():
        households.hand_over(office.store, home, second.card, date(2026, 2, 20))
    rogue(office, clock)  # lists that tell of it are handed out; ours has older ones
    clock.at = stall.at = NOW
    debit(stall, first, 12_000, cap=None)
    assert granted(office, stall, first) == CAP


def test_a_few_cents_by_older_lists_do_not_lift_the_whole_month(office: Office, clock: WoundClock) -> None:
    first, second = card(office), card(office, 2)
    family(office, date(2026, 3, 7), first, second)
    stall = rogue(office, clock)
    debit(stall, first, 12_000, cap=3_000)
    debit(stall, first, 2, cap=None)
    assert granted(office, stall, first) == 3_000


def test_a_void_after_the_grant_is_owed_by_the_household_not_by_the_card(office: Office, clock: WoundClock) -> None:
    old, new = card(office), card(office, 2)
    home = family(office, date(2026, 3, 7), old)
    stall = rogue(office, clock)
    debit(stall, old, 12_000)
    assert granted(office, stall, old) == CAP
    with office.store.writing():
        office.store.change("UPDATE event SET state = 'cancelled' WHERE card = ?", old.card)
        households.take_back(office.store, home, old.card, date(2026, 3, 7))
        households.hand_over(office.store, home, new.card, date(2026, 3, 8))
    clock.at = stall.at = NOW + timedelta(days=2)
    stall.download(office)
    debit(stall, new, 12_000)
    assert granted(office, stall, new) == 0
    debit(stall, new, 200)
    assert granted(office, stall, new) == 0, "the cap of the month is reached"
    assert entries_add_up(office)


def test_of_two_cards_one_that_owes_is_settled_by_the_one_that_earned(office: Office, clock: WoundClock) -> None:
    first, second = card(office), card(office, 2)
    family(office, date(2026, 3, 7), first, second)
    stall = rogue(office, clock)
    debit(stall, first, 1_000, cap=3_000)
    assert granted(office, stall, first, second) == 500
    with office.store.writing():
        office.store.change("UPDATE event SET state = 'cancelled' WHERE card = ?", first.card)
    debit(stall, second, 3_000, cap=3_000)
    assert (granted(office, stall, first), granted(office, stall, second)) == (500, 1_000)
    assert entries_add_up(office)


def test_a_bonus_the_days_ceiling_held_back_until_its_window_was_over_is_due_again(
    office: Office, clock: WoundClock
) -> None:
    held, stall = card(office), rogue(office, clock)
    debit(stall, held, 1_000)
    stall.send(office)
    clock.at = datetime(2026, 3, 31, 12, tzinfo=UTC)
    with office.store.writing():
        signing_duty.put_standing_ceiling(office.store, office.keys, 100, None)
    done = bonuses.run(office.store, office.keys, office.today(), office.now())
    assert [each for each, _ in done.waiting] == [held.card]
    clock.at = datetime(2026, 4, 2, 9, tzinfo=UTC)
    with office.store.writing():
        signing_duty.put_standing_ceiling(office.store, office.keys, 100_000, None)
    again = bonuses.run(office.store, office.keys, office.today(), office.now())
    assert ([int(item.amount) for item in again.given], again.waiting) == ([500], ())
    assert entries_add_up(office)
    assert next(found for found in office.accounts() if found.card == held.card).is_conserved


def test_a_restored_centre_holds_back_what_it_may_have_granted_before(
    office: Office, clock: WoundClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, stall = card(office), rogue(office, clock)
    debit(stall, held, 2_000)
    stall.send(office)
    office.raise_epoch()
    monkeypatch.setattr(bonuses, "forgotten_cents", lambda store, card, purse: 700)
    done = bonuses.run(office.store, office.keys, office.today(), office.now())
    assert [int(item.amount) for item in done.given] == [300]
    assert [(left.amount, left.why) for left in done.left] == [(700, bonuses.FORGOTTEN)]
    monkeypatch.setattr(bonuses, "forgotten_cents", lambda store, card, purse: 0)
    assert [
        int(item.amount) for item in bonuses.run(office.store, office.keys, office.today(), office.now()).given
    ] == [700]
    assert entries_add_up(office)


def test_a_bonus_earned_on_a_lost_card_goes_to_the_households_other_card(office: Office, clock: WoundClock) -> None:
    lost, other = card(office), card(office, 2)
    family(office, date(2026, 3, 7), lost, other)
    stall = rogue(office, clock)
    debit(stall, lost, 1_000, cap=3_000)
    stall.send(office)
    office.report_lost(lost.card)
    assert (granted(office, stall, lost), granted(office, stall, other)) == (0, 500)


def test_a_bonus_earned_on_a_lost_card_of_nobody_waits_and_says_so(office: Office, clock: WoundClock) -> None:
    lost = card(office)
    stall = rogue(office, clock)
    debit(stall, lost, 1_000)
    stall.send(office)
    office.report_lost(lost.card)
    done = bonuses.run(office.store, office.keys, office.today(), office.now())
    assert [(left.card, left.amount, left.why) for left in done.left] == [(lost.card, 500, bonuses.NO_CARD)]


def test_a_chip_that_went_to_another_household_takes_no_bonus_along(office: Office, clock: WoundClock) -> None:
    chip, stays = card(office), card(office, 2)
    first = family(office, date(2026, 2, 1), chip, stays)
    stall = rogue(office, clock)
    debit(stall, chip, 1_000, cap=3_000)
    with office.store.writing():
        households.take_back(office.store, first, chip.card, date(2026, 3, 31))
    clock.at = stall.at = datetime(2026, 4, 2, 9, tzinfo=UTC)
    family(office, date(2026, 4, 2), chip)
    assert (granted(office, stall, chip), granted(office, stall, stays)) == (0, 500)


def test_a_proof_told_wrongly_and_proven_by_a_later_tap_earns_what_was_shown(office: Office, clock: WoundClock) -> None:
    held, stall = card(office), rogue(office, clock)
    debit(stall, held, 1_000, TMV=bytes(8))
    debit(stall, held, 200)
    assert granted(office, stall, held) == 600


@pytest.mark.parametrize("cap", [-1, 2**62])
def test_sums_no_till_writes_stop_neither_this_record_nor_the_next(office: Office, clock: WoundClock, cap: int) -> None:
    held, stall = card(office), rogue(office, clock)
    debit(stall, held, 1_000, cap=cap)
    debit(stall, held, 1_000)
    assert granted(office, stall, held) == 500


def test_an_entry_of_another_stall_cannot_be_named(office: Office, clock: WoundClock) -> None:
    held = card(office)
    rogue(office, clock)
    merchant = office.put_merchant("Épicerie", ["referenced"], "vegetables")
    stall = enrol(office, merchant.number, new_private_key())
    stall.at = clock.at
    stall.download(office)
    debit(stall, held, 1_000)
    assert granted(office, stall, held) == 0
