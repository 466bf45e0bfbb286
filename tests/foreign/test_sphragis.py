"""A host that neither author of ours wrote meets our virtual NTAG 424 DNA, and what our own host left on it.

sphragis is a GPL-3 library whose authors say it was tried on real tags. It lives in an environment made for this test
and is spoken to over a pipe (``sphragis_host.py``); nothing of it is part of this project.
"""

from __future__ import annotations

import json
import random
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from emulator.crypto import originality_public_key
from emulator.ntag424.card import VirtualNtag
from sync.crypto import diversify
from sync.issuing import diversification_input
from sync.ntag_format import HALF_SIZE_B, NTAG_AID, PurseHalf, encode_half
from terminal.nfc.issuing import Found
from terminal.nfc.ntag424 import issue_tag
from tests.card.ntag.kit import HeldTag, blank_store, issued_tag, laid, order_for, paid, stall, word_for

pytestmark = pytest.mark.slow

HOST = Path(__file__).with_name("sphragis_host.py")
RELEASE = "sphragis==1.0.0"
INSTALL_BUDGET_S = 180.0
SCENE_BUDGET_S = 30.0
ZEROS = [bytes(16).hex()] * 5
CLOSED = [3, 1, 1, 0xF, 0]
"""Full mode; read K1, write K1, both nobody, change K0."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with sphragis; skips where it cannot be made."""
    place = tmp_path_factory.mktemp("foreign")
    venv.create(place, with_pip=True)
    made = place / "bin" / "python"
    argv = [str(made), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", RELEASE]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_BUDGET_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{RELEASE} did not arrive in {INSTALL_BUDGET_S:.0f} s")
    if done.returncode:
        pytest.skip(f"{RELEASE} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return made


class Foreign:
    """The other host, and the APDUs it sent."""

    def __init__(self, python: Path) -> None:
        self._python = python
        self.apdus: list[bytes] = []

    def play(self, scene: str, tag: VirtualNtag, keys: list[str], **asked: Any) -> Any:
        """What it finds, or does, on a tag in its field."""
        tag.power_on()
        program = subprocess.Popen(
            [self._python, "-I", HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert program.stdin and program.stdout and program.stderr
        print(json.dumps({"scene": scene, "keys": keys, **asked}), file=program.stdin, flush=True)
        for line in program.stdout:
            word, _, rest = line.partition(" ")
            if word == "told":
                program.communicate(timeout=SCENE_BUDGET_S)
                return json.loads(rest)
            apdu = bytes.fromhex(rest)
            self.apdus.append(apdu)
            print(tag.transceive(apdu).hex(), file=program.stdin, flush=True)
        raise AssertionError(program.stderr.read())


@pytest.fixture
def foreign(python: Path) -> Foreign:
    return Foreign(python)


def keys_of(tag: HeldTag) -> list[str]:
    return [tag.order.keys[number].hex() for number in range(5)]


def originality() -> str:
    return originality_public_key().hex()


def test_a_tag_as_delivered_is_what_the_other_host_expects(foreign: Foreign) -> None:
    tag = VirtualNtag.load(blank_store(order_for()))
    told = foreign.play("blank", tag, ZEROS, originality=originality())
    assert told == {
        "zero keys": ["taken"] * 5,
        "signature": True,
        "files": {"1": [0, 0xE, 0, 0, 0, 32], "2": [0, 0xE, 0xE, 0xE, 0, 256], "3": [3, 2, 3, 3, 0, 128]},
        "dynamic": True,
        "capabilities": "001720010000ff0406e104010000000506e10500808283",
    }
    assert foreign.play("plain", VirtualNtag.load(blank_store(order_for())), ZEROS) == {
        "written": "9100",
        "read": "isoown",
    }


def test_a_tag_we_issued_and_that_paid_is_read_by_the_other_host_byte_for_byte(foreign: Foreign) -> None:
    tag = issued_tag()
    assert paid(stall(2, [tag], [word_for(tag)]), tag, 300) == [300]
    told = foreign.play("look", tag.awake(), keys_of(tag), sizes={"2": 233, "3": 128})
    assert told == {
        "uid": tag.order.uid.hex(),
        "versions": [1] * 5,
        "files": {"1": [0, 0xE, 0, 0, 0, 32], "2": [*CLOSED, 256], "3": [*CLOSED, 128]},
        "zero keys": ["91AE"] * 5,
        "own keys": ["taken"] * 5,
        "content": {"2": tag.entitlement.hex(), "3": tag.content(3).hex()},
    }
    assert tag.spent()[3] == 300


def test_a_tag_whose_keys_and_rights_the_other_host_set_is_finished_by_ours_and_pays(foreign: Foreign) -> None:
    order = order_for()
    tag = HeldTag(order, blank_store(order))
    told = foreign.play("issue", tag.awake(), keys_of(tag), originality=originality())
    assert told == {"verified": True, "signature": True, "changed": [1, 2, 3, 4, 0]}
    assert issue_tag(laid(tag.store), order) is Found.BEGUN
    assert paid(stall(2, [tag], [word_for(tag)]), tag, 700) == [700]


def test_a_half_the_other_host_wrote_is_the_state_ours_finds(foreign: Foreign) -> None:
    tag = issued_tag()
    before = tag.purse
    values = (before.newest.values[0] - 1, *before.newest.values[1:])
    half = encode_half(PurseHalf(1, values, b"\x10" + bytes(31)), tag.order.uid)
    told = foreign.play(
        "write", tag.awake(), keys_of(tag), file=3, offset=before.free * HALF_SIZE_B, content=half.hex()
    )
    assert told["read again"].endswith(half.hex())
    assert tag.purse.newest.counter == 1 and tag.spent()[1] == 1 and tag.purse.older == before.newest


def test_both_make_the_same_key_of_a_master(foreign: Foreign) -> None:
    order, master = order_for(), random.Random(4).randbytes(16)
    text = diversification_input(order.uid, NTAG_AID, 1, "gers", order.card)
    told = foreign.play("diversify", issued_tag().awake(), [master.hex()], input=text.hex())
    assert told == {"key": diversify(master, text).hex()}


def test_the_other_host_sent_what_the_page_of_proofs_says(foreign: Foreign) -> None:
    tag, order = issued_tag(), order_for()
    foreign.play("blank", VirtualNtag.load(blank_store(order)), ZEROS, originality=originality())
    foreign.play("plain", VirtualNtag.load(blank_store(order)), ZEROS)
    foreign.play("issue", VirtualNtag.load(blank_store(order)), keys_of(tag), originality=originality())
    foreign.play("look", tag.awake(), keys_of(tag), sizes={"3": 128})
    foreign.play("write", tag.awake(), keys_of(tag), file=3, offset=0, content=bytes(16).hex())
    sent = {(apdu[0], apdu[1]) for apdu in foreign.apdus}
    wrapped = {0x3C, 0x51, 0x5F, 0x64, 0x71, 0x8D, 0xAD, 0xAF, 0xC4, 0xF5}
    assert sent == {(0x90, ins) for ins in wrapped} | {(0x00, ins) for ins in (0xA4, 0xB0, 0xD6)}
