"""What a card carries between stalls, used where a terminal's own record has not come, or never will.

Proven without any record: the transaction's input is built again and matches the proof a later tap read. Attested: its
log record was read inside a proven later transaction, its number fits, the reader id that transaction carries is its
station's, and the card's counters differ by its amounts; a void also when its station's signed slip was seen. The
record, when it comes, takes the place of all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, product
from typing import Final

from central import voids
from central.history import History, history_of
from central.keys import CentralKeys
from central.rebuild import TRIES_TO_BEGIN, Budget, Puzzle, Slips, Written, solve
from central.store import Row, Store
from central.transactions import (
    CARD,
    PAYMENT,
    VOID,
    Chip,
    Made,
    Place,
    Undone,
    beside,
    chip_of,
    excess_of,
    forget,
    own_parts,
    own_word,
    place_of,
    put_event,
    put_readings,
    rule_out_others,
)
from domain.card_log import LogRecord, LogType
from domain.identity import CardId, Station
from domain.purse import Entitlement
from domain.slip import Slip
from sync.card_format import (
    ENTITLEMENT_PLACE_B,
    READER_ID_SIZE_B,
    SLIP_PLACES,
    SLIP_SIZE_B,
    decode_log_record,
    encode_log_record,
    encode_reader_id,
    read_slip,
)
from sync.crypto import sha256
from sync.errors import FormatError
from sync.issuing import first_log_record
from sync.tmac import MOST_LOGS, TransactionInput, parse

_CLAIMS: Final = 3
"""What is believed worth a try of one number: so many different words of each terminal, whatever others say."""
_LOWEST_TRIED, _HIGHEST_TRIED = 12, 4


def settle(store: Store, keys: CentralKeys, programme: str, card: CardId, budget: Budget | None = None) -> None:
    """Derive again all that a card shows about transactions whose records are not here; inside a transaction.

    Where the budget runs out the card is put down to be settled with a later batch.
    """
    chip = chip_of(store, keys, programme, card)
    if chip is None:
        return
    _let_go_of_attested(store, card)
    desk = Desk(store, keys, chip, budget or Budget())
    while chip.has_proof and desk.prove_one(history_of(store, card, with_attested=False)):
        pass
    store.change("DELETE FROM to_settle WHERE card = ?", card)
    if desk.budget.is_spent:
        store.put("to_settle", card=card)
    if not chip.has_proof:
        _end_doubts_by_log(store, card)
    desk.attest_slips(history_of(store, card, with_attested=False))
    desk.attest_gaps(history_of(store, card, with_attested=False, with_told_counters=False))
    voids.settle(store, card)


def _end_doubts_by_log(store: Store, card: CardId) -> None:
    """A card without proofs shows by its log alone that a payment in doubt happened."""
    store.change(
        """UPDATE event SET state = 'proven' WHERE card = ? AND state IN ('doubt', 'cancelled') AND EXISTS
        (SELECT 1 FROM log_seen WHERE log_seen.card = event.card AND log_seen.log = event.own_log)
        AND NOT EXISTS (SELECT 1 FROM event AS other WHERE other.card = event.card AND other.tmc = event.tmc
            AND other.state = 'proven')""",
        card,
    )


def _let_go_of_attested(store: Store, card: CardId) -> None:
    for row in store.all("SELECT terminal, epoch, seq, source FROM event WHERE card = ? AND state = 'attested'", card):
        if row["source"] == CARD:
            forget(store, place_of(row))
    store.change("UPDATE event SET state = 'doubt' WHERE card = ? AND state = 'attested'", card)


@dataclass(frozen=True, slots=True)
class Claim:
    """A log record as somebody read it on the card, what it says, and whose journal number it names."""

    log: bytes
    told: LogRecord
    place: Place


@dataclass(frozen=True, slots=True)
class Desk:
    """One card and everything at hand to explain its missing transactions."""

    store: Store
    keys: CentralKeys
    chip: Chip
    budget: Budget

    # --- proven from the card alone ----------------------------------------------------------------------------------

    def prove_one(self, history: History) -> bool:
        """Prove one missing transaction whose proof was read somewhere, oldest first; whether one was."""
        for tmc in self._missing_with_a_proof(history):
            for claim, tmv in product(self._claims(tmc), self._sightings(tmc)):
                if self.budget.is_spent:
                    return False
                if self._is_told_by_record(claim):
                    continue
                tmi = self._solve_once(self._puzzle(history, tmc, claim, tmv))
                if tmi is not None:
                    self._keep_proven(claim, tmc, tmv, parse(tmi))
                    return True
        return False

    def _missing_with_a_proof(self, history: History) -> list[int]:
        """Missing numbers that somebody read a proof of: of each terminal's the lowest, and a few of the highest.

        So no terminal's made-up numbers keep those of another from being looked at.
        """
        rows = self.store.all(
            """SELECT DISTINCT terminal, tmc FROM sighting WHERE card = ? AND tmc NOT IN
            (SELECT tmc FROM event WHERE event.card = sighting.card AND state = 'proven') ORDER BY tmc""",
            self.chip.card,
        )
        told: dict[bytes, list[int]] = {}
        for row in rows:
            told.setdefault(bytes(row["terminal"]), []).append(row["tmc"])
        chosen = {tmc for found in told.values() for tmc in (*found[:_LOWEST_TRIED], *found[-_HIGHEST_TRIED:])}
        return sorted(chosen - set(history.events))

    def _solve_once(self, puzzle: Puzzle) -> bytes | None:
        """What was tried in vain is not tried again before something more is known."""
        self.budget.left -= TRIES_TO_BEGIN
        if not puzzle.previous or not puzzle.logs_before or self.budget.is_spent:
            return None
        tried = {"card": self.chip.card, "tmc": puzzle.tmc, "digest": sha256(repr(puzzle).encode())}
        if self.store.one("SELECT 1 FROM puzzle_tried WHERE card = ? AND tmc = ? AND digest = ?", *tried.values()):
            return None
        tmi = solve(self.chip, puzzle, self.budget)
        if tmi is None and not self.budget.is_spent:
            self.store.put("puzzle_tried", **tried)
        return tmi

    def _is_told_by_record(self, claim: Claim) -> bool:
        """Whether its terminal's own record tells of this very transaction."""
        row = self.store.one(
            "SELECT card, tmc, own_log FROM event WHERE terminal = ? AND epoch = ? AND seq = ?",
            claim.place.terminal,
            claim.place.epoch,
            claim.place.seq,
        )
        if row is None:
            return False
        return (bytes(row["card"]), row["tmc"], bytes(row["own_log"])) == (self.chip.card, claim.told.tmc, claim.log)

    def _home(self, claim: Claim) -> Place:
        """The journal number it names, unless that station's journal holds something else there.

        The card proves the transaction, never the station: the log record is written by whoever holds the card's key.
        """
        if self._has_event(claim.place) or self._has_record(claim.place):
            return beside(self.chip.card, claim.told.tmc)
        return claim.place

    def _keep_proven(self, claim: Claim, tmc: int, tmv: bytes, facts: TransactionInput) -> None:
        word, at = self._word(facts.entitlement_in_force), claim.told.minutes_at
        made = Made(
            self._home(claim),
            tmc,
            VOID if facts.is_void else PAYMENT,
            "proven",
            CARD,
            tmv,
            claim.log,
            word,
            self._undone(claim) if facts.is_void else None,
            int(at.timestamp()),
            {} if word is None else excess_of(self.store, self.chip, word, facts, tmc, at, at),
        )
        put_event(self.store, self.chip, made, facts)
        put_readings(self.store, self.chip, made, facts)
        rule_out_others(self.store, self.chip.card, tmc, tmv)

    def _puzzle(self, history: History, tmc: int, claim: Claim, tmv: bytes) -> Puzzle:
        in_force = self._entitlements_named(claim.told.entitlement_number)
        values = self._values_before(history, tmc, claim.told)
        standing = self._standing(history, tmc, in_force)
        slips = tuple(self._slip_places(history, tmc))
        return Puzzle(
            log=claim.log,
            told=claim.told,
            tmc=tmc,
            tmv=tmv,
            previous=tuple(self._previous(history, tmc)),
            logs_before=tuple(self._stories(history, tmc)),
            standing=standing,
            slips=slips,
            values=values,
            reads=tuple(self._reads(in_force, values, claim.told)),
            written={
                (before, places): tuple(self._written(before, places, in_force, claim))
                for before, places in product(standing, slips)
            },
        )

    def _claims(self, tmc: int, *, proven_only: bool = False) -> list[Claim]:
        """Log records of this number, those read inside a proven transaction first."""
        rows = self.store.all(
            """WITH told AS (SELECT terminal, log, inside IS NOT NULL AND coalesce(event.state, '') = 'proven'
                AS is_proven FROM log_seen LEFT JOIN event USING (terminal, epoch, seq)
                WHERE log_seen.card = ? AND log_seen.tmc = ?),
            ranked AS (SELECT log, is_proven,
                dense_rank() OVER (PARTITION BY terminal ORDER BY is_proven DESC, log) AS number FROM told)
            SELECT log, max(is_proven) AS is_proven FROM ranked WHERE is_proven = 1 OR number <= ?
            GROUP BY log ORDER BY max(is_proven) DESC, log""",
            self.chip.card,
            tmc,
            _CLAIMS,
        )
        found = []
        for row in rows:
            told = decode_log_record(bytes(row["log"]))
            place = self._place(int(told.station), told.seq)
            if (row["is_proven"] or not proven_only) and place and told.type in (LogType.PAYMENT, LogType.VOID):
                found.append(Claim(bytes(row["log"]), told, place))
        return found

    def _sightings(self, tmc: int) -> list[bytes]:
        rows = self.store.all(
            """WITH ranked AS (SELECT tmv, dense_rank() OVER (PARTITION BY terminal ORDER BY tmv) AS number
                FROM sighting WHERE card = ? AND tmc = ?)
            SELECT DISTINCT tmv FROM ranked WHERE number <= ? ORDER BY tmv""",
            self.chip.card,
            tmc,
            _CLAIMS,
        )
        return [bytes(row["tmv"]) for row in rows]

    def _previous(self, history: History, tmc: int) -> Iterator[bytes]:
        """Reader id of the transaction before."""
        if tmc == 1:
            yield bytes(READER_ID_SIZE_B)
        elif tmc - 1 in history.events:
            yield self._reader_id(history.events[tmc - 1])
        else:
            for claim in self._claims(tmc - 1):
                yield encode_reader_id(claim.told.station, claim.told.seq)

    def _reader_id(self, event: Row) -> bytes:
        """What a transaction told the card of who makes it: the same as its log record."""
        if event["own_log"]:
            told = decode_log_record(bytes(event["own_log"]))
            return encode_reader_id(told.station, told.seq)
        return encode_reader_id(self._station(place_of(event)), event["seq"])

    def _stories(self, history: History, tmc: int) -> Iterator[tuple[bytes, ...]]:
        """The card's log before a transaction, newest first, as far as it is known."""
        for newest in self._logs_at(history, tmc - 1):
            story = [newest]
            for number in range(tmc - 2, max(tmc - MOST_LOGS, 0) - 1, -1):
                older = self._logs_at(history, number)
                if not older:
                    break
                story.append(older[0])
            yield tuple(story)

    def _logs_at(self, history: History, tmc: int) -> list[bytes]:
        if tmc in history.events:
            return [bytes(history.events[tmc]["own_log"])]
        if tmc > 0:
            return [claim.log for claim in self._claims(tmc)]
        rows = self.store.all(
            "SELECT DISTINCT log FROM log_seen WHERE card = ? AND tmc = 0 LIMIT ?", self.chip.card, _CLAIMS
        )
        at = datetime.fromtimestamp(self.chip.registered_at, UTC)
        return [*(bytes(row["log"]) for row in rows), encode_log_record(first_log_record(at, 1))]

    def _standing(self, history: History, tmc: int, in_force: list[tuple[Entitlement, bytes]]) -> tuple[bytes, ...]:
        """What the entitlement place may have held before."""
        newest = max((word.number for word, _ in in_force), default=(0, 0))
        if tmc - 1 in history.events:
            row = history.events[tmc - 1]
            return (self._place_content(row["entitlement_epoch"], row["entitlement_seq"]),)
        before = [row for number, row in history.events.items() if number < tmc]
        last = max(((row["entitlement_epoch"] or 0, row["entitlement_seq"] or 0) for row in before), default=(0, 0))
        rows = self.store.all(
            """SELECT epoch, seq FROM entitlement_known WHERE card = ?
            AND (epoch, seq) >= (?, ?) AND (epoch, seq) <= (?, ?) ORDER BY epoch DESC, seq DESC LIMIT 6""",
            self.chip.card,
            *last,
            *newest,
        )
        found = [self._place_content(row["epoch"], row["seq"]) for row in rows]
        return tuple(found if last > (0, 0) else [*found, bytes(ENTITLEMENT_PLACE_B)])

    def _entitlements_named(self, number: int) -> list[tuple[Entitlement, bytes]]:
        """Entitlements a log record's number may mean, with the 233 bytes of each."""
        rows = self.store.all(
            """SELECT epoch, seq FROM entitlement_known WHERE card = ? AND seq & 65535 = ?
            ORDER BY epoch DESC, seq DESC LIMIT 2""",
            self.chip.card,
            number,
        )
        found = []
        for row in rows:
            content = self._place_content(row["epoch"], row["seq"])
            word = self._word(content)
            if word is not None:
                found.append((word, content))
        return found

    def _values_before(self, history: History, tmc: int, told: LogRecord) -> dict[int, int]:
        taken = {int(part.file): int(part.amount) for part in told.debits if told.type == LogType.PAYMENT}
        found = {}
        for file in range(1, 9):
            before, after = history.value_after(file, tmc - 1), history.value_after(file, tmc)
            if before is not None:
                found[file] = before
            elif after is not None:
                found[file] = after + taken.get(file, 0)
        return found

    def _reads(
        self, in_force: list[tuple[Entitlement, bytes]], values: dict[int, int], told: LogRecord
    ) -> Iterator[tuple[int, ...]]:
        """Slots a tap may have read: those the entitlement asks for at that time, or any others of its slots."""
        debited = {int(part.file) for part in told.debits if told.type == LogType.PAYMENT}
        seen: set[tuple[int, ...]] = set()
        wanted: list[Iterable[int]] = [_open_or_unconfirmed(word, told.minutes_at) for word, _ in in_force]
        slots = sorted({int(slot.file) for word, _ in in_force for slot in word.slots} | debited)
        wanted += [part for size in range(min(len(slots), 6), -1, -1) for part in combinations(slots, size)][:64]
        for files in wanted:
            chosen = tuple(sorted(int(file) for file in files))
            if chosen not in seen and debited <= set(chosen) <= set(values):
                seen.add(chosen)
                yield chosen

    def _slip_places(self, history: History, tmc: int) -> Iterator[Slips]:
        """What the slip places may have held before, the likeliest first."""
        rows = self.store.all(
            "SELECT slip FROM slip_seen WHERE card = ? AND tmc < ? AND is_verified = 1 ORDER BY tmc DESC LIMIT 4",
            self.chip.card,
            tmc,
        )
        slips = [bytes(row["slip"]) for row in rows]
        nothing = bytes(SLIP_SIZE_B)
        before = history.events.get(tmc - 1)
        known_places = None if before is None else before["places_after"]
        choices = [
            Slips(places, first + second if places else bytes(2 * SLIP_SIZE_B))
            for places in range(1 << SLIP_PLACES)
            for first, second in product([nothing, *slips], repeat=2)
            if (first != second or first == nothing) and _is_filled(places, first, second)
        ]
        for choice in sorted(dict.fromkeys(choices), key=lambda choice: choice.places != known_places):
            if known_places is None or choice.places == known_places:
                yield choice

    def _written(
        self, before: bytes, slips: Slips, in_force: list[tuple[Entitlement, bytes]], claim: Claim
    ) -> Iterator[Written]:
        own = self._slip_of(claim) if claim.told.type == LogType.VOID else None
        if not in_force:
            yield Written()
        for word, content in in_force:
            newer = None if content == before else content
            freed = _freed(slips, word.mark)
            for left in dict.fromkeys((slips.places & ~freed, slips.places)):
                if own is not None:
                    for place in range(SLIP_PLACES):
                        if not left >> place & 1:
                            yield Written((place, own), left | 1 << place, newer)
                yield Written(None, None if newer is None else left, newer)

    # --- attested ----------------------------------------------------------------------------------------------------

    def attest_slips(self, history: History) -> None:
        """Voids that their stations signed on the card."""
        rows = self.store.all(
            "SELECT slip FROM slip_seen WHERE card = ? AND is_verified = 1 ORDER BY tmc, seq", self.chip.card
        )
        taken: set[int] = set()
        for row in rows:
            slip = read_slip(bytes(row["slip"]))
            place = self._place(int(slip.station), slip.seq)
            if place is None or slip.tmc in taken:
                continue
            if self._fits(history, slip) and self._attest_slip(slip, place):
                taken.add(slip.tmc)

    def _fits(self, history: History, slip: Slip) -> bool:
        if slip.tmc in history.events or not slip.payment_tmc < slip.tmc:
            return False
        after = history.events.get(slip.tmc + 1)
        return after is None or (after["previous_station"], after["previous_seq"]) == (slip.station, slip.seq)

    def _attest_slip(self, slip: Slip, place: Place) -> bool:
        if self._has_event(place):
            return self._attest_doubt(place, slip.tmc, None)
        if self._has_record(place):
            return False  # its journal says something else there: presence raises the alarm
        logs = [claim.log for claim in self._claims(slip.tmc) if claim.place == place]
        made = Made(
            place,
            slip.tmc,
            VOID,
            "attested",
            CARD,
            b"",
            logs[0] if logs else b"",
            self._word(self._place_content(*slip.entitlement)),
            Undone(slip.payment_seq, slip.payment_tmc, slip.amounts),
            int(slip.minutes_at.timestamp()),
        )
        put_event(self.store, self.chip, made, None)
        return True

    def attest_gaps(self, history: History) -> None:
        """Transactions whose log records were read inside proven ones, where reader id and counters agree."""
        for first, last in history.gaps():
            after = history.events.get(last + 1)
            if after is None:
                continue
            claims = [self._claims(tmc, proven_only=True) for tmc in range(first, last + 1)]
            if any(len(found) != 1 for found in claims):
                continue
            run = [found[0] for found in claims]
            if (after["previous_station"], after["previous_seq"]) != (run[-1].told.station, run[-1].told.seq):
                continue
            if _counters_agree(history, first, last, run):
                for claim in run:
                    self._attest(claim)

    def _attest(self, claim: Claim) -> None:
        tmc, is_void = claim.told.tmc, claim.told.type == LogType.VOID
        if self.store.one("SELECT 1 FROM event WHERE card = ? AND tmc = ? AND state = 'attested'", self.chip.card, tmc):
            return
        if self._attest_doubt(claim.place, tmc, claim.log):
            return
        in_force = self._entitlements_named(claim.told.entitlement_number)
        made = Made(
            self._home(claim),
            tmc,
            VOID if is_void else PAYMENT,
            "attested",
            CARD,
            b"",
            claim.log,
            in_force[0][0] if in_force else None,
            self._undone(claim) if is_void else None,
            int(claim.told.minutes_at.timestamp()),
        )
        put_event(self.store, self.chip, made, None)

    def _attest_doubt(self, place: Place, tmc: int, log: bytes | None) -> bool:
        """A doubt about this very transaction is one no more."""
        return bool(
            self.store.change(
                """UPDATE event SET state = 'attested' WHERE terminal = ? AND epoch = ? AND seq = ? AND card = ?
                AND tmc = ? AND state = 'doubt' AND own_log = coalesce(?, own_log)""",
                place.terminal,
                place.epoch,
                place.seq,
                self.chip.card,
                tmc,
                log,
            )
        )

    # --- what is at hand ---------------------------------------------------------------------------------------------

    def _place(self, station: int, seq: int) -> Place | None:
        row = self.store.one("SELECT terminal, epoch FROM terminal WHERE station = ?", station)
        return None if row is None else Place(bytes(row["terminal"]), row["epoch"], seq)

    def _station(self, place: Place) -> Station:
        query = "SELECT station FROM terminal WHERE terminal = ? AND epoch = ?"
        return Station(self.store.number(query, place.terminal, place.epoch))

    def _has_event(self, place: Place) -> bool:
        return self._is_in("event", place)

    def _has_record(self, place: Place) -> bool:
        return self._is_in("record", place)

    def _is_in(self, table: str, place: Place) -> bool:
        query = f"SELECT 1 FROM {table} WHERE terminal = ? AND epoch = ? AND seq = ?"
        return self.store.one(query, place.terminal, place.epoch, place.seq) is not None

    def _place_content(self, epoch: int | None, seq: int | None) -> bytes:
        """The 233 bytes of an entitlement's place: zeros where there was none."""
        row = self.store.one(
            "SELECT data FROM entitlement_known WHERE card = ? AND epoch = ? AND seq = ?", self.chip.card, epoch, seq
        )
        return (b"" if row is None else bytes(row["data"])).ljust(ENTITLEMENT_PLACE_B, b"\x00")

    def _word(self, content: bytes) -> Entitlement | None:
        try:
            return own_word(self.keys, self.chip, content)
        except FormatError:
            return None

    def _slip_of(self, claim: Claim) -> bytes | None:
        row = self.store.one(
            "SELECT slip FROM slip_seen WHERE card = ? AND station = ? AND seq = ? AND tmc = ? AND is_verified = 1",
            self.chip.card,
            int(claim.told.station),
            claim.told.seq,
            claim.told.tmc,
        )
        return None if row is None else bytes(row["slip"])

    def _undone(self, claim: Claim) -> Undone:
        """What a void undoes: its slip names the payment, its log record only the amounts."""
        data, parts = self._slip_of(claim), own_parts(claim.log)
        if data is None:
            return Undone(None, None, parts)
        slip = read_slip(data)
        return Undone(slip.payment_seq, slip.payment_tmc, parts)


