"""Transaction MAC: session keys, the items of TMI, and TMV (MF2DL(H)x0 data sheet rev 3.3 section 10.3)."""

from emulator.crypto import AES_BLOCK_B, aes_cbc_encrypt, aes_cmac, truncated_mac, zero_padded


def tmac_session_keys(key: bytes, new_tmc: int, uid: bytes) -> tuple[bytes, bytes]:
    """Derive SesTMMACKey and SesTMENCKey for the transaction that will have `new_tmc`."""
    tail = b"\x00\x01\x00\x80" + new_tmc.to_bytes(4, "little") + uid
    return aes_cmac(key, b"\x5a" + tail), aes_cmac(key, b"\xa5" + tail)


def transaction_mac(key: bytes, new_tmc: int, uid: bytes, tmi: bytes) -> bytes:
    """Return TMV, 8 bytes, over the whole input of one transaction."""
    return truncated_mac(tmac_session_keys(key, new_tmc, uid)[0], tmi)


def enciphered_reader_id(key: bytes, new_tmc: int, uid: bytes, previous: bytes) -> bytes:
    """Return EncTMRI: the reader id of the transaction before, 16 bytes, enciphered."""
    return aes_cbc_encrypt(tmac_session_keys(key, new_tmc, uid)[1], bytes(AES_BLOCK_B), previous)


def tmi_item(ins: int, header: bytes, content: bytes = b"") -> bytes:
    """One command's contribution: instruction and header, then the data in plain, each zero-padded to 16 bytes."""
    return zero_padded(bytes([ins]) + header) + zero_padded(content)
