"""One card's money at every state of what is known: granted = spent + doubted + travelling + open + lapsed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from central.history import History, history_of, runs_missing
from central.presence import Gap, gaps_of
from central.store import Row, Store
from central.transactions import Place, place_of
from central.voids import GivenBack, all_given_back
from central.windows import displaced, span_of
from domain.identity import CardId


@dataclass(frozen=True, slots=True)
class CardAccount:
    """One card in the ledger, in cents.

    Attributes:
        granted: all grants, those included that only a limit on the card still tells of.
        spent: proven and attested payments less the voids that count.
        doubted: payments whose outcome is unknown, as far as limits leave room for them.
        travelling: debits the card's own counters show and no record here explains, less voids signed on the card.
        open: windows not ended, what is left of their limits by what is known.
        lapsed: left in windows that ended (provisional until all have reported).
        excess: spent above all limits; only stolen keys can do that.
        attested: the part of the payments that no record and no proof tells of yet, only the card.
        voided: everything given back by voids that count.
        false: payments whose proof is not the card's; in no other sum.
        unproven: payments by cards that give no proof; part of spent.
        newest_tmc: newest transaction of the card that any record tells of.
        missing_tmcs: transactions before it without a record, as first and last number of each gap.
        gaps: what is missing, with its sum and where it went.
        is_hot: reported lost.
        is_suspended: a record brought a false proof of it, and nobody has released it since.
    """

    card: CardId
    granted: int
    spent: int
    doubted: int
    travelling: int
    open: int
    lapsed: int
    excess: int
    attested: int
    voided: int
    false: int
    unproven: int
    newest_tmc: int
    missing_tmcs: tuple[tuple[int, int], ...]
    gaps: tuple[Gap, ...]
    is_hot: bool
    is_suspended: bool

    @property
    def is_conserved(self) -> bool:
        """granted + excess = spent + doubted + travelling + open + lapsed, and no excess."""
        explained = self.spent + self.doubted + self.travelling + self.open + self.lapsed
        return self.granted + self.excess == explained and self.excess == 0


@dataclass(frozen=True, slots=True)
class _File:
    """One value file, in cents.

    Attributes:
        counted: the counter, as it is shown or told.
        spent: by payments proven or attested.
        hidden: shown by the counter and not explained by those.
        inside: in doubt, and shown by the counter already if it happened.
        beyond: in doubt, and newer than the counter.
    """

    counted: int
    spent: int
    hidden: int
    inside: int
    beyond: int


def account(store: Store, card: Row, now_s: int) -> CardAccount:
    """The state of one card's money."""
    card_id = CardId(bytes(card["card"]))
    history = history_of(store, card_id)
    events = store.all("SELECT * FROM event WHERE card = ?", card_id)
    doubts = [event for event in events if event["state"] == "doubt" and event["kind"] == "payment"]
    given = all_given_back(store, card_id)
    files = {row["file"] for row in store.all("SELECT DISTINCT file FROM slot_window WHERE card = ?", card_id)}
    told = {file: _read_file(store, history, file, doubts) for file in sorted({*files, *history.files})}
    back = _that_fit(given, told)
    left_open, lapsed, excess, recovered, impossible = _windows(store, card_id, told, back, now_s)
    of_known = sum(part.amount for part in back if part.is_payment_known)
    hidden = {file: found.hidden for file, found in told.items()}
    inside = {file: found.inside for file, found in told.items()}
    in_doubt = {place_of(doubt) for doubt in doubts}
    for part in back:
        if not part.is_payment_known:
            hidden[part.file] -= part.amount
            if Place(part.place.terminal, part.place.epoch, part.payment_seq) in in_doubt:
                inside[part.file] = max(inside[part.file] - part.amount, 0)
    doubted = {file: min(inside[file], hidden[file]) for file in told}
    known = {*history.events, *(event["tmc"] for event in events if event["state"] == "doubt")}

    def payments(state: str) -> int:
        return sum(event["amount"] for event in events if event["state"] == state and event["kind"] == "payment")

    return CardAccount(
        card=card_id,
        granted=store.number("SELECT sum(amount) FROM grant_given WHERE card = ?", card_id) + recovered,
        spent=sum(file.spent for file in told.values()) - of_known,
        doubted=sum(doubted[file] + found.beyond for file, found in told.items()) - impossible,
        travelling=sum(hidden[file] - doubted[file] for file in told),
        open=left_open,
        lapsed=lapsed,
        excess=excess,
        attested=payments("attested"),
        voided=sum(part.amount for part in back),
        false=payments("false"),
        unproven=sum(
            event["amount"]
            for event in history.events.values()
            if not event["has_proof"] and event["kind"] == "payment"
        ),
        newest_tmc=history.newest,
        missing_tmcs=runs_missing(known, history.newest),
        gaps=gaps_of(store, card_id, history, doubts),
        is_hot=card["hot_since"] is not None,
        is_suspended=store.one("SELECT 1 FROM suspension WHERE card = ? AND released_at IS NULL", card_id) is not None,
    )


def _read_file(store: Store, history: History, file: int, doubts: Sequence[Row]) -> _File:
    """What one counter shows, and what explains it: proven and attested payments first, then doubts, then the road."""
    points = [(value, tmc) for (at, tmc), value in history.points.items() if at == file]
    lowest, shown_at = min(points, default=(history.loaded, 0))
    shown_at = max((tmc for value, tmc in points if value == lowest), default=shown_at)
    shown = history.loaded - lowest
    spent = sum(taken.get(file, 0) for taken in history.debits.values())
    inside, beyond = _doubted(store, file, doubts, shown_at)
    return _File(max(shown, spent) + beyond, spent, max(shown - spent, 0), inside, beyond)


