"""A payment on an issued card: what changes, when, and what the transaction MAC covers."""

import pytest
from virtual_card_host import (
    AID,
    ENTITLEMENT,
    FULL_CENTS,
    KEYS,
    LOG,
    TMAC,
    TMAC_KEY,
    UID,
    Host,
    Status,
    cbc,
    cmac,
    issue,
    le3,
    le4,
    short_mac,
    zero_filled,
)

from emulator.card import VirtualCard
from emulator.memory import CommMode, CyclicFile, DataFile, TmacFile, ValueFile
from emulator.state import CardProfile

READER = bytes([1, 0, 0, 7, 0, 0, 42]) + bytes(9)
RECORD = bytes(range(32))
NEWER = bytes(i % 251 for i in range(234))


@pytest.fixture
def card() -> VirtualCard:
    blank = VirtualCard.blank(UID)
    issue(blank)
    return blank


def _start(card: VirtualCard, key_no: int = 1) -> Host:
    card.power_on()
    host = Host(card.transceive)
    host.select()
    host.ev2(KEYS[key_no], key_no)
    return host


def _value(card: VirtualCard, number: int) -> int:
    file = card.memory.applications[AID].files[number]
    assert isinstance(file, ValueFile)
    return file.value


def _tmac(card: VirtualCard) -> TmacFile:
    file = card.memory.applications[AID].files[TMAC]
    assert isinstance(file, TmacFile)
    return file


def _log(card: VirtualCard) -> tuple[bytes, ...]:
    file = card.memory.applications[AID].files[LOG]
    assert isinstance(file, CyclicFile)
    return file.records


def _entitlement(card: VirtualCard) -> bytes:
    file = card.memory.applications[AID].files[ENTITLEMENT]
    assert isinstance(file, DataFile)
    return file.content


def _tm_keys(tmc: int) -> tuple[bytes, bytes]:
    tail = b"\x00\x01\x00\x80" + le4(tmc) + UID
    return cmac(TMAC_KEY, b"\x5a" + tail), cmac(TMAC_KEY, b"\xa5" + tail)


def test_a_fresh_card_has_no_transaction_yet(card: VirtualCard) -> None:
    assert _start(card).read(TMAC, 0, 12) == bytes(12)


def test_a_payment_of_two_slots_takes_thirteen_apdus(card: VirtualCard) -> None:
    apdus = 0

    def counted(apdu: bytes) -> bytes:
        nonlocal apdus
        apdus += 1
        return card.transceive(apdu)

    card.power_on()
    host = Host(counted)
    host.select()
    host.ev2(KEYS[1], 1)
    host.read(TMAC, 0, 12)
    host.reader_id(READER)
    host.read_records(LOG, 0, 1)
    host.read(ENTITLEMENT, 0, 234)
    for slot in (1, 2):
        host.get_value(slot)
    for slot in (1, 2):
        host.debit(slot, 125)
    host.write_record(LOG, RECORD)
    host.commit()
    assert apdus == 13


def test_the_transaction_mac_covers_every_command_in_order(card: VirtualCard) -> None:
    host = _start(card)
    host.read(TMAC, 0, 12)
    earlier = host.reader_id(READER)
    assert host.read_records(LOG, 0, 0) == bytes(32)
    read = host.read(ENTITLEMENT, 234, 0)
    first, second = host.get_value(1), host.get_value(2)
    host.write(ENTITLEMENT, 0, NEWER)
    host.debit(1, 250)
    host.debit(2, 50)
    host.write_record(LOG, RECORD)
    tmc, tmv = host.commit()

    mac_key, enc_key = _tm_keys(1)
    assert earlier == cbc(enc_key, bytes(16), bytes(16))
    items = [
        (b"\xc8" + READER + earlier, b""),
        (b"\xab" + bytes([LOG]) + le3(0) + le3(1), bytes(32)),
        (b"\xad" + bytes([ENTITLEMENT]) + le3(234) + le3(192), read),
        (b"\x6c\x01" + le4(first), b""),
        (b"\x6c\x02" + le4(second), b""),
        (b"\x8d" + bytes([ENTITLEMENT]) + le3(0) + le3(234), NEWER),
        (b"\xdc\x01" + le4(250), b""),
        (b"\xdc\x02" + le4(50), b""),
        (b"\x8b" + bytes([LOG]) + le3(0) + le3(32), RECORD),
    ]
    tmi = b"".join(zero_filled(header) + zero_filled(content) for header, content in items)
    assert len(read) == 192
    assert (tmc, tmv) == (1, short_mac(mac_key, tmi))
    assert host.read(TMAC, 0, 12) == le4(1) + tmv


