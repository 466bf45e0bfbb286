"""What the centre says of a merchant reaches the till at the next contact, and payments are decided again under the
entry they were made under: certificates, points of sale, days. The real till, a virtual card, the real centre.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from bench.market import MARCH, NOON, RULES, HeldCard
from central import merchants
from central.merchants import PointOfSale
from central.office import SKIPPED_NUMBERS, Office, make_centre
from central.report import report
from domain.identity import PurseNumber
from domain.money import Cents
from domain.reason import Reason
from domain.rule_check import with_widths
from domain.rule_set import Certificate, Condition, Merchant, Purse
from sync.crypto import new_private_key, sign
from sync.record import Pay, seal_record
from terminal import events as say
from tests.central import kit
from tests.central.kit import WoundClock
from tests.central.linked_till import LinkedTill
from tests.central.test_true_card import card

__all__ = ["card"]
BREAD = Purse(PurseNumber(1), "food", "Pain", (Condition(frozenset({"bread"}), frozenset({"referenced"})),))
ORGANIC = Purse(
    PurseNumber(2),
    "organic",
    "Bio",
    (
        Condition(frozenset({"fresh-produce"}), frozenset({"referenced"}), frozenset({"organic"})),
        Condition(frozenset({"dairy"}), frozenset({"farm-shop"})),
    ),
)
LAST_DAY = NOON.date()
LABELLED = Certificate("organic", "FR-BIO-01", LAST_DAY)
MARKET = Merchant(0, 0, "Ferme du Moulin, marché", frozenset({"referenced"}), "vegetables")
A_DAY = timedelta(days=1)


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(NOON - timedelta(days=2))


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    make_centre(tmp_path / "centre", kit.RULE_FILE, clock())
    opened = Office(tmp_path / "centre", clock)
    with opened.store.writing():
        opened.put_rule_set(with_widths(replace(RULES, version=2, purses=(ORGANIC, BREAD))), clock())
    yield opened
    opened.close()


@pytest.fixture
def first(office: Office, card: HeldCard) -> PointOfSale:
    """The merchant's stall on the market, its vegetables certified until the day all this begins."""
    office.grant(card.order.card, PurseNumber(2), Cents(3_000), *MARCH)
    with office.store.writing():
        entry = merchants.add(office.store, replace(MARKET, certificates=(LABELLED,)))
    return merchants.place_of(entry)


@pytest.fixture
def till(tmp_path: Path, office: Office, clock: WoundClock, first: PointOfSale) -> Iterator[LinkedTill]:
    seller = till_at(tmp_path, office, clock, first)
    yield seller
    seller.close()


def till_at(tmp_path: Path, office: Office, clock: WoundClock, place: PointOfSale) -> LinkedTill:
    stall = kit.enrol(office, place.merchant, new_private_key(), place.number)
    seller = LinkedTill(tmp_path / f"till-{place}", office, clock, stall)
    seller.open()
    return seller


def told(office: Office) -> list[str]:
    return [notice.why for notice in report(office).decided_otherwise]


def told_as_of_the_next_day(office: Office, till: LinkedTill) -> list[str]:
    """What the centre says when the till's one payment arrives as one of the day after."""
    (paid,) = till.payments()
    day = int(A_DAY.total_seconds())
    lie = replace(paid, t_lo=paid.t_lo + day, t_late=paid.t_late + day, wall=paid.wall + day)
    signed = seal_record(lie, lambda message: sign(till.device_key, message))
    till.wait(A_DAY)
    till.stall.records = [*till.journal.records(1, lie.seq - 1), signed]
    assert till.stall.send(office).dispositions == (), "it is posted like any other"
    return [why.split(", lignes")[0] for why in told(office)]


def paid_and_rest(said: tuple[say.Outward, ...]) -> tuple[int, int]:
    (word,) = (word for word in said if isinstance(word, say.Paid))
    return int(word.amount), int(word.rest)


# --- certificates ----------------------------------------------------------------------------------------------------


