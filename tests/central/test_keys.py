"""Who opens the keys, what each may do with them, and that they are nowhere to be read."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from central.keys import (
    CARD_KEY_NUMBERS,
    CentralKeys,
    KeysClosed,
    KeysDamaged,
    KeysInClear,
    WrongSecret,
    load_keys,
    make_keys,
)
from central.keys.custodians import joined, shares_of
from central.keys.making import (
    add_custodian,
    make_kept_keys,
    remove_custodian,
    retire_entitlement_key,
    rotate_entitlements,
    seal_keys,
)
from central.keys.plan import Plan
from central.keys.ring import RING_FILE, read_ring, unseal_ring
from central.keys.vaults import DAILY_ROLES, MONEY_ROLES, ROLES, SealedVault
from central.office import Office
from central.web import make_app
from domain.identity import CardId, Uid
from domain.money import Cents
from sync.batch import Versions
from sync.bundle import read_bundle
from sync.card_format import decode_entitlement
from sync.cbor import decode_map, encode
from sync.crypto import new_private_key, private_key_pem, public_bytes, public_key, sign, token, verify
from sync.enrolment import Request, encode_request
from sync.errors import PanierError, UnknownVersion
from sync.issuing import TMAC_KEY, diversified_key
from tests.central.keys_kit import ANNE, BRUNO, CHANTAL, CHEAP, KEEPERS, TWO, kept_centre, opened
from tests.central.kit import DECEMBER, FOOD, MORNING, Stall, WoundClock, in_days, new_card, new_office, new_stall

UID = Uid(bytes.fromhex("04112233445566"))
MESSAGE = b"a message"


@pytest.fixture
def keys_folder(tmp_path: Path) -> Path:
    make_kept_keys(tmp_path / "keys", KEEPERS, MORNING, cost=CHEAP)
    return tmp_path / "keys"


# --- who opens what --------------------------------------------------------------------------------------------------


def test_nobody_opens_nothing_but_public_keys(keys_folder: Path) -> None:
    keys = load_keys(keys_folder)
    assert keys.public().entitlements.keys() == {1}
    for role in (*DAILY_ROLES, "root"):
        with pytest.raises(KeysClosed):
            keys.signer(role)
    with pytest.raises(KeysClosed, match="deux gardiens"):
        keys.entitlement_signer()
    with pytest.raises(KeysClosed, match="un gardien"):
        keys.card_key(TMAC_KEY, UID, bytes(3), "gers", CardId(bytes(8)))


@pytest.mark.parametrize("name", KEEPERS)
def test_one_custodian_opens_the_work_of_the_day_and_no_key_that_creates_money(keys_folder: Path, name: str) -> None:
    keys = load_keys(keys_folder, {name: KEEPERS[name]})
    for role in DAILY_ROLES:
        verify(keys.public_key(role), MESSAGE, keys.signer(role)(MESSAGE))
    assert not keys.is_money_open
    with pytest.raises(KeysClosed):
        keys.entitlement_signer()
    with pytest.raises(KeysClosed):
        keys.signer("root")


@pytest.mark.parametrize("names", list(itertools.combinations(KEEPERS, 2)), ids="+".join)
def test_any_two_custodians_open_the_entitlement_key(keys_folder: Path, names: tuple[str, str]) -> None:
    keys = load_keys(keys_folder, {name: KEEPERS[name] for name in names})
    verify(keys.public().entitlements[1], MESSAGE, keys.entitlement_signer()(MESSAGE))
    verify(keys.public_key("root"), MESSAGE, keys.signer("root")(MESSAGE))
    assert keys.opened_by == names


def test_one_custodian_under_two_names_is_one(keys_folder: Path) -> None:
    with pytest.raises(WrongSecret, match="bruno"):
        load_keys(keys_folder, {"anne": ANNE, "bruno": ANNE})


def test_a_stranger_is_told_who_the_custodians_are(keys_folder: Path) -> None:
    with pytest.raises(KeysClosed, match="anne, bruno, chantal"):
        load_keys(keys_folder, {"denis": b"une phrase quelconque"})


def test_entitlements_are_signed_where_they_are_counted_and_nowhere_else(keys_folder: Path) -> None:
    with pytest.raises(ValueError, match="signing_duty"):
        load_keys(keys_folder, TWO).signer("entitlements")


@pytest.mark.parametrize(
    ("secrets", "why"),
    [
        ({"anne": ANNE}, "Il faut de 2"),
        ({"anne": ANNE, "bruno": ANNE}, "même phrase"),
        ({"anne": ANNE, "bruno": b"court"}, "moins de 12"),
        ({"anne": ANNE, "Bruno Né": BRUNO}, "un nom de gardien"),
        ({"anne": ANNE, "": BRUNO}, "un nom de gardien"),
    ],
)
def test_keys_are_not_made_for_custodians_who_will_not_do(tmp_path: Path, secrets: dict[str, bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make_kept_keys(tmp_path / "keys", secrets, MORNING, cost=CHEAP)
    assert not (tmp_path / "keys").exists()


@given(
    secret=st.binary(min_size=32, max_size=32),
    numbers=st.lists(st.integers(1, 1_000), min_size=2, max_size=6, unique=True),
)
def test_any_two_shares_tell_the_secret(secret: bytes, numbers: list[int]) -> None:
    shares = shares_of(secret, tuple(numbers))
    for two in itertools.combinations(numbers, 2):
        assert joined({number: shares[number] for number in two}) == secret


@given(secret=st.binary(min_size=32, max_size=32), numbers=st.lists(st.integers(1, 1_000), min_size=2, unique=True))
def test_one_share_is_a_number_drawn_anew_each_time(secret: bytes, numbers: list[int]) -> None:
    """Below 2⁵²¹ evenly: one of fewer than 400 bits would come once in 2¹²¹ times."""
    shares = [*shares_of(secret, tuple(numbers)).values(), *shares_of(secret, tuple(numbers)).values()]
    assert len(set(shares)) == 2 * len(numbers)
    assert all(int.from_bytes(share, "big").bit_length() > 400 for share in shares)


def test_two_shares_that_are_not_of_one_secret_open_nothing() -> None:
    a, b = shares_of(token(32), (1, 2)), shares_of(token(32), (1, 2))
    with pytest.raises(KeysDamaged):
        joined({1: a[1], 2: b[2]})


# --- custodians come and go ------------------------------------------------------------------------------------------


def test_a_custodian_is_added_by_two_and_opens_with_any_other(keys_folder: Path) -> None:
    denise = b"Denise entre dans le cercle"
    add_custodian(keys_folder, TWO, "denise", denise, CHEAP)
    for name, secret in KEEPERS.items():
        assert load_keys(keys_folder, {name: secret, "denise": denise}).is_money_open


def test_one_custodian_alone_changes_nothing(keys_folder: Path) -> None:
    before = (keys_folder / RING_FILE).read_bytes()
    for change in (
        lambda: add_custodian(keys_folder, {"anne": ANNE}, "denise", b"Denise entre dans le cercle", CHEAP),
        lambda: remove_custodian(keys_folder, {"anne": ANNE}, "bruno"),
        lambda: rotate_entitlements(keys_folder, {"anne": ANNE}, MORNING),
        lambda: retire_entitlement_key(keys_folder, {"anne": ANNE}, 1, None),
    ):
        with pytest.raises(KeysClosed, match="deux gardiens"):
            change()
    assert (keys_folder / RING_FILE).read_bytes() == before


def test_a_custodian_who_would_have_anothers_passphrase_is_refused(keys_folder: Path) -> None:
    with pytest.raises(ValueError, match="autre gardien"):
        add_custodian(keys_folder, TWO, "denise", CHANTAL, CHEAP)


def test_a_custodian_removed_opens_nothing_any_more(keys_folder: Path) -> None:
    remove_custodian(keys_folder, TWO, "chantal")
    with pytest.raises(KeysClosed):
        load_keys(keys_folder, {"anne": ANNE, "chantal": CHANTAL})
    assert load_keys(keys_folder, TWO).is_money_open
    with pytest.raises(ValueError, match="Il doit rester 2"):
        remove_custodian(keys_folder, TWO, "bruno")


def test_the_number_of_a_custodian_who_left_is_not_that_of_the_next(keys_folder: Path) -> None:
    add_custodian(keys_folder, TWO, "denise", b"Denise entre dans le cercle", CHEAP)
    remove_custodian(keys_folder, TWO, "bruno")
    add_custodian(keys_folder, {"anne": ANNE, "chantal": CHANTAL}, "emile", b"Emile est le dernier venu", CHEAP)
    assert [(keeper.name, keeper.number) for keeper in read_ring(keys_folder).plan.custodians] == [
        ("anne", 1),
        ("chantal", 3),
        ("denise", 4),
        ("emile", 5),
    ]


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_file_can_be_read_by_its_owner_alone(keys_folder: Path) -> None:
    assert stat.S_IMODE(keys_folder.stat().st_mode) == 0o700
    assert [(place.name, stat.S_IMODE(place.stat().st_mode)) for place in keys_folder.iterdir()] == [(RING_FILE, 0o600)]


def _private_bytes(keys_folder: Path) -> list[bytes]:
    """Every secret there is: the sealed contents taken apart."""
    contents = unseal_ring(read_ring(keys_folder), TWO)
    found = []
    for content in (contents.daily, contents.money):
        assert content is not None
        fields: Any = decode_map(content, 65_536)
        found += [pem for _, _, pem in fields[0]]
        found += [pem.split(b"\n")[2] for _, _, pem in fields[0]]
        found += [key for _, key in fields[1]]
    assert len(found) == 2 * len(ROLES) + len(CARD_KEY_NUMBERS)
    return found


def test_no_key_and_no_passphrase_is_in_clear_in_the_folder(keys_folder: Path) -> None:
    everything = b"".join(place.read_bytes() for place in keys_folder.iterdir())
    for secret in [*_private_bytes(keys_folder), *KEEPERS.values()]:
        assert secret not in everything
        assert secret.hex().encode() not in everything


def test_nothing_said_about_open_keys_tells_one(keys_folder: Path) -> None:
    keys = load_keys(keys_folder, TWO)
    secrets = [*_private_bytes(keys_folder), *KEEPERS.values()]
    said = [repr(keys), str(keys), repr(keys.plan), repr(keys.daily), repr(keys.money), repr(read_ring(keys_folder))]
    said.append(repr(unseal_ring(read_ring(keys_folder), TWO)))
    for wrong in ({"anne": BRUNO}, {"denis": ANNE}):
        with pytest.raises(PanierError) as refused:
            load_keys(keys_folder, wrong)
        said += [repr(refused.value), str(refused.value)]
    everything = "".join(said)
    for secret in secrets:
        assert secret.hex() not in everything
        assert repr(secret)[2:-1] not in everything


def test_open_keys_are_not_pickled_or_copied(keys_folder: Path) -> None:
    keys = load_keys(keys_folder, TWO)
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    with pytest.raises(TypeError):
        copy.deepcopy(keys)


def test_what_is_public_of_open_keys_hands_no_key_out(keys_folder: Path) -> None:
    secrets = set(_private_bytes(keys_folder))
    keys = load_keys(keys_folder, TWO)
    attributes = [getattr(keys, name) for name in dir(CentralKeys) if not name.startswith("_")]
    assert not secrets & {value for value in attributes if isinstance(value, bytes)}
    public = [name for name in dir(keys.money) if not name.startswith("_")]
    handed_out = {"content"}  # what is sealed again; see unseal_ring
    assert set(public) - handed_out == {
        "card_key",
        "change_pin",
        "close",
        "forget",
        "make_master",
        "make_signing_key",
        "sign",
        "take",
        "take_master",
    }


def _with_plan(keys_folder: Path, plan: Plan) -> None:
    """Write another plan beside the same seals, as somebody would who has the file and no secret."""
    fields = decode_map((keys_folder / RING_FILE).read_bytes(), 1_048_576)
    (keys_folder / RING_FILE).write_bytes(encode({**fields, 0: plan.as_bytes()}))


def test_an_entitlement_key_slipped_into_the_file_opens_nothing(keys_folder: Path) -> None:
    plan = read_ring(keys_folder).plan
    _with_plan(keys_folder, plan.with_key("entitlements", new_private_key().public_key(), 1))
    for secrets in (TWO, {"anne": ANNE}):
        with pytest.raises(KeysDamaged):
            load_keys(keys_folder, secrets)


def test_a_custodian_slipped_into_the_file_opens_nothing(keys_folder: Path) -> None:
    plan = read_ring(keys_folder).plan
    false = replace(plan.custodians[2], public=public_bytes(new_private_key()))
    _with_plan(keys_folder, replace(plan, custodians=(*plan.custodians[:2], false)))
    with pytest.raises(KeysDamaged):
        load_keys(keys_folder, TWO)


def test_every_bit_of_the_sealed_parts_counts(keys_folder: Path) -> None:
    whole = (keys_folder / RING_FILE).read_bytes()
    fields = decode_map(whole, 1_048_576)
    for part in (3, 4):
        sealed = fields[part]
        assert isinstance(sealed, bytes)
        for at in range(0, len(sealed), 37):
            wrong = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
            (keys_folder / RING_FILE).write_bytes(encode({**fields, part: wrong}))
            with pytest.raises(KeysDamaged):
                load_keys(keys_folder, TWO)


@pytest.mark.parametrize("part", [1, 2])
def test_a_share_that_is_missing_is_a_damaged_file(keys_folder: Path, part: int) -> None:
    fields = decode_map((keys_folder / RING_FILE).read_bytes(), 1_048_576)
    shares = fields[part]
    assert isinstance(shares, dict)
    (keys_folder / RING_FILE).write_bytes(encode({**fields, part: {2: shares[2]}}))
    with pytest.raises(KeysDamaged):
        load_keys(keys_folder, TWO)


def test_a_file_wrong_anywhere_opens_the_same_keys_or_ends_in_a_sentence(keys_folder: Path) -> None:
    whole, right = (keys_folder / RING_FILE).read_bytes(), load_keys(keys_folder, TWO).public()
    refused: list[str] = []
    for at in range(0, len(whole), 29):
        (keys_folder / RING_FILE).write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            assert load_keys(keys_folder, TWO).public() == right
        except PanierError as fault:
            refused.append(str(fault))
    assert len(refused) > len(whole) // 29 // 2
    assert all(sentence.endswith(".") or "gardien" in sentence for sentence in refused)


@pytest.mark.parametrize("left", [0, 1, 100, 2_000])
def test_a_file_cut_short_is_named(keys_folder: Path, left: int) -> None:
    place = keys_folder / RING_FILE
    place.write_bytes(place.read_bytes()[:left])
    with pytest.raises(KeysDamaged, match="copie de sauvegarde"):
        load_keys(keys_folder, TWO)


def test_an_interrupted_change_leaves_the_keys_as_they_were(keys_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(_self: Path, _target: Path) -> Path:
        raise OSError("power cut")

    before = load_keys(keys_folder, TWO).public()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", power_cut)
        with pytest.raises(OSError, match="power cut"):
            rotate_entitlements(keys_folder, TWO, MORNING)
    assert load_keys(keys_folder, TWO).public() == before
    assert rotate_entitlements(keys_folder, TWO, MORNING) == 2


# --- a throw-away centre, and the first version's files --------------------------------------------------------------


def test_a_throw_away_centre_opens_itself_and_says_what_it_is(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    keys = load_keys(tmp_path / "keys")
    assert keys.is_money_open
    assert keys.plan.is_throw_away
    assert {place.suffix for place in (tmp_path / "keys").iterdir()} == {".cbor", ".jetable"}


def _as_the_first_version_left_them(office: Office) -> dict[str, bytes]:
    """Replace a centre's keys by clear files of the same keys; every secret in them."""
    folder = office.directory / "keys"
    assert isinstance(office.keys.daily, SealedVault) and isinstance(office.keys.money, SealedVault)
    files = {}
    for vault, roles in ((office.keys.daily, DAILY_ROLES), (office.keys.money, MONEY_ROLES)):
        files |= {f"{role}.pem": private_key_pem(vault._signing[role, 1]) for role in roles}
    files["card-masters.cbor"] = encode(dict(office.keys.daily._masters))
    for place in folder.iterdir():
        place.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files


