"""Whole payments as the till makes them, proven, and timed command by command."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from domain.card_log import Debit
from domain.identity import SlotFile
from domain.money import Cents
from sync.card_format import ENTITLEMENT_PLACE_B, LOG_RECORD_SIZE_B
from terminal.errors import CardMisbehaves, OutcomeUnknown
from terminal.nfc.apdu import ISO_DEP, NATIVE, Ins, Profile
from terminal.nfc.channel import Mode
from terminal.nfc.desfire_purse import DesfirePurse
from terminal.nfc.proving.card_in_hand import CardInHand, Exchange
from terminal.nfc.proving.outcome import Proof, Verdict, proof
from terminal.nfc.proving.transaction import is_proof_of
from terminal.ports import CardPlan, CommitProof

WAYS: Final = {"chained": ISO_DEP, "native": NATIVE}
_SLOTS: Final = (SlotFile(1), SlotFile(2))
_ONE: Final = Cents(1)
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """What one command took.

    Attributes:
        way: chained by ISO-DEP or natively by AF.
        command: its name, or ``payment`` for all of one payment together.
        times: how many were measured.
        median_ms: from the APDU given to the reader to its answer.
        out_b, in_b: bytes of the largest, without what the radio adds.
    """

    way: str
    command: str
    times: int
    median_ms: float
    out_b: int
    in_b: int


def payments(card: CardInHand, rounds: int) -> Iterator[Proof | Pace]:
    """``rounds`` payments each way from two slots with a newer entitlement, then one that reads all log records."""
    if card.reader_id_modes.command is not Mode.MAC:
        yield Proof("payment", Verdict.NOT_TRIED, "the till cannot send a reader id enciphered")
        return
    for way, profile in WAYS.items():
        runs: list[list[Exchange]] = []
        yield _proven(card, f"payment_{way}", profile, runs, rounds)
        yield from _paces(way, runs)
    yield _proven(card, "payment_after_doubt", ISO_DEP, [], 1, all_logs=True)


def _proven(
    card: CardInHand, name: str, profile: Profile, runs: list[list[Exchange]], rounds: int, *, all_logs: bool = False
) -> Proof:
    for _ in range(rounds):
        began = len(card.noted)
        try:
            done = _pay(card, profile, all_logs=all_logs)
        except (CardMisbehaves, OutcomeUnknown) as fault:
            return proof(name, False, str(fault))
        runs.append(card.noted[began:])
        if not is_proof_of(card.order, done.tmc, done.tmi, done.tmv):
            return proof(name, False, "the card's TMV is over something else")
    return proof(name, True, f"TMV as built, {len(runs[0])} APDUs" if runs else "TMV as built")


def _pay(card: CardInHand, profile: Profile, *, all_logs: bool) -> CommitProof:
    is_full = card.reader_id_modes.answer is Mode.FULL
    spoken = Profile(profile.read_data, profile.write_data, profile.read_records, profile.write_record, is_full)
    purse = DesfirePurse(card.session(), spoken)
    purse.open(card.next_reader_id(), all_logs=all_logs)
    purse.values(_SLOTS)
    debits = tuple(Debit(slot, _ONE) for slot in _SLOTS)
    plan = CardPlan(debits, card.token(LOG_RECORD_SIZE_B), card.token(ENTITLEMENT_PLACE_B))
    purse.foretell(plan)
    purse.stage(plan)
    return purse.commit()


def _paces(way: str, runs: list[list[Exchange]]) -> Iterator[Pace]:
    by_command: dict[str, list[Exchange]] = defaultdict(list)
    for run in runs:
        for exchange in run:
            by_command[_name(exchange.ins)].append(exchange)
    for command, exchanges in by_command.items():
        yield _pace(way, command, [exchange.took_ns for exchange in exchanges], exchanges)
    if runs:
        whole = [sum(exchange.took_ns for exchange in run) for run in runs]
        yield Pace(
            way,
            "payment",
            len(runs),
            median(whole) / _NS_PER_MS,
            sum(exchange.out_b for exchange in runs[0]),
            sum(exchange.in_b for exchange in runs[0]),
        )


def _pace(way: str, command: str, took_ns: list[int], exchanges: list[Exchange]) -> Pace:
    largest_out, largest_in = max(each.out_b for each in exchanges), max(each.in_b for each in exchanges)
    return Pace(way, command, len(took_ns), median(took_ns) / _NS_PER_MS, largest_out, largest_in)


def _name(ins: int) -> str:
    return Ins(ins).name if ins in set(Ins) else f"{ins:02X}"
