"""The bonus at the stall: shown with PAYÉ, carried by the card, undone by a void, and the same from the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from bench.market import CENTRE_KEY, NOON, RULES, STALL, HeldCard, Seller, centre_signs, disk, entitle, issue_card
from domain.basket import Basket, Line
from domain.bonus import CapShare
from domain.identity import PurseNumber
from domain.money import Cents
from domain.reason import Reason
from domain.rule_check import with_widths
from domain.rule_set import Campaign, Certificate, Condition, PriceCeiling, Purse, RuleSet
from emulator.state_file import MemoryStore
from sync.card_format import SignedEntitlement, decode_entitlement, decode_log_record, encode_entitlement
from sync.merchant_format import encode_merchant, read_merchant
from sync.record import Envelope, Pay, RecordType, open_record
from sync.replay import decide_again, is_as_written
from sync.rule_format import encode_rule_set, read_rule_set
from sync.tmac import parse
from terminal import events as say

WINTER = Campaign(
    code="winter",
    first_day=date(2026, 1, 1),
    last_day=date(2026, 3, 31),
    conditions=(Condition(frozenset({"food"}), frozenset({"sustainable"})),),
    earned_on=frozenset({"food"}),
    give=Cents(500),
    per=Cents(1_000),
    month_cap=Cents(1_000),
    into="food",
)
WITH_BONUS = replace(RULES, campaigns=(WINTER,))
DURABLE = replace(STALL, groups=frozenset({"referenced", "sustainable"}))
MANY = with_widths(
    replace(
        RULES,
        purses=(
            *RULES.purses,
            Purse(
                PurseNumber(2), "bio", "Bio", (Condition(frozenset({"fresh-produce"}), labels=frozenset({"organic"})),)
            ),
            Purse(
                PurseNumber(3), "milk", "Lait", (Condition(products="milk-2026"),),
                price_ceiling=PriceCeiling(Cents(150), "l"),
            ),
        ),
        campaigns=(WINTER,),
    )
)  # fmt: skip
CERTIFIED = replace(DURABLE, certificates=(Certificate("organic", "FR-BIO-01", date(2026, 12, 31)),))


@pytest.fixture
def card(issued: HeldCard) -> HeldCard:
    return HeldCard(issued.order, MemoryStore(issued.store.read()))


def stall(path: Path, card: HeldCard, rules: RuleSet = WITH_BONUS, **more: object) -> Seller:
    seller = Seller(disk(path), 2, [card], [entitle(card)], rules=rules, merchant=DURABLE, **more)  # type: ignore[arg-type]
    seller.open()
    return seller


@pytest.fixture
def till(tmp_path: Path, card: HeldCard) -> Iterator[Seller]:
    seller = stall(tmp_path / "stall", card)
    yield seller
    seller.close()


def paid(seller: Seller, card: HeldCard, *lines: tuple[str, int]) -> say.Paid:
    seller.sell(*lines)
    (word,) = seller.tap(card)
    assert isinstance(word, say.Paid)
    return word


def envelopes(seller: Seller, kind: RecordType = RecordType.PAYMENT) -> list[Envelope]:
    opened = [open_record(record)[1] for record in seller.journal.records(1, 99)]
    return [envelope for envelope in opened if envelope.type == kind]


def test_the_bonus_is_shown_with_paid_and_goes_on_where_the_month_stands(till: Seller, card: HeldCard) -> None:
    assert paid(till, card, ("vegetables", 1_250), ("alcohol", 300)).bonus == 625
    assert paid(till, card, ("bread", 1)).bonus == 0
    assert paid(till, card, ("dairy", 1_000)).bonus == 375, "the cap of the month is reached in the middle of the line"
    bodies = [envelope.body for envelope in envelopes(till)]
    assert [body[Pay.CAMPAIGN] for body in bodies] == ["winter"] * 3
    assert [body[Pay.BONUS] for body in bodies] == [
        [1_250, 0, 625, None], [1, 1_250, 0, None], [1_000, 1_251, 375, None],
    ]  # fmt: skip


def test_without_a_campaign_nothing_is_said_of_a_bonus(tmp_path: Path, card: HeldCard) -> None:
    seller = stall(tmp_path / "plain", card, RULES)
    assert (paid(seller, card, ("bread", 500)).bonus, envelopes(seller)[0].body[Pay.CAMPAIGN]) == (None, "none")
    seller.close()


def test_a_void_takes_its_part_of_the_month_back(till: Seller, card: HeldCard) -> None:
    paid(till, card, ("vegetables", 1_250))
    paid(till, card, ("bread", 500))
    till.void()
    till.tap(card)
    assert paid(till, card, ("bread", 501)).bonus == 250, "1,250 then 1,751: 6.25 then 8.75"


def test_where_the_month_is_not_sure_the_bonus_is_to_be_confirmed(tmp_path: Path, card: HeldCard) -> None:
    seller = stall(tmp_path / "late", card)
    seller.clock.wall = NOON + timedelta(days=24, hours=12)
    word = paid(seller, card, ("vegetables", 1_000))
    assert (word.bonus, word.is_bonus_unknown) == (None, True)
    assert envelopes(seller)[0].body[Pay.BONUS] == [None, 0, None, None]
    assert decode_log_record(envelopes(seller)[0].body[Pay.OWN_LOG]).month_base is None  # type: ignore[arg-type]
    seller.close()


# --- a household with two cards --------------------------------------------------------------------------------------

UNTIL_MAY = replace(WINTER, last_day=date(2026, 5, 31), month_cap=Cents(6_000))
SHARED = replace(RULES, campaigns=(UNTIL_MAY,))
HALF_THEN_LESS = (CapShare(date(2026, 3, 1), Cents(3_000)), CapShare(date(2026, 4, 1), Cents(1_000)))


def until_may(card: HeldCard) -> SignedEntitlement:
    """Money for more than one month."""
    word = entitle(card, limits=(20_000,)).entitlement
    slots = tuple(replace(slot, end=None) for slot in word.slots)
    data = encode_entitlement(replace(word, slots=slots), card.order.uid, centre_signs)
    return decode_entitlement(data, card.order.uid, lambda _: CENTRE_KEY.public_key())


def test_cards_of_one_household_show_their_shares_of_its_cap_until_the_next_month_says_otherwise(
    tmp_path: Path, card: HeldCard
) -> None:
    """The cap is 60,00 €: two cards have 30,00 € each, and in April one has 10,00 €; a card alone has it all."""
    family, alone = [card, issue_card(2)], issue_card(3)
    cards = [*family, alone]
    seller = Seller(disk(tmp_path / "family"), 2, cards, list(map(until_may, cards)), rules=SHARED, merchant=DURABLE)
    shared = {held.order.uid: replace(held.ref, bonus_shares=HALF_THEN_LESS) for held in family}
    seller.lists = replace(seller.lists, refs={**seller.lists.refs, **shared})
    seller.open()
    shown = []
    for held in cards:
        seller.sell(("vegetables", 7_500))
        seller.accept()
        (word,) = seller.tap(held)
        assert isinstance(word, say.Paid)
        shown.append(word.bonus)
    assert shown == [3_000, 3_000, 3_750]
    seller.clock.wind(25 * 86_400)
    assert paid(seller, family[0], ("bread", 3_000)).bonus == 1_000
    march, april = envelopes(seller)[0], envelopes(seller)[-1]
    assert [envelope.body[Pay.BONUS] for envelope in (march, april)] == [
        [7_500, 0, 3_000, 3_000], [3_000, 0, 1_000, 1_000],
    ]  # fmt: skip
    assert again(april, card, SHARED)
    assert not again(replace(april, body={**april.body, Pay.BONUS: [3_000, 0, 1_000, 2_000]}), card, SHARED)
    seller.close()


# --- decided again ---------------------------------------------------------------------------------------------------


def again(envelope: Envelope, card: HeldCard, rules: RuleSet) -> bool:
    """Whether rules and merchant as the centre signed them, and the record alone, give what the till wrote."""
    key = CENTRE_KEY.public_key()
    rules = read_rule_set(encode_rule_set(rules, b"lists", centre_signs), key)
    merchant = read_merchant(encode_merchant(CERTIFIED, b"lists", centre_signs), key)
    facts = parse(envelope.body[Pay.TMI])  # type: ignore[arg-type]
    word = decode_entitlement(facts.entitlement_in_force, card.order.uid, lambda _: key).entitlement
    return is_as_written(decide_again(envelope, rules, merchant, word), envelope.body)


def random_line(dice: Random) -> Line:
    return Line(
        dice.choice(("vegetables", "bread", "milk", "alcohol")),
        Cents(dice.randrange(1, 500)),
        family_typed=dice.random() < 0.5,
        labels=dice.choice(((), ("organic",), ("local", "organic"))),
        quantity=dice.choice((None, dice.randrange(1, 4_000))),
        unit=dice.choice(("", "l", "kg")),
        product=dice.choice((None, "3017620422003")),
        lists=dice.choice((None, frozenset(), frozenset({"milk-2026", "others"}))),
    )


@pytest.fixture
def records(tmp_path: Path, card: HeldCard) -> Iterator[list[Envelope]]:
    word = entitle(card, limits=(1_500, 900, 600), purses=(1, 2, 3))
    seller = Seller(disk(tmp_path / "many"), 2, [card], [word], rules=MANY, merchant=CERTIFIED)
    seller.open()
    dice = Random(20)
    for _ in range(25):
        seller.sell_basket(Basket(tuple(random_line(dice) for _ in range(dice.randrange(1, 5)))))
        seller.accept()
        seller.tap(card)
        seller.accept()
        seller.tap(card)
        seller.back()
        seller.clock.wind(90)
    yield envelopes(seller)
    seller.close()


def test_the_centre_decides_every_payment_as_the_till_did(records: list[Envelope], card: HeldCard) -> None:
    assert len(records) > 8
    assert len({file for record in records for _, file, _ in record.body[Pay.SHARES]}) == 3  # type: ignore[misc,union-attr]
    assert any(Pay.LINE_CLAIMS in record.body for record in records)
    for record in records:
        assert again(record, card, MANY), record.seq


@pytest.mark.parametrize("key", [Pay.SHARES, Pay.LINES, Pay.BONUS, Pay.CAMPAIGN, Pay.REST, Pay.PAID_HERE_TODAY])
def test_a_record_that_says_otherwise_is_seen(records: list[Envelope], card: HeldCard, key: int) -> None:
    other = {
        Pay.SHARES: [], Pay.LINES: [["bread", 1, 1, 1, 0]], Pay.BONUS: [9_999, 0, 9_999, None], Pay.CAMPAIGN: "none",
        Pay.REST: 1, Pay.PAID_HERE_TODAY: 7_990,
    }  # fmt: skip
    seen = [again(replace(record, body={**record.body, key: other[key]}), card, MANY) for record in records]
    assert not all(seen)


def test_other_rules_give_another_answer(records: list[Envelope], card: HeldCard) -> None:
    strict = replace(MANY, never=MANY.never | {"bread"})
    assert not all(again(record, card, strict) for record in records)


def test_what_changes_between_the_screen_and_the_card_is_shown_before_anything_is_debited(
    tmp_path: Path, card: HeldCard
) -> None:
    """The certificate ends at midnight while the customer looks for the card."""
    ends_today = replace(CERTIFIED, certificates=(Certificate("organic", "FR-BIO-01", date(2026, 3, 7)),))
    bio = with_widths(replace(MANY, purses=(replace(MANY.purses[1], number=PurseNumber(1)), MANY.purses[2])))
    rules = replace(bio, campaigns=())
    word = entitle(card, limits=(900, 900), purses=(1, 3))
    seller = Seller(disk(tmp_path / "midnight"), 2, [card], [word], rules=rules, merchant=ends_today)
    seller.open()
    milk = Line("milk", Cents(150), quantity=1_000, unit="l", lists=frozenset({"milk-2026"}))
    (shown,) = seller.sell_basket(Basket((Line("fruit", Cents(500), labels=("organic",)), milk)))
    assert isinstance(shown, say.PresentCard)
    assert shown.asked == 650
    seller.clock.wind(16 * 3_600)
    (split,) = seller.tap(card)
    assert isinstance(split, say.Split)
    assert (split.by_card, split.reason) == (150, Reason.LABEL_NOT_CERTIFIED)
    assert not any(card.spent().values())
    seller.close()