def test_a_payment_without_a_newer_entitlement_has_464_bytes_of_input(card: VirtualCard) -> None:
    host = _start(card)
    earlier = host.reader_id(READER)
    record = host.read_records(LOG, 0, 1)
    entitlement = host.read(ENTITLEMENT, 0, 234)
    values = [host.get_value(1), host.get_value(2)]
    for slot in (1, 2):
        host.debit(slot, 100)
    host.write_record(LOG, RECORD)
    tmc, tmv = host.commit()
    tmi = zero_filled(b"\xc8" + READER + earlier)
    tmi += zero_filled(b"\xab\x10" + le3(0) + le3(1)) + record
    tmi += zero_filled(b"\xad\x11" + le3(0) + le3(234)) + zero_filled(entitlement)
    tmi += b"".join(zero_filled(bytes([0x6C, slot]) + le4(value)) for slot, value in zip((1, 2), values, strict=True))
    tmi += b"".join(zero_filled(bytes([0xDC, slot]) + le4(100)) for slot in (1, 2))
    tmi += zero_filled(b"\x8b\x10" + le3(0) + le3(32)) + RECORD
    assert len(tmi) == 464
    assert tmv == short_mac(_tm_keys(tmc)[0], tmi)


def test_each_transaction_encloses_the_reader_of_the_one_before(card: VirtualCard) -> None:
    readers = [bytes([n]) * 16 for n in (1, 2, 3)]
    previous = bytes(16)
    for expected_tmc, reader in enumerate(readers, start=1):
        host = _start(card)
        earlier = host.reader_id(reader)
        assert cbc(_tm_keys(expected_tmc)[1], bytes(16), earlier, decrypt=True) == previous
        host.debit(1, 10)
        tmc, _ = host.commit()
        assert tmc == expected_tmc
        previous = reader


def test_two_transactions_of_one_session_have_inputs_of_their_own(card: VirtualCard) -> None:
    host = _start(card)
    tmvs = []
    for _ in range(2):
        host.get_value(3)
        earlier = host.reader_id(READER)
        host.debit(1, 10)
        tmvs.append(host.commit())
    tmi = zero_filled(b"\x6c\x03" + le4(FULL_CENTS)) + zero_filled(b"\xc8" + READER + earlier)
    tmi += zero_filled(b"\xdc\x01" + le4(10))
    assert tmvs[1] == (2, short_mac(_tm_keys(2)[0], tmi))


def test_nothing_is_debited_before_commit(card: VirtualCard) -> None:
    before = card.memory
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 250)
    host.write(ENTITLEMENT, 0, NEWER)
    host.write_record(LOG, RECORD)
    assert host.get_value(1) == FULL_CENTS
    assert host.read(ENTITLEMENT, 0, 10) == bytes(10)
    assert host.read_records(LOG, 0, 1) == bytes(32)
    assert card.memory == before
    host.commit()
    assert _value(card, 1) == FULL_CENTS - 250
    assert _entitlement(card)[:234] == NEWER
    assert _log(card)[-1] == RECORD


def test_debits_of_one_transaction_add_up(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 250)
    host.debit(1, 50)
    host.commit()
    assert _value(card, 1) == FULL_CENTS - 300


def test_a_commit_without_a_reader_id_is_refused_and_nothing_is_debited(card: VirtualCard) -> None:
    host = _start(card)
    host.debit(1, 250)
    with pytest.raises(Status, match="9D"):
        host.commit()
    assert _value(card, 1) == FULL_CENTS
    assert _tmac(card).tmc == 0


def test_abort_drops_debits_and_the_reader_id(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 250)
    host.mac(0xA7)
    host.debit(2, 10)
    with pytest.raises(Status, match="9D"):
        host.commit()
    assert (_value(card, 1), _value(card, 2)) == (FULL_CENTS, FULL_CENTS)


