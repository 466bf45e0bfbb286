"""A terminal whose keys are sealed: what a stolen medium tells, what a sync without the PIN does, and the lease."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from domain.basket import Basket, Line
from domain.identity import CardId, Uid
from domain.money import Cents
from domain.reason import Reason
from sync.bundle import Item, Kind
from sync.crypto import PrivateKey, sign
from sync.enrolment import OneTimeCode, Response, encode_certificate, encode_response, fingerprint, read_certificate
from sync.errors import Malformed
from sync.signed_lists import CardKey, encode_card_keys
from terminal import bootstrap
from terminal.errors import KeysSealed, WrongPin
from terminal.events import AskBalance, CardPresented, Inward, NotHere, PaysNothing, PresentCard, Sell
from terminal.nfc.key_store import KeyStore
from terminal.nfc.links import Link
from terminal.offline_queue import sealed_key
from terminal.offline_queue.sealed_key import Costs, Unlock, own_device_key
from terminal.offline_queue.waiting_lists import WAITING_FILE
from terminal.ports import CardRef, Deadline, Presence
from terminal.sale import Till
from tests.journal import kit
from tests.journal.centre_kit import AID, Pen, at

PIN = Unlock(pin="742 953")
CARDS = {CardId(secrets.token_bytes(8)): secrets.token_bytes(16) for _ in range(40)}
NEWER = {card: secrets.token_bytes(16) for card in CARDS}
NONCE = b"\x09" * 16
FIRST_CHIP = Uid(b"\x04" + bytes(6))


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_key, "FOR_A_PIN", Costs(64, 1, 1))


def card_keys(pen: Pen, version: int, keys: dict[CardId, bytes]) -> Item:
    lines = tuple(
        CardKey(card, Uid(b"\x04" + number.to_bytes(6, "big")), "gers", AID, None, key)
        for number, (card, key) in enumerate(keys.items())
    )
    terminal, device = kit.IDENTITY.terminal, pen.device.public_key()
    signed = encode_card_keys(version, terminal, device, lines, b"lists", pen.by_lists)
    return Item(Kind.CARD_KEYS, version, signed)


def enrolled(directory: Path, unlock: Unlock) -> Pen:
    """A centre's pen, and a terminal enrolled with it in ``directory``."""
    directory.mkdir(exist_ok=True)
    pen = Pen(device=own_device_key(directory, unlock))
    signed = encode_certificate(pen.enrolled().certificate, b"root", lambda message: sign(pen.keys.root, message))
    lists = pen.bundle(pen.centre_keys(), pen.rules(1), pen.merchant(1), pen.hot_list(1), card_keys(pen, 1, CARDS))
    response = encode_response(Response(pen.keys.root.public_key(), signed, pen.centre_keys().signed, lists))
    code = OneTimeCode(bytes(10), fingerprint(pen.keys.root.public_key()))
    bootstrap.enrol(directory, code.text, lambda _request: response, unlock)
    return pen


def opened(directory: Path, unlock: Unlock) -> tuple[bootstrap.Store, dict[CardId, bytes]]:
    keys: dict[CardId, bytes] = {}
    return bootstrap.open_store(directory, bootstrap.opened_device_key(directory, unlock), keys.update), keys


@pytest.fixture
def pen(tmp_path: Path) -> Pen:
    return enrolled(tmp_path / "till", PIN)


@pytest.fixture
def till(tmp_path: Path) -> Path:
    return tmp_path / "till"


def forms_of(secret: bytes) -> list[bytes]:
    """What 16 or 32 bytes look like in a file."""
    encoded = base64.b64encode(secret).rstrip(b"=")[:-1]
    return [secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode(), encoded]


def secrets_found(directory: Path, key: PrivateKey) -> list[str]:
    """Which secrets the bytes of a folder hold."""
    private = key.private_numbers().private_value.to_bytes(32, "big")
    wanted = {"the device key": private, **{card.hex(): key for card, key in CARDS.items()}}
    wanted |= {card.hex() + " newer": key for card, key in NEWER.items()}
    found = []
    for path in (path for path in directory.rglob("*") if path.is_file()):
        content = path.read_bytes()
        pem = b"".join(line for line in content.splitlines() if not line.startswith(b"-----"))
        parts = [content, pem]
        found += [
            f"{name} in {path.name}"
            for name, secret in wanted.items()
            if any(form in part for form in forms_of(secret) for part in parts)
        ]
    return found


# --- a stolen medium ---


