"""Everything one does with a centre: make it, register cards, grant, enrol terminals, exchange batches, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from central import account, courier, grants, redecision
from central.ingest import take_batch
from central.keys import CARD_KEY_NUMBERS, CentralKeys, load_keys, make_keys
from central.rebuild import Budget
from central.rule_file import read_rule_file
from central.rule_sets import read_once
from central.store import Store
from central.upgrade import upgrade
from domain.card_log import LogRecord
from domain.identity import CARD_ID_SIZE_B, CardId, PurseNumber, Station, TerminalId, Uid
from domain.money import Cents
from domain.rule_set import Merchant, RuleSet
from sync.batch import Answer, Batch, Versions, decode_batch, encode_answer
from sync.bundle import Item, Kind, encode_bundle
from sync.card_format import CardInfo, encode_card_info
from sync.crypto import public_bytes, public_key, sha256, token
from sync.enrolment import (
    SECRET_SIZE_B,
    Certificate,
    OneTimeCode,
    Response,
    encode_certificate,
    encode_response,
    fingerprint,
    read_request,
)
from sync.errors import BadSignature, Malformed
from sync.issuing import LOADED_AT_ISSUING, IssueOrder, first_log_record
from sync.rule_format import encode_merchant, encode_rule_set
from sync.signed_lists import (
    CardKey,
    EntitlementDelta,
    HotList,
    SlipKey,
    TerminalsList,
    encode_card_keys,
    encode_entitlements,
    encode_hot_list,
    encode_terminals,
)

AID: Final = bytes.fromhex("A05310")
ROOT_ID, LISTS_ID, ANSWERS_ID = b"root", b"lists", b"answers"
REVOKED: Final = "revoked by the programme"
CODE_LIVES: Final = timedelta(hours=24)
CERTIFICATE_LIVES: Final = timedelta(days=366)
OFFLINE_CAP, CARD_CAP = Cents(200_000), Cents(8_000)
SKIPPED_NUMBERS: Final = 10_000
"""After a restore: more than were ever given out between two backups."""
HOT_LIST_LIVES: Final = timedelta(hours=6)
"""An unchanged hot list is signed again after so long: its age tells a terminal the age of its last contact."""


def now_utc() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


def make_centre(directory: Path, rule_file: Path, at: datetime | None = None, keys: CentralKeys | None = None) -> None:
    """Make a new centre in an empty folder: keys (throw-away ones unless some are there), tables, first lists."""
    directory.mkdir(parents=True, exist_ok=True)
    rules = read_rule_file(rule_file)
    if not (directory / "keys").exists():
        make_keys(directory / "keys", at or now_utc())
    Store(directory / "centre.db").create()
    office = Office(directory, keys=keys)
    with office.store.writing():
        office.put_rule_set(rules, at or now_utc())
        office.sign_hot_list(at or now_utc())
    office.close()


@dataclass(frozen=True, slots=True)
class Exchange:
    """What goes back to a terminal."""

    answer: bytes
    bundle: bytes


class Office:
    """An open centre. ``clock`` tells aware UTC; each thread that uses it connects by itself."""

    def __init__(
        self, directory: Path, clock: Callable[[], datetime] = now_utc, keys: CentralKeys | None = None
    ) -> None:
        self.directory = directory
        self.store = Store(directory / "centre.db")
        self.keys: CentralKeys = keys or load_keys(directory / "keys")
        self._clock = clock
        self.store.open()
        if not self.store.is_of_this_format():
            with self.store.writing():
                upgrade(self.store, self.keys, self.rules.programme)

    def close(self) -> None:
        """Let go of the database in this thread."""
        self.store.close()

    @property
    def rules(self) -> RuleSet:
        """The newest rule set."""
        row = self.store.one("SELECT data FROM signed_list WHERE kind = ? ORDER BY version DESC LIMIT 1", Kind.RULE_SET)
        assert row is not None, "a centre has a rule set"
        return read_once(bytes(row["data"]), self.keys.public_key("lists"))

    def day_start(self, day: date) -> datetime:
        """The instant a day begins in the programme's time zone, aware UTC."""
        return datetime.combine(day, time(), ZoneInfo(self.rules.timezone)).astimezone(UTC)

    def day_after(self, day: date) -> datetime:
        """The instant a day is over."""
        return self.day_start(day + timedelta(days=1))

    # --- cards -------------------------------------------------------------------------------------------------------

    def register_card(self, uid: Uid, aid: bytes | None = None) -> IssueOrder:
        """Take a chip into the programme under a fresh pseudonym, and say what to write on it.

        The same chip asked for again before it is issued gets the same order (a broken-off issuing).

        Args:
            aid: application id of its kind of card (3 B); ``None``: the programme's own, a DESFire card.
        """
        at, programme = self._clock(), self.rules.programme
        with self.store.writing():
            known = self.store.one("SELECT card, aid FROM card WHERE uid = ?", uid)
            card = CardId(bytes(known["card"]) if known else token(CARD_ID_SIZE_B))
            aid = bytes(known["aid"]) if known else aid or AID
            if known is None:
                self.store.put(
                    "card",
                    card=card,
                    uid=uid,
                    aid=aid,
                    loaded=int(LOADED_AT_ISSUING),
                    expires_at=None,
                    registered_at=int(at.timestamp()),
                    hot_since=None,
                )
                self.store.next_number("card keys")
        info = CardInfo(1, card, programme, LOADED_AT_ISSUING, None)
        record: LogRecord = first_log_record(at, self.rules.version)
        numbers = CARD_KEY_NUMBERS
        keys = {number: self.keys.card_key(number, uid, aid, programme, card) for number in numbers}
        signed = encode_card_info(info, uid, self.keys.signer("cards"))
        return IssueOrder(card, uid, aid, LOADED_AT_ISSUING, signed, record, keys, self.keys.public().cards)

    def has_chip(self, uid: Uid) -> bool:
        """Whether a chip was ever taken into the programme."""
        return self.store.one("SELECT 1 FROM card WHERE uid = ?", uid) is not None

    def grant(
        self, card: CardId, purse: PurseNumber, amount: Cents, start: datetime, end: datetime | None
    ) -> str | None:
        """Grant cents to a card and sign the entitlement that says so. ValueError: unknown card, overlap, no sum.

        Returns:
            Why the grant, which is kept, waits to be signed (central/signing_duty.py); ``None`` when it is signed.
        """
        at = self._clock()
        with self.store.writing():
            self._check_known(card)
            grants.give(self.store, card, purse, amount, start, end, at)
            return grants.issue_or_wait(self.store, self.keys, card, self.rules, at)

    def report_lost(self, card: CardId) -> None:
        """Put a card on the hot list. ValueError: no card of the programme."""
        at = self._clock()
        with self.store.writing():
            self._check_known(card)
            self.store.change("UPDATE card SET hot_since = ? WHERE card = ?", int(at.timestamp()), card)
            self.sign_hot_list(at)

    def release(self, card: CardId) -> None:
        """Let a card that was suspended for a false proof pay again. ValueError: it is not suspended."""
        at = self._clock()
        with self.store.writing():
            self._check_known(card)
            if not self.store.change(
                "UPDATE suspension SET released_at = ? WHERE card = ? AND released_at IS NULL",
                int(at.timestamp()),
                card,
            ):
                raise ValueError("cette carte n'est pas suspendue")
            self.sign_hot_list(at)

    def _suspend(self, touched: Iterable[CardId], at: datetime) -> bool:
        """Suspend each card that a record brings a false proof of, at the first one; whether any was."""
        is_new = False
        for card in touched:
            for row in self.store.all(
                """SELECT terminal, epoch, seq FROM event WHERE card = ? AND state = 'false' AND has_proof = 1
                AND NOT EXISTS (SELECT 1 FROM suspension WHERE suspension.card = event.card
                    AND suspension.terminal = event.terminal AND suspension.epoch = event.epoch
                    AND suspension.seq = event.seq)""",
                card,
            ):
                if not self.store.one("SELECT 1 FROM suspension WHERE card = ? AND released_at IS NULL", card):
                    is_new = True
                self.store.put("suspension", card=card, at=int(at.timestamp()), **row)
        return is_new

    def _check_known(self, card: CardId) -> None:
        if self.store.one("SELECT 1 FROM card WHERE card = ?", card) is None:
            raise ValueError("aucune carte de ce numéro")

    # --- lists -------------------------------------------------------------------------------------------------------

    def put_rule_set(self, rules: RuleSet, at: datetime) -> None:
        """Sign a rule set; its version must be new. Inside a transaction."""
        signed = encode_rule_set(rules, LISTS_ID, self.keys.signer("lists"))
        self._keep(Kind.RULE_SET, rules.version, at, signed)

    def sign_hot_list(self, at: datetime) -> None:
        """Sign the whole hot list anew: lost cards and suspended ones. Inside a transaction."""
        rows = self.store.all(
            """SELECT card FROM card WHERE hot_since IS NOT NULL
            UNION SELECT card FROM suspension WHERE released_at IS NULL"""
        )
        version = self.store.next_number("hot list")
        hot_list = HotList(version, at.replace(microsecond=0), frozenset(CardId(bytes(row["card"])) for row in rows))
        self._keep(Kind.HOT_LIST, version, at, encode_hot_list(hot_list, LISTS_ID, self.keys.signer("lists")))

    def sign_terminals(self, at: datetime) -> None:
        """Sign the list of all stations anew, so that any terminal can check the slips of any other. Inside a
        transaction.
        """
        version = self.store.next_number("terminals")
        stations = {
            Station(row["station"]): SlipKey(
                public_key(bytes(row["device_key"])), None if row["revoked_at"] is None else row["last_void"]
            )
            for row in self.store.all(
                """SELECT station, device_key, revoked_at, (SELECT coalesce(max(event.seq), 0) FROM event
                    WHERE event.terminal = terminal.terminal AND event.epoch = terminal.epoch AND kind = 'void'
                    AND state = 'proven' AND source = 'record') AS last_void FROM terminal"""
            )
        }
        signed = encode_terminals(TerminalsList(version, stations), LISTS_ID, self.keys.signer("lists"))
        self._keep(Kind.TERMINALS, version, at, signed)

    def put_merchant(self, name: str, groups: Sequence[str], default_family: str) -> Merchant:
        """A new merchant of the programme."""
        with self.store.writing():
            number = self.store.next_number("merchant")
            self.store.put(
                "merchant",
                number=number,
                version=1,
                name=name,
                groups=" ".join(sorted(groups)),
                default_family=default_family,
            )
            redecision.keep_merchant_versions(self.store)
        return self._merchant(number)

    # --- terminals ---------------------------------------------------------------------------------------------------

    def new_code(self, merchant: int) -> OneTimeCode:
        """A one-time code for a terminal of a merchant, good for a day."""
        code = OneTimeCode(token(SECRET_SIZE_B), fingerprint(self.keys.public_key("root")))
        expires_at = int((self._clock() + CODE_LIVES).timestamp())
        with self.store.writing():
            self.store.put("code", secret_hash=sha256(code.secret), merchant=merchant, expires_at=expires_at)
        return code

    def enrol(self, signed_request: bytes) -> bytes:
        """Answer an enrolment: certificate, keys, first lists. The same device may ask again with its code.

        Raises:
            Malformed: not a request, or a code that is unknown, used or too old.
            BadSignature: the sender does not hold the key it names.
        """
        request = read_request(signed_request)
        device_key, at = public_bytes(request.device_key), self._clock().replace(microsecond=0)
        with self.store.writing():
            code = self.store.one("SELECT * FROM code WHERE secret_hash = ?", sha256(request.secret))
            if code is None or code["expires_at"] < at.timestamp():
                raise Malformed("unknown or expired code")
            if code["device_key"] is not None and bytes(code["device_key"]) != device_key:
                raise BadSignature("this code was used by another device")
            if code["device_key"] is None:
                self._take_in(code["merchant"], device_key, request.software, sha256(request.secret), at)
            row = self.store.one("SELECT * FROM terminal WHERE device_key = ? ORDER BY epoch DESC LIMIT 1", device_key)
            assert row is not None
            if row["revoked_at"] is not None:
                raise Malformed("the code of a terminal that was revoked")
        terminal = TerminalId(bytes(row["terminal"]))
        bundle = self._bundle(terminal, device_key, row["merchant"], Versions())
        root = self.keys.public_key("root")
        return encode_response(Response(root, bytes(row["certificate"]), self.keys.centre_keys, bundle))

    def _take_in(self, merchant: int, device_key: bytes, software: str, secret_hash: bytes, at: datetime) -> None:
        known = self.store.one(
            "SELECT terminal, max(epoch) AS epoch FROM terminal WHERE device_key = ? GROUP BY terminal", device_key
        )
        terminal = TerminalId(bytes(known["terminal"]) if known else token(8))
        epoch = known["epoch"] + 1 if known else 1
        certificate = Certificate(
            terminal=terminal,
            epoch=epoch,
            station=Station(self.store.next_number("station")),
            merchant=merchant,
            programme=self.rules.programme,
            device_key=public_key(device_key),
            offline_cap=OFFLINE_CAP,
            card_cap=CARD_CAP,
            caps_version=1,
            valid_from=at,
            valid_until=at + CERTIFICATE_LIVES,
        )
        signed = encode_certificate(certificate, ROOT_ID, self.keys.signer("root"))
        self.store.put(
            "terminal",
            terminal=terminal,
            epoch=epoch,
            station=int(certificate.station),
            merchant=merchant,
            certificate=signed,
            device_key=device_key,
            software=software,
            enrolled_at=int(at.timestamp()),
            valid_until=int(certificate.valid_until.timestamp()),
            head_seq=0,
            head_hash=sha256(signed),
        )
        self.store.change(
            "UPDATE code SET device_key = ?, terminal = ? WHERE secret_hash = ?", device_key, terminal, secret_hash
        )
        self.sign_terminals(at)

    def revoke(self, station: int) -> None:
        """A terminal was stolen or lost: nothing more is taken into its chain, and it gets nothing any more.

        Here its slips count that were seen before; at the stalls those up to its last void that is proven here.

        Raises:
            ValueError: no terminal ever had that number.
        """
        at = self._clock()
        with self.store.writing():
            if self.store.one("SELECT 1 FROM terminal WHERE station = ?", station) is None:
                raise ValueError("aucune caisse n'a ce numéro")
            self.store.change("UPDATE terminal SET frozen = ? WHERE station = ? AND frozen IS NULL", REVOKED, station)
            self.store.change(
                "UPDATE terminal SET revoked_at = ? WHERE station = ? AND revoked_at IS NULL",
                int(at.timestamp()),
                station,
            )
            self.sign_terminals(at)
            for row in self.store.all("SELECT DISTINCT card FROM slip_seen WHERE station = ?", station):
                courier.settle(self.store, self.keys, self.rules.programme, CardId(bytes(row["card"])))

    def raise_epoch(self) -> int:
        """This centre was restored from a backup: new words get numbers no word of before has; the new epoch.

        Whatever number was given out since the backup (stations, lists, entitlements) is never given again, and every
        card gets an entitlement of the new epoch. What was granted since comes back from the cards.
        """
        at = self._clock()
        with self.store.writing():
            epoch = self.store.next_number("epoch") + 1
            for name in ("station", "merchant", "hot list", "card keys", "terminals", "entitlement change"):
                self.store.next_number(name)
                self.store.change("UPDATE meta SET value = value + ? WHERE name = ?", SKIPPED_NUMBERS, name)
            self.sign_hot_list(at)
            self.sign_terminals(at)
            for row in self.store.all("SELECT DISTINCT card FROM slot_window ORDER BY card"):
                grants.issue_or_wait(self.store, self.keys, CardId(bytes(row["card"])), self.rules, at)
        return epoch

    # --- exchange ----------------------------------------------------------------------------------------------------

    def exchange(self, data: bytes) -> Exchange:
        """Take in a batch and answer it. Raises Malformed or UnknownVersion when there is no head to answer to."""
        batch, at = decode_batch(data), self._clock()
        head = batch.head
        with self.store.writing():
            rules = self.rules
            taken = take_batch(self.store, self.keys, rules.programme, batch, at)
            self._renew_hot_list(at)
            touched = self._settle(sorted(self._touched(batch)), rules)
            if self._suspend(touched, at):
                self.sign_hot_list(at)
            grants.renew(self.store, self.keys, touched, rules, at)
            is_frozen = self._is_frozen(head.terminal, head.epoch)
        answer = Answer(
            terminal=head.terminal,
            epoch=head.epoch,
            head_seq=taken.head_seq,
            head_hash=taken.head_hash,
            centre_time=at.replace(microsecond=0),
            nonce=head.nonce,
            dispositions=taken.dispositions,
            newest=self._newest(taken.merchant),
            is_frozen=is_frozen,
        )
        signed = encode_answer(answer, ANSWERS_ID, self.keys.signer("answers"))
        is_served = not is_frozen and not taken.is_expired
        bundle = b"" if not is_served else self._bundle(head.terminal, taken.device_key, taken.merchant, head.held)
        return Exchange(signed, bundle)

    def _settle(self, touched: Sequence[CardId], rules: RuleSet) -> tuple[CardId, ...]:
        """Settle these cards, then those an earlier batch had no time for, while there is some; which ones."""
        budget, settled = Budget(), list(touched)
        for card in touched:
            courier.settle(self.store, self.keys, rules.programme, card, budget)
        for row in self.store.all("SELECT card FROM to_settle ORDER BY rowid"):
            card = CardId(bytes(row["card"]))
            if budget.is_spent:
                break
            if card not in settled:
                courier.settle(self.store, self.keys, rules.programme, card, budget)
                settled.append(card)
        return tuple(settled)

    def _is_frozen(self, terminal: TerminalId, epoch: int) -> bool:
        row = self.store.one("SELECT frozen FROM terminal WHERE terminal = ? AND epoch = ?", terminal, epoch)
        return row is None or row["frozen"] is not None

    def _touched(self, batch: Batch) -> set[CardId]:
        """Cards the records of a batch speak of."""
        head, found = batch.head, set()
        for table in ("event", "sighting", "log_seen"):
            rows = self.store.all(
                f"SELECT DISTINCT card FROM {table} WHERE terminal = ? AND epoch = ? AND seq >= ? AND seq < ?",
                head.terminal,
                head.epoch,
                head.first_seq,
                head.first_seq + len(batch.records),
            )
            found |= {CardId(bytes(row["card"])) for row in rows}
        return found

    def _renew_hot_list(self, at: datetime) -> None:
        signed_at = self.store.number("SELECT max(signed_at) FROM signed_list WHERE kind = ?", Kind.HOT_LIST)
        if at.timestamp() - signed_at >= HOT_LIST_LIVES.total_seconds():
            self.sign_hot_list(at)

    def _newest(self, merchant: int) -> Versions:
        return Versions(
            rules=self._newest_of(Kind.RULE_SET),
            hot_list=self._newest_of(Kind.HOT_LIST),
            merchant=self._merchant(merchant).version,
            card_keys=self.store.current_number("card keys"),
            entitlements=self.store.current_number("entitlement change"),
            centre_keys=self.keys.public().version,
            terminals=self._newest_of(Kind.TERMINALS),
        )

    def _bundle(self, terminal: TerminalId, device_key: bytes, merchant: int, held: Versions) -> bytes:
        """What this terminal does not hold yet."""
        newest, items = self._newest(merchant), []
        sign = self.keys.signer("lists")
        if newest.centre_keys > held.centre_keys:
            items.append(Item(Kind.CENTRE_KEYS, newest.centre_keys, self.keys.centre_keys))
        for kind, has, wants in (
            (Kind.RULE_SET, newest.rules, held.rules),
            (Kind.HOT_LIST, newest.hot_list, held.hot_list),
            (Kind.TERMINALS, newest.terminals, held.terminals),
        ):
            if has > wants:
                items.append(Item(kind, has, self._kept(kind, has)))
        if newest.merchant > held.merchant:
            entry = self._merchant(merchant)
            items.append(Item(Kind.MERCHANT, entry.version, encode_merchant(entry, LISTS_ID, sign)))
        if newest.card_keys > held.card_keys:
            signed = encode_card_keys(
                newest.card_keys, terminal, public_key(device_key), self._card_keys(), LISTS_ID, sign
            )
            items.append(Item(Kind.CARD_KEYS, newest.card_keys, signed))
        if newest.entitlements > held.entitlements:
            delta = EntitlementDelta(
                held.entitlements, newest.entitlements, self._entitlements(held.entitlements, newest.entitlements)
            )
            items.append(Item(Kind.ENTITLEMENTS, delta.version, encode_entitlements(delta, LISTS_ID, sign)))
        return encode_bundle(items)

    def _card_keys(self) -> tuple[CardKey, ...]:
        programme = self.rules.programme
        found = []
        for row in self.store.all("SELECT card, uid, aid, expires_at FROM card ORDER BY card"):
            card, uid, aid = CardId(bytes(row["card"])), Uid(bytes(row["uid"])), bytes(row["aid"])
            expires = None if row["expires_at"] is None else datetime.fromtimestamp(row["expires_at"], UTC)
            found.append(CardKey(card, uid, programme, aid, expires, self.keys.card_key(1, uid, aid, programme, card)))
        return tuple(found)

    def _entitlements(self, since: int, up_to: int) -> tuple[tuple[Uid, bytes], ...]:
        """The newest entitlement of each card that changed, in the order of change."""
        rows = self.store.all(
            """SELECT card.uid AS uid, entitlement.data AS data, max(change_number) FROM entitlement
            JOIN card ON card.card = entitlement.card WHERE change_number > ? AND change_number <= ?
            GROUP BY entitlement.card ORDER BY max(change_number)""",
            since,
            up_to,
        )
        return tuple((Uid(bytes(row["uid"])), bytes(row["data"])) for row in rows)

    def _merchant(self, number: int) -> Merchant:
        row = self.store.one("SELECT * FROM merchant WHERE number = ?", number)
        if row is None:
            raise Malformed("no merchant of that number")
        return Merchant(number, row["version"], row["name"], frozenset(row["groups"].split()), row["default_family"])

    def _keep(self, kind: Kind, version: int, at: datetime, signed: bytes) -> None:
        self.store.put("signed_list", kind=int(kind), version=version, signed_at=int(at.timestamp()), data=signed)

    def _newest_of(self, kind: Kind) -> int:
        return self.store.number("SELECT max(version) FROM signed_list WHERE kind = ?", int(kind))

    def _kept(self, kind: Kind, version: int) -> bytes:
        row = self.store.one("SELECT data FROM signed_list WHERE kind = ? AND version = ?", int(kind), version)
        assert row is not None
        return bytes(row["data"])

    # --- report ------------------------------------------------------------------------------------------------------

    def accounts(self) -> tuple[account.CardAccount, ...]:
        """The state of every card's money, in order of registration."""
        now_s = int(self._clock().timestamp())
        cards = self.store.all("SELECT * FROM card ORDER BY registered_at, card")
        return tuple(account.account(self.store, card, now_s) for card in cards)
