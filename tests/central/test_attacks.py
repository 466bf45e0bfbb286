"""What a stolen or changed terminal, or a program with a card's terminal key, once got out of the centre."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from central import rebuild
from central.office import Office
from central.presence import FALSE_STATION
from central.signing_duty import duty_of
from central.unproven import HIGHEST_FILE
from domain.card_log import Debit, LogRecord, LogType
from domain.identity import PurseNumber, SlotFile, Station, Uid
from domain.money import ZERO, Cents
from domain.slip import Slip
from panier.commands.central import central
from sync.batch import Disposition, Versions
from sync.card_format import encode_log_record, encode_slip
from sync.crypto import new_private_key, sign
from sync.enrolment import Request, encode_request
from sync.errors import Malformed
from sync.ntag_format import NTAG_AID
from sync.record import RecordType, Seen
from tests.central.kit import (
    DECEMBER,
    FEBRUARY,
    FOOD,
    MORNING,
    Held,
    Stall,
    WoundClock,
    account,
    figures,
    in_days,
    new_card,
    new_stall,
)
from tests.central.test_unproven import PlainChip
from tests.sync.pocket import FULL


@pytest.fixture
def other(office: Office, anne: Held) -> Stall:
    stall = new_stall(office, "Le Fournil")
    stall.download(office)
    return stall


def limit(office: Office, stall: Stall, held: Held) -> int:
    """Of the newest entitlement the centre has signed."""
    stall.download(office)
    return int(next(slot.limit for slot in stall.entitlements[held.card].entitlement.slots if slot.file == 2))


def paid(office: Office, stall: Stall) -> int:
    return next(line["paid"] for line in figures(office)["terminals"] if line["station"] == stall.station)


def hot(office: Office, stall: Stall) -> frozenset[bytes]:
    """Cards on the newest list."""
    found = stall.download(office, Versions()).hot_list
    assert found is not None
    return frozenset(found.cards)


def emulated(held: Held) -> Held:
    """A copy of a card by somebody who has its terminal key and not the key its proofs are made with."""
    return replace(held, chip=replace(held.chip, tmac_key=bytes(16)), made=[], voided=[])


# --- a false proof ---------------------------------------------------------------------------------------------------


def test_the_first_false_proof_suspends_the_card_and_names_the_station(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    assert hot(office, other) == frozenset()
    stall.pay(emulated(anne), 4_000)
    stall.send(office)
    assert hot(office, other) == {anne.card}
    assert (account(office, anne).is_suspended, account(office, anne).is_hot) == (True, False)
    (notice,) = figures(office)["notices"]
    assert (notice["station"], notice["seq"]) == (stall.station, 1)
    assert anne.card.hex() in notice["why"]


def test_a_suspended_card_pays_again_once_a_person_has_released_it(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    stall.pay(emulated(anne), 4_000)
    stall.send(office)
    folder = ["--dir", str(office.directory), anne.card.hex()]
    done = CliRunner().invoke(central, ["release", *folder])
    assert (done.exit_code, hot(office, other), figures(office)["notices"]) == (0, frozenset(), ())
    again = CliRunner().invoke(central, ["release", *folder])
    assert (again.exit_code, "pas suspendue" in again.output) == (1, True)
    stall.send(office)
    assert hot(office, other) == frozenset(), "the same record suspends once"
    stall.pay(emulated(anne), 4_000)
    stall.send(office)
    assert hot(office, other) == {anne.card}


def test_a_station_with_false_proofs_of_two_cards_is_looked_at_itself(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    bruno = new_card(office, 2)
    stall.pay(emulated(anne), 10)
    stall.pay(emulated(anne), 10)
    stall.send(office)
    assert FALSE_STATION not in {notice["why"] for notice in figures(office)["notices"]}
    stall.download(office)
    stall.pay(emulated(bruno), 10)
    stall.send(office)
    told = [
        (notice["station"], notice["seq"]) for notice in figures(office)["notices"] if notice["why"] == FALSE_STATION
    ]
    assert told == [(stall.station, 3)]


def test_a_lost_card_stays_on_the_list_when_its_suspension_is_lifted(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    office.report_lost(anne.card)
    stall.pay(emulated(anne), 10)
    stall.send(office)
    office.release(anne.card)
    assert hot(office, other) == {anne.card}


# --- money that lapsed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cents", [3_000, 1])
def test_a_sale_after_its_window_is_excess_and_lifts_no_later_window(
    office: Office, anne: Held, stall: Stall, other: Stall, clock: WoundClock, *, cents: int
) -> None:
    stall.pay(anne, 1_000)
    stall.send(office)
    december = anne.word
    clock.at = stall.at = other.at = in_days(75)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    assert limit(office, other, anne) == 5_000
    if cents == 1:
        other.pay(anne, 4_000)
        other.send(office)
    assert december is not None
    stall.entitlements.clear()
    anne.word, anne.chip = december, replace(anne.chip, entitlement=december.padded)
    stall.pay(anne, cents)
    assert stall.send(office).dispositions == ((2, Disposition.EXCESS),)
    assert limit(office, other, anne) == 5_000
    assert paid(office, stall) == 1_000


def test_a_sale_after_its_slot_ended_is_excess_while_the_entitlement_is_good(
    office: Office, anne: Held, stall: Stall, clock: WoundClock
) -> None:
    clock.at = stall.at = DECEMBER[1] - timedelta(minutes=1)
    stall.pay(anne, 10)
    clock.at = stall.at = DECEMBER[1]
    stall.pay(anne, 10)
    assert anne.word is not None
    assert anne.word.entitlement.valid_until > stall.at
    assert stall.send(office).dispositions == ((2, Disposition.EXCESS),)
    assert paid(office, stall) == 10


def test_a_sale_under_an_entitlement_that_expired_is_excess(office: Office, stall: Stall, clock: WoundClock) -> None:
    bruno = new_card(office, 2, window=(DECEMBER[0], DECEMBER[0] + timedelta(days=300)))
    stall.download(office)
    (slot,) = stall.entitlements[bruno.card].entitlement.slots
    clock.at = stall.at = in_days(39)
    stall.pay(bruno, 10, file=int(slot.file))
    clock.at = stall.at = in_days(40)
    stall.pay(bruno, 10, file=int(slot.file))
    assert stall.send(office).dispositions == ((2, Disposition.EXCESS),)


def test_a_record_older_than_the_one_before_it_is_put_aside(
    office: Office, anne: Held, stall: Stall, clock: WoundClock
) -> None:
    clock.at = in_days(75)
    now = int(in_days(75).timestamp())
    stall.write(RecordType.BOOT, {0: 1}, t_lo=now)
    stall.pay(anne, 500)  # its clock says December
    assert stall.send(office).dispositions == ((2, Disposition.QUARANTINED),)
    assert account(office, anne).spent == 0
    assert "earlier than" in figures(office)["quarantined"][0][2]


def test_a_clock_that_once_ran_far_ahead_holds_nobody_up(office: Office, anne: Held, stall: Stall) -> None:
    stall.write(RecordType.BOOT, {0: 1}, t_lo=int(in_days(300).timestamp()))
    stall.pay(anne, 500)
    assert stall.send(office).dispositions == ()


# --- a revoked station -----------------------------------------------------------------------------------------------


def false_slip(stolen: Stall, held: Held, seq: int, cents: int) -> None:
    """A slip the stolen key signs, under any number, written by whoever has the card's terminal key."""
    word = held.word
    assert word is not None
    told = Slip(
        stolen.station,
        seq,
        1,
        1,
        held.chip.tmc + 1,
        word.entitlement.number,
        (Debit(SlotFile(2), Cents(cents)),),
        MORNING,
    )
    data = encode_slip(told, held.card, lambda message: sign(stolen.device_key, message))
    held.chip = replace(held.chip, tmc=held.chip.tmc + 1, places=1, slip_area=data + bytes(96))


