"""Each payment decided again from its record, by the till's own code and under the versions the record names.

The card's proof says what was debited, and that stays posted whatever is found here: a difference is for a person to
look at (a changed till, an error of ours), and no later refusal.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final

from central import kept_lists, merchants, rule_versions
from central.keys import CentralKeys
from central.store import Store
from central.transactions import Chip, is_signed
from domain.decision import Decision
from domain.money import Cents, in_euros
from domain.purse import Entitlement
from domain.slip import Slip
from sync.bundle import Kind
from sync.card_format import read_slip
from sync.cbor import Map, Value, take_int, take_list
from sync.enrolment import read_certificate
from sync.errors import FormatError, Malformed
from sync.record import Envelope, Pay
from sync.replay import decide_again, is_as_written, lines_of, shares_of, tells_of_proof
from sync.tmac import TransactionInput

UNKNOWN_RULES: Final = rule_versions.NAMED_UNKNOWN
UNKNOWN_MERCHANT: Final = "fiche n° {version} du stand inconnue ici, pas redécidé"
OLDER: Final = "règles ou fiche plus anciennes que celles d'un paiement d'avant de cette caisse, pas redécidé"
UNREADABLE: Final = "l'enregistrement ne dit pas comment il a été décidé, pas redécidé"
OTHER_CAPS: Final = "des plafonds de caisse qui ne sont pas ceux de son certificat"
OTHERWISE: Final = "décidé autrement ici : {what}"
_PARTS: Final = {
    Pay.DEBITS: "débits",
    Pay.LINES: "lignes",
    Pay.SHARES: "répartition",
    Pay.REST: "reste à régler",
    Pay.BONUS: "bonus",
    Pay.CAMPAIGN: "campagne",
}
_PAID_AT: Final = 3
"""Where a line of Pay.LINES has the cents paid of it."""


def goes_back(store: Store, envelope: Envelope) -> bool:
    """Whether a payment names older rules or an older entry than one before it in its chain: a till's never go back.

    Versions this centre does not know are another matter (``look_again``). Inside a transaction of the store.
    """
    rules, version = envelope.rules_version, envelope.body.get(Pay.MERCHANT_VERSION)
    if not isinstance(version, int) or not 0 < rules <= kept_lists.newest_of(store, Kind.RULE_SET):
        return False
    if not 0 < version <= rule_versions.MOST_VERSION or merchants.entry_named(store, envelope, version) is None:
        return False
    where = (envelope.terminal, envelope.epoch)
    before = store.one("SELECT rules, merchant FROM version_named WHERE terminal = ? AND epoch = ?", *where)
    if before is None:
        store.put("version_named", terminal=where[0], epoch=where[1], rules=rules, merchant=version)
        return False
    store.change(
        "UPDATE version_named SET rules = max(rules, ?), merchant = max(merchant, ?) WHERE terminal = ? AND epoch = ?",
        rules,
        version,
        *where,
    )
    return bool(rules < before["rules"] or version < before["merchant"])


def look_again(
    store: Store,
    keys: CentralKeys,
    chip: Chip,
    envelope: Envelope,
    facts: TransactionInput,
    entitlement: Entitlement | None,
    *,
    is_behind: bool = False,
) -> None:
    """Decide a posted payment again and keep what is to be said of it, if anything; nothing else changes.

    Inside a transaction of the store. Never raises for what a record holds.

    Args:
        facts: of the record's TMI.
        entitlement: the centre's own word, in force after the transaction.
        is_behind: whether the record goes back to older versions (``goes_back``).
    """
    why = OLDER if is_behind else _finding(store, keys, chip, envelope, facts, entitlement)
    if why:
        where = {"terminal": envelope.terminal, "epoch": envelope.epoch, "seq": envelope.seq}
        store.put_new("decided_otherwise", **where, why=why)


def _finding(
    store: Store,
    keys: CentralKeys,
    chip: Chip,
    envelope: Envelope,
    facts: TransactionInput,
    entitlement: Entitlement | None,
) -> str:
    """A French sentence; nothing where the till wrote what is decided here."""
    try:
        version = take_int(envelope.body, Pay.MERCHANT_VERSION, rule_versions.MOST_VERSION)
        slips = _slips_counted(store, chip, envelope.body, facts)
    except FormatError:
        return UNREADABLE
    rules = rule_versions.of_version(store, keys, envelope.rules_version)
    if rules is None:
        return UNKNOWN_RULES.format(version=envelope.rules_version)
    merchant = merchants.entry_named(store, envelope, version)
    if merchant is None:
        return UNKNOWN_MERCHANT.format(version=version)
    if entitlement is None or tells_of_proof(envelope.body) != chip.has_proof:
        return UNREADABLE
    try:
        decision = decide_again(envelope, rules, merchant, entitlement, slips)
        if not is_as_written(decision, envelope.body):
            return difference(decision, envelope.body)
        return "" if _has_its_caps(store, keys, envelope) else OTHER_CAPS
    except Exception:  # a record that cannot be decided on holds up neither itself nor those behind it
        return UNREADABLE


def _has_its_caps(store: Store, keys: CentralKeys, envelope: Envelope) -> bool:
    """Whether the till decided under the caps of its certificate: what was left and what was taken add up to them."""
    where = (envelope.terminal, envelope.epoch)
    row = store.one("SELECT certificate FROM terminal WHERE terminal = ? AND epoch = ?", *where)
    assert row is not None, "a record in a chain has its terminal"
    certificate = read_certificate(bytes(row["certificate"]), keys.public_key("root"))
    left, taken = take_list(envelope.body, Pay.TILL_LEFT, 2), take_list(envelope.body, Pay.TILL_BEFORE, 2)
    sums = [a + b for a, b in zip(left, taken, strict=True) if isinstance(a, int) and isinstance(b, int)]
    caps = [int(certificate.offline_cap), int(certificate.card_cap)]
    return sums == caps and envelope.body.get(Pay.CAPS_VERSION) == certificate.caps_version


def difference(decision: Decision, body: Map) -> str:
    """What a body says otherwise than the decision, and by how many cents.

    Raises:
        Malformed: a part of the body is not of its shape.
    """
    told = []
    for key, again in _written(decision).items():
        if body.get(key) == again:
            continue
        here, there = _cents(key, again), _cents(key, body.get(key))
        apart = sum(abs(here.get(place, 0) - there.get(place, 0)) for place in {*here, *there})
        told.append(f"{_PARTS[key]} ({in_euros(Cents(apart))} d'écart)" if apart else _PARTS[key])
    return OTHERWISE.format(what=", ".join(told))


def _written(decision: Decision) -> Map:
    """The parts of a body that say what was decided."""
    bonus = decision.bonus
    shown = (None, None) if bonus is None else (bonus.base, bonus.earned)
    row = (shown[0], decision.carried.month_base, shown[1], decision.bonus_cap)
    return {
        Pay.DEBITS: [[int(debit.file), int(debit.amount)] for debit in decision.debits],
        Pay.LINES: lines_of(decision),
        Pay.SHARES: shares_of(decision),
        Pay.REST: int(decision.rest),
        Pay.BONUS: [None if amount is None else int(amount) for amount in row],
        Pay.CAMPAIGN: bonus.campaign if bonus else "none",
    }


def _cents(key: int, part: Value) -> Mapping[Hashable, int]:
    """The sums of a part of a body by what they are for."""
    match part:
        case int() if key == Pay.REST:
            return {0: part}
        case str() if key == Pay.CAMPAIGN:
            return {}
        case list() if key == Pay.BONUS:
            return {number: amount for number, amount in enumerate(part) if isinstance(amount, int)}
        case list() if key == Pay.LINES:
            return {number: _sum_in(item, _PAID_AT) for number, item in enumerate(part)}
        case list() if key in (Pay.DEBITS, Pay.SHARES):
            return {repr(item[:-1]) if isinstance(item, list) else "": _sum_in(item, -1) for item in part}
    raise Malformed("no body a till of ours writes")


def _sum_in(row: Value, place: int) -> int:
    if isinstance(row, list) and len(row) >= max(place + 1, 1):
        amount = row[place]
        if isinstance(amount, int):
            return amount
    raise Malformed("a row of a body has its sum in cents")


def _slips_counted(store: Store, chip: Chip, body: Map, facts: TransactionInput) -> tuple[Slip, ...]:
    """The slips the record says were counted, as the card carried them, if their stations signed them."""
    counted = take_list(body, Pay.SLIPS_COUNTED)
    found = []
    for data in facts.slips_read if counted else ():
        try:
            slip = read_slip(data)
        except FormatError:
            continue
        if [int(slip.station), slip.seq] in counted and is_signed(store, chip.card, data, slip):
            found.append(slip)
    return tuple(found)
