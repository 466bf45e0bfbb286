"""The till takes a payment from a tag as from any card; what is missing is the proof, and so the sums are low."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.market import READER, DirectField, HeldCard, Seller, entitle, issue_card
from domain.identity import SlotFile
from domain.money import Cents
from domain.reason import Reason
from domain.unproven import UNPROVEN_CEILING
from emulator.field import Exchange
from emulator.inprocess import InProcessField
from emulator.tear import Fault, Moment, Phase, tear_at
from sync.card_format import decode_log_record
from sync.cbor import Map
from sync.issuing import TERMINALS
from sync.ntag_format import encode_half
from sync.record import Pay, RecordType, open_record
from sync.tmac import parse
from terminal import events as say
from terminal.errors import CardMisbehaves, NotOurCard, OutcomeUnknown
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.nfc.ntag424 import Ntag424Purse, select_tag
from terminal.ports import CardPlan, Deadline, Presence
from tests.card.ntag.kit import HeldTag, issued_tag, laid, paid, stall, word_for

RICH = 9_000


def bodies_of(seller: Seller, kind: RecordType) -> list[Map]:
    envelopes = [open_record(record)[1] for record in seller.journal.records(1, 999)]
    return [envelope.body for envelope in envelopes if envelope.type == kind]


def opened(tag: HeldTag, *disturbances: object) -> Ntag424Purse:
    link = laid(tag.store, *disturbances)  # type: ignore[arg-type]
    store = KeyStore()
    store.take({tag.order.card: tag.order.keys[TERMINALS]})
    select_tag(link)
    return Ntag424Purse(store.authenticate(link, tag.ref), tag.order.uid)


# --- paying ----------------------------------------------------------------------------------------------------------


def test_a_tag_pays_brings_its_credit_and_pays_at_a_stall_that_knows_nothing_of_it() -> None:
    tag = issued_tag()
    word = word_for(tag)
    assert paid(stall(2, [tag], [word]), tag, 300) == [300]
    assert tag.entitlement == word.padded
    assert paid(stall(3, [tag]), tag, 450) == [450]
    assert tag.spent()[3] == 750 and tag.purse.newest.counter == 2


def test_a_payment_from_three_slots_is_one_write() -> None:
    tag = issued_tag()
    seller = stall(2, [tag], [word_for(tag, 300, 400, 500)])
    assert paid(seller, tag, 1_000) == [1_000]
    assert (sum(tag.spent().values()), tag.purse.newest.counter) == (1_000, 1)
    assert len(decode_log_record(tag.purse.newest.log_record).debits) == 3


def test_a_payment_has_the_apdus_the_format_page_says_and_its_last_one_is_the_commit_point() -> None:
    tag = issued_tag()
    seller = stall(2, [tag], [word_for(tag)])
    for cents, sent in ((300, "A4 71 AF AD AD 8D 8D"), (400, "A4 71 AF AD AD 8D")):
        seller.clock.wind(100)
        seller.sell(("vegetables", cents))
        exchanges: list[Exchange] = []
        seller.field.present(tag.awake(), (), exchanges.append)
        seller.readers.field_changed(READER, is_present=True)
        presence = Presence(READER, seller.readers.insertions(READER))
        assert any(isinstance(word, say.Paid) for word in seller.tell(say.CardPresented(presence)))
        seller.lift()
        assert " ".join(f"{exchange.instruction:02X}" for exchange in exchanges) == sent


def test_the_record_gives_the_whole_account_in_the_words_of_a_tmi_and_says_that_nobody_proved_it() -> None:
    tag = issued_tag()
    word = word_for(tag)
    seller = stall(2, [tag], [word])
    paid(seller, tag, 300)
    seller.clock.wind(100)
    paid(seller, tag, 450)
    first, second = bodies_of(seller, RecordType.PAYMENT)
    assert [body[Pay.PROOF] for body in (first, second)] == [0, 0]
    assert [body[Pay.TMV] for body in (first, second)] == [bytes(8), bytes(8)]
    assert [body[Pay.TMC] for body in (first, second)] == [1, 2]
    facts = parse(second[Pay.TMI])  # type: ignore[arg-type]
    assert (facts.value_before(SlotFile(3)), facts.amount) == (16_000_000 - 300, 450)
    assert facts.entitlement_read == word.padded and facts.entitlement_written is None
    assert facts.own_log == second[Pay.OWN_LOG] == tag.purse.newest.log_record
    assert facts.logs[0] == second[Pay.NEWEST_LOG] == first[Pay.OWN_LOG] and len(facts.logs) == 2
    assert parse(first[Pay.TMI]).entitlement_written == word.padded  # type: ignore[arg-type]


def test_a_card_with_proof_has_no_such_word_in_its_record() -> None:
    card = issue_card()
    seller = stall(2, [card], [entitle(card)])
    seller.sell(("vegetables", 300))
    seller.tap(card)
    (body,) = bodies_of(seller, RecordType.PAYMENT)
    assert Pay.PROOF not in body and body[Pay.TMV] != bytes(8)


# --- low limits ------------------------------------------------------------------------------------------------------


def offered(seller: Seller, card: HeldCard, cents: int) -> list[tuple[int, Reason | None]]:
    seller.sell(("vegetables", cents))
    said = seller.tap(card)
    return [(int(word.by_card), word.reason) for word in said if isinstance(word, say.Split)]


def test_a_tag_pays_no_more_than_the_low_limit_a_day_at_a_stall_whatever_the_centre_granted() -> None:
    tag = issued_tag()
    seller = stall(2, [tag], [entitle(tag, limits=(RICH,))])
    assert [cents for cents, _ in offered(seller, tag, UNPROVEN_CEILING + 1)] == [UNPROVEN_CEILING]
    seller.back()
    assert paid(seller, tag, 2_000) == [2_000]
    seller.clock.wind(100)
    assert [cents for cents, _ in offered(seller, tag, 1_500)] == [1_000]


def test_a_card_with_proof_is_not_held_to_it() -> None:
    card = issue_card()
    seller = stall(2, [card], [entitle(card, limits=(RICH,))])
    seller.sell(("vegetables", UNPROVEN_CEILING + 1))
    assert [word.amount for word in seller.tap(card) if isinstance(word, say.Paid)] == [UNPROVEN_CEILING + 1]


def test_a_tag_that_tells_the_truth_pays_no_more_a_day_over_all_stalls() -> None:
    tag = issued_tag()
    word = entitle(tag, limits=(RICH,))
    assert paid(stall(2, [tag], [word]), tag, 2_000) == [2_000]
    assert [cents for cents, _ in offered(stall(3, [tag], [word]), tag, 1_500)] == [1_000]


def test_days_without_a_contact_do_not_add_up() -> None:
    tag = issued_tag()
    seller = stall(2, [tag], [entitle(tag, limits=(RICH,))])
    assert paid(seller, tag, 2_500) == [2_500]
    seller.clock.wind(2 * 86_400)
    assert offered(seller, tag, 1_500) == [(500, Reason.TERMINAL_LIMIT)]


def test_put_back_to_an_earlier_state_a_tag_takes_the_low_limit_once_at_each_stall() -> None:
    """Whoever holds a terminal's key of the card can do that; nothing but the ceilings is between him and the purse."""
    tag = issued_tag()
    word = entitle(tag, limits=(RICH,))
    fresh, took = tag.store.read(), []
    for station in (2, 3, 4):
        seller = stall(station, [tag], [word])
        for _ in range(3):
            tag.store.write(fresh)
            took += paid(seller, tag, 1_500)
            seller.back()
            seller.clock.wind(100)
    assert 0 < sum(took) <= 3 * UNPROVEN_CEILING


