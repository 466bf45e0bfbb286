"""The other end of nfcpy's ``udp:`` device: a card program on a UDP port, around the emulator's virtual card.

Each datagram is ``106A`` and the frame in hexadecimal digits; ``RFOFF`` says that the reader's field is off. An empty
field answers the search with noise (``106A`` alone), because nfcpy waits a whole second for silence. A card that needs
time asks for it with S(WTX), as ISO 14443-4 §7.3 has it.
Source: nfcpy 1.0.4, nfc/clf/udp.py (its documentation and behaviour).
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from emulator.field import Card, FieldGone, Presentation
from emulator.tear import Disturbance
from tests.card.readers.iso_dep_card import IsoDepCard

SEARCH = b"106A 26"
SOON_S = 0.04
MORE_TIME = bytes.fromhex("f23b")
"""S(WTX), 59 times the frame waiting time: the most there is."""


class UdpField:
    """A field in which cards can be laid; listens on the loopback interface from its making on."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._presentation: Presentation | None = None
        self._uid = b""
        self._card: IsoDepCard | None = None
        self._thread = threading.Thread(target=self._serve, name="udp card", daemon=True)
        self._thread.start()

    @property
    def path(self) -> str:
        """The device path for nfcpy."""
        return f"udp:127.0.0.1:{self.port}"

    def lay(self, card: Card, *disturbances: Disturbance) -> None:
        """Lay a card down."""
        with self._lock:
            self._presentation = Presentation(card, disturbances)
            self._uid = card.uid
            self._power_on()

    def lift(self) -> None:
        """Take it away; not before an answer under way has been given."""
        with self._lock:
            if self._presentation is not None:
                self._presentation.leave()
            self._presentation = self._card = None

    def close(self) -> None:
        """The program ends."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"END", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()

    def _power_on(self) -> None:
        assert self._presentation is not None
        self._presentation.power_on()
        self._card = IsoDepCard(self._uid, self._presentation.exchange)

    def _serve(self) -> None:
        with ThreadPoolExecutor(1) as card:
            while True:
                datagram, sender = self._socket.recvfrom(2048)
                if datagram == b"END":
                    return
                with self._lock:
                    answering = card.submit(self._answer, datagram)
                    if not wait([answering], SOON_S).done:
                        self._send(MORE_TIME, sender)
                        self._socket.recvfrom(2048)  # the reader repeats it: granted
                    answer = answering.result()
                if answer is not None:
                    self._send(answer, sender)

    def _send(self, frame: bytes, to: Any) -> None:
        self._socket.sendto(b"106A " + frame.hex().encode(), to)

    def _answer(self, datagram: bytes) -> bytes | None:
        if self._presentation is None or self._presentation.is_gone:
            return b"" if datagram == SEARCH else None
        if datagram == b"RFOFF":
            self._power_on()
            return None
        assert self._card is not None
        try:
            return self._card.answer(bytes.fromhex(datagram.split()[1].decode()))
        except FieldGone:
            return None
