from __future__ import annotations

import pytest

from bench.market import HeldCard, issue_card


@pytest.fixture(scope="session")
def issued() -> HeldCard:
    """One issued card; copy it before use."""
    return issue_card()
