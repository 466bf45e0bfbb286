"""Waking a virtual card of whatever kind its file says."""

import os
from collections.abc import Callable
from pathlib import Path

from emulator.card import VirtualCard
from emulator.ntag424.card import VirtualNtag
from emulator.state_file import CardFileUnreadable, CardStore, kind_of, store_for


def open_card(store: CardStore | Path, *, entropy: Callable[[int], bytes] = os.urandom) -> VirtualCard | VirtualNtag:
    """Wake a card from its file or store; raises CardFileUnreadable, for an unknown kind too."""
    kept = store_for(store)
    match kind_of(kept.read()):
        case "desfire":
            return VirtualCard.load(kept, entropy=entropy)
        case "ntag424":
            return VirtualNtag.load(kept, entropy=entropy)
        case _:
            raise CardFileUnreadable("unknown kind of card in the card file")
