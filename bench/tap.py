"""``panier bench tap``: one tap from "card present" to the durable record, beside its floor, measured tap by tap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from bench.card_times import card_ms, untimed
from bench.floor import AppendedFile, FloorRun, replay
from bench.radio import RATE_106, RATE_424, air_ms
from bench.screen import paid_drawn_ns
from bench.stopwatch import PARTS, watching
from bench.till_at_work import CASES, Case, LayDown, Tap, TillAtWork, at_work

MOST_RATIO: Final = 3.0
MOST_TAP_MS: Final = 300.0
"""What the model may say of a tap of LIMITED_SLOTS slots at 106 kbit/s; people soon lift their card."""
LIMITED_SLOTS: Final = 2
WARM_UP_TAPS: Final = 10
_NS_A_MS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Result:
    """One case measured.

    Attributes:
        apdus, bytes_out, bytes_in: of one tap; every tap had the same.
        host_ms, floor_ms: medians of the figure and of its floor.
        parts_ms: medians by part of a tap, from an instrumented pass of its own; drawing comes after the record.
        radio_106_ms, radio_424_ms: its APDUs on the air, as modelled (``bench.radio``).
        card_model_ms: what a real card itself would take for them, as modelled (``bench.card_times``).
        faults: what makes the figures worthless, each a French sentence; none when all is as it must be.
    """

    case: Case
    taps: int
    apdus: int
    bytes_out: int
    bytes_in: int
    host_ms: float
    floor_ms: float
    parts_ms: dict[str, float]
    radio_106_ms: float
    radio_424_ms: float
    card_model_ms: float
    faults: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Host over floor; at most MOST_RATIO is wanted."""
        return self.host_ms / self.floor_ms

    @property
    def tap_106_ms(self) -> float:
        """A tap with a real card at 106 kbit/s, as modelled: air, card and host, without activation and the reader."""
        return self.radio_106_ms + self.card_model_ms + self.host_ms

    @property
    def tap_424_ms(self) -> float:
        """The same at 424 kbit/s."""
        return self.radio_424_ms + self.card_model_ms + self.host_ms

    @property
    def left_an_apdu_ms(self) -> float:
        """What is left of MOST_TAP_MS at 106 kbit/s for the reader, its driver and USB, for each APDU."""
        return (MOST_TAP_MS - self.tap_106_ms) / self.apdus

    @property
    def is_too_long(self) -> bool:
        """A tap of LIMITED_SLOTS slots that the model puts above MOST_TAP_MS."""
        return self.case.slots == LIMITED_SLOTS and self.tap_106_ms > MOST_TAP_MS

    @property
    def is_good(self) -> bool:
        """Right APDUs, a floor that is one, a ratio and a modelled tap within their bounds."""
        return not self.faults and self.ratio <= MOST_RATIO and not self.is_too_long


def measure(
    taps: int,
    directory: Path | None,
    lay_down: LayDown,
    cases: Sequence[Case] = CASES,
    warm_up_taps: int = WARM_UP_TAPS,
) -> Iterator[Result]:
    """Measure each case in turn.

    Args:
        taps: of the figure and of its floor, each.
        directory: where the journal and the floor's file lie while they are measured; None: the usual temporary one.
        lay_down: the way to the card (``bench.reader_path``).
        warm_up_taps: made before and not counted, but checked like the others.
    """
    screen_ms = _median_ms(paid_drawn_ns(min(taps, 20)))
    for case in cases:
        with TemporaryDirectory(prefix="panier-bench-", dir=directory) as place:
            yield _measure(case, taps, Path(place), lay_down, screen_ms, warm_up_taps)


def _measure(case: Case, taps: int, place: Path, lay_down: LayDown, screen_ms: float, warm_up_taps: int) -> Result:
    with at_work(case, place, lay_down) as till:
        file = AppendedFile(place / "floor")
        try:
            pairs = [_pair(till, seed, file) for seed in range(warm_up_taps + taps)]
        finally:
            file.close()
        parts_ms = _parts_ms(till, max(taps // 2, 1)) | {"screen": screen_ms}
    counted = pairs[warm_up_taps:]
    first = counted[0][0]
    return Result(
        case=case,
        taps=taps,
        apdus=first.apdus,
        bytes_out=first.out_b,
        bytes_in=first.in_b,
        host_ms=_median_ms([tap.elapsed_ns for tap, _floor in counted]),
        floor_ms=_median_ms([floor.elapsed_ns for _tap, floor in counted]),
        parts_ms=parts_ms,
        radio_106_ms=air_ms(first.exchanged, RATE_106),
        radio_424_ms=air_ms(first.exchanged, RATE_424),
        card_model_ms=card_ms(first.exchanged),
        faults=tuple(_faults(case, pairs)),
    )


def _pair(till: TillAtWork, seed: int, file: AppendedFile) -> tuple[Tap, FloorRun]:
    """One tap, and at once its floor on the card restored to where the tap began."""
    till.prepare(seed)
    tap = till.tap(seed)
    till.laid.wait_free()
    till.card.restore(seed)
    floor = replay(till.laid.bare, tap.exchanged, bytes(tap.intent_b), bytes(tap.record_b), file)
    return tap, floor


def _parts_ms(till: TillAtWork, taps: int) -> dict[str, float]:
    """Medians by part, each nanosecond of ``Till.handle`` counted once."""
    spent: list[dict[str, int]] = []
    with watching() as watch:
        for seed in range(taps):
            till.laid.wait_free()
            till.prepare(seed)
            watch.reset()
            till.tap(seed)
            spent.append(watch.spent_ns)
    return {part: _median_ms([one[part] for one in spent]) for part in PARTS}


def _faults(case: Case, pairs: Sequence[tuple[Tap, FloorRun]]) -> Iterator[str]:
    taps = [tap for tap, _floor in pairs]
    if {tap.apdus for tap in taps} != {case.apdus}:
        yield f"{_list(tap.apdus for tap in taps)} APDU par passage au lieu de {case.apdus}"
    if any(tap.apdus != tap.emulator_apdus for tap in taps):
        yield "la carte n'a pas compté les mêmes APDU que le lecteur"
    if len({(tap.out_b, tap.in_b) for tap in taps}) != 1:
        yield "les octets échangés changent d'un passage à l'autre"
    if not all(floor.is_same for _tap, floor in pairs):
        yield "la carte n'a pas répondu pareil au plancher : il ne vaut rien"
    if unknown := untimed(taps[0].exchanged):
        named = ", ".join(f"{instruction:02X}" for instruction in unknown)
        yield f"pas de temps de carte pour la commande {named} : le modèle compte trop peu"


def _list(numbers: Iterator[int]) -> str:
    return ", ".join(str(number) for number in sorted(set(numbers)))


def _median_ms(times_ns: Sequence[int]) -> float:
    return median(times_ns) / _NS_A_MS