@pytest.mark.parametrize("unlock", [PIN, Unlock(), Unlock(credential=bytes(32))], ids=["PIN", "alone", "credential"])
def test_no_byte_of_a_stolen_medium_is_a_card_key_or_the_device_key(tmp_path: Path, unlock: Unlock) -> None:
    pen = enrolled(tmp_path / "till", unlock)
    store, keys = opened(tmp_path / "till", unlock)
    assert keys == CARDS
    store.outbox.apply_download(pen.bundle(card_keys(pen, 2, NEWER)), at(1))
    assert keys == NEWER
    assert not secrets_found(tmp_path / "till", pen.device)
    store.journal.close()
    assert not secrets_found(tmp_path / "till", pen.device)


def test_a_medium_of_the_version_before_holds_no_key_after_the_next_start(till: Path, pen: Pen) -> None:
    (till / sealed_key.SEALED_KEY_FILE).unlink()
    (till / sealed_key.CLEAR_KEY_FILE).write_bytes(sealed_key.private_key_pem(pen.device))
    assert secrets_found(till, pen.device) == ["the device key in device-key.pem"]
    store, keys = opened(till, PIN)
    store.journal.close()
    assert keys == CARDS
    assert secrets_found(till, pen.device) == []


def test_the_search_finds_what_it_looks_for(till: Path, pen: Pen) -> None:
    (till / "notes").write_bytes(b"key: " + next(iter(CARDS.values())).hex().upper().encode())
    assert secrets_found(till, pen.device) == [f"{next(iter(CARDS)).hex()} in notes"]


def test_without_the_pin_no_stall_opens_and_with_it_everything_is_as_before(till: Path, pen: Pen) -> None:
    with pytest.raises(KeysSealed):
        opened(till, Unlock())
    with pytest.raises(WrongPin):
        opened(till, Unlock(pin="000 000"))
    store, keys = opened(till, PIN)
    assert keys == CARDS and store.journal.head().seq == 1
    store.journal.close()


# --- a sync without the PIN ---


def test_a_sync_without_the_pin_sends_what_waits_and_takes_the_answer(till: Path, pen: Pen) -> None:
    outbox = bootstrap.open_outbox(till)
    assert outbox.outbox.state().pending_records == 1
    outbox.outbox.apply_answer(pen.take(outbox.outbox.next_batch(NONCE)), NONCE, outbox.clock.now())
    assert outbox.outbox.state().pending_records == 0
    outbox.close()
    store, _keys = opened(till, PIN)
    assert store.outbox.state().pending_records == 0
    store.journal.close()


def test_lists_that_come_without_the_pin_wait_sealed_and_are_taken_when_the_stall_opens(till: Path, pen: Pen) -> None:
    outbox = bootstrap.open_outbox(till)
    outbox.outbox.apply_download(pen.bundle(pen.hot_list(2, kit.ANNE), card_keys(pen, 2, NEWER)), outbox.clock.now())
    outbox.close()
    assert secrets_found(till, pen.device) == []
    store, keys = opened(till, PIN)
    assert keys == NEWER and store.lists.is_on_hot_list(kit.ANNE)
    assert (store.lists.versions.hot_list, store.journal.head().seq) == (2, 2)
    assert not (till / WAITING_FILE).exists()
    store.journal.close()
    again, keys = opened(till, PIN)
    assert keys == NEWER and again.journal.head().seq == 2
    again.journal.close()


def test_the_newest_lists_that_wait_count(till: Path, pen: Pen) -> None:
    outbox = bootstrap.open_outbox(till)
    for version in (2, 3):
        outbox.outbox.apply_download(pen.bundle(pen.hot_list(version, kit.BEA)), outbox.clock.now())
    outbox.close()
    store, _keys = opened(till, PIN)
    assert store.lists.versions.hot_list == 3
    store.journal.close()


def test_junk_is_neither_kept_nor_in_the_way_of_a_start(till: Path, pen: Pen) -> None:
    outbox = bootstrap.open_outbox(till)
    with pytest.raises(Malformed):
        outbox.outbox.apply_download(b"junk", outbox.clock.now())
    outbox.close()
    assert not (till / WAITING_FILE).exists()
    (till / WAITING_FILE).write_bytes(b"\xa1\x00")
    store, keys = opened(till, PIN)
    assert keys == CARDS
    store.journal.close()
    assert not (till / WAITING_FILE).exists()


def test_waiting_lists_signed_by_another_centre_change_nothing(till: Path, pen: Pen) -> None:
    stranger = Pen(device=pen.device)
    (till / WAITING_FILE).write_bytes(stranger.bundle(stranger.hot_list(9, kit.ANNE), card_keys(stranger, 9, NEWER)))
    store, keys = opened(till, PIN)
    assert keys == CARDS and store.lists.versions.hot_list == 1
    store.journal.close()


