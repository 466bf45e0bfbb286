"""The till knows the greatest size of a record before it opens the intent: nothing is debited that cannot be kept."""

from __future__ import annotations

from domain.basket import LONGEST_PRODUCT, LONGEST_UNIT, MOST_LABELS, Line
from domain.identity import LONGEST_FAMILY_CODE, MOST_LINES, TerminalId
from domain.money import Cents
from sync.cbor import Map
from sync.crypto import new_private_key, sign
from sync.record import MOST_RECORD_B, Check, Envelope, Pay, RecordType, seal_record
from sync.replay import claims_of

KEY = new_private_key()
MOST = 2**62
GREATEST_TMI_B = 1_376


def greatest_payment(lines: int = MOST_LINES) -> Map:
    line = ["f" * LONGEST_FAMILY_CODE, 999_999, 1, 999_999, 60]
    return {
        Pay.VERSION: 1,
        Pay.CARD: bytes(8),
        Pay.UID: bytes(7),
        Pay.TMC: 0xFFFFFF,
        Pay.TMV: bytes(8),
        Pay.TMC_EXPECTED: 0xFFFFFF,
        Pay.TMI: bytes(GREATEST_TMI_B),
        Pay.TMC_BEFORE: 0xFFFFFF,
        Pay.TMV_BEFORE: bytes(8),
        Pay.NEWEST_LOG: bytes(32),
        Pay.OWN_LOG: bytes(32),
        Pay.VALUES: [[file, 16_000_000] for file in range(1, 9)],
        Pay.DEBITS: [[file, 0xFFFFF] for file in (6, 7, 8)],
        Pay.ENTITLEMENT: [255, 0xFFFFFF],
        Pay.ENTITLEMENT_WRITTEN: True,
        Pay.LINES: [list(line) for _ in range(lines)],
        Pay.REST: 40 * 999_999,
        Pay.CAMPAIGN: "c" * 30,
        Pay.MERCHANT_VERSION: 0xFFFF,
        Pay.LISTS_AGE_DAYS: 0xFFFF,
        Pay.PAID_HERE_TODAY: 0xFFFFFF,
        Pay.SLIPS_COUNTED: [[0xFFFFFF, 0xFFFFFF]] * 2,
        Pay.SHARES: [[line, file, 26_214] for line in range(lines) for file in (6, 7, 8)],
        Pay.BONUS: [0xFFFFFF, 0xFFFFFF, 0xFFFFFF, 0xFFFFFF],
        Pay.TILL_LEFT: [0xFFFFFFFF, 0xFFFFFFFF],
        Pay.TILL_BEFORE: [0xFFFFFFFF, 0xFFFFFFFF],
        Pay.PURSES_TODAY: [[255 - number, 0xFFFFFF] for number in range(8)],
        Pay.CAPS_VERSION: 0xFFFFFFFF,
        Pay.PRODUCT_LISTS: [["n" * 32, 0xFFFF] for _ in range(8)],
        Pay.POINT_OF_SALE: 0xFFFF,
        Pay.CHECKS: sorted(map(int, Check)),
        Pay.PROOF: 0,
        Pay.UNIT_PRICES: [[line, 0xFFFFFF] for line in range(lines)],
        **greatest_claims(lines),
    }


def greatest_claims(lines: int) -> Map:
    """Every line of its own product with all labels and units a line can bear, and lists of the rules."""
    labels = [f"{number:02}" + "l" * (LONGEST_FAMILY_CODE - 2) for number in range(3 * MOST_LABELS)]
    named = frozenset(f"{number}" + "n" * 31 for number in range(8))
    claimed = [
        Line(
            "bread",
            Cents(1),
            labels=tuple(labels[(number + place) % len(labels)] for place in range(MOST_LABELS)),
            quantity=0xFFFFFFFF,
            unit=f"{number % 4}" + "u" * (LONGEST_UNIT - 1),
            product=str(10 ** (LONGEST_PRODUCT - 1) + number),
            lists=named,
        )
        for number in range(lines)
    ]
    return claims_of(claimed, named)


def sealed(body: Map) -> bytes:
    envelope = Envelope(
        RecordType.PAYMENT, TerminalId(bytes(8)), 255, 0xFFFFFF, bytes(32), MOST, MOST, MOST, 3, MOST, MOST, 0xFFFF,
        MOST, "s" * 40, MOST, MOST, MOST, body, MOST, 0xFFFFFF,
    )  # fmt: skip
    return seal_record(envelope, lambda message: sign(KEY, message))


def test_the_greatest_payment_the_rules_allow_fits_into_a_record() -> None:
    assert len(sealed(greatest_payment())) <= MOST_RECORD_B


def test_the_greatest_payment_has_every_field_a_payment_may_have() -> None:
    keys = {number for name in vars(Pay) if name.isupper() and isinstance(number := getattr(Pay, name), int)}
    assert keys - greatest_payment().keys() == {Pay.PAYMENT_SEQ, Pay.PAYMENT_TMC}, "those are of a void"


def test_a_basket_of_more_lines_would_not_always_fit() -> None:
    try:
        sealed(greatest_payment(lines=3 * MOST_LINES))
    except AssertionError:
        return
    raise AssertionError("the bound of 40 lines is not what keeps records small")
