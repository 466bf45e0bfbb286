"""The tag's memory as a JSON file, like a DESFire card's (emulator/state_file.py) but of kind "ntag424"."""

import json

from emulator.memory import AccessRights, CardKey, CommMode
from emulator.ntag424.memory import NtagFile, NtagMemory
from emulator.state_file import FORMAT, NTAG424, VERSION, CardFileUnreadable, Json


def to_text(memory: NtagMemory) -> str:
    """Write the whole memory as JSON text."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": NTAG424,
            "uid": _hex(memory.uid),
            "originality_signature": _hex(memory.originality_signature),
            "configuration": {f"{option:02X}": _hex(value) for option, value in memory.configuration.items()},
            "keys": [{"key": _hex(key.value), "key_version": key.version} for key in memory.keys],
            "files": {f"{number:02X}": _file_json(file) for number, file in sorted(memory.files.items())},
        },
        indent=1,
    )


def from_text(text: str) -> NtagMemory:
    """Read a memory back; raises CardFileUnreadable for damage, another format, version or kind."""
    try:
        card = json.loads(text)
        if card["format"] != FORMAT or card["version"] != VERSION or card["kind"] != NTAG424:
            raise CardFileUnreadable("unknown format, version or kind of the card file")
        return NtagMemory(
            uid=bytes.fromhex(card["uid"]),
            originality_signature=bytes.fromhex(card["originality_signature"]),
            configuration={int(k, 16): bytes.fromhex(v) for k, v in card["configuration"].items()},
            keys=tuple(CardKey(bytes.fromhex(key["key"]), int(key["key_version"])) for key in card["keys"]),
            files={int(number, 16): _file(file) for number, file in card["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CardFileUnreadable(f"damaged card file: {type(fault).__name__}") from fault


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _file_json(file: NtagFile) -> Json:
    return {
        "mode": file.mode.name.lower(),
        "rights": _hex(file.rights.to_wire()),
        "content": _hex(file.content),
        "sdm": _hex(file.sdm),
        "read_counter": file.read_counter,
    }


def _file(source: Json) -> NtagFile:
    rights = AccessRights.from_wire(bytes.fromhex(source["rights"]))
    content, sdm = bytes.fromhex(source["content"]), bytes.fromhex(source["sdm"])
    return NtagFile(CommMode[source["mode"].upper()], rights, content, sdm, int(source["read_counter"]))
