"""The UNIX socket of a till's process: others ask it for batches and bring answers; the journal stays with one process.

A request and its reply are each a 4-byte big-endian length and deterministic CBOR: {0: version, 1: word, 2: list} and
{0: version, 1: ok, 2: value} (docs/formats/journal.md). One request a connection at a time; mode 0660.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from domain.money import Cents
from sync.batch import MOST_ANSWER_B, MOST_BATCH_B, NONCE_SIZE_B
from sync.bundle import MOST_BUNDLE_B
from sync.cbor import Map, Value, decode_map, encode, whole
from sync.errors import FormatError, Malformed, PanierError
from terminal.errors import JournalInUse
from terminal.ports import Instant, Outbox, SyncState
from terminal.text import _

SOCKET_FILE: Final = "till.sock"
VERSION: Final = 1
NEXT_BATCH, APPLY_ANSWER, APPLY_DOWNLOAD, STATE, EXPORT = "batch", "answer", "download", "state", "export"
MOST_EXPORTED: Final = 256
_MOST_B: Final = MOST_BUNDLE_B + MOST_ANSWER_B + 1_024
_PATIENCE_S: Final = 30.0


class OutboxServer:
    """Offers an outbox to other processes of this machine.

    Args:
        path: of the socket.
        outbox: answered from the server's threads, always inside ``alone``.
        alone: lock that the till's core holds while it handles an event.
        now: all clocks.
        changed: called after an answer or a download was applied.
        export: sealed records from a number on, at most so many.
    """

    def __init__(
        self,
        path: Path,
        outbox: Outbox,
        alone: threading.Lock,
        now: Callable[[], Instant],
        changed: Callable[[], None] = lambda: None,
        export: Callable[[int, int], list[bytes]] = lambda _first_seq, _most: [],
    ) -> None:
        self._path = path
        self._outbox = outbox
        self._alone = alone
        self._now = now
        self._changed = changed
        self._export = export
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Listen. A socket left by a till that was killed is replaced: the journal's lock has decided already."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o117)
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(before)
        self._listener.listen()
        threading.Thread(target=self._accept, name="outbox", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                peer, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), name="outbox-peer", daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(_PATIENCE_S)
        with peer, contextlib.suppress(OSError, EOFError, FormatError):
            while True:
                _send(peer, self._reply(decode_map(_receive(peer), _MOST_B)))

    def _reply(self, request: Map) -> Map:
        try:
            with self._alone:
                value = self._value(request)
        except PanierError as fault:
            return {0: VERSION, 1: False, 2: [isinstance(fault, FormatError), str(fault)]}
        if request.get(1) in (APPLY_ANSWER, APPLY_DOWNLOAD):
            self._changed()
        return {0: VERSION, 1: True, 2: value}

    def _value(self, request: Map) -> Value:
        match request.get(0), request.get(1), request.get(2):
            case 1, str(word), [bytes() as nonce, int() as most, int() as most_b] if (
                word == NEXT_BATCH and len(nonce) == NONCE_SIZE_B and min(most, most_b) >= 0
            ):
                return self._outbox.next_batch(nonce, min(most, 256), min(most_b, MOST_BATCH_B))
            case 1, str(word), [bytes() as answer, bytes() as nonce] if word == APPLY_ANSWER:
                return _state_value(self._outbox.apply_answer(answer, nonce, self._now()))
            case 1, str(word), [bytes() as bundle] if word == APPLY_DOWNLOAD:
                return _state_value(self._outbox.apply_download(bundle, self._now()))
            case 1, str(word), [] if word == STATE:
                return _state_value(self._outbox.state())
            case 1, str(word), [int() as first_seq] if word == EXPORT and 0 <= first_seq < 2**32:
                return [*self._export(first_seq, MOST_EXPORTED)]
        raise Malformed("not a request this till knows")


class OutboxClient:
    """ports.Outbox in the till's process, from another one. The till's clock counts, not the caller's."""

    def __init__(self, path: Path, patience_s: float = _PATIENCE_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._peer: socket.socket | None = None

    def connect(self) -> bool:
        """Whether a till listens."""
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(self._patience_s)
        try:
            peer.connect(str(self._path))
        except OSError:
            peer.close()
            return False
        self._peer = peer
        return True

    def close(self) -> None:
        """Hang up."""
        if self._peer is not None:
            self._peer.close()

    def next_batch(self, nonce: bytes, max_records: int = 256, max_b: int = MOST_BATCH_B) -> bytes:
        """See ports.Outbox."""
        batch = self._ask(NEXT_BATCH, [nonce, max_records, max_b])
        if not isinstance(batch, bytes):
            raise Malformed("not a batch")
        return batch

    def apply_answer(self, answer: bytes, nonce: bytes, at: Instant) -> SyncState:  # noqa: ARG002
        """See ports.Outbox."""
        return _state_of(self._ask(APPLY_ANSWER, [answer, nonce]))

    def apply_download(self, bundle: bytes, at: Instant) -> SyncState:  # noqa: ARG002
        """See ports.Outbox."""
        return _state_of(self._ask(APPLY_DOWNLOAD, [bundle]))

    def state(self) -> SyncState:
        """See ports.Outbox."""
        return _state_of(self._ask(STATE, []))

    def export(self, first_seq: int) -> list[bytes]:
        """Sealed records from ``first_seq`` on, 256 at most; none above the head."""
        match self._ask(EXPORT, [first_seq]):
            case list() as records:
                return [record for record in records if isinstance(record, bytes)]
        raise Malformed("not a list of records")

    def _ask(self, word: str, arguments: list[Value]) -> Value:
        assert self._peer is not None, "connected"
        try:
            _send(self._peer, {0: VERSION, 1: word, 2: arguments})
            reply = decode_map(_receive(self._peer), _MOST_B)
        except (OSError, EOFError):
            raise JournalInUse(_("La caisse ne répond pas : fermez-la et réessayez.")) from None
        if reply.get(1) is True:
            return reply.get(2)
        match reply.get(2):
            case [True, str(why)]:
                raise Malformed(why)
            case [False, str(why)]:
                raise JournalInUse(why)
        raise Malformed("not a reply of a till")


def _state_value(state: SyncState) -> Value:
    last = None if state.last_contact is None else int(state.last_contact.timestamp())
    return [state.pending_records, state.pending_payments, int(state.pending_amount), last, state.frozen]


def _state_of(value: Value) -> SyncState:
    match value:
        case [int() as records, int() as payments, int() as amount, last, frozen] if not isinstance(amount, bool):
            contact = None if last is None else datetime.fromtimestamp(whole(last, 2**36), UTC)
            return SyncState(records, payments, Cents(amount), contact, frozen if isinstance(frozen, str) else None)
    raise Malformed("not the state of an outbox")


def _send(peer: socket.socket, message: Map) -> None:
    data = encode(message)
    peer.sendall(len(data).to_bytes(4, "big") + data)


def _receive(peer: socket.socket) -> bytes:
    size_b = int.from_bytes(_receive_exactly(peer, 4), "big")
    if size_b > _MOST_B:
        raise Malformed("longer than anything that is asked here")
    return _receive_exactly(peer, size_b)


def _receive_exactly(peer: socket.socket, size_b: int) -> bytes:
    parts = bytearray()
    while len(parts) < size_b:
        part = peer.recv(size_b - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
