"""``panier central keys`` as custodians use it: files, credentials, a terminal; and what it never says."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from central.keys import load_keys
from central.keys.ring import read_ring, unseal_ring
from central.keys.vaults import DAILY_ROLES, MONEY_ROLES
from central.office import Office
from demo.served import served_centre
from domain.identity import Uid
from domain.money import Cents
from panier.__main__ import main
from panier.commands.central import central
from sync.cbor import decode_map
from tests.central.keys_kit import ANNE, BRUNO, CHANTAL, KEEPERS, TWO, kept_centre
from tests.central.kit import DECEMBER, FOOD

UID = Uid(bytes.fromhex("04112233445566"))
TODAY = datetime.now(UTC).date()


def run(folder: Path, *words: str, status: int = 0) -> str:
    """What a command says, on both outputs; its status must be this one."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(out):
        patched.setattr(sys, "argv", ["panier", *words])
        patched.setattr(sys, "stdin", io.StringIO())
        try:
            main()
            ended = 0
        except SystemExit as done:
            ended = int(done.code or 0)
    assert ended == status, out.getvalue()
    with (folder / "said").open("a") as said:
        said.write(out.getvalue())
    return out.getvalue().replace("\u202f", " ")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a file for each custodian's passphrase and a kept centre."""
    for name, secret in KEEPERS.items():
        (tmp_path / name).write_bytes(secret + b"\n")
        (tmp_path / name).chmod(0o600)
    kept_centre(tmp_path / "centre").close()
    return tmp_path


def by(desk: Path, *names: str) -> list[str]:
    return [word for name in names for word in ("--custodian-file", f"{name}={desk / name}")]


def at(desk: Path) -> list[str]:
    return ["--dir", str(desk / "centre")]


def all_secrets(desk: Path) -> list[str]:
    """Every private key and passphrase of the centre, as text that could be said."""
    contents = unseal_ring(read_ring(desk / "centre" / "keys"), TWO)
    found = [secret.decode() for secret in KEEPERS.values()]
    for content in (contents.daily, contents.money):
        assert content is not None
        fields = decode_map(content, 65_536)
        for row in (*fields[0], *fields[1]):  # type: ignore[misc, operator]
            secret = row[-1]  # type: ignore[index]
            assert isinstance(secret, bytes)
            found += [secret.hex(), secret.decode("ascii", "replace")]
    return found


def test_a_centre_is_made_with_keys_of_its_own_custodians(desk: Path) -> None:
    place = ["--dir", str(desk / "new")]
    assert "« panier central keys init »" in run(desk, "central", "init", *place, status=1)
    assert "gardiens : anne, bruno" in run(desk, "central", "keys", "init", *place, *by(desk, "anne", "bruno"))
    assert "déjà des clés" in run(desk, "central", "keys", "init", *place, *by(desk, "anne", "bruno"), status=1)
    assert "le secret d'un gardien" in run(desk, "central", "init", *place, status=1)
    assert "Centre créé" in run(desk, "central", "init", *place, *by(desk, "bruno"))
    said = run(desk, "central", "keys", "open", *place, *by(desk, "anne", "bruno"))
    assert "Ouvertes par anne et bruno" in said


def test_a_throw_away_centre_says_so_loudly(desk: Path) -> None:
    place = ["--dir", str(desk / "new")]
    assert "ATTENTION : clés jetables" in run(desk, "central", "init", *place, "--throw-away")
    assert "JETABLES" in run(desk, "central", "keys", "status", *place)
    assert "« panier central keys seal »" in run(desk, "central", "keys", "rotate", "entitlements", *place, status=1)
    assert "Clés scellées" in run(desk, "central", "keys", "seal", *place, *by(desk, "anne", "bruno"))
    assert "JETABLES" not in run(desk, "central", "keys", "status", *place)
    assert not list((desk / "new" / "keys").glob("*.jetable"))


