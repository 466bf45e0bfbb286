"""The programme's rules in every version: as signed for terminals, and the file as it was written.

What terminals get leaves out what only the centre reads: allotments, the file's own words, its examples.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from central import kept_lists
from central.kept_lists import LISTS_ID
from central.keys import CentralKeys
from central.rule_file import Former, Mistake, RuleFile, RuleMistake, mistakes_of_change, rule_file_of, text_of
from central.rule_file.examples import mistakes_of_examples
from central.store import Store
from domain.identity import PurseNumber
from domain.rule_set import RuleSet
from sync.bundle import Kind
from sync.crypto import public_bytes, public_key
from sync.errors import FormatError
from sync.rule_format import encode_rule_set, read_rule_set, rule_set_map

MOST_VERSION: Final = 0xFFFFFFFF
NAMED_UNKNOWN: Final = "règles n° {version} inconnues ici, pas redécidé"
"""What is said of a payment whose record names a version this centre does not know."""


def newest(store: Store, keys: CentralKeys) -> RuleSet:
    """The rules in force, as terminals have them."""
    found = of_version(store, keys, kept_lists.newest_of(store, Kind.RULE_SET))
    assert found is not None, "a centre has a rule set"
    return found


def of_version(store: Store, keys: CentralKeys, version: int) -> RuleSet | None:
    """The rule set of a version, or ``None`` for one this centre never signed or cannot read any more."""
    if not 0 <= version <= MOST_VERSION:
        return None
    row = store.one("SELECT data FROM signed_list WHERE kind = ? AND version = ?", int(Kind.RULE_SET), version)
    if row is None:
        return None
    try:
        return _read_once(bytes(row["data"]), public_bytes(keys.public_key("lists")))
    except FormatError:
        return None


@lru_cache(maxsize=8)
def _read_once(signed: bytes, key: bytes) -> RuleSet:
    """A verified rule set; the payments of a batch are nearly always of one. Raises FormatError."""
    return read_rule_set(signed, public_key(key))


def as_written(store: Store) -> RuleFile | None:
    """The newest file as it was written; ``None`` where a centre of before kept none."""
    row = store.one("SELECT text FROM rule_text ORDER BY version DESC, rowid DESC LIMIT 1")
    return None if row is None else rule_file_of(row["text"])


def first_text(path: Path) -> str:
    """The rule file a centre may begin with. RuleMistake."""
    text = text_of(path)
    _refuse(mistakes_of_examples(rule_file_of(text).rules))
    return text


def begin(store: Store, keys: CentralKeys, text: str, at: datetime) -> None:
    """Take in the first rules of a centre, from ``first_text``; inside a transaction."""
    rules = rule_file_of(text).rules
    sign(store, keys, rules, at)
    store.put("rule_text", version=rules.version, text=text, taken_at=int(at.timestamp()))


def take(store: Store, keys: CentralKeys, path: Path, at: datetime, today: date) -> RuleSet:
    """Take in a new version of the rules, or another text of the version in force that rules the same; inside a
    transaction. Every text is kept.

    Raises:
        RuleMistake: with all reasons why not; nothing is taken.
    """
    text = text_of(path)
    rules = rule_file_of(text).rules
    row = store.one("SELECT text FROM rule_text WHERE version = ? ORDER BY rowid DESC", rules.version)
    kept: str | None = None if row is None else row["text"]
    if not _is_in_force(store, keys, rules, kept):
        is_forgotten = of_version(store, keys, rules.version) is None and is_named_unknown(store, rules.version)
        before = _before(store, keys, today)
        wrong = mistakes_of_change(before, rules, today, _in_use(store, at), is_forgotten=is_forgotten)
        _refuse([*wrong, *([] if is_forgotten else mistakes_of_examples(rules))])
        sign(store, keys, rules, at)
    elif kept != text:
        _refuse(mistakes_of_examples(rules))
    if kept != text:
        store.put("rule_text", version=rules.version, text=text, taken_at=int(at.timestamp()))
    return rules


def _refuse(wrong: Collection[Mistake]) -> None:
    if wrong:
        raise RuleMistake(wrong)


def is_named_unknown(store: Store, version: int) -> bool:
    """Whether payments name a version that this centre, restored from a backup, did not know when they came."""
    why = NAMED_UNKNOWN.format(version=version)
    is_restored = store.current_number("epoch") > 0
    return is_restored and store.one("SELECT 1 FROM decided_otherwise WHERE why = ?", why) is not None


def _is_in_force(store: Store, keys: CentralKeys, rules: RuleSet, kept: str | None) -> bool:
    """Whether these are the rules in force, for terminals and for the centre; a text that was lost says nothing."""
    last = newest(store, keys)
    if rules.version != last.version or rule_set_map(last) != rule_set_map(rules):
        return False
    try:
        return kept is None or rule_file_of(kept).rules.allotments == rules.allotments
    except RuleMistake:  # a text this program cannot read any more
        return True


def _before(store: Store, keys: CentralKeys, today: date) -> list[Former]:
    """All versions so far that can be read, oldest first."""
    rows = store.all("SELECT version, signed_at FROM signed_list WHERE kind = ? ORDER BY version", Kind.RULE_SET)
    known = [
        (found, row["signed_at"]) for row in rows if (found := of_version(store, keys, row["version"])) is not None
    ]
    zone = ZoneInfo(known[-1][0].timezone)
    signed_on = [datetime.fromtimestamp(signed_at, UTC).astimezone(zone).date() for _, signed_at in known]
    return [Former(rules, next_on) for (rules, _), next_on in zip(known, [*signed_on[1:], today], strict=True)]


def sign(store: Store, keys: CentralKeys, rules: RuleSet, at: datetime) -> None:
    """Sign a rule set for the terminals; its version must be new. Inside a transaction."""
    kept_lists.keep(store, Kind.RULE_SET, rules.version, at, encode_rule_set(rules, LISTS_ID, keys.signer("lists")))


def _in_use(store: Store, at: datetime) -> frozenset[PurseNumber]:
    rows = store.all("SELECT DISTINCT purse FROM slot_window WHERE end_at IS NULL OR end_at > ?", int(at.timestamp()))
    return frozenset(PurseNumber(row["purse"]) for row in rows)
