"""``python -m tests.fuzz --seconds 60 [--seed N] [--only NAME]``: mutate for a stated time, keep what is found.

Ends with status 1 when something was found.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time

from tests.fuzz.mutate import Mutator
from tests.fuzz.run import Figures, Target, keep, shortened
from tests.fuzz.targets import TARGETS

MOST_MEMORY_B = 2 * 1024**3
TURN_S = 0.25


def main() -> int:
    """Turn by turn through all targets until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", default="", help="targets with this in their name")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_B, MOST_MEMORY_B))  # a MemoryError is a finding
    targets = [target for target in TARGETS if options.only in target.name]
    print(f"seed {options.seed}, {len(targets)} targets, {options.seconds:.0f} s", flush=True)
    figures = {target.name: Figures() for target in targets}
    mutators = {target.name: Mutator(options.seed + number) for number, target in enumerate(targets)}
    until_s = time.monotonic() + options.seconds
    while time.monotonic() < until_s:
        for target in targets:
            _turn(target, mutators[target.name], figures[target.name], min(until_s, time.monotonic() + TURN_S))
    return _told(targets, figures)


def _turn(target: Target, mutator: Mutator, figures: Figures, until_s: float) -> None:
    while time.monotonic() < until_s:
        known = len(figures.findings)
        figures.count(target, mutator.of(target.examples, is_cbor=target.is_cbor))
        if len(figures.findings) > known:
            found = shortened(target, list(figures.findings.values())[-1])
            print(f"! {found}\n  kept as {keep(found)}", flush=True)


def _told(targets: list[Target], figures: dict[str, Figures]) -> int:
    print(f"{'target':44} {'inputs':>9} {'inputs/s':>9} {'slowest ms':>10} findings")
    for target in targets:
        own = figures[target.name]
        rate = own.inputs / own.seconds if own.seconds else 0.0
        print(f"{target.name:44} {own.inputs:9d} {rate:9.0f} {own.slowest_s * 1e3:10.2f} {len(own.findings)}")
    inputs = sum(own.inputs for own in figures.values())
    seconds = sum(own.seconds for own in figures.values())
    found = sum(len(own.findings) for own in figures.values())
    print(f"{'all':44} {inputs:9d} {inputs / max(seconds, 1e-9):9.0f} {'':10} {found}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
