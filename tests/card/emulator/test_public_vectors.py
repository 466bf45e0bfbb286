"""The emulator's cryptography against published numbers (tests/vectors/desfire.json names each source)."""

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.crypto import aes_cbc_decrypt, aes_cmac, chained_cmac, jamcrc32, pad_iso, unpad_iso
from emulator.memory import CommMode
from emulator.messaging import ANSWER_LABEL, COMMAND_LABEL, Ev2Session, ev2_session_keys, open_command
from emulator.status import Refused
from emulator.tmac import tmac_session_keys

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "desfire.json").read_text(encoding="utf-8")
)


def _bytes(vector: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(vector[name])


@pytest.mark.parametrize("vector", VECTORS["ev2_session"], ids=lambda v: v["source"])
def test_ev2_session_keys_are_those_published(vector: dict[str, Any]) -> None:
    keys = ev2_session_keys(_bytes(vector, "key"), _bytes(vector, "rnd_a"), _bytes(vector, "rnd_b"))
    assert keys == (_bytes(vector, "enc"), _bytes(vector, "mac"))


@pytest.mark.parametrize("vector", VECTORS["ev2_response_decryption"], ids=lambda v: v["source"])
def test_an_answer_deciphers_with_the_answer_label(vector: dict[str, Any]) -> None:
    assert bytes.fromhex(vector["iv_label"]) == ANSWER_LABEL
    session = Ev2Session(0, _bytes(vector, "ses_auth_enc"), bytes(16), _bytes(vector, "ti"), vector["cmd_ctr"])
    plain = aes_cbc_decrypt(session.enc_key, session.iv(ANSWER_LABEL), _bytes(vector, "ciphertext"))
    assert plain == _bytes(vector, "plaintext")


@pytest.mark.parametrize("vector", VECTORS["ev2_command"], ids=lambda v: v["source"])
def test_a_recorded_command_of_a_real_card_is_opened(vector: dict[str, Any]) -> None:
    enc, mac = _bytes(vector, "ses_auth_enc"), _bytes(vector, "ses_auth_mac")
    session = Ev2Session(0, enc, mac, _bytes(vector, "ti"), vector["cmd_ctr"])
    assert session.iv(COMMAND_LABEL) == _bytes(vector, "iv")
    sealed = _bytes(vector, "ciphertext") + _bytes(vector, "mac")
    header = bytes.fromhex("00000000050000")
    assert open_command(session, 0x8D, header, sealed, CommMode.FULL) == _bytes(vector, "plaintext")
    with pytest.raises(Refused):
        open_command(session, 0x8D, header, sealed[:-1] + b"\x00", CommMode.FULL)


@pytest.mark.parametrize("vector", VECTORS["tmac_session_keys"], ids=lambda v: v["source"])
def test_tmac_session_keys_are_those_published(vector: dict[str, Any]) -> None:
    keys = tmac_session_keys(_bytes(vector, "app_tm_key"), vector["tmc"], _bytes(vector, "uid"))
    assert keys == (_bytes(vector, "mac"), _bytes(vector, "enc"))


@pytest.mark.parametrize("vector", VECTORS["aes_cmac"], ids=lambda v: v["source"])
def test_both_cmacs_give_the_published_value(vector: dict[str, Any]) -> None:
    key, message = _bytes(vector, "key"), _bytes(vector, "message")
    assert aes_cmac(key, message) == _bytes(vector, "mac")
    assert chained_cmac(key, bytes(16), message) == _bytes(vector, "mac")


def test_the_triple_des_cmac_gives_the_published_values() -> None:
    """NIST SP 800-38B, two-key TDEA examples 13 to 16."""
    key = bytes.fromhex("4CF15134A2850DD58A3D10BA80570D38")
    message = bytes.fromhex("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51")
    expected = {0: "BD2EBF9A3BA00361", 8: "4FF2AB813C53CE83", 20: "62DD1B471902BD4E", 32: "31B1E431DABC4EB8"}
    for length_b, mac in expected.items():
        assert chained_cmac(key, bytes(8), message[:length_b]).hex().upper() == mac


def test_the_checksum_is_jamcrc() -> None:
    """Check value of CRC-32/JAMCRC over "123456789": 340BC6D9."""
    assert jamcrc32(b"123456789") == 0x340BC6D9.to_bytes(4, "little")


def test_padding_is_always_there_and_comes_off_again() -> None:
    for length_b in range(40):
        text = bytes([0x80, 0x00] * 20)[:length_b]
        assert len(pad_iso(text)) % 16 == 0
        assert len(pad_iso(text)) > length_b
        assert unpad_iso(pad_iso(text)) == text
    assert unpad_iso(bytes(16)) is None
    assert unpad_iso(b"\x80" + bytes(31)) is None
