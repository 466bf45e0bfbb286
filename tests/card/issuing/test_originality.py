"""The maker's signature over the serial number: real chips' are known, everything else is told or refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.identity import Uid
from sync.crypto import verify_p224_unhashed
from sync.errors import BadSignature, Malformed
from terminal.nfc.issuing import NotGenuine, Originality, Policy
from terminal.nfc.issuing.originality import NXP_KEYS, check_originality, is_to_be_told
from tests.card.issuing.kit import UID, HeldCard, blank

# Serial numbers and signatures of real chips, published with the self-test of proxmark3's tools/recover_pk.py.
EV3, EV2, NTAG_424 = 0, 1, 2
REAL = [
    (
        EV3,
        "04448BD2DB6B80",
        "5CBB5632795C8F15263FEFB095B51C7B541AFD914A1AE44EF6FB8AF6"
        "05EDF13DBFEE6C3A2DB372245E671DFE0D42CB1F0D0B8FE67A89D2F6",
    ),
    (
        EV3,
        "04445DD2DB6B80",
        "166BFD9F9BFAA451172566101580DF9894F582C4A4E258C15037AD2F"
        "35A475CF1D7FB817618623A6569F991931AFB2766984E21A18512A6D",
    ),
    (
        EV2,
        "042A41CAE45380",
        "B2769F8DDB575AEA2A680ADCA8FFED4FAB81A1E9908E2B82FE0FABB6"
        "97BBD9B23835C416970E75768F12902ACA491349E94E6589EAF4F508",
    ),
    (
        EV2,
        "045640CAE45380",
        "D34B53A8C2C100D700DEA1C4C0D0DE4409F3A418CD8D57C4F41F146E"
        "42AD9A55F014199ABBF5CA259C7799DB0AE20D5E77D4950AC7E95D33",
    ),
    (
        NTAG_424,
        "0463474AA26A80",
        "27E9A50E6CA4BA9037C02F7D20A80D0284D0C1D83C67F5A5AC1D8A4E"
        "F86C9508417E4E9C6F85AA7920F0ABDED984CAF20467D66EA54BBF08",
    ),
]


class Maker:
    """Somebody who signs serial numbers as a chip maker does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP224R1())

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def signature(self, uid: Uid) -> bytes:
        signed = self._key.sign(uid.rjust(28, b"\x00"), ec.ECDSA(Prehashed(hashes.SHA224())))
        r, s = decode_dss_signature(signed)
        return r.to_bytes(28, "big") + s.to_bytes(28, "big")


MAKER = Maker()


def signed_card(signature: bytes, uid: Uid = UID) -> HeldCard:
    return blank(uid).doctored(lambda content: content.update(originality_signature=signature.hex().upper()))


@pytest.mark.parametrize(("key", "uid", "signature"), REAL, ids=lambda item: item if isinstance(item, str) else "")
def test_signatures_of_real_chips_hold_under_their_own_published_key_alone(key: int, uid: str, signature: str) -> None:
    number, signed = bytes.fromhex(uid), bytes.fromhex(signature)
    holding = []
    for candidate in NXP_KEYS:
        try:
            verify_p224_unhashed(candidate, number, signed)
        except BadSignature:
            continue
        holding.append(candidate)
    assert holding == [NXP_KEYS[key]]


@pytest.mark.parametrize(("key", "uid", "signature"), REAL[:4], ids=lambda item: item if isinstance(item, str) else "")
def test_a_card_that_shows_a_real_chips_signature_of_its_number_is_genuine(key: int, uid: str, signature: str) -> None:
    number = Uid(bytes.fromhex(uid))
    check_originality(signed_card(bytes.fromhex(signature), number).laid(), number)


@pytest.mark.parametrize("bit", [0, 223, 224, 447])
def test_one_wrong_bit_of_a_signature_is_seen(bit: int) -> None:
    uid = Uid(bytes.fromhex(REAL[0][1]))
    wrong = (int(REAL[0][2], 16) ^ 1 << bit).to_bytes(56, "big")
    with pytest.raises(NotGenuine):
        check_originality(signed_card(wrong, uid).laid(), uid)


def test_a_real_signature_over_another_number_is_seen() -> None:
    with pytest.raises(NotGenuine):
        check_originality(signed_card(bytes.fromhex(REAL[0][2])).laid(), UID)


@pytest.mark.parametrize("signature", [bytes(56), b"\xff" * 56, MAKER.signature(UID)], ids=["zeros", "ones", "another"])
def test_what_no_maker_of_ours_signed_is_refused_told_or_not_looked_at_as_configured(signature: bytes) -> None:
    card = signed_card(signature)
    before = card.text
    with pytest.raises(NotGenuine):
        is_to_be_told(card.laid(), UID, Originality())
    assert is_to_be_told(card.laid(), UID, Originality(Policy.WARN))
    link = card.laid()
    assert not is_to_be_told(link, UID, Originality(Policy.OFF))
    assert link.counters.apdus == 0
    assert card.text == before


def test_makers_keys_are_configuration() -> None:
    card = signed_card(MAKER.signature(UID))
    for policy in Policy:
        assert not is_to_be_told(card.laid(), UID, Originality(policy, (*NXP_KEYS, MAKER.public)))


def test_a_key_that_is_no_point_and_a_message_too_long_are_said_so() -> None:
    signature = MAKER.signature(UID)
    with pytest.raises(Malformed):
        verify_p224_unhashed(b"\x04" + bytes(56), UID, signature)
    with pytest.raises(Malformed):
        verify_p224_unhashed(MAKER.public, bytes(29), signature)
    with pytest.raises(BadSignature):
        verify_p224_unhashed(MAKER.public, UID, signature[:-1])
