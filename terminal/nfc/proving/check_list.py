"""The whole check-list on one card, in an order in which each finding helps the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sync import crypto
from terminal.errors import CardMisbehaves
from terminal.nfc.links import Link
from terminal.nfc.proving.card_in_hand import take_in_hand
from terminal.nfc.proving.facts import proofs_without_hands
from terminal.nfc.proving.outcome import Proof, Verdict, proof
from terminal.nfc.proving.pace import Pace, payments
from terminal.nfc.proving.tears import Hand, tears
from terminal.nfc.proving.throwaway import TestCards
from terminal.ports import Clock


def check_list(
    inner: Link,
    cards: TestCards,
    clock: Clock,
    hand: Hand,
    *,
    may_issue: bool,
    rounds: int,
    pulls: int,
    token: Callable[[int], bytes] = crypto.token,
) -> Iterator[Proof | Pace]:
    """Every proof as it is made, and what the commands took.

    Args:
        inner: link to the card that lies there; its bounds are raised.
        may_issue: a blank card may be made a test card.
        rounds: payments to time, each way.
        pulls: pulls by hand; 0 for none.

    Raises:
        NotATestCard: nothing was changed.
        CardGone, ReaderFault: the card was lifted when it should not; begin again.
    """
    card, issued = take_in_hand(inner, cards, clock, may_issue=may_issue, token=token)
    yield issued
    is_spoken_to = True
    for found in proofs_without_hands(card):
        yield found
        is_spoken_to = is_spoken_to and not (found.name == "reader_id_answer" and found.verdict is Verdict.NOT_TRIED)
    if not is_spoken_to:
        return
    yield from payments(card, rounds)
    if pulls:
        try:
            yield from tears(card, hand, clock, pulls)
        except CardMisbehaves as fault:
            yield proof("tears_at_commit", False, str(fault))
