"""What comes late gives the holder back their own; what lies moves nothing; a slip of the hand gets a sentence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from central.office import Office
from domain.money import Cents
from domain.purse import Entitlement
from panier.commands.central import central
from sync.batch import Disposition
from sync.cbor import Map
from sync.crypto import new_private_key
from sync.record import Outcome, RecordType, Refuse
from tests.central.chip import Chip
from tests.central.kit import (
    DECEMBER,
    FEBRUARY,
    FOOD,
    Held,
    Stall,
    WoundClock,
    account,
    figures,
    in_days,
    new_stall,
)


def word(office: Office, stall: Stall, held: Held) -> Entitlement:
    stall.download(office)
    return stall.entitlements[held.card].entitlement


# --- late reports ----------------------------------------------------------------------------------------------------


def test_a_late_report_gives_the_holder_back_what_was_held_back(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    offline = new_stall(office, "Le Fournil")
    stall.pay(anne, 1_000)
    stall.send(office)
    offline.pay(anne, 2_000)
    clock.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    assert word(office, stall, anne).slots[0].limit == 5_000
    offline.send(office)
    found = word(office, stall, anne)
    assert found.slots[0].limit == 7_000
    money = account(office, anne)
    assert (money.spent, money.lapsed, money.open, money.is_conserved) == (3_000, 1_000, 4_000, True)


def test_sales_of_the_new_window_never_raise_its_limit(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    offline = new_stall(office, "Le Fournil")
    offline.pay(anne, 2_000)
    clock.at = stall.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    stall.download(office)
    assert word(office, stall, anne).slots[0].limit == 4_000
    stall.pay(anne, 1_500)
    stall.send(office)  # the card itself tells of the earlier sale
    assert word(office, stall, anne).slots[0].limit == 6_000
    offline.send(office)
    stall.send(office)
    assert word(office, stall, anne).slots[0].limit == 6_000
    money = account(office, anne)
    assert (money.spent, money.lapsed, money.open, money.is_conserved) == (3_500, 2_000, 2_500, True)


def test_what_was_spent_above_a_limit_is_never_granted_again(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    rogue = new_stall(office, "Le Fournil")
    rogue.pay(anne, 4_500)
    clock.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    rogue.send(office)
    assert word(office, stall, anne).slots[0].limit == 8_000


def test_a_slot_used_again_is_confirmed_once_everything_before_it_is_known(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    offline = new_stall(office, "Le Fournil")
    for amount in (1_000, 700, 300):  # more than the card can tell of by itself
        offline.pay(anne, amount)
    clock.at = stall.at = in_days(60)
    office.grant(anne.card, FOOD, Cents(4_000), *FEBRUARY)
    stall.download(office)
    stall.pay(anne, 100)
    stall.send(office)
    assert word(office, stall, anne).unconfirmed == {2}
    offline.send(office)
    assert word(office, stall, anne).unconfirmed == set()


def test_an_entitlement_is_renewed_before_it_runs_out(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    clock.at = in_days(20)
    found = word(office, stall, anne)
    assert found.valid_until >= clock.at + timedelta(days=30)
    assert found.slots[0].limit == 4_000


def test_the_floor_follows_what_is_proven(office: Office, stall: Stall, anne: Held, clock: WoundClock) -> None:
    stall.pay(anne, 900)
    clock.at = in_days(2)
    stall.send(office)
    found = word(office, stall, anne)
    assert (found.slots[0].floor, found.mark, found.slots[0].limit) == (900, 1, 4_000)


def test_a_window_still_open_is_never_pushed_out_by_the_next_one(
    office: Office, stall: Stall, clock: WoundClock, anne: Held
) -> None:
    middle = DECEMBER[0] + timedelta(days=76)
    early, late = (FEBRUARY[0], middle), (middle, FEBRUARY[1])
    clock.at = FEBRUARY[0] + timedelta(days=8)
    office.grant(anne.card, FOOD, Cents(500), *early)
    office.grant(anne.card, FOOD, Cents(700), *late)
    assert [slot.end for slot in word(office, stall, anne).slots if slot.file == 2] == [middle]


# --- lies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie_first", [True, False])
def test_a_terminal_cannot_talk_a_payment_away(office: Office, stall: Stall, anne: Held, *, lie_first: bool) -> None:
    other = new_stall(office, "Le Fournil")
    stall.tear(anne, 600, committed=True)
    (doubt,) = stall.doubts[anne.card]
    never = Held(anne.order, Chip(anne.order.uid, bytes(16), logs=anne.chip.logs[1:]))
    stall.resolve(never, doubt, Outcome.CANCELLED)
    other.pay(anne, 100)
    for sender in (stall, other) if lie_first else (other, stall):
        sender.send(office)
    assert (account(office, anne).spent, account(office, anne).doubted) == (700, 0)


def test_a_false_payment_says_nothing_about_the_cards_counters(office: Office, stall: Stall, anne: Held) -> None:
    """… but suspends it, since a false proof that ended nothing cost 40 € at each stall."""
    (before,) = figures(office)["cards"]
    chip = anne.chip
    anne.chip = type(chip)(chip.uid, bytes(16), tmc=40, values=dict.fromkeys(range(1, 9), 9_000), logs=chip.logs)
    stall.pay(anne, 50)
    stall.send(office)
    assert figures(office)["cards"] == [{**before, "false": 50, "is_suspended": True}]


@pytest.mark.parametrize(
    "odd", [{"TMC_READ": 2**40}, {"TMC_READ": 0xFFFFFF}, {"VALUES": [[2, -5]]}, {"VALUES": [[2, 2**62]]}]
)
def test_no_figure_a_terminal_makes_up_keeps_the_report_from_being_read(
    office: Office, stall: Stall, anne: Held, odd: dict[str, Any]
) -> None:
    body: Map = {0: 1, Refuse.CARD: anne.card, Refuse.REASON: 7, Refuse.TMC_READ: 3, Refuse.TMV_READ: bytes(8)}
    stall.write(RecordType.REFUSAL, {**body, **{getattr(Refuse, name): value for name, value in odd.items()}})
    assert stall.send(office).head_seq == 1
    assert len(str(figures(office))) < 20_000


def test_nobody_fills_the_centre_in_the_name_of_a_frozen_terminal(office: Office, stall: Stall, anne: Held) -> None:
    stall.start()
    stall.send(office)
    stall.write(RecordType.BOOT, {0: 1}, prev=bytes(32))
    assert stall.send(office).is_frozen
    before = office.store.number("SELECT count(*) FROM stray")
    for number in range(3):
        forged = stall.record(RecordType.BOOT, {0: 1, 1: number}, sign_with=new_private_key())
        stall.ask(office, stall.batch_of(3, [forged]))
    assert office.store.number("SELECT count(*) FROM stray") == before


def test_what_could_not_be_read_behind_the_last_record_is_told(office: Office, stall: Stall) -> None:
    stall.start()
    answer = stall.ask(office, stall.batch() + b"\x84\x41")
    assert (answer.head_seq, answer.dispositions) == (1, ((2, Disposition.DAMAGED),))


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", ["00" * 8, "zz", "12"])
def test_a_card_nobody_knows_is_a_sentence(office: Office, card: str) -> None:
    folder = ["--dir", str(office.directory)]
    for words in (
        ["lost", *folder, card],
        ["grant", *folder, card, "500", "--from", "2026-12-01", "--to", "2026-12-31"],
    ):
        done = CliRunner().invoke(central, words)
        assert done.exit_code == 1, words
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert "carte" in done.output


def test_a_folder_without_a_centre_is_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(central, ["report", "--dir", str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
