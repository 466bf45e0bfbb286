"""Faults of the world around a terminal, sorted by who must act.

PanierError (sync/errors.py)
├── CardFault                 the cashier: what lies on the reader
│   ├── CardGone              lifted in the middle; nothing debited unless Commit was sent
│   ├── NotOurCard            no card of the programme (wrong application, unknown chip, unreadable)
│   ├── WrongKey              right application, but it does not know the key: not genuine
│   ├── CardMisbehaves        answers no card of ours gives (too long, truncated, wrong MAC, out of order)
│   ├── TooManyCards          two cards in the field
│   └── KeysAsleep            this terminal authenticates no card until it has met the centre
├── OutcomeUnknown            Commit was sent and nothing can be said: the next tap anywhere tells
├── ReaderFault               the cashier, then the technician
│   ├── ReaderLost            unplugged, or the PC/SC service is away
│   └── ReaderStuck           no answer in time: unplug it and plug it in again
└── JournalFault              the technician: the till stops, nothing is lost
    ├── DiskFull
    ├── MediumFailed          a commit's outcome is unknown: reopen and read
    ├── JournalDamaged        stored records do not hold together; names them
    ├── JournalInUse          another program has it open
    ├── UnsafeSettings        the disk settings did not take effect, or the mount is without barriers
    ├── TerminalFrozen        the centre and this journal disagree: enrol again; everything is kept
    └── NotEnrolled           this terminal has no identity yet

and beside them KeysSealed      the terminal's own keys are not opened: PIN or device secret missing; nothing is lost
                └── WrongPin    the PIN is not the one
"""

from __future__ import annotations

from sync.errors import PanierError


class CardFault(PanierError):
    """What lies on the reader cannot be used."""


class CardGone(CardFault):
    """The card left the field."""


class NotOurCard(CardFault):
    """No card of the programme."""


class WrongKey(CardFault):
    """The card does not know the key it should have."""


class CardMisbehaves(CardFault):
    """An answer no card of ours gives."""


class TooManyCards(CardFault):
    """Two cards in the field."""


class KeysAsleep(CardFault):
    """The lease has run out: no card is authenticated any more until the centre has answered."""


class OutcomeUnknown(PanierError):
    """Commit was sent and its outcome is unknown."""


class ReaderFault(PanierError):
    """The reader cannot be used."""


class ReaderLost(ReaderFault):
    """Unplugged, or the PC/SC service is away."""


class ReaderStuck(ReaderFault):
    """No answer in time."""


class JournalFault(PanierError):
    """The journal cannot be trusted to be durable now."""


class DiskFull(JournalFault):
    """No room left on the medium."""


class MediumFailed(JournalFault):
    """Outcome of a commit unknown."""


class JournalDamaged(JournalFault):
    """Stored records do not hold together.

    Attributes:
        seqs: numbers of the records that are wrong or missing.
    """

    def __init__(self, message: str, seqs: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.seqs = seqs


class JournalInUse(JournalFault):
    """Another program has it open."""


class UnsafeSettings(JournalFault):
    """The disk settings did not take effect."""


class TerminalFrozen(JournalFault):
    """The centre and this journal disagree; the message is the sentence to show."""


class NotEnrolled(JournalFault):
    """This terminal has no identity yet."""


class KeysSealed(PanierError):
    """The terminal's keys stay sealed; the message is the sentence to show. The journal can be read and sent."""


class WrongPin(KeysSealed):
    """The PIN is not the one; the next try may have to wait."""