def test_one_custodian_puts_a_card_on_the_hot_list_and_grants_nothing(desk: Path) -> None:
    office = Office(desk / "centre")
    with office.store.writing():
        columns = {"uid": UID, "aid": b"abc", "loaded": 16_000_000, "registered_at": 1}
        office.store.put("card", card=b"pseudony", **columns)
    card = b"pseudony".hex()
    window = ["--from", str(TODAY), "--to", str(TODAY + timedelta(days=20))]
    said = run(desk, "central", "grant", *at(desk), card, "4000", *window, *by(desk, "anne"), status=1)
    assert "les secrets de 2 gardiens (anne, bruno, chantal)" in said
    assert office.accounts()[0].granted == 0
    assert "accordés" in run(desk, "central", "grant", *at(desk), card, "4000", *window, *by(desk, "anne", "chantal"))
    assert "en opposition" in run(desk, "central", "lost", *at(desk), card, *by(desk, "bruno"))
    office.close()


def test_a_grant_above_the_ceiling_waits_for_two_custodians(desk: Path) -> None:
    office = Office(desk / "centre")
    with office.store.writing():
        columns = {"uid": UID, "aid": b"abc", "loaded": 16_000_000, "registered_at": 1}
        office.store.put("card", card=b"pseudony", **columns)
    two = by(desk, "anne", "bruno")
    window = ["--from", str(TODAY), "--to", str(TODAY + timedelta(days=20))]
    run(desk, "central", "keys", "ceiling", *at(desk), "--cents", "5000", *two)
    said = run(desk, "central", "grant", *at(desk), b"pseudony".hex(), "6000", *window, *two)
    assert "Ne la saisissez pas une deuxième fois" in said
    assert "1 cartes, 60,00 €" in run(desk, "central", "keys", "status", *at(desk))
    assert "les secrets de 2" in run(
        desk, "central", "keys", "raise", *at(desk), "--cents", "6000", *by(desk, "anne"), status=1
    )
    assert "ne s'abaisse pas" in run(desk, "central", "keys", "raise", *at(desk), "--cents", "10", *two, status=1)
    assert "0 cartes" in run(desk, "central", "keys", "raise", *at(desk), "--cents", "6000", *two)
    found = json.loads(run(desk, "central", "keys", "status", "--json", *at(desk)))
    assert found["signé aujourd'hui"] == "60,00 € sur 60,00 €"
    assert any("plafond" in line and line.endswith("anne bruno") for line in found["ouvertures"])
    office.close()


def test_a_stolen_key_is_retired_at_once_and_every_card_signed_anew(desk: Path) -> None:
    office = Office(desk / "centre", keys=load_keys(desk / "centre" / "keys", TWO))
    for number in range(3):
        office.grant(office.register_card(Uid(bytes([4, 2, 3, 4, 5, 6, number]))).card, FOOD, Cents(100), *DECEMBER)
    two = by(desk, "anne", "bruno")
    run(desk, "central", "keys", "rotate", "entitlements", *at(desk), *two)
    assert "attendez 40 jours" in run(desk, "central", "keys", "retire", "1", *at(desk), *two, status=1)
    assert "de nouveau : 3 cartes" in run(desk, "central", "keys", "retire", "1", "--now", *at(desk), *two)
    newest = office.store.all("SELECT data FROM entitlement WHERE seq = 2")
    assert [bytes(row["data"])[1] for row in newest] == [2, 2, 2]
    assert "annoncées aux caisses : \n  2\n" in run(desk, "central", "keys", "status", *at(desk))
    office.close()


