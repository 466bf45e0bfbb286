from __future__ import annotations

import contextlib
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.batch import decode_batch
from sync.cbor import decode_map, encode
from sync.errors import FormatError
from terminal.errors import JournalInUse
from terminal.offline_queue.socket import SOCKET_FILE, OutboxClient, OutboxServer
from tests.journal import centre_kit, kit
from tests.journal.centre_kit import Desk, Pen, at
from tests.journal.faulty_vfs import FaultyDisk
from tests.journal.kit import ANNE, BEA

NONCE = bytes(range(16))


class Till:
    """A till's process as far as its socket goes."""

    def __init__(self, place: Path) -> None:
        self.pen = Pen()
        self.desk: Desk = centre_kit.made(self.pen, FaultyDisk())
        self.alone = threading.Lock()
        self.changes = 0
        self.path = place / SOCKET_FILE
        self.server = OutboxServer(
            self.path, self.desk.outbox, self.alone, at, self._changed, self.desk.journal.records
        )

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    till = Till(tmp_path)
    till.server.open()
    yield till
    till.server.close()
    with till.alone:
        till.desk.journal.close()


@pytest.fixture
def client(till: Till) -> Iterator[OutboxClient]:
    client = OutboxClient(till.path)
    assert client.connect()
    yield client
    client.close()


def test_a_sync_through_the_socket_is_the_same_as_with_the_journal_in_hand(till: Till, client: OutboxClient) -> None:
    kit.pay(till.desk.journal, ANNE, 1_250)
    assert client.state() == till.desk.outbox.state()
    batch = client.next_batch(NONCE)
    assert batch == till.desk.outbox.next_batch(NONCE)
    assert len(decode_batch(batch).records) == 1
    assert client.apply_answer(till.pen.take(batch), NONCE, at()).pending_records == 0
    state = client.apply_download(till.pen.first_bundle(), at())
    assert state == till.desk.outbox.state()
    assert till.desk.lists.rules().version == 1
    assert till.changes == 2


def test_the_journal_can_be_read_out_in_parts(till: Till, client: OutboxClient) -> None:
    for _ in range(300):
        kit.note(till.desk.journal)
    read: list[bytes] = []
    while part := client.export(len(read) + 1):
        read += part
    assert read == till.desk.journal.records(1, 1_000)


def test_only_the_tills_user_and_group_may_connect(till: Till) -> None:
    assert stat.S_IMODE(till.path.stat().st_mode) == 0o660


def test_a_refused_answer_is_told_to_the_caller_and_the_next_request_is_served(
    till: Till, client: OutboxClient
) -> None:
    client.next_batch(NONCE)
    with pytest.raises(FormatError):
        client.apply_answer(b"nonsense", NONCE, at())
    assert client.state().pending_records == 0
    assert till.changes == 0


def test_a_frozen_terminal_says_so_through_the_socket(till: Till, client: OutboxClient) -> None:
    client.next_batch(NONCE)
    answer = till.pen.answer(NONCE, head_hash=bytes(32))
    assert client.apply_answer(answer, NONCE, at()).frozen == till.desk.outbox.state().frozen is not None


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x05\xa1\x00\x01",
        b"\x00\x00\x00\x02\x9f\xff",
    ],
    ids=["nothing", "empty", "endless", "a browser", "cut short", "indefinite length"],
)
def test_nonsense_on_the_socket_ends_that_connection_and_no_other(
    till: Till, client: OutboxClient, request_bytes: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(till.path))
        peer.sendall(request_bytes)
        peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert peer.recv(100) == b""
    assert client.state().pending_records == 0


@pytest.mark.parametrize("words", [{0: 9, 1: "state", 2: []}, {0: 1, 1: "format", 2: []}, {0: 1, 1: "batch", 2: [1]}])
def test_a_request_this_till_does_not_know_gets_a_reply_that_says_so(till: Till, words: dict[int, object]) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(till.path))
        data = encode(words)  # type: ignore[arg-type]
        peer.sendall(len(data).to_bytes(4, "big") + data)
        size = int.from_bytes(peer.recv(4), "big")
        reply = decode_map(peer.recv(size), 4_096)
    assert reply[1] is False


def test_requests_wait_while_the_till_serves_a_card(till: Till, client: OutboxClient) -> None:
    replies: list[object] = []
    with till.alone:
        asking = threading.Thread(target=lambda: replies.append(client.state()))
        asking.start()
        kit.pay(till.desk.journal, BEA, 300)
        assert replies == []
    asking.join(5)
    assert replies == [till.desk.outbox.state()]


def test_without_a_till_nobody_answers_even_where_a_killed_one_left_its_socket(tmp_path: Path) -> None:
    assert not OutboxClient(tmp_path / SOCKET_FILE).connect()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_FILE))
    left.close()
    assert not OutboxClient(tmp_path / SOCKET_FILE).connect()
    till = Till(tmp_path)
    till.server.open()
    client = OutboxClient(tmp_path / SOCKET_FILE)
    assert client.connect()
    till.server.close()
    client.close()
    till.desk.journal.close()


def test_a_till_that_ends_in_the_middle_gives_the_caller_a_sentence(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / SOCKET_FILE))
    listener.listen()
    client = OutboxClient(tmp_path / SOCKET_FILE)
    assert client.connect()
    listener.accept()[0].close()
    with pytest.raises(JournalInUse, match="La caisse ne répond pas"):
        client.state()
    client.close()
    listener.close()
