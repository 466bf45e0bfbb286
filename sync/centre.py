"""The one thing a terminal asks of a centre."""

from __future__ import annotations

from typing import Protocol


class Centre(Protocol):
    """A way to the centre: HTTPS, a stick, or a direct call."""

    def exchange(self, batch: bytes) -> tuple[bytes, bytes]:
        """Send a batch (its head carries the nonce); get the signed answer and a bundle of downloads (may be empty).

        Raises:
            CentreUnreachable: nothing usable came back; the batch may or may not have arrived.
        """
        ...
