"""Why something is not paid: a closed list. Each has a number for the record and a sentence on the screen."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Numbers are written in records and never reused. Below 40: about a line; from 40: about the payment."""

    NEVER_FAMILY = 1
    NOT_IN_THE_LIST = 2
    PRODUCT_NOT_KNOWN = 3
    LABEL_NOT_CERTIFIED = 4
    MERCHANT_NOT_IN_THIS_PURSE = 5
    PRICE_ABOVE_CEILING = 6  # or the quantity is missing
    PURSE_EMPTY = 7
    PURSE_NOT_OPEN_YET = 8
    PURSE_LAPSED = 9
    PURSE_CEILING_OF_A_PAYMENT = 10
    NO_CARD_MONEY_TO_MATCH = 11
    NEGATIVE_OR_ZERO_AMOUNT = 12
    UNATTENDED_SALE = 13
    FAMILY_NOT_KNOWN = 14
    PURSE_CEILING_OF_A_DAY = 15

    CARD_UNKNOWN = 40
    NOT_GENUINE = 41
    ON_HOT_LIST = 42
    CARD_EXPIRED = 43
    OTHER_PROGRAMME = 44
    KEY_NOT_ON_THIS_TERMINAL = 45
    ENTITLEMENT_MISSING = 46
    ENTITLEMENT_EXPIRED = 47
    ENTITLEMENT_UNREADABLE = 48
    ENTITLEMENT_VERSION_UNKNOWN = 49
    PAYMENT_IN_DOUBT = 50
    MORE_THAN_ONE_CARD = 51
    NOTHING_TO_PAY = 52
    PAYMENT_CEILING = 53
    FLOOR_LIMIT = 54
    DAY_TOTAL = 55
    LISTS_TOO_OLD = 56
    TERMINAL_LIMIT = 57
    CLOCK_NOT_TRUSTED = 58
    CARD_FILE_EXHAUSTED = 59
    JOURNAL_NOT_WRITABLE = 60
    TRAINING_CARD = 61
