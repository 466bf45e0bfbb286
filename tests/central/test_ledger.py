"""What the centre believes of a payment: the card's proof, never a terminal's word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from central.office import Office
from sync.batch import Disposition
from sync.card_format import encode_reader_id
from sync.record import Outcome, RecordType
from tests.central.kit import DECEMBER_FILE, FULL, Held, Stall, account, figures, new_card, new_stall


def is_quarantined(office: Office, stall: Stall) -> bool:
    """Whether the newest record was put aside for a person, in its place in the chain."""
    answer = stall.send(office)
    assert answer.head_seq == len(stall.records)
    return answer.dispositions[-1:] == ((len(stall.records), Disposition.QUARANTINED),)


def test_a_payment_with_the_cards_proof_is_spent(office: Office, stall: Stall, anne: Held) -> None:
    stall.pay(anne, 1_250)
    stall.send(office)
    found = account(office, anne)
    assert (found.granted, found.spent, found.open, found.doubted, found.travelling) == (4_000, 1_250, 2_750, 0, 0)
    assert (found.newest_tmc, found.missing_tmcs, found.is_conserved) == (1, (), True)


def test_a_false_proof_pays_nothing(office: Office, stall: Stall, anne: Held) -> None:
    stall.pay(anne, 1_250, TMV=bytes(8))
    assert is_quarantined(office, stall)
    assert account(office, anne).spent == 0


def test_a_proof_of_another_card_pays_nothing(office: Office, stall: Stall, anne: Held) -> None:
    bruno = new_card(office, 2)
    stall.pay(bruno, 1_250, CARD=anne.card)
    assert is_quarantined(office, stall)
    assert account(office, anne).spent == account(office, bruno).spent == 0


@pytest.mark.parametrize(
    "claim",
    [
        {"DEBITS": [[2, 1_251]]},
        {"DEBITS": []},
        {"VALUES": [[2, 15_999_999]]},
        {"OWN_LOG": bytes(32)},
        {"TMC_EXPECTED": 2},
        {"TMC": 2},
        {"TMI": b"nothing a card was ever sent"},
        {"TMV": b"short"},
        {"CARD": None},
    ],
    ids=lambda claim: next(iter(claim)),
)
def test_a_record_that_says_other_than_the_card_is_put_aside(
    office: Office, stall: Stall, anne: Held, claim: dict[str, Any]
) -> None:
    stall.pay(anne, 1_250, **claim)
    assert is_quarantined(office, stall)
    assert account(office, anne).spent == 0
    assert account(office, anne).is_conserved


def test_a_payment_cannot_be_claimed_under_another_number(office: Office, stall: Stall, anne: Held) -> None:
    payment = stall.pay(anne, 800)
    stall.write(RecordType.PAYMENT, stall.payment_body(anne, payment))
    stall.send(office)
    assert account(office, anne).spent == 800
    assert [row["why"] for row in office.store.all("SELECT why FROM record WHERE seq = 2")] != [""]


def test_a_payment_cannot_be_claimed_by_another_terminal(office: Office, stall: Stall, anne: Held) -> None:
    payment = stall.pay(anne, 800)
    other = new_stall(office, "Le Fournil")
    other.write(RecordType.PAYMENT, other.payment_body(anne, payment))
    assert is_quarantined(office, other)
    assert account(office, anne).spent == 0
    stall.send(office)
    assert account(office, anne).spent == 800


def test_a_torn_payment_is_in_doubt_until_the_card_is_seen_again(office: Office, stall: Stall, anne: Held) -> None:
    stall.tear(anne, 600, committed=True)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.doubted, found.open) == (0, 600, 3_400)
    assert stall.recover(anne)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.doubted, found.open, found.missing_tmcs) == (600, 0, 3_400, ())


def test_a_torn_payment_that_never_was_is_cancelled_and_the_money_open_again(
    office: Office, stall: Stall, anne: Held
) -> None:
    stall.tear(anne, 600, committed=False)
    stall.send(office)
    assert account(office, anne).doubted == 600
    stall.recover(anne)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.doubted, found.open) == (0, 0, 4_000)


@pytest.mark.parametrize("doubt_first", [True, False])
def test_a_tap_at_another_stall_proves_a_torn_payment(
    office: Office, stall: Stall, anne: Held, *, doubt_first: bool
) -> None:
    other = new_stall(office, "Le Fournil")
    stall.tear(anne, 600, committed=True)
    other.pay(anne, 150)
    for sender in (stall, other) if doubt_first else (other, stall):
        sender.send(office)
    found = account(office, anne)
    assert (found.spent, found.doubted) == (750, 0)


@pytest.mark.parametrize("doubt_first", [True, False])
def test_a_payment_at_another_stall_cancels_a_torn_one_of_the_same_number(
    office: Office, stall: Stall, anne: Held, *, doubt_first: bool
) -> None:
    other = new_stall(office, "Le Fournil")
    stall.tear(anne, 600, committed=False)
    other.pay(anne, 150)
    for sender in (stall, other) if doubt_first else (other, stall):
        sender.send(office)
    found = account(office, anne)
    assert (found.spent, found.doubted, found.open) == (150, 0, 3_850)


def test_a_refused_tap_proves_a_torn_payment_too(office: Office, stall: Stall, anne: Held) -> None:
    other = new_stall(office, "Le Fournil")
    stall.tear(anne, 600, committed=True)
    other.refuse(anne)
    other.send(office)
    stall.send(office)
    assert account(office, anne).spent == 600


def test_a_terminal_cannot_prove_its_own_doubt_by_saying_so(office: Office, stall: Stall, anne: Held) -> None:
    stall.tear(anne, 600, committed=False)
    (doubt,) = stall.doubts[anne.card]
    stall.resolve(anne, doubt, Outcome.CONFIRMED)
    stall.send(office)
    assert account(office, anne).spent == 0
    assert account(office, anne).doubted == 600


def test_what_still_travels_is_known_to_the_cent_from_the_cards_counters(
    office: Office, stall: Stall, anne: Held
) -> None:
    offline = new_stall(office, "Le Fournil")
    for amount in (700, 35, 8):  # more than the card can tell of by itself
        offline.pay(anne, amount)
    stall.pay(anne, 100)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.travelling, found.open) == (100, 743, 3_157)
    assert (found.newest_tmc, found.missing_tmcs) == (4, ((1, 3),))
    (gap,) = found.gaps
    assert (gap.first, gap.last, gap.cents) == (1, 3, 743)
    assert (gap.station, gap.seq, gap.is_claim) == (offline.station, 3, False)
    offline.send(office, last=1)
    found = account(office, anne)
    assert (found.spent, found.travelling, found.missing_tmcs) == (800, 43, ((2, 3),))
    offline.send(office)
    found = account(office, anne)
    assert (found.spent, found.travelling, found.missing_tmcs) == (843, 0, ())


def test_a_refused_tap_shows_what_still_travels(office: Office, stall: Stall, anne: Held) -> None:
    offline = new_stall(office, "Le Fournil")
    offline.pay(anne, 700)
    offline.pay(anne, 30)
    offline.pay(anne, 1)
    stall.refuse(anne)
    stall.send(office)
    found = account(office, anne)
    assert (found.spent, found.travelling, found.missing_tmcs) == (0, 731, ((1, 3),))
    (gap,) = found.gaps
    assert (gap.cents, gap.station, gap.seq, gap.is_claim) == (731, offline.station, 3, True)


def test_spending_above_the_signed_limit_is_kept_and_shown_as_excess(office: Office, stall: Stall, anne: Held) -> None:
    """Only keys taken out of a terminal can do that: the card's proof is genuine, the grant is not there."""
    stall.pay(anne, 5_000)
    assert [code for _, code in stall.send(office).dispositions] == [Disposition.EXCESS]
    found = account(office, anne)
    assert (found.spent, found.open, found.excess) == (5_000, 0, 1_000)
    assert not found.is_conserved


