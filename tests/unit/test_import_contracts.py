"""The walls of the house hold, and each is seen to hold: a violation of every contract is planted and caught.

Contracts of direction are in ``.importlinter``. The doors of dependencies (one module each) are checked here, from the
import statements themselves, because a door is one module and everything else is outside.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "sync", "terminal", "central", "emulator", "demo", "bench", "panier")

DOORS = {
    "cryptography": {"sync/crypto.py", "emulator/crypto.py"},
    "cbor2": {"sync/cbor.py"},
    "smartcard": {"terminal/nfc/pcsc.py"},
    "nfc": {"terminal/nfc/nfcpy_readers.py"},
    "serial": {"terminal/nfc/pn532_serial.py"},
    "apsw": {"terminal/offline_queue/store.py"},
    "peewee": {"terminal/offline_queue/store.py", "central/store.py"},
    "playhouse": {"terminal/offline_queue/store.py", "central/store.py"},
    "httpx2": {"sync/http_centre.py"},
    "starlette": {"central/web.py"},
    "uvicorn": {"central/serve.py"},
    "jinja2": {"central/pages.py"},
    "psycopg": {"central/store.py"},
    "pkcs11": {"central/keys/token.py"},
    "msgspec": {"terminal/json_lines.py"},
    "structlog": {"panier/logs.py"},
}
ROOMS = {"textual": ("terminal/ui/", "demo/stall"), "rich": ("terminal/ui/", "demo/stall"), "click": ("panier/",)}


def sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from (root / package).rglob("*.py")


@cache
def imported(text: str) -> frozenset[str]:
    """Packages a module imports, by its text; each text is read once."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return frozenset(names)


def outside_the_doors(root: Path) -> list[str]:
    wrong = []
    for path in sources(root):
        place = path.relative_to(root).as_posix()
        for name in imported(path.read_text()):
            if name in DOORS and place not in DOORS[name]:
                wrong.append(f"{place} imports {name}")
            if name in ROOMS and not place.startswith(ROOMS[name]):
                wrong.append(f"{place} imports {name}")
    return wrong


def test_each_dependency_is_imported_at_its_door_only() -> None:
    assert outside_the_doors(ROOT) == []


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The house once more, for what is ``planted`` in it."""
    made = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__", "*.mo", "*.svg")
        shutil.copytree(ROOT / package, made / package, ignore=ignore)
    shutil.copy(ROOT / ".importlinter", made)
    return made


@contextmanager
def planted(path: Path, text: str) -> Iterator[None]:
    """Text at the end of a module, made when there is none, while the block lasts."""
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + text)
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_text(before)


def contracts_broken(root: Path) -> str:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


PLANTED = [
    ("domain/money.py", "import sync.cbor", "One way down"),
    ("terminal/nfc/apdu.py", "import terminal.offline_queue.store", "Inside the terminal"),
    ("terminal/sale.py", "import terminal.ui", "Inside the terminal"),
    ("terminal/tap.py", "import central", "Terminal and centre never import each other"),
    ("sync/batch.py", "import central", "The centre stands on sync and domain only"),
    ("domain/decision.py", "import cbor2", "The domain stands on the standard library alone"),
    ("emulator/card.py", "import sync.crypto", "The emulator shares nothing of ours"),
    ("terminal/nfc/in_process.py", "import emulator.inprocess", "No production module imports virtual hardware"),
]


def test_the_contracts_hold(copy: Path) -> None:
    assert contracts_broken(copy) == ""


@pytest.mark.parametrize(("place", "line", "contract"), PLANTED, ids=[item[2] + ": " + item[0] for item in PLANTED])
def test_a_planted_violation_of_each_contract_is_caught(copy: Path, place: str, line: str, contract: str) -> None:
    with planted(copy / place, f"\n{line}\n"):
        assert f"{contract}" in contracts_broken(copy).split("Broken contracts", 1)[-1]


@pytest.mark.parametrize("name", sorted(DOORS) + sorted(ROOMS))
def test_a_dependency_used_beside_its_door_is_caught(copy: Path, name: str) -> None:
    with planted(copy / "domain" / "planted.py", f"def late() -> None:\n    import {name}\n"):
        assert outside_the_doors(copy) == [f"domain/planted.py imports {name}"]
    assert outside_the_doors(copy) == []
