"""``panier bench tap`` counts what it must and compares with a floor that is one. No figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import report
from bench.card_times import TIMES, untimed
from bench.floor import AppendedFile, replay
from bench.reader_path import in_process
from bench.stopwatch import PARTS
from bench.tap import Result, measure
from bench.till_at_work import CASES, PAYMENTS, VOID, Case, at_work
from demo.namespace import namespaces_available
from domain.identity import SlotFile
from domain.money import Cents
from emulator.card import VirtualCard
from panier.commands.bench import bench
from terminal.errors import CardGone, ReaderLost
from terminal.nfc.desfire_purse import DesfirePurse
from terminal.world import TAP_BUDGET_S

ONE_SLOT = Case(1, has_newer=False)
SLOW_READER_MS_AN_APDU = 15.8
"""A PN532 under libnfc: docs/operating/bench.md, what the model cannot say."""


def measured(case: Case, directory: Path) -> Result:
    (result,) = measure(3, directory, in_process, [case], warm_up_taps=1)
    return result


def test_one_slot_takes_eleven_apdus_two_thirteen_and_a_newer_entitlement_one_more() -> None:
    counts = {(case.slots, case.has_newer): case.apdus for case in PAYMENTS}
    assert [counts[1, False], counts[1, True], counts[2, False], counts[2, True]] == [11, 12, 13, 14]


def test_a_void_gives_the_floor_and_the_payment_it_undoes_is_not_counted(tmp_path: Path) -> None:
    result = measured(VOID, tmp_path)
    assert (result.faults, result.apdus) == ((), 13)
    line = json.loads(report.json_line(result, "in-process"))
    assert (line["void"], line["new_entitlement"]) == (True, False)
    assert "annulation" in report.row(result)


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
    assert result.faults == ("12 APDU par passage au lieu de 11",)


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


class BusyReader:
    """A bare reader whose card the till still holds, for some tries."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.is_connected = False

    def connect(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.is_connected = True

    def transmit(self, apdu: bytes) -> bytes:
        raise AssertionError("nothing is sent to a card that is waited for")

    def disconnect(self, *, is_clean: bool) -> None:
        self.is_connected = not is_clean


def test_a_card_the_till_still_holds_is_waited_for(tmp_path: Path) -> None:
    with at_work(ONE_SLOT, tmp_path, in_process) as till:
        busy = BusyReader(CardGone("PC/SC 8010000B"), ReaderLost("PC/SC 80100017"))
        replace(till.laid, bare=busy).wait_free()
    assert (busy.faults, busy.is_connected) == ([], False)


def memory_of(card: VirtualCard) -> str:
    return repr(card.memory)


def test_what_is_wrong_is_said_and_fails_the_bench(tmp_path: Path) -> None:
    good = replace(measured(ONE_SLOT, tmp_path), host_ms=2.0, floor_ms=1.0)
    assert (good.is_good, report.complaints(good)) == (True, ())
    slow = replace(good, host_ms=3.2)
    assert (slow.is_good, len(report.complaints(slow))) == (False, 1)
    line = json.loads(report.json_line(slow, "in-process"))
    assert (line["slots"], line["new_entitlement"], line["apdus"], line["ratio"]) == (1, False, 11, 3.2)


def test_every_command_of_a_tap_has_a_time_of_the_card_with_its_source(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        place = tmp_path / str(number)
        place.mkdir()
        with at_work(case, place, in_process) as till:
            till.prepare(seed=1)
            exchanged = till.tap(seed=1).exchanged
        assert untimed(exchanged) == []
        assert all(TIMES[one.instruction].base.source for one in exchanged)


def test_a_command_without_a_time_makes_the_figures_worthless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TIMES, 0x6C)
    result = measured(ONE_SLOT, tmp_path)
    assert result.faults == ("pas de temps de carte pour la commande 6C : le modèle compte trop peu",)


def test_the_report_carries_the_radio_the_card_and_their_sum_with_the_host(tmp_path: Path) -> None:
    result = replace(
        measured(ONE_SLOT, tmp_path), host_ms=2.0, radio_106_ms=80.0, radio_424_ms=20.0, card_model_ms=64.0
    )
    line = json.loads(report.json_line(result, "in-process"))
    assert (line["radio_106_ms"], line["radio_424_ms"], line["card_model_ms"]) == (80.0, 20.0, 64.0)
    assert (line["tap_106_ms"], line["tap_424_ms"]) == (146.0, 86.0)
    assert line["left_an_apdu_ms"] == 14.0
    assert report.row(result).split()[-6:] == ["80,00", "20,00", "64,00", "146,00", "86,00", "14,00"]


def test_two_slots_above_300_ms_at_106_are_a_complaint_and_fail_the_bench(tmp_path: Path) -> None:
    within = replace(measured(Case(2, has_newer=False), tmp_path), host_ms=2.0, floor_ms=1.0, card_model_ms=200.0)
    assert 280 < within.tap_106_ms < 300 and within.is_good
    above = replace(within, card_model_ms=230.0)
    assert not above.is_good
    (sentence,) = report.complaints(above)
    assert "ms à 106 kbit/s selon le modèle, 300 au plus" in sentence
    one_slot = replace(above, case=ONE_SLOT)
    assert (one_slot.is_good, report.complaints(one_slot)) == (True, ())


def test_the_model_puts_two_slots_below_300_ms_at_106_without_the_reader(tmp_path: Path) -> None:
    for has_newer in (False, True):
        result = replace(measured(Case(2, has_newer=has_newer), tmp_path), host_ms=0.0)
        assert 0 < result.tap_424_ms < result.tap_106_ms < 300
        at_a_slow_reader_ms = result.tap_106_ms + result.apdus * SLOW_READER_MS_AN_APDU
        assert at_a_slow_reader_ms < TAP_BUDGET_S * 1_000 / 2, "the till would give up a card that only needs its time"


def test_the_sources_can_be_asked_for_and_name_each_command() -> None:
    said = CliRunner().invoke(bench, ["tap", "--sources"])
    assert said.exit_code == 0
    for time in TIMES.values():
        assert f"{time.name} " in said.output and time.base.source in said.output


@pytest.mark.pcsc
@pytest.mark.slow
def test_every_case_can_be_measured_through_pcscd() -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    command = [sys.executable, "-m", "panier", "bench", "tap", "--taps", "3", "--json"]
    root = Path(__file__).parents[2]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [line["apdus"] for line in lines] == [case.apdus for case in CASES], said.stderr
    assert {line["reader"] for line in lines} == {"pcsc"}
    assert [line["faults"] for line in lines] == [[]] * len(CASES)
