"""The EV2 channel: mutual authentication and secure messaging in plain, MAC and full.

Source: MF2DL(H)x0 rev 3.3 §9.2 (EV2First), §9.3 (messaging); AN12343 rev 1.1 p. 33-35; docs/formats/card.md.
Keys, nonces and plain texts never reach a message, a log or a repr.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sync import crypto
from terminal.errors import CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.apdu import Answer, CardRefuses, Ins, Status, ask, ask_once, unwrap, wrap
from terminal.nfc.links import Link

MAC_SIZE_B: Final = 8
BLOCK_B: Final = 16
_COMMAND_LABEL: Final = b"\xa5\x5a"
_ANSWER_LABEL: Final = b"\x5a\xa5"
_DOES_NOT_KNOW_KEY: Final = frozenset({Status.PERMISSION_DENIED, Status.AUTHENTICATION_ERROR, Status.NO_SUCH_KEY})
_ANOTHER_CHIP: Final = frozenset({Status.ILLEGAL_COMMAND})


class Mode(Enum):
    """How data is protected; the values are those of a file's communication setting (§8.2.3.3)."""

    PLAIN = 0x00
    MAC = 0x01
    FULL = 0x03


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """Keys of one session, 16 bytes each."""

    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)


@dataclass(slots=True)
class Session:
    """An open session: its keys, transaction identifier (4 B) and command counter."""

    keys: SessionKeys
    ti: bytes
    counter: int = 0


def session_keys(key: bytes, rnd_a: bytes, rnd_b: bytes) -> SessionKeys:
    """Session keys of EV2First: CMAC of the two session vectors under the authenticated key (§9.2.7)."""
    mixed = bytes(a ^ b for a, b in zip(rnd_a[2:8], rnd_b[:6], strict=True))
    tail = b"\x00\x01\x00\x80" + rnd_a[:2] + mixed + rnd_b[6:] + rnd_a[8:]
    return SessionKeys(
        enc=crypto.aes_cmac(key, _COMMAND_LABEL + tail),
        mac=crypto.aes_cmac(key, _ANSWER_LABEL + tail),
    )


def truncated(mac: bytes) -> bytes:
    """MACt: the 8 bytes 1, 3, 5 … 15 of a CMAC."""
    return mac[1::2]


