"""The signed lists and the bundle they travel in: one bad item never costs the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.bonus import CapShare
from domain.identity import CardId, PurseNumber, Station, TerminalId, Uid
from domain.money import Cents
from domain.rule_set import USUAL_TIERS, Ceilings, Condition, Merchant, Purse, RuleSet
from sync.bundle import Item, Kind, encode_bundle, read_bundle, split_bundle
from sync.cbor import Value, encode
from sync.cose import ContentType, sign1
from sync.crypto import PrivateKey, new_private_key, public_bytes, seal_to, sign
from sync.errors import BadSignature, FormatError, Malformed, UnknownVersion
from sync.merchant_format import encode_merchant, read_merchant
from sync.rule_format import encode_rule_set, read_rule_set
from sync.signed_lists import (
    CardKey,
    CardKeysList,
    CentreKeys,
    EntitlementDelta,
    HotList,
    SlipKey,
    TerminalsList,
    encode_card_keys,
    encode_centre_keys,
    encode_entitlements,
    encode_hot_list,
    encode_terminals,
    key_for,
    open_card_keys,
    read_card_keys,
    read_hot_list,
)

ROOT, LISTS, ANSWERS, ENTITLEMENTS, CARDS, DEVICE = (new_private_key() for _ in range(6))
TERMINAL = TerminalId(b"terminal")
KEYS = CentreKeys(3, {1: ENTITLEMENTS.public_key()}, {1: CARDS.public_key()}, LISTS.public_key(), ANSWERS.public_key())
RULES = RuleSet(
    programme="gers",
    version=4,
    timezone="Europe/Paris",
    never=frozenset({"alcohol", "tobacco"}),
    purses=(
        Purse(
            PurseNumber(1),
            "food",
            "Alimentation",
            (Condition(frozenset({"food"}), frozenset({"referenced"})), Condition(frozenset({"honey"}))),
        ),
        Purse(PurseNumber(7), "fresh", "Frais", (Condition(frozenset({"fresh-produce"})),)),
    ),
    ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
    phone="05 62 00 00 00",
)
STALL = Merchant(12, 2, "Ferme du Moulin", frozenset({"referenced", "sustainable"}), "vegetables")
HOT = HotList(9, datetime(2026, 12, 1, 8, tzinfo=UTC), frozenset({CardId(b"card-hot"), CardId(b"card-two")}))
CARD_KEYS = (
    CardKey(CardId(b"card-one"), Uid(b"uid-one"), "gers", b"\x01\x02\x03", None, bytes(range(16))),
    CardKey(
        CardId(b"card-two"),
        Uid(b"uid-two"),
        "gers",
        b"\x01\x02\x03",
        HOT.signed_at,
        bytes(16),
        (CapShare(date(2026, 3, 1), Cents(3_000)), CapShare(date(2026, 4, 1), Cents(0))),
    ),
)
DELTA = EntitlementDelta(4, 6, ((Uid(b"uid-one"), b"e" * 114), (Uid(b"uid-two"), b"f" * 233)))

TERMINALS = TerminalsList(
    8, {Station(2): SlipKey(DEVICE.public_key()), Station(3): SlipKey(LISTS.public_key(), counts_up_to=17)}
)


def by(key: PrivateKey) -> Callable[[bytes], bytes]:
    return lambda message: sign(key, message)


def items(lists: PrivateKey = LISTS) -> list[Item]:
    sealed = encode_card_keys(5, TERMINAL, DEVICE.public_key(), CARD_KEYS, b"lists", by(lists))
    return [
        Item(Kind.HOT_LIST, 9, encode_hot_list(HOT, b"lists", by(lists))),
        Item(Kind.RULE_SET, 4, encode_rule_set(RULES, b"lists", by(lists))),
        Item(Kind.MERCHANT, 2, encode_merchant(STALL, b"lists", by(lists))),
        Item(Kind.CARD_KEYS, 5, sealed),
        Item(Kind.ENTITLEMENTS, 6, encode_entitlements(DELTA, b"lists", by(lists))),
        Item(Kind.TERMINALS, 8, encode_terminals(TERMINALS, b"lists", by(lists))),
        Item(Kind.CENTRE_KEYS, 3, encode_centre_keys(KEYS, b"root", by(ROOT))),
    ]


def test_a_bundle_brings_every_list_as_it_was_signed() -> None:
    download = read_bundle(encode_bundle(items()), ROOT.public_key(), None, TERMINAL)
    assert download.problems == ()
    assert (download.rules, download.merchant, download.hot_list) == (RULES, STALL, HOT)
    assert download.entitlements == (DELTA,)
    assert download.centre_keys is not None
    assert public_bytes(download.centre_keys.entitlements[1]) == public_bytes(ENTITLEMENTS)
    assert download.card_keys is not None
    assert open_card_keys(download.card_keys, DEVICE) == CARD_KEYS
    assert download.terminals is not None
    assert download.terminals.version == 8
    assert {station: key.counts_up_to for station, key in download.terminals.stations.items()} == {2: None, 3: 17}
    assert {item.kind for item in download.items} == {kind.value for kind in Kind}


def test_no_items_make_no_bytes_and_no_bytes_no_items() -> None:
    assert encode_bundle([]) == b""
    assert split_bundle(b"") == ()


def test_an_item_of_tomorrow_is_reported_and_the_others_count() -> None:
    unknown = Item(77, 1, b"something of tomorrow")
    download = read_bundle(encode_bundle([*items(), unknown]), ROOT.public_key(), None, TERMINAL)
    assert [problem.kind for problem in download.problems] == [77]
    assert (download.rules, download.hot_list) == (RULES, HOT)


def test_one_item_signed_by_somebody_else_is_left_out_alone() -> None:
    thief = new_private_key()
    forged = [*items()[1:], Item(Kind.HOT_LIST, 10, encode_hot_list(replace(HOT, version=10), b"lists", by(thief)))]
    download = read_bundle(encode_bundle(forged), ROOT.public_key(), None, TERMINAL)
    assert [problem.kind for problem in download.problems] == [Kind.HOT_LIST]
    assert download.hot_list is None
    assert download.rules == RULES


def test_centre_keys_of_another_root_bring_nothing_at_all() -> None:
    thief = new_private_key()
    own = replace(KEYS, version=4, lists=thief.public_key())
    forged = [Item(Kind.CENTRE_KEYS, 4, encode_centre_keys(own, b"root", by(thief))), *items(thief)[:5]]
    download = read_bundle(encode_bundle(forged), ROOT.public_key(), KEYS, TERMINAL)
    assert download.items == ()
    assert len(download.problems) == 6


def test_centre_keys_never_go_back() -> None:
    older = Item(Kind.CENTRE_KEYS, 2, encode_centre_keys(replace(KEYS, version=2), b"root", by(ROOT)))
    download = read_bundle(encode_bundle([older]), ROOT.public_key(), KEYS, TERMINAL)
    assert download.centre_keys is None
    assert [problem.kind for problem in download.problems] == [Kind.CENTRE_KEYS]


def test_the_version_outside_must_be_the_signed_one() -> None:
    dressed_up = [replace(item, version=item.version + 1) for item in items()[:5]]
    download = read_bundle(encode_bundle(dressed_up), ROOT.public_key(), KEYS, TERMINAL)
    assert download.items == ()


def test_a_bundle_cut_on_its_way_is_refused_as_a_whole() -> None:
    whole = encode_bundle(items())
    for cut in range(1, len(whole), 37):
        try:
            found = split_bundle(whole[:cut])
        except Malformed:
            continue
        assert found == tuple(items_of(whole))[: len(found)]


def test_a_revoked_terminals_slips_count_up_to_its_revocation() -> None:
    revoked = TERMINALS.stations[Station(3)]
    assert key_for(revoked, 17) is revoked.key
    assert key_for(revoked, 18) is None
    assert key_for(None, 1) is None
    assert key_for(TERMINALS.stations[Station(2)], 0xFFFFFF) is not None


def items_of(bundle: bytes) -> tuple[Item, ...]:
    return split_bundle(bundle)


def test_a_bundle_of_tomorrow_is_named_so() -> None:
    with pytest.raises(UnknownVersion):
        split_bundle(encode({0: 2}) + encode({0: 1, 1: 1, 2: b""}))


@settings(max_examples=300, deadline=None)
@given(noise=st.binary(max_size=200), at=st.integers(0, 600))
def test_noise_in_a_bundle_does_no_more_than_be_refused(noise: bytes, at: int) -> None:
    whole = encode_bundle(items()[:3])
    try:
        download = read_bundle(whole[:at] + noise + whole[at + len(noise) :], ROOT.public_key(), KEYS, TERMINAL)
    except FormatError:
        return
    assert all(item in items_of(whole) or item.signed for item in download.items)
    assert download.rules in (None, RULES)
    assert download.hot_list in (None, HOT)


def test_card_keys_open_on_their_own_device_only() -> None:
    sealed = read_card_keys(items()[3].signed, LISTS.public_key(), TERMINAL)
    with pytest.raises(BadSignature):
        open_card_keys(sealed, new_private_key())
    with pytest.raises(BadSignature):
        open_card_keys(replace(sealed, version=6), DEVICE)


def opened_table(*shares: Value) -> tuple[CardKey, ...]:
    """A table of one card with these shares of a month cap, sealed by a centre that checks nothing."""
    row: list[Value] = [b"card-one", b"uid-one", "gers", b"\x01\x02\x03", None, bytes(16), list(shares)]
    context = b"panier/card-keys/1" + TERMINAL + (5).to_bytes(8, "big")
    return open_card_keys(CardKeysList(5, TERMINAL, seal_to(DEVICE.public_key(), encode([row]), context)), DEVICE)


MARCH_1, APRIL_1 = 20_513, 20_544


def test_each_card_brings_its_shares_of_the_month_cap() -> None:
    (card,) = opened_table([MARCH_1, 3_000], [APRIL_1, 2_000])
    assert card.bonus_shares == (
        CapShare(date(2026, 3, 1), Cents(3_000)),
        CapShare(date(2026, 4, 1), Cents(2_000)),
    )


@pytest.mark.parametrize(
    "shares",
    [
        [[MARCH_1 + 1, 3_000]],
        [[APRIL_1, 3_000], [MARCH_1, 2_000]],
        [[MARCH_1, 3_000], [MARCH_1, 2_000]],
        [[MARCH_1, -1]],
        [[MARCH_1, True]],
        [[-31, 3_000]],
        [[2**40, 3_000]],
        [[MARCH_1]],
        [3_000],
        [[day, 1] for day in (0, 31, 59, 90, 120)],
    ],
    ids=["mid-month", "falling", "twice", "below zero", "no number", "before 1970", "too far", "short", "flat", "five"],
)
def test_shares_that_no_centre_of_ours_signs_are_refused(shares: list[Value]) -> None:
    with pytest.raises(Malformed):
        opened_table(*shares)


def test_shares_that_a_terminal_would_refuse_are_not_signed() -> None:
    falling = replace(CARD_KEYS[1], bonus_shares=CARD_KEYS[1].bonus_shares[::-1])
    with pytest.raises(Malformed):
        encode_card_keys(5, TERMINAL, DEVICE.public_key(), (falling,), b"lists", by(LISTS))


def test_card_keys_of_the_shape_before_are_named_as_unknown() -> None:
    former = sign1(ContentType.CARD_KEYS, b"lists", encode({0: 1, 1: 5, 2: TERMINAL, 3: b"sealed"}), by(LISTS))
    with pytest.raises(UnknownVersion):
        read_card_keys(former, LISTS.public_key(), TERMINAL)


def test_card_keys_of_another_terminal_are_refused() -> None:
    with pytest.raises(Malformed):
        read_card_keys(items()[3].signed, LISTS.public_key(), TerminalId(b"other--1"))


def test_no_key_shows_when_a_list_is_printed() -> None:
    assert "000102030405" not in repr(CARD_KEYS[0]).replace("\\x", "")
    assert "key=" not in repr(CARD_KEYS[0])


@pytest.mark.parametrize(
    "broken",
    [
        replace(RULES, never=frozenset({"no-such-family"})),
        replace(RULES, purses=(RULES.purses[0], RULES.purses[0])),
        replace(RULES, timezone="Europe/Nowhere"),
        replace(RULES, programme="much-too-long-a-name"),
    ],
    ids=["unknown family", "purse number twice", "unknown time zone", "long name"],
)
def test_a_rule_set_that_does_not_hold_together_is_refused(broken: RuleSet) -> None:
    with pytest.raises(Malformed):
        read_rule_set(encode_rule_set(broken, b"lists", by(LISTS)), LISTS.public_key())


def test_one_signed_list_is_never_taken_for_another() -> None:
    with pytest.raises(UnknownVersion):
        read_hot_list(items()[2].signed, LISTS.public_key())
    with pytest.raises(UnknownVersion):
        read_merchant(items()[0].signed, LISTS.public_key())
