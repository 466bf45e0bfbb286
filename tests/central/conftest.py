from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from central.office import Office
from tests.central import kit


@pytest.fixture
def clock() -> kit.WoundClock:
    return kit.WoundClock()


@pytest.fixture
def office(tmp_path: Path, clock: kit.WoundClock) -> Iterator[Office]:
    opened = kit.new_office(tmp_path / "centre", clock)
    yield opened
    opened.close()


@pytest.fixture
def anne(office: Office) -> kit.Held:
    return kit.new_card(office, 1)


@pytest.fixture
def stall(office: Office, anne: kit.Held) -> kit.Stall:
    return kit.new_stall(office)


@pytest.fixture
def restore(tmp_path: Path, office: Office, clock: kit.WoundClock) -> kit.Backup:
    return kit.Backup(office, tmp_path / "backup", clock)
