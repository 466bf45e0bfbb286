"""What takes longest begins first, so that no worker is left with it at the end. No example is against the clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is no fault of the example
settings.load_profile("any machine")

LONGEST_FIRST = (
    "card/host/test_readers_contract.py",
    "sale/test_tear_and_power_cut.py",
    "ui/test_app.py",
    "hostile/test_through_pcsc.py",
    "e2e/test_judge.py",
    "e2e/test_bad_input.py",
    "central/test_keys_command.py",
    "e2e/test_doctor.py",
    "e2e/test_readers_come_back.py",
    "ui/test_pictures.py",
)
"""Under this folder: most of them wait for PC/SC, a screen or programs of their own."""
_RANKS = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _RANKS.get(item.path, len(_RANKS)))
