"""The keys on a card are those of NXP AN10922 §2.2 under docs/formats/card.md, computed here a second way."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from domain.identity import CardId, Uid
from sync.issuing import PICC_MASTER, TMAC_KEY
from tests.card.issuing.kit import AID, CARD, NUMBERS, PROGRAMME, UID, application, issued, order_for

MASTERS = {number: bytes([0xA0 ^ number]) * 16 for number in NUMBERS}


def diversified(master: bytes, text: bytes) -> bytes:
    """AN10922 for AES-128. For 17 to 32 bytes its padding is that of CMAC itself."""
    message = b"\x01" + text
    assert 17 <= len(message) <= 32
    mac = CMAC(AES(master))
    mac.update(message)
    return mac.finalize()


def test_every_key_on_the_card_is_its_masters_key_diversified() -> None:
    card = issued(order_for())
    programme = PROGRAMME.encode().ljust(12, b"\x00")
    content = card.state
    keys = application(content)["keys"]
    for number in range(5):
        assert bytes.fromhex(keys[number]["key"]) == diversified(
            MASTERS[number], UID + AID + bytes([number]) + programme
        )
        assert keys[number]["key_version"] == 1
    of_chip = diversified(MASTERS[PICC_MASTER], UID + bytes(3) + b"\x80" + programme)
    assert (content["picc"]["key_type"], bytes.fromhex(content["picc"]["key"])) == ("AES", of_chip)
    assert content["picc"]["key_version"] == 1
    of_proof = diversified(MASTERS[TMAC_KEY], UID + AID + b"\xf0" + programme + CARD)
    assert bytes.fromhex(application(content)["files"]["0F"]["key"]) == of_proof


def test_no_two_keys_are_alike_on_one_card_or_on_two() -> None:
    orders = [order_for(), order_for(uid=Uid(b"\x04" + bytes(5) + b"\x01"))]
    keys = [key for order in orders for key in order.keys.values()]
    assert len(set(keys)) == len(keys)


def test_a_second_card_id_on_the_same_chip_has_another_key_for_its_proofs() -> None:
    first, second = order_for(), order_for(card=CardId(b"replaced"))
    assert first.keys[TMAC_KEY] != second.keys[TMAC_KEY]
