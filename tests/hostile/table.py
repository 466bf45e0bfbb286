"""The lines of the table in docs/operating/hostile-cards.md: ``python -m tests.hostile.table TOLD.JSONL`` prints them
with the seconds of a run through PC/SC.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from domain.money import ZERO, Cents
from domain.reason import Reason
from terminal import events as say
from terminal.ports import Durable
from terminal.ui.face import speaks_of
from terminal.ui.faces import face
from tests.hostile.catalogue import DOUBT, LIES, NOT_PAID, NOTHING, PAID, PRICE, PUT_BACK, STUCK, Lie

SUM = Cents(PRICE)
TORN = "taken away "


def sentence(event: str, reason: str | None) -> str:
    """What the screen says, without sums."""
    told = face(_event(event, reason), datetime(2026, 12, 5, tzinfo=UTC), ZoneInfo("Europe/Paris"))
    assert told is not None
    words = [part for part in speaks_of(told.parts).split(" · ") if "€" not in part]
    return f"« {' · '.join(words)} »"


def _event(event: str, reason: str | None) -> say.Outward:
    why = Reason[reason.upper()] if reason else Reason.NOT_GENUINE
    match event:
        case "put_back":
            return say.PutBack(1)
        case "doubt":
            return say.PutSameBack(1, SUM)
        case "reader_away":
            return say.ReaderAway(is_stuck=True)
        case "paid":
            return say.Paid(1, SUM, ZERO, Durable(1, b"", b""))
        case _:
            return (
                say.NotHere(1, SUM, why) if reason in ("card_unknown", "not_genuine") else say.PaysNothing(1, SUM, why)
            )


def then(lie: Lie) -> str:
    """What the till does besides."""
    said = lie.blocks or lie.says
    if said == (NOTHING,):
        return "goes on waiting for a card"
    if said == (PUT_BACK, NOT_PAID):
        return "nothing debited; refused when laid down again"
    if said == (PAID,) and not lie.name.startswith(TORN):
        return (
            "the stolen key pays, within the balance the till knows; the centre finds the proof false and posts nothing"
        )
    return {
        PUT_BACK: "nothing debited; waits for the card",
        NOT_PAID: "nothing debited; the sale ends",
        DOUBT: "in doubt in the journal; the true card ends it, to the cent",
        PAID: "paid once",
        STUCK: "nothing debited; goes on when the reader answers again",
    }[said[-1]]


def lines() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """What lies, what the till says, what it does, and the lies that are meant; the torn ones are put together."""
    torn: dict[tuple[str, ...], list[Lie]] = {}
    for lie in LIES:
        if lie.name.startswith(TORN):
            torn.setdefault(lie.says, []).append(lie)
        else:
            yield _line(lie.name, lie, (lie.name,))
    for group in torn.values():
        names = tuple(lie.name for lie in group)
        first = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)} places)"
        yield _line(first, group[0], names)


def _line(name: str, lie: Lie, names: tuple[str, ...]) -> tuple[str, str, str, tuple[str, ...]]:
    said = lie.blocks or lie.says
    reason = None if lie.blocks else lie.reason
    words = [sentence(event, reason if event == NOT_PAID else None) for event in said if event != NOTHING]
    return name, ", then ".join(words) or "—", then(lie), names


def printed(seconds: Mapping[str, float]) -> Iterator[str]:
    """The whole table; ``seconds``: the longest time to an answer, by lie."""
    yield "| what lies | what the till says | what it does | s |"
    yield "|---|---|---|---|"
    for name, words, does, names in lines():
        took = max((seconds[each] for each in names if each in seconds), default=None)
        yield f"| {name} | {words} | {does} | {'—' if took is None or words == '—' else f'{took:.2f}'} |"


if __name__ == "__main__":
    told = [json.loads(line) for path in sys.argv[1:] for line in Path(path).read_text().splitlines()]
    print("\n".join(printed({item["name"]: max(item["seconds"]) for item in told})))
