"""Keys in a PKCS#11 token: made inside, used inside, never out. Against SoftHSM 2, Debian's token in software."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from central.keys import KeysClosed, KeysDamaged, TokenFault, WrongPin, load_keys
from central.keys.making import (
    TokenChoice,
    make_kept_keys,
    put_pin,
    remove_custodian,
    rotate_entitlements,
)
from central.keys.plan import Place
from central.keys.ring import REFUSED_PIN_FILE, RING_FILE, read_ring, unseal_ring, write_ring
from central.keys.vaults import CARD_KEY_NUMBERS, content_of_pin, pin_of
from domain.identity import CardId, Uid
from sync.card_format import decode_entitlement
from sync.crypto import diversify, verify
from sync.errors import Malformed
from sync.issuing import TMAC_KEY
from tests.central.keys_kit import ANNE, BRUNO, CHEAP, KEEPERS, TWO, kept_centre, opened
from tests.central.kit import MORNING, new_card, new_stall

MODULE = next(
    (
        place
        for place in (
            Path("/usr/lib/softhsm/libsofthsm2.so"),
            *Path("/usr/lib").glob("*/softhsm/libsofthsm2.so"),
        )
        if place.exists()
    ),
    None,
)
pytestmark = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None,
    reason="no token in software here: the Debian package softhsm2 is not installed",
)
MESSAGE = b"a message"
PIN, SO_PIN = "246813", "97531864"
TOKENS = 20
"""SoftHSM sees only tokens that were there when it was loaded."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SOFTHSM2_CONF", str(folder / "conf"))
        for number in range(TOKENS):
            argv = ["softhsm2-util", "--init-token", "--free", "--label", f"jeton-{number}"]
            subprocess.run([*argv, "--pin", PIN, "--so-pin", SO_PIN], check=True, capture_output=True)
        yield (f"jeton-{number}" for number in range(TOKENS))


@pytest.fixture
def place(pool: Iterator[str]) -> Place:
    """A token nothing was made in yet."""
    return Place(str(MODULE), next(pool))


@pytest.fixture
def keys_folder(tmp_path: Path, place: Place) -> Path:
    make_kept_keys(tmp_path / "keys", KEEPERS, MORNING, money=TokenChoice(place, PIN), cost=CHEAP)
    return tmp_path / "keys"


def session(place: Place, pin: str) -> Any:
    """A look into a token beside our own door, as a thief with the PIN would have."""
    import pkcs11

    return pkcs11.lib(place.module).get_token(token_label=place.label).open(user_pin=pin)


def sealed_pin(folder: Path) -> str:
    content = unseal_ring(read_ring(folder), TWO).money
    assert content is not None
    return pin_of(content)


def test_an_entitlement_signed_in_the_token_is_one_for_every_stall(tmp_path: Path, place: Place) -> None:
    office = kept_centre(tmp_path / "centre", money=TokenChoice(place, PIN))
    anne, stall = new_card(office, 1), new_stall(office)
    word = stall.entitlements[anne.card]
    assert word.entitlement.slots[0].limit == 4_000
    assert decode_entitlement(word.data, anne.order.uid, office.keys.public().entitlements.get) == word
    stall.pay(anne, 500)
    assert stall.send(office).dispositions == ()
    office.keys.close()


def test_threads_share_one_token(keys_folder: Path) -> None:
    keys = load_keys(keys_folder, TWO)
    sign, messages = keys.entitlement_signer(), [number.to_bytes(4, "big") for number in range(80)]
    with ThreadPoolExecutor(8) as threads:
        signatures = list(threads.map(sign, messages))
    for message, signature in zip(messages, signatures, strict=True):
        verify(keys.public_key("entitlements"), message, signature)
    keys.close()