def _is_filled(places: int, first: bytes, second: bytes) -> bool:
    """A place in use holds a slip."""
    return all(any(content) for place, content in enumerate((first, second)) if places >> place & 1)


def _freed(slips: Slips, mark: int) -> int:
    """Places whose void an entitlement of this mark knows."""
    freed = 0
    for place in range(SLIP_PLACES):
        content = slips.content[place * SLIP_SIZE_B : (place + 1) * SLIP_SIZE_B]
        if slips.places >> place & 1 and read_slip(content).tmc <= mark:
            freed |= 1 << place
    return freed


def _counters_agree(history: History, first: int, last: int, run: list[Claim]) -> bool:
    """Whether every counter known on both sides of a gap differs by what its log records say."""
    taken: dict[int, int] = {}
    for claim in run:
        if claim.told.type == LogType.PAYMENT:
            for part in claim.told.debits:
                taken[part.file] = taken.get(part.file, 0) + int(part.amount)
    for file in {*history.files, *taken}:
        before, after = history.value_after(file, first - 1), history.value_after(file, last)
        if before is None or after is None:
            if file in taken:
                return False
        elif before - after != taken.get(file, 0):
            return False
    return True


def _open_or_unconfirmed(word: Entitlement, at: datetime) -> set[int]:
    """What a tap reads where at most three slots are open; which three of more, the rules of that day said."""
    return {int(slot.file) for slot in word.slots if slot.is_open(at, at)} | {int(file) for file in word.unconfirmed}
