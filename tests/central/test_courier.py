"""A terminal is destroyed or silent, and the cards that paid there pay elsewhere: they bring its payments along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from central.office import Office
from central.presence import FORGOTTEN, FUTURE_PROVEN
from central.voids import BESIDE
from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, SlotFile, Station
from domain.money import Cents
from domain.slip import Slip
from sync.batch import Disposition
from sync.card_format import (
    SignedEntitlement,
    decode_log_record,
    encode_log_record,
    encode_reader_id,
    encode_slip,
)
from sync.crypto import sign
from tests.central.kit import FOOD, MORNING, Held, Stall, account, figures, new_card, new_stall
from tests.central.test_grants import JANUARY


@pytest.fixture
def gone(office: Office, anne: Held) -> Stall:
    """A stall whose terminal will not come back; it knew Anne's card."""
    stall = new_stall(office, "Étal du Pont")
    stall.download(office)
    return stall


@pytest.fixture
def other(office: Office, anne: Held) -> Stall:
    stall = new_stall(office, "Le Fournil")
    stall.download(office)
    return stall


def events(office: Office, held: Held) -> list[tuple[int, str, str, str, int, int]]:
    """Transactions of a card that count: number, kind, state, source, station, journal number."""
    rows = office.store.all(
        """SELECT tmc, kind, state, source, station, seq FROM event JOIN terminal USING (terminal, epoch)
        WHERE card = ? AND state IN ('proven', 'attested') ORDER BY tmc""",
        held.card,
    )
    return [tuple(row[name] for name in ("tmc", "kind", "state", "source", "station", "seq")) for row in rows]


# --- proven from the card alone --------------------------------------------------------------------------------------


