"""A small card host for the emulator's tests alone: it shares no code with the emulator or the terminal."""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

ZERO = bytes(16)
UID = bytes.fromhex("04A1B2C3D4E5F6")
AID = bytes.fromhex("01CEFA")
KEYS = [bytes([n + 1]) * 16 for n in range(5)]
TMAC_KEY = bytes(range(16))
FULL_CENTS = 16_000_000
LOG, ENTITLEMENT, INFO, TMAC = 0x10, 0x11, 0x12, 0x0F


class Status(Exception):
    """The card answered with something else than success."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code:02X}")
        self.code = code


def cbc(key: bytes, iv: bytes, text: bytes, *, decrypt: bool = False) -> bytes:
    algorithm = TripleDES(key + key[:8]) if len(iv) == 8 else AES(key)
    cipher = Cipher(algorithm, modes.CBC(iv))
    step = cipher.decryptor() if decrypt else cipher.encryptor()
    return step.update(text) + step.finalize()


def cmac(key: bytes, text: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(text)
    return mac.finalize()


def short_mac(key: bytes, text: bytes) -> bytes:
    whole = cmac(key, text)
    return bytes(whole[i] for i in range(1, 16, 2))


def jamcrc(text: bytes) -> bytes:
    return struct.pack("<I", 0xFFFFFFFF - zlib.crc32(text))


def padded(text: bytes) -> bytes:
    out = bytearray(text + b"\x80")
    while len(out) % 16:
        out.append(0)
    return bytes(out)


def zero_filled(text: bytes) -> bytes:
    return text + b"\x00" * ((16 - len(text) % 16) % 16)


def le3(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def le4(number: int) -> bytes:
    return struct.pack("<i", number)


@dataclass
class Host:
    """Speaks to one card; `plain`, `mac` and `full` send one command each and raise Status."""

    send: Callable[[bytes], bytes]
    enc: bytes = b""
    mac_key: bytes = b""
    ti: bytes = b""
    counter: int = 0
    ev1_key: bytes = b""
    chunk: int = 55
    trace: list[tuple[int, int]] = field(default_factory=list)

    def apdu(self, ins: int, body: bytes = b"") -> tuple[bytes, int]:
        wire = bytes([0x90, ins, 0, 0]) + (bytes([len(body)]) + body if body else b"") + b"\x00"
        answer = self.send(wire)
        assert answer[-2] == 0x91, answer.hex()
        self.trace.append((ins, answer[-1]))
        return answer[:-2], answer[-1]

    def raw(self, ins: int, body: bytes = b"") -> bytes:
        """One command over as many frames as needed, without secure messaging."""
        limit = 255 if ins in (0xAD, 0xAB, 0x8D, 0x8B) else self.chunk
        pieces = [body[i : i + limit] for i in range(0, len(body), limit)] or [b""]
        answer, status = self.apdu(ins, pieces[0])
        for piece in pieces[1:]:
            if status != 0xAF:
                raise Status(status)
            answer, status = self.apdu(0xAF, piece)
        while status == 0xAF:
            more, status = self.apdu(0xAF)
            answer += more
        if status not in (0x00, 0x90):
            raise Status(status)
        return answer

    def select(self, aid: bytes = AID) -> None:
        self.raw(0x5A, aid)

    def iso(self, key: bytes = ZERO, key_no: int = 0) -> None:
        self._ev1(0x1A, key, key_no, 8)

    def aes(self, key: bytes, key_no: int = 0) -> None:
        self._ev1(0xAA, key, key_no, 16)

    def _ev1(self, ins: int, key: bytes, key_no: int, block: int) -> None:
        challenge, status = self.apdu(ins, bytes([key_no]))
        if status != 0xAF:
            raise Status(status)
        b = cbc(key, bytes(block), challenge, decrypt=True)
        a = os.urandom(block)
        token = cbc(key, challenge, a + b[1:] + b[:1])
        proof, status = self.apdu(0xAF, token)
        if status:
            raise Status(status)
        assert cbc(key, token[-block:], proof, decrypt=True) == a[1:] + a[:1]
        tail = a[12:] + b[12:] if block == 16 else a[:4] + b[:4]
        if block == 8 and key[:8] != key[8:]:
            tail = a[4:] + b[4:]
        self.ev1_key = a[:4] + b[:4] + tail

    def ev2(self, key: bytes, key_no: int, *, first: bool = True) -> None:
        challenge, status = self.apdu(*((0x71, bytes([key_no, 0])) if first else (0x77, bytes([key_no]))))
        if status != 0xAF:
            raise Status(status)
        b = cbc(key, ZERO, challenge, decrypt=True)
        a = os.urandom(16)
        proof, status = self.apdu(0xAF, cbc(key, ZERO, a + b[1:] + b[:1]))
        if status:
            raise Status(status)
        plain = cbc(key, ZERO, proof, decrypt=True)
        if first:
            assert len(plain) == 32
            assert plain[4:20] == a[1:] + a[:1]
            assert plain[20:] == bytes(12)
            self.ti, self.counter = plain[:4], 0
        else:
            assert plain == a[1:] + a[:1]
        mixed = a[:2] + bytes(x ^ y for x, y in zip(a[2:8], b[:6], strict=True)) + b[6:] + a[8:]
        self.enc = cmac(key, b"\xa5\x5a\x00\x01\x00\x80" + mixed)
        self.mac_key = cmac(key, b"\x5a\xa5\x00\x01\x00\x80" + mixed)

    def _place(self) -> bytes:
        return struct.pack("<H", self.counter) + self.ti

    def _iv(self, label: bytes) -> bytes:
        return cbc(self.enc, ZERO, label + self.ti + struct.pack("<H", self.counter) + bytes(8))

    def plain(self, ins: int, body: bytes = b"") -> bytes:
        answer = self.raw(ins, body)
        self.counter += 1
        return answer

    def sealed(self, ins: int, header: bytes, data: bytes, *, full: bool) -> bytes:
        if full and data:
            data = cbc(self.enc, self._iv(b"\xa5\x5a"), padded(data))
        return header + data + short_mac(self.mac_key, bytes([ins]) + self._place() + header + data)

    def unseal(self, answer: bytes, *, full: bool, status: int = 0) -> bytes:
        self.counter += 1
        body, mac = answer[:-8], answer[-8:]
        assert mac == short_mac(self.mac_key, bytes([status]) + self._place() + body), "the card's MAC is wrong"
        if not full or not body:
            return body
        return cbc(self.enc, self._iv(b"\x5a\xa5"), body, decrypt=True).rstrip(b"\x00")[:-1]

    def mac(self, ins: int, body: bytes = b"") -> bytes:
        return self.unseal(self.raw(ins, self.sealed(ins, body, b"", full=False)), full=False)

    def full(self, ins: int, header: bytes = b"", data: bytes = b"", *, status: int = 0) -> bytes:
        return self.unseal(self.raw(ins, self.sealed(ins, header, data, full=True)), full=True, status=status)

    def change_own_key(self, header: bytes, new: bytes, version: int = 1) -> None:
        """The session's own key; the answer carries no MAC."""
        assert self.raw(0xC4, self.sealed(0xC4, header, new + bytes([version]), full=True)) == b""

    def change_other_key(self, number: int, old: bytes, new: bytes, version: int = 1) -> None:
        mixed = bytes(x ^ y for x, y in zip(old, new, strict=True))
        self.full(0xC4, bytes([number]), mixed + bytes([version]) + jamcrc(new))

    def change_key_from_iso(self, new: bytes, version: int = 1) -> None:
        body = new + bytes([version])
        text = body + jamcrc(b"\xc4\x80" + body)
        text += bytes(-len(text) % 8)
        assert self.raw(0xC4, b"\x80" + cbc(self.ev1_key, bytes(8), text)) == b""

    # the commands of a payment, all in Full mode but the transaction's own

    def get_value(self, number: int) -> int:
        return int(struct.unpack("<i", self.full(0x6C, bytes([number])))[0])

    def debit(self, number: int, cents: int) -> None:
        self.full(0xDC, bytes([number]), le4(cents))

    def read(self, number: int, offset: int, length: int, ins: int = 0xAD) -> bytes:
        return self.full(ins, bytes([number]) + le3(offset) + le3(length))

    def write(self, number: int, offset: int, data: bytes, ins: int = 0x8D) -> None:
        self.full(ins, bytes([number]) + le3(offset) + le3(len(data)), data)

    def write_record(self, number: int, data: bytes, offset: int = 0, ins: int = 0x8B) -> None:
        self.full(ins, bytes([number]) + le3(offset) + le3(len(data)), data)

    def read_records(self, number: int, newest: int, count: int, ins: int = 0xAB) -> bytes:
        return self.full(ins, bytes([number]) + le3(newest) + le3(count))

    def reader_id(self, reader_id: bytes) -> bytes:
        return self.mac(0xC8, reader_id)

    def commit(self) -> tuple[int, bytes]:
        answer = self.mac(0xC7, b"\x01")
        return struct.unpack("<I", answer[:4])[0], answer[4:]


