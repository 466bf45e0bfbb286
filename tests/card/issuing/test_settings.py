"""An issued card gives nothing away, and the station says so of each card on which one thing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from domain.identity import CardId
from domain.money import Cents
from sync.errors import PanierError
from sync.issuing import IDENTITY, LOAD, PICC_MASTER, TERMINALS, TERMINALS_2, TMAC_KEY, IssueOrder
from terminal.nfc.apdu import CardRefuses, Ins
from terminal.nfc.channel import authenticate_ev2_first, select_application
from terminal.nfc.issuing import CardNotBlank, NotAsOrdered, check_issued
from terminal.nfc.issuing import verification as checks
from terminal.nfc.issuing.card import CardAtStation
from terminal.nfc.tmi import little
from tests.card.issuing.kit import AID, HeldCard, State, application, blank, issued, order_for

ORDER = order_for()
Change = Callable[[State], object]
Check = Callable[[CardAtStation], None]


@pytest.fixture
def card() -> HeldCard:
    return issued(ORDER)


def in_chip(**members: object) -> Change:
    """A change of the chip's own members."""
    return lambda content: content["picc"].update(members)


def in_file(number: str, **members: object) -> Change:
    """A change of one file."""
    return lambda content: application(content)["files"][number].update(members)


def in_application(**members: object) -> Change:
    return lambda content: application(content).update(members)


def key_becomes(number: int, key: str) -> Change:
    return lambda content: application(content)["keys"][number].update(key=key)


def without_file(number: str) -> Change:
    return lambda content: application(content)["files"].pop(number)


def with_file_more(content: State) -> None:
    files = application(content)["files"]
    files["13"] = dict(files["12"])


def second_application(content: State) -> None:
    content["applications"]["F00001"] = application(content)


def log_of(*records: str) -> Change:
    return in_file("10", records_oldest_first=list(records))


ZEROS, OTHER = "00" * 16, "5A" * 16
RECORD_0 = "100000000000000000003200E800010000000000000000000000000000000000"
CARD_INFO = ORDER.card_info.hex().upper()
OTHER_LAST = f"{ORDER.card_info[-1] ^ 1:02X}"
WRONG: list[tuple[str, Check, Change]] = [
    ("lists its applications", checks.check_nothing_is_listed, in_chip(key_settings="0B")),
    ("lists its files", checks.check_nothing_is_listed, in_application(key_settings="0B")),
    ("factory's DES key", checks.check_factory_keys_are_gone, in_chip(key=ZEROS, key_type="2K3DES")),
    ("a key of zeros", checks.check_factory_keys_are_gone, in_chip(key=ZEROS)),
    *(
        (f"key {n} of the application is still", checks.check_factory_keys_are_gone, key_becomes(n, ZEROS))
        for n in range(5)
    ),
    *((f"key {n} of the application is not", checks.check_keys, key_becomes(n, OTHER)) for n in range(5)),
    ("chip's key is not", checks.check_chip_settings, in_chip(key=OTHER)),
    ("chip's key settings", checks.check_chip_settings, in_chip(key_settings="0D")),
    ("chip's key settings", checks.check_chip_settings, in_chip(key_settings="0F")),
    ("not alone on the chip", checks.check_chip_settings, second_application),
    ("application's key settings", checks.check_application_settings, in_application(key_settings="0D")),
    ("application's key settings", checks.check_application_settings, in_application(key_settings="19")),
    ("can credit", checks.check_terminals_cannot_credit, in_file("01", rights="101F")),
    ("can credit", checks.check_terminals_cannot_credit, in_file("01", rights="3011", limited_credit_on=True)),
    ("can rewrite", checks.check_terminals_cannot_rewrite_card_info, in_file("12", rights="101F")),
    ("can rewrite", checks.check_terminals_cannot_rewrite_card_info, in_file("12", rights="3011")),
    ("card's proofs", checks.check_proof_key, in_file("0F", key=OTHER)),
    ("slot 5 does not hold", checks.check_contents, in_file("05", value=15_999_999)),
    ("an entitlement stands", checks.check_contents, in_file("11", content="00" * 233 + "01" + "00" * 192)),
    ("does not begin with", checks.check_contents, log_of("11" + RECORD_0[2:])),
    ("holds 2 of 9", checks.check_contents, log_of(RECORD_0, RECORD_0)),
    (
        "card info is not",
        checks.check_card_info,
        in_file("12", content=CARD_INFO[:-2] + f"{ORDER.card_info[-1] ^ 1:02X}"),
    ),
    ("card info is not", checks.check_card_info, in_file("12", content=CARD_INFO[:20] + "6F" + CARD_INFO[22:])),
    ("files are missing", checks.check_files, without_file("07")),
    ("more than ordered", checks.check_files, with_file_more),
]
TRIED = {
    checks.check_nothing_is_listed,
    checks.check_factory_keys_are_gone,
    checks.check_terminals_cannot_credit,
    checks.check_terminals_cannot_rewrite_card_info,
}
"""Checks that try what must not be; the settings read afterwards would tell most of it too."""

WRONG_RIGHTS = ("301E", "3011", "101F", "331F", "3010", "E01F")
FILES: list[tuple[str, Mapping[str, object]]] = [
    *(
        (f"0{n}", {"rights": rights})
        for n in range(1, 9)
        for rights in ("301E", "3011", "101F", "331F", "3010", "E01F")
    ),
    ("01", {"mode": "mac"}),
    ("01", {"lower": -1}),
    ("01", {"upper": 16_000_001}),
    ("01", {"limited_credit_on": True}),
    ("01", {"free_get_value": True}),
    ("10", {"rights": "E011"}),
    ("10", {"rights": "1011"}),
    ("10", {"mode": "plain"}),
    ("10", {"max_records": 8}),
    ("11", {"rights": "F01E"}),
    ("11", {"mode": "plain"}),
    ("11", {"content": "00" * 425}),
    ("11", {"type": "standard"}),
    ("12", {"rights": "301E"}),
    ("12", {"mode": "mac"}),
    ("12", {"type": "backup"}),
    ("0F", {"rights": "E01F"}),
    ("0F", {"rights": "F01F"}),
    ("0F", {"mode": "plain"}),
    ("0F", {"key_version": 0}),
]