def _doubted(store: Store, file: int, doubts: Sequence[Row], shown_at: int) -> tuple[int, int]:
    """Cents in doubt that the newest counter would show already, and cents beyond it.

    Of two doubts about one transaction at most one happened; one that a later doubt's counter leaves no room for did
    not.
    """
    told: dict[int, tuple[int, int | None]] = {}
    for doubt in doubts:
        where = (doubt["terminal"], doubt["epoch"], doubt["seq"], file)
        amount = store.number(
            "SELECT amount FROM movement WHERE terminal = ? AND epoch = ? AND seq = ? AND file = ?", *where
        )
        read = store.one("SELECT value FROM counter WHERE terminal = ? AND epoch = ? AND seq = ? AND file = ?", *where)
        before = None if read is None else int(read["value"])
        told[doubt["tmc"]] = max(told.get(doubt["tmc"], (0, None)), (amount, before), key=lambda item: item[0])
    inside = sum(amount for tmc, (amount, _) in told.items() if tmc <= shown_at)
    beyond, left_later = 0, None
    for tmc in sorted((tmc for tmc in told if tmc > shown_at), reverse=True):
        amount, before = told[tmc]
        if before is not None:
            beyond += 0 if left_later is not None and before - amount < left_later else amount
            left_later = before
    return inside, beyond


def _that_fit(given: tuple[GivenBack, ...], told: Mapping[int, _File]) -> tuple[GivenBack, ...]:
    """The voids that count; one of a payment still travelling only while the counters show room for it."""
    room = {file: found.hidden for file, found in told.items()}
    travelling: dict[Place, list[GivenBack]] = defaultdict(list)
    for part in given:
        if not part.is_payment_known:
            travelling[part.place].append(part)
    refused = set()
    for place, parts in travelling.items():
        if any(part.amount > room.get(part.file, 0) for part in parts):
            refused.add(place)
            continue
        for part in parts:
            room[part.file] -= part.amount
    return tuple(part for part in given if part.place not in refused)


def _windows(
    store: Store, card: CardId, told: Mapping[int, _File], back: tuple[GivenBack, ...], now_s: int
) -> tuple[int, int, int, int, int]:
    """Left in open windows, lapsed in ended ones, spent above all limits, granted by limits this centre forgot; last,
    what of the doubts cannot have happened.

    A doubt that no limit leaves room for happened only if something not known here made room: a void on its way.
    What the counter shows beyond the newest window was spent in the ones before, as long as that window is not
    confirmed: until then nobody has proven where they ended. A forgotten limit that found no place granted what was
    spent under it and no window explains; what was given back there is in no limit and has lapsed.
    """
    given: dict[tuple[int, int], list[GivenBack]] = defaultdict(list)
    for part in back:
        given[part.file, part.start_at].append(part)
    rows = store.all("SELECT * FROM slot_window WHERE card = ? ORDER BY file, start_at DESC", card)
    allowed = _allowed_elsewhere(store, card, given)
    left_open = lapsed = excess = recovered = impossible = 0
    for file in sorted({*told, *(row["file"] for row in rows)}):
        beyond, above, after = told[file].counted, 0, None
        for window in (row for row in rows if row["file"] == file):
            parts = given.pop((file, window["start_at"]), [])
            limit, forgotten = _limit(window, parts)
            recovered += forgotten
            if after is None:
                above, beyond = limit, max(told[file].counted - limit, 0)
                reached = min(told[file].counted, limit)
            else:
                recovered += _within(allowed[file], limit, after["base"])
                reached = min(max(after["base"], window["base"]), limit)
                spilt = 0 if after["is_confirmed"] else min(beyond, limit - reached)
                reached, beyond = reached + spilt, beyond - spilt
            left = limit - max(reached, window["base"])
            if window["end_at"] is not None and window["end_at"] <= now_s:
                lapsed += left
            else:
                left_open += left
            after = window
        found = min(beyond, _within(allowed[file], above, told[file].counted))
        recovered += found + (0 if after is None else _within(allowed[file], 0, after["base"]))
        roomless = min(beyond - found, told[file].beyond)
        impossible += roomless
        excess += beyond - found - roomless
    lapsed += sum(part.amount for parts in given.values() for part in parts)
    return left_open, lapsed, excess, recovered, impossible


def _within(allowed: int, low: int, high: int) -> int:
    """Cents of a counter's way from ``low`` to ``high`` that lie below a limit."""
    return max(min(high, allowed) - low, 0)


def _allowed_elsewhere(
    store: Store, card: CardId, given: Mapping[tuple[int, int], list[GivenBack]]
) -> defaultdict[int, int]:
    """By file how far limits went that this centre forgot and whose place another window has by now."""
    found: defaultdict[int, int] = defaultdict(int)
    for item in displaced(store, card):
        file, start = int(item.slot.file), span_of(item.slot)[0]
        since = sum(part.amount for part in given.get((file, start), ()) if part.tmc > item.mark)
        found[file] = max(found[file], int(item.slot.limit) + since)
    return found


def _limit(window: Row, given: list[GivenBack]) -> tuple[int, int]:
    """How far a window may go with the voids known in it, and what of that only a forgotten limit tells of."""
    limit = int(window["spent_limit"]) + sum(part.amount for part in given)
    if not window["bound"]:
        return limit, 0
    since = sum(part.amount for part in given if part.tmc > window["bound_mark"])
    forgotten = max(int(window["bound"]) + since - limit, 0)
    return limit + forgotten, forgotten
