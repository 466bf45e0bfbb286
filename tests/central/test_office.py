"""Cards, codes, lists: what the centre hands out, and to whom."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from central.office import Office
from domain.identity import CardId, Uid
from sync.batch import Versions
from sync.bundle import read_bundle
from sync.card_format import decode_card_info
from sync.crypto import new_private_key, public_bytes, sign
from sync.enrolment import Request, encode_request, read_response
from sync.errors import BadSignature, FormatError, Malformed
from sync.issuing import PICC_MASTER, TERMINALS, TMAC_KEY
from sync.signed_lists import open_card_keys
from tests.central.kit import Held, Stall, WoundClock, in_days, new_card, new_office, new_stall

UID = Uid(bytes.fromhex("04112233445566"))
ALL = Versions(rules=99, hot_list=99, merchant=99, card_keys=99, entitlements=99, centre_keys=99, terminals=99)


def test_a_chip_gets_a_pseudonym_that_is_not_its_number(office: Office) -> None:
    order, other = office.register_card(UID), office.register_card(Uid(bytes.fromhex("04112233445567")))
    assert len(order.card) == 8
    assert order.card != other.card
    assert order.uid not in order.card + bytes(7)
    assert set(order.keys) == {0, 1, 2, 3, 4, TMAC_KEY, PICC_MASTER}
    assert len({*order.keys.values(), *other.keys.values()}) == 14


def test_issuing_broken_off_begins_again_with_the_same_order(office: Office) -> None:
    first, again = office.register_card(UID), office.register_card(UID)
    assert (first.card, first.keys) == (again.card, again.keys)


def test_the_card_info_of_an_order_is_the_centres_word_for_this_chip(office: Office, stall: Stall) -> None:
    order = office.register_card(UID)
    keys = stall.enrolled.centre_keys.cards
    info = decode_card_info(order.card_info, UID, keys.get)
    assert (info.card, info.programme, info.loaded) == (order.card, "gers", 16_000_000)
    with pytest.raises(BadSignature):
        decode_card_info(order.card_info, Uid(bytes(7)), keys.get)


def test_the_proof_key_is_bound_to_the_pseudonym_too(office: Office) -> None:
    order = office.register_card(UID)
    again, other = (office.keys.card_key(TMAC_KEY, UID, order.aid, "gers", of) for of in (order.card, CardId(bytes(8))))
    assert order.keys[TMAC_KEY] == again != other


def test_keys_are_readable_by_their_owner_alone_and_never_printed(office: Office) -> None:
    folder = office.directory / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(place.stat().st_mode) for place in folder.iterdir()} == {0o600}
    order = office.register_card(UID)
    assert not any(key.hex() in repr(office.keys) + repr(order) for key in order.keys.values())


def test_a_terminal_gets_the_keys_of_all_cards_and_no_other_key(office: Office, stall: Stall, anne: Held) -> None:
    found = stall.download(office)
    assert found.problems == ()
    assert found.card_keys is not None
    (key,) = open_card_keys(found.card_keys, stall.device_key)
    assert (key.card, key.uid, key.key) == (anne.card, anne.order.uid, anne.order.keys[TERMINALS])


def test_a_new_card_reaches_terminals_at_their_next_sync(office: Office, stall: Stall) -> None:
    held = stall.enrolled.download.card_keys
    assert held is not None
    new_card(office, 7)
    newer = stall.download(office, Versions(card_keys=held.version)).card_keys
    assert newer is not None
    assert len(open_card_keys(newer, stall.device_key)) == 2


def test_a_terminal_that_holds_everything_gets_nothing(office: Office, stall: Stall) -> None:
    assert office.exchange(stall.batch(held=ALL)).bundle == b""


def test_a_lost_card_is_on_the_next_hot_list(office: Office, stall: Stall, anne: Held) -> None:
    before = stall.enrolled.download.hot_list
    office.report_lost(anne.card)
    after = stall.download(office).hot_list
    assert before is not None
    assert after is not None
    assert (before.cards, after.cards) == (frozenset(), {anne.card})
    assert after.version > before.version


def test_an_unchanged_hot_list_is_signed_anew_so_that_its_age_is_that_of_the_contact(
    office: Office, stall: Stall, clock: WoundClock
) -> None:
    clock.at = in_days(3)
    found = stall.download(office).hot_list
    assert found is not None
    assert found.signed_at == clock.at


def test_a_code_enrols_one_device_only(office: Office, stall: Stall) -> None:
    code = office.new_code(1)
    first, second = new_private_key(), new_private_key()

    def request(key: object) -> bytes:
        return encode_request(Request(code.secret, key.public_key(), "panier"), lambda message: sign(key, message))  # type: ignore[attr-defined,arg-type]

    enrolled = read_response(office.enrol(request(first)), code, first.public_key())
    with pytest.raises(BadSignature):
        office.enrol(request(second))
    again = read_response(office.enrol(request(first)), code, first.public_key())
    assert again.response.certificate == enrolled.response.certificate
    assert again.certificate.terminal != stall.terminal


def test_a_code_runs_out(office: Office, clock: WoundClock) -> None:
    merchant = office.put_merchant("Le Fournil", ["referenced"], "bread")
    code, key = office.new_code(merchant.number), new_private_key()
    request = encode_request(Request(code.secret, key.public_key(), "panier"), lambda message: sign(key, message))
    clock.at += timedelta(days=2)
    with pytest.raises(Malformed):
        office.enrol(request)


def test_a_secret_nobody_was_given_enrols_nobody(office: Office) -> None:
    key = new_private_key()
    request = encode_request(Request(bytes(10), key.public_key(), "panier"), lambda message: sign(key, message))
    with pytest.raises(FormatError):
        office.enrol(request)
    assert office.store.number("SELECT count(*) FROM terminal") == 0


def test_the_certificate_names_station_merchant_and_device(office: Office, stall: Stall) -> None:
    other = new_stall(office, "Le Fournil").enrolled.certificate
    own = stall.enrolled.certificate
    assert (own.programme, own.epoch, other.epoch) == ("gers", 1, 1)
    assert len({own.station, other.station, 0}) == 3
    assert own.terminal != other.terminal
    assert own.merchant != other.merchant
    assert public_bytes(own.device_key) == public_bytes(stall.device_key)


def test_a_merchant_entry_goes_to_that_merchants_terminal(office: Office, stall: Stall) -> None:
    fournil = new_stall(office, "Le Fournil")
    names = [one.enrolled.download.merchant for one in (stall, fournil)]
    assert [found.name for found in names if found] == ["Ferme du Moulin", "Le Fournil"]


def test_two_centres_never_trust_each_other(tmp_path: Path, stall: Stall) -> None:
    other = new_office(tmp_path / "other")
    new_card(other, 1)
    bundle = other.exchange(new_stall(other).batch()).bundle
    other.close()
    found = read_bundle(bundle, stall.enrolled.response.root, stall.enrolled.centre_keys, stall.terminal)
    assert found.items == ()
    assert len(found.problems) == 7
