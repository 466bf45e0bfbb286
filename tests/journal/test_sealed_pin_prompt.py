"""The PIN at the command line: asked where someone can answer, read from a file elsewhere, changed and dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from panier import pin as pin_door
from panier.cli import panier
from sync.crypto import public_bytes
from terminal.offline_queue import sealed_key, wrong_pins
from terminal.offline_queue.sealed_key import Costs, Unlock, device_key_of, own_device_key, seal_of
from tests.journal.centre_kit import Pen
from tests.journal.test_sealed_terminal import enrolled

PIN = Unlock(pin="742 953")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_key, "FOR_A_PIN", Costs(64, 1, 1))


@pytest.fixture
def someone(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A person at the terminal, and the seconds they were made to wait."""
    waited: list[float] = []
    monkeypatch.setattr(pin_door, "someone_is_there", lambda: True)
    monkeypatch.setattr(pin_door.time, "sleep", waited.append)
    return waited


@pytest.fixture
def pen(tmp_path: Path) -> Pen:
    return enrolled(tmp_path / "till", PIN)


@pytest.fixture
def till(tmp_path: Path, pen: Pen) -> Path:
    return tmp_path / "till"


def run(*words: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(panier, [str(word) for word in words], input=typed)


def opens_with(till: Path, pin: str) -> bool:
    try:
        device_key_of(till, Unlock(pin=pin), lambda _seconds: None)
    except sealed_key.KeysSealed:
        return False
    return True


def test_a_till_that_can_ask_nobody_says_that_it_needs_its_pin(till: Path) -> None:
    done = run("till", "--dir", till, "--json")
    assert done.exit_code == 1
    assert "PIN" in str(done.exception)
    assert wrong_pins.wrong_so_far(till) == 0


def test_a_till_for_programs_asks_nobody_even_at_a_terminal(till: Path, someone: list[float]) -> None:
    done = run("till", "--dir", till, "--json", typed="742 953\n")
    assert done.exit_code == 1
    assert "PIN de la caisse :" not in done.output and someone == []


def test_a_pin_file_with_another_pin_is_refused_and_nothing_of_it_is_shown(till: Path, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("913 888\n")
    done = run("till", "--dir", till, "--json", "--pin-file", tmp_path / "pin")
    assert done.exit_code == 1
    assert "Ce n'est pas le PIN" in str(done.exception)
    assert "913" not in done.output + str(done.exception)


def test_a_pin_is_changed_at_the_terminal_after_wrong_ones(till: Path, someone: list[float]) -> None:
    guesses = "111 111\n222 222\n333 333\n444 444\n742 953\n"
    done = run("seal", "--dir", till, typed=guesses + "court\ncourt\nle nouveau\nle nouveau\n")
    assert done.exit_code == 0, done.output
    assert someone == [2.0, 4.0]
    assert "Ce n'est pas le PIN" in done.output and "au moins 6" in done.output
    assert opens_with(till, "le nouveau") and not opens_with(till, "742 953")
    assert "742" not in done.output and "nouveau" not in done.output


def test_the_key_stays_the_same_when_the_pin_changes(till: Path, pen: Pen, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("742 953")
    (tmp_path / "new").write_text("913 888\r\nnot this line")
    done = run("seal", "--dir", till, "--pin-file", tmp_path / "old", "--new-pin-file", tmp_path / "new")
    assert done.exit_code == 0, done.output
    key = device_key_of(till, Unlock(pin="913 888"))
    assert key is not None and public_bytes(key) == public_bytes(pen.device)


def test_a_stall_without_pin_is_a_switch_and_what_it_means_is_said(till: Path, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("742 953")
    done = run("seal", "--dir", till, "--pin-file", tmp_path / "old", "--no-pin")
    assert done.exit_code == 0 and "emporte ses clés" in done.output
    kept = seal_of(till)
    assert kept is not None and not kept.asks_pin
    assert opens_with(till, "")


def test_the_old_pin_is_needed_to_drop_it(till: Path) -> None:
    done = run("seal", "--dir", till, "--no-pin")
    assert done.exit_code == 1
    kept = seal_of(till)
    assert kept is not None and kept.asks_pin


def test_a_person_who_opens_a_till_of_the_version_before_chooses_its_pin(
    till: Path, pen: Pen, someone: list[float]
) -> None:
    (till / sealed_key.SEALED_KEY_FILE).unlink()
    (till / sealed_key.CLEAR_KEY_FILE).write_bytes(sealed_key.private_key_pem(pen.device))
    done = run("seal", "--dir", till, typed="913 888\n913 888\n")
    assert done.exit_code == 0, done.output
    assert opens_with(till, "913 888") and not (till / sealed_key.CLEAR_KEY_FILE).exists()


def test_a_pin_file_that_cannot_be_read_is_said(till: Path, tmp_path: Path) -> None:
    done = run("till", "--dir", till, "--pin-file", tmp_path / "nowhere")
    assert done.exit_code == 1 and "ne se lit pas" in done.output
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "pas du texte" in run("till", "--dir", till, "--pin-file", tmp_path / "binary").output


def test_a_credential_of_the_service_brings_the_pin(
    till: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / sealed_key.PIN_CREDENTIAL).write_text("742 953\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert pin_door.unlock_given(None) == PIN


def test_a_code_that_is_wrong_leaves_a_sealed_key_and_no_terminal(tmp_path: Path) -> None:
    done = run("enrol", "--dir", tmp_path / "new", "--socket", tmp_path / "nobody", "1234")
    assert done.exit_code == 1
    assert not (tmp_path / "new" / sealed_key.CLEAR_KEY_FILE).exists()
    assert own_device_key(tmp_path, Unlock()) is not None
