"""The EV2 channel against the public vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sync import crypto
from terminal.errors import CardMisbehaves, NotOurCard, WrongKey
from terminal.nfc.apdu import wrap
from terminal.nfc.channel import (
    Channel,
    Mode,
    Session,
    SessionKeys,
    answer_plain,
    authenticate_ev2_first,
    command_cipher,
    padded,
    session_keys,
    session_mac,
    truncated,
)
from terminal.nfc.links import Link
from terminal.ports import Deadline

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "desfire.json").read_text())


def ids(kind: str) -> Any:
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=[item["source"][:24] for item in VECTORS[kind]])


def h(text: str) -> bytes:
    return bytes.fromhex(text)


class Recorded:
    """A card that says what was recorded, whatever it is asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        self.asked.append(apdu)
        return self.answers.pop(0)

    def close(self, *, is_clean: bool) -> None: ...


def link_to(card: Recorded) -> Link:
    return Link(card, Deadline(0), lambda _deadline: 1.0)


@ids("ev2_session")
def test_session_keys_are_those_of_the_published_exchanges(vector: dict[str, str]) -> None:
    keys = session_keys(h(vector["key"]), h(vector["rnd_a"]), h(vector["rnd_b"]))
    assert (keys.enc, keys.mac) == (h(vector["enc"]), h(vector["mac"]))


@ids("ev2_response_decryption")
def test_an_answer_is_deciphered_as_published(vector: dict[str, Any]) -> None:
    session = Session(SessionKeys(h(vector["ses_auth_enc"]), bytes(16)), h(vector["ti"]), vector["cmd_ctr"])
    assert answer_plain(session, h(vector["ciphertext"])) == h(vector["plaintext"])


@ids("ev2_command")
def test_a_command_is_enciphered_and_maced_as_a_real_card_took_it(vector: dict[str, Any]) -> None:
    keys = SessionKeys(h(vector["ses_auth_enc"]), h(vector["ses_auth_mac"]))
    session = Session(keys, h(vector["ti"]), vector["cmd_ctr"])
    enciphered = command_cipher(session, h(vector["plaintext"]))
    assert enciphered == h(vector["ciphertext"])
    text = h(vector["mac_input"])
    assert session_mac(session, text[0], text[7:]) == h(vector["mac"])
    sent = Recorded(b"\x91\x7e")
    with pytest.raises(CardMisbehaves):
        Channel(link_to(sent), session).send(text[0], text[7:14], h(vector["plaintext"]))
    assert sent.asked == [wrap(0x8D, text[7:] + h(vector["mac"]))]


@ids("aes_cmac")
def test_a_truncated_mac_is_every_second_byte_of_the_cmac(vector: dict[str, str]) -> None:
    mac = crypto.aes_cmac(h(vector["key"]), h(vector["message"]))
    assert mac == h(vector["mac"])
    assert truncated(mac) == h("0AB44D449B9D4A7C")


@ids("ev2_session")
def test_a_recorded_authentication_opens_the_published_session(vector: dict[str, str]) -> None:
    key, rnd_a, rnd_b = h(vector["key"]), h(vector["rnd_a"]), h(vector["rnd_b"])
    first = crypto.aes_cbc_encrypt(key, bytes(16), rnd_b) + h("91AF")
    second = crypto.aes_cbc_encrypt(key, bytes(16), h("01020304") + rnd_a[1:] + rnd_a[:1] + bytes(12)) + h("9100")
    card = Recorded(first, second, session_answer(vector, b""))
    channel = authenticate_ev2_first(link_to(card), key, 1, lambda _size: rnd_a)
    assert card.asked[0] == h("9071000002010000")
    assert crypto.aes_cbc_decrypt(key, bytes(16), card.asked[1][5:-1]) == rnd_a + rnd_b[1:] + rnd_b[:1]
    assert channel.send(0xDC, b"\x01", bytes(4)) == b""


def session_answer(vector: dict[str, str], text: bytes) -> bytes:
    session = Session(SessionKeys(h(vector["enc"]), h(vector["mac"])), h("01020304"), 1)
    return text + session_mac(session, 0, text) + h("9100")


