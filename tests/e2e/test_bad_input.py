"""What a person reads when the world is not as it should be: one clear French sentence, status 1, and nothing lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest

from central.office import Office, make_centre
from demo.in_process import issue_in_process
from demo.served import served_centre
from demo.till_process import TillProcess
from domain.identity import PurseNumber
from domain.money import Cents
from emulator.card import VirtualCard

RULES = Path(__file__).parents[2] / "domain" / "rule-sets" / "gers.toml"


def panier(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "panier", *words], capture_output=True, text=True, timeout=60, check=False
    )


class Market:
    """A served centre, one issued card with 40 €, one enrolled terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "centre.sock"
        self.till = folder / "till"
        self.card = folder / "card.json"

    def served(self) -> AbstractContextManager[None]:
        return served_centre(self.folder / "centre", self.socket, self.folder / "centre.log")

    def sync(self, *more: str) -> subprocess.CompletedProcess[str]:
        return panier("sync", "--dir", str(self.till), "--socket", str(self.socket), *more)

    def open_till(self) -> TillProcess:
        argv = [sys.executable, "-m", "demo.in_process", "--dir", str(self.till)]
        return TillProcess(argv, self.folder / "till.log")

    def pay(self, sale: int, cents: int) -> None:
        till = self.open_till()
        till.expect("ready", "last_outcome?")
        till.ask({"id": sale, "confirm": {}})
        till.sell(sale, ("vegetables", cents))
        till.ask({"hand": {"lay": str(self.card)}})
        till.expect("paid")
        till.ask({"hand": {"lift": True}})
        till.stop()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Market:
    market = Market(tmp_path_factory.mktemp("market"))
    make_centre(market.folder / "centre", RULES)
    VirtualCard.blank(bytes.fromhex("04A1B2C3D4E5F6"), market.card)
    card = issue_in_process(market.folder, market.card)
    office = Office(market.folder / "centre")
    today = time.gmtime()
    start = office.day_start(date(today.tm_year, today.tm_mon, 1))
    office.grant(card, PurseNumber(1), Cents(4_000), start, start.replace(year=start.year + 1))
    code = office.new_code(office.put_merchant("Ferme", ("referenced",), "vegetables").number)
    office.close()
    with market.served():
        done = panier("enrol", "--dir", str(market.till), "--socket", str(market.socket), code.text)
        assert done.returncode == 0, done.stderr
    market.pay(1, 500)
    return market


@pytest.fixture
def market(built: Market, tmp_path: Path) -> Market:
    shutil.copytree(built.folder, tmp_path / "m", ignore=shutil.ignore_patterns("*.sock"))
    return Market(tmp_path / "m")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().splitlines()[-1]


def test_an_unreachable_centre_is_said_so_and_the_payment_waits(market: Market) -> None:
    done = market.sync()
    assert done.returncode == 1
    assert "Rien n'est perdu" in last_line(done) or "injoignable" in last_line(done)
    with market.served():
        sent = market.sync("--json")
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["pending"] == 0
    office = Office(market.folder / "centre")
    assert [account.spent for account in office.accounts()] == [500]
    office.close()


def test_a_centre_that_lies_about_the_journal_freezes_the_terminal_and_keeps_everything(market: Market) -> None:
    with market.served():
        assert market.sync().returncode == 0
        base = sqlite3.connect(market.folder / "centre" / "centre.db")
        base.execute("UPDATE terminal SET head_hash = ?", (bytes(32),))
        base.commit()
        base.close()
        done = market.sync()
    assert done.returncode == 1
    assert "enrôler à nouveau" in last_line(done)
    journal = sqlite3.connect(market.till / "journal-000001.db")
    assert journal.execute("SELECT count(*) FROM record").fetchone()[0] >= 3


def test_a_damaged_journal_is_named_and_the_till_does_not_start(market: Market) -> None:
    base = sqlite3.connect(market.till / "journal-000001.db")
    base.execute("UPDATE record SET sealed = zeroblob(length(sealed)) WHERE seq = 2")
    base.commit()
    base.close()
    done = panier("till", "--json", "--dir", str(market.till))
    assert done.returncode == 1
    assert "journal est abîmé (n° 2" in last_line(done)
    assert "(J2)" in last_line(done)


def test_two_programs_never_share_a_journal(market: Market) -> None:
    till = market.open_till()
    till.expect("ready", "last_outcome?")
    done = panier("till", "--json", "--dir", str(market.till))
    till.stop()
    assert done.returncode == 1
    assert "déjà ouverte" in last_line(done)


def test_a_terminal_that_was_never_enrolled_says_what_to_do(tmp_path: Path) -> None:
    done = panier("till", "--json", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "panier enrol" in last_line(done)


def test_a_mistyped_code_enrols_nothing(market: Market, tmp_path: Path) -> None:
    with market.served():
        code = "0000-" * 7 + "0000"
        done = panier("enrol", "--dir", str(tmp_path / "new"), "--socket", str(market.socket), code)
        short = panier("enrol", "--dir", str(tmp_path / "new"), "--socket", str(market.socket), "1234")
    for each in (done, short):
        assert each.returncode == 1
        assert "code" in last_line(each)
    assert not (tmp_path / "new" / "enrolment.cbor").exists()


def test_a_centre_is_not_made_over_another(market: Market) -> None:
    done = panier("central", "init", "--dir", str(market.folder / "centre"))
    assert done.returncode == 1
    assert "n'est pas vide" in last_line(done)


def test_a_rule_file_with_a_mistake_says_where(tmp_path: Path) -> None:
    wrong = tmp_path / "regles.toml"
    wrong.write_text(RULES.read_text().replace('"80.00"', "80.0"))
    done = panier("central", "init", "--dir", str(tmp_path / "centre"), "--rules", str(wrong))
    assert done.returncode == 1
    assert "floor_limit s'écrit entre guillemets" in last_line(done)
