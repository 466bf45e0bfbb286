"""The number a card with random ID gives in anticollision (ISO/IEC 14443-3: 4 bytes, the first one 08)."""

from collections.abc import Callable

_RANDOM_ID_B = 4


def random_id(entropy: Callable[[int], bytes]) -> bytes:
    """Draw a new number."""
    return b"\x08" + entropy(_RANDOM_ID_B - 1)
