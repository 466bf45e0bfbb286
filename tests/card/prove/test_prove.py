"""``panier card prove``: a card as expected passes, each deviation is named, and no other card is ever touched.

This file is also the program that runs inside the namespaces (``python test_prove.py FOLDER``).
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import click
import pytest

import emulator.state
from demo.hands import VIRTUAL_READERS, wait_until_empty
from demo.namespace import enter, inside, namespaces_available, private_pcscd
from domain.identity import Uid
from emulator.card import VirtualCard
from emulator.inprocess import FieldGone, InProcessField
from emulator.memory import CommMode
from emulator.state import CardProfile
from emulator.tear import Moment, Phase, Tear
from panier.commands.card import PersonAtReader, as_json_line, as_row, proven, said
from sync.errors import Malformed
from terminal.events import Inward
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.nfc.proving.check_list import check_list
from terminal.nfc.proving.outcome import Proof, Verdict
from terminal.nfc.proving.pace import Pace
from terminal.nfc.proving.throwaway import TestCards
from terminal.system_clock import SystemClock

UID = bytes.fromhex("04A1B2C3D4E5F6")
READER = "lecteur"
COMMIT = 0xC7
CHECK_LIST = Path(__file__).parents[3] / "docs" / "real-card-checklist.md"


class Otherwise:
    """A card that gives some answers of its own."""

    def __init__(self, card: VirtualCard, changed: Callable[[bytes, bytes], bytes]) -> None:
        self._card = card
        self._changed = changed
        self.uid, self.atr = card.uid, card.atr
        self.power_on, self.power_off = card.power_on, card.power_off

    def transceive(self, apdu: bytes) -> bytes:
        return self._changed(apdu, self._card.transceive(apdu))


class Table(PersonAtReader):
    """A reader of this process, one card, and a person who pulls it at the moments given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "card.json"
        self.cards = TestCards(folder / "keys.json")
        self.clock = SystemClock(1)
        self.posted: SimpleQueue[Inward] = SimpleQueue()
        self.field = InProcessField()
        self.readers = InProcessReaders({READER: self.field}, FieldGone, KeyStore(), self.clock, self.posted.put)
        self.profile: CardProfile | None = None
        self.changed: Callable[[bytes, bytes], bytes] | None = None
        self.moments: list[Tear] = []
        self.after_pull: Callable[[], None] = lambda: None
        self.told: list[str] = []
        super().__init__(self.readers, self.posted, self.clock, self.told.append, wait_s=0.2)

    def lay(self, *tears: Tear) -> None:
        """The card at ``path``, a blank one when there is none."""
        self._put(tears)
        self.readers.field_changed(READER, is_present=True)

    def pull_when_you_like(self) -> None:
        super().pull_when_you_like()
        self.field.lift()
        self._put((self.moments.pop(0),))

    def lay_again(self) -> Link:
        self.after_pull()
        self.lay()
        return super().lay_again()

    def prove(self, *, may_issue: bool = True, rounds: int = 1, pulls: int = 0) -> tuple[bool, dict[str, Any]]:
        """Run the check-list; whether all was well, and what was told, by name of the proof."""
        told: list[dict[str, Any]] = []
        found = check_list(
            self.first_card(), self.cards, self.clock, self, may_issue=may_issue, rounds=rounds, pulls=pulls
        )
        good = proven(found, lambda each: told.append(json.loads(as_json_line(each))))
        return good, {item.get("proof") or f"{item['way']} {item['command']}": item for item in told}

    def _put(self, tears: Sequence[Tear]) -> None:
        made = (
            VirtualCard.load(self.path, profile=self.profile)
            if self.path.exists()
            else VirtualCard.blank(UID, self.path, profile=self.profile)
        )
        self.field.present(Otherwise(made, self.changed) if self.changed else made, tears)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    made = Table(tmp_path)
    yield made
    made.readers.close()


def otherwise(told: dict[str, Any]) -> set[str]:
    return {name for name, item in told.items() if item.get("verdict", "as expected") != "as expected"}


def test_a_card_like_the_one_the_program_was_built_on_passes_everything(table: Table) -> None:
    table.moments = [Tear(Moment(instruction=COMMIT), Phase.ANSWER_LOST)]
    table.lay()
    good, told = table.prove(rounds=2, pulls=1)
    assert good and otherwise(told) == set()
    assert told["reader_id_answer"]["measured"] == "command MAC, answer MAC, 24 B"
    assert told["payment_chained"]["measured"] == "TMV as built, 14 APDUs"
    assert told["chained COMMIT_TRANSACTION"]["times"] == 2
    assert told["tears_at_commit"]["measured"] == "1 pulls, 1 at Commit, 0 half done"


