"""Wires one terminal. The only module that knows every adapter; opening devices and files happens here, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from domain.family import Family
from sync import crypto
from sync.enrolment import Request, encode_request, read_code, read_response
from terminal.events import Inward, ListsChanged, Outward, Status
from terminal.loop import TillLoop
from terminal.nfc.key_store import KeyStore
from terminal.offline_queue.contact import Contact
from terminal.offline_queue.identity import (
    SOFTWARE,
    EnrolledTerminal,
    FileSigner,
    keep_enrolment,
    load_enrolled,
    own_device_key,
)
from terminal.offline_queue.journal import OfflineJournal, create_journal, open_journal
from terminal.offline_queue.lists import OfflineLists
from terminal.offline_queue.medium import Disk
from terminal.offline_queue.outbox import OfflineOutbox
from terminal.offline_queue.socket import SOCKET_FILE, OutboxClient, OutboxServer
from terminal.ports import Clock, Outbox, Readers, Stamp
from terminal.sale import Till
from terminal.system_clock import SystemClock, boot_number
from terminal.tap import World, clocks_now

Post = Callable[[Inward], None]
FRESH_LISTS_DAYS: Final = 8


class OpenReaders(Readers, Protocol):
    """Readers that can be watched and closed."""

    def start(self) -> None: ...

    def close(self) -> None: ...


MakeReaders = Callable[[KeyStore, Clock, Post], OpenReaders]


class Quiet:
    """Answers to nothing while another thread works on the journal: the core behind the till's one lock."""

    def __init__(self, till: Till, alone: threading.Lock, rest: Callable[[], None]) -> None:
        self._till = till
        self._alone = alone
        self._rest = rest

    def start(self) -> tuple[Outward, ...]:
        """See ``Till.start``."""
        with self._alone:
            return self._till.start()

    def handle(self, event: Inward) -> tuple[Outward, ...]:
        """See ``Till.handle``."""
        with self._alone:
            said = self._till.handle(event)
            if not said:
                self._rest()
            return said


@dataclass(frozen=True, slots=True)
class Store:
    """The journal of an enrolled terminal and what is built on it, open."""

    enrolled: EnrolledTerminal
    clock: SystemClock
    journal: OfflineJournal
    lists: OfflineLists
    outbox: OfflineOutbox


def open_store(directory: Path) -> Store:
    """Open the journal that lives in ``directory`` and check all of it. JournalFault with a sentence otherwise."""
    enrolled = load_enrolled(directory)
    clock = SystemClock(boot_number(directory))
    signer = FileSigner(enrolled.device_key)
    journal = open_journal(Disk(directory), enrolled.identity, enrolled.device_key.public_key(), signer)
    try:
        lists = OfflineLists(journal, enrolled)
        lists.load()
    except BaseException:
        journal.close()
        raise
    return Store(enrolled, clock, journal, lists, OfflineOutbox(journal, lists))