def test_a_key_in_the_token_cannot_be_taken_out(keys_folder: Path, place: Place) -> None:
    import pkcs11
    from pkcs11 import Attribute, ObjectClass

    inside = session(place, sealed_pin(keys_folder))
    found = list(inside.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))
    assert sorted(key[Attribute.LABEL] for key in found) == ["panier-entitlements-1", "panier-root-1"]
    for key in found:
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE], key[Attribute.NEVER_EXTRACTABLE]) == (
            True,
            False,
            True,
        )
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]
        with pytest.raises(pkcs11.PKCS11Error):
            key[Attribute.EXTRACTABLE] = True
    inside.close()


def test_a_key_that_can_leave_its_token_is_not_used(keys_folder: Path, place: Place) -> None:
    from pkcs11 import Attribute, KeyType, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    pin = sealed_pin(keys_folder)
    import pkcs11

    inside = pkcs11.lib(place.module).get_token(token_label=place.label).open(rw=True, user_pin=pin)
    for key in list(inside.get_objects({Attribute.LABEL: "panier-entitlements-1"})):
        key.destroy()
    curve = inside.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    curve.generate_keypair(
        store=True,
        label="panier-entitlements-1",
        capabilities=MechanismFlag.SIGN,
        private_template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False},
    )
    inside.close()
    with pytest.raises(TokenFault, match="peut sortir du jeton"):
        load_keys(keys_folder, TWO)


def test_another_key_under_the_same_name_is_not_this_centres(keys_folder: Path, place: Place) -> None:
    from central.keys.token import TokenVault

    vault = TokenVault(place, sealed_pin(keys_folder))
    vault.make_signing_key("entitlements", 1)
    vault.close()
    with pytest.raises(KeysDamaged, match="mauvais jeton"):
        load_keys(keys_folder, TWO)


def test_the_pin_is_one_nobody_has_seen_and_takes_two_to_unseal(keys_folder: Path, place: Place) -> None:
    import pkcs11

    pin = sealed_pin(keys_folder)
    assert len(pin) == 16 and pin != PIN
    with pytest.raises(pkcs11.PinIncorrect):
        session(place, PIN)
    assert not any(pin.encode() in found.read_bytes() for found in keys_folder.iterdir())
    assert unseal_ring(read_ring(keys_folder), {"anne": ANNE}).money is None
    keys = load_keys(keys_folder, TWO)
    assert pin not in repr(keys) + repr(keys.money)
    with pytest.raises(TypeError):
        pickle.dumps(keys.money)
    keys.close()
    remove_custodian(keys_folder, TWO, "chantal")
    keys = load_keys(keys_folder, TWO)
    verify(keys.public_key("entitlements"), MESSAGE, keys.entitlement_signer()(MESSAGE))
    keys.close()


def _with_pin(folder: Path, pin: str) -> None:
    """Seal another PIN, as when the token's was changed elsewhere."""
    ring, contents = read_ring(folder), unseal_ring(read_ring(folder), TWO)
    assert contents.daily is not None
    write_ring(folder, ring.plan, contents.daily, content_of_pin(pin), ring.centre_keys)


def test_a_wrong_pin_is_said_in_a_sentence_and_never_tried_twice(keys_folder: Path, place: Place) -> None:
    from pkcs11 import TokenFlag, lib

    def token() -> Any:
        return lib(place.module).get_token(token_label=place.label)

    right = sealed_pin(keys_folder)
    _with_pin(keys_folder, "111111")
    with pytest.raises(WrongPin, match="refuse le code PIN"):
        load_keys(keys_folder, TWO)
    after_one = token().flags
    for _ in range(20):
        with pytest.raises(WrongPin, match="déjà refusé ce code PIN"):
            load_keys(keys_folder, TWO)
    assert token().flags == after_one
    assert not after_one & (TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_FINAL_TRY)
    with pytest.raises(WrongPin):
        put_pin(keys_folder, TWO, "money", "222222")
    put_pin(keys_folder, TWO, "money", right)
    assert not (keys_folder / REFUSED_PIN_FILE).exists()
    keys = load_keys(keys_folder, TWO)
    verify(keys.public_key("entitlements"), MESSAGE, keys.entitlement_signer()(MESSAGE))
    keys.close()


