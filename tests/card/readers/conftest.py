"""Cards issued for a stall, as the host's tests have them."""

from __future__ import annotations

from tests.card.host.conftest import issued_file, stall

__all__ = ["issued_file", "stall"]
