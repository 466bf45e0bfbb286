"""Every parser of bytes from outside, with good examples of what it reads.

What is signed is tried twice: as it travels (mostly the envelope is tried), and with its payload changed and signed
anew, as by a centre or a terminal whose key is in wrong hands.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from central.rule_file import RuleMistake, read_rule_file
from domain.card_log import Debit, LogRecord, LogType
from domain.identity import CardId, PurseNumber, SlotFile, Station, TerminalId, Uid
from domain.money import Cents
from domain.purse import Entitlement, Slot
from domain.rule_set import Merchant
from emulator.memory import CommMode
from emulator.messaging import Ev2Session, seal_answer
from sync import cbor, crypto
from sync.batch import (
    Answer,
    BatchHead,
    Disposition,
    Versions,
    decode_answer,
    decode_batch,
    encode_answer,
    encode_batch,
    head_of,
)
from sync.bundle import Item, Kind, encode_bundle, read_bundle, split_bundle
from sync.card_format import (
    CardInfo,
    decode_card_info,
    decode_entitlement,
    decode_log_record,
    decode_reader_id,
    encode_card_info,
    encode_entitlement,
    encode_log_record,
    encode_reader_id,
)
from sync.cose import ContentType, open1, sign1
from sync.crypto import new_private_key, sign
from sync.enrolment import (
    Certificate,
    OneTimeCode,
    Request,
    Response,
    encode_certificate,
    encode_request,
    encode_response,
    fingerprint,
    read_certificate,
    read_code,
    read_request,
    read_response,
)
from sync.errors import FormatError
from sync.issuing import card_code, card_of_code
from sync.merchant_format import encode_merchant, read_merchant
from sync.record import Envelope, Pay, RecordType, open_record, seal_record
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
    open_card_keys,
    read_card_keys,
    read_centre_keys,
    read_entitlements,
    read_hot_list,
    read_terminals,
)
from sync.tmac import parse
from terminal.errors import CardFault, CardGone, JournalInUse, OutcomeUnknown
from terminal.json_lines import BadLine
from terminal.json_lines import read_request as read_json_line
from terminal.nfc.apdu import Ins, ask, unwrap
from terminal.nfc.channel import Channel, Session, SessionKeys, authenticate_ev2_first
from terminal.nfc.desfire_purse import DesfirePurse
from terminal.nfc.links import Link
from terminal.nfc.pn532_frames import ACK, NACK, FrameBuffer
from terminal.nfc.pn532_frames import framed as pn532_framed
from terminal.offline_queue.contact import decode_contact, encode_contact
from terminal.offline_queue.socket import OutboxClient, OutboxServer
from terminal.ports import CardPlan, Deadline
from tests.fuzz.run import Target
from tests.fuzz.whole import WHOLE_TARGETS
from tests.journal import centre_kit, kit
from tests.journal.faulty_vfs import FaultyDisk
from tests.sync.pocket import PocketCard

RULE_FILE: Final = Path(__file__).parents[2] / "domain" / "rule-sets" / "gers.toml"
NOON: Final = datetime(2026, 12, 5, 11, tzinfo=UTC)
ROOT, LISTS, ANSWERS, ENTITLEMENTS, CARDS, DEVICE = (new_private_key() for _ in range(6))
KEYS: Final = CentreKeys(
    3, {1: ENTITLEMENTS.public_key()}, {1: CARDS.public_key()}, LISTS.public_key(), ANSWERS.public_key()
)
TERMINAL: Final = TerminalId(b"terminal")
CARD, UID, AID = CardId(b"card-one"), Uid(b"\x04chip-1"), b"\x01\x02\x03"
NONCE: Final = bytes(range(16))
HEAD: Final = BatchHead(TERMINAL, 1, 7, NONCE, Versions(1, 2, 3, 4, 5, 6))
READER_ID: Final = encode_reader_id(Station(7), 9)
CODE: Final = OneTimeCode(bytes(range(10)), fingerprint(ROOT.public_key()))


def by(key: crypto.PrivateKey) -> Callable[[bytes], bytes]:
    """The signature of a key."""
    return lambda message: sign(key, message)


def pay_log(tmc: int = 3) -> bytes:
    debits = (Debit(SlotFile(3), Cents(700)),)
    return encode_log_record(LogRecord(LogType.PAYMENT, Station(7), 9, tmc, NOON, 4, 2, debits, Cents(700), Cents(700)))


def slot(file: int = 3) -> Slot:
    return Slot(SlotFile(file), PurseNumber(1), Cents(4_000), Cents(0), Cents(16_000_000), NOON, None)


def entitlement(*slots: Slot) -> bytes:
    word = Entitlement(1, CARD, 1, 2, NOON, NOON + timedelta(days=30), 4, 1, Cents(500), slots)
    return encode_entitlement(word, UID, by(ENTITLEMENTS))


# --- what cards answer -----------------------------------------------------------------------------------------------


def framed(*frames: bytes) -> bytes:
    """Answers one after the other, each behind its length."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


