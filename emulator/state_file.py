"""The card's memory as a JSON file (docs/formats/emulator-card-file.md), replaced atomically."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emulator.memory import (
    AccessRights,
    Application,
    CardFile,
    CardKey,
    CardMemory,
    CommMode,
    CyclicFile,
    DataFile,
    TmacFile,
    ValueFile,
)

FORMAT = "panier-virtual-card"
VERSION = 1
DESFIRE, NTAG424 = "desfire", "ntag424"
"""What a file's member `kind` says; a file without it is of a DESFire card."""
Json = dict[str, Any]


class CardFileUnreadable(Exception):
    """The card's file is missing, damaged or of an unknown version; the message names it."""


class CardStore(Protocol):
    """Where a card's memory outlives its power."""

    def read(self) -> str:
        """Return the newest text written."""

    def write(self, text: str) -> None:
        """Keep the text; after a crash either the old or the new one is there, whole."""


@dataclass(slots=True)
class MemoryStore:
    """Keeps the text in memory; a second card loaded from it stands for a reloaded file."""

    text: str = ""

    def read(self) -> str:
        """Return the newest text written."""
        return self.text

    def write(self, text: str) -> None:
        """Keep the text."""
        self.text = text


@dataclass(frozen=True, slots=True)
class FileStore:
    """Keeps the text in a file beside which a temporary one is written, synced and renamed over it."""

    path: Path

    def read(self) -> str:
        """Return the file's text; raises CardFileUnreadable."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise CardFileUnreadable(f"{self.path}: {type(fault).__name__}") from fault

    def write(self, text: str) -> None:
        """Replace the file atomically (temporary file, fsync, rename, fsync of the folder)."""
        temporary = self.path.with_name(self.path.name + ".new")
        with temporary.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def store_for(store: CardStore | Path | None) -> CardStore:
    """The store itself, a file's store for a path, or memory only for nothing."""
    if store is None:
        return MemoryStore()
    return FileStore(store) if isinstance(store, Path) else store


def kind_of(text: str) -> str:
    """What kind of card a file describes; raises CardFileUnreadable."""
    try:
        return str(json.loads(text).get("kind", DESFIRE))
    except (ValueError, AttributeError) as fault:
        raise CardFileUnreadable(f"damaged card file: {type(fault).__name__}") from fault


def to_text(memory: CardMemory) -> str:
    """Write the whole memory as JSON text."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": DESFIRE,
            "uid": _hex(memory.uid),
            "generation": memory.generation,
            "picc": {
                "key_type": "AES" if memory.picc_key_is_aes else "2K3DES",
                **_key_json(memory.picc_key),
                "key_settings": f"{memory.picc_key_settings:02X}",
            },
            "originality_signature": _hex(memory.originality_signature),
            "configuration": {f"{option:02X}": _hex(value) for option, value in memory.configuration.items()},
            "applications": {_hex(aid): _application_json(app) for aid, app in memory.applications.items()},
            "deleted_b": memory.deleted_b,
        },
        indent=1,
    )


def from_text(text: str) -> CardMemory:
    """Read a memory back; raises CardFileUnreadable for damage or an unknown format or version."""
    try:
        card = json.loads(text)
        if card["format"] != FORMAT or card["version"] != VERSION or card.get("kind", DESFIRE) != DESFIRE:
            raise CardFileUnreadable("unknown format, version or kind of the card file")
        picc = card["picc"]
        return CardMemory(
            uid=bytes.fromhex(card["uid"]),
            generation=card["generation"],
            picc_key=_key(picc),
            picc_key_is_aes=picc["key_type"] == "AES",
            picc_key_settings=int(picc["key_settings"], 16),
            originality_signature=bytes.fromhex(card["originality_signature"]),
            configuration={int(k, 16): bytes.fromhex(v) for k, v in card["configuration"].items()},
            applications={bytes.fromhex(aid): _application(aid, app) for aid, app in card["applications"].items()},
            deleted_b=int(card.get("deleted_b", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CardFileUnreadable(f"damaged card file: {type(fault).__name__}") from fault


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _key_json(key: CardKey) -> Json:
    return {"key": _hex(key.value), "key_version": key.version}


def _key(source: Json) -> CardKey:
    return CardKey(bytes.fromhex(source["key"]), int(source["key_version"]))


def _application_json(application: Application) -> Json:
    return {
        "key_settings": f"{application.key_settings:02X}",
        "keys": [_key_json(key) for key in application.keys],
        "has_iso_file_ids": application.has_iso_file_ids,
        "iso_file_id": _hex(application.iso_file_id),
        "df_name": _hex(application.df_name),
        "files": {f"{number:02X}": _file_json(file) for number, file in sorted(application.files.items())},
    }


def _application(aid: str, source: Json) -> Application:
    return Application(
        aid=bytes.fromhex(aid),
        key_settings=int(source["key_settings"], 16),
        keys=tuple(_key(key) for key in source["keys"]),
        files={int(number, 16): _file(file) for number, file in source["files"].items()},
        has_iso_file_ids=source["has_iso_file_ids"],
        iso_file_id=bytes.fromhex(source["iso_file_id"]),
        df_name=bytes.fromhex(source["df_name"]),
    )


def _file_json(file: CardFile) -> Json:
    common: Json = {"mode": file.mode.name.lower(), "rights": _hex(file.rights.to_wire())}
    match file:
        case DataFile():
            return {"type": "backup" if file.is_backup else "standard", **common, "content": _hex(file.content)}
        case ValueFile():
            return {
                "type": "value",
                **common,
                "value": file.value,
                "lower": file.lower,
                "upper": file.upper,
                "limited_credit": file.limited_credit,
                "limited_credit_on": file.limited_credit_on,
                "free_get_value": file.free_get_value,
            }
        case CyclicFile():
            return {
                "type": "cyclic",
                **common,
                "record_b": file.record_b,
                "max_records": file.max_records,
                "records_oldest_first": [_hex(record) for record in file.records],
            }
        case TmacFile():
            return {
                "type": "transaction_mac",
                **common,
                **_key_json(file.key),
                "tmc": file.tmc,
                "tmv": _hex(file.tmv),
                "reader_id": _hex(file.reader_id),
            }


def _file(source: Json) -> CardFile:
    mode = CommMode[source["mode"].upper()]
    rights = AccessRights.from_wire(bytes.fromhex(source["rights"]))
    match source["type"]:
        case "standard" | "backup" as kind:
            return DataFile(mode, rights, bytes.fromhex(source["content"]), kind == "backup")
        case "value":
            return ValueFile(
                mode,
                rights,
                value=int(source["value"]),
                lower=int(source["lower"]),
                upper=int(source["upper"]),
                limited_credit=int(source["limited_credit"]),
                limited_credit_on=source["limited_credit_on"],
                free_get_value=source["free_get_value"],
            )
        case "cyclic":
            records = tuple(bytes.fromhex(record) for record in source["records_oldest_first"])
            return CyclicFile(mode, rights, source["record_b"], source["max_records"], records)
        case "transaction_mac":
            tmv, reader_id = bytes.fromhex(source["tmv"]), bytes.fromhex(source["reader_id"])
            return TmacFile(mode, rights, _key(source), int(source["tmc"]), tmv, reader_id)
        case _:
            raise CardFileUnreadable("unknown file type in the card file")
