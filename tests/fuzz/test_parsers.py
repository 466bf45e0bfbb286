"""Whatever bytes come, a parser gives its value or its documented fault, soon, and never anything else."""

from __future__ import annotations

import pytest

from tests.fuzz.run import Target, attempt, corpus_of, mutations
from tests.fuzz.targets import TARGETS

MUTATIONS = 2_000
SEED = 20_261_205

by_name = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@by_name
def test_the_good_examples_are_read(target: Target) -> None:
    for example in target.examples:
        target.read(example)


@by_name
def test_what_once_broke_it_breaks_it_no_more(target: Target) -> None:
    findings = [attempt(target, path.read_bytes()) for path in corpus_of(target)]
    assert [str(finding) for finding in findings if finding is not None] == []


@by_name
def test_mutations_of_good_examples_raise_nothing_undocumented(target: Target) -> None:
    for data in mutations(target, SEED, MUTATIONS // target.cost):
        finding = attempt(target, data)
        assert finding is None, str(finding)