# --- voids -----------------------------------------------------------------------------------------------------------


def test_a_void_is_in_the_journal_and_in_the_tags_log_and_gives_nothing_back_before_the_centre_does() -> None:
    tag = issued_tag()
    seller = stall(2, [tag], [word_for(tag, 1_000)])
    paid(seller, tag, 300)
    seller.void()
    said = seller.tap(tag)
    assert [word.amount for word in said if isinstance(word, say.Voided)] == [300]
    assert tag.spent()[3] == 300, "counters never move back"
    (body,) = bodies_of(seller, RecordType.VOID)
    facts = parse(body[Pay.TMI])  # type: ignore[arg-type]
    assert facts.is_void and facts.slip_written is None
    assert (body[Pay.PAYMENT_TMC], body[Pay.TMC], body[Pay.PROOF]) == (1, 2, 0)
    assert paid(stall(3, [tag]), tag, 700) == [700]
    assert paid(stall(4, [tag]), tag, 100) == [], "another stall does not count on it"


def test_a_void_that_was_torn_is_told_by_the_next_tap() -> None:
    for phase in Phase:
        tag = issued_tag()
        seller = stall(2, [tag], [word_for(tag)])
        paid(seller, tag, 300)
        seller.void()
        seller.tap(tag, tear_at(5, phase))
        seller.tap(tag)
        assert seller.journal.doubts() == ()
        assert decode_log_record(tag.purse.newest.log_record).type == 2
        assert tag.purse.newest.counter == 2


