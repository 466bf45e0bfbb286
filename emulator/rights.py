"""Access rights: which communication mode a command gets on a file, or why it is refused."""

from typing import Protocol

from emulator.memory import FREE, NEVER, CommMode
from emulator.messaging import Ev1Session, Session
from emulator.state import CardState
from emulator.status import Refused, Status

CREATE_AND_DELETE_FREE = 0x04
LISTING_FREE = 0x02
SETTINGS_CHANGEABLE = 0x08
MASTER_KEY_CHANGEABLE = 0x01


class InSession(Protocol):
    """A card under power, of any kind."""

    session: Session | None


def granted_mode(state: InSession, file_mode: CommMode, *rights: int) -> CommMode:
    """Return the file's mode when the session's key is among `rights`, plain when one of them is free.

    Refused with AUTHENTICATION_ERROR without a session, PERMISSION_DENIED with another key or when nobody may
    (MF2DL(H)x0 section 8.2.3.3). Protected files need an EV2 session here, although a real card takes EV1 ones too.
    """
    if state.session is not None and state.session.key_no in rights:
        if isinstance(state.session, Ev1Session) and file_mode is not CommMode.PLAIN:
            raise Refused(Status.PERMISSION_DENIED)
        return file_mode
    if FREE in rights:
        return CommMode.PLAIN
    if state.session is None and any(right != NEVER for right in rights):
        raise Refused(Status.AUTHENTICATION_ERROR)
    raise Refused(Status.PERMISSION_DENIED)


def management_mode(state: InSession) -> CommMode:
    """Mode of the commands that carry no file content: MAC in a session, plain without."""
    return CommMode.PLAIN if state.session is None else CommMode.MAC


def key_settings(state: CardState) -> int:
    """Key settings of the selected level."""
    application = state.memory.applications.get(state.selected)
    return state.memory.picc_key_settings if application is None else application.key_settings


def require_master(state: CardState) -> None:
    """Refuse unless the session was opened with the master key of the selected level."""
    if not state.is_master():
        raise Refused(Status.AUTHENTICATION_ERROR)


def require_listing(state: CardState) -> None:
    """Refuse listing without the master key, unless the key settings free it."""
    if not key_settings(state) & LISTING_FREE:
        require_master(state)


def require_creating(state: CardState) -> None:
    """Refuse creating and deleting without the master key, unless the key settings free it."""
    if not key_settings(state) & CREATE_AND_DELETE_FREE:
        require_master(state)
