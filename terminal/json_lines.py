"""``panier till --json``: how a shop's own program drives the till; the same stream the screen draws.

One request a line, as UTF-8 JSON; ``id`` is a whole number of the caller's choice above 0, the sale's name in answers:

    {"id": 1, "sale": {"lines": [{"family": "vegetables", "amount_cents": 1250}]}}
    {"id": 2, "balance": {}}
    {"id": 3, "void": {}}         the newest payment; {"seq": 41} names another by its number in the journal
    {"id": 1, "confirm": {}}      Entrée: agreed, once more, seen
    {"id": 1, "cancel": {}}       − : back

One event a line out: ``id`` (``null`` for words about no sale), ``event``, ``final`` and what belongs to it; amounts
are whole cents, times RFC 3339 in UTC, reasons the names of the closed list. A line that cannot be read gets one
``error`` event and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, Protocol

import msgspec

from domain.basket import Basket, Line
from domain.identity import MOST_LINES
from domain.money import Cents
from domain.reason import Reason
from terminal import events as say
from terminal.loop import Answer, Loop

MOST_LINE_B: Final = 65_536
MOST_AMOUNT: Final = 999_999
MOST_ID: Final = 2**53 - 1


class BadLine(Exception):
    """A line that is no request; its words say what is wrong. ``id`` where it could be read."""

    def __init__(self, message: str, id: int | None = None) -> None:
        super().__init__(message)
        self.id = id


class _Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    family: str
    amount_cents: int
    quantity_thousandths: int | None = None


class _Sale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    lines: list[_Line]


class _Nothing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class _Void(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    seq: int | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    id: int
    sale: _Sale | None = None
    balance: _Nothing | None = None
    void: _Void | None = None
    confirm: _Nothing | None = None
    cancel: _Nothing | None = None


def read_request(line: bytes) -> tuple[int, say.Inward]:
    """The id and the event of one line.

    Raises:
        BadLine: not UTF-8 or JSON, a key twice, a fraction, an unknown word, no or several requests, out of range.
    """
    if len(line) > MOST_LINE_B:
        raise BadLine(f"line longer than {MOST_LINE_B} bytes")
    raw = _json(line)
    id = raw.get("id") if isinstance(raw, dict) and type(raw.get("id")) is int else None
    try:
        request = msgspec.convert(raw, _Request, strict=True)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise BadLine(str(error), id) from None
    if not 0 < request.id <= MOST_ID:
        raise BadLine("id must be a whole number above 0")
    try:
        return request.id, _event(request)
    except ValueError as error:
        raise BadLine(str(error), request.id) from None


def _json(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not a request: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _value in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _event(request: _Request) -> say.Inward:
    asked = [name for name in ("sale", "balance", "void", "confirm", "cancel") if getattr(request, name) is not None]
    if len(asked) != 1:
        raise ValueError("exactly one of sale, balance, void, confirm, cancel is wanted")
    if request.sale is not None:
        return say.Sell(request.id, _basket(request.sale))
    if request.balance is not None:
        return say.AskBalance(request.id)
    if request.void is not None:
        return say.AskVoid(request.id, _number(request.void.seq))
    return say.Accept() if request.confirm is not None else say.Back()


def _number(seq: int | None) -> int | None:
    if seq is not None and not 0 < seq < 2**24:
        raise ValueError("seq must be the number of a payment in the journal")
    return seq


def _basket(sale: _Sale) -> Basket:
    if not 0 < len(sale.lines) <= MOST_LINES:
        raise ValueError(f"a sale has 1 to {MOST_LINES} lines")
    return Basket(tuple(_basket_line(line) for line in sale.lines))


def _basket_line(line: _Line) -> Line:
    if not 0 < line.amount_cents <= MOST_AMOUNT:
        raise ValueError(f"amount_cents must be from 1 to {MOST_AMOUNT}")
    if not line.family or not line.family.isascii() or not line.family.isprintable():
        raise ValueError("family must be a code of the rule set")
    if line.quantity_thousandths is not None and not 0 < line.quantity_thousandths < 10**9:
        raise ValueError("quantity_thousandths is out of range")
    return Line(line.family, Cents(line.amount_cents), family_typed=True, quantity=line.quantity_thousandths)


# --- out -------------------------------------------------------------------------------------------------------------

Fields = dict[str, Any]


def event_line(event: say.Outward, asked: int | None, to: say.Inward | None) -> str:
    """One event as a line of JSON, without its line end.

    Args:
        event: what the till said.
        asked: id of the request it answers, for events that name no sale; ``None`` without one.
        to: what it answers; a cancelled sale ends.
    """
    name, fields = _named(event)
    sale = getattr(event, "sale", None)
    is_final = isinstance(event, say.FINAL)
    if isinstance(event, say.Ready) and isinstance(to, say.Back):
        name, is_final, sale = "cancelled", True, asked
    return json.dumps({"id": sale, "event": name, **fields, "final": is_final})


def error_line(error: BadLine) -> str:
    """The one answer to a line that is no request."""
    return json.dumps({"id": error.id, "event": "error", "error": str(error), "final": True})


def _named(event: say.Outward) -> tuple[str, Fields]:
    match event:
        case say.Ready():
            return "ready", {}
        case say.ConfirmAmount(amount=amount):
            return "confirm?", {"amount_cents": amount}
        case say.PresentCard():
            return "present_card", _announced(event)
        case say.Paid():
            return "paid", _paid(event)
        case say.Split(by_card=by_card, rest=rest, reason=reason):
            return "split?", {"by_card_cents": by_card, "rest_cents": rest, "reason": _reason(reason)}
        case say.PaysNothing(rest=rest, reason=reason):
            return "not_paid", {"rest_cents": rest, "reason": _reason(reason)}
        case say.NotHere(rest=rest, reason=reason):
            return "not_paid", {"rest_cents": rest, "reason": _reason(reason), "is_card_known": False}
        case say.HolderMayCall(rest=rest, phone=phone, reason=reason):
            return "not_paid", {"rest_cents": rest, "reason": _reason(reason), "phone": phone}
        case say.PutBack():
            return "put_back", {}
        case say.PutSameBack(amount=amount, is_void=is_void):
            return "doubt", {"amount_cents": amount, "is_void": is_void}
        case say.InVerification(amount=amount, is_guaranteed=guaranteed, is_void=is_void):
            return "doubt", {"amount_cents": amount, "is_guaranteed": guaranteed, "is_void": is_void}
        case say.DoubtSolved(amount=amount, at=at, outcome=outcome, is_void=is_void):
            solved = outcome.name.lower()
            return "doubt_solved", {"amount_cents": amount, "at": _time(at), "outcome": solved, "is_void": is_void}
        case say.PresentToVoid() | say.Voided() | say.NothingToVoid() | say.NotVoided():
            return _named_void(event)
        case _:
            return _named_state(event)


def _named_void(event: say.PresentToVoid | say.Voided | say.NothingToVoid | say.NotVoided) -> tuple[str, Fields]:
    match event:
        case say.PresentToVoid(amount=amount, at=at, seq=seq, is_other_card=is_other):
            fields = {"amount_cents": amount, "at": _time(at), "seq": seq, "is_other_card": is_other}
            return "present_to_void", fields
        case say.Voided(amount=amount, receipt=receipt):
            return "voided", {"amount_cents": amount, "seq": receipt.seq}
        case say.NothingToVoid():
            return "nothing_to_void", {}
        case say.NotVoided(amount=amount, reason=reason):
            return "not_voided", {"amount_cents": amount, "reason": _reason(reason)}


def _named_state(event: say.Outward) -> tuple[str, Fields]:
    match event:
        case say.AlreadyPaid(amount=amount, at=at):
            return "already_paid?", {"amount_cents": amount, "at": _time(at)}
        case say.OneCardOnly():
            return "one_card_only", {}
        case say.Balance(available=available, until=until):
            return "balance", {"available_cents": available, "until": _time(until) if until else None}
        case say.UpdateNeeded(left=left):
            return "update_needed", {"left_cents": left}
        case say.ReaderAway(is_stuck=is_stuck):
            return "reader_away", {"is_stuck": is_stuck}
        case say.ReaderIsBack():
            return "reader_is_back", {}
        case say.Stopped(code=code, sentence=sentence, phone=phone):
            return "stopped", {"code": code, "sentence": sentence, "phone": phone}
        case say.LastOutcome(seq=seq, type=kind, amount=amount, at=at, is_void=is_void):
            fields = {"seq": seq, "type": kind.name.lower(), "amount_cents": amount, "at": _time(at)}
            return "last_outcome?", {**fields, "is_void": is_void}
    raise AssertionError(f"{type(event).__name__} has no name")


def _announced(event: say.PresentCard) -> Fields:
    lines = [
        {"family": line.line.family, "asked_cents": line.paid, "reason": _reason(line.reason)} for line in event.lines
    ]
    return {"asked_cents": event.asked, "rest_cents": event.rest, "lines": lines}


def _paid(event: say.Paid) -> Fields:
    return {
        "amount_cents": event.amount,
        "rest_cents": event.rest,
        "bonus_cents": event.bonus,
        "is_bonus_unknown": event.is_bonus_unknown,
        "seq": event.receipt.seq,
    }


def _reason(reason: Reason | None) -> str | None:
    return reason.name.lower() if reason is not None else None


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


# --- both ways -------------------------------------------------------------------------------------------------------


class LineOut(Protocol):
    """Where lines of JSON go; a text file is one."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class JsonTill:
    """Reads requests, posts them, writes what the till says.

    Args:
        loop: not yet started; ``run`` starts and stops it.
        out: lines go there, each written whole and at once.
    """

    def __init__(self, loop: Loop, out: LineOut) -> None:
        self._loop = loop
        self._out = out
        self._writing = Lock()
        self._asked: dict[int, int] = {}
        self.error: BaseException | None = None

    def run(self, requests: Iterable[bytes]) -> None:
        """Serve until the requests end; what was asked before is answered."""
        self._loop.start(self)
        for line in requests:
            if line.strip():
                self._serve(line.rstrip(b"\r\n"))
        self._loop.stop()

    def begun(self, event: say.Inward) -> None:
        """See ``terminal.loop.Listener``."""

    def answered(self, answer: Answer) -> None:
        """See ``terminal.loop.Listener``."""
        asked = self._asked.pop(id(answer.to), None)
        for event in answer.said:
            self._write(event_line(event, asked, answer.to))

    def failed(self, error: BaseException) -> None:
        """See ``terminal.loop.Listener``."""
        self.error = error
        self._write(error_line(BadLine("the till met a fault of its own and stopped; start it again")))

    def _serve(self, line: bytes) -> None:
        try:
            number, event = read_request(line)
        except BadLine as error:
            self._write(error_line(error))
            return
        # Events without a sale of their own are told apart by identity while the loop holds them.
        self._asked[id(event)] = number
        self._loop.post(event)

    def _write(self, line: str) -> None:
        with self._writing:
            self._out.write(line + "\n")
            self._out.flush()