def frames_of(data: bytes) -> list[bytes]:
    """The answers in an input; the last one as long as the input is."""
    frames, at = [], 0
    while at + 2 <= len(data):
        size_b = int.from_bytes(data[at : at + 2], "big")
        frames.append(data[at + 2 : at + 2 + size_b])
        at += 2 + size_b
    return frames


class Playing:
    """``links.Field``: gives the answers of an input in their order, then the card has gone."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = iter(frames)

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        answer = next(self._frames, None)
        if answer is None:
            raise CardGone("no more answers")
        return answer

    def close(self, *, is_clean: bool) -> None:
        return


class Sealing(Playing):
    """As Playing, but each answer is the plain content of a card that has the session's keys: its author's own code
    seals it.
    """

    def __init__(self, frames: list[bytes]) -> None:
        super().__init__(frames)
        self._session = Ev2Session(1, bytes(16), bytes(16), bytes(4))

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        content = super().transmit(apdu, deadline)
        mode = CommMode.MAC if apdu[1] in (Ins.COMMIT_READER_ID, Ins.COMMIT_TRANSACTION) else CommMode.FULL
        return seal_answer(self._session, 0, content, mode) + b"\x91\x00"


def link_of(field: Playing) -> Link:
    return Link(field, Deadline(1.0), lambda _deadline: 1.0)


def read_frames(data: bytes) -> object:
    return ask(link_of(Playing(frames_of(data))).exchange, Ins.READ_DATA)


def read_authentication(data: bytes) -> object:
    return authenticate_ev2_first(link_of(Playing(frames_of(data))), bytes(16), 1, lambda size_b: bytes(size_b))


def authentication_answers() -> bytes:
    """Both answers of a card whose key, challenge and identifier are zeros, to a reader whose challenge is zeros."""
    challenge = crypto.aes_cbc_encrypt(bytes(16), bytes(16), bytes(16))
    proof = crypto.aes_cbc_encrypt(bytes(16), bytes(16), bytes(32))
    return framed(challenge + b"\x91\xaf", proof + b"\x91\x00")


def read_purse(field: Playing) -> object:
    """All a payment sends, over answers that lie."""
    purse = DesfirePurse(Channel(link_of(field), Session(SessionKeys(bytes(16), bytes(16)), bytes(4))))
    head = purse.open(READER_ID, all_logs=True)
    for log in head.logs:
        with_or_without(decode_log_record, log)
    with_or_without(lambda data: decode_entitlement(data, UID, KEYS.entitlements.get), head.entitlement)
    purse.values([SlotFile(3), SlotFile(4)])
    plan = CardPlan((Debit(SlotFile(3), Cents(700)),), pay_log(), head.entitlement)
    purse.foretell(plan)
    purse.stage(plan)
    return purse.commit()


def with_or_without(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except FormatError:
        return


def purse_answers(slips: int = 0) -> bytes:
    """The plain answers of one payment with two slots."""
    tmac = (3).to_bytes(4, "little") + bytes(8)
    place = bytes([slips]) + entitlement(slot(3), slot(4)).ljust(233, b"\x00")
    values = [(16_000_000 - spent).to_bytes(4, "little", signed=True) for spent in (700, 0)]
    more = [bytes(192)] if slips else []
    return framed(
        tmac, bytes(16), pay_log() * 4, place, *more, *values, b"", b"", b"", (4).to_bytes(4, "little") + bytes(8)
    )


class Overheard(Sealing):
    """Keeps what went over the air."""

    def __init__(self, frames: list[bytes]) -> None:
        super().__init__(frames)
        self.heard: list[bytes] = []

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        self.heard.append(super().transmit(apdu, deadline))
        return self.heard[-1]


def on_the_air(plain: bytes) -> bytes:
    """The answers of a payment as they travel."""
    field = Overheard(frames_of(plain))
    read_purse(field)
    return framed(*field.heard)


def tmi_example() -> bytes:
    chip = PocketCard(UID, bytes(16), entitlement=entitlement(slot()).ljust(233, b"\x00"))
    return chip.pay({3: 700}, READER_ID, pay_log(1))[1].tmi


def signed_body(data: bytes, prefix: bytes, key: crypto.PrivateKey) -> bytes:
    """A fixed object whose last 64 bytes are its signature, signed anew over what stands before."""
    body = data[:-64]
    return body + sign(key, prefix + body)


def read_entitlement_signed_anew(data: bytes) -> object:
    body = data[: 33 + 17 * data[31]] if len(data) > 31 else data
    signed = body + sign(ENTITLEMENTS, b"panier/entitlement/1" + UID + body)
    return decode_entitlement(signed, UID, lambda _key_id: ENTITLEMENTS.public_key())


def read_card_info_signed_anew(data: bytes) -> object:
    signed = signed_body(data, b"panier/card/1" + UID, CARDS)
    return decode_card_info(signed, UID, lambda _key_id: CARDS.public_key())


def read_slip_signed_anew(data: bytes) -> object:
    from sync.card_format import read_slip, verify_slip

    signed = signed_body(data, b"panier/slip/1" + CARD, DEVICE)
    slip = read_slip(signed)
    verify_slip(signed, CARD, DEVICE.public_key())
    return slip


def slip_example() -> bytes:
    from domain.slip import Slip
    from sync.card_format import encode_slip

    parts = (Debit(SlotFile(3), Cents(700)),)
    return encode_slip(Slip(Station(7), 10, 9, 3, 4, (1, 2), parts, NOON), CARD, by(DEVICE))


# --- what travels ----------------------------------------------------------------------------------------------------


def resigned(content_type: str, key: crypto.PrivateKey, read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """A reader of payloads: each is signed before it is read."""
    return lambda payload: read(sign1(content_type, b"key", payload, by(key)))


def payload_of(signed: bytes) -> bytes:
    return open1(signed, len(signed)).payload


def record_example() -> bytes:
    body: cbor.Map = {
        Pay.VERSION: 1,
        Pay.CARD: CARD,
        Pay.TMC: 3,
        Pay.TMV: bytes(8),
        Pay.TMI: tmi_example(),
        Pay.DEBITS: [[3, 700]],
        Pay.LINES: [["vegetables", 700, 1, 700, 0]],
    }
    seconds = int(NOON.timestamp())
    envelope = Envelope(
        RecordType.PAYMENT, TERMINAL, 1, 7, bytes(32), 1, 5_000_000, seconds, 2, seconds, seconds, 1, 1, "panier", 0,
        700, 700, body,
    )  # fmt: skip
    return seal_record(envelope, by(DEVICE))


def answer_example() -> bytes:
    dispositions = ((8, Disposition.QUARANTINED), (9, Disposition.EXCESS))
    answer = Answer(TERMINAL, 1, 11, bytes(32), NOON, NONCE, dispositions, Versions(9, 8, 7, 6, 5, 4))
    return encode_answer(answer, b"answers", by(ANSWERS))


def read_answer(data: bytes) -> object:
    return decode_answer(data, ANSWERS.public_key(), NONCE)


CARD_KEYS: Final = (
    CardKey(CARD, UID, "gers", AID, None, bytes(16)),
    CardKey(CardId(b"card-two"), Uid(b"\x04chip-2"), "gers", AID, NOON, bytes(range(16))),
)
STALL: Final = Merchant(12, 2, "Ferme du Moulin", frozenset({"referenced"}), "vegetables")


def lists() -> dict[Kind, bytes]:
    """One signed list of each kind."""
    rules, delta = read_rule_file(RULE_FILE), EntitlementDelta(0, 5, ((UID, entitlement(slot())),))
    hot = HotList(9, NOON, frozenset({CARD, CardId(b"card-two")}))
    stations = {Station(7): SlipKey(DEVICE.public_key()), Station(9): SlipKey(LISTS.public_key(), 40)}
    return {
        Kind.TERMINALS: encode_terminals(TerminalsList(6, stations), b"lists", by(LISTS)),
        Kind.CENTRE_KEYS: encode_centre_keys(KEYS, b"root", by(ROOT)),
        Kind.RULE_SET: encode_rule_set(rules, b"lists", by(LISTS)),
        Kind.MERCHANT: encode_merchant(STALL, b"lists", by(LISTS)),
        Kind.HOT_LIST: encode_hot_list(hot, b"lists", by(LISTS)),
        Kind.CARD_KEYS: encode_card_keys(4, TERMINAL, DEVICE.public_key(), CARD_KEYS, b"lists", by(LISTS)),
        Kind.ENTITLEMENTS: encode_entitlements(delta, b"lists", by(LISTS)),
    }


LIST_READERS: Final[dict[Kind, tuple[str, crypto.PrivateKey, Callable[[bytes], object]]]] = {
    Kind.CENTRE_KEYS: (ContentType.CENTRE_KEYS, ROOT, lambda data: read_centre_keys(data, ROOT.public_key())),
    Kind.RULE_SET: (ContentType.RULE_SET, LISTS, lambda data: read_rule_set(data, LISTS.public_key())),
    Kind.MERCHANT: (ContentType.MERCHANT, LISTS, lambda data: read_merchant(data, LISTS.public_key())),
    Kind.HOT_LIST: (ContentType.HOT_LIST, LISTS, lambda data: read_hot_list(data, LISTS.public_key())),
    Kind.CARD_KEYS: (ContentType.CARD_KEYS, LISTS, lambda data: read_card_keys(data, LISTS.public_key(), TERMINAL)),
    Kind.TERMINALS: (ContentType.TERMINALS, LISTS, lambda data: read_terminals(data, LISTS.public_key())),
    Kind.ENTITLEMENTS: (ContentType.ENTITLEMENTS, LISTS, lambda data: read_entitlements(data, LISTS.public_key())),
}


def list_targets() -> list[Target]:
    made = []
    signed = lists()
    for kind, (content_type, key, read) in LIST_READERS.items():
        name = kind.name.lower().replace("_", " ")
        made.append(Target(f"{name}, as it travels", (signed[kind],), read, is_cbor=True))
        anew = resigned(content_type, key, read)
        made.append(Target(f"{name}, signed anew", (payload_of(signed[kind]),), anew, is_cbor=True, cost=2))
    return made


def key_table() -> bytes:
    table: list[cbor.Value] = [
        [item.card, item.uid, item.programme, item.aid, None, item.key, []] for item in CARD_KEYS
    ]
    shares: list[cbor.Value] = [[20_513, 3_000], [20_544, 2_000]]
    return cbor.encode([*table, [CARD, UID, "gers", AID, int(NOON.timestamp()), bytes(16), shares]])


def read_key_table(data: bytes) -> object:
    context = b"panier/card-keys/1" + TERMINAL + (4).to_bytes(8, "big")
    return open_card_keys(CardKeysList(4, TERMINAL, crypto.seal_to(DEVICE.public_key(), data, context)), DEVICE)


def read_sealed_keys(data: bytes) -> object:
    return open_card_keys(CardKeysList(4, TERMINAL, data), DEVICE)


def sealed_example() -> bytes:
    context = b"panier/card-keys/1" + TERMINAL + (4).to_bytes(8, "big")
    return crypto.seal_to(DEVICE.public_key(), key_table(), context)


def bundle_example() -> bytes:
    versions = {
        Kind.CENTRE_KEYS: 3,
        Kind.RULE_SET: 1,
        Kind.MERCHANT: 2,
        Kind.HOT_LIST: 9,
        Kind.CARD_KEYS: 4,
        Kind.ENTITLEMENTS: 5,
        Kind.TERMINALS: 6,
    }
    return encode_bundle([Item(kind, versions[kind], signed) for kind, signed in lists().items()])


def read_whole_bundle(data: bytes) -> object:
    return read_bundle(data, ROOT.public_key(), KEYS, TERMINAL)


def certificate_example() -> bytes:
    return encode_certificate(
        Certificate(
            TERMINAL, 1, Station(7), 12, "gers", DEVICE.public_key(), Cents(50_000), Cents(4_000), 1, NOON,
            NOON + timedelta(days=365),
        ),
        b"root",
        by(ROOT),
    )  # fmt: skip


def response_example() -> bytes:
    keys = lists()[Kind.CENTRE_KEYS]
    return encode_response(Response(ROOT.public_key(), certificate_example(), keys, bundle_example()))


def request_example() -> bytes:
    return encode_request(Request(bytes(10), DEVICE.public_key(), "panier 0.1.0"), by(DEVICE))


def read_printed_code(data: bytes) -> object:
    return card_of_code(data.decode("utf-8", "replace"))


def read_line(data: bytes) -> object:
    """Frames of a reader on a serial line, noise passed over: it comes to an end."""
    line, frames = FrameBuffer(), []
    line.add(data)
    while (found := line.take()) is not None:
        frames.append(found)
    return frames


def read_any_code(data: bytes) -> object:
    return read_code(data.decode("utf-8", "replace"))


def read_sequence(data: bytes) -> object:
    return list(cbor.split_sequence(data, 65_536, 64)), cbor.whole_items(data, 64)


@cache
def scratch() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="panier-fuzz-")
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: Final[list[object]] = []


def read_rules_text(data: bytes) -> object:
    path = scratch() / "regles.toml"
    path.write_bytes(data)
    return read_rule_file(path)


# --- the till's socket -----------------------------------------------------------------------------------------------


@dataclass
class SocketTill:
    """A till's process as far as its socket goes, without a socket."""

    server: OutboxServer


