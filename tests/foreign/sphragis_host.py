"""A card host of other people's making before one of our virtual tags. A program of its own, run in an environment of
its own, in which alone sphragis is installed (tests/foreign/test_sphragis.py makes both and removes them).

Licence: this file is ours (EUPL-1.2) and holds nothing of sphragis, which is GPL-3.0-or-later and is loaded only in
that environment. Together with it the program is used under GPL-3.0-or-later, as the EUPL's list of compatible licences
allows. Nothing of Panier imports this file, it imports nothing of Panier, the two speak over a pipe, and neither the
library nor this file is part of what is installed.

First line in: a JSON object, the scene and what it needs. Lines out: ``apdu`` and hexadecimal digits, each answered by
a line of digits; at the end ``told`` and a JSON object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from Crypto.Cipher import AES
from sphragis.apdu import ApduError, parse_response, read_binary, select_file, select_ndef_app
from sphragis.diversify import diversify_key
from sphragis.ev2 import AuthError, Session, authenticate_ev2_first
from sphragis.keyprov import (
    MemoryKeyInventory,
    TagKeys,
    get_card_uid,
    get_key_version,
    read_signature,
    rekey_tag,
    verify_originality,
)
from sphragis.provision import update_binary, write_data
from sphragis.sdmconfig import AccessRights, FileSettings, parse_file_settings, sun_layout, sun_settings
from sphragis.transport import ApduTransport

MASTER, TERMINALS = 0, 1
FILES = (1, 2, 3)
FULL = 3
NOBODY = 0xF
READ_DATA, WRITE_DATA, GET_FILE_SETTINGS, CHANGE_FILE_SETTINGS = 0xAD, 0x8D, 0xF5, 0x5F
NDEF, CAPABILITIES = 0xE104, 0xE103


class Pipe(ApduTransport):
    """A tag at the other end of standard input and output."""

    def transceive(self, apdu: bytes) -> bytes:
        print("apdu", apdu.hex(), flush=True)
        return bytes.fromhex(sys.stdin.readline())


class Ordered:
    """The five keys of an order, as a key scheme of the library's."""

    label, version = "ordered", 1

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = tuple(keys)
        self.meta_read_key = keys[2]

    def keys_for(self, uid: bytes) -> TagKeys:
        del uid
        return TagKeys(self._keys, self.version, self.label)


def session(pipe: Pipe, number: int, key: bytes) -> Session:
    parse_response(pipe.transceive(select_ndef_app())).check("select")
    return authenticate_ev2_first(pipe, number, key)


def opens(pipe: Pipe, number: int, key: bytes) -> str:
    try:
        session(pipe, number, key)
    except (ApduError, AuthError) as refusal:
        return f"{getattr(refusal, 'sw', 0):04X}"
    return "taken"


def header(file: int, offset: int, size_b: int) -> bytes:
    return bytes([file]) + offset.to_bytes(3, "little") + size_b.to_bytes(3, "little")


def read(open_session: Session, file: int, size_b: int) -> bytes:
    """File content in full mode; the library leaves the answer enciphered."""
    enciphered = open_session.send_full(READ_DATA, header(file, 0, size_b), b"")
    iv = open_session._iv(b"\x5a\xa5", open_session.cmd_ctr)
    return AES.new(open_session.k_enc, AES.MODE_CBC, iv).decrypt(enciphered)[:size_b]


def settings(open_session: Session, file: int) -> list[int | None]:
    told = parse_file_settings(open_session.send_mac(GET_FILE_SETTINGS, bytes([file])))
    rights = told.access
    return [told.file_option, rights.read, rights.write, rights.read_write, rights.change, told.file_size]


