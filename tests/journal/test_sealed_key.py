"""The device key at rest: who opens it, who does not, and how long a guesser waits."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.cbor import decode_map, encode
from sync.crypto import PrivateKey, new_private_key, private_key_pem, public_bytes
from terminal.errors import JournalDamaged, KeysSealed, WrongPin
from terminal.offline_queue import sealed_key
from terminal.offline_queue.sealed_key import (
    CLEAR_KEY_FILE,
    DEVICE_SECRET_FILE,
    SEAL_CREDENTIAL,
    SEALED_KEY_FILE,
    Costs,
    Part,
    Unlock,
    device_key_of,
    device_key_without_pin,
    given_credential,
    own_device_key,
    seal_device_key,
    seal_of,
)
from terminal.offline_queue.small_files import write_durably
from terminal.offline_queue.wrong_pins import wrong_so_far

PIN = Unlock(pin="742 953")
CREDENTIAL = Unlock(credential=bytes(range(32)))
ALONE = Unlock()
WAYS = {
    "PIN": PIN,
    "credential": CREDENTIAL,
    "device alone": ALONE,
    "both": Unlock("742 953", bytes(range(32))),
}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_key, "FOR_A_PIN", Costs(64, 1, 1))


def same(one: PrivateKey | None, other: PrivateKey | None) -> bool:
    return one is not None and other is not None and public_bytes(one) == public_bytes(other)


def no_pause(_seconds: float) -> None:
    raise AssertionError("nobody waits here")


@pytest.mark.parametrize("unlock", WAYS.values(), ids=WAYS)
def test_the_key_is_made_once_and_opened_by_what_sealed_it(tmp_path: Path, unlock: Unlock) -> None:
    made = own_device_key(tmp_path, unlock)
    assert same(device_key_of(tmp_path, unlock, no_pause), made)
    assert same(own_device_key(tmp_path, unlock), made)


@pytest.mark.parametrize("unlock", WAYS.values(), ids=WAYS)
def test_nothing_that_lies_there_holds_the_key_and_only_the_owner_may_read(tmp_path: Path, unlock: Unlock) -> None:
    key = own_device_key(tmp_path, unlock)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not [form for form in forms_of(key) if form in content]


def forms_of(key: PrivateKey) -> list[bytes]:
    """What a private key looks like on a medium: raw both ways round, in hex, as PEM."""
    number = key.private_numbers().private_value
    raw = number.to_bytes(32, "big")
    lines = private_key_pem(key).splitlines()[1:-1]
    return [raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), *lines]


@pytest.mark.parametrize(
    ("sealed_with", "tried"),
    [
        (PIN, Unlock(pin="742 954")),
        (WAYS["both"], Unlock("742 953", bytes(32))),
        (WAYS["both"], Unlock("742 954", bytes(range(32)))),
    ],
    ids=["PIN", "credential behind the right PIN", "PIN before the right credential"],
)
def test_a_wrong_pin_opens_nothing(tmp_path: Path, sealed_with: Unlock, tried: Unlock) -> None:
    own_device_key(tmp_path, sealed_with)
    with pytest.raises(WrongPin):
        device_key_of(tmp_path, tried)


def test_without_what_sealed_it_the_key_stays_closed_and_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    for name, unlock in WAYS.items():
        (tmp_path / name).mkdir()
        own_device_key(tmp_path / name, unlock)
    with pytest.raises(KeysSealed, match="PIN"):
        device_key_of(tmp_path / "PIN", ALONE)
    with pytest.raises(KeysSealed, match="systemd"):
        device_key_of(tmp_path / "credential", ALONE)
    with pytest.raises(KeysSealed, match="un autre secret"):
        device_key_of(tmp_path / "credential", Unlock(credential=bytes(32)))
    (tmp_path / "device alone" / DEVICE_SECRET_FILE).unlink()
    with pytest.raises(KeysSealed, match="rebranchez"):
        device_key_of(tmp_path / "device alone", ALONE)


def test_the_device_secret_may_lie_on_another_medium_and_is_never_made_anew_behind_a_link(tmp_path: Path) -> None:
    terminal, other = tmp_path / "till", tmp_path / "usb"
    terminal.mkdir()
    other.mkdir()
    key = own_device_key(terminal, PIN)
    (terminal / DEVICE_SECRET_FILE).rename(other / "secret")
    (terminal / DEVICE_SECRET_FILE).symlink_to(other / "secret")
    assert same(device_key_of(terminal, PIN), key)
    (other / "secret").rename(other / "unplugged")
    with pytest.raises(KeysSealed):
        device_key_of(terminal, PIN)
    with pytest.raises(KeysSealed):
        seal_device_key(terminal, key, ALONE)
    assert not (other / "secret").exists()


def test_a_sync_without_the_pin_gets_the_key_only_where_nobody_need_be_asked(tmp_path: Path) -> None:
    for name, unlock in WAYS.items():
        (tmp_path / name).mkdir()
        own_device_key(tmp_path / name, unlock)
    assert device_key_without_pin(tmp_path / "PIN") is None
    assert device_key_without_pin(tmp_path / "both", CREDENTIAL.credential) is None
    assert device_key_without_pin(tmp_path / "credential") is None
    assert device_key_without_pin(tmp_path / "credential", CREDENTIAL.credential) is not None
    assert device_key_without_pin(tmp_path / "device alone") is not None
    assert wrong_so_far(tmp_path / "PIN") == 0


# --- the version before kept it in clear ---


@pytest.mark.parametrize("unlock", WAYS.values(), ids=WAYS)
def test_a_key_in_clear_is_sealed_at_the_next_start_and_wiped(tmp_path: Path, unlock: Unlock) -> None:
    key = new_private_key()
    write_durably(tmp_path / CLEAR_KEY_FILE, private_key_pem(key), mode=0o600)
    assert same(device_key_without_pin(tmp_path), key)
    assert seal_of(tmp_path) is None
    assert same(device_key_of(tmp_path, unlock), key)
    assert not (tmp_path / CLEAR_KEY_FILE).exists()
    assert same(device_key_of(tmp_path, unlock), key)


def test_a_power_cut_between_sealing_and_wiping_leaves_no_key_in_clear_after_the_next_start(tmp_path: Path) -> None:
    key = own_device_key(tmp_path, PIN)
    pem = private_key_pem(key)
    for left in (pem, bytes(len(pem)), pem[:90] + bytes(len(pem) - 90)):
        (tmp_path / CLEAR_KEY_FILE).write_bytes(left)
        assert same(device_key_of(tmp_path, PIN), key)
        assert not (tmp_path / CLEAR_KEY_FILE).exists()


def test_what_is_wiped_is_overwritten_before_it_is_removed(tmp_path: Path) -> None:
    key = new_private_key()
    write_durably(tmp_path / CLEAR_KEY_FILE, private_key_pem(key), mode=0o600)
    (tmp_path / "same cells").hardlink_to(tmp_path / CLEAR_KEY_FILE)
    device_key_of(tmp_path, ALONE)
    assert not any((tmp_path / "same cells").read_bytes())


def test_another_key_in_clear_is_not_thrown_away(tmp_path: Path) -> None:
    own_device_key(tmp_path, ALONE)
    write_durably(tmp_path / CLEAR_KEY_FILE, private_key_pem(new_private_key()), mode=0o600)
    device_key_of(tmp_path, ALONE)
    assert (tmp_path / CLEAR_KEY_FILE).exists()


def test_a_new_pin_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    key = own_device_key(tmp_path, PIN)
    seal_device_key(tmp_path, key, Unlock(pin="autre chose"))
    assert same(device_key_of(tmp_path, Unlock(pin="autre chose")), key)
    with pytest.raises(WrongPin):
        device_key_of(tmp_path, PIN)


def test_a_pin_given_for_a_key_sealed_without_one_seals_it_anew_at_enrolment_and_is_ignored_at_a_start(
    tmp_path: Path,
) -> None:
    key = own_device_key(tmp_path, ALONE)
    assert same(device_key_of(tmp_path, PIN), key)
    assert device_key_without_pin(tmp_path) is not None
    assert same(own_device_key(tmp_path, PIN), key)
    assert device_key_without_pin(tmp_path) is None
    assert same(device_key_of(tmp_path, PIN), key)


def test_a_pin_that_is_too_short_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(KeysSealed, match="au moins 6"):
        own_device_key(tmp_path, Unlock(pin="12345"))
    assert seal_of(tmp_path) is None


def test_a_pin_means_the_same_however_its_letters_are_composed(tmp_path: Path) -> None:
    key = own_device_key(tmp_path, Unlock(pin="été 2026"))
    assert same(device_key_of(tmp_path, Unlock(pin="e\u0301te\u0301 2026")), key)


# --- a sealed file that was changed ---


def change_salt(fields: dict[int, object]) -> None:
    fields[3] = bytes(16)


def drop_pin(fields: dict[int, object]) -> None:
    fields[2] = False


def change_name(fields: dict[int, object]) -> None:
    fields[7] = public_bytes(new_private_key())


def flip_sealed(fields: dict[int, object]) -> None:
    sealed = fields[8]
    assert isinstance(sealed, bytes)
    fields[8] = sealed[:-1] + bytes([sealed[-1] ^ 1])


@pytest.mark.parametrize("change", [change_salt, drop_pin, change_name, flip_sealed], ids=lambda made: made.__name__)
def test_a_sealed_file_that_was_changed_does_not_open(
    tmp_path: Path, change: Callable[[dict[int, object]], None]
) -> None:
    own_device_key(tmp_path, PIN)
    fields: dict[int, object] = dict(decode_map((tmp_path / SEALED_KEY_FILE).read_bytes(), 4_096))
    change(fields)
    (tmp_path / SEALED_KEY_FILE).write_bytes(encode(fields))  # type: ignore[arg-type]
    with pytest.raises((KeysSealed, JournalDamaged)):
        device_key_of(tmp_path, PIN)


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, 2), (1, 3), (2, 1), (3, b""), (4, 2**30), (4, 7), (5, 0), (5, 65), (6, 0), (6, 17), (7, b"")],
)
def test_a_seal_nobody_wrote_is_damage_and_costs_no_memory(tmp_path: Path, field: int, value: object) -> None:
    own_device_key(tmp_path, PIN)
    fields: dict[int, object] = dict(decode_map((tmp_path / SEALED_KEY_FILE).read_bytes(), 4_096))
    (tmp_path / SEALED_KEY_FILE).write_bytes(encode({**fields, field: value}))  # type: ignore[dict-item]
    with pytest.raises(JournalDamaged, match="abîmées"):
        device_key_of(tmp_path, PIN)


def test_the_costs_in_the_file_are_those_of_a_pin_only_where_a_pin_is_asked(tmp_path: Path) -> None:
    for name, unlock in WAYS.items():
        (tmp_path / name).mkdir()
        own_device_key(tmp_path / name, unlock)
        kept = seal_of(tmp_path / name)
        assert kept is not None
        assert kept.asks_pin == bool(unlock.pin)
        assert kept.part is (Part.CREDENTIAL if unlock.credential else Part.FILE)
        assert (kept.costs == sealed_key.FOR_A_PIN) == kept.asks_pin


def test_the_shipped_costs_of_a_pin_are_those_of_rfc_9106_and_are_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    key = own_device_key(tmp_path, PIN)
    kept = seal_of(tmp_path)
    assert kept is not None and kept.costs == Costs(memory_kib=65_536, passes=3, lanes=4)
    assert same(device_key_of(tmp_path, PIN), key)


# --- guessing ---


def test_after_three_wrong_pins_each_next_try_waits_twice_as_long_and_none_locks_for_ever(tmp_path: Path) -> None:
    key = own_device_key(tmp_path, PIN)
    waited: list[float] = []
    for _guess in range(14):
        with pytest.raises(WrongPin):
            device_key_of(tmp_path, Unlock(pin="000 000"), waited.append)
    assert waited == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0, 300.0]
    assert same(device_key_of(tmp_path, PIN, waited.append), key)
    assert wrong_so_far(tmp_path) == 0
    assert same(device_key_of(tmp_path, PIN, no_pause), key)


def test_pulling_the_plug_while_one_waits_gains_nothing(tmp_path: Path) -> None:
    own_device_key(tmp_path, PIN)

    def pull(_seconds: float) -> None:
        raise KeyboardInterrupt

    for _guess in range(3):
        with pytest.raises(WrongPin):
            device_key_of(tmp_path, Unlock(pin="000 000"), no_pause)
    for tries in range(4, 7):
        with pytest.raises(KeyboardInterrupt):
            device_key_of(tmp_path, Unlock(pin="000 000"), pull)
        assert wrong_so_far(tmp_path) == tries


def test_a_start_without_a_pin_is_not_a_wrong_one(tmp_path: Path) -> None:
    own_device_key(tmp_path, PIN)
    with pytest.raises(KeysSealed):
        device_key_of(tmp_path, ALONE)
    assert wrong_so_far(tmp_path) == 0


def test_a_count_that_is_damaged_starts_again(tmp_path: Path) -> None:
    key = own_device_key(tmp_path, PIN)
    for junk in (b"", b"\xff\xff", b"-00001\n", b"12"):
        (tmp_path / "pin-attempts").write_bytes(junk)
        assert same(device_key_of(tmp_path, PIN, no_pause), key)


# --- the credential of systemd ---


def test_a_credential_is_read_from_the_folder_systemd_names(tmp_path: Path) -> None:
    (tmp_path / SEAL_CREDENTIAL).write_bytes(b"\x00sixteen or more\n")
    assert given_credential(SEAL_CREDENTIAL, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"\x00sixteen or more\n"
    assert given_credential("panier-pin", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b""
    assert given_credential(SEAL_CREDENTIAL, {}) == b""


def test_a_credential_of_a_few_bytes_is_no_seal(tmp_path: Path) -> None:
    with pytest.raises(KeysSealed):
        own_device_key(tmp_path, Unlock(credential=b"short"))
    assert seal_of(tmp_path) is None


def test_neither_pin_nor_credential_is_ever_printed(tmp_path: Path) -> None:
    shown = repr(Unlock("742 953", b"credential bytes"))
    assert shown == "Unlock()"
    key = own_device_key(tmp_path, PIN)
    assert key is not None
    with pytest.raises(WrongPin) as wrong:
        device_key_of(tmp_path, Unlock(pin="999 111"))
    assert "999" not in str(wrong.value)
    assert wrong.value.__cause__ is None
