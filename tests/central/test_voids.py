"""A void gives back what its payment took, once, in the payment's window: in the ledger, in limits, at stalls."""

from __future__ import annotations

from typing import Any

import pytest

from central.office import Office
from central.signing_duty import duty_of, put_standing_ceiling
from domain.money import Cents
from domain.purse import Entitlement
from sync.batch import Disposition, Versions
from sync.card_format import encode_reader_id
from sync.record import RecordType, Seen
from tests.central.kit import (
    DECEMBER_FILE,
    FEBRUARY,
    FOOD,
    MORNING,
    Held,
    Paid,
    Stall,
    WoundClock,
    account,
    figures,
    in_days,
    new_stall,
)
from tests.sync.pocket import FULL


@pytest.fixture
def market(office: Office, anne: Held, stall: Stall) -> tuple[Stall, Stall]:
    """Two stalls that know Anne's card."""
    other = new_stall(office, "Le Fournil")
    for one in (stall, other):
        one.download(office)
    return stall, other


def word(office: Office, stall: Stall, held: Held) -> Entitlement:
    stall.download(office)
    return stall.entitlements[held.card].entitlement


def test_a_void_gives_back_what_the_payment_took(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, _ = market
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    assert stall.send(office).dispositions == ()
    found = account(office, anne)
    assert (found.spent, found.open, found.voided, found.is_conserved) == (0, 4_000, 1_000, True)
    assert figures(office)["terminals"][0]["paid"] == 0


def test_the_next_limit_contains_the_void_and_the_mark_has_passed_it(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    stall, _ = market
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    stall.send(office)
    found = word(office, stall, anne)
    assert (found.slots[0].limit, found.mark, found.void_allowance) == (5_000, 2, 2_000)
    assert stall.may_pay(anne) == 4_000
    assert word(office, stall, anne).number == found.number


def test_a_slip_counts_at_another_offline_stall_until_the_limit_contains_it(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    stall, other = market
    stall.pay(anne, 1_500)
    stall.void(anne, stall.paid[0])
    assert other.may_pay(anne) == 4_000
    other.pay(anne, 3_900)
    assert other.send(office).dispositions == ()
    found = account(office, anne)
    assert (found.spent + found.travelling, found.excess, found.is_conserved) == (3_900, 0, True)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.open, found.excess, found.attested) == (3_900, 100, 0, 0)
    other.download(office)
    assert other.may_pay(anne) == 100


def test_a_slip_above_the_allowance_is_in_excess(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    """Only a terminal whose keys were taken counts on it."""
    stall, other = market
    stall.pay(anne, 2_500)
    stall.void(anne, stall.paid[0])
    assert other.may_pay(anne) == 1_500
    other.pay(anne, 3_000)
    assert other.send(office).dispositions == ((1, Disposition.EXCESS),)


def test_a_slip_of_a_revoked_station_counts_up_to_its_revocation(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    stall, other = market
    stall.pay(anne, 1_500)
    stall.void(anne, stall.paid[0])
    stall.send(office, last=1)
    office.revoke(stall.station)
    other.pay(anne, 3_900)
    assert other.send(office).dispositions == ((1, Disposition.EXCESS),)
    assert account(office, anne).voided == 0


def test_the_list_of_stations_comes_down_and_changes_with_a_revocation(office: Office, stall: Stall) -> None:
    """Once slips counted up to the last record: a thief then signed new ones under old numbers."""
    other = new_stall(office, "Le Fournil")
    stall.start()
    stall.send(office)
    before = stall.download(office).terminals
    assert before is not None
    assert {station: entry.counts_up_to for station, entry in before.stations.items()} == {
        stall.station: None,
        other.station: None,
    }
    office.revoke(stall.station)
    after = other.download(office, Versions(terminals=before.version)).terminals
    assert after is not None
    assert after.version > before.version
    assert after.stations[stall.station].counts_up_to == 0
    assert other.download(office, Versions(terminals=after.version)).terminals is None


def test_a_payment_is_voided_once(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, _ = market
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    stall.void(anne, stall.paid[0])
    assert stall.send(office).dispositions == ((3, Disposition.QUARANTINED),)
    assert (account(office, anne).spent, account(office, anne).voided) == (0, 1_000)
    assert word(office, stall, anne).slots[0].limit == 5_000
    assert [notice["seq"] for notice in figures(office)["notices"]] == [3]


@pytest.mark.parametrize(
    "lie",
    [
        {"PAYMENT_SEQ": 2},
        {"PAYMENT_TMC": 2},
        {"PAYMENT_SEQ": 9},
        {"PAYMENT_SEQ": 9, "PAYMENT_TMC": 7},
        {"DEBITS": [[2, 999]]},
        {"instead": 1_200},
        {"instead": 900},
    ],
    ids=["another payment", "another transaction", "no payment", "one to come", "other debits", "more", "less"],
)
@pytest.mark.parametrize("slip", [True, False], ids=["with slip", "without"])
def test_a_void_that_names_no_payment_of_its_own_gives_nothing_back(
    office: Office, anne: Held, market: tuple[Stall, Stall], *, lie: dict[str, Any], slip: bool
) -> None:
    stall, _ = market
    stall.pay(anne, 1_000)
    stall.pay(anne, 300)
    stall.void(anne, stall.paid[0], slip=slip, **lie)
    assert stall.send(office).dispositions == ((3, Disposition.QUARANTINED),)
    assert account(office, anne).spent == 1_300
    assert word(office, stall, anne).slots[0].limit == 4_000


def test_a_terminal_cannot_void_what_another_took(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, other = market
    stall.pay(anne, 1_000)
    other.void(anne, stall.paid[0])
    stall.send(office)
    assert other.send(office).dispositions == ((1, Disposition.QUARANTINED),)
    assert account(office, anne).spent == 1_000


def test_a_record_of_one_kind_cannot_tell_of_the_other(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, _ = market
    payment = stall.pay(anne, 500)
    chip = anne.chip
    stall.void(anne, stall.paid[0])
    assert stall.records.pop()
    stall.write(RecordType.VOID, {**stall.payment_body(anne, payment), 21: 1, 22: 1})
    assert stall.send(office).dispositions == ((2, Disposition.QUARANTINED),)
    assert chip.tmc == 1


def test_a_torn_void_is_no_payment_in_doubt(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, _ = market
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0], torn=True)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.doubted, found.open) == (1_000, 0, 3_000)
    assert stall.recover(anne)
    stall.send(office)
    assert (account(office, anne).spent, account(office, anne).open) == (0, 4_000)


def test_a_torn_void_that_never_was_gives_nothing_back(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, other = market
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0], torn=False)
    other.pay(anne, 20)
    stall.send(office)
    other.send(office)
    assert account(office, anne).spent == 1_020


def test_a_payment_in_doubt_and_its_void_cancel_out_in_the_figures_before_the_card_has_told(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    """Once the void made the payment happen, and a limit rose for it; now only figures count the two, as far as the
    card's counters leave room.
    """
    stall, other = market
    torn = stall.tear(anne, 600, committed=True)
    other.pay(anne, 70)  # two, so that the card alone cannot tell of the torn one
    other.pay(anne, 30)
    assert stall.recover(anne)
    stall.void(anne, Paid(1, anne.card, torn, anne.word))
    stall.send(office)
    found = account(office, anne)
    assert (found.spent + found.travelling, found.doubted, found.is_conserved) == (100, 0, True)
    assert word(office, other, anne).slots[0].limit == 4_000
    other.send(office)
    assert (account(office, anne).spent, account(office, anne).travelling) == (100, 0)
    assert word(office, other, anne).slots[0].limit == 4_600


@pytest.mark.parametrize("told", [False, True], ids=["", "with a false counter"])
def test_a_void_of_a_payment_that_never_was_lets_the_centre_sign_nothing(
    office: Office, anne: Held, market: tuple[Stall, Stall], *, told: bool
) -> None:
    """A doubt made up, a card that wrote a log record and debited nothing, a true void of « that payment »."""
    thief, other = market
    thief.pay(anne, 1)
    if told:
        counter = {Seen.TMC_READ: 2, Seen.TMV_READ: bytes(8), Seen.VALUES: [[2, FULL - 1 - 3_900]]}
        rest = {Seen.VERSION: 1, Seen.CARD: anne.card, Seen.LOGS: [], Seen.SLIPS: [], Seen.ALARM: 0}
        thief.write(RecordType.CARD_SEEN, {**rest, **counter})
    before, seq = anne.chip, thief.next_seq
    lie = thief.tear(anne, 3_900, committed=False)
    anne.chip, _ = before.pay({}, encode_reader_id(thief.station, seq), lie.own_log)
    thief.void(anne, Paid(seq, anne.card, lie, anne.word), slip=False, blind=told)
    thief.send(office)
    assert word(office, other, anne).slots[0].limit == 4_000
    assert other.may_pay(anne) == 3_999
    other.pay(anne, 3_999)
    other.send(office)
    found = account(office, anne)
    assert (found.spent, found.excess, found.is_conserved) == (4_000, 0, True)
    assert word(office, other, anne).slots[0].limit == 4_000


def test_a_void_folded_into_a_limit_counts_under_the_signing_ceiling(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    stall, _ = market
    before = duty_of(office.store, MORNING.date()).cents
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    stall.send(office)
    assert duty_of(office.store, MORNING.date()).cents == before + 1_000
    stall.pay(anne, 500)
    stall.void(anne, stall.paid[1])
    with office.store.writing():
        put_standing_ceiling(office.store, office.keys, before + 1_000, None)
    stall.send(office)
    assert word(office, stall, anne).slots[0].limit == 5_000, "it waits"
    with office.store.writing():
        put_standing_ceiling(office.store, office.keys, before + 1_500, None)
    stall.send(office)
    assert word(office, stall, anne).slots[0].limit == 5_500


def test_a_merchant_is_not_paid_for_what_a_card_alone_shows_as_voided(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    """The void was made in a shape nothing can rebuild and its record withheld: its slip attests it."""
    stall, other = market
    for cents in (1, 1, 1, 1_900):
        stall.pay(anne, cents)
    stall.send(office)
    stall.void(anne, stall.paid[-1], logs_read=3)
    other.see(anne)
    other.send(office)
    assert account(office, anne).spent == 3
    assert figures(office)["terminals"][0]["paid"] == 3


def test_what_is_above_the_limit_stands_beside_what_a_merchant_is_paid(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    stall, other = market
    stall.pay(anne, 0xFFFFF)
    assert stall.send(office).dispositions == ((1, Disposition.EXCESS),)
    line = figures(office)["terminals"][0]
    assert (line["paid"], line["excess"]) == (4_000, 0xFFFFF - 4_000)
    stall.void(anne, stall.paid[0])
    stall.send(office)
    line = figures(office)["terminals"][0]
    assert (line["paid"], line["excess"]) == (0, 0)
    other.start()
    other.send(office)


def test_a_withheld_record_pays_nobody_above_the_limit_either(
    office: Office, anne: Held, market: tuple[Stall, Stall]
) -> None:
    stall, other = market
    stall.pay(anne, 5_000)
    stall.records.clear()
    other.see(anne, files=())
    other.send(office)
    line = figures(office)["terminals"][0]
    assert (line["paid"], line["excess"]) == (4_000, 1_000)


def test_a_void_counts_in_the_window_of_its_payment_not_in_the_next(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    """December paid 3 000, of which 1 000 was undone: the new month starts from the counter, not above it."""
    stall.download(office)
    stall.pay(anne, 1_000)
    stall.pay(anne, 2_000)
    stall.void(anne, stall.paid[0])
    clock.at = stall.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.lapsed, found.open, found.is_conserved) == (2_000, 2_000, 4_000, True)
    stall.download(office)
    assert stall.may_pay(anne) == 4_000


def test_a_void_made_in_the_next_month_still_belongs_to_the_payments(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    stall.download(office)
    stall.pay(anne, 3_000)
    stall.send(office)
    clock.at = stall.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    stall.download(office)
    stall.void(anne, stall.paid[0])
    assert anne.chip.slips == {}
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.lapsed, found.open, found.is_conserved) == (0, 4_000, 4_000, True)
    stall.download(office)
    assert stall.may_pay(anne) == 4_000


def test_a_void_lets_the_next_month_start_where_the_counter_stands(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    """Paid 4 000, undone 1 000, paid 900 again: the counter stands above the month's own limit."""
    stall.download(office)
    stall.pay(anne, 1_000)
    stall.pay(anne, 3_000)
    stall.void(anne, stall.paid[0])
    stall.pay(anne, 900)
    clock.at = stall.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.lapsed, found.open, found.excess) == (3_900, 100, 4_000, 0)
    stall.download(office)
    assert stall.may_pay(anne) == 4_000


def test_voids_beyond_the_mark_stay_out_of_the_limit(office: Office, anne: Held, market: tuple[Stall, Stall]) -> None:
    stall, other = market
    for amount in (50, 60, 70):  # of these the card alone cannot tell
        other.pay(anne, amount)
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    stall.send(office)
    office.grant(anne.card, FOOD, Cents(1), *stall_window(office, anne))
    found = word(office, stall, anne)
    assert (found.mark, found.slots[0].limit) == (0, 4_001)
    assert stall.may_pay(anne) == 4_001 - 180
    other.send(office)
    found = word(office, stall, anne)
    assert (found.mark, found.slots[0].limit) == (5, 5_001)
    assert stall.may_pay(anne) == 4_001 - 180


def stall_window(office: Office, held: Held) -> tuple[Any, Any]:
    from tests.central.kit import DECEMBER

    assert office.store.one("SELECT 1 FROM slot_window WHERE card = ? AND file = ?", held.card, DECEMBER_FILE)
    return DECEMBER