def test_an_organic_line_is_paid_on_the_last_day_of_the_certificate_and_not_on_the_next(
    office: Office, till: LinkedTill, card: HeldCard
) -> None:
    """Midnight in Paris, by a till sure of the hour, is an hour before UTC's; bread needs none. The centre agrees."""
    till.sync()
    till.wait(timedelta(hours=11, minutes=50))
    assert till.clock.wall.hour == 22
    assert paid_and_rest(till.buys(card, ("vegetables", 700, "organic"), ("bread", 100, ""))) == (800, 0)
    till.wait(timedelta(minutes=20))
    assert till.clock.wall.date() == LAST_DAY, "it is still that day by UTC"
    assert paid_and_rest(till.buys(card, ("vegetables", 700, "organic"), ("bread", 100, ""))) == (100, 700)
    _, second = till.payments()
    assert [line[4] for line in second.body[Pay.LINES]] == [Reason.LABEL_NOT_CERTIFIED, 0]  # type: ignore[index,union-attr]
    till.sync()
    assert told(office) == []
    assert report(office).spent == 900


def test_a_till_that_went_on_paying_after_the_last_day_is_pointed_at(
    office: Office, till: LinkedTill, card: HeldCard
) -> None:
    till.buys(card, ("vegetables", 700, "organic"))
    assert told_as_of_the_next_day(office, till) == ["décidé autrement ici : débits (7,00\u202f€ d'écart)"]


