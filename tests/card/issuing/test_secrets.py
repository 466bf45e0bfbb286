"""No key of a card reaches a log, a message, a repr, a traceback, the screen or a label, whatever the card does.

Everything issuing can say is caught: stdout and stderr, the standard and the structured log at their most talkative,
exceptions with all they carry, torn at every command.
"""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Callable, Iterator

import pytest
import structlog

from emulator.tear import Fault, Moment, Phase, empty, oversized, tear_at, truncated, wrong_mac
from panier import logs
from panier.commands.issue import label, sentence
from sync.errors import PanierError
from terminal.errors import CardMisbehaves
from terminal.nfc.issuing import Originality, Policy, issue
from terminal.nfc.issuing.card import CardAtStation
from terminal.nfc.issuing.desk import Issued, NotIssued
from tests.card.issuing.desk_kit import Bench
from tests.card.issuing.kit import HeldCard, blank, order_for

ORDER = order_for()


def traces(secrets: Iterator[bytes]) -> list[str]:
    """How a secret may look in a text: hexadecimal in both cases, as Python shows bytes, as a list of numbers."""
    found = []
    for secret in secrets:
        for part in (secret, secret[:8], secret[8:]):  # half a key is also none of anybody's business
            found += [part.hex(), part.hex().upper(), part.hex(" "), repr(part)[2:-1], str(list(part))[1:-1]]
    return found


def assert_keeps(text: str) -> None:
    assert not [trace for trace in traces(iter(ORDER.keys.values())) if trace in text]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """All logs on, down to the least; everything that was said since, on any way."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    caplog.set_level(logging.DEBUG)
    logs.configure(logging.DEBUG)
    yield lambda: out.getvalue() + err.getvalue() + caplog.text + "".join(repr(vars(item)) for item in caplog.records)
    structlog.reset_defaults()


def test_no_key_is_told_when_issuing_is_torn_at_any_command(said: Callable[[], str]) -> None:
    card = HeldCard()
    fresh, index, faults = blank().text, 0, 0
    while True:
        card.text = fresh
        try:
            card.issue(ORDER, tear_at(index, Phase.ANSWER_LOST))
        except PanierError as fault:
            faults += 1
            logs.bug(fault)
            logging.getLogger("panier").error("issuing", exc_info=fault)
            assert_keeps(
                str(fault) + repr(fault) + repr(vars(fault)) + sentence(NotIssued(fault, ORDER.uid, ORDER.card))
            )
            assert_keeps("".join(traceback.format_exception(fault)))
        else:
            break
        index += 1
    assert faults == index > 150
    assert said().count('"event": "bug"') == faults
    assert_keeps(said())


@pytest.mark.parametrize("distort", [empty, oversized, truncated(5), wrong_mac])
def test_no_key_is_told_when_a_card_talks_nonsense(said: Callable[[], str], distort: Callable[[bytes], bytes]) -> None:
    for index in range(0, 160, 3):
        card = blank()
        try:
            card.issue(ORDER, Fault(Moment(index=index), distort))
        except PanierError as fault:
            logs.bug(fault)
            assert_keeps(str(fault) + repr(fault) + "".join(traceback.format_exception(fault)))
    assert_keeps(said())


def test_nothing_that_holds_keys_shows_them() -> None:
    card = blank()
    link = card.laid()
    at_station = CardAtStation(link, ORDER)
    assert_keeps(repr(ORDER) + str(ORDER) + repr(at_station) + f"{ORDER!r:.5000}")
    found = issue(link, ORDER)
    bench = Bench.of(ORDER)
    result = Issued(ORDER.card, ORDER.programme, ORDER.first_log_record.minutes_at, found, False)
    assert_keeps(repr(result) + sentence(result) + label(result) + repr(bench.desk) + repr(Originality(Policy.WARN)))


def test_the_search_sees_a_key_that_is_told() -> None:
    key = ORDER.keys[1]
    for text in (f"key {key.hex()}", f"{key!r}", f"{list(key)}", key.hex(" "), f"half {key[:8].hex().upper()}"):
        with pytest.raises(AssertionError):
            assert_keeps(text)
    with pytest.raises(AssertionError):
        assert_keeps(str(CardMisbehaves(f"the card does not take {key.hex()}")))