def look(pipe: Pipe, keys: list[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """What a tag is: who it lets in, what its files are, what stands in two of them."""
    master = session(pipe, MASTER, keys[MASTER])
    told: dict[str, Any] = {
        "uid": get_card_uid(master).hex(),
        "versions": [get_key_version(master, number) for number in range(5)],
        "files": {str(file): settings(master, file) for file in FILES},
    }
    told["zero keys"] = [opens(pipe, number, bytes(16)) for number in range(5)]
    told["own keys"] = [opens(pipe, number, key) for number, key in enumerate(keys)]
    terminal = session(pipe, TERMINALS, keys[TERMINALS])
    told["content"] = {file: read(terminal, int(file), size_b).hex() for file, size_b in asked["sizes"].items()}
    return told


def write(pipe: Pipe, keys: list[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """Bytes into a file under the terminals' key."""
    content = bytes.fromhex(asked["content"])
    terminal = session(pipe, TERMINALS, keys[TERMINALS])
    terminal.send_full(WRITE_DATA, header(asked["file"], asked["offset"], len(content)), content)
    return {"read again": read(terminal, asked["file"], asked["offset"] + len(content)).hex()}


def issue(pipe: Pipe, keys: list[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """A blank tag's keys and rights, as our issuing would set them."""
    report = rekey_tag(
        pipe, Ordered(keys), inventory=MemoryKeyInventory(), originality_key=bytes.fromhex(asked["originality"])
    )
    master = session(pipe, MASTER, keys[MASTER])
    closed = FileSettings(FULL, AccessRights(NOBODY, MASTER, TERMINALS, TERMINALS))
    for file in FILES[1:]:
        master.send_full(CHANGE_FILE_SETTINGS, bytes([file]), closed.encode_change())
    return {"verified": report.verified, "signature": report.signature_ok, "changed": report.changed}


def blank(pipe: Pipe, keys: list[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """A tag as delivered: what needs no key, and the settings of dynamic messaging."""
    parse_response(pipe.transceive(select_ndef_app())).check("select")
    signature = read_signature(pipe)
    told: dict[str, Any] = {"zero keys": [opens(pipe, number, bytes(16)) for number in range(5)]}
    master = session(pipe, MASTER, bytes(16))
    told["signature"] = verify_originality(get_card_uid(master), signature, bytes.fromhex(asked["originality"]))
    told["files"] = {str(file): settings(master, file) for file in FILES}
    layout = sun_layout("https://example.org/t")
    dynamic = sun_settings(layout.offsets)
    master.send_full(CHANGE_FILE_SETTINGS, b"\x02", dynamic.encode_change())
    kept = parse_file_settings(master.send_mac(GET_FILE_SETTINGS, b"\x02"))
    told["dynamic"] = kept.encode_change() == dynamic.encode_change()
    parse_response(pipe.transceive(select_ndef_app())).check("select")
    parse_response(pipe.transceive(select_file(CAPABILITIES))).check("capabilities")
    told["capabilities"] = parse_response(pipe.transceive(read_binary(0, 23))).check("read").hex()
    return told


def plain(pipe: Pipe, keys: list[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """Free writes and reads of a tag as delivered, by ISO commands and by WriteData."""
    parse_response(pipe.transceive(select_ndef_app())).check("select")
    parse_response(pipe.transceive(select_file(NDEF))).check("file")
    parse_response(pipe.transceive(update_binary(0, b"iso"))).check("update")
    wrapped = bytes([0x90, WRITE_DATA, 0, 0]) + bytes([10]) + write_data(3, b"own") + b"\x00"
    told = {"written": f"{parse_response(pipe.transceive(wrapped)).sw:04X}"}
    told["read"] = parse_response(pipe.transceive(read_binary(0, 6))).check("read").decode()
    return told


def diversify(pipe: Pipe, keys: list[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """A key made from a master as AN10922 says."""
    del pipe
    return {"key": diversify_key(keys[0], bytes.fromhex(asked["input"])).hex()}


SCENES = {scene.__name__: scene for scene in (look, write, issue, blank, plain, diversify)}


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    keys = [bytes.fromhex(key) for key in asked["keys"]]
    print("told", json.dumps(SCENES[asked["scene"]](Pipe(), keys, asked)), flush=True)


if __name__ == "__main__":
    main()
