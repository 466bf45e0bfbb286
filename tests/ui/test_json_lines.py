"""The till driven by lines of JSON."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.basket import Basket, Line
from domain.decision import LineDecision
from domain.money import Cents
from domain.reason import Reason
from sync.record import Outcome, RecordType
from terminal import events as say
from terminal.json_lines import BadLine, JsonTill, event_line, read_request
from terminal.loop import TillLoop
from terminal.ports import Durable
from terminal.ui.scripted import DirectLoop, ScriptedTill, Step

SALE = b'{"id":1,"sale":{"lines":[{"family":"vegetables","amount_cents":1250}]}}'
NOW = datetime(2026, 3, 12, 9, 42, tzinfo=UTC)
WINE = LineDecision(Line("alcohol", Cents(310)), Cents(0), Reason.NEVER_FAMILY)
ASKED = say.PresentCard(1, Cents(1_250), Cents(310), (WINE,))
PAID = say.Paid(1, Cents(1_250), Cents(310), Durable(7, b"hash", b"record"), bonus=Cents(625))


def played(lines: list[bytes], *steps: Step) -> tuple[list[dict[str, Any]], ScriptedTill]:
    core, out = ScriptedTill(steps), io.StringIO()
    JsonTill(DirectLoop(core), out).run(lines)
    return [json.loads(line) for line in out.getvalue().splitlines()], core


def test_each_request_is_one_event_for_the_till() -> None:
    line = Line("vegetables", Cents(1_250), family_typed=True)
    assert read_request(SALE) == (1, say.Sell(1, Basket((line,))))
    assert read_request(b'{"id":2,"balance":{}}') == (2, say.AskBalance(2))
    assert read_request(b'{"id":1,"confirm":{}}') == (1, say.Accept())
    assert read_request(b'{"cancel":{},"id":1}') == (1, say.Back())


def test_a_sale_is_announced_paid_and_final() -> None:
    events, _core = played(
        [SALE + b"\n", b'{"id":1,"confirm":{}}\n'], Step(say.Sell, (ASKED,)), Step(say.Accept, (PAID,))
    )
    announced, paid = events
    assert announced["event"] == "present_card" and not announced["final"]
    assert announced["lines"] == [{"family": "alcohol", "asked_cents": 0, "reason": "never_family"}]
    assert paid == {
        "id": 1,
        "event": "paid",
        "amount_cents": 1250,
        "rest_cents": 310,
        "bonus_cents": 625,
        "is_bonus_unknown": False,
        "seq": 7,
        "final": True,
    }


def test_a_cancelled_sale_ends_with_its_id() -> None:
    events, _core = played([SALE, b'{"id":1,"cancel":{}}'], Step(say.Sell, (ASKED,)), Step(say.Back, (say.Ready(),)))
    assert events[-1] == {"id": 1, "event": "cancelled", "final": True}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"id":1}',
        b'{"id":0,"balance":{}}',
        b'{"id":-1,"balance":{}}',
        b'{"id":true,"balance":{}}',
        b'{"id":"1","balance":{}}',
        b'{"id":1.0,"balance":{}}',
        b'{"id":99999999999999999999,"balance":{}}',
        b'{"id":1,"balance":{},"cancel":{}}',
        b'{"id":1,"balance":{"why":1}}',
        b'{"id":1,"sale":{"lines":[]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":12.5}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":1250.0}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":true}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":"1250"}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":0}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":-5}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":1000000}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"","amount_cents":5}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"a\\u202eb","amount_cents":5}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":5,"amount_cents":6}]}}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":5}]},"extra":1}',
        b'{"id":1,"sale":{"lines":[{"family":"food","amount_cents":NaN}]}}',
        b'{"id":1,"sale":{"lines":[' + b",".join([b'{"family":"food","amount_cents":5}'] * 41) + b"]}}",
        b"[" * 60_000,
        b'{"id":1,"balance":{}}' + b" " * 70_000,
        b'{"id":1,"balance":{}}{"id":2,"balance":{}}',
    ],
    ids=lambda line: line[:50].decode("latin-1"),
)
def test_a_bad_line_gets_one_clear_error_and_changes_nothing(line: bytes) -> None:
    with pytest.raises(BadLine) as caught:
        read_request(line)
    assert 10 < len(str(caught.value)) < 200
    events, core = played([line or b"?", SALE], Step(say.Sell, (ASKED,)))
    assert [event["event"] for event in events] == ["error", "present_card"]
    assert [type(event) for event in core.heard] == [say.Sell]


def test_an_error_bears_the_id_where_it_can_be_read() -> None:
    events, _core = played([b'{"id":9,"sale":{"lines":[]}}', b"?"])
    assert [event["id"] for event in events] == [9, None]


def test_a_void_names_the_newest_payment_or_one_by_its_number() -> None:
    assert read_request(b'{"id":4,"void":{}}') == (4, say.AskVoid(4))
    assert read_request(b'{"id":4,"void":{"seq":41}}') == (4, say.AskVoid(4, 41))
    with pytest.raises(BadLine):
        read_request(b'{"id":4,"void":{"seq":0}}')


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_bad_line(line: bytes) -> None:
    with pytest.raises(BadLine):
        read_request(b"\x00" + line)


EVENTS: tuple[say.Outward, ...] = (
    say.Ready(),
    say.ConfirmAmount(1, Cents(6_500)),
    ASKED,
    PAID,
    say.Split(1, Cents(940), Cents(310), Reason.PURSE_EMPTY),
    say.PaysNothing(1, Cents(1_250), None),
    say.NotHere(1, Cents(1_250), Reason.NOT_GENUINE),
    say.HolderMayCall(1, Cents(1_250), "05", Reason.CARD_EXPIRED),
    say.PutBack(1),
    say.PutSameBack(1, Cents(1_250)),
    say.InVerification(1, Cents(1_250), True),
    say.DoubtSolved(Cents(1_240), NOW, Outcome.CONFIRMED),
    say.AlreadyPaid(1, Cents(1_250), NOW),
    say.OneCardOnly(1),
    say.Balance(1, Cents(3_110), None),
    say.PresentToVoid(1, Cents(1_250), NOW, 41),
    say.Voided(1, Cents(1_250), Durable(42, b"", b"")),
    say.NothingToVoid(1),
    say.NotVoided(1, Cents(1_250), Reason.PAYMENT_IN_DOUBT),
    say.UpdateNeeded(None),
    say.ReaderAway(True),
    say.ReaderIsBack(),
    say.Stopped("J1", "Pleine.", ""),
    say.LastOutcome(3, RecordType.PAYMENT, Cents(1_250), NOW),
)


def test_every_word_of_the_till_has_one_line_with_id_event_and_final() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(say.Outward))
    for event in EVENTS:
        line = event_line(event, None, None)
        assert "\n" not in line
        told = json.loads(line)
        assert {"id", "event", "final"} <= set(told)
        assert told["final"] is isinstance(event, say.FINAL)
        assert told["id"] == getattr(event, "sale", None)


def test_requests_before_the_end_are_answered_by_the_real_loop_too() -> None:
    out = io.StringIO()
    core = ScriptedTill((Step(say.Sell, (ASKED,)), Step(say.Accept, (PAID,))))
    JsonTill(TillLoop(core, tick_s=60), out).run([SALE, b'{"id":1,"confirm":{}}'])
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["present_card", "paid"]