@cache
def socket_till() -> SocketTill:
    pen = centre_kit.Pen()
    desk = centre_kit.made(pen, FaultyDisk())
    desk.lists.take_download(pen.first_bundle(), kit.stamp())
    kit.note(desk.journal)
    server = OutboxServer(
        Path("till.sock"), desk.outbox, threading.Lock(), centre_kit.at, lambda: None, desk.journal.records
    )
    return SocketTill(server)


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def serve_frames(data: bytes) -> object:
    """What another program sends down the socket, to its end; its replies are read and thrown away."""
    ours, theirs = socket.socketpair()
    with ours:
        drain = threading.Thread(target=_drain, args=(ours, data), daemon=True)
        drain.start()
        socket_till().server._serve(theirs)
        drain.join()
    return None


def _drain(peer: socket.socket, data: bytes) -> None:
    try:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65_536):
            pass
    except OSError:
        return


def serve_request(data: bytes) -> object:
    """One request as the server takes it: every reply can be written down."""
    return cbor.encode(socket_till().server._reply(cbor.decode_map(data, 65_536)))


def requests() -> tuple[bytes, ...]:
    pen = centre_kit.Pen()
    words: list[tuple[str, list[cbor.Value]]] = [
        ("batch", [NONCE, 256, 262_144]),
        ("answer", [answer_example(), NONCE]),
        ("download", [pen.first_bundle()]),
        ("state", []),
        ("export", [1]),
    ]
    return tuple(cbor.encode({0: 1, 1: word, 2: arguments}) for word, arguments in words)


