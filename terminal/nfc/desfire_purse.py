"""The purse on a MIFARE DESFire EV2 or EV3 card: read, debit, commit with the card's own proof.

The order of the commands is fixed and nothing is aborted (docs/formats/card.md "One payment"): Abort would drop the
reader id, and Commit would fail without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from domain.identity import SlotFile
from domain.money import Cents
from sync.card_format import ENTITLEMENT_PLACE_B, LOG_RECORD_SIZE_B, READER_ID_SIZE_B, SLIP_PLACES, SLIP_SIZE_B
from terminal.errors import CardFault, CardMisbehaves, OutcomeUnknown, ReaderFault
from terminal.nfc import tmi
from terminal.nfc.apdu import ISO_DEP, CardRefuses, Ins, Profile, Status
from terminal.nfc.channel import Channel, Mode
from terminal.nfc.tmi import little
from terminal.ports import CardHead, CardPlan, CommitProof

TMAC_FILE, LOG_FILE, ENTITLEMENT_FILE, CARD_INFO_FILE = 0x0F, 0x10, 0x11, 0x12
LOG_RECORDS_USABLE: Final = 8
ENTITLEMENT_FILE_B: Final = 426
SLIPS_OFFSET: Final = 1 + ENTITLEMENT_PLACE_B
_MOST_RECORDS_A_READ: Final = 4  # eight in full mode do not fit one answer
_VALUE_B, _TMC_B, _TMV_B = 4, 4, 8
_WITH_PROOF: Final = b"\x01"
_NOTHING_DONE: Final = frozenset(
    {
        Status.NO_CHANGES,
        Status.ILLEGAL_COMMAND,
        Status.INTEGRITY_ERROR,
        Status.LENGTH_ERROR,
        Status.PERMISSION_DENIED,
        Status.PARAMETER_ERROR,
        Status.AUTHENTICATION_ERROR,
    }
)
"""Answers to Commit that the card gives before it does anything (MF2DL(H)x0 §11.6.1, table of return codes)."""


MOST_TMC: Final = 0xFFFFFF
"""The log record has three bytes for it."""


class DesfirePurse:
    """An authenticated purse card (``ports.PurseCard``). One object serves one transaction."""

    __slots__ = ("_channel", "_foretold", "_places_in_use", "_profile", "_tmc", "_tmi")

    def __init__(self, channel: Channel, profile: Profile = ISO_DEP) -> None:
        self._channel = channel
        self._profile = profile
        self._tmi = b""
        self._tmc = 0
        self._places_in_use = 0
        self._foretold: bytes | None = None

    def open(self, reader_id: bytes, *, all_logs: bool) -> CardHead:
        """TMAC file, reader id (16 B), newest log record (or all, newest first), entitlement and slips.

        Raises: CardFault, ReaderFault; nothing was changed on the card.
        """
        proof = self._read(TMAC_FILE, 0, _TMC_B + _TMV_B)
        self._tmc = int.from_bytes(proof[:_TMC_B], "little")
        if self._tmc >= MOST_TMC:
            raise CardMisbehaves("a transaction counter no card of ours reaches")
        self._commit_reader_id(reader_id)
        logs = self._logs(min(self._tmc + 1, LOG_RECORDS_USABLE) if all_logs else 1)
        place = self._read_counted(ENTITLEMENT_FILE, 0, SLIPS_OFFSET)
        self._places_in_use = place[0]
        return CardHead(self._tmc, proof[_TMC_B:], logs, place[1:], self._slips())

    def values(self, files: Sequence[SlotFile]) -> Mapping[SlotFile, Cents]:
        """Cents in the value files asked for, read in file order."""
        return {file: self._value(file) for file in sorted(files)}

    def foretell(self, plan: CardPlan) -> bytes:
        """The TMI this transaction will have when ``plan`` is staged and committed; sends nothing."""
        self._foretold = self._tmi + self._items(plan)
        return self._foretold

    def stage(self, plan: CardPlan) -> None:
        """Slip, entitlement, debits, log record; nothing takes effect yet."""
        for offset, content in self._entitlement_writes(plan):
            self._write(self._profile.write_data, ENTITLEMENT_FILE, offset, content)
        for debit in plan.debits:
            self._debit(debit.file, debit.amount)
        self._write(self._profile.write_record, LOG_FILE, 0, plan.log_record)

    def commit(self) -> CommitProof:
        """Make it so.

        Raises:
            OutcomeUnknown: sent, and no answer that says what happened.
            CardGone, CardMisbehaves: certainly nothing was done: it was not sent, or the card refused it.
        """
        assert self._foretold in (None, self._tmi), "what was exchanged is not what was foretold"
        self._channel.link.check_usable()
        try:
            answer = self._channel.send(Ins.COMMIT_TRANSACTION, _WITH_PROOF, mode=Mode.MAC, answer_b=_TMC_B + _TMV_B)
        except CardRefuses as fault:
            if fault.status in _NOTHING_DONE:
                raise
            raise OutcomeUnknown(str(fault)) from fault
        except (CardFault, ReaderFault) as fault:
            raise OutcomeUnknown("no answer to Commit that can be trusted") from fault
        tmc = int.from_bytes(answer[:_TMC_B], "little")
        if tmc != self._tmc + 1:
            raise OutcomeUnknown("the card counts otherwise than it did")
        return CommitProof(tmc, answer[_TMC_B:], self._tmi)

    def _commit_reader_id(self, reader_id: bytes) -> None:
        assert len(reader_id) == READER_ID_SIZE_B
        is_full = self._profile.is_reader_id_answer_full
        previous = self._channel.send(
            Ins.COMMIT_READER_ID,
            reader_id,
            mode=Mode.MAC,
            answer_mode=Mode.FULL if is_full else Mode.MAC,
            answer_b=READER_ID_SIZE_B,
        )
        self._tmi += tmi.reader_id_item(reader_id, previous)

    def _read(self, file: int, offset: int, size_b: int) -> bytes:
        header = bytes([file]) + little(offset, 3) + little(size_b, 3)
        return self._channel.send(self._profile.read_data, header, answer_b=size_b)

    def _read_counted(self, file: int, offset: int, size_b: int) -> bytes:
        content = self._read(file, offset, size_b)
        self._tmi += tmi.file_item(self._profile.read_data, file, offset, content)
        return content

    def _logs(self, count: int) -> tuple[bytes, ...]:
        first = self._records(0, min(count, _MOST_RECORDS_A_READ))
        rest = count - len(first)
        return first + (self._records(_MOST_RECORDS_A_READ, rest) if rest else ())

    def _records(self, newest: int, count: int) -> tuple[bytes, ...]:
        header = bytes([LOG_FILE]) + little(newest, 3) + little(count, 3)
        size_b = count * LOG_RECORD_SIZE_B
        content = self._channel.send(self._profile.read_records, header, answer_b=size_b)
        self._tmi += tmi.records_item(self._profile.read_records, LOG_FILE, newest, count, content)
        oldest_first = [content[at : at + LOG_RECORD_SIZE_B] for at in range(0, size_b, LOG_RECORD_SIZE_B)]
        return tuple(reversed(oldest_first))

    def _slips(self) -> Mapping[int, bytes]:
        if self._places_in_use == 0:
            return {}
        places = self._read_counted(ENTITLEMENT_FILE, SLIPS_OFFSET, SLIP_PLACES * SLIP_SIZE_B)
        in_use = [place for place in range(SLIP_PLACES) if self._places_in_use >> place & 1]
        return {place: places[place * SLIP_SIZE_B : (place + 1) * SLIP_SIZE_B] for place in in_use}

    def _value(self, file: SlotFile) -> Cents:
        answer = self._channel.send(Ins.GET_VALUE, bytes([file]), answer_b=_VALUE_B)
        value = int.from_bytes(answer, "little", signed=True)
        if value < 0:
            raise CardMisbehaves("a counter below zero")
        self._tmi += tmi.value_item(Ins.GET_VALUE, file, value)
        return Cents(value)

    def _items(self, plan: CardPlan) -> bytes:
        assert len(plan.log_record) == LOG_RECORD_SIZE_B
        profile = self._profile
        items = [
            tmi.file_item(profile.write_data, ENTITLEMENT_FILE, offset, content)
            for offset, content in self._entitlement_writes(plan)
        ]
        items += [tmi.value_item(Ins.DEBIT, debit.file, debit.amount) for debit in plan.debits]
        return b"".join((*items, tmi.file_item(profile.write_record, LOG_FILE, 0, plan.log_record)))

    def _entitlement_writes(self, plan: CardPlan) -> list[tuple[int, bytes]]:
        """Offset and content of what is written to the entitlement file: a slip first, then byte 0, alone or in front
        of a newer entitlement.
        """
        places = self._places_in_use & ~sum(1 << place for place in plan.freed)
        writes = []
        if plan.slip is not None:
            place, slip = plan.slip
            assert len(slip) == SLIP_SIZE_B and 0 <= place < SLIP_PLACES
            assert not places >> place & 1, "a slip in use is never overwritten"
            places |= 1 << place
            writes.append((SLIPS_OFFSET + place * SLIP_SIZE_B, slip))
        if plan.entitlement is not None:
            assert len(plan.entitlement) == ENTITLEMENT_PLACE_B
            writes.append((0, bytes([places]) + plan.entitlement))
        elif plan.slip is not None:
            writes.append((0, bytes([places])))
        return writes

    def _write(self, ins: int, file: int, offset: int, content: bytes) -> None:
        header = bytes([file]) + little(offset, 3) + little(len(content), 3)
        self._channel.send(ins, header, content)
        self._tmi += tmi.file_item(ins, file, offset, content)

    def _debit(self, file: SlotFile, amount: Cents) -> None:
        self._channel.send(Ins.DEBIT, bytes([file]), little(amount, _VALUE_B))
        self._tmi += tmi.value_item(Ins.DEBIT, file, amount)