def test_who_opened_the_keys_is_written_down(desk: Path) -> None:
    run(desk, "central", "keys", "open", *at(desk), *by(desk, "chantal", "anne"))
    run(desk, "central", "keys", "rotate", "entitlements", *at(desk), *by(desk, "anne", "bruno"))
    run(desk, "central", "keys", "remove-custodian", "chantal", *at(desk), *by(desk, "anne", "bruno"))
    office = Office(desk / "centre")
    rows = office.store.all("SELECT what, custodians FROM custody ORDER BY id")
    assert [(row["what"], row["custodians"]) for row in rows] == [
        ("ouverture d'essai", "chantal anne"),
        ("nouvelle clé des dotations", "anne bruno"),
        ("gardien chantal retiré", "anne bruno"),
    ]
    office.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--custodian-file", "anne"], "NOM=FICHIER"),
        (["--custodian-file", "anne=/nonexistent"], "secret illisible"),
        (["--custodian-file", "denis=anne"], "n'est pas gardien"),
        (["--custodian-file", "anne=bruno"], "n'est pas celui de anne"),
    ],
)
def test_a_slip_of_the_hand_gets_a_sentence(desk: Path, words: list[str], sentence: str) -> None:
    words = [word.replace("=anne", f"={desk / 'anne'}").replace("=bruno", f"={desk / 'bruno'}") for word in words]
    assert sentence in run(desk, "central", "keys", "open", *at(desk), *words, *by(desk, "chantal"), status=1)


def test_a_secret_others_can_read_is_refused(desk: Path) -> None:
    (desk / "anne").chmod(0o640)
    said = run(desk, "central", "keys", "open", *at(desk), *by(desk, "anne", "bruno"), status=1)
    assert "lisible par d'autres" in said


def test_clear_keys_of_the_first_version_are_refused_then_sealed(desk: Path) -> None:
    place = desk / "centre" / "keys"
    _lay_open(place)
    for command in (["central", "report"], ["central", "keys", "status"], ["central", "serve"]):
        assert "« panier central keys seal »" in run(desk, *command, *at(desk), status=1)
    office_db = desk / "centre" / "centre.db"
    assert office_db.exists()
    assert "Clés scellées" in run(desk, "central", "keys", "seal", *at(desk), *by(desk, "anne", "bruno"))
    assert [found.name for found in place.iterdir()] == ["ring.cbor"]
    assert "is_conserved" in run(desk, "central", "report", *at(desk))


def _lay_open(place: Path) -> None:
    """The keys of a kept centre as the first version left them."""
    from sync.cbor import encode

    contents = unseal_ring(read_ring(place), TWO)
    assert contents.daily is not None and contents.money is not None
    for content, roles in ((contents.daily, DAILY_ROLES), (contents.money, MONEY_ROLES)):
        fields = decode_map(content, 65_536)
        for role, _, pem in fields[0]:  # type: ignore[misc, union-attr]
            assert role in roles
            (place / f"{role}.pem").write_bytes(pem)  # type: ignore[arg-type]
    masters = decode_map(contents.daily, 65_536)[1]
    (place / "card-masters.cbor").write_bytes(encode(dict(masters)))  # type: ignore[arg-type]
    (place / "ring.cbor").unlink()


# --- served without anybody there ------------------------------------------------------------------------------------


@contextmanager
def served(desk: Path, *words: str, **environment: str) -> Iterator[Path]:
    socket = desk / "centre.sock"
    with served_centre(desk / "centre", socket, desk / "serve.log", *words, env={**os.environ, **environment}):
        yield socket


def _code(desk: Path) -> str:
    return run(desk, "central", "stall", *at(desk), "--name", "Ferme").strip().splitlines()[-1]


def test_two_systemd_credentials_open_a_centre_nobody_sits_at(desk: Path) -> None:
    folder = desk / "credentials"
    folder.mkdir()
    for name in ("anne", "bruno"):
        (folder / f"panier-custodian-{name}").write_bytes(KEEPERS[name])
        (folder / f"panier-custodian-{name}").chmod(0o400)
    code = _code(desk)
    with served(desk, CREDENTIALS_DIRECTORY=str(folder)) as socket:
        run(desk, "enrol", "--dir", str(desk / "till"), "--socket", str(socket), code)
    assert (desk / "till").is_dir()


