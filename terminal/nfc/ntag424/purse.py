"""The purse on an NTAG 424 DNA: read both halves, write the next state into the one that does not count.

The tag has no commit. What stands for it is the WriteData of one half: until it is whole its check value does not fit
and the other half, which is never touched, still counts (docs/decisions/0006). The tag makes no proof; ``foretell``
says in the words of docs/formats/tmi.md what was read and written, and nobody's MAC is over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from domain.identity import FIRST_SLOT, SlotFile, Uid
from domain.money import Cents
from sync.card_format import ENTITLEMENT_PLACE_B, LOG_RECORD_SIZE_B, READER_ID_SIZE_B
from sync.errors import FormatError
from sync.ntag_format import HALF_SIZE_B, MOST_COUNTER, PurseFile, PurseHalf, decode_purse_file, encode_half
from sync.ntag_format import PURSE_FILE_B as WHOLE_FILE_B
from terminal.errors import CardFault, CardMisbehaves, OutcomeUnknown, ReaderFault
from terminal.nfc import desfire_purse, tmi
from terminal.nfc.apdu import CardRefuses, Ins, Status
from terminal.nfc.channel import Channel
from terminal.nfc.ntag424.tag import ENTITLEMENT_FILE, PURSE_FILE, READ_DATA, WRITE_DATA, read_file, write_file
from terminal.ports import CardHead, CardPlan, CommitProof

NO_PROOF: Final = bytes(8)
_NO_PLACES: Final = b"\x00"  # slip places in use: the tag has none
_NOTHING_READ: Final = bytes(READER_ID_SIZE_B)  # a tag keeps no reader id of the transaction before
_NOTHING_DONE: Final = frozenset(
    {
        Status.ILLEGAL_COMMAND,
        Status.INTEGRITY_ERROR,
        Status.LENGTH_ERROR,
        Status.PERMISSION_DENIED,
        Status.PARAMETER_ERROR,
        Status.AUTHENTICATION_ERROR,
        Status.BOUNDARY_ERROR,
    }
)
"""Answers to WriteData that are given before anything is written (NT4H2421Gx §10.8.2, return codes)."""


class Ntag424Purse:
    """An authenticated tag (``ports.PurseCard``). One object serves one transaction."""

    __slots__ = ("_channel", "_file", "_next", "_tmi", "_uid")

    def __init__(self, channel: Channel, uid: Uid) -> None:
        self._channel = channel
        self._uid = uid
        self._file: PurseFile | None = None
        self._next: PurseHalf | None = None
        self._tmi = b""

    def open(self, reader_id: bytes, *, all_logs: bool) -> CardHead:  # noqa: ARG002 - there are two, read at once
        """Both halves of the purse file, and the entitlement. The reader id (16 B) stays with the terminal.

        Raises: CardFault, ReaderFault; nothing was changed on the card.
        """
        try:
            self._file = decode_purse_file(read_file(self._channel, PURSE_FILE, WHOLE_FILE_B), self._uid)
        except FormatError as fault:
            raise CardMisbehaves(f"no purse that can be read: {fault}") from fault
        if self._file.newest.counter >= MOST_COUNTER:
            raise CardMisbehaves("a transaction counter no card of ours reaches")
        place = _NO_PLACES + read_file(self._channel, ENTITLEMENT_FILE, ENTITLEMENT_PLACE_B)
        logs = self._file.logs
        self._tmi = tmi.reader_id_item(reader_id, _NOTHING_READ)
        self._tmi += tmi.records_item(
            Ins.READ_RECORDS_CHAINED, desfire_purse.LOG_FILE, 0, len(logs), b"".join(reversed(logs))
        )
        self._tmi += tmi.file_item(READ_DATA, desfire_purse.ENTITLEMENT_FILE, 0, place)
        return CardHead(self._file.newest.counter, NO_PROOF, logs, place[1:])

    def values(self, files: Sequence[SlotFile]) -> Mapping[SlotFile, Cents]:
        """Cents in the slots asked for, in file order; none for slots 7 and 8, which a tag does not hold."""
        found: dict[SlotFile, Cents] = {}
        for file in sorted(files):
            value = self._state.newest.value(file)
            if value is not None:
                found[file] = value
                self._tmi += tmi.value_item(Ins.GET_VALUE, file, value)
        return found

    def foretell(self, plan: CardPlan) -> bytes:
        """What the record will say was read and written when ``plan`` is staged and committed; sends nothing."""
        return self._tmi + self._items(plan)

    def stage(self, plan: CardPlan) -> None:
        """A newer entitlement is written at once: it is signed content and moves no money. A slip has no place here."""
        self._next = self._state_after(plan)
        if plan.entitlement is not None:
            write_file(self._channel, ENTITLEMENT_FILE, 0, plan.entitlement)
        self._tmi += self._items(plan)

    def commit(self) -> CommitProof:
        """Write the next state.

        Raises:
            OutcomeUnknown: sent, and no answer that says what happened.
            CardGone, CardMisbehaves: certainly nothing was done: it was not sent, or the card refused it.
        """
        assert self._next is not None, "nothing was staged"
        half = encode_half(self._next, self._uid)
        self._channel.link.check_usable()
        try:
            write_file(self._channel, PURSE_FILE, self._state.free * HALF_SIZE_B, half)
        except CardRefuses as fault:
            if fault.status in _NOTHING_DONE:
                raise
            raise OutcomeUnknown(str(fault)) from fault
        except (CardFault, ReaderFault) as fault:
            raise OutcomeUnknown("no answer to the write that can be trusted") from fault
        return CommitProof(self._next.counter, NO_PROOF, self._tmi)

    @property
    def _state(self) -> PurseFile:
        assert self._file is not None, "a purse is opened first"
        return self._file

    def _state_after(self, plan: CardPlan) -> PurseHalf:
        assert len(plan.log_record) == LOG_RECORD_SIZE_B
        before = self._state.newest
        values = list(before.values)
        for debit in plan.debits:
            place = debit.file - FIRST_SLOT
            assert 0 < debit.amount <= values[place], "a debit of more than was read"
            values[place] -= debit.amount
        return replace(before, counter=before.counter + 1, values=tuple(values), log_record=plan.log_record)

    def _items(self, plan: CardPlan) -> bytes:
        items = []
        if plan.entitlement is not None:
            assert len(plan.entitlement) == ENTITLEMENT_PLACE_B
            place = _NO_PLACES + plan.entitlement
            items.append(tmi.file_item(WRITE_DATA, desfire_purse.ENTITLEMENT_FILE, 0, place))
        items += [tmi.value_item(Ins.DEBIT, debit.file, debit.amount) for debit in plan.debits]
        log = tmi.file_item(Ins.WRITE_RECORD_CHAINED, desfire_purse.LOG_FILE, 0, plan.log_record)
        return b"".join((*items, log))