# --- what lies there -------------------------------------------------------------------------------------------------


def test_a_desfire_card_on_the_list_as_a_tag_is_not_ours_and_the_other_way_round() -> None:
    tag, card = issued_tag(), issue_card()
    field = InProcessField()
    field.present(card.awake())
    with pytest.raises(NotOurCard):
        select_tag(Link(DirectField(field), Deadline(1.0), lambda _: 1.0))
    other = stall(3, [replace(card, order=replace(card.order, uid=tag.order.uid))], [])
    other.sell(("vegetables", 300))
    assert [type(word) for word in other.tap(tag)] == [say.NotHere]


def test_a_tag_without_a_purse_pays_nothing_and_is_not_written() -> None:
    tag = issued_tag()
    tag.change(3, lambda content: bytes(128))
    before = tag.store.read()
    seller = stall(2, [tag], [word_for(tag)])
    assert paid(seller, tag, 300) == [] and tag.store.read() == before
    with pytest.raises(CardMisbehaves):
        opened(tag).open(bytes(16), all_logs=False)


def test_a_tag_at_the_end_of_its_counter_pays_no_more() -> None:
    tag = issued_tag()
    last = encode_half(replace(tag.purse.newest, counter=0xFFFFFF), tag.order.uid)
    tag.change(3, lambda content: content[:64] + last)
    with pytest.raises(CardMisbehaves):
        opened(tag).open(bytes(16), all_logs=False)


@pytest.mark.parametrize(("status", "fault"), [("919D", CardMisbehaves), ("91EE", OutcomeUnknown)])
def test_a_write_refused_before_it_began_is_known_and_any_other_answer_is_not(
    status: str, fault: type[Exception]
) -> None:
    tag = issued_tag()
    purse = opened(tag, Fault(Moment(instruction=0x8D), lambda _answer: bytes.fromhex(status)))
    head = purse.open(bytes(16), all_logs=False)
    plan = CardPlan((), bytes([0x12]) + bytes(31))
    assert purse.foretell(plan).endswith(plan.log_record) and head.tmc == 0
    purse.stage(plan)
    with pytest.raises(fault):
        purse.commit()


def test_what_is_foretold_is_what_was_done() -> None:
    tag = issued_tag()
    purse = opened(tag)
    purse.open(b"\x01" * 16, all_logs=True)
    purse.values([SlotFile(1), SlotFile(7)])
    plan = CardPlan((), bytes([0x12]) + bytes(31), word_for(tag).padded)
    foretold = purse.foretell(plan)
    purse.stage(plan)
    done = purse.commit()
    assert (done.tmi, done.tmc, done.tmv) == (foretold, 1, bytes(8))
    assert Cents(0) == sum(tag.spent().values())
