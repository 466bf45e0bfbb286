"""The centre as a server: on a loopback port and a UNIX socket, with every oddity answered by a status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from central.office import Office
from central.serve import Door
from sync.batch import decode_answer
from sync.errors import CentreRefuses
from sync.http_centre import HttpCentre
from tests.central.kit import NONCE, Held, Stall, account, enrol, new_card, new_office, new_stall

PAGE_WORDS = ("gers", "12,50", "27,50")


@dataclass
class Served:
    """A centre served by a child process."""

    office: Office
    stall: Stall
    anne: Held
    url: str
    socket: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    office = new_office(folder / "centre")
    office = Office(folder / "centre")
    anne, unix_socket = new_card(office, 1), folder / "s"
    stall = new_stall(office)
    words = [sys.executable, "-m", "panier", "central", "serve", "--dir", str(folder / "centre")]
    child = subprocess.Popen(
        [*words, "--port", "0", "--socket", str(unix_socket)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    try:
        url = child.stdout.readline().strip()
        assert child.stdout.readline().strip() == str(unix_socket)
        yield Served(office, stall, anne, url, unix_socket)
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) in (0, -signal.SIGTERM)
        assert not unix_socket.exists(), "it takes its socket away"
        child.stdout.close()
        office.close()


def raw(served: Served, request: bytes, *, hang_up: bool = False) -> bytes:
    """One request by hand; the whole reply."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(served.socket))
        line.settimeout(5)
        line.sendall(request)
        if hang_up:
            line.shutdown(socket.SHUT_WR)
        reply = b""
        while piece := line.recv(65_536):
            reply += piece
        return reply


def put(path: str, body: bytes, said_b: int | None = None) -> bytes:
    length = len(body) if said_b is None else said_b
    head = f"PUT {path} HTTP/1.1\r\nhost: centre\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


def path_of(stall: Stall, first: int = 1) -> str:
    return f"/v1/terminals/{stall.terminal.hex()}/epochs/1/records/{first}"


def test_the_same_centre_answers_on_the_socket_and_on_the_port(served: Served) -> None:
    before = len(served.stall.records)
    served.stall.pay(served.anne, 1_250)
    for centre in (HttpCentre("http://centre", served.socket), HttpCentre(served.url)):
        answer, bundle = centre.exchange(served.stall.batch())
        centre.close()
        read = decode_answer(answer, served.stall.enrolled.centre_keys.answers, NONCE)
        assert read.head_seq == before + 1
        assert bundle
    assert account(served.office, served.anne).spent == 1_250


def test_a_terminal_enrols_through_the_socket(served: Served) -> None:
    from sync.crypto import new_private_key

    centre = HttpCentre("http://centre", served.socket)
    merchant = served.office.put_merchant("Le Fournil", ["referenced"], "bread")

    class Through:
        new_code = served.office.new_code
        enrol = staticmethod(centre.enrol)

    stall = enrol(Through(), merchant.number, new_private_key())  # type: ignore[arg-type]
    centre.close()
    assert stall.enrolled.download.problems == ()


def test_an_upload_cut_on_the_line_changes_nothing_and_its_repetition_all(served: Served) -> None:
    stall = new_stall(served.office, "Miel des Coteaux")
    for _ in range(3):
        stall.start()
    batch = stall.batch()
    raw(served, put(path_of(stall), batch[: len(batch) // 2], said_b=len(batch)), hang_up=True)
    found = stall.ask(served.office, stall.batch(4))
    assert found.head_seq == 0
    assert raw(served, put(path_of(stall), batch)).startswith(b"HTTP/1.1 200")
    assert stall.ask(served.office, stall.batch(4)).head_seq == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", b"400"), (b"\xff" * 100, b"400"), (bytes(300_000), b"413")],
    ids=["empty", "noise", "long"],
)
def test_bad_bodies_get_a_status_and_a_sentence(served: Served, body: bytes, status: bytes) -> None:
    reply = raw(served, put(path_of(served.stall), body))
    assert reply.split()[1] == status
    assert b"Demande" in reply


def test_a_stranger_is_told_so_in_a_sentence(served: Served, tmp_path: Path) -> None:
    other = new_office(tmp_path / "other")
    stranger = new_stall(other)
    other.close()
    centre = HttpCentre("http://centre", served.socket)
    with pytest.raises(CentreRefuses, match="Demande"):
        centre.exchange(stranger.batch())
    centre.close()


def test_the_report_is_a_french_page_that_loads_nothing_and_names_nobody(served: Served) -> None:
    if not served.stall.records:
        served.stall.pay(served.anne, 1_250)
        served.stall.send(served.office)
    reply = raw(served, b"GET / HTTP/1.1\r\nhost: centre\r\nconnection: close\r\n\r\n").decode()
    assert reply.startswith("HTTP/1.1 200")
    assert all(word in reply for word in PAGE_WORDS)
    assert "default-src 'none'" in reply
    assert "http://" not in reply.replace("http://www.w3.org", "")
    assert "https://" not in reply
    assert "<script" not in reply
    assert served.anne.order.uid.hex() not in reply.lower()


def test_the_report_for_programs_says_the_same(served: Served) -> None:
    reply = raw(served, b"GET /report.json HTTP/1.1\r\nhost: centre\r\nconnection: close\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200")
    assert b'"is_conserved":true' in reply


def test_a_name_with_markup_is_drawn_as_text(served: Served) -> None:
    new_stall(served.office, "<script>alert(1)</script>")
    reply = raw(served, b"GET / HTTP/1.1\r\nhost: centre\r\nconnection: close\r\n\r\n")
    assert b"<script>alert" not in reply
    assert b"&lt;script&gt;" in reply


def test_a_socket_is_removed_by_the_centre_that_made_it_and_by_no_other(tmp_path: Path) -> None:
    """A new centre may have taken the place of one that is still ending."""
    first, second = Door(tmp_path / "s"), Door(tmp_path / "s")
    first.withdraw()
    first.listener.close()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(tmp_path / "s"))
    second.withdraw()
    assert not (tmp_path / "s").exists()
    (tmp_path / "s").touch()
    second.withdraw()
    assert (tmp_path / "s").exists()
    second.listener.close()