def test_a_terminal_without_pin_syncs_whole_by_itself(tmp_path: Path) -> None:
    pen = enrolled(tmp_path / "till", Unlock())
    outbox = bootstrap.open_outbox(tmp_path / "till")
    outbox.outbox.apply_download(pen.bundle(pen.hot_list(2)), outbox.clock.now())
    outbox.close()
    assert not (tmp_path / "till" / WAITING_FILE).exists()
    store, _keys = opened(tmp_path / "till", Unlock())
    assert store.lists.versions.hot_list == 2
    store.journal.close()


def test_enrolling_again_asks_for_the_pin(till: Path, pen: Pen) -> None:
    code = OneTimeCode(bytes(10), fingerprint(pen.keys.root.public_key())).text
    with pytest.raises(KeysSealed):
        bootstrap.enrol(till, code, lambda _request: b"")


# --- the lease ---


class Untouched:
    """A card nobody may speak to."""

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        raise AssertionError("the card was asked something")

    def close(self, *, is_clean: bool) -> None: ...


@dataclass
class OneCard:
    """A reader on which one known card lies, and a contact with it that asks the real key store."""

    keys: KeyStore
    uid: Uid = FIRST_CHIP

    def start(self) -> None: ...

    def connect(self, presence: Presence, deadline: Deadline) -> OneCard:
        return self

    def authenticate(self, card: CardRef) -> None:
        self.keys.authenticate(Link(Untouched(), Deadline(0), lambda _deadline: 1.0), card)
        raise AssertionError("no channel opens here")

    def signal(self, reader: str, outcome: object) -> None: ...

    def close(self) -> None: ...


def till_last_heard(till: Path, days_ago: float) -> bootstrap.OpenTill:
    """The till of a folder whose centre last answered so many days ago, by the till's own clocks."""
    store, _keys = opened(till, PIN)
    contact = store.journal.contact
    wall = store.clock.now().wall - timedelta(seconds=contact.wall_error_s)
    store.journal.keep_contact(replace(contact, last_contact=wall - timedelta(days=days_ago)))
    store.journal.close()
    return bootstrap.OpenTill(till, lambda keys, _clock, _post: OneCard(keys), unlock=PIN)


def said_to(opened: bootstrap.OpenTill, *events: Inward) -> list[object]:
    core = Till(opened.world)
    core.start()
    return [word for event in events for word in core.handle(event)]


def a_sale() -> Sell:
    return Sell(1, Basket((Line("vegetables", Cents(500)),)))


def test_after_the_lease_no_card_is_asked_anything_and_the_screen_says_to_connect(till: Path, pen: Pen) -> None:
    opened = till_last_heard(till, 31.1)
    try:
        laid = CardPresented(Presence("reader", 1))
        said = said_to(opened, a_sale(), laid)
        assert [type(word) for word in said] == [PresentCard, PaysNothing]
        assert isinstance(said[1], PaysNothing) and said[1].reason is Reason.LISTS_TOO_OLD
        balance = said_to(opened, AskBalance(2), laid)
        assert balance == [NotHere(2, Cents(0), Reason.LISTS_TOO_OLD)]
    finally:
        opened.close()


def test_within_the_lease_and_after_a_sync_the_card_is_asked(till: Path, pen: Pen) -> None:
    laid = CardPresented(Presence("reader", 1))
    within = till_last_heard(till, 30.9)
    try:
        with pytest.raises(AssertionError, match="asked something"):
            said_to(within, a_sale(), laid)
    finally:
        within.close()
    over = till_last_heard(till, 60)
    try:
        assert isinstance(said_to(over, a_sale(), laid)[1], PaysNothing)
        now, outbox = over.store.clock.now(), over.store.outbox
        pen.now = now.wall
        outbox.apply_answer(pen.take(outbox.next_batch(NONCE)), NONCE, now)
        with pytest.raises(AssertionError, match="asked something"):
            said_to(over, a_sale(), laid)
    finally:
        over.close()


def test_the_lease_is_what_the_certificate_says(pen: Pen) -> None:
    short = replace(pen.enrolled().certificate, lease_days=3)
    signed = encode_certificate(short, b"root", lambda message: sign(pen.keys.root, message))
    assert read_certificate(signed, pen.keys.root.public_key()).lease_days == 3
    assert pen.enrolled().certificate.lease_days == 31