def test_a_card_as_ordered_passes_every_check(card: HeldCard) -> None:
    before = card.text
    check_issued(card.laid(), ORDER)
    for check in {check for _, check, _ in WRONG}:
        check(CardAtStation(card.laid(), ORDER))
    assert card.text == before


@pytest.mark.parametrize(("message", "check", "change"), WRONG, ids=lambda item: item if isinstance(item, str) else "")
def test_each_check_sees_the_one_thing_that_is_wrong(
    card: HeldCard, message: str, check: Check, change: Change
) -> None:
    card.doctored(change)
    with pytest.raises(NotAsOrdered, match=message):
        check(CardAtStation(card.laid(), ORDER))
    with pytest.raises(PanierError) as caught:
        check_issued(card.laid(), ORDER)
    assert check not in TRIED or message in str(caught.value)


@pytest.mark.parametrize(("number", "members"), FILES, ids=lambda item: str(item))
def test_a_file_that_is_not_as_ordered_is_named(card: HeldCard, number: str, members: Mapping[str, object]) -> None:
    card.doctored(in_file(number, **members))
    with pytest.raises(NotAsOrdered, match=f"file {number} is not as ordered"):
        checks.check_files(CardAtStation(card.laid(), ORDER))


@pytest.mark.parametrize(
    "wrong",
    [
        *(replace(ORDER, keys={**ORDER.keys, number: b"w" * 16}) for number in (0, 1, 2, 3, 4, TMAC_KEY, PICC_MASTER)),
        replace(ORDER, loaded=Cents(15_000_000)),
        replace(ORDER, card_info=order_for(card=CardId(b"somebody")).card_info),
        replace(ORDER, first_log_record=replace(ORDER.first_log_record, month_base=None)),
    ],
    ids=["K0", "K1", "K2", "K3", "K4", "TMAC key", "chip's key", "loaded", "card info", "record 0"],
)
def test_a_card_issued_with_a_wrong_order_does_not_pass_for_the_right_one(wrong: IssueOrder) -> None:
    card = issued(wrong)
    with pytest.raises((NotAsOrdered, CardNotBlank)):
        check_issued(card.laid(), ORDER)


def attempt(card: HeldCard, number: int | None, ins: Ins, header: bytes, data: bytes = b"") -> bool:
    """Whether the card takes a command in the application, in clear or under one of its keys."""
    link = card.laid()
    select_application(link, AID)
    if number is None:
        text = header + data
        return link.exchange(bytes([0x90, ins, 0, 0, len(text)]) + text + b"\x00")[-1] == 0
    channel = authenticate_ev2_first(link, ORDER.keys[number], number)
    try:
        channel.send(ins, header, data)
    except CardRefuses:
        return False
    return True


@pytest.mark.parametrize("number", [TERMINALS, TERMINALS_2, IDENTITY, None])
def test_nobody_but_issuing_credits_any_slot_or_writes_the_card_info(card: HeldCard, number: int | None) -> None:
    before = card.text
    for slot in range(1, 9):
        assert not attempt(card, number, Ins.CREDIT, bytes([slot]), little(1, 4))
        assert not attempt(card, number, Ins.LIMITED_CREDIT, bytes([slot]), little(1, 4))
    for size in (1, 96):
        header = b"\x12" + little(0, 3) + little(size, 3)
        assert not attempt(card, number, Ins.WRITE_DATA_CHAINED, header, bytes(size))
    assert card.text == before


@pytest.mark.parametrize("number", [TERMINALS, TERMINALS_2, LOAD, IDENTITY, None])
def test_only_the_application_master_changes_keys_settings_and_files(card: HeldCard, number: int | None) -> None:
    before = card.text
    new_file = b"\x13\x03\x11\x11" + little(32, 3)
    for ins, header, data in (
        (Ins.CHANGE_KEY, b"\x01", bytes(21)),
        (Ins.CHANGE_KEY_SETTINGS, b"", b"\x0f"),
        (Ins.CREATE_STANDARD_FILE, new_file, b""),
    ):
        assert not attempt(card, number, ins, header, data)
    assert card.text == before


@pytest.mark.parametrize(
    "apdu", ["90CA000005AABBCC0F8100", "90DA000003" + AID.hex() + "00", "906A000000", "90FC000000"]
)
def test_nobody_lists_creates_deletes_or_formats_without_the_chips_key(card: HeldCard, apdu: str) -> None:
    before, link = card.text, card.laid()
    select_application(link, bytes(3))
    assert link.exchange(bytes.fromhex(apdu))[-1] in (0x9D, 0xAE, 0x1C)
    assert card.text == before


def test_a_blank_card_lists_and_is_opened_by_the_factorys_key() -> None:
    """The checks that must fail on an issued card succeed on a blank one: they are no empty words."""
    card = blank()
    link = card.laid()
    select_application(link, bytes(3))
    assert link.exchange(bytes.fromhex("906A000000"))[-1] == 0
    with pytest.raises(NotAsOrdered, match="applications"):
        checks.check_nothing_is_listed(CardAtStation(card.laid(), ORDER))
