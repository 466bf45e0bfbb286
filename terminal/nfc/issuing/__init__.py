"""Makes a blank DESFire card the programme's, takes up a card that was torn away in the middle, and tests the result.

    chip.py         what lies there, and the chip's own key
    originality.py  the maker's signature over the serial number
    layout.py       the files as ordered and as the card describes them
    personalise.py  the steps, each done only where the card does not stand there yet
    verification.py what must be true of an issued card
    desk.py         one card after another on a reader

The first keys travel under known zero keys, so this is done in a controlled place only. Source: MF2DL(H)x0 rev 3.3
§11.3-11.4; AN12343 rev 1.1 (its page 84, points 30 and 32, is wrong); docs/formats/card.md "Application layout".
"""

from __future__ import annotations

from terminal.nfc.issuing.chip import CardNotBlank, read_uid
from terminal.nfc.issuing.originality import NotGenuine, Originality, Policy
from terminal.nfc.issuing.personalise import MOST_APDUS_TO_ISSUE, Found, issue
from terminal.nfc.issuing.verification import NotAsOrdered, check_issued

__all__ = [
    "MOST_APDUS_TO_ISSUE",
    "CardNotBlank",
    "Found",
    "NotAsOrdered",
    "NotGenuine",
    "Originality",
    "Policy",
    "check_issued",
    "issue",
    "read_uid",
]
