"""Wrapped native APDUs, frame limits and the chaining of long answers (ISO/IEC 7816-4, MF2DL(H)x0 section 8.3)."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from emulator.status import Refused, Status

CLA_NATIVE = 0x90
ADDITIONAL_FRAME = 0xAF
ISO_CHAINED = frozenset({0xAD, 0xAB, 0x8D, 0x8B})
"""Instructions whose APDU may span ISO-DEP blocks."""
AF_CHAINED = frozenset({0x3D, 0x3B})
"""Instructions whose data may continue in AF frames."""

FSC_B = 64
_BLOCK_OVERHEAD_B = 3  # protocol control byte and CRC of an ISO-DEP block
_WRAPPER_B = 6  # 90 INS 00 00 Lc … 00
FRAME_DATA_B = FSC_B - _BLOCK_OVERHEAD_B - _WRAPPER_B
FRAME_ANSWER_B = FSC_B - _BLOCK_OVERHEAD_B - 2
SHORT_ANSWER_B = 256

SW_CLASS_UNKNOWN = b"\x6e\x00"
SW_OK = b"\x90\x00"
SW_NOT_FOUND = b"\x6a\x82"
SW_WRONG_LENGTH = b"\x67\x00"


@dataclass(frozen=True, slots=True)
class NativeCommand:
    """An unwrapped native command or continuation."""

    ins: int
    body: bytes


def unwrap(apdu: bytes) -> NativeCommand:
    """Read `90 INS 00 00 [Lc data] 00`; refused when the lengths do not fit or a frame is too long for the card."""
    ins = apdu[1]
    if apdu[2:4] != b"\x00\x00":
        raise Refused(Status.PARAMETER_ERROR)
    if len(apdu) == 5 and apdu[4] == 0:
        return NativeCommand(ins, b"")
    body = apdu[5:-1]
    if len(apdu) < 7 or apdu[4] != len(body) or apdu[-1] != 0:
        raise Refused(Status.LENGTH_ERROR)
    if ins not in ISO_CHAINED and len(body) > FRAME_DATA_B:
        raise Refused(Status.LENGTH_ERROR)
    return NativeCommand(ins, body)


def answer_frames(ins: int, payload: bytes, frames_b: tuple[int, ...]) -> list[bytes]:
    """Cut an answer into the frames the reader must ask for one after another.

    `frames_b`: where the command has frames of its own, their lengths; what follows goes with the last one. The ISO-DEP
    chained instructions answer in one APDU or not at all.
    """
    if ins in ISO_CHAINED:
        if len(payload) > SHORT_ANSWER_B:
            raise Refused(Status.LENGTH_ERROR)
        return [payload]
    if frames_b:
        ends = [*accumulate(frames_b[:-1]), len(payload)]
        return [payload[start:end] for start, end in pairwise([0, *ends])]
    return [payload[at : at + FRAME_ANSWER_B] for at in range(0, len(payload), FRAME_ANSWER_B)] or [b""]
