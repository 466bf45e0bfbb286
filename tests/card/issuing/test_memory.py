"""The layout fits a 4K card with room to spare, counted in the card's own unit.

NXP publishes no table of DESFire's overheads. What is public:

- Memory is given in blocks of 32 bytes, a file takes at least one, and a backup file takes twice its size (LASSeO, the
  British local authorities' specification for Mifare DESFire, 2009, part "Elementary Data Files"). The spare record of
  a cyclic file is one of those ordered (MF2DL(H)x0 rev 3.3 §8.2.3).
- The upper seven bits of GetVersion's storage byte are an exponent of two, and its lowest bit 0 says that this is the
  exact size: 18 stands for 4,096 bytes.

What an application and a file take beside their content is not published; two counts bracket it.
"""

from __future__ import annotations

from math import ceil

import pytest

from sync.issuing import LOADED_AT_ISSUING
from terminal.nfc.apdu import ask
from terminal.nfc.channel import select_application
from terminal.nfc.issuing import NotAsOrdered
from terminal.nfc.issuing.layout import FileOrder, Kind, files_before_proof, proof_file
from tests.card.issuing.kit import HeldCard, application, blank, issued, order_for

BLOCK_B = 32
FOUR_K_B = 1 << (0x18 >> 1)
FILES = (*files_before_proof(LOADED_AT_ISSUING), proof_file())
KEYS = 5


def content_blocks(file: FileOrder) -> int:
    """Blocks of what a file holds: value and proof one, data by size (backup twice), records by size and number."""
    measures = file.settings.measures
    match file.settings.kind:
        case Kind.STANDARD:
            return ceil(int.from_bytes(measures[:3], "little") / BLOCK_B)
        case Kind.BACKUP:
            return 2 * ceil(int.from_bytes(measures[:3], "little") / BLOCK_B)
        case Kind.CYCLIC:
            size, count = int.from_bytes(measures[:3], "little"), int.from_bytes(measures[3:6], "little")
            return ceil(size * count / BLOCK_B)
        case _:
            return 1


def expected_b() -> int:
    """One block a file for its description, one a key of the application."""
    return BLOCK_B * (KEYS + len(FILES) + sum(content_blocks(file) for file in FILES))


def pessimistic_b() -> int:
    """Two blocks a key and eight for the application, two a file's description, and twice the place of everything a
    transaction changes.
    """
    application = 8 + 2 * KEYS
    files = sum(2 + content_blocks(file) * (1 if file.settings.kind is Kind.BACKUP else 2) for file in FILES)
    return BLOCK_B * (application + files)


def test_the_layout_has_the_twelve_files_it_is_counted_with() -> None:
    blocks = {file.number: content_blocks(file) for file in FILES}
    assert blocks == {**dict.fromkeys(range(1, 9), 1), 0x10: 9, 0x11: 28, 0x12: 3, 0x0F: 1}


def test_the_layout_is_estimated_at_2112_bytes() -> None:
    assert expected_b() == 2_112


def test_even_the_pessimistic_count_fits_a_4k_card() -> None:
    assert (pessimistic_b(), FOUR_K_B) == (3_584, 4_096)
    assert pessimistic_b() < FOUR_K_B


def free_b(card: HeldCard) -> int:
    """What a card says of its free memory (6E), in clear as anybody may ask."""
    link = card.laid()
    select_application(link, bytes(3))
    return int.from_bytes(ask(link.exchange, 0x6E).data, "little")


def test_the_virtual_cards_author_counts_no_more_than_the_pessimistic_count() -> None:
    used_b = free_b(blank()) - free_b(issued(order_for()))
    assert 0 < used_b <= pessimistic_b()
    assert used_b % BLOCK_B == 0


def test_a_chip_whose_memory_something_else_has_eaten_is_named_for_it_and_not_left_as_a_card() -> None:
    """What an application took is lost when it is deleted, until the chip is formatted."""
    card = blank()
    eaten_b = free_b(card) - 1_024
    card.doctored(lambda content: content.update(deleted_b=eaten_b))
    assert free_b(card) == 1_024
    with pytest.raises(NotAsOrdered, match="memory"):
        card.issue(order_for())
    assert "0F" not in application(card.state)["files"]