def test_a_centre_served_by_one_custodian_enrols_nobody_and_says_why(desk: Path) -> None:
    code = _code(desk)
    with served(desk, "--closed", *by(desk, "anne")) as socket:
        run(desk, "enrol", "--dir", str(desk / "till"), "--socket", str(socket), code, status=1)
    with served(desk, *by(desk, "anne", "bruno")) as socket:
        run(desk, "enrol", "--dir", str(desk / "till"), "--socket", str(socket), code)


def test_a_centre_is_not_served_without_its_custodians(desk: Path) -> None:
    assert "les secrets de 2 gardiens" in run(desk, "central", "serve", *at(desk), status=1)


# --- asked on a terminal ---------------------------------------------------------------------------------------------


def test_a_passphrase_asked_on_a_terminal_is_not_shown(desk: Path) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "panier", "central", "keys", "open", *at(desk)]
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    for question, answer in (
        (b"Gardien", b"anne"),
        (b"Phrase secr\xc3\xa8te de anne", ANNE),
        (b"Gardien", b"bruno"),
        (b"Phrase secr\xc3\xa8te de bruno", BRUNO),
    ):
        before = len(said)
        while question not in said[before:] or not said.endswith(b": "):
            said += os.read(ours, 1_024)
        os.write(ours, answer + b"\n")
    assert process.wait(60) == 0
    said += os.read(ours, 65_536)
    os.close(ours)
    assert "Ouvertes par anne et bruno" in said.decode()
    assert ANNE not in said and BRUNO not in said


# --- what is never said ----------------------------------------------------------------------------------------------


def _options(command: click.Command) -> Iterator[click.Parameter]:
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _options(inner)
    yield from command.params


def test_no_secret_is_ever_an_argument() -> None:
    secret_words = ("pin", "secret", "pass", "phrase", "file")
    for option in _options(central):
        named = any(word.startswith(secret_words) for word in (option.name or "").split("_"))
        if named and not option.is_flag:  # type: ignore[attr-defined]
            assert isinstance(option.type, click.Path) or option.metavar == "NOM=FICHIER", option.name


def test_no_key_and_no_passphrase_is_in_anything_that_is_said(desk: Path) -> None:
    run(desk, "central", "keys", "status", *at(desk))
    run(desk, "central", "keys", "open", *at(desk), *by(desk, "anne", "bruno"))
    (desk / "new").write_bytes(b"une toute nouvelle phrase")
    (desk / "new").chmod(0o600)
    run(
        desk,
        "central",
        "keys",
        "add-custodian",
        "denise",
        *at(desk),
        "--new-file",
        str(desk / "new"),
        *by(desk, "anne", "bruno"),
    )
    run(desk, "central", "keys", "rotate", "entitlements", *at(desk), *by(desk, "anne", "bruno"))
    run(desk, "central", "keys", "open", *at(desk), "--custodian-file", f"anne={desk / 'bruno'}", status=1)
    with served(desk, *by(desk, "anne", "chantal")):
        pass
    (desk / "centre" / "keys" / "ring.cbor").write_bytes(b"\xa0")
    run(desk, "central", "keys", "open", *at(desk), *by(desk, "anne", "bruno"), status=1)
    said = (desk / "said").read_text() + (desk / "serve.log").read_text()
    for secret in (*(found.decode() for found in (ANNE, BRUNO, CHANTAL)), "une toute nouvelle phrase"):
        assert secret not in said
    assert "PRIVATE KEY" not in said


def test_no_private_key_is_said_by_a_command_that_opened_it(desk: Path) -> None:
    secrets = all_secrets(desk)
    said = run(desk, "central", "keys", "open", *at(desk), *by(desk, "anne", "bruno"))
    said += run(desk, "central", "keys", "status", "--json", *at(desk))
    said += run(desk, "central", "report", *at(desk))
    assert [secret for secret in secrets if secret in said] == []
