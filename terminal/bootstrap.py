"""Wires one terminal. The only module that knows every adapter; opening devices and files happens here, by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from domain.family import Family
from sync import crypto
from sync.crypto import PrivateKey
from sync.enrolment import Request, encode_request, read_code, read_response
from terminal.errors import JournalDamaged
from terminal.events import Inward, ListsChanged, Outward, Status
from terminal.loop import TillLoop
from terminal.nfc.key_store import KeyStore
from terminal.nfc.polled import OpenAntenna, PolledReaders
from terminal.offline_queue.contact import Contact
from terminal.offline_queue.identity import (
    SOFTWARE,
    EnrolledTerminal,
    FileSigner,
    SealedSigner,
    keep_enrolment,
    load_enrolled,
)
from terminal.offline_queue.journal import OfflineJournal, create_journal, open_journal
from terminal.offline_queue.lists import OfflineLists, TakeKeys
from terminal.offline_queue.medium import Disk
from terminal.offline_queue.outbox import OfflineOutbox
from terminal.offline_queue.sealed_key import (
    SEAL_CREDENTIAL,
    Pause,
    Unlock,
    device_key_of,
    device_key_without_pin,
    given_credential,
    own_device_key,
)
from terminal.offline_queue.socket import SOCKET_FILE, OutboxClient, OutboxServer
from terminal.offline_queue.waiting_lists import WAITING_FILE, SealedOutbox, take_waiting
from terminal.ports import Clock, Outbox, Readers, Signer, Stamp
from terminal.sale import Till
from terminal.system_clock import SystemClock, boot_number
from terminal.text import _
from terminal.world import World, clocks_now

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
    signer: Signer


def open_store(
    directory: Path, device_key: PrivateKey | None = None, take_keys: TakeKeys = lambda _keys: None
) -> Store:
    """Open the journal that lives in ``directory`` and check all of it. JournalFault with a sentence otherwise.

    Args:
        device_key: opened; without it everything is read and sent as ever, nothing is appended, no card key is opened.
        take_keys: where card keys go.
    """
    enrolled = load_enrolled(directory, device_key)
    clock = SystemClock(boot_number(directory))
    signer = SealedSigner() if device_key is None else FileSigner(device_key)
    journal = open_journal(Disk(directory), enrolled.identity, enrolled.certificate.device_key, signer)
    try:
        lists = OfflineLists(journal, enrolled, take_keys)
        lists.load()
        outbox = OfflineOutbox(journal, lists) if device_key else SealedOutbox(journal, lists, directory)
        if device_key is not None:
            take_waiting(directory, outbox, journal, clock.now())
    except BaseException:
        journal.close()
        raise
    return Store(enrolled, clock, journal, lists, outbox, signer)


def opened_device_key(directory: Path, unlock: Unlock, pause: Pause = time.sleep) -> PrivateKey:
    """The device key of an enrolled terminal, opened for a stall.

    Raises:
        NotEnrolled: there is no terminal here yet.
        KeysSealed, WrongPin, JournalDamaged: as ``device_key_of``.
    """
    load_enrolled(directory)
    key = device_key_of(directory, unlock, pause)
    if key is None:
        raise JournalDamaged(_("Les clés de cette caisse ont disparu du disque : il faut l'enrôler à nouveau."))
    return key


class OpenTill:
    """A till with everything open but its screen. ``close`` gives all of it back.

    Raises:
        KeysSealed, WrongPin: ``unlock`` does not open the keys; nothing was opened.
        JournalFault: the journal cannot be trusted.
    """

    def __init__(
        self,
        directory: Path,
        make_readers: MakeReaders,
        phone: str = "",
        unlock: Unlock | None = None,
        pause: Pause = time.sleep,
    ) -> None:
        self._alone = threading.Lock()
        self._last_status: Status | None = None
        unlock = Unlock(credential=given_credential(SEAL_CREDENTIAL)) if unlock is None else unlock
        keys = KeyStore(is_asleep=self._is_lease_over)
        self.store = store = open_store(directory, opened_device_key(directory, unlock, pause), keys.take)
        try:
            self.readers = make_readers(keys, store.clock, self._post)
            self.world = World(
                store.enrolled.identity,
                store.clock,
                store.journal,
                self.readers,
                store.journal,
                store.lists,
                store.signer,
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

    def _is_lease_over(self) -> bool:
        """Whether the centre has not answered for longer than the certificate allows, by the latest it can be."""
        certificate = self.store.enrolled.certificate
        heard = self.store.journal.contact.last_contact or certificate.valid_from
        return clocks_now(self.world).t_late - heard > timedelta(days=certificate.lease_days)

    def _post(self, event: Inward) -> None:
        self.loop.post(event)


def chosen_readers(wanted: str | None) -> MakeReaders:
    """Readers by name: ``pn532:/dev/ttyUSB0`` a PN532 on a serial line, ``nfcpy:usb:054c:06c3`` a device of nfcpy, and
    everything else a part of a PC/SC name.
    """
    kind, _colon, where = (wanted or "").partition(":")
    if not where or kind not in ("pn532", "nfcpy"):
        return pcsc_readers(wanted)

    def made(keys: KeyStore, clock: Clock, post: Post) -> OpenReaders:
        opens = _pn532_at(where) if kind == "pn532" else _nfcpy_at(where)
        return PolledReaders({f"{kind}:{where}": opens}, keys, clock, post)

    return made


def _pn532_at(device: str) -> OpenAntenna:
    from terminal.nfc.pn532_serial import Pn532, SerialLine  # pyserial is an extra

    return lambda: Pn532(SerialLine(device))


def _nfcpy_at(path: str) -> OpenAntenna:
    from terminal.nfc.nfcpy_readers import NfcpyAntenna  # nfcpy is an extra

    return lambda: NfcpyAntenna(path)


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
    store = open_store(directory, device_key_without_pin(directory, given_credential(SEAL_CREDENTIAL)))
    return OpenOutbox(store.outbox, store.clock, store.journal.close)


def enrol(
    directory: Path, code_text: str, send: Callable[[bytes], bytes], unlock: Unlock | None = None
) -> EnrolledTerminal:
    """Give the terminal in ``directory`` its identity.

    The device key is made here, sealed as ``unlock`` says (without it: under the credential of the service, else under
    a secret of this device alone), and never leaves. ``send`` brings the request to the centre and its response back.

    Raises:
        Malformed, BadSignature: a mistyped code, or another centre than the code's; nothing is kept.
        CentreUnreachable: try again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    code = read_code(code_text)
    unlock = Unlock(credential=given_credential(SEAL_CREDENTIAL)) if unlock is None else unlock
    device_key = own_device_key(directory, unlock)
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
    (directory / WAITING_FILE).unlink(missing_ok=True)
    store_first_lists(directory, done.response.bundle, device_key)
    return load_enrolled(directory, device_key)


def store_first_lists(directory: Path, bundle: bytes, device_key: PrivateKey) -> None:
    """Take the lists that came with the enrolment: the first record of the journal."""
    store = open_store(directory, device_key)
    try:
        now, t_lo = store.clock.now(), store.enrolled.certificate.valid_from
        store.lists.take_download(bundle, Stamp(now, t_lo, t_lo, 0, 0))
    finally:
        store.journal.close()
