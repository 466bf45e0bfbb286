"""What the centre does with batches that come late, twice, cut, forked, or from somebody else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from central.office import Office
from sync.batch import BatchHead, Disposition, encode_batch
from sync.cbor import decode_map, encode
from sync.cose import ContentType, open1, sign1
from sync.crypto import new_private_key, sha256, sign
from sync.errors import FormatError, Malformed
from sync.record import Field, RecordType, record_hash
from tests.central.kit import NONCE, Held, Stall, account, figures, new_card, new_stall


def kept(office: Office) -> list[tuple[int, bytes]]:
    return [(row["seq"], bytes(row["data"])) for row in office.store.all("SELECT seq, data FROM record ORDER BY seq")]


def strays(office: Office) -> set[bytes]:
    return {bytes(row["data"]) for row in office.store.all("SELECT data FROM stray")}


def test_a_batch_is_kept_verbatim_and_acknowledged_to_its_end(office: Office, stall: Stall, anne: Held) -> None:
    stall.start()
    stall.pay(anne, 1_250)
    answer = stall.send(office)
    assert (answer.head_seq, answer.head_hash) == (2, record_hash(stall.records[1]))
    assert (answer.dispositions, answer.is_frozen) == ((), False)
    assert kept(office) == [(1, stall.records[0]), (2, stall.records[1])]


def test_before_the_first_record_the_answer_names_the_certificate(office: Office, stall: Stall) -> None:
    answer = stall.send(office)
    assert (answer.head_seq, answer.head_hash) == (0, sha256(stall.enrolled.response.certificate))
    assert answer.centre_time == office._clock()


def test_a_batch_sent_again_changes_nothing(office: Office, stall: Stall, anne: Held) -> None:
    stall.pay(anne, 700)
    stall.pay(anne, 300, TMV=bytes(8))
    first, before = stall.send(office), figures(office)
    for _ in range(3):
        assert stall.send(office) == first
        assert stall.send(office, 2).head_seq == 2
    assert figures(office) == before
    assert first.dispositions == ((2, Disposition.QUARANTINED),)


def test_an_upload_cut_halfway_keeps_what_arrived_and_its_repetition_the_rest(
    office: Office, stall: Stall, anne: Held
) -> None:
    for amount in (100, 200, 300):
        stall.pay(anne, amount)
    whole = stall.batch()
    answer = stall.ask(office, whole[: len(whole) - len(stall.records[2]) // 2])
    assert (answer.head_seq, answer.head_hash) == (2, record_hash(stall.records[1]))
    assert account(office, anne).spent == 300
    assert stall.ask(office, whole).head_seq == 3
    assert account(office, anne).spent == 600


def test_records_behind_a_gap_wait_for_those_before_them(office: Office, stall: Stall, anne: Held) -> None:
    for amount in (100, 200, 300):
        stall.pay(anne, amount)
    answer = stall.send(office, 3)
    assert (answer.head_seq, answer.dispositions) == (0, ((3, Disposition.GAP),))
    assert kept(office) == []
    assert stall.send(office, answer.head_seq + 1).head_seq == 3


def test_records_out_of_order_are_not_taken(office: Office, stall: Stall, anne: Held) -> None:
    for amount in (100, 200, 300):
        stall.pay(anne, amount)
    mixed = stall.batch_of(1, [stall.records[0], stall.records[2], stall.records[1]])
    assert stall.ask(office, mixed).head_seq == 1
    assert stall.send(office).head_seq == 3
    assert account(office, anne).spent == 600


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_record_stops_the_batch_and_loses_nothing(
    office: Office, stall: Stall, anne: Held, place: int
) -> None:
    for amount in (100, 200, 300):
        stall.pay(anne, amount)
    broken = bytearray(stall.records[place])
    broken[-5] ^= 1
    records = [*stall.records[:place], bytes(broken), *stall.records[place + 1 :]]
    answer = stall.ask(office, stall.batch_of(1, records))
    assert (answer.head_seq, answer.dispositions) == (place, ((place + 1, Disposition.DAMAGED),))
    assert not answer.is_frozen
    assert stall.send(office).head_seq == 3


def test_a_record_somebody_else_signed_is_not_taken(office: Office, stall: Stall) -> None:
    forged = stall.record(RecordType.BOOT, {0: 1}, sign_with=new_private_key())
    answer = stall.ask(office, stall.batch_of(1, [forged]))
    assert (answer.head_seq, answer.dispositions) == (0, ((1, Disposition.DAMAGED),))
    assert kept(office) == []


def test_nobody_freezes_a_terminal_without_its_key(office: Office, stall: Stall) -> None:
    stall.start()
    stall.send(office)
    stall.records.clear()
    forged = stall.record(RecordType.BOOT, {0: 1, 1: 7}, sign_with=new_private_key())
    answer = stall.ask(office, stall.batch_of(1, [forged]))
    assert (answer.head_seq, answer.is_frozen) == (1, False)


def test_a_record_of_another_terminal_has_no_place_in_this_chain(office: Office, stall: Stall) -> None:
    other = new_stall(office, "Le Fournil")
    other.start()
    assert stall.ask(office, stall.batch_of(1, other.records)).head_seq == 0


def test_a_chain_under_another_number_than_the_batch_says_is_not_taken(office: Office, stall: Stall) -> None:
    stall.start()
    stall.start()
    assert stall.ask(office, stall.batch_of(2, stall.records)).head_seq == 0
    assert stall.ask(office, stall.batch_of(1, stall.records[1:])).head_seq == 0


def forked(office: Office, stall: Stall, anne: Held) -> tuple[bytes, bytes]:
    """One journal copied and continued twice: both sides wrote record 2."""
    stall.start()
    stall.pay(anne, 400)
    stall.send(office)
    ours = stall.records.pop()
    theirs = stall.start()
    return ours, theirs


def test_a_fork_freezes_the_terminal_and_both_records_are_kept(office: Office, stall: Stall, anne: Held) -> None:
    ours, theirs = forked(office, stall, anne)
    answer = stall.send(office)
    assert (answer.head_seq, answer.head_hash) == (2, record_hash(ours))
    assert answer.is_frozen
    assert answer.dispositions == ((2, Disposition.FORKED),)
    assert (2, ours) in kept(office)
    assert strays(office) == {theirs}
    assert account(office, anne).spent == 400


def test_what_a_frozen_terminal_still_sends_is_kept_beside_the_chain(office: Office, stall: Stall, anne: Held) -> None:
    _, theirs = forked(office, stall, anne)
    stall.send(office)
    later = stall.start()
    answer = stall.send(office)
    assert answer.dispositions == ((2, Disposition.FORKED), (3, Disposition.FROZEN))
    assert strays(office) == {theirs, later}
    assert office.exchange(stall.batch()).bundle == b""


def test_a_record_that_follows_another_one_than_the_head_is_a_fork(office: Office, stall: Stall) -> None:
    stall.start()
    stall.send(office)
    odd = stall.write(RecordType.BOOT, {0: 1}, prev=bytes(32))
    answer = stall.send(office)
    assert (answer.head_seq, answer.is_frozen) == (1, True)
    assert strays(office) == {odd}


def test_a_frozen_terminal_begins_again_in_a_new_epoch(office: Office, stall: Stall, anne: Held) -> None:
    forked(office, stall, anne)
    assert stall.send(office).is_frozen
    again = new_stall(office, "Ferme du Moulin", stall.device_key)
    assert (again.terminal, again.enrolled.certificate.epoch) == (stall.terminal, 2)
    assert again.station != stall.station
    again.pay(anne, 250)
    assert not again.send(office).is_frozen
    assert account(office, anne).spent == 650


@pytest.mark.parametrize(
    ("type_", "body"),
    [(99, {0: 1}), (RecordType.REFUSAL, {0: 7}), (RecordType.PAYMENT, {0: 2, 1: b"tomorrow"})],
    ids=["type", "refusal", "payment"],
)
def test_a_record_of_tomorrow_is_quarantined_and_the_chain_goes_on(
    office: Office, stall: Stall, anne: Held, type_: int, body: dict[int, int | bytes]
) -> None:
    unknown = stall.write(type_, {**body})
    stall.pay(anne, 100)
    answer = stall.send(office)
    assert (answer.head_seq, answer.dispositions) == (2, ((1, Disposition.QUARANTINED),))
    assert kept(office)[0] == (1, unknown)
    assert account(office, anne).spent == 100


def test_a_body_of_before_the_first_release_is_quarantined_like_any_unknown_one(
    office: Office, stall: Stall, anne: Held
) -> None:
    """Version 0 was never in the field, and what it leaves out cannot be decided again."""
    stall.pay(anne, 250, VERSION=0)
    answer = stall.send(office)
    assert (answer.head_seq, answer.dispositions) == (1, ((1, Disposition.QUARANTINED),))
    assert kept(office) == [(1, stall.records[0])]
    assert account(office, anne).spent == 0


def tomorrow(stall: Stall, kind: str = ContentType.RECORD, **odd: object) -> bytes:
    """A record this program cannot read, with its place under the keys every version has."""
    today = open1(stall.record(RecordType.BOOT, {0: 1}, **odd), 4_096)
    payload = encode({**decode_map(today.payload, 4_096), Field.VERSION: 2})
    return sign1(kind, stall.terminal, payload, lambda message: sign(stall.device_key, message))


def test_an_envelope_of_tomorrow_keeps_its_place_in_the_chain(office: Office, stall: Stall, anne: Held) -> None:
    stall.records.append(tomorrow(stall))
    stall.records.append(tomorrow(stall, "panier/record/2"))
    stall.pay(anne, 100)
    answer = stall.send(office)
    assert answer.head_seq == 3
    assert answer.dispositions == ((1, Disposition.QUARANTINED), (2, Disposition.QUARANTINED))
    assert account(office, anne).spent == 100
    assert stall.send(office).head_seq == 3


@pytest.mark.parametrize(
    "odd", [{"seq": 2}, {"prev": bytes(32)}, {"epoch": 2}, {"terminal": b"stranger"}], ids=lambda odd: next(iter(odd))
)
def test_tomorrows_envelope_has_no_place_but_its_own(office: Office, stall: Stall, odd: dict[str, object]) -> None:
    stall.records.append(tomorrow(stall, **odd))
    assert stall.send(office).dispositions == ((1, Disposition.DAMAGED),)
    assert kept(office) == []


def test_nothing_else_a_terminal_ever_signed_is_a_record(office: Office, stall: Stall) -> None:
    stall.records.append(tomorrow(stall, ContentType.ENROLMENT))
    assert stall.send(office).dispositions == ((1, Disposition.DAMAGED),)
    assert kept(office) == []


def test_tomorrows_envelope_from_somebody_else_is_not_taken(office: Office, stall: Stall) -> None:
    thief = new_private_key()
    stall.records.append(sign1("panier/record/2", stall.terminal, b"\xa0", lambda message: sign(thief, message)))
    assert stall.send(office).dispositions == ((1, Disposition.DAMAGED),)
    assert kept(office) == []


def test_a_terminal_nobody_enrolled_gets_no_answer(office: Office, stall: Stall) -> None:
    for head in (BatchHead(b"stranger", 1, 1, NONCE), BatchHead(stall.terminal, 2, 1, NONCE)):  # type: ignore[arg-type]
        with pytest.raises(Malformed):
            office.exchange(encode_batch(head, []))


@pytest.mark.parametrize("noise", [b"", b"\xff", b"\xa0", b"\x00" * 50, encode({0: 9})])
def test_noise_is_a_fault_of_format_and_changes_nothing(office: Office, noise: bytes) -> None:
    with pytest.raises(FormatError):
        office.exchange(noise)
    assert kept(office) == []


def test_a_fault_in_the_middle_leaves_nothing_of_the_batch(
    office: Office, stall: Stall, anne: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    for amount in (100, 200, 300):
        stall.pay(anne, amount)
    before, put, count = figures(office), office.store.put, iter(range(1_000))

    def put_until_the_disk_is_full(table: str, **columns: object) -> None:
        if next(count) == 5:
            raise OSError("no space left on device")
        put(table, **columns)

    monkeypatch.setattr(office.store, "put", put_until_the_disk_is_full)
    with pytest.raises(OSError, match="no space"):
        stall.send(office)
    monkeypatch.undo()
    assert figures(office) == before
    assert stall.send(office).head_seq == 3
    assert account(office, anne).spent == 600


def test_a_card_of_another_centre_is_quarantined(office: Office, stall: Stall, anne: Held) -> None:
    stranger = new_card(office, 9)
    office.store.change("DELETE FROM entitlement WHERE card = ?", stranger.card)
    office.store.change("DELETE FROM card WHERE card = ?", stranger.card)
    stall.pay(stranger, 500)
    assert stall.send(office).dispositions == ((1, Disposition.QUARANTINED),)


def test_a_late_but_honest_record_of_an_expired_terminal_is_posted_and_a_later_one_is_not(
    office: Office, stall: Stall, anne: Held
) -> None:
    stall.pay(anne, 100)
    ended = stall.enrolled.certificate.valid_until
    late = Office(office.directory, clock=lambda: ended + timedelta(days=5))
    assert stall.send(late).dispositions == ()
    stall.at = ended + timedelta(days=1)
    stall.pay(anne, 100)
    assert [code for _, code in stall.send(late).dispositions] == [Disposition.QUARANTINED]
    late.close()


def test_a_revoked_terminal_gets_nothing_more_and_its_records_are_kept_beside(
    office: Office, stall: Stall, anne: Held
) -> None:
    stall.pay(anne, 100)
    stall.send(office)
    office.revoke(stall.station)
    stall.pay(anne, 100)
    answer = stall.send(office)
    assert answer.is_frozen
    assert [code for _, code in answer.dispositions] == [Disposition.FROZEN]
    assert account(office, anne).spent == 100
