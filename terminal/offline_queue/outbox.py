"""ports.Outbox on the journal: what waits for the centre, what it answered, what it sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from sync.batch import (
    MOST_BATCH_B,
    MOST_RECORDS,
    Answer,
    BatchHead,
    decode_answer,
    encode_batch,
    records_that_fit,
)
from sync.errors import Malformed
from terminal.offline_queue.journal import OfflineJournal
from terminal.offline_queue.lists import OfflineLists
from terminal.ports import Instant, Stamp, SyncState
from terminal.text import _
from terminal.two_clocks import two_clocks

CENTRE_MAY_SET_BACK: Final = timedelta(minutes=10)
"""A centre's clock may be corrected by so much; an answer older than that is a replay."""


class OfflineOutbox:
    """The outbox of one terminal. Used by the thread that holds the journal."""

    def __init__(self, journal: OfflineJournal, lists: OfflineLists) -> None:
        self._journal = journal
        self._lists = lists
        self._asked: bytes | None = None

    def next_batch(self, nonce: bytes, max_records: int = MOST_RECORDS, max_b: int = MOST_BATCH_B) -> bytes:
        """Head and the records not yet acknowledged; without records it asks only for the answer."""
        self._asked = nonce
        first = self._journal.contact.acknowledged + 1
        records = self._journal.records(first, max_records) if not self._journal.contact.frozen else []
        identity = self._journal.identity
        head = BatchHead(identity.terminal, identity.epoch, first, nonce, self._lists.versions)
        return encode_batch(head, records[: records_that_fit(records, max_records, max_b)])

    def apply_answer(self, answer: bytes, nonce: bytes, at: Instant) -> SyncState:
        """Take the centre's signed word: acknowledge up to its head, set the clocks; freeze where chains differ.

        Raises:
            Malformed, UnknownVersion, BadSignature: not the centre's word, or not to the batch just made, or older than
                what it said before; nothing changes.
        """
        if self._asked is None or nonce != self._asked:
            raise Malformed("an answer to a batch that was not asked for")
        said = decode_answer(answer, self._lists.answer_key, nonce)
        identity = self._journal.identity
        if (said.terminal, said.epoch) != (identity.terminal, identity.epoch):
            raise Malformed("an answer to another terminal")
        contact = self._journal.contact
        if contact.last_contact is not None and said.centre_time < contact.last_contact - CENTRE_MAY_SET_BACK:
            raise Malformed("an answer from before the last one")
        self._asked = None
        t_lo = two_clocks(self._journal.anchor(), at).t_lo if at.boot == contact.received_boot else contact.t_lo
        is_ours = self._journal.hash_at(said.head_seq) == said.head_hash
        self._journal.keep_contact(
            replace(
                contact,
                centre_time=said.centre_time,
                received_boot=at.boot,
                received_boottime_ns=at.boottime_ns,
                t_lo=max(contact.t_lo, t_lo, said.centre_time),
                anchor_seq=self._journal.head().seq,
                wall_error_s=_whole_seconds(at.wall - said.centre_time),
                acknowledged=said.head_seq if is_ours else contact.acknowledged,  # lower: the centre was restored
                last_contact=said.centre_time,
                frozen=contact.frozen or _why_frozen(said, is_ours=is_ours),
            )
        )
        return self.state()

    def apply_download(self, bundle: bytes, at: Instant) -> SyncState:
        """Verify and store lists in one commit; a version never goes down.

        While an intent stands open (of a till that was killed) nothing may be appended: the lists are left for the next
        exchange, after the till has ended it.
        """
        if self._journal.has_open_intent:
            return self.state()
        clocks = two_clocks(self._journal.anchor(), at)
        held = self._lists.versions
        stamp = Stamp(at, clocks.t_lo, clocks.t_late, held.rules, held.hot_list)
        self._lists.take_download(bundle, stamp)
        return self.state()

    def state(self) -> SyncState:
        """What waits, and when the centre last answered."""
        records, payments, amount = self._journal.waiting
        contact = self._journal.contact
        return SyncState(records, payments, amount, contact.last_contact, contact.frozen or None)


def _why_frozen(said: Answer, *, is_ours: bool) -> str:
    if not is_ours:
        return _("Le centre connaît un autre journal que celui de cette caisse : il faut l'enrôler à nouveau.")
    if said.is_frozen:
        return _("Le centre n'accepte plus rien de cette caisse : il faut l'enrôler à nouveau.")
    return ""


def _whole_seconds(span: timedelta) -> int:
    return round(span.total_seconds())