def test_clear_keys_of_the_first_version_are_refused_with_the_command_to_run(office: Office) -> None:
    _as_the_first_version_left_them(office)
    with pytest.raises(KeysInClear, match="panier central keys seal"):
        Office(office.directory)


def test_clear_keys_are_sealed_and_stay_the_same_keys(office: Office, stall: Stall) -> None:
    folder, order = office.directory / "keys", office.register_card(UID)
    public = office.keys.public()
    files = _as_the_first_version_left_them(office)
    seal_keys(folder, TWO, MORNING, CHEAP)
    assert [place.name for place in folder.iterdir()] == [RING_FILE]
    everything = (folder / RING_FILE).read_bytes()
    masters = decode_map(files["card-masters.cbor"], 4_096).values()
    assert not any(secret in everything for secret in [*files.values(), *masters] if isinstance(secret, bytes))
    again = opened(office.directory, TWO)
    assert {role: public_bytes(again.keys.public_key(role)) for role in ROLES} == {
        role: public_bytes(office.keys.public_key(role)) for role in ROLES
    }
    assert again.register_card(UID).keys == order.keys
    assert again.keys.public().entitlements.keys() == public.entitlements.keys()
    stall.start()
    assert stall.send(again).head_seq == 1


def test_throw_away_keys_are_sealed_too(office: Office) -> None:
    folder = office.directory / "keys"
    seal_keys(folder, TWO, MORNING, CHEAP)
    assert [place.name for place in folder.iterdir()] == [RING_FILE]
    assert not load_keys(folder).is_money_open
    with pytest.raises(ValueError, match="déjà sous la garde"):
        seal_keys(folder, TWO, MORNING, CHEAP)


