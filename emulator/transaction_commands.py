"""CommitReaderID, CommitTransaction and AbortTransaction (MF2DL(H)x0 section 10.11)."""

from dataclasses import replace

from emulator.command import Answer, Command, between, exactly
from emulator.memory import FREE, NEVER, CommMode, TmacFile
from emulator.messaging import Ev2Session
from emulator.rights import granted_mode, management_mode
from emulator.state import CardState, Transaction
from emulator.status import Refused, Status
from emulator.tmac import enciphered_reader_id, transaction_mac

RETURN_TMC_AND_TMV = 0x01
_LAST_TMC = 0xFFFFFFFF


def _admit_reader_id(state: CardState, _header: bytes) -> CommMode:
    found = state.tmac()
    if found is None or found[1].rights.read_write == NEVER or state.transaction.reader_id is not None:
        raise Refused(Status.PERMISSION_DENIED)
    granted_mode(state, CommMode.MAC, found[1].rights.read_write)
    return management_mode(state)


def _commit_reader_id(state: CardState, ins: int, _header: bytes, data: bytes) -> Answer:
    """Bind the transaction to a reader; answer with the enciphered id of the transaction before."""
    found = state.tmac()
    assert found is not None
    file = found[1]
    if state.session is None:
        assert file.rights.read_write == FREE
        state.note(ins, data)
        state.transaction.reader_id = data
        return Answer()
    earlier = enciphered_reader_id(file.key.value, file.tmc + 1, state.memory.uid, file.reader_id)
    state.note(ins, data + earlier)
    state.transaction.reader_id = data
    answer_mode = state.profile.reader_id_answer if isinstance(state.session, Ev2Session) else None
    return Answer(earlier, mode=answer_mode)


def _admit(state: CardState, _header: bytes) -> CommMode:
    state.application()
    return management_mode(state)


def _commit(state: CardState, _ins: int, _header: bytes, data: bytes) -> Answer:
    """Everything pending, TMC and TMV become permanent in one write."""
    option = data[0] if data else 0
    if option not in (0, RETURN_TMC_AND_TMV):
        raise Refused(Status.PARAMETER_ERROR)
    transaction = state.transaction
    if not transaction.changed:
        raise Refused(Status.NO_CHANGES)
    application = state.application()
    changed = dict(transaction.changed)
    sealed = None
    found = application.tmac_file()
    if found is not None:
        number, file = found
        sealed = _sealed(state, file)
        changed[number] = sealed
    elif option:
        raise Refused(Status.PERMISSION_DENIED)
    files = {**application.files, **changed}
    state.keep(state.memory.with_application(replace(application, files=files)))
    state.transaction = Transaction()
    return Answer(sealed.content if sealed is not None and option else b"")


def _sealed(state: CardState, file: TmacFile) -> TmacFile:
    """The transaction MAC file after this transaction."""
    transaction = state.transaction
    if file.rights.read_write != NEVER and transaction.reader_id is None:
        raise Refused(Status.PERMISSION_DENIED)
    if file.tmc == _LAST_TMC:
        raise Refused(Status.PERMISSION_DENIED)
    tmc = file.tmc + 1
    tmv = transaction_mac(file.key.value, tmc, state.memory.uid, transaction.tmi)
    return replace(file, tmc=tmc, tmv=tmv, reader_id=transaction.reader_id or file.reader_id)


def _abort(state: CardState, _ins: int, _header: bytes, _data: bytes) -> Answer:
    """Drop what is pending, the reader id included."""
    if not state.transaction.changed and state.transaction.reader_id is None:
        raise Refused(Status.NO_CHANGES)
    state.transaction = Transaction()
    return Answer()


TRANSACTION_COMMANDS = {
    0xC8: Command(0, exactly(16), _admit_reader_id, _commit_reader_id),
    0xC7: Command(0, between(0, 1), _admit, _commit),
    0xA7: Command(0, exactly(0), _admit, _abort),
}
