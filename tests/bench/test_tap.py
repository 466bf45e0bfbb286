"""``panier bench tap`` counts what it must and compares with a floor that is one. No figure is judged here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import report
from bench.floor import AppendedFile, replay
from bench.reader_path import in_process
from bench.stopwatch import PARTS
from bench.tap import Result, measure
from bench.till_at_work import CASES, Case, at_work
from domain.identity import SlotFile
from domain.money import Cents
from emulator.card import VirtualCard
from terminal.nfc.desfire_purse import DesfirePurse

ONE_SLOT = Case(1, has_newer=False)


def measured(case: Case, directory: Path) -> Result:
    (result,) = measure(3, directory, in_process, [case], warm_up_taps=1)
    return result


def test_one_slot_takes_eleven_apdus_two_thirteen_and_a_newer_entitlement_one_more() -> None:
    counts = {(case.slots, case.has_newer): case.apdus for case in CASES}
    assert [counts[1, False], counts[1, True], counts[2, False], counts[2, True]] == [11, 12, 13, 14]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_case_takes_its_apdus_and_its_floor_gets_the_same_answers(case: Case, tmp_path: Path) -> None:
    result = measured(case, tmp_path)
    assert result.faults == ()
    assert result.apdus == case.apdus
    assert set(result.parts_ms) == {*PARTS, "screen"}
    assert list(tmp_path.iterdir()) == []


def test_one_more_reading_of_a_slot_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_once = DesfirePurse.values

    def read_twice(purse: DesfirePurse, files: Sequence[SlotFile]) -> Mapping[SlotFile, Cents]:
        read_once(purse, files[:1])
        return read_once(purse, files)

    monkeypatch.setattr(DesfirePurse, "values", read_twice)
    result = measured(ONE_SLOT, tmp_path)
    assert not result.is_good
    assert result.faults == ("12 APDU par paiement au lieu de 11",)


def test_a_floor_whose_card_answers_otherwise_is_noticed(tmp_path: Path) -> None:
    file = AppendedFile(tmp_path / "floor")
    with at_work(ONE_SLOT, tmp_path, in_process) as till:
        tap = till.tap(seed=1)
        same, others = [], []
        for seed, runs in ((1, same), (2, others)):
            till.card.restore(seed)
            runs.append(replay(till.laid.bare, tap.exchanged, b"intent", b"record", file).is_same)
    file.close()
    assert (same, others) == ([True], [False])


def test_the_floor_debits_the_card_as_the_tap_did(tmp_path: Path) -> None:
    file = AppendedFile(tmp_path / "floor")
    with at_work(Case(2, has_newer=True), tmp_path, in_process) as till:
        tap = till.tap(seed=1)
        after_the_tap = memory_of(till.card._card)
        till.card.restore(1)
        before = memory_of(till.card._card)
        replay(till.laid.bare, tap.exchanged, bytes(tap.intent_b), bytes(tap.record_b), file)
        assert memory_of(till.card._card) == after_the_tap != before
    file.close()
    assert (tmp_path / "floor").stat().st_size == tap.intent_b + tap.record_b


def memory_of(card: VirtualCard) -> str:
    return repr(card.memory)


def test_what_is_wrong_is_said_and_fails_the_bench(tmp_path: Path) -> None:
    good = replace(measured(ONE_SLOT, tmp_path), host_ms=2.0, floor_ms=1.0)
    assert (good.is_good, report.complaints(good)) == (True, ())
    slow = replace(good, host_ms=3.2)
    assert (slow.is_good, len(report.complaints(slow))) == (False, 1)
    line = json.loads(report.json_line(slow, "in-process"))
    assert (line["slots"], line["new_entitlement"], line["apdus"], line["ratio"]) == (1, False, 11, 3.2)