def test_the_last_payment_of_a_destroyed_terminal_is_proven_by_the_next_tap(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    gone.pay(anne, 700)
    other.pay(anne, 50)
    other.send(office)
    assert events(office, anne) == [
        (1, "payment", "proven", "card", gone.station, 1),
        (2, "payment", "proven", "record", other.station, 1),
    ]
    found = account(office, anne)
    assert (found.spent, found.travelling, found.attested, found.missing_tmcs) == (750, 0, 0, ())
    paid = {line["station"]: line["paid"] for line in figures(office)["terminals"]}
    assert paid == {gone.station: 700, other.station: 50}


@pytest.mark.parametrize("how", ["refuse", "see"])
def test_a_tap_that_debits_nothing_is_enough(
    office: Office, anne: Held, gone: Stall, other: Stall, *, how: str
) -> None:
    gone.pay(anne, 700)
    getattr(other, how)(anne)
    other.send(office)
    assert [row[:4] for row in events(office, anne)] == [(1, "payment", "proven", "card")]


def test_the_record_takes_the_place_of_what_the_card_told(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    gone.pay(anne, 700)
    other.pay(anne, 50)
    other.send(office)
    before = figures(office)["cards"]
    assert gone.send(office).dispositions == ()
    assert figures(office)["cards"] == before
    assert [row[3] for row in events(office, anne)] == ["record", "record"]
    assert figures(office)["notices"] == ()


def test_nothing_is_proven_that_the_card_did_not_do(office: Office, anne: Held, gone: Stall, other: Stall) -> None:
    """A log record that tells of another amount than was debited matches no proof."""
    chip = anne.chip
    after, payment = gone.stage(anne, {2: 700})
    told = decode_log_record(payment.own_log)
    lie = encode_log_record(replace(told, debits=(Debit(SlotFile(2), Cents(500)),)))
    anne.chip = replace(after, logs=(lie, *chip.logs))
    other.see(anne)
    other.pay(anne, 50)
    other.send(office)
    found = account(office, anne)
    assert (found.spent, found.travelling, found.missing_tmcs) == (50, 700, ((1, 1),))


def test_a_newer_entitlement_and_several_slots_are_found_again(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    other.pay(anne, 5)
    office.grant(anne.card, FOOD, Cents(1_000), *JANUARY)
    gone.download(office)
    anne.chip, _ = gone.stage(anne, {1: 20, 2: 30}, read=(1, 2))
    anne.word = gone.word_for(anne)
    other.see(anne, files=(1, 2))
    other.send(office)
    assert [row[:4] for row in events(office, anne)] == [
        (1, "payment", "proven", "record"),
        (2, "payment", "proven", "card"),
    ]
    assert (account(office, anne).spent, account(office, anne).travelling) == (55, 0)
    office.grant(anne.card, FOOD, Cents(1), *JANUARY)
    other.download(office)
    assert {slot.file: slot.floor for slot in other.entitlements[anne.card].entitlement.slots} == {1: 20, 2: 35}


def test_a_payment_that_read_the_whole_log_is_found_again(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    for amount in (5, 6, 7, 8, 9):
        other.pay(anne, amount)
    gone.pay(anne, 700, logs_read=6)
    other.see(anne)
    other.send(office)
    assert events(office, anne)[-1][:4] == (6, "payment", "proven", "card")


def test_what_cannot_be_solved_is_not_tried_again(
    office: Office, anne: Held, gone: Stall, other: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = anne.chip.logs
    after, payment = gone.stage(anne, {2: 700})
    told = decode_log_record(payment.own_log)
    lie = encode_log_record(replace(told, debits=(Debit(SlotFile(2), Cents(500)),)))
    anne.chip = replace(after, logs=(lie, *before))
    other.see(anne)
    other.send(office)
    tried: list[int] = []
    monkeypatch.setattr("central.courier.solve", lambda _chip, puzzle, _budget: tried.append(puzzle.tmc))
    other.see(anne)
    other.send(office)
    assert tried == []
    anne.chip = replace(anne.chip, logs=(payment.own_log, *before))
    other.see(anne)
    other.send(office)
    assert tried == [1], "a new claim is looked at"


# --- attested --------------------------------------------------------------------------------------------------------


def test_a_run_of_payments_comes_back_with_a_tap_that_reads_the_whole_log(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    for amount in (700, 35, 8):
        gone.pay(anne, amount)
    other.pay(anne, 50, logs_read=4)
    other.send(office)
    assert [row[2:] for row in events(office, anne)] == [
        ("attested", "card", gone.station, 1),
        ("attested", "card", gone.station, 2),
        ("proven", "card", gone.station, 3),
        ("proven", "record", other.station, 1),
    ]
    found = account(office, anne)
    assert (found.spent, found.attested, found.travelling, found.missing_tmcs) == (793, 735, 0, ())
    assert found.is_conserved


def test_a_record_replaces_what_was_attested_and_nothing_counts_twice(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    for amount in (700, 35, 8):
        gone.pay(anne, amount)
    other.pay(anne, 50, logs_read=4)
    other.send(office)
    for last in (1, 2, 3):
        gone.send(office, last=last)
        found = account(office, anne)
        assert (found.spent, found.travelling, found.is_conserved) == (793, 0, True)
    assert found.attested == 0
    assert {row[3] for row in events(office, anne)} == {"record"}


def test_log_records_only_a_terminal_speaks_of_attest_nothing(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    """Their reading is in no card's proof."""
    for amount in (700, 35, 8):
        gone.pay(anne, amount)
    other.see(anne)
    other.pay(anne, 50)
    other.send(office)
    proven = [row for row in events(office, anne) if row[2] == "proven"]
    assert [row[0] for row in proven] == [3, 4]
    attested = [row for row in events(office, anne) if row[2] == "attested"]
    assert [row[0] for row in attested] == []
    assert account(office, anne).travelling == 735


def test_log_records_whose_sums_are_not_the_counters_attest_nothing(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    for amount in (700, 35):
        gone.pay(anne, amount)
    newest, first, *older = anne.chip.logs
    lie = encode_log_record(replace(decode_log_record(first), debits=(Debit(SlotFile(2), Cents(600)),)))
    anne.chip = replace(anne.chip, logs=(newest, lie, *older))
    other.pay(anne, 50, logs_read=3)
    other.send(office)
    found = account(office, anne)
    assert (found.attested, found.spent, found.travelling) == (0, 50, 735)
    (gap,) = found.gaps
    assert (gap.first, gap.last, gap.cents, gap.station, gap.seq) == (1, 2, 735, gone.station, 2)


def test_a_log_record_of_another_station_than_the_card_names_attests_nothing(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    gone.pay(anne, 700)
    newest, *older = anne.chip.logs
    lie = encode_log_record(replace(decode_log_record(newest), station=other.station, seq=9))
    anne.chip = replace(anne.chip, logs=(lie, *older))
    other.pay(anne, 50)
    other.send(office)
    found = account(office, anne)
    assert (found.spent, found.travelling, found.missing_tmcs) == (50, 700, ((1, 1),))
    assert (found.gaps[0].station, found.gaps[0].seq) == (gone.station, 1)


# --- voids of a destroyed terminal -----------------------------------------------------------------------------------


def test_a_void_of_a_destroyed_terminal_is_known_by_its_slip(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    gone.pay(anne, 1_500)
    gone.void(anne, gone.paid[0])
    other.pay(anne, 3_900)
    assert other.send(office).dispositions == ()
    found = account(office, anne)
    assert (found.spent + found.travelling, found.excess, found.voided, found.is_conserved) == (3_900, 0, 1_500, True)


def test_payment_and_void_of_a_destroyed_terminal_come_back_whole(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    gone.pay(anne, 1_500)
    gone.void(anne, gone.paid[0])
    other.pay(anne, 3_900, logs_read=3)
    other.send(office)
    assert [row[:5] for row in events(office, anne)] == [
        (1, "payment", "attested", "card", gone.station),
        (2, "void", "proven", "card", gone.station),
        (3, "payment", "proven", "record", other.station),
    ]
    found = account(office, anne)
    assert (found.spent, found.travelling, found.open, found.excess) == (3_900, 0, 100, 0)
    assert figures(office)["notices"] == ()
    gone.send(office)
    assert (account(office, anne).spent, account(office, anne).attested) == (3_900, 0)


def test_a_slip_its_station_did_not_sign_gives_nothing_back(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    gone.pay(anne, 1_000)
    told = Slip(gone.station, 2, 1, 1, 2, (1, 1), (Debit(SlotFile(2), Cents(1_000)),), gone.at)
    forged = encode_slip(told, anne.card, lambda message: sign(other.device_key, message))
    anne.chip = replace(anne.chip, places=1, slip_area=forged + bytes(96), tmc=2)
    other.see(anne)
    other.send(office)
    assert account(office, anne).voided == 0


def test_a_signed_slip_for_a_payment_that_never_was_gives_nothing_back(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    """The counters leave no room for the payment it speaks of."""
    other.pay(anne, 10)
    other.pay(anne, 10)
    told = Slip(gone.station, 2, 1, 3, 4, (1, 1), (Debit(SlotFile(2), Cents(1_000)),), gone.at)
    data = encode_slip(told, anne.card, lambda message: sign(gone.device_key, message))
    anne.chip = replace(anne.chip, places=1, slip_area=data + bytes(96), tmc=4)
    other.see(anne)
    other.send(office)
    found = account(office, anne)
    assert (found.spent, found.voided, found.is_conserved) == (20, 0, True)


def test_a_slip_of_another_card_gives_nothing_back(office: Office, anne: Held, gone: Stall, other: Stall) -> None:
    bruno = new_card(office, 2)
    gone.download(office)
    gone.pay(bruno, 1_000)
    gone.pay(anne, 1_000)
    gone.void(bruno, gone.paid[0])
    anne.chip = replace(anne.chip, places=1, slip_area=bruno.chip.slip_area)
    other.see(anne)
    other.send(office)
    assert account(office, anne).voided == 0
    assert CardId(anne.card) != bruno.card


# --- a terminal that went back in time -------------------------------------------------------------------------------


def test_a_terminal_whose_forgotten_payment_a_card_proves_is_named_and_not_stopped(
    office: Office, anne: Held, stall: Stall
) -> None:
    """Once it was frozen for it; but the proof is about the card: whoever has its terminal key names any station."""
    stall.download(office)
    stall.pay(anne, 700)
    stall.records.clear()  # its medium is an old copy
    stall.see(anne, alarm=1)
    assert not stall.send(office).is_frozen
    found = figures(office)
    assert (found["terminals"][0]["frozen"], found["terminals"][0]["paid"]) == (None, 0)
    assert {notice["why"] for notice in found["notices"]} == {FORGOTTEN, FUTURE_PROVEN}
    assert {(notice["station"], notice["seq"]) for notice in found["notices"]} == {(stall.station, 1)}
    assert account(office, anne).spent == 700


def forge(held: Held, station: Station, seq: int, cents: int, word: SignedEntitlement | None) -> None:
    """A genuine transaction by a program with the card's terminal key, in the name of a station it is not."""
    told = LogRecord(
        LogType.PAYMENT,
        station,
        seq,
        held.chip.tmc + 1,
        MORNING.replace(second=0, microsecond=0),
        1,
        0 if word is None else word.entitlement.seq & 0xFFFF,
        (Debit(SlotFile(2), Cents(cents)),),
        Cents(0),
        Cents(0),
    )
    newer = None if word is None or word is held.word else word.padded
    reader_id = encode_reader_id(station, seq)
    held.chip, _ = held.chip.pay({2: cents}, reader_id, encode_log_record(told), entitlement=newer)
    held.word = word


def test_a_true_card_stops_no_station_and_pays_none_under_a_number_it_has_used(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    stall.start()
    stall.send(office)
    forge(anne, stall.station, 1, 1, other.word_for(anne))
    other.see(anne)
    other.send(office)
    assert not stall.send(office).is_frozen
    assert events(office, anne) == []  # no station of ours: it stands beside every journal
    assert account(office, anne).spent == 1
    found = figures(office)
    assert [line["paid"] for line in found["terminals"]] == [0] * len(found["terminals"])
    assert [(notice["station"], notice["seq"], notice["why"]) for notice in found["notices"]] == [
        (stall.station, 1, FORGOTTEN)
    ]


@pytest.mark.parametrize("way", ["paid", "torn", "start"])
def test_what_a_card_says_of_a_station_gives_way_to_what_the_station_signed(
    office: Office, anne: Held, stall: Stall, other: Stall, *, way: str
) -> None:
    """A number not reached yet is named by a false card; the honest record of that number counts all the same."""
    bruno = new_card(office, 2)
    stall.download(office)
    forge(anne, stall.station, 1, 1, other.word_for(anne))
    other.see(anne)
    other.send(office)
    if way == "paid":
        stall.pay(bruno, 3_000)
    elif way == "torn":
        stall.tear(bruno, 3_000, committed=True)
        other.see(bruno)
    else:
        stall.start()
    assert (stall.send(office).dispositions, other.send(office).dispositions) == ((), ())
    assert account(office, bruno).spent == (0 if way == "start" else 3_000)
    assert account(office, anne).spent == 1
    paid = {line["station"]: line["paid"] for line in figures(office)["terminals"]}
    assert paid[stall.station] == (0 if way == "start" else 3_000)
    assert [notice["seq"] for notice in figures(office)["notices"]] == [1]


def test_a_void_under_a_number_that_says_something_else_gives_nothing_back(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    stall.download(office)
    stall.pay(anne, 1_000)
    stall.send(office)
    station_of_the_thief = len(stall.records)
    stall.void(anne, stall.paid[0])
    stall.records[station_of_the_thief:] = []
    stall.start()
    stall.send(office)
    other.see(anne)
    other.send(office)
    assert (account(office, anne).spent, account(office, anne).voided) == (1_000, 0)
    assert [row["why"] for row in office.store.all("SELECT why FROM void_made")] == [BESIDE]


def test_a_forged_log_record_stops_nobody(office: Office, anne: Held, stall: Stall, other: Stall) -> None:
    other.download(office)
    other.pay(anne, 100)
    forged = encode_log_record(replace(decode_log_record(anne.chip.logs[0]), station=stall.station, seq=40))
    anne.chip = replace(anne.chip, logs=(forged, *anne.chip.logs[1:]))
    stall.see(anne, alarm=1)
    answer = stall.send(office)
    assert (answer.is_frozen, answer.dispositions) == (False, ())
    (notice,) = figures(office)["notices"]
    assert (notice["station"], notice["seq"]) == (stall.station, 40)
    assert "rien ne le prouve" in notice["why"]


def test_a_terminal_that_gave_a_proven_number_to_another_card_is_named(
    office: Office, anne: Held, stall: Stall, other: Stall
) -> None:
    """Once it was frozen for it; see above."""
    bruno = new_card(office, 2)
    stall.download(office)
    stall.pay(anne, 700)
    stall.records.clear()
    stall.pay(bruno, 30)
    stall.send(office)
    other.see(anne)
    other.send(office)
    assert not stall.send(office).is_frozen
    assert (account(office, anne).spent, account(office, bruno).spent) == (700, 30)
    assert {line["station"]: line["paid"] for line in figures(office)["terminals"]}[stall.station] == 30
    assert [notice["why"] for notice in figures(office)["notices"]] == [FORGOTTEN]


@pytest.mark.parametrize("record_first", [True, False])
def test_the_cards_proof_read_elsewhere_beats_a_wrong_one_in_the_record(
    office: Office, anne: Held, gone: Stall, other: Stall, *, record_first: bool
) -> None:
    gone.pay(anne, 700, TMV=bytes(8))
    other.pay(anne, 50)
    for sender in (gone, other) if record_first else (other, gone):
        sender.send(office)
    assert account(office, anne).spent == 750


def test_a_record_that_tells_other_than_the_card_proved_is_put_aside(
    office: Office, anne: Held, gone: Stall, other: Stall
) -> None:
    before = anne.chip
    gone.pay(anne, 700)
    other.pay(anne, 50)
    other.send(office)
    gone.records.clear()
    gone.pay(replace(anne, chip=before, word=None, made=[]), 600, TMV=bytes(8))
    assert gone.send(office).dispositions == ((1, Disposition.QUARANTINED),)
    found = account(office, anne)
    assert (found.spent, found.is_conserved) == (750, True)
