"""The real till pays on a virtual card, the centre decides each payment again from the record; a lie is pointed at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.market import MARCH, NOON, RULES, HeldCard, Seller, disk
from central import merchants, redecision
from central.office import Office
from central.pages import report_page
from central.report import report
from central.upgrade import conclude_again
from domain.identity import PurseNumber, Uid
from domain.money import Cents
from domain.rule_check import with_widths
from domain.rule_set import Condition, Merchant, Purse
from sync.card_format import SignedEntitlement, decode_entitlement, encode_entitlement
from sync.cbor import Map, Value
from sync.crypto import sign
from sync.issuing import TERMINALS
from sync.ntag_format import NTAG_AID
from sync.record import Envelope, Pay, RecordType, open_record, seal_record
from sync.signed_lists import SlipKey
from terminal import events as say
from terminal.fixed_lists import FixedLists
from tests.card.ntag.kit import issued_under
from tests.central.kit import Stall, WoundClock, account, figures, identity_of, new_office, new_stall
from tests.central.test_true_card import card, in_hand
from tests.central.test_upgrade import with_entries_of_the_fourth_format

__all__ = ["card"]
FRESH = Purse(PurseNumber(2), "fresh", "Frais", (Condition(frozenset({"fresh-produce"}), frozenset({"referenced"})),))
TWO_PURSES = with_widths(replace(RULES, version=2, purses=(*RULES.purses, FRESH)))


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(NOON - timedelta(days=2))


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", clock)
    with opened.store.writing():
        opened.put_rule_set(TWO_PURSES, clock())
    yield opened
    opened.close()


@pytest.fixture
def stall(office: Office, card: HeldCard) -> Stall:
    """Enrolled once the card has money of both purses."""
    office.grant(card.order.card, PurseNumber(2), Cents(600), *MARCH)
    return new_stall(office)


@pytest.fixture
def till(tmp_path: Path, office: Office, card: HeldCard, stall: Stall, clock: WoundClock) -> Iterator[Seller]:
    """The stall's real till, under the centre's own rules and its merchant's own entry."""
    seller = till_of(tmp_path, office, card, stall, stall.entitlements[card.order.card])
    clock.at = NOON + timedelta(hours=1)
    yield seller
    seller.close()


def till_of(tmp_path: Path, office: Office, card: HeldCard, stall: Stall, word: SignedEntitlement) -> Seller:
    """A stall's till, switched on, that holds one card's entitlement."""
    enrolled = stall.enrolled
    seller = Seller(disk(tmp_path / "till"), stall.station, [card], [word], device_key=stall.device_key)
    assert enrolled.download.merchant is not None
    seller.identity = identity_of(stall)
    seller.lists = FixedLists(
        office.rules,
        enrolled.download.merchant,
        {card.order.uid: card.ref},
        {card.order.card: card.order.keys[TERMINALS]},
        enrolled.centre_keys.entitlements.get,
        NOON - timedelta(hours=3),
        {card.order.card: word},
        frozenset(),
        {stall.station: SlipKey(stall.device_key.public_key())},
    )
    seller.open()
    return seller


def pay(till: Seller, card: HeldCard, *lines: tuple[str, int]) -> tuple[say.Outward, ...]:
    till.sell(*lines)
    said = till.tap(card)
    if any(isinstance(word, say.Split) for word in said):
        till.accept()
        said = till.tap(card)
    assert any(isinstance(word, say.Paid) for word in said), said
    return said


def sent(office: Office, stall: Stall, till: Seller) -> list[Envelope]:
    """Send all the till wrote, as it wrote it."""
    stall.records = till.journal.records(1, 99)
    assert stall.send(office).dispositions == ()
    return [open_record(record)[1] for record in stall.records]


def sent_with_a_lie(office: Office, stall: Stall, till: Seller, body: Map | None = None, **odd: Any) -> None:
    """Send all the till wrote but the last record changed, and signed by the same key."""
    *before, last = till.journal.records(1, 99)
    _, envelope = open_record(last)
    assert envelope.type == RecordType.PAYMENT
    lie = replace(envelope, body={**envelope.body, **(body or {})}, **odd)
    stall.records = [*before, seal_record(lie, lambda message: sign(stall.device_key, message))]
    assert stall.send(office).dispositions == (), "it is posted like any other"


def entry_of(stall: Stall) -> Merchant:
    """The entry a stall was enrolled with."""
    entry = stall.enrolled.download.merchant
    assert entry is not None
    return entry


def told(office: Office) -> list[str]:
    return [notice.why for notice in report(office).decided_otherwise]