def hear_reply(data: bytes) -> object:
    """A reply as another program takes it."""
    said = []
    for ask_for in (
        lambda client: client.state(),
        lambda client: client.export(1),
        lambda client: client.next_batch(NONCE),
    ):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(frame(data)[:100_000])
            theirs.shutdown(socket.SHUT_WR)
            client = OutboxClient(Path("till.sock"))
            client._peer = ours
            ours.settimeout(2)
            try:
                said.append(ask_for(client))
            except FormatError:
                continue
    return said


def replies() -> tuple[bytes, ...]:
    values: list[cbor.Value] = [
        [1, 1, 1_250, int(NOON.timestamp()), None],
        [0, 0, 0, None, "gelée"],
        [b"record"],
        b"batch",
    ]
    good = [cbor.encode({0: 1, 1: True, 2: value}) for value in values]
    return (*good, cbor.encode({0: 1, 1: False, 2: [True, "illisible"]}))


JSON_LINES: Final = (
    b'{"id":1,"sale":{"lines":[{"family":"vegetables","amount_cents":1250}]}}',
    b'{"id":2,"sale":{"lines":[{"family":"bread","amount_cents":1,"quantity_thousandths":500}]}}',
    b'{"id":3,"balance":{}}',
    b'{"id":1,"confirm":{}}',
    b'{"id":1,"cancel":{}}',
)