def test_the_mark_of_a_refused_pin_does_not_tell_it(keys_folder: Path) -> None:
    _with_pin(keys_folder, "111111")
    first = read_ring(keys_folder).money
    with pytest.raises(WrongPin):
        load_keys(keys_folder, TWO)
    mark = (keys_folder / REFUSED_PIN_FILE).read_bytes()
    _with_pin(keys_folder, "111111")
    assert read_ring(keys_folder).money != first
    with pytest.raises(WrongPin, match="refuse le code PIN"):
        load_keys(keys_folder, TWO)
    assert (keys_folder / REFUSED_PIN_FILE).read_bytes() != mark


def test_a_token_that_is_not_plugged_in_is_named(keys_folder: Path, place: Place) -> None:
    ring, contents = read_ring(keys_folder), unseal_ring(read_ring(keys_folder), TWO)
    assert contents.daily is not None and contents.money is not None
    from dataclasses import replace

    elsewhere = replace(ring.plan, money=Place(place.module, "jeton perdu"))
    write_ring(keys_folder, elsewhere, contents.daily, contents.money, ring.centre_keys)
    with pytest.raises(TokenFault, match="jeton perdu"):
        load_keys(keys_folder, TWO)
    nowhere = replace(ring.plan, money=Place("/nonexistent/token.so", "jeton"))
    write_ring(keys_folder, nowhere, contents.daily, contents.money, ring.centre_keys)
    with pytest.raises(TokenFault, match=r"pas de module PKCS#11 en /nonexistent/token\.so"):
        load_keys(keys_folder, TWO)


def test_a_wrong_pin_at_the_making_leaves_no_keys_behind(tmp_path: Path, place: Place) -> None:
    with pytest.raises(WrongPin):
        make_kept_keys(tmp_path / "keys", TWO, MORNING, money=TokenChoice(place, "000000"), cost=CHEAP)
    assert not (tmp_path / "keys").exists()


def test_both_kinds_of_keys_never_share_a_token(tmp_path: Path, place: Place) -> None:
    both = TokenChoice(place, PIN)
    with pytest.raises(ValueError, match="un autre jeton"):
        make_kept_keys(tmp_path / "keys", TWO, MORNING, both, both, CHEAP)


def test_a_rotation_destroys_the_old_key_inside_the_token(tmp_path: Path, place: Place) -> None:
    office = kept_centre(tmp_path / "centre", money=TokenChoice(place, PIN))
    anne, stall = new_card(office, 1), new_stall(office)
    old = stall.entitlements[anne.card]
    office.keys.close()
    folder = tmp_path / "centre" / "keys"
    assert rotate_entitlements(folder, TWO, MORNING) == 2
    after = opened(tmp_path / "centre", TWO)
    assert after.keys.money is not None
    verify(after.keys.public().entitlements[2], MESSAGE, after.keys.entitlement_signer()(MESSAGE))
    with pytest.raises(KeysClosed, match="entitlements-1"):
        after.keys.money.sign("entitlements", 1, MESSAGE)
    assert decode_entitlement(old.data, anne.order.uid, after.keys.public().entitlements.get) == old
    after.keys.close()


