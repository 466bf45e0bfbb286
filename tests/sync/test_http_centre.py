"""The way to the centre, against a server that answers anything: each oddity is one French sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from domain.identity import TerminalId
from sync.batch import BatchHead, encode_batch
from sync.cbor import encode
from sync.errors import CentreRefuses, CentreUnreachable
from sync.http_centre import CBOR_TYPE, HttpCentre

BATCH = encode_batch(BatchHead(TerminalId(b"terminal"), 2, 41, bytes(16)), [])
GOOD = encode([b"answer", b"bundle"])


@contextmanager
def server(
    status: int, body: bytes, kind: str = CBOR_TYPE, said_b: int | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A loopback server with one answer for everything; gives its address and the requests it saw."""
    seen: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            seen.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("content-type", kind)
            if 300 <= status < 400:
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
            self.send_header("content-length", str(len(body) if said_b is None else said_b))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", seen
        finally:
            listening.shutdown()
            thread.join()


def exchanged(url: str) -> tuple[bytes, bytes]:
    centre = HttpCentre(url)
    try:
        return centre.exchange(BATCH)
    finally:
        centre.close()


def test_a_batch_goes_where_its_head_says() -> None:
    with server(200, GOOD) as (url, seen):
        assert exchanged(url) == (b"answer", b"bundle")
    assert seen == [f"PUT /v1/terminals/{b'terminal'.hex()}/epochs/2/records/41"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said_b"),
    [
        (200, b"<html>Bienvenue au Wi-Fi du marche</html>", "text/html", None),
        (200, b"not cbor", CBOR_TYPE, None),
        (200, encode([b"answer"]), CBOR_TYPE, None),
        (200, encode({0: b"answer"}), CBOR_TYPE, None),
        (200, b"", CBOR_TYPE, None),
        (200, GOOD, CBOR_TYPE, len(GOOD) + 50),
        (302, b"", CBOR_TYPE, None),
        (500, b"trace", "text/plain", None),
        (503, b"", "text/plain", None),
    ],
    ids=["portal", "noise", "one part", "a map", "empty", "cut", "redirect", "crash", "overload"],
)
def test_whatever_odd_comes_back_is_a_centre_out_of_reach(
    status: int, body: bytes, kind: str, said_b: int | None
) -> None:
    with server(status, body, kind, said_b) as (url, _), pytest.raises(CentreUnreachable) as raised:
        exchanged(url)
    assert not isinstance(raised.value, CentreRefuses)
    assert str(raised.value).endswith("Rien n'est perdu.")


def test_a_refusal_is_shown_in_the_centres_words_and_nothing_else() -> None:
    body = "Caisse inconnue.\x1b[31m\u202erouge".encode()
    with server(404, body, "text/plain") as (url, _), pytest.raises(CentreRefuses) as raised:
        exchanged(url)
    assert "Caisse inconnue." in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert "\u202e" not in str(raised.value)


def test_an_endless_answer_is_cut() -> None:
    with server(200, bytes(12_000_000)) as (url, _), pytest.raises(CentreUnreachable, match="trop longue"):
        exchanged(url)


def test_nobody_listening_is_a_sentence() -> None:
    with pytest.raises(CentreUnreachable, match="injoignable"):
        exchanged("http://127.0.0.1:1")


@pytest.mark.parametrize(
    "url", ["http://centre.example", "http://192.168.1.5", "ftp://localhost", "", "http://127.0.0.1.example"]
)
def test_a_batch_never_leaves_the_machine_in_clear(url: str) -> None:
    with pytest.raises(ValueError, match="centre"):
        HttpCentre(url)


@pytest.mark.parametrize(
    "url", ["https://centre.example", "http://localhost:8000", "http://[::1]:8000", "http://127.0.0.1"]
)
def test_https_and_loopback_are_ways_to_the_centre(url: str) -> None:
    HttpCentre(url).close()
