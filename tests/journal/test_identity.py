from __future__ import annotations

from pathlib import Path

import pytest

from sync.crypto import new_private_key, public_bytes, public_key, sign, verify
from sync.enrolment import Response, encode_certificate, encode_response
from terminal.errors import JournalDamaged, KeysSealed, NotEnrolled
from terminal.offline_queue.identity import (
    ENROLMENT_FILE,
    FileSigner,
    SealedSigner,
    keep_enrolment,
    load_enrolled,
)
from terminal.offline_queue.small_files import write_durably
from tests.journal.centre_kit import Pen


def response_of(pen: Pen) -> bytes:
    signed = encode_certificate(pen.enrolled().certificate, b"root", lambda message: sign(pen.keys.root, message))
    return encode_response(Response(pen.keys.root.public_key(), signed, pen.centre_keys().signed, pen.first_bundle()))


def test_an_enrolled_terminal_is_found_again(tmp_path: Path) -> None:
    pen = Pen()
    keep_enrolment(tmp_path, response_of(pen))
    found = load_enrolled(tmp_path, pen.device)
    assert found.certificate.terminal == pen.enrolled().certificate.terminal
    assert public_bytes(found.root) == public_bytes(pen.keys.root)
    assert found.device_key is not None
    message = b"a record"
    verify(public_key(public_bytes(pen.device)), message, FileSigner(found.device_key).sign(message))


def test_a_terminal_is_known_while_its_key_is_sealed_but_signs_nothing(tmp_path: Path) -> None:
    pen = Pen()
    keep_enrolment(tmp_path, response_of(pen))
    found = load_enrolled(tmp_path)
    assert found.device_key is None
    assert public_bytes(found.certificate.device_key) == public_bytes(pen.device)
    with pytest.raises(KeysSealed, match="PIN"):
        SealedSigner().sign(b"a record")


def test_a_terminal_without_papers_says_that_it_is_not_enrolled(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="enrôlée"):
        load_enrolled(tmp_path)


@pytest.mark.parametrize("place", [5, 200, 400])
def test_damaged_papers_are_noticed(tmp_path: Path, place: int) -> None:
    keep_enrolment(tmp_path, response_of(Pen()))
    content = bytearray((tmp_path / ENROLMENT_FILE).read_bytes())
    content[place] ^= 4
    (tmp_path / ENROLMENT_FILE).write_bytes(content)
    with pytest.raises(JournalDamaged):
        load_enrolled(tmp_path)


def test_papers_of_another_device_are_noticed(tmp_path: Path) -> None:
    keep_enrolment(tmp_path, response_of(Pen()))
    with pytest.raises(JournalDamaged):
        load_enrolled(tmp_path, new_private_key())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "papers"
    write_durably(place, b"old" * 1_000, mode=0o600)
    write_durably(place, b"new", mode=0o600)
    assert place.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["papers"]


def test_no_key_is_ever_printed() -> None:
    pen = Pen()
    assert "PrivateKey" not in repr(pen.enrolled())
    assert repr(FileSigner(pen.device)) == "FileSigner()"
