"""A call that never returns is left behind, and the till goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from terminal.errors import ReaderLost, ReaderStuck
from terminal.events import Inward, ReaderWent
from terminal.nfc.lane import Lane, Lanes
from terminal.ports import Deadline


def left_s(deadline: Deadline) -> float:
    return max(deadline.at_s - time.monotonic(), 0.0)


def within(budget_s: float) -> Deadline:
    return Deadline(time.monotonic() + budget_s)


class Inbox:
    """What was posted; can be waited for."""

    def __init__(self) -> None:
        self.events: list[Inward] = []
        self.doubts: list[str] = []
        self.changed = threading.Condition()

    def post(self, event: Inward) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def doubt(self, reader: str) -> None:
        with self.changed:
            self.doubts.append(reader)
            self.changed.notify_all()

    def wait_for_doubt(self, reader: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: reader in self.doubts, 60)


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def test_a_lane_gives_results_and_faults_of_calls_in_its_own_thread() -> None:
    lane = Lane("r", left_s)
    assert lane.run(threading.get_ident, within(5)) not in (None, threading.get_ident())
    with pytest.raises(ZeroDivisionError):
        lane.run(lambda: 1 // 0, within(5))
    assert lane.run(lambda: 7, within(5)) == 7
    lane.end()
    assert lane.has_ended


def test_a_call_that_does_not_return_in_time_is_left_behind() -> None:
    release, lane = threading.Event(), Lane("r", left_s)
    with pytest.raises(ReaderStuck):
        lane.run(release.wait, within(0.05))
    with pytest.raises(ReaderStuck):
        lane.run(lambda: pytest.fail("made on an abandoned lane"), within(5))
    release.set()


def test_what_is_held_for_an_abandoned_lane_is_freed_when_it_comes_back() -> None:
    release, freed = threading.Event(), threading.Event()
    lane = Lane("r", left_s, freed.set)
    with pytest.raises(ReaderStuck):
        lane.run(release.wait, within(0.01))
    assert not freed.is_set()
    release.set()
    assert freed.wait(60)


def test_a_stuck_reader_is_told_and_when_it_answers_it_is_looked_for_and_starts_afresh() -> None:
    inbox, release = Inbox(), threading.Event()
    lanes = Lanes(left_s, inbox.post, inbox.doubt)
    lane = lanes.of("r")
    with pytest.raises(ReaderStuck):
        lanes.run("r", lane, release.wait, within(0.01))
    assert inbox.events == [ReaderWent("r", is_stuck=True)]
    with pytest.raises(ReaderStuck):
        lanes.of("r")
    release.set()
    inbox.wait_for_doubt("r")
    fresh = lanes.of("r")
    assert fresh is not lane and lanes.run("r", fresh, lambda: 7, within(5)) == 7
    lanes.close()


def test_a_stuck_reader_is_not_said_to_be_back_because_its_call_ended_badly() -> None:
    inbox, release = Inbox(), threading.Event()
    lanes = Lanes(left_s, inbox.post, inbox.doubt)

    def unplugged() -> None:
        release.wait(60)
        raise ReaderLost("unplugged")

    with pytest.raises(ReaderStuck):
        lanes.run("r", lanes.of("r"), unplugged, within(0.01))
    release.set()
    inbox.wait_for_doubt("r")
    assert inbox.events == [ReaderWent("r", is_stuck=True)]
    lanes.close()


def test_a_stuck_reader_is_never_told_after_it_was_looked_for() -> None:
    order: list[str] = []
    release, looked = threading.Event(), threading.Event()

    def post(event: Inward) -> None:
        release.set()
        looked.wait(0.2)  # time enough for the call to come back and the reader to be looked for
        order.append("stuck")

    def doubt(_reader: str) -> None:
        order.append("look")
        looked.set()

    lanes = Lanes(left_s, post, doubt)
    with pytest.raises(ReaderStuck):
        lanes.run("r", lanes.of("r"), release.wait, within(0.01))
    assert looked.wait(60)
    assert order == ["stuck", "look"]
    lanes.close()


def test_a_lane_whose_card_cannot_be_given_back_is_looked_for_all_the_same() -> None:
    inbox, release = Inbox(), threading.Event()

    def free(_lane: Lane) -> None:
        raise SystemError("a library of C")

    lanes = Lanes(left_s, inbox.post, inbox.doubt, free)
    with pytest.raises(ReaderStuck):
        lanes.run("r", lanes.of("r"), release.wait, within(0.01))
    release.set()
    inbox.wait_for_doubt("r")
    lanes.close()


def test_what_is_left_to_a_lane_never_ends_it() -> None:
    lane = Lane("r", left_s)

    def bug() -> None:
        raise SystemError("a library of C")

    lane.leave(bug)
    assert lane.run(lambda: 7, within(60)) == 7
    lane.end()


def test_a_reader_stuck_for_two_who_wait_is_told_once() -> None:
    inbox, release = Inbox(), threading.Event()
    lanes = Lanes(left_s, inbox.post, inbox.doubt)
    lane = lanes.of("r")

    def waits() -> None:
        with pytest.raises(ReaderStuck):
            lanes.run("r", lane, release.wait, within(0.05))

    two = [threading.Thread(target=waits) for _ in range(2)]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join(60)
    assert inbox.events == [ReaderWent("r", is_stuck=True)]
    release.set()
    lanes.close()


def test_a_replugged_reader_starts_afresh_while_the_old_call_still_hangs() -> None:
    inbox, release = Inbox(), threading.Event()
    lanes = Lanes(left_s, inbox.post, inbox.doubt)
    with pytest.raises(ReaderStuck):
        lanes.run("r", lanes.of("r"), release.wait, within(0.01))
    lanes.forget("r")
    assert lanes.run("r", lanes.of("r"), lambda: 7, within(5)) == 7
    release.set()
    lanes.close()
    assert inbox.doubts == []


def test_one_stuck_reader_does_not_hold_up_another() -> None:
    release = threading.Event()
    lanes = Lanes(left_s, Inbox().post, Inbox().doubt)
    with pytest.raises(ReaderStuck):
        lanes.run("r", lanes.of("r"), release.wait, within(0.01))
    assert lanes.run("s", lanes.of("s"), lambda: 7, within(5)) == 7
    release.set()
    lanes.close()


def test_a_reader_lost_by_a_call_is_put_into_doubt_but_not_one_that_was_told_to_be_gone_before() -> None:
    inbox, release = Inbox(), threading.Event()
    lanes = Lanes(left_s, inbox.post, inbox.doubt)

    def unplugged() -> None:
        release.wait(60)
        raise ReaderLost("unplugged")

    lane = lanes.of("r")
    with pytest.raises(ReaderStuck):
        lanes.run("r", lane, unplugged, within(0.01))
    lanes.forget("r")  # its successor has the same name
    release.set()
    assert eventually(lambda: lane.has_ended) and inbox.doubts == []
    with pytest.raises(ReaderLost):
        lanes.run("r", lanes.of("r"), unplugged, within(60))
    assert inbox.doubts == ["r"]
    lanes.close()


def test_a_reader_unplugged_in_the_middle_of_a_tap_is_told_at_once() -> None:
    lanes = Lanes(left_s, Inbox().post, Inbox().doubt)
    lane = lanes.of("r")
    assert lanes.run("r", lane, lambda: 7, within(5)) == 7
    lanes.forget("r")
    with pytest.raises(ReaderLost):  # and not ReaderStuck once the time is up
        lanes.run("r", lane, lambda: 7, within(60))
    lanes.close()


def test_what_a_lane_holds_is_given_back_when_it_ends() -> None:
    freed: list[Lane] = []
    lanes = Lanes(left_s, Inbox().post, Inbox().doubt, freed.append)
    lane = lanes.of("r")
    lanes.run("r", lane, lambda: 7, within(5))
    lanes.close()
    assert freed == [lane]