def test_a_refusal_cannot_claim_more_than_the_card_was_granted(office: Office, stall: Stall, anne: Held) -> None:
    held = Held(anne.order, replace(anne.chip, values={**anne.chip.values, DECEMBER_FILE: FULL - 4_001}))
    stall.refuse(held)
    assert [code for _, code in stall.send(office).dispositions] == [Disposition.QUARANTINED]
    assert account(office, anne).travelling == 0


def test_the_cards_proof_brings_back_a_payment_that_a_terminal_called_cancelled(
    office: Office, stall: Stall, anne: Held
) -> None:
    """A false card showed the old counter, and the terminal believed it; the true card is seen elsewhere later."""
    torn = stall.tear(anne, 600, committed=True)
    doubt = stall.doubts[anne.card][0]
    stall.resolve(replace(anne, chip=replace(anne.chip, tmc=torn.tmc - 1, tmv=bytes(8))), doubt, Outcome.CANCELLED)
    stall.send(office)
    assert account(office, anne).spent == 0
    elsewhere = new_stall(office, "Le Fournil")
    elsewhere.refuse(anne)
    elsewhere.send(office)
    assert account(office, anne).spent == 600


def test_the_report_adds_up_and_names_nobody(office: Office, stall: Stall, anne: Held) -> None:
    bruno = new_card(office, 2, granted=2_500)
    stall.download(office)
    stall.pay(anne, 1_250)
    stall.pay(bruno, 10)
    stall.tear(bruno, 40, committed=True)
    stall.send(office)
    found = figures(office)
    assert (found["granted"], found["spent"], found["doubted"], found["open"]) == (6_500, 1_260, 40, 5_200)
    assert found["is_conserved"]
    assert found["terminals"][0]["paid"] == 1_260
    assert {card["card"] for card in found["cards"]} == {anne.card.hex(), bruno.card.hex()}
    assert anne.order.uid.hex() not in str(found)


def test_the_reader_id_on_the_card_must_be_this_stalls(office: Office, stall: Stall, anne: Held) -> None:
    _, payment = stall.stage(anne, {DECEMBER_FILE: 90})
    foreign = encode_reader_id(stall.station, stall.next_seq + 1)
    word = stall.entitlements[anne.card].padded
    anne.chip, forged = anne.chip.pay({DECEMBER_FILE: 90}, foreign, payment.own_log, entitlement=word)
    stall.write(RecordType.PAYMENT, stall.payment_body(anne, forged))
    assert is_quarantined(office, stall)
    assert account(office, anne).spent == 0


def test_of_two_torn_payments_of_one_number_the_proof_ends_both(office: Office, stall: Stall, anne: Held) -> None:
    second, third = new_stall(office, "Le Fournil"), new_stall(office, "Miel des Coteaux")
    stall.tear(anne, 600, committed=False)
    second.tear(anne, 70, committed=True)
    third.refuse(anne)
    for sender in (stall, second, third):
        sender.send(office)
    assert (account(office, anne).spent, account(office, anne).doubted) == (70, 0)
