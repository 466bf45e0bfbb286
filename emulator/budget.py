"""How much of a 4K card its applications and files take.

Published: 4,864 bytes are free on an empty card (for the EV1; the data sheets of EV2 and EV3 are not public), memory is
given out in blocks of 32 bytes, a backup file has its content twice. Guessed: one block for what a card must know of
each file, and for an application one block, another for its ISO names, and its keys, chosen so that the layout of the
card design takes the 2,112 bytes reckoned there; that what a deleted file took comes back with FormatPICC only.
"""

from emulator.memory import Application, CardFile, CardMemory, CyclicFile, DataFile, TmacFile, ValueFile
from emulator.status import Refused, Status

CAPACITY_B = 4864
_BLOCK_B = 32
_KEY_B = 16


def free_b(memory: CardMemory) -> int:
    """Bytes that are still free, a whole number of blocks."""
    taken_b = sum(_application_b(application) for application in memory.applications.values())
    return CAPACITY_B - taken_b - memory.deleted_b


def require_room(memory: CardMemory) -> None:
    """Refuse a memory that no longer fits on the card."""
    if free_b(memory) < 0:
        raise Refused(Status.OUT_OF_MEMORY)


def file_b(file: CardFile) -> int:
    """Bytes one file takes, its own block included."""
    match file:
        case DataFile():
            return _BLOCK_B + _blocks_b(len(file.content)) * (2 if file.is_backup else 1)
        case CyclicFile():
            return _BLOCK_B + _blocks_b(file.record_b * file.max_records)
        case ValueFile() | TmacFile():
            return 2 * _BLOCK_B


def _application_b(application: Application) -> int:
    named = application.iso_file_id or application.df_name
    own_b = _BLOCK_B + (_BLOCK_B if named else 0) + _blocks_b(len(application.keys) * _KEY_B)
    return own_b + sum(file_b(file) for file in application.files.values())


def _blocks_b(content_b: int) -> int:
    return content_b + -content_b % _BLOCK_B