def test_clear_keys_that_cannot_all_be_read_are_left_alone(office: Office) -> None:
    files = _as_the_first_version_left_them(office)
    (office.directory / "keys" / "root.pem").write_bytes(b"?")
    with pytest.raises(KeysDamaged):
        seal_keys(office.directory / "keys", TWO, MORNING, CHEAP)
    assert {place.name for place in (office.directory / "keys").iterdir()} == set(files)


# --- the centre at work ----------------------------------------------------------------------------------------------


def test_with_one_custodian_the_centre_takes_in_and_answers_and_signs_no_money(tmp_path: Path) -> None:
    clock = WoundClock()
    office = kept_centre(tmp_path / "centre", clock=clock)
    anne, stall = new_card(office, 1), new_stall(office)
    stall.download(office)
    stall.pay(anne, 500)
    clock.at = in_days(12)
    alone = opened(tmp_path / "centre", {"bruno": BRUNO}, clock)
    assert stall.send(alone).head_seq == 1
    with pytest.raises(KeysClosed, match="deux gardiens"):
        alone.grant(anne.card, FOOD, Cents(100), *DECEMBER)
    with pytest.raises(KeysClosed, match="deux gardiens"):
        new_stall(alone, "Autre étal")
    assert sum(found.granted for found in alone.accounts()) == 4_000
    stall.start()
    stall.send(office)
    assert stall.download(office).problems == ()
    assert stall.entitlements[anne.card].entitlement.issued_at == clock.at