def test_what_the_real_till_decided_is_decided_again(
    office: Office, stall: Stall, till: Seller, card: HeldCard
) -> None:
    """A payment, one after a void whose slip counts, one of several purses, one that the card pays in part."""
    pay(till, card, ("bread", 200))
    till.void()
    till.tap(card)
    pay(till, card, ("bread", 250), ("alcohol", 300))
    pay(till, card, ("bread", 100), ("vegetables", 900))
    pay(till, card, ("bread", 3_000))
    bodies = [envelope.body for envelope in sent(office, stall, till) if envelope.type == RecordType.PAYMENT]
    assert len(bodies) == 4
    assert bodies[1][Pay.SLIPS_COUNTED] != []
    assert len({part[0] for part in bodies[2][Pay.DEBITS]}) == 2  # type: ignore[union-attr,index]
    assert bodies[3][Pay.REST] != 0
    assert told(office) == []


def test_a_card_without_proof_is_decided_again_under_its_own_low_ceilings(
    tmp_path: Path, office: Office, clock: WoundClock
) -> None:
    """Its entitlement would let 40 € pass; the till cuts at 30 €, and so does the centre."""
    tag = issued_under(office.register_card(Uid(bytes.fromhex("04090203040577")), NTAG_AID))
    office.grant(tag.order.card, PurseNumber(1), Cents(3_000), *MARCH)
    stall = new_stall(office)
    granted = stall.entitlements[tag.order.card].entitlement
    unsigned = replace(granted, seq=9, slots=tuple(replace(slot, limit=Cents(5_000)) for slot in granted.slots))
    signed = encode_entitlement(unsigned, tag.order.uid, office.keys.entitlement_signer())
    word = decode_entitlement(signed, tag.order.uid, office.keys.public().entitlements.get)
    till = till_of(tmp_path, office, tag, stall, word)
    clock.at = NOON + timedelta(hours=1)
    pay(till, tag, ("bread", 4_000))
    paid = [envelope.body for envelope in sent(office, stall, till) if envelope.type == RecordType.PAYMENT]
    assert [body[Pay.REST] for body in paid] == [1_000]
    assert told(office) == []
    till.close()


def test_lines_the_card_may_not_pay_are_pointed_at_and_stay_counted(
    office: Office, stall: Stall, till: Seller, card: HeldCard
) -> None:
    pay(till, card, ("bread", 700))
    sent_with_a_lie(office, stall, till, {Pay.LINES: [["alcohol", 700, 1, 700, 0]]})
    (notice,) = report(office).decided_otherwise
    assert (notice.station, notice.seq) == (stall.station, len(stall.records))
    assert notice.why.startswith("décidé autrement ici : débits (7,00\u202f€ d'écart), lignes (7,00\u202f€ d'écart)")
    assert "Décidé autrement" in report_page(report(office), NOON, "Europe/Paris")
    money, plain = account(office, in_hand(card)), figures(office)
    assert (money.spent, money.excess, money.doubted, money.is_conserved) == (700, 0, 0, True)
    assert (plain["notices"], plain["quarantined"], plain["terminals"][0]["paid"]) == ((), (), 700)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (Pay.REST, 30, "décidé autrement ici : reste à régler (0,30\u202f€ d'écart)"),
        (Pay.BONUS, [None, 0, 500, None], "décidé autrement ici : bonus (5,00\u202f€ d'écart)"),
        (Pay.CAMPAIGN, "winter", "décidé autrement ici : campagne"),
        (Pay.SHARES, [], "décidé autrement ici : répartition (7,00\u202f€ d'écart)"),
        (Pay.MERCHANT_VERSION, 9, "fiche n° 9 du stand inconnue ici, pas redécidé"),
    ],
)
def test_each_part_that_differs_is_named_with_its_cents(
    office: Office, stall: Stall, till: Seller, card: HeldCard, key: int, value: Value, why: str
) -> None:
    pay(till, card, ("bread", 700))
    sent_with_a_lie(office, stall, till, {key: value})
    assert told(office) == [why]


def test_rules_this_centre_never_signed_are_named(office: Office, stall: Stall, till: Seller, card: HeldCard) -> None:
    pay(till, card, ("bread", 700))
    sent_with_a_lie(office, stall, till, rules_version=9)
    assert told(office) == ["règles n° 9 inconnues ici, pas redécidé"]


def test_other_rules_than_those_the_till_had_are_seen(
    office: Office, stall: Stall, till: Seller, card: HeldCard, clock: WoundClock
) -> None:
    pay(till, card, ("bread", 700))
    with office.store.writing():
        office.put_rule_set(replace(TWO_PURSES, version=3, never=RULES.never | {"bread"}), clock())
    sent_with_a_lie(office, stall, till, rules_version=3)
    (why,) = told(office)
    assert "débits (7,00\u202f€ d'écart)" in why


