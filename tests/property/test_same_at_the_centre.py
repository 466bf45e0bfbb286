"""The centre, given a payment's signed record alone, decides what the till decided: random rules, baskets and cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from domain.basket import Basket
from domain.card_log import LogRecord, LogType
from domain.decision import Decision, totals_after
from domain.identity import Station, TerminalId, Uid
from domain.money import Cents
from domain.rule_set import RuleSet
from sync import replay
from sync.card_format import SignedEntitlement, encode_log_record, encode_reader_id
from sync.cbor import Map
from sync.crypto import new_private_key, sign
from sync.record import Envelope, Pay, RecordType, open_record, seal_record, verify_record
from sync.replay import decide_again, is_as_written
from sync.rule_format import encode_rule_set, read_rule_set
from terminal.bodies import Terms, intended_payment
from terminal.ports import CardHead, CardPlan, CardRef
from terminal.reading import Reading
from tests.property.rules_at_random import Situation, situation
from tests.sync.pocket import PocketCard

UID = Uid(bytes.fromhex("04A1B2C3D4E5F6"))
STATION, SEQ = Station(7), 41
TILL_KEY, LISTS_KEY = new_private_key(), new_private_key()
AID = bytes.fromhex("A05310")


def recorded(now: Situation, decision: Decision) -> Envelope:
    """The record the till writes, signed, sent and opened again."""
    word, counters = now.card.entitlement, now.card.counters
    assert word is not None and now.card.newest is not None
    totals = totals_after(decision)
    log = encode_log_record(
        LogRecord(
            LogType.PAYMENT,
            STATION,
            SEQ,
            counters.tmc + 1,
            now.stall.t_lo,
            now.rules.version,
            1,
            decision.debits,
            totals.month_base,
            totals.day_total,
        )
    )
    newest = encode_log_record(now.card.newest)
    chip = PocketCard(UID, bytes(16), counters.tmc, values=dict(counters.values), logs=(newest,))
    _, made = chip.pay(
        {int(debit.file): int(debit.amount) for debit in decision.debits},
        encode_reader_id(STATION, SEQ),
        log,
        read=tuple(int(file) for file in counters.values),
    )
    head = CardHead(counters.tmc, bytes(8), (newest,), bytes(233))
    signed = SignedEntitlement(word, b"")
    reading = Reading(SEQ, head, now.card.newest, signed, False, None, counters.values, {})
    ref = CardRef(word.card, UID, "gers", AID, None)
    plan = CardPlan(decision.debits, log)
    terms = Terms(now.rules, now.merchant, now.card, now.stall, 1)
    body: Map = intended_payment(ref, reading, decision, plan, made.tmi, terms)
    envelope = Envelope(
        type=RecordType.PAYMENT,
        terminal=TerminalId(b"term-007"),
        epoch=1,
        seq=SEQ,
        prev=bytes(32),
        boot=1,
        boottime_ns=1,
        wall=int(now.stall.t_lo.timestamp()),
        wall_source=1,
        t_lo=int(now.stall.t_lo.timestamp()),
        t_late=int(now.stall.t_late.timestamp()),
        rules_version=now.rules.version,
        hot_list_version=1,
        software="panier test",
        cashier=0,
        perpetual_net=0,
        perpetual_absolute=0,
        body={**body, Pay.TMC: made.tmc, Pay.TMV: made.tmv},
    )
    record = seal_record(envelope, lambda message: sign(TILL_KEY, message))
    opened, found = open_record(record)
    verify_record(opened, TILL_KEY.public_key())
    return found


def as_terminals_have_them(rules: RuleSet) -> RuleSet:
    """The rules after signing and reading."""
    signed = encode_rule_set(rules, b"lists", lambda message: sign(LISTS_KEY, message))
    return read_rule_set(signed, LISTS_KEY.public_key())


def drawn(seed: int) -> Situation:
    """A situation with everything a record must tell; of product lists those that rules name, as a till knows them."""
    dice, now = Random(seed), situation(seed)
    named = now.rules.product_lists
    lines = tuple(replace(line, lists=None if line.lists is None else line.lists & named) for line in now.basket.lines)
    stall = now.stall
    if dice.random() < 0.5:
        purses = {purse.number: Cents(dice.randrange(1, 3_000)) for purse in now.rules.purses if dice.random() < 0.5}
        stall = replace(stall, paid_here_by_purse=purses)
    if dice.random() < 0.3:
        stall = replace(
            stall, terminal_unreported=Cents(dice.randrange(500)), card_unreported=Cents(dice.randrange(90))
        )
    card = replace(now.card, bonus_cap=dice.choice((None, Cents(0), Cents(dice.randrange(1, 2_000)))))
    return replace(now, basket=Basket(lines), rules=as_terminals_have_them(now.rules), stall=stall, card=card)


def paid(seeds: range) -> list[tuple[int, Situation, Decision]]:
    found = []
    for seed in seeds:
        now = drawn(seed)
        decision = now.decide()
        if decision.refusal is None and decision.paid > 0:
            found.append((seed, now, decision))
    return found


def differing(seeds: range) -> list[int]:
    """Seeds whose payment the centre decides otherwise, of all that a card paid."""
    wrong = []
    for seed, now, decision in paid(seeds):
        envelope = recorded(now, decision)
        word = now.card.entitlement
        assert word is not None
        again = decide_again(envelope, now.rules, now.merchant, word)
        if again != decision or not is_as_written(again, envelope.body):
            wrong.append(seed)
    return wrong


def test_the_centre_decides_every_payment_as_the_till_did() -> None:
    assert len(paid(range(200))) > 70, "situations in which cards pay"
    assert differing(range(200)) == []


@pytest.mark.slow
def test_the_centre_decides_every_payment_as_the_till_did_in_many_situations() -> None:
    assert differing(range(200, 12_000)) == []


@pytest.mark.parametrize(
    "forgotten",
    ["_purses_today", "_newest", "_claim_of"],
)
def test_a_centre_that_leaves_out_a_fact_of_the_record_is_seen_to_differ(
    monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    blind: dict[str, Callable[..., object]] = {
        "_purses_today": lambda body: None,
        "_newest": lambda body: None,
        "_claim_of": lambda claim, words: (None, None, []),
    }
    monkeypatch.setattr(replay, forgotten, blind[forgotten])
    assert any(differing(range(seed, seed + 10)) for seed in range(0, 300, 10))


def test_a_cent_more_on_another_line_is_seen() -> None:
    for _, now, decision in paid(range(40)):
        envelope = recorded(now, decision)
        word = now.card.entitlement
        assert word is not None
        again = decide_again(envelope, now.rules, now.merchant, word)
        rest = envelope.body[Pay.REST]
        assert isinstance(rest, int)
        assert not is_as_written(again, {**envelope.body, Pay.REST: rest + 1})
