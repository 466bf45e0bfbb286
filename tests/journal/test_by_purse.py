"""What each purse of a card paid here on a day: a fold over the facts, unknown where an older program kept none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from domain.identity import PurseNumber
from domain.money import Cents
from sync.cbor import decode_map, encode
from sync.errors import UnknownVersion
from sync.record import Outcome, RecordType, record_hash
from terminal.offline_queue.facts import decode_facts, decode_intent, encode_facts, encode_intent, facts_of
from terminal.offline_queue.journal import OfflineJournal, journal_name
from terminal.offline_queue.medium import Disk
from terminal.offline_queue.store import record_mark
from terminal.ports import Draft, Effect
from tests.journal import kit
from tests.journal.faulty_vfs import FaultyDisk
from tests.journal.kit import ANNE, BEA, DAY

VERSION, EFFECT = 0, 4
OF_INTENT = 2


@pytest.fixture
def journal() -> Iterator[OfflineJournal]:
    journal = kit.made(FaultyDisk())
    yield journal
    journal.close()


def paid(journal: OfflineJournal, card: bytes = ANNE) -> dict[int, int] | None:
    known = journal.paid_by_purse_on(card, DAY)  # type: ignore[arg-type]
    return None if known is None else {int(number): int(cents) for number, cents in known.items()}


def test_a_doubt_counts_for_its_purses_until_it_is_cancelled(journal: OfflineJournal) -> None:
    kit.pay(journal, ANNE, 1_000)
    assert paid(journal) == {1: 999, 2: 1}
    kit.tear(journal, ANNE, 250)
    assert paid(journal) == {1: 1_248, 2: 2}
    kit.solve(journal, journal.doubts()[0], Outcome.CANCELLED)
    assert paid(journal) == {1: 999, 2: 1}
    assert paid(journal, BEA) == {}, "nothing paid is known, too"


def test_a_confirmed_doubt_keeps_what_its_purses_paid(journal: OfflineJournal) -> None:
    kit.tear(journal, ANNE, 250)
    kit.solve(journal, journal.doubts()[0], Outcome.CONFIRMED)
    assert paid(journal) == {1: 249, 2: 1}


@pytest.mark.parametrize("seed", range(6))
def test_what_the_purses_paid_adds_up_to_what_the_card_paid_and_is_the_same_after_a_restart(seed: int) -> None:
    dice, disk = Random(seed), FaultyDisk()
    journal = kit.made(disk)
    for _ in range(12):
        card = dice.choice((ANNE, BEA))
        step = dice.randrange(4)
        if step == 0 and journal.doubts():
            kit.solve(journal, journal.doubts()[0], dice.choice(list(Outcome)))
        elif step == 1:
            kit.tear(journal, card, dice.randrange(1, 900))
        elif step == 2 and journal.voidable() is not None:
            void(journal)
        else:
            kit.pay(journal, card, dice.randrange(1, 900))
        for card in (ANNE, BEA):
            assert sum((paid(journal, card) or {}).values()) == journal.paid_on(card, DAY)
    again = kit.opened(FaultyDisk(disk.image()))
    assert kit.picture(again) == kit.picture(journal)
    again.close()
    journal.close()


def void(journal: OfflineJournal) -> None:
    undone = journal.voidable()
    assert undone is not None and undone.by_purse is not None
    back = {number: -cents for number, cents in undone.by_purse.items()}
    effect = Effect(undone.card, -undone.amount, undone.day, undone.seq, back)
    meant = replace(kit.intent(journal, undone.card, int(undone.amount)), effect=effect)
    journal.open_intent(meant).wait()
    journal.append(Draft(RecordType.VOID, meant.body, meant.stamp, effect), closes_intent=True)


# --- written by an older program -------------------------------------------------------------------------------------


def as_before(data: bytes, place: int, version: int) -> bytes:
    """The same facts or intent as the program before this one wrote it."""
    fields = decode_map(data, 8_192)
    effect = fields[place]
    assert isinstance(effect, list)
    voids = [] if effect[3] is None else [effect[3]]
    return encode({**fields, VERSION: version, place: [*effect[:3], *voids]})


@pytest.mark.parametrize("voids", [None, 7])
def test_facts_and_an_intent_of_the_version_before_are_read_without_purses(voids: int | None) -> None:
    journal = kit.made(FaultyDisk())
    meant = replace(kit.intent(journal, ANNE, 1_250), effect=Effect(ANNE, Cents(1_250), DAY, voids, {}))
    facts = facts_of(Draft(RecordType.PAYMENT, meant.body, meant.stamp), meant.effect)
    assert decode_facts(encode_facts(facts)).effect == meant.effect
    without = replace(meant.effect, by_purse=None)
    assert decode_facts(as_before(encode_facts(facts), EFFECT, 1)).effect == without
    assert decode_intent(as_before(encode_intent(meant), OF_INTENT, 2)) == replace(meant, effect=without)
    with pytest.raises(UnknownVersion):
        decode_facts(as_before(encode_facts(facts), EFFECT, 3))
    with pytest.raises(UnknownVersion):
        decode_intent(as_before(encode_intent(meant), OF_INTENT, 1))
    journal.close()


def test_a_journal_of_the_program_before_opens_and_says_that_it_does_not_know(tmp_path: Path) -> None:
    """Its rows are those of today, with facts as they were: the first payment of Anne does not name its purses."""
    journal = kit.made(Disk(tmp_path))
    for card, amount in ((ANNE, 100), (ANNE, 200), (BEA, 300)):
        kit.pay(journal, card, amount)
    journal.close()
    rows = sqlite3.connect(tmp_path / journal_name(1))
    ((sealed, facts),) = rows.execute("SELECT sealed, facts FROM record WHERE seq = 1")
    old = as_before(facts, EFFECT, 1)
    rows.execute("UPDATE record SET facts = ?, mark = ? WHERE seq = 1", (old, record_mark(1, record_hash(sealed), old)))
    rows.commit()
    rows.close()
    again = kit.opened(Disk(tmp_path))
    assert (again.paid_on(ANNE, DAY), paid(again)) == (300, None)
    assert paid(again, BEA) == {1: 299, 2: 1}
    undone = again.voidable(1)
    assert undone is not None and undone.by_purse is None
    kit.pay(again, ANNE, 50)
    assert paid(again) is None, "one payment that does not say it leaves the day unknown"
    assert again.paid_by_purse_on(ANNE, DAY.replace(day=8)) == {}, "the next day is known"
    assert PurseNumber(1) in (again.paid_by_purse_on(BEA, DAY) or {})
    again.close()
