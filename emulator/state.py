"""The running state of a powered card, and what commands may do with it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.authentication import ISO
from emulator.memory import Application, CardFile, CardKey, CardMemory, CommMode, TmacFile
from emulator.messaging import Session
from emulator.state_file import CardStore, to_text
from emulator.status import Refused, Status
from emulator.tear import Written
from emulator.tmac import tmi_item

PICC = bytes(3)


@dataclass(frozen=True, slots=True)
class CardProfile:
    """Behaviours that are open until real cards are measured.

    `reader_id_answer`: protection of CommitReaderID's answer, MAC as in NXP's public reader library, or FULL.
    """

    reader_id_answer: CommMode = CommMode.MAC


@dataclass(slots=True)
class Transaction:
    """What CommitTransaction would make permanent, and the input of its transaction MAC so far."""

    changed: dict[int, CardFile] = field(default_factory=dict)
    debited: dict[int, int] = field(default_factory=dict)
    recorded: set[int] = field(default_factory=set)
    tmi: bytes = b""
    reader_id: bytes | None = None


@dataclass(slots=True)
class CardState:
    """A card under power: its memory, the selected application, the session and the open transaction."""

    memory: CardMemory
    store: CardStore
    entropy: Callable[[int], bytes]
    profile: CardProfile
    selected: bytes = PICC
    session: Session | None = None
    transaction: Transaction = field(default_factory=Transaction)
    torn: Written | None = None

    def keep(self, memory: CardMemory) -> None:
        """Make a change permanent at once: written first, then in force. Under a tear, whole or not at all."""
        if self.torn is not None and self.torn(1) == 0:
            return
        self.store.write(to_text(memory))
        self.memory = memory

    def select(self, aid: bytes) -> None:
        """Select an application or the card level; ends the session and drops the transaction."""
        self.selected = aid
        self.reset()

    def reset(self) -> None:
        """End the session and drop what was not committed."""
        self.session = None
        self.transaction = Transaction()

    def authentication_key(self, ins: int, number: int) -> bytes:
        """The key of that number at the selected level; AuthenticateISO takes triple DES keys, all others AES."""
        if self.selected == PICC:
            keys: tuple[CardKey, ...] = (self.memory.picc_key,)
            is_aes = self.memory.picc_key_is_aes
        else:
            keys, is_aes = self.application().keys, True
        if number >= len(keys):
            raise Refused(Status.NO_SUCH_KEY)
        if is_aes == (ins == ISO):
            raise Refused(Status.AUTHENTICATION_ERROR)
        return keys[number].value

    def application(self) -> Application:
        """The selected application; refused at card level."""
        if self.selected == PICC:
            raise Refused(Status.PERMISSION_DENIED)
        return self.memory.applications[self.selected]

    def file(self, number: int) -> CardFile:
        """A file of the selected application as last committed; refused when there is none."""
        file = self.application().files.get(number)
        if file is None:
            raise Refused(Status.FILE_NOT_FOUND)
        return file

    def pending(self, number: int, committed: CardFile) -> CardFile:
        """The file as the open transaction would leave it."""
        return self.transaction.changed.get(number, committed)

    def is_master(self) -> bool:
        """Whether the session was opened with the master key of the selected level."""
        return self.session is not None and self.session.key_no == 0

    def note(self, ins: int, header: bytes, content: bytes = b"") -> None:
        """Add a command to the transaction MAC input, if the application has a transaction MAC file."""
        if self.application().tmac_file() is not None:
            self.transaction.tmi += tmi_item(ins, header, content)

    def tmac(self) -> tuple[int, TmacFile] | None:
        """The selected application's transaction MAC file and its number."""
        return self.application().tmac_file()
