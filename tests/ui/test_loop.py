"""The loop: one worker, in order, never deaf."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from terminal import events as say
from terminal.loop import Answer, TillLoop
from terminal.ports import Presence
from terminal.ui.scripted import ScriptedTill, Step

LONG_S = 60.0


class Ear:
    """Hears a loop."""

    def __init__(self) -> None:
        self.begun_with: list[say.Inward] = []
        self.answers: SimpleQueue[Answer] = SimpleQueue()
        self.errors: SimpleQueue[BaseException] = SimpleQueue()

    def begun(self, event: say.Inward) -> None:
        self.begun_with.append(event)

    def answered(self, answer: Answer) -> None:
        self.answers.put(answer)

    def failed(self, error: BaseException) -> None:
        self.errors.put(error)


def test_first_words_come_first_and_every_event_is_answered_in_order() -> None:
    core = ScriptedTill(
        (Step(say.Accept, (say.Ready(),)), Step(say.Back, (say.OneCardOnly(1),))), (say.ReaderIsBack(),)
    )
    loop, ear = TillLoop(core, tick_s=60), Ear()
    loop.start(ear)
    loop.post(say.Accept())
    loop.post(say.ListsChanged())
    loop.post(say.Back())
    loop.stop()
    heard = [ear.answers.get(timeout=LONG_S) for _number in range(4)]
    assert heard == [
        Answer(None, (say.ReaderIsBack(),)),
        Answer(say.Accept(), (say.Ready(),)),
        Answer(say.ListsChanged(), ()),
        Answer(say.Back(), (say.OneCardOnly(1),)),
    ]
    assert ear.begun_with == core.heard


def test_the_core_is_called_from_the_worker_alone() -> None:
    threads: set[str] = set()

    class Core:
        def start(self) -> tuple[say.Outward, ...]:
            threads.add(threading.current_thread().name)
            return ()

        def handle(self, event: say.Inward) -> tuple[say.Outward, ...]:
            threads.add(threading.current_thread().name)
            return ()

    loop = TillLoop(Core(), tick_s=60)
    loop.start(Ear())
    posters = [threading.Thread(target=loop.post, args=(say.Accept(),)) for _number in range(4)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    loop.stop()
    assert threads == {"till"}


def test_time_ticks_even_while_keys_never_cease() -> None:
    has_ticked = threading.Event()

    class Busy:
        """Each key it handles brings two more, so that its inbox is never empty."""

        handled = 0

        def start(self) -> tuple[say.Outward, ...]:
            return ()

        def handle(self, event: say.Inward) -> tuple[say.Outward, ...]:
            self.handled += 1
            if isinstance(event, say.Tick):
                has_ticked.set()
            elif not has_ticked.is_set():
                assert self.handled < 1_000_000, "never a tick"
                loop.post(say.Back())
                if self.handled == 1:
                    loop.post(say.Back())
            return ()

    loop, ear = TillLoop(Busy(), tick_s=0.01), Ear()
    loop.start(ear)
    loop.post(say.Back())
    assert has_ticked.wait(LONG_S)
    loop.stop()


def test_posting_never_waits_for_a_slow_card() -> None:
    card = threading.Event()
    core = ScriptedTill((Step(say.CardPresented, (say.PutBack(1),), after=card), Step(say.Back, (say.Ready(),))))
    loop, ear = TillLoop(core, tick_s=60), Ear()
    loop.start(ear)
    loop.post(say.CardPresented(Presence("reader", 1)))
    loop.post(say.Back())  # returns although the card still lies there unread
    card.set()
    said = [ear.answers.get(timeout=LONG_S).said for _number in range(3)]
    loop.stop()
    assert said == [(), (say.PutBack(1),), (say.Ready(),)]


def test_a_bug_in_the_core_ends_the_loop_and_is_told() -> None:
    class Broken:
        def start(self) -> tuple[say.Outward, ...]:
            return ()

        def handle(self, event: say.Inward) -> tuple[say.Outward, ...]:
            raise AssertionError("a bug")

    loop, ear = TillLoop(Broken(), tick_s=60), Ear()
    loop.start(ear)
    loop.post(say.Accept())
    assert isinstance(ear.errors.get(timeout=LONG_S), AssertionError)
    loop.stop()
