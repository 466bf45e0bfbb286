"""Names of things: card ids, slots, stations. Small types so that one is never taken for another."""

from __future__ import annotations

from typing import NewType

CardId = NewType("CardId", bytes)
"""8 random bytes: the card's pseudonym in the programme; never the UID, never a person."""

Uid = NewType("Uid", bytes)
"""7 bytes: the serial number of the chip, as the reader reports it."""

TerminalId = NewType("TerminalId", bytes)
"""8 random bytes naming a terminal for life."""

Station = NewType("Station", int)
"""0 to 16,777,215: a terminal's number in one epoch; 0 is the issuing station."""

SlotFile = NewType("SlotFile", int)
"""1 to 8: the value file of the card that holds one window of a purse."""

PurseNumber = NewType("PurseNumber", int)
"""1 to 255: never used for another purse of the programme."""

CARD_ID_SIZE_B = 8
UID_SIZE_B = 7
FIRST_SLOT = 1
LAST_SLOT = 8
MOST_SLOTS_A_PAYMENT = 3
MOST_LINES = 40
LONGEST_FAMILY_CODE = 24
