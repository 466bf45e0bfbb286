"""Test cards: random keys that are worth nothing, kept in a file, because a card whose keys are lost is lost.

A card's keys are on the medium before the card gets them. The file is the only place where they are in clear.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from domain.identity import CARD_ID_SIZE_B, CardId, Uid
from sync import crypto
from sync.card_format import CardInfo, encode_card_info
from sync.errors import Malformed
from sync.issuing import LOADED_AT_ISSUING, PICC_MASTER, TMAC_KEY, IssueOrder, first_log_record

PROVING_AID: Final = bytes.fromhex("F0505A")
PROVING_PROGRAMME: Final = "panier-prove"
_VERSION: Final = 1
_KEY_NUMBERS: Final = (0, 1, 2, 3, 4, TMAC_KEY, PICC_MASTER)


class TestCards:
    """The cards this command made, by serial number of the chip."""

    __test__ = False  # not a test of pytest's

    def __init__(self, path: Path, token: Callable[[int], bytes] = crypto.token) -> None:
        self._path = path
        self._token = token

    def order_of(self, uid: Uid) -> IssueOrder | None:
        """The order of a card that was made (or begun) here, or ``None``. Malformed when the file cannot be read."""
        card = self._cards().get(uid.hex())
        return None if card is None else _order(uid, card)

    def is_finished(self, uid: Uid) -> bool:
        """Whether issuing of the card came to its end."""
        return bool(self._cards().get(uid.hex(), {}).get("finished"))

    def new_order(self, uid: Uid, at: datetime) -> IssueOrder:
        """Fresh keys for a blank card; durable when this returns."""
        card = CardId(self._token(CARD_ID_SIZE_B))
        signer = crypto.new_private_key()
        info = CardInfo(1, card, PROVING_PROGRAMME, LOADED_AT_ISSUING, None)
        signed = encode_card_info(info, uid, lambda message: crypto.sign(signer, message))
        kept = {
            "card": card.hex(),
            "info": signed.hex(),
            "at": int(at.timestamp()),
            "finished": False,
            "keys": {f"{number:02X}": self._token(crypto.KEY_SIZE_B).hex() for number in _KEY_NUMBERS},
        }
        self._write({**self._cards(), uid.hex(): kept})
        return _order(uid, kept)

    def finished(self, uid: Uid) -> None:
        """Issuing came to its end."""
        cards = self._cards()
        self._write({**cards, uid.hex(): {**cards[uid.hex()], "finished": True}})

    def _cards(self) -> dict[str, dict[str, Any]]:
        if not self._path.exists():
            return {}
        try:
            content = json.loads(self._path.read_text(encoding="ascii"))
            cards: dict[str, dict[str, Any]] = content["cards"]
        except (ValueError, KeyError, TypeError):
            raise Malformed("not a file of test cards") from None
        if content.get("version") != _VERSION:
            raise Malformed("a file of test cards of another version")
        return cards

    def _write(self, cards: dict[str, dict[str, Any]]) -> None:
        new = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"version": _VERSION, "cards": cards}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        folder = os.open(self._path.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _order(uid: Uid, card: dict[str, Any]) -> IssueOrder:
    try:
        return IssueOrder(
            card=CardId(bytes.fromhex(card["card"])),
            uid=uid,
            aid=PROVING_AID,
            loaded=LOADED_AT_ISSUING,
            card_info=bytes.fromhex(card["info"]),
            first_log_record=first_log_record(datetime.fromtimestamp(card["at"], UTC), 1),
            keys={int(number, 16): bytes.fromhex(key) for number, key in card["keys"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Malformed("not a file of test cards") from None