def test_a_rotation_cut_short_begins_again(keys_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(_self: Path, _target: Path) -> Path:
        raise OSError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", power_cut)
        with pytest.raises(OSError, match="power cut"):
            rotate_entitlements(keys_folder, TWO, MORNING)
    keys = load_keys(keys_folder, TWO)
    verify(keys.public().entitlements[1], MESSAGE, keys.entitlement_signer()(MESSAGE))
    keys.close()
    assert rotate_entitlements(keys_folder, TWO, MORNING) == 2


def test_card_keys_come_out_of_master_keys_that_stay_in_the_token(tmp_path: Path, place: Place) -> None:
    from pkcs11 import Attribute, ObjectClass

    make_kept_keys(tmp_path / "keys", TWO, MORNING, daily=TokenChoice(place, PIN, keeps_pin=True), cost=CHEAP)
    keys = load_keys(tmp_path / "keys", {"anne": ANNE})
    uid, card = Uid(bytes.fromhex("04112233445566")), CardId(b"pseudony")
    made = {number: keys.card_key(number, uid, b"abc", "gers", card) for number in CARD_KEY_NUMBERS}
    assert len(set(made.values())) == len(CARD_KEY_NUMBERS)
    assert made == {number: keys.card_key(number, uid, b"abc", "gers", card) for number in CARD_KEY_NUMBERS}
    inside = session_without_login(place)
    for key in inside.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}):
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
    inside.close()
    keys.close()


def session_without_login(place: Place) -> Any:
    """A further session of this program, which is logged in already."""
    import pkcs11

    return pkcs11.lib(place.module).get_token(token_label=place.label).open()


@pytest.mark.parametrize("size_b", [16, 23, 30, 31])
def test_a_token_diversifies_as_an10922_says(size_b: int, imported: tuple[Any, bytes]) -> None:
    vault, master = imported
    text = bytes(range(size_b))
    assert vault.card_key(TMAC_KEY, text) == diversify(master, text)


@pytest.mark.parametrize("size_b", [0, 15, 32])
def test_a_token_refuses_an_input_it_would_diversify_otherwise(size_b: int, imported: tuple[Any, bytes]) -> None:
    with pytest.raises(Malformed):
        imported[0].card_key(TMAC_KEY, bytes(size_b))


@pytest.fixture(scope="module")
def imported(pool: Iterator[str]) -> Iterator[tuple[Any, bytes]]:
    """A token vault with a master key that is known here, put in from outside."""
    import pkcs11
    from pkcs11 import Attribute, KeyType, ObjectClass

    from central.keys.token import TokenVault

    place, master = Place(str(MODULE), next(pool)), bytes(range(100, 116))
    inside = pkcs11.lib(place.module).get_token(token_label=place.label).open(rw=True, user_pin=PIN)
    inside.create_object(
        {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.VALUE: master,
            Attribute.LABEL: f"panier-master-{TMAC_KEY:02X}",
            Attribute.TOKEN: True,
            Attribute.SIGN: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        }
    )
    inside.close()
    vault = TokenVault(place, PIN)
    yield vault, master
    vault.close()


def test_master_keys_are_not_made_over_others(place: Place) -> None:
    from central.keys.token import TokenVault

    vault = TokenVault(place, PIN)
    vault.make_master(TMAC_KEY)
    with pytest.raises(TokenFault, match="prenez-en un vide"):
        vault.make_master(TMAC_KEY)
    vault.close()


def test_the_command_line_never_has_the_pin_in_an_argument(tmp_path: Path, place: Place) -> None:
    for name, content in (("anne", ANNE), ("bruno", BRUNO), ("pin", PIN.encode())):
        (tmp_path / name).write_bytes(content + b"\n")
        (tmp_path / name).chmod(0o600)
    argv = [sys.executable, "-m", "panier", "central", "keys", "init", "--dir", str(tmp_path / "centre")]
    for name in ("anne", "bruno"):
        argv += ["--custodian-file", f"{name}={tmp_path / name}"]
    argv += ["--module", place.module, "--money-token", place.label, "--money-pin-file", str(tmp_path / "pin")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    pin = sealed_pin(tmp_path / "centre" / "keys")
    assert pin not in done.stdout + done.stderr
    argv = [sys.executable, "-m", "panier", "central", "keys", "status", "--dir", str(tmp_path / "centre")]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert f"jeton « {place.label} »" in said.stdout
    assert [found.name for found in (tmp_path / "centre" / "keys").iterdir()] == [RING_FILE]