@pytest.mark.parametrize(
    "body",
    [
        {Pay.LINES: "rien"},
        {Pay.LINES: [["bread", 2**62, 1, 700, 0]] * 41},
        {Pay.LINES: [["b" * 200, 700, 1, 700, 0]]},
        {Pay.SHARES: [[0, "x"]], Pay.REST: None},
        {Pay.BONUS: None},
        {Pay.TILL_LEFT: [1]},
        {Pay.SLIPS_COUNTED: 0},
        {Pay.PAID_HERE_TODAY: "x"},
        {Pay.LINE_WORDS: [0], Pay.LINE_CLAIMS: [[]]},
        {Pay.PROOF: 0},
        {Pay.TILL_BEFORE: [0]},
    ],
    ids=lambda body: "-".join(map(str, body)),
)
def test_a_garbled_account_of_the_decision_is_posted_and_pointed_at(
    office: Office, stall: Stall, till: Seller, card: HeldCard, body: Map
) -> None:
    pay(till, card, ("bread", 700))
    sent_with_a_lie(office, stall, till, body)
    assert told(office) == [redecision.UNREADABLE]
    assert account(office, in_hand(card)).spent == 700


@pytest.mark.parametrize(
    "lie", [{Pay.TILL_LEFT: [999_999, 99_999]}, {Pay.TILL_LEFT: [None, None]}, {Pay.CAPS_VERSION: 2}]
)
def test_caps_that_are_not_those_of_the_certificate_are_pointed_at(
    office: Office, stall: Stall, till: Seller, card: HeldCard, lie: Map
) -> None:
    pay(till, card, ("bread", 200))
    sent_with_a_lie(office, stall, till, lie)
    assert told(office) == [redecision.OTHER_CAPS]
    assert account(office, in_hand(card)).spent == 200


def test_a_payment_under_an_older_entry_of_its_merchant_is_decided_under_that_one(
    office: Office, stall: Stall, till: Seller, card: HeldCard
) -> None:
    pay(till, card, ("bread", 700))
    with office.store.writing():
        merchants.keep(office.store, replace(entry_of(stall), groups=frozenset()))
    sent(office, stall, till)
    assert told(office) == []


def test_under_the_newer_entry_it_is_decided_otherwise(
    office: Office, stall: Stall, till: Seller, card: HeldCard
) -> None:
    pay(till, card, ("bread", 700))
    with office.store.writing():
        merchants.keep(office.store, replace(entry_of(stall), groups=frozenset()))
    sent_with_a_lie(office, stall, till, {Pay.MERCHANT_VERSION: 2})
    (why,) = told(office)
    assert "débits (7,00\u202f€ d'écart)" in why


def test_concluded_again_from_the_records_the_same_is_said(
    office: Office, stall: Stall, till: Seller, card: HeldCard
) -> None:
    pay(till, card, ("bread", 200))
    pay(till, card, ("bread", 700))
    sent_with_a_lie(office, stall, till, {Pay.REST: 30})
    before = figures(office)
    with office.store.writing():
        conclude_again(office.store, office.keys, office.rules.programme)
    assert figures(office) == before
    assert len(before["decided_otherwise"]) == 1


def test_a_database_of_the_format_before_decides_again_what_it_holds(
    tmp_path: Path, office: Office, stall: Stall, till: Seller, card: HeldCard, clock: WoundClock
) -> None:
    pay(till, card, ("bread", 200))
    pay(till, card, ("bread", 700))
    sent_with_a_lie(office, stall, till, {Pay.REST: 30})
    before = figures(office)
    with office.store.writing():
        office.store.change("DROP TABLE decided_otherwise")
        with_entries_of_the_fourth_format(office.store, has_versions=False)
        office.store.change("UPDATE meta SET value = 3 WHERE name = 'format'")
    office.close()
    again = Office(tmp_path / "centre", clock)
    assert figures(again) == before
    assert told(again) == ["décidé autrement ici : reste à régler (0,30\u202f€ d'écart)"]
    again.close()


def test_a_payment_told_as_a_doubt_is_pointed_at_once_the_card_proves_it(
    office: Office, stall: Stall, till: Seller, card: HeldCard
) -> None:
    pay(till, card, ("bread", 700))
    *before, last = till.journal.records(1, 99)
    _, envelope = open_record(last)
    lie = {key: value for key, value in envelope.body.items() if key not in (Pay.TMC, Pay.TMV)}
    changed = replace(envelope, type=RecordType.IN_DOUBT, body={**lie, Pay.REST: 30})
    stall.records = [*before, seal_record(changed, lambda message: sign(stall.device_key, message))]
    assert stall.send(office).dispositions == ()
    assert told(office) == [], "it may never have been"
    other = new_stall(office, "Le Fournil")
    other.at = NOON
    other.see(in_hand(card), files=(1,))
    assert other.send(office).dispositions == ()
    assert told(office) == ["décidé autrement ici : reste à régler (0,30\u202f€ d'écart)"]
