"""Everything one does with a centre: make it, register cards, grant, enrol terminals, exchange batches, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from central import account, courier, downloads, grants, kept_lists, merchants, rule_versions
from central.days import start_of
from central.ingest import take_batch
from central.kept_lists import LISTS_ID
from central.keys import CARD_KEY_NUMBERS, CentralKeys, load_keys, make_keys
from central.merchants import PointOfSale
from central.rebuild import Budget
from central.rule_file import RuleFile
from central.store import Row, Store
from central.upgrade import conclude_again, upgrade
from domain.card_log import LogRecord
from domain.identity import CARD_ID_SIZE_B, CardId, PurseNumber, Station, TerminalId, Uid
from domain.money import Cents
from domain.rule_set import Merchant, RuleSet
from sync.batch import Answer, Batch, Versions, decode_batch, encode_answer
from sync.bundle import Kind
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
from sync.signed_lists import (
    HotList,
    SlipKey,
    TerminalsList,
    encode_hot_list,
    encode_terminals,
)

AID: Final = bytes.fromhex("A05310")
ROOT_ID, ANSWERS_ID = b"root", b"answers"
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
    first_rules = rule_versions.first_text(rule_file)  # before anything is made
    if not (directory / "keys").exists():
        make_keys(directory / "keys", at or now_utc())
    Store(directory / "centre.db").create()
    office = Office(directory, keys=keys)
    with office.store.writing():
        rule_versions.begin(office.store, office.keys, first_rules, at or now_utc())
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
        return rule_versions.newest(self.store, self.keys)

    def rules_as_written(self) -> RuleFile:
        """The file of the rules in force, allotments included.

        Raises:
            ValueError: a centre of before kept none; a French clause that says what to do.
        """
        found = rule_versions.as_written(self.store)
        if found is None or found.rules.version != self.rules.version:
            raise ValueError(
                "ce centre n'a pas le texte de ses règles en vigueur ; donnez-le-lui : « panier central rules »"
            )
        return found

    def now(self) -> datetime:
        """Aware UTC."""
        return self._clock()

    def today(self) -> date:
        """The day it is in the programme's time zone."""
        return self._clock().astimezone(ZoneInfo(self.rules.timezone)).date()

    def day_start(self, day: date) -> datetime:
        """The instant a day begins in the programme's time zone, aware UTC."""
        return start_of(day, ZoneInfo(self.rules.timezone))

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
        rule_versions.sign(self.store, self.keys, rules, at)

    def take_rules(self, path: Path) -> RuleSet:
        """Take in a new version of the rules from the file as it was written. RuleMistake: with all reasons why not.

        Where a restored centre had forgotten it, what it concluded without it is concluded again.
        """
        at = self._clock()
        with self.store.writing():
            self.store.next_number("card keys")  # the shares of a bonus's month cap follow the rules
            taken = rule_versions.take(self.store, self.keys, path, at, self.today())
            if rule_versions.is_named_unknown(self.store, taken.version):
                conclude_again(self.store, self.keys, taken.programme)
            return taken

    def sign_hot_list(self, at: datetime) -> None:
        """Sign the whole hot list anew: lost cards and suspended ones. Inside a transaction."""
        rows = self.store.all(
            """SELECT card FROM card WHERE hot_since IS NOT NULL
            UNION SELECT card FROM suspension WHERE released_at IS NULL"""
        )
        version = self.store.next_number("hot list")
        hot_list = HotList(version, at.replace(microsecond=0), frozenset(CardId(bytes(row["card"])) for row in rows))
        kept_lists.keep(
            self.store, Kind.HOT_LIST, version, at, encode_hot_list(hot_list, LISTS_ID, self.keys.signer("lists"))
        )

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
        kept_lists.keep(self.store, Kind.TERMINALS, version, at, signed)

    def put_merchant(self, name: str, groups: Iterable[str], default_family: str) -> Merchant:
        """A new merchant of the programme, with one point of sale and nothing else to say of it."""
        with self.store.writing():
            return merchants.add(self.store, Merchant(0, 0, name, frozenset(groups), default_family))

    # --- terminals ---------------------------------------------------------------------------------------------------

    def new_code(self, merchant: int, point_of_sale: int = 1) -> OneTimeCode:
        """A one-time code for a terminal of a merchant's point of sale, good for a day."""
        code = OneTimeCode(token(SECRET_SIZE_B), fingerprint(self.keys.public_key("root")))
        expires_at = int((self._clock() + CODE_LIVES).timestamp())
        with self.store.writing():
            self.store.put(
                "code",
                secret_hash=sha256(code.secret),
                merchant=merchant,
                point_of_sale=point_of_sale,
                expires_at=expires_at,
            )
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
                self._take_in(_place_in(code), device_key, request.software, sha256(request.secret), at)
            row = self.store.one("SELECT * FROM terminal WHERE device_key = ? ORDER BY epoch DESC LIMIT 1", device_key)
            assert row is not None
            if row["revoked_at"] is not None:
                raise Malformed("the code of a terminal that was revoked")
            downloads.renew_card_keys(self.store, self.rules, self.today(), at)
        terminal = TerminalId(bytes(row["terminal"]))
        bundle = downloads.bundle(self.store, self.keys, self._asks(terminal, device_key, _place_in(row), Versions()))
        root = self.keys.public_key("root")
        return encode_response(Response(root, bytes(row["certificate"]), self.keys.centre_keys, bundle))

    def _take_in(self, place: PointOfSale, device_key: bytes, software: str, secret_hash: bytes, at: datetime) -> None:
        known = self.store.one(
            "SELECT terminal, max(epoch) AS epoch FROM terminal WHERE device_key = ? GROUP BY terminal", device_key
        )
        terminal = TerminalId(bytes(known["terminal"]) if known else token(8))
        epoch = known["epoch"] + 1 if known else 1
        certificate = Certificate(
            terminal=terminal,
            epoch=epoch,
            station=Station(self.store.next_number("station")),
            merchant=place.merchant,
            point_of_sale=place.number,
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
            merchant=place.merchant,
            point_of_sale=place.number,
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

        Whatever number was given out since the backup (stations, households, lists, entitlements) is never given again,
        and every card gets an entitlement of the new epoch. What was granted since comes back from the cards.
        """
        at = self._clock()
        with self.store.writing():
            epoch = self.store.next_number("epoch") + 1
            for name in (
                "station",
                "merchant",
                "household",
                "hot list",
                "card keys",
                "terminals",
                "entitlement change",
            ):
                self.store.next_number(name)
                self.store.change("UPDATE meta SET value = value + ? WHERE name = ?", SKIPPED_NUMBERS, name)
            merchants.raise_versions(self.store, SKIPPED_NUMBERS)
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
            downloads.renew_card_keys(self.store, rules, self.today(), at)
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
            newest=downloads.newest(self.store, self.keys, taken.place),
            is_frozen=is_frozen,
        )
        signed = encode_answer(answer, ANSWERS_ID, self.keys.signer("answers"))
        is_served = not is_frozen and not taken.is_expired
        asks = self._asks(head.terminal, taken.device_key, taken.place, head.held)
        bundle = downloads.bundle(self.store, self.keys, asks) if is_served else b""
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

    def _asks(self, terminal: TerminalId, device_key: bytes, place: PointOfSale, held: Versions) -> downloads.Asking:
        return downloads.Asking(terminal, device_key, place, held, self.rules.programme)

    # --- report ------------------------------------------------------------------------------------------------------

    def accounts(self) -> tuple[account.CardAccount, ...]:
        """The state of every card's money, in order of registration."""
        now_s = int(self._clock().timestamp())
        cards = self.store.all("SELECT * FROM card ORDER BY registered_at, card")
        return tuple(account.account(self.store, card, now_s) for card in cards)


def _place_in(row: Row) -> PointOfSale:
    """The point of sale a row of a code or a terminal belongs to."""
    return PointOfSale(row["merchant"], row["point_of_sale"])
