"""The 64 bytes that tell later how far the journal had come: a lost suffix is noticed, not silently forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sync.crypto import sha256

WITNESS_SIZE_B: Final = 64


@dataclass(frozen=True, slots=True)
class Witness:
    """The end of the chain after a commit: number and hash of the last record."""

    seq: int
    hash: bytes


def encode_witness(witness: Witness, commits: int) -> bytes:
    """Commits 8 ‖ seq 8 ‖ hash 32 ‖ first 16 bytes of the SHA-256 of these."""
    body = commits.to_bytes(8, "big") + witness.seq.to_bytes(8, "big") + witness.hash
    return body + sha256(body)[:16]


def decode_witness(data: bytes) -> tuple[Witness, int] | None:
    """What was seen and after how many commits, or ``None`` where the bytes do not hold (a torn or missing file)."""
    body = data[: WITNESS_SIZE_B - 16]
    if len(data) != WITNESS_SIZE_B or sha256(body)[:16] != data[WITNESS_SIZE_B - 16 :]:
        return None
    return Witness(int.from_bytes(body[8:16], "big"), body[16:]), int.from_bytes(body[:8], "big")