PN532_LINE: Final = ACK + pn532_framed(b"\xd5\x41\x00" + bytes(20)) + pn532_framed(b"\xd5\x41\x00" + bytes(250)) + NACK


def card_targets() -> list[Target]:
    faults = (CardFault, OutcomeUnknown)
    sealed, plain = purse_answers(), purse_answers(slips=3)
    record, word = pay_log(), entitlement(slot(3), slot(4))
    info = encode_card_info(CardInfo(1, CARD, "gers", Cents(16_000_000), None), UID, by(CARDS))
    frames = framed(bytes(57) + b"\x91\xaf", bytes(40) + b"\x91\x00")
    return [
        Target("one answer", (bytes(20) + b"\x91\x00", b"\x91\xaf"), unwrap, faults),
        Target("frames of an answer", (frames, framed(b"\x91\x00")), read_frames, faults),
        Target(
            "an authentication",
            (authentication_answers(),),
            read_authentication,
            faults,
            cost=2,
        ),
        Target(
            "answers of a payment",
            (on_the_air(sealed), on_the_air(plain)),
            lambda data: read_purse(Playing(frames_of(data))),
            faults,
            cost=2,
        ),
        Target(
            "sealed answers of a payment",
            (sealed, plain),
            lambda data: read_purse(Sealing(frames_of(data))),
            faults,
            cost=4,
        ),
        Target("log record", (record,), decode_log_record),
        Target(
            "entitlement",
            (word, word.ljust(233, b"\x00")),
            lambda data: decode_entitlement(data, UID, KEYS.entitlements.get),
        ),
        Target("entitlement signed anew", (word, entitlement()), read_entitlement_signed_anew),
        Target("card info", (info,), lambda data: decode_card_info(data, UID, KEYS.cards.get)),
        Target("card info signed anew", (info,), read_card_info_signed_anew),
        Target("slip", (slip_example(),), read_slip_signed_anew),
        Target("reader id", (READER_ID, bytes(16)), decode_reader_id, ()),
        Target("TMI", (tmi_example(),), parse),
    ]


