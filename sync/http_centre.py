"""The centre over HTTP, the only door to httpx2: https, plain http on loopback, or a UNIX socket.

PUT  /v1/terminals/{id}/epochs/{e}/records/{first_seq}   batch → CBOR [answer, bundle]
POST /v1/enrolments                                      request → response
"""

from __future__ import annotations

import ipaddress
import time
from gettext import gettext as _
from pathlib import Path
from typing import Final

import httpx2

from sync.batch import MOST_ANSWER_B, head_of
from sync.bundle import MOST_BUNDLE_B
from sync.cbor import decode
from sync.enrolment import MOST_RESPONSE_B
from sync.errors import CentreRefuses, CentreUnreachable, Malformed

CBOR_TYPE: Final = "application/cbor"
MOST_REPLY_B: Final = MOST_ANSWER_B + MOST_BUNDLE_B + 64
CONNECT_BUDGET_S: Final = 5.0
SILENCE_BUDGET_S: Final = 10.0
WHOLE_BUDGET_S: Final = 60.0
_MOST_SENTENCE: Final = 300
_HEADERS: Final = {"content-type": CBOR_TYPE, "accept": CBOR_TYPE, "accept-encoding": "identity"}


class HttpCentre:
    """``sync.centre.Centre`` over HTTP. Connects at the first exchange; ``close`` when done.

    Args:
        url: ``https://…``, or ``http://`` with a loopback host; with ``unix_socket`` any name will do as host.
        unix_socket: path of the centre's socket, or ``None``.
        whole_budget_s: seconds one exchange may take altogether.

    Raises:
        ValueError: plain http to another machine.
    """

    def __init__(self, url: str, unix_socket: Path | None = None, whole_budget_s: float = WHOLE_BUDGET_S) -> None:
        _check_url(url, unix_socket)
        self._url = url.rstrip("/")
        self._budget_s = whole_budget_s
        self._transport = httpx2.HTTPTransport(uds=str(unix_socket)) if unix_socket else httpx2.HTTPTransport()
        timeout = httpx2.Timeout(SILENCE_BUDGET_S, connect=CONNECT_BUDGET_S)
        self._client = httpx2.Client(
            transport=self._transport, timeout=timeout, follow_redirects=False, trust_env=False
        )

    def exchange(self, batch: bytes) -> tuple[bytes, bytes]:
        """Send a batch; the answer and the bundle. CentreUnreachable, CentreRefuses."""
        head = head_of(batch)
        path = f"/v1/terminals/{head.terminal.hex()}/epochs/{head.epoch}/records/{head.first_seq}"
        reply = self._send("PUT", path, batch, MOST_REPLY_B)
        try:
            parts = decode(reply, MOST_REPLY_B)
        except Malformed:
            raise _not_the_centre() from None
        match parts:
            case [bytes() as answer, bytes() as bundle]:
                return answer, bundle
        raise _not_the_centre()

    def enrol(self, request: bytes) -> bytes:
        """Send an enrolment request; the response, to be verified by ``sync.enrolment.read_response``."""
        return self._send("POST", "/v1/enrolments", request, MOST_RESPONSE_B)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _send(self, method: str, path: str, body: bytes, most_b: int) -> bytes:
        try:
            with self._client.stream(method, self._url + path, content=body, headers=_HEADERS) as reply:
                return self._read(reply, most_b)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as fault:
            raise CentreUnreachable(_sentence_of(fault)) from None

    def _read(self, reply: httpx2.Response, most_b: int) -> bytes:
        whole = self._read_capped(reply, most_b)
        if 400 <= reply.status_code < 500:
            raise CentreRefuses(_("Le centre refuse l'envoi : {said}").format(said=_plain(whole, reply.status_code)))
        if reply.status_code != 200:
            raise CentreUnreachable(
                _("Le centre est en panne (code {code}). Rien n'est perdu.").format(code=reply.status_code)
            )
        if reply.headers.get("content-type", "").partition(";")[0].strip() != CBOR_TYPE:
            raise _not_the_centre()
        return whole

    def _read_capped(self, reply: httpx2.Response, most_b: int) -> bytes:
        """The body; a reply too long or too slow ends here, however it trickles in."""
        until_s = time.monotonic() + self._budget_s
        whole = bytearray()
        for part in reply.iter_raw():
            whole += part
            if len(whole) > most_b:
                raise CentreUnreachable(_("La réponse du centre est trop longue. Rien n'est perdu."))
            if time.monotonic() > until_s:
                raise CentreUnreachable(_("Le centre répond trop lentement. Rien n'est perdu."))
        return bytes(whole)


def _check_url(url: str, unix_socket: Path | None) -> None:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError(_("Cette adresse de centre n'en est pas une.")) from None
    if parsed.scheme == "https" or (parsed.scheme == "http" and (unix_socket or _is_loopback(parsed.host))):
        return
    raise ValueError(_("Le centre se joint par https ; http ne sert que sur la même machine."))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _sentence_of(fault: Exception) -> str:
    if isinstance(fault, httpx2.TimeoutException):
        return _("Le centre ne répond pas. Rien n'est perdu.")
    if isinstance(fault, httpx2.ConnectError):
        return _("Le centre est injoignable. Rien n'est perdu.")
    return _("La liaison avec le centre s'est coupée. Rien n'est perdu.")


def _plain(body: bytes, status: int) -> str:
    """The centre's own sentence, stripped of anything that draws or steers."""
    text = body[: 4 * _MOST_SENTENCE].decode("utf-8", "replace")
    kept = "".join(character for character in text if character.isprintable())[:_MOST_SENTENCE].strip()
    return kept or _("code {code}").format(code=status)


def _not_the_centre() -> CentreUnreachable:
    return CentreUnreachable(_("Ce qui répond n'est pas le centre. Rien n'est perdu."))