def padded(data: bytes) -> bytes:
    """Data with 80 00 … up to a whole block, at least one byte of padding (ISO 9797-1 method 2)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK_B)


def command_cipher(session: Session, data: bytes) -> bytes:
    """Data of a command, padded and enciphered; nothing stays nothing."""
    if not data:
        return b""
    return crypto.aes_cbc_encrypt(session.keys.enc, _iv(session, _COMMAND_LABEL), padded(data))


def answer_plain(session: Session, enciphered: bytes) -> bytes:
    """Blocks of an answer deciphered, padding still on; the counter is already that of the answer."""
    return crypto.aes_cbc_decrypt(session.keys.enc, _iv(session, _ANSWER_LABEL), enciphered)


def _iv(session: Session, label: bytes) -> bytes:
    text = label + session.ti + session.counter.to_bytes(2, "little") + bytes(8)
    return crypto.aes_block_encrypt(session.keys.enc, text)


def session_mac(session: Session, code: int, text: bytes) -> bytes:
    """MACt (8 B) over instruction or return code, counter, transaction identifier and ``text``."""
    counter = session.counter.to_bytes(2, "little")
    return truncated(crypto.aes_cmac(session.keys.mac, bytes([code]) + counter + session.ti + text))


def select_application(link: Link, aid: bytes) -> None:
    """Make an application (3 B as sent) the current one; whatever was authenticated or staged before is gone.

    Raises:
        NotOurCard: the card has no such application or is no DESFire card.
        CardMisbehaves: an answer no chip gives, as of a card that moved.
    """
    raw = link.exchange(wrap(Ins.SELECT_APPLICATION, aid))
    try:
        answer = unwrap(raw)
    except CardMisbehaves as fault:
        raise NotOurCard("no card of this kind") from fault
    if answer.status != Status.OK or answer.data:
        raise NotOurCard("the card does not have the application")


def authenticate_ev2_first(
    link: Link, key: bytes, key_number: int, token: Callable[[int], bytes] = crypto.token
) -> Channel:
    """Open a session with an AES key of the application selected (§9.2.5: instruction 71, then AF).

    Args:
        key: 16 bytes.
        token: source of the 16 random bytes sent.

    Raises:
        WrongKey: the card refuses the key, or does not prove to know it.
        NotOurCard: a chip that does not know this authentication.
        CardMisbehaves: an answer of another shape.
    """
    first = ask_once(link.exchange, Ins.AUTHENTICATE_EV2_FIRST, bytes([key_number, 0x00]))
    enciphered_b = _authentication_part(first, Status.MORE_FRAMES, BLOCK_B)
    rnd_a, rnd_b = token(BLOCK_B), crypto.aes_cbc_decrypt(key, bytes(BLOCK_B), enciphered_b)
    reply = crypto.aes_cbc_encrypt(key, bytes(BLOCK_B), rnd_a + rnd_b[1:] + rnd_b[:1])
    second = ask_once(link.exchange, Ins.MORE, reply)
    plain = crypto.aes_cbc_decrypt(key, bytes(BLOCK_B), _authentication_part(second, Status.OK, 2 * BLOCK_B))
    if not hmac.compare_digest(plain[4:20], rnd_a[1:] + rnd_a[:1]):
        link.spoil()
        raise WrongKey("the card does not prove that it knows the key")
    return Channel(link, Session(session_keys(key, rnd_a, rnd_b), ti=plain[:4]))


def _authentication_part(answer: Answer, status: Status, size_b: int) -> bytes:
    if answer.status in _DOES_NOT_KNOW_KEY:
        raise WrongKey("the card does not accept the key")
    if answer.status in _ANOTHER_CHIP:
        raise NotOurCard("the chip does not know this authentication")
    if answer.status != status:
        raise CardRefuses(Ins.AUTHENTICATE_EV2_FIRST, answer.status)
    if len(answer.data) != size_b:
        raise CardMisbehaves("an authentication of another size")
    return answer.data


class Channel:
    """An authenticated card: sends commands and takes only answers that bear the right MAC.

    Any fault ends it, as it ends the session on the card.
    """

    __slots__ = ("_is_open", "_link", "_session")

    def __init__(self, link: Link, session: Session) -> None:
        self._link = link
        self._session = session
        self._is_open = True

    @property
    def link(self) -> Link:
        """What it goes over."""
        return self._link

    def send(
        self,
        ins: int,
        header: bytes = b"",
        data: bytes = b"",
        *,
        mode: Mode = Mode.FULL,
        answer_mode: Mode | None = None,
        answer_b: int | None = 0,
        is_session_over: bool = False,
    ) -> bytes:
        """One command and its answer.

        Args:
            header: part of the command that is never enciphered.
            data: part that ``Mode.FULL`` enciphers.
            answer_mode: when the answer is protected otherwise than the command.
            answer_b: bytes the answer must have, or ``None`` for any number (not with ``Mode.FULL``).
            is_session_over: the command ends the session, so its answer bears nothing (a key changes itself).

        Returns: the plain data of the answer.

        Raises:
            CardRefuses: an error status.
            CardMisbehaves: wrong MAC, other size, wrong padding.
            CardGone, ReaderLost, ReaderStuck: unknown whether the card has acted.
        """
        assert self._is_open, "a channel that has failed is not used again"
        self._is_open = False
        answer = ask(self._link.exchange, ins, self._protected(ins, header, data, mode))
        self._session.counter += 1
        if answer.status != Status.OK:
            self._link.spoil()
            raise CardRefuses(ins, answer.status)
        if is_session_over:
            return answer.data
        plain = self._opened(answer.data, answer_mode or mode, answer_b)
        self._is_open = True
        return plain

    def _protected(self, ins: int, header: bytes, data: bytes, mode: Mode) -> bytes:
        if mode is Mode.PLAIN:
            return header + data
        text = header + (command_cipher(self._session, data) if mode is Mode.FULL else data)
        return text + session_mac(self._session, ins, text)

    def _opened(self, received: bytes, mode: Mode, size_b: int | None) -> bytes:
        text = received if mode is Mode.PLAIN else self._verified(received)
        if mode is Mode.FULL and size_b != 0:
            assert size_b is not None, "an enciphered answer has a known size"
            text = self._deciphered(text, size_b)
        if size_b is not None and len(text) != size_b:
            self._fail("an answer of another size")
        return text

    def _verified(self, received: bytes) -> bytes:
        text, mac = received[:-MAC_SIZE_B], received[-MAC_SIZE_B:]
        if not hmac.compare_digest(mac, session_mac(self._session, Status.OK, text)):
            self._fail("an answer with a wrong MAC")
        return text

    def _deciphered(self, text: bytes, size_b: int) -> bytes:
        if len(text) % BLOCK_B:
            self._fail("an enciphered answer of broken blocks")
        plain = answer_plain(self._session, text)
        if padded(plain[:size_b]) != plain:
            self._fail("an enciphered answer of another size")
        return plain[:size_b]

    def _fail(self, message: str) -> None:
        self._link.spoil()
        raise CardMisbehaves(message)
