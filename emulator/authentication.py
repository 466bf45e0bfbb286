"""The mutual authentications: AuthenticateISO, AuthenticateAES, AuthenticateEV2First and NonFirst.

Sources: MF2DL(H)x0 data sheet section 9.1.5 (EV2); the public DESFire EV1 descriptions (ISO, AES).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from emulator.crypto import (
    AES_BLOCK_B,
    DES_BLOCK_B,
    aes_cbc_decrypt,
    aes_cbc_encrypt,
    rotated_left,
    tdes_cbc_decrypt,
    tdes_cbc_encrypt,
)
from emulator.messaging import Ev1Session, Ev2Session, Session, ev2_session_keys
from emulator.status import Refused, Status

ISO, AES, EV2_FIRST, EV2_NON_FIRST = 0x1A, 0xAA, 0x71, 0x77
AUTHENTICATIONS = frozenset({ISO, AES, EV2_FIRST, EV2_NON_FIRST})
_CAPABILITIES_B = 6


class Authenticating(Protocol):
    """What sessions need of a card under power, of any kind."""

    session: Session | None

    @property
    def entropy(self) -> Callable[[int], bytes]:
        """Unpredictable bytes, as many as asked for."""

    def authentication_key(self, ins: int, number: int) -> bytes:
        """The key of that number at the selected level, for that authentication; raises Refused."""

    def reset(self) -> None:
        """End the session and drop what was not committed."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The first half of an authentication: the card waits for the reader's answer to its challenge."""

    ins: int
    key_no: int
    key: bytes
    rnd_b: bytes
    iv: bytes
    capabilities: bytes


def challenge(state: Authenticating, ins: int, body: bytes) -> tuple[Handshake, bytes]:
    """Begin an authentication; returns the half-done handshake and the enciphered challenge."""
    key_no, capabilities = _request(ins, body)
    if ins == EV2_NON_FIRST:
        if not isinstance(state.session, Ev2Session):
            raise Refused(Status.PERMISSION_DENIED)
    else:
        state.session = None
    key = state.authentication_key(ins, key_no)
    block_b = DES_BLOCK_B if ins == ISO else AES_BLOCK_B
    encrypt = tdes_cbc_encrypt if ins == ISO else aes_cbc_encrypt
    rnd_b = state.entropy(block_b)
    enciphered = encrypt(key, bytes(block_b), rnd_b)
    return Handshake(ins, key_no, key, rnd_b, enciphered, capabilities), enciphered


def _request(ins: int, body: bytes) -> tuple[int, bytes]:
    """The key number, and for EV2First the reader's capabilities behind their length."""
    if ins != EV2_FIRST:
        if len(body) != 1:
            raise Refused(Status.LENGTH_ERROR)
        return body[0], b""
    if len(body) < 2 or len(body) != 2 + body[1] or body[1] > _CAPABILITIES_B:
        raise Refused(Status.LENGTH_ERROR)
    return body[0], body[2:]


def finish(state: Authenticating, handshake: Handshake, body: bytes) -> bytes:
    """Check the reader's half; opens the session and returns the card's proof."""
    if len(body) != 2 * len(handshake.rnd_b):
        raise Refused(Status.LENGTH_ERROR)
    return _FINISH[handshake.ins](state, handshake, body)


def _challenges(handshake: Handshake, plain: bytes) -> bytes:
    """Return RndA when the second half is RndB rotated; refused otherwise."""
    half = len(handshake.rnd_b)
    if plain[half:] != rotated_left(handshake.rnd_b):
        raise Refused(Status.AUTHENTICATION_ERROR)
    return plain[:half]


def _finish_iso(state: Authenticating, handshake: Handshake, body: bytes) -> bytes:
    key = handshake.key
    rnd_a = _challenges(handshake, tdes_cbc_decrypt(key, handshake.iv, body))
    rnd_b = handshake.rnd_b
    session_key = rnd_a[0:4] + rnd_b[0:4]
    if key[:DES_BLOCK_B] == key[DES_BLOCK_B:]:
        session_key += session_key
    else:
        session_key += rnd_a[4:8] + rnd_b[4:8]
    state.reset()
    state.session = Ev1Session(handshake.key_no, session_key, bytes(DES_BLOCK_B))
    return tdes_cbc_encrypt(key, body[-DES_BLOCK_B:], rotated_left(rnd_a))


def _finish_aes(state: Authenticating, handshake: Handshake, body: bytes) -> bytes:
    key, rnd_b = handshake.key, handshake.rnd_b
    rnd_a = _challenges(handshake, aes_cbc_decrypt(key, handshake.iv, body))
    session_key = rnd_a[0:4] + rnd_b[0:4] + rnd_a[12:16] + rnd_b[12:16]
    state.reset()
    state.session = Ev1Session(handshake.key_no, session_key, bytes(AES_BLOCK_B))
    return aes_cbc_encrypt(key, body[-AES_BLOCK_B:], rotated_left(rnd_a))


def _finish_ev2_first(state: Authenticating, handshake: Handshake, body: bytes) -> bytes:
    zero_iv = bytes(AES_BLOCK_B)
    rnd_a = _challenges(handshake, aes_cbc_decrypt(handshake.key, zero_iv, body))
    ti = state.entropy(4)
    enc_key, mac_key = ev2_session_keys(handshake.key, rnd_a, handshake.rnd_b)
    state.reset()
    state.session = Ev2Session(handshake.key_no, enc_key, mac_key, ti)
    reader_capabilities = handshake.capabilities.ljust(_CAPABILITIES_B, b"\x00")
    proof = ti + rotated_left(rnd_a) + bytes(_CAPABILITIES_B) + reader_capabilities
    return aes_cbc_encrypt(handshake.key, zero_iv, proof)


def _finish_ev2_non_first(state: Authenticating, handshake: Handshake, body: bytes) -> bytes:
    zero_iv = bytes(AES_BLOCK_B)
    rnd_a = _challenges(handshake, aes_cbc_decrypt(handshake.key, zero_iv, body))
    earlier = state.session
    assert isinstance(earlier, Ev2Session)
    enc_key, mac_key = ev2_session_keys(handshake.key, rnd_a, handshake.rnd_b)
    state.session = Ev2Session(handshake.key_no, enc_key, mac_key, earlier.ti, earlier.cmd_ctr)
    return aes_cbc_encrypt(handshake.key, zero_iv, rotated_left(rnd_a))


_FINISH: dict[int, Callable[[Authenticating, Handshake, bytes], bytes]] = {
    ISO: _finish_iso,
    AES: _finish_aes,
    EV2_FIRST: _finish_ev2_first,
    EV2_NON_FIRST: _finish_ev2_non_first,
}
