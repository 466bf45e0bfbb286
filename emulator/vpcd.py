"""A virtual card in the field of a virtual PC/SC reader: the card's side of vsmartcard's vpcd protocol.

Messages are a 2-byte big-endian length and a body; bodies of one byte are 00 power off, 01 power on, 02 reset and
04 the ATR's request, which alone of these is answered; every other body is an APDU.
"""

import contextlib
import socket
from collections.abc import Sequence
from threading import Thread

from emulator.field import Card, FieldGone, Log, Presentation
from emulator.tear import Disturbance

FIRST_READER_PORT = 35963
SECOND_READER_PORT = 35964
_POWER_OFF, _POWER_ON, _RESET, _ASK_ATR = b"\x00", b"\x01", b"\x02", b"\x04"
_CONNECT_S = 5.0
_FAREWELL_S = 1.0


class CardInField:
    """One card at one virtual reader. Making it connects nothing; `present` does, in a thread of its own.

    `port`: 35963 is vpcd's first reader, 35964 its second. `disturbances` and `log` hold for each presentation.
    """

    def __init__(
        self,
        card: Card,
        port: int = FIRST_READER_PORT,
        *,
        host: str = "127.0.0.1",
        disturbances: Sequence[Disturbance] = (),
        log: Log | None = None,
    ) -> None:
        self._card = card
        self._address = (host, port)
        self._disturbances = disturbances
        self._log = log
        self._socket: socket.socket | None = None
        self._thread: Thread | None = None
        self._presentation: Presentation | None = None

    @property
    def is_present(self) -> bool:
        """Whether the card is being served; False after a tear, and after vpcd went away."""
        if self._thread is None or self._presentation is None:
            return False
        return self._thread.is_alive() and not self._presentation.is_gone

    def present(self) -> None:
        """Put the card on the reader; raises OSError when vpcd does not listen."""
        if self.is_present:
            raise ValueError("the card is on the reader already")
        self.lift()
        connection = socket.create_connection(self._address, timeout=_CONNECT_S)
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._presentation = Presentation(self._card, self._disturbances, self._log)
        arguments = (connection, self._presentation)
        self._thread = Thread(target=_serve, args=arguments, name="card-in-field", daemon=True)
        self._thread.start()

    def lift(self) -> None:
        """Take the card away and wait until its thread has ended; nothing happens when it is not there."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self.wait_gone()
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._thread = None

    def wait_gone(self, timeout_s: float | None = None) -> bool:
        """Wait until the card is gone and its thread ended, by a tear or because vpcd ended; returns whether it has."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _serve(connection: socket.socket, presentation: Presentation) -> None:
    with contextlib.suppress(OSError, EOFError, FieldGone):
        while not presentation.is_gone:
            _react(connection, presentation, _receive(connection))
    presentation.leave()
    with contextlib.suppress(OSError):
        _farewell(connection)
    connection.close()


def _react(connection: socket.socket, presentation: Presentation, body: bytes) -> None:
    if body == _POWER_OFF:
        presentation.power_off()
    elif body in (_POWER_ON, _RESET):
        presentation.power_on()
    elif body == _ASK_ATR:
        _send(connection, presentation.atr)
    else:
        _send(connection, presentation.exchange(body))


def _farewell(connection: socket.socket) -> None:
    """Close our direction and read what still comes, so that an answer under way is not cut off by a reset."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_FAREWELL_S)
    while connection.recv(4096):
        pass


def _receive(connection: socket.socket) -> bytes:
    return _receive_exactly(connection, int.from_bytes(_receive_exactly(connection, 2), "big"))


def _receive_exactly(connection: socket.socket, size_b: int) -> bytes:
    """Read a whole piece; acknowledged at once, as vpcd sends length and body apart and waits otherwise."""
    body = b""
    while len(body) < size_b:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        piece = connection.recv(size_b - len(body))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not piece:
            raise EOFError
        body += piece
    return body


def _send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(len(body).to_bytes(2, "big") + body)
