"""Cards that give no proof: their payments count by the terminals' word, once a number, and are shown apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from central.limits import mark
from central.office import Office
from domain.money import Cents
from sync.batch import Disposition
from sync.crypto import new_private_key
from sync.ntag_format import NTAG_AID
from tests.central.chip import Chip
from tests.central.kit import DECEMBER, FOOD, Backup, Held, Stall, account, enrol, figures, in_days, new_stall

NO_PROOF = bytes(8)


class PlainChip(Chip):
    """A chip whose transactions nobody's MAC is over, and that forgets reader ids."""

    def pay(self, *args: Any, **odd: Any) -> Any:
        after, done = super().pay(*args, **odd)
        return replace(after, tmv=NO_PROOF, reader_id=bytes(16)), replace(done, tmv=NO_PROOF, tmv_before=NO_PROOF)


@pytest.fixture
def bruno(office: Office, anne: Held) -> Held:
    """Anne's card, as one that gives no proof."""
    office.store.change("UPDATE card SET aid = ? WHERE card = ?", NTAG_AID, anne.card)
    return replace(anne, chip=PlainChip(anne.chip.uid, bytes(16), logs=anne.chip.logs))


def test_its_payments_count_and_are_shown_apart(office: Office, stall: Stall, bruno: Held) -> None:
    stall.download(office)
    stall.pay(bruno, 1_250, PROOF=0)
    stall.pay(bruno, 50, PROOF=0)
    assert stall.send(office).dispositions == ()
    found = account(office, bruno)
    assert (found.spent, found.unproven, found.open, found.is_conserved) == (1_300, 1_300, 2_700, True)
    assert figures(office)["notices"] == ()


def test_the_record_never_decides_that_a_card_gives_no_proof(office: Office, stall: Stall, anne: Held) -> None:
    stall.pay(anne, 1_250, PROOF=0, TMV=NO_PROOF)
    assert stall.send(office).dispositions == ((1, Disposition.QUARANTINED),)
    assert account(office, anne).spent == 0


def test_a_number_that_comes_twice_counts_once(office: Office, stall: Stall, bruno: Held) -> None:
    """Somebody has copied the card, or put it back."""
    other = new_stall(office, "Le Fournil")
    stall.download(office)
    before = bruno.chip
    stall.pay(bruno, 700, PROOF=0)
    other.pay(replace(bruno, chip=before, word=None), 800, PROOF=0)
    stall.send(office)
    assert other.send(office).dispositions == ((1, Disposition.QUARANTINED),)
    found = account(office, bruno)
    assert (found.spent, found.false) == (700, 800)


def test_a_torn_payment_happened_if_the_log_shows_it_elsewhere(office: Office, stall: Stall, bruno: Held) -> None:
    other = new_stall(office, "Le Fournil")
    stall.tear(bruno, 600, committed=True)
    stall.send(office)
    assert account(office, bruno).doubted == 600
    other.pay(bruno, 50, PROOF=0)
    other.send(office)
    assert (account(office, bruno).spent, account(office, bruno).doubted) == (650, 0)


def test_a_torn_payment_that_never_was_is_ruled_out_by_the_next(office: Office, stall: Stall, bruno: Held) -> None:
    other = new_stall(office, "Le Fournil")
    stall.tear(bruno, 600, committed=False)
    other.pay(bruno, 50, PROOF=0)
    for sender in (stall, other):
        sender.send(office)
    assert (account(office, bruno).spent, account(office, bruno).doubted) == (50, 0)


def test_only_the_till_of_another_merchant_bears_out_a_payment(office: Office, stall: Stall, bruno: Held) -> None:
    """Two tills of one merchant may have invented it together."""
    merchant = office.store.number("SELECT merchant FROM terminal WHERE terminal = ?", stall.terminal)
    second, other = enrol(office, merchant, new_private_key()), new_stall(office, "Le Fournil")
    stall.download(office)
    stall.pay(bruno, 700, PROOF=0)
    stall.send(office)
    assert mark(office.store, bruno.card) == 0
    second.see(bruno)
    second.send(office)
    assert mark(office.store, bruno.card) == 0
    other.see(bruno)
    other.send(office)
    assert mark(office.store, bruno.card) == 1


def test_a_payment_under_a_limit_that_a_restored_centre_forgot_is_posted(
    office: Office, stall: Stall, bruno: Held, restore: Backup
) -> None:
    stall.download(office)
    stall.pay(bruno, 2_000, PROOF=0)
    stall.send(office)
    other = new_stall(office, "Le Fournil")
    other.see(bruno)
    other.send(office)
    restore.backup()
    office.grant(bruno.card, FOOD, Cents(1_000), *DECEMBER)
    stall.download(office)
    stall.at = in_days(1)
    stall.pay(bruno, 2_500, PROOF=0)
    restored = restore()
    restored.raise_epoch()
    assert stall.send(restored).dispositions == ()
    assert account(restored, bruno).spent == 4_500
