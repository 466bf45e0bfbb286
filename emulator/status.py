"""Status codes of a DESFire card and how a command inside the card refuses."""

from enum import IntEnum


class Status(IntEnum):
    """The byte after 91 in an answer (MF2DL(H)x0, status codes)."""

    OK = 0x00
    COMMAND_NOT_FOUND = 0x0B
    NO_CHANGES = 0x0C
    OUT_OF_MEMORY = 0x0E
    ILLEGAL_COMMAND = 0x1C
    INTEGRITY_ERROR = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH_ERROR = 0x7E
    SIGNATURE_OK = 0x90
    PERMISSION_DENIED = 0x9D
    PARAMETER_ERROR = 0x9E
    APPLICATION_NOT_FOUND = 0xA0
    AUTHENTICATION_ERROR = 0xAE
    ADDITIONAL_FRAME = 0xAF
    BOUNDARY_ERROR = 0xBE
    COMMAND_ABORTED = 0xCA
    DUPLICATE = 0xDE
    FILE_NOT_FOUND = 0xF0


class Refused(Exception):
    """The card answers a command with an error status; it never leaves `VirtualCard.transceive`."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status
