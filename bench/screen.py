"""How long the cashier's screen takes to draw « PAYÉ », on a terminal that writes nowhere."""

from __future__ import annotations

import asyncio
import time

from domain.money import Cents
from terminal import events as say
from terminal.ports import Durable, Presence
from terminal.ui.app import TillApp
from terminal.ui.pictures import FAMILIES, SIZE, status
from terminal.ui.scripted import DirectLoop, ScriptedTill, Step

_TAP = say.CardPresented(Presence("bench", 1))
_ASKED = say.PresentCard(1, Cents(1_250), Cents(0), ())
_PAID = say.Paid(1, Cents(1_250), Cents(0), Durable(1, b"", b""))


def paid_drawn_ns(taps: int) -> list[int]:
    """Times from the till's word ``Paid`` to the screen laid out and rendered, one a tap, in ns."""
    return asyncio.run(_draw(taps))


async def _draw(taps: int) -> list[int]:
    steps = [Step(say.Sell, (_ASKED,)), Step(say.CardPresented, (_PAID,))] * taps
    loop = DirectLoop(ScriptedTill(steps))
    app = TillApp(loop, status, FAMILIES, sound=lambda _sound: None)
    times: list[int] = []
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(taps):
            for key in (*"1250", "enter"):
                app.desk.press(key, status)
            await pilot.pause()
            drawn = asyncio.Event()
            began_ns = time.perf_counter_ns()
            loop.post(_TAP)
            app.call_later(app.screen.call_after_refresh, drawn.set)
            await drawn.wait()
            times.append(time.perf_counter_ns() - began_ns)
            app.desk.press("enter", status)
    return times
