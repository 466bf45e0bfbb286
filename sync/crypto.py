"""The host side's only door to ``cryptography``: P-256 signatures, AES and its CMAC, sealing to a key, and the P-224
signature a chip maker leaves on its chips.

Nothing here logs or puts a key, a nonce or a plain text into an exception.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync.errors import BadSignature, Malformed

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey
SIGNATURE_SIZE_B: Final = 64
PUBLIC_KEY_SIZE_B: Final = 65
KEY_SIZE_B: Final = 16
SEAL_KEY_SIZE_B: Final = 32
SALT_SIZE_B: Final = 16
_NONCE_SIZE_B: Final = 12
_ES256: Final = ec.ECDSA(hashes.SHA256())
_P224_B: Final = 28
_P224_UNHASHED: Final = ec.ECDSA(Prehashed(hashes.SHA224()))  # 28 bytes, taken as they are


def new_private_key() -> PrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_key_pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    """The key as PKCS#8 PEM, enciphered under ``password`` when one is given."""
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def private_key_from_pem(data: bytes, password: bytes | None = None) -> PrivateKey:
    """The P-256 key of a PKCS#8 PEM; Malformed when it is none or the password does not open it."""
    try:
        key = serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError):
        raise Malformed("not a private key that can be opened") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Malformed("not a P-256 key")
    return key


def public_bytes(key: PrivateKey | PublicKey) -> bytes:
    """65 bytes, the uncompressed point (SEC 1 §2.3.3)."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def public_key(data: bytes) -> PublicKey:
    """The P-256 key of an uncompressed point; Malformed when it is none."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
    except ValueError:
        raise Malformed("not a P-256 public key") from None


def sign(key: PrivateKey, message: bytes) -> bytes:
    """ES256 (RFC 7518 §3.4): 64 bytes, r ‖ s."""
    r, s = decode_dss_signature(key.sign(message, _ES256))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Nothing when the 64-byte ES256 signature holds; BadSignature otherwise."""
    if len(signature) != SIGNATURE_SIZE_B:
        raise BadSignature("a signature has 64 bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, _ES256)
    except InvalidSignature:
        raise BadSignature("the signature does not hold") from None


def verify_p224_unhashed(public: bytes, message: bytes, signature: bytes) -> None:
    """Nothing when an ECDSA signature on P-224 holds over the message itself, not over a hash of it.

    Chip makers sign serial numbers so (NXP AN11350 §2: "none hashing"; r ‖ s, 28 bytes each).

    Args:
        public: uncompressed point, 57 bytes.
        message: at most 28 bytes, a number in front of which zeros mean nothing.

    Raises:
        BadSignature: it does not hold. Malformed: no point of the curve, or a longer message.
    """
    if len(message) > _P224_B:
        raise Malformed("a message longer than the curve's order")
    if len(signature) != 2 * _P224_B:
        raise BadSignature("a signature on P-224 has 56 bytes")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), public)
    except ValueError:
        raise Malformed("not a P-224 public key") from None
    r, s = int.from_bytes(signature[:_P224_B], "big"), int.from_bytes(signature[_P224_B:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message.rjust(_P224_B, b"\x00"), _P224_UNHASHED)
    except InvalidSignature:
        raise BadSignature("the signature does not hold") from None


def sha256(data: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


def token(size_b: int) -> bytes:
    """Random bytes of the operating system."""
    return os.urandom(size_b)


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """16 bytes (NIST SP 800-38B)."""
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def aes_cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """AES-128-CBC without padding; ``plain`` is a multiple of 16 bytes."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return cipher.update(plain) + cipher.finalize()


def aes_cbc_decrypt(key: bytes, iv: bytes, enciphered: bytes) -> bytes:
    """The inverse of ``aes_cbc_encrypt``."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return cipher.update(enciphered) + cipher.finalize()


def aes_block_encrypt(key: bytes, block: bytes) -> bytes:
    """One AES block, as the IVs of EV2 messaging are made (MF2DL(H)x0 §9.1.4)."""
    return aes_cbc_encrypt(key, bytes(16), block)


def two_key_3des_cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """2K3DES-CBC without padding: 16-byte key, 8-byte IV; only for a blank card's first authentication."""
    cipher = Cipher(TripleDES(key + key[:8]), modes.CBC(iv)).encryptor()
    return cipher.update(plain) + cipher.finalize()