def test_a_revoked_station_signs_no_new_slip_under_an_old_number(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    for _ in range(3):
        stall.start()
    stall.pay(anne, 1)
    stall.send(office)
    office.revoke(stall.station)
    other.pay(anne, 3_999)
    false_slip(stall, anne, 2, 2_000)
    other.see(anne)
    other.pay(anne, 1_000)  # it has not heard of the revocation
    assert other.send(office).dispositions == ((3, Disposition.EXCESS),)
    assert (account(office, anne).voided, paid(office, other)) == (0, 3_999)
    known = other.download(office).terminals
    assert known is not None
    assert known.stations[stall.station].counts_up_to == 0


def test_of_a_revoked_station_the_slips_seen_before_go_on_counting(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    stall.pay(anne, 1_500)
    stall.void(anne, stall.paid[0])
    stall.send(office, last=1)
    other.see(anne)
    other.send(office)
    office.revoke(stall.station)
    assert account(office, anne).voided == 1_500
    other.pay(anne, 3_900)
    assert other.send(office).dispositions == ()
    assert (account(office, anne).spent, account(office, anne).excess) == (3_900, 0)


def test_the_list_names_the_last_void_that_is_proven_not_the_last_record(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    stall.download(office)
    stall.pay(anne, 1_500)
    stall.void(anne, stall.paid[0])
    for _ in range(3):
        stall.start()
    stall.send(office)
    office.revoke(stall.station)
    known = other.download(office).terminals
    assert known is not None
    assert known.stations[stall.station].counts_up_to == 2


def test_the_code_of_a_revoked_terminal_brings_nothing_any_more(office: Office) -> None:
    key, merchant = new_private_key(), office.put_merchant("Étal", ["referenced"], "vegetables")
    code = office.new_code(merchant.number)
    request = encode_request(Request(code.secret, key.public_key(), "t"), lambda message: sign(key, message))
    assert office.enrol(request)
    office.revoke(office.store.number("SELECT station FROM terminal"))
    with pytest.raises(Malformed):
        office.enrol(request)


# --- words in the way of a proof -------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", ["far number", "many numbers", "logs", "proofs", "copies"])
def test_no_terminals_words_hide_the_last_payment_of_a_destroyed_one(
    office: Office, anne: Held, stall: Stall, other: Stall, *, poison: str
) -> None:
    burnt, silent = new_stall(office, "Étal du Pont"), new_stall(office, "Étal du Lavoir")
    for _ in range(20):
        silent.pay(anne, 1)
    other.pay(anne, 100)
    burnt.pay(anne, 3_000)
    tmc = anne.chip.tmc
    numbers = {"far number": [0xFFFFFF], "many numbers": [*range(1, 20), *range(30, 60)], "copies": []}
    read = numbers.get(poison, [tmc] * 5)
    for number, at in enumerate(read):
        parts = (Debit(SlotFile(2), Cents(1 + number)),)
        log = encode_log_record(LogRecord(LogType.PAYMENT, Station(1), 9, tmc, MORNING, 1, 1, parts, ZERO, ZERO))
        body = {Seen.VERSION: 1, Seen.CARD: anne.card, Seen.TMC_READ: at, Seen.TMV_READ: bytes([number] * 8)}
        rest: dict[Any, Any] = {Seen.LOGS: [log] if poison == "logs" else [], Seen.VALUES: [], Seen.SLIPS: []}
        stall.write(RecordType.CARD_SEEN, {**body, **rest, Seen.ALARM: 0})
    stall.send(office)
    for number in range(5 if poison == "copies" else 0):  # laid on an honest stall, they show any number
        other.see(replace(anne, chip=replace(anne.chip, tmc=0xFFFF00 + number)))
    other.see(anne)
    other.send(office)
    assert paid(office, burnt) == 3_000


def test_slips_nobody_signed_are_in_no_puzzle(
    office: Office, anne: Held, stall: Stall, other: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    burnt = new_stall(office, "Étal du Pont")
    other.pay(anne, 1)
    burnt.pay(anne, 5)
    for seq in range(4):
        told = Slip(stall.station, seq, 1, 0, 1, (1, 1), (Debit(SlotFile(2), Cents(1)),), MORNING)
        anne.chip = replace(
            anne.chip, places=1, slip_area=encode_slip(told, anne.card, lambda _: bytes(64)) + bytes(96)
        )
        stall.see(anne)
    tried: list[rebuild.Puzzle] = []
    monkeypatch.setattr("central.courier.solve", lambda _chip, puzzle, _budget: tried.append(puzzle))
    stall.send(office)
    assert tried
    assert {slips for puzzle in tried for slips in puzzle.slips} == {rebuild.Slips(0)}


def test_a_puzzle_there_is_no_time_for_is_solved_with_a_later_batch(
    office: Office, anne: Held, stall: Stall, other: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = new_card(office, 2)
    burnt = new_stall(office, "Étal du Pont")
    for held in (anne, bruno):
        burnt.pay(held, 700)
        other.see(held)
    monkeypatch.setattr(rebuild.Budget, "__init__", lambda self: setattr(self, "left", rebuild.TRIES_TO_BEGIN + 1))
    other.send(office)
    left = office.store.number("SELECT count(*) FROM to_settle")
    assert left >= 1
    assert paid(office, burnt) == 700 * (2 - left)
    monkeypatch.undo()
    stall.send(office)
    assert office.store.number("SELECT count(*) FROM to_settle") == 0
    assert paid(office, burnt) == 1_400


def test_a_batch_full_of_puzzles_costs_what_a_batch_may_cost(
    office: Office, anne: Held, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    inputs = rebuild._inputs

    def counted(*given: Any) -> Any:
        for tmi in inputs(*given):
            tried.append(len(tmi))
            yield tmi

    monkeypatch.setattr(rebuild, "_inputs", counted)
    monkeypatch.setattr(rebuild.Budget, "__init__", lambda self: setattr(self, "left", 2_000))
    for tmc in range(2, 12):
        logs = []
        for at, number in ((tmc, 1), (tmc, 2), (tmc - 1, 1), (tmc - 1, 2)):
            parts = (Debit(SlotFile(2), Cents(number)),)
            told = LogRecord(LogType.PAYMENT, stall.station, 100 * tmc + at, at, MORNING, 1, 1, parts, ZERO, ZERO)
            logs.append(encode_log_record(told))
        body = {Seen.VERSION: 1, Seen.CARD: anne.card, Seen.TMC_READ: tmc, Seen.TMV_READ: bytes([tmc] * 8)}
        stall.write(
            RecordType.CARD_SEEN, {**body, Seen.LOGS: logs, Seen.VALUES: [[2, 16_000_000]], Seen.SLIPS: [], 7: 0}
        )
    stall.send(office)
    assert 0 < len(tried) <= 2_000


# --- cards that give no proof ----------------------------------------------------------------------------------------


@pytest.fixture
def bruno(office: Office) -> Held:
    """A card that gives no proof, with 30 €."""
    office.register_card(Uid(bytes([4, 1, 2, 3, 4, 5, 7])), NTAG_AID)
    held = new_card(office, 7, granted=3_000)
    return replace(held, chip=PlainChip(held.chip.uid, bytes(16), logs=held.chip.logs))


def test_invented_payments_of_a_card_without_proof_pay_nobody_and_lock_nobody_out(
    office: Office, stall: Stall, bruno: Held, clock: WoundClock
) -> None:
    stall.download(office)
    ghost = replace(bruno)
    for cents in (3_000, 3_000, 900_000):
        stall.pay(ghost, cents, PROOF=0)
    assert [seq for seq, _ in stall.send(office).dispositions] == [2, 3]
    assert paid(office, stall) == 0
    clock.at = stall.at = in_days(2)
    stall.see(bruno)
    stall.send(office)
    stall.download(office)
    found = stall.entitlements[bruno.card].entitlement
    assert (found.mark, [int(slot.floor) for slot in found.slots]) == (0, [0])
    assert stall.may_pay(bruno) == 3_000


def test_a_payment_counts_for_its_merchant_once_another_station_has_read_its_log_record(
    office: Office, stall: Stall, bruno: Held, clock: WoundClock
) -> None:
    other = new_stall(office, "Le Fournil")
    stall.download(office)
    other.download(office)
    stall.pay(bruno, 1_000, PROOF=0)
    stall.see(bruno)
    stall.send(office)
    assert (paid(office, stall), account(office, bruno).spent) == (0, 1_000)
    clock.at = stall.at = other.at = in_days(2)
    other.refuse(bruno)
    other.send(office)
    other.download(office)
    found = other.entitlements[bruno.card].entitlement
    assert (paid(office, stall), found.mark, int(found.slots[0].floor)) == (1_000, 1, 1_000)


def test_no_day_of_a_card_without_proof_is_above_its_ceiling(
    office: Office, stall: Stall, bruno: Held, clock: WoundClock
) -> None:
    """Here the limit allows more: it was signed before the card was known to give no proof."""
    office.store.change("UPDATE slot_window SET spent_limit = 9000 WHERE card = ?", bruno.card)
    clock.at = stall.at = in_days(11)
    stall.send(office)
    stall.download(office)
    stall.pay(bruno, 2_000, PROOF=0)
    stall.pay(bruno, 1_100, PROOF=0)
    stall.at = in_days(12)
    stall.pay(bruno, 900, PROOF=0)
    assert stall.send(office).dispositions == ((2, Disposition.QUARANTINED),)
    assert account(office, bruno).spent == 2_900


def test_records_of_one_card_without_proof_may_come_in_any_order(
    office: Office, stall: Stall, bruno: Held, clock: WoundClock
) -> None:
    other = new_stall(office, "Le Fournil")
    stall.download(office)
    stall.pay(bruno, 2_000, PROOF=0)
    other.download(office)
    other.pay(bruno, 1_000, PROOF=0)
    assert other.send(office).dispositions == ()
    assert stall.send(office).dispositions == ()
    assert account(office, bruno).spent == 3_000


def test_a_card_without_proof_pays_under_the_entitlement_it_carries_and_no_later_one(
    office: Office, stall: Stall, bruno: Held
) -> None:
    """Whatever its own counter is said to be."""
    old = stall
    old.download(office)
    office.store.change("UPDATE slot_window SET spent_limit = 2000, limit_signed = 0 WHERE card = ?", bruno.card)
    office.grant(bruno.card, FOOD, Cents(1), *DECEMBER)
    old.download(office)
    word = old.entitlements[bruno.card]
    office.grant(bruno.card, FOOD, Cents(900), *DECEMBER)
    assert int(word.entitlement.slots[0].limit) == 2_001
    old.pay(bruno, 2_001, PROOF=0)
    old.pay(replace(bruno, chip=replace(bruno.chip, values={2: FULL})), 500, PROOF=0)
    assert old.send(office).dispositions == ((2, Disposition.QUARANTINED),)
    other = replace(bruno, chip=replace(bruno.chip, tmc=7))
    old.pay(other, 2_500, PROOF=0)
    assert [seq for seq, _ in old.send(office).dispositions] == [2, 3]


def test_payments_put_before_others_add_up_to_no_more_than_was_signed(
    office: Office, stall: Stall, bruno: Held, clock: WoundClock
) -> None:
    stall.download(office)
    for day, tmc in enumerate((5, 4, 3)):
        clock.at = stall.at = in_days(day)
        before = replace(bruno, chip=replace(bruno.chip, tmc=tmc))
        stall.pay(before, 3_000, PROOF=0)
    assert [seq for seq, _ in stall.send(office).dispositions] == [2, 3]


def test_a_card_without_proof_holds_no_more_than_its_ceiling_and_no_seventh_slot(office: Office, bruno: Held) -> None:
    with pytest.raises(ValueError, match="30,00"):
        office.grant(bruno.card, FOOD, Cents(1), *DECEMBER)
    with pytest.raises(ValueError, match="30,00"):
        office.grant(bruno.card, PurseNumber(2), Cents(1), *DECEMBER)
    office.grant(bruno.card, PurseNumber(4), Cents(1), DECEMBER[1], FEBRUARY[0])
    assert office.store.number("SELECT max(file) FROM slot_window") <= HIGHEST_FILE
    signed = duty_of(office.store, MORNING.date()).cents
    office.grant(bruno.card, FOOD, Cents(3_000), *FEBRUARY)
    assert duty_of(office.store, MORNING.date()).cents == signed, "behind a window that has not ended"
