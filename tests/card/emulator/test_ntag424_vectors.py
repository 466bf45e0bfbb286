"""The virtual tag answers NXP's worked examples byte for byte (AN12196 rev 2.0, table numbers of that revision).

The values come from public transcriptions of the note, not from the note itself; a slip in one would break its MAC.
"""

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA224
from ntag_host import CC, NDEF, NTAG_UID, at_application, new_tag
from virtual_card_host import ZERO

from emulator.crypto import originality_public_key
from emulator.memory import AccessRights, CardKey, CommMode
from emulator.messaging import Ev2Session
from emulator.ntag424.card import VirtualNtag

NXP_PUBLIC_KEY = bytes.fromhex(
    "048A9B380AF2EE1B98DC417FECC263F8449C7625CECE82D9B916C992DA209D68422B81EC20B65A66B5102A61596AF3379200599316A00A1410"
)
TABLE_17_CIPHERTEXT = (
    "421C73A27D827658AF481FDFF20A5025B559D0E3AA21E58D347F343CFFC768BFE596C706BC00F2176781D4B0242642A0FF5A42C461AAF894"
    "D9A1284B8C76BCFA658ACD40555D362E08DB15CF421B51283F9064BCBE20E96CAE545B407C9D651A3315B27373772E5DA2367D2064AE054A"
    "F996C6F1F669170FA88CE8C4E3A4A7BBBEF0FD971FF532C3A802AF745660F2B4"
)


def _in_session(enc: str, mac: str, ti: str, counter: int, key_no: int = 0) -> VirtualNtag:
    """A tag in the session an example starts from."""
    tag = new_tag()
    at_application(tag)
    tag._state.session = Ev2Session(key_no, *(bytes.fromhex(part) for part in (enc, mac, ti)), counter)
    return tag


def _answer(tag: VirtualNtag, apdu: str) -> str:
    return tag.transceive(bytes.fromhex(apdu)).hex().upper()


def _set_file(tag: VirtualNtag, number: int, mode: CommMode, rights: str, sdm: str = "") -> None:
    file = tag.memory.files[number]
    wire = AccessRights.from_wire(bytes.fromhex(rights))
    changed = replace(file, mode=mode, rights=wire, sdm=bytes.fromhex(sdm))
    tag._state.keep(tag.memory.with_file(number, changed))


def test_table_14_the_first_authentication() -> None:
    drawn = [bytes.fromhex("B9E2FC789B64BF237CCCAA20EC7E6E48"), bytes.fromhex("9D00C4DF")]
    tag = VirtualNtag.blank(NTAG_UID, entropy=lambda _size: drawn.pop(0))
    at_application(tag)
    assert _answer(tag, "9071000002000000") == "A04C124213C186F22399D33AC2A3021591AF"
    proof = _answer(tag, "90AF00002035C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D00")
    assert proof == "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F081206639100"
    session = tag._state.session
    assert isinstance(session, Ev2Session)
    assert session.enc_key.hex().upper() == "1309C877509E5A215007FF0ED19CA564"
    assert session.mac_key.hex().upper() == "4C6626F5E72EA694202139295C7A7FC7"


def test_tables_17_and_18_a_ciphered_write_and_new_file_settings() -> None:
    tag = _in_session("1309C877509E5A215007FF0ED19CA564", "4C6626F5E72EA694202139295C7A7FC7", "9D00C4DF", 0)
    _set_file(tag, NDEF, CommMode.FULL, "00E0")
    written = _answer(tag, "908D00009F02000000800000" + TABLE_17_CIPHERTEXT + "D1D9A8499661EBF300")
    assert written == "FC222E5F7A5424529100"
    content = tag.memory.files[NDEF].content
    assert content[:0x53] == (b"\x00\x51\xd1\x01\x4d\x55\x04choose.url.com/ntag424?e=" + b"0" * 32 + b"&c=" + b"0" * 16)
    assert not any(content[0x53:])
    changed = _answer(tag, "905F0000190261B6D97903566E84C3AE5274467E89EAD799B7C1A0EF7A0400")
    assert changed == "57BFF87B1241E93D9100"
    file = tag.memory.files[NDEF]
    assert (file.mode, file.rights.to_wire(), file.sdm.hex().upper()) == (
        CommMode.PLAIN,
        b"\x00\xe0",
        "C1F121200000430000430000",
    )


def test_tables_24_to_26_a_plain_write_between_and_two_new_keys() -> None:
    tag = _in_session("4CF3CB41A22583A61E89B158D252FC53", "5529860B2FC5FB6154B7F28361D30BF9", "7614281A", 1)
    assert _answer(tag, "908D000019010E0000120000FF0506E1050080828300000000000000000000") == "9100"
    assert tag.memory.files[CC].content.hex().upper() == "001720010000FF0406E104010000" + (
        "FF0506E10500808283000000000000000000"
    )
    key_2 = _answer(
        tag,
        "90C4000029022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC75D0CE20BCD1D06E600",
    )
    assert key_2 == "203BB55D1089D5879100"
    key_0 = _answer(
        tag,
        "90C400002900C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FDA6610234BDED643200",
    )
    assert key_0 == "9100"
    assert tag.memory.keys[2] == CardKey(bytes.fromhex("F3847D627727ED3BC9C4CC050489B966"), 1)
    assert tag.memory.keys[0] == CardKey(bytes.fromhex("5004BF991F408672B1EF00F08F9E8647"), 1)
    assert tag.memory.keys[1] == CardKey(ZERO)
    assert tag._state.session is None


def test_table_7_file_settings_under_mac() -> None:
    tag = _in_session("00" * 16, "8248134A386E86EB7FAF54A52E536CB6", "7A21085E", 0)
    _set_file(tag, NDEF, CommMode.PLAIN, "EEEE", "D1FE001F00004400004400002000006A0000")
    answer = _answer(tag, "90F5000009026597A457C8CD442C00")
    assert answer == "0040EEEE000100D1FE001F00004400004400002000006A0000" + "2A474282E7A47986" + "9100"


def test_table_28_the_uid_enciphered() -> None:
    tag = _in_session("2B4D963C014DC36F24F69A50A394F875", "379D32130CE61705DD5FD8C36B95D764", "DF055522", 0)
    answer = _answer(tag, "90510000088E2C155ADDA99BE300")
    assert answer == "70756055688505B52A5E26E59E329CD6595F672298EA41B79100"


def _verify(public: bytes, uid: bytes, signature: bytes) -> None:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), public)
    r, s = (int.from_bytes(half, "big") for half in (signature[:28], signature[28:]))
    key.verify(encode_dss_signature(r, s), bytes(21) + uid, ec.ECDSA(Prehashed(SHA224())))


def test_the_originality_signature_has_the_form_of_real_ones_under_a_key_of_its_own() -> None:
    uid = bytes.fromhex("04518DFAA96180")  # AN12196, the asymmetric originality check
    real = bytes.fromhex(
        "D1940D17CFEDA4BFF80359AB975F9F6514313E8F90C1D3CAAF5941AD744A1CDF9A83F883CAFE0FE95D1939B1B7E47113993324473B785D21"
    )
    ours = VirtualNtag.blank(uid).memory.originality_signature
    _verify(NXP_PUBLIC_KEY, uid, real)
    _verify(originality_public_key(), uid, ours)
    assert ours == VirtualNtag.blank(uid).memory.originality_signature
    for public, signature in ((NXP_PUBLIC_KEY, ours), (originality_public_key(), real)):
        with pytest.raises(InvalidSignature):
            _verify(public, uid, signature)
    with pytest.raises(InvalidSignature):
        _verify(originality_public_key(), NTAG_UID, ours)