def test_with_nobody_the_report_can_be_read_and_nothing_is_taken_in(tmp_path: Path) -> None:
    office = kept_centre(tmp_path / "centre")
    stall = new_stall(office)
    closed = opened(tmp_path / "centre", {})
    assert closed.accounts() == ()
    stall.start()
    with pytest.raises(KeysClosed):
        stall.send(closed)
    assert stall.send(office).head_seq == 1


def test_a_device_refused_while_the_keys_were_closed_enrols_later_with_the_same_code(tmp_path: Path) -> None:
    office = kept_centre(tmp_path / "centre")
    code = office.new_code(office.put_merchant("Ferme", ["referenced"], "vegetables").number)
    key = new_private_key()
    asked = encode_request(Request(code.secret, key.public_key(), "panier test"), lambda message: sign(key, message))
    with pytest.raises(KeysClosed):
        opened(tmp_path / "centre", {"anne": ANNE}).enrol(asked)
    assert office.enrol(asked)


def _posted(app: Starlette, body: bytes) -> tuple[int, str]:
    """Status and text of an enrolment posted to the centre."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/enrolments", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode("utf-8", "replace")


def test_over_http_closed_keys_are_a_thing_to_try_again_later(tmp_path: Path) -> None:
    office = kept_centre(tmp_path / "centre")
    code = office.new_code(office.put_merchant("Ferme", ["referenced"], "vegetables").number)
    key = new_private_key()
    asked = encode_request(Request(code.secret, key.public_key(), "panier test"), lambda message: sign(key, message))
    folder = tmp_path / "centre"
    status, said = _posted(make_app(folder, load_keys(folder / "keys", {"anne": ANNE})), asked)
    assert status == 503
    assert "deux gardiens" in said
    assert _posted(make_app(folder, office.keys), asked)[0] == 200


# --- rotation --------------------------------------------------------------------------------------------------------


def test_after_a_rotation_new_entitlements_bear_the_new_key_and_stalls_verify_both(tmp_path: Path) -> None:
    office = kept_centre(tmp_path / "centre")
    anne, stall = new_card(office, 1), new_stall(office)
    old = stall.entitlements[anne.card]
    assert rotate_entitlements(tmp_path / "centre" / "keys", TWO, MORNING) == 2
    after = opened(tmp_path / "centre", TWO)
    bruno = new_card(after, 2)
    before = stall.enrolled.centre_keys
    bundle = after.exchange(stall.batch(stall.next_seq, held=Versions(centre_keys=1))).bundle
    found = read_bundle(bundle, stall.enrolled.response.root, before, stall.terminal)
    assert found.problems == ()
    assert found.centre_keys is not None
    assert (found.centre_keys.version, set(found.centre_keys.entitlements)) == (2, {1, 2})
    new_data = dict(found.entitlements[-1].entries)[bruno.order.uid]
    with pytest.raises(UnknownVersion):
        decode_entitlement(new_data, bruno.order.uid, before.entitlements.get)
    assert decode_entitlement(new_data, bruno.order.uid, found.centre_keys.entitlements.get).entitlement.key_id == 2
    still = decode_entitlement(old.data, anne.order.uid, found.centre_keys.entitlements.get).entitlement
    assert (still.key_id, still.card) == (1, anne.card)


def test_the_old_private_key_is_gone_after_a_rotation(keys_folder: Path) -> None:
    old = [secret for secret in _private_bytes(keys_folder) if secret.startswith(b"-----")]
    rotate_entitlements(keys_folder, TWO, MORNING)
    new = [secret for secret in _private_bytes(keys_folder) if secret.startswith(b"-----")]
    assert len(set(old) - set(new)) == len(set(new) - set(old)) == 1
    money = load_keys(keys_folder, TWO).money
    assert money is not None
    with pytest.raises(KeysClosed):
        money.sign("entitlements", 1, MESSAGE)


def test_a_payment_under_an_old_key_is_posted_for_ever(tmp_path: Path) -> None:
    clock = WoundClock()
    office = kept_centre(tmp_path / "centre", clock=clock)
    anne, stall = new_card(office, 1), new_stall(office)
    stall.pay(anne, 500)
    rotate_entitlements(tmp_path / "centre" / "keys", TWO, MORNING)
    retire_entitlement_key(tmp_path / "centre" / "keys", TWO, 1, None)
    clock.at = in_days(60)
    after = opened(tmp_path / "centre", TWO, clock)
    assert stall.send(after).dispositions == ()
    assert after.accounts()[0].spent == 500


def test_an_old_key_is_announced_until_what_it_signed_has_expired(keys_folder: Path) -> None:
    rotate_entitlements(keys_folder, TWO, MORNING)
    with pytest.raises(ValueError, match="40 jours"):
        retire_entitlement_key(keys_folder, TWO, 1, MORNING + timedelta(days=39))
    with pytest.raises(ValueError, match="pas une ancienne clé"):
        retire_entitlement_key(keys_folder, TWO, 2, MORNING + timedelta(days=41))
    retire_entitlement_key(keys_folder, TWO, 1, MORNING + timedelta(days=40))
    keys = load_keys(keys_folder, TWO)
    assert (keys.public().version, set(keys.public().entitlements), set(keys.entitlement_keys)) == (3, {2}, {1, 2})


def test_rotation_stops_at_the_last_number(keys_folder: Path) -> None:
    plan = read_ring(keys_folder).plan
    full = replace(plan, public={**plan.public, "entitlements": (replace(plan.newest("entitlements"), key_id=255),)})
    with pytest.raises(ValueError, match="255"):
        full.with_key("entitlements", public_key(plan.newest("root").key), 1)


# --- card keys -------------------------------------------------------------------------------------------------------


def test_a_sealed_master_key_makes_the_card_keys_of_an10922(tmp_path: Path) -> None:
    office = new_office(tmp_path / "centre")
    assert isinstance(office.keys.daily, SealedVault)
    for number in CARD_KEY_NUMBERS:
        expected = diversified_key(office.keys.daily._masters[number], UID, b"abc", number, "gers", CardId(b"pseudony"))
        assert office.keys.card_key(number, UID, b"abc", "gers", CardId(b"pseudony")) == expected