def test_abort_empties_the_input_of_the_transaction_mac(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(b"\x09" * 16)
    host.get_value(1)
    host.mac(0xA7)
    earlier = host.reader_id(READER)
    host.debit(2, 10)
    tmc, tmv = host.commit()
    tmi = zero_filled(b"\xc8" + READER + earlier) + zero_filled(b"\xdc\x02" + le4(10))
    assert (tmc, tmv) == (1, short_mac(_tm_keys(1)[0], tmi))


@pytest.mark.parametrize(("ins", "body"), [(0xC7, b"\x01"), (0xC7, b""), (0xA7, b"")])
def test_commit_and_abort_with_nothing_to_do_say_so(card: VirtualCard, ins: int, body: bytes) -> None:
    with pytest.raises(Status, match="0C"):
        _start(card).mac(ins, body)


def test_a_reader_id_alone_is_nothing_to_commit(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    with pytest.raises(Status, match="0C"):
        host.commit()
    assert _tmac(card).tmc == 0


def test_a_second_reader_id_in_one_transaction_is_refused(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    with pytest.raises(Status, match="9D"):
        host.reader_id(READER)


@pytest.mark.parametrize("key_no", [0, 2, 3])
def test_only_the_terminals_key_may_commit_a_reader_id(card: VirtualCard, key_no: int) -> None:
    with pytest.raises(Status, match="9D"):
        _start(card, key_no).reader_id(READER)


def test_commit_without_the_option_answers_without_proof(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 1)
    assert host.mac(0xC7) == b""
    assert _tmac(card).tmc == 1


def test_the_reader_ids_answer_can_be_switched_to_full(card: VirtualCard) -> None:
    blank = VirtualCard.blank(UID, profile=CardProfile(reader_id_answer=CommMode.FULL))
    issue(blank)
    host = _start(blank)
    answer = host.raw(0xC8, host.sealed(0xC8, READER, b"", full=False))
    assert len(answer) == 40
    assert host.unseal(answer, full=True) == cbc(_tm_keys(1)[1], bytes(16), bytes(16))


def test_the_log_keeps_the_eight_newest_records_oldest_first(card: VirtualCard) -> None:
    records = [bytes([n]) * 32 for n in range(1, 12)]
    for record in records:
        host = _start(card)
        host.reader_id(READER)
        host.write_record(LOG, record)
        host.commit()
    assert _log(card) == tuple(records[-8:])
    host = _start(card)
    assert host.read_records(LOG, 0, 1) == records[-1]
    assert host.read_records(LOG, 0, 4) == b"".join(records[-4:])
    assert host.read_records(LOG, 4, 4) == b"".join(records[-8:-4])
    assert host.read_records(LOG, 7, 0) == records[-8]
    with pytest.raises(Status, match="BE"):
        host.read_records(LOG, 7, 2)


def test_writes_of_one_transaction_go_into_one_record(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.write_record(LOG, b"left", offset=0)
    host.write_record(LOG, b"right", offset=27)
    host.commit()
    assert _log(card) == (bytes(32), b"left" + bytes(23) + b"right")
    host.reader_id(READER)
    host.write_record(LOG, b"next")
    host.commit()
    assert _log(card)[-1] == b"next" + bytes(28)


def test_a_debit_below_the_limit_ends_session_and_transaction(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, FULL_CENTS)
    with pytest.raises(Status, match="BE"):
        host.debit(1, 1)
    with pytest.raises(Status, match="7E"):
        host.get_value(1)
    assert _value(card, 1) == FULL_CENTS
    host.ev2(KEYS[1], 1)
    with pytest.raises(Status, match="0C"):
        host.commit()


def test_an_error_leaves_nothing_that_a_commit_without_session_could_keep(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 10)
    with pytest.raises(Status, match="F0"):
        host.get_value(0x1E)
    with pytest.raises(Status, match="0C"):
        host.raw(0xC7, b"\x01")
    assert _value(card, 1) == FULL_CENTS


def test_a_new_first_authentication_drops_the_transaction_a_further_one_keeps_it(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 10)
    host.ev2(KEYS[1], 1)
    with pytest.raises(Status, match="0C"):
        host.commit()
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 10)
    host.ev2(KEYS[3], 3, first=False)
    assert host.commit()[0] == 1
    assert _value(card, 1) == FULL_CENTS - 10


def test_selecting_again_drops_the_transaction(card: VirtualCard) -> None:
    host = _start(card)
    host.reader_id(READER)
    host.debit(1, 10)
    host.select()
    host.ev2(KEYS[1], 1)
    with pytest.raises(Status, match="0C"):
        host.commit()
    assert _value(card, 1) == FULL_CENTS
