"""Fuzzing guided by coverage, where atheris is at hand (Apache-2.0; no dependency of the project):

    pip install atheris
    python -m tests.fuzz.guided "bundle" -max_total_time=60

The first word names one target in full; the rest goes to libFuzzer. An input that breaks the target is kept in the
corpus as ``python -m tests.fuzz`` does.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    """Runs until libFuzzer ends the process, or something breaks."""
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not installed: python -m tests.fuzz does without it", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["sync", "terminal", "domain", "central"]):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    run = importlib.import_module("tests.fuzz.run")
    target = next(target for target in targets if target.name == sys.argv[1])
    seeds = Path(tempfile.mkdtemp(prefix="panier-fuzz-"))
    for number, example in enumerate(target.examples):
        (seeds / str(number)).write_bytes(example)

    def one_input(data: bytes) -> None:
        finding = run.attempt(target, data)
        if finding is not None:
            print(f"! {finding}\n  kept as {run.keep(finding)}", flush=True)
            raise finding.fault

    atheris.Setup([sys.argv[0], str(seeds), *sys.argv[2:]], one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