def sync_targets() -> list[Target]:
    record, answer, request = record_example(), answer_example(), request_example()
    batch = encode_batch(HEAD, [record, record])
    return [
        Target(
            "CBOR",
            (record, payload_of(record), *lists().values()),
            lambda data: cbor.decode(data, 65_536),
            is_cbor=True,
        ),
        Target("CBOR sequence", (batch, bundle_example()), read_sequence, is_cbor=False),
        Target("COSE envelope", (record, answer), lambda data: open1(data, 65_536), is_cbor=True),
        Target("record", (record,), open_record, is_cbor=True),
        Target(
            "record signed anew", (payload_of(record),), resigned(ContentType.RECORD, DEVICE, open_record), is_cbor=True
        ),
        Target("batch", (batch,), decode_batch),
        Target("head of a batch", (batch, encode_batch(HEAD, [])), head_of, is_cbor=True),
        Target("answer", (answer,), read_answer, is_cbor=True),
        Target(
            "answer signed anew",
            (payload_of(answer),),
            resigned(ContentType.ANSWER, ANSWERS, read_answer),
            is_cbor=True,
            cost=2,
        ),
        Target("bundle", (bundle_example(),), split_bundle),
        Target("bundle and its lists", (bundle_example(),), read_whole_bundle, cost=10),
        *list_targets(),
        Target("card keys, sealed anew", (key_table(),), read_key_table, is_cbor=True, cost=4),
        Target("card keys, sealed", (sealed_example(),), read_sealed_keys, cost=2),
        Target("one-time code", (CODE.text.encode(), CODE.text.lower().replace("-", " ").encode()), read_any_code),
        Target("enrolment request", (request,), read_request, is_cbor=True),
        Target(
            "enrolment request signed anew",
            (payload_of(request),),
            resigned(ContentType.ENROLMENT, DEVICE, read_request),
            is_cbor=True,
            cost=2,
        ),
        Target(
            "certificate",
            (certificate_example(),),
            lambda data: read_certificate(data, ROOT.public_key()),
            is_cbor=True,
        ),
        Target(
            "certificate signed anew",
            (payload_of(certificate_example()),),
            resigned(ContentType.CERTIFICATE, ROOT, lambda data: read_certificate(data, ROOT.public_key())),
            is_cbor=True,
            cost=2,
        ),
        Target(
            "enrolment response",
            (response_example(),),
            lambda data: read_response(data, CODE, DEVICE.public_key()),
            is_cbor=True,
            cost=10,
        ),
        Target("rule file", (RULE_FILE.read_bytes(),), read_rules_text, (RuleMistake,), cost=4),
    ]


def edge_targets() -> list[Target]:
    return [
        Target(
            "code printed on a card", (card_code(CARD).encode(), card_code(CARD).lower().encode()), read_printed_code
        ),
        Target("serial line of a reader", (PN532_LINE,), read_line, ()),
        Target("JSON line", JSON_LINES, read_json_line, (BadLine,)),
        Target(
            "frames on the till's socket", tuple(frame(request) for request in requests()), serve_frames, (), cost=10
        ),
        Target("request on the till's socket", requests(), serve_request, is_cbor=True, cost=4),
        Target("reply on the till's socket", replies(), hear_reply, (FormatError, JournalInUse), is_cbor=True, cost=4),
        Target("what is kept of the centre", (encode_contact(kit.CONTACT),), decode_contact, is_cbor=True),
    ]


TARGETS: Final = (*card_targets(), *sync_targets(), *edge_targets(), *WHOLE_TARGETS)