class OpenTill:
    """A till with everything open but its screen. ``close`` gives all of it back."""

    def __init__(self, directory: Path, make_readers: MakeReaders, phone: str = "") -> None:
        self._alone = threading.Lock()
        self._last_status: Status | None = None
        self.store = store = open_store(directory)
        try:
            self.readers = make_readers(KeyStore(store.lists), store.clock, self._post)
            self.world = World(
                store.enrolled.identity, store.clock, store.journal, self.readers, store.journal, store.lists
            )
            self.loop = TillLoop(Quiet(Till(self.world, phone), self._alone, store.journal.rest))
            self._server = OutboxServer(
                directory / SOCKET_FILE,
                store.outbox,
                self._alone,
                store.clock.now,
                lambda: self._post(ListsChanged()),
                store.journal.records,
            )
            self._server.open()
        except BaseException:
            store.journal.close()
            raise

    def watch_readers(self) -> None:
        """Begin to hear of cards; after the loop has started."""
        self.readers.start()

    def close(self) -> None:
        """Stop the readers and the socket, then give the journal back."""
        self.readers.close()
        self._server.close()
        with self._alone:
            self.store.journal.close()

    def status(self) -> Status:
        """For the status bar; never waits for a tap."""
        waits_s = 0.05 if self._last_status else -1
        if not self._alone.acquire(timeout=waits_s):
            assert self._last_status is not None
            return self._last_status
        try:
            self._last_status = self._status_now()
            return self._last_status
        finally:
            self._alone.release()

    def tiles(self) -> tuple[Family, ...]:
        """Families the rules treat differently for this merchant, the stall's default first."""
        rules, merchant = self.store.lists.rules(), self.store.lists.merchant()
        default = rules.families.get(merchant.default_family)
        never = [rules.families[code] for code in sorted(rules.never) if code in rules.families]
        first = [default] if default else []
        return (*first, *[family for family in never if family not in first])

    def _status_now(self) -> Status:
        state, lists = self.store.outbox.state(), self.store.lists.state()
        clocks, now = clocks_now(self.world), self.store.clock.now()
        age = clocks.t_late - lists.signed_at
        is_online = state.last_contact is not None and (clocks.wall - state.last_contact).total_seconds() < 180
        return Status(
            is_online,
            state.last_contact,
            lists.signed_at,
            FRESH_LISTS_DAYS - age.days,
            state.pending_payments,
            state.pending_amount,
            now,
        )

    def _post(self, event: Inward) -> None:
        self.loop.post(event)


def pcsc_readers(wanted: str | None) -> MakeReaders:
    """Readers through PC/SC whose name contains ``wanted``."""

    def made(keys: KeyStore, clock: Clock, post: Post) -> OpenReaders:
        from terminal.nfc.pcsc import PcscReaders  # pyscard is an extra

        return PcscReaders(keys, clock, post, chosen=(wanted,) if wanted else ())

    return made


@dataclass(frozen=True, slots=True)
class OpenOutbox:
    """An outbox to sync with, and how to let go of it."""

    outbox: Outbox
    clock: SystemClock
    close: Callable[[], None]


def open_outbox(directory: Path) -> OpenOutbox:
    """The running till's outbox through its socket, or the journal itself when no till runs (its lock decides)."""
    client = OutboxClient(directory / SOCKET_FILE)
    if client.connect():
        return OpenOutbox(client, SystemClock(boot_number(directory)), client.close)
    store = open_store(directory)
    return OpenOutbox(store.outbox, store.clock, store.journal.close)


def enrol(directory: Path, code_text: str, send: Callable[[bytes], bytes]) -> EnrolledTerminal:
    """Give the terminal in ``directory`` its identity.

    The device key is made here and never leaves. ``send`` brings the request to the centre and its response back.

    Raises:
        Malformed, BadSignature: a mistyped code, or another centre than the code's; nothing is kept.
        CentreUnreachable: try again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    code = read_code(code_text)
    device_key = own_device_key(directory)
    request = encode_request(
        Request(code.secret, device_key.public_key(), SOFTWARE), lambda message: crypto.sign(device_key, message)
    )
    response = send(request)
    done = read_response(response, code, device_key.public_key())
    keep_enrolment(directory, response)
    clock = SystemClock(boot_number(directory))
    now = clock.now()
    begun = done.certificate.valid_from
    error_s = round((now.wall - begun).total_seconds())
    contact = Contact(begun, now.boot, now.boottime_ns, begun, wall_error_s=error_s, last_contact=begun)
    create_journal(Disk(directory), done.certificate.epoch, contact)
    store_first_lists(directory, done.response.bundle)
    return load_enrolled(directory)


def store_first_lists(directory: Path, bundle: bytes) -> None:
    """Take the lists that came with the enrolment: the first record of the journal."""
    store = open_store(directory)
    try:
        now, t_lo = store.clock.now(), store.enrolled.certificate.valid_from
        store.lists.take_download(bundle, Stamp(now, t_lo, t_lo, 0, 0))
    finally:
        store.journal.close()
