"""The running state of a powered tag."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from emulator.messaging import Session
from emulator.ntag424.card_file import to_text
from emulator.ntag424.memory import NtagFile, NtagMemory
from emulator.state_file import CardStore
from emulator.status import Refused, Status
from emulator.tear import Written


@dataclass(slots=True)
class NtagState:
    """A tag under power: its memory, what is selected, the session.

    `selected_file`: the number of the file ISO commands work on. `counted`: files whose read counter has moved already
    in this presentation. `torn`: set while the power goes during an APDU.
    """

    memory: NtagMemory
    store: CardStore
    entropy: Callable[[int], bytes]
    is_application_selected: bool = False
    selected_file: int | None = None
    session: Session | None = None
    counted: set[int] = field(default_factory=set)
    torn: Written | None = None

    def keep(self, memory: NtagMemory) -> None:
        """Make a change permanent at once: written first, then in force. Under a tear, whole or not at all."""
        if self.torn is not None and self.torn(1) == 0:
            return
        self._replace(memory)

    def write(self, number: int, offset_b: int, new: bytes) -> None:
        """Overwrite part of a file at once. Under a tear only the first bytes, or none, may reach the memory."""
        file = self.memory.files[number]
        if self.torn is not None:
            new = new[: self.torn(len(new))]
        content = file.content[:offset_b] + new + file.content[offset_b + len(new) :]
        self._replace(self.memory.with_file(number, replace(file, content=content)))

    def _replace(self, memory: NtagMemory) -> None:
        self.store.write(to_text(memory))
        self.memory = memory

    def select(self, *, application: bool) -> None:
        """Select the NDEF application or the card level; ends the session."""
        self.is_application_selected = application
        self.selected_file = None
        self.reset()

    def reset(self) -> None:
        """End the session."""
        self.session = None

    def require_application(self) -> None:
        """Refuse at card level."""
        if not self.is_application_selected:
            raise Refused(Status.PERMISSION_DENIED)

    def file(self, number: int) -> NtagFile:
        """A file of the application; refused when there is none, and at card level."""
        self.require_application()
        if number not in self.memory.files:
            raise Refused(Status.FILE_NOT_FOUND)
        return self.memory.files[number]

    def authentication_key(self, _ins: int, number: int) -> bytes:
        """The application's key of that number."""
        self.require_application()
        if number >= len(self.memory.keys):
            raise Refused(Status.NO_SUCH_KEY)
        return self.memory.keys[number].value

    def count_read(self, number: int) -> None:
        """Move the file's read counter with the first free read of a presentation, while dynamic messaging is on."""
        file = self.memory.files[number]
        if self.session is not None or not file.sdm or number in self.counted:
            return
        self.counted.add(number)
        self.keep(self.memory.with_file(number, replace(file, read_counter=min(file.read_counter + 1, 0xFFFFFF))))