def test_a_certificate_withdrawn_at_the_centre_stops_counting_at_the_next_contact(
    office: Office, till: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    """Offline the till cannot know; what it paid until then is decided again under the entry it had then."""
    till.sync()
    assert paid_and_rest(till.buys(card, ("vegetables", 300, "organic"))) == (300, 0)
    with office.store.writing():
        (entry,) = merchants.keep_certificates(office.store, first.merchant, ())
    assert entry.version == 2
    assert paid_and_rest(till.buys(card, ("vegetables", 400, "organic"))) == (400, 0), "not heard of it yet"
    till.sync()
    said = till.buys(card, ("vegetables", 500, "organic"), ("bread", 100, ""))
    assert paid_and_rest(said) == (100, 500)
    assert [envelope.body[Pay.MERCHANT_VERSION] for envelope in till.payments()] == [1, 1, 2]
    till.sync()
    assert told(office) == []


def test_a_certificate_renewed_before_its_last_day_leaves_no_gap(
    office: Office, till: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    renewed = replace(LABELLED, last_day=date(2027, 3, 7))
    with office.store.writing():
        merchants.keep_certificates(office.store, first.merchant, [renewed])
    till.sync()
    till.wait(A_DAY)
    assert paid_and_rest(till.buys(card, ("vegetables", 700, "organic"))) == (700, 0)
    till.sync()
    assert told(office) == []


# --- days of the entry -----------------------------------------------------------------------------------------------


def test_an_entry_whose_last_day_is_over_pays_nothing_and_says_why(
    office: Office, till: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    with office.store.writing():
        merchants.keep(office.store, replace(merchants.entry(office.store, first), last_day=LAST_DAY))
    till.sync()
    assert paid_and_rest(till.buys(card, ("bread", 100, ""))) == (100, 0)
    till.wait(A_DAY)
    (word,) = till.sell(("bread", 100))
    assert isinstance(word, say.PaysNothing)
    assert (word.rest, word.reason) == (100, Reason.MERCHANT_NOT_IN_THIS_PURSE)
    till.sync()
    assert told(office) == []
    assert report(office).spent == 100


def test_a_till_that_paid_under_an_entry_that_is_over_is_pointed_at(
    office: Office, till: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    with office.store.writing():
        merchants.keep(office.store, replace(merchants.entry(office.store, first), last_day=LAST_DAY))
    till.sync()
    till.buys(card, ("bread", 100, ""))
    assert told_as_of_the_next_day(office, till) == ["décidé autrement ici : débits (1,00\u202f€ d'écart)"]


def test_an_entry_that_has_not_begun_pays_nothing_until_its_first_day(
    office: Office, till: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    with office.store.writing():
        merchants.keep(office.store, replace(merchants.entry(office.store, first), first_day=LAST_DAY + A_DAY))
    till.sync()
    (word,) = till.sell(("bread", 100))
    assert isinstance(word, say.PaysNothing)
    till.wait(A_DAY)
    assert paid_and_rest(till.buys(card, ("bread", 100, ""))) == (100, 0)
    till.sync()
    assert told(office) == []


# --- points of sale --------------------------------------------------------------------------------------------------


@pytest.fixture
def farm(
    tmp_path: Path, office: Office, clock: WoundClock, till: LinkedTill, first: PointOfSale
) -> Iterator[LinkedTill]:
    """A till in the same merchant's farm shop."""
    with office.store.writing():
        shop = replace(MARKET, number=first.merchant, name="Ferme du Moulin, magasin", profile="farm-shop")
        entry = merchants.add_place(office.store, replace(shop, default_family="dairy"))
    seller = till_at(tmp_path, office, clock, merchants.place_of(entry))
    yield seller
    seller.close()


def test_each_point_of_sale_of_a_merchant_pays_by_its_own_entry(
    office: Office, till: LinkedTill, farm: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    """Cheese is paid in the farm shop alone. Both entries are version 1, and neither till takes the other's."""
    held = [seller.offline_lists.merchant() for seller in (till, farm)]
    assert [(entry.number, entry.point_of_sale, entry.version) for entry in held] == [(1, 1, 1), (1, 2, 1)]
    assert held[0].certificates == held[1].certificates == (LABELLED,)
    assert paid_and_rest(till.buys(card, ("dairy", 300, ""), ("bread", 100, ""))) == (100, 300)
    assert paid_and_rest(farm.buys(card, ("dairy", 310, ""), ("bread", 110, ""))) == (420, 0)
    for seller in (till, farm):
        seller.sync()
    assert told(office) == []
    assert [line.merchant for line in report(office).terminals] == [entry.name for entry in held]


def test_a_change_of_one_point_of_sale_reaches_its_tills_alone(
    office: Office, till: LinkedTill, farm: LinkedTill, first: PointOfSale
) -> None:
    with office.store.writing():
        merchants.keep(office.store, replace(merchants.entry(office.store, first), profile="producer"))
    for seller in (till, farm):
        seller.sync()
    assert [seller.offline_lists.merchant().version for seller in (till, farm)] == [2, 1]
    assert till.offline_lists.merchant().profile == "producer"


def test_a_certificate_withdrawn_is_withdrawn_at_every_point_of_sale_of_the_merchant(
    office: Office, till: LinkedTill, farm: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    with office.store.writing():
        merchants.keep_certificates(office.store, first.merchant, ())
    for number, seller in enumerate((till, farm)):
        seller.sync()
        (word,) = seller.types(("vegetables", 500 + number, "organic"))
        assert isinstance(word, say.PaysNothing)
        assert word.reason == Reason.LABEL_NOT_CERTIFIED


# --- after a restore -------------------------------------------------------------------------------------------------


def test_a_restored_centre_gives_no_version_twice(
    office: Office, till: LinkedTill, card: HeldCard, first: PointOfSale
) -> None:
    """What was changed since the backup is forgotten, and what the centre now has reaches the tills all the same."""
    backup = merchants.entry(office.store, first)
    with office.store.writing():
        merchants.keep(office.store, replace(backup, groups=frozenset()))
    till.sync()
    (word,) = till.sell(("bread", 100))
    assert isinstance(word, say.PaysNothing)
    with office.store.writing():
        office.store.change("DELETE FROM merchant_version WHERE version > 1")
    office.raise_epoch()
    till.sync()
    assert till.offline_lists.merchant() == replace(backup, version=backup.version + SKIPPED_NUMBERS + 1)
    assert paid_and_rest(till.buys(card, ("bread", 100, ""))) == (100, 0)
    till.sync()
    assert told(office) == []
