"""The emulator's only door to `cryptography`: block ciphers, CMAC, checksum, padding and the originality signature."""

import zlib

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA224
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AES_BLOCK_B = 16
DES_BLOCK_B = 8
_P224_NUMBER_B = 28
_MAKER_KEY = ec.derive_private_key(int.from_bytes(b"maker of the virtual cards", "big"), ec.SECP224R1())
"""Stands for the card maker's key, which nobody else has; anyone may know this one, it proves nothing."""


def aes_cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """Encipher whole blocks with AES-128 in CBC mode; no padding is added."""
    encryptor = Cipher(AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def aes_cbc_decrypt(key: bytes, iv: bytes, enciphered: bytes) -> bytes:
    """Decipher whole blocks with AES-128 in CBC mode; padding is left in place."""
    decryptor = Cipher(AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(enciphered) + decryptor.finalize()


def _three_key_form(key: bytes) -> bytes:
    assert len(key) == 16
    return key + key[:DES_BLOCK_B]


def tdes_cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """Encipher whole 8-byte blocks with two-key triple DES (16-byte key) in CBC mode."""
    encryptor = Cipher(TripleDES(_three_key_form(key)), modes.CBC(iv)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def tdes_cbc_decrypt(key: bytes, iv: bytes, enciphered: bytes) -> bytes:
    """Decipher whole 8-byte blocks with two-key triple DES (16-byte key) in CBC mode."""
    decryptor = Cipher(TripleDES(_three_key_form(key)), modes.CBC(iv)).decryptor()
    return decryptor.update(enciphered) + decryptor.finalize()


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """Return the 16-byte AES-CMAC (NIST SP 800-38B)."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def truncated_mac(key: bytes, message: bytes) -> bytes:
    """Return MACt: the 8 bytes at odd positions of the AES-CMAC (MF2DL(H)x0 section 9.1.3)."""
    return aes_cmac(key, message)[1::2]


def chained_cmac(key: bytes, iv: bytes, message: bytes) -> bytes:
    """Return a CMAC whose CBC chain starts from `iv`, as EV1 secure messaging needs.

    The length of `iv` names the cipher: 16 for AES, 8 for two-key triple DES. With a zero `iv` this is the CMAC of
    NIST SP 800-38B. The result is one block and the next `iv`.
    """
    block_b = len(iv)
    encrypt = aes_cbc_encrypt if block_b == AES_BLOCK_B else tdes_cbc_encrypt
    subkey = _doubled(encrypt(key, bytes(block_b), bytes(block_b)))
    whole = message != b"" and len(message) % block_b == 0
    if not whole:
        subkey = _doubled(subkey)
        message = pad_iso(message, block_b)
    last = xored(message[-block_b:], subkey)
    return encrypt(key, iv, message[:-block_b] + last)[-block_b:]


def _doubled(block: bytes) -> bytes:
    polynomial = 0x87 if len(block) == AES_BLOCK_B else 0x1B
    number = int.from_bytes(block, "big") << 1
    if number >> (8 * len(block)):
        number = (number ^ polynomial) & ((1 << (8 * len(block))) - 1)
    return number.to_bytes(len(block), "big")


def jamcrc32(message: bytes) -> bytes:
    """Return DESFire's CRC32 (no final inversion), 4 bytes little-endian."""
    return (zlib.crc32(message) ^ 0xFFFFFFFF).to_bytes(4, "little")


def pad_iso(plain: bytes, block_b: int = AES_BLOCK_B) -> bytes:
    """Append 80 00 … up to a whole block; a full block when already whole (ISO/IEC 9797-1, method 2)."""
    return zero_padded(plain + b"\x80", block_b)


def unpad_iso(padded: bytes) -> bytes | None:
    """Take 80 00 … off again; None when the padding is not there."""
    stripped = padded.rstrip(b"\x00")
    if not stripped.endswith(b"\x80") or len(padded) - len(stripped) >= AES_BLOCK_B:
        return None
    return stripped[:-1]


def zero_padded(plain: bytes, block_b: int = AES_BLOCK_B) -> bytes:
    """Append zero bytes up to a whole block; nothing when already whole."""
    return plain + bytes(-len(plain) % block_b)


def rotated_left(challenge: bytes) -> bytes:
    """Move the first byte to the end, the Rnd' of the authentications."""
    return challenge[1:] + challenge[:1]


def xored(left: bytes, right: bytes) -> bytes:
    """Exclusive-or two byte strings of one length."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def originality_signature(uid: bytes) -> bytes:
    """Return what Read_Sig answers: r ‖ s, 56 bytes, ECDSA on P-224 over the UID itself, not a hash (AN12196, ch. 7).

    The same UID always gets the same signature.
    """
    number = uid.rjust(_P224_NUMBER_B, b"\x00")
    signature = _MAKER_KEY.sign(number, ec.ECDSA(Prehashed(SHA224()), deterministic_signing=True))
    r, s = decode_dss_signature(signature)
    return r.to_bytes(_P224_NUMBER_B, "big") + s.to_bytes(_P224_NUMBER_B, "big")


def originality_public_key() -> bytes:
    """Return the key that verifies every virtual card's signature, in place of NXP's: 57 bytes, 04 ‖ x ‖ y."""
    return _MAKER_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
