"""Cards that lie, laid before a till in process: each gets a clear word, and the till goes on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bench.market import NOON
from emulator.hostile import Forger, with_content, with_newest_record, with_value
from emulator.tear import Phase, tear_on
from sync.record import RecordType, Seen
from terminal.nfc.links import MOST_APDUS_A_TAP
from tests.hostile.catalogue import COMMIT, ENTITLEMENT_FILE, LIES, LOG_FILE, PRICE, Lie
from tests.hostile.stand import KNOWN_BALANCE, PAID_BEFORE, SLOT, STATION, Stand, bodies_of, told, types_of, word

TOLD_HERE = [lie for lie in LIES if lie.in_process]


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "stall")


@pytest.mark.parametrize("lie", TOLD_HERE, ids=lambda lie: lie.name)
def test_a_lying_card_gets_its_word_and_the_next_card_pays(stand: Stand, lie: Lie) -> None:
    card, disturbances = lie.laid(stand.model())
    stand.sell(PRICE)
    heard = [told(stand.seller.tap(card, *disturbances)) for _ in lie.says]
    assert [words[-1][0] for words in heard] == list(lie.says)
    assert heard[-1][-1][1] == lie.reason
    assert stand.seller.readers.counters.apdus <= MOST_APDUS_A_TAP * len(lie.says)
    stand.end_the_sale()

    stand.seller.tap(stand.victim)  # what was left in doubt ends when the true card comes back
    assert stand.seller.journal.doubts() == ()
    stand.sell(300)
    assert told(stand.seller.tap(stand.good)) == [("paid", None)]
    assert stand.count() == lie.pays
    if not isinstance(card, Forger):
        assert stand.spent() == lie.pays


# --- a thief with the terminals' key of one card ---------------------------------------------------------------------


def what_it_pays(stand: Stand, card: Forger, price: int, taps: int = 20) -> int:
    """Lay the card down again and again for as much as it will pay, a minute apart; cents the journal books."""
    for _ in range(taps):
        stand.seller.clock.wind(61)
        stand.sell(price)
        (heard,) = told(stand.seller.tap(card))[-1:]
        if heard[0] == "split?":
            stand.seller.accept()
            stand.seller.tap(card)
        stand.end_the_sale()
    return stand.count()


def test_an_emulated_card_at_the_floor_gets_what_the_centre_knew_it_had_and_no_more(stand: Stand) -> None:
    """It counts its own payments: a thief who plays by the rules takes the known balance."""
    assert what_it_pays(stand, stand.model().emulated(), 700) == KNOWN_BALANCE


def test_a_split_is_never_above_the_known_balance(stand: Stand) -> None:
    stand.sell(KNOWN_BALANCE + 1_000)
    assert told(stand.seller.tap(stand.model().emulated())) == [("split?", "purse_empty")]


@pytest.mark.parametrize("below", [1, PAID_BEFORE])
def test_an_emulated_card_below_the_floor_pays_nothing(stand: Stand, below: int) -> None:
    model = stand.model()
    card = model.emulated(with_value(SLOT, model.value + below))
    assert what_it_pays(stand, card, 700, taps=3) == 0


def test_an_emulated_card_set_back_after_a_payment_pays_no_second_time_where_it_was_seen(stand: Stand) -> None:
    """Its transaction counter goes backwards before the very terminal that saw it go forwards."""
    card = stand.model().emulated(forgets=True)
    assert what_it_pays(stand, card, 700) == 700


def test_an_old_entitlement_counts_for_nothing_where_the_newer_one_is_known(stand: Stand) -> None:
    model = stand.model()
    card = model.emulated(with_content(ENTITLEMENT_FILE, model.old_entitlement, 1))
    assert what_it_pays(stand, card, 700) == KNOWN_BALANCE


def test_an_old_entitlement_pays_its_own_limit_at_most_where_no_newer_one_is_known(tmp_path: Path) -> None:
    """What was signed binds until it expires; below its own limit, whatever the counter pretends."""
    stand = Stand(tmp_path / "stall", words=[])
    model = stand.model()
    card = model.emulated(with_content(ENTITLEMENT_FILE, model.old_entitlement, 1), with_value(SLOT, 16_000_000))
    assert what_it_pays(stand, card, 700) == 4_000


def test_an_expired_entitlement_pays_nothing(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "stall", words=[])
    expired = word(stand.victim, 1, issued_at=NOON - timedelta(days=41))
    card = stand.model().emulated(with_content(ENTITLEMENT_FILE, expired.padded, 1))
    stand.sell(PRICE)
    assert told(stand.seller.tap(card)) == [("not_paid", "entitlement_expired")]


def test_a_card_that_never_answers_commit_leaves_doubts_and_no_payment(stand: Stand) -> None:
    """Shown again it says that nothing moved, and the doubt is cancelled: the till never says PAYÉ, the journal keeps
    every promise.
    """
    card = stand.model().emulated(forgets=True)
    for sale in range(5):
        stand.sell(PRICE + sale)
        assert told(stand.seller.tap(card, tear_on(COMMIT, Phase.ANSWER_LOST)))[-1][0] == "doubt"
        stand.end_the_sale()
    assert [doubt.amount for doubt in stand.seller.journal.doubts()] == [PRICE + 4]
    assert types_of(stand.seller.journal).count(RecordType.IN_DOUBT) == 5
    assert stand.count() == 0


# --- a forged record of this very terminal ---------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0, 1, 1_000_000])
def test_a_forged_record_of_this_station_refuses_the_card_and_not_the_terminal(stand: Stand, ahead: int) -> None:
    model = stand.model()
    seq = stand.seller.journal.head().seq + 1 + ahead
    forged_log = model.record(station=STATION, seq=seq)
    stand.sell(PRICE)
    assert told(stand.seller.tap(model.emulated(with_newest_record(LOG_FILE, forged_log)))) == [
        ("not_paid", "not_genuine")
    ]
    stand.end_the_sale()
    stand.sell(300)
    assert told(stand.seller.tap(stand.good)) == [("paid", None)]
    alarms = [body for body in bodies_of(stand.seller.journal, RecordType.CARD_SEEN) if body[Seen.ALARM]]
    assert [body[Seen.LOGS] for body in alarms] == [[forged_log]]


def test_a_record_of_this_station_that_its_journal_knows_is_no_alarm(stand: Stand) -> None:
    model = stand.model()
    seq = stand.seller.journal.head().seq
    card = model.emulated(with_newest_record(LOG_FILE, model.record(station=STATION, seq=seq)))
    stand.sell(PRICE)
    assert told(stand.seller.tap(card)) == [("paid", None)]