VECTOR = VECTORS["ev2_session"][0]


def open_channel(*answers: bytes) -> Channel:
    keys = SessionKeys(h(VECTOR["enc"]), h(VECTOR["mac"]))
    return Channel(link_to(Recorded(*answers)), Session(keys, h("01020304")))


def test_an_answer_with_one_wrong_bit_in_its_mac_is_not_taken() -> None:
    good = session_answer(VECTOR, b"\x05")
    assert open_channel(good).send(0x51, mode=Mode.MAC, answer_b=1) == b"\x05"
    for bit in range(64):
        bad = bytearray(good)
        bad[1 + bit // 8] ^= 1 << bit % 8
        with pytest.raises(CardMisbehaves):
            open_channel(bytes(bad)).send(0x51, mode=Mode.MAC, answer_b=1)


def test_an_answer_of_an_earlier_command_is_not_taken_again() -> None:
    good = session_answer(VECTOR, b"")
    channel = open_channel(good, good)
    channel.send(0xDC, b"\x01", bytes(4))
    with pytest.raises(CardMisbehaves):
        channel.send(0xDC, b"\x01", bytes(4))


@pytest.mark.parametrize("answer", [b"", b"\x91\x00", bytes(7) + b"\x91\x00", bytes(8) + b"\x91\x00"])
def test_an_answer_without_its_mac_is_not_taken(answer: bytes) -> None:
    with pytest.raises(CardMisbehaves):
        open_channel(answer).send(0xDC, b"\x01", bytes(4))


@pytest.mark.parametrize("size_b", [0, 15, 17, 32])
def test_an_enciphered_answer_of_another_size_is_not_taken(size_b: int) -> None:
    session = Session(SessionKeys(h(VECTOR["enc"]), h(VECTOR["mac"])), h("01020304"), 1)
    plain = padded(bytes(size_b))
    iv = crypto.aes_block_encrypt(session.keys.enc, h("5AA5010203040100") + bytes(8))
    text = crypto.aes_cbc_encrypt(session.keys.enc, iv, plain)
    with pytest.raises(CardMisbehaves):
        open_channel(session_answer(VECTOR, text)).send(0xAD, b"", answer_b=16)


@pytest.mark.parametrize("status", [0x9D, 0xAE, 0x40])
def test_a_card_that_refuses_the_key_is_not_genuine(status: int) -> None:
    with pytest.raises(WrongKey):
        authenticate_ev2_first(link_to(Recorded(bytes([0x91, status]))), bytes(16), 1)
    with pytest.raises(WrongKey):
        authenticate_ev2_first(link_to(Recorded(bytes(16) + b"\x91\xaf", bytes([0x91, status]))), bytes(16), 1)


def test_a_card_that_takes_any_key_and_proves_none_is_not_genuine() -> None:
    card = Recorded(bytes(16) + b"\x91\xaf", bytes(32) + b"\x91\x00")
    with pytest.raises(WrongKey):
        authenticate_ev2_first(link_to(card), bytes(16), 1)


def test_a_chip_that_does_not_know_the_authentication_is_not_ours() -> None:
    with pytest.raises(NotOurCard):
        authenticate_ev2_first(link_to(Recorded(b"\x91\x1c")), bytes(16), 1)


@pytest.mark.parametrize(
    "first", [b"\x91\xaf", bytes(15) + b"\x91\xaf", bytes(17) + b"\x91\xaf", bytes(16) + b"\x91\x00"]
)
def test_an_authentication_of_another_shape_is_misbehaviour(first: bytes) -> None:
    with pytest.raises(CardMisbehaves):
        authenticate_ev2_first(link_to(Recorded(first, b"\x91\x00")), bytes(16), 1)


def test_keys_are_in_no_representation() -> None:
    keys = SessionKeys(b"K" * 16, b"M" * 16)
    for text in (repr(keys), repr(Session(keys, b"1234")), repr(open_channel())):
        assert "KKKK" not in text and "MMMM" not in text