def test_a_test_card_is_proven_again_without_leave_to_issue(table: Table) -> None:
    table.lay()
    table.prove()
    table.field.lift()
    table.lay()
    good, told = table.prove(may_issue=False)
    assert good and told["issuing"]["measured"] == "made earlier"


def test_a_card_that_enciphers_the_earlier_reader_id_is_told_and_all_else_still_proven(table: Table) -> None:
    table.profile = CardProfile(reader_id_answer=CommMode.FULL)
    table.lay()
    good, told = table.prove()
    assert not good and otherwise(told) - {"issuing"} == {"reader_id_answer"}
    assert told["reader_id_answer"]["measured"] == "command MAC, answer FULL, 40 B"


TMI_OTHERWISE: dict[str, tuple[int, Callable[[bytes, bytes, bytes], bytes], str, str]] = {
    "data not counted": (0xAD, lambda _item, _head, _content: b"", "tmv_read_data_chained", "AD not counted"),
    "record bytes left out": (
        0xBB,
        lambda item, _head, content: item[: -len(content)],
        "tmv_read_two_records_native",
        "BB without the records",
    ),
    "written data glued to its head": (
        0x3D,
        lambda _item, head, content: (b"\x3d" + head + content).ljust(-(-(1 + len(head + content)) // 16) * 16, b"\0"),
        "tmv_write_data_native",
        "3D head and data not padded apart",
    ),
    "debits not counted": (0xDC, lambda _item, _head, _content: b"", "tmv_debit", "DC not counted"),
}


@pytest.mark.parametrize("case", TMI_OTHERWISE)
def test_a_command_the_card_counts_otherwise_in_its_proof_is_named_with_how(
    table: Table, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    ins, changed, proof, how = TMI_OTHERWISE[case]
    true_item = emulator.state.tmi_item

    def item(code: int, head: bytes, content: bytes = b"") -> bytes:
        built = true_item(code, head, content)
        return changed(built, head, content) if code == ins else built

    monkeypatch.setattr(emulator.state, "tmi_item", item)
    table.lay()
    good, told = table.prove()
    assert not good and told[proof]["verdict"] == "otherwise"
    assert f"TMV {how}," in told[proof]["measured"]


def test_a_proof_over_something_unknown_is_told_as_that(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator.state, "tmi_item", lambda code, head, content=b"": b"?" * 16)
    table.lay()
    good, told = table.prove()
    assert not good and told["tmv_debit"]["measured"].startswith("TMV over something else")
    assert told["payment_chained"]["measured"] == "the card's TMV is over something else"


def answered(ins: int, status: int, with_: int) -> Callable[[bytes, bytes], bytes]:
    """Another status than the card's to one instruction."""
    return lambda apdu, answer: answer[:-1] + bytes([with_]) if apdu[1] == ins and answer[-1] == status else answer


DEVIATIONS: dict[str, tuple[Callable[[bytes, bytes], bytes], str]] = {
    "error_ends_session": (answered(0x6C, 0x7E, 0x1E), "FILE_NOT_FOUND, then INTEGRITY_ERROR"),
    "commit_without_reader_id": (answered(COMMIT, 0x9D, 0xBE), "BOUNDARY_ERROR, nothing changed"),
    "commit_of_nothing": (answered(COMMIT, 0x0C, 0x9D), "PERMISSION_DENIED, nothing counted"),
    "update_record_db": (answered(0xDB, 0x1C, 0xBE), "BOUNDARY_ERROR"),
    "update_record_ba": (lambda apdu, answer: b"\x91\x00" if apdu[1] == 0xBA else answer, "an answer with a wrong MAC"),
}


@pytest.mark.parametrize("proof", DEVIATIONS)
def test_each_other_deviation_is_named_and_only_that(table: Table, proof: str) -> None:
    table.lay()
    table.prove()
    table.field.lift()
    table.changed, measured = DEVIATIONS[proof]
    table.lay()
    good, told = table.prove()
    assert not good and otherwise(told) == {proof}
    assert told[proof]["measured"] == measured


def test_a_reader_that_cannot_carry_long_apdus_is_seen_by_the_chained_writes(table: Table) -> None:
    table.lay()
    table.prove()
    table.field.lift()
    table.changed = lambda apdu, answer: b"\x91\x7e" if len(apdu) > 200 else answer
    table.lay()
    good, told = table.prove()
    assert not good and otherwise(told) == {"tmv_write_data_chained", "payment_chained", "payment_after_doubt"}
    assert told["payment_native"]["verdict"] == "as expected"


def test_a_reader_id_in_no_known_mode_ends_the_list_and_says_what_came(table: Table) -> None:
    table.lay()
    table.prove()
    table.field.lift()
    table.changed = lambda apdu, answer: answer[:-3] + b"?" + answer[-2:] if apdu[1] == 0xC8 else answer
    table.lay()
    _good, told = table.prove()
    assert told["reader_id_answer"]["verdict"] == "not tried"
    assert set(told) == {"issuing", "reader_id_answer"}


# --- pulls -----------------------------------------------------------------------------------------------------------


def test_pulls_before_and_at_commit_are_told_apart(table: Table) -> None:
    table.moments = [
        Tear(Moment(instruction=0x8B, nth=2), Phase.ANSWER_LOST),
        Tear(Moment(instruction=COMMIT, nth=3), Phase.BEFORE),
        Tear(Moment(instruction=COMMIT), Phase.ANSWER_LOST),
    ]
    table.lay()
    good, told = table.prove(pulls=3)
    measured = [told[f"pull_{number}"]["measured"] for number in (1, 2, 3)]
    assert good and measured == ["before Commit", "at Commit, not done", "at Commit, done"]
    assert told["tears_at_commit"]["measured"] == "3 pulls, 2 at Commit, 0 half done"


def test_pulls_that_never_met_commit_prove_nothing(table: Table) -> None:
    table.moments = [Tear(Moment(instruction=0xDC), Phase.BEFORE)]
    table.lay()
    _good, told = table.prove(pulls=1)
    assert told["tears_at_commit"]["verdict"] == "not tried"


def test_a_card_left_half_done_by_a_pull_is_seen(table: Table) -> None:
    def half_done() -> None:
        content = json.loads(table.path.read_text())
        (application,) = content["applications"].values()
        application["files"]["01"]["value"] -= 1
        table.path.write_text(json.dumps(content))

    table.moments = [Tear(Moment(instruction=COMMIT), Phase.BEFORE)]
    table.after_pull = half_done
    table.lay()
    good, told = table.prove(pulls=1)
    assert not good and told["pull_1"]["measured"] == "half done, or without its proof"
    assert told["tears_at_commit"]["verdict"] == "otherwise"


def test_another_card_laid_down_after_a_pull_is_not_taken_for_the_first(table: Table, tmp_path: Path) -> None:
    def exchanged() -> None:
        table.path = tmp_path / "other.json"
        VirtualCard.blank(bytes.fromhex("04FFFFFFFFFFFF"), table.path)

    table.moments = [Tear(Moment(instruction=COMMIT), Phase.BEFORE)]
    table.after_pull = exchanged
    table.lay()
    with pytest.raises(click.ClickException, match="another card"):
        table.prove(pulls=1)


# --- cards that are not to be touched --------------------------------------------------------------------------------


def test_a_blank_card_is_left_blank_without_leave(table: Table) -> None:
    table.lay()
    before = table.path.read_bytes()
    with pytest.raises(click.ClickException, match="rien n'a été changé"):
        table.prove(may_issue=False)
    assert table.path.read_bytes() == before
    assert table.cards.order_of(Uid(UID)) is None


def test_somebody_elses_card_is_left_as_it_is_even_with_the_factorys_key(table: Table) -> None:
    card = VirtualCard.blank(UID, table.path)
    card.power_on()
    assert card.transceive(bytes.fromhex("905A00000300000000"))[-1] == 0
    assert card.transceive(bytes.fromhex("90CA000005AABBCC0F8500"))[-1] == 0
    before = table.path.read_bytes()
    table.lay()
    with pytest.raises(click.ClickException, match="rien n'a été changé"):
        table.prove()
    assert table.path.read_bytes() == before
    assert table.cards.order_of(Uid(UID)) is None


def test_a_card_of_the_programme_is_left_as_it_is(table: Table, tmp_path: Path) -> None:
    table.lay()
    table.prove()
    table.field.lift()
    before = table.path.read_bytes()
    table.cards = TestCards(tmp_path / "other-keys.json")
    table.lay()
    with pytest.raises(click.ClickException, match="rien n'a été changé"):
        table.prove()
    assert table.path.read_bytes() == before


@pytest.mark.parametrize("index", range(4, 60, 7))
def test_a_card_torn_while_it_is_made_is_finished_by_the_next_run(table: Table, index: int) -> None:
    table.lay(Tear(Moment(index=index), Phase.ANSWER_LOST))
    with pytest.raises(click.ClickException, match="Reposez la carte"):
        table.prove()
    assert table.cards.order_of(Uid(UID)) is not None
    table.lay()
    good, _told = table.prove(may_issue=False)
    assert good


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_are_on_the_disk_before_the_card_has_them_and_for_its_owner_alone(table: Table, tmp_path: Path) -> None:
    table.lay(Tear(Moment(instruction=0xC4), Phase.BEFORE))
    with pytest.raises(click.ClickException):
        table.prove()
    kept = tmp_path / "keys.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(json.loads(kept.read_text())["cards"][UID.hex()]["keys"]) == 7


def test_nothing_told_contains_a_key(table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.moments = [Tear(Moment(instruction=COMMIT), Phase.BEFORE)]
    table.lay()
    _good, told = table.prove(pulls=1)
    keys = json.loads((tmp_path / "keys.json").read_text())["cards"][UID.hex()]["keys"].values()
    order = table.cards.order_of(Uid(UID))
    everything = json.dumps(told) + " ".join(table.told) + repr(order) + "".join(capsys.readouterr())
    assert not any(key in everything.lower() for key in keys)


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 2, "cards": {}}', '{"version": 1, "cards": {"%s": {}}}'])
def test_a_keys_file_that_cannot_be_read_is_not_written_over(tmp_path: Path, content: str) -> None:
    kept = tmp_path / "keys.json"
    kept.write_text(content % UID.hex() if "%s" in content else content)
    with pytest.raises(Malformed):
        TestCards(kept).order_of(Uid(UID))


def test_every_proof_has_a_name_for_people_and_a_line_in_the_check_list(table: Table) -> None:
    table.moments = [Tear(Moment(instruction=COMMIT), Phase.BEFORE)]
    table.lay()
    _good, told = table.prove(pulls=1)
    names = [name for name, item in told.items() if "proof" in item]
    assert len({said(name) for name in names}) == len(names)
    page = CHECK_LIST.read_text()
    assert [name for name in names if f"`{name}`" not in page and not name.startswith("pull_")] == []


def test_the_table_for_people_says_verdict_proof_and_measure() -> None:
    row = as_row(Proof("tmv_read_data_native", Verdict.OTHERWISE, "TMV BD not counted, 9 APDUs"))
    assert row.split(maxsplit=1)[0] == "AUTREMENT"
    assert "TMV avec ReadData, par AF" in row and row.endswith("TMV BD not counted, 9 APDUs")
    assert "1.50 ms" in as_row(Pace("chained", "DEBIT", 20, 1.5, 31, 10))


# --- through pcscd and vpcd ------------------------------------------------------------------------------------------


def scene(folder: Path) -> int:
    """The command on a virtual reader; the hand pulls the card when it is told to, at a moment of its own."""
    from emulator.vpcd import CardInField

    with private_pcscd():
        field = CardInField(VirtualCard.blank(UID, folder / "card.json"))
        field.present()
        argv = [sys.executable, "-m", "panier", "card", "prove", "--issue-blank", "--json", "--reader", "00 00"]
        argv += ["--keys", str(folder / "keys.json"), "--rounds", "3", "--pulls", "2"]
        command = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        assert command.stdout is not None and command.stderr is not None
        out: list[str] = []
        reading = threading.Thread(target=lambda: out.extend(command.stdout or ()), daemon=True)
        reading.start()
        for line in command.stderr:
            print(line, end="", file=sys.stderr)
            if "retirez-la d'un coup" in line:
                time.sleep(0.25)
                field.lift()
            elif "Reposez" in line:
                wait_until_empty(VIRTUAL_READERS[0])
                field.present()
        status = command.wait()
        reading.join()
        field.lift()
    (folder / "told.json").write_text(json.dumps([json.loads(line) for line in out]))
    return status


@pytest.mark.pcsc
@pytest.mark.skipif(inside(), reason="outside")
def test_the_command_proves_a_card_through_pcscd_with_real_pulls(tmp_path: Path) -> None:
    can = namespaces_available()
    if not can.available:
        pytest.skip(can.reason)
    root = str(Path(__file__).parents[3])
    assert enter([sys.executable, __file__, str(tmp_path)], {**os.environ, "PYTHONPATH": root}) == 0
    told = {item.get("proof"): item for item in json.loads((tmp_path / "told.json").read_text())}
    assert told["payment_chained"]["verdict"] == "as expected"
    assert {"pull_1", "pull_2", "tears_at_commit"} <= set(told)
    assert "otherwise" not in {item.get("verdict") for item in told.values()}


if __name__ == "__main__":
    sys.exit(scene(Path(sys.argv[1])))