def two_key_3des_cbc_decrypt(key: bytes, iv: bytes, enciphered: bytes) -> bytes:
    """The inverse of ``two_key_3des_cbc_encrypt``."""
    cipher = Cipher(TripleDES(key + key[:8]), modes.CBC(iv)).decryptor()
    return cipher.update(enciphered) + cipher.finalize()


def diversify(master: bytes, diversification_input: bytes) -> bytes:
    """An AES-128 key from a master key (NXP AN10922 §2.2): CMAC over 01 ‖ input padded to 32 bytes, input at most
    31 bytes.
    """
    message = b"\x01" + diversification_input
    if len(message) > 32:
        raise Malformed("a diversification input has at most 31 bytes")
    return _cmac_of_padded(master, message)


def _cmac_of_padded(key: bytes, message: bytes) -> bytes:
    if len(message) == 32:
        return aes_cmac(key, message)
    padded = (message + b"\x80").ljust(32, b"\x00")
    last = bytes(a ^ b for a, b in zip(padded[16:], _second_subkey(key), strict=True))
    return aes_cbc_encrypt(key, bytes(16), padded[:16] + last)[16:]


def _second_subkey(key: bytes) -> bytes:
    first = _double(int.from_bytes(aes_block_encrypt(key, bytes(16)), "big"))
    return _double(first).to_bytes(16, "big")


def _double(block: int) -> int:
    doubled = (block << 1) & ((1 << 128) - 1)
    return doubled ^ 0x87 if block >> 127 else doubled


def seal_to(recipient: PublicKey, plain: bytes, context: bytes) -> bytes:
    """``plain`` for the holder of one key only: ephemeral P-256 ECDH, HKDF-SHA-256, AES-256-GCM.

    Args:
        context: bytes bound to the content; opening asks for the same.

    Returns:
        65-byte ephemeral public key ‖ GCM cipher text and tag. The key is used once, so the nonce is zero.
    """
    ephemeral = new_private_key()
    own = public_bytes(ephemeral)
    key = _sealing_key(ephemeral.exchange(ec.ECDH(), recipient), own + public_bytes(recipient), context)
    return own + AESGCM(key).encrypt(bytes(12), plain, context)


def open_sealed(key: PrivateKey, sealed: bytes, context: bytes) -> bytes:
    """The inverse of ``seal_to``; BadSignature when it was altered, or sealed to another key or context."""
    own, cipher_text = sealed[:PUBLIC_KEY_SIZE_B], sealed[PUBLIC_KEY_SIZE_B:]
    shared = key.exchange(ec.ECDH(), public_key(own))
    try:
        return AESGCM(_sealing_key(shared, own + public_bytes(key), context)).decrypt(bytes(12), cipher_text, context)
    except InvalidTag:
        raise BadSignature("not sealed for this key") from None


def _sealing_key(shared: bytes, salt: bytes, context: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=b"panier/seal/1" + context).derive(shared)


def argon2id(
    secret: bytes,
    salt: bytes,
    *,
    memory_kib: int = 65_536,
    passes: int = 3,
    lanes: int = 4,
    size_b: int = SEAL_KEY_SIZE_B,
) -> bytes:
    """A key from a secret that may be guessed (RFC 9106, Argon2id; the defaults are its second recommendation, §4).

    Args:
        salt: 16 random bytes, kept beside what the key seals, as the three costs are.
        memory_kib: at least 8 for each lane.
    """
    return Argon2id(salt=salt, length=size_b, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(secret)


def seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """AES-256-GCM under a 32-byte key: 12 random bytes of nonce ‖ cipher text and tag; ``aad`` is bound, not kept."""
    nonce = token(_NONCE_SIZE_B)
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The inverse of ``seal``; BadSignature when it was altered, or sealed under another key or for another purpose."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_SIZE_B], sealed[_NONCE_SIZE_B:], aad)
    except (InvalidTag, ValueError):
        raise BadSignature("not sealed under this key") from None
