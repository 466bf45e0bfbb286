"""A payment decided again from its signed record: the same code, the same facts, and what the till wrote must follow.

Card and terminal facts come from the record's envelope, from the bytes the card's proof is over, and from what the body
says of the terminal; rules, merchant entry and entitlement are those the record names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from domain.basket import Basket, Line
from domain.card_log import LogRecord
from domain.decision import CardFacts, Decision, StallFacts, decide
from domain.identity import CardId, PurseNumber
from domain.money import ZERO, Cents
from domain.purse import Counters, Entitlement
from domain.rule_set import Merchant, RuleSet
from domain.slip import Slip
from sync.card_format import LOG_RECORD_SIZE_B, decode_log_record
from sync.cbor import Map, Value, take_bytes, take_int, take_list, take_text
from sync.errors import FormatError, Malformed
from sync.record import Envelope, Pay
from sync.tmac import parse


def decide_again(
    envelope: Envelope, rules: RuleSet, merchant: Merchant, entitlement: Entitlement, slips: Iterable[Slip] = ()
) -> Decision:
    """What the till must have decided.

    Args:
        envelope: of a PAYMENT, or of an IN_DOUBT that is one.
        rules, merchant: of the versions the record names.
        entitlement: in force on the card then, verified.
        slips: those the record says were counted, verified.

    Raises:
        Malformed: no body a till of ours writes.
    """
    body = envelope.body
    facts = parse(take_bytes(body, Pay.TMI, most_b=1_536))
    values = {item.file: item.value for item in facts.values}
    *_, cap = _row(take_list(body, Pay.BONUS, 4), 4)
    terminal_left, card_left = _row(take_list(body, Pay.TILL_LEFT, 2), 2)
    terminal_before, card_before = _row(take_list(body, Pay.TILL_BEFORE, 2), 2)
    card = CardFacts(
        card=CardId(take_bytes(body, Pay.CARD, 8)),
        expires_at=None,
        is_on_hot_list=False,
        entitlement=entitlement,
        counters=Counters(take_int(body, Pay.TMC_BEFORE), values),
        newest=_newest(body),
        slips=tuple(slips),
        bonus_cap=cap,
        gives_proof=tells_of_proof(body),
    )
    stall = StallFacts(
        t_lo=datetime.fromtimestamp(envelope.t_lo, UTC),
        t_late=datetime.fromtimestamp(envelope.t_late, UTC),
        lists_age_days=take_int(body, Pay.LISTS_AGE_DAYS),
        paid_here_today=Cents(take_int(body, Pay.PAID_HERE_TODAY)),
        terminal_left=terminal_left,
        card_left=card_left,
        terminal_unreported=terminal_before or ZERO,
        card_unreported=card_before or ZERO,
        paid_here_by_purse=_purses_today(body),
    )
    return decide(basket_of(body), rules, merchant, card, stall)


def tells_of_proof(body: Map) -> bool:
    """Whether a body says that its card proves its transactions."""
    return body.get(Pay.PROOF) != 0


def is_as_written(decision: Decision, body: Map) -> bool:
    """Whether a body says what was decided: lines with reasons, shares, rest, campaign and bonus."""
    bonus = decision.bonus
    shown: list[Value] = [None, None] if bonus is None else [_int(bonus.base), _int(bonus.earned)]
    written = take_list(body, Pay.BONUS, 4)
    return (
        body.get(Pay.LINES) == lines_of(decision)
        and body.get(Pay.SHARES) == shares_of(decision)
        and body.get(Pay.DEBITS) == [[int(debit.file), int(debit.amount)] for debit in decision.debits]
        and body.get(Pay.REST) == int(decision.rest)
        and body.get(Pay.CAMPAIGN) == (bonus.campaign if bonus else "none")
        and written == [shown[0], _int(decision.carried.month_base), shown[1], _int(decision.bonus_cap)]
    )


def lines_of(decision: Decision) -> list[Value]:
    """Pay.LINES of a decision."""
    return [
        [
            decided.line.family,
            int(decided.line.amount),
            int(decided.line.family_typed),
            int(decided.paid),
            decided.reason.value if decided.reason else 0,
        ]
        for decided in decision.lines
    ]


def shares_of(decision: Decision) -> list[Value]:
    """Pay.SHARES of a decision."""
    return [
        [number, int(share.file), int(share.amount)]
        for number, line in enumerate(decision.lines)
        for share in line.by_slot
    ]


def claims_of(lines: Iterable[Line], named_lists: frozenset[str]) -> Map:
    """Pay.LINE_WORDS and Pay.LINE_CLAIMS of lines, as far as rules that name these lists can care; both or neither."""
    words: dict[str, int] = {}
    claims: list[Value] = []
    for number, line in enumerate(lines):
        said = [f"unit:{line.unit}"] if line.unit else []
        said += [f"label:{label}" for label in line.labels]
        said += ["known"] if line.lists is not None else []
        said += [f"list:{name}" for name in sorted((line.lists or frozenset()) & named_lists)]
        if said or line.quantity is not None or line.product is not None:
            places = [words.setdefault(word, len(words)) for word in said]
            claims.append([number, line.quantity, line.product, *places])
    return {Pay.LINE_WORDS: list(words), Pay.LINE_CLAIMS: claims} if claims else {}


def unit_prices_of(lines: Iterable[Line]) -> Map:
    """Pay.UNIT_PRICES of lines, where one has a unit price."""
    rows: list[Value] = [
        [number, int(line.unit_price)] for number, line in enumerate(lines) if line.unit_price is not None
    ]
    return {Pay.UNIT_PRICES: rows} if rows else {}


def basket_of(body: Map) -> Basket:
    """The basket a PAYMENT was made for. Malformed."""
    words = [take_text({0: word}, 0, 80) for word in take_list(body, Pay.LINE_WORDS)] if Pay.LINE_WORDS in body else []
    claims = take_list(body, Pay.LINE_CLAIMS) if Pay.LINE_CLAIMS in body else []
    by_line = {claim[0]: claim for claim in claims if isinstance(claim, list) and claim}
    lines = [_line_of(item, by_line.get(number), words) for number, item in enumerate(take_list(body, Pay.LINES))]
    return Basket(tuple(lines))


def _line_of(item: Value, claim: list[Value] | None, words: list[str]) -> Line:
    quantity, product, said = (None, None, []) if claim is None else _claim_of(claim, words)
    lists = frozenset(word.removeprefix("list:") for word in said if word.startswith("list:"))
    match item:
        case [str() as family, int() as amount, 0 | 1 as typed, int(), int()]:
            return Line(
                family=family,
                amount=Cents(amount),
                family_typed=bool(typed),
                labels=tuple(word.removeprefix("label:") for word in said if word.startswith("label:")),
                quantity=quantity,
                unit=next((word.removeprefix("unit:") for word in said if word.startswith("unit:")), ""),
                product=product,
                lists=lists if "known" in said else None,
            )
    raise Malformed("a line is a family, a price, typed or not, what was paid, and a reason")


def _claim_of(claim: list[Value], words: list[str]) -> tuple[int | None, str | None, list[str]]:
    if len(claim) < 3:
        raise Malformed("a claim is a line, a quantity, a product and words")
    _, quantity, product, *places = claim
    if not (quantity is None or isinstance(quantity, int)) or not (product is None or isinstance(product, str)):
        raise Malformed("a claim is a line, a quantity, a product and words")
    return quantity, product, [words[place] for place in places if isinstance(place, int) and 0 <= place < len(words)]


def _newest(body: Map) -> LogRecord | None:
    if body.get(Pay.NEWEST_LOG) is None:
        return None
    try:
        return decode_log_record(take_bytes(body, Pay.NEWEST_LOG, LOG_RECORD_SIZE_B))
    except FormatError:
        return None


def _purses_today(body: Map) -> Mapping[PurseNumber, Cents] | None:
    if body.get(Pay.PURSES_TODAY) is None:
        return None
    return dict(map(_purse_sum, take_list(body, Pay.PURSES_TODAY, 255)))


def _purse_sum(row: Value) -> tuple[PurseNumber, Cents]:
    match row:
        case [int() as number, int() as cents]:
            return PurseNumber(number), Cents(cents)
    raise Malformed("a purse has a number and cents")


def _row(values: list[Value], count: int) -> list[Cents | None]:
    if len(values) != count or not all(value is None or type(value) is int for value in values):
        raise Malformed("a row of cents or nothing")
    return [Cents(value) if isinstance(value, int) else None for value in values]


def _int(amount: Cents | None) -> int | None:
    return None if amount is None else int(amount)
