"""The bonus: what real tills have shown on real cards the centre grants, once, whatever comes late or is undone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from bench.market import NOON, HeldCard, Seller, disk, issued
from central import bonuses, cap_shares, dues, grants, households, merchants, redecision
from central.keys import CentralKeys
from central.merchants import PointOfSale
from central.office import Office
from central.report import report
from central.rule_file import read_rule_file
from central.upgrade import conclude_again
from domain.allotment import Size
from domain.identity import CardId, PurseNumber, Uid
from domain.money import Cents
from emulator.tear import Moment, Phase, Tear
from sync.cbor import Map, Value
from sync.crypto import new_private_key, sign
from sync.issuing import TERMINALS
from sync.record import Pay, RecordType, open_record, seal_record
from sync.signed_lists import SlipKey
from terminal import events as say
from terminal.fixed_lists import FixedLists
from tests.central.kit import RULE_FILE, Stall, WoundClock, enrol, identity_of, new_office

MARCH_FIRST, APRIL_FIRST = date(2026, 3, 1), date(2026, 4, 1)
MARCH = (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
COMMIT = 0xC7
AFTER = datetime(2026, 4, 2, 8, tzinfo=UTC)


@dataclass
class Place:
    """A stall with its real till."""

    stall: Stall
    till: Seller
    sent_up_to: int = 0

    def send(self, office: Office) -> None:
        self.stall.records = self.till.journal.records(1, 999)
        assert self.stall.send(office).dispositions == ()

    def send_with(self, office: Office, lie: Map) -> None:
        """Send all but the last record as written, and that one with a part of its body changed."""
        *before, last = self.till.journal.records(1, 999)
        envelope = open_record(last)[1]
        changed = replace(envelope, body={**envelope.body, **lie})
        self.stall.records = [*before, seal_record(changed, lambda message: sign(self.stall.device_key, message))]
        assert self.stall.send(office).dispositions == ()

    @property
    def shown(self) -> dict[int, int]:
        """Bonus each payment showed, by its number."""
        opened = [open_record(record)[1] for record in self.till.journal.records(1, 999)]
        rows = [(one.seq, one.body[Pay.BONUS]) for one in opened if one.type == RecordType.PAYMENT]
        return {seq: row[2] for seq, row in rows if isinstance(row, list) and isinstance(row[2], int)}


@dataclass
class Market:
    """A centre, cards with money for March, and stalls whose tills know them."""

    folder: Path
    office: Office
    clock: WoundClock
    cards: list[HeldCard] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def card(self, number: int, granted: int = 20_000) -> HeldCard:
        order = self.office.register_card(Uid(bytes([4, 1, 2, 3, 4, 7, number])))
        self.office.grant(order.card, PurseNumber(1), Cents(granted), *MARCH)
        made = issued(order)
        self.cards.append(made)
        return made

    def place(self, *groups: str) -> Place:
        """A stall of these groups besides "referenced"; it knows what the centre knows now."""
        merchant = self.office.put_merchant(f"Étal {len(self.places)}", ["referenced", *groups], "vegetables")
        stall = enrol(self.office, merchant.number, new_private_key())
        till = Seller(disk(self.folder / f"till-{len(self.places)}"), stall.station, [], device_key=stall.device_key)
        till.identity = identity_of(stall)
        made = Place(stall, till)
        self.places.append(made)
        self.teach(made)
        till.open()
        return made

    def teach(self, place: Place) -> None:
        """Let a till have the newest lists."""
        stall = place.stall
        found = stall.download(self.office)
        assert found.merchant is not None
        shares = cap_shares.listed(self.office.store)
        place.till.lists = FixedLists(
            self.office.rules,
            found.merchant,
            {card.order.uid: replace(card.ref, bonus_shares=shares.get(card.order.card, ())) for card in self.cards},
            {card.order.card: card.order.keys[TERMINALS] for card in self.cards},
            stall.enrolled.centre_keys.entitlements.get,
            NOON - timedelta(hours=3),
            dict(stall.entitlements),
            frozenset(),
            {each.stall.station: SlipKey(each.stall.device_key.public_key()) for each in self.places},
        )

    def send_all(self, places: Sequence[Place] | None = None) -> None:
        for each in self.places if places is None else places:
            each.send(self.office)

    def grant(self, month: date = APRIL_FIRST) -> bonuses.BonusRound:
        return bonuses.run(self.office.store, self.office.keys, month, self.office.now())

    def granted(self, card: HeldCard) -> int:
        return self.office.store.number(
            "SELECT sum(amount) FROM grant_given WHERE card = ? AND kind = ?", card.order.card, str(grants.Kind.BONUS)
        )


def pay(place: Place, card: HeldCard, *lines: tuple[str, int]) -> None:
    place.till.sell(*lines)
    said = place.till.tap(card)
    for _ in range(2):
        if any(isinstance(word, say.Paid) for word in said):
            return
        place.till.accept()
        said = place.till.tap(card)
    assert any(isinstance(word, say.Paid) for word in said), said


def void(place: Place, card: HeldCard) -> None:
    place.till.void()
    assert any(isinstance(word, say.Voided) for word in place.till.tap(card))


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    clock = WoundClock(NOON - timedelta(days=2))
    made = Market(tmp_path, new_office(tmp_path / "centre", clock), clock)
    yield made
    for place in made.places:
        place.till.close()
    made.office.close()


@pytest.fixture
def card(market: Market) -> HeldCard:
    return market.card(1)


@pytest.fixture
def farm(market: Market, card: HeldCard) -> Place:
    """A sustainable stall."""
    return market.place("sustainable")


def is_conserved(market: Market, card: HeldCard) -> bool:
    return next(found for found in market.office.accounts() if found.card == card.order.card).is_conserved


def months(market: Market, card: HeldCard) -> tuple[dues.Month, ...]:
    return dues.months_of(market.office.store, market.office.keys, card.order.card)


def sums(done: bonuses.BonusRound) -> list[tuple[CardId, int]]:
    return [(item.card, int(item.amount)) for item in done.given]


def test_what_the_till_has_shown_is_granted_once_and_the_card_may_spend_it(
    market: Market, card: HeldCard, farm: Place
) -> None:
    pay(farm, card, ("bread", 1_250))
    pay(farm, card, ("vegetables", 333), ("wine", 700))
    market.send_all()
    market.clock.at = AFTER
    assert (report(market.office).bonus_due, report(market.office).bonus_granted) == (791, 0)
    assert sums(market.grant()) == [(card.order.card, 791)]
    assert (report(market.office).bonus_due, report(market.office).bonus_granted) == (0, 791)
    assert sum(farm.shown.values()) == 791 == market.granted(card)
    assert market.grant().given == (), "a second run grants nothing"
    farm.stall.download(market.office)
    (_, april) = farm.stall.entitlements[card.order.card].entitlement.slots
    assert (april.limit, april.start) == (791, MARCH[1])
    assert is_conserved(market, card)


def test_a_stall_that_is_not_sustainable_earns_nothing(market: Market, card: HeldCard) -> None:
    pay(market.place(), card, ("bread", 1_250))
    market.send_all()
    assert market.grant(MARCH_FIRST).given == ()
    assert market.office.store.number("SELECT count(*) FROM earning") == 0


def test_a_bonus_can_be_granted_into_the_month_it_was_earned_in(market: Market, card: HeldCard, farm: Place) -> None:
    pay(farm, card, ("bread", 1_000))
    market.send_all()
    market.grant(MARCH_FIRST)
    farm.stall.download(market.office)
    (march,) = farm.stall.entitlements[card.order.card].entitlement.slots
    assert march.limit == 20_500


def test_a_late_report_brings_the_rest_of_the_bonus(market: Market, card: HeldCard, farm: Place) -> None:
    other = market.place("sustainable")
    pay(farm, card, ("bread", 1_111))
    pay(other, card, ("bread", 1_111))
    pay(farm, card, ("bread", 1_111))
    market.send_all([farm])
    market.clock.at = AFTER
    first = market.grant()
    market.send_all([other])
    second = market.grant()
    assert sums(first) == [(card.order.card, 1_111)]
    assert sums(second) == [(card.order.card, 555)]
    assert sum(other.shown.values()) + sum(farm.shown.values()) == 1_666 == market.granted(card)


def test_the_cap_is_the_cards_whatever_the_stalls_report(market: Market, card: HeldCard, farm: Place) -> None:
    stalls = farm, market.place("sustainable"), market.place("sustainable")
    for place in stalls:
        pay(place, card, ("bread", 3_900))
        pay(place, card, ("cheese", 900))
        for each in stalls:
            each.till.clock.wind(86_400)
    market.send_all()
    assert sum(sum(place.shown.values()) for place in stalls) == 6_000
    market.clock.at = AFTER
    assert sums(market.grant()) == [(card.order.card, 6_000)]


def test_a_payment_that_is_undone_before_the_grant_earns_nothing(market: Market, card: HeldCard, farm: Place) -> None:
    pay(farm, card, ("bread", 1_000))
    pay(farm, card, ("bread", 600))
    void(farm, card)
    market.send_all()
    assert sums(market.grant(MARCH_FIRST)) == [(card.order.card, 500)]


def test_a_void_after_the_grant_lowers_later_ones_and_never_the_card(
    market: Market, card: HeldCard, farm: Place
) -> None:
    pay(farm, card, ("bread", 1_600))
    farm.send(market.office)
    assert sums(market.grant(MARCH_FIRST)) == [(card.order.card, 800)]
    void(farm, card)
    farm.send(market.office)
    after = market.grant(MARCH_FIRST)
    assert (after.given, after.owed) == ((), 800)
    pay(farm, card, ("bread", 1_000))
    farm.send(market.office)
    again = market.grant(MARCH_FIRST)
    assert (again.given, again.owed) == ((), 300)
    pay(farm, card, ("bread", 2_000))
    farm.send(market.office)
    assert sums(market.grant(MARCH_FIRST)) == [(card.order.card, 700)]
    assert market.granted(card) == 1_500, "half of the 30 euros that stand"


def test_what_a_void_of_march_takes_back_is_taken_once_from_what_april_earns(market: Market, card: HeldCard) -> None:
    april = (MARCH[1], datetime(2026, 4, 30, 22, tzinfo=UTC))
    market.office.grant(card.order.card, PurseNumber(1), Cents(20_000), *april)
    farm = market.place("sustainable")
    pay(farm, card, ("bread", 1_600))
    farm.send(market.office)
    market.grant(MARCH_FIRST)
    void(farm, card)
    farm.till.clock.wind(26 * 86_400)
    market.clock.at = AFTER
    pay(farm, card, ("bread", 2_400))
    farm.send(market.office)
    done = market.grant()
    assert (sums(done), done.owed) == ([(card.order.card, 400)], 0)
    assert market.grant().given == ()
    pay(farm, card, ("bread", 600))
    farm.send(market.office)
    assert sums(market.grant()) == [(card.order.card, 300)]
    told = {(month.first, int(month.earned), int(month.granted)) for month in months(market, card)}
    assert told == {(MARCH_FIRST, 0, 0), (APRIL_FIRST, 1_500, 1_500)}


def test_a_payment_of_a_month_without_campaign_earns_nothing(market: Market, card: HeldCard, tmp_path: Path) -> None:
    later = tmp_path / "later.toml"
    text = (
        RULE_FILE.read_text()
        .replace("version   = 1", "version   = 2")
        .replace("from      = 2026-01-01", "from      = 2026-04-01")
    )
    later.write_text(text.replace("sustainable-winter", "spring"))
    with market.office.store.writing():  # as if there had never been another
        market.office.put_rule_set(read_rule_file(later), market.clock())
    farm = market.place("sustainable")
    pay(farm, card, ("bread", 1_000))
    farm.send(market.office)
    assert market.grant(MARCH_FIRST).given == ()


def test_a_bonus_of_rules_that_changed_since_is_granted_by_the_rules_it_was_shown_under(
    market: Market, card: HeldCard, farm: Place, tmp_path: Path
) -> None:
    pay(farm, card, ("bread", 1_000))
    later = tmp_path / "later.toml"
    without_examples, _, _ = RULE_FILE.read_text().partition("[[example]]")
    later.write_text(
        without_examples.replace("version   = 1", "version   = 2").replace(
            'merchants = ["sustainable"]', 'merchants = ["organic-shop"]', 1
        )
    )
    market.office.take_rules(later)
    farm.send(market.office)
    assert sums(market.grant(MARCH_FIRST)) == [(card.order.card, 500)]


def test_a_till_that_goes_back_to_an_older_entry_of_its_stall_earns_nothing_and_is_pointed_at(
    market: Market, card: HeldCard, farm: Place
) -> None:
    pay(farm, card, ("bread", 1_000))
    farm.send(market.office)
    with market.office.store.writing():
        entry = merchants.entry(market.office.store, PointOfSale(farm.stall.enrolled.certificate.merchant, 1))
        merchants.keep(market.office.store, replace(entry, groups=frozenset({"referenced"})))
    farm.till.close()
    market.teach(farm)
    farm.till.open()
    farm.till.accept()
    pay(farm, card, ("bread", 900))
    farm.send(market.office)
    pay(farm, card, ("bread", 800))
    farm.send_with(market.office, {Pay.MERCHANT_VERSION: 1})
    assert sums(market.grant(MARCH_FIRST)) == [(card.order.card, 500)]
    assert [notice.why for notice in report(market.office).decided_otherwise] == [redecision.OLDER]


@pytest.mark.parametrize(
    ("what", "shares"),
    [
        ("more than the card paid", [[0, 2, 1_600], [1, 2, 100]]),
        ("a line that cost less", [[0, 2, 1_100]]),
        ("no line of this basket", [[0, 2, 1_000], [7, 2, 100]]),
        ("no shares at all", 5),
    ],
)
def test_shares_that_are_not_what_the_card_paid_earn_nothing(
    market: Market, card: HeldCard, farm: Place, what: str, shares: Value
) -> None:
    pay(farm, card, ("bread", 1_000), ("vegetables", 100))
    (debit,) = open_record(farm.till.journal.records(1, 999)[-1])[1].body[Pay.DEBITS]  # type: ignore[misc,union-attr]
    file = debit[0]  # type: ignore[index]
    told = [[line, file, cents] for line, _, cents in shares] if isinstance(shares, list) else shares  # type: ignore[misc]
    farm.send_with(market.office, {Pay.SHARES: told})  # type: ignore[dict-item]
    assert market.grant(MARCH_FIRST).given == (), what


def test_shares_of_more_than_the_card_had_earn_nothing(market: Market) -> None:
    poor = market.card(3, granted=500)
    farm = market.place("sustainable")
    pay(farm, poor, ("bread", 1_000))
    farm.send_with(market.office, {Pay.SHARES: [[0, 1, 1_000]]})
    assert market.grant(MARCH_FIRST).given == ()


def test_two_cards_of_a_household_show_and_get_no_more_than_its_cap(market: Market, card: HeldCard) -> None:
    other = market.card(2)
    with market.office.store.writing():
        home = households.take_in(market.office.store, Size(2, 0), MARCH_FIRST, market.office.now())
        for each in (card, other):
            households.hand_over(market.office.store, home, each.order.card, MARCH_FIRST)
    farm = market.place("sustainable")
    for each in (card, other):
        pay(farm, each, ("bread", 7_000))
    market.send_all()
    assert sum(farm.shown.values()) == 6_000
    market.clock.at = AFTER
    assert sorted(sums(market.grant())) == sorted([(card.order.card, 3_000), (other.order.card, 3_000)])


def test_what_a_till_showed_that_had_not_heard_of_a_second_card_is_granted(market: Market, card: HeldCard) -> None:
    farm, other = market.place("sustainable"), market.card(2)
    market.clock.at = NOON - timedelta(days=1)
    with market.office.store.writing():
        home = households.take_in(market.office.store, Size(2, 0), date(2026, 2, 1), market.office.now())
        households.hand_over(market.office.store, home, card.order.card, date(2026, 2, 1))
        households.hand_over(market.office.store, home, other.order.card, date(2026, 2, 20))
    pay(farm, card, ("bread", 8_000))
    market.send_all()
    assert sum(farm.shown.values()) == 4_000, "above its part of 30 euros: this till's lists are older"
    market.clock.at = AFTER
    assert sums(market.grant()) == [(card.order.card, 4_000)]


def test_a_share_no_list_ever_named_earns_by_the_true_one(market: Market, card: HeldCard) -> None:
    other = market.card(2)
    with market.office.store.writing():
        home = households.take_in(market.office.store, Size(2, 0), date(2025, 11, 1), market.office.now())
        for each in (card, other):
            households.hand_over(market.office.store, home, each.order.card, date(2025, 11, 1))
    farm = market.place("sustainable")
    pay(farm, card, ("bread", 8_000))
    market.send_all()
    with market.office.store.writing():
        market.office.store.change("UPDATE earning SET cap = 5000")
    market.clock.at = AFTER
    assert sums(market.grant()) == [(card.order.card, 3_000)]


def test_a_payment_in_doubt_earns_once_the_card_has_proven_it(market: Market, card: HeldCard, farm: Place) -> None:
    farm.till.sell(("bread", 1_000))
    farm.till.tap(card, Tear(Moment(instruction=COMMIT), Phase.ANSWER_LOST))
    farm.send(market.office)
    assert market.grant(MARCH_FIRST).given == ()
    other = market.place()
    pay(other, card, ("bread", 100))
    other.send(market.office)
    assert sums(market.grant(MARCH_FIRST)) == [(card.order.card, 500)]


def test_concluding_all_again_from_the_records_changes_nothing(market: Market, card: HeldCard, farm: Place) -> None:
    pay(farm, card, ("bread", 1_250))
    market.send_all()
    before = months(market, card)
    with market.office.store.writing():
        market.office.store.change("UPDATE earning SET base = 9")
        conclude_again(market.office.store, market.office.keys, "gers")
    assert months(market, card) == before
    assert [int(month.earned) for month in before] == [625]


def test_a_bonus_waits_when_two_custodians_are_missing(market: Market, card: HeldCard, farm: Place) -> None:
    pay(farm, card, ("bread", 1_000))
    market.send_all()
    keys: CentralKeys = market.office.keys
    with pytest.raises(ValueError, match="ce mois est passé"):
        bonuses.run(market.office.store, keys, date(2026, 2, 1), market.office.now())
    assert market.granted(card) == 0


@pytest.mark.parametrize("seed", range(6))
def test_what_all_tills_have_shown_is_what_is_granted_in_any_order_of_reports(tmp_path: Path, seed: int) -> None:
    life(tmp_path, seed, taps=14)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 120))
def test_what_all_tills_have_shown_is_what_is_granted_in_many_lives(tmp_path: Path, seed: int) -> None:
    life(tmp_path, seed, taps=40)


def life(folder: Path, seed: int, taps: int) -> None:
    """Random taps of two cards at three stalls, reports in parts and late, grants in between."""
    dice, clock = random.Random(seed), WoundClock(NOON - timedelta(days=2))
    market = Market(folder, new_office(folder / "centre", clock), clock)
    cards = [market.card(number, granted=dice.choice([3_000, 20_000])) for number in (1, 2)]
    if dice.random() < 0.5:
        with market.office.store.writing():
            home = households.take_in(market.office.store, Size(1, 1), MARCH_FIRST, market.office.now())
            for each in cards:
                households.hand_over(market.office.store, home, each.order.card, MARCH_FIRST)
    places = [market.place("sustainable"), market.place(), market.place("sustainable")]
    for _ in range(taps):
        place, card = dice.choice(places), dice.choice(cards)
        match dice.randrange(6):
            case 0:
                place.send(market.office)
            case 1:
                market.grant(MARCH_FIRST)
            case _:
                amount = dice.choice([1, 99, dice.randrange(1, 2_500)])
                place.till.sell((dice.choice(["bread", "wine", "vegetables"]), amount))
                said = place.till.tap(card)
                if any(isinstance(word, say.Split) for word in said):
                    place.till.accept()
                    place.till.tap(card)
                place.till.back()
        for each in cards:
            assert market.granted(each) <= sum(sum(one.shown.values()) for one in places)
    for place in dice.sample(places, 3):
        place.send(market.office)
    market.grant(MARCH_FIRST)
    shown = sum(sum(place.shown.values()) for place in places)
    assert sum(market.granted(each) for each in cards) == shown
    for each in cards:
        assert is_conserved(market, each)
    for place in places:
        place.till.close()
    market.office.close()