def value_file(number: int, rights: str = "301F", option: int = 3, value: int = FULL_CENTS, flags: int = 0) -> bytes:
    limits = le4(0) + le4(FULL_CENTS) + le4(value)
    return bytes([number, option]) + bytes.fromhex(rights) + limits + bytes([flags])


def create_tmac(host: Host, rights: str = "101F", number: int = TMAC, key: bytes = TMAC_KEY) -> None:
    host.full(0xCE, bytes([number, 3]) + bytes.fromhex(rights) + b"\x02", key + b"\x01")


def issue(card: Any) -> None:
    """Make a card of the programme out of a blank one, as the card design lays it out, keys by fixed values."""
    card.power_on()
    host = Host(card.transceive)
    host.select(bytes(3))
    host.iso()
    host.change_key_from_iso(KEYS[4])
    host.ev2(KEYS[4], 0)
    host.mac(0xCA, AID + bytes([0x09, 0x85]) + b"\x01\xdf" + b"neutral")
    host.select()
    host.ev2(ZERO, 0)
    for number in range(1, 5):
        host.change_other_key(number, ZERO, KEYS[number])
    host.change_own_key(b"\x00", KEYS[0])
    host.ev2(KEYS[0], 0)
    for number in range(1, 9):
        host.mac(0xCC, value_file(number))
    host.mac(0xC0, bytes([LOG, 3]) + bytes.fromhex("F011") + le3(32) + le3(9))
    host.mac(0xCB, bytes([ENTITLEMENT, 3]) + bytes.fromhex("F011") + le3(426))
    host.mac(0xCD, bytes([INFO, 3]) + bytes.fromhex("301F") + le3(96))
    host.ev2(KEYS[3], 3)
    host.write(INFO, 0, b"I" * 96)
    host.ev2(KEYS[1], 1)
    host.write_record(LOG, bytes(32))
    host.mac(0xC7)
    host.ev2(KEYS[0], 0)
    create_tmac(host)
    card.power_off()
