"""I1, I3 and I5 of journal-and-sync: a scenario cut after every operation of the disk, then started again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product

import pytest

from sync.record import Outcome, RecordType
from terminal.errors import JournalDamaged, JournalFault, MediumFailed
from terminal.offline_queue import store
from terminal.offline_queue.journal import OfflineJournal, create_journal
from terminal.offline_queue.store import Change
from tests.journal import kit
from tests.journal.faulty_vfs import FaultyDisk, Survivors
from tests.journal.kit import ANNE, BEA, Picture
from tests.schedules import one_in

FATES = [(Survivors.NONE, 0), (Survivors.ALL, 0), *[(Survivors.SOME, seed) for seed in range(4)]]


@dataclass(slots=True)
class Run:
    """What the till had been told when the power went: records durable, and how many steps had ended."""

    disk: FaultyDisk
    durable: list[kit.Durable] = field(default_factory=list)
    ended: int = 0
    pictures: list[Picture] = field(default_factory=list)


Step = Callable[[OfflineJournal], kit.Durable | None]


def steps() -> list[Step]:
    def open_one(journal: OfflineJournal) -> None:
        journal.open_intent(kit.intent(journal, BEA, 700)).wait()

    def acknowledged(journal: OfflineJournal) -> None:
        journal.keep_contact(replace(journal.contact, acknowledged=journal.head().seq))

    return [
        lambda journal: kit.note(journal),
        lambda journal: pay_in_two(journal, 1_250),
        lambda journal: kit.tear(journal, BEA, 300),
        lambda journal: kit.solve(journal, journal.doubts()[0], Outcome.CONFIRMED),
        open_one,
        lambda journal: journal.drop_intent(),
        acknowledged,
        lambda journal: journal.rest(),
        lambda journal: pay_in_two(journal, 80),
        lambda journal: kit.note(journal, RecordType.CLOSING),
    ]


def pay_in_two(journal: OfflineJournal, amount: int) -> kit.Durable:
    return kit.pay(journal, ANNE, amount)


@cache
def new_image() -> dict[str, bytes]:
    disk = FaultyDisk()
    kit.made(disk).close()
    return disk.image()


def run(cut: int | None = None, lies_from: int | None = None) -> Run:
    result = Run(FaultyDisk(new_image()))
    journal = kit.opened(result.disk)
    result.pictures.append(kit.picture(journal))
    if cut is not None:
        result.disk.cut_after(cut)
    try:
        for number, step in enumerate(steps()):
            result.disk.is_lying = lies_from is not None and number >= lies_from
            durable = step(journal)
            if durable is not None:
                result.durable.append(durable)
            result.ended += 1
            result.pictures.append(kit.picture(journal))
    except MediumFailed:
        assert result.disk.is_dark
    finally:
        journal.close()
    return result


def without_hash(picture: Picture) -> Picture:
    """Signatures differ from run to run."""
    return replace(picture, head=(picture.head[0], b""))


@cache
def whole_run() -> tuple[int, tuple[Picture, ...]]:
    done = run()
    return done.disk.operations, tuple(without_hash(item) for item in done.pictures)


def check_after_the_cut(cut: Run, fate: tuple[Survivors, int]) -> None:
    """What was said to be durable is there, and the state is that before or after the step that was cut."""
    journal = kit.opened(cut.disk.restarted(*fate))
    try:
        records = journal.records(1, -1)
        assert records[: len(cut.durable)] == [durable.record for durable in cut.durable], "a durable record is gone"
        found = without_hash(kit.picture(journal))
        assert found in allowed(cut.ended), f"neither the state before nor after step {cut.ended}"
        if journal.open_intent_left() is None:
            kit.pay(journal, ANNE, 1)  # and the chain goes on
    finally:
        journal.close()


def allowed(ended: int) -> list[Picture]:
    """A sale has two commits, intent and record: between them the intent stands open."""
    _operations, pictures = whole_run()
    before, after = pictures[ended], pictures[min(ended + 1, len(pictures) - 1)]
    between = [replace(before, intent=item) for item in intents_of(ended)]
    return [before, after, *between]


def intents_of(step: int) -> Iterator[kit.Intent]:
    for amount, number, card in ((1_250, 1, ANNE), (300, 2, BEA), (80, 8, ANNE)):
        if number == step:
            seq = whole_run()[1][step].head[0] + 1
            body = kit.body_of(card, amount)
            log = body[kit.Pay.OWN_LOG]
            assert isinstance(log, bytes)
            yield kit.Intent(seq, kit.effect_of(card, amount), log, body, kit.stamp())


def cuts() -> range:
    return range(whole_run()[0] - FaultyDisk(new_image()).operations)


def test_a_power_cut_at_any_operation_leaves_all_or_nothing_and_loses_nothing_durable() -> None:
    for at in cuts():
        cut = run(at)
        for fate in FATES:
            check_after_the_cut(cut, fate)


@pytest.mark.parametrize(
    ("name", "value", "read"), [("synchronous", "OFF", 0), ("synchronous", "NORMAL", 1)], ids=["off", "normal"]
)
def test_a_weaker_sync_is_caught_losing_payments(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: int
) -> None:
    whole_run()
    weaker = tuple((name, value, read) if pragma[0] == name else pragma for pragma in store.PRAGMAS)
    monkeypatch.setattr(store, "PRAGMAS", weaker)
    assert some_cut_fails()


def test_a_record_whose_intent_ends_in_a_second_commit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_run()
    commit = store.Store.commit

    def in_two(self: store.Store, change: Change, witness: store.Witness | None = None) -> object:
        if change.record is not None and change.intent is not None:
            commit(self, replace(change, intent=None), witness).result()
            return commit(self, Change(intent=change.intent), witness)
        return commit(self, change, witness)

    monkeypatch.setattr(store.Store, "commit", in_two)
    assert some_cut_fails()


def test_a_receipt_given_before_the_commit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_run()
    commit = store.Store.commit

    def early(self: store.Store, change: Change, witness: store.Witness | None = None) -> object:
        if change.record is None:
            return commit(self, change, witness)
        return Late(commit(self, change, witness))

    class Late:
        def __init__(self, written: object) -> None:
            self._written = written

        def result(self) -> None:
            return

    monkeypatch.setattr(store.Store, "commit", early)
    assert some_cut_fails()


def some_cut_fails() -> bool:
    for at in range(200):
        try:
            cut = run(at)
            for fate in FATES:
                check_after_the_cut(cut, fate)
        except (AssertionError, JournalFault):
            return True
        if not cut.disk.is_dark:
            return False
    return False


def lies() -> tuple[range, list[int]]:
    """From which sync on the disk lies, and where the power goes."""
    return range(1, 10), [cut for cut in cuts() if cut % 3 == 0]


def test_a_disk_that_lies_loses_only_a_suffix_or_is_noticed() -> None:
    """One lie in four of all of them, the same in every run."""
    lies_are_noticed_or_lose_a_suffix(one_in(4, *lies()))


@pytest.mark.slow
def test_a_disk_that_lies_in_any_way_loses_only_a_suffix_or_is_noticed() -> None:
    lies_are_noticed_or_lose_a_suffix(product(*lies()))


def lies_are_noticed_or_lose_a_suffix(chosen: Iterable[tuple[int, int]]) -> None:
    noticed = shorter = 0
    for lies_from, at in chosen:
        cut = run(at, lies_from)
        for fate in FATES:
            try:
                journal = kit.opened(cut.disk.restarted(*fate))
            except JournalDamaged:
                noticed += 1
                continue
            records = journal.records(1, -1)
            journal.close()
            told = [durable.record for durable in cut.durable]
            assert records[: len(told)] == told[: len(records)], "another chain than the one before"
            shorter += len(records) < len(told)
    assert noticed > 0
    assert shorter > 0


def test_after_a_failed_commit_the_journal_takes_nothing_more_until_it_is_opened_again() -> None:
    disk = FaultyDisk(new_image())
    journal = kit.opened(disk)
    disk.cut_after(1)
    with pytest.raises(MediumFailed):
        kit.note(journal)
    disk.is_dark, disk._cut_at = False, None
    with pytest.raises(MediumFailed):
        kit.note(journal)
    journal.close()
    again = kit.opened(disk.restarted(Survivors.ALL))
    assert kit.note(again).seq in (1, 2)
    again.close()


def test_a_power_cut_while_a_journal_is_made_leaves_one_that_is_made_again() -> None:
    seen = set()
    for cut in range(100):
        disk = FaultyDisk()
        disk.cut_after(cut)
        with contextlib.suppress(MediumFailed):
            create_journal(disk, 1, kit.CONTACT)
        for fate in FATES:
            after = disk.restarted(*fate)
            try:
                kit.opened(after).close()
                seen.add("whole")
            except JournalDamaged:
                assert disk.is_dark, "a journal said to be made is gone"
                seen.add("again")
            kit.made(after).close()
        if not disk.is_dark:
            break
    assert seen == {"whole", "again"}


def test_extra_sync_is_set_before_the_change_to_the_write_ahead_log() -> None:
    names = [name for name, _value, _read in store.PRAGMAS]
    assert names.index("locking_mode") < names.index("synchronous") < names.index("journal_mode")
    assert names.index("journal_mode") < names.index("wal_autocheckpoint")
