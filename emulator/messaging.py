"""Secure messaging inside the card: EV2 sessions, and as much of EV1 sessions as issuing needs.

Source: MF2DL(H)x0 data sheet rev 3.3 section 9.1 (EV2); the public DESFire EV1 descriptions for the ISO and AES
authentications, whose sessions carry management commands and ChangeKey only.
"""

from dataclasses import dataclass

from emulator.crypto import (
    AES_BLOCK_B,
    aes_cbc_decrypt,
    aes_cbc_encrypt,
    aes_cmac,
    chained_cmac,
    pad_iso,
    tdes_cbc_decrypt,
    truncated_mac,
    unpad_iso,
    xored,
)
from emulator.memory import CommMode
from emulator.status import Refused, Status

MAC_B = 8
COMMAND_LABEL = b"\xa5\x5a"
ANSWER_LABEL = b"\x5a\xa5"
_LAST_COUNTER = 0xFFFF


@dataclass(slots=True)
class Ev2Session:
    """A session of AuthenticateEV2First or NonFirst; `cmd_ctr` counts the commands answered."""

    key_no: int
    enc_key: bytes
    mac_key: bytes
    ti: bytes
    cmd_ctr: int = 0

    def counter_and_ti(self) -> bytes:
        """CmdCtr (2 bytes, low first) and TI as they stand in every MAC."""
        return self.cmd_ctr.to_bytes(2, "little") + self.ti

    def iv(self, label: bytes) -> bytes:
        """The initial vector of one direction: the label, TI and CmdCtr enciphered."""
        block = label + self.ti + self.cmd_ctr.to_bytes(2, "little") + bytes(8)
        return aes_cbc_encrypt(self.enc_key, bytes(AES_BLOCK_B), block)


@dataclass(slots=True)
class Ev1Session:
    """A session of AuthenticateISO or AuthenticateAES; `iv` runs on from message to message.

    The length of `iv` names the cipher: 8 for two-key triple DES, 16 for AES.
    """

    key_no: int
    key: bytes
    iv: bytes


Session = Ev1Session | Ev2Session


def ev2_session_keys(key: bytes, rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """Derive SesAuthENCKey and SesAuthMACKey (MF2DL(H)x0 section 9.1.4)."""
    context = rnd_a[0:2] + xored(rnd_a[2:8], rnd_b[0:6]) + rnd_b[6:16] + rnd_a[8:16]
    tail = b"\x00\x01\x00\x80" + context
    return aes_cmac(key, COMMAND_LABEL + tail), aes_cmac(key, ANSWER_LABEL + tail)


def wire_b(session: Session | None, mode: CommMode, data_b: int) -> int:
    """Length of `data_b` bytes of command data after secure messaging, MAC included."""
    if isinstance(session, Ev2Session):
        if mode is CommMode.MAC:
            return data_b + MAC_B
        if mode is CommMode.FULL:
            padded_b = data_b + AES_BLOCK_B - data_b % AES_BLOCK_B if data_b else 0
            return padded_b + MAC_B
    return data_b


def open_command(session: Session | None, ins: int, header: bytes, sealed: bytes, mode: CommMode) -> bytes:
    """Check and decipher a command's data; raises Refused with INTEGRITY_ERROR for a wrong MAC or padding."""
    match session:
        case Ev2Session():
            return _open_ev2(session, ins, header, sealed, mode)
        case Ev1Session():
            return _open_ev1(session, ins, header, sealed, mode)
        case None:
            return sealed


def seal_answer(session: Session | None, status: int, answer: bytes, mode: CommMode) -> bytes:
    """Count the command and protect its answer."""
    match session:
        case Ev2Session():
            return _seal_ev2(session, status, answer, mode)
        case Ev1Session():
            session.iv = chained_cmac(session.key, session.iv, answer + bytes([status]))
            return answer + session.iv[:MAC_B]
        case None:
            return answer


def _open_ev2(session: Ev2Session, ins: int, header: bytes, sealed: bytes, mode: CommMode) -> bytes:
    if session.cmd_ctr == _LAST_COUNTER:
        raise Refused(Status.COMMAND_ABORTED)
    if mode is CommMode.PLAIN:
        return sealed
    protected, mac = sealed[:-MAC_B], sealed[-MAC_B:]
    expected = truncated_mac(session.mac_key, bytes([ins]) + session.counter_and_ti() + header + protected)
    if mac != expected:
        raise Refused(Status.INTEGRITY_ERROR)
    if mode is CommMode.MAC or not protected:
        return protected
    plain = unpad_iso(aes_cbc_decrypt(session.enc_key, session.iv(COMMAND_LABEL), protected))
    if plain is None:
        raise Refused(Status.INTEGRITY_ERROR)
    return plain


def _seal_ev2(session: Ev2Session, status: int, answer: bytes, mode: CommMode) -> bytes:
    session.cmd_ctr += 1
    if mode is CommMode.PLAIN:
        return answer
    if mode is CommMode.FULL and answer:
        answer = aes_cbc_encrypt(session.enc_key, session.iv(ANSWER_LABEL), pad_iso(answer))
    mac = truncated_mac(session.mac_key, bytes([status]) + session.counter_and_ti() + answer)
    return answer + mac


def _open_ev1(session: Ev1Session, ins: int, header: bytes, sealed: bytes, mode: CommMode) -> bytes:
    if mode is not CommMode.FULL:
        session.iv = chained_cmac(session.key, session.iv, bytes([ins]) + header + sealed)
        return sealed
    block_b = len(session.iv)
    if not sealed or len(sealed) % block_b:
        raise Refused(Status.LENGTH_ERROR)
    decrypt = aes_cbc_decrypt if block_b == AES_BLOCK_B else tdes_cbc_decrypt
    plain = decrypt(session.key, session.iv, sealed)
    session.iv = sealed[-block_b:]
    return plain
