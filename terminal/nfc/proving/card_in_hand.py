"""The card under proof: its sessions, what each exchange took, and what it was found to be like."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sync import crypto
from sync.errors import PanierError
from sync.issuing import PICC_AID, TERMINALS, IssueOrder
from terminal.errors import CardMisbehaves, NotOurCard
from terminal.nfc.apdu import Ins, Status, ask
from terminal.nfc.channel import Channel, Mode, authenticate_ev2_first, select_application
from terminal.nfc.desfire_purse import TMAC_FILE
from terminal.nfc.issuing import CardNotBlank, issue
from terminal.nfc.links import Link
from terminal.nfc.proving.outcome import Proof, proof
from terminal.nfc.proving.throwaway import TestCards
from terminal.nfc.tmi import little
from terminal.ports import Clock, Deadline

MOST_APDUS_TO_PROVE: Final = 100_000
PROVING_BUDGET_S: Final = 600.0
PROOF_B: Final = 12
_TMC_B: Final = 4


@dataclass(frozen=True, slots=True)
class Exchange:
    """One APDU and its answer: instruction, sizes in bytes, second status byte, ns between the two."""

    ins: int
    out_b: int
    in_b: int
    status: int
    took_ns: int


class _Noting:
    """``links.Field`` over another link: notes every exchange."""

    def __init__(self, inner: Link, noted: list[Exchange]) -> None:
        self._inner = inner
        self._noted = noted

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:  # noqa: ARG002
        began_ns = time.perf_counter_ns()
        answer = self._inner.exchange(apdu)
        took_ns = time.perf_counter_ns() - began_ns
        self._noted.append(Exchange(apdu[1], len(apdu), len(answer), answer[-1], took_ns))
        return answer

    def close(self, *, is_clean: bool) -> None:
        if not is_clean:
            self._inner.spoil()
        self._inner.close()


@dataclass(frozen=True, slots=True)
class ReaderIdModes:
    """How CommitReaderID is protected, in its command and in its answer."""

    command: Mode
    answer: Mode

    @property
    def name(self) -> str:
        """For the report."""
        return f"command {self.command.name}, answer {self.answer.name}"


BUILT_ON: Final = ReaderIdModes(Mode.MAC, Mode.MAC)


@dataclass(slots=True)
class CardInHand:
    """An issued test card on a reader.

    Attributes:
        noted: every exchange so far.
        reader_id_modes: as measured; until then as the program was built.
        transactions: how many were begun, for reader ids that differ.
    """

    link: Link
    order: IssueOrder
    noted: list[Exchange]
    token: Callable[[int], bytes] = field(default=crypto.token, repr=False)
    reader_id_modes: ReaderIdModes = BUILT_ON
    transactions: int = 0

    def session(self) -> Channel:
        """A session under K1; whatever was staged before is gone."""
        select_application(self.link, self.order.aid)
        return authenticate_ev2_first(self.link, self.order.keys[TERMINALS], TERMINALS, self.token)

    def next_reader_id(self) -> bytes:
        """16 bytes, another one each time."""
        self.transactions += 1
        return b"\x01PROVE" + self.transactions.to_bytes(2, "big") + self.token(8)


@dataclass(frozen=True, slots=True)
class CardProof:
    """What the TMAC file holds: counter and TMV (8 B) of the newest transaction."""

    tmc: int
    tmv: bytes


def card_proof(content: bytes) -> CardProof:
    """From the 12 bytes of the TMAC file or of Commit's answer."""
    return CardProof(int.from_bytes(content[:_TMC_B], "little"), content[_TMC_B:])


def read_proof(channel: Channel) -> CardProof:
    """Counter and proof of the newest transaction; the read does not count in the TMI."""
    return card_proof(channel.send(Ins.READ_DATA_CHAINED, place(TMAC_FILE, PROOF_B), answer_b=PROOF_B))


def place(file: int, size: int) -> bytes:
    """The header of a command on the first ``size`` bytes (or newest records) of a file."""
    return bytes([file]) + little(0, 3) + little(size, 3)


def noting(inner: Link, clock: Clock) -> tuple[Link, list[Exchange]]:
    """A link that notes what goes over ``inner``, with room for everything that is to be proven."""
    inner.allow(MOST_APDUS_TO_PROVE)
    noted: list[Exchange] = []
    deadline = clock.deadline(PROVING_BUDGET_S)
    return Link(_Noting(inner, noted), deadline, clock.left_s, most_apdus=MOST_APDUS_TO_PROVE), noted


class NotATestCard(CardNotBlank):
    """A card that this command did not make, and must not touch."""


def take_in_hand(
    inner: Link, cards: TestCards, clock: Clock, *, may_issue: bool, token: Callable[[int], bytes] = crypto.token
) -> tuple[CardInHand, Proof]:
    """The card that lies there, issued with throw-away keys if it is blank and that is allowed.

    Returns: the card, and what issuing's own checks of it found.
    Raises:
        NotATestCard: neither blank nor made by this command; nothing was changed.
        CardFault, ReaderFault: torn away; the same call goes on with it.
    """
    link, noted = noting(inner, clock)
    uid = link.read_uid()
    order = cards.order_of(uid)
    if order is None:
        _check_blank(link, may_issue=may_issue)
        order = cards.new_order(uid, clock.now().wall)
    card = CardInHand(link, order, noted, token)
    if cards.is_finished(uid):
        card.session()
        return card, proof("issuing", True, "made earlier")
    found = _issued(card)
    cards.finished(uid)
    return card, found


def _check_blank(link: Link, *, may_issue: bool) -> None:
    """Factory settings let anybody list the applications, and there are none."""
    try:
        select_application(link, PICC_AID)
    except NotOurCard:
        raise NotATestCard("no DESFire card") from None
    answer = ask(link.exchange, Ins.GET_APPLICATION_IDS)
    if answer.status != Status.OK or answer.data:
        raise NotATestCard("neither blank nor made by this command")
    if not may_issue:
        raise NotATestCard("blank, and not to be issued")


def _issued(card: CardInHand) -> Proof:
    """Issue it. Issuing ends with checks of its own that take for granted what is to be proven here: when one of them
    fails on a card that is complete, that is a finding, and the proofs go on.
    """
    try:
        issue(card.link, card.order, card.token)
    except CardNotBlank as fault:
        raise NotATestCard(str(fault)) from None
    except CardMisbehaves as fault:
        if not _is_complete(card):
            raise
        return proof("issuing", False, str(fault))
    return proof("issuing", True, "issued and checked")


def _is_complete(card: CardInHand) -> bool:
    """Whether the last file issuing makes is there: K1 reads the card's proof."""
    try:
        read_proof(card.session())
    except PanierError:
        return False
    return True
